"""Flags that several commands share; the flags of parameters come from their declarations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, fields
from functools import wraps
from typing import Any

import click
from click.shell_completion import CompletionItem

from xmc import __version__
from xmc.cli.data import Source, TextEncoder
from xmc.cli.output import Output
from xmc.formats import FORMATS, TSV_COLUMNS
from xmc.methods import METHODS
from xmc.params import (
    EncoderParams,
    FeatureParams,
    OrderParams,
    SolverParams,
    TextParams,
    TogetherParams,
    by_heading,
    names,
)

TEXT_FLAGS = tuple(names(TextParams))
FEATURE_FLAGS = tuple(names(FeatureParams))
ENCODER_FLAGS = "encoder_name", "encoder_weight", "encoder_cache"
WEIGHTS = next(f.metadata for f in fields(SolverParams) if f.name == "weights")

Decorator = Callable[[Callable], Callable]


def combined(*options: Decorator) -> Decorator:
    """Several options as one decorator; help lists them in this order."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


version = click.version_option(__version__, message="%(prog)s %(version)s", prog_name="xmc")
output_flags = combined(
    click.option(
        "--json", "json_path", metavar="PATH", help="Write the result as JSON to PATH; - is stdout."
    ),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
    click.option("--quiet", is_flag=True, help="Print results and errors, but no notices."),
    version,
)


def output(command: Callable) -> Callable:
    """Add the flags for outputs; the command receives them as one parameter, `output`."""

    @wraps(command)
    def with_output(
        *args: Any, json_path: str | None, overwrite: bool, quiet: bool, **flags: Any
    ) -> Any:
        who = command_name(click.get_current_context())
        return command(*args, output=Output(who, json_path, overwrite, quiet), **flags)

    return output_flags(with_output)


def command_name(ctx: click.Context) -> str:
    """The word after `xmc`, also for the commands of a group."""
    while ctx.parent is not None and ctx.parent.parent is not None:
        ctx = ctx.parent
    return ctx.info_name or ""


source_flags = combined(
    click.option(
        "--format",
        type=click.Choice(FORMATS),
        help="Format of the input, if its name doesn't show it.",
    ),
    click.option(
        "--zero-based/--one-based",
        default=True,
        show_default=True,
        help="Whether ids in text with features count from 0 or from 1.",
    ),
    click.option(
        "--tsv-columns",
        type=click.Choice(TSV_COLUMNS),
        help="What the columns of a .tsv hold; a header is a first line that only names them.  "
        "[default: labels,text, unless they look otherwise]",
    ),
)


def source(command: Callable) -> Callable:
    """Add the flags for what is read; the command receives them as one parameter, `source`."""

    @wraps(command)
    def with_source(
        *args: Any, format: str | None, zero_based: bool, tsv_columns: str | None, **flags: Any
    ) -> Any:
        return command(*args, source=Source(format, zero_based, tsv_columns), **flags)

    return source_flags(with_source)


encoder_name = click.option(
    "--encoder",
    "encoder_name",
    metavar="MODULE:NAME",
    help="Callable that makes an array of texts, a row of numbers for each; its module is "
    "imported, from the current folder or from what is installed.",
)
encoder_flags = combined(
    encoder_name,
    click.option(
        "--encoder-cache", metavar="DIR", help="Keep the encoder's numbers of texts in this folder."
    ),
)


def encoder(command: Callable) -> Callable:
    """Add the flags for an encoder of texts; the command receives them as one parameter,
    `encoder`.
    """

    @wraps(command)
    def with_encoder(
        *args: Any, encoder_name: str | None, encoder_cache: str | None, **flags: Any
    ) -> Any:
        if encoder_cache is not None and encoder_name is None:
            raise click.UsageError("--encoder-cache goes with --encoder")
        return command(*args, encoder=TextEncoder(encoder_name, encoder_cache), **flags)

    return encoder_flags(with_encoder)


