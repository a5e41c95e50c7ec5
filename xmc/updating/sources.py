"""What is known of labels beside the base models, with new rows and labels, or without some."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from ..arrays import Lists, Rows, frozen
from ..evidence.names import NameIndex, without_names
from ..evidence.nearest import inverted, likened, rows_of, with_rows
from ..evidence.sources import Beside, Neighbors, Sources, labels_beside
from ..inputs import as_matrix, as_rows
from .known import Known, joined


def known_rows(sources: Sources) -> Known | None:
    """The rows of the neighbours' index, as roughly as it has them; None if there is none."""
    if sources.neighbors is None:
        return None
    index, labels = sources.neighbors
    values = np.ones(len(labels.ids), np.float32)
    shape = index.n_rows, len(sources.label_counts)
    Y = sp.csr_matrix((values, labels.ids, labels.indptr), shape)
    return Known(rows_of(index), Y, lambda rows: likened(index, rows))


def taught_sources(
    sources: Sources,
    X: Rows,
    Y: sp.csr_matrix,
    names: NameIndex | None,
    related: Beside | None,
    Y_all: sp.csr_matrix,
) -> Sources:
    """What is known with new rows and their labels.

    names, related: of all labels now, None where they are as before.
    Y_all: the labels of all rows, those known before and new ones.
    """
    n_labels = Y_all.shape[1]
    changed = renamed_sources(sources, n_labels, names, related)._replace(
        label_counts=frozen(np.bincount(Y_all.indices, minlength=n_labels)),
        beside=labels_beside(Y_all),
    )
    known = known_rows(sources)
    if known is None or sources.neighbors is None:
        return changed
    both = joined(known, X, Y)
    new = X if both.n_new == X.n_rows else _last(both.X, both.n_new)
    index = with_rows(sources.neighbors.rows, new) if both.n_new else sources.neighbors.rows
    return changed._replace(neighbors=Neighbors(index, _lists(both.Y)))


def renamed_sources(
    sources: Sources, n_labels: int, names: NameIndex | None, related: Beside | None
) -> Sources:
    """What is known with so many labels; names, related: None where they are as before."""
    changed = _widened(sources, n_labels)
    if sources.names is not None and names is not None:
        changed = changed._replace(names=names)
    if sources.related is not None and related is not None:
        changed = changed._replace(related=related)
    return changed


def without_labels(sources: Sources, labels: np.ndarray) -> Sources:
    """What is known of the other labels."""
    stay = np.ones(len(sources.label_counts), bool)
    stay[labels] = False
    near, features = sources.neighbors, sources.label_features
    changed = sources._replace(
        label_counts=frozen(np.where(stay, sources.label_counts, 0)),
        beside=_of_others(sources.beside, stay),
    )
    if sources.names is not None:
        changed = changed._replace(names=without_names(sources.names, labels))
    if sources.related is not None:
        changed = changed._replace(related=_of_others(sources.related, stay))
    if features is not None:
        rows = _emptied(features, stay)
        changed = changed._replace(label_features=rows, label_index=inverted(rows))
    if near is not None:
        values = np.ones(len(near.labels.ids), np.float32)
        Y = sp.csr_matrix(
            (values * stay[near.labels.ids], near.labels.ids, near.labels.indptr),
            (near.rows.n_rows, len(stay)),
        )
        changed = changed._replace(neighbors=near._replace(labels=_lists(Y)))
    return changed


def _last(rows: Rows, n: int) -> Rows:
    return rows.part(rows.n_rows - n, rows.n_rows)


def _lists(Y: sp.csr_matrix) -> Lists:
    """The labels of each row, ascending."""
    true = sp.csr_matrix(Y, copy=True)
    true.eliminate_zeros()
    true.sort_indices()
    return Lists(frozen(true.indptr.astype(np.int64)), frozen(true.indices.astype(np.int32)))


def _widened(sources: Sources, n_labels: int) -> Sources:
    """The same with new labels, of which nothing is known."""
    more = n_labels - len(sources.label_counts)
    if not more:
        return sources
    names, related, features = sources.names, sources.related, sources.label_features
    wider = sources._replace(
        label_counts=frozen(np.concatenate([sources.label_counts, np.zeros(more, np.int64)])),
        beside=sources.beside._replace(indptr=_longer(sources.beside.indptr, more)),
    )
    if names is not None:
        names = names._replace(label_indptr=_longer(names.label_indptr, more))
        wider = wider._replace(names=names)
    if related is not None:
        wider = wider._replace(related=related._replace(indptr=_longer(related.indptr, more)))
    if features is not None:
        rows = features._replace(indptr=_longer(features.indptr, more))
        wider = wider._replace(label_features=rows, label_index=inverted(rows))
    return wider


def _longer(indptr: np.ndarray, more: int) -> np.ndarray:
    """Pointers with so many empty lists behind the others."""
    return frozen(np.concatenate([indptr, np.full(more, indptr[-1])]))


def _of_others(beside: Beside, stay: np.ndarray) -> Beside:
    """What labels that stay make expect of each other."""
    indptr, ids, share = beside
    own = np.repeat(stay, np.diff(indptr)) & stay[ids]
    ends = np.concatenate([[0], np.cumsum(own)])[indptr]
    return Beside(frozen(ends), frozen(ids[own]), frozen(share[own]))


def _emptied(rows: Rows, stay: np.ndarray) -> Rows:
    """The rows, without features where they don't stay."""
    M: Any = sp.diags(stay.astype(np.float32)) @ as_matrix(rows)
    M = sp.csr_matrix(M)
    M.eliminate_zeros()
    return as_rows(M, normalize=False)
