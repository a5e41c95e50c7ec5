"""Descend a label tree: score the children of the nodes in every row's beam, keep the best.

The weights stand in pages of 256 children at most, small enough to stay in the cache; pages.Layer describes them.
"""

import numpy as np
from numba import njit

from .bytes import N_BYTES, as_float, find_byte, sum_bytes
from .lanes import N_LANES, prefetch

PAGE = 256  # children
L3_HINGE, L2_HINGE, LOG_SIGMOID = 0, 1, 2
LEAST = np.float32(-104)  # a log-probability whose float32 probability is 0: no need to tell worse ones apart


@njit(nogil=True, cache=True)
def best_children(
    x_indptr, x_indices, x_data, beam_size, beam_ids, beam_score,
    chunk_ptr, page_ptr, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
    bias_weight, bias, transform, inner, names, gain, size, ids, score, margin,
):  # fmt: skip
    """Write each row's best k children of the nodes in its beam, best first: by score, then margin, then smaller id.

    beam_size: nodes in each row's beam; beam_ids, beam_score: (rows, nodes), path log-probabilities, best first.
    chunk_ptr ... bias_weight: the layer (see pages.Layer). inner: an only child takes its parent's score; on the last
    level none does, and scores become probabilities. names: what the children are called; numbers if empty.
    gain: at most 0, added to the log-probability of the child of that name; none if empty.
    size, ids, score, margin: the result, in the form of the beam, -1 and -inf in empty places.

    The rows' best nodes are scored first, equal nodes one after another, so that their page stays in the cache; then
    the second best. As no child scores better than its parent, nodes worse than a row's k-th best child are left out.
    """
    n_rows, k = ids.shape
    margins, paths = np.empty(PAGE, np.float32), np.empty(PAGE, np.float32)
    start, end, value = room_for(x_indptr)
    rows = np.empty(n_rows, np.int64)
    nodes = np.empty(n_rows, np.int64)
    size[:] = 0
    for turn in range(beam_ids.shape[1]):
        n = 0
        for i in range(n_rows):
            if turn < beam_size[i] and (size[i] < k or beam_score[i, turn] >= score[i, 0]):
                rows[n], nodes[n] = i, beam_ids[i, turn]
                n += 1
        for r in np.argsort(nodes[:n]):
            i, node, path = rows[r], nodes[r], beam_score[rows[r], turn]
            x = slice(x_indptr[i], x_indptr[i + 1])
            first, last = chunk_ptr[node], chunk_ptr[node + 1]
            only = inner and last - first == 1
            for page in range(page_ptr[node], page_ptr[node + 1]):
                width = min(PAGE, last - first)
                for c in range(width):
                    margins[c] = bias * bias_weight[first + c]
                add_margins(
                    x_indices[x], x_data[x], page,
                    bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
                    start, end, value, margins,
                )  # fmt: skip
                add_log_probabilities(margins, width, path, transform, paths)
                if only:
                    paths[0] = path
                if gain.shape[0]:
                    for c in range(width):
                        paths[c] = max(paths[c] + gain[names[first + c]], LEAST)
                for c in range(width):
                    if size[i] < k or paths[c] >= score[i, 0]:
                        name = names[first + c] if names.shape[0] else np.int32(first + c)
                        _offer(paths[c], margins[c], name, size, ids, score, margin, i)
                first += width
    for i in range(n_rows):
        _finish(size[i], ids, score, margin, i)
        if not inner:
            for c in range(size[i]):
                score[i, c] = np.exp(score[i, c])


@njit(nogil=True, cache=True)
def room_for(x_indptr):
    """What `add_margins` works in."""
    longest = 0
    for i in range(x_indptr.shape[0] - 1):
        longest = max(longest, x_indptr[i + 1] - x_indptr[i])
    return np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.float32)


@njit(nogil=True, cache=True)
def all_children(
    x_indptr, x_indices, x_data, row, node, path, out_ptr,
    chunk_ptr, page_ptr, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
    bias_weight, bias, transform, names, ids, score, margin,
):  # fmt: skip
    """Write name, path probability and margin of every child of each (row, node, log-probability), on the last level.

    out_ptr: where each pair's children go.
    """
    start, end, value = room_for(x_indptr)
    for pair in np.argsort(node):
        x = slice(x_indptr[row[pair]], x_indptr[row[pair] + 1])
        first, last = chunk_ptr[node[pair]], chunk_ptr[node[pair] + 1]
        out = slice(out_ptr[pair], out_ptr[pair] + last - first)
        own_ids, own_score, own_margin = ids[out], score[out], margin[out]
        for c in range(last - first):
            own_ids[c] = names[first + c]
            own_margin[c] = bias * bias_weight[first + c]
        for n, page in enumerate(range(page_ptr[node[pair]], page_ptr[node[pair] + 1])):
            add_margins(
                x_indices[x], x_data[x], page,
                bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
                start, end, value, own_margin[n * PAGE :],
            )  # fmt: skip
        add_log_probabilities(own_margin, last - first, path[pair], transform, own_score)
        for c in range(last - first):
            own_score[c] = np.exp(own_score[c])


