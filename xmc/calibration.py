"""Held-out rows: which probability a score means, and where to cut sets of labels."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .errors import DataError
from .labelled_rows import to_hold_out
from .ranking.calibration import Calibration
from .threshold import best_threshold
from .topk import TopK

SHARE_HELD, MOST_HELD = 0.1, 10_000  # of the rows
FEWEST_ROWS = 20
N_CANDIDATES = 100  # labels of a held-out row that are looked at, the best
FEW_TRUE = 200  # of fewer candidates that are true, a curve of two parameters says more
N_POINTS = 513  # of such a curve
TINY = 1e-9  # a score has a finite logit


def held_out(n_rows: int, seed: int, who: str) -> np.ndarray:
    """bool, the rows that a calibration learns from. Raises DataError if there are too few."""
    if n_rows < FEWEST_ROWS:
        raise DataError(
            f"{who}: expected at least {FEWEST_ROWS} rows to calibrate with, got {n_rows}"
        )
    return to_hold_out(n_rows, min(MOST_HELD, max(1, round(SHARE_HELD * n_rows))), seed)


def calibrated_on(
    kind: str, average: str, top: TopK, truth: sp.csr_matrix | sp.csr_array
) -> tuple[Calibration, float]:
    """The map of scores to probabilities, and the threshold of sets with the best F1.

    top: the best labels of held-out rows, as a model scores them that has not seen the rows.
    truth: their true labels, those that the model knows.
    kind: "isotonic" (Zadrozny and Elkan, KDD 2002) or "platt" (Platt, 1999).
    """
    found = top.labels >= 0
    row = np.nonzero(found)[0]
    # Of a csr_array such a selection would be sparse, too.
    is_true = np.asarray(sp.csr_matrix(truth)[row, top.labels[found]] != 0).ravel()
    learned = fit(kind, top.scores[found], is_true)
    sets = TopK(top.labels, learned.of_best(top).scores)
    return learned, min(1.0, best_threshold(truth, sets, average))


def fit(kind: str, scores: np.ndarray, is_true: np.ndarray) -> Calibration:
    """The map that fits candidates of these scores, some of them true."""
    n_true = int(is_true.sum())
    if n_true in (0, len(is_true)):  # nothing to tell apart
        p = (n_true + 1) / (len(is_true) + 2)
        return Calibration(np.zeros(1), np.full(1, p))
    if kind == "isotonic" and n_true >= FEW_TRUE:
        return _isotonic(scores, is_true)
    return _platt(scores, is_true)


def _isotonic(scores: np.ndarray, is_true: np.ndarray) -> Calibration:
    """The best map that never falls. Nothing is certain: no more than one case beside all."""
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(scores) + 2)
    learned = IsotonicRegression(y_min=least, y_max=1 - least)
    learned.fit(scores.astype(np.float64), is_true)
    return Calibration(learned.X_thresholds_, learned.y_thresholds_)


def _platt(scores: np.ndarray, is_true: np.ndarray) -> Calibration:
    """A logistic curve over the logit of the score, by its values at some scores.

    One case is added to both sides, as Platt does, so that few rows don't make it certain.
    """
    from sklearn.linear_model import LogisticRegression

    n_true = int(is_true.sum())
    n_false = len(is_true) - n_true
    share = (n_true + 1) / (n_true + 2), 1 / (n_false + 2)  # of a true one that it is true
    weight = np.where(is_true, share[0], share[1])
    logit = np.concatenate([_logit(scores)] * 2)[:, None]
    target = np.repeat([True, False], len(scores))
    learned = LogisticRegression(C=1e6).fit(logit, target, np.append(weight, 1 - weight))
    quantiles = np.quantile(scores, np.linspace(0, 1, N_POINTS))
    points = np.unique(np.append(quantiles, np.linspace(0, 1, N_POINTS)))
    p = learned.predict_proba(_logit(points)[:, None])[:, 1]
    return Calibration(points, np.maximum.accumulate(p))


def _logit(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores.astype(np.float64), TINY, 1 - TINY)
    return np.log(clipped) - np.log1p(-clipped)
