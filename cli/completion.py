"""`xmc completion`: the script that makes a shell complete commands, options, values and files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from xmc.cli import options
from xmc.cli.output import Output

ASKS = "_XMC_COMPLETE"  # the variable by which such a script asks `xmc`
SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@click.command(
    "completion",
    short_help="Print what makes a shell complete commands, options and files.",
    epilog='Install it by the line  eval "$(xmc completion bash)"  in ~/.bashrc, by the same with '
    "zsh in ~/.zshrc, or by  xmc completion fish > ~/.config/fish/completions/xmc.fish.",
)
@click.argument("shell", type=click.Choice(list(SHELLS)), required=False)
@options.output
def command(shell: str | None, output: Output) -> None:
    """Print the script that makes a shell complete what is typed after xmc.

    Without a name it is the shell of $SHELL.
    """
    shell = shell or own_shell()
    script = SHELLS[shell](
        click.get_current_context().find_root().command, {}, "xmc", ASKS
    ).source()
    if output.json_path is not None:  # who starts a shell waits for what is imported here
        output.check()
        output.write_json({"shell": shell, "script": script})
    if output.for_people:
        click.echo(script, nl=False)


def own_shell() -> str:
    """The shell that the user logs in with. Raises UsageError if it is none that is known."""
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise click.UsageError(f"name a shell, one of {', '.join(SHELLS)}; $SHELL is {name!r}")
    return name


def complete_files() -> None:
    """From now on, complete files where nothing else is known, as shells themselves do."""
    for name, shell in SHELLS.items():
        add_completion_class(type(shell.__name__, (_OrFiles, shell), {}), name)


class _OrFiles(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        known: list[Any] = super().get_completions(args, incomplete)
        return known or [CompletionItem(incomplete, type="file")]
