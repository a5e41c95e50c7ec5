"""The rows that a model knows, and new ones beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import Rows
from ..inputs import as_matrix, as_rows, stacked


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
    first: dict[bytes, int] = {}
    wanted = set(_contents(asked))
    for row, content in enumerate(_contents(known)):
        if content in wanted:
            first.setdefault(content, row)
    return np.array([first.get(own, -1) if own else -1 for own in _contents(asked)], np.int64)


def _contents(rows: Rows) -> list[bytes]:
    """What each row holds; nothing of empty ones."""
    both = np.empty((len(rows.indices), 2), np.int32)
    both[:, 0], both[:, 1] = rows.indices, rows.data.view(np.int32)
    flat = both.tobytes()
    ends = (8 * rows.indptr).tolist()
    return [flat[start:end] for start, end in zip(ends, ends[1:], strict=False)]


def _given_to(place: np.ndarray, Y: sp.csr_matrix, n_rows: int) -> sp.csr_matrix:
    """The labels of rows as those of the known rows that they equal."""
    ones = np.ones(len(place), np.float32)
    chosen = sp.csr_matrix((ones, (place, np.arange(len(place)))), (n_rows, len(place)))
    return sp.csr_matrix(chosen @ Y)
