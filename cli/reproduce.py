"""`xmc reproduce`: train the runs of a recipe and compare with expected and published figures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from xmc.cli import options
from xmc.cli.output import Output, markdown_table, print_table, say
from xmc.cli.reproducing import Measuring, Outcome, check_files, opened
from xmc.datasets.figures import METRICS, Published
from xmc.datasets.recipes import EMBEDDED, Recipe, Run, read_recipe, recipe_names
from xmc.errors import DataError, ParameterError, XmcError

BESIDE = ("nDCG@5", "coverage@5")
COLUMNS = ["data", "run", *METRICS, *BESIDE, "train s", "MB", "ms/row"]


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
    "--all",
    "every",
    is_flag=True,
    help="Train the runs of every recipe whose data are there, and show them in one table.",
)
@click.option(
    "--data",
    metavar="DIR",
    help="Folder that holds a folder per data set; the embedded sample needs none.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="RUN",
    help="Train only this run of the recipe, or of all; may be repeated.",
)
@click.option(
    "--checkpoint",
    metavar="DIR",
    help="Keep the figures of finished runs in this folder; the same command goes on from there.",
)
@click.option("--out", metavar="PATH", help="Write the one table as Markdown, too.")
@options.threads
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    listing: bool,
    every: bool,
    data: str | None,
    only: tuple[str, ...],
    checkpoint: str | None,
    out: str | None,
    threads: int | None,
    output: Output,
) -> None:
    """Train the runs of the recipe NAME (or of a .toml file) and measure them on the test rows.

    The table shows what was measured, what is expected within a tolerance, and what was published.
    The exit code is 1 if a figure is out of tolerance.

    \b
    xmc reproduce debtags
    xmc reproduce eurlex57k --data sets --only bonsai --only one-vs-all
    xmc reproduce --all --data sets --checkpoint done --out table.md
    """
    if [name is not None, listing, every].count(True) != 1:
        raise click.UsageError("expected the NAME of a recipe, --all, or --list")
    output.check(out)
    if listing:
        options.refuse(
            ctx, ["data", "only", "checkpoint", "out", "threads"], "doesn't go with --list"
        )
        return list_recipes(output)
    recipes = recipes_there(data, only) if name is None else [read_recipe(name)]
    chosen = [(recipe, choose_runs(recipe, only, among=recipes)) for recipe in recipes]
    if data is None and recipes[0].data != EMBEDDED:
        raise click.UsageError(
            f"{name} needs --data DIR that holds a folder {recipes[0].data}; "
            f"source: {recipes[0].source}"
        )
    places = [Path(data or ".", recipe.data) for recipe in recipes]
    for folder, (recipe, runs) in zip(places, chosen, strict=True):
        check_files(recipe, folder, runs)
    output.notices.compiling()
    found: list[tuple[Recipe, list[Outcome]]] = []
    with ExitStack() as stack:
        kept = [  # all of them, as one may belong to something else: said before any training
            stack.enter_context(opened(checkpoint, recipe, folder))
            for folder, recipe in zip(places, recipes, strict=True)
        ]
        output.check(out)  # again: a folder of the checkpoint may be there now
        try:
            for folder, own, (recipe, runs) in zip(places, kept, chosen, strict=True):
                outcomes = list[Outcome]()
                found.append((recipe, outcomes))
                measuring = Measuring(recipe, folder, threads, output.notices, own)
                for outcome in measuring.outcomes(runs):
                    outcomes.append(outcome)
        finally:  # also after a failure or an interruption, people see what is finished
            if output.for_people and any(outcomes for _, outcomes in found):
                print_all(found) if every else print_outcomes(*found[0])
    if out is not None:
        output.write_text(out, markdown_table(COLUMNS, rows_of_all(found)))
    facts = [as_json(*one) for one in found]
    output.write_json(facts if every else facts[0])
    raise_if_off(found)


def recipes_there(data: str | None, only: Sequence[str]) -> list[Recipe]:
    """The recipes whose data are in a folder, or come along; those without a run of these names
    are left out. Raises DataError if the folder isn't there.
    """
    if data is not None and not Path(data).is_dir():
        raise DataError(f"{data}: expected a folder that holds a folder per data set, got none")
    recipes = [read_recipe(name) for name in recipe_names()]
    there = [
        recipe
        for recipe in recipes
        if recipe.data == EMBEDDED or (data is not None and Path(data, recipe.data).is_dir())
    ]
    named = [recipe for recipe in there if any(run.name in only for run in recipe.runs)]
    return named if named and only else there


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


def choose_runs(recipe: Recipe, only: Sequence[str], among: Sequence[Recipe]) -> list[Run]:
    """The runs to train. Raises ParameterError if none of these recipes has a run of a name."""
    names = list(dict.fromkeys(run.name for own in among for run in own.runs))
    for name in only:
        if name not in names:
            who = recipe.name if len(among) == 1 else "the recipes"
            raise ParameterError(f"{who}: no such run as {name!r}; there are {', '.join(names)}")
    return [run for run in recipe.runs if not only or run.name in only]


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


def print_all(found: Sequence[tuple[Recipe, Sequence[Outcome]]]) -> None:
    """Print the one table, and the sources of what was published."""
    print_table(COLUMNS, rows_of_all(found))
    for recipe, _ in found:
        say(f"{recipe.name}: {recipe.title}")
        for row in {row.source: row for row in recipe.published}.values():
            say(f"  published: {row.source}")


def rows_of_all(found: Sequence[tuple[Recipe, Sequence[Outcome]]]) -> list[list[str]]:
    """The rows of the one table: what runs reached, then what was published of the same data."""
    rows = []
    for recipe, outcomes in found:
        for outcome in outcomes:
            mean = outcome.mean
            scores = [f"{mean[key]:.2f}" for key in (*METRICS, *BESIDE)]
            costs = f"{mean['seconds']:.1f}", f"{mean['n_bytes'] / 1e6:.1f}"
            per_row = f"{mean['ms_per_row']:.3f}"
            rows.append([recipe.name, outcome.run.name, *scores, *costs, per_row])
        for row in recipe.published:
            blank = [""] * (len(BESIDE) + 3)
            method = f"{row.method} ({row.inputs}, published)"
            rows.append([recipe.name, method, *metric_cells(row.metrics), *blank])
    return rows


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


def raise_if_off(found: Sequence[tuple[Recipe, Sequence[Outcome]]]) -> None:
    """Raise XmcError that names every figure out of tolerance, if there are any."""
    lines = []
    for recipe, outcomes in found:
        wrong = [
            f"{run.name} {key} {mean[key]:.2f}, expected {expected:.2f} +- {run.tolerance:g}"
            for run, mean, misses in ((o.run, o.mean, o.misses) for o in outcomes)
            for key, expected in misses.items()
        ]
        if wrong:
            lines.append(f"{recipe.name}: out of tolerance: {'; '.join(wrong)}")
    if lines:
        raise XmcError("; ".join(lines))
