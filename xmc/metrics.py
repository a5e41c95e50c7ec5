"""How good predictions are: P@k, R@k, nDCG@k, PSP@k, PSnDCG@k, coverage@k, F1@k and ECE@k.

Every metric takes `(Y_true, predictions, k)` and returns a float in [0, 1]. `reliability` says more
about ECE@k, and `best_threshold` where to cut scores into sets.

`Y_true` is a sparse or dense matrix, rows x labels; what is not zero is a true label. `predictions`
is a TopK, taken in the order it stands, or a sparse matrix of scores: its stored entries, best
first, equal scores in stored order. It may know fewer labels than `Y_true`: true labels that it
doesn't know count as misses. An empty place counts as a miss.

Metrics raise DataError if rows or labels don't fit each other, or a matrix is damaged, and
ParameterError unless k is an int from 1 to the number of labels.

In the formulas, n is the number of rows, Y_i the true labels of row i and l_i1 ... l_ik its best k
predictions; hit_ij is 1 if l_ij is in Y_i, else 0, and score_ij is the score of l_ij.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple, TypeAlias, overload

import numpy as np

from .errors import DataError, ParameterError
from .judged import Judged, Predictions, checked_propensity, judge
from .kernels.metrics import best_place_gains, count_labels, place_gains, row_gains
from .propensity import SparsePropensities, propensities, sparse_propensities
from .scoring import Scorer
from .soundness import Matrix
from .threshold import AVERAGES, best_threshold, best_threshold_of

__all__ = [
    "Reliability",
    "best_threshold",
    "best_threshold_of",
    "coverage_at_k",
    "ece_at_k",
    "f1_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "propensities",
    "psndcg_at_k",
    "psp_at_k",
    "recall_at_k",
    "reliability",
    "report",
    "scorer",
    "sparse_propensities",
]

N_BINS = 15  # of ECE, as in Guo et al., ICML 2017
Propensity: TypeAlias = np.ndarray | SparsePropensities


class Reliability(NamedTuple):
    """Scores in bins of equal width on [0, 1], and how often they came true.

    A bin holds its upper edge and not its lower one, but the first holds 0.
    """

    counts: np.ndarray  # (n_bins,) int64, predictions
    mean_scores: np.ndarray  # (n_bins,) float64, NaN where there are none
    true_shares: np.ndarray  # (n_bins,) float64, the share that hit; NaN where there are none


def precision_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """P@k, the share of the k places that hit: sum_ij hit_ij / (n k).

    A row without true labels counts 0. A row with fewer than k predictions is divided by k too.
    """
    return _precision(judge("precision_at_k", Y_true, predictions, (k,)), k)


def recall_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """R@k, the mean share of a row's true labels that hit: mean_i sum_j hit_ij / |Y_i|.

    Rows without true labels are left out; if there are no others, it is 0.
    """
    return _recall(judge("recall_at_k", Y_true, predictions, (k,)), k)


def ndcg_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """nDCG@k: 1/n sum_i [sum_j hit_ij / log2(j + 1)] / [sum_{j <= min(k, |Y_i|)} 1 / log2(j + 1)].

    Rows without true labels count 0. Järvelin and Kekäläinen, ACM TOIS 2002, for labels that are
    true or not.
    """
    return _ndcg(judge("ndcg_at_k", Y_true, predictions, (k,)), k)


def psp_at_k(Y_true: Matrix, predictions: Predictions, k: int, *, propensity: Propensity) -> float:
    """PSP@k, propensity-scored precision: sum_ij hit_ij / p(l_ij) over the largest such sum.

    It is a ratio of two sums over all rows, not a mean of ratios. Predictions reach the largest sum
    if they are each row's k true labels of smallest p. `propensity` holds p of every column of
    `Y_true`, (n_labels,), see `propensities`. Jain et al., KDD 2016.
    """
    judged = judge("psp_at_k", Y_true, predictions, (k,))
    p = checked_propensity("psp_at_k", propensity, judged)
    return _psp(_gains(judged, p), k)


def psndcg_at_k(
    Y_true: Matrix, predictions: Predictions, k: int, *, propensity: Propensity
) -> float:
    """PSnDCG@k: sum_ij hit_ij / (p(l_ij) log2(j + 1)) over the largest such sum.

    This is PSDCG@k of Jain et al. (KDD 2016) as a share of its maximum: a ratio of two sums over
    all rows, as in `psp_at_k`. Predictions reach the maximum if they are each row's k true labels
    of smallest p, the smallest first. The paper divides PSDCG@k by sum_{j <= k} 1 / log2(j + 1),
    which is the same for all rows and cancels here. pyxclib divides each row by its own ideal DCG
    over min(k, |Y_i|) places before it sums, so its numbers differ.
    """
    judged = judge("psndcg_at_k", Y_true, predictions, (k,))
    p = checked_propensity("psndcg_at_k", propensity, judged)
    return _psndcg(_gains(judged, p), k)


def coverage_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """coverage@k, the share of the labels with a true row that hit in at least one row.

    It is 0 if no row has true labels.
    """
    return _coverage(judge("coverage_at_k", Y_true, predictions, (k,)), k)


def f1_at_k(Y_true: Matrix, predictions: Predictions, k: int, *, average: str = "macro") -> float:
    """F1@k of the sets that each row's best k predictions are.

    Rows without true labels are left out. Of the others, t_l rows have label l, s_l rows name it
    in their k places, and h_l rows do both.
    macro: the mean of 2 h_l / (t_l + s_l) over the labels with t_l + s_l > 0.
    micro: 2 sum h_l / (sum t_l + sum s_l).
    samples: the mean over rows of 2 sum_j hit_ij / (|Y_i| + s_i), s_i of the k places not empty.
    All are 0 if no row has true labels. Raises ParameterError at another average.
    """
    if average not in AVERAGES:
        raise ParameterError(
            f"f1_at_k: average must be 'macro', 'micro' or 'samples', got {average!r}"
        )
    judged = judge("f1_at_k", Y_true, predictions, (k,))
    return _mean_known(_row_f1(judged, k)) if average == "samples" else _f1(judged, k)[average]


def ece_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """ECE@k, the expected calibration error of scores that claim to be probabilities.

    The m scores in the k places of all rows are put into 15 bins, see `Reliability`; empty places
    don't count. It is sum_b (m_b / m) |mean of score_ij - mean of hit_ij, both over bin b|, and 0
    if nothing is predicted. Raises DataError unless these scores are from 0 to 1. Naeini et al.,
    AAAI 2015.
    """
    judged = judge("ece_at_k", Y_true, predictions, (k,))
    _check_probabilities("ece_at_k", judged)
    return _ece(judged, k)


def reliability(
    Y_true: Matrix, predictions: Predictions, k: int, n_bins: int = N_BINS
) -> Reliability:
    """What ECE@k sums up, bin by bin: how many scores, their mean, and the share that hit.

    Raises DataError unless the scores in the k places are from 0 to 1, ParameterError unless n_bins
    is an int >= 1.
    """
    if type(n_bins) is not int or n_bins < 1:
        raise ParameterError(f"reliability: n_bins must be an int >= 1, got {n_bins!r}")
    judged = judge("reliability", Y_true, predictions, (k,))
    _check_probabilities("reliability", judged)
    return _reliability(judged, k, n_bins)


SCORED: dict[str, Callable[..., float]] = {
    "P": precision_at_k,
    "nDCG": ndcg_at_k,
    "R": recall_at_k,
    "PSP": psp_at_k,
    "PSnDCG": psndcg_at_k,
    "F1": partial(f1_at_k, average="samples"),
    "macro-F1": partial(f1_at_k, average="macro"),
    "micro-F1": partial(f1_at_k, average="micro"),
    "coverage": coverage_at_k,
    "ECE": ece_at_k,
}


def scorer(name: str) -> Scorer:
    """A metric for GridSearchCV and cross_val_score: `scoring=scorer("P@5")`.

    name: of a metric with its k, as `xmc evaluate` writes it: P, nDCG, R, PSP, PSnDCG, F1,
    macro-F1, micro-F1, coverage or ECE, which counts negative, as less of it is better.
    Propensities are those of the rows that the estimator was trained on. Every row counts once,
    also where fits are given a `sample_weight`, which says what errors cost in training. Raises
    ParameterError at another name.
    """
    of, _, k = name.partition("@")
    if of not in SCORED or not k.isdecimal() or int(k) < 1:
        among = ", ".join(SCORED)
        raise ParameterError(f"scorer: expected one of {among} with a k, as in 'P@5', got {name!r}")
    return Scorer(name, SCORED[of], int(k), -1 if of == "ECE" else 1, of in ("PSP", "PSnDCG"))


@overload
def report(
    Y_true: Matrix,
    predictions: Predictions,
    ks: Sequence[int] = ...,
    propensity: Propensity | None = ...,
    *,
    per_row: Literal[False] = ...,
) -> dict[str, float | int]: ...
@overload
def report(
    Y_true: Matrix,
    predictions: Predictions,
    ks: Sequence[int] = ...,
    propensity: Propensity | None = ...,
    *,
    per_row: Literal[True],
) -> dict[str, np.ndarray]: ...
def report(
    Y_true: Matrix,
    predictions: Predictions,
    ks: Sequence[int] = (1, 3, 5),
    propensity: Propensity | None = None,
    *,
    per_row: bool = False,
) -> dict[str, float | int] | dict[str, np.ndarray]:
    """Every metric at every k in percent, but ECE from 0 to 1, and counts of rows and labels.

    Keys go by metric, then by k, as `P@1`: P, nDCG, R, PSP and PSnDCG (only with `propensity`), F1
    (the mean over rows), coverage, macro-F1, micro-F1, ECE (only if the scores are from 0 to 1).
    Then come `n_rows` and the other counts.

    With per_row=True the values are arrays instead, (n_rows,) float64, from which the figures above
    follow:

    P@k, nDCG@k     of the row in percent; the figure is their mean
    R@k, F1@k       of the row in percent, NaN if it has no true labels; the figure is the mean of
                    the others, or 0 if there are none
    PSP-gain@k      sum_j hit_ij / p(l_ij)
    PSP-ideal@k     the largest gain that any predictions could have; the figure is
                    100 sum(gain) / sum(ideal), or 0 if all ideals are 0
    PSnDCG-gain@k   sum_j hit_ij / (p(l_ij) log2(j + 1))
    PSnDCG-ideal@k  as PSP-ideal@k

    Coverage, macro-F1, micro-F1 and ECE count labels or scores, not rows, and have no such arrays.
    Raises ParameterError if `ks` is empty.
    """
    if not np.iterable(ks) or not len(ks):
        raise ParameterError(f"report: ks must be a sequence of ints, got {ks!r}")
    judged = judge("report", Y_true, predictions, ks)
    p = None if propensity is None else checked_propensity("report", propensity, judged)
    if per_row:
        return _row_shares(judged, ks) | ({} if p is None else _row_gains(judged, p, ks))
    means = {"P": _precision, "nDCG": _ndcg, "R": _recall}
    found = {f"{name}@{k}": mean(judged, k) for name, mean in means.items() for k in ks}
    if p is not None:
        gains, ratios = _gains(judged, p), {"PSP": _psp, "PSnDCG": _psndcg}
        found |= {f"{name}@{k}": ratio(gains, k) for name, ratio in ratios.items() for k in ks}
    f1 = {k: _f1(judged, k) for k in ks}
    found |= {f"F1@{k}": _mean_known(_row_f1(judged, k)) for k in ks}
    found |= {f"coverage@{k}": _coverage(judged, k) for k in ks}
    found |= {f"{average}-F1@{k}": f1[k][average] for average in ("macro", "micro") for k in ks}
    found = {name: 100 * value for name, value in found.items()}
    if not _no_probabilities(judged).any():
        found |= {f"ECE@{k}": _ece(judged, k) for k in ks}
    return found | _counts(judged)


def _row_shares(judged: Judged, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """The metrics that are means over rows, in percent."""
    shares = {"P": _row_precision, "nDCG": _row_ndcg, "R": _row_recall, "F1": _row_f1}
    return {f"{name}@{k}": 100 * share(judged, k) for name, share in shares.items() for k in ks}


def _row_gains(judged: Judged, p: np.ndarray, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """What each row adds to the two sums whose ratio is PSP or PSnDCG."""
    k = judged.labels.shape[1]
    gains = {"gain": _gain_of_places(judged, p), "ideal": _ideal_of_places(judged, p)}
    metrics = {"PSP": np.ones(k), "PSnDCG": _discounts(k)}
    return {
        f"{metric}-{name}@{k}": gain[:, :k] @ discounts[:k]
        for metric, discounts in metrics.items()
        for name, gain in gains.items()
        for k in ks
    }


def _gain_of_places(judged: Judged, p: np.ndarray) -> np.ndarray:
    """(n_rows, k) float64, 1 / p of the labels that hit, 0 in other places."""
    return np.where(judged.hits, 1 / p[judged.labels], 0.0)


def _ideal_of_places(judged: Judged, p: np.ndarray) -> np.ndarray:
    """(n_rows, k) float64, 1 / p of each row's true labels, the largest first, then 0."""
    ideal = np.zeros_like(judged.hits, np.float64)
    rows = np.repeat(np.arange(len(ideal)), judged.n_true)
    gains = 1 / p[judged.true.indices]
    best_first = gains[np.lexsort((-gains, rows))]
    place = np.arange(len(rows)) - np.repeat(judged.true.indptr[:-1], judged.n_true)
    kept = place < ideal.shape[1]
    ideal[rows[kept], place[kept]] = best_first[kept]
    return ideal


