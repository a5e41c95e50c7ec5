"""Where to cut scores, so that the labels that stay are the best sets."""

from __future__ import annotations

import numpy as np

from .judged import Predictions, judge_candidates
from .soundness import Matrix


def best_threshold(Y_true: Matrix, predictions: Predictions) -> float:
    """The threshold with the best micro-F1, if a row keeps what scores at least as much.

    `predictions` hold the candidates with their scores: all stored entries of a sparse matrix, or
    all places of a TopK that aren't empty. Every true label counts, also one that is no candidate.
    See `best_threshold_of`.
    """
    return best_threshold_of(*judge_candidates("best_threshold", Y_true, predictions))


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
