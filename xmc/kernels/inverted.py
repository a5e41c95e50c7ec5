"""The nearest rows of a sparse matrix: an inverted index that leaves out what can't be near.

Rows are indexed in blocks of BLOCK, so that a row's number in its block fits 16 bits and a block's
running sums stay in the processor's cache. A value of feature j is code * step[j]. Rare features
have postings, the rows that hold them. Frequent features have none, as half of all rows would be in
them: each row has its codes of all frequent features side by side.

A query adds up its rare features over their postings. What the frequent ones can add to a row is at
most the length of that part of the query times the length of that part of the row (Cauchy and
Schwarz), so the sums start from there and are upper bounds. Only rows whose bound reaches the worst
of the best k so far are worked out: the answer is that of a full search.

Fields of Index, and what else comes in:
    indptr      int64    (blocks, n_features + 1)    where the postings of each feature start
    row         uint16   postings                    a row's number in its block, ascending
    code        int8     postings                    its value over the feature's step, never 0
    step        float32  n_features                  0 for features without a value
    frequent    int32    any                         the frequent features, ascending
    dense       int8     (n_rows, a multiple of 16)  codes of the frequent features; 0 for none
    length      float32  n_rows                      the length of a row's frequent part
    x_...                                            rows to index, or queries: CSR, ascending
    ids         int32    (queries, k)                result: -1 in empty places
    similarity  float32  (queries, k)                result: -inf there
"""

from typing import NamedTuple

import numpy as np

from . import kernel
from .heap import Best, offer, put_in_order

BLOCK = 65536  # rows; their numbers fit uint16
N_CODES = 127  # codes of a sign
WIDTH = 16  # a row of `dense` is a multiple of this, so that sums over it need no remainder
SPAN = 64  # bounds that are looked at together
# Bounds are raised by this share, more than rounding takes from them.
SLACK = np.float32(1 + 1e-5)


class Index(NamedTuple):
    """What is known of the indexed rows."""

    indptr: np.ndarray
    row: np.ndarray
    code: np.ndarray
    step: np.ndarray
    frequent: np.ndarray
    dense: np.ndarray
    length: np.ndarray


class Question(NamedTuple):
    """One query."""

    rare: np.ndarray  # int32, its rare features
    weight: np.ndarray  # float32, their values times their steps
    n_rare: int
    frequent: np.ndarray  # float32, as wide as `dense`: the same of the frequent features
    length: np.ndarray  # float32, one number: the length of the frequent part, raised


@kernel
def steps(x_indices, x_data, n_features):
    """The step of each feature: its largest value is N_CODES steps."""
    out = np.zeros(n_features, np.float32)
    for p in range(x_indices.shape[0]):
        out[x_indices[p]] = max(out[x_indices[p]], abs(x_data[p]))
    for j in range(n_features):
        out[j] /= np.float32(N_CODES)
    return out


