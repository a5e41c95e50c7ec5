"""What the nearest rows of a query say about labels: each row votes for its labels.

    name        dtype    shape           what
    near        int32    (queries, k)    the nearest rows of each query, best first; -1 from some on
    similarity  float32  (queries, k)    theirs
    y_indptr    int64    rows + 1        where each row's labels start
    y_ids       int32    any             the labels of all rows, each once in a row
    c_indptr    int64    queries + 1     where each query's candidates start
    c_ids       int32    candidates      labels, each once in a query, in any order
    total       float32                  result: the sum of the squared similarities of all voters
    largest     float32                  result: the largest similarity of a voter
    voters       int32                    result: how many vote for the label

A table finds a label's figures: places hashed by label, as many as a power of two, that hold the
label's number, or -1. It is as large as the votes of one query, however many labels there are.
"""

from typing import NamedTuple

import numpy as np

from . import inner, kernel
from .heap import Best, offer, put_in_order

MULTIPLIER = 2654435761  # 2**32 over the golden ratio spreads labels over the table


class Figures(NamedTuple):
    """The figures of some labels."""

    total: np.ndarray
    largest: np.ndarray
    voters: np.ndarray


@kernel
def of_candidates(
    near, similarity, y_indptr, y_ids, c_indptr, c_ids, total, largest, voters,
):  # fmt: skip
    """Write the figures of each candidate: 0 where nobody votes for it."""
    total[:], largest[:], voters[:] = 0, 0, 0
    most = 0
    for i in range(near.shape[0]):
        most = max(most, c_indptr[i + 1] - c_indptr[i])
    table = _table(most)
    for i in range(near.shape[0]):
        first, last = c_indptr[i], c_indptr[i + 1]
        labels = c_ids[first:last]
        figures = Figures(total[first:last], largest[first:last], voters[first:last])
        table[:] = -1
        for c in range(labels.shape[0]):
            table[_place(table, labels, labels[c])] = c
        for n in range(near.shape[1]):
            if near[i, n] < 0:
                break
            for p in range(y_indptr[near[i, n]], y_indptr[near[i, n] + 1]):
                c = table[_place(table, labels, y_ids[p])]
                if c >= 0:
                    _vote(figures, c, similarity[i, n])


@kernel
def best(near, similarity, y_indptr, y_ids, ids, total, largest, voters):
    """Write the labels of largest sum, best first, of equal ones the smaller first.

    ids: int32, (queries, any), -1 in empty places; total, largest, voters: the figures, 0 there.
    """
    size = _most_votes(near, y_indptr)
    table, labels = _table(size), np.empty(size, np.int32)
    sums = Figures(np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.int32))
    largest[:], voters[:] = 0, 0
    kept = Best(np.zeros(ids.shape[0], np.int64), ids, total, np.zeros_like(total))
    for i in range(near.shape[0]):
        n = _tally(near[i], similarity[i], y_indptr, y_ids, table, labels, sums)
        for c in range(n):
            offer(sums.total[c], np.float32(0), labels[c], kept, i)
        put_in_order(kept, i)
        for s in range(ids.shape[1]):
            if s < kept.size[i]:
                c = table[_place(table, labels, ids[i, s])]
                largest[i, s], voters[i, s] = sums.largest[c], sums.voters[c]
            else:
                total[i, s] = 0


@inner
def _tally(near, similarity, y_indptr, y_ids, table, labels, sums):
    """Write the labels of one query's nearest rows in order of appearance. How many?"""
    size = 0
    table[:] = -1
    for n in range(near.shape[0]):
        if near[n] < 0:
            break
        for p in range(y_indptr[near[n]], y_indptr[near[n] + 1]):
            at = _place(table, labels, y_ids[p])
            if table[at] < 0:
                table[at], labels[size] = size, y_ids[p]
                sums.total[size], sums.largest[size], sums.voters[size] = 0, 0, 0
                size += 1
            _vote(sums, table[at], similarity[n])
    return size


@inner
def _most_votes(near, y_indptr):
    """The most votes that the nearest rows of a query have."""
    most = 0
    for i in range(near.shape[0]):
        votes = 0
        for row in near[i]:
            if row >= 0:
                votes += y_indptr[row + 1] - y_indptr[row]
        most = max(most, votes)
    return most


@inner
def _vote(figures, c, similarity):
    """Add one vote for label number c."""
    figures.total[c] += similarity * similarity
    figures.largest[c] = max(figures.largest[c], similarity)
    figures.voters[c] += 1


@kernel
def _table(size):
    """A table for so many labels, at most half full."""
    n = 2
    while n < 2 * size:
        n *= 2
    return np.empty(n, np.int32)


@inner
def _place(table, labels, label):
    """Where a label's number stands in the table, or would stand."""
    last = table.shape[0] - 1
    at = ((np.int64(label) * MULTIPLIER) >> 16) & last
    while table[at] >= 0 and labels[table[at]] != label:
        at = (at + 1) & last
    return at
