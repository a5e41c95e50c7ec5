"""Descend one level of a label tree: score the children of the nodes in each row's beam, keep the
best.

Arrays of a level, besides those of its pages (pages.py):
    chunk_ptr      int64, (parents + 1,)    where each parent's children start; ascending
    page_ptr       int64, (parents + 1,)    where its pages start; ascending
    bias_weight    float32, (children,)     weight of the constant feature, whose value is `bias`
    labels         int32, (children,)       label of each child; empty on an inner level
    boost          float32, (labels,)       above 0, at most 1; empty if all are 1
Of the beam (heap.py says what is empty):
    beam_size      int64, (rows,)           nodes that a row holds
    beam_ids       int32, (rows, slots)     their numbers, best first
    beam_score     float32, (rows, slots)   their paths (score.py); descending

Kernels that Python calls take flat arrays, as it passes tuples slowly. The order is that of
layer.Layer and search.Beam, and a test holds it.

Reading a field of a tuple counts a reference, and handing a tuple on copies the header of each
array. Both can be measured where they are done for every node of one row: fields are read once
there, and functions inlined.
"""

from typing import NamedTuple

import numpy as np

from . import inner, kernel
from .heap import Best, offer, put_in_order
from .lanes import N_LANES, largest, load, maximum, prefetch
from .pages import (
    MANY,
    PAGE,
    Pages,
    Rows,
    add_margins,
    map_page,
    page_of,
    pays,
    room_for,
    room_for_map,
)
from .score import LEAST, add_log_probabilities, lowest_path, probability

AHEAD = 3  # prefetch distance, in pairs: rows lie anywhere in memory


class Beam(NamedTuple):
    """The nodes that each row holds, best first."""

    size: np.ndarray
    ids: np.ndarray
    score: np.ndarray


class Pairs(NamedTuple):
    """Pairs of a row and a node, in any order.

    node: int32.
    path: float32, of the node in the row's beam.
    start: int64, where the node's children go in the result.
    """

    node: np.ndarray
    path: np.ndarray
    start: np.ndarray


class Level(NamedTuple):
    """The scorers of a level, and what their margins mean."""

    chunk_ptr: np.ndarray
    page_ptr: np.ndarray
    pages: Pages
    bias_weight: np.ndarray
    bias: float
    transform: int
    inner: bool
    labels: np.ndarray
    boost: np.ndarray


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
    """
    pages = Pages(
        bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight
    )
    level = Level(chunk_ptr, page_ptr, pages, bias_weight, bias, transform, inner, labels, boost)
    rows, beam = Rows(x_indptr, x_indices, x_data), Beam(beam_size, beam_ids, beam_score)
    _descend(rows, beam, level, Best(size, ids, score, margin))


@kernel
def _descend(rows, beam, level, kept):
    """Fill and order the heaps of all rows.

    No child has a better path than its parent, so nodes are left out whose own path is worse than
    that of a row's k-th best child. Of many rows, the best nodes are scored first, then the second
    best, then twice as many each time: in order of the nodes, so that their pages stay in the
    cache.
    """
    n_rows, n_slots = beam.ids.shape
    nodes, paths = beam.ids.reshape(-1), beam.score.reshape(-1)
    indptr, indices, data = rows
    chunk_ptr, page_ptr, pages, bias_weight, bias, transform, inner, labels, boost = level
    margins, own_paths = np.empty(PAGE, np.float32), np.empty(PAGE, np.float32)
    room, page_map = room_for(indptr), room_for_map(n_rows, pages)
    lowest = np.full(n_rows, np.float32(-np.inf))  # the path below which a row keeps no child
    kept.size[:] = 0
    slot, until = 0, 1 if n_rows >= MANY else n_slots
    while slot < n_slots:
        pairs = _promising(slot, until, beam, lowest)
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
                mapped = pays(last_pair - first_pair, page, indptr)
                if mapped:
                    map_page(page, page_map)
                for p in range(first_pair, last_pair):
                    i, path = pairs[p] // n_slots, paths[pairs[p]]
                    if p + AHEAD < pairs.shape[0]:
                        _prefetch_row(pairs[p + AHEAD] // n_slots, rows)
                        _prefetch_best(pairs[p + AHEAD] // n_slots, kept, lowest)
                    if path < lowest[i]:
                        continue
                    for c in range(width):
                        margins[c] = bias * bias_weight[first + c]
                    x = slice(indptr[i], indptr[i + 1])
                    add_margins(indices[x], data[x], page, page_map, mapped, room, margins)
                    add_log_probabilities(margins, width, path, transform, own_paths)
                    if only:
                        own_paths[0] = path
                    if inner:
                        _offer_nodes(first, width, margins, own_paths, kept, i, lowest)
                    else:
                        own = labels[first : first + width]
                        _offer_labels(own, boost, margins, own_paths, kept, i, lowest)
                first += width
        slot, until = until, 2 * until
    for i in range(n_rows):
        put_in_order(kept, i)


@inner(forceinline=True)
def _offer_nodes(first, width, margins, paths, kept, i, lowest):
    """Offer the children of a page, nodes from `first` on, to row i."""
    k = kept.ids.shape[1]
    for c in range(width):
        if paths[c] >= lowest[i] and offer(paths[c], margins[c], np.int32(first + c), kept, i):
            if kept.size[i] == k:
                lowest[i] = kept.score[i, 0]


@inner(forceinline=True)
def _offer_labels(labels, boost, margins, paths, kept, i, lowest):
    """Offer the children of a page, labels, to row i. Only paths that may enter need exp."""
    k = kept.ids.shape[1]
    for c in range(labels.shape[0]):
        if paths[c] >= lowest[i]:
            score = probability(paths[c])
            if boost.shape[0]:
                score *= boost[labels[c]]
            if offer(score, margins[c], labels[c], kept, i) and kept.size[i] == k:
                lowest[i] = lowest_path(kept.score[i, 0])


@kernel
def _promising(first, until, beam, lowest):
    """The nodes in slots first..until-1 of the rows' beams that may hold one of a row's best
    children.

    They are numbered through all beams, row by row, best first.
    """
    n_rows, n_slots = beam.score.shape
    pairs = np.empty(n_rows * (min(until, n_slots) - first), np.int64)
    n = 0
    for i in range(n_rows):
        for slot in range(first, min(until, beam.size[i])):
            if beam.score[i, slot] >= lowest[i]:
                pairs[n] = i * n_slots + slot
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


@inner
def _end_of_equals(keys, elements, first):
    """Where the elements from `first` on end whose keys are equal."""
    end = first + 1
    while end < elements.shape[0] and keys[elements[end]] == keys[elements[first]]:
        end += 1
    return end


@inner
def _prefetch_row(i, rows):
    """Have a row fetched into the cache."""
    for line in range(2):
        prefetch(rows.indices, rows.indptr[i] + line * N_LANES)
        prefetch(rows.data, rows.indptr[i] + line * N_LANES)


@inner
def _prefetch_best(i, kept, lowest):
    """Have a row's best children so far fetched into the cache."""
    prefetch(lowest, i)
    prefetch(kept.size, i)
    prefetch(kept.ids, i * kept.ids.shape[1])
    prefetch(kept.score, i * kept.ids.shape[1])
    prefetch(kept.margin, i * kept.ids.shape[1])


