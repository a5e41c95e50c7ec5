"""Report: how good a model is on labelled rows, for which of them, and where it goes wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import scipy.sparse as sp

from .. import metrics
from ..errors import DataError
from ..inputs import as_csr, true_labels
from ..judged import judge
from ..text import as_texts
from ..topk import TopK, check_k
from .bootstrap import N_SAMPLES, Interval
from .groups import METRICS, Table, bin_names, by_frequency, by_values, overall
from .labels import Labels, labels_of
from .misses import (
    FATES,
    Confusion,
    Fates,
    LabelCount,
    confusions,
    fates,
    label_counts,
    most_suggested,
)
from .outline import Bounds, Outline, outlines
from .ratios import ratios
from .training_rows import training_rows

WHO = "report"
BOUNDS = Bounds(n_nodes=1500, n_children=20, depth=8)


class Facts(NamedTuple):
    """What the model is, and what it takes."""

    kind: str
    n_labels: int
    n_features: int
    n_weights: int
    n_bytes: int | None  # of its folder, if it lies in one
    seconds_per_row: float  # to make the rows of texts, and to rank them


class Report(NamedTuple):
    """All that the page, the terminal and JSON show."""

    name: str
    facts: Facts
    labels: Labels
    ks: tuple[int, ...]
    seed: int
    metrics: dict[str, float | int]  # as `xmc.metrics.report` gives them
    overall: Table
    frequency: Table
    columns: list[Table]
    calibration: (
        metrics.Reliability | None
    )  # of the top max(ks); None unless scores are from 0 to 1
    fates: Fates
    over: list[LabelCount]
    under: list[LabelCount]
    confusions: list[Confusion]
    outlines: list[Outline]


def report(
    model: Any,
    rows: Any,
    Y_true: Any,
    *,
    ks: Sequence[int] = (1, 3, 5),
    columns: Mapping[str, Sequence[str]] | None = None,
    labels: Labels | None = None,
    name: str = "model",
    n_bytes: int | None = None,
    seed: int = 0,
) -> Report:
    """What there is to say of a trained model on labelled rows.

    rows: texts, if the model is one of texts, else a matrix of its features.
    Y_true: (n_rows, n_labels or more), the model's labels first; what the model doesn't know is
        missed.
    columns: what is known of each row, by name; the figures are shown for each value.
    labels: what the columns of Y_true are called; those of the model if not given.
    n_bytes: the size of the model's folder.
    seed: of the resamples that intervals come from.
    Raises DataError and ParameterError.
    """
    Y, ks = _checked(model, rows, Y_true, ks), tuple(sorted(set(ks)))
    check_columns(columns or {}, Y.shape[0])
    known = labels or labels_of(model)
    X, top, seconds = _ranked(model, rows, max(ks))
    judged = judge(WHO, Y, top, ks)
    trained, estimator = training_rows(model), _estimator(model)
    p = trained.propensities(estimator.propensity_a, estimator.propensity_b, Y.shape[1])
    figures = ratios(Y, top, ks, p, METRICS)
    tallies = label_counts(judged)
    return Report(
        name,
        _facts(model, n_bytes, seconds / Y.shape[0]),
        known,
        ks,
        seed,
        metrics.report(Y, top, ks, p),
        overall(figures, Y, seed),
        by_frequency(Y, top, ks, p, trained, seed),
        [by_values(own, values, figures, Y, seed) for own, values in (columns or {}).items()],
        _calibration(Y, top, max(ks)),
        fates(estimator, X, judged, trained),
        most_suggested(tallies),
        most_suggested(tallies, -1),
        confusions(judged),
        outlines(model, known, BOUNDS),
    )


def check_columns(columns: Mapping[str, Sequence[str]], n_rows: int) -> None:
    """Raise DataError unless each column has a value for each row."""
    for name, values in columns.items():
        if len(values) != n_rows:
            raise DataError(
                f"{WHO}: expected a value of {name!r} for each of {n_rows:,} rows, "
                f"got {len(values):,}"
            )


def _checked(model: Any, rows: Any, Y_true: Any, ks: Sequence[int]) -> sp.csr_matrix:
    Y = true_labels(Y_true, WHO, "Y_true")
    n_rows = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    if n_rows != Y.shape[0]:
        raise DataError(f"{WHO}: expected true labels of {n_rows:,} rows, got {Y.shape[0]:,}")
    if Y.shape[1] < model.n_labels_:
        expected = f"expected {model.n_labels_:,} labels as the model has"
        raise DataError(f"{WHO}: {expected}, got {Y.shape[1]:,}")
    if not Y.nnz:
        raise DataError(f"{WHO}: expected rows with true labels, none of {Y.shape[0]:,} has any")
    for k in ks:
        check_k(WHO, k, model.n_labels_)
    return Y


def _estimator(model: Any) -> Any:
    """The estimator that takes X: the model itself, or the classifier of a model of texts."""
    return getattr(model, "classifier_", model)


def _ranked(model: Any, rows: Any, k: int) -> tuple[Any, TopK, float]:
    """The rows as the estimator takes them, their best labels, and how many seconds both took.

    The first row is asked once before, so that nothing is compiled while the time runs.
    """
    of_texts, estimator = hasattr(model, "rows") and not sp.issparse(rows), _estimator(model)
    asked = model if of_texts else estimator
    rows = as_texts(rows, WHO) if of_texts else as_csr(rows, WHO, "X")
    asked.predict_topk(rows[:1], k)
    start = time.perf_counter()
    X = model.rows(rows) if of_texts else rows
    top = estimator.predict_topk(X, k)
    return X, top, time.perf_counter() - start


def _facts(model: Any, n_bytes: int | None, seconds_per_row: float) -> Facts:
    estimator, learned = _estimator(model), model.model_
    kind = type(estimator).__name__
    own = (learned.n_features, learned.predictor.n_weights, n_bytes, seconds_per_row)
    return Facts(kind, model.n_labels_, *own)


def _calibration(Y: sp.csr_matrix, top: TopK, k: int) -> metrics.Reliability | None:
    scores = top.scores[top.labels >= 0]
    if ((scores < 0) | (scores > 1)).any():
        return None
    return metrics.reliability(Y, top, k)


def as_json(found: Report) -> dict[str, Any]:
    """The report as plain values for JSON, all but the trees; NaN is None."""
    told = found.labels.record
    return {
        "model": found.name,
        **found.facts._asdict(),
        "ks": list(found.ks),
        "seed": found.seed,
        "n_samples": N_SAMPLES,
        "metrics": found.metrics,
        "overall": _table(found.overall)["groups"][0],
        "tables": [_table(table) for table in (found.frequency, *found.columns)],
        "calibration": None if found.calibration is None else _bins(found.calibration),
        "true_labels": [
            {"training_rows": name} | dict(zip(FATES, counts, strict=True))
            for name, counts in zip(bin_names(), found.fates.counts.tolist(), strict=True)
        ],
        "over_suggested": [told(own.label) | own._asdict() for own in found.over],
        "under_suggested": [told(own.label) | own._asdict() for own in found.under],
        "confusions": [
            {"suggested": told(c.suggested), "missed": told(c.missed), "n_rows": c.n_rows}
            for c in found.confusions
        ],
    }


def _table(table: Table) -> dict[str, Any]:
    groups = [
        {**group._asdict(), "figures": _figures(table.names, group.figures)}
        for group in table.groups
    ]
    return {"by": table.title, "groups": groups}


def _figures(names: Sequence[str], figures: Interval) -> dict[str, dict[str, float | None]]:
    columns = zip(names, *(part.tolist() for part in figures), strict=True)
    return {
        name: {end: known(v) for end, v in zip(Interval._fields, values, strict=True)}
        for name, *values in columns
    }


def _bins(bins: metrics.Reliability) -> list[dict[str, Any]]:
    columns = zip(*(part.tolist() for part in bins), strict=True)
    return [
        {"n_predictions": n, "mean_score": known(score), "true_share": known(share)}
        for n, score, share in columns
    ]


def known(value: float) -> float | None:
    """The value, None if it is NaN, for which JSON has no word."""
    return value if value == value else None
