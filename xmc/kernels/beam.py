"""Descend a label tree: score the children of the nodes in every row's beam, keep the best."""

import numpy as np

from . import kernel
from .heap import finish, offer
from .lanes import N_LANES, prefetch
from .pages import MANY, PAGE, add_margins, map_page, pays, room_for, room_for_page
from .score import LEAST, add_log_probabilities

AHEAD = 3  # so many pairs before its turn, a pair's row is asked for: rows lie anywhere


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
                            offer(scores[c], margins[c], name, size, ids, score, margin, i)
                first += width
        turn, until = until, 2 * until
    for i in range(n_rows):
        finish(size[i], ids, score, margin, i)
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
