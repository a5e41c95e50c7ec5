"""Where predictions go wrong: why true labels are missed, and what is suggested in their place."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..judged import Judged
from ..numbering import old_numbers
from ..ranking.trees import Trees
from ..training_data import DescribedRows
from .groups import BINS, bin_of
from .training_rows import TrainingRows

# What becomes of a true label, in the order in which it is asked.
FOUND, TOO_LOW, NO_ROWS, UNREACHED = range(4)
FATES = ("found", "ranked too low", "no training row", "not reached")
MOST_ROWS, MOST_PLACES = 1024, 1 << 24  # asked for all their candidates at once; labels of these
N_SHOWN = 20  # labels, and pairs of labels


class Fates(NamedTuple):
    """What became of the true labels, by training rows of the label."""

    counts: np.ndarray  # (n_bins, n_fates) int64, pairs of a row and a label that is true for it


class LabelCount(NamedTuple):
    """How often a label is suggested, and how often rightly."""

    label: int
    n_true: int
    n_suggested: int
    n_hits: int


class Confusion(NamedTuple):
    """Rows for which one label is suggested wrongly while another one is missed."""

    suggested: int
    missed: int
    n_rows: int


def fates(model: Any, rows: Any, judged: Judged, trained: TrainingRows) -> Fates:
    """What became of each true label in the top k, and of those that are missed, why.

    It is among the row's candidates but not among the best k; or no training row has it; or the
    search never reached it. model: an estimator of matrices. rows: as it takes them.
    """
    row = np.repeat(np.arange(len(judged.labels)), judged.n_true)
    label = old_numbers(judged.true.indices, judged.true.kept)
    counts, fate = trained.of(label), np.full(len(row), FOUND)
    missed = np.flatnonzero(~found_labels(judged))
    fate[missed] = np.where(counts[missed] == 0, NO_ROWS, UNREACHED)
    fate[missed[among_candidates(model, rows, row[missed], label[missed])]] = TOO_LOW
    which = bin_of(counts) * len(FATES) + fate
    found = np.bincount(which, minlength=len(BINS) * len(FATES))
    return Fates(found.reshape(len(BINS), len(FATES)))


def found_labels(judged: Judged) -> np.ndarray:
    """bool, whether each true label, row by row, is among the row's best k."""
    row, place = np.nonzero(judged.hits)
    width = judged.true.n_numbers
    hit = row.astype(np.int64) * width + judged.labels[row, place]
    rows = np.repeat(np.arange(len(judged.labels), dtype=np.int64), judged.n_true)
    return _are_among(np.sort(hit), rows * width + judged.true.indices)


def among_candidates(model: Any, rows: Any, row: np.ndarray, label: np.ndarray) -> np.ndarray:
    """bool, whether each label is among all that the model finds for its row. `row` ascends."""
    reached = everywhere(model)
    if reached is not None:
        return np.isin(label, reached)
    n_labels, found = model.n_labels_, np.zeros(len(row), bool)
    asked = np.unique(row)
    size = max(1, min(MOST_ROWS, MOST_PLACES // model.model_.n_kept_labels))
    for start in range(0, len(asked), size):
        block = asked[start : start + size]
        P = sp.csr_matrix(model.predict_proba(rows_at(rows, block)))  # labels ascend
        there = np.repeat(np.arange(len(block), dtype=np.int64), np.diff(P.indptr)) * n_labels
        own = slice(*np.searchsorted(row, [block[0], block[-1] + 1]))
        asked_for = np.searchsorted(block, row[own]).astype(np.int64) * n_labels + label[own]
        found[own] = _are_among(there + P.indices, asked_for) & (label[own] < n_labels)
    return found


def _are_among(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """bool, whether each number is among the known ones, which ascend."""
    place = np.searchsorted(known, asked)
    there = place < len(known)
    there[there] = known[place[there]] == asked[there]
    return there


def everywhere(model: Any) -> np.ndarray | None:
    """The labels that the model finds for every row; None if that depends on the row."""
    predictor = model.model_.predictor
    if not isinstance(predictor, Trees) or any(m.tree.depth > 1 for m in predictor.members):
        return None
    return np.concatenate([member.tree.labels for member in model.members_])


def rows_at(rows: Any, chosen: np.ndarray) -> Any:
    """Some of the rows, as the model takes them."""
    if isinstance(rows, DescribedRows):
        return DescribedRows(rows.X[chosen], [rows.texts[row] for row in chosen])
    return rows[chosen]


def label_counts(judged: Judged) -> list[LabelCount]:
    """A count for each label that is true or suggested in some row."""
    width = judged.true.n_numbers
    named, hit = judged.labels >= 0, judged.hits
    counts = [
        judged.n_rows_by_label,
        *(np.bincount(judged.labels[own], minlength=width) for own in (named, hit)),
    ]
    seen = np.flatnonzero(counts[0] + counts[1])
    columns = old_numbers(seen, judged.true.kept), *(count[seen] for count in counts)
    return [LabelCount(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def most_suggested(counts: list[LabelCount], sign: int = 1) -> list[LabelCount]:
    """The labels that are suggested much more often than true; with sign -1, much less often."""
    off = [(sign * (own.n_suggested - own.n_true), own) for own in counts]
    worst = sorted((pair for pair in off if pair[0] > 0), key=lambda pair: (-pair[0], pair[1]))
    return [own for _, own in worst[:N_SHOWN]]


def confusions(judged: Judged) -> list[Confusion]:
    """The most frequent pairs of a label suggested wrongly and a true one that the row misses."""
    shape = len(judged.labels), judged.true.n_numbers
    row, place = np.nonzero((judged.labels >= 0) & ~judged.hits)
    wrong = _csr(row, judged.labels[row, place], shape)
    rows = np.repeat(np.arange(shape[0]), judged.n_true)
    missed = ~found_labels(judged)
    pairs = (wrong.T @ _csr(rows[missed], judged.true.indices[missed], shape)).tocoo()
    order = np.lexsort((pairs.col, pairs.row, -pairs.data))[:N_SHOWN]
    ids = (old_numbers(p[order], judged.true.kept).tolist() for p in (pairs.row, pairs.col))
    return [Confusion(*found) for found in zip(*ids, pairs.data[order].tolist(), strict=True)]


def _csr(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(row), np.int64), (row, column)), shape)
