"""`xmc explain`: why labels are suggested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import Source, TextEncoder, check_k, load_model, matrix_model, read_rows
from xmc.cli.output import Output, on_terminal


@click.command("explain", short_help="Tell why labels are suggested.")
@click.argument("folder", metavar="DIR")
@click.argument("path", required=False, metavar="[FILE]")
@click.option(
    "--text", "texts", multiple=True, help="Text to explain, instead of a file; may be repeated."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="ID",
    help="Explain this label, by its id or its name, instead of the best k; may be repeated.",
)
@click.option(
    "-k",
    type=click.IntRange(min=1),
    metavar="INT",
    default=3,
    show_default=True,
    help="Labels per row, the best ones.",
)
@options.encoder
@options.source
@options.threads
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    folder: str,
    path: str | None,
    texts: tuple[str, ...],
    labels: tuple[str, ...],
    k: int,
    source: Source,
    encoder: TextEncoder,
    threads: int | None,
    output: Output,
) -> None:
    """Tell why the model in DIR suggests labels: what pulled each up and down, its path through
    the trees, the evidence of the last stage, and what the runner-up lacked.

    FILE holds features or texts as for `xmc predict`. All numbers add up; --json has all of them.

    \b
    xmc explain model --text "a terminal emulator for X"
    xmc explain model new.tsv --label gnd:4014736-8 --json why.json
    """
    if (path is None) == (not texts):
        raise click.UsageError("expected either FILE or --text")
    if labels and "k" in options.typed_options(ctx):
        raise click.UsageError("-k goes without --label")
    source.check_stdin(path)
    output.check()
    output.notices.compiling()
    model = load_model(folder, threads, encoder)
    if "k" in options.typed_options(ctx):
        check_k("explain", k, model.n_labels_)
    X, documents = read_rows(model, path, list(texts), source, output.notices)
    k = min(k, model.n_labels_)
    rows = []
    n_rows = X.shape[0] if documents is None else len(documents)
    for row in range(n_rows):
        told = explained(model, X, documents, row, labels, k)
        if output.for_people:
            print_row(row, n_rows, told)
        if output.json_path is not None:
            rows.append({"row": row, "labels": [own.to_dict() for own in told]})
    output.write_json({"rows": rows})


def explained(
    model: Any, X: Any, texts: Sequence[str] | None, row: int, labels: Sequence[str], k: int
) -> list[Any]:
    """The explanations of a row: of these labels, or of the best k."""
    asked = matrix_model(model) if texts is None else model
    x = X[row] if texts is None else texts[row]
    if labels:
        return [asked.explain(x, label) for label in labels]
    return asked.explain(x, k=k)


def print_row(row: int, n_rows: int, told: Sequence[Any]) -> None:
    """Print the explanations of a row, in colours on a terminal."""
    from rich.console import Console

    from xmc.explaining.terminal import rendered

    if n_rows > 1:
        click.secho(f"row {row}", bold=True)
    for own in told:
        if on_terminal():
            Console(highlight=False).print(rendered(own))
        else:
            click.echo(str(own))
        click.echo()
