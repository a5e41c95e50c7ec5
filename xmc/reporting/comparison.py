"""Two models, or their predictions, on the same rows: who is ahead, how surely, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..inputs import true_labels
from ..judged import Judged, Predictions, judge
from ..metrics import Propensity, report
from ..numbering import old_numbers
from ..soundness import Matrix
from ..topk import TopK
from .bootstrap import N_SAMPLES, ends, samples
from .labels import Labels
from .misses import found_labels
from .ratios import ratios
from .report import known

WHO = "compare"
N_LABELS, N_ROWS = 10, 2  # shown of what each has that the other misses
ROUNDING = 1e-9  # percent; sums in another order may differ by less


class Difference(NamedTuple):
    """A's figure less B's, the ends of its interval, the share of samples in which A is ahead.

    All in the unit of the figure. The last three are NaN where a figure is none of sums over rows.
    """

    name: str
    difference: float
    low: float
    high: float
    a_ahead: float


class Won(NamedTuple):
    """A label that is true for some rows that only one of the two finds it for."""

    label: int
    n_rows: int


class Example(NamedTuple):
    """A row, its true labels, and the best labels by each."""

    row: int
    true: list[int]
    a: list[tuple[int, float]]
    b: list[tuple[int, float]]


class Comparison(NamedTuple):
    """All that the terminal and JSON show; labels are columns of Y_true."""

    ks: tuple[int, ...]
    seed: int
    a: dict[str, float | int]  # as `xmc.metrics.report` gives them
    b: dict[str, float | int]
    differences: list[Difference]
    n_both: int  # true labels of all rows in the best max(ks) of both
    n_only_a: int
    n_only_b: int
    only_a: list[Won]  # the most frequent ones
    only_b: list[Won]
    examples: list[Example]  # where A has most more than B, then where B has


def compare(
    Y_true: Matrix,
    a: Predictions,
    b: Predictions,
    *,
    ks: Sequence[int] = (1, 3, 5),
    propensity: Propensity | None = None,
    seed: int = 0,
) -> Comparison:
    """What there is to say of two predictions of the same rows.

    Both are measured on the same resamples of the rows, which seed draws. propensity: as PSP and
    PSnDCG need it. Raises DataError and ParameterError.
    """
    Y, ks = true_labels(Y_true, WHO, "Y_true"), tuple(sorted(set(ks)))
    if not Y.nnz:
        raise DataError(f"{WHO}: expected rows with true labels, none of {Y.shape[0]:,} has any")
    ours, theirs = judge(WHO, Y, a, ks), judge(WHO, Y, b, ks)
    figures = [ratios(Y, predictions, ks, propensity) for predictions in (a, b)]
    of_a, of_b = (report(Y, predictions, ks, propensity) for predictions in (a, b))
    hit_a, hit_b = found_labels(ours), found_labels(theirs)
    label = old_numbers(ours.true.indices, ours.true.kept)
    sampled = samples(figures[0], seed) - samples(figures[1], seed)
    return Comparison(
        ks,
        seed,
        of_a,
        of_b,
        _differences(of_a, of_b, figures[0].names, sampled),
        int((hit_a & hit_b).sum()),
        int((hit_a & ~hit_b).sum()),
        int((hit_b & ~hit_a).sum()),
        _won(label[hit_a & ~hit_b]),
        _won(label[hit_b & ~hit_a]),
        _examples(ours, theirs),
    )


def _differences(
    a: dict[str, Any], b: dict[str, Any], names: Sequence[str], sampled: np.ndarray
) -> list[Difference]:
    """Of each figure that both have, in the order of `xmc.metrics.report`."""
    lows, highs = ends(sampled)
    ahead = (sampled > ROUNDING).mean(axis=0)
    of_rows = dict(zip(names, zip(lows, highs, ahead, strict=True), strict=True))
    nothing = (np.nan,) * 3
    return [
        Difference(name, a[name] - b[name], *map(float, of_rows.get(name, nothing)))
        for name in a
        if "@" in name and name in b
    ]


def _won(labels: np.ndarray) -> list[Won]:
    """How often each label occurs, the most frequent ones."""
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:N_LABELS]
    return [Won(*own) for own in zip(found[order].tolist(), counts[order].tolist(), strict=True)]


def _examples(a: Judged, b: Judged) -> list[Example]:
    """The rows for which one has most true labels more than the other has."""
    ahead = a.hits.sum(axis=1) - b.hits.sum(axis=1)
    rows = [
        row
        for sign in (1, -1)
        for row in np.argsort(-sign * ahead, kind="stable")[:N_ROWS].tolist()
        if sign * ahead[row] > 0
    ]
    return [Example(row, _true(a, row), _best(a, row), _best(b, row)) for row in rows]


def _true(judged: Judged, row: int) -> list[int]:
    own = slice(*judged.true.indptr[row : row + 2])
    return old_numbers(judged.true.indices[own], judged.true.kept).tolist()


def _best(judged: Judged, row: int) -> list[tuple[int, float]]:
    labels, scores = TopK(old_numbers(judged.labels[row], judged.true.kept), judged.scores[row])
    return [(int(n), float(s)) for n, s in zip(labels, scores, strict=True) if n >= 0]


def as_json(found: Comparison, labels: Labels) -> dict[str, Any]:
    """The comparison as plain values for JSON; NaN is None."""

    def won(several: list[Won]) -> list[dict[str, Any]]:
        return [labels.record(own.label) | {"n_rows": own.n_rows} for own in several]

    return {
        "ks": list(found.ks),
        "seed": found.seed,
        "n_samples": N_SAMPLES,
        "a": found.a,
        "b": found.b,
        "differences": {
            name: dict(zip(Difference._fields[1:], map(known, values), strict=True))
            for name, *values in found.differences
        },
        "true_labels": {
            "both": found.n_both,
            "only_a": found.n_only_a,
            "only_b": found.n_only_b,
        },
        "only_a": won(found.only_a),
        "only_b": won(found.only_b),
        "examples": [_as_record(example, labels) for example in found.examples],
    }


def _as_record(example: Example, labels: Labels) -> dict[str, Any]:
    def best(several: list[tuple[int, float]]) -> list[dict[str, Any]]:
        return [
            labels.record(label) | {"score": score, "true": label in example.true}
            for label, score in several
        ]

    return {
        "row": example.row,
        "true": [labels.record(label) for label in example.true],
        "a": best(example.a),
        "b": best(example.b),
    }
