"""Propensities: the chance that a true label is recorded (Jain et al., KDD 2016)."""

from __future__ import annotations

import numbers
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from .errors import ParameterError
from .inputs import true_labels
from .numbering import new_numbers
from .params import PropensityParams
from .soundness import Matrix

RULES = {f.name: f.metadata for f in fields(PropensityParams)}
MOST_A = RULES["propensity_a"]["high"]
B_WITHIN = RULES["propensity_b"]["low"], RULES["propensity_b"]["high"]


class SparsePropensities(NamedTuple):
    """`propensities` in the memory of the labels that have training rows; all others have the same.

    labels: int32, ascending: those with rows, and label 0.
    values: float64, of each of them, and last of all others.
    """

    labels: np.ndarray
    values: np.ndarray
    n_labels: int

    def of(self, labels: np.ndarray) -> np.ndarray:
        """float64, of each of the labels."""
        return self.values[new_numbers(labels, self.labels)]


def sparse_propensities(Y_train: Matrix, a: float = 0.55, b: float = 1.5) -> SparsePropensities:
    """The same numbers as `propensities`, for metrics of very many labels; it raises the same."""
    check_constants(a, b)
    Y = true_labels(Y_train, "propensities", "Y_train")
    labels, counts = np.unique(np.append(Y.indices, 0), return_counts=True)
    counts[0] -= 1
    values = propensities_of(np.append(counts, 0), Y.shape[0], a, b)
    return SparsePropensities(labels.astype(np.int32), values, Y.shape[1])


def propensities(Y_train: Matrix, a: float = 0.55, b: float = 1.5) -> np.ndarray:
    """(n_labels,) float64, the chance p_l that a true label is recorded.

    It follows from the label's number of training rows N_l:
    p_l = 1 / (1 + C (N_l + b)^-a),  C = max(0, log N - 1) (b + 1)^a,  N training rows.
    The C of Jain et al. (KDD 2016) is negative for N <= 2, where p would leave (0, 1]; with the
    maximum, p is 1 there. Papers use (0.6, 2.6) for Amazon-670K and
    Amazon-3M, (0.5, 0.4) for WikiLSHTC-325K and Wikipedia-500K, and the defaults for all others.
    Raises ParameterError at an a or b out of range, DataError if Y_train is damaged.
    """
    check_constants(a, b)
    Y = true_labels(Y_train, "propensities", "Y_train")
    return propensities_of(np.bincount(Y.indices, minlength=Y.shape[1]), Y.shape[0], a, b)


def propensities_of(counts: np.ndarray, n_rows: int, a: float, b: float) -> np.ndarray:
    """`propensities` of labels that have these counts of training rows, out of n_rows."""
    a, b = float(a), float(b)  # numbers of 16 bits would overflow
    C = max(0.0, np.log(n_rows) - 1) * (b + 1) ** a
    return 1 / (1 + C * (counts + b) ** -a)


def check_constants(a: Any, b: Any) -> None:
    """Raise ParameterError unless `propensities` takes them."""
    if not (_is_real(a) and 0 <= a < np.inf):
        raise ParameterError(f"propensities: a must be a number >= 0, got {a!r}")
    if not (_is_real(b) and 0 < b < np.inf):
        raise ParameterError(f"propensities: b must be a number > 0, got {b!r}")
    low, high = B_WITHIN
    if a > MOST_A or not low <= b <= high:
        raise ParameterError(
            f"propensities: a must be at most {MOST_A} and b from {low} to {high:g}, "
            f"got {a!r} and {b!r}"
        )


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
