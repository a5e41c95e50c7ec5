"""Propensities: the chance that a true label is recorded (Jain et al., KDD 2016)."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .errors import ParameterError
from .inputs import true_labels
from .soundness import Matrix


def propensities(Y_train: Matrix, a: float = 0.55, b: float = 1.5) -> np.ndarray:
    """(n_labels,) float64, the chance p_l that a true label is recorded.

    It follows from the label's number of training rows N_l:
    p_l = 1 / (1 + C (N_l + b)^-a),  C = max(0, log N - 1) (b + 1)^a,  N training rows.
    The C of Jain et al. (KDD 2016) is negative for N <= 2, where p would leave (0, 1]; with the
    maximum, p is 1 there. Papers use (0.6, 2.6) for Amazon-670K and
    Amazon-3M, (0.5, 0.4) for WikiLSHTC-325K and Wikipedia-500K, and the defaults for all others.
    """
    if not (_is_real(a) and 0 <= a < np.inf):
        raise ParameterError(f"propensities: a must be a number >= 0, got {a!r}")
    if not (_is_real(b) and 0 < b < np.inf):
        raise ParameterError(f"propensities: b must be a number > 0, got {b!r}")
    Y = true_labels(Y_train, "propensities", "Y_train")
    return propensities_of(np.bincount(Y.indices, minlength=Y.shape[1]), Y.shape[0], a, b)


def propensities_of(counts: np.ndarray, n_rows: int, a: float, b: float) -> np.ndarray:
    """`propensities` of labels that have these counts of training rows, out of n_rows."""
    C = max(0.0, np.log(n_rows) - 1) * (b + 1) ** a
    return 1 / (1 + C * (counts + b) ** -a)


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