class _Gains(NamedTuple):
    """Sums over rows of 1 / p."""

    reached: np.ndarray  # (k,) float64, of the labels that hit in each place
    best: np.ndarray  # (k,) float64, the most that any predictions could reach


def _precision(judged: Judged, k: int) -> float:
    return float(judged.hits[:, :k].mean())


def _recall(judged: Judged, k: int) -> float:
    return _mean_known(_row_recall(judged, k))


def _ndcg(judged: Judged, k: int) -> float:
    return float(_row_ndcg(judged, k).mean())


def _row_precision(judged: Judged, k: int) -> np.ndarray:
    return judged.hits[:, :k].mean(axis=1)


def _row_recall(judged: Judged, k: int) -> np.ndarray:
    """NaN in rows without true labels."""
    n_hits, n_true = row_gains(judged.hits, np.ones(k)), judged.n_true
    return np.divide(n_hits, n_true, out=np.full(len(n_true), np.nan), where=n_true > 0)


def _row_f1(judged: Judged, k: int) -> np.ndarray:
    """NaN in rows without true labels."""
    n_hits, n_true = row_gains(judged.hits, np.ones(k)), judged.n_true
    either = n_true + np.count_nonzero(judged.labels[:, :k] >= 0, axis=1)
    return np.divide(2 * n_hits, either, out=np.full(len(n_true), np.nan), where=n_true > 0)


