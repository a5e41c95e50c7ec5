"""Descend trained trees with many rows at once, by beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Rows, frozen
from ..kernels.beam import all_children, best_children
from ..kernels.heap import best
from ..kernels.score import (
    L2_HINGE,
    L3_HINGE,
    LOG_SIGMOID,
    add_log_probabilities,
    average,
    probability,
)
from ..layer import Layer
from ..member import Member
from ..params import LabelTreeParams
from ..topk import TopK
from .calibration import Calibration
from .tail import Tail, with_tail

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
MOST_CANDIDATES = 1 << 20  # of a batch of rows; 12 bytes each
MOST_ROWS = 32768  # of a batch: many, so that each page is read for many of them
NO_LABELS = frozen(np.empty(0, np.int32))  # children on inner levels are nodes
NO_BOOST = frozen(np.empty(0, np.float32))


class Search(NamedTuple):
    """How to descend and to score; kernels/score.py says what scores are.

    beam_size: nodes kept per level.
    bias: value of the constant feature.
    transform: how a margin becomes a log-probability, one of TRANSFORMS.
    boost: float32, above 0 and at most 1, what each label's probability is multiplied by; empty for
        no boost.
    tail: tail classifiers, which have their share in scores before the boost; None for none.
    calibration: what scores are as probabilities, before the boost; None to leave them.
    """

    beam_size: int
    bias: float
    transform: int
    boost: np.ndarray = NO_BOOST
    tail: Tail | None = None
    calibration: Calibration | None = None


class Beam(NamedTuple):
    """The best nodes or labels of each row, best first; slots from the `size`-th on are empty.

    size: int64, one per row.
    ids: int32, (rows, slots), -1 in empty slots.
    score: float32, (rows, slots), paths of nodes, scores of labels, -inf in empty slots.
    margin: float32, (rows, slots).
    """

    size: np.ndarray
    ids: np.ndarray
    score: np.ndarray
    margin: np.ndarray


class Candidates(NamedTuple):
    """Scored labels of each row, in any order.

    indptr: int64, where each row's candidates start.
    ids: int32.
    score: float32.
    margin: float32, averaged over the members that found the label.
    """

    indptr: np.ndarray
    ids: np.ndarray
    score: np.ndarray
    margin: np.ndarray


def beam(X: Rows, layers: Sequence[Layer], search: Search) -> Beam:
    """The best `beam_size` nodes of each row below the given inner layers, with their paths."""
    n = X.n_rows
    found = Beam(np.ones(n, np.int64), np.zeros((n, 1), np.int32), *np.zeros((2, n, 1), np.float32))
    for layer in layers:
        size = min(search.beam_size, len(layer.bias_weight))  # as many nodes as there are
        found = _best_children(X, found, layer, search, NO_LABELS, size)
    return found


def rank(X: Rows, members: tuple[Member, ...], search: Search, k: int) -> TopK:
    """The best k labels of each row that its beam reaches."""
    if _needs_candidates(members, search):
        return best_of(X, label_candidates(X, members, search), search, k)
    (member,) = members
    found = beam(X, member.layers[:-1], search)
    kept = _best_children(X, found, member.layers[-1], search, member.tree.labels, k)
    top = TopK(kept.ids, kept.score)
    return top if search.calibration is None else search.calibration.of_best(top)


def best_of(X: Rows, found: Candidates, search: Search, k: int) -> TopK:
    """The best k of the candidates of each row. Calibrated scores that are equal keep the order of
    those that they come from.
    """
    if search.calibration is None or len(search.boost):
        return as_topk(scored(X, found, search), k)
    return search.calibration.of_best(as_topk(found, k))


def scored(X: Rows, found: Candidates, search: Search) -> Candidates:
    """Candidates with the scores that `rank` ranks by and shows, of what `label_candidates` found.

    The last steps of kernels/score.py: tail classifiers have their share, or scores become
    probabilities; then the boost.
    """
    score = found.score if search.calibration is None else search.calibration.of(found.score)
    if search.tail is not None:
        score = with_tail(X, found.indptr, found.ids, score, search.tail)
    if len(search.boost):
        score = search.boost[found.ids] * score
    return found._replace(score=score)


def label_candidates(X: Rows, members: tuple[Member, ...], search: Search) -> Candidates:
    """Every label that a row's beam reaches, scores being path probabilities averaged over the
    members, before tail classifiers and boost.
    """
    pairs = [_leaf_pairs(X, member, search) for member in members]
    row = np.concatenate([pair.row for pair in pairs])
    width = np.concatenate([pair.width for pair in pairs])
    order = np.argsort(row, kind="stable")  # a row's members one after another
    start = np.empty(len(row), np.int64)
    start[order] = np.cumsum(width[order]) - width[order]
    n_found = np.bincount(row, width, X.n_rows).astype(np.int64)
    found = _room_for_candidates(np.concatenate([[0], np.cumsum(n_found)]))
    ends = np.cumsum([len(pair.row) for pair in pairs])[:-1]
    for member, pair, out_ptr in zip(members, pairs, np.split(start, ends), strict=True):
        all_children(
            *(X.indptr, X.indices, X.data, *pair[:3], out_ptr, *member.layers[-1]),
            *(np.float32(search.bias), search.transform, member.tree.labels, *found[1:]),
        )
    if len(members) == 1:
        return found
    n_ids = 1 + max(int(member.tree.labels.max(initial=0)) for member in members)
    return Candidates(*average(*found, len(members), n_ids))


class _LeafPairs(NamedTuple):
    """Rows with the nodes of their beams above the last level.

    row: int64.
    node: int32.
    path: float32, of the node.
    width: int64, children of the node.
    """

    row: np.ndarray
    node: np.ndarray
    path: np.ndarray
    width: np.ndarray


def _leaf_pairs(X: Rows, member: Member, search: Search) -> _LeafPairs:
    found = beam(X, member.layers[:-1], search)
    row, slot = np.nonzero(np.arange(found.ids.shape[1]) < found.size[:, None])
    node = found.ids[row, slot]
    width = np.diff(member.layers[-1].chunk_ptr)[node]
    return _LeafPairs(row, node, found.score[row, slot], width)


def as_topk(found: Candidates, k: int) -> TopK:
    """The best k labels of each row."""
    kept = room_for_best(len(found.indptr) - 1, k)
    best(*found, *kept)
    return TopK(kept.ids, kept.score)


def rows_per_batch(
    members: tuple[Member, ...], search: Search, all_candidates: bool = False
) -> int:
    """Rows to rank at once: fewer if their candidates are written down, which takes memory.

    all_candidates: whether they are in any case, as by `label_candidates`; `rank` does it only if
    it must.
    """
    if not all_candidates and not _needs_candidates(members, search):
        return MOST_ROWS
    widest = 1
    for member in members:
        widths = np.sort(np.diff(member.layers[-1].chunk_ptr))
        widest += int(widths[-search.beam_size :].sum())
    return max(1, min(MOST_ROWS, MOST_CANDIDATES // widest))


def _needs_candidates(members: tuple[Member, ...], search: Search) -> bool:
    """Whether ranking writes all candidates down: to average them, for tail classifiers, or to
    boost what is calibrated.
    """
    calibrates = search.calibration is not None and len(search.boost) > 0
    return len(members) > 1 or search.tail is not None or calibrates


def row_blocks(n_rows: int, size: int) -> list[tuple[int, int]]:
    """Ranges of at most `size` rows."""
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def room_for_best(n_rows: int, k: int) -> Beam:
    shape = n_rows, k
    return Beam(
        np.empty(n_rows, np.int64),
        np.empty(shape, np.int32),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
    )


def _room_for_candidates(indptr: np.ndarray) -> Candidates:
    n = indptr[-1]
    return Candidates(
        indptr, np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
    )


def _best_children(
    X: Rows, found: Beam, layer: Layer, search: Search, labels: np.ndarray, k: int
) -> Beam:
    """The best k children of the nodes in each row's beam: labels on the last level, on inner ones
    nodes, as NO_LABELS says.
    """
    kept, inner = room_for_best(X.n_rows, k), labels is NO_LABELS
    how = np.float32(search.bias), search.transform, inner, labels, search.boost
    best_children(X.indptr, X.indices, X.data, *found[:3], *layer, *how, *kept)
    return kept


def search_of(params: LabelTreeParams) -> Search:
    """How to descend with these parameters."""
    return Search(params.beam_size, float(params.bias), TRANSFORMS[params.score_transform])


def probability_at_0(transform: int) -> np.float32:
    """The probability of a label whose margin is 0, on a tree of one level."""
    return np.float32(probability(log_probability(0, transform)))


def log_probability(margin: float, transform: int) -> np.float32:
    """log p of a child with this margin, given its parent."""
    out = np.empty(1, np.float32)
    add_log_probabilities(np.array([margin], np.float32), 1, np.float32(0), transform, out)
    return out[0]
