"""`xmc evaluate`: how good saved predictions are."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from xmc.cli import options
from xmc.cli.data import check_k, check_stdin, default_ks, pad_columns
from xmc.cli.output import Notices, Output, print_metrics
from xmc.errors import DataError

INT32_MAX = 2**31 - 1


class Table(NamedTuple):
    """A matrix with labels as columns; `ids` is None where a column is known by its number only."""

    path: str
    M: Any
    ids: list[str] | None
    headerless: bool = False

    def named(self, ids: list[str] | None) -> Table:
        """With these ids, if it has none and they fit."""
        if self.ids is not None or ids is None:
            return self
        table = self.wide(len(ids))
        if table.M.shape[1] != len(ids):
            raise DataError(
                f"{self.path}: expected {len(ids):,} labels as there are names, got {table.M.shape[1]:,}"
            )
        return table._replace(ids=ids)

    def wide(self, n_labels: int) -> Table:
        """As wide as that, if its width is only that of its largest id."""
        return self._replace(M=pad_columns(self.M, n_labels)) if self.headerless else self


@click.command("evaluate", short_help="Measure saved predictions against the truth.")
@click.argument("predictions", metavar="PRED")
@click.argument("truth", metavar="TRUTH")
@click.option(
    "-k",
    "ks",
    type=options.Ks(),
    multiple=True,
    help="Places to look at, as 1,3,5; may be repeated.",
)
@click.option(
    "--train-labels",
    metavar="FILE",
    help="Labels of the training rows, for the propensity-scored PSP and PSnDCG.",
)
@click.option(
    "--propensity-a",
    type=click.FloatRange(0),
    default=0.55,
    show_default=True,
    help="A of the propensities.",
)
@click.option(
    "--propensity-b",
    type=click.FloatRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="B of the propensities.",
)
@options.label_names
@options.source
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    predictions: str,
    truth: str,
    ks: tuple[tuple[int, ...], ...],
    train_labels: str | None,
    propensity_a: float,
    propensity_b: float,
    label_names: str | None,
    format: str | None,
    zero_based: bool,
    output: Output,
) -> None:
    """Measure predictions (PRED: .npz, .tsv or .jsonl) against the true labels of the same rows.

    TRUTH is Y.npz, or a file of rows with labels: XMC text, SVMlight or tsv. Labels are matched by
    id where both sides have ids, else by column; --label-names gives ids to columns. True labels
    that were never predicted count as misses. --format and --zero-based are about TRUTH and
    --train-labels.

    \b
    xmc evaluate pred.npz Y.tst.npz --train-labels Y.trn.npz
    """
    if train_labels is None:
        options.refuse(ctx, ["propensity_a", "propensity_b"], "goes with --train-labels")
    check_stdin(truth, format)
    output.check()
    output.notices.compiling()
    tables = read_tables(predictions, truth, train_labels, format, zero_based)
    same_rows(*tables[:2])
    pred, true, train = matched(*named(tables, label_names))
    ks = choose_ks([k for some in ks for k in some], pred, true, output.notices)
    metrics = measure(pred, true, train, ks, propensity_a, propensity_b)
    if output.for_people:
        print_metrics(metrics)
    output.write_json(metrics)


def read_tables(
    predictions: str, truth: str, train: str | None, format: str | None, zero_based: bool
) -> tuple[Table, Table, Table | None]:
    """Predictions, truth, and the labels of the training rows if asked for."""
    from xmc.io import read_predictions

    pred = Table(predictions, *read_predictions(predictions))
    true = read_truth(truth, format, zero_based)
    return pred, true, None if train is None else read_truth(train, format, zero_based)


def read_truth(path: str, format: str | None, zero_based: bool) -> Table:
    """The labels of the rows in a file."""
    from xmc.io import format_of, read

    format = format_of(path, format)
    if format == "text":
        raise DataError(f"{path}: expected rows with labels, got plain text")
    dataset = read(path, format=format, zero_based=zero_based)
    return Table(
        path, dataset.X if format == "npz" else dataset.Y, dataset.label_ids, format == "svmlight"
    )


def named(
    tables: tuple[Table, Table, Table | None], path: str | None
) -> tuple[Table, Table, Table | None]:
    """The tables with ids for the columns that have none, from a file of label names or from the
    training data.
    """
    from xmc.io import read_label_names

    pred, true, train = tables
    ids = read_label_names(path)[0] if path is not None else None
    if ids is not None:
        pred, true, train = pred.named(ids), true.named(ids), train and train.named(ids)
    if (
        pred.ids is None
        and train is not None
        and train.ids is not None
        and len(train.ids) == pred.M.shape[1]
    ):
        pred = pred.named(train.ids)
    return pred, true, train


def matched(pred: Table, true: Table, train: Table | None) -> tuple[Table, Table, Table | None]:
    """The tables with the same label in the same column: those of the truth, then those that it
    lacks.
    """
    if true.ids is None:
        return by_column(pred, true, train)
    for table in (pred, train):
        if table is not None and table.ids is None:
            raise DataError(
                f"{table.path}: expected label ids, as {true.path} has, got columns; --label-names FILE tells their ids"
            )
    return by_id(pred, true, train)


def by_id(pred: Table, true: Table, train: Table | None) -> tuple[Table, Table, Table | None]:
    """Columns that are matched by the ids of the labels."""
    from xmc.io import align_labels

    P, columns = align_labels(pred.M, pred.ids, true.ids)
    Y = pad_columns(true.M, len(columns))
    if train is not None:
        train = train._replace(
            M=align_labels(train.M, train.ids, columns)[0][:, : len(columns)], ids=columns
        )
    return pred._replace(M=P, ids=columns), true._replace(M=Y, ids=columns), train


def by_column(pred: Table, true: Table, train: Table | None) -> tuple[Table, Table, Table | None]:
    """Columns that are matched by their numbers, which predictions in text have for ids."""
    if pred.ids is not None:
        pred, true = by_number(pred, true)
    true = true.wide(pred.M.shape[1])
    if pred.M.shape[1] > true.M.shape[1]:
        raise DataError(
            f"{true.path}: expected {pred.M.shape[1]:,} labels as in {pred.path}, got {true.M.shape[1]:,}"
        )
    return pred, true, same_labels(train, true)


def by_number(pred: Table, true: Table) -> tuple[Table, Table]:
    """The predictions with their columns at the numbers that their ids are, and the truth."""
    import numpy as np
    import scipy.sparse as sp

    numbers = [int(label) if label.isascii() and label.isdigit() else -1 for label in pred.ids]
    true = true.wide(min(max(numbers, default=-1), INT32_MAX - 1) + 1)
    n_labels = true.M.shape[1]
    for label, number in zip(pred.ids, numbers, strict=True):
        if not 0 <= number < n_labels or str(number) != label:
            raise DataError(
                f"{pred.path}: expected labels from 0 to {n_labels - 1}, the columns of {true.path}, got {label!r}; "
                "--label-names FILE tells their ids"
            )
    indices = np.array(numbers, np.int32)[pred.M.indices]
    P = sp.csr_matrix((pred.M.data, indices, pred.M.indptr), shape=(pred.M.shape[0], n_labels))
    return pred._replace(M=P, ids=None), true


def same_labels(train: Table | None, true: Table) -> Table | None:
    """The training labels, as wide as the truth."""
    if train is None:
        return None
    train = train.wide(true.M.shape[1])
    if train.ids is not None:
        raise DataError(
            f"{train.path}: expected columns as {true.path} has, got label ids; --label-names tells its ids"
        )
    if train.M.shape[1] != true.M.shape[1]:
        raise DataError(
            f"{train.path}: expected {true.M.shape[1]:,} labels as in {true.path}, got {train.M.shape[1]:,}"
        )
    return train


def same_rows(pred: Table, true: Table) -> None:
    """Raises DataError unless both have as many rows."""
    if pred.M.shape[0] != true.M.shape[0]:
        raise DataError(
            f"{pred.path}: expected {true.M.shape[0]:,} rows as in {true.path}, got {pred.M.shape[0]:,}"
        )


def choose_ks(ks: list[int], pred: Table, true: Table, notices: Notices) -> tuple[int, ...]:
    """The ks that were asked for, or the usual ones as far as there are so many predictions."""
    most = int(pred.M.getnnz(axis=1).max())
    ks = default_ks(ks, min(most, true.M.shape[1]))
    check_k("evaluate", max(ks), true.M.shape[1])
    if max(ks) > most:
        notices.say(f"rows have at most {most:,} predictions; the missing ones count as misses")
    return ks


def measure(
    pred: Table, true: Table, train: Table | None, ks: tuple[int, ...], a: float, b: float
) -> dict[str, Any]:
    """Every metric in percent, and counts."""
    from xmc.metrics import propensities, report

    return report(true.M, pred.M, ks, None if train is None else propensities(train.M, a, b))
