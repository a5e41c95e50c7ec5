"""HTTP/1.1 as uvicorn speaks it, but silent connections are ended, and its errors are JSON, too."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from .door import error_body

SECONDS = 30  # for the headers of a connection's first request to arrive
NO_HTTP = error_body("expected a request of HTTP/1.1, got something else")


class Protocol(H11Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(SECONDS, self._end_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)

    def _end_if_silent(self) -> None:
        if self.cycle is None:  # no request has begun
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(NO_HTTP)}\r\n"
        head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
        self.transport.write(head.encode() + NO_HTTP)
        self.transport.close()
