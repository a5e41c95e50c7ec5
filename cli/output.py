"""What commands print: notices, tables and JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import xmc

KERNELS = {
    "train": ("gather", "dcd"),
    "predict": ("beam",),
    "evaluate": ("metrics",),
    "reproduce": ("gather", "dcd", "beam", "metrics"),
}  # the files a command can't do without


class Voice:
    """Notices on stderr, beginning with the command's name; nothing if quiet."""

    def __init__(self, who: str, quiet: bool):
        self.who, self.quiet = who, quiet

    def say(self, text: str) -> None:
        if not self.quiet:
            click.echo(f"{self.who}: {text}", err=True)

    def count(self, number: int, total: int, what: str, consequence: str) -> None:
        """`rows without labels: 3 of 1,000; ...`, if there are any."""
        if number:
            self.say(f"{what}: {number:,} of {total:,}; {consequence}")

    def compiling(self) -> None:
        """Say so if the command's kernels have to be compiled first."""
        if not all(map(_compiled, KERNELS[self.who])):
            self.say("compiling kernels for this machine, once: some seconds")


def _compiled(kernels: str) -> bool:
    home = Path(xmc.__file__).parent / "kernels"
    places = (
        [Path(os.environ["NUMBA_CACHE_DIR"])]
        if "NUMBA_CACHE_DIR" in os.environ
        else [home, _user_cache()]
    )
    return any(place.is_dir() and any(place.rglob(f"{kernels}.*.nbi")) for place in places)


def _user_cache() -> Path:
    """Where Numba keeps its cache if it may not write beside the kernels."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"


def check_outputs(*targets: str | None, overwrite: bool) -> None:
    """Raises DataError if one of these may not be written; asked before the long work."""
    from xmc.io.files import check_target

    for target in targets:
        if target is not None:
            check_target(target, overwrite)


def check_folder(target: str, file: str, overwrite: bool) -> None:
    """As `check_outputs`, for a folder that only replaces one of its kind, which holds `file`."""
    from xmc.errors import ModelError

    check_outputs(target, overwrite=overwrite)
    if os.path.exists(target) and not os.path.isfile(os.path.join(target, file)):
        raise ModelError(
            f"{target}: expected a folder with a {file} to replace, got something else"
        )


def write_json(path: str | None, result: Any, overwrite: bool) -> None:
    """The result as JSON, if a path was asked for."""
    from xmc.io.files import create_file

    if path is None:
        return
    sys.stdout.flush()
    with create_file(path, overwrite) as file:
        file.write((json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())


def on_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout, columns of numbers to the right; a number may be missing."""
    numeric = [
        any(cells) and all(c[:1].isdigit() for c in cells if c) for cells in zip(*rows, strict=True)
    ]
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
    """A line per metric and a column per k, in percent, and the counts below."""
    scores = [key.split("@") for key in metrics if "@" in key]
    names, ks = dict.fromkeys(name for name, _ in scores), dict.fromkeys(k for _, k in scores)
    print_table(
        ["%", *(f"@{k}" for k in ks)],
        [[name, *(f"{metrics[f'{name}@{k}']:.2f}" for k in ks)] for name in names],
    )
    without = metrics["n_rows_without_labels"]
    rest = f", {without:,} of them without labels" if without else ""
    click.echo(
        f"{metrics['n_rows']:,} rows{rest}; {metrics['n_labels_with_rows']:,} of {metrics['n_labels']:,} labels occur"
    )
