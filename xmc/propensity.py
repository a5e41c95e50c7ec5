"""Propensities: the chance that a true label is recorded (Jain et al., KDD 2016)."""

from __future__ import annotations

import numpy as np


def propensities_of(counts: np.ndarray, n_rows: int, a: float, b: float) -> np.ndarray:
    """`propensities` of labels with so many training rows each, out of n_rows."""
    C = max(0.0, np.log(n_rows) - 1) * (b + 1) ** a
    return 1 / (1 + C * (counts + b) ** -a)
