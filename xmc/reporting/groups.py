"""The same figures for parts of the data: labels by their training rows, rows by what is known of
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..judged import Predictions
from ..metrics import Propensity
from .bootstrap import Interval, ends, interval, samples
from .ratios import Ratios, apart, beside, ratios
from .training_rows import TrainingRows

METRICS = ("P", "PSP", "R")
BINS = (0, 1, 2, 5, 10, 100)  # of training rows of a label: where each begins
MOST_GROUPS = 20  # of a column's values, the most frequent ones
OTHERS = "other values"


class Group(NamedTuple):
    """A part of the data, and its figures."""

    name: str
    n_rows: int  # that have a true label in the group
    n_labels: int  # that some of these rows have
    n_true: int  # true labels of all rows
    figures: Interval


class Table(NamedTuple):
    """The figures of all groups of one kind."""

    title: str
    names: tuple[str, ...]  # of the figures
    groups: list[Group]


def bin_names() -> list[str]:
    """`0`, `1`, `2-4` and so on."""
    pairs = zip(BINS, [*(low - 1 for low in BINS[1:]), None], strict=True)
    return [
        f"{low}+" if high is None else f"{low}" if low == high else f"{low}-{high}"
        for low, high in pairs
    ]


def bin_of(counts: np.ndarray) -> np.ndarray:
    """The bin of each number of training rows."""
    return np.searchsorted(BINS, counts, side="right") - 1


def overall(figures: Ratios, Y: sp.csr_matrix, seed: int) -> Table:
    """The figures of all rows and labels."""
    return Table("all", figures.names, [_group("all", Y, interval(figures, seed))])


def by_frequency(
    Y: sp.csr_matrix,
    predictions: Predictions,
    ks: Sequence[int],
    propensity: Propensity,
    trained: TrainingRows,
    seed: int,
) -> Table:
    """The figures of each bin: what they are if only its labels count as true.

    So the P@k of all bins add up to that of all labels.
    """
    bins = bin_of(trained.of(Y.indices))
    parts = [_restricted(Y, bins == n) for n in range(len(BINS))]
    figures = [ratios(own, predictions, ks, propensity, METRICS) for own in parts]
    lows, highs = (apart(end, figures) for end in ends(samples(beside(figures), seed)))
    found = zip(bin_names(), parts, figures, lows, highs, strict=True)
    groups = [
        _group(name, own, Interval(f.values(), low, high)) for name, own, f, low, high in found
    ]
    return Table("training rows", figures[0].names, groups)


def by_values(
    title: str, values: Sequence[str], figures: Ratios, Y: sp.csr_matrix, seed: int
) -> Table:
    """The figures of the rows with each value of a column, the most frequent value first.

    Rows are drawn among those of the group. Rare values beyond MOST_GROUPS are one group.
    """
    names, which, sizes = np.unique(
        np.asarray(values, object).astype(str), return_inverse=True, return_counts=True
    )
    order = np.lexsort((names, -sizes))
    chosen = [(str(names[n]), which == n) for n in order[:MOST_GROUPS]]
    if len(names) > MOST_GROUPS:
        chosen.append((OTHERS, np.isin(which, order[MOST_GROUPS:])))
    groups = [_group(name, Y[rows], interval(figures.of(rows), seed)) for name, rows in chosen]
    return Table(title, figures.names, groups)


def _group(name: str, Y: sp.csr_matrix, figures: Interval) -> Group:
    n_rows, n_labels = np.count_nonzero(Y.getnnz(axis=1)), len(np.unique(Y.indices))
    return Group(name, int(n_rows), n_labels, Y.nnz, figures)


def _restricted(Y: sp.csr_matrix, kept: np.ndarray) -> sp.csr_matrix:
    """Y with only the kept entries."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return sp.csr_matrix((Y.data[kept], Y.indices[kept], before[Y.indptr]), Y.shape)
