"""The REST interface of Annif, so that its clients work as they are: projects are our models."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import __version__
from .answering import as_json, check_size, keep_feedback
from .bodies import form_of, json_of
from .fields import BODY, Field, ListOf, Record, Refused, Text, Whole, wrong
from .forms import MOST_IDS, MOST_K
from .models import Served

MOST_DOCUMENTS = 32  # as Annif has it
LIMIT, MOST = "10", Whole(0, MOST_K)
TEXT = Field(Text(), "The text.", required=True)
SUBJECT = Record({"uri": Field(Text(), "Its id.", required=True)}, open=True)
DOCUMENT = Record({"text": TEXT, "document_id": Field(Text(), "Comes back.")}, open=True)
DOCUMENTS = Record(
    {"documents": Field(ListOf(DOCUMENT, MOST_DOCUMENTS), "The texts.", required=True)}
)
LEARNED = Record(
    {"text": TEXT, "subjects": Field(ListOf(SUBJECT, MOST_IDS), "What is right.", required=True)},
    open=True,
)
LESSONS = ListOf(LEARNED, 1_000, 1)


async def show_info(request: Request) -> Response:
    """What answers here."""
    return as_json({"title": "Annif REST API, by xmc", "version": __version__})


async def list_projects(request: Request) -> Response:
    """The models, as projects."""
    served = request.app.state.models.by_name.values()
    return as_json({"projects": [_project(one) for one in served if one.now.takes == "text"]})


async def show_project(request: Request) -> Response:
    """One model, as a project."""
    return as_json(_project(_served(request)))


async def suggest(request: Request) -> Response:
    """The best labels of one text."""
    served, form = _served(request), await form_of(request)
    if "text" not in form:
        raise Refused(400, "text: expected a field of the form, it is missing")
    (results,) = await _suggested(served, [form["text"]], form)
    return as_json({"results": results})


async def suggest_batch(request: Request) -> Response:
    """The best labels of each document."""
    served = _served(request)
    given = DOCUMENTS.check(await json_of(request), BODY)["documents"]
    texts = [document["text"] for document in given]
    results = await _suggested(served, texts, dict(request.query_params))
    found = zip(given, results, strict=True)
    return as_json([{"results": own, "document_id": one["document_id"]} for one, own in found])


async def learn(request: Request) -> Response:
    """Texts with their right labels, kept as feedback."""
    served = _served(request)
    lessons = LESSONS.check(await json_of(request), BODY)
    records = [
        {"text": one["text"], "accepted": [own["uri"] for own in one["subjects"]], "rejected": []}
        for one in lessons
    ]
    await keep_feedback(request, served, records)
    return Response(status_code=204)


def _served(request: Request) -> Served:
    project = request.path_params["project"]
    served = request.app.state.models.by_name.get(project)
    if served is None or served.now.takes != "text":
        raise Refused(404, f"project: expected one that /v1/projects names, got {project[:100]!r}")
    return served


def _project(served: Served) -> dict[str, Any]:
    language = getattr(served.now.model, "language", None)
    plain = language if language not in (None, "auto") else "und"  # as BCP 47 says: undetermined
    return {
        "project_id": served.name,
        "name": served.name,
        "language": plain,
        "backend": {"backend_id": "xmc"},
        "vocab": {"vocab_id": served.name, "languages": [], "size": served.now.n_labels},
        "vocab_language": plain,
        "is_trained": True,
        "modification_time": None,
    }


async def _suggested(served: Served, texts: list[str], options: dict[str, str]) -> list[list]:
    """The labels of each text, cut by the options limit and threshold; none where it is blank."""
    k, threshold = _limit(options.get("limit", LIMIT)), _threshold(options.get("threshold", "0"))
    asked = [text for text in texts if text.strip()] if k else []
    check_size(len(asked), k)
    answers = iter(await served.answers(served.now, asked, max(k, 1)))
    found = [next(answers) if k and text.strip() else [] for text in texts]
    return [[_as_subject(own) for own in row if own["score"] >= threshold] for row in found]


def _as_subject(label: dict[str, Any]) -> dict[str, Any]:
    return {
        "uri": label["id"],
        "label": label["name"],
        "notation": None,
        "score": label["score"],
    }


def _limit(text: str) -> int:
    plain = text.isdecimal() and text.isascii() and len(text) < 10
    return MOST.check(int(text) if plain else text, "limit")


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise wrong("threshold", "a number from 0 to 1", text)
    return value


ROUTES = [
    Route("/v1/", show_info),
    Route("/v1/projects", list_projects),
    Route("/v1/projects/{project}", show_project),
    Route("/v1/projects/{project}/suggest", suggest, methods=["POST"]),
    Route("/v1/projects/{project}/suggest-batch", suggest_batch, methods=["POST"]),
    Route("/v1/projects/{project}/learn", learn, methods=["POST"]),
]
