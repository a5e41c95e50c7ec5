"""The rows of a sparse matrix that are nearest to a query, and what they say about its labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import Lists, Rows, Targets, frozen, lists_fit, within
from ..errors import ParameterError
from ..inputs import as_matrix, as_rows, stacked
from ..kernels import inverted as kernels
from ..kernels import votes as vote_kernels

FREQUENT = 6  # a feature is frequent if more than one in so many rows hold it
N_TRIES = 20  # halvings of the values that a bound on memory leaves room for


class Inverted(NamedTuple):
    """Rows as an inverted index, see kernels/inverted.py; all arrays read-only."""

    indptr: np.ndarray  # (n_blocks, n_features + 1) int64, where the postings of a feature start
    row: np.ndarray  # uint16, the rows that hold each rare feature, numbered in their block
    code: np.ndarray  # int8, their values over the feature's step
    step: np.ndarray  # (n_features,) float32, 127 steps are the largest value of a feature
    frequent: np.ndarray  # int32, the frequent features, ascending
    dense: np.ndarray  # (n_rows, any) int8, the values of frequent features over their steps
    length: np.ndarray  # (n_rows,) float32, the length of the frequent part of a row
    weight: np.ndarray  # (n_features,) float32, by which values are multiplied; empty if by none

    @property
    def n_rows(self) -> int:
        return len(self.dense)

    @property
    def n_features(self) -> int:
        return len(self.step)

    def fits(self, n_rows: int, n_features: int) -> bool:
        """Whether the arrays, read from a folder, fit each other, so many rows and features.

        What the postings hold isn't looked at: that would read all of a large file.
        """
        flat = self.indptr.reshape(-1)
        return (
            self.indptr.shape == (-(-n_rows // kernels.BLOCK), n_features + 1)
            and lists_fit(flat if len(flat) else np.zeros(1, np.int64), self.row)
            and len(self.code) == len(self.row)
            and self.dense.shape == (n_rows, _width(len(self.frequent)))
            and within(self.frequent, n_features)
            and len(self.length) == n_rows
            and len(self.step) == n_features
            and len(self.weight) in (0, n_features)
        )

    @property
    def n_bytes(self) -> int:
        """What the arrays take, in memory and on disk."""
        return sum(array.nbytes for array in self)


class Near(NamedTuple):
    """The nearest rows of each query, best first; an empty place has row -1, similarity -inf."""

    rows: np.ndarray  # (n_queries, k) int32
    similarity: np.ndarray  # (n_queries, k) float32


class Figures(NamedTuple):
    """What nearest rows say about labels; 0 where no near row has the label."""

    total: np.ndarray  # float32, the sum of the squared similarities of the rows with the label
    largest: np.ndarray  # float32, the largest similarity of them
    voters: np.ndarray  # int32, how many they are


class Votes(NamedTuple):
    """The labels of which the nearest rows of each query say most, best first."""

    labels: np.ndarray  # (n_queries, n_best) int32, -1 in empty places
    figures: Figures  # of these labels, arrays of the same shape


def inverted(rows: Rows, max_bytes: int | None = None, sharpness: float = 0.0) -> Inverted:
    """The index of some rows. Where it would take more than max_bytes, small values are left out.

    A value is stored in 8 bits, to 1/127 of the largest one of its feature. Raises ParameterError
    if not even an index without values fits.

    sharpness: 0 compares the rows as they are. More of it multiplies each feature by that power of
    its inverse document frequency first, in queries too, and scales rows to length 1 again: words
    that half of all rows have then count for less.
    """
    weight = _weight(rows, sharpness)
    rows = _weighed(rows, weight)
    if max_bytes is not None:
        rows = _fitting(rows, max_bytes - weight.nbytes)
    frequent = frozen(np.flatnonzero(_is_frequent(rows)).astype(np.int32))
    step = frozen(kernels.steps(rows.indices, rows.data, rows.n_features))
    dense = np.zeros((rows.n_rows, _width(len(frequent))), np.int8)
    postings = kernels.fill(*rows[:3], step, frequent, dense)
    length = kernels.lengths(dense, step, frequent)
    return Inverted(*map(frozen, (*postings, step, frequent, dense, length, weight)))


def with_rows(index: Inverted, rows: Rows) -> Inverted:
    """The index with some more rows behind its own, which keep their codes: a value larger than the
    largest of its feature so far is cut to that.
    """
    return _filled(index, stacked(_weighed_rows(index), _weighed(rows, index.weight)))


def likened(index: Inverted, rows: Rows) -> Rows:
    """Rows as they would come back from the index."""
    return rows_of(_filled(index, _weighed(rows, index.weight)))


def rows_of(index: Inverted) -> Rows:
    """The indexed rows, as exactly as the index has them, scaled to length 1."""
    rows = _weighed_rows(index)
    if len(index.weight):
        rows = rows._replace(data=rows.data / index.weight[rows.indices])
    return as_rows(as_matrix(rows), normalize=True)


def _weighed_rows(index: Inverted) -> Rows:
    """The rows with their values as they are compared."""
    starts = index.indptr
    sizes = np.diff(starts, axis=1)
    block = np.repeat(np.arange(len(starts)), sizes.sum(axis=1))
    rare = np.repeat(np.tile(np.arange(index.n_features), len(starts)), sizes.ravel())
    row, place = np.nonzero(index.dense)
    frequent = index.frequent[place]
    feature = np.concatenate([rare, frequent])
    code = np.concatenate([index.code, index.dense[row, place]])
    rows = np.concatenate([block * kernels.BLOCK + index.row, row])
    shape = index.n_rows, index.n_features
    M = sp.csr_matrix((code * index.step[feature], (rows, feature)), shape)
    M.sort_indices()
    return as_rows(M, normalize=False)


def _filled(index: Inverted, rows: Rows) -> Inverted:
    """The index of weighed rows with the steps, the frequent features and the weights of another;
    features that had no value get steps.
    """
    own = kernels.steps(rows.indices, rows.data, rows.n_features)
    step = frozen(np.where(index.step > 0, index.step, own))
    most = kernels.N_CODES * step[rows.indices]
    cut = rows._replace(data=frozen(np.clip(rows.data, -most, most)))
    dense = np.zeros((rows.n_rows, _width(len(index.frequent))), np.int8)
    postings = kernels.fill(*cut[:3], step, index.frequent, dense)
    length = kernels.lengths(dense, step, index.frequent)
    kept = step, index.frequent, dense, length, index.weight
    return Inverted(*map(frozen, (*postings, *kept)))


def nearest(index: Inverted, X: Rows, k: int, left_out: float = 0.0) -> Near:
    """The k rows of largest product with each row of X, of equal ones the first.

    Rows without a feature in common are never near, nor is any whose product is not above 0.
    left_out: the smallest values of X, with this part of a row's squared length at most, are left
    out: they are many, and what they add to a product with a row of length 1 is no more than the
    root of this part.
    """
    near = Near(np.empty((X.n_rows, k), np.int32), np.empty((X.n_rows, k), np.float32))
    *arrays, weight = index
    rows = _weighed(X, weight)[:3]
    if left_out:
        rows = kernels.pruned(*rows, left_out)
    kernels.nearest(*arrays, *map(frozen, rows), *near)
    return near


def votes(near: Near, labels: Lists | Targets, n_best: int) -> Votes:
    """The n_best labels of the nearest rows by total, of equal ones the smaller first.

    labels: those of the rows of the index.
    """
    shape = len(near.rows), n_best
    found = Votes(np.empty(shape, np.int32), _figures(shape))
    vote_kernels.best(*near, labels.indptr, labels.ids, found.labels, *found.figures)
    return found


def votes_of(near: Near, labels: Lists | Targets, candidates: Lists) -> Figures:
    """What the nearest rows say about the candidates of each query, in their order.

    labels: those of the rows of the index. A candidate stands once in a query.
    """
    found = _figures(len(candidates.ids))
    vote_kernels.of_candidates(*near, labels.indptr, labels.ids, *candidates, *found)
    return found


def _figures(shape: int | tuple[int, ...]) -> Figures:
    return Figures(
        np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    )


def _weight(rows: Rows, sharpness: float) -> np.ndarray:
    """The weight of each feature, none if all are 1."""
    if sharpness == 0:
        return np.empty(0, np.float32)
    idf = np.log((1 + rows.n_rows) / (1 + _counts(rows))) + 1
    return (idf**sharpness).astype(np.float32)


def _weighed(rows: Rows, weight: np.ndarray) -> Rows:
    """The rows with their features weighed, of length 1."""
    if not len(weight):
        return rows
    return rows._replace(data=frozen(kernels.weighed(*rows[:3], frozen(weight))))


def _counts(rows: Rows) -> np.ndarray:
    """How many rows have each feature."""
    return np.bincount(rows.indices, minlength=rows.n_features)


def _is_frequent(rows: Rows) -> np.ndarray:
    """Which features are frequent among the rows."""
    return _counts(rows) * FREQUENT > rows.n_rows


def _width(n_frequent: int) -> int:
    """How many codes a row of `dense` has."""
    return -(-n_frequent // kernels.WIDTH) * kernels.WIDTH


def index_bytes(rows: Rows) -> int:
    """What the index of these rows takes, weights of features left aside."""
    frequent = _is_frequent(rows)
    n_blocks = -(-rows.n_rows // kernels.BLOCK)
    pointers_and_steps = 8 * n_blocks * (rows.n_features + 1) + 4 * rows.n_features
    per_row = 4 + _width(int(frequent.sum()))
    return int(
        pointers_and_steps
        + 4 * frequent.sum()
        + per_row * rows.n_rows
        + 3 * _counts(rows)[~frequent].sum()
    )


def _fitting(rows: Rows, max_bytes: int) -> Rows:
    """The rows with as many of their largest values as an index of max_bytes can hold."""
    if index_bytes(rows) <= max_bytes:
        return rows
    fitting = _largest(rows, 0)
    if index_bytes(fitting) > max_bytes:
        raise ParameterError(
            f"inverted: max_bytes must be at least {index_bytes(fitting):,} for "
            f"{rows.n_rows:,} rows of {rows.n_features:,} features, got {max_bytes:,}"
        )
    low, high = 0, len(rows.data)
    for _ in range(N_TRIES):
        middle = (low + high) // 2
        tried = _largest(rows, middle)
        if index_bytes(tried) <= max_bytes:
            low, fitting = middle, tried
        else:
            high = middle
    return fitting


def _largest(rows: Rows, n: int) -> Rows:
    """The rows with their n largest values only, and fewer where several equal the last of them."""
    size = np.abs(rows.data)
    kept = size > (np.partition(size, -n - 1)[-n - 1] if n else np.inf)
    ends = np.concatenate([[0], np.cumsum(kept)])
    indptr = frozen(ends[rows.indptr].astype(np.int64))
    return Rows(indptr, frozen(rows.indices[kept]), frozen(rows.data[kept]), rows.n_features)
