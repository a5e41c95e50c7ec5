"""How far figures would move if other rows of the same kind had been measured.

The bootstrap draws as many rows as there are, with replacement, again and again; the middle 95% of
what a figure is then are its interval (Efron, Annals of Statistics 1979). Two models are compared
on the same draws, so that what makes a row hard for both cancels (Koehn, EMNLP 2004).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .ratios import Ratios, quotient

N_SAMPLES = 1000
ENDS = (2.5, 97.5)  # percent of the samples that lie below the interval's ends
MOST_DRAWN = 1 << 22  # rows at once; 8 bytes each, three times


class Interval(NamedTuple):
    """Figures and the ends of their intervals, each (n_figures,) float64.

    NaN where the rows say nothing of a figure.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def interval(figures: Ratios, seed: int) -> Interval:
    """Each figure and its interval."""
    return Interval(figures.values(), *ends(samples(figures, seed)))


def ends(sampled: np.ndarray) -> np.ndarray:
    """(2, n_figures), between which 95% of the samples lie; NaN where all samples are."""
    known = ~np.isnan(sampled).all(axis=0)
    found = np.full((2, sampled.shape[1]), np.nan)
    found[:, known] = np.nanpercentile(sampled[:, known], ENDS, axis=0)
    return found


def samples(figures: Ratios, seed: int) -> np.ndarray:
    """(N_SAMPLES, n_figures) float64, the figures of resampled rows.

    The same seed and number of rows give the same draws, whatever the figures are.
    """
    return np.concatenate(
        [
            quotient(times @ figures.part, times @ figures.whole)
            for times in _draws(len(figures.part), seed)
        ]
    )


def _draws(n_rows: int, seed: int) -> Iterator[np.ndarray]:
    """How often each sample draws each row: (some samples, n_rows) float64, until all are made."""
    rng = np.random.default_rng(seed)
    most = max(1, MOST_DRAWN // n_rows)
    for start in range(0, N_SAMPLES, most):
        n = min(most, N_SAMPLES - start)
        drawn = rng.integers(n_rows, size=(n, n_rows)) + n_rows * np.arange(n)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=n * n_rows)
        yield counts.reshape(n, n_rows).astype(np.float64)
