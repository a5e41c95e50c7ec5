"""Metrics as scikit-learn's model selection asks for them: of an estimator, rows and truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .propensity import propensities_of


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
    Y = sp.csr_matrix(_by_label(estimator, y) if _is_flat(y) else y, copy=True)
    Y.resize(Y.shape[0], max(least, Y.shape[1]))
    return Y


def _is_flat(y: Any) -> bool:
    """Whether there is one class per row, or lists of ids."""
    if hasattr(y, "shape"):
        return len(y.shape) == 1
    return all(isinstance(row, str) or not hasattr(row, "__len__") for row in y) or any(
        isinstance(label, str) for row in y for label in row
    )


def _by_label(estimator: Any, y: Any) -> sp.csr_matrix:
    """Classes or lists of ids as a matrix."""
    rows = y.tolist() if hasattr(y, "tolist") else [*y]
    if not any(isinstance(row, (list, tuple, set, frozenset, np.ndarray)) for row in rows):
        rows, known = [[own] for own in rows], estimator.classes_.tolist()
    else:
        known = estimator.label_ids_
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