def _mean_known(values: np.ndarray) -> float:
    """The mean of what isn't NaN, or 0."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _row_ndcg(judged: Judged, k: int) -> np.ndarray:
    best = np.concatenate([[0.0], np.cumsum(_discounts(k))])[np.minimum(judged.n_true, k)]
    gains = row_gains(judged.hits, _discounts(k))
    return np.divide(gains, best, out=np.zeros_like(best), where=best > 0)


def _psp(gains: _Gains, k: int) -> float:
    return _share(gains.reached[:k].sum(), gains.best[:k].sum())


def _psndcg(gains: _Gains, k: int) -> float:
    return _share(gains.reached[:k] @ _discounts(k), gains.best[:k] @ _discounts(k))


def _coverage(judged: Judged, k: int) -> float:
    _, hit = _named_and_hit(judged, k)
    n_hit, n_true = np.count_nonzero(hit), np.count_nonzero(judged.n_rows_by_label)
    return _share(float(n_hit), float(n_true))


def _f1(judged: Judged, k: int) -> dict[str, float]:
    named, hit = _named_and_hit(judged, k)
    total = judged.n_rows_by_label + named
    seen = total > 0
    macro = float(np.mean(2 * hit[seen] / total[seen])) if seen.any() else 0.0
    return {"macro": macro, "micro": _share(float(2 * hit.sum()), float(total.sum()))}


def _ece(judged: Judged, k: int) -> float:
    bins = _reliability(judged, k, N_BINS)
    filled = bins.counts > 0
    gaps = np.abs(bins.mean_scores - bins.true_shares)[filled]
    return _share(float(gaps @ bins.counts[filled]), float(bins.counts.sum()))


def _reliability(judged: Judged, k: int, n_bins: int) -> Reliability:
    filled = judged.labels[:, :k] >= 0
    scores = judged.scores[:, :k][filled].astype(np.float64)
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.searchsorted(edges[1:-1], scores)  # its left side: an edge goes to the lower bin
    counts = np.bincount(bins, minlength=n_bins)
    means = [
        np.divide(sums, counts, out=np.full(n_bins, np.nan), where=counts > 0)
        for sums in (
            np.bincount(bins, values, n_bins) for values in (scores, judged.hits[:, :k][filled])
        )
    ]
    return Reliability(counts, *means)


def _check_probabilities(who: str, judged: Judged) -> None:
    wrong = _no_probabilities(judged)
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        got = f"{judged.scores[row, place]!s} in row {row}"
        raise DataError(f"{who}: scores of predictions must be from 0 to 1, got {got}")


def _no_probabilities(judged: Judged) -> np.ndarray:
    """(n_rows, k) bool, where a prediction's score is below 0 or above 1."""
    return (judged.labels >= 0) & ((judged.scores < 0) | (judged.scores > 1))


def _named_and_hit(judged: Judged, k: int) -> tuple[np.ndarray, np.ndarray]:
    return count_labels(
        judged.true.indptr, judged.labels, judged.hits, int(k), judged.true.n_numbers
    )


def _counts(judged: Judged) -> dict[str, int]:
    return {
        "n_rows": len(judged.labels),
        "n_rows_without_labels": int(np.count_nonzero(judged.n_true == 0)),
        "n_rows_without_predictions": int(np.count_nonzero((judged.labels < 0).all(axis=1))),
        "n_labels": judged.true.n_labels,
        "n_labels_with_rows": int(np.count_nonzero(judged.n_rows_by_label)),
    }


def _discounts(k: int) -> np.ndarray:
    return 1 / np.log2(np.arange(2, k + 2))


def _share(part: float, whole: float) -> float:
    """Rounding may lift a sum in another order above the whole."""
    return min(1.0, float(part / whole)) if whole > 0 else 0.0


def _gains(judged: Judged, p: np.ndarray) -> _Gains:
    best = best_place_gains(judged.true.indptr, judged.true.indices, 1 / p, judged.labels.shape[1])
    return _Gains(place_gains(judged.labels, judged.hits, 1 / p), best)
