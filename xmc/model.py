"""The trained model as a value, and what it answers.

The estimators check what comes in, keep a Model, and ask the functions below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .arrays import Lists, Rows, frozen
from .errors import ParameterError
from .features import Reading
from .numbering import old_numbers
from .propensity import propensities_of
from .ranking.calibration import Calibration
from .ranking.predictor import Predictor
from .ranking.search import (
    Candidates,
    Search,
    scored,
    search_of,
)
from .ranking.tail import Tail


class Updates(NamedTuple):
    """What a model has learned since its training, summed over all times.

    n_rows: rows that are new.
    n_labels: labels that were solved again, new ones among them.
    n_removed: labels that were removed.
    """

    n_rows: int = 0
    n_labels: int = 0
    n_removed: int = 0


class Model(NamedTuple):
    """What was learned. How a field is stored follows from its type, see model_files."""

    predictor: Predictor
    n_rows: int  # training rows
    n_features: int
    n_labels: int
    n_passes: int  # over the rows, the most that a group of siblings needed
    label_counts: np.ndarray  # int64, training rows of each label that is kept
    n_rows_without_features: int | None = None  # of the training rows
    label_embeddings: Rows | None = None  # of kept labels and features, for tail classifiers
    classes: np.ndarray | None = None  # of a 1-D y, ascending; None with a matrix
    label_ids: list[str] | None = None  # what people call the labels, one per column of Y
    label_names: list[str] | None = None
    feature_names_in: list[str] | None = None  # columns of the data frame that X was
    threshold: float | None = None  # probability from which a label belongs to a row's set
    calibration: Calibration | None = None  # what scores are as probabilities
    # Those that training rows have, int32, ascending; to the predictor they are 0, 1, 2 and so on.
    # None where few are missing: then the predictor numbers them as the user does.
    kept_features: np.ndarray | None = None
    kept_labels: np.ndarray | None = None
    rows: Rows | None = None  # of the training, if they were to be kept, to learn new labels beside
    row_labels: Lists | None = None  # of these rows
    updates: Updates | None = None
    reading: Reading | None = None  # what is made of the rows that it is asked, if anything is

    @property
    def drift(self) -> float:
        """The share of the labels that were solved again or removed since the training, 0 to 1 and
        beyond: the tree and what routes to its leaves are as they were.
        """
        if self.updates is None:
            return 0.0
        n_labels = max(1, int(np.count_nonzero(self.label_counts)))
        return (self.updates.n_labels + self.updates.n_removed) / n_labels

    @property
    def n_kept_features(self) -> int:
        """Columns of rows as the predictor reads them."""
        if self.reading is not None:
            return self.reading.n_columns
        return self.n_features if self.kept_features is None else len(self.kept_features)

    @property
    def n_kept_labels(self) -> int:
        return self.n_labels if self.kept_labels is None else len(self.kept_labels)

    def feature_numbers(self, columns: np.ndarray) -> list[int]:
        """What the user calls the predictor's columns; behind all features, pairs are numbered."""
        if self.reading is None:
            return old_numbers(columns, self.kept_features).tolist()
        n = self.reading.n_features
        own = old_numbers(np.minimum(columns, n - 1), self.kept_features)
        pairs = columns.astype(np.int64) - n + self.n_features
        return np.where(columns < n, own, pairs).tolist()

    def feature_name(self, number: int, name: Callable[[int], str]) -> str:
        """The name of a feature, or those of both of a pair; name: of the user's features."""
        if self.reading is None or number < self.n_features:
            return name(number)
        both = np.array(self.reading.pair(number - self.n_features))
        return " × ".join(map(name, old_numbers(both, self.kept_features).tolist()))


def search_with(model: Model, params: Any) -> Search:
    """How to search the model with these parameters, and what changes the scores after that.

    Raises ParameterError if tail classifiers are asked for that were not trained.
    """
    search = search_of(params)._replace(calibration=model.calibration)
    if params.tail_share and model.calibration is not None:
        raise ParameterError("tail_share must be 0 where scores are calibrated")
    if params.tail_share:
        if model.label_embeddings is None:
            raise ParameterError("tail_share must be 0, as it was in training")
        tail = Tail(model.label_embeddings, float(params.tail_gamma), float(params.tail_share))
        search = search._replace(tail=tail)
    if params.optimize != "psp":
        return search
    a, b = params.propensity_a, params.propensity_b
    n_kept = len(model.label_counts)
    others = [] if n_kept == model.n_labels else [0]  # labels without a row have the smallest
    p = propensities_of(np.append(model.label_counts, others), model.n_rows, a, b)
    return search._replace(boost=frozen((p.min() / p[:n_kept]).astype(np.float32)))


def all_scores(model: Model, search: Search, X: Rows) -> Candidates:
    """Every label that the model finds for each row, with the score that ranks it."""
    return scored(X, model.predictor.candidates(X, search), search)


def label_sets(model: Model, search: Search, X: Rows, threshold: float | None) -> Candidates:
    """The labels of each row whose probability reaches the threshold, scored as candidates are.

    Probabilities are those of the search, averaged over the members: what changes the order after
    that (tail classifiers, optimize) leaves the set alone. Without a threshold it is the model's,
    and if it has none, that of its kind.
    """
    found = model.predictor.candidates(X, search)
    threshold = model.threshold if threshold is None else threshold
    p = found.score if search.calibration is None else search.calibration.of(found.score)
    if threshold is None:  # a margin of exactly 0 says nothing: no features, and no bias
        kept = (found.score >= model.predictor.threshold(search)) & (found.margin != 0)
    else:
        kept = p >= np.float32(threshold)
    before = np.concatenate([[0], np.cumsum(kept)])
    columns = (column[kept] for column in found[1:])
    return Candidates(before[found.indptr], *columns)


def compressed(model: Model, weights: str, threshold: float) -> Model:
    """The model without weights below the threshold, the others stored as `weights` says."""
    return model._replace(
        predictor=model.predictor.compressed(model.n_kept_features, weights, threshold)
    )
