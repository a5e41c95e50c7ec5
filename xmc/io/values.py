"""Values made of arrays, such as NamedTuples and lists of them, as a folder holds them.

A value becomes a plan for the JSON and one long array for each dtype: the plan says which shapes to
cut from those, in which order. What it is made of follows from its type, so a folder can name none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import scipy.sparse as sp

from ..arrays import frozen

CSR = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]


def pack_value(value: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The plan of a value, and its arrays."""
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    plan = _plan(value, parts)
    return plan, {code: np.concatenate(own) for code, own in parts.items()}


def unpack_value(kind: Any, plan: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value of this type that was packed; its arrays are read-only parts of `arrays`."""
    return _value(kind, plan, {code: _Cutter(array) for code, array in arrays.items()})


def _plan(value: Any, parts: dict[str, list[np.ndarray]]) -> Any:
    if isinstance(value, np.ndarray):
        code = value.dtype.str[1:]
        parts[code].append(value.ravel())
        return [code, *value.shape]
    if sp.issparse(value):
        return _plan((value.data, value.indices, value.indptr, value.shape), parts)
    if isinstance(value, dict):
        return {name: _plan(value[name], parts) for name in sorted(value)}  # as the JSON has them
    if isinstance(value, (tuple, list)):
        return [_plan(own, parts) for own in value]
    return value.item() if isinstance(value, np.generic) else value


class _Cutter:
    """Parts of a long array, one after another."""

    def __init__(self, whole: np.ndarray):
        self.whole, self.used = whole, 0

    def cut(self, shape: list[int]) -> np.ndarray:
        start, self.used = self.used, self.used + math.prod(shape)
        return frozen(self.whole[start : self.used].reshape(shape))


def _value(kind: Any, plan: Any, arrays: dict[str, _Cutter]) -> Any:
    """What a plan says, as a value of this type."""
    if kind is np.ndarray:
        code, *shape = plan
        return arrays[code].cut(shape)
    if kind is sp.csr_matrix:
        *three, shape = _value(CSR, plan, arrays)
        return sp.csr_matrix(tuple(three), tuple(shape), copy=False)
    if hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        own = zip(kind._fields, plan, strict=True)
        return kind(*[_value(hints[name], part, arrays) for name, part in own])
    args = get_args(kind)
    if get_origin(kind) is dict:
        return {name: _value(args[1], part, arrays) for name, part in plan.items()}
    if get_origin(kind) is list or args[1:] == (...,):
        return get_origin(kind)(_value(args[0], part, arrays) for part in plan)
    if get_origin(kind) is tuple:
        return tuple(_value(own, part, arrays) for own, part in zip(args, plan, strict=True))
    return plan
