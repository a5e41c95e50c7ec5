"""Factors, the predictor of low rank: a row and a label are a few numbers each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Rows, frozen, within
from ..kernels.factors import in_order, margins, offer_margins, times
from ..label_tree import one_vs_all
from ..member import Member
from ..topk import TopK
from .paths import Node, Path, Paths
from .predictor import ROWS_PER_BATCH, Predictor
from .search import MOST_CANDIDATES, Candidates, Search, best_of, room_for_best, scored

LABELS_PER_BLOCK = 256
LEAST = 1e-20  # a score of 0 still has a logarithm


@dataclass(frozen=True, eq=False)
class Factors(Predictor):
    """The margin of a label is the product of its factors and the row's, z = (x P) . q.

    With labels of 0 and 1 a regression gives the mean of those to be expected, and so the score is
    the margin, where it isn't below 0 or above 1.
    """

    feature_factors: np.ndarray  # float32, (n_features + 1, rank), P; the last are of the bias
    label_factors: np.ndarray  # float32, (labels with rows, rank), q of each, the longest first
    length: np.ndarray  # float32, of each label's factors, not rounded down
    labels: np.ndarray  # int32, whose factors they are

    @property
    def members(self) -> tuple[Member, ...]:
        """A tree of height one without scorers, for explanations: its leaves are the labels."""
        return (Member(one_vs_all(self.labels), ()),)

    @property
    def n_weights(self) -> int:
        return self.feature_factors.size + self.label_factors.size

    def candidates(self, X: Rows, search: Search) -> Candidates:
        rows, n_labels = self._rows(X, search), len(self.labels)
        everything = np.arange(X.n_rows)
        margin = np.empty((X.n_rows, n_labels), np.float32)
        for start in range(0, n_labels, LABELS_PER_BLOCK):
            block = slice(start, start + LABELS_PER_BLOCK)
            margin[:, block] = self._margins(rows, everything, block)
        indptr = np.arange(X.n_rows + 1) * n_labels
        ids, flat = np.tile(self.labels, X.n_rows), margin.ravel()
        return Candidates(indptr, ids, np.clip(flat, 0, 1), flat)

    def rank(self, X: Rows, search: Search, k: int) -> TopK:
        if len(search.boost):
            return best_of(X, self.candidates(X, search), search, k)
        top = self._best(self._rows(X, search), k)
        return top if search.calibration is None else search.calibration.of_best(top)

    def _rows(self, X: Rows, search: Search) -> np.ndarray:
        """The factors of each row, x P."""
        extended = with_constant(X, np.full(X.n_rows, search.bias, np.float32))
        out = np.empty((X.n_rows, self.feature_factors.shape[1]), np.float32)
        times(*extended[:3], self.feature_factors, out)
        return out

    def _margins(self, rows: np.ndarray, chosen: np.ndarray, block: slice) -> np.ndarray:
        """The margins of some rows and a block of labels."""
        labels = self.label_factors[block]
        out = np.empty((len(chosen), len(labels)), np.float32)
        margins(rows, chosen, labels, out)
        return out

    def _best(self, rows: np.ndarray, k: int) -> TopK:
        """The best k labels, exactly, without looking at all of them.

        No label has a larger margin than its length times the row's. Labels come in order of
        length: once this falls below the worst of k margins, a row needs no more of them.
        """
        kept = room_for_best(len(rows), k)
        kept.size[:] = 0
        most = np.linalg.norm(rows, axis=1) * _slack(rows.shape[1])
        chosen = np.arange(len(rows))
        for start in range(0, len(self.labels), LABELS_PER_BLOCK):
            full = kept.size[chosen] == k
            enough = full & (most[chosen] * self.length[start] < kept.margin[chosen, 0])
            chosen = chosen[~enough]
            if not len(chosen):
                break
            block = slice(start, start + LABELS_PER_BLOCK)
            offer_margins(self._margins(rows, chosen, block), chosen, self.labels[block], *kept)
        in_order(*kept)
        return TopK(kept.ids, kept.score)

    def threshold(self, search: Search) -> np.float32:
        """From here on a label is rather true than not."""
        return np.float32(0.5)

    def rows_per_batch(self, search: Search, all_candidates: bool) -> int:
        if not all_candidates and not len(search.boost):
            return ROWS_PER_BATCH
        return max(1, min(ROWS_PER_BATCH, MOST_CANDIDATES // len(self.labels)))

    def reasons(self, asked: Rows, search: Search, label: int) -> Paths:
        """As of one-vs-all: a feature's weight is the product of its factors and the label's."""
        found = self.candidates(asked, search)
        own = np.flatnonzero(found.ids == label)
        one = Candidates(np.array([0, len(own)]), *(column[own] for column in found[1:]))
        numbers = [float(part.score.sum()) for part in (one, scored(asked, one, search))]
        place = np.flatnonzero(self.labels == label)
        path = Path((self._node(asked, search, int(place[0])),)) if len(place) else None
        return Paths((path,), *numbers)

    def _node(self, X: Rows, search: Search, place: int) -> Node:
        factors = self.label_factors[place].astype(np.float64)
        weights = (self.feature_factors[X.indices] @ factors).astype(np.float32)
        bias = search.bias * float(self.feature_factors[-1] @ factors)
        margin = float(X.data.astype(np.float64) @ weights) + bias
        log_p = float(np.log(np.clip(margin, LEAST, 1)))
        return Node(place, X.indices, X.data, weights, bias, margin, log_p, True)

    def renumbered(self, place: np.ndarray) -> Factors:
        return replace(self, labels=frozen(place[self.labels]))

    def without(self, labels: np.ndarray) -> Factors:
        """The same, which finds these labels no longer."""
        kept = ~np.isin(self.labels, labels)
        left = (frozen(array[kept]) for array in (self.label_factors, self.length, self.labels))
        return Factors(self.feature_factors, *left)

    def check(self, n_features: int, n_labels: int) -> None:
        rank, n_own = self.feature_factors.shape[1], len(self.labels)
        shapes = [(self.feature_factors, (n_features + 1, rank)), (self.length, (n_own,))]
        shapes.append((self.label_factors, (n_own, rank)))
        if any(array.shape != shape for array, shape in shapes):
            raise ValueError("factors: expected arrays that fit each other, they don't")
        if not within(self.labels, n_labels) or len(np.unique(self.labels)) != n_own:
            raise ValueError(f"labels: expected different ones below {n_labels}")
        if not np.isfinite(self.length).all() or (np.diff(self.length) > 0).any():
            raise ValueError("length: expected numbers that descend")

    def n_labels_found(self, label_counts: np.ndarray) -> int:
        return len(self.labels)


def with_constant(X: Rows, values: np.ndarray) -> Rows:
    """The rows with one more feature, of these values."""
    ends, n_rows = X.indptr[1:], X.n_rows
    return Rows(
        frozen(X.indptr + np.arange(n_rows + 1)),
        frozen(np.insert(X.indices, ends, np.int32(X.n_features))),
        frozen(np.insert(X.data, ends, values.astype(X.data.dtype))),
        X.n_features + 1,
    )


def factors_of(
    feature_factors: np.ndarray, label_factors: np.ndarray, labels: np.ndarray
) -> Factors:
    """The predictor of these factors, labels in any order."""
    label_factors = label_factors.astype(np.float32)
    exact = np.sqrt(np.einsum("ij,ij->i", label_factors, label_factors, dtype=np.float64))
    length = np.nextafter(exact.astype(np.float32), np.float32(np.inf))
    order = np.lexsort((labels, -length))
    return Factors(
        frozen(np.ascontiguousarray(feature_factors, np.float32)),
        frozen(np.ascontiguousarray(label_factors[order])),
        frozen(length[order]),
        frozen(labels[order].astype(np.int32)),
    )


def _slack(rank: int) -> np.float32:
    """What rounding may add to a sum of so many products, and to lengths."""
    return np.float32(1 + (rank + 8) * np.finfo(np.float32).eps)
