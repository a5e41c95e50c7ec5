"""Predictions held against the truth: what every metric is computed from, checked here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp

from .errors import DataError
from .inputs import true_labels
from .kernels.metrics import find_hits
from .numbering import new_numbers, occurring
from .propensity import SparsePropensities
from .soundness import Matrix, sound
from .topk import TopK, check_k

Predictions: TypeAlias = TopK | sp.spmatrix | sp.sparray


class TrueLabels(NamedTuple):
    """The true labels of each row. Of very many labels, those that occur are numbered anew."""

    indptr: np.ndarray  # (n_rows + 1,) int64, into indices
    indices: np.ndarray  # int32, the true labels, row by row
    n_labels: int
    kept: np.ndarray | None  # int32, the old numbers; None where labels keep theirs

    @property
    def n_numbers(self) -> int:
        """How many labels are numbered."""
        return self.n_labels if self.kept is None else len(self.kept)


class Judged(NamedTuple):
    """The best k labels of each row, and which of them are true, numbered as TrueLabels are."""

    labels: np.ndarray  # (n_rows, k) int32, -1 in empty places
    scores: np.ndarray  # (n_rows, k), anything in empty places
    hits: np.ndarray  # (n_rows, k) bool
    true: TrueLabels

    @property
    def n_true(self) -> np.ndarray:
        """(n_rows,), the number of true labels of each row."""
        return np.diff(self.true.indptr)

    @property
    def n_rows_by_label(self) -> np.ndarray:
        """(n_numbers,), the number of rows that have each label."""
        return np.bincount(self.true.indices, minlength=self.true.n_numbers)


class Candidates(NamedTuple):
    """Scored labels of rows, and which of them are true."""

    scores: np.ndarray  # (n,), of any type of numbers
    is_true: np.ndarray  # (n,) bool
    rows: np.ndarray  # (n,) int64
    labels: np.ndarray  # (n,) int32, numbered as TrueLabels are
    true: TrueLabels  # whether they are candidates or not


def judge(
    who: str, Y_true: Matrix, predictions: Predictions, ks: Sequence[int], first_row: int = 0
) -> Judged:
    """The best max(ks) labels of each row and whether they hit.

    first_row: the number of the first row in what they are a block of.

    Raises DataError and ParameterError, beginning with `who`, if they can't be compared.
    """
    Y = true_labels(Y_true, who, "Y_true")
    for k in ks:
        check_k(who, k, Y.shape[1])
    labels, scores = _best(who, predictions, int(max(ks)), *Y.shape)
    true, labels = _numbered(Y, labels)
    starts = np.arange(len(labels) + 1) * labels.shape[1]
    hits = _hits(who, true, starts, labels.ravel(), first_row).reshape(labels.shape)
    return Judged(labels, scores, hits, true)


def judge_candidates(who: str, Y_true: Matrix, predictions: Predictions) -> Candidates:
    """Every prediction, and whether it is true; refuses what `judge` does."""
    Y = true_labels(Y_true, who, "Y_true")
    P = _all_as_sparse(who, predictions, *Y.shape)
    true, labels = _numbered(Y, P.indices)
    rows = np.repeat(np.arange(P.shape[0]), np.diff(P.indptr))
    return Candidates(P.data, _hits(who, true, P.indptr, labels), rows, labels, true)


def _numbered(Y: sp.csr_matrix, labels: np.ndarray) -> tuple[TrueLabels, np.ndarray]:
    """The true labels and the predicted ones as both are numbered."""
    kept = occurring(Y.shape[1], Y.indices, labels[labels >= 0])
    indices = new_numbers(Y.indices, kept).astype(np.int32)
    true = TrueLabels(Y.indptr.astype(np.int64), indices, Y.shape[1], kept)
    return true, new_numbers(labels, kept)


def _hits(
    who: str, true: TrueLabels, starts: np.ndarray, labels: np.ndarray, first_row: int = 0
) -> np.ndarray:
    """bool, whether each predicted label is true; row i has those from starts[i].

    The kernel gets contiguous, writable copies, so that it compiles for one kind of array.
    """
    starts, named = np.array(starts, np.int64), np.array(labels, np.int32)
    hits, repeated = find_hits(true.indptr, true.indices, starts, named, true.n_numbers)
    if repeated >= 0:
        row = first_row + repeated
        raise DataError(
            f"{who}: expected each label once per row, row {row} of predictions has one twice"
        )
    return hits


def checked_propensity(who: str, propensity: Any, judged: Judged) -> np.ndarray:
    """The propensity of each number of a label as float64.

    Raises DataError, beginning with `who`, unless there is one above 0 and at most 1 for each.
    """
    n_labels, kept = judged.true.n_labels, judged.true.kept
    if isinstance(propensity, SparsePropensities):
        _check_as_many(who, propensity.n_labels, n_labels)
        return propensity.of(np.arange(n_labels) if kept is None else kept)
    p = _array(who, propensity, "propensity")
    if p.ndim != 1 or p.dtype.kind not in "iuf":
        raise DataError(
            f"{who}: propensity must be a vector of numbers, got {p.ndim}-D of {p.dtype}"
        )
    _check_as_many(who, len(p), n_labels)
    fits = (p > 0) & (p <= 1)
    if not fits.all():
        raise DataError(f"{who}: propensity must be above 0 and at most 1, got {p[~fits][0]}")
    return (p if kept is None else p[kept]).astype(np.float64)


def _check_as_many(who: str, n_known: int, n_labels: int) -> None:
    if n_known != n_labels:
        raise DataError(f"{who}: Y_true has {n_labels:,} labels, propensity has {n_known:,}")


def _best(who: str, predictions: Any, k: int, n_rows: int, n_labels: int) -> TopK:
    """The best k; their labels are contiguous and writable, as kernels read them."""
    if not isinstance(predictions, TopK):
        return TopK.from_csr(_checked_sparse(who, predictions, n_rows, n_labels), k)
    labels, scores = _checked_topk(who, predictions, n_rows)
    if labels.shape[1] < k:
        got = labels.shape[1]
        raise DataError(
            f"{who}: expected {k} places per row, got predictions with {got}; predict with k={k}"
        )
    labels = labels[:, :k]
    _check_labels(who, labels, n_labels)
    return TopK(np.array(labels, np.int32, order="C"), scores[:, :k])


def _all_as_sparse(who: str, predictions: Any, n_rows: int, n_labels: int) -> sp.csr_matrix:
    if not isinstance(predictions, TopK):
        return _checked_sparse(who, predictions, n_rows, n_labels)
    top = _checked_topk(who, predictions, n_rows)
    _check_labels(who, top.labels, n_labels)
    return top.to_csr(n_labels)


def _checked_topk(who: str, predictions: TopK, n_rows: int) -> TopK:
    labels = _array(who, predictions.labels, "labels")
    scores = _array(who, predictions.scores, "scores")
    _check_topk(who, labels, scores)
    _check_rows(who, len(labels), n_rows)
    return TopK(labels, scores)


def _checked_sparse(who: str, predictions: Any, n_rows: int, n_labels: int) -> sp.csr_matrix:
    if not sp.issparse(predictions):
        got = type(predictions).__name__
        raise DataError(f"{who}: predictions must be a TopK or a sparse matrix, got {got}")
    P = sp.csr_matrix(sound(predictions, who, "predictions"))
    _check_rows(who, P.shape[0], n_rows)
    if P.shape[1] > n_labels:
        raise DataError(f"{who}: Y_true has {n_labels:,} labels, predictions have {P.shape[1]:,}")
    _check_scores(who, P.data)
    return P


def _check_labels(who: str, labels: np.ndarray, n_labels: int) -> None:
    least, most = labels.min(initial=0), labels.max(initial=0)
    if least < -1 or most >= n_labels:
        wrong = least if least < -1 else most
        raise DataError(f"{who}: Y_true has {n_labels:,} labels, predictions name label {wrong:,}")


def _array(who: str, values: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        got = type(values).__name__
        raise DataError(f"{who}: {name} must be an array of numbers, got {got}") from error


def _check_topk(who: str, labels: np.ndarray, scores: np.ndarray) -> None:
    if labels.ndim != 2 or labels.shape != scores.shape:
        raise DataError(
            f"{who}: labels and scores must be 2-D and alike, got {labels.shape} and {scores.shape}"
        )
    if labels.dtype.kind not in "iu" or scores.dtype.kind not in "iuf":
        raise DataError(
            f"{who}: labels must be ints and scores numbers, got {labels.dtype} and {scores.dtype}"
        )
    _check_scores(who, scores)


def _check_scores(who: str, scores: np.ndarray) -> None:
    if np.isnan(scores).any():
        raise DataError(f"{who}: scores of predictions must not be NaN")


def _check_rows(who: str, got: int, n_rows: int) -> None:
    if got != n_rows:
        raise DataError(f"{who}: Y_true has {n_rows:,} rows, predictions have {got:,}")
