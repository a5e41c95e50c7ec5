"""HTTP/1.1 as uvicorn speaks it, but silent connections are ended, and its errors are JSON, too."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from .door import error_body

SECONDS = 30  # for the headers of a request to arrive
NO_HTTP = error_body("expected a request of HTTP/1.1, got something else")


class Protocol(H11Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience: asyncio.TimerHandle | None = None
        self._await_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # which no longer waits for a connection to end
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_patience()
        super().connection_lost(exc)

    @property
    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_request(self) -> None:
        """Give a request that has begun to arrive its time, from its first byte on."""
        if not self._is_between_requests:
            self._end_patience()
        elif self._patience is None:
            self._patience = self.loop.call_later(SECONDS, self._end_if_silent)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _end_if_silent(self) -> None:
        self._patience = None
        if self._is_between_requests:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(NO_HTTP)}\r\n"
        head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
        self.transport.write(head.encode() + NO_HTTP)
        self.transport.close()
