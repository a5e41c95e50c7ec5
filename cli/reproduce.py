"""`xmc reproduce`: train what a recipe says, and hold what comes out against what is expected and
was published.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import click

from xmc.cli import options
from xmc.cli.data import widened
from xmc.cli.output import Voice, check_outputs, print_table, write_json
from xmc.datasets.figures import METRICS, Published
from xmc.datasets.recipes import EMBEDDED, Recipe, Run, read_recipe, recipe_names
from xmc.errors import ParameterError, XmcError

KS = (1, 3, 5)  # those of METRICS


class Outcome(NamedTuple):
    """What a run gave with each of its seeds: METRICS in percent, and seconds of training."""

    run: Run
    by_seed: list[dict[str, float]]

    @property
    def mean(self) -> dict[str, float]:
        return {key: fmean(found[key] for found in self.by_seed) for key in self.by_seed[0]}

    @property
    def misses(self) -> list[str]:
        """The metrics that are further from what is expected than the tolerance, as far as two
        decimals tell.
        """
        mean, expected = self.mean, self.run.expected or {}
        return [
            key
            for key, value in expected.items()
            if round(abs(mean[key] - value), 2) > self.run.tolerance
        ]


@click.command(
    "reproduce", short_help="Train what a recipe says, compare with expected and published figures."
)
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="List the recipes instead.")
@click.option(
    "--data",
    metavar="DIR",
    help="Folder with a folder per data set; the embedded sample needs none.",
)
@click.option(
    "--only", multiple=True, metavar="RUN", help="Train this run of the recipe; may be repeated."
)
@options.threads
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    listing: bool,
    data: str | None,
    only: tuple[str, ...],
    threads: int | None,
    json_path: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Train the runs of the recipe NAME (or of a .toml file) and measure them on the test rows.

    What is measured stands above what is expected, give or take the tolerance, and what was
    published. The exit code is 1 if something is out of tolerance.

    \b
    xmc reproduce debtags
    xmc reproduce eurlex57k --data sets --only bonsai --only one-vs-all
    """
    if (name is None) != listing:
        raise click.UsageError("expected either the NAME of a recipe or --list")
    check_outputs(json_path, overwrite=overwrite)
    if listing:
        options.refuse(ctx, ["data", "only", "threads"], "doesn't go with --list")
        return list_recipes(json_path, overwrite)
    recipe = read_recipe(name)
    runs = choose(recipe, only)
    if recipe.data != EMBEDDED and data is None:
        raise click.UsageError(
            f"{name} needs --data DIR that holds a folder {recipe.data}; source: {recipe.source}"
        )
    voice = Voice("reproduce", quiet)
    voice.compiling()
    outcomes: list[Outcome] = []
    try:
        for outcome in outcomes_of(recipe, runs, data, threads, voice):
            outcomes.append(outcome)
    finally:  # what is finished is shown, whatever became of the rest
        if outcomes and json_path != "-":
            show(recipe, outcomes)
    write_json(json_path, as_json(recipe, outcomes), overwrite)
    complain(recipe, outcomes)


def list_recipes(json_path: str | None, overwrite: bool) -> None:
    """Every recipe with its data and runs."""
    recipes = [read_recipe(name) for name in recipe_names()]
    if json_path != "-":
        rows = [
            [recipe.name, recipe.data, ", ".join(run.name for run in recipe.runs)]
            for recipe in recipes
        ]
        print_table(["name", "data", "runs"], rows)
    keys = ("name", "title", "data", "source")
    facts = [
        {key: getattr(r, key) for key in keys} | {"runs": [run.name for run in r.runs]}
        for r in recipes
    ]
    write_json(json_path, facts, overwrite)


def choose(recipe: Recipe, only: Sequence[str]) -> list[Run]:
    """The runs to train. Raises ParameterError at a name that the recipe doesn't have."""
    names = [run.name for run in recipe.runs]
    for name in only:
        if name not in names:
            raise ParameterError(
                f"{recipe.name}: no such run as {name!r}; there are {', '.join(names)}"
            )
    return [run for run in recipe.runs if not only or run.name in only]


def outcomes_of(
    recipe: Recipe, runs: Sequence[Run], data: str | None, threads: int | None, voice: Voice
) -> Iterator[Outcome]:
    """Each run's outcome as soon as it is there; runs in a row that take the same rows read them
    once.
    """
    for (text, transform), alike in groupby(runs, key=lambda run: (run.text, run.transform)):
        split = rows_of(recipe, data, text, transform)
        for run in alike:
            yield Outcome(
                run, [measure(recipe, run, seed, split, threads, voice) for seed in run.seeds]
            )


