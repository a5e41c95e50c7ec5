"""Descend a label tree: score the children of the nodes in every row's beam, keep the best.

The weights stand in pages of 256 children at most, small enough to stay in the cache; pages.Layer
describes them.
"""

import numpy as np

from . import kernel
from .bytes import N_BYTES, as_float, count_bits, find_byte, sum_bytes
from .lanes import N_LANES, prefetch

PAGE = 256  # children
WORD = 32  # features that one word of a page's map stands for
MANY = 64  # rows from which on those with equal nodes are scored together
AHEAD = 3  # so many pairs before its turn, a pair's row is asked for: rows lie anywhere
L3_HINGE, L2_HINGE, LOG_SIGMOID = 0, 1, 2
LEAST = np.float32(
    -104
)  # a log-probability whose float32 probability is 0: no need to tell worse ones apart


@kernel
def best_children(
    x_indptr, x_indices, x_data, beam_size, beam_ids, beam_score,
    chunk_ptr, page_ptr, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
    bias_weight, bias, transform, inner, names, gain, size, ids, score, margin,
):  # fmt: skip
    """Write each row's best k children of the nodes in its beam, best first: by score, then margin,
    then smaller id.

    beam_size: nodes in each row's beam; beam_ids, beam_score: (rows, nodes), path
    log-probabilities, best first.
    chunk_ptr ... bias_weight: the layer (see pages.Layer). inner: an only child takes its parent's
    score; on the last level none does, and scores become probabilities. names: what the children
    are called; numbers if empty.
    gain: at most 0, added to the log-probability of the child of that name; none if empty.
    size, ids, score, margin: the result, in the form of the beam, -1 and -inf in empty places.

    As no child scores better than its parent, nodes worse than a row's k-th best child are left
    out. Of many rows, the best nodes are scored first, then the second best, then twice as many
    each time: in order of the nodes, so that their pages stay in the cache.
    """
    n_rows, k = ids.shape
    n_turns = beam_ids.shape[1]
    nodes, paths = beam_ids.reshape(-1), beam_score.reshape(-1)
    margins, scores = np.empty(PAGE, np.float32), np.empty(PAGE, np.float32)
    start, end, value = room_for(x_indptr)
    features, before = room_for_page(n_rows, bucket_ptr, feature_ptr, shift)
    size[:] = 0
    turn, until = 0, 1 if n_rows >= MANY else n_turns
    while turn < n_turns:
        pairs = _promising(turn, until, beam_size, beam_score, size, score)
        if n_rows >= MANY:
            pairs = order_by(nodes, chunk_ptr.shape[0] - 1, pairs)
        last_pair = 0
        while last_pair < pairs.shape[0]:
            first_pair, node = last_pair, nodes[pairs[last_pair]]
            last_pair = _end_of_equals(nodes, pairs, first_pair)
            first, last = chunk_ptr[node], chunk_ptr[node + 1]
            only = inner and last - first == 1
            for page in range(page_ptr[node], page_ptr[node + 1]):
                width = min(PAGE, last - first)
                mapped = pays(last_pair - first_pair, page, x_indptr, feature_ptr)
                if mapped:
                    map_page(
                        page, bucket_ptr, feature_ptr, shift, bucket, low, more, features, before
                    )
                for p in range(first_pair, last_pair):
                    i, path = pairs[p] // n_turns, paths[pairs[p]]
                    if p + AHEAD < pairs.shape[0]:
                        _ask_for(
                            pairs[p + AHEAD] // n_turns,
                            x_indptr,
                            x_indices,
                            x_data,
                            size,
                            ids,
                            score,
                            margin,
                        )
                    if size[i] == k and path < score[i, 0]:
                        continue
                    for c in range(width):
                        margins[c] = bias * bias_weight[first + c]
                    x = slice(x_indptr[i], x_indptr[i + 1])
                    add_margins(
                        x_indices[x], x_data[x], page, mapped, features, before,
                        bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
                        start, end, value, margins,
                    )  # fmt: skip
                    add_log_probabilities(margins, width, path, transform, scores)
                    if only:
                        scores[0] = path
                    if gain.shape[0]:
                        for c in range(width):
                            scores[c] = max(scores[c] + gain[names[first + c]], LEAST)
                    for c in range(width):
                        if size[i] < k or scores[c] >= score[i, 0]:
                            name = names[first + c] if names.shape[0] else np.int32(first + c)
                            _offer(scores[c], margins[c], name, size, ids, score, margin, i)
                first += width
        turn, until = until, 2 * until
    for i in range(n_rows):
        _finish(size[i], ids, score, margin, i)
        if not inner:
            for c in range(size[i]):
                score[i, c] = np.exp(score[i, c])


