"""The body of a request: read within limits of size and time, and parsed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from .fields import Refused, shown
from .forms import MOST_BYTES

SECONDS = 30  # for a whole body to arrive
MOST_HELD = 256_000_000  # bytes of all bodies that are being read or answered
MOST_DRAINED = 100_000_000  # bytes of a body too large that are read and thrown away


class Held:
    """Bytes of bodies in memory, of all requests together."""

    def __init__(self) -> None:
        self.total = 0


async def json_of(request: Request) -> Any:
    """The body as JSON. Raises Refused if it isn't that."""
    body = await _body_of(request, "application/json")
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise Refused(400, f"body: expected UTF-8, got other bytes at {error.start:,}") from None
    except json.JSONDecodeError as error:
        raise Refused(400, f"body: expected JSON, at {error.pos:,}: {error.msg}") from None
    except RecursionError:
        raise Refused(400, "body: expected JSON that is nested less deeply") from None
    except ValueError:  # an int of thousands of digits
        raise Refused(400, "body: expected JSON with numbers that can be read") from None


async def form_of(request: Request) -> dict[str, str]:
    """The body as fields of an HTML form. Raises Refused if it isn't that."""
    body = await _body_of(request, "application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=99)
    except ValueError:
        raise Refused(400, "body: expected the fields of a form in UTF-8") from None
    return dict(pairs)


async def _body_of(request: Request, content_type: str) -> bytes:
    """The whole body. Raises Refused if it is of another type, too large, or takes too long."""
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != content_type:
        raise Refused(415, f"Content-Type: expected {content_type}, got {given or 'none'}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "Content-Encoding: expected a body that isn't compressed")
    try:
        async with asyncio.timeout(SECONDS):
            return await _read(request)
    except TimeoutError:
        raise Refused(408, f"body: expected all of it within {SECONDS} seconds") from None


async def _read(request: Request) -> bytes:
    held: Held = request.app.state.held
    parts: list[bytes] = []
    size = 0
    async for part in _parts(request):
        size += len(part)
        if size > MOST_DRAINED:
            break
        if size > MOST_BYTES:  # the answer gets lost if the sender isn't heard out
            parts.clear()
            continue
        held.total += len(part)
        request.state.held += len(part)
        if held.total > MOST_HELD:
            raise Refused(503, "busy: too many large requests at once; try again later")
        parts.append(part)
    if size > MOST_BYTES:
        raise Refused(413, f"body: expected {MOST_BYTES:,} bytes at most, got more")
    return b"".join(parts)


async def _parts(request: Request) -> Any:
    """The body in parts as they arrive. Raises Refused if the sender leaves before its end."""
    declared = request.headers.get("content-length", "")
    waits = request.headers.get("expect", "").lower() == "100-continue"
    if waits and declared.isdecimal() and int(declared[:20]) > MOST_BYTES:
        raise Refused(413, f"body: expected {MOST_BYTES:,} bytes at most, got {declared[:20]}")
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "body: expected all of it, the sender left")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = Counter(name for name, _ in pairs)
        twice = names.most_common(1)[0][0]
        raise Refused(400, f"body: expected each name once, got {shown(twice)} twice")
    return found


def _no_number(name: str) -> Any:
    raise Refused(400, f"body: expected JSON, which has no {name}")
