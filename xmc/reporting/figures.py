"""The figures of a report: drawn by hand, in the colours of the page around them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import svg
from ..metrics import Reliability
from ..svg import Drawing
from .groups import Table, bin_names
from .misses import FATES, Fates

WIDTH = 360  # that of a telephone; wider pages put figures side by side


class Colors(NamedTuple):
    """Those of a figure."""

    ink: str
    dim: str
    line: str
    accent: str
    paper: str


PAGE = Colors("var(--ink)", "var(--dim)", "var(--line)", "var(--accent)", "none")
ALONE = Colors(svg.INK, svg.GREY, svg.PALE, svg.BLUE, svg.PAPER)  # of a file of its own
INK, DIM, LINE, ACCENT, _ = PAGE
FATE_COLORS = tuple(f"var(--fate{n})" for n in range(len(FATES)))
LONGEST = 16  # characters of a group's name


def fates_figure(fates: Fates) -> Drawing:
    """What became of the true labels, a bar for each bin of training rows."""
    out = _empty(WIDTH, 66 + 26 * len(fates.counts), "what became of true labels, by training rows")
    _legend(out)
    for n, (name, counts) in enumerate(zip(bin_names(), fates.counts, strict=True)):
        y = 60 + 26 * n
        out.text(62, y + 13, name, anchor="end", fill=INK)
        total, left = int(counts.sum()), 70.0
        for color, count in zip(FATE_COLORS, counts.tolist(), strict=True):
            width = 230 * count / max(1, total)
            if width:
                out.box(left, y, width, 18, fill=color, stroke="none")
            left += width
        out.text(WIDTH - 4, y + 13, f"{total:,}", size=11, fill=DIM, anchor="end")
    return out


def _legend(out: Drawing) -> None:
    for n, (name, color) in enumerate(zip(FATES, FATE_COLORS, strict=True)):
        x, y = 4 + 176 * (n % 2), 4 + 22 * (n // 2)
        out.box(x, y, 12, 12, fill=color, stroke="none", radius=2)
        out.text(x + 18, y + 11, name, fill=INK)


def calibration_figure(bins: Reliability, colors: Colors = PAGE) -> Drawing:
    """How often scores came true: on the line where they are probabilities."""
    ink, dim, line, accent, paper = colors
    out = Drawing(WIDTH, 330, paper, "how often scores came true")
    left, right, top, bottom = 46, WIDTH - 14, 12, 282

    def place(score: float, share: float) -> tuple[float, float]:
        return left + (right - left) * score, bottom - (bottom - top) * share

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        out.line(place(0, tick), place(1, tick), stroke=line)
        out.text(left - 6, place(0, tick)[1] + 4, f"{tick:g}", size=11, fill=dim, anchor="end")
        out.text(place(tick, 0)[0], bottom + 16, f"{tick:g}", size=11, fill=dim, anchor="middle")
    out.text((left + right) / 2, bottom + 38, "mean score of a bin", anchor="middle", fill=ink)
    out.text(left + 6, top + 14, "share that was true", fill=ink)
    out.line(place(0, 0), place(1, 1), stroke=dim, dashes="4 4")
    seen = np.flatnonzero(bins.counts)
    spots = [place(float(bins.mean_scores[n]), float(bins.true_shares[n])) for n in seen]
    out.line(*spots, stroke=accent, width=2)
    for (x, y), count in zip(spots, bins.counts[seen].tolist(), strict=True):
        out.dot(x, y, 2 + 6 * (count / bins.counts.max()) ** 0.5, fill=accent)
    return out


def intervals_figure(table: Table, name: str) -> Drawing:
    """One figure of each group of a table, with its interval."""
    column = table.names.index(name)
    shown = [
        (group.name, [float(part[column]) for part in group.figures]) for group in table.groups
    ]
    out = _empty(WIDTH, 44 + 22 * len(shown), f"{name} by {table.title}")
    left, right = 118, WIDTH - 48
    top = max([1.0, *(high for _, (_, _, high) in shown if high == high)])
    most = next(end for end in (5, 10, 20, 40, 60, 80, 100) if end >= top or end == 100)
    for tick in np.linspace(0, most, 5).tolist():
        x = left + (right - left) * tick / most
        out.line((x, 20), (x, 26 + 22 * len(shown)), stroke=LINE)
        out.text(x, 14, f"{tick:g}", size=11, fill=DIM, anchor="middle")
    out.text(4, 14, f"{name}, %", fill=INK, bold=True)
    for n, (group, (value, low, high)) in enumerate(shown):
        y = 40 + 22 * n
        out.text(left - 8, y + 4, shorten(group, LONGEST), anchor="end", fill=INK)
        if value != value:
            continue
        a, x, b = (left + (right - left) * end / most for end in (low, value, high))
        out.line((a, y), (b, y), stroke=ACCENT, width=3)
        out.dot(x, y, 4.5, fill=ACCENT)
        out.text(WIDTH - 4, y + 4, f"{value:.1f}", size=11, fill=DIM, anchor="end")
    return out


def shorten(text: str, most: int) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _empty(width: int, height: int, title: str) -> Drawing:
    return Drawing(width, height, paper="none", title=title)
