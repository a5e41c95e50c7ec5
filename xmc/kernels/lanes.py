"""`Lanes`, a value of 16 float32 that stays in vector registers: one lane per sibling, one cache
line per feature.

LLVM vectorises a loop over 16 lanes badly or not at all. These few operations say exactly what is
meant, and cost one instruction each with AVX-512, two with AVX2, four with NEON.

Without the compiler (NUMBA_DISABLE_JIT=1) a Lanes value is a numpy array of 16, and every operation
is numpy's.

    name    dtype    shape  what
    array   float32  flat   any length; 16 values from `offset` on must lie in it
    offset  int64           counts values, and needs no alignment
"""

import operator

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, lower_builtin, register_model, type_callable

N_LANES = 16

FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, N_LANES)


class LanesType(types.Type):
    """The compiler's type of a Lanes value."""

    def __init__(self):
        super().__init__(name=f"Lanes{N_LANES}")


lanes_type = LanesType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """A Lanes value is one LLVM vector."""

    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, VECTOR)


def splat(builder, value, vector):
    """A vector with `value` in each of its 16 places."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), N_LANES), [0] * N_LANES)
    )


def _llvm(builder, name, args, result=VECTOR):
    signature = ir.FunctionType(result, [a.type for a in args])
    return builder.call(
        cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{N_LANES}f32"),
        args,
    )


def pointer(context, builder, array_type, array, offset, vector):
    """The address of the 16 values of an array from `offset` on."""
    array = context.make_array(array_type)(context, builder, array)
    if config.BOUNDSCHECK:
        last = builder.add(offset, ir.Constant(offset.type, N_LANES - 1))
        cgutils.do_boundscheck(context, builder, offset, array.nitems)
        cgutils.do_boundscheck(context, builder, last, array.nitems)
    return builder.bitcast(builder.gep(array.data, [offset]), vector.as_pointer())


@intrinsic
def load(typingctx, array, offset):
    """The 16 values of a flat float32 array from `offset` on."""

    def code(context, builder, signature, args):
        return builder.load(pointer(context, builder, signature.args[0], *args, VECTOR), align=4)

    return lanes_type(array, types.int64), code


@intrinsic
def store(typingctx, array, offset, lanes):
    """Write the 16 values into a flat float32 array from `offset` on."""

    def code(context, builder, signature, args):
        builder.store(
            args[2], pointer(context, builder, signature.args[0], *args[:2], VECTOR), align=4
        )
        return context.get_dummy_value()

    return types.none(array, types.int64, lanes_type), code


@intrinsic
def prefetch(typingctx, array, offset):
    """Have the cache line of array[offset] fetched before it is read; any offset is safe."""

    def code(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(8).as_pointer())
        how = [ir.Constant(ir.IntType(32), n) for n in (0, 3, 1)]  # to read, into every cache, data
        kind = ir.FunctionType(ir.VoidType(), [pointer.type] + [n.type for n in how])
        builder.call(
            cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8"),
            [pointer, *how],
        )
        return context.get_dummy_value()

    return types.none(array, types.int64), code


@intrinsic
def fill(typingctx, value):
    """The same float32 in every lane."""
    return lanes_type(types.float32), lambda context, builder, signature, args: splat(
        builder, args[0], VECTOR
    )


@intrinsic
def fma(typingctx, value, lanes, addend):
    """value * lanes + addend, rounded once; `value` is a float32."""

    def code(context, builder, signature, args):
        return _llvm(builder, "fma", [splat(builder, args[0], VECTOR), args[1], args[2]])

    return lanes_type(types.float32, lanes_type, lanes_type), code


@intrinsic
def largest(typingctx, lanes):
    """The largest of the 16 values."""

    def code(context, builder, signature, args):
        return _llvm(builder, "vector.reduce.fmax", args, FLOAT)

    return types.float32(lanes_type), code


@intrinsic
def reaches(typingctx, lanes, least):
    """Whether any of the 16 values is `least`, a float32, or more."""

    def code(context, builder, signature, args):
        found = builder.fcmp_ordered(">=", args[0], splat(builder, args[1], VECTOR))
        bits = builder.bitcast(found, ir.IntType(N_LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(lanes_type, types.float32), code


def _elementwise(name, n_args):
    def code(context, builder, signature, args):
        return _llvm(builder, name, args)

    signature = lanes_type(*[lanes_type] * n_args)
    return intrinsic(
        (lambda typingctx, a: (signature, code))
        if n_args == 1
        else lambda typingctx, a, b: (signature, code)
    )


absolute = _elementwise("fabs", 1)
maximum = _elementwise("maxnum", 2)
minimum = _elementwise("minnum", 2)
copysign = _elementwise("copysign", 2)


def _operator(function, build):
    @type_callable(function)
    def typer(context):
        return lambda a, b: lanes_type if a == b == lanes_type else None

    lower_builtin(function, lanes_type, lanes_type)(
        lambda context, builder, signature, args: build(builder)(*args)
    )


_operator(operator.add, lambda builder: builder.fadd)
_operator(operator.sub, lambda builder: builder.fsub)
_operator(operator.mul, lambda builder: builder.fmul)
_operator(operator.truediv, lambda builder: builder.fdiv)

if config.DISABLE_JIT:

    def _part(array, offset):
        if offset < 0 or offset + N_LANES > len(array):
            raise IndexError(f"{N_LANES} lanes from {offset} on reach past {len(array)} values")
        return array[offset : offset + N_LANES]

    def load(array, offset):
        return _part(array, offset).copy()

    def store(array, offset, lanes):
        _part(array, offset)[:] = lanes

    def prefetch(array, offset):
        pass

    def fill(value):
        return np.full(N_LANES, value, np.float32)

    def fma(value, lanes, addend):
        return np.float32(value) * lanes + addend

    def reaches(lanes, least):
        return bool((lanes >= least).any())

    absolute, maximum, minimum = np.abs, np.maximum, np.minimum
    copysign, largest = np.copysign, np.max
