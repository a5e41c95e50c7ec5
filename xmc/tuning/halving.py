"""What a search tries next: successive halving on rows, within a budget of seconds.

Settings are tried on few rows first, a rung; the best third of a rung goes on to the next, which
has three times the rows, up to all of them (Li et al., ASHA, MLSys 2020, with one worker). Where
rows are few, so are those held out, and the luckiest looks like the best: then others are held out
on further rungs. The defaults go up first, so that there is an answer early. What comes next
follows from the seed, the trials so far and the seconds left, and from nothing else: a search that
was stopped goes on as if it hadn't been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from statistics import median_high
from typing import Any, NamedTuple

import numpy as np

from .space import Space
from .trials import Trial, joined, key_of, ranking_figures

KEPT = 3  # one of so many goes on, to so many times the rows
LEAST_ROWS, MOST_RUNGS = 2000, 3  # fewer rows say little of all
MORE_PARTS = ((1, 2), (3, 4))  # that are held out where rows are few
GROWTH = 1.2  # time grows faster than rows, as labels come with them
PARENTS = 4  # the best of which one is changed
TRIES = 50  # at new settings that can be afforded


class Rung(NamedTuple):
    """How many rows are learned from, and which parts are held out in turn."""

    n_rows: int
    parts: tuple[int, ...] = (0,)


class Job(NamedTuple):
    """Settings to try, how, and the seconds that it may take."""

    settings: dict[str, Any]
    n_rows: int
    parts: tuple[int, ...]
    seconds: float


class Way(NamedTuple):
    """How far settings have come.

    trials: one on each rung, the lowest first.
    """

    settings: dict[str, Any]
    trials: list[Trial]

    @property
    def failed(self) -> bool:
        return bool(self.trials and self.trials[-1].error)

    @property
    def done(self) -> list[Trial]:
        """Those that didn't fail."""
        return self.trials[:-1] if self.failed else self.trials


