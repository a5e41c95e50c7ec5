"""What the members of an ensemble say of labels together, and which nodes may change the answer.

Each member's beam holds nodes above the last level, and scoring one gives each label below it a
path in that member. Arrays of the nodes, (rows, members, slots):
    node       int32       its number; -1 in empty slots
    path       float32     of the node (score.py)
    best       float32     the best path of its leaves, once they were scored
    first      int64       its first leaf
    width      int64       how many leaves it has; 0 in empty slots
    start      int64       where its leaves start in the arrays below; -1 unless they were scored
Of the leaves that were scored, those of a node one after another:
    leaf_path  float32
    margin     float32
Of each member:
    labels     int32, (members, leaves)     the label of each leaf
    node_of    int32, (members, labels)     the node above each label; -2 if the member lacks it
    place_of   int32, (members, labels)     which of the leaves of that node is the label's
"""

from typing import NamedTuple

import numpy as np

from . import inner, kernel
from .heap import Best, offer, put_in_order
from .lanes import N_LANES, load, reaches
from .score import NORMAL, lowest_path, probability

MORE = np.float32(1 + 1e-5)  # relative, what rounding may add to the probability of a path


class Nodes(NamedTuple):
    """The nodes of all rows' beams."""

    node: np.ndarray
    path: np.ndarray
    best: np.ndarray
    first: np.ndarray
    width: np.ndarray
    start: np.ndarray


class Leaves(NamedTuple):
    """The leaves that were scored, and where each member has which label."""

    path: np.ndarray
    margin: np.ndarray
    labels: np.ndarray
    node_of: np.ndarray
    place_of: np.ndarray


@kernel
def best_of_members(
    node, path, best, first, width, start, leaf_path, leaf_margin, labels, node_of, place_of, boost,
    lowest, scored, size, ids, score, margin, wanted,
):  # fmt: skip
    """Write each row's best k labels by what is scored so far, and which other nodes are wanted, as
    they may change that.

    A score is a mean over the members, so one of them has at least as much: a label that matters
    has a path in some member that is not below the lowest. It is found there, with the best of its
    paths, and its other leaves are looked up. A node is wanted if it may hold that best path; or
    one more path of a label that may be among the best k with it.
    boost: as in beam.py.
    lowest: float32, (rows,), the path below which no label matters, so far; raised here.
    scored: bool, what has been scored since the last call; other rows are left alone.
    size, ids, score, margin: the result, see heap.Best.
    wanted: bool.
    """
    nodes = Nodes(node, path, best, first, width, start)
    leaves = Leaves(leaf_path, leaf_margin, labels, node_of, place_of)
    kept = Best(size, ids, score, margin)
    n_rows, n_members, n_slots = path.shape
    most_open = leaf_path.shape[0]  # of a row, and more
    open_ids, open_most = np.empty(most_open, np.int32), np.empty(most_open, np.float32)
    for i in range(n_rows):
        if not scored[i].any():
            continue
        if lowest[i] == -np.inf:
            lowest[i] = _lowest_by_one(i, nodes, leaves, boost, kept)
        size[i], n_open = 0, 0
        for slot in range(n_slots):  # the best nodes first, so that few labels are looked up
            for member in range(n_members):
                if start[i, member, slot] >= 0 and best[i, member, slot] >= lowest[i]:
                    n_open = _offer_below(
                        i, member, slot, nodes, leaves, boost, kept, lowest,
                        n_open, open_ids, open_most,
                    )  # fmt: skip
        for member in range(n_members):
            for slot in range(n_slots):
                new = start[i, member, slot] < 0 and width[i, member, slot] > 0
                wanted[i, member, slot] = new and path[i, member, slot] >= lowest[i]
        least = score[i, 0] if size[i] == ids.shape[1] else np.float32(0)
        for n in range(n_open):
            if open_most[n] >= least:
                _want(i, open_ids[n], nodes, leaves, wanted)
        put_in_order(kept, i)


@inner(forceinline=True)
def _lowest_by_one(i, nodes, leaves, boost, kept):
    """A path below which no label matters, by the best node of the first member alone: a score is
    at least a member's share of it.
    """
    start, n_members, k = nodes.start[i, 0, 0], nodes.path.shape[1], kept.ids.shape[1]
    kept.size[i] = 0
    if boost.shape[0] or start < 0 or nodes.width[i, 0, 0] < k:
        return np.float32(-np.inf)
    for c in range(start, start + nodes.width[i, 0, 0]):
        if kept.size[i] < k or leaves.path[c] > kept.score[i, 0]:
            offer(leaves.path[c], np.float32(0), np.int32(0), kept, i)
    return lowest_path(np.float32(probability(kept.score[i, 0]) / n_members))


