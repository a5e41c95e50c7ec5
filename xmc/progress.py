"""Progress of long work on stderr: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

LINE_EVERY = 10.0  # seconds between plain lines


class Progress:
    """The progress of stages that follow one another.

        with Progress(verbose) as progress:
            advance = progress.stage("training", total)
            advance(amount)

    `total` and the amounts of a stage are in any one unit.
    """

    def __init__(self, verbose: int):
        self._bars: Any = None
        self._kind = "none" if not verbose else "bar" if sys.stderr.isatty() else "line"

    def __enter__(self) -> Progress:
        if self._kind == "bar":
            self._bars = _rich_bars()
            self._bars.start()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def stage(self, title: str, total: float) -> Callable[[float], None]:
        """Start a stage; call what it returns with the amount done since the last call."""
        if self._kind == "bar":
            bar = self._bars.add_task(title, total=total)
            return lambda amount: self._bars.advance(bar, amount)
        if self._kind == "line":
            return _lines(title, total)
        return lambda amount: None

    def count(self, title: str, what: str) -> Callable[[float], None]:
        """As `stage`, for work of which nobody knows how much there is: it tells how many, such as
        rows, are done, and how many a second.
        """
        if self._kind == "none":
            return lambda amount: None
        if self._kind == "line":
            return _counts(title, what)
        bar, pace = self._bars.add_task(title, total=None), _Pace(what)

        def advance(amount: float) -> None:
            pace.add(amount)
            self._bars.update(bar, description=f"{title}: {pace}")

        return advance


class _Pace:
    """How many are done, and how many a second."""

    def __init__(self, what: str):
        self.what, self.done, self.started = what, 0.0, time.monotonic()

    def add(self, amount: float) -> None:
        self.done += amount

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        return f"{self.done:,.0f} {self.what}, {self.done / seconds:,.0f} a second"


def _counts(title: str, what: str) -> Callable[[float], None]:
    """Plain lines, not too many, of how many are done."""
    pace, last = _Pace(what), time.monotonic()

    def advance(amount: float) -> None:
        nonlocal last
        pace.add(amount)
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            print(f"{title}: {pace}", file=sys.stderr)

    return advance


def _lines(title: str, total: float) -> Callable[[float], None]:
    """Plain lines, not too many: the share done and the time left, at last the time taken."""
    started = last = time.monotonic()
    finished, done = 0.0, False

    def advance(amount: float) -> None:
        nonlocal last, finished, done
        if done:  # work that counts nothing may follow
            return
        finished += amount
        now = time.monotonic()
        done = finished >= total * (1 - 1e-9)
        if done or now - last >= LINE_EVERY:
            last = now
            seconds = now - started
            state = f"done in {seconds:.1f} s" if done else _left(finished / total, seconds)
            print(f"{title}: {state}", file=sys.stderr)

    return advance


def _left(share: float, seconds: float) -> str:
    """The share done, and the time left if the rest takes as long as that did."""
    left = seconds * (1 / share - 1) if share > 0 else 0
    return f"{share:.0%}, {left:.0f} s left"


def _rich_bars() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Bars(*columns, console=Console(stderr=True))
