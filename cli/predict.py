"""`xmc predict`: write the best labels of each row to a file or to stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    TextEncoder,
    Unseen,
    check_k,
    features_for,
    load_model,
    matrix_model,
    model_labels,
    rows_in,
)
from xmc.cli.output import Output, on_terminal
from xmc.cli.predicting import (
    Done,
    Elsewhere,
    Here,
    Shard,
    answer,
    check_parts,
    resumed,
    rows_of_shard,
)
from xmc.cli.schedulers import Scheduler, scheduler
from xmc.errors import ParameterError, printable, shortened
from xmc.formats import PREDICTION_FORMATS, prediction_format
from xmc.params import TARGETS

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
@click.option(
    "--resume",
    is_flag=True,
    help="Keep what is done in the folder OUT.part, and go on with what a stopped run kept there.",
)
@click.option(
    "--shard",
    type=Shard(),
    metavar="I/N",
    help="Answer only the I-th of N equal parts of the rows, as 3/16.",
)
@options.order
@options.encoder
@scheduler
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
    resume: bool,
    shard: tuple[int, int] | None,
    order: dict[str, Any],
    encoder: TextEncoder,
    scheduler: Scheduler,
    source: Source,
    threads: int | None,
    output: Output,
) -> None:
    """Rank the best labels of each row with the model in DIR.

    FILE holds features (.npz, .svm, .txt that begins with 2 or 3 numbers) or texts (.tsv, plain
    .txt). It may be compressed: .gz, .bz2, .xz or .zst. - is stdin and needs --format. Without
    --out the labels go to stdout: as a list, or as lines label<TAB>score<TAB>... if they are those
    of a FILE and stdout is no terminal. Rows are read, ranked and written in blocks, those of stdin
    as they come; but all at once where --optimize chooses labels for all rows together.

    \b
    xmc predict model X.npz --out pred.npz -k 10
    xmc predict model --text "a terminal emulator for X"
    xmc predict model X.npz --out sets.jsonl --threshold 0.4
    xmc predict model texts.tsv.gz --out pred.tsv.gz --resume
    """
    if (path is None) == (not texts):
        raise click.UsageError("expected either FILE or --text")
    in_sets = sets or threshold is not None
    if in_sets and order.get("optimize") in TARGETS:
        own = f"--optimize {order['optimize']} chooses the best k of each row"
        raise click.UsageError(f"{own}; --sets and --threshold go by its probabilities alone")
    source.check_stdin(path)
    check_destination(out, out_format)
    check_parts(path, out, resume, shard)
    if out == output.json_path == "-":
        raise click.UsageError("--out and --json can't both be stdout")
    output.check(out, beside=f"{out}.part" if resume else None)
    output.notices.compiling()
    model = load_model(folder, threads, encoder, **order)
    together = matrix_model(model).optimize in TARGETS and not in_sets
    if together and shard is not None:
        raise ParameterError(
            "predict: --shard answers a part of the rows, and "
            f"optimize={matrix_model(model).optimize!r} chooses labels for all of them together"
        )
    typed = "k" in options.typed_options(ctx)
    if typed:
        check_k("predict", k, model.n_labels_)
    asked: dict[str, Any] = {"k": min(k, model.n_labels_)}
    if in_sets:  # only a typed k bounds sets
        asked = {"k": k if typed else None, "sets": True, "threshold": threshold}
    rows = None if path is None or shard is None else rows_of_shard(path, shard, source)
    records: list[dict[str, Any]] = []
    settings = asked | {"shard": shard, "source": source._asdict(), "order": order}
    if out is not None:
        settings["format"] = prediction_format(out, out_format)
    with (
        scheduler.executor(out if out not in (None, "-") else folder, threads) as executor,
        resumed(out if resume else None, folder, path, settings, output.notices) as kept,
        destination(out, out_format, model, output, bool(texts), records, kept.streams) as write,
        counting_rows(out, output) as advance,
    ):
        headerless, unseen = path is not None and source.is_headerless(path), Unseen(model)
        how = (
            model,
            lambda dataset: features_for(model, dataset, headerless, output.notices, unseen),
            asked,
        )
        there = folder, order | {"encoder": encoder}, executor
        ranking = Here(*how) if executor is None else Elsewhere(*how, *there)
        blocks = kept.left(blocks_of(path, list(texts), source, rows, together), path)
        done = answer(blocks, ranking, write, kept, advance)
    unseen.say(output.notices)
    facts = facts_of(done, model.n_labels_)
    output.notices.say_if_any(
        facts["n_rows_without_features"],
        facts["n_rows"],
        "rows without features",
        "only the bias ranks their labels",
    )
    if out is not None:
        said = f"{facts['n_rows']:,} rows in {facts['seconds']:.2f} s, written to {out}"
        output.notices.say(said)
    output.write_json(facts | ({"predictions": records} if out is None else {}))


def check_destination(out: str | None, format: str | None) -> None:
    """Raise an error if the format of the predictions isn't known or can't go to `out`."""
    if format is not None and out is None:
        raise click.UsageError("--out-format goes with --out")
    if out is not None:
        if prediction_format(out, format) == "npz":
            from xmc.io.npz import check_plain

            check_plain(out)


def blocks_of(
    path: str | None, texts: list[str], source: Source, rows: range | None, together: bool
) -> Iterable[Any]:
    """The Datasets of a file, or of typed texts; rows: only these; together: all in one."""
    from xmc.io import Dataset

    if path is None:
        return [Dataset(texts=texts)]
    if together:
        return [source.read(path)]
    blocks = source.read_blocks(path, as_it_comes=True)
    return blocks if rows is None else rows_in(blocks, rows)


def facts_of(done: Done, n_labels: int) -> dict[str, Any]:
    """Sizes of what was predicted, and how long it took."""
    return {
        "n_rows": done.n_rows,
        "n_rows_without_features": done.n_rows_without_features,
        "n_labels": n_labels,
        "k": done.k,
        "seconds": round(done.seconds, 3),
    }


@contextmanager
def counting_rows(out: str | None, output: Output) -> Iterator[Callable[[float], None]]:
    """Show how many rows are done, if they go into a file."""
    from xmc.progress import Progress

    with Progress(not output.quiet and out not in (None, "-")) as progress:
        yield progress.count("ranking rows", "rows")


@contextmanager
def destination(
    out: str | None,
    format: str | None,
    model: Any,
    output: Output,
    typed: bool,
    records: list[dict[str, Any]],
    streams: Any,
) -> Iterator[Callable[[Any, Any], None]]:
    """A function that takes the predictions of each block, and their texts or None.

    They go to the file `out`, with the ids and names of the model's labels. Without one, they go to
    stdout, as a list for people or as tsv lines, and into `records` if there is a JSON for them.
    """
    from xmc.io.prediction_files import prediction_file

    takers: list[Callable[[Any, Any], None]] = []
    with ExitStack() as stack:
        if out is None and output.json_path is not None:
            takers.append(lambda top, texts: records.extend(as_records(top, model)))
        if out is None and output.for_people and (typed or on_terminal()):
            takers.append(listing(model))
        elif out is not None or output.for_people:
            ids, names = model_labels(model)
            file = prediction_file(
                out or "-",
                model.n_labels_,
                label_ids=ids,
                label_names=names,
                format=format if out else "tsv",
                overwrite=output.overwrite,
                streams=streams,
            )
            add = stack.enter_context(file)
            takers.append(lambda top, texts: add(top))

        def write(top: Any, texts: list[str] | None) -> None:
            for take in takers:
                take(top, texts)

        yield write


def listing(model: Any) -> Callable[[Any, Any], None]:
    """A function that prints the predictions of each block as a list for people."""
    n_rows = 0

    def show(top: Any, texts: list[str] | None) -> None:
        nonlocal n_rows
        for row, labels in enumerate(as_records(top, model)):
            title = f"row {n_rows + row}" if texts is None else shorten(texts[row])
            click.secho(title, bold=True)
            print_labels(labels["labels"])
        n_rows += len(top.labels)

    return show


def print_labels(labels: list[dict[str, Any]]) -> None:
    """Print the score and the name of each label, and its id if that is another one."""
    for label in labels:
        label_id, name = (printable(str(label.get(key, label["id"]))) for key in ("id", "name"))
        suffix = "" if name == label_id else click.style(f"  {label_id}", dim=True)
        click.echo(f"  {label['score']:.3f}  {name}{suffix}")


def shorten(text: str) -> str:
    """The beginning of a text, on one line."""
    return printable(shortened(" ".join(text.split()), LONGEST_TEXT))


def as_records(top: Any, model: Any) -> list[dict[str, Any]]:
    """The predictions as in jsonl, one object per row."""
    from xmc.io import prediction_rows

    ids, names = model_labels(model)
    return prediction_rows(top, model.n_labels_, ids, names)
