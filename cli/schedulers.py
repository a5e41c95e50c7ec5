"""The flags that say what runs the jobs of a command: threads, processes or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from xmc.cli import options

THREADS, PROCESSES = "threads", "processes"
CLUSTERS = ("dask", "ray")


class Scheduler(NamedTuple):
    """What runs the jobs, as the flags say."""

    name: str = THREADS
    address: str | None = None
    shared: str | None = None

    @contextmanager
    def executor(self, beside: str | None, n_threads: int | None) -> Iterator[Any]:
        """The executor, whose workers read files in the folder that something lies in unless
        another one is named; None for threads.
        """
        if self.name == THREADS:
            yield None
            return
        from xmc.executors import Dask, Processes, Ray

        folder = self.shared or Path(beside or ".").parent
        if self.name == PROCESSES:
            executor: Any = Processes(n_threads or -1, folder)
        elif self.name == "dask":
            executor = Dask(self.address, folder)
        else:
            executor = Ray(self.address, folder)
        with executor:
            yield executor


flags = options.combined(
    click.option(
        "--scheduler",
        "scheduler_name",
        type=click.Choice((THREADS, PROCESSES, *CLUSTERS)),
        default=THREADS,
        show_default=True,
        help="What runs the jobs. The result is the same.",
    ),
    click.option("--address", help="Of the cluster of --scheduler dask, tcp://HOST:PORT, or ray."),
    click.option(
        "--shared",
        metavar="DIR",
        help="Folder on storage that all workers see, for what they read.  "
        "[default: the one that the output is in]",
    ),
)


def scheduler(command: Callable) -> Callable:
    """Add the flags; the command receives them as one parameter, `scheduler`."""

    @wraps(command)
    def with_scheduler(
        *args: Any, scheduler_name: str, address: str | None, shared: str | None, **others: Any
    ) -> Any:
        ctx = click.get_current_context()
        if scheduler_name not in CLUSTERS:
            options.refuse(ctx, ["address"], "goes with --scheduler dask or ray")
        if scheduler_name == THREADS:
            options.refuse(ctx, ["shared"], "goes with another --scheduler")
        if scheduler_name == "dask" and address is None:
            raise click.UsageError("--scheduler dask needs --address tcp://HOST:PORT", ctx)
        return command(*args, scheduler=Scheduler(scheduler_name, address, shared), **others)

    return flags(with_scheduler)
