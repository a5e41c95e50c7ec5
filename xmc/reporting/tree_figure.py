"""The outline of trees as a drawing: a line per node, its children indented below it."""

from __future__ import annotations

from collections.abc import Sequence

from ..svg import BLUE, GREY, INK, Drawing
from .figures import shorten
from .outline import Node, Outline, more_text, node_text, words_text

WIDTH, LINE, INDENT, MARGIN = 960, 22, 26, 16
WORDS_AT, LONGEST_WORDS = 400, 90  # where words begin, and how many characters they may have
CHARACTER = 7  # how wide one is, nearly


def tree_figure(outlines: Sequence[Outline]) -> Drawing:
    """All trees, one below the other."""
    n_lines = sum(1 + _n_lines(outline.root) for outline in outlines)
    out = Drawing(WIDTH, LINE * n_lines + 2 * MARGIN)
    y: float = MARGIN + LINE // 2
    for outline in outlines:
        y = _draw(out, outline.root, outline.title, MARGIN, y) + LINE
    return out


def _n_lines(node: Node) -> int:
    return 1 + bool(more_text(node)) + sum(map(_n_lines, node.children))


def _draw(out: Drawing, node: Node, title: str, x: float, y: float) -> float:
    """Draw a node and all below it; gives where the next line is."""
    _line(out, node, title, x, y)
    below = y + LINE
    for child in node.children:
        out.line((x + 4, y + 6), (x + 4, below - 4), (x + INDENT - 4, below - 4))
        below = _draw(out, child, node_text(child), x + INDENT, below)
    if more_text(node):
        out.line((x + 4, y + 6), (x + 4, below - 4), (x + INDENT - 4, below - 4), dashes="2 3")
        out.text(x + INDENT, below, more_text(node), fill=GREY)
        below += LINE
    return below


def _line(out: Drawing, node: Node, title: str, x: float, y: float) -> None:
    """What is told of a node, on one line."""
    most = max(10, int(WORDS_AT - x) // CHARACTER)
    out.text(x, y, shorten(title, most), bold=bool(node.name), fill=INK)
    if node.words:
        words = shorten(words_text(node), LONGEST_WORDS)
        out.text(WORDS_AT, y, words, size=11, fill=BLUE)
