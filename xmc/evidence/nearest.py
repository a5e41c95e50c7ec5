"""The rows of a sparse matrix that are nearest to a query, and what their labels say about it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Lists, Rows, Targets, frozen
from ..kernels import inverted as kernels

DENSE_FROM = 6  # a feature that more than one in so many rows hold is frequent


class Inverted(NamedTuple):
    """Rows as an inverted index, see kernels/inverted.py; all arrays read-only."""

    indptr: np.ndarray  # (n_blocks, n_features + 1) int64, where a feature's postings start
    row: np.ndarray  # uint16, the rows that hold each rare feature, numbered in their block
    code: np.ndarray  # int8, their values over the feature's step
    step: np.ndarray  # (n_features,) float32, the largest value of a feature is 127 steps
    frequent: np.ndarray  # int32, the frequent features, ascending
    dense: np.ndarray  # (n_rows, any) int8, the values of frequent features over their steps
    length: np.ndarray  # (n_rows,) float32, the length of that part of each row

    @property
    def n_rows(self) -> int:
        return len(self.dense)

    @property
    def n_features(self) -> int:
        return len(self.step)

    @property
    def n_bytes(self) -> int:
        """What the arrays take, in memory and on disk."""
        return sum(array.nbytes for array in self)


class Near(NamedTuple):
    """The nearest rows of each query, best first; an empty place has row -1, similarity -inf."""

    rows: np.ndarray  # (n_queries, k) int32
    similarity: np.ndarray  # (n_queries, k) float32


def inverted(rows: Rows) -> Inverted:
    counts = np.bincount(rows.indices, minlength=rows.n_features)
    frequent = np.flatnonzero(counts * DENSE_FROM > rows.n_rows).astype(np.int32)
    width = -(-len(frequent) // kernels.WIDTH) * kernels.WIDTH
    step = kernels.steps(rows.indices, rows.data, rows.n_features)
    dense = np.zeros((rows.n_rows, width), np.int8)
    postings = kernels.fill(*rows[:3], step, frequent, dense)
    length = kernels.lengths(dense, step, frequent)
    return Inverted(*map(frozen, (*postings, step, frequent, dense, length)))


def nearest(index: Inverted, X: Rows, k: int) -> Near:
    near = Near(np.empty((X.n_rows, k), np.int32), np.empty((X.n_rows, k), np.float32))
    kernels.nearest(*index, *X[:3], *near)
    return near
