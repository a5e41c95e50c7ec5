"""Where to cut scores, so that the labels that stay are the best sets."""

from __future__ import annotations

import numpy as np

from .errors import ParameterError
from .judged import Predictions, judge_candidates
from .soundness import Matrix

AVERAGES = ("macro", "micro", "samples")


def best_threshold(Y_true: Matrix, predictions: Predictions, average: str = "micro") -> float:
    """The threshold with the best F1, if a row keeps what scores at least as much.

    average: "micro", "samples" or "macro", as `f1_at_k` says.

    `predictions` hold the candidates with their scores: all stored entries of a sparse matrix, or
    all places of a TopK that aren't empty. Every true label counts, also one that is no candidate.
    See `best_threshold_of`. Raises ParameterError at another average.
    """
    if average not in AVERAGES:
        among = ", ".join(map(repr, AVERAGES))
        raise ParameterError(f"best_threshold: average must be one of {among}, got {average!r}")
    own = judge_candidates("best_threshold", Y_true, predictions)
    if average == "micro":
        return best_threshold_of(own.scores, own.is_true, len(own.true.indices))
    if average == "macro":
        n_true = np.bincount(own.true.indices, minlength=own.true.n_numbers)
        return best_threshold_in_groups(own.scores, own.is_true, own.labels, n_true)
    n_true = np.diff(own.true.indptr)
    kept = n_true[own.rows] > 0  # rows without true labels tell nothing
    return best_threshold_in_groups(own.scores[kept], own.is_true[kept], own.rows[kept], n_true)


def best_threshold_of(scores: np.ndarray, is_true: np.ndarray, n_true: int) -> float:
    """The threshold t with the best micro-F1 of the candidates that `scores >= t` keeps.

    scores: (n,), without NaN.  is_true: (n,) bool.  n_true: all true labels, candidates or not.
    It is the lowest score that stays, so no rounding moves a candidate across. Equal scores stay or
    go together. Of thresholds that are equally good it is the highest: inf, which keeps nothing, if
    no candidate is true.
    """
    order = np.argsort(scores)[::-1]
    best_first = np.asarray(scores)[order]
    last = np.flatnonzero(np.append(best_first[1:] != best_first[:-1], True)[: len(best_first)])
    n_hits = np.cumsum(np.asarray(is_true)[order])[last]
    if not n_hits.any():
        return float("inf")
    f1 = 2 * n_hits / (last + 1 + n_true)
    return float(best_first[last[np.argmax(f1)]])


def best_threshold_in_groups(
    scores: np.ndarray, is_true: np.ndarray, group: np.ndarray, n_true: np.ndarray
) -> float:
    """As `best_threshold_of`, but with the best mean of the groups' F1: of those that have true
    labels, or a candidate that is kept.

    group: (n,) int, of each candidate.  n_true: of each group, candidates or not.
    """
    if not np.asarray(is_true).any():
        return float("inf")
    order = np.lexsort((-scores, group))
    scores, group = scores[order], group[order]
    first = np.append(True, group[1:] != group[:-1])
    start = np.maximum.accumulate(np.where(first, np.arange(len(group)), 0))
    n_hits = np.cumsum(is_true[order])
    n_hits = n_hits - (n_hits - is_true[order])[start]
    f1 = 2 * n_hits / (n_true[group] + np.arange(len(group)) - start + 1)
    gain = f1 - np.where(first, 0, np.append(0, f1[:-1]))
    is_new = first & (n_true[group] == 0)
    order = np.argsort(-scores, kind="stable")
    n_groups = np.count_nonzero(n_true) + np.cumsum(is_new[order])
    mean = np.round(np.cumsum(gain[order]) / n_groups, 12)  # sums that are equal must be so
    best_first = scores[order]
    last = np.flatnonzero(np.append(best_first[1:] != best_first[:-1], True))
    return float(best_first[last[np.argmax(mean[last])]])
