"""`xmc report`: a page that says how good a model is, for which rows, and where it goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    TextEncoder,
    check_k,
    default_ks,
    features_for,
    labels_for,
    load_model,
    model_labels,
    names_of_ids,
    read_labelled,
)
from xmc.cli.output import Notices, Output, print_metrics, print_table


@click.command("report", short_help="Write a page: how good a model is, and where it goes wrong.")
@click.argument("folder", metavar="DIR")
@click.argument("sources", nargs=-1, required=True, metavar="X.npz Y.npz | FILE")
@click.option("--out", required=True, metavar="PATH", help="File for the page, as report.html.")
@click.option(
    "-k",
    "ks",
    type=options.Ks(),
    multiple=True,
    help="How many of the best labels to look at, as 1,3,5; may be repeated.",
)
@click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help="Show figures for each value of this column of --columns; may be repeated.",
)
@click.option(
    "--columns",
    metavar="FILE",
    help="What is known of each row: tab-separated, names of the columns in the first line.",
)
@options.label_names
@options.encoder
@options.source
@options.threads
@options.seed
@options.output
def command(
    folder: str,
    sources: tuple[str, ...],
    out: str,
    ks: tuple[tuple[int, ...], ...],
    by: tuple[str, ...],
    columns: str | None,
    label_names: str | None,
    source: Source,
    encoder: TextEncoder,
    threads: int | None,
    seed: int,
    output: Output,
) -> None:
    """Measure the model in DIR on labelled rows, and write a page about it.

    The page needs no other file: P and PSP with their intervals, for all rows, by training rows of
    the label and by columns; calibration; why labels are missed and which are confused; the trees,
    to unfold. docs/reports.md says what each table means.

    \b
    xmc report model test.tsv --out report.html
    xmc report model X.tst.npz Y.tst.npz --out report.html --by type --columns rows.tsv
    """
    if bool(by) != (columns is not None):
        raise click.UsageError("--by and --columns go together")
    if out == output.json_path == "-":
        raise click.UsageError("--out and --json can't both be stdout")
    output.check(out)
    output.notices.compiling()
    model = load_model(folder, threads, encoder, output.notices)
    asked = [k for some in ks for k in some]
    chosen = default_ks(asked, model.n_labels_)
    check_k("report", max(chosen), model.n_labels_)
    found = measured(
        model, folder, sources, chosen, (by, columns), label_names, source, seed, output.notices
    )
    write(found, out, output.overwrite)
    if output.for_people and out != "-":
        print_report(found)
        output.notices.say(f"written to {out}")
    if output.json_path is not None:
        from xmc.reporting.report import as_json

        output.write_json(as_json(found))


def measured(
    model: Any,
    folder: str,
    sources: Sequence[str],
    ks: tuple[int, ...],
    columns: tuple[Sequence[str], str | None],
    label_names: str | None,
    source: Source,
    seed: int,
    notices: Notices,
) -> Any:
    """The Report of a model on the rows of files."""
    from xmc.errors import DataError
    from xmc.io.tables import read_columns
    from xmc.reporting.labels import Labels
    from xmc.reporting.report import report

    dataset, headerless = read_labelled(sources, source), source.is_headerless(sources[-1])
    of_texts = dataset.texts is not None and hasattr(model, "vectorizer_")
    rows = dataset.texts if of_texts else features_for(model, dataset, headerless, notices)
    Y, ids = labels_for(model, dataset, sources[-1], headerless)
    if not Y.nnz:
        raise DataError(f"{sources[-1]}: expected rows with labels, no row has one")
    names, path = columns
    values = {} if path is None else read_columns(path, list(names), Y.shape[0])
    return report(
        model,
        rows,
        Y,
        ks=ks,
        columns=values,
        labels=Labels(*named(model, ids, label_names)),
        name=Path(folder).resolve().name,
        n_bytes=sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file()),
        seed=seed,
    )


def named(
    model: Any, ids: list[str] | None, path: str | None
) -> tuple[list[str] | None, list[str] | None]:
    """Ids and names of labels: those of a file, else those of the model."""
    from xmc.io import read_label_names

    if path is None:
        return ids, model_labels(model)[1]
    return read_label_names(path) if ids is None else (ids, names_of_ids(ids, path))


def write(found: Any, out: str, overwrite: bool) -> None:
    """Write the page, whole or not at all."""
    from xmc.io.files import create_file
    from xmc.reporting.page import page

    content = page(found).encode()
    with create_file(out, overwrite) as file:
        file.write(content)


def print_report(found: Any) -> None:
    """Print the metrics, and for the largest k what the page says by training rows."""
    from xmc.reporting.groups import bin_names
    from xmc.reporting.misses import FATES

    print_metrics(found.metrics)
    table = found.frequency
    kept = [n for n, name in enumerate(table.names) if name.endswith(f"@{found.ks[-1]}")]
    click.echo("\nby training rows of the label, with 95% intervals")
    lines = [
        [group.name, f"{group.n_labels:,}", *(interval_text(group.figures, n) for n in kept)]
        for group in table.groups
    ]
    print_table(["rows", "labels", *(table.names[n] for n in kept)], lines)
    click.echo(f"\nwhat became of the true labels in the best {found.ks[-1]}")
    counts = zip(bin_names(), found.fates.counts.tolist(), strict=True)
    print_table(["rows", *FATES], [[name, *(f"{n:,}" for n in own)] for name, own in counts])


def interval_text(figures: Any, n: int) -> str:
    """A figure with the ends of its interval; nothing where there is none."""
    value, low, high = (float(part[n]) for part in figures)
    return "" if value != value else f"{value:.2f} ({low:.2f} to {high:.2f})"
