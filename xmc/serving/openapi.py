"""The service as OpenAPI describes it; what requests hold comes from their declarations."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import __version__
from .fields import Record
from .forms import EXPLAIN, FEEDBACK, PREDICT

LABEL = {
    "type": "object",
    "required": ["id", "name", "score"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "score": {"type": "number"},
    },
}
LABELS = {
    "type": "object",
    "required": ["labels"],
    "properties": {"labels": {"type": "array", "items": LABEL}},
}
RESULTS = {
    "type": "object",
    "required": ["results"],
    "properties": {"results": {"type": "array", "items": LABELS}},
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "One line."}},
}
ANY = {"type": "object"}
STATUSES = {
    "400": "no JSON, or not all of it",
    "408": "the body took too long",
    "413": "the body is too large",
    "415": "the body is of another type",
    "422": "a field is unknown, missing or wrong",
    "503": "busy; try again later",
}


class Endpoint(NamedTuple):
    """A path, what it is for, what it takes and what it gives."""

    path: str
    summary: str
    answer: dict[str, Any]
    form: Record | None = None
    media_type: str = "application/json"


ENDPOINTS = (
    Endpoint(
        "/predict",
        "The best labels: of text as `labels`, of texts or rows as `results`.",
        {"oneOf": [LABELS, RESULTS]},
        PREDICT,
    ),
    Endpoint(
        "/explain",
        "Why a label has its score, or why each of the best k has.",
        {
            "type": "object",
            "required": ["explanations"],
            "properties": {"explanations": {"type": "array", "items": ANY}},
        },
        EXPLAIN,
    ),
    Endpoint(
        "/feedback",
        "Which labels of a text are right, and which are wrong.",
        {"type": "object", "properties": {"kept": {"type": "integer"}}},
        FEEDBACK,
    ),
    Endpoint("/models", "What is served.", ANY),
    Endpoint("/health", "That the service answers.", ANY),
    Endpoint("/metrics", "Counters, for Prometheus.", {"type": "string"}, None, "text/plain"),
)


def document() -> dict[str, Any]:
    """The description of the whole service."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "xmc serve", "version": __version__},
        "paths": {one.path: _described(one) for one in ENDPOINTS},
    }


def _described(endpoint: Endpoint) -> dict[str, Any]:
    content = {endpoint.media_type: {"schema": endpoint.answer}}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.path.strip("/"),
        "responses": {"200": {"description": "the answer", "content": content}},
    }
    if endpoint.form is None:
        return {"get": operation}
    operation["requestBody"] = {"required": True, "content": _as_json(endpoint.form.schema())}
    for status, what in STATUSES.items():
        operation["responses"][status] = {"description": what, "content": _as_json(ERROR)}
    return {"post": operation}


def _as_json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
