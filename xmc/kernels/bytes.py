"""Small numbers: bits of a word, 16 bytes of an array at once, and weights of 8 or 16 bits.

Without the compiler (NUMBA_DISABLE_JIT=1) these are numpy's operations.

    name    dtype                   shape  what
    word    int64                          its bits are counted, the sign's too
    array   uint8                   flat   any length; 16 bytes from `offset` on must lie in it
    offset  int64                          counts bytes, and needs no alignment
    weight  float32, int8, uint16          a stored weight; uint16 holds the bits of a float16
"""

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .lanes import N_LANES, pointer, splat

N_BYTES = N_LANES

BIT, BYTE, SHORT, WORD, LONG = (ir.IntType(n) for n in (1, 8, 16, 32, 64))
BYTES, SHORTS = ir.VectorType(BYTE, N_BYTES), ir.VectorType(SHORT, N_BYTES)


def _load(context, builder, array_type, array, offset):
    return builder.load(pointer(context, builder, array_type, array, offset, BYTES), align=1)


def _call(builder, name, result, *args):
    kind = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@intrinsic
def count_bits(typingctx, word):
    """How many bits of an int64 are set."""

    def code(context, builder, signature, args):
        return _call(builder, "llvm.ctpop.i64", LONG, *args)

    return types.int64(types.int64), code


@intrinsic
def find_byte(typingctx, array, offset, wanted):
    """Which of the 16 bytes from `offset` on is the first that equals `wanted`; 16 if none does."""

    def code(context, builder, signature, args):
        held = _load(context, builder, signature.args[0], *args[:2])
        same = builder.icmp_unsigned("==", held, splat(builder, args[2], BYTES))
        places = builder.or_(
            builder.zext(builder.bitcast(same, SHORT), LONG), ir.Constant(LONG, 1 << N_BYTES)
        )
        return _call(builder, "llvm.cttz.i64", LONG, places, ir.Constant(BIT, 1))

    return types.int64(array, types.int64, types.uint8), code


@intrinsic
def sum_bytes(typingctx, array, offset, n):
    """The sum of the first n bytes from `offset` on; n is at most 16, and all 16 are read."""

    def code(context, builder, signature, args):
        held = _load(context, builder, signature.args[0], *args[:2])
        number = ir.Constant(BYTES, list(range(N_BYTES)))
        wanted = builder.icmp_unsigned(
            "<", number, splat(builder, builder.trunc(args[2], BYTE), BYTES)
        )
        kept = builder.zext(builder.select(wanted, held, ir.Constant(BYTES, [0] * N_BYTES)), SHORTS)
        return builder.zext(
            _call(builder, f"llvm.vector.reduce.add.v{N_BYTES}i16", SHORT, kept), LONG
        )

    return types.int64(array, types.int64, types.int64), code


def as_float(weight):
    """A stored weight as float32."""
    if isinstance(weight, np.uint16):
        weight = weight.view(np.float16)
    return np.float32(weight)


@intrinsic
def _half(typingctx, bits):
    """A finite float16 as float32, without LLVM's own conversion, which calls a function of C.

    The bits are those of a float32 whose exponent is too small by 112.
    """

    def code(context, builder, signature, args):
        wide = builder.zext(args[0], WORD)
        moved = builder.shl(builder.and_(wide, ir.Constant(WORD, 0x7FFF)), ir.Constant(WORD, 13))
        size = builder.fmul(
            builder.bitcast(moved, ir.FloatType()), ir.Constant(ir.FloatType(), 2.0**112)
        )
        sign = builder.shl(builder.and_(wide, ir.Constant(WORD, 0x8000)), ir.Constant(WORD, 16))
        return builder.bitcast(builder.or_(builder.bitcast(size, WORD), sign), ir.FloatType())

    return types.float32(types.uint16), code


@overload(as_float)
def _as_float(weight):
    return (
        (lambda weight: _half(weight))
        if weight == types.uint16
        else lambda weight: np.float32(weight)
    )


if config.DISABLE_JIT:

    def count_bits(word):
        return np.int64((int(word) % (1 << 64)).bit_count())

    def _part(array, offset):
        if offset < 0 or offset + N_BYTES > len(array):
            raise IndexError(f"{N_BYTES} bytes from {offset} on reach past {len(array)}")
        return array[offset : offset + N_BYTES]

    def find_byte(array, offset, wanted):
        found = np.flatnonzero(_part(array, offset) == wanted)
        return found[0] if len(found) else np.int64(N_BYTES)

    def sum_bytes(array, offset, n):
        return _part(array, offset)[:n].sum(dtype=np.int64)
