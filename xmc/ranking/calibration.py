"""Calibration: the probabilities that scores mean, as held-out rows say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..topk import TopK


class Calibration(NamedTuple):
    """A map that never falls, linear between its points and constant beyond them.

    score: float64, ascending.
    probability: float64, from 0 to 1.
    """

    score: np.ndarray
    probability: np.ndarray

    def of(self, scores: np.ndarray) -> np.ndarray:
        """The probabilities, float32."""
        return np.interp(scores, self.score, self.probability).astype(np.float32)

    def of_best(self, top: TopK) -> TopK:
        """The best labels in their order, with probabilities; some may be equal now."""
        return TopK(top.labels, np.where(top.labels < 0, top.scores, self.of(top.scores)))

    def check(self) -> None:
        """Raise ValueError unless the arrays, read from a folder, are such a map."""
        score, p = self
        fits = score.ndim == 1 and score.shape == p.shape and len(score) > 0
        if not fits or not (np.isfinite(score).all() and np.isfinite(p).all()):
            raise ValueError("calibration: expected as many probabilities as scores, all numbers")
        if (np.diff(score) <= 0).any() or (np.diff(p) < 0).any() or p[0] < 0 or p[-1] > 1:
            raise ValueError("calibration: expected ascending scores and probabilities from 0 to 1")
