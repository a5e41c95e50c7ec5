"""Tune: try settings on training rows, measure them on others, and keep each trial in a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from ..calibration import FEWEST_ROWS
from ..checkpoint import Identity, locked
from ..errors import DataError, ParameterError, XmcError
from ..io.files import create_file, scratch_folder
from ..labelled_rows import LabelledRows, hold_out, measure, to_hold_out
from ..metrics import scorer
from ..model_files import versions
from ..params import plain
from ..settings import model_of
from ..vocabulary import Vocabulary
from ..warmup import compile_kernels
from .given import WHO, as_labelled_rows, check_numbers, check_settings, checksums
from .halving import Halving, Job, Rung, rungs_of
from .plot import plot
from .space import Space
from .trials import FILE, Trial, best_of, decimals_of, joined, keep, kept, key_of

PLOT = "trials.svg"
USUAL_KS = (1, 3, 5)
FEW = 50  # rows that suffice to compile


class Tuning(NamedTuple):
    """What a search saw.

    trials: in the order in which they were made.
    metric: by which they were chosen, on rows held out. sign: -1 where less of it is better.
    best, defaults: what all their trials say that learned from all rows but those held out.
    n_held: rows that are held out at a time.
    waiting: settings that are left to try, and the seconds that they would take.
    model: of the best settings, not fitted.
    """

    trials: list[Trial]
    metric: str
    sign: int
    best: Trial
    defaults: Trial | None
    n_held: int
    waiting: list[Job]
    model: Any


def tune(
    rows: Any,
    labels: Any,
    folder: str | PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    metric: str = "P@5",
    budget: float = 900.0,
    n_trials: int | None = None,
    valid: float = 0.1,
    label_ids: Sequence[str] | None = None,
    label_names: Sequence[str] | None = None,
    vocabulary: Vocabulary | None = None,
    sample_weight: Any = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Search for the settings that rank best on held-out rows.

    rows, labels: X and Y, or texts and what `TextClassifier.fit` takes as their labels.
    folder: keeps every trial, a line each in trials.jsonl, and a plot. The same call goes on with
        them, with a larger budget, too.
    settings: that all trials have, by name; the others are searched.
    metric: as `xmc evaluate` writes it.
    budget: seconds that the trials may take together, those of earlier calls included. What can't
        be finished in them isn't begun.
    n_trials: end after so many, those of earlier calls included.
    valid: the share of the rows that is held out, by random_state.
    tell: is told what came of each trial, in a line.
    Raises DataError and ParameterError, and ModelError if the folder keeps a search on other data
    or has other settings.
    """
    check_numbers(budget, n_trials, valid, random_state)
    fixed = {name: plain(value) for name, value in (settings or {}).items()}
    data = as_labelled_rows(rows, labels, label_ids, label_names, sample_weight)
    search = _Search(data, fixed, metric, float(valid), vocabulary, n_jobs, int(random_state))
    least = search.halving.least
    if n_trials is not None and n_trials < least:
        on = ", ".join(f"{rung.n_rows:,}" for rung in search.halving.rungs[:least])
        needed = f"at least {least}, as the defaults are tried on {on} rows"
        raise ParameterError(f"{WHO}: n_trials must be {needed}, got {n_trials}")
    what = "give another folder"
    with locked(folder, lambda: search.identity, "tuning", what) as own:
        return _searched(search, Path(own), budget, n_trials, tell)


def _searched(
    search: _Search, folder: Path, budget: float, n_trials: int | None, tell: Callable[[str], None]
) -> Tuning:
    """Make trials until the time is over, or there is nothing left to try."""
    for path in (folder / FILE, folder / PLOT):
        if path.exists() and not path.is_file():
            got = "a folder" if path.is_dir() else "something else"
            raise DataError(f"{path}: expected a file, got {got}")
    trials = kept(folder, search.metric, search.fits)
    if trials:
        plural = "" if len(trials) == 1 else "s"
        tell(f"goes on after {len(trials):,} trial{plural} in {folder}")
    search.compile()
    while n_trials is None or len(trials) < n_trials:
        left = budget - sum(trial.spent for trial in trials)
        job = search.halving.next(trials, left)
        if job is None:
            break
        trial = search.run(job, folder)
        if trial.error and not any(not own.error for own in trials):
            raise DataError(trial.error)
        keep(folder, trial)
        trials.append(trial)
        tell(_told(trial, len(trials), search.metric, budget - left + trial.spent, budget))
    return search.result(trials, folder, budget)