def rungs_of(n_rows: int, n_parts: int) -> tuple[Rung, ...]:
    """The rungs of so many rows to learn from, of which so many parts could be held out."""
    rungs = [Rung(n_rows)]
    while len(rungs) < MOST_RUNGS and rungs[0].n_rows // KEPT >= LEAST_ROWS:
        rungs.insert(0, Rung(rungs[0].n_rows // KEPT))
    more = [Rung(n_rows, parts) for parts in MORE_PARTS if max(parts) < n_parts]
    return tuple([*rungs, *more][:MOST_RUNGS])


class Halving:
    """Tells what to try next.

    score: of a trial, more is better.
    forecast: the seconds that settings take on so many rows, where none of their kind was tried.
    """

    def __init__(
        self,
        space: Space,
        rungs: Sequence[Rung],
        score: Callable[[Trial], float],
        seed: int,
        forecast: Callable[[dict[str, Any], int], float],
    ):
        self.space, self.rungs, self.seed = space, tuple(rungs), seed
        self._score, self._forecast = score, forecast
        self._forecasts: dict[str, float] = {}
        self.first = space.first()
        # Up to here the defaults must come, or there is no answer.
        self.least = 1 + [rung.n_rows for rung in self.rungs].index(self.rungs[-1].n_rows)

    def next(self, trials: Sequence[Trial], left: float) -> Job | None:
        """What to try in the seconds left; None if nothing can be finished in them."""
        ways = self.ways(trials)
        start = ways.get(key_of(self.first[0]), Way(self.first[0], []))
        if len(start.trials) < self.least and not start.failed:
            return self._affordable(start, ways, left, self.least)
        if len(start.trials) < len(self.rungs) and not start.failed:
            if job := self._affordable(start, ways, left):
                return job
        for way in self.due(ways):
            if job := self._affordable(way, ways, left):
                return job
        ahead = [way for way in self.challengers(ways) if self.needed(way, ways) <= left]
        reserved = self.needed(ahead[0], ways) if ahead else 0.0
        for settings in self._fresh(ways):
            if job := self._affordable(Way(settings, []), ways, left - reserved):
                return job
        for way in ahead:
            if job := self._affordable(way, ways, left):
                return job
        return None

    def waiting(self, trials: Sequence[Trial]) -> list[Job]:
        """What is left that would be worth trying, each up to all rows, and that has the room."""
        ways = self.ways(trials)
        left = [*self.due(ways), *self.challengers(ways)]
        left += [Way(own, []) for own in self.first if key_of(own) not in ways]
        found = {
            key_of(way.settings): Job(way.settings, *self.rungs[-1], self.needed(way, ways))
            for way in left
        }
        return [job for job in found.values() if job.seconds < np.inf]

    def ways(self, trials: Sequence[Trial]) -> dict[str, Way]:
        """How far settings have come, in the order in which they were first tried.

        Of a rung only the first trial counts, and only if there is one on each rung below: a line
        that people took out is missing until it is run again.
        """
        there: dict[str, dict[Rung, Trial]] = {}
        for trial in trials:
            there.setdefault(trial.key, {}).setdefault(Rung(trial.n_rows, trial.parts), trial)
        ways = {}
        for key, own in there.items():
            steps = [own[rung] for rung in takewhile(own.__contains__, self.rungs)]
            if steps:
                ways[key] = Way(steps[0].settings, steps)
        return ways

    def due(self, ways: dict[str, Way]) -> list[Way]:
        """Those that go on to the next rung, from the highest down, the best first."""
        found, own = [], self.distinct(ways)
        for rung in range(len(self.rungs) - 1, 0, -1):
            there = [way for way in own if len(way.trials) >= rung]
            score = [self._reached(way, rung) for way in there]
            order = sorted(range(len(there)), key=lambda n: -score[n])[: len(there) // KEPT]
            found += [there[n] for n in order if len(there[n].trials) == rung]
        return found

    def challengers(self, ways: dict[str, Way]) -> list[Way]:
        """Those that are better, where they have come to, than the best of all was there."""
        top = [way for way in ways.values() if len(way.trials) == len(self.rungs)]
        best = max(top, key=lambda way: self._reached(way, len(self.rungs)), default=None)
        if best is None:
            return []
        behind = [way for way in self.distinct(ways) if len(way.trials) < len(self.rungs)]
        gains = [
            self._reached(way, len(way.trials)) - self._reached(best, len(way.trials))
            for way in behind
        ]
        order = sorted(range(len(behind)), key=lambda n: -gains[n])
        return [behind[n] for n in order if gains[n] > 0]

    def distinct(self, ways: dict[str, Way]) -> list[Way]:
        """Those that didn't fail, and of those that rank the rows held out alike the first.

        Where a setting changes nothing, as the arity of a tree that has one level, more would go on
        for nothing, and fill the table of the best.
        """
        seen: set[tuple[Any, ...]] = set()
        found = []
        for way in ways.values():
            came = {
                (own.n_rows, own.parts, self._score(own), *ranking_figures(own))
                for own in way.trials
            }
            if not way.failed and seen.isdisjoint(came):
                found.append(way)
            seen |= came
        return found

    def needed_first(self, trials: Sequence[Trial]) -> float:
        """The seconds until the defaults are through."""
        ways = self.ways(trials)
        start = ways.get(key_of(self.first[0]), Way(self.first[0], []))
        return self.needed(start, ways, self.least)

    def needed(self, way: Way, ways: dict[str, Way], upto: int | None = None) -> float:
        """The seconds until settings are through, or have come up to a rung."""
        rungs = range(len(way.trials), len(self.rungs) if upto is None else upto)
        return sum(self._seconds(way, rung, ways) for rung in rungs)

    def _reached(self, way: Way, n: int) -> float:
        """How good settings are by their first n trials."""
        return self._score(joined(way.trials[:n]))

    def _affordable(
        self, way: Way, ways: dict[str, Way], left: float, upto: int | None = None
    ) -> Job | None:
        """The next step of settings, if they can be through in the seconds left."""
        if self.needed(way, ways, upto) > left:
            return None
        n = len(way.trials)
        return Job(way.settings, *self.rungs[n], self._seconds(way, n, ways))

    def _seconds(self, way: Way, n: int, ways: dict[str, Way]) -> float:
        """What a trial may take: by its own ones on fewer rows, else by others of its kind."""
        rung = self.rungs[n]
        if way.trials:
            return _scaled(way.trials[-1], rung)
        n_trees = way.settings.get("n_trees", 1)
        alike = [
            _scaled(trial, rung) * n_trees / trial.settings.get("n_trees", 1)
            for own in ways.values()
            for trial in own.trials
            if _kind(trial.settings) == _kind(way.settings) and not trial.error
        ]
        if alike:
            return median_high(alike)
        key = key_of(way.settings)
        if key not in self._forecasts:
            self._forecasts[key] = self._forecast(way.settings, self.rungs[0].n_rows)
        ratio = rung.n_rows / self.rungs[0].n_rows
        return self._forecasts[key] * len(rung.parts) * ratio**GROWTH

    def _fresh(self, ways: dict[str, Way]) -> Iterator[dict[str, Any]]:
        """Settings that weren't tried: first those to begin with, then steps from the best."""
        yield from (own for own in self.first if key_of(own) not in ways)
        ranked = sorted(
            self.distinct(ways),
            key=lambda way: (-len(way.trials), -self._reached(way, len(way.trials))),
        )
        rng = np.random.default_rng([self.seed, len(ways)])
        for _ in range(TRIES if ranked else 0):
            parent = ranked[min(rng.geometric(0.5), PARENTS, len(ranked)) - 1]
            settings = self.space.stepped(parent.settings, rng)
            if key_of(settings) not in ways:
                yield settings


def _scaled(trial: Trial, rung: Rung) -> float:
    """The seconds of a trial on another rung; with fewer rows, by no more than that."""
    ratio = rung.n_rows / trial.n_rows
    n_times = len(rung.parts) / len(trial.parts)
    return n_times * trial.spent * ratio ** (GROWTH if ratio > 1 else 1)


def _kind(settings: dict[str, Any]) -> tuple[Any, ...]:
    """What decides how long a training takes, more than all else."""
    how = (settings.get(name) for name in ("method", "rerank", "factorization"))
    return *how, bool(settings.get("pairs"))
