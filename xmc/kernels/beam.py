"""Descend one level of a label tree: score the children of the nodes in each row's beam, keep the
best.

Arrays of a level, besides its pages (pages.py):
    chunk_ptr      int64, (parents + 1,)   ascending: where each parent's children start
    page_ptr       int64, (parents + 1,)   ascending: where its pages start
    bias_weight    float32, (children,)
Of the beam, best first in each row, see heap.py for what is empty:
    beam_size      int64, (rows,)          nodes that a row holds
    beam_ids       int32, (rows, slots)
    beam_score     float32, (rows, slots)  paths (score.py)
Of the last level:
    labels         int32, (children,)      label of each child; empty on an inner level
    boost          float32, (labels,)      above 0, at most 1; empty if all are 1

The kernels take flat arrays, as Python passes tuples slowly, and put them together here, in the order
of layer.Layer, search.Beam and search.Search.
"""

from typing import NamedTuple

import numpy as np

from . import kernel
from .heap import Best, offer, put_in_order
from .lanes import N_LANES, prefetch
from .pages import (
    MANY,
    PAGE,
    PageMap,
    Pages,
    Room,
    Rows,
    add_margins,
    map_page,
    page_of,
    pays,
    room_for,
    room_for_map,
)
from .score import add_log_probabilities, lowest_path, probability

AHEAD = 3  # prefetch distance, in pairs: rows lie anywhere in memory


class Level(NamedTuple):
    """A level's scorers, and how their margins are meant."""

    chunk_ptr: np.ndarray
    page_ptr: np.ndarray
    bias_weight: np.ndarray
    bias: float
    transform: int
    inner: bool


class Work(NamedTuple):
    """What one page's children are scored in: float32, (256,) each."""

    margin: np.ndarray
    path: np.ndarray


