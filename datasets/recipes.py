"""What to train on a data set and what comes out: one TOML file each, checked when it is read.

A recipe has a `title`, its `data` (a folder's name, or "debtags", the embedded sample) and their
`source`, and [[run]] after [[run]]. It may name its data as tables of published figures do
(`published`, and of which `features`), and give the `propensity` [A, B] of the propensity-scored
metrics.

A run has a `name` and a model: a `preset`, a `method` of the registry, or else a label tree;
`settings` are hyper-parameters on top. `text` are hyper-parameters of a vectoriser, which takes the
texts of the data. The method "reranked" looks for the names of labels in texts, if `vocabulary` is
a file of the data that has them: then labels without a training row can be right, too, and all true
ones count. The run is trained once for each of `seeds`; `expected` is the mean of what should come
out, in percent, give or take `tolerance`. `beside` names the published methods that it is to be
read against.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from xmc.datasets.figures import METRICS, Published, published
from xmc.errors import DataError, ParameterError
from xmc.methods import METHODS
from xmc.params import FeatureParams, TextParams, check, names
from xmc.presets import PRESETS

HOME = Path(__file__).with_name("recipes")
EMBEDDED = "debtags"


class Run(NamedTuple):
    """A model to train.

    settings: those of the preset, too.
    bases: method and settings of each base model below a last stage, None for the usual ones.
    text: how texts become rows, None if the rows are there.
    vocabulary: a file of the data with the names of labels, None for none.
    """

    name: str
    preset: str | None
    method: str
    settings: dict[str, Any]
    bases: tuple[tuple[str, dict[str, Any]], ...] | None
    text: dict[str, Any] | None
    vocabulary: str | None
    seeds: tuple[int, ...]
    expected: dict[str, float] | None
    tolerance: float | None
    beside: tuple[str, ...]
    note: str | None


class Recipe(NamedTuple):
    """A data set, its published figures, and the models to train on it."""

    name: str
    title: str
    data: str
    source: str
    published: list[Published]
    propensity: tuple[float, float]
    runs: tuple[Run, ...]


class Rule(NamedTuple):
    """What a key's value must be, in words and as a test."""

    words: str
    obeyed: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_name(value: str) -> bool:
    """Whether it names a file or folder in the folder it is looked up in."""
    return Path(value).name == value != ".."


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")


