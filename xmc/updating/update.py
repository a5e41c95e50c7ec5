"""A trained model with new rows and labels, or without some labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import Lists, Rows, frozen
from ..errors import DataError, ParameterError, quoted
from ..evidence.names import NameIndex
from ..evidence.sources import Beside
from ..explaining.build import column_of
from ..inputs import as_targets, same_rows
from ..model import Model, Updates
from ..numbering import new_numbers
from ..ranking.tail import tail_embeddings
from ..training.problem import transposed
from ..training_data import DescribedRows, as_label_matrix, as_label_texts
from .known import Joined, Known, joined


class Labels(NamedTuple):
    """The labels of a model from now on.

    n: how many there are.
    ids, names: what people call them, None where they are only numbered.
    """

    n: int
    ids: list[str] | None
    names: list[str] | None


class News(NamedTuple):
    """What a predictor learns. Features and labels are numbered as the predictor does.

    X, Y: the new rows, Y as CSR.
    joined: them beside the rows that were known.
    names, related: of all labels, where they are others than before.
    """

    X: Rows
    Y: sp.csr_matrix
    joined: Joined
    names: NameIndex | None = None
    related: Beside | None = None


def added(
    estimator: Any,
    X: Any,
    y: Any,
    label_ids: Sequence[str] | None,
    label_names: Sequence[str] | Mapping[str, str] | None,
    rows: tuple[Any, Any] | None,
) -> Model:
    """What the estimator knows once it has learned these rows, see Estimator.add."""
    model, who = estimator.model_, type(estimator).__name__
    _check_updatable(model, who)
    described = X if isinstance(X, DescribedRows) else None
    Y, labels = _labelled(y, label_ids, label_names, model, who)
    if described is not None and not described.texts:  # names are all that is new
        return _only_named(estimator, model, labels, described.names, described.related)
    estimator.check_learns()
    asked = estimator._features(X if described is None else described.X, reset=False)
    same_rows(asked, Y, who)
    if not Y.nnz:
        raise DataError(f"{who}: expected a label in the new rows, got none")
    known = _known(estimator, rows, label_ids, labels, who)
    kept = model.kept_labels
    if kept is not None:
        kept = frozen(np.union1d(kept, Y.indices).astype(np.int32))
    new = estimator._kept_rows(asked), _numbered(Y, kept)
    both = joined(known._replace(Y=_numbered(known.Y, kept)), *new)
    predictor = model.predictor
    if kept is not None:
        predictor = predictor.renumbered(new_numbers(model.kept_labels, kept))
    named = (None, None) if described is None else (described.names, described.related)
    predictor = estimator._taught(predictor, News(*new, both, *named))
    embeddings = None
    if model.label_embeddings is not None:
        rows_of_label = transposed(as_targets(both.Y), both.Y.shape[1])
        embeddings = tail_embeddings(both.X, rows_of_label, estimator.n_jobs)
    return _updated(model, both, labels)._replace(
        predictor=predictor, kept_labels=kept, label_embeddings=embeddings
    )


def removed(estimator: Any, labels: Any) -> Model:
    """What the estimator knows without some labels, see Estimator.remove."""
    model, who = estimator.model_, type(estimator).__name__
    _check_updatable(model, who)
    columns = _places_of(labels, model, who)
    own = new_numbers(columns, model.kept_labels)
    gone = np.unique(own[own >= 0])
    counts = np.where(np.isin(np.arange(len(model.label_counts)), gone), 0, model.label_counts)
    if not counts.any():
        raise DataError(f"{who}: expected labels that stay, all would be removed")
    before = model.updates or Updates()
    row_labels = model.row_labels
    if row_labels is not None:
        stay = ~np.isin(row_labels.ids, gone)
        ends = np.concatenate([[0], np.cumsum(stay)])[row_labels.indptr]
        row_labels = Lists(frozen(ends), frozen(row_labels.ids[stay]))
    return model._replace(
        predictor=estimator._without(model.predictor, gone),
        label_counts=frozen(counts),
        row_labels=row_labels,
        updates=before._replace(n_removed=before.n_removed + len(columns)),
    )


def _places_of(labels: Any, model: Model, who: str) -> np.ndarray:
    """The columns of labels by their ids or names, or their numbers where they have no ids."""
    if isinstance(labels, (str, int, np.integer)):
        labels = [labels]
    ids: Any = model.label_ids or range(model.n_labels)
    columns = [column_of(label, ids, model.label_names, who) for label in labels]
    return np.array(columns, np.int32)


def _check_updatable(model: Model, who: str) -> None:
    if model.classes is not None:
        raise ParameterError(f"{who}: a model of one label per row can't be updated: fit it again")


def _labelled(
    y: Any,
    label_ids: Sequence[str] | None,
    label_names: Sequence[str] | Mapping[str, str] | None,
    model: Model,
    who: str,
) -> tuple[sp.csr_matrix, Labels]:
    """y with a column for each label of the model and behind them new ones; and all labels."""
    Y, classes = as_label_matrix(y, who)
    if classes is not None:
        raise DataError(f"{who}: expected a matrix of labels, got one label per row")
    given = as_label_texts(label_ids, Y.shape[1], "label_ids", who)
    if given is None:
        if Y.shape[1] < model.n_labels:
            least = f"a column for each of {model.n_labels:,} labels"
            raise DataError(f"{who}: expected {least} in y, or label_ids, got {Y.shape[1]:,}")
        if Y.shape[1] > model.n_labels and model.label_ids is not None:
            raise DataError(f"{who}: expected label_ids, as the model's labels have ids")
        ids = model.label_ids
        columns = np.arange(Y.shape[1])
    else:
        if model.label_ids is None:
            raise DataError(f"{who}: label_ids must be None, as the model's labels have no ids")
        known = {label: n for n, label in enumerate(model.label_ids)}
        ids = model.label_ids + [label for label in given if label not in known]
        place = {label: n for n, label in enumerate(ids)}
        columns = np.array([place[label] for label in given])
    n = Y.shape[1] if ids is None else len(ids)
    placed = Y.data, columns[Y.indices], Y.indptr
    wide = sp.csr_matrix(placed, (Y.shape[0], n), copy=True)  # or y would be put in order, too
    wide.sort_indices()
    names = _names(label_names, columns, ids, n, model, who)
    return wide, Labels(n, ids, names)


def _names(
    given: Sequence[str] | Mapping[str, str] | None,
    columns: np.ndarray,
    ids: list[str] | None,
    n: int,
    model: Model,
    who: str,
) -> list[str] | None:
    """The names of all labels: those that are given, those that there were, and else ids."""
    if given is None and model.label_names is None:
        return None
    names = [*(ids or map(str, range(n)))]
    names[: model.n_labels] = model.label_names or names[: model.n_labels]
    if isinstance(given, Mapping):
        if ids is None:
            raise DataError(f"{who}: label_names by id needs a model whose labels have ids")
        return [given.get(label, name) for label, name in zip(ids, names, strict=True)]
    own = as_label_texts(given, len(columns), "label_names", who) or ()
    for column, name in zip(columns.tolist(), own, strict=False):
        names[column] = name
    return names


def _known(
    estimator: Any,
    rows: tuple[Any, Any] | None,
    label_ids: Sequence[str] | None,
    labels: Labels,
    who: str,
) -> Known:
    """The rows known before: those that are given, or those that the model holds."""
    model: Model = estimator.model_
    if rows is not None:
        X, y = rows
        before = estimator._features(X, reset=False)
        Y, _ = _labelled(y, label_ids, None, model, who)
        same_rows(before, Y, who)
        own = _of_known(Y, labels.n, model, who)
        return Known(estimator._kept_rows(before), own)
    held = held_rows(estimator)
    if held is None:
        raise ParameterError(
            f"{who}: expected rows to learn new ones beside: give those of the training, "
            "rows=(X, y), or train with keep_rows=True"
        )
    return held


def held_rows(estimator: Any) -> Known | None:
    """The rows that a model was asked to keep, labels as the user numbers them; or those that it
    holds anyway; None if there are none.
    """
    model: Model = estimator.model_
    if model.rows is None or model.row_labels is None:
        return estimator._rows_held()
    indptr, ids = model.row_labels
    ids = ids if model.kept_labels is None else model.kept_labels[ids]
    values = np.ones(len(ids), np.float32)
    return Known(
        model.rows, sp.csr_matrix((values, ids, indptr), (model.rows.n_rows, model.n_labels))
    )


def _of_known(Y: sp.csr_matrix, n_labels: int, model: Model, who: str) -> sp.csr_matrix:
    """Only what labels say that the model has rows of: others were removed, or never there.

    Raises DataError if one of these has no row, as these are not the rows of the training then.
    """
    trained = np.flatnonzero(model.label_counts)
    trained = trained if model.kept_labels is None else model.kept_labels[trained]
    known = np.zeros(max(n_labels, Y.shape[1]), bool)
    known[trained] = True
    lacking = np.setdiff1d(trained, Y.indices)
    if len(lacking):
        label = lacking[0] if model.label_ids is None else quoted(model.label_ids[lacking[0]])
        raise DataError(f"{who}: expected the rows of the training, got none with label {label}")
    masked = Y.data * known[Y.indices], Y.indices, Y.indptr
    own = sp.csr_matrix(masked, (Y.shape[0], len(known)), copy=True)
    own.eliminate_zeros()
    return own[:, :n_labels]


def _numbered(Y: sp.csr_matrix, kept: np.ndarray | None) -> sp.csr_matrix:
    """Y as the predictor numbers labels."""
    if kept is None:
        return Y
    return sp.csr_matrix((Y.data, new_numbers(Y.indices, kept), Y.indptr), (Y.shape[0], len(kept)))


def _updated(model: Model, both: Joined, labels: Labels) -> Model:
    """The model with the counts of all rows, and with the rows if it keeps them."""
    before = model.updates or Updates()
    rows, row_labels = model.rows, model.row_labels
    if rows is not None:
        rows, (indptr, ids, _) = both.X, as_targets(both.Y)
        row_labels = Lists(indptr, ids)
    n_rows, n_labels = before.n_rows + both.n_new, before.n_labels + len(both.labels)
    return model._replace(
        n_rows=both.X.n_rows,
        n_labels=labels.n,
        label_counts=frozen(np.bincount(both.Y.indices, minlength=both.Y.shape[1])),
        label_ids=labels.ids,
        label_names=labels.names,
        rows=rows,
        row_labels=row_labels,
        updates=before._replace(n_rows=n_rows, n_labels=n_labels),
    )


def _only_named(
    estimator: Any, model: Model, labels: Labels, names: NameIndex | None, related: Beside | None
) -> Model:
    """The model with other names, and perhaps more labels, but no more rows."""
    more = 0 if model.kept_labels is not None else labels.n - model.n_labels
    counts = frozen(np.concatenate([model.label_counts, np.zeros(more, np.int64)]))
    return model._replace(
        predictor=estimator._named(model.predictor, len(counts), names, related),
        n_labels=labels.n,
        label_counts=counts,
        label_ids=labels.ids,
        label_names=labels.names,
    )
