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

from . import inner, kernel
from .heap import Best, offer, put_in_order
from .lanes import prefetch

BLOCK = 65536  # rows; their numbers fit uint16
N_CODES = 127  # codes of a sign
WIDTH = 16  # a row of `dense` is a multiple of this, so that sums over it need no remainder
SPAN = 64  # rows whose bounds are looked at together
N_BUCKETS = 256  # spans are put in order by their highest bound, this fine
TOGETHER = 16  # rows that are fetched before the first of them is read
EARLIER = 4  # postings are fetched so many features before they are read
SLACK = np.float32(1 + 1e-5)  # more than rounding takes from a bound


class Index(NamedTuple):
    """What is known of the indexed rows."""

    indptr: np.ndarray
    row: np.ndarray
    code: np.ndarray
    step: np.ndarray
    frequent: np.ndarray
    dense: np.ndarray
    length: np.ndarray


class Query(NamedTuple):
    """One query, its values multiplied by the steps of their features."""

    rare: np.ndarray  # int32, the rare features
    weight: np.ndarray  # float32, their values
    frequent: np.ndarray  # float32, as wide as `dense`: the values of the frequent features
    length: np.float32  # the length of the frequent part, a little raised


class Bounds(NamedTuple):
    """What the rows of a block can reach at most; scratch."""

    row: np.ndarray  # float32, (BLOCK,), the bound of each row: any uint16 finds room
    peak: np.ndarray  # float32, the largest bound of each span
    order: np.ndarray  # int32, spans
    free: np.ndarray  # int64, (N_BUCKETS + 1,), where the spans of each bucket start
    due: np.ndarray  # int32, rows that will be weighed


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
def weighed(x_indptr, x_indices, x_data, weight):
    """The values of rows times the weights of their features, rows scaled to length 1.

    weight: float32, n_features.
    """
    out = np.empty(x_data.shape[0], np.float32)
    for i in range(x_indptr.shape[0] - 1):
        square = 0.0
        for p in range(x_indptr[i], x_indptr[i + 1]):
            out[p] = x_data[p] * weight[x_indices[p]]
            square += np.float64(out[p]) ** 2
        if square > 0:
            out[x_indptr[i] : x_indptr[i + 1]] *= np.float32(1 / np.sqrt(square))
    return out


@kernel
def pruned(x_indptr, x_indices, x_data, left_out):
    """(indptr, indices, data): rows without their smallest values.

    left_out: the part of a row's squared length that they may have at most. Equal values stay or go
    together.
    """
    indptr, indices, data = np.zeros_like(x_indptr), x_indices.copy(), x_data.copy()
    n = 0
    for i in range(x_indptr.shape[0] - 1):
        own = x_data[x_indptr[i] : x_indptr[i + 1]]
        least = _least(own, left_out)
        for p in range(x_indptr[i], x_indptr[i + 1]):
            if abs(x_data[p]) >= least:
                indices[n], data[n] = x_indices[p], x_data[p]
                n += 1
        indptr[i + 1] = n
    return indptr, indices[:n], data[:n]


@kernel
def _least(values, left_out):
    """The smallest absolute value that stays."""
    sizes = np.sort(np.abs(values))
    room = left_out * (np.float64(1) * sizes * sizes).sum()
    for size in sizes:
        room -= np.float64(size) ** 2
        if room < 0:
            return size
    return np.float32(0)


@kernel
def fill(x_indptr, x_indices, x_data, step, frequent, dense):
    """(indptr, row, code) of the rare features' postings; writes `dense`, which is 0 before."""
    place = np.full(step.shape[0], -1, np.int32)
    for f in range(frequent.shape[0]):
        place[frequent[f]] = f
    indptr, size = _pointers(x_indptr, x_indices, place)
    slot = indptr.copy()
    row, code = np.empty(size, np.uint16), np.empty(size, np.int8)
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
    """(indptr, size): where each feature's postings start, none for frequent ones, and the end."""
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
    return out, end


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
    n_spans = (min(BLOCK, dense.shape[0]) + SPAN - 1) // SPAN
    bounds = Bounds(
        np.empty(BLOCK, np.float32),
        np.empty(n_spans, np.float32),
        np.empty(n_spans, np.int32),
        np.empty(N_BUCKETS + 1, np.int64),
        np.empty(TOGETHER + SPAN, np.int32),
    )
    for i in range(n):
        first, last = x_indptr[i], x_indptr[i + 1]
        query = _query(index, x_indices[first:last], x_data[first:last])
        for b in range(indptr.shape[0]):
            _bound(index, b, query, bounds)
            _peaks(bounds)
            _search(index, b, query, bounds, kept, i)
        put_in_order(kept, i)


@kernel
def _query(index, indices, data):
    """A query's rare and frequent part."""
    rare, weight = np.empty(indices.shape[0], np.int32), np.empty(indices.shape[0], np.float32)
    frequent = np.zeros(index.dense.shape[1], np.float32)
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
    return Query(rare[:n_rare], weight, frequent, np.float32(np.sqrt(square)) * SLACK)


