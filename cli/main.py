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
from xmc.cli.output import say
from xmc.errors import XmcError

COMMANDS = (
    "train",
    "tune",
    "update",
    "predict",
    "explain",
    "evaluate",
    "compare",
    "report",
    "inspect",
    "compress",
    "convert",
    "datasets",
    "reproduce",
    "serve",
    "warmup",
    "completion",
)
FAILED, PIPE_CLOSED = 1, 141
# What asks a command to end: Ctrl-C, the system or a batch queue, a terminal that is closed.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What takes less memory, by command.
LESS_MEMORY = {
    "train": "--memory, fewer rows or --threads, or smaller ids for --method reranked; "
    "--dry-run forecasts",
    "tune": "--memory, fewer rows or --threads",
    "update": "fewer rows or --threads",
    "predict": "fewer rows at a time, a smaller -k or fewer --threads",
    "evaluate": "fewer rows or a smaller -k",
    "convert": "fewer rows at a time",
    "compress": "fewer rows to measure on",
    "compare": "fewer rows or a smaller -k",
    "report": "fewer rows or a smaller -k",
}


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


class Ended(KeyboardInterrupt):
    """A signal asked the command to end."""

    def __init__(self, number: int):
        super().__init__()
        self.signal = number


@contextmanager
def one_line_errors(ctx: click.Context) -> Iterator[None]:
    """Print one line for an error that the user can mend; a bug keeps its traceback."""
    try:
        yield
    except XmcError as error:
        fail(ctx, str(error))
    except KeyboardInterrupt as error:
        fail(ctx, str(error) or "interrupted", 128 + getattr(error, "signal", signal.SIGINT))
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
    say(" ".join(message.splitlines()), err=True)
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
    for number in ENDINGS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _end)
    if "_XMC_COMPLETE" in os.environ:  # a shell asks
        from xmc.cli.completion import complete_files

        complete_files()
    xmc(prog_name="xmc")


def _end(number: int, frame: Any) -> None:
    """End as Ctrl-C does, so that half-written files are removed."""
    raise Ended(number)
