"""Number columns anew where few of very many occur: what is allocated per column then goes by what
is there, not by the largest id.

New numbers ascend as the old ones do, so that every order and every sum stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .arrays import BLOCK, Rows, frozen
from .mapped import beside

# Narrower matrices keep their numbers, and so do those whose columns occur more often than one in
# so many: the most that an array with a place per column then wastes is small.
NARROW, ONE_IN = 1 << 20, 8


def renumbered(ids: np.ndarray, width: int) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Ids of columns with only those columns that occur, how many these are, and their numbers
    before, int32, ascending; the ids themselves, `width` and None where there are few columns, or
    many of them occur.
    """
    kept = occurring(width, ids)
    if kept is None:
        return ids, width, None
    out = beside(ids, len(ids), np.int32)
    for part in _blocks(ids):
        out[part] = np.searchsorted(kept, ids[part])
    return frozen(out), len(kept), kept


def occurring(width: int, *ids: np.ndarray) -> np.ndarray | None:
    """Those of `width` columns that are among the ids, int32, ascending, at least one; None where
    the columns keep their numbers.
    """
    if width <= NARROW:
        return None
    found = np.empty(0, np.int32)
    for own in ids:
        for part in _blocks(own):
            found = np.union1d(found, own[part]).astype(np.int32)
            if len(found) * ONE_IN > width:
                return None
    return frozen(found if len(found) else np.zeros(1, np.int32))


def _blocks(ids: np.ndarray) -> Iterator[slice]:
    """All ids in parts: they may be a large file."""
    return (slice(start, start + BLOCK) for start in range(0, len(ids), BLOCK))


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