@kernel
def score_leaves(
    x_indptr, x_indices, x_data, member, wanted, node, path, start,
    chunk_ptr, page_ptr, bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child,
    weight, bias_weight, bias, transform, best, leaf_path, leaf_margin,
):  # fmt: skip
    """Write path and margin of every leaf below the wanted nodes of one member, and the best path
    below each of them.

    wanted, node, path, start: of all members, see ensemble.py; wanted is bool.
    best, leaf_path, leaf_margin: the result.
    """
    pages = Pages(
        bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight
    )
    none, unboosted = np.empty(0, np.int32), np.empty(0, np.float32)
    level = Level(chunk_ptr, page_ptr, pages, bias_weight, bias, transform, False, none, unboosted)
    rows = Rows(x_indptr, x_indices, x_data)
    pairs = Pairs(node.reshape(-1), path.reshape(-1), start.reshape(-1))
    chosen = _wanted_of(member, wanted)
    if wanted.shape[0] >= MANY:
        chosen = order_by(pairs.node, chunk_ptr.shape[0] - 1, chosen)
    per_row = wanted.shape[1] * wanted.shape[2]
    _score_all(rows, chosen, per_row, pairs, level, best.reshape(-1), leaf_path, leaf_margin)


@kernel
def _wanted_of(member, wanted):
    """The wanted nodes of a member, numbered through all rows, members and slots."""
    n_rows, n_members, n_slots = wanted.shape
    chosen = np.empty(n_rows * n_slots, np.int64)
    n = 0
    for i in range(n_rows):
        for slot in range(n_slots):
            if wanted[i, member, slot]:
                chosen[n] = (i * n_members + member) * n_slots + slot
                n += 1
    return chosen[:n]


@kernel
def _score_all(rows, chosen, per_row, pairs, level, best, leaf_path, leaf_margin):
    indptr, indices, data = rows
    node, path, start = pairs
    chunk_ptr, page_ptr, pages, bias_weight, bias, transform, _, _, _ = level
    room, page_map = room_for(indptr), room_for_map(indptr.shape[0] - 1, pages)
    margins, own_paths = np.empty(PAGE, np.float32), np.empty(PAGE, np.float32)
    last_pair = 0
    while last_pair < chosen.shape[0]:
        first_pair, parent = last_pair, node[chosen[last_pair]]
        last_pair = _end_of_equals(node, chosen, first_pair)
        first, last = chunk_ptr[parent], chunk_ptr[parent + 1]
        done = 0  # children on earlier pages
        for n in range(page_ptr[parent], page_ptr[parent + 1]):
            width = min(PAGE, last - first)
            page = page_of(pages, n)
            mapped = pays(last_pair - first_pair, page, indptr)
            if mapped:
                map_page(page, page_map)
            for p in range(first_pair, last_pair):
                pair = chosen[p]
                if p + AHEAD < chosen.shape[0]:
                    _prefetch_row(chosen[p + AHEAD] // per_row, rows)
                    prefetch(leaf_path, start[chosen[p + AHEAD]] + done)
                    prefetch(leaf_margin, start[chosen[p + AHEAD]] + done)
                for c in range(width):
                    margins[c] = bias * bias_weight[first + c]
                x = slice(indptr[pair // per_row], indptr[pair // per_row + 1])
                add_margins(indices[x], data[x], page, page_map, mapped, room, margins)
                add_log_probabilities(margins, width, path[pair], transform, own_paths)
                own_best = _best_of(own_paths, width)
                best[pair] = max(best[pair], own_best) if done else own_best
                out = start[pair] + done
                for c in range(width):
                    leaf_path[out + c] = own_paths[c]
                    leaf_margin[out + c] = margins[c]
            first += width
            done += width


@inner
def _best_of(paths, width):
    """The best of the first paths; others up to a multiple of 16 are overwritten."""
    paths[width : -(-width // N_LANES) * N_LANES] = LEAST
    best = load(paths, 0)
    for c in range(N_LANES, width, N_LANES):
        best = maximum(best, load(paths, c))
    return largest(best)
