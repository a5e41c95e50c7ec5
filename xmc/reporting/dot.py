"""The outline of trees as DOT, the text that graphviz draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from ..errors import printable
from .figures import shorten
from .outline import Node, Outline, more_text, node_text, words_text

LONGEST_LINE = 40  # characters
HEAD = 'digraph trees {\nrankdir=LR\nnode [shape=box fontname="Helvetica" fontsize=10]\n'


def dot(outlines: Sequence[Outline]) -> str:
    """The DOT text of the trees, beside each other."""
    numbers = count()
    lines = (line for outline in outlines for line in _lines(outline.root, outline.title, numbers))
    return HEAD + "".join(f"{line}\n" for line in lines) + "}\n"


def _lines(node: Node, title: str, numbers: Iterator[int]) -> Iterator[str]:
    """The lines of a node and all below it; its own comes first and begins with its name."""
    own = next(numbers)
    yield f"n{own} [label={_quoted(title, words_text(node))}]"
    for child in node.children:
        lines = _lines(child, node_text(child), numbers)
        first = next(lines)
        yield first
        yield f"n{own} -> {first.partition(' ')[0]}"
        yield from lines
    if more_text(node):
        rest = next(numbers)
        yield f"n{rest} [label={_quoted(more_text(node))} style=dashed]"
        yield f"n{own} -> n{rest}"


def _quoted(*lines: str) -> str:
    r"""The lines as DOT has them, one below the other; \ and " in them mean nothing."""
    shown = (shorten(printable(line), LONGEST_LINE) for line in lines if line)
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in shown)
    return '"' + "\\n".join(escaped) + '"'
