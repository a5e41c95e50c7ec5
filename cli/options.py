"""Flags that several commands share; those of the parameters are made from their declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any

import click

from xmc import __version__
from xmc.formats import FORMATS
from xmc.params import LabelTreeParams, OneVsAllParams, SolverParams, TextParams

TEXT_FLAGS = tuple(f.name for f in fields(TextParams))
WEIGHTS = next(f.metadata for f in fields(SolverParams) if f.name == "weights")
ONE_VS_ALL_FLAGS = tuple(f.name for f in fields(OneVsAllParams))

Decorator = Callable[[Callable], Callable]


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which help lists them."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


version = click.version_option(__version__, message="%(prog)s %(version)s", prog_name="xmc")
output = together(
    click.option(
        "--json", "json_path", metavar="PATH", help="Write the result as JSON to PATH; - is stdout."
    ),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
    click.option("--quiet", is_flag=True, help="Say nothing but results and errors."),
    version,
)
source = together(
    click.option(
        "--format",
        type=click.Choice(FORMATS),
        help="Format of the input, if its name doesn't tell.",
    ),
    click.option(
        "--zero-based/--one-based",
        default=True,
        show_default=True,
        help="How XMC text and SVMlight count ids.",
    ),
)
label_names = click.option(
    "--label-names",
    metavar="FILE",
    help="Lines id<TAB>name, or id alone; line i is column i of a label matrix.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="INT",
    show_default="all processors",
    help="Threads to work with.",
)
seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="INT",
    default=0,
    show_default=True,
    help="The same seed gives the same result.",
)


class Size(click.ParamType):
    """Bytes, as 500M, 4G or a plain number."""

    name = "SIZE"
    units = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        number, unit = value[:-1], value[-1:].upper()
        if unit.isdigit():
            number, unit = value, ""
        try:
            size = int(float(number) * self.units[unit])
        except (KeyError, ValueError, OverflowError):
            size = 0
        if size < 1:
            self.fail(f"expected a size such as 500M or 4G, got {value!r}", param, ctx)
        return size


class Levels(click.ParamType):
    """One value, or one per level of a tree from the top, as `2,1`."""

    def __init__(self, kind: click.ParamType):
        self.kind, self.name = kind, kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        parts = value.split(",") if isinstance(value, str) else [value]
        values = tuple(self.kind.convert(part, param, ctx) for part in parts)
        return values if len(values) > 1 else values[0]

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str | None:
        return self.kind.get_metavar(param, ctx)


def parameter(f: Field) -> Decorator:
    """The flag of a declared parameter, under its own name."""
    flag = f"--{f.name.replace('_', '-')}"
    if f.metadata.get("kind") is bool:
        flag += f"/--no-{f.name.replace('_', '-')}"
    return click.option(
        flag,
        f.name,
        type=_type(f),
        default=f.default,
        show_default=f.default is not None,
        metavar=None
        if "size" in f.metadata
        else {int: "INT", float: "NUMBER"}.get(f.metadata.get("kind")),
        help=_sentence(f.metadata["help"]),
    )


def _sentence(text: str) -> str:
    """The text as a sentence; a first word that is a value keeps its case."""
    first = text.split()[0]
    return (text if first.endswith(":") else text[0].upper() + text[1:]) + "."


def _type(f: Field) -> Any:
    kind = _type_of_one(f.metadata)
    return Levels(kind) if "levels" in f.metadata else kind


def _type_of_one(rule: Mapping[str, Any]) -> Any:
    if "among" in rule:
        return click.Choice(rule["among"])
    if rule["kind"] is bool:
        return bool
    if "size" in rule:
        return Size()
    of_range = click.IntRange if rule["kind"] is int else click.FloatRange
    return of_range(
        min=rule.get("low", rule.get("above")), max=rule.get("high"), min_open="above" in rule
    )


def _flags(declaration: type, *, without: tuple[str, ...] = ()) -> list[Decorator]:
    own = [
        f for f in fields(declaration) if "own_flag" not in f.metadata
    ]  # --quiet, --threads, --seed
    return [parameter(f) for f in own if f.name not in without]


model_parameters = together(
    *_flags(LabelTreeParams, without=tuple(f.name for f in fields(SolverParams))),
    *_flags(SolverParams),
    threads,
    seed,
)
text_parameters = together(*_flags(TextParams))


def given(ctx: click.Context) -> list[str]:
    """The names of the options that the user typed."""
    typed = click.core.ParameterSource.COMMANDLINE
    return [name for name in ctx.params if ctx.get_parameter_source(name) == typed]


def refuse(ctx: click.Context, names: tuple[str, ...] | list[str], why: str) -> None:
    """Usage error if the user typed one of these options."""
    for name in given(ctx):
        if name in names:
            raise click.UsageError(f"--{name.replace('_', '-')} {why}", ctx)


def split_text_flags(flags: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The text parameters among the flags, and the others."""
    return (
        {name: value for name, value in flags.items() if name in TEXT_FLAGS},
        {name: value for name, value in flags.items() if name not in TEXT_FLAGS},
    )


class Ks(click.ParamType):
    """Ints, as `1,3,5`."""

    name = "ints"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            ks = tuple(int(k) for k in value.split(",")) if isinstance(value, str) else tuple(value)
        except ValueError:
            ks = ()
        if not ks or min(ks) < 1:
            self.fail(f"expected ints >= 1, as 1,3,5, got {value!r}", param, ctx)
        return ks
