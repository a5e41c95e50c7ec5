"""Candidates of several sources put together, and what each base model says of them.

Arrays:
    found       int32, (rows, places)   labels that sources found for each row; -1 in empty places
    top_ids     int32, (rows, k)        a base model's best labels of each row, best first; -1 ditto
    top_scores  float32, (rows, k)      their scores, above 0
    indptr      int64, (rows + 1,)      where each row's candidates start
    ids         int32                   the candidates, ascending in each row
    out         float32, (candidates, columns)  evidence; NaN where nothing is known
"""

import math

import numpy as np

from . import kernel
from .heap import Best, offer, put_in_order

TINY = np.float32(1e-20)  # a score that underflowed to 0 still has a logarithm


@kernel
def union(found):
    """(indptr, ids): the labels that each row has in `found`, each once, ascending."""
    n_rows, n_places = found.shape
    indptr, ids = np.zeros(n_rows + 1, np.int64), np.empty(n_rows * n_places, np.int32)
    n = 0
    for i in range(n_rows):
        last = np.int32(-1)
        for label in np.sort(found[i]):
            if label > last:
                ids[n] = last = label
                n += 1
        indptr[i + 1] = n
    return indptr, ids[:n].copy()


@kernel
def base_evidence(indptr, ids, top_ids, top_scores, column, out):
    """Write what a base model says of each candidate into the three columns from `column` on.

    They are the log of its score, its place in the row counted from 0, and the log of its score
    less the best one of the row.
    """
    for i in range(indptr.shape[0] - 1):
        own = ids[indptr[i] : indptr[i + 1]]
        best = np.float32(0)
        for place in range(top_ids.shape[1]):
            label = top_ids[i, place]
            if label < 0:
                break
            log = np.float32(math.log(max(top_scores[i, place], TINY)))
            if place == 0:
                best = log
            at = np.searchsorted(own, label)
            if at == own.shape[0] or own[at] != label:
                continue
            c = indptr[i] + at
            out[c, column] = log
            out[c, column + 1] = place
            out[c, column + 2] = log - best


@kernel
def less_the_best(indptr, out, column, target):
    """Write a column less the largest value that it has in the row; NaN stays NaN."""
    for i in range(indptr.shape[0] - 1):
        best = np.float32(-np.inf)
        for c in range(indptr[i], indptr[i + 1]):
            if out[c, column] > best:
                best = out[c, column]
        for c in range(indptr[i], indptr[i + 1]):
            out[c, target] = out[c, column] - best


@kernel
def best_company(
    top_ids, top_scores, beside_indptr, beside_ids, beside_share, expected, ids, scores
):
    """Write the labels that the best labels of each row make expect most, best first.

    The arrays are those of `company`, but ids: int32, (rows, k), -1 in places that stay empty;
    scores: float32, what is expected, -inf there.
    """
    kept = Best(np.zeros(ids.shape[0], np.int64), ids, scores, np.zeros_like(scores))
    for i in range(top_ids.shape[0]):
        for place in range(top_ids.shape[1]):
            label = top_ids[i, place]
            if label >= 0:
                for p in range(beside_indptr[label], beside_indptr[label + 1]):
                    expected[beside_ids[p]] += top_scores[i, place] * beside_share[p]
        for place in range(top_ids.shape[1]):
            label = top_ids[i, place]
            if label >= 0:
                for p in range(beside_indptr[label], beside_indptr[label + 1]):
                    other = beside_ids[p]
                    if expected[other] > 0:
                        offer(expected[other], np.float32(0), other, kept, i)
                    expected[other] = 0
        put_in_order(kept, i)


@kernel
def company(
    indptr, ids, top_ids, top_scores, beside_indptr, beside_ids, beside_share, expected, out
):
    """Write how many of each candidate the best labels of a row make expect: the sum of their
    scores times the share of their training rows that have the candidate, too.

    beside_indptr, beside_ids, beside_share: int64, int32, float32, for each label those that share
    training rows with it, and the share.
    expected: float32, scratch, 0 per label, before and after.
    out: float32, one per candidate.
    """
    for i in range(indptr.shape[0] - 1):
        for place in range(top_ids.shape[1]):
            label = top_ids[i, place]
            if label >= 0:
                for p in range(beside_indptr[label], beside_indptr[label + 1]):
                    expected[beside_ids[p]] += top_scores[i, place] * beside_share[p]
        for c in range(indptr[i], indptr[i + 1]):
            out[c] = expected[ids[c]]
        for place in range(top_ids.shape[1]):
            label = top_ids[i, place]
            if label >= 0:
                for p in range(beside_indptr[label], beside_indptr[label + 1]):
                    expected[beside_ids[p]] = 0
