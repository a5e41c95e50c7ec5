"""The sums that metrics follow from, block of rows by block of rows.

They don't depend on how rows are cut into blocks, to the last bit: counts are whole numbers, gains
and bins are summed up row by row, and means are sums that are rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .judged import Judged
from .kernels.metrics import (
    add_best_place_gains,
    add_place_gains,
    count_labels,
    row_gains,
)

N_BINS = 15  # of ECE, as in Guo et al., ICML 2017


class Reliability(NamedTuple):
    """Scores in bins of equal width on [0, 1], and how often they came true.

    A bin holds its upper edge and not its lower one, but the first holds 0.
    """

    counts: np.ndarray  # (n_bins,) int64, predictions
    mean_scores: np.ndarray  # (n_bins,) float64, NaN where there are none
    true_shares: np.ndarray  # (n_bins,) float64, the share that hit; NaN where there are none


class ExactMean:
    """The mean of numbers, whose sum is rounded once; NaN is left out."""

    def __init__(self) -> None:
        self.n = 0
        self._parts: list[float] = []  # their sum is that of the numbers, exactly

    def add(self, values: np.ndarray) -> None:
        """Take in some more."""
        known = values[~np.isnan(values)]
        self.n += len(known)
        left, self._parts = [*self._parts, *known.tolist()], []
        while part := math.fsum(left):
            self._parts.append(part)
            left.append(-part)

    @property
    def value(self) -> float:
        """The mean; 0 of nothing."""
        return math.fsum(self._parts) / self.n if self.n else 0.0


class _Bins:
    """The scores of the first k places of rows in bins, and how many of them hit."""

    def __init__(self, n_bins: int):
        self.counts = np.zeros(n_bins, np.int64)
        self.scores, self.hits = np.zeros((2, n_bins))

    def add(self, judged: Judged, k: int) -> None:
        filled = judged.labels[:, :k] >= 0
        scores = judged.scores[:, :k][filled].astype(np.float64)
        n_bins = len(self.counts)
        edges = np.linspace(0, 1, n_bins + 1)
        bins = np.searchsorted(edges[1:-1], scores)  # its left side: an edge goes to the lower bin
        self.counts += np.bincount(bins, minlength=n_bins)
        self.hits += np.bincount(bins, judged.hits[:, :k][filled], n_bins)
        # What is there comes first, so that the order of the sum is that of the rows.
        places = np.append(np.arange(n_bins), bins)
        self.scores[:] = np.bincount(places, np.append(self.scores, scores), n_bins)

    def reliability(self) -> Reliability:
        filled, shape = self.counts > 0, len(self.counts)
        means = [
            np.divide(sums, self.counts, out=np.full(shape, np.nan), where=filled)
            for sums in (self.scores, self.hits)
        ]
        return Reliability(self.counts, *means)


class Tally:
    """What is counted for the metrics at each of `ks`.

    by_propensity: whether there are propensities, for PSP and PSnDCG.
    """

    def __init__(self, ks: Sequence[int], by_propensity: bool = False, n_bins: int = N_BINS):
        self.ks, self.by_propensity = list(dict.fromkeys(map(int, ks))), by_propensity
        self.n_rows = self.n_without_labels = self.n_without_predictions = 0
        self.most = 0  # the most predictions that a row has among the first max(ks)
        self.probabilities = True  # whether all scores are from 0 to 1
        self._n_hits = dict.fromkeys(self.ks, 0)
        self._means = {k: [ExactMean() for _ in range(3)] for k in self.ks}
        self._gains, self._best = np.zeros((2, max(self.ks)))
        self._bins = {k: _Bins(n_bins) for k in self.ks}
        # Of each label: the rows that have it, and for each k those that name it and that hit.
        self._by_label = np.zeros((1 + 2 * len(self.ks), 0), np.int64)

    def add(
        self, judged: Judged, p: np.ndarray | None = None, numbers: np.ndarray | None = None
    ) -> None:
        """Count a block.

        p: the propensity of each of its labels. numbers: those that its labels have in all blocks;
        columns behind hold nothing. Without them, labels keep their own.
        """
        filled = judged.labels >= 0
        self.n_rows += len(filled)
        self.n_without_labels += int(np.count_nonzero(judged.n_true == 0))
        self.n_without_predictions += int(np.count_nonzero(~filled.any(axis=1)))
        self.most = max(self.most, int(np.count_nonzero(filled, axis=1).max(initial=0)))
        self.probabilities &= not no_probabilities(judged).any()
        if p is not None:
            true = judged.true
            add_place_gains(judged.labels, judged.hits, 1 / p, self._gains)
            add_best_place_gains(true.indptr, true.indices, 1 / p, self._best)
        for k in self.ks:
            self._n_hits[k] += int(np.count_nonzero(judged.hits[:, :k]))
            for mean, of_rows in zip(self._means[k], (row_ndcg, row_recall, row_f1), strict=True):
                mean.add(of_rows(judged, k))
            self._bins[k].add(judged, k)
        self._count_labels(judged, numbers)

    def _count_labels(self, judged: Judged, numbers: np.ndarray | None) -> None:
        true = judged.true
        numbers = np.arange(true.n_numbers) if numbers is None else numbers
        missing = int(numbers.max(initial=-1)) + 1 - self._by_label.shape[1]
        if missing > 0:
            more = max(missing, self._by_label.shape[1])  # twice as many, not a few every time
            self._by_label = np.pad(self._by_label, ((0, 0), (0, more)))
        self._by_label[0, numbers] += judged.n_rows_by_label[: len(numbers)]
        for n, k in enumerate(self.ks):
            counts = count_labels(true.indptr, judged.labels, judged.hits, k, true.n_numbers)
            for row, own in zip((1 + 2 * n, 2 + 2 * n), counts, strict=True):
                self._by_label[row, numbers] += own[: len(numbers)]

    def precision(self, k: int) -> float:
        return float(np.float64(self._n_hits[k]) / (self.n_rows * k))

    def ndcg(self, k: int) -> float:
        return self._means[k][0].value

    def recall(self, k: int) -> float:
        return self._means[k][1].value

    def samples_f1(self, k: int) -> float:
        return self._means[k][2].value

    def psp(self, k: int) -> float:
        return share(self._gains[:k].sum(), self._best[:k].sum())

    def psndcg(self, k: int) -> float:
        return share(self._gains[:k] @ discounts(k), self._best[:k] @ discounts(k))

    def coverage(self, k: int) -> float:
        true, _, hit = self._of_labels(k)
        return share(float(np.count_nonzero(hit)), float(np.count_nonzero(true)))

    def macro_f1(self, k: int) -> float:
        true, named, hit = self._of_labels(k)
        total, mean = true + named, ExactMean()
        mean.add(2 * hit[total > 0] / total[total > 0])
        return mean.value

    def macro_recall(self, k: int) -> float:
        true, _, hit = self._of_labels(k)
        mean = ExactMean()
        mean.add(hit[true > 0] / true[true > 0])
        return mean.value

    def micro_f1(self, k: int) -> float:
        true, named, hit = self._of_labels(k)
        return share(float(2 * hit.sum()), float((true + named).sum()))

    def ece(self, k: int) -> float:
        bins = self.reliability(k)
        filled = bins.counts > 0
        gaps = np.abs(bins.mean_scores - bins.true_shares)[filled]
        return share(float(gaps @ bins.counts[filled]), float(bins.counts.sum()))

    def reliability(self, k: int) -> Reliability:
        return self._bins[k].reliability()

    def _of_labels(self, k: int) -> np.ndarray:
        """The rows that have each label, that name it, and that hit: (3, n_labels) int64."""
        n = self.ks.index(k)
        return self._by_label[[0, 1 + 2 * n, 2 + 2 * n]]

    def figures(self, ks: Sequence[int], n_labels: int) -> dict[str, float | int]:
        """What `xmc.metrics.report` gives, for some of the ks; n_labels: how many there are."""
        means = {"P": self.precision, "nDCG": self.ndcg, "R": self.recall}
        ratios = {"PSP": self.psp, "PSnDCG": self.psndcg} if self.by_propensity else {}
        others = {
            "F1": self.samples_f1,
            "coverage": self.coverage,
            "macro-F1": self.macro_f1,
            "micro-F1": self.micro_f1,
        }
        metrics = (means | ratios | others).items()
        found: dict[str, float | int] = {
            f"{name}@{k}": 100 * metric(k) for name, metric in metrics for k in ks
        }
        if self.probabilities:
            found |= {f"ECE@{k}": self.ece(k) for k in ks}
        return found | {
            "n_rows": self.n_rows,
            "n_rows_without_labels": self.n_without_labels,
            "n_rows_without_predictions": self.n_without_predictions,
            "n_labels": n_labels,
            "n_labels_with_rows": int(np.count_nonzero(self._by_label[0])),
        }


def row_precision(judged: Judged, k: int) -> np.ndarray:
    return judged.hits[:, :k].mean(axis=1)


def row_recall(judged: Judged, k: int) -> np.ndarray:
    """NaN in rows without true labels."""
    n_hits, n_true = row_gains(judged.hits, np.ones(k)), judged.n_true
    return np.divide(n_hits, n_true, out=np.full(len(n_true), np.nan), where=n_true > 0)


def row_f1(judged: Judged, k: int) -> np.ndarray:
    """NaN in rows without true labels."""
    n_hits, n_true = row_gains(judged.hits, np.ones(k)), judged.n_true
    either = n_true + np.count_nonzero(judged.labels[:, :k] >= 0, axis=1)
    return np.divide(2 * n_hits, either, out=np.full(len(n_true), np.nan), where=n_true > 0)


def row_ndcg(judged: Judged, k: int) -> np.ndarray:
    best = np.concatenate([[0.0], np.cumsum(discounts(k))])[np.minimum(judged.n_true, k)]
    gains = row_gains(judged.hits, discounts(k))
    return np.divide(gains, best, out=np.zeros_like(best), where=best > 0)


def no_probabilities(judged: Judged) -> np.ndarray:
    """(n_rows, k) bool, where a prediction's score is below 0 or above 1."""
    return (judged.labels >= 0) & ((judged.scores < 0) | (judged.scores > 1))


def discounts(k: int) -> np.ndarray:
    """(k,) float64, what a hit in each place counts in nDCG."""
    return 1 / np.log2(np.arange(2, k + 2))


def share(part: float, whole: float) -> float:
    """Rounding may lift a sum in another order above the whole."""
    return min(1.0, float(part / whole)) if whole > 0 else 0.0
