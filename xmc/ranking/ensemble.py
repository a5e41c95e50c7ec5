"""Rank the labels that the members of an ensemble find together.

Each member's beam ends at nodes above the last level. Leaves below them are scored as far as they
may change the answer; kernels/ensemble.py says which those are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Rows, frozen, pointers, spans
from ..kernels.beam import score_leaves
from ..kernels.ensemble import average, best_of_members
from ..member import Member
from ..scratch import zeros
from ..topk import TopK, joined_tops
from .search import Candidates, Search, beam, room_for_best

FIRST = 2  # nodes of each beam that are scored before others are told from hopeless ones
MOST_LEAVES = 1 << 23  # below the nodes of all beams of a batch; a third is scored, 8 bytes each


class Numbers(NamedTuple):
    """Where each member has which label.

    labels: int32, (members, leaves), the label of each leaf; -1 where a member has fewer leaves.
    node_of: int32, (members, labels), the node above each label; -2 where a member lacks it.
    place_of: int32, (members, labels), which of that node's leaves is the label's.
    """

    labels: np.ndarray
    node_of: np.ndarray
    place_of: np.ndarray


class Nodes(NamedTuple):
    """What the beams of all members hold above the last level, (rows, members, slots).

    node: int32, -1 in empty slots.
    path: float32.
    best: float32, the best path of its leaves, once they were scored.
    first: int64, its first leaf.
    width: int64, its leaves; 0 in empty slots.
    """

    node: np.ndarray
    path: np.ndarray
    best: np.ndarray
    first: np.ndarray
    width: np.ndarray

    def part(self, start: int, end: int) -> Nodes:
        """Those of rows start..end-1."""
        return Nodes(*(array[start:end] for array in self))


def numbers_of(members: tuple[Member, ...]) -> Numbers:
    labels = labels_of(members)
    shape = len(members), 1 + int(labels.max(initial=0))
    node_of, place_of = np.full(shape, -2, np.int32), np.zeros(shape, np.int32)
    for node, place, member in zip(node_of, place_of, members, strict=True):
        tree, above = member.tree, member.tree.parents(member.tree.depth - 1)
        node[tree.labels] = above
        place[tree.labels] = np.arange(len(above)) - tree.chunks[-1][above]
    return Numbers(labels, frozen(node_of), frozen(place_of))


def labels_of(members: tuple[Member, ...]) -> np.ndarray:
    """The first part of `numbers_of`."""
    if len(members) == 1:
        return frozen(members[0].tree.labels[None])
    most = max(len(member.tree.labels) for member in members)
    labels = np.full((len(members), most), -1, np.int32)
    for own, member in zip(labels, members, strict=True):
        own[: len(member.tree.labels)] = member.tree.labels
    return frozen(labels)


def rank_together(
    X: Rows, members: tuple[Member, ...], numbers: Numbers, search: Search, k: int
) -> TopK:
    """The best k labels of each row by the mean over the members, without tail classifiers, and
    calibrated in their order.
    """
    nodes = _held(X, members, search)
    ends = pointers(nodes.width.sum(axis=(1, 2)))
    blocks = list(spans(ends, MOST_LEAVES)) or [(0, 0)]
    most = max(int(ends[end] - ends[start]) for start, end in blocks)
    leaves = np.empty((2, most), np.float32)  # what isn't used of it takes no memory
    top = joined_tops(
        _best(X.part(a, b), members, numbers, search, nodes.part(a, b), leaves, k)
        for a, b in blocks
    )
    return top if search.calibration is None else search.calibration.of_best(top)


def _best(
    X: Rows,
    members: tuple[Member, ...],
    numbers: Numbers,
    search: Search,
    nodes: Nodes,
    leaves: np.ndarray,
    k: int,
) -> TopK:
    """The best nodes of each beam are scored first, then four times as many each time, of those
    that are wanted then.

    leaves: room for paths and margins.
    """
    start, n_scored = np.full(nodes.width.shape, -1), 0
    kept, lowest = room_for_best(X.n_rows, k), np.full(X.n_rows, -np.inf, np.float32)
    kept.ids[:], kept.score[:] = -1, -np.inf
    wanted, until = nodes.width > 0, FIRST
    while wanted.any():
        chosen = wanted.copy()
        chosen[:, :, until:] = False
        until *= 4
        widths = nodes.width[chosen]
        start[chosen] = n_scored + np.cumsum(widths) - widths
        n_scored += int(widths.sum())
        _score(X, members, search, nodes, chosen, start, leaves)
        given = *nodes, start, *leaves, *numbers, search.boost, lowest
        best_of_members(*given, chosen, *kept, wanted)
    return TopK(kept.ids, kept.score)


def label_candidates(X: Rows, members: tuple[Member, ...], search: Search) -> Candidates:
    """Every label that a row's beam reaches, scores being path probabilities averaged over the
    members, before tail classifiers and boost.
    """
    nodes, labels = _held(X, members, search), labels_of(members)
    start = np.cumsum(nodes.width).reshape(nodes.width.shape) - nodes.width
    leaves = np.empty((2, int(nodes.width.sum())), np.float32)
    _score(X, members, search, nodes, nodes.width > 0, start, leaves)
    slot_of = zeros("slot_of", 1 + int(labels.max(initial=0)), np.int64)
    return Candidates(*average(nodes.first, nodes.width, start, *leaves, labels, slot_of))


def _held(X: Rows, members: tuple[Member, ...], search: Search) -> Nodes:
    beams = [beam(X, member.layers[:-1], search) for member in members]
    shape = X.n_rows, len(members), max(found.ids.shape[1] for found in beams)
    node, path = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    best = np.empty(shape, np.float32)
    first, width = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for n, (member, found) in enumerate(zip(members, beams, strict=True)):
        ids, chunk_ptr = found.ids, member.layers[-1].chunk_ptr
        own = slice(None), n, slice(ids.shape[1])
        node[own], path[own], first[own] = ids, found.score, chunk_ptr[ids]
        width[own] = np.where(ids < 0, 0, chunk_ptr[ids + 1] - chunk_ptr[ids])
    return Nodes(node, path, best, first, width)


def _score(
    X: Rows,
    members: tuple[Member, ...],
    search: Search,
    nodes: Nodes,
    wanted: np.ndarray,
    start: np.ndarray,
    leaves: np.ndarray,
) -> None:
    """Write path and margin of the leaves below the wanted nodes."""
    how = np.float32(search.bias), search.transform
    for n, member in enumerate(members):
        if wanted[:, n].any():
            score_leaves(
                *(X.indptr, X.indices, X.data, n, wanted, nodes.node, nodes.path, start),
                *(*member.layers[-1], *how, nodes.best, *leaves),
            )
