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
from typing import Literal, TypeAlias, overload

import numpy as np

from .errors import DataError, ParameterError
from .judged import Judged, Predictions, checked_propensity, judge
from .propensity import SparsePropensities, propensities, sparse_propensities
from .scoring import Scorer
from .soundness import Matrix
from .tally import (
    N_BINS,
    Reliability,
    Tally,
    discounts,
    no_probabilities,
    row_f1,
    row_ndcg,
    row_precision,
    row_recall,
)
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

Propensity: TypeAlias = np.ndarray | SparsePropensities


def precision_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """P@k, the share of the k places that hit: sum_ij hit_ij / (n k).

    A row without true labels counts 0. A row with fewer than k predictions is divided by k too.
    """
    return _tally(judge("precision_at_k", Y_true, predictions, (k,)), k).precision(k)


def recall_at_k(
    Y_true: Matrix, predictions: Predictions, k: int, *, average: str = "samples"
) -> float:
    """R@k, how many of the true labels hit.

    samples: the mean share of a row's true labels, mean_i sum_j hit_ij / |Y_i|. Rows without true
    labels are left out.
    macro: the mean share of a label's true rows, over the labels that have one.
    Both are 0 if no row has true labels. Raises ParameterError at another average.
    """
    if average not in ("samples", "macro"):
        raise ParameterError(f"recall_at_k: average must be 'samples' or 'macro', got {average!r}")
    tally = _tally(judge("recall_at_k", Y_true, predictions, (k,)), k)
    return tally.recall(k) if average == "samples" else tally.macro_recall(k)


def ndcg_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """nDCG@k: 1/n sum_i [sum_j hit_ij / log2(j + 1)] / [sum_{j <= min(k, |Y_i|)} 1 / log2(j + 1)].

    Rows without true labels count 0. Järvelin and Kekäläinen, ACM TOIS 2002, for labels that are
    true or not.
    """
    return _tally(judge("ndcg_at_k", Y_true, predictions, (k,)), k).ndcg(k)


def psp_at_k(Y_true: Matrix, predictions: Predictions, k: int, *, propensity: Propensity) -> float:
    """PSP@k, propensity-scored precision: sum_ij hit_ij / p(l_ij) over the largest such sum.

    It is a ratio of two sums over all rows, not a mean of ratios. Predictions reach the largest sum
    if they are each row's k true labels of smallest p. `propensity` holds p of every column of
    `Y_true`, (n_labels,), see `propensities`. Jain et al., KDD 2016.
    """
    judged = judge("psp_at_k", Y_true, predictions, (k,))
    p = checked_propensity("psp_at_k", propensity, judged)
    return _tally(judged, k, p).psp(k)


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
    return _tally(judged, k, p).psndcg(k)


def coverage_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """coverage@k, the share of the labels with a true row that hit in at least one row.

    It is 0 if no row has true labels.
    """
    return _tally(judge("coverage_at_k", Y_true, predictions, (k,)), k).coverage(k)


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
    tally = _tally(judge("f1_at_k", Y_true, predictions, (k,)), k)
    by_name = {"macro": tally.macro_f1, "micro": tally.micro_f1, "samples": tally.samples_f1}
    return by_name[average](k)


def ece_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """ECE@k, the expected calibration error of scores that claim to be probabilities.

    The m scores in the k places of all rows are put into 15 bins, see `Reliability`; empty places
    don't count. It is sum_b (m_b / m) |mean of score_ij - mean of hit_ij, both over bin b|, and 0
    if nothing is predicted. Raises DataError unless these scores are from 0 to 1. Naeini et al.,
    AAAI 2015.
    """
    judged = judge("ece_at_k", Y_true, predictions, (k,))
    _check_probabilities("ece_at_k", judged)
    return _tally(judged, k).ece(k)


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
    return _tally(judged, k, n_bins=n_bins).reliability(k)


SCORED: dict[str, Callable[..., float]] = {
    "P": precision_at_k,
    "nDCG": ndcg_at_k,
    "R": recall_at_k,
    "PSP": psp_at_k,
    "PSnDCG": psndcg_at_k,
    "F1": partial(f1_at_k, average="samples"),
    "macro-F1": partial(f1_at_k, average="macro"),
    "micro-F1": partial(f1_at_k, average="micro"),
    "macro-R": partial(recall_at_k, average="macro"),
    "coverage": coverage_at_k,
    "ECE": ece_at_k,
}


def scorer(name: str) -> Scorer:
    """A metric for GridSearchCV and cross_val_score: `scoring=scorer("P@5")`.

    name: of a metric with its k, as `xmc evaluate` writes it: P, nDCG, R, PSP, PSnDCG, F1,
    macro-F1, micro-F1, coverage or ECE, which counts negative, as less of it is better; or macro-R,
    recall with average="macro".
    Propensities are those of the rows that the estimator was trained on. Every row counts once,
    also where fits are given a `sample_weight`, which says what errors cost in training. Raises
    ParameterError at another name.
    """
    of, _, k = name.partition("@")
    if of not in SCORED or not k.isdecimal() or int(k) < 1:
        among = ", ".join(SCORED)
        raise ParameterError(f"scorer: expected one of {among} with a k, as in 'P@5', got {name!r}")
    return Scorer(
        f"{of}@{int(k)}", SCORED[of], int(k), -1 if of == "ECE" else 1, of in ("PSP", "PSnDCG")
    )


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
    tally = Tally(ks, p is not None)
    tally.add(judged, p)
    return tally.figures(ks, judged.true.n_labels)


def _tally(judged: Judged, k: int, p: np.ndarray | None = None, n_bins: int = N_BINS) -> Tally:
    """What is counted at one k."""
    tally = Tally((k,), p is not None, n_bins)
    tally.add(judged, p)
    return tally


def _row_shares(judged: Judged, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """The metrics that are means over rows, in percent."""
    shares = {"P": row_precision, "nDCG": row_ndcg, "R": row_recall, "F1": row_f1}
    return {f"{name}@{k}": 100 * share(judged, k) for name, share in shares.items() for k in ks}


def _row_gains(judged: Judged, p: np.ndarray, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """What each row adds to the two sums whose ratio is PSP or PSnDCG."""
    k = judged.labels.shape[1]
    gains = {"gain": _gain_of_places(judged, p), "ideal": _ideal_of_places(judged, p)}
    metrics = {"PSP": np.ones(k), "PSnDCG": discounts(k)}
    return {
        f"{metric}-{name}@{k}": gain[:, :k] @ counted[:k]
        for metric, counted in metrics.items()
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


def _check_probabilities(who: str, judged: Judged) -> None:
    wrong = no_probabilities(judged)
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        got = f"{judged.scores[row, place]!s} in row {row}"
        raise DataError(f"{who}: scores of predictions must be from 0 to 1, got {got}")
