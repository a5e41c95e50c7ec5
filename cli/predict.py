"""`xmc predict`: write the best labels of each row to a file or to stdout."""

from __future__ import annotations

import time
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    check_k,
    load_model,
    matrix_model,
    model_labels,
    read_rows,
)
from xmc.cli.output import Output, on_terminal
from xmc.errors import printable
from xmc.formats import PREDICTION_FORMATS

LONGEST_TEXT = 70  # characters of a text in the listing


@click.command("predict", short_help="Rank the best labels of each row.")
@click.argument("folder", metavar="DIR")
@click.argument("path", required=False, metavar="[FILE]")
@click.option(
    "--text", "texts", multiple=True, help="Text to label, instead of a file; may be repeated."
)
@click.option(
    "-k",
    type=click.IntRange(min=1),
    metavar="INT",
    default=5,
    show_default=True,
    help="Labels per row; the most in a set, if it is typed with --sets.",
)
@click.option("--sets", is_flag=True, help="Give the set of labels of each row, not the best k.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="NUMBER",
    help="Give the labels whose probability is at least this, as --sets does.",
)
@click.option(
    "--out",
    metavar="PATH",
    help="File for the predictions: .npz, .tsv, .jsonl or .txt (rows label:score); - is stdout.",
)
@click.option("--out-format", type=click.Choice(PREDICTION_FORMATS), help="Format of --out.")
@options.source
@options.threads
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    folder: str,
    path: str | None,
    texts: tuple[str, ...],
    k: int,
    sets: bool,
    threshold: float | None,
    out: str | None,
    out_format: str | None,
    source: Source,
    threads: int | None,
    output: Output,
) -> None:
    """Rank the best labels of each row with the model in DIR.

    FILE holds features (.npz, .svm, .txt that begins with 2 or 3 numbers) or texts (.tsv, plain
    .txt). It may be compressed: .gz, .bz2, .xz or .zst. - is stdin and needs --format. Without
    --out the labels go to stdout: as a list, or as lines label<TAB>score<TAB>... if they are those
    of a FILE and stdout is no terminal.

    \b
    xmc predict model X.npz --out pred.npz -k 10
    xmc predict model --text "a terminal emulator for X"
    xmc predict model X.npz --out sets.jsonl --threshold 0.4
    """
    if (path is None) == (not texts):
        raise click.UsageError("expected either FILE or --text")
    source.check_stdin(path)
    check_destination(out, out_format)
    if out == output.json_path == "-":
        raise click.UsageError("--out and --json can't both be stdout")
    output.check(out)
    output.notices.compiling()
    model = load_model(folder, threads)
    estimator = matrix_model(model)
    estimator.verbose = int(not output.quiet)
    typed = "k" in options.typed_options(ctx)
    if typed:
        check_k("predict", k, model.n_labels_)
    k = min(k, model.n_labels_)
    X, documents = read_rows(model, path, list(texts), source, output.notices)
    started = time.monotonic()
    if sets or threshold is not None:
        most = k if typed else None  # only a typed k bounds sets
        top = estimator.predict_topk(X, most, sets=True, threshold=threshold)
    else:
        top = estimator.predict_topk(X, k)
    facts = count_rows(X, model, top.labels.shape[1], time.monotonic() - started)
    output.notices.say_if_any(
        facts["n_rows_without_features"],
        facts["n_rows"],
        "rows without features",
        "only the bias ranks their labels",
    )
    if out is not None:
        save(out, top, model, out_format, output.overwrite)
        output.notices.say(
            f"{facts['n_rows']:,} rows in {facts['seconds']:.2f} s, written to {out}"
        )
    else:
        facts["predictions"] = as_records(top, model) if output.json_path else None
        if output.for_people:
            print_predictions(top, model, documents, for_people=bool(texts) or on_terminal())
    output.write_json(facts)


def check_destination(out: str | None, format: str | None) -> None:
    """Raise an error if the format of the predictions isn't known or can't go to `out`."""
    if format is not None and out is None:
        raise click.UsageError("--out-format goes with --out")
    if out is not None:
        from xmc.formats import prediction_format

        if prediction_format(out, format) == "npz":
            from xmc.io.npz import check_plain

            check_plain(out)


def count_rows(X: Any, model: Any, k: int, seconds: float) -> dict[str, Any]:
    """Sizes of what was predicted, and how long it took."""
    X = getattr(X, "X", X)  # of rows with their texts
    return {
        "n_rows": X.shape[0],
        "n_rows_without_features": int((X.getnnz(axis=1) == 0).sum()),
        "n_labels": model.n_labels_,
        "k": k,
        "seconds": round(seconds, 3),
    }


def save(out: str, top: Any, model: Any, format: str | None, overwrite: bool) -> None:
    """Write the predictions with the ids and names of the model's labels."""
    from xmc.io import write_predictions

    ids, names = model_labels(model)
    write_predictions(
        out,
        top,
        model.n_labels_,
        label_ids=ids,
        label_names=names,
        format=format,
        overwrite=overwrite,
    )


def print_predictions(top: Any, model: Any, texts: list[str] | None, for_people: bool) -> None:
    """Print the predictions, as a list for people or as tsv lines."""
    if not for_people:
        return save("-", top, model, "tsv", False)
    for row, labels in enumerate(as_records(top, model)):
        click.secho(f"row {row}" if texts is None else shorten(texts[row]), bold=True)
        for label in labels["labels"]:
            label_id, name = (printable(str(label.get(key, label["id"]))) for key in ("id", "name"))
            suffix = "" if name == label_id else click.style(f"  {label_id}", dim=True)
            click.echo(f"  {label['score']:.3f}  {name}{suffix}")


def shorten(text: str) -> str:
    """The beginning of a text, on one line."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 3]}..."


def as_records(top: Any, model: Any) -> list[dict[str, Any]]:
    """The predictions as in jsonl, one object per row."""
    from xmc.io import prediction_rows

    ids, names = model_labels(model)
    return prediction_rows(top, model.n_labels_, ids, names)
