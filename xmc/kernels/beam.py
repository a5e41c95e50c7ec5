"""Descend a label tree: score the chunks that a row's beam holds, keep the best."""

import numpy as np
from numba import njit

L3_HINGE, L2_HINGE, LOG_SIGMOID = 0, 1, 2


@njit(nogil=True, cache=True)
def score_chunks(
    x_indptr, x_indices, x_data, row, node, log_p, order, out_indptr,
    chunk_ptr, feature_ptr, features, entry_ptr, child, weight, bias_weight,
    bias, transform, passes, place, margin, score,
):  # fmt: skip
    """Write margin and path log-probability of every child of each (row, node) of the beam.

    row, node, log_p: the beam, one entry per pair; order: the pairs so that equal nodes stand together.
    out_indptr: where each pair's children go in `margin` and `score`.
    chunk_ptr ... bias_weight: the layer (see layer.Layer). Features ascend in rows and chunks.
    passes: an only child takes its parent's score, as on inner levels.
    place: one int32 per feature, all 0, returned so.
    """
    start = 0
    while start < order.shape[0]:
        chunk = node[order[start]]
        end, n_entries = start, 0
        while end < order.shape[0] and node[order[end]] == chunk:
            n_entries += x_indptr[row[order[end]] + 1] - x_indptr[row[order[end]]]
            end += 1
        first, last = feature_ptr[chunk], feature_ptr[chunk + 1]
        spread = n_entries > last - first
        if spread:
            for f in range(first, last):
                place[features[f]] = f - first + 1
        width = chunk_ptr[chunk + 1] - chunk_ptr[chunk]
        for r in range(start, end):
            pair = order[r]
            out = out_indptr[pair]
            for c in range(width):
                margin[out + c] = bias * bias_weight[chunk_ptr[chunk] + c]
            low = first
            for p in range(x_indptr[row[pair]], x_indptr[row[pair] + 1]):
                if spread:
                    f = first + place[x_indices[p]] - 1
                    if f < first:
                        continue
                else:
                    low = _lower_bound(features, low, last, x_indices[p])
                    if low == last:
                        break
                    if features[low] != x_indices[p]:
                        continue
                    f = low
                for e in range(entry_ptr[f], entry_ptr[f + 1]):
                    margin[out + np.int64(child[e])] += x_data[p] * weight[e]
            for c in range(width):
                score[out + c] = log_p[pair] + _log_probability(margin[out + c], transform)
            if passes and width == 1:
                score[out] = log_p[pair]
        if spread:
            for f in range(first, last):
                place[features[f]] = 0
        start = end


@njit(nogil=True, cache=True)
def _lower_bound(features, low, last, wanted):
    """First place from `low` on whose feature is at least `wanted`: doubling steps, then halving."""
    step = 1
    while low + step < last and features[low + step] < wanted:
        low += step
        step *= 2
    high = min(low + step, last)
    while low < high:
        middle = (low + high) // 2
        if features[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def _log_probability(margin, transform):
    if transform == LOG_SIGMOID:
        if margin < 0:
            return np.float32(margin - np.log1p(np.exp(margin)))
        return np.float32(-np.log1p(np.exp(-margin)))
    short = max(np.float32(0), np.float32(1) - margin)
    return -short * short * short if transform == L3_HINGE else -short * short


@njit(nogil=True, cache=True)
def best(indptr, ids, score, margin, k, out_indptr, out_ids, out_score, out_margin):
    """Write each row's best k candidates, best first: by score, then margin, then the smaller id.

    out_indptr: room for min(k, candidates of the row) per row.
    """
    heap = np.empty(k, np.int64)
    for i in range(indptr.shape[0] - 1):
        size = 0
        for c in range(indptr[i], indptr[i + 1]):
            if size < k:
                heap[size] = c
                size += 1
                if size == k:
                    for top in range(k // 2 - 1, -1, -1):
                        _sift(heap, top, size, ids, score, margin)
            elif _before(c, heap[0], ids, score, margin):
                heap[0] = c
                _sift(heap, 0, size, ids, score, margin)
        if size < k:
            for top in range(size // 2 - 1, -1, -1):
                _sift(heap, top, size, ids, score, margin)
        for place in range(out_indptr[i] + size - 1, out_indptr[i] - 1, -1):
            worst = heap[0]
            out_ids[place] = ids[worst]
            out_score[place] = score[worst]
            out_margin[place] = margin[worst]
            size -= 1
            heap[0] = heap[size]
            _sift(heap, 0, size, ids, score, margin)


@njit(nogil=True, cache=True)
def _before(a, b, ids, score, margin):
    if score[a] != score[b]:
        return score[a] > score[b]
    if margin[a] != margin[b]:
        return margin[a] > margin[b]
    return ids[a] < ids[b]


@njit(nogil=True, cache=True)
def _sift(heap, top, size, ids, score, margin):
    """Move heap[top] down until no child comes after it in the order of `_before`: the worst stands on top."""
    item = heap[top]
    while 2 * top + 1 < size:
        below = 2 * top + 1
        if below + 1 < size and _before(heap[below], heap[below + 1], ids, score, margin):
            below += 1
        if not _before(item, heap[below], ids, score, margin):
            break
        heap[top] = heap[below]
        top = below
    heap[top] = item


@njit(nogil=True, cache=True)
def average(indptr, ids, score, margin, n_members, n_ids):
    """Candidates of the same row and id become one, the first's place: score summed / n_members, margin averaged.

    Gives (pointers, ids, scores, margins).
    """
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out_ids = np.empty(ids.shape[0], np.int32)
    out_score = np.empty(ids.shape[0], np.float32)
    out_margin = np.empty(ids.shape[0], np.float32)
    place = np.full(n_ids, np.int64(-1))
    found = np.zeros(ids.shape[0], np.int32)
    t = 0
    for i in range(indptr.shape[0] - 1):
        start = t
        for c in range(indptr[i], indptr[i + 1]):
            at = place[ids[c]]
            if at < start:
                at = t
                place[ids[c]] = t
                out_ids[t], out_score[t], out_margin[t] = ids[c], 0, 0
                t += 1
            out_score[at] += score[c]
            out_margin[at] += margin[c]
            found[at] += 1
        for at in range(start, t):
            out_score[at] /= n_members
            out_margin[at] /= found[at]
        out_indptr[i + 1] = t
    return out_indptr, out_ids[:t].copy(), out_score[:t].copy(), out_margin[:t].copy()
