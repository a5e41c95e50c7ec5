"""Slow twins of the kernels in xmc/kernels/evidence.py, row by row in plain Python."""

import math

import numpy as np


def union(found):
    """The labels that each row has in `found`, each once, ascending: a list for each row."""
    return [sorted({int(label) for label in row if label >= 0}) for row in found]


def base_evidence(candidates, top_ids, top_scores):
    """(log of the score, place, log less the first one) of each candidate of each row; NaN where
    the base model doesn't name it.
    """
    figures = []
    for own, ids, scores in zip(candidates, top_ids, top_scores, strict=True):
        named = [int(label) for label in ids if label >= 0]
        logs = [math.log(max(float(score), 1e-20)) for score in scores[: len(named)]]
        for label in own:
            if label in named:
                place = named.index(label)
                figures.append((logs[place], place, logs[place] - logs[0]))
            else:
                figures.append((np.nan,) * 3)
    return np.array(figures).reshape(-1, 3)


def company(candidates, top_ids, top_scores, share):
    """Of each candidate of each row, the sum over the best labels of score * share[label, it].

    share: dense, (labels, labels).
    """
    return [
        sum(
            float(score) * share[label, own]
            for label, score in zip(ids, scores, strict=True)
            if label >= 0
        )
        for row, ids, scores in zip(candidates, top_ids, top_scores, strict=True)
        for own in row
    ]


def less_the_best(sizes, values):
    """Each value less the largest of its row; rows have so many values. NaN counts for nothing."""
    parts = np.split(np.asarray(values, np.float64), np.cumsum(sizes)[:-1]) if len(sizes) else []
    known = [part[~np.isnan(part)] for part in parts]
    return np.concatenate(
        [part - (own.max() if len(own) else 0) for part, own in zip(parts, known, strict=True)]
        or [np.empty(0)]
    )