@kernel
def fill(x_indptr, x_indices, x_data, step, frequent, dense):
    """(indptr, row, code) of the rare features' postings; writes `dense`, which is 0 before."""
    place = np.full(step.shape[0], -1, np.int32)
    for f in range(frequent.shape[0]):
        place[frequent[f]] = f
    indptr = _pointers(x_indptr, x_indices, place)
    slot = indptr.copy()
    row, code = np.empty(indptr[-1, -1], np.uint16), np.empty(indptr[-1, -1], np.int8)
    for i in range(x_indptr.shape[0] - 1):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            j = x_indices[p]
            if place[j] >= 0:
                dense[i, place[j]] = _code(x_data[p], step[j])
            else:
                t = slot[i // BLOCK, j]
                row[t], code[t] = i % BLOCK, _code(x_data[p], step[j])
                slot[i // BLOCK, j] += 1
    return indptr, row, code


@kernel
def _pointers(x_indptr, x_indices, place):
    """Where the postings of each feature start, block after block; none for frequent features."""
    n_rows = x_indptr.shape[0] - 1
    out = np.zeros(((n_rows + BLOCK - 1) // BLOCK, place.shape[0] + 1), np.int64)
    for i in range(n_rows):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            if place[x_indices[p]] < 0:
                out[i // BLOCK, x_indices[p] + 1] += 1
    end = 0
    for b in range(out.shape[0]):
        out[b, 0] = end
        for j in range(place.shape[0]):
            end += out[b, j + 1]
            out[b, j + 1] = end
    return out


@kernel
def _code(value, step):
    """The value in steps. It is 0 for none but 0, so that a row keeps all its features."""
    if value == 0:
        return 0
    size = max(1, int(abs(value) / step + np.float32(0.5)))
    return size if value > 0 else -size


@kernel
def lengths(dense, step, frequent):
    """The length of each row's frequent part."""
    out = np.zeros(dense.shape[0], np.float32)
    for i in range(dense.shape[0]):
        total = 0.0
        for f in range(frequent.shape[0]):
            total += (np.float64(step[frequent[f]]) * np.float64(dense[i, f])) ** 2
        out[i] = np.sqrt(total)
    return out


@kernel
def nearest(
    indptr, row, code, step, frequent, dense, length,
    x_indptr, x_indices, x_data, ids, similarity,
):  # fmt: skip
    """Write the k rows of largest product with each query, best first, of equal ones the first.

    Only products above 0 count, so rows that share no feature with a query are never among them.
    """
    index = Index(indptr, row, code, step, frequent, dense, length)
    n, k = ids.shape
    kept = Best(np.zeros(n, np.int64), ids, similarity, np.zeros((n, k), np.float32))
    bound = np.empty(min(BLOCK, dense.shape[0]), np.float32)
    seeds = Best(
        np.zeros(1, np.int64), np.empty((1, k), np.int32), np.empty((1, k), np.float32),
        np.zeros((1, k), np.float32),
    )  # fmt: skip
    for i in range(n):
        ask = _question(index, x_indices[x_indptr[i] : x_indptr[i + 1]], x_data[x_indptr[i] :])
        for b in range(indptr.shape[0]):
            part = bound[: min(BLOCK, dense.shape[0] - b * BLOCK)]
            _bounds(index, b, ask, part)
            if b == 0:
                _plant(index, ask, part, seeds, kept, i)
            _search(index, b, ask, part, kept, i)
        put_in_order(kept, i)


@kernel
def _question(index, indices, data):
    """The rare and the frequent part of a query."""
    rare, weight = np.empty(indices.shape[0], np.int32), np.empty(indices.shape[0], np.float32)
    frequent = np.zeros(index.dense.shape[1], np.float32)
    length = np.zeros(1, np.float32)
    n_rare, f, square = 0, 0, 0.0
    for t in range(indices.shape[0]):
        j = indices[t]
        while f < index.frequent.shape[0] and index.frequent[f] < j:
            f += 1
        if f < index.frequent.shape[0] and index.frequent[f] == j:
            frequent[f] = data[t] * index.step[j]
            square += np.float64(data[t]) ** 2
        else:
            rare[n_rare], weight[n_rare] = j, data[t] * index.step[j]
            n_rare += 1
    length[0] = np.float32(np.sqrt(square)) * SLACK
    return Question(rare, weight, n_rare, frequent, length)


@kernel
def _bounds(index, b, ask, bound):
    """Write the bound of each row of block b."""
    first = b * BLOCK
    length = index.length[first : first + bound.shape[0]]
    most = ask.length[0]
    for r in range(bound.shape[0]):
        bound[r] = most * length[r]
    for t in range(ask.n_rare):
        j = np.int64(ask.rare[t])
        start, end = index.indptr[b, j], index.indptr[b, j + 1]
        row, code, weight = index.row[start:end], index.code[start:end], ask.weight[t]
        for p in range(row.shape[0]):
            bound[row[p]] += weight * np.float32(code[p])


@kernel
def _plant(index, ask, bound, seeds, kept, i):
    """Keep the rows of the k largest bounds, so that the search begins with a high bar.

    Their bounds become -inf: the search doesn't meet them again.
    """
    seeds.size[0] = 0
    least = np.float32(0)
    for start in range(0, bound.shape[0], SPAN):
        span = bound[start : start + SPAN]
        if _reached(span, least) == 0:
            continue
        for r in range(span.shape[0]):
            if span[r] > least:
                offer(span[r], np.float32(0), np.int32(start + r), seeds, 0)
                if seeds.size[0] == seeds.ids.shape[1]:
                    least = seeds.score[0, 0]
    for s in range(seeds.size[0]):
        r = seeds.ids[0, s]
        _weigh(index, ask, r, bound[r], kept, i)
        bound[r] = -np.inf


@kernel
def _search(index, b, ask, bound, kept, i):
    """Offer all rows of block b whose bound reaches the worst that is kept."""
    for start in range(0, bound.shape[0], SPAN):
        span = bound[start : start + SPAN]
        least = _bar(kept, i)
        if _reached(span, least) == 0:
            continue
        for r in range(span.shape[0]):
            if span[r] > 0 and span[r] >= least:
                _weigh(index, ask, b * BLOCK + start + r, span[r], kept, i)
                least = _bar(kept, i)


@kernel
def _bar(kept, i):
    """What a row must reach to be kept: less than nothing is never enough."""
    return kept.score[i, 0] if kept.size[i] == kept.ids.shape[1] else np.float32(0)


@kernel
def _reached(span, least):
    """How many bounds reach the bar."""
    n = np.int32(0)
    for r in range(span.shape[0]):
        n += span[r] >= least
    return n


@kernel(fastmath={"reassoc", "contract"})
def _weigh(index, ask, r, bound, kept, i):
    """Offer row r with its product in place of the bound."""
    total = np.float32(0)
    if ask.length[0] > 0:
        codes = index.dense[r]
        for f in range(codes.shape[0]):
            total += ask.frequent[f] * np.float32(codes[f])
    similarity = (bound - ask.length[0] * index.length[r]) + total
    if similarity > 0:
        offer(similarity, np.float32(0), np.int32(r), kept, i)