@njit(nogil=True, cache=True)
def add_margins(
    x_indices, x_data, page, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
    start, end, value, margin,
):  # fmt: skip
    """Add the weights of a row's features on a page to the margins of the page's children.

    start, end, value: one int64, int64 and float32 per feature of the row, to work in. First all features are found and
    their entries asked for, then they are added up: so that memory is waited for once.
    """
    first_bucket, first_feature, first_entry = bucket_ptr[page], feature_ptr[page], entry_ptr[page]
    bits = np.int64(shift[page])
    mask = (np.int64(1) << bits) - 1
    found = 0
    for p in range(x_indices.shape[0]):
        b = first_bucket + (np.int64(x_indices[p]) >> bits)
        f, last = first_feature + np.int64(bucket[b, 0]), first_feature + np.int64(bucket[b + 1, 0])
        e = first_entry + np.int64(bucket[b, 1])
        wanted = np.uint8(np.int64(x_indices[p]) & mask)
        at = find_byte(low, f, wanted)
        while at == N_BYTES and f + N_BYTES < last:
            e += sum_bytes(more, f, np.int64(N_BYTES)) + N_BYTES
            f += N_BYTES
            at = find_byte(low, f, wanted)
        if f + at < last and at < N_BYTES:
            start[found] = e + sum_bytes(more, f, at) + at
            end[found] = start[found] + np.int64(more[f + at]) + 1
            value[found] = x_data[p] * scale[page]
            prefetch(child, start[found])
            prefetch(weight, start[found])
            prefetch(weight, start[found] + N_LANES)
            found += 1
    for p in range(found):
        for e in range(np.uint64(start[p]), np.uint64(end[p])):
            margin[child[e]] += value[p] * as_float(weight[e])


@njit(nogil=True, cache=True)
def add_log_probabilities(margin, width, path, transform, out):
    """Write `path` + the log-probability of each child given its parent, which is at most 0 and rises with the margin.

    One loop per transform, without branches: many children at a time.
    """
    if transform == LOG_SIGMOID:
        for c in range(width):
            out[c] = path + min(np.float32(0), margin[c]) - np.log1p(np.exp(-abs(margin[c])))
    elif transform == L3_HINGE:
        for c in range(width):
            short = max(np.float32(0), np.float32(1) - margin[c])
            out[c] = path - short * short * short
    else:
        for c in range(width):
            short = max(np.float32(0), np.float32(1) - margin[c])
            out[c] = path - short * short
    for c in range(width):
        out[c] = max(out[c], LEAST)


@njit(nogil=True, cache=True)
def best(indptr, candidate_ids, candidate_score, candidate_margin, size, ids, score, margin):
    """Write each row's best k candidates, best first, into (rows, k), and how many there are into `size`."""
    size[:] = 0
    for i in range(ids.shape[0]):
        for c in range(indptr[i], indptr[i + 1]):
            _offer(candidate_score[c], candidate_margin[c], candidate_ids[c], size, ids, score, margin, i)
        _finish(size[i], ids, score, margin, i)


@njit(nogil=True, cache=True)
def _offer(new_score, new_margin, new_id, size, ids, score, margin, i):
    """Add a candidate to row i, a heap with the worst on top, or put it in the worst's place if it is better."""
    at = size[i]
    if at == ids.shape[1]:
        if new_score < score[i, 0] or not _before(new_score, new_margin, new_id, score[i, 0], margin[i, 0], ids[i, 0]):
            return
        _sink(new_score, new_margin, new_id, at, ids, score, margin, i)
        return
    size[i] += 1
    while at > 0:  # rise above all that are better
        above = (at - 1) // 2
        if not _before(score[i, above], margin[i, above], ids[i, above], new_score, new_margin, new_id):
            break
        score[i, at], margin[i, at], ids[i, at] = score[i, above], margin[i, above], ids[i, above]
        at = above
    score[i, at], margin[i, at], ids[i, at] = new_score, new_margin, new_id


@njit(nogil=True, cache=True)
def _sink(new_score, new_margin, new_id, size, ids, score, margin, i):
    """Replace the top of row i's heap."""
    at = 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and _before(
            score[i, below], margin[i, below], ids[i, below],
            score[i, below + 1], margin[i, below + 1], ids[i, below + 1],
        ):  # fmt: skip
            below += 1
        if not _before(new_score, new_margin, new_id, score[i, below], margin[i, below], ids[i, below]):
            break
        score[i, at], margin[i, at], ids[i, at] = score[i, below], margin[i, below], ids[i, below]
        at = below
    score[i, at], margin[i, at], ids[i, at] = new_score, new_margin, new_id


@njit(nogil=True, cache=True)
def _finish(size, ids, score, margin, i):
    """Put row i's heap in order, best first, and mark the places after it as empty."""
    ids[i, size:] = -1
    score[i, size:] = -np.inf
    for last in range(size - 1, 0, -1):
        last_score, last_margin, last_id = score[i, last], margin[i, last], ids[i, last]
        score[i, last], margin[i, last], ids[i, last] = score[i, 0], margin[i, 0], ids[i, 0]
        _sink(last_score, last_margin, last_id, last, ids, score, margin, i)


@njit(nogil=True, cache=True)
def _before(score_a, margin_a, id_a, score_b, margin_b, id_b):
    if score_a != score_b:
        return score_a > score_b
    if margin_a != margin_b:
        return margin_a > margin_b
    return id_a < id_b


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


@njit(nogil=True, cache=True)
def count_buckets(feature, sizes, shift, n_buckets):
    """Features and entries before each bucket and after the last; sizes: entries of each feature."""
    bucket = np.zeros((n_buckets + 1, 2), np.uint32)
    for f in range(feature.shape[0]):
        bucket[(feature[f] >> shift) + 1, 0] += np.uint32(1)
        bucket[(feature[f] >> shift) + 1, 1] += np.uint32(sizes[f])
    for b in range(n_buckets):
        bucket[b + 1, 0] += bucket[b, 0]
        bucket[b + 1, 1] += bucket[b, 1]
    return bucket
