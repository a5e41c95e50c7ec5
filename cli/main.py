"""The command `xmc`: finds the subcommand and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from xmc.cli.options import version
from xmc.errors import XmcError

COMMANDS = (
    "train",
    "predict",
    "evaluate",
    "inspect",
    "compress",
    "convert",
    "datasets",
    "reproduce",
    "warmup",
)
# What takes less memory, by command.
LESS_MEMORY = {
    "train": "fewer rows or --threads, or smaller ids for --method reranked; --dry-run forecasts",
    "predict": "fewer rows at a time, a smaller -k or fewer --threads",
    "evaluate": "fewer rows or a smaller -k",
    "convert": "fewer rows at a time",
    "compress": "fewer rows to measure on",
}
FAILED, INTERRUPTED, PIPE_CLOSED = 1, 130, 141


class Commands(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"xmc.cli.{name}").command if name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> None:
        with one_line_errors(ctx):
            super().invoke(ctx)
            sys.stdout.flush()


@click.group(
    "xmc",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@version
def xmc() -> None:
    """Extreme multi-label classification: rank the few right labels of a text among very many.

    `xmc train` learns from labelled rows, `xmc predict` labels new rows, and `xmc evaluate`
    measures how good the labels are.
    """


@contextmanager
def one_line_errors(ctx: click.Context) -> Iterator[None]:
    """Print one line for an error that the user can mend; a bug keeps its traceback."""
    try:
        yield
    except XmcError as error:
        fail(ctx, str(error))
    except KeyboardInterrupt:
        fail(ctx, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        silence_stdout()
        ctx.exit(PIPE_CLOSED)
    except OSError as error:
        silence_stdout()
        fail(ctx, f"{error.filename or 'xmc'}: {error.strerror or error}")
    except MemoryError as error:
        fail(ctx, memory_line(ctx.invoked_subcommand, error))


def memory_line(command: str | None, error: MemoryError) -> str:
    """That memory ran out, for what if that is known, and what helps in this command."""
    wanted = f" ({error})" if str(error) else ""
    hint = f"; try {LESS_MEMORY[command]}" if command in LESS_MEMORY else ""
    return f"{command or 'xmc'}: expected more memory than there is{wanted}{hint}"


def fail(ctx: click.Context, message: str, code: int = FAILED) -> None:
    """Print the message as one line on stderr and exit."""
    click.echo(" ".join(message.splitlines()), err=True)
    ctx.exit(code)


def silence_stdout() -> None:
    """Send the rest of stdout to nowhere, so that Python's last flush doesn't fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stand-in for stdout, as tests have, is no file
        pass


def main() -> None:
    """The entry point of the command line."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn developers, not users of commands
    signal.signal(signal.SIGTERM, _terminate)
    xmc(prog_name="xmc")


def _terminate(number: int, frame: Any) -> None:
    """Exit like any command does, so that half-written files are removed."""
    sys.exit(128 + number)
