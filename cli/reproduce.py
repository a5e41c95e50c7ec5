"""`xmc reproduce`: train the runs of a recipe and compare with expected and published figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import click

from xmc.cli import options
from xmc.cli.data import pad_columns
from xmc.cli.output import Notices, Output, print_table, say
from xmc.datasets.figures import METRICS, Published
from xmc.datasets.recipes import EMBEDDED, Recipe, Run, read_recipe, recipe_names
from xmc.errors import ParameterError, XmcError
from xmc.methods import METHODS

KS = (1, 3, 5)  # those of METRICS


class Outcome(NamedTuple):
    """What a run reached."""

    run: Run
    by_seed: list[dict[str, float]]  # METRICS in percent and seconds of training, for each seed

    @property
    def mean(self) -> dict[str, float]:
        """The means over the seeds."""
        return {key: fmean(found[key] for found in self.by_seed) for key in self.by_seed[0]}

    @property
    def misses(self) -> dict[str, float]:
        """What was expected of the metrics that are off by more than the tolerance.

        Differences are rounded to two decimals, as expected figures are.
        """
        mean, tolerance = self.mean, self.run.tolerance or 0
        return {
            key: value
            for key, value in (self.run.expected or {}).items()
            if round(abs(mean[key] - value), 2) > tolerance
        }


@click.command(
    "reproduce", short_help="Train a recipe's runs; compare with expected and published figures."
)
@click.argument(
    "name",
    required=False,
    shell_complete=lambda ctx, param, begun: [n for n in recipe_names() if n.startswith(begun)],
)
@click.option("--list", "listing", is_flag=True, help="List the recipes instead.")
@click.option(
    "--data",
    metavar="DIR",
    help="Folder that holds a folder per data set; the embedded sample needs none.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="RUN",
    help="Train only this run of the recipe; may be repeated.",
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
    output: Output,
) -> None:
    """Train the runs of the recipe NAME (or of a .toml file) and measure them on the test rows.

    The table shows what was measured, what is expected within a tolerance, and what was published.
    The exit code is 1 if a figure is out of tolerance.

    \b
    xmc reproduce debtags
    xmc reproduce eurlex57k --data sets --only bonsai --only one-vs-all
    """
    if (name is None) != listing:
        raise click.UsageError("expected either the NAME of a recipe or --list")
    output.check()
    if name is None:
        options.refuse(ctx, ["data", "only", "threads"], "doesn't go with --list")
        return list_recipes(output)
    recipe = read_recipe(name)
    runs = choose_runs(recipe, only)
    if recipe.data != EMBEDDED and data is None:
        raise click.UsageError(
            f"{name} needs --data DIR that holds a folder {recipe.data}; source: {recipe.source}"
        )
    folder = Path(data or ".", recipe.data)
    output.notices.compiling()
    outcomes: list[Outcome] = []
    try:
        for outcome in run_all(recipe, runs, folder, threads, output.notices):
            outcomes.append(outcome)
    finally:  # also after a failure or an interruption, people see what is finished
        if outcomes and output.for_people:
            print_outcomes(recipe, outcomes)
    output.write_json(as_json(recipe, outcomes))
    raise_if_off(recipe, outcomes)


def list_recipes(output: Output) -> None:
    """Print every recipe with its data and runs."""
    recipes = [read_recipe(name) for name in recipe_names()]
    if output.for_people:
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
    output.write_json(facts)


def choose_runs(recipe: Recipe, only: Sequence[str]) -> list[Run]:
    """The runs to train. Raises ParameterError if the recipe has no run of a name."""
    names = [run.name for run in recipe.runs]
    for name in only:
        if name not in names:
            raise ParameterError(
                f"{recipe.name}: no such run as {name!r}; there are {', '.join(names)}"
            )
    return [run for run in recipe.runs if not only or run.name in only]


def run_all(
    recipe: Recipe, runs: Sequence[Run], folder: Path, threads: int | None, notices: Notices
) -> Iterator[Outcome]:
    """Train and measure each run; neighbours that take the same rows read them once."""
    for (text, transform, named), alike in groupby(runs, key=rows_of):
        split: Any = None if named else read_rows(recipe, folder, text, transform)
        for run in alike:
            trained: Any = measure
            if named:
                trained, split = measure_texts, read_named_texts(recipe, folder, run)
            yield Outcome(
                run, [trained(recipe, run, seed, split, threads, notices) for seed in run.seeds]
            )


def rows_of(run: Run) -> tuple[Any, ...]:
    """What says which rows a run takes: the same for runs of the same rows."""
    return run.text, run.transform, run.vocabulary is not None


def read_named_texts(recipe: Recipe, folder: Path, run: Run) -> tuple[Any, Any]:
    """The texts of the data, and the vocabulary that names their labels."""
    from xmc import Vocabulary
    from xmc.datasets import read_texts

    split = read_texts(folder, recipe.source)
    return split, Vocabulary.read(folder / str(run.vocabulary))


def read_rows(
    recipe: Recipe, folder: Path, text: dict[str, Any] | None, transform: dict[str, Any] | None
) -> Sequence[Any]:
    """X, Y, X_test and Y_test, where Y_test has at least the labels of Y."""
    from xmc.datasets import load_sample, read_split
    from xmc.features import make_features
    from xmc.params import FeatureParams, TextParams

    if recipe.data == EMBEDDED:
        X, Y, X_test, Y_test = load_sample()[:4]
    else:
        params = None if text is None else TextParams(**text)
        X, Y, X_test, Y_test = read_split(folder, params, recipe.source)
    if transform is not None:
        features = make_features(FeatureParams(**transform))
        X, X_test = features.fit_transform(X), features.transform(X_test)
    return X, Y, X_test, pad_columns(Y_test, Y.shape[1])


def measure(
    recipe: Recipe, run: Run, seed: int, split: Sequence[Any], threads: int | None, notices: Notices
) -> dict[str, float]:
    """Train a run once; gives METRICS and the seconds of training."""
    from xmc.memory import return_freed_arrays
    from xmc.metrics import propensities, report
    from xmc.warmup import compile_kernels

    return_freed_arrays()
    X, Y, X_test, Y_test = split
    model = new_model(run, seed, threads, notices.quiet)
    # Kernels are compiled once per machine, which is no part of training.
    compile_kernels(model.weights, getattr(model, "costs", "equal") != "equal")
    started = time.monotonic()
    model.fit(X, Y)
    seconds = time.monotonic() - started
    notices.say(f"{run.name}, seed {seed}: trained in {seconds:.1f} s")
    p = propensities(pad_columns(Y, Y_test.shape[1]), *recipe.propensity)
    found = report(Y_test, model.predict_topk(X_test, max(KS)), KS, p)
    return {key: found[key] for key in METRICS} | {"seconds": round(seconds, 3)}


def measure_texts(
    recipe: Recipe, run: Run, seed: int, named: Any, threads: int | None, notices: Notices
) -> dict[str, float]:
    """The same of a model of texts, whose time counts how features come about, too."""
    from xmc import TextClassifier
    from xmc.io import align_labels
    from xmc.memory import return_freed_arrays
    from xmc.metrics import propensities, report

    return_freed_arrays()
    split, vocabulary = named
    below = new_model(run, seed, threads, notices.quiet)
    model = TextClassifier(below, vocabulary=vocabulary, **(run.text or {}))
    started = time.monotonic()
    model.fit(split.texts, split.Y, label_ids=split.ids)
    seconds = time.monotonic() - started
    notices.say(f"{run.name}, seed {seed}: trained in {seconds:.1f} s; {model.notices_[-1]}")
    Y_test, ids = align_labels(split.Y_test, split.test_ids, model.label_ids_)
    p = propensities(align_labels(split.Y, split.ids, ids)[0], *recipe.propensity)
    found = report(Y_test, model.predict_topk(split.test_texts, max(KS)), KS, p)
    return {key: found[key] for key in METRICS} | {"seconds": round(seconds, 3)}


def new_model(run: Run, seed: int, threads: int | None, quiet: bool) -> Any:
    """The estimator that the run describes, not fitted."""
    how = {"n_jobs": threads or -1, "random_state": seed, "verbose": int(not quiet)}
    own = {}
    if run.bases is not None:
        own["classifier"] = tuple(METHODS[kind].load()(**known) for kind, known in run.bases)
    return METHODS[run.method].load()(**(run.settings | own | how))


def print_outcomes(recipe: Recipe, outcomes: Sequence[Outcome]) -> None:
    """Print a table of what was measured and expected, and one of everything published.

    A run names published figures to compare with; these stand in the first table, too.
    """
    sources = list(dict.fromkeys(row.source for row in recipe.published))
    figures = [(f"{row.method} [{sources.index(row.source) + 1}]", row) for row in recipe.published]
    say(f"{recipe.name}: {recipe.title}")
    click.echo("")
    rows = [row for outcome in outcomes for row in rows_for(outcome, figures)]
    print_table(["%", *METRICS, "train s", "verdict"], rows)
    for run, _ in outcomes:
        if run.note:
            say(f"{run.name}: {run.note}")
    if figures:
        print_published(figures, sources)


def print_published(figures: Sequence[tuple[str, Published]], sources: Sequence[str]) -> None:
    """Print a table of published figures, and the numbered sources below."""
    click.echo("")
    rows = [
        [method, f"{row.inputs}, {row.features}", *metric_cells(row.metrics)]
        for method, row in figures
    ]
    print_table(["published", "inputs", *METRICS], rows)
    for number, source in enumerate(sources, 1):
        say(f"[{number}] {source}")


def rows_for(outcome: Outcome, figures: Sequence[tuple[str, Published]]) -> list[list[str]]:
    """The rows of a run: what was measured, what is expected, what was published of its like."""
    run, mean = outcome.run, outcome.mean
    verdict = "differs" if outcome.misses else "as expected" if run.expected else "nothing expected"
    rows = [[run.name, *metric_cells(mean), f"{mean['seconds']:.1f}", verdict]]
    if run.expected:
        rows.append(["  expected", *metric_cells(run.expected), "", f"+- {run.tolerance:g}"])
    beside = [(method, row) for method, row in figures if row.method in run.beside]
    return rows + [
        [f"  {method}", *metric_cells(row.metrics), "", "published"] for method, row in beside
    ]


def metric_cells(metrics: dict[str, float]) -> list[str]:
    """METRICS as cells of a table, blank where one is missing."""
    return [f"{metrics[key]:.2f}" if key in metrics else "" for key in METRICS]


def as_json(recipe: Recipe, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything about the recipe and its outcomes."""
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


def raise_if_off(recipe: Recipe, outcomes: Sequence[Outcome]) -> None:
    """Raise XmcError that names every figure out of tolerance, if there are any."""
    wrong = [
        f"{run.name} {key} {mean[key]:.2f}, expected {expected:.2f} +- {run.tolerance:g}"
        for run, mean, misses in ((o.run, o.mean, o.misses) for o in outcomes)
        for key, expected in misses.items()
    ]
    if wrong:
        raise XmcError(f"{recipe.name}: out of tolerance: {'; '.join(wrong)}")
