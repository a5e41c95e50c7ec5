"""Labels of files in the same columns: matched by their ids, or by the numbers of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from xmc.cli.data import Source, pad_columns
from xmc.errors import DataError
from xmc.formats import MATRIX_FORMATS

NAMES_HINT = "--label-names FILE tells their ids"


class LabelMatrix(NamedTuple):
    """A file's rows, with a column per label."""

    path: str
    M: Any
    ids: list[str] | None  # None if a label is known by the number of its column only
    headerless: bool = False  # the width is only that of the largest id

    @property
    def n_rows(self) -> int:
        return self.M.shape[0]

    @property
    def n_labels(self) -> int:
        return self.M.shape[1]

    def named(self, columns: Any) -> list[Any]:
        """The ids of an array of columns; the columns themselves where there are none."""
        return columns.tolist() if self.ids is None else [self.ids[own] for own in columns]

    def part(self, start: int, stop: int) -> LabelMatrix:
        """These rows, by number from 0 on."""
        return self._replace(M=self.M[start:stop])

    def with_ids(self, ids: list[str]) -> LabelMatrix:
        """The same with these ids, if it has none. Raises DataError if they don't fit."""
        if self.ids is not None:
            return self
        matrix = self.widened_to(len(ids))
        if matrix.n_labels != len(ids):
            expected = f"expected {len(ids):,} labels as there are names"
            raise DataError(f"{self.path}: {expected}, got {matrix.n_labels:,}")
        return matrix._replace(ids=ids)

    def widened_to(self, n_labels: int) -> LabelMatrix:
        """The same with at least so many columns, if it is headerless."""
        return self._replace(M=pad_columns(self.M, n_labels)) if self.headerless else self

    def known_ids(self, other: LabelMatrix) -> list[str]:
        """Its ids. Raises DataError if it has none, though the other matrix has some."""
        if self.ids is None:
            expected = f"expected label ids, as {other.path} has, got columns"
            raise DataError(f"{self.path}: {expected}; {NAMES_HINT}")
        return self.ids


class Inputs(NamedTuple):
    """What is measured, and what it is measured against."""

    pred: LabelMatrix
    true: LabelMatrix
    train: LabelMatrix | None  # the labels of the training rows, for propensities


def read_labels(path: str, source: Source) -> LabelMatrix:
    """The labels of the rows in a file."""
    return of_dataset(path, source.read(path), source)


def of_dataset(path: str, dataset: Any, source: Source) -> LabelMatrix:
    """The labels of a data set that was read from a file, or of a block of it."""
    format = source.format_of(path)
    if format == "text":
        raise DataError(f"{path}: expected rows with labels, got plain text")
    M = dataset.X if format in MATRIX_FORMATS else dataset.Y
    return LabelMatrix(path, M, dataset.label_ids, headerless=format == "svmlight")


def check_rows(inputs: Inputs) -> None:
    """Raise DataError unless predictions and truth have as many rows."""
    pred, true = inputs.pred, inputs.true
    check_as_many(pred.path, pred.M.shape[0], true.path, true.M.shape[0])


def check_as_many(pred: str, n_predicted: int, true: str, n_true: int) -> None:
    """Raise DataError unless two files have as many rows."""
    if n_predicted != n_true:
        raise DataError(f"{pred}: expected {n_true:,} rows as in {true}, got {n_predicted:,}")


def ids_of_columns(label_names: str | None) -> list[str] | None:
    """The ids in a file of label names, if there is one."""
    from xmc.io import read_label_names

    return None if label_names is None else read_label_names(label_names)[0]


def add_ids(inputs: Inputs, ids: list[str] | None) -> Inputs:
    """Give ids to columns that have none: these, or those of the training labels."""
    pred, true, train = inputs
    if ids is not None:
        pred, true = pred.with_ids(ids), true.with_ids(ids)
        train = None if train is None else train.with_ids(ids)
    if train is not None and train.ids is not None and len(train.ids) == pred.n_labels:
        pred = pred.with_ids(train.ids)
    return Inputs(pred, true, train)


def match_labels(inputs: Inputs) -> Inputs:
    """Put each label in the same column everywhere: first those of the truth, then the others."""
    if inputs.true.ids is None:
        return match_by_column(inputs)
    return match_by_id(inputs, inputs.true.ids)


def match_by_id(inputs: Inputs, true_ids: Sequence[str]) -> Inputs:
    """Match the columns by the ids of their labels."""
    from xmc.io import align_labels

    pred, true, train = inputs
    P, ids = align_labels(pred.M, pred.known_ids(true), true_ids)
    Y = pad_columns(true.M, len(ids))
    if train is not None:
        aligned, _ = align_labels(train.M, train.known_ids(true), ids)
        train = train._replace(M=aligned[:, : len(ids)], ids=ids)
    return Inputs(pred._replace(M=P, ids=ids), true._replace(M=Y, ids=ids), train)


def match_by_column(inputs: Inputs) -> Inputs:
    """Match the columns by their numbers; the ids of predictions in text are such numbers."""
    pred, true, train = inputs
    if pred.ids is not None:
        pred, true = to_numbered_columns(pred, true, pred.ids)
    true = true.widened_to(pred.n_labels)
    if pred.n_labels > true.n_labels:
        expected = f"expected {pred.n_labels:,} labels as in {pred.path}"
        raise DataError(f"{true.path}: {expected}, got {true.n_labels:,}")
    return Inputs(pred, true, None if train is None else as_wide_as(train, true))


def to_numbered_columns(
    pred: LabelMatrix, true: LabelMatrix, ids: Sequence[str]
) -> tuple[LabelMatrix, LabelMatrix]:
    """Move each column of the predictions to the number that is its id; give the truth, too.

    The truth gets wider if it is headerless. Raises DataError if an id is no column of the truth.
    """
    import numpy as np
    import scipy.sparse as sp

    from xmc.arrays import INT32_MAX

    numbers = [int(label) if label.isascii() and label.isdigit() else -1 for label in ids]
    true = true.widened_to(min(max(numbers, default=-1), INT32_MAX - 1) + 1)
    for label, number in zip(ids, numbers, strict=True):
        if not 0 <= number < true.n_labels or str(number) != label:
            expected = f"labels from 0 to {true.n_labels - 1}, the columns of {true.path}"
            raise DataError(f"{pred.path}: expected {expected}, got {label!r}; {NAMES_HINT}")
    indices = np.array(numbers, np.int32)[pred.M.indices]
    shape = (pred.M.shape[0], true.n_labels)
    P = sp.csr_matrix((pred.M.data, indices, pred.M.indptr), shape=shape)
    return pred._replace(M=P, ids=None), true


def as_wide_as(train: LabelMatrix, true: LabelMatrix) -> LabelMatrix:
    """The training labels with the columns of the truth. Raises DataError if they have others."""
    train = train.widened_to(true.n_labels)
    if train.ids is not None:
        expected = f"expected columns as {true.path} has, got label ids"
        raise DataError(f"{train.path}: {expected}; --label-names tells its ids")
    if train.n_labels != true.n_labels:
        expected = f"expected {true.n_labels:,} labels as in {true.path}"
        raise DataError(f"{train.path}: {expected}, got {train.n_labels:,}")
    return train
