"""The rows that a model knows, and new ones beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import Rows
from ..inputs import as_matrix, as_rows, stacked

# Shifts and factors of splitmix64 (Steele, Lea & Flood, OOPSLA 2014): each bit then changes all.
MIXING = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)


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
    place = _places(known.X, known.likened(X))
    is_new = place < 0
    gained = _given_to(place[~is_new], Y[~is_new], own.shape[0])
    before = own != 0
    more = (gained != 0) > before  # labels that known rows had not
    Y_all = sp.vstack([own + gained.multiply(more), Y[is_new]], format="csr")
    Y_all.sort_indices()
    labels = np.union1d(more.tocsr().indices, Y[is_new].indices).astype(np.int32)
    return Joined(stacked(known.X, _taken(X, is_new)), Y_all, int(is_new.sum()), labels)


def _taken(rows: Rows, kept: np.ndarray) -> Rows:
    return as_rows(as_matrix(rows)[kept], normalize=False)


def _widened(Y: sp.csr_matrix, n_labels: int) -> sp.csr_matrix:
    return sp.csr_matrix((Y.data, Y.indices, Y.indptr), (Y.shape[0], n_labels))


def _places(known: Rows, asked: Rows) -> np.ndarray:
    """int64, the first known row that equals each one; -1 of those that are new, or empty."""
    digests, wanted = _digests(known), _digests(asked)
    order = np.argsort(digests, kind="stable")
    first = np.minimum(np.searchsorted(digests[order], wanted), len(order) - 1)
    place = order[first]
    equal = (digests[place] == wanted) & (np.diff(asked.indptr) > 0)
    for row in np.flatnonzero(equal).tolist():
        own, other = asked.part(row, row + 1), known.part(int(place[row]), int(place[row]) + 1)
        equal[row] = all(map(np.array_equal, own[:3], other[:3]))
    return np.where(equal, place, -1)


def _digests(rows: Rows) -> np.ndarray:
    """uint64, a number of each row that equal rows share, and others hardly ever."""
    mixed = rows.indices.astype(np.uint64) << np.uint64(32) | rows.data.view(np.uint32)
    for shift, factor in MIXING:
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed)])
    return sums[rows.indptr[1:]] - sums[rows.indptr[:-1]]


def _given_to(place: np.ndarray, Y: sp.csr_matrix, n_rows: int) -> sp.csr_matrix:
    """The labels of rows as those of the known rows that they equal."""
    ones = np.ones(len(place), np.float32)
    chosen = sp.csr_matrix((ones, (place, np.arange(len(place)))), (n_rows, len(place)))
    return sp.csr_matrix(chosen @ Y)
