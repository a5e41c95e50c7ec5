"""Metrics as scikit-learn's model selection asks for them: of an estimator, rows and truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .errors import DataError
from .frames import check_no_missing
from .label_lists import are_lists, ids_of_rows, is_number, listed
from .propensity import propensities_of
from .soundness import sound


class Scorer(NamedTuple):
    """What `scoring=` takes: called with an estimator, X and y, it gives the metric.

    name: as in `xmc evaluate`.
    metric: takes the truth, predictions and k.
    sign: -1 where less is better.
    by_propensity: the metric takes propensities, too: those of the estimator's training rows.
    """

    name: str
    metric: Callable[..., float]
    k: int
    sign: int = 1
    by_propensity: bool = False

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """The metric, from 0 to 1; of ECE, minus the metric.

        estimator: one of ours, or a pipeline that ends in one. y: whatever its `fit` takes.
        """
        if hasattr(estimator, "steps"):
            X, estimator = estimator[:-1].transform(X), estimator[-1]
        top = estimator.predict_topk(X, min(self.k, estimator.n_labels_)).widened(self.k)
        Y = truth_of(estimator, y, self.k)
        how = {"propensity": _propensity(estimator, Y.shape[1])} if self.by_propensity else {}
        return self.sign * self.metric(Y, top, self.k, **how)

    def __repr__(self) -> str:
        return f"scorer({self.name!r})"


def truth_of(estimator: Any, y: Any, least: int) -> sp.csr_matrix:
    """y as a matrix with the columns of the estimator; what it doesn't know has columns behind.

    least: columns that there are in any case.
    """
    who, y = type(estimator).__name__, listed(y)
    if are_lists(y, is_number):
        if estimator.label_ids_ is None:
            raise DataError(f"{who}: expected a matrix as y: the model has no ids of labels")
        Y = _by_label(ids_of_rows(y, who), estimator.label_ids_)
    elif len(np.shape(y)) == 1 or estimator.model_.classes is not None:
        check_no_missing(y, who, "y")
        classes = np.asarray(y).ravel().tolist()  # of a column, too, as `fit` takes one
        Y = _by_label([[own] for own in classes], estimator.classes_.tolist())
    else:
        Y = sp.csr_matrix(sound(y, who, "y"), copy=True)
    Y.resize(Y.shape[0], max(least, Y.shape[1]))
    return Y


def _by_label(rows: Sequence[Collection[Any]], known: Sequence[Any]) -> sp.csr_matrix:
    """The labels of each row as a matrix; those that aren't known have columns behind."""
    column = {label: n for n, label in enumerate(known)}
    pairs = [
        (n, column.setdefault(label, len(column))) for n, row in enumerate(rows) for label in row
    ]
    place = np.array(pairs, np.int64).reshape(-1, 2).T
    return sp.csr_matrix((np.ones(len(pairs)), (place[0], place[1])), (len(rows), len(column)))


def _propensity(estimator: Any, n_labels: int) -> np.ndarray:
    """Of each column; a label that the estimator doesn't know has no training row."""
    own = getattr(estimator, "classifier_", estimator)
    counts = np.zeros(n_labels, np.int64)
    counts[: own.n_labels_] = own.label_counts_
    return propensities_of(counts, own.model_.n_rows, own.propensity_a, own.propensity_b)
