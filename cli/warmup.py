"""`xmc warmup`: compile every kernel now, so that no later command stops for it."""

from __future__ import annotations

import time

import click

from xmc.cli import options
from xmc.cli.output import Voice, check_outputs, write_json


@click.command("warmup", short_help="Compile every kernel for this machine.")
@options.output
def command(json_path: str | None, overwrite: bool, quiet: bool) -> None:
    """Compile every kernel for this machine and keep them on disk: a minute once, nothing afterwards."""
    from xmc.warmup import compile_all

    check_outputs(json_path, overwrite=overwrite)
    started = time.monotonic()
    compile_all()
    seconds = time.monotonic() - started
    Voice("warmup", quiet).say(f"all kernels are ready, after {seconds:.1f} s")
    write_json(json_path, {"seconds": round(seconds, 3)}, overwrite)