def _are(is_one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: isinstance(values, list) and len(values) > 0 and all(map(is_one, values))


def _is_propensity(value: Any) -> bool:
    return _are(_is_number)(value) and len(value) == 2 and value[1] > 0


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_expected(value: Any) -> bool:
    return _is_table(value) and len(value) > 0 and all(map(_is_number, value.values()))


TEXT = Rule("a text", _is_text)
TEXTS = Rule("a list of texts", _are(_is_text))
TABLE = Rule("a table", _is_table)
RECIPE = {
    "title": TEXT,
    "data": Rule("the name of a folder", lambda value: _is_text(value) and _is_name(value)),
    "source": TEXT,
    "published": TEXTS,
    "features": TEXT,
    "propensity": Rule("two numbers, A >= 0 and B > 0", _is_propensity),
    "run": Rule("a list of tables, [[run]]", _are(_is_table)),
}
RUN = {
    "name": Rule("a text that can name a file", lambda value: _is_text(value) and _is_name(value)),
    "preset": Rule(
        f"one of {', '.join(map(repr, PRESETS))}",
        lambda value: _is_text(value) and value in PRESETS,
    ),
    "method": Rule(
        f"one of {', '.join(map(repr, METHODS))}",
        lambda value: _is_text(value) and value in METHODS,
    ),
    "settings": TABLE,
    "bases": Rule("a list of tables", _are(_is_table)),
    "text": TABLE,
    "vocabulary": Rule("the name of a file", lambda value: _is_text(value) and _is_name(value)),
    "seeds": Rule("a list of ints >= 0", _are(lambda seed: type(seed) is int and seed >= 0)),
    "expected": Rule("a table of numbers", _is_expected),
    "tolerance": Rule("a number of points", _is_number),
    "beside": TEXTS,
    "note": TEXT,
}
NEEDED = {"recipe": ("title", "data", "source", "run"), "run": ("name",)}


def recipe_names() -> list[str]:
    """The recipes that come along."""
    return sorted(path.stem for path in HOME.glob("*.toml"))


def read_recipe(name: str | os.PathLike[str]) -> Recipe:
    """The recipe of that name, or in the file if the name ends in .toml.

    Raises DataError that says where it is wrong.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in recipe_names():
            known = ", ".join(recipe_names())
            raise DataError(f"{name}: no such recipe; there are {known}, or give a .toml file")
        path = HOME / f"{name}.toml"
    return _recipe(path, _table(path))


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise DataError(f"{path}: expected TOML, got something else: {error}") from None


def _recipe(path: Path, table: dict[str, Any]) -> Recipe:
    _check_table(table, RECIPE, NEEDED["recipe"], str(path))
    figures = published(table.get("published", ()), table.get("features"))
    absent = set(table.get("published", ())) - {row.dataset for row in figures}
    if absent:
        raise DataError(
            f"{path}: published must be data sets of published.csv with such features, "
            f"got {min(absent)!r}"
        )
    runs = tuple(
        _run(path, number, run, table["data"], figures)
        for number, run in enumerate(table["run"], 1)
    )
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise DataError(f"{path}: expected a name of its own for each run, got {twice!r} twice")
    propensity = tuple(table.get("propensity", (0.55, 1.5)))
    return Recipe(
        path.stem, table["title"], table["data"], table["source"], figures, propensity, runs
    )


def _run(
    path: Path, number: int, table: dict[str, Any], data: str, figures: list[Published]
) -> Run:
    who = f"{path}: run {table.get('name', number)!r}"
    _check_table(table, RUN, NEEDED["run"], who)
    text = table.get("text")
    if text is not None:
        _check_settings(text, TextParams, f"{who}: text")
        if data == EMBEDDED:
            raise DataError(f"{who}: text needs data with texts, the embedded sample has none")
    _check_expected(table, who)
    _check_beside(table.get("beside", ()), figures, who)
    method, settings = _model(table, who)
    if "vocabulary" in table and (method != "reranked" or data == EMBEDDED):
        raise DataError(f"{who}: vocabulary needs method = 'reranked', and texts")
    bases = _bases(table, method, who)
    if text is not None:
        _check_features_once([settings, *(own for _, own in bases or ())], who)
    return Run(
        table["name"],
        table.get("preset"),
        method,
        settings,
        bases,
        text,
        table.get("vocabulary"),
        tuple(table.get("seeds", (0,))),
        table.get("expected"),
        table.get("tolerance"),
        tuple(table.get("beside", ())),
        table.get("note"),
    )


def _model(table: dict[str, Any], who: str) -> tuple[str, dict[str, Any]]:
    """The method and its settings, those of the preset among them."""
    if "preset" in table and "method" in table:
        raise DataError(f"{who}: expected preset or method, got both")
    preset = PRESETS[table["preset"]] if "preset" in table else None
    method = preset.method if preset else table.get("method", "tree")
    settings = (preset.settings if preset else {}) | table.get("settings", {})
    _check_settings(settings, METHODS[method].params, f"{who}: settings")
    return method, settings


def _bases(
    table: dict[str, Any], method: str, who: str
) -> tuple[tuple[str, dict[str, Any]], ...] | None:
    """Method and settings of each base model."""
    if "bases" not in table:
        return None
    if method != "reranked":
        raise DataError(f"{who}: bases needs method = 'reranked'")
    for base in table["bases"]:
        rules = {name: RUN[name] for name in ("method", "preset", "settings")}
        _check_table(base, rules, (), f"{who}: bases")
    found = tuple(_model(base, f"{who}: bases") for base in table["bases"])
    if any(own == "reranked" for own, _ in found):
        raise DataError(f"{who}: bases: method must be another one than 'reranked'")
    return found


def _check_table(
    table: dict[str, Any], rules: dict[str, Rule], needed: tuple[str, ...], who: str
) -> None:
    """Raises DataError if a key is not known, is missing, or breaks its rule."""
    for key in table:
        if key not in rules:
            raise DataError(f"{who}: no such key as {key!r}; there are {', '.join(rules)}")
    for key in needed:
        if key not in table:
            raise DataError(f"{who}: expected {key}, got none")
    for key, value in table.items():
        if not rules[key].obeyed(value):
            raise DataError(f"{who}: {key} must be {rules[key].words}, got {value!r}")


def _check_settings(settings: dict[str, Any], declaration: type, who: str) -> None:
    """Raises DataError unless these are hyper-parameters of the declaration, and within range."""
    # Threads, seeds and quiet are the caller's.
    names = [f.name for f in fields(declaration) if "own_flag" not in f.metadata]
    for name in settings:
        if name not in names:
            raise DataError(f"{who}: no such parameter as {name!r}; there are {', '.join(names)}")
    try:
        check(declaration(**settings), who)
    except ParameterError as error:
        raise DataError(str(error)) from None


def _check_features_once(several: list[dict[str, Any]], who: str) -> None:
    """Raises DataError if something would be made of features that a vectoriser made."""
    for name in names(FeatureParams):
        if any(name in settings for settings in several):
            raise DataError(f"{who}: {name} goes with matrices only, text makes TF-IDF weights")


def _check_expected(table: dict[str, Any], who: str) -> None:
    for key in table.get("expected", ()):
        if key not in METRICS:
            raise DataError(
                f"{who}: expected: no such metric as {key!r}; there are {', '.join(METRICS)}"
            )
    if ("expected" in table) != ("tolerance" in table):
        raise DataError(f"{who}: expected and tolerance go together, got one of them")


def _check_beside(methods: tuple[str, ...], figures: list[Published], who: str) -> None:
    known = dict.fromkeys(row.method for row in figures)
    for method in methods:
        if method not in known:
            there = ", ".join(map(repr, known)) or "none, as published names no data set"
            raise DataError(
                f"{who}: beside: no such published method as {method!r}; there are {there}"
            )
