"""`xmc tune`: search for settings on held-out training rows."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from xmc.cli import options
from xmc.cli.data import Source, check_concepts, read_vocabulary
from xmc.cli.output import Notices, Output, print_table, say
from xmc.cli.train import (
    choose_method,
    named_by,
    read_row_weights,
    read_training,
    refuse_for_rows,
    refuse_lacking,
)
from xmc.errors import DataError

if TYPE_CHECKING:
    from xmc.labelled_rows import LabelledRows
    from xmc.tuning import Trial, Tuning

MOST_SHOWN = 12  # settings in the table
BESIDE = ("P@1", "nDCG@5", "PSP@5")  # metrics that are shown beside the chosen one
SOURCE_FLAGS = ("format", "zero_based", "tsv_columns")


@click.command("tune", cls=options.HeadedCommand, short_help="Search for the best settings.")
@click.argument("sources", nargs=-1, required=True, metavar="X.npz Y.npz | FILE")
@click.option(
    "--out",
    "folder",
    required=True,
    metavar="DIR",
    help="Folder that keeps every trial, trials.jsonl, and a plot, trials.svg. The same command "
    "goes on with them.",
)
@click.option(
    "--budget",
    type=options.Duration(),
    default="15m",
    show_default=True,
    help="Time for all trials together, as 90s, 15m or 2h. What can't be finished isn't begun.",
)
@click.option(
    "--trials", "n_trials", type=click.IntRange(min=1), metavar="INT", help="End after so many."
)
@click.option(
    "--metric",
    default="P@5",
    show_default=True,
    metavar="NAME@K",
    help="What makes settings the best: P, nDCG, R, PSP, PSnDCG, F1, micro-F1, macro-F1, macro-R, "
    "coverage or ECE at some k.",
)
@click.option(
    "--valid",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Hold out this share of the rows, chosen by --seed, and measure on them.",
)
@click.option(
    "--row-weights",
    metavar="FILE",
    help="A number per line for each row: what an error on it costs, times C.",
)
@click.option(
    "--rerank/--no-rerank", default=None, help="Try only models with, or without, a last stage."
)
@options.method("tree, one-vs-all and reranked are tried")
@options.label_names
@options.vocabulary
@options.source
@options.model_parameters
@options.text_parameters
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[str, ...],
    folder: str,
    budget: float,
    n_trials: int | None,
    metric: str,
    valid: float,
    row_weights: str | None,
    rerank: bool | None,
    method: str | None,
    one_vs_all: bool,
    label_names: str | None,
    vocabulary: str | None,
    source: Source,
    output: Output,
    **flags: Any,
) -> None:
    """Search for the settings that rank rows best that were held out of the training rows.

    Rows come as for `xmc train`. The defaults are tried first, then others: on a part of the rows,
    and the best of them on more, up to all. A setting whose flag you type keeps that value. At the
    end stands the command that trains the best.

    \b
    xmc tune train.tsv --out tuning
    xmc tune X.npz Y.npz --out tuning --budget 1h --metric PSP@5
    xmc tune X.npz Y.npz --out tuning --one-vs-all --costs propensity
    """
    from xmc.tuning import tune

    kind = choose_method(ctx, method, one_vs_all, None)
    settings = options.typed_settings(ctx, flags)
    if method or one_vs_all:
        refuse_lacking(ctx, kind, flags)
        settings["method"] = kind.name
    if rerank is not None:
        settings["rerank"] = rerank
    output.check(beside=folder)
    refuse_folder(sources, source)
    output.notices.compiling()
    data = read_training(sources, source, label_names)
    if row_weights is not None:
        data = data._replace(row_weights=read_row_weights(row_weights, data.Y.shape[0]))
    refuse_for_rows(ctx, kind, data)
    data, concepts = with_names(data, vocabulary, output.notices)
    with resumable(folder):
        found = tune(
            data.rows,
            data.Y,
            folder,
            settings=settings,
            metric=metric,
            budget=budget,
            n_trials=n_trials,
            valid=valid,
            label_ids=data.label_ids,
            label_names=data.label_names,
            vocabulary=concepts,
            sample_weight=data.row_weights,
            n_jobs=flags["threads"] or -1,
            random_state=flags["seed"],
            tell=output.notices.say,
        )
    line = shlex.join(command_for(ctx, sources, folder, found.best.settings))
    if output.for_people:
        print_found(found, valid, line)
    tell_waiting(found, n_trials, output)
    output.write_json(as_json(found, folder, line))


def refuse_folder(sources: tuple[str, ...], source: Source) -> None:
    """Raise DataError at a folder of rows, whose features are made already."""
    for path in sources:
        if path != "-" and source.format_of(path) == "rows":
            raise DataError(f"{path}: expected rows in a file, got a folder of rows; tune on some")


def with_names(
    data: LabelledRows, vocabulary: str | None, notices: Notices
) -> tuple[LabelledRows, Any]:
    """The rows with the names that a vocabulary has, and what models of texts know of it."""
    if vocabulary is None:
        return data, None
    concepts = read_vocabulary(vocabulary, notices)
    if data.texts is None:
        return named_by(data, concepts, vocabulary, notices), None
    if data.label_ids is not None:
        check_concepts(data.label_ids, concepts, vocabulary, notices)
    return data, concepts


@contextmanager
def resumable(folder: str) -> Iterator[None]:
    """Say how an interrupted search goes on."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.args = (f"interrupted; the same command goes on with the trials in {folder}",)
        raise


