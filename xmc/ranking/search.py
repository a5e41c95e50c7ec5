"""Descend trained trees with many rows at once, by beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Rows, frozen
from ..kernels.beam import L2_HINGE, L3_HINGE, LOG_SIGMOID, all_children, best, best_children
from ..kernels.candidates import average
from ..layer import Layer
from ..model import Member
from ..params import LabelTreeParams
from ..topk import TopK
from .tail import Tail, with_tail

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
BLOCK_CANDIDATES = 1 << 20
MOST_ROWS = 32768  # many, so that each page is read for many of them
NUMBERS = frozen(np.empty(0, np.int32))  # children on inner levels have no names
NOTHING = frozen(np.empty(0, np.float32))


class Search(NamedTuple):
    """How to descend: nodes kept per level, value of the constant feature, margin to
    log-probability.

    gain: float32, at most 0, what ranking adds to each label's log-probability; empty for nothing.
    tail: what has a share in ranking's scores, before the gain.
    """

    beam_size: int
    bias: float
    transform: int
    gain: np.ndarray = NOTHING
    tail: Tail | None = None


class Beam(NamedTuple):
    """The best nodes or labels of each row, best first: (rows, most) each, -1 and -inf from the
    `size`-th on.

    size: int64, one per row; ids int32, scores and margins float32.
    """

    size: np.ndarray
    ids: np.ndarray
    score: np.ndarray
    margin: np.ndarray


class Candidates(NamedTuple):
    """Scored labels of each row: pointers int64, ids int32, scores and margins float32."""

    indptr: np.ndarray
    ids: np.ndarray
    score: np.ndarray
    margin: np.ndarray


def beam(X: Rows, layers: Sequence[Layer], search: Search) -> Beam:
    """The best `beam_size` nodes of each row below the given inner layers, scores being path
    log-probabilities.
    """
    n = X.n_rows
    found = Beam(np.ones(n, np.int64), np.zeros((n, 1), np.int32), *np.zeros((2, n, 1), np.float32))
    for layer in layers:
        found = _best_children(X, found, layer, search, NUMBERS, search.beam_size)
    return found


def rank(X: Rows, members: tuple[Member, ...], search: Search, k: int) -> TopK:
    """The best k labels of each row that its beam reaches."""
    if _needs_all_candidates(members, search):
        found = label_candidates(X, members, search)
        score = found.score if search.tail is None else with_tail(X, *found[:3], search.tail)
        gain = np.exp(search.gain)[found.ids] if len(search.gain) else np.float32(1)
        return as_topk(found._replace(score=score * gain), k)
    (member,) = members
    found = beam(X, member.layers[:-1], search)
    kept = _best_children(X, found, member.layers[-1], search, member.tree.labels, k)
    return TopK(kept.ids, kept.score)


def label_candidates(X: Rows, members: tuple[Member, ...], search: Search) -> Candidates:
    """Every label that a row's beam reaches, scores being path probabilities averaged over the
    members.
    """
    pairs = [_leaf_pairs(X, member, search) for member in members]
    row, width = (np.concatenate([pair[column] for pair in pairs]) for column in (0, 3))
    order = np.argsort(row, kind="stable")  # a row's members one after another
    start = np.empty(len(row), np.int64)
    start[order] = np.cumsum(width[order]) - width[order]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, width, X.n_rows).astype(np.int64))])
    n = indptr[-1]
    found = Candidates(
        indptr, np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
    )
    ends = np.cumsum([len(pair[0]) for pair in pairs])[:-1]
    for member, (row, node, path, _), out_ptr in zip(
        members, pairs, np.split(start, ends), strict=True
    ):
        all_children(
            *(X.indptr, X.indices, X.data, row, node, path, out_ptr, *member.layers[-1]),
            *(np.float32(search.bias), search.transform, member.tree.labels, *found[1:]),
        )
    if len(members) == 1:
        return found
    n_ids = 1 + max(int(member.tree.labels.max(initial=0)) for member in members)
    return Candidates(*average(*found, len(members), n_ids))


def _leaf_pairs(X: Rows, member: Member, search: Search) -> tuple[np.ndarray, ...]:
    """Row, node, log-probability and number of children of every node in a row's beam above the
    last level.
    """
    found = beam(X, member.layers[:-1], search)
    row, place = np.nonzero(np.arange(found.ids.shape[1]) < found.size[:, None])
    node = found.ids[row, place]
    return row, node, found.score[row, place], np.diff(member.layers[-1].chunk_ptr)[node]


def as_topk(found: Candidates, k: int) -> TopK:
    """The best k labels of each row."""
    kept = _room(len(found.indptr) - 1, k)
    best(*found, *kept)
    return TopK(kept.ids, kept.score)


def rank_block(members: tuple[Member, ...], search: Search) -> int:
    """Rows to `rank` at once."""
    return block_size(members, search) if _needs_all_candidates(members, search) else MOST_ROWS


def _needs_all_candidates(members: tuple[Member, ...], search: Search) -> bool:
    """Whether ranking writes them down, which takes memory: to average them, or for tail
    classifiers.
    """
    return len(members) > 1 or search.tail is not None


def block_size(members: tuple[Member, ...], search: Search) -> int:
    """Rows whose candidates take a moderate amount of memory."""
    widest = 1
    for member in members:
        widths = np.sort(np.diff(member.layers[-1].chunk_ptr))
        widest += int(widths[-search.beam_size :].sum())
    return max(1, min(MOST_ROWS, BLOCK_CANDIDATES // widest))


def row_blocks(n_rows: int, size: int) -> list[tuple[int, int]]:
    """Ranges of at most `size` rows."""
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def slice_rows(X: Rows, start: int, end: int) -> Rows:
    """Rows start..end-1, without copying values."""
    first, last = X.indptr[start], X.indptr[end]
    return Rows(
        frozen(X.indptr[start : end + 1] - first),
        X.indices[first:last],
        X.data[first:last],
        X.n_features,
    )


def _room(n_rows: int, k: int) -> Beam:
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
    NUMBERS.
    """
    kept, inner = _room(X.n_rows, k), labels is NUMBERS
    best_children(
        *(X.indptr, X.indices, X.data, *found[:3], *layer),
        *(
            np.float32(search.bias),
            search.transform,
            inner,
            labels,
            NOTHING if inner else search.gain,
            *kept,
        ),
    )
    return kept


def search_of(params: LabelTreeParams) -> Search:
    """How to descend with these parameters."""
    return Search(
        params.beam_size, float(params.bias), TRANSFORMS[params.score_transform]
    )
