"""The plot of a search: how good models are, how long they train, and how large they get."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .. import svg
from ..svg import Drawing
from .trials import Trial, decimals_of

WIDTH, HEIGHT, TOP, BOTTOM = 820, 400, 56, 320
PANELS = ((60, 390), (480, 810))  # from where to where each goes
STEPS = (1, 2, 5)  # of a logarithmic axis


def plot(
    trials: Sequence[Trial],
    through: Sequence[Trial],
    metric: str,
    best: Trial,
    defaults: Trial | None,
    sign: int = 1,
) -> Drawing:
    """A mark for each trial: full on all rows, pale on fewer.

    through: what is known of settings on all rows. A line joins those of them that nothing beats
    both in the metric and in time, or in size.
    """
    n_rows = best.n_rows
    out = Drawing(WIDTH, HEIGHT, title=f"{metric} of trials, by training time and size")
    seen = [trial for trial in trials if trial.figures]
    heights = _linear([trial.figures[metric] for trial in seen], 50 * 0.1 ** decimals_of(metric))
    for (left, right), what, of in (
        (PANELS[0], "seconds of training", lambda trial: trial.seconds),
        (PANELS[1], "megabytes of the model", lambda trial: trial.n_bytes / 1e6),
    ):
        panel = _Panel(out, left, right, [of(trial) for trial in seen], heights)
        panel.axes(metric, what)
        front = front_of([(of(own), sign * own.figures[metric]) for own in through])
        line = [panel.place(of(through[n]), through[n].figures[metric]) for n in front]
        if len(line) > 1:
            out.line(*line, stroke=svg.GREEN, width=2)
        for trial in seen:
            panel.mark(trial, of(trial), trial.figures[metric], _look(trial, n_rows))
        for told, one in (("defaults", defaults), ("best", best)):
            if one is not None:
                x, y = panel.place(of(one), one.figures[metric])
                out.text(x, y - 9, told, size=11, anchor="middle", bold=told == "best")
    _legend(out, n_rows)
    return out


def front_of(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other beats, with less of the first and more of the second; by the first."""
    front: list[int] = []
    for n in sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1])):
        if not front or points[n][1] > points[front[-1]][1]:
            front.append(n)
    return front


class _Panel:
    """A part of the drawing with its own axes."""

    def __init__(
        self,
        out: Drawing,
        left: int,
        right: int,
        values: Sequence[float],
        heights: tuple[float, float],
    ):
        self.out, self.left, self.right, self.heights = out, left, right, heights
        low, high = (max(own, 1e-6) for own in (min(values), max(values)))
        self.low, self.high = math.log10(low) - 0.1, math.log10(high) + 0.1

    def place(self, value: float, height: float) -> tuple[float, float]:
        at = (math.log10(max(value, 1e-6)) - self.low) / (self.high - self.low)
        low, high = self.heights
        up = (height - low) / (high - low)
        return self.left + (self.right - self.left) * at, BOTTOM - (BOTTOM - TOP) * up

    def axes(self, metric: str, what: str) -> None:
        low, high = self.heights
        for n in range(5):
            height = low + (high - low) * n / 4
            y = self.place(1, height)[1]
            self.out.line((self.left, y), (self.right, y), stroke=svg.PALE)
            told = f"{height:.{decimals_of(metric) - 1}f}"
            self.out.text(self.left - 6, y + 4, told, size=11, anchor="end")
        for value in _ticks(self.low, self.high):
            x = self.place(value, low)[0]
            self.out.line((x, TOP), (x, BOTTOM), stroke=svg.PALE)
            self.out.text(x, BOTTOM + 16, f"{value:g}", size=11, anchor="middle")
        self.out.text(self.left, TOP - 12, metric, bold=True)
        self.out.text((self.left + self.right) / 2, BOTTOM + 36, what, anchor="middle")

    def mark(self, trial: Trial, value: float, height: float, look: tuple[float, str]) -> None:
        self.out.dot(*self.place(value, height), *look)


def _look(trial: Trial, n_rows: int) -> tuple[float, str]:
    """Radius and colour of a mark."""
    return (4.5, svg.BLUE) if trial.n_rows == n_rows else (3.0, svg.GREY)


def _linear(values: Sequence[float], least: float) -> tuple[float, float]:
    """From where to where an axis goes that holds these values and some room, `least` or more."""
    low, high = min(values), max(values)
    room = max(least, 0.1 * (high - low))
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten; fewer where there are many powers."""
    steps: Sequence[int] = STEPS if high - low < 2.5 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [s * 10.0**p for p in powers for s in steps if low <= math.log10(s * 10.0**p) <= high]


def _legend(out: Drawing, n_rows: int) -> None:
    looks: list[tuple[str, Callable[[float, float], None]]] = [
        (f"{n_rows:,} rows", lambda x, y: out.dot(x, y, 4.5, svg.BLUE)),
        ("fewer rows", lambda x, y: out.dot(x, y, 3.0, svg.GREY)),
        (
            "nothing is better in both",
            lambda x, y: out.line((x - 8, y), (x + 8, y), stroke=svg.GREEN, width=2),
        ),
    ]
    for n, (told, draw) in enumerate(looks):
        x, y = 70.0 + 160 * n, HEIGHT - 18.0
        draw(x, y)
        out.text(x + 14, y + 4, told, size=11)
