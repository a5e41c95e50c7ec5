"""The door of the service: request ids, limits, counts, a line of the log, and errors as JSON."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, MutableMapping
from typing import Any
from uuid import uuid4

from ..errors import printable
from .bodies import Held
from .metrics import Metrics

LOG = logging.getLogger("xmc.serving")
MOST_REQUESTS = 1_000  # that are answered at the same time
GIVEN_ID = re.compile(rb"[\w.:-]{1,100}", re.ASCII)
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)

Scope = MutableMapping[str, Any]


def error_body(line: str) -> bytes:
    """An error as every answer says it."""
    return json.dumps({"error": printable(line)}, ensure_ascii=False).encode()


class Door:
    """An ASGI application around another one; each request goes through it, whatever comes of it.

    named: under which name requests of a path are counted.
    """

    def __init__(self, app: Any, metrics: Metrics, held: Held, named: Callable[[str], str]):
        self.app, self.metrics, self.held, self.named = app, metrics, held, named
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answer = Answer(send, _request_id(scope))
        scope["state"] = {**scope.get("state", {}), "held": 0}
        self._count(1)
        try:
            if self.in_flight > MOST_REQUESTS:
                await answer.error(503, "busy: too many requests at once; try again later")
            else:
                await self._answered(scope, receive, answer)
        finally:
            self._count(-1)
            self.held.total -= scope["state"]["held"]
            self._tell(scope, answer)

    async def _answered(self, scope: Scope, receive: Callable, answer: Answer) -> None:
        try:
            await self.app(scope, receive, answer.send)
        except Exception:
            LOG.exception("%s: internal error", answer.request_id)

    def _count(self, by: int) -> None:
        self.in_flight += by
        self.metrics.add("xmc_requests_in_flight", by=by)

    def _tell(self, scope: Scope, answer: Answer) -> None:
        """Count the request, and log its line."""
        seconds = time.monotonic() - answer.started
        path = scope["path"]
        self.metrics.count_request(self.named(path), answer.status, seconds)
        what = f"{scope['method']} {printable(path)[:100]}"
        LOG.info("%s %d %.0f ms %s", what, answer.status, 1000 * seconds, answer.request_id)


class Answer:
    """The answer to one request: its id stands in the headers, its status is remembered."""

    def __init__(self, send: Callable, request_id: str):
        self._send, self.request_id = send, request_id
        self.status, self.started = 0, time.monotonic()

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (b"x-request-id", self.request_id.encode())
            given = {name for name, _ in message["headers"]}
            more = [header for header in HEADERS if header[0] not in given]
            message = message | {"headers": [*message["headers"], *more, own]}
        await self._send(message)

    async def error(self, status: int, line: str) -> None:
        body = error_body(line)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *([(b"retry-after", b"1")] if status == 503 else []),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _request_id(scope: Scope) -> str:
    """What the client calls the request, if that is a plain word, else a new id."""
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if GIVEN_ID.fullmatch(given) else uuid4().hex
