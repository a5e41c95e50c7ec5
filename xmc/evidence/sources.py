"""What is known of labels beside the base models, and the evidence that it gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import Lists, Rows, frozen, lists_fit, pointers, within
from ..kernels.candidates import products
from ..kernels.evidence import best_company, company
from ..scratch import zeros
from ..topk import TopK
from .names import COLUMNS as NAME_COLUMNS
from .names import Mentions, NameIndex, best_names, evidence_of
from .nearest import Inverted, Near, nearest, votes, votes_of

N_NEIGHBORS = 50  # of a row
# Of a row's squared length where neighbours are looked for: a third of the time, and two points of
# what they find, none below the stage, see benchmarks/NOTES.md.
LEFT_OUT = 0.2
N_BEST = 20  # candidates that names give, that neighbours give, and that relations give
N_COMPANY = 10  # best labels of a base model that make expect others
VOTE_COLUMNS = ("neighbor_votes", "nearest_neighbor", "n_neighbors")
FEATURE_COLUMNS = ("label_cosine",)
RELATED_COLUMNS = ("related",)
LABEL_COLUMNS = ("log_label_rows", "log_row_features")


class Question(NamedTuple):
    """Rows that are asked about, and what their texts mention, if they have texts."""

    rows: Rows
    mentions: Mentions | None = None

    @property
    def n_rows(self) -> int:
        return self.rows.n_rows

    def part(self, start: int, end: int) -> Question:
        """Rows start..end-1, without copying values."""
        mentions = None if self.mentions is None else self.mentions.part(start, end)
        return Question(self.rows.part(start, end), mentions)


class Neighbors(NamedTuple):
    """Rows with known labels, among which the nearest are looked for."""

    rows: Inverted
    labels: Lists


class Beside(NamedTuple):
    """For each label others that it makes expect.

    indptr: int64, where each label's others start.
    ids: int32, the others.
    share: float32, how far each is expected where the label is sure.
    """

    indptr: np.ndarray
    ids: np.ndarray
    share: np.ndarray


class Sources(NamedTuple):
    """What is known of labels beside the base models; None of what is not.

    label_counts: int64, training rows of each label.
    beside: which labels share training rows, and what share of a label's rows it is.
    names: of the labels, where rows are texts.
    label_features: each label as a row of features, of unit length, where they were given.
    label_index: the same, to find the labels of a row.
    neighbors: the training rows.
    related: the labels that a vocabulary says are broader or narrower, see `relatives`.
    """

    label_counts: np.ndarray
    beside: Beside
    names: NameIndex | None = None
    label_features: Rows | None = None
    label_index: Inverted | None = None
    neighbors: Neighbors | None = None
    related: Beside | None = None

    def columns(self) -> list[str]:
        """What its evidence is called."""
        names = [] if self.names is None else [*NAME_COLUMNS]
        features = [] if self.label_features is None else [*FEATURE_COLUMNS]
        votes = [] if self.neighbors is None else [*VOTE_COLUMNS]
        related = [] if self.related is None else [*RELATED_COLUMNS]
        return [*names, *features, *votes, *related, *LABEL_COLUMNS]


def named(sources: Sources) -> np.ndarray:
    """bool, whether each label can be found without training rows: by its names, by its features in
    place of them, by what is broader or narrower.
    """
    found = np.zeros(len(sources.label_counts), bool)
    if sources.names is not None:
        found |= np.diff(sources.names.label_indptr) > 0
    if sources.label_features is not None:
        found |= np.diff(sources.label_features.indptr) > 0
    if sources.related is not None:
        found |= np.diff(sources.related.indptr) > 0
    return found


def check(sources: Sources, n_features: int, n_labels: int) -> None:
    """Raise ValueError unless the arrays fit each other: kernels trust pointers and ids."""
    names, near = sources.names, sources.neighbors
    features, index = sources.label_features, sources.label_index
    fits = {
        "label_counts": sources.label_counts.shape == (n_labels,)
        and (sources.label_counts >= 0).all(),
        "beside": _lists_fit(sources.beside, n_labels, n_labels),
        "names": names is None or names.fits(n_labels),
        "label_features": features is None or _lists_fit(features, n_labels, n_features),
        "label_index": index is None or index.fits(n_labels, n_features),
        "neighbors": near is None or _neighbors_fit(near, n_features, n_labels),
        "related": sources.related is None or _lists_fit(sources.related, n_labels, n_labels),
    }
    if wrong := [name for name, right in fits.items() if not right]:
        raise ValueError(f"{wrong[0]}: expected arrays that fit each other, they don't")


def relatives(pairs: np.ndarray, n_labels: int) -> Beside | None:
    """What labels make expect the broader and narrower ones; None if there are no such pairs.

    pairs: (n, 2), a label and a broader one. A label makes expect each broader one; the narrower
    ones share what it makes expect, as there may be hundreds.
    """
    if not len(pairs):
        return None
    label, broader = pairs.T
    n_narrower = np.bincount(broader, minlength=n_labels)
    own = np.concatenate([label, broader])
    other = np.concatenate([broader, label]).astype(np.int32)
    share = np.concatenate([np.ones(len(pairs)), 1 / n_narrower[broader]]).astype(np.float32)
    order = np.lexsort((other, own))
    ends = pointers(np.bincount(own, minlength=n_labels))
    return Beside(ends, frozen(other[order]), frozen(share[order]))


def labels_beside(Y: sp.csr_matrix) -> Beside:
    """Which labels share training rows, and what share of a label's rows that is, where labels with
    few rows count for less: rows in common / (rows + 2).
    """
    true = (Y != 0).astype(np.float32)
    common = (true.T @ true).tocsr()
    common.setdiag(0)
    common.eliminate_zeros()
    common.sort_indices()
    n_rows = np.bincount(true.indices, minlength=Y.shape[1])
    share = (common.data / np.repeat(n_rows + 2, np.diff(common.indptr))).astype(np.float32)
    indptr, ids = common.indptr.astype(np.int64), common.indices.astype(np.int32)
    return Beside(frozen(indptr), frozen(ids), frozen(share))


def _lists_fit(lists: Any, n_lists: int, n_ids: int) -> bool:
    """Whether pointers, ids and perhaps a value of each fit each other and so many lists."""
    indptr, ids, *values = lists[:3]
    return (
        len(indptr) == n_lists + 1
        and lists_fit(indptr, ids)
        and within(ids, n_ids)
        and all(len(value) == len(ids) for value in values)
    )


def _neighbors_fit(near: Neighbors, n_features: int, n_labels: int) -> bool:
    n_rows = len(near.labels.indptr) - 1
    return near.rows.fits(n_rows, n_features) and _lists_fit(near.labels, n_rows, n_labels)


class Heard(NamedTuple):
    """What the sources found for some rows, before it is known which candidates there are."""

    tops: list[np.ndarray]  # int32, (rows, places), the best labels of each source
    near: Near | None
    sure: TopK  # the best labels of a base model


def hear(sources: Sources, asked: Question, top: TopK) -> Heard:
    """The best labels of each source, and the neighbours; top: the best of a base model."""
    tops, near, sure = [], None, surest(top)
    if sources.names is not None and asked.mentions is not None:
        tops.append(best_names(sources.names, asked.mentions, N_BEST).labels)
    if sources.label_index is not None:
        tops.append(nearest(sources.label_index, asked.rows, N_BEST).rows)
    if sources.neighbors is not None:
        near = nearest_rows(sources.neighbors, asked.rows)
        tops.append(votes(near, sources.neighbors.labels, N_BEST).labels)
    if sources.related is not None:
        tops.append(_best_expected(sources.related, sure))
    return Heard(tops, near, sure)


def nearest_rows(neighbors: Neighbors, rows: Rows) -> Near:
    """The known rows that are nearest to each of these."""
    return nearest(neighbors.rows, rows, N_NEIGHBORS, LEFT_OUT)


def surest(top: TopK) -> TopK:
    """The best labels of each row, which make expect others."""
    return TopK(*(np.ascontiguousarray(column[:, :N_COMPANY]) for column in top))


def _best_expected(beside: Beside, sure: TopK) -> np.ndarray:
    """The labels of each row that these make expect most: int32, (rows, N_BEST)."""
    shape = len(sure.labels), N_BEST
    best = TopK(np.empty(shape, np.int32), np.empty(shape, np.float32))
    best_company(*sure, *beside, _nothing(beside), *best)
    return best.labels


def expected(beside: Beside, sure: TopK, indptr: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """How far these labels of each row make expect each candidate: float32."""
    out = np.empty(len(ids), np.float32)
    company(indptr, ids, *sure, *beside, _nothing(beside), out)
    return out


def _nothing(beside: Beside) -> np.ndarray:
    return zeros("expected", len(beside.indptr) - 1, np.float32)


def fill(
    sources: Sources, asked: Question, heard: Heard, indptr: np.ndarray, ids: np.ndarray
) -> list[np.ndarray]:
    """What the sources say of each candidate: matrices whose columns are those of `columns`."""
    parts, rows = [], asked.rows
    if sources.names is not None:
        if asked.mentions is None:
            parts.append(np.full((len(ids), len(NAME_COLUMNS)), np.nan, np.float32))
        else:
            parts.append(evidence_of(sources.names, asked.mentions, indptr, ids))
    if sources.label_features is not None:
        own = *rows[:3], rows.n_features, indptr, ids
        parts.append(products(*own, *sources.label_features[:3])[:, None])
    if sources.neighbors is not None and heard.near is not None:
        figures = votes_of(heard.near, sources.neighbors.labels, Lists(indptr, ids))
        parts.append(np.stack(figures, axis=1).astype(np.float32))
    if sources.related is not None:
        parts.append(expected(sources.related, heard.sure, indptr, ids)[:, None])
    n_features = np.repeat(np.diff(rows.indptr), np.diff(indptr))
    of_label = np.log1p(sources.label_counts[ids]), np.log1p(n_features)
    parts.append(np.stack(of_label, axis=1).astype(np.float32))
    return parts
