"""Arrays that each thread keeps between calls.

For one row, the system takes longer to hand out a large array, page by page, than a kernel takes to
do all of its work in it.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import DTypeLike


class _Kept(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}


_kept = _Kept()


def zeros(name: str, n: int, dtype: DTypeLike) -> np.ndarray:
    """n zeros, perhaps more, for whoever writes 0 back before the next call with this name."""
    array = _kept.arrays.get(name)
    if array is None or len(array) < n:
        array = _kept.arrays[name] = np.zeros(n, dtype)
    return array