@kernel
def _promising(turn, until, beam_size, beam_score, size, score):
    """The nodes at the places turn..until-1 of the rows' beams that may hold one of a row's best
    children.

    They are numbered through all beams, row by row, best first.
    """
    n_rows, n_turns = beam_score.shape
    pairs = np.empty(n_rows * (min(until, n_turns) - turn), np.int64)
    n = 0
    for i in range(n_rows):
        for t in range(turn, min(until, beam_size[i])):
            if size[i] < score.shape[1] or beam_score[i, t] >= score[i, 0]:
                pairs[n] = i * n_turns + t
                n += 1
    return pairs[:n]


@kernel
def order_by(keys, n_keys, elements):
    """`elements`, numbers of keys, in ascending order of their keys; those of equal keys keep
    theirs.
    """
    place = np.zeros(n_keys + 1, np.int64)
    for e in elements:
        place[keys[e] + 1] += 1
    for key in range(n_keys):
        place[key + 1] += place[key]
    out = np.empty_like(elements)
    for e in elements:
        out[place[keys[e]]] = e
        place[keys[e]] += 1
    return out


@kernel
def _end_of_equals(keys, elements, first):
    """Where the elements from `first` on end whose keys are equal."""
    end = first + 1
    while end < elements.shape[0] and keys[elements[end]] == keys[elements[first]]:
        end += 1
    return end


@kernel
def _ask_for(i, x_indptr, x_indices, x_data, size, ids, score, margin):
    """Have a row and its best children so far fetched into the cache."""
    for line in range(2):
        prefetch(x_indices, x_indptr[i] + line * N_LANES)
        prefetch(x_data, x_indptr[i] + line * N_LANES)
    prefetch(size, i)
    prefetch(ids, i * ids.shape[1])
    prefetch(score, i * ids.shape[1])
    prefetch(margin, i * ids.shape[1])


@kernel
def all_children(
    x_indptr, x_indices, x_data, row, node, path, out_ptr,
    chunk_ptr, page_ptr, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
    bias_weight, bias, transform, names, ids, score, margin,
):  # fmt: skip
    """Write name, path probability and margin of every child of each (row, node, log-probability),
    on the last level.

    out_ptr: where each pair's children go.
    """
    start, end, value = room_for(x_indptr)
    features, before = room_for_page(x_indptr.shape[0] - 1, bucket_ptr, feature_ptr, shift)
    pairs = order_by(node, chunk_ptr.shape[0] - 1, np.arange(row.shape[0]))
    last_pair = 0
    while last_pair < pairs.shape[0]:
        first_pair, parent = last_pair, node[pairs[last_pair]]
        last_pair = _end_of_equals(node, pairs, first_pair)
        first, last = chunk_ptr[parent], chunk_ptr[parent + 1]
        for n, page in enumerate(range(page_ptr[parent], page_ptr[parent + 1])):
            width = min(PAGE, last - first)
            mapped = pays(last_pair - first_pair, page, x_indptr, feature_ptr)
            if mapped:
                map_page(page, bucket_ptr, feature_ptr, shift, bucket, low, more, features, before)
            for pair in pairs[first_pair:last_pair]:
                out = slice(out_ptr[pair] + n * PAGE, out_ptr[pair] + n * PAGE + width)
                own_ids, own_score, own_margin = ids[out], score[out], margin[out]
                for c in range(width):
                    own_ids[c] = names[first + c]
                    own_margin[c] = bias * bias_weight[first + c]
                x = slice(x_indptr[row[pair]], x_indptr[row[pair] + 1])
                add_margins(
                    x_indices[x], x_data[x], page, mapped, features, before,
                    bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
                    start, end, value, own_margin,
                )  # fmt: skip
                add_log_probabilities(own_margin, width, path[pair], transform, own_score)
                for c in range(width):
                    own_score[c] = np.exp(own_score[c])
            first += width


@kernel
def room_for(x_indptr):
    """What `add_margins` works in: one int64, int64 and float32 per feature of the longest row."""
    longest = 0
    for i in range(x_indptr.shape[0] - 1):
        longest = max(longest, x_indptr[i + 1] - x_indptr[i])
    return np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.float32)


