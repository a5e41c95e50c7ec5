"""Descend trained trees with many rows at once, by beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Rows, frozen
from ..kernels.beam import best_children
from ..kernels.heap import best
from ..kernels.score import (
    L2_HINGE,
    L3_HINGE,
    LOG_SIGMOID,
    add_log_probabilities,
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
MOST_HELD = 1 << 22  # nodes in the beams of a batch; 40 bytes each at most
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


def best_labels(X: Rows, member: Member, search: Search, k: int) -> TopK:
    """The best k labels of each row that its beam reaches in one tree, without tail classifiers."""
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


def as_topk(found: Candidates, k: int) -> TopK:
    """The best k labels of each row."""
    kept = room_for_best(len(found.indptr) - 1, k)
    best(*found, *kept)
    return TopK(kept.ids, kept.score)


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