label_names = click.option(
    "--label-names",
    metavar="FILE",
    help="File of lines id<TAB>name, or only id; line i names column i of a label matrix.",
)
vocabulary = click.option(
    "--vocabulary",
    metavar="FILE",
    help="Names of labels by id: SKOS (.ttl .rdf .nt "
    ".jsonld), lines id<TAB>name or id<TAB>language<TAB>name (.tsv), Annif's .csv, .jsonl.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="INT",
    show_default="all processors",
    help="Number of threads.",
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


class Duration(click.ParamType):
    """Seconds, as 90s, 15m, 2h or a plain number."""

    name = "TIME"
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        number = value.rstrip("smhd")
        try:
            seconds = float(number) * self.units[value[len(number) :]]
        except (KeyError, ValueError):
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            self.fail(f"expected a time such as 90s, 15m or 2h, got {value!r}", param, ctx)
        return seconds


class Levels(click.ParamType):
    """One value, or one per level of a tree from the top, as `2,1`."""

    def __init__(self, kind: click.ParamType):
        self.kind, self.name = kind, kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        parts = value.split(",") if isinstance(value, str) else [value]
        values = tuple(self.kind.convert(part, param, ctx) for part in parts)
        return values if len(values) > 1 else values[0]

    def get_metavar(self, *args: Any, **how: Any) -> str | None:
        return self.kind.get_metavar(*args, **how)  # older versions of click give no context

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self.kind.shell_complete(ctx, param, incomplete)


class HeadedOption(click.Option):
    """An option that help lists under a heading."""

    def __init__(self, *args: Any, heading: str, **how: Any):
        super().__init__(*args, **how)
        self.heading = heading


class HeadedCommand(click.Command):
    """A command whose help has a heading for each group of parameters."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(option, "heading", "Options"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class MethodName(click.ParamType):
    """The name of a registered method."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in METHODS:
            known = ", ".join(map(repr, METHODS))
            self.fail(f"expected one of {known}, got {value!r}", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in METHODS if name.startswith(incomplete)]


def method(default: str) -> Decorator:
    """The flags that name a kind of model; default: what there is without them."""
    kinds = ", ".join(f"{method.name} ({method.summary})" for method in METHODS.values())
    return combined(
        click.option(
            "--method", type=MethodName(), help=f"Kind of model: {kinds}.  [default: {default}]"
        ),
        click.option(
            "--one-vs-all",
            is_flag=True,
            help="Short for --method one-vs-all: most accurate, but slower.",
        ),
    )


def parameter(f: Field, heading: str = "Options") -> Decorator:
    """The flag of a declared parameter, with the parameter's name."""
    flag = f"--{f.name.replace('_', '-')}"
    if f.metadata.get("kind") is bool:
        flag += f"/--no-{f.name.replace('_', '-')}"
    return click.option(
        flag,
        f.name,
        cls=HeadedOption,
        heading=heading,
        type=_click_type(f),
        default=f.default,
        show_default=f.default is not None,
        metavar=_metavar(f.metadata),
        help=_as_sentence(f.metadata["help"]),
    )


def _metavar(rule: Mapping[str, Any]) -> str | None:
    """What stands for a value in help; None leaves it to click."""
    if "metavar" in rule:
        return rule["metavar"]
    if "size" in rule or "kind" not in rule:
        return None
    return {int: "INT", float: "NUMBER"}.get(rule["kind"])


def _as_sentence(text: str) -> str:
    """The text with a capital and a dot; a value at the beginning, as in "man: ...", stays."""
    first = text.split()[0]
    return (text if first.endswith(":") else text[0].upper() + text[1:]) + "."


def _click_type(f: Field) -> Any:
    kind = _click_type_of_one(f.metadata)
    return Levels(kind) if "levels" in f.metadata else kind


def _click_type_of_one(rule: Mapping[str, Any]) -> Any:
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


def _flags(*declarations: type) -> list[Decorator]:
    """A flag for every parameter of the declarations, under the headings of their groups.

    --quiet, --threads and --seed stand for parameters of other names.
    """
    found: dict[str, dict[str, Field]] = {}
    for declaration in declarations:
        for heading, group in by_heading(declaration).items():
            own = {f.name: f for f in group if "own_flag" not in f.metadata}
            found.setdefault(heading, {}).update(own)
    return [parameter(f, heading) for heading, group in found.items() for f in group.values()]


model_parameters = combined(*_flags(*(method.params for method in METHODS.values())), threads, seed)
text_parameters = combined(*_flags(TextParams))
encoder_parameters = combined(*_flags(EncoderParams))


order_flags = combined(
    *(
        click.option(
            f"--{f.name.replace('_', '-')}",
            type=_click_type(f),
            metavar=_metavar(f.metadata),
            help=_as_sentence(f.metadata["help"]) + "  [default: as the model has it]",
        )
        for f in (*fields(OrderParams), *fields(TogetherParams))
    )
)


def order(command: Callable) -> Callable:
    """Add the flags for what ranks; the command receives those that are typed as one parameter,
    `order`.
    """

    @wraps(command)
    def with_order(*args: Any, **flags: Any) -> Any:
        own = {name: flags.pop(name) for name in names(OrderParams) + names(TogetherParams)}
        typed = {name: value for name, value in own.items() if value is not None}
        return command(*args, order=typed, **flags)

    return order_flags(with_order)


def typed_options(ctx: click.Context) -> list[str]:
    """The names of the options that the user typed."""
    typed = click.core.ParameterSource.COMMANDLINE
    return [name for name in ctx.params if ctx.get_parameter_source(name) == typed]


def refuse(ctx: click.Context, names: Collection[str], why: str) -> None:
    """Raise a usage error if the user typed one of these options."""
    for name in typed_options(ctx):
        if name in names:
            flag = name.removesuffix("_name").replace("_", "-")
            raise click.UsageError(f"--{flag} {why}", ctx)


def typed_settings(ctx: click.Context, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters among the flags that the user typed."""
    typed = set(typed_options(ctx)) - {"threads", "seed"}
    return {name: value for name, value in flags.items() if name in typed}


def run_params(flags: Mapping[str, Any], quiet: bool) -> dict[str, Any]:
    """What --threads, --seed and --quiet are called by estimators."""
    return {
        "n_jobs": flags["threads"] or -1,
        "random_state": flags["seed"],
        "verbose": int(not quiet),
    }


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