@kernel
def _bound(index, b, query, bounds):
    """Write the bound of each row of block b, and -inf after its last row."""
    bound = bounds.row
    length = index.length[b * BLOCK : (b + 1) * BLOCK]
    for r in range(length.shape[0]):
        bound[r] = query.length * length[r]
    n = query.rare.shape[0]
    starts, ends = np.empty(n, np.int64), np.empty(n, np.int64)
    for t in range(n):  # the processor waits for all of these at once
        starts[t], ends[t] = index.indptr[b, query.rare[t]], index.indptr[b, query.rare[t] + 1]
    for t in range(n):
        soon = starts[min(t + EARLIER, n - 1)]
        prefetch(index.row, soon)
        prefetch(index.code, soon)
        row, code = index.row[starts[t] : ends[t]], index.code[starts[t] : ends[t]]
        weight = query.weight[t]
        for p in range(row.shape[0]):
            bound[row[p]] += weight * np.float32(code[p])
    bound[length.shape[0] : bounds.peak.shape[0] * SPAN] = -np.inf


@inner(fastmath={"nnan", "nsz"})
def _peaks(bounds):
    """Write the largest bound of each span."""
    for s in range(bounds.peak.shape[0]):
        span = bounds.row[s * SPAN : (s + 1) * SPAN]
        peak = span[0]
        for r in range(SPAN):
            peak = span[r] if span[r] > peak else peak
        bounds.peak[s] = peak


@inner
def _search(index, b, query, bounds, kept, i):
    """Offer all rows of block b whose bound reaches the worst that is kept.

    Spans with high bounds come first, and of their rows those with high bounds, so that the bar is
    soon high.
    """
    spans = bounds.order[: _order(bounds, _bar(kept, i))]
    if spans.shape[0] > kept.ids.shape[1]:
        best = spans[: kept.ids.shape[1]]
        _visit(index, b, query, best, bounds.peak[best[-1]], bounds, kept, i)
    _visit(index, b, query, spans, np.float32(0), bounds, kept, i)


@inner
def _visit(index, b, query, spans, least, bounds, kept, i):
    """Offer the rows of some spans whose bound reaches `least` and the worst that is kept."""
    n = 0
    for s in spans:
        n = _collect(index, b, s, max(least, _bar(kept, i)), bounds, n)
        if n >= TOGETHER:
            _weigh(index, b, query, bounds, n, kept, i)
            n = 0
    _weigh(index, b, query, bounds, n, kept, i)


@inner
def _collect(index, b, s, bar, bounds, n):
    """Append the rows of span s that reach the bar to the n due ones, and have them fetched."""
    if bounds.peak[s] >= bar:
        for r in range(s * SPAN, (s + 1) * SPAN):
            if bounds.row[r] >= bar and bounds.row[r] > 0:
                bounds.due[n] = r
                n += 1
                prefetch(index.length, b * BLOCK + r)
                prefetch(index.dense, (b * BLOCK + r) * index.dense.shape[1])
    return n


@inner
def _weigh(index, b, query, bounds, n, kept, i):
    """Offer the n due rows with their similarities."""
    dense, length, bar = index.dense, index.length, _bar(kept, i)
    for r in bounds.due[:n]:
        similarity, row = bounds.row[r], b * BLOCK + np.int64(r)
        if similarity < bar:
            continue
        bounds.row[r] = -np.inf  # it is not met again
        if query.length > 0:
            similarity -= query.length * length[row]
            similarity += _product(query.frequent, dense[row])
        if similarity > 0 and similarity >= bar:
            offer(similarity, np.float32(0), np.int32(row), kept, i)
            bar = _bar(kept, i)


@inner
def _order(bounds, bar):
    """Write `order`: the spans that reach the bar, roughly those of high peaks first. How many?"""
    top, free = np.float32(0), bounds.free
    for peak in bounds.peak:
        top = max(top, peak)
    if not (top >= bar and top > 0):
        return 0
    free[:] = 0
    scale = np.float32(N_BUCKETS - 1) / top
    for peak in bounds.peak:
        if peak >= bar and peak > 0:
            free[N_BUCKETS - int(peak * scale)] += 1
    for n in range(N_BUCKETS):
        free[n + 1] += free[n]
    for s in range(bounds.peak.shape[0]):
        peak = bounds.peak[s]
        if peak >= bar and peak > 0:
            bucket = N_BUCKETS - 1 - int(peak * scale)
            bounds.order[free[bucket]] = s
            free[bucket] += 1
    return free[N_BUCKETS]


@inner
def _bar(kept, i):
    """The worst similarity that row i keeps, or 0 while it has room."""
    return kept.score[i, 0] if kept.size[i] == kept.ids.shape[1] else np.float32(0)


@inner(fastmath={"reassoc", "contract"})
def _product(weights, codes):
    """The product of two frequent parts."""
    total = np.float32(0)
    for f in range(codes.shape[0]):
        total += weights[f] * np.float32(codes[f])
    return total
