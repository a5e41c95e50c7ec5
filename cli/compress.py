"""`xmc compress`: make a model smaller, and measure what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    TextEncoder,
    default_ks,
    features_for,
    labels_for,
    load_model,
    matrix_model,
    pad_columns,
    read_labelled,
)
from xmc.cli.inspect import size_text
from xmc.cli.output import Notices, Output, print_table


@click.command("compress", short_help="Shrink a model and measure what that costs.")
@click.argument("folder", metavar="DIR")
@click.argument("target", metavar="OUT")
@click.argument("sources", nargs=-1, metavar="[X.npz Y.npz | FILE]")
@click.option(
    "--weights",
    type=click.Choice(options.WEIGHTS["among"]),
    default="int8",
    show_default=True,
    help=f"{options.WEIGHTS['help'].capitalize()}.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(min=0),
    metavar="NUMBER",
    show_default="keep all",
    help="Weights smaller than this are dropped.",
)
@click.option(
    "--train-labels",
    metavar="FILE",
    help="Labels of the training rows, Y.npz; they are needed for PSP.",
)
@options.encoder
@options.source
@options.threads
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    folder: str,
    target: str,
    sources: tuple[str, ...],
    weights: str,
    threshold: float | None,
    train_labels: str | None,
    source: Source,
    encoder: TextEncoder,
    threads: int | None,
    output: Output,
) -> None:
    """Save the model in DIR as OUT, with fewer weights of fewer bits.

    If there are labelled rows, P@k of both models is measured on them; --train-labels adds PSP@k.

    \b
    xmc compress model small --weights int8 --threshold 0.2 X.tst.npz Y.tst.npz
    """
    if not sources:
        options.refuse(
            ctx,
            ["train_labels", *options.ENCODER_FLAGS, *Source._fields],
            "goes with rows to measure on",
        )
    output.check(folder=target, marker="model.json")
    model = load_model(folder, threads, encoder, output.notices)
    rows = None
    if sources:
        rows = read_rows(model, sources, train_labels, source, output.notices)
    smaller = model.compress(weights, threshold)
    smaller.save(target, overwrite=output.overwrite)
    result = {"before": describe(model, folder, rows), "after": describe(smaller, target, rows)}
    if output.for_people:
        print_models(result)
    output.notices.say(f"saved as {target}")
    output.write_json(result)


def read_rows(
    model: Any,
    sources: tuple[str, ...],
    train_labels: str | None,
    source: Source,
    notices: Notices,
) -> tuple[Any, Any, Any]:
    """Features, true labels in the model's columns, and propensities if --train-labels is given."""
    from xmc.errors import DataError
    from xmc.io import read_matrix
    from xmc.metrics import sparse_propensities

    dataset, headerless = read_labelled(sources, source), source.is_headerless(sources[-1])
    X = features_for(model, dataset, headerless, notices)
    Y, _ = labels_for(model, dataset, sources[-1], headerless)
    if train_labels is None:
        return X, Y, None
    train = read_matrix(train_labels)
    if train.shape[1] > Y.shape[1]:
        raise DataError(
            f"{train_labels}: expected {Y.shape[1]:,} labels at most, got {train.shape[1]:,}"
        )
    return X, Y, sparse_propensities(pad_columns(train, Y.shape[1]))


def describe(model: Any, folder: str, rows: tuple[Any, Any, Any] | None) -> dict[str, Any]:
    """Sizes of the model, and its metrics on the rows if there are any."""
    from xmc.metrics import report

    estimator = matrix_model(model)
    facts = {
        "model": folder,
        "weights": estimator.weights,
        "weight_threshold": estimator.weight_threshold,
        "n_weights": model.model_.predictor.n_weights,
        "n_bytes": sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file()),
    }
    if rows is not None:
        X, Y, inverse = rows
        ks = default_ks((), model.n_labels_)
        metrics = report(Y, estimator.predict_topk(X, max(ks)), ks, inverse)
        facts |= {name: value for name, value in metrics.items() if name.startswith(("P@", "PSP@"))}
    return facts


def print_models(result: dict[str, dict[str, Any]]) -> None:
    """Print a line per model."""
    measured = [name for name in result["before"] if "@" in name]
    lines = []
    for facts in result.values():
        sizes = [facts["weights"], f"{facts['weight_threshold']:g}", f"{facts['n_weights']:,}"]
        scores = [f"{facts[name]:.2f}" for name in measured]
        lines.append([facts["model"], *sizes, size_text(facts["n_bytes"]), *scores])
    print_table(["model", "weights", "threshold", "number", "size", *measured], lines)
