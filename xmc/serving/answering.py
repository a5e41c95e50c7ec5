"""What endpoints share: answers and errors as JSON, and keeping feedback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..errors import printable
from . import feedback
from .door import error_body
from .fields import Refused
from .forms import MOST_LABELS
from .loaded import Loaded
from .models import Served

ANNIF = "/v1"


def as_json(
    value: Any,
    status: int = 200,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer as JSON, as small as can be."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers, media_type)


def error(
    request: Request, status: int, line: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as JSON; below /v1 as Annif words it, a problem by RFC 9457."""
    headers = {**(headers or {}), **({"Retry-After": "1"} if status == 503 else {})}
    if request.scope["path"].startswith(f"{ANNIF}/"):
        problem = {"title": HTTPStatus(status).phrase, "status": status, "detail": printable(line)}
        return as_json(problem, status, "application/problem+json", headers)
    return Response(error_body(line), status, headers, media_type="application/json")


def check_size(n_items: int, k: int) -> None:
    """Raise Refused if the answer would be too long."""
    if n_items * k > MOST_LABELS:
        what = f"texts or rows times k: expected {MOST_LABELS:,} at most"
        raise Refused(422, f"{what}, got {n_items:,} times {k:,}")


async def keep_feedback(request: Request, served: Served, records: list[dict[str, Any]]) -> None:
    """Keep records of texts with accepted and rejected labels. Raises Refused if one is wrong."""
    model = served.now
    for record in records:
        _check_judged(model, record)
    path = request.app.state.settings.feedback or feedback.default_path(served.path)
    named = [{"model": served.name} | record for record in records]
    try:
        await asyncio.to_thread(feedback.keep, path, named)
    except OSError as error:
        raise Refused(503, f"feedback can't be written: {error.strerror or error}") from None
    request.app.state.metrics.add("xmc_feedback_total", served.name, by=len(records))


def _check_judged(model: Loaded, record: dict[str, Any]) -> None:
    """Raise Refused unless there are labels, all of them known, and each judged once."""
    if model.takes != "text":
        raise Refused(422, "feedback: expected a model of texts, this one takes rows")
    judged = [*record["accepted"], *record["rejected"]]
    if not judged:
        raise Refused(422, "feedback: expected an id in accepted or rejected, got none")
    if len(set(judged)) < len(judged):
        raise Refused(422, "feedback: expected each id once in accepted and rejected together")
    for label in judged:
        model.place_of(label)