@kernel
def room_for_page(n_rows, bucket_ptr, feature_ptr, shift):
    """Where `map_page` writes the map of any page of a layer; for few rows none is drawn."""
    n_words, n_features = 0, 0
    if n_rows >= MANY:
        for page in range(shift.shape[0]):
            n_buckets = bucket_ptr[page + 1] - bucket_ptr[page] - 1
            n_words = max(n_words, ((n_buckets << np.int64(shift[page])) + WORD - 1) // WORD)
            n_features = max(n_features, feature_ptr[page + 1] - feature_ptr[page])
    return np.empty((n_words, 2), np.uint32), np.empty(n_features + 1, np.uint32)


@kernel
def pays(n_rows, page, x_indptr, feature_ptr):
    """Whether so many rows are looked up sooner on a page if it is mapped first."""
    n_all = x_indptr.shape[0] - 1
    n_features = feature_ptr[page + 1] - feature_ptr[page]
    return n_all >= MANY and n_rows * (x_indptr[n_all] // n_all) >= n_features


@kernel
def map_page(page, bucket_ptr, feature_ptr, shift, bucket, low, more, features, before):
    """Draw a map on which many rows' features are found without comparing.

    features: for each 32 features, how many of smaller number the page has, and a bit for each that
    it has itself.
    before: entries before each of the page's features and after the last.
    """
    features[:] = 0
    f, n_entries = feature_ptr[page], 0
    first_bucket, first_feature, bits = bucket_ptr[page], f, np.int64(shift[page])
    for b in range(bucket_ptr[page + 1] - first_bucket - 1):
        last = first_feature + np.int64(bucket[first_bucket + b + 1, 0])
        while f < last:
            j = (b << bits) + np.int64(low[f])
            features[j // WORD, 1] |= np.uint32(1 << j % WORD)
            before[f - first_feature] = n_entries
            n_entries += np.int64(more[f]) + 1
            f += 1
    before[f - first_feature] = n_entries
    n_features = 0
    for w in range(features.shape[0]):
        features[w, 0] = n_features
        n_features += count_bits(np.int64(features[w, 1]))


@kernel
def add_margins(
    x_indices, x_data, page, mapped, features, before,
    bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
    start, end, value, margin,
):  # fmt: skip
    """Add the weights of a row's features on a page to the margins of the page's children.

    mapped: whether `features` and `before` are the map of this page. start, end, value: what
    `room_for` gives. First all features are found and their entries asked for, then they are added
    up: so that memory is waited for once.
    """
    if mapped:
        found = _find_on_map(
            x_indices, x_data, entry_ptr[page], features, before, child, weight, start, end, value
        )
    else:
        found = _find_in_buckets(
            x_indices, x_data, page, bucket_ptr, feature_ptr, entry_ptr, shift, bucket, low, more, child, weight,
            start, end, value,
        )  # fmt: skip
    for p in range(np.uint64(found)):
        own = value[p] * scale[page]
        for e in range(np.uint64(start[p]), np.uint64(end[p])):
            margin[child[e]] += own * as_float(weight[e])


@kernel
def _find_in_buckets(
    x_indices, x_data, page, bucket_ptr, feature_ptr, entry_ptr, shift, bucket, low, more, child, weight,
    start, end, value,
):  # fmt: skip
    """Write where the entries of a row's features on a page start and end, and the features'
    values; gives how many.
    """
    first_bucket, first_feature, first_entry = bucket_ptr[page], feature_ptr[page], entry_ptr[page]
    counts = bucket.reshape(-1)
    bits = np.int64(shift[page])
    mask = (np.int64(1) << bits) - 1
    found = np.uint64(0)
    for p in range(np.uint64(x_indices.shape[0])):
        b = np.uint64(2 * (first_bucket + (np.int64(x_indices[p]) >> bits)))
        f, last = (
            first_feature + np.int64(counts[b]),
            first_feature + np.int64(counts[b + np.uint64(2)]),
        )
        e = first_entry + np.int64(counts[b + np.uint64(1)])
        wanted = np.uint8(np.int64(x_indices[p]) & mask)
        at = find_byte(low, f, wanted)
        while at == N_BYTES and f + N_BYTES < last:
            e += sum_bytes(more, f, np.int64(N_BYTES)) + N_BYTES
            f += N_BYTES
            at = find_byte(low, f, wanted)
        if f + at < last and at < N_BYTES:
            e += sum_bytes(more, f, at) + at
            start[found] = e
            end[found] = e + np.int64(more[np.uint64(f + at)]) + 1
            value[found] = x_data[p]
            _ask_for_entries(e, child, weight)
            found += np.uint64(1)
    return np.int64(found)


@kernel
def _find_on_map(
    x_indices, x_data, first_entry, features, before, child, weight, start, end, value
):
    """As `_find_in_buckets`. What isn't there is written too, and then overwritten: guessing wrong
    costs more.
    """
    found = 0
    for p in range(np.uint64(x_indices.shape[0])):
        w, bit = (
            np.uint64(x_indices[p]) // np.uint64(WORD),
            np.int64(1) << np.int64(x_indices[p]) % WORD,
        )
        word = np.int64(features[w, 1])
        start[np.uint64(found)] = np.int64(features[w, 0]) + count_bits(word & (bit - 1))
        value[np.uint64(found)] = x_data[p]
        found += np.int64((word & bit) != 0)
    for p in range(np.uint64(found)):
        f = np.uint64(start[p])
        start[p] = first_entry + np.int64(before[f])
        end[p] = first_entry + np.int64(before[f + np.uint64(1)])
        _ask_for_entries(start[p], child, weight)
    return found


@kernel
def _ask_for_entries(e, child, weight):
    prefetch(child, e)
    prefetch(weight, e)
    prefetch(weight, e + N_LANES)


@kernel
def add_log_probabilities(margin, width, path, transform, out):
    """Write `path` + the log-probability of each child given its parent, which is at most 0 and
    rises with the margin.

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


@kernel
def best(indptr, candidate_ids, candidate_score, candidate_margin, size, ids, score, margin):
    """Write each row's best k candidates, best first, into (rows, k), and how many there are into
    `size`.
    """
    size[:] = 0
    for i in range(ids.shape[0]):
        for c in range(indptr[i], indptr[i + 1]):
            _offer(
                candidate_score[c],
                candidate_margin[c],
                candidate_ids[c],
                size,
                ids,
                score,
                margin,
                i,
            )
        _finish(size[i], ids, score, margin, i)


@kernel
def _offer(new_score, new_margin, new_id, size, ids, score, margin, i):
    """Add a candidate to row i, a heap with the worst on top, or put it in the worst's place if it
    is better.
    """
    at = size[i]
    if at == ids.shape[1]:
        if new_score < score[i, 0] or not _before(
            new_score, new_margin, new_id, score[i, 0], margin[i, 0], ids[i, 0]
        ):
            return
        _sink(new_score, new_margin, new_id, at, ids, score, margin, i)
        return
    size[i] += 1
    while at > 0:  # rise above all that are better
        above = (at - 1) // 2
        if not _before(
            score[i, above], margin[i, above], ids[i, above], new_score, new_margin, new_id
        ):
            break
        score[i, at], margin[i, at], ids[i, at] = score[i, above], margin[i, above], ids[i, above]
        at = above
    score[i, at], margin[i, at], ids[i, at] = new_score, new_margin, new_id


@kernel
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
        if not _before(
            new_score, new_margin, new_id, score[i, below], margin[i, below], ids[i, below]
        ):
            break
        score[i, at], margin[i, at], ids[i, at] = score[i, below], margin[i, below], ids[i, below]
        at = below
    score[i, at], margin[i, at], ids[i, at] = new_score, new_margin, new_id


@kernel
def _finish(size, ids, score, margin, i):
    """Put row i's heap in order, best first, and mark the places after it as empty."""
    ids[i, size:] = -1
    score[i, size:] = -np.inf
    for last in range(size - 1, 0, -1):
        last_score, last_margin, last_id = score[i, last], margin[i, last], ids[i, last]
        score[i, last], margin[i, last], ids[i, last] = score[i, 0], margin[i, 0], ids[i, 0]
        _sink(last_score, last_margin, last_id, last, ids, score, margin, i)


@kernel
def _before(score_a, margin_a, id_a, score_b, margin_b, id_b):
    if score_a != score_b:
        return score_a > score_b
    if margin_a != margin_b:
        return margin_a > margin_b
    return id_a < id_b


@kernel
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