def _told(trial: Trial, number: int, metric: str, spent: float, budget: float) -> str:
    """What came of a trial, in a line."""
    own = ", ".join(f"{name}={value}" for name, value in trial.settings.items()) or "defaults"
    came = trial.error or f"{metric} {trial.figures[metric]:.{decimals_of(metric)}f}"
    rows = f"{trial.n_rows:,} rows" + ("" if trial.parts == (0,) else ", others held out")
    return f"trial {number}, {spent:.0f} of {budget:g} s: {came}, {rows}, {own}"


class _Search:
    """The data of a search, what is held out of them, and how a trial is made."""

    def __init__(
        self,
        data: LabelledRows,
        fixed: dict[str, Any],
        metric: str,
        valid: float,
        vocabulary: Vocabulary | None,
        n_jobs: int | None,
        seed: int,
    ):
        self.of_texts, self.vocabulary = data.texts is not None, vocabulary
        self.run_params = {"n_jobs": n_jobs, "random_state": seed, "verbose": 0}
        check_settings(fixed, self.of_texts)
        self.scorer = scorer(metric)
        self.metric = self.scorer.name
        if self.scorer.k > data.Y.shape[1]:
            most = f"a k of at most {data.Y.shape[1]:,}, the number of labels"
            raise ParameterError(f"{WHO}: metric must have {most}, got {metric!r}")
        self._model(fixed)  # a wrong value is told before anything is trained
        if data.Y.shape[0] < FEWEST_ROWS:
            expected = f"expected at least {FEWEST_ROWS} rows, to hold some of them out"
            raise DataError(f"{WHO}: {expected}, got {data.Y.shape[0]}")
        self._split = partial(hold_out, data, valid, seed, WHO)
        self.trained, self.held = self._split()
        if not self.held.Y.nnz:
            n_held = self.held.Y.shape[0]
            raise DataError(f"{WHO}: expected labels in rows held out, got {n_held:,} without any")
        self.seed, self.n_rows = seed, self.trained.Y.shape[0]
        rungs = rungs_of(self.n_rows, data.Y.shape[0] // self.held.Y.shape[0])
        n_features = None if self.of_texts else data.X.shape[1]
        self.space = Space(n_features, data.Y.shape[1], self.metric, fixed)
        self.halving = Halving(self.space, rungs, self.score, seed, self._forecast)
        chosen = {"metric": self.metric, "valid": valid, "seed": seed}
        settings = {"class": WHO, **versions(), **chosen, **fixed}
        self.identity = Identity(settings=settings, data=checksums(data, vocabulary))

    def compile(self) -> None:
        """Compile what trials need, so that none takes the longer for it."""
        for costs in (False, True):
            compile_kernels("float32", costs)
        few = self.trained.take(np.arange(min(FEW, self.trained.Y.shape[0])))
        default, *others = self.halving.first
        if self.of_texts:
            few = few._replace(label_names=few.label_names or few.label_ids)
            others = [own | {"min_df": 1} for own in ({"rerank": True}, *others)]
        models = [self._model(default)]
        models += [model_of(own, self.run_params, self.of_texts) for own in others]
        for model in models:
            with suppress(XmcError):  # of rows that are of no use; others may be
                few.teach(model).predict_topk(few.rows, 1)

    def fits(self, trial: Trial) -> bool:
        """Whether a trial may be one of this search: its settings, and what it was trained on."""
        try:
            check_settings(trial.settings, self.of_texts)
            self._model(trial.settings)
        except XmcError:
            return False
        return Rung(trial.n_rows, trial.parts) in self.halving.rungs

    def score(self, trial: Trial) -> float:
        """How good a trial is; more is better."""
        return self.scorer.sign * trial.figures[self.metric] if trial.figures else -np.inf

    def run(self, job: Job, folder: Path) -> Trial:
        """Train settings and measure them, for each part of the rows that is held out."""
        start = time.monotonic()
        what = job.settings, job.n_rows
        try:
            found = [self._trained(*what, part, folder) for part in job.parts]
        except (XmcError, MemoryError) as error:
            if _is_of_system(error):  # a full disk says nothing about settings
                raise
            spent = time.monotonic() - start
            return Trial(*what, job.parts, spent, spent, 0, {}, str(error) or "no memory is left")
        seconds, n_bytes, figures = zip(*found, strict=True)
        means = {name: fmean(own[name] for own in figures) for name in figures[0]}
        spent = time.monotonic() - start
        return Trial(*what, job.parts, fmean(seconds), spent, n_bytes[0], means)

    def _trained(
        self, settings: dict[str, Any], n_rows: int, part: int, folder: Path
    ) -> tuple[float, int, dict[str, float]]:
        """Seconds, bytes and figures of one training."""
        trained, held = (self.trained, self.held) if part == 0 else self._split(part)
        start = time.monotonic()
        model = self._some(trained, n_rows).teach(self._model(settings))
        seconds = time.monotonic() - start
        ks = sorted({self.scorer.k, *(k for k in USUAL_KS if k <= held.Y.shape[1])})
        found = measure(model, trained, held, ks, self.scorer)
        figures = {name: float(value) for name, value in found.items() if "@" in name}
        return seconds, _size(model, folder), figures

    def result(self, trials: list[Trial], folder: Path, budget: float) -> Tuning:
        """What was seen. Raises DataError if the defaults can't be trained, ParameterError if there
        was no time for a single training.
        """
        sign, through = self.scorer.sign, self._through(trials)
        best = best_of(list(through.values()), self.metric, sign)
        if best is None:
            failed = [trial for trial in trials if trial.error]
            if failed:
                last = failed[-1]
                raise DataError(f"{WHO}: training on {last.n_rows:,} rows failed: {last.error}")
            needed = self.halving.needed_first(trials) + sum(trial.spent for trial in trials)
            raise ParameterError(
                f"{WHO}: expected a budget for one training on {self.n_rows:,} rows, about "
                f"{max(needed, 0.1):.1f} s, got {budget:g} s"
            )
        defaults = through.get(key_of(self.halving.first[0]))
        with create_file(folder / PLOT, overwrite=True) as file:
            drawn = plot(trials, list(through.values()), self.metric, best, defaults, sign)
            file.write(str(drawn).encode())
        rest = self.held.Y.shape[0], self.halving.waiting(trials), self._model(best.settings)
        return Tuning(trials, self.metric, sign, best, defaults, *rest)

    def _through(self, trials: Sequence[Trial]) -> dict[str, Trial]:
        """What is known of settings that went up as far as any, by their keys."""
        done = {key: way.done for key, way in self.halving.ways(trials).items()}
        highest = max(map(len, done.values()), default=0)
        return {
            key: joined(own)
            for key, own in done.items()
            if len(own) == highest >= self.halving.least
        }

    def _model(self, settings: Mapping[str, Any]) -> Any:
        return model_of(settings, self.run_params, self.of_texts, self.vocabulary)

    def _some(self, trained: LabelledRows, n_rows: int) -> LabelledRows:
        """So many of the rows by chance; fewer are among more."""
        if n_rows == self.n_rows:
            return trained
        return trained.take(np.flatnonzero(to_hold_out(self.n_rows, n_rows, self.seed)))

    def _forecast(self, settings: dict[str, Any], n_rows: int) -> float:
        """The seconds that settings may take; 0 where their kind of model can't tell, and more than
        there are where not even the forecast has room.
        """
        part, model = self._some(self.trained, n_rows), self._model(settings)
        called: dict[str, Any] = {}
        if self.of_texts:
            called = {"label_ids": part.label_ids, "label_names": part.label_names}
        try:
            return model.forecast(part.rows, part.Y, **called).seconds
        except XmcError:
            return 0.0
        except MemoryError:
            return np.inf


def _size(model: Any, folder: Path) -> int:
    """The bytes of a model's folder."""
    with scratch_folder(folder / "model") as scratch:
        try:
            model.save(scratch / "model")
        except XmcError as error:  # people know the folder of the search
            raise DataError(str(error).replace(os.path.realpath(scratch), str(folder))) from error
        return sum(file.stat().st_size for file in (scratch / "model").iterdir())


def _is_of_system(error: BaseException | None) -> bool:
    """Whether the system is behind an error, which didn't let a file be written or read."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error is not None
