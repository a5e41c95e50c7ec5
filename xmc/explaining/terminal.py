"""Explanations on a terminal, in colours where it has some."""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..errors import printable
from .told import lacked, marked, named_in, pulls, said, signed, way
from .why import Why

WIDTH = 100  # of plain text


def rendered(why: Why) -> Group:
    """What a console prints."""
    parts: list[Text | Padding] = [_heading(why)]
    if why.text is not None:
        parts.append(Padding(_text(why), (0, 0, 0, 2)))
    return Group(*parts, Padding(_facts(why), (0, 0, 0, 2)))


def as_text(why: Why) -> str:
    """Without colours."""
    file = StringIO()
    Console(file=file, width=WIDTH, color_system=None, legacy_windows=False).print(rendered(why))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _heading(why: Why) -> Text:
    place = "not found" if why.place is None else f"place {why.place}"
    told = Text.assemble((f"{why.score:.3f}  ", "bold"), (printable(why.name), "bold"))
    if why.name != str(why.label):
        told.append(f"  {printable(str(why.label))}", "dim")
    return told.append(f"  {place}", "dim")


def _text(why: Why) -> Text:
    """The text with its words marked: green pulled up, red down, a name's words underlined."""
    raw = why.text or ""
    told = Text("".join(" " if c.isspace() else c if c.isprintable() else "\ufffd" for c in raw))
    for word, strength in marked(why):
        colour = "green" if strength > 0 else "red"
        told.stylize(f"bold {colour}" if abs(strength) > 0.5 else colour, word.start, word.end)
    starts = named_in(why)
    for word in why.name_found.words if why.name_found else ():
        if word.start in starts:
            told.stylize("underline", word.start, word.end)
    return told


def _facts(why: Why) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    if why.log_odds is not None:
        start, total = signed(why.start or 0.0), signed(why.log_odds)
        for own in sorted(why.evidence, key=lambda own: -abs(own.share)):
            table.add_row(own.source, signed(own.share), printable(said(own, why)))
        table.add_row("start", start, "what all candidates start from")
        table.add_row("log-odds", total, "" if why.is_candidate else "were it a candidate")
    words = "  ".join(f"{word} {signed(weight)}" for word, weight in pulls(why))
    table.add_row("words" if why.text is not None else "features", "", printable(words))
    for model in why.models:
        for n, member in enumerate(model.members, 1):
            tree = f" {n}" if len(model.members) > 1 else ""
            table.add_row(f"{model.model}{tree}", "", printable(way(member)))
    table.add_row("rival", "", printable(lacked(why)))
    return table
