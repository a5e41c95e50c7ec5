"""Plain arrays, as the kernels read them: sparse rows, targets, pointers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """A sparse matrix as the kernels read it: CSR, features ascending in each row, arrays
    read-only.

    indptr int64, indices int32, data float32.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    n_features: int

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1


class Targets(NamedTuple):
    """The labels that each row has, or their nodes on a level of a tree, ascending in each row;
    arrays read-only.

    indptr int64, ids int32. costs: float32, of an error on each id, relative to one on what the row
    doesn't have; empty if all are 1.
    """

    indptr: np.ndarray
    ids: np.ndarray
    costs: np.ndarray


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only view: kernels compile once for arrays in memory and arrays mapped from disk."""
    view = array.view()
    view.flags.writeable = False
    return view


def pointers(sizes: Sequence[int]) -> np.ndarray:
    """Where each of some parts starts that stand one after another, and where the last one ends:
    int64, read-only.
    """
    return frozen(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


Lists = tuple[
    np.ndarray, np.ndarray
]  # pointers (int64) and ids (int32), the ids of each row ascending
