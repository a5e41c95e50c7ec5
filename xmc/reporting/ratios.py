"""Figures that are a ratio of two sums over rows, as P@k, R@k, nDCG@k, F1@k and PSP@k are.

Where both sums are kept row by row, the figure of any choice of rows follows from them: of a group
of rows, and of the resamples of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..judged import Predictions
from ..metrics import Propensity, report
from ..soundness import Matrix

GAIN, IDEAL = "-gain", "-ideal"  # of the metrics that `report` gives as two sums


class Ratios(NamedTuple):
    """A column per figure, a row per row: a figure is the sum of `part` over that of `whole`."""

    names: tuple[str, ...]
    part: np.ndarray  # (n_rows, n_figures) float64
    whole: np.ndarray  # (n_rows, n_figures) float64

    def of(self, rows: np.ndarray) -> Ratios:
        """Those of some rows, by number or where a mask is True."""
        return self._replace(part=self.part[rows], whole=self.whole[rows])

    def values(self) -> np.ndarray:
        """(n_figures,) float64, NaN where the sum below the line is 0."""
        return quotient(self.part.sum(axis=0), self.whole.sum(axis=0))


def quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def ratios(
    Y_true: Matrix,
    predictions: Predictions,
    ks: Sequence[int],
    propensity: Propensity | None = None,
    metrics: Sequence[str] = (),
) -> Ratios:
    """The figures of `xmc.metrics.report` that are ratios over rows, in percent.

    metrics: which of P, nDCG, R, F1, PSP and PSnDCG, and in which order; all that there are if
        none is named.
    """
    by_row = report(Y_true, predictions, ks, propensity, per_row=True)
    sums = {}
    for key, values in by_row.items():
        name, _, k = key.partition("@")
        if name.endswith(GAIN):
            ideal = by_row[f"{name.removesuffix(GAIN)}{IDEAL}@{k}"]
            sums[f"{name.removesuffix(GAIN)}@{k}"] = 100 * values, ideal
        elif not name.endswith(IDEAL):
            known = ~np.isnan(values)
            sums[key] = np.where(known, values, 0.0), known.astype(np.float64)
    names = tuple(f"{metric}@{k}" for metric in metrics for k in ks) or tuple(sums)
    kept = [sums[name] for name in names if name in sums]
    part, whole = (np.stack(columns, axis=1) for columns in zip(*kept, strict=True))
    return Ratios(tuple(name for name in names if name in sums), part, whole)


def beside(several: Sequence[Ratios]) -> Ratios:
    """The columns of all, so that they are resampled together."""
    names = tuple(name for own in several for name in own.names)
    return Ratios(
        names, np.hstack([own.part for own in several]), np.hstack([own.whole for own in several])
    )


def apart(values: Any, several: Sequence[Ratios]) -> list[Any]:
    """What was computed of `beside`, for each of its parts again; columns stand last."""
    ends = np.cumsum([len(own.names) for own in several])[:-1]
    return np.split(values, ends, axis=-1)
