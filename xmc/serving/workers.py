"""Processes that answer: one, or several that share a socket, counters and the mapped models."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn

from ..errors import ParameterError, XmcError
from .app import Settings, create
from .metrics import Metrics
from .models import Found
from .protocol import Protocol

LOG = logging.getLogger("xmc.serving")
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 30  # seconds for requests to be answered after the end was asked for
BACKLOG = 2048  # connections that may wait to be accepted
EARLY = 1.0  # seconds: whoever dies before is started again only after as long
FAILED = 1


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ParameterError if it can't."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Head and body of an answer are two packets. Without this the second one waits 40 ms for
        # word that the first has come; connections take it over from the socket that listens.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(f"serve: can't listen on {host}, port {port}: {reason}") from None


def url_of(listening: socket.socket) -> str:
    """Where a socket listens, as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(settings: Settings, listening: socket.socket, ready: Callable[[], Any]) -> int:
    """Answer until a signal asks for the end; the exit code.

    ready: called when the first worker answers. Raises ModelError if a model can't be loaded.
    """
    metrics = settings.metrics()
    if settings.n_workers == 1:
        answer(settings, metrics, listening, ready)
        return 0
    return Supervisor(settings, metrics, listening).run(ready)


def answer(
    settings: Settings,
    metrics: Metrics,
    listening: socket.socket,
    ready: Callable[[], Any],
    parent: int | None = None,
    found: Mapping[str, Found] | None = None,
) -> None:
    """Answer in this process until a signal asks for the end, or until its parent is gone."""

    def each_second() -> None:
        if parent is not None and os.getppid() != parent:
            server.should_exit = True

    app = create(settings, metrics, ready, each_second, found)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)
    for number in ENDINGS:  # from here on: uvicorn itself listens to two of them, once it runs
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listening])


class Supervisor:
    """Starts workers, and others for those that die; asked to end, it ends them and waits."""

    def __init__(self, settings: Settings, metrics: Metrics, listening: socket.socket):
        self.settings, self.metrics, self.listening = settings, metrics, listening
        self.workers: dict[int, tuple[int, float]] = {}  # by process: the number, since when
        self.ending = False
        self.found: dict[str, Found] = {}

    def run(self, ready: Callable[[], Any]) -> int:
        """Work until the end; the exit code. If the first worker can't start, no other one does."""
        # What is loaded before the fork, kernels and words as well as arrays, is there only once,
        # however many workers there are. What a collection of garbage looks at would be copied.
        how = self.settings.n_jobs, self.settings.encoder
        self.found = {path: Found.at(path, *how) for path in self.settings.folders}
        gc.freeze()
        for asked in ENDINGS:
            signal.signal(asked, self._end)
        first, is_ready = self._start(0)
        if not is_ready:
            return self._reaped(first)
        ready()
        for number in range(1, self.settings.n_workers):
            self._start(number, wait=False)
        while self.workers:
            self._replace(*os.wait())
        return 0

    def _end(self, number: int, frame: Any) -> None:
        self.ending = True
        for process in self.workers:
            os.kill(process, signal.SIGTERM)

    def _start(self, number: int, wait: bool = True) -> tuple[int, bool]:
        """The process of a new worker, and whether it came so far as to answer."""
        reader, writer = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)  # the end must not miss the new one
        process = os.fork()
        if not process:
            os.close(reader)
            self._work(number, writer)
        self.workers[process] = number, time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
        os.close(writer)
        if self.ending:  # asked for just before the fork, so the others alone were told
            os.kill(process, signal.SIGTERM)
        try:
            return process, wait and os.read(reader, 1) != b""
        finally:
            os.close(reader)

    def _work(self, number: int, writer: int) -> None:
        """Be a worker; the process ends here."""
        code = FAILED
        try:
            parent = os.getppid()
            for asked in ENDINGS:
                signal.signal(asked, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
            self.metrics.as_worker(number)

            def ready() -> None:
                try:
                    os.write(writer, b".")
                except BrokenPipeError:  # nobody waits for the others
                    pass

            answer(self.settings, self.metrics, self.listening, ready, parent, self.found)
            code = 0
        except XmcError as error:
            LOG.error("%s", error)
        except BaseException:
            LOG.exception("worker %d", number)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _reaped(self, process: int) -> int:
        """The exit code of the first worker, which didn't come to answer."""
        _, status = os.waitpid(process, 0)
        return 0 if self.ending else os.waitstatus_to_exitcode(status) or FAILED

    def _replace(self, process: int, status: int) -> None:
        """Start another worker for one that ended, unless all shall."""
        number, since = self.workers.pop(process)
        if self.ending:
            return
        code = os.waitstatus_to_exitcode(status)
        LOG.warning("worker %d ended (%d), another one takes its place", number, code)
        if time.monotonic() - since < EARLY:
            time.sleep(EARLY)
        if not self.ending:
            self._start(number, wait=False)
