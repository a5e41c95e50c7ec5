"""`xmc serve`: answer over HTTP, and show a page where people try a model."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import TextEncoder
from xmc.cli.output import Output, say


@click.command("serve", short_help="Answer over HTTP, with a page to try a model on.")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="INT",
    default=8000,
    show_default=True,
    help="Port to listen on; 0 is any that is free.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="INT",
    default=1,
    show_default=True,
    help="Processes that answer; they share the pages of the models.",
)
@click.option(
    "--feedback", metavar="FILE", help="Where feedback is kept.  [default: DIR.feedback.jsonl]"
)
@click.option("--annif", is_flag=True, help="Answer as Annif does, too, below /v1/.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="INT",
    show_default="all processors, shared among the workers",
    help="Number of threads of each worker.",
)
@options.encoder_name
@options.output
def command(
    folders: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    feedback: str | None,
    annif: bool,
    threads: int | None,
    encoder_name: str | None,
    output: Output,
) -> None:
    """Answer over HTTP with the models in these folders, until a signal asks for the end.

    A page to try them on is at /, and /openapi.json describes POST /predict, /explain and
    /feedback. A model is called as its folder is. Whoever can reach the address may ask: there is
    no password, so leave it at the loopback, or put a proxy before it.

    \b
    xmc serve model --port 8000
    curl -s localhost:8000/predict --json '{"text": "an email client", "k": 3}'
    """
    require_extra()
    from xmc.serving.app import Settings
    from xmc.serving.feedback import check
    from xmc.serving.models import names_of
    from xmc.serving.workers import listen, serve, url_of

    output.check()
    names = names_of(folders)
    if feedback is not None:
        check(feedback)
    listen_to_log(output)
    n_jobs = threads or max(1, (os.cpu_count() or 1) // workers)
    encoder = TextEncoder(encoder_name).imported()
    settings = Settings(folders, n_jobs, workers, feedback, annif, encoder)
    output.notices.compiling()
    with listen(host, port) as listening:
        url = url_of(listening)

        def ready() -> None:
            output.notices.say(f"{', '.join(names)}: {url}")
            output.write_json({"url": url, "models": names})

        code = serve(settings, listening, ready)
    click.get_current_context().exit(code)


def require_extra() -> None:
    """Raise ParameterError if what answers over HTTP isn't installed: it is an extra."""
    from xmc.errors import ParameterError

    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        needs = "serving needs starlette and uvicorn: pip install xmc-trees[serve]"
        raise ParameterError(f"serve: {needs}") from None


def listen_to_log(output: Output) -> None:
    """Print what the service logs, a line for each event; if quiet, only what went wrong."""
    handler = Lines()
    for name in ("xmc.serving", "uvicorn"):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.WARNING if output.quiet or name == "uvicorn" else logging.INFO)


class Lines(logging.Handler):
    """Prints what is logged; the trace of a bug follows its line."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"serve: {record.getMessage()}", err=True)
        if record.exc_info:
            trace: Any = logging.Formatter().formatException(record.exc_info)
            print(trace, file=sys.stderr, flush=True)
