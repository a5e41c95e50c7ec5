"""Labelled rows of any kind: some of them, those to hold out, and how good a model is on these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import DataError
from .io.label_ids import align_labels
from .metrics import report, sparse_propensities
from .scoring import Scorer


class LabelledRows(NamedTuple):
    """What a model is trained on: X, or texts that become X; either may be a folder of rows."""

    X: Any  # None if there are texts
    Y: Any
    texts: Any
    label_ids: list[str] | None
    label_names: list[str] | None
    row_weights: Any = None

    @property
    def rows(self) -> Any:
        """What a model reads: X or the texts."""
        return self.X if self.texts is None else self.texts

    def take(self, chosen: Any) -> LabelledRows:
        """Only the chosen rows."""
        X = None if self.X is None else taken(self.X, chosen)
        texts = None if self.texts is None else taken(self.texts, chosen)
        weights = None if self.row_weights is None else self.row_weights[chosen]
        return self._replace(X=X, Y=self.Y[chosen], texts=texts, row_weights=weights)

    def teach(self, model: Any, **how: Any) -> Any:
        """The model, fitted to these rows; how: what else its fit takes."""
        called = {"label_ids": self.label_ids, "label_names": self.label_names}
        return model.fit(self.rows, self.Y, sample_weight=self.row_weights, **called, **how)


def taken(rows: Any, chosen: Any) -> Any:
    """The chosen ones of a matrix, a list of texts, or a folder of rows."""
    if hasattr(rows, "taken"):
        return rows.taken(chosen)
    return [rows[row] for row in chosen] if isinstance(rows, list) else rows[chosen]


def to_hold_out(n_rows: int, n_held: int, seed: int, part: int = 0) -> np.ndarray:
    """bool, the rows that are held out, so many by chance; no two parts share one."""
    held = np.zeros(n_rows, bool)
    order = np.random.default_rng(seed).permutation(n_rows)
    held[order[part * n_held : (part + 1) * n_held]] = True
    return held


def held_of(n_rows: int, share: float) -> int:
    """How many rows a share of them is, one at least."""
    return max(1, round(share * n_rows))


def hold_out(
    data: LabelledRows, share: float, seed: int, who: str, part: int = 0
) -> tuple[LabelledRows, LabelledRows]:
    """Split into rows to train on and a share that is held out; both keep their order.

    part: which rows are held out, of several such shares.
    Raises DataError if none is left to train on.
    """
    n_rows = data.Y.shape[0]
    n_held = held_of(n_rows, share)
    if n_held >= n_rows:
        held_out = f"--valid {share:g} holds {n_held:,} of {n_rows:,} out"
        raise DataError(f"{who}: expected rows left to train on, {held_out}")
    held = to_hold_out(n_rows, n_held, seed, part)
    return data.take(np.flatnonzero(~held)), data.take(np.flatnonzero(held))


def measure(
    model: Any,
    trained: LabelledRows,
    held: LabelledRows,
    ks: Sequence[int],
    scorer: Scorer | None = None,
) -> dict[str, float | int]:
    """The metrics of a model on rows held out; propensities are those of the rows it learned.

    scorer: of a metric that is wanted even if reports don't show it.
    A model that has a vocabulary has its concepts among its labels.
    """
    Y, known = held.Y, trained.Y
    if held.label_ids is not None and model.label_ids_ != held.label_ids:
        Y, ids = align_labels(Y, held.label_ids, model.label_ids_)
        known = align_labels(known, held.label_ids, ids)[0]
    top = model.predict_topk(held.rows, max(ks))
    found = report(Y, top, ks, sparse_propensities(known))
    if scorer is not None and scorer.name not in found:
        found[scorer.name] = 100 * scorer.metric(Y, top, scorer.k)
    return found
