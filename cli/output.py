"""Where the results of a command go: files, JSON, tables and notices."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from xmc.errors import printable

KS_PER_TABLE = 7  # what fits into 80 columns


def say(text: str, err: bool = False) -> None:
    """Print a line; what would act on a terminal, as files may hold it, is shown as it is named."""
    click.echo(printable(text), err=err)


class Notices:
    """Lines on stderr that begin with the command's name; none if quiet.

    What is logged about files that are read and replaced becomes such lines.
    """

    def __init__(self, who: str, quiet: bool):
        self.who, self.quiet = who, quiet
        logging.getLogger("xmc.files").handlers = [_Teller(self.say)]

    def say(self, text: str) -> None:
        if not self.quiet:
            say(f"{self.who}: {text}", err=True)

    def say_if_any(self, number: int, total: int, what: str, consequence: str) -> None:
        """`rows without labels: 3 of 1,000; ...`, if there are any."""
        if number:
            self.say(f"{what}: {number:,} of {total:,}; {consequence}")

    def compiling(self) -> None:
        """From now on, say so when kernels have to be compiled first."""
        from xmc.kernels.cache import listen

        listen(self.say)


class _Teller(logging.Handler):
    """Hands what is logged to a function."""

    def __init__(self, say: Callable[[str], None]):
        super().__init__()
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        self.say(record.getMessage())


class Output:
    """What `--json`, `--overwrite` and `--quiet` say about the results of a command."""

    def __init__(self, who: str, json_path: str | None, overwrite: bool, quiet: bool):
        self.json_path, self.overwrite, self.quiet = json_path, overwrite, quiet
        self.notices = Notices(who, quiet)

    @property
    def for_people(self) -> bool:
        """Whether stdout is free for tables, as no JSON goes there."""
        return self.json_path != "-"

    def check(
        self,
        *files: str | None,
        folder: str | None = None,
        marker: str | None = None,
        within: Sequence[str] = (),
        rows: str | None = None,
        beside: str | None = None,
    ) -> None:
        """Raise an error if a file, the folder or the JSON can't be written.

        Commands ask before their long work. None stands for an output that nobody asked for. The
        folder may replace another one only if that one has the file `marker` and is ours; files
        `within` it may be there, too.
        rows: a folder of rows, which may replace another one.
        beside: a checkpoint, which may be there already.
        """
        from xmc.checkpoint import check_checkpoint
        from xmc.io.files import check_target
        from xmc.io.folder import check_ours
        from xmc.io.rows_writer import check_folder

        paths = [path for path in (*files, self.json_path) if path is not None and path != "-"]
        for path in paths:
            _refuse_folder(path)
        paths = [path for path in (folder, rows) if path is not None] + paths
        _refuse_same([*paths, *([] if beside is None else [beside])])
        for path in paths:
            check_target(path, self.overwrite)
        if folder is not None and marker is not None:
            check_ours(folder, marker, beside=within)
        if rows is not None:
            check_folder(rows)
        if beside is not None:
            check_checkpoint(beside)

    def write_json(self, result: Any) -> None:
        """Write the result as JSON, if `--json` asks for it."""
        if self.json_path is not None:
            self.write_text(self.json_path, json.dumps(result, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, path: str, text: str) -> None:
        """Write a file of text; "-" is stdout."""
        from xmc.io.files import create_file

        if sys.stdout is not None:
            sys.stdout.flush()
        with create_file(path, self.overwrite) as file:
            file.write(text.encode())


def _refuse_folder(path: str) -> None:
    """Raise DataError if the path of a file is a folder."""
    from xmc.errors import DataError

    if os.path.isdir(path):
        raise DataError(f"{path}: expected a file, got a folder")


def _refuse_same(paths: Sequence[str]) -> None:
    """Raise DataError if two outputs are one path, as the second would replace the first."""
    from xmc.errors import DataError

    taken = set()
    for path in paths:
        place = os.path.realpath(path)
        if place in taken:
            raise DataError(f"{path}: expected a path for each output, got this one twice")
        taken.add(place)


def on_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of numbers stand to the right, also where a number is missing."""
    columns, *rows = [[printable(cell) for cell in row] for row in (columns, *rows)]
    numeric = _numeric(rows)
    if on_terminal():
        return _print_rich(columns, rows, numeric)
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = zip(row, widths, numeric, strict=True)
        click.echo(
            "  ".join(
                c.rjust(width) if number else c.ljust(width) for c, width, number in cells
            ).rstrip()
        )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table as Markdown."""
    lines = [columns, ["--:" if number else "---" for number in _numeric(rows)], *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _numeric(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each column holds numbers, where it holds anything."""
    return [
        any(cells) and all(c[:1].isdigit() for c in cells if c) for cells in zip(*rows, strict=True)
    ]


def _print_rich(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, number in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, emoji=False, highlight=False).print(table)


def print_metrics(metrics: dict[str, float]) -> None:
    """Print a line per metric with a column per k, in percent but for ECE, and the counts below.

    Columns that don't fit beside each other follow in another table.
    """
    scores = [key.split("@") for key in metrics if "@" in key]
    names = dict.fromkeys(name for name, _ in scores)
    all_ks = list(dict.fromkeys(k for _, k in scores))
    for start in range(0, len(all_ks), KS_PER_TABLE):
        ks = all_ks[start : start + KS_PER_TABLE]
        print_table(
            ["%", *(f"@{k}" for k in ks)],
            [_metric_cells(name, [metrics[f"{name}@{k}"] for k in ks]) for name in names],
        )
    without = metrics["n_rows_without_labels"]
    rest = f", {without:,} of them without labels" if without else ""
    occurring = f"{metrics['n_labels_with_rows']:,} of {metrics['n_labels']:,}"
    click.echo(f"{metrics['n_rows']:,} rows{rest}; {occurring} labels occur")


def _metric_cells(name: str, values: Sequence[float]) -> list[str]:
    """The name of a metric and its values; that of ECE says that it is no percentage."""
    if name == "ECE":
        return ["ECE, 0 to 1", *(f"{value:.3f}" for value in values)]
    return [name, *(f"{value:.2f}" for value in values)]
