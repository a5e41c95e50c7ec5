"""The rows that a model knows, and new ones beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import Rows
from ..inputs import stacked, taken

FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: products spread evenly


class Known(NamedTuple):
    """Rows with their labels.

    X: as the model reads them.
    Y: CSR float32, not 0 where a label is true.
    likened: gives rows as they would be if they were among these, which may be kept roughly.
    """

    X: Rows
    Y: sp.csr_matrix
    likened: Callable[[Rows], Rows] = lambda rows: rows


class Joined(NamedTuple):
    """All rows, and what is new about them.

    X, Y: those known before, and behind them the new ones.
    n_new: how many rows are new.
    labels: int32, ascending, the labels that have rows which they had not before.
    """

    X: Rows
    Y: sp.csr_matrix
    n_new: int
    labels: np.ndarray


def joined(known: Known, X: Rows, Y: sp.csr_matrix) -> Joined:
    """The known rows with some more. One that is known gains labels and is not taken twice: the
    labels of a row that is there once with and once without one would be learned from both.
    """
    own = _widened(known.Y, Y.shape[1])
    place = _places(known, known.likened(X), Y)
    is_new = place < 0
    gained = _given_to(place[~is_new], Y[~is_new], own.shape[0])
    before = own != 0
    more = (gained != 0) > before  # labels that known rows had not
    Y_all = sp.vstack([own + gained.multiply(more), Y[is_new]], format="csr")
    Y_all.sort_indices()
    labels = np.union1d(more.tocsr().indices, Y[is_new].indices).astype(np.int32)
    return Joined(stacked(known.X, taken(X, is_new)), Y_all, int(is_new.sum()), labels)


def _widened(Y: sp.csr_matrix, n_labels: int) -> sp.csr_matrix:
    return sp.csr_matrix((Y.data, Y.indices, Y.indptr), (Y.shape[0], n_labels))


def _places(known: Known, X: Rows, Y: sp.csr_matrix) -> np.ndarray:
    """int64, the known row that equals each one; -1 of those that are new, or empty.

    Of several that are equal it is the first of those that have most labels in common with it.
    """
    digests, wanted = _digests(known.X), _digests(X)
    order = np.argsort(digests, kind="stable")
    first, end = (np.searchsorted(digests[order], wanted, side) for side in ("left", "right"))
    place = np.full(X.n_rows, -1, np.int64)
    for row in np.flatnonzero((end > first) & (np.diff(X.indptr) > 0)).tolist():
        equal = [n for n in order[first[row] : end[row]].tolist() if _equal(X, row, known.X, n)]
        if len(equal) > 1:
            own = set(_ids(Y, row))
            equal.sort(key=lambda n: -len(own.intersection(_ids(known.Y, n))))
        place[row] = equal[0] if equal else -1
    return place


def _equal(X: Rows, row: int, other: Rows, n: int) -> bool:
    """Whether a row of X is row n of the other."""
    own, theirs = slice(*X.indptr[row : row + 2]), slice(*other.indptr[n : n + 2])
    return np.array_equal(X.indices[own], other.indices[theirs]) and np.array_equal(
        X.data[own], other.data[theirs]
    )


def _ids(Y: sp.csr_matrix, row: int) -> list[int]:
    return Y.indices[Y.indptr[row] : Y.indptr[row + 1]].tolist()


def _digests(rows: Rows) -> np.ndarray:
    """uint64, a number of each row that equal rows share, and others hardly ever."""
    mixed = rows.indices.astype(np.uint64) << np.uint64(32)
    mixed |= rows.data.view(np.uint32)
    mixed *= FACTOR
    mixed ^= mixed >> np.uint64(32)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed)])
    return sums[rows.indptr[1:]] - sums[rows.indptr[:-1]]


def _given_to(place: np.ndarray, Y: sp.csr_matrix, n_rows: int) -> sp.csr_matrix:
    """The labels of rows as those of the known rows that they equal."""
    ones = np.ones(len(place), np.float32)
    chosen = sp.csr_matrix((ones, (place, np.arange(len(place)))), (n_rows, len(place)))
    return sp.csr_matrix(chosen @ Y)
