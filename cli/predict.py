"""`xmc predict`: the best labels of each row, to a file or to stdout."""

from __future__ import annotations

import time
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import check_k, check_stdin, features_for, is_headerless, load_model, model_labels
from xmc.cli.output import Voice, check_outputs, on_terminal, write_json
from xmc.errors import DataError
from xmc.formats import PREDICTION_FORMATS

SHOWN = 70  # characters of a text in the listing


@click.command("predict", short_help="Rank the best labels of each row.")
@click.argument("folder", metavar="DIR")
@click.argument("path", required=False, metavar="[FILE]")
@click.option("--text", "texts", multiple=True, help="A text instead of a file; may be repeated.")
@click.option(
    "-k", type=click.IntRange(min=1), default=5, show_default=True, help="Labels per row."
)
@click.option("--out", metavar="PATH", help="Where to: .npz, .tsv or .jsonl; - is stdout.")
@click.option("--out-format", type=click.Choice(PREDICTION_FORMATS), help="Format of --out.")
@options.source
@options.threads
@options.output
def command(
    folder: str,
    path: str | None,
    texts: tuple[str, ...],
    k: int,
    out: str | None,
    out_format: str | None,
    format: str | None,
    zero_based: bool,
    threads: int | None,
    json_path: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Rank the best labels of each row with the model in DIR.

    FILE holds features (.npz, XMC .txt, .svm) or texts (.tsv, plain .txt), each also with .gz; - is
    stdin and needs --format. Without --out the labels are listed on stdout; those of a FILE as
    lines label<TAB>score<TAB>... if stdout is no terminal.

    \b
    xmc predict model X.npz --out pred.npz -k 10
    xmc predict model --text "a terminal emulator for X"
    """
    if (path is None) == (not texts):
        raise click.UsageError("expected either FILE or --text")
    check_stdin(path, format)
    voice = Voice("predict", quiet)
    check_destination(out, out_format)
    if out == json_path == "-":
        raise click.UsageError("--out and --json can't both be stdout")
    check_outputs(out, json_path, overwrite=overwrite)
    voice.compiling()
    model = load_model(folder, threads)
    model.verbose = int(not quiet)
    check_k("predict", k, model.n_labels_)
    X, documents = read_rows(model, path, list(texts), format, zero_based)
    started = time.monotonic()
    top = model.predict_topk(X, k)
    facts = count(X, model, k, time.monotonic() - started)
    voice.count(
        facts["n_rows_without_features"],
        facts["n_rows"],
        "rows without features",
        "only the bias ranks their labels",
    )
    if out is not None:
        save(out, top, model, out_format, overwrite)
        voice.say(f"{facts['n_rows']:,} rows in {facts['seconds']:.2f} s, written to {out}")
    else:
        facts["predictions"] = listing(top, model) if json_path else None
        if json_path != "-":
            show(top, model, documents, for_people=bool(texts) or on_terminal())
    write_json(json_path, facts, overwrite)


def check_destination(out: str | None, format: str | None) -> None:
    """Raises an error if the format of the predictions isn't known or can't go there."""
    if format is not None and out is None:
        raise click.UsageError("--out-format goes with --out")
    if out is not None:
        from xmc.io.predictions import prediction_format

        if prediction_format(out, format) == "npz" and (out == "-" or out.endswith(".gz")):
            raise DataError(
                f"{out}: expected a plain file for npz, got {'stdout' if out == '-' else 'gzip'}"
            )


def read_rows(
    model: Any, path: str | None, texts: list[str], format: str | None, zero_based: bool
) -> tuple[Any, list[str] | None]:
    """X for the model, and the texts that it was made from."""
    from xmc.io import Dataset, read

    if path is None:
        return features_for(model, Dataset(texts=texts), False), texts
    dataset = read(path, format=format, zero_based=zero_based)
    return features_for(model, dataset, is_headerless(path, format)), dataset.texts


def count(X: Any, model: Any, k: int, seconds: float) -> dict[str, Any]:
    """What was predicted."""
    return {
        "n_rows": X.shape[0],
        "n_rows_without_features": int((X.getnnz(axis=1) == 0).sum()),
        "n_labels": model.n_labels_,
        "k": k,
        "seconds": round(seconds, 3),
    }


def save(out: str, top: Any, model: Any, format: str | None, overwrite: bool) -> None:
    """Write the predictions with the ids and names that the model knows."""
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


def show(top: Any, model: Any, texts: list[str] | None, for_people: bool) -> None:
    """The predictions on stdout, for people or as tsv lines."""
    if not for_people:
        return save("-", top, model, "tsv", False)
    for row, labels in enumerate(listing(top, model)):
        click.secho(f"row {row}" if texts is None else shortened(texts[row]), bold=True)
        for label in labels["labels"]:
            name = label.get("name", label["id"])
            suffix = "" if name == label["id"] else click.style(f"  {label['id']}", dim=True)
            click.echo(f"  {label['score']:.3f}  {name}{suffix}")


def shortened(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."


def listing(top: Any, model: Any) -> list[dict[str, Any]]:
    """The predictions as jsonl has them, one object a row."""
    from xmc.io import prediction_rows

    ids, names = model_labels(model)
    return prediction_rows(top, model.n_labels_, ids, names)