def command_for(
    ctx: click.Context, sources: tuple[str, ...], folder: str, settings: dict[str, Any]
) -> list[str]:
    """The words of the command that trains with these settings on the same rows."""
    given = {name: ctx.params[name] for name in options.typed_options(ctx)}
    kept = (*SOURCE_FLAGS, "label_names", "vocabulary", "row_weights", "seed", "threads")
    flags = ["--model", os.path.join(folder, "model")]
    for name, value in ({name: given[name] for name in kept if name in given} | settings).items():
        flags += flag(name, value)
    if any(path.startswith("-") and path != "-" for path in sources):  # no flag
        return ["xmc", "train", *flags, "--", *sources]
    return ["xmc", "train", *sources, *flags]


def flag(name: str, value: Any) -> list[str]:
    """A setting as it is typed."""
    typed = f"--{name.replace('_', '-')}"
    if name == "zero_based":
        return [typed if value else "--one-based"]
    if isinstance(value, bool):
        return [typed if value else f"--no-{typed[2:]}"]
    parts = value if isinstance(value, tuple) else (value,)
    return [typed, ",".join(f"{part:g}" if is_short(part) else str(part) for part in parts)]


def is_short(value: Any) -> bool:
    """Whether a number is the same with six digits."""
    return isinstance(value, float) and float(f"{value:g}") == value


def print_found(found: Tuning, valid: float, line: str) -> None:
    """Print a table of the best settings, what the best brings, and how to train it."""
    metrics = list(dict.fromkeys([found.metric, *BESIDE]))
    shown = furthest(found)
    columns = [name for name in metrics if all(name in trial.figures for trial in shown)]
    print_table(
        [*columns, "train s", "MB", "rows", "held out", "settings"],
        [row_of(trial, columns, found) for trial in shown[:MOST_SHOWN]],
    )
    failed = sum(bool(trial.error) for trial in found.trials)
    more = f", {failed:,} failed" if failed else ""
    plural = "" if len(found.trials) == 1 else "s"
    say(f"{len(found.trials):,} trial{plural}{more}; figures are those of the rows held out")
    say("")
    say(f"the best, learned from all rows; --valid {valid:g} holds the first ones out again:")
    say(line)


def furthest(found: Tuning) -> list[Trial]:
    """What is known of each settings, of those that came furthest first, then of the best."""
    from xmc.tuning.trials import joined

    own: dict[str, list[Trial]] = {}
    for trial in found.trials:
        if not trial.error:
            own.setdefault(trial.key, []).append(trial)
    others = [joined(trials) for key, trials in own.items() if key != found.best.key]
    gain = found.sign
    others.sort(key=lambda o: (-o.n_rows, -len(o.parts), -gain * o.figures[found.metric]))
    return [found.best, *others]


def row_of(trial: Trial, metrics: list[str], found: Tuning) -> list[str]:
    """The cells of a trial."""
    from xmc.tuning.trials import decimals_of

    words = [word for name, value in trial.settings.items() for word in flag(name, value)]
    is_default = found.defaults is not None and trial.key == found.defaults.key
    told = shlex.join(words) + (" (the defaults)" if is_default else "")
    figures = [f"{trial.figures[name]:.{decimals_of(name)}f}" for name in metrics]
    seconds, size = map(shortly, (trial.seconds, trial.n_bytes / 1e6))
    counts = f"{trial.n_rows:,}", f"{len(trial.parts) * found.n_held:,}"
    return [*figures, seconds, size, *counts, told.strip()]


def shortly(number: float) -> str:
    """A number with one decimal, small ones with two digits."""
    return f"{number:.1f}" if number >= 1 else f"{number:.2g}"


def tell_waiting(found: Tuning, n_trials: int | None, output: Output) -> None:
    """Say what is left to try, and how."""
    if not found.waiting:
        return
    left, more = f"{len(found.waiting):,} more to try", "more --trials"
    if n_trials is None or len(found.trials) < n_trials:
        least = shortly(min(job.seconds for job in found.waiting))
        left = f"no time was left for {len(found.waiting):,} more, from about {least} s on"
        more = "a larger --budget"
    if output.json_path not in (None, "-") and not output.overwrite:
        more += ", and --overwrite for the JSON"
    output.notices.say(f"{left}; the same command goes on with {more}")


def as_json(found: Tuning, folder: str, line: str) -> dict[str, Any]:
    """Everything that was seen."""
    return {
        "folder": folder,
        "metric": found.metric,
        "command": line,
        "best": found.best._asdict(),
        "defaults": None if found.defaults is None else found.defaults._asdict(),
        "trials": [trial._asdict() for trial in found.trials],
        "waiting": [job._asdict() for job in found.waiting],
    }
