"""Descend trained trees with many rows at once, by beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .kernels.beam import L2_HINGE, L3_HINGE, LOG_SIGMOID, average, best, score_chunks
from .layer import Layer
from .matrix import Rows, frozen
from .topk import TopK
from .tree import LabelTree

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
BLOCK_CANDIDATES = 1 << 20


class Member(NamedTuple):
    """A trained tree: one layer per level."""

    tree: LabelTree
    layers: tuple[Layer, ...]


class Search(NamedTuple):
    """How to descend: nodes kept per level, value of the constant feature, margin to log-probability."""

    beam_size: int
    bias: float
    transform: int


class Candidates(NamedTuple):
    """Scored nodes or labels of each row: pointers int64, ids int32, scores and margins float32."""

    indptr: np.ndarray
    ids: np.ndarray
    score: np.ndarray
    margin: np.ndarray


def beam(X: Rows, layers: Sequence[Layer], search: Search) -> Candidates:
    """The best `beam_size` nodes of each row below the given inner layers, scores being path log-probabilities."""
    n = X.n_rows
    found = Candidates(np.arange(n + 1), np.zeros(n, np.int32), np.zeros(n, np.float32), np.zeros(n, np.float32))
    for layer in layers:
        found = top(_children(X, found, layer, search, inner=True), search.beam_size)
    return found


def label_candidates(X: Rows, members: tuple[Member, ...], search: Search) -> Candidates:
    """Every label that a row's beam reaches, scores being path probabilities averaged over the members."""
    each = [_member_candidates(X, member, search) for member in members]
    if len(each) == 1:
        return each[0]
    merged = _side_by_side(each)
    n_ids = 1 + max(int(member.tree.labels.max(initial=0)) for member in members)
    return Candidates(*average(*merged, len(members), n_ids))


def top(found: Candidates, k: int) -> Candidates:
    """The best k candidates of each row, best first: by score, margin, smaller id."""
    indptr = np.concatenate([[0], np.cumsum(np.minimum(np.diff(found.indptr), k))])
    kept = Candidates(
        indptr, np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32), np.empty(indptr[-1], np.float32)
    )
    best(*found, int(np.diff(indptr).max(initial=0)), *kept)
    return kept


def as_topk(found: Candidates, k: int) -> TopK:
    """The best k labels of each row."""
    kept = top(found, k)
    counts = np.diff(kept.indptr)
    filled = np.arange(k) < counts[:, None]
    result = TopK(np.full(filled.shape, -1, np.int32), np.full(filled.shape, -np.inf, np.float32))
    result.labels[filled] = kept.ids
    result.scores[filled] = kept.score
    return result


def block_size(members: tuple[Member, ...], search: Search) -> int:
    """Rows whose candidates take a moderate amount of memory."""
    widest = 1
    for member in members:
        widths = np.sort(np.diff(member.layers[-1].chunk_ptr))
        widest += int(widths[-search.beam_size :].sum())
    return max(1, min(4096, BLOCK_CANDIDATES // widest))


def row_blocks(n_rows: int, size: int) -> list[tuple[int, int]]:
    """Ranges of at most `size` rows."""
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def slice_rows(X: Rows, start: int, end: int) -> Rows:
    """Rows start..end-1, without copying values."""
    first, last = X.indptr[start], X.indptr[end]
    return Rows(frozen(X.indptr[start : end + 1] - first), X.indices[first:last], X.data[first:last], X.n_features)


def _member_candidates(X: Rows, member: Member, search: Search) -> Candidates:
    found = beam(X, member.layers[:-1], search)
    leaves = _children(X, found, member.layers[-1], search, inner=False)
    return leaves._replace(ids=member.tree.labels[leaves.ids], score=np.exp(leaves.score))


def _children(X: Rows, found: Candidates, layer: Layer, search: Search, inner: bool) -> Candidates:
    """The children of each row's nodes, scored."""
    widths = np.diff(layer.chunk_ptr)[found.ids]
    pair_ptr = np.concatenate([[0], np.cumsum(widths)])
    rows = np.repeat(np.arange(X.n_rows, dtype=np.int32), np.diff(found.indptr))
    order = np.argsort(found.ids, kind="stable")
    margin, score = np.empty(pair_ptr[-1], np.float32), np.empty(pair_ptr[-1], np.float32)
    place = np.zeros(X.n_features, np.int32)
    score_chunks(
        *(X.indptr, X.indices, X.data, rows, found.ids, found.score, order, pair_ptr, *layer),
        *(np.float32(search.bias), search.transform, inner, place, margin, score),
    )
    first = np.repeat(layer.chunk_ptr[found.ids] - pair_ptr[:-1], widths)
    ids = (first + np.arange(pair_ptr[-1])).astype(np.int32)
    return Candidates(pair_ptr[found.indptr], ids, score, margin)


def _side_by_side(each: list[Candidates]) -> Candidates:
    """The members' candidates of each row one after another."""
    counts = np.stack([np.diff(found.indptr) for found in each])
    indptr = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    before = np.cumsum(counts, axis=0) - counts
    columns = [np.empty(indptr[-1], dtype) for dtype in (np.int32, np.float32, np.float32)]
    for found, shift in zip(each, before, strict=True):
        at = np.repeat(indptr[:-1] + shift - found.indptr[:-1], np.diff(found.indptr)) + np.arange(len(found.ids))
        for out, values in zip(columns, found[1:], strict=True):
            out[at] = values
    return Candidates(indptr, *columns)
