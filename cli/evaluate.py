"""`xmc evaluate`: how good saved predictions are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import click

from xmc.cli import options
from xmc.cli.data import Source, check_k, default_ks, pad_columns
from xmc.cli.output import Notices, Output, print_metrics
from xmc.errors import DataError
from xmc.formats import MATRIX_FORMATS
from xmc.params import PropensityParams

PROPENSITY_HELP = {f.name: f.metadata["help"] for f in fields(PropensityParams)}
NAMES_HINT = "--label-names FILE tells their ids"

propensity_flags = options.combined(
    click.option(
        "--train-labels",
        metavar="FILE",
        help="Labels of the training rows, for the propensity-scored PSP and PSnDCG.",
    ),
    click.option(
        "--propensity-a",
        type=click.FloatRange(0),
        metavar="NUMBER",
        default=0.55,
        show_default=True,
        help=f"{PROPENSITY_HELP['propensity_a']}.",
    ),
    click.option(
        "--propensity-b",
        type=click.FloatRange(0, min_open=True),
        metavar="NUMBER",
        default=1.5,
        show_default=True,
        help=f"{PROPENSITY_HELP['propensity_b']}.",
    ),
)


class LabelMatrix(NamedTuple):
    """A file's rows, with a column per label."""

    path: str
    M: Any
    ids: list[str] | None  # None if a label is known by the number of its column only
    headerless: bool = False  # the width is only that of the largest id

    @property
    def n_labels(self) -> int:
        return self.M.shape[1]

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


@click.command("evaluate", short_help="Measure saved predictions against the truth.")
@click.argument("predictions", metavar="PRED")
@click.argument("truth", metavar="TRUTH")
@click.option(
    "-k",
    "ks",
    type=options.Ks(),
    multiple=True,
    help="How many of the best labels to look at, as 1,3,5; may be repeated.",
)
@click.option(
    "--curve",
    metavar="PATH",
    help="File for a drawing, .svg: how often the scores of the largest -k came true.",
)
@propensity_flags
@options.label_names
@options.source
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    predictions: str,
    truth: str,
    ks: tuple[tuple[int, ...], ...],
    curve: str | None,
    train_labels: str | None,
    propensity_a: float,
    propensity_b: float,
    label_names: str | None,
    source: Source,
    output: Output,
) -> None:
    """Measure predictions (PRED) against the true labels (TRUTH) of the same rows.

    PRED is .npz, .tsv, .jsonl, or a .txt that begins with `rows labels`. TRUTH is Y.npz, such a
    .txt, or a file of rows with labels: XMC text, SVMlight or tsv. Labels are matched by id if both
    sides have ids, otherwise by column; --label-names gives ids to columns. A true label that was
    never predicted counts as a miss, also one that the model doesn't know. A label that the file of
    --train-labels lacks has 0 training rows there. Scores from 0 to 1 are taken for probabilities,
    and ECE is their calibration error. --format, --zero-based and --tsv-columns describe TRUTH and
    the file of --train-labels.

    \b
    xmc evaluate pred.npz Y.tst.npz --train-labels Y.trn.npz
    xmc evaluate pred.jsonl test.tsv --curve curve.svg
    """
    if train_labels is None:
        options.refuse(ctx, ["propensity_a", "propensity_b"], "goes with --train-labels")
    source.check_stdin(truth)
    if curve is not None and not curve.endswith(".svg"):
        raise DataError(f"{curve}: expected a file .svg for the curve")
    output.check(curve)
    output.notices.compiling()
    inputs = read_inputs(predictions, truth, train_labels, source)
    check_rows(inputs)
    inputs = match_labels(add_ids(inputs, label_names))
    asked = [k for some in ks for k in some]
    chosen = choose_ks(asked, inputs, output.notices)
    metrics = measure(inputs, chosen, propensity_a, propensity_b)
    if f"ECE@{max(chosen)}" not in metrics:
        left_out = "ECE is left out" if curve is None else "ECE and the curve are left out"
        output.notices.say(f"scores are not all from 0 to 1; {left_out}")
    elif curve is not None:
        draw_curve(inputs, max(chosen), curve, output.overwrite)
    if output.for_people:
        print_metrics(metrics)
    output.write_json(metrics)


def draw_curve(inputs: Inputs, k: int, path: str, overwrite: bool) -> None:
    """Write a drawing of how often scores came true."""
    from xmc.io.files import create_file
    from xmc.metrics import reliability
    from xmc.reporting.figures import ALONE, calibration_figure

    drawn = calibration_figure(reliability(inputs.true.M, inputs.pred.M, k), ALONE)
    with create_file(path, overwrite) as file:
        file.write(str(drawn).encode())


def read_inputs(predictions: str, truth: str, train: str | None, source: Source) -> Inputs:
    """Predictions, truth, and the labels of the training rows if their file is given."""
    from xmc.io import read_predictions

    pred = LabelMatrix(predictions, *read_predictions(predictions))
    true = read_labels(truth, source)
    return Inputs(pred, true, None if train is None else read_labels(train, source))


def read_labels(path: str, source: Source) -> LabelMatrix:
    """The labels of the rows in a file."""
    format = source.format_of(path)
    if format == "text":
        raise DataError(f"{path}: expected rows with labels, got plain text")
    dataset = source.read(path)
    M = dataset.X if format in MATRIX_FORMATS else dataset.Y
    return LabelMatrix(path, M, dataset.label_ids, headerless=format == "svmlight")


def check_rows(inputs: Inputs) -> None:
    """Raise DataError unless predictions and truth have as many rows."""
    pred, true = inputs.pred, inputs.true
    n_predicted, n_true = pred.M.shape[0], true.M.shape[0]
    if n_predicted != n_true:
        raise DataError(
            f"{pred.path}: expected {n_true:,} rows as in {true.path}, got {n_predicted:,}"
        )


def add_ids(inputs: Inputs, label_names: str | None) -> Inputs:
    """Give ids to columns that have none: those of a file, or those of the training labels."""
    from xmc.io import read_label_names

    pred, true, train = inputs
    if label_names is not None:
        ids = read_label_names(label_names)[0]
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


def choose_ks(asked: Sequence[int], inputs: Inputs, notices: Notices) -> tuple[int, ...]:
    """The ks that were asked for, otherwise the usual ones that the predictions suffice for."""
    n_labels = inputs.true.n_labels
    most = int(inputs.pred.M.getnnz(axis=1).max())
    ks = default_ks(asked, min(most, n_labels))
    check_k("evaluate", max(ks), n_labels)
    if max(ks) > most:
        notices.say(f"rows have at most {most:,} predictions; the missing ones count as misses")
    return ks


def measure(inputs: Inputs, ks: tuple[int, ...], a: float, b: float) -> dict[str, Any]:
    """What `xmc.metrics.report` says."""
    from xmc.metrics import report, sparse_propensities

    pred, true, train = inputs
    p = None if train is None else sparse_propensities(train.M, a, b)
    return report(true.M, pred.M, ks, p)
