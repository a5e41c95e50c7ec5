"""Number columns anew where few of very many occur: what is allocated per column then goes by what
is there, not by the largest id.

New numbers ascend as the old ones do, so that every order and every sum stays the same.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .arrays import Rows, frozen

# Narrower matrices keep their numbers, and so do those whose columns occur more often than one in
# so many: the most that an array with a place per column then wastes is small.
NARROW, ONE_IN = 1 << 20, 8


def renumbered(M: sp.csr_matrix) -> tuple[sp.csr_matrix, np.ndarray | None]:
    """M with only the columns that occur, and their numbers in M, int32, ascending; M itself and
    None where it is narrow, or many of its columns occur.
    """
    kept = occurring(M.shape[1], M.indices)
    if kept is None:
        return M, None
    columns = np.searchsorted(kept, M.indices).astype(np.int32)
    return sp.csr_matrix((M.data, columns, M.indptr), shape=(M.shape[0], len(kept))), kept


def occurring(width: int, *ids: np.ndarray) -> np.ndarray | None:
    """Those of `width` columns that are among the ids, int32, ascending, at least one; None where
    the columns keep their numbers.
    """
    if width <= NARROW:
        return None
    found = np.unique(np.concatenate(ids)).astype(np.int32)
    if len(found) * ONE_IN > width:
        return None
    return frozen(found if len(found) else np.zeros(1, np.int32))


def new_numbers(ids: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """The new number of each old one, int32, -1 for what isn't kept; `ids` if all keep theirs."""
    if kept is None:
        return ids
    place = np.minimum(np.searchsorted(kept, ids), len(kept) - 1)
    return np.where(kept[place] == ids, place, -1).astype(np.int32)


def old_numbers(ids: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """The old number of each new one, int32; -1 stays -1."""
    return ids if kept is None else np.where(ids < 0, np.int32(-1), kept[ids])


def restricted(X: Rows, kept: np.ndarray | None) -> Rows:
    """The rows with only the kept features, under their new numbers."""
    if kept is None:
        return X
    columns = new_numbers(X.indices, kept)
    known = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(known)])[X.indptr]
    return Rows(frozen(indptr), frozen(columns[known]), frozen(X.data[known]), len(kept))


def spread(values: np.ndarray, kept: np.ndarray | None, width: int) -> np.ndarray:
    """A value for each of `width` old numbers from those of the new ones, 0 for what isn't kept."""
    if kept is None:
        return values
    out = np.zeros(width, values.dtype)
    out[kept] = values
    return out
