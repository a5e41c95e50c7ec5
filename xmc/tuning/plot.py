"""The plot of a search: how good models are, how long they train, and how large they get."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .. import svg
from ..svg import Drawing
from .trials import Trial, decimals_of

WIDTH, HEIGHT, TOP, BOTTOM = 820, 400, 56, 320
PANELS = ((60, 390), (480, 810))  # from where to where each goes
STEPS = (1, 2, 5)  # between two powers of ten
MOST_STEPS = 7  # of an axis
FULL, PALE, RING = (4.5, svg.BLUE), (3.0, svg.GREY), (6.5, svg.INK)  # radius and colour of marks


def plot(
    trials: Sequence[Trial],
    through: Sequence[Trial],
    metric: str,
    best: Trial,
    defaults: Trial | None,
    sign: int = 1,
) -> Drawing:
    """A full mark for settings that came as far as any, and a pale one for each other trial.

    through: what is known of those that came so far. A line joins the ones that nothing beats both
    in the metric and in time, or in size.
    """
    out = Drawing(WIDTH, HEIGHT, title=f"{metric} of trials, by training time and size")
    known = {(one.key, one.n_rows) for one in through}
    others = [one for one in trials if one.figures and (one.key, one.n_rows) not in known]
    seen = [*others, *through]
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
        for trial, look in (*((one, PALE) for one in others), *((one, FULL) for one in through)):
            out.dot(*panel.place(of(trial), trial.figures[metric]), *look)
        for told, one, side in _called(best, defaults, sign):
            at = x, y = panel.place(of(one), one.figures[metric])
            out.dot(*at, *RING)
            out.dot(*at, *FULL)
            out.text(x, y - 11 if side > 0 else y + 19, told, size=11, anchor="middle")
    _legend(out)
    return out


def _called(best: Trial, defaults: Trial | None, sign: int) -> list[tuple[str, Trial, int]]:
    """What has a name in the drawing, and whether that stands above (1) or below (-1) its mark: on
    sides that the other one isn't on.
    """
    if defaults is not None and defaults.key == best.key:
        return [("best: the defaults", best, sign)]
    return [*([] if defaults is None else [("defaults", defaults, -sign)]), ("best", best, sign)]


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
        self.low, self.high = math.log10(low) - 0.2, math.log10(high) + 0.2  # a tick is between

    def place(self, value: float, height: float) -> tuple[float, float]:
        at = (math.log10(max(value, 1e-6)) - self.low) / (self.high - self.low)
        low, high = self.heights
        up = (height - low) / (high - low)
        return self.left + (self.right - self.left) * at, BOTTOM - (BOTTOM - TOP) * up

    def axes(self, metric: str, what: str) -> None:
        for height, told in rounded(*self.heights):
            y = self.place(1, height)[1]
            self.out.line((self.left, y), (self.right, y), stroke=svg.PALE)
            self.out.text(self.left - 6, y + 4, told, size=11, anchor="end")
        for value in _ticks(self.low, self.high):
            x = self.place(value, 0)[0]
            self.out.line((x, TOP), (x, BOTTOM), stroke=svg.PALE)
            self.out.text(x, BOTTOM + 16, f"{value:g}", size=11, anchor="middle")
        self.out.line((self.left, BOTTOM), (self.right, BOTTOM))
        self.out.text(self.left, TOP - 12, metric, bold=True)
        self.out.text((self.left + self.right) / 2, BOTTOM + 36, what, anchor="middle")


def _linear(values: Sequence[float], least: float) -> tuple[float, float]:
    """From where to where an axis goes that holds these values and some room, `least` or more."""
    low, high = min(values), max(values)
    room = max(least, 0.1 * (high - low))
    return low - room, high + room


def rounded(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers on an axis, and how they are written."""
    least = (high - low) / MOST_STEPS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(s * power for s in (*STEPS, 10) if s * power >= least)
    n_decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(n * step, f"{n * step:.{n_decimals}f}") for n in numbers]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten; fewer where there are many powers."""
    steps: Sequence[int] = STEPS if high - low < 2.5 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [s * 10.0**p for p in powers for s in steps if low <= math.log10(s * 10.0**p) <= high]


def _legend(out: Drawing) -> None:
    looks: list[tuple[str, Callable[[float, float], None]]] = [
        ("tried on all rows", lambda x, y: out.dot(x, y, *FULL)),
        ("tried on less", lambda x, y: out.dot(x, y, *PALE)),
        (
            "nothing is better in both",
            lambda x, y: out.line((x - 8, y), (x + 8, y), stroke=svg.GREEN, width=2),
        ),
    ]
    for n, (told, draw) in enumerate(looks):
        x, y = 70.0 + 160 * n, HEIGHT - 18.0
        draw(x, y)
        out.text(x + 14, y + 4, told, size=11)
