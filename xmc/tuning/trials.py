"""Trials: settings, the rows that they were trained on, and what came of it; kept a line each."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ModelError, quoted

FILE = "trials.jsonl"


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
    """Write a trial at the end of the file, on the disk before anything else is done."""
    line = json.dumps(trial._asdict(), sort_keys=True) + "\n"
    with open(folder / FILE, "ab") as file:
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def kept(folder: Path, metric: str) -> list[Trial]:
    """The trials in a folder, in order. What a kill left of a line is removed.

    metric: all of them have it, but for those that failed.

    Raises ModelError at a line that is none of ours.
    """
    path = folder / FILE
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return [_trial(line, metric, path, n) for n, line in enumerate(whole.splitlines(), 1)]


def _trial(line: bytes, metric: str, path: Path, number: int) -> Trial:
    try:
        found = Trial(**json.loads(line))
        numbers = found.n_rows, found.seconds, found.spent, found.n_bytes, *found.figures.values()
        sound = all(isinstance(value, (int, float)) for value in (*numbers, *found.parts))
        sound &= found.n_rows > 0 and len(found.parts) > 0
        sound &= metric in found.figures or bool(found.error)
        settings = {name: _value(value) for name, value in found.settings.items()}
    except (ValueError, TypeError, AttributeError):
        sound = False
    if not sound:
        got = f"expected a trial as JSON, got {quoted(line)}"
        raise ModelError(f"{path}:{number}: {got}; without the line, it is run again")
    return found._replace(settings=settings, parts=tuple(found.parts))


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

    figures = {name: mean([trial.figures[name] for trial in alike]) for name in alike[0].figures}
    seconds = mean([trial.seconds for trial in alike])
    spent = sum(trial.spent for trial in alike)
    return alike[0]._replace(parts=parts, seconds=seconds, spent=spent, figures=figures)


def decimals_of(metric: str) -> int:
    """How many decimals of a metric tell: two of percent, four of ECE, which goes from 0 to 1."""
    return 4 if metric.startswith("ECE") else 2


def best_of(trials: Sequence[Trial], metric: str, sign: int = 1) -> Trial | None:
    """The best one; of those that are equal in the decimals that tell the fastest to train."""
    done, n = [trial for trial in trials if not trial.error], decimals_of(metric)
    return min(
        done, key=lambda one: (-sign * round(one.figures[metric], n), one.seconds), default=None
    )
