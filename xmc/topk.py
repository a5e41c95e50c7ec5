"""TopK, the form of every prediction: the best k labels of each row and their scores."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .errors import DataError, ParameterError
from .soundness import sound


class TopK(NamedTuple):
    """Predictions, best first; an empty place has label -1 and score -inf."""

    labels: np.ndarray  # (n_rows, k) int32
    scores: np.ndarray  # (n_rows, k) float32

    def to_csr(self, n_labels: int) -> sp.csr_matrix:
        """The scores as (n_rows, n_labels) CSR; its indices are not sorted, but best first.

        Raises DataError if a label is no column of it.
        """
        if self.labels.size and self.labels.max() >= n_labels:
            wrong = self.labels.max()
            raise DataError(f"TopK: expected labels from 0 to {n_labels - 1:,}, got {wrong:,}")
        filled = self.labels >= 0
        indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
        return sp.csr_matrix(
            (self.scores[filled], self.labels[filled], indptr), shape=(len(self.labels), n_labels)
        )

    def widened(self, k: int) -> TopK:
        """The same with k places, at least as many as there are: (n_rows, k)."""
        more = (0, 0), (0, k - self.labels.shape[1])
        labels = np.pad(self.labels, more, constant_values=-1)
        return TopK(labels, np.pad(self.scores, more, constant_values=-np.inf))

    @classmethod
    def from_csr(cls, P: sp.csr_matrix, k: int) -> TopK:
        """The best k entries of each row of P; entries of equal score keep their stored order.

        P: (n_rows, n_labels), scores. Raises DataError if P is damaged.
        """
        P = sp.csr_matrix(sound(P, "TopK", "P"))
        counts = np.diff(P.indptr)
        rows = np.repeat(np.arange(P.shape[0]), counts)
        order = np.lexsort(
            (np.negative(P.data, dtype=np.float64), rows)
        )  # unsigned numbers have no negative
        place = np.arange(P.nnz) - np.repeat(P.indptr[:-1], counts)
        kept = place < k
        top = cls(
            np.full((P.shape[0], k), -1, np.int32), np.full((P.shape[0], k), -np.inf, np.float32)
        )
        top.labels[rows[kept], place[kept]] = P.indices[order][kept]
        top.scores[rows[kept], place[kept]] = P.data[order][kept]
        return top


def joined_tops(parts: Iterable[TopK]) -> TopK:
    """The rows of all parts, one part after another."""
    return TopK(*map(np.concatenate, zip(*parts, strict=True)))


def check_k(who: str, k: Any, n_labels: int) -> int:
    """k, if k labels of n_labels can be asked for. Raises ParameterError otherwise."""
    if type(k) is int and 1 <= k <= n_labels:  # the usual case, which a query must not wait for
        return k
    is_int = isinstance(k, numbers.Integral) and not isinstance(k, bool)
    if not is_int or not 1 <= k <= n_labels:
        raise ParameterError(
            f"{who}: k must be an int from 1 to {n_labels:,}, the number of labels, got {k!r}"
        )
    return int(k)