@kernel
def best_children(
    x_indptr, x_indices, x_data, beam_size, beam_ids, beam_score,
    chunk_ptr, page_ptr, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child,
    weight, bias_weight, bias, transform, inner, labels, boost, size, ids, score, margin,
):  # fmt: skip
    """Write each row's best k children of the nodes in its beam, best first.

    inner: children are nodes, in order of path, and an only child takes its parent's path; else
    they are labels, in order of score.
    size, ids, score, margin: the result, see heap.Best.

    As no child scores better than its parent, nodes worse than a row's k-th best child are left
    out. Of many rows, the best nodes are scored first, then the second best, then twice as many
    each time: in order of the nodes, so that their pages stay in the cache.
    """
    rows = Rows(x_indptr, x_indices, x_data)
    pages = Pages(
        bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight
    )
    kept = Best(size, ids, score, margin)
    n_rows, k = ids.shape
    n_turns = beam_ids.shape[1]
    nodes, paths = beam_ids.reshape(-1), beam_score.reshape(-1)
    margins, own_paths = np.empty(PAGE, np.float32), np.empty(PAGE, np.float32)
    room = room_for(x_indptr)
    page_map = room_for_map(n_rows, bucket_ptr, feature_ptr, shift)
    lowest = np.full(n_rows, np.float32(-np.inf))
    size[:] = 0
    turn, until = 0, 1 if n_rows >= MANY else n_turns
    while turn < n_turns:
        pairs = _promising(turn, until, beam_size, beam_score, lowest)
        if n_rows >= MANY:
            pairs = order_by(nodes, chunk_ptr.shape[0] - 1, pairs)
        last_pair = 0
        while last_pair < pairs.shape[0]:
            first_pair, node = last_pair, nodes[pairs[last_pair]]
            last_pair = _end_of_equals(nodes, pairs, first_pair)
            first, last = chunk_ptr[node], chunk_ptr[node + 1]
            only = inner and last - first == 1
            for n in range(page_ptr[node], page_ptr[node + 1]):
                width = min(PAGE, last - first)
                page = page_of(pages, n)
                mapped = pays(last_pair - first_pair, page, x_indptr)
                if mapped:
                    map_page(page, page_map)
                for p in range(first_pair, last_pair):
                    i, path = pairs[p] // n_turns, paths[pairs[p]]
                    if p + AHEAD < pairs.shape[0]:
                        _prefetch_row(pairs[p + AHEAD] // n_turns, rows, kept, lowest)
                    if path < lowest[i]:
                        continue
                    for c in range(width):
                        margins[c] = bias * bias_weight[first + c]
                    x = slice(x_indptr[i], x_indptr[i + 1])
                    add_margins(x_indices[x], x_data[x], page, page_map, mapped, room, margins)
                    add_log_probabilities(margins, width, path, transform, own_paths)
                    if only:
                        own_paths[0] = path
                    if inner:
                        _offer_nodes(first, width, margins, own_paths, kept, i, lowest)
                    else:
                        _offer_labels(
                            labels[first : first + width], boost, margins, own_paths, kept, i, lowest
                        )
                first += width
        turn, until = until, 2 * until
    for i in range(n_rows):
        put_in_order(kept, i)


@kernel
def _offer_nodes(first, width, margins, paths, kept, i, lowest):
    k = kept.ids.shape[1]
    for c in range(width):
        if paths[c] >= lowest[i] and offer(paths[c], margins[c], np.int32(first + c), kept, i):
            if kept.size[i] == k:
                lowest[i] = kept.score[i, 0]


@kernel
def _offer_labels(labels, boost, margins, paths, kept, i, lowest):
    k = kept.ids.shape[1]
    for c in range(labels.shape[0]):
        if paths[c] >= lowest[i]:
            score = probability(paths[c])
            if boost.shape[0]:
                score *= boost[labels[c]]
            if offer(score, margins[c], labels[c], kept, i) and kept.size[i] == k:
                lowest[i] = lowest_path(kept.score[i, 0])


@kernel
def _promising(turn, until, beam_size, beam_score, lowest):
    """The nodes in slots turn..until-1 of the rows' beams that may hold one of a row's best
    children.

    They are numbered through all beams, row by row, best first.
    """
    n_rows, n_turns = beam_score.shape
    pairs = np.empty(n_rows * (min(until, n_turns) - turn), np.int64)
    n = 0
    for i in range(n_rows):
        for t in range(turn, min(until, beam_size[i])):
            if beam_score[i, t] >= lowest[i]:
                pairs[n] = i * n_turns + t
                n += 1
    return pairs[:n]


@kernel
def order_by(keys, n_keys, elements):
    """`elements`, numbers of keys, in ascending order of their keys; those of equal keys keep
    theirs.
    """
    start = np.zeros(n_keys + 1, np.int64)
    for e in elements:
        start[keys[e] + 1] += 1
    for key in range(n_keys):
        start[key + 1] += start[key]
    out = np.empty_like(elements)
    for e in elements:
        out[start[keys[e]]] = e
        start[keys[e]] += 1
    return out


@kernel
def _end_of_equals(keys, elements, first):
    """Where the elements from `first` on end whose keys are equal."""
    end = first + 1
    while end < elements.shape[0] and keys[elements[end]] == keys[elements[first]]:
        end += 1
    return end


@kernel
def _prefetch_row(i, rows, kept, lowest):
    """Have a row and its best children so far fetched into the cache."""
    for line in range(2):
        prefetch(rows.indices, rows.indptr[i] + line * N_LANES)
        prefetch(rows.data, rows.indptr[i] + line * N_LANES)
    prefetch(lowest, i)
    prefetch(kept.size, i)
    prefetch(kept.ids, i * kept.ids.shape[1])
    prefetch(kept.score, i * kept.ids.shape[1])
    prefetch(kept.margin, i * kept.ids.shape[1])


@kernel
def all_children(
    x_indptr, x_indices, x_data, row, node, path, out_ptr,
    chunk_ptr, page_ptr, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child,
    weight, bias_weight, bias, transform, labels, ids, score, margin,
):  # fmt: skip
    """Write label, probability and margin of every child of each pair of a row and a node, on the
    last level.

    row: int64. node: int32. path: float32, of the node. out_ptr: int64, where the pair's children
    go. ids, score, margin: the result.
    """
    pages = Pages(
        bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight
    )
    room = room_for(x_indptr)
    page_map = room_for_map(x_indptr.shape[0] - 1, bucket_ptr, feature_ptr, shift)
    pairs = order_by(node, chunk_ptr.shape[0] - 1, np.arange(row.shape[0]))
    last_pair = 0
    while last_pair < pairs.shape[0]:
        first_pair, parent = last_pair, node[pairs[last_pair]]
        last_pair = _end_of_equals(node, pairs, first_pair)
        first, last = chunk_ptr[parent], chunk_ptr[parent + 1]
        for n, number in enumerate(range(page_ptr[parent], page_ptr[parent + 1])):
            width = min(PAGE, last - first)
            page = page_of(pages, number)
            mapped = pays(last_pair - first_pair, page, x_indptr)
            if mapped:
                map_page(page, page_map)
            for pair in pairs[first_pair:last_pair]:
                out = slice(out_ptr[pair] + n * PAGE, out_ptr[pair] + n * PAGE + width)
                own_ids, own_score, own_margin = ids[out], score[out], margin[out]
                for c in range(width):
                    own_ids[c] = labels[first + c]
                    own_margin[c] = bias * bias_weight[first + c]
                x = slice(x_indptr[row[pair]], x_indptr[row[pair] + 1])
                add_margins(x_indices[x], x_data[x], page, page_map, mapped, room, own_margin)
                add_log_probabilities(own_margin, width, path[pair], transform, own_score)
                for c in range(width):
                    own_score[c] = probability(own_score[c])
            first += width
