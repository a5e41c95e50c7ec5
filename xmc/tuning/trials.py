"""Trials: settings, the rows that they were trained on, and what came of it; kept a line each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError, ModelError, quoted

FILE = "trials.jsonl"
MOST = 2**63  # no count or measurement is as large


class Trial(NamedTuple):
    """What came of training with some settings.

    settings: those that differ from the defaults.
    n_rows: that were learned from.
    parts: which rows were held out, by the number of the part; for each there was a training.
    seconds: of a training. spent: all of them, with saving and measuring.
    n_bytes: of the model's folder.
    figures: metrics on the rows held out, in percent, but ECE from 0 to 1; means over the parts,
        none if it failed.
    error: why it failed, "" if it didn't.
    """

    settings: dict[str, Any]
    n_rows: int
    parts: tuple[int, ...]
    seconds: float
    spent: float
    n_bytes: int
    figures: dict[str, float]
    error: str = ""

    @property
    def key(self) -> str:
        """The settings as text, the same for the same ones."""
        return key_of(self.settings)


def key_of(settings: dict[str, Any]) -> str:
    """Settings as text, the same for the same ones."""
    return json.dumps(settings, sort_keys=True)


def keep(folder: Path, trial: Trial) -> None:
    """Write a trial at the end of the file, on the disk before anything else is done.

    Raises DataError if it can't be written.
    """
    line = json.dumps(trial._asdict(), sort_keys=True) + "\n"
    try:
        with open(folder / FILE, "ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"{folder / FILE}: can't be written: {error.strerror}") from error


def kept(folder: Path, metric: str, fits: Callable[[Trial], bool]) -> list[Trial]:
    """The trials in a folder, in order. What a kill left of a line is removed.

    metric: all of them have it, but for those that failed. fits: whether a trial may be one of this
    search.

    Raises ModelError at a line that is none of ours.
    """
    path = folder / FILE
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    trials = []
    for number, line in enumerate(whole.splitlines(), 1):
        trial = _trial(line, metric)
        if trial is None or not fits(trial):
            got = f"expected a trial as JSON, got {quoted(line)}"
            raise ModelError(f"{path}:{number}: {got}; without the line, it is run again")
        trials.append(trial)
    return trials


def _trial(line: bytes, metric: str) -> Trial | None:
    """The trial that a line tells; None if `keep` can't have written it."""
    try:
        found = Trial(**json.loads(line))
        settings = {name: _value(value) for name, value in found.settings.items()}
        counts = found.n_rows, found.n_bytes, *found.parts
        measured = found.seconds, found.spent, *found.figures.values()
        sound = all(_is_number(value, int) for value in counts)
        sound &= all(_is_number(value, float) for value in measured)
        sound &= isinstance(found.error, str) and bool(found.error) == (not found.figures)
        sound &= metric in found.figures or bool(found.error)
        found = found._replace(settings=settings, parts=tuple(found.parts))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return found if sound else None


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is a number that a count or a measurement can be."""
    is_of_kind = type(value) is kind  # true is no count
    return is_of_kind and 0 <= value < MOST


def _value(value: Any) -> Any:
    """A setting as it was: JSON has lists where there were tuples, one value per level."""
    return tuple(value) if isinstance(value, list) else value


def joined(trials: Sequence[Trial]) -> Trial:
    """What all trials of some settings say that learned from as many rows as the last one."""
    alike = [trial for trial in trials if trial.n_rows == trials[-1].n_rows]
    if len(alike) == 1 or trials[-1].error:
        return trials[-1]
    parts = tuple(part for trial in alike for part in trial.parts)
    weights = [len(trial.parts) / len(parts) for trial in alike]

    def mean(values: list[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values, strict=True))

    names = [name for name in alike[0].figures if all(name in one.figures for one in alike)]
    figures = {name: mean([trial.figures[name] for trial in alike]) for name in names}
    seconds = mean([trial.seconds for trial in alike])
    spent = sum(trial.spent for trial in alike)
    return alike[0]._replace(parts=parts, seconds=seconds, spent=spent, figures=figures)


def ranking_figures(trial: Trial) -> tuple[tuple[str, float], ...]:
    """The figures that depend on the order of labels, and on no probability."""
    own = trial.figures.items()
    return tuple(sorted(item for item in own if not item[0].startswith("ECE")))


def decimals_of(metric: str) -> int:
    """How many decimals of a metric tell: two of percent, four of ECE, which goes from 0 to 1."""
    return 4 if metric.startswith("ECE") else 2


def best_of(trials: Sequence[Trial], metric: str, sign: int = 1) -> Trial | None:
    """The best one; of those that are equal in the decimals that tell the fastest to train."""
    done, n = [trial for trial in trials if not trial.error], decimals_of(metric)
    return min(
        done, key=lambda one: (-sign * round(one.figures[metric], n), one.seconds), default=None
    )