def rows_of(
    recipe: Recipe, data: str | None, text: dict[str, Any] | None, transform: dict[str, Any] | None
) -> Sequence[Any]:
    """X, Y, X_test and Y_test; as many labels in Y_test as in Y at least."""
    from xmc.datasets import load_sample, read_split
    from xmc.features import make_features
    from xmc.params import FeatureParams, TextParams

    if recipe.data == EMBEDDED:
        X, Y, X_test, Y_test = load_sample()[:4]
    else:
        params = None if text is None else TextParams(**text)
        X, Y, X_test, Y_test = read_split(Path(data, recipe.data), params, recipe.source)
    if transform is not None:
        features = make_features(FeatureParams(**transform))
        X, X_test = features.fit_transform(X), features.transform(X_test)
    return X, Y, X_test, widened(Y_test, Y.shape[1])


def measure(
    recipe: Recipe, run: Run, seed: int, split: Sequence[Any], threads: int | None, voice: Voice
) -> dict[str, float]:
    """METRICS of one training, and its seconds."""
    from xmc.estimators import LabelTreeClassifier, OneVsAllClassifier
    from xmc.memory import return_freed_arrays
    from xmc.metrics import propensities, report
    from xmc.warmup import compile_kernels

    return_freed_arrays()
    X, Y, X_test, Y_test = split
    how = {"n_jobs": threads or -1, "random_state": seed, "verbose": int(not voice.quiet)}
    model = (OneVsAllClassifier if run.one_vs_all else LabelTreeClassifier)(**run.settings, **how)
    compile_kernels(
        model.weights, model.costs != "equal"
    )  # once per machine, and no part of training
    started = time.monotonic()
    model.fit(X, Y)
    seconds = time.monotonic() - started
    voice.say(f"{run.name}, seed {seed}: trained in {seconds:.1f} s")
    p = propensities(widened(Y, Y_test.shape[1]), *recipe.propensity)
    found = report(Y_test, model.predict_topk(X_test, max(KS)), KS, p)
    return {key: found[key] for key in METRICS} | {"seconds": round(seconds, 3)}


def show(recipe: Recipe, outcomes: Sequence[Outcome]) -> None:
    """What was measured above what is expected and what it is to be read beside; then all that was
    published.
    """
    sources = list(dict.fromkeys(row.source for row in recipe.published))
    figures = [(f"{row.method} [{sources.index(row.source) + 1}]", row) for row in recipe.published]
    rows = []
    for outcome in outcomes:
        rows += rows_for(outcome, figures)
    click.echo(f"{recipe.name}: {recipe.title}\n")
    print_table(["%", *METRICS, "train s", "verdict"], rows)
    for run, _ in outcomes:
        if run.note:
            click.echo(f"{run.name}: {run.note}")
    if figures:
        click.echo("")
        rows = [
            [method, f"{row.inputs}, {row.features}", *cells(row.metrics)]
            for method, row in figures
        ]
        print_table(["published", "inputs", *METRICS], rows)
        for number, source in enumerate(sources, 1):
            click.echo(f"[{number}] {source}")


def rows_for(outcome: Outcome, figures: Sequence[tuple[str, Published]]) -> list[list[str]]:
    """A run's rows of the table: measured, expected, and the published figures to read it beside."""
    run, mean = outcome.run, outcome.mean
    verdict = "differs" if outcome.misses else "as expected" if run.expected else "nothing expected"
    rows = [[run.name, *cells(mean), f"{mean['seconds']:.1f}", verdict]]
    if run.expected:
        rows.append(["  expected", *cells(run.expected), "", f"+- {run.tolerance:g}"])
    beside = [(method, row) for method, row in figures if row.method in run.beside]
    return rows + [[f"  {method}", *cells(row.metrics), "", "published"] for method, row in beside]


def cells(metrics: dict[str, float]) -> list[str]:
    """METRICS as a table shows them, blank where there is none."""
    return [f"{metrics[key]:.2f}" if key in metrics else "" for key in METRICS]


def as_json(recipe: Recipe, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All that is known of the recipe and its outcomes."""
    facts = recipe._asdict() | {"published": [row._asdict() for row in recipe.published]}
    facts["runs"] = [
        outcome.run._asdict()
        | {
            "measured": [
                {"seed": seed, **f}
                for seed, f in zip(outcome.run.seeds, outcome.by_seed, strict=True)
            ],
            "mean": outcome.mean,
            "within": None if outcome.run.expected is None else not outcome.misses,
        }
        for outcome in outcomes
    ]
    return facts


def complain(recipe: Recipe, outcomes: Sequence[Outcome]) -> None:
    """Raises XmcError that names every figure out of tolerance, if there are any."""
    wrong = [
        f"{run.name} {key} {outcome.mean[key]:.2f}, expected {run.expected[key]:.2f} +- {run.tolerance:g}"
        for outcome in outcomes
        for run in [outcome.run]
        for key in outcome.misses
    ]
    if wrong:
        raise XmcError(f"{recipe.name}: out of tolerance: {'; '.join(wrong)}")