@inner(forceinline=True)
def _offer_below(
    i, member, slot, nodes, leaves, boost, kept, lowest, n_open, open_ids, open_most
):  # fmt: skip
    """Offer the labels of a node to row i that have their best path there, and note those that may
    have more, and how much; gives how many are noted.
    """
    n_members, k = nodes.path.shape[1], kept.ids.shape[1]
    start, first = nodes.start[i, member, slot], nodes.first[i, member, slot]
    low, width = lowest[i], nodes.width[i, member, slot]
    for done in range(0, width, N_LANES):  # most have nothing to offer
        left = width - done
        if left >= N_LANES and not reaches(load(leaves.path, start + done), low):
            continue
        for c in range(done, done + min(left, N_LANES)):
            path = leaves.path[start + c]
            if path < low:
                continue
            label = leaves.labels[member, first + c]
            total, most, margin, n_found, n_more = _together(i, member, path, label, nodes, leaves)
            if not n_found:
                continue
            if n_more:  # even if they can't change the sum: they change the mean of the margins
                open_ids[n_open], open_most[n_open] = label, _boosted(most, n_members, label, boost)
                n_open += 1
            own = _boosted(total, n_members, label, boost)
            if offer(own, np.float32(margin / n_found), label, kept, i) and kept.size[i] == k:
                low = max(low, lowest_path(kept.score[i, 0]))
    lowest[i] = low
    return n_open


@inner
def _want(i, label, nodes, leaves, wanted):
    """Want the nodes that hold more of a label."""
    for member in range(nodes.path.shape[1]):
        slot = _slot_of(i, member, leaves.node_of[member, label], nodes)
        if slot >= 0 and nodes.start[i, member, slot] < 0:
            wanted[i, member, slot] = True


@inner(forceinline=True)
def _together(i, member, path, label, nodes, leaves):
    """What a label with this path in a member has for certain, what it has at most, the sum of its
    margins, in how many members it was scored, and in how many more it may be; scored in 0 if its
    path is better in another member, or as good in an earlier one.

    Sums go from member to member, so that they round alike, whatever is known so far.
    """
    for other in range(nodes.path.shape[1]):
        at, _ = _leaf_of(i, other, label, nodes, leaves)
        if at >= 0:
            own = leaves.path[at]
            if own > path or (own == path and other < member):
                return np.float32(0), np.float32(0), np.float32(0), 0, 0
    total, most, margin = np.float32(0), np.float32(0), np.float32(0)
    n_found, n_more = 0, 0
    for other in range(nodes.path.shape[1]):
        at, slot = _leaf_of(i, other, label, nodes, leaves)
        if at >= 0:
            p = probability(leaves.path[at])
            total += p
            most += p
            margin += leaves.margin[at]
            n_found += 1
        elif slot >= 0:
            most += probability(nodes.path[i, other, slot]) * MORE + NORMAL
            n_more += 1
    return total, most, margin, n_found, n_more


@inner(forceinline=True)
def _leaf_of(i, member, label, nodes, leaves):
    """Where the leaf of a label was scored, -1 if it wasn't, and the slot of the node above it."""
    slot = _slot_of(i, member, leaves.node_of[member, label], nodes)
    if slot < 0 or nodes.start[i, member, slot] < 0:
        return -1, slot
    return nodes.start[i, member, slot] + leaves.place_of[member, label], slot


@inner(forceinline=True)
def _slot_of(i, member, node, nodes):
    """The slot of a node, -1 if the beam doesn't hold it."""
    found = -1
    for slot in range(nodes.node.shape[2]):  # all of them: where it ends can't be foretold
        if nodes.node[i, member, slot] == node:
            found = slot
    return found


@inner(forceinline=True)
def _boosted(total, n_members, label, boost):
    """The score of a label, of the sum of its probabilities."""
    score = np.float32(total / n_members)
    if boost.shape[0]:
        score *= boost[label]
    return score


@kernel
def average(first, width, start, leaf_path, leaf_margin, labels, slot_of):
    """All labels of the nodes, which are all scored: the sum of their probabilities over the number
    of members, the mean of their margins. A member that lacks the label adds 0.

    slot_of: int64, a zero for each label, and zero again in the end.
    Gives (pointers, ids, scores, margins), a row's labels in the order in which they come first.
    """
    n_rows, n_members, n_slots = width.shape
    indptr, n = np.zeros(n_rows + 1, np.int64), leaf_path.shape[0]
    ids, n_found = np.empty(n, np.int32), np.empty(n, np.int32)
    score, margin = np.empty(n, np.float32), np.empty(n, np.float32)
    end = 0
    for i in range(n_rows):
        for member in range(n_members):
            for slot in range(n_slots):
                for c in range(width[i, member, slot]):
                    label = labels[member, first[i, member, slot] + c]
                    if not slot_of[label]:
                        ids[end], score[end], margin[end], n_found[end] = label, 0, 0, 0
                        end += 1
                        slot_of[label] = end
                    out, leaf = slot_of[label] - 1, start[i, member, slot] + c
                    score[out] += probability(leaf_path[leaf])
                    margin[out] += leaf_margin[leaf]
                    n_found[out] += 1
        for out in range(indptr[i], end):
            score[out] /= n_members
            margin[out] /= n_found[out]
            slot_of[ids[out]] = 0
        indptr[i + 1] = end
    return indptr, ids[:end].copy(), score[:end].copy(), margin[:end].copy()
