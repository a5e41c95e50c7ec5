"""How many training rows each label has, and what follows for its propensity.

Of very many labels only those count that training rows have, so that memory goes by these.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..numbering import new_numbers
from ..propensity import SparsePropensities, propensities_of


class TrainingRows(NamedTuple):
    """What a model has counted.

    labels: int32, ascending; all others have no training row.
    counts: int64, of each of them.
    n_rows: of the training.
    """

    labels: np.ndarray
    counts: np.ndarray
    n_rows: int

    def of(self, labels: np.ndarray) -> np.ndarray:
        """int64, the training rows of each label, whether the model knows it or not."""
        return np.append(self.counts, 0)[new_numbers(labels, self.labels)]

    def propensities(self, a: float, b: float, n_labels: int) -> SparsePropensities:
        """The propensities of so many labels."""
        values = propensities_of(np.append(self.counts, 0), self.n_rows, a, b)
        return SparsePropensities(self.labels, values, n_labels)


def training_rows(model: Any) -> TrainingRows:
    """The training rows of a trained model's labels, as the user numbers them."""
    learned = model.model_
    kept = learned.kept_labels
    labels = np.arange(learned.n_labels, dtype=np.int32) if kept is None else kept
    return TrainingRows(labels, learned.label_counts, learned.n_rows)
