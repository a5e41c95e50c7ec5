"""The application: which path is answered by what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import __version__
from ..encoders import Encoder
from ..errors import XmcError
from . import annif
from .answering import ANNIF, as_json, check_size, error, keep_feedback
from .bodies import Held, json_of
from .door import Door
from .fields import BODY
from .forms import EXPLAIN, FEEDBACK, PREDICT
from .metrics import OTHER, Metrics
from .models import Found, Models, Served, names_of
from .openapi import document

WATCH = 1.0  # seconds between looks at the model folders
PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
POSTED = ("/predict", "/explain", "/feedback")
ASKED = ("/models", "/health", "/metrics", "/openapi.json")
ENDPOINTS = (*POSTED, *ASKED, *PAGE_FILES, ANNIF, OTHER)  # that are counted apart


class Settings(NamedTuple):
    """What the service is asked to do.

    n_jobs: threads of each worker. feedback: a file for all models, None for one beside each.
    encoder: of texts, for models that were trained with one.
    """

    folders: tuple[str, ...]
    n_jobs: int
    n_workers: int = 1
    feedback: str | None = None
    annif: bool = False
    encoder: Encoder | None = None

    def metrics(self) -> Metrics:
        """Counters that all workers share, if they are made before these are forked."""
        return Metrics(ENDPOINTS, names_of(self.folders), self.n_workers)


def create(
    settings: Settings,
    metrics: Metrics,
    ready: Callable[[], Any] = lambda: None,
    each_second: Callable[[], Any] = lambda: None,
    found: Mapping[str, Found] | None = None,
) -> Door:
    """The application, its models loaded. Raises ModelError if one can't be.

    ready: called when it begins to answer. each_second: called from time to time.
    found: models that are loaded already, by their folders.
    """
    found = found or {}
    models = Models(
        [
            _served(name, path, settings, metrics, found.get(path))
            for name, path in _places(settings)
        ]
    )

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(models.watch(WATCH, each_second))
        ready()
        yield
        watching.cancel()

    handlers: Any = {XmcError: _refused, HTTPException: _not_found, Exception: _failed}
    app = Starlette(routes=_routes(settings), lifespan=running, exception_handlers=handlers)
    app.router.redirect_slashes = False  # it would believe what the header Host says
    app.state.models, app.state.metrics = models, metrics
    app.state.settings, app.state.held = settings, Held()
    return Door(app, metrics, app.state.held, _endpoint)


def _endpoint(path: str) -> str:
    """What a path is counted as."""
    if path.startswith(f"{ANNIF}/"):
        return ANNIF
    return path if path in ENDPOINTS else OTHER


def _places(settings: Settings) -> list[tuple[str, str]]:
    return list(zip(names_of(settings.folders), settings.folders, strict=True))


def _served(
    name: str, path: str, settings: Settings, metrics: Metrics, found: Found | None
) -> Served:
    def counted(size: int) -> None:
        metrics.add("xmc_batches_total", name)
        metrics.add("xmc_items_total", name, by=size)

    def renewed(result: str) -> None:
        metrics.add("xmc_reloads_total", name, result)

    return Served(name, path, settings.n_jobs, counted, renewed, found, settings.encoder)


def _routes(settings: Settings) -> list[Route]:
    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/explain", explain, methods=["POST"]),
        Route("/feedback", give_feedback, methods=["POST"]),
        Route("/models", list_models),
        Route("/health", health),
        Route("/metrics", show_metrics),
        Route("/openapi.json", describe),
        *(Route(path, page) for path in PAGE_FILES),
    ]
    return [*routes, *annif.ROUTES] if settings.annif else routes


async def predict(request: Request) -> Response:
    """The best labels of a text, or of each of several texts or rows."""
    given = PREDICT.check(await json_of(request), BODY)
    served = request.app.state.models.of(given["model"])
    field, items = _items(given, PREDICT.one_of)
    k, model = given["k"], served.now
    check_size(len(items), min(k, model.n_labels))
    answers = await served.answers(model, model.read(field, items), k)
    results = [{"labels": labels} for labels in answers]
    return as_json(results[0] if field == "text" else {"results": results})


async def explain(request: Request) -> Response:
    """Why a label has its score for a text or row, or why each of the best k has."""
    given = EXPLAIN.check(await json_of(request), BODY)
    served = request.app.state.models.of(given["model"])
    field, items = _items(given, EXPLAIN.one_of)
    model = served.now
    (item,) = model.read(field, items)
    told = await served.explain(model, item, given["label"], given["k"])
    return as_json({"explanations": told})


async def give_feedback(request: Request) -> Response:
    """Which labels of a text are right and which are wrong, kept for a later training."""
    given = FEEDBACK.check(await json_of(request), BODY)
    served = request.app.state.models.of(given.pop("model"))
    await keep_feedback(request, served, [given])
    return as_json({"kept": 1})


async def list_models(request: Request) -> Response:
    """What is served."""
    served = request.app.state.models.by_name.values()
    return as_json({"models": [_described(one) for one in served]})


def _described(served: Served) -> dict[str, Any]:
    model = served.now
    return {
        "name": served.name,
        "kind": type(model.model).__name__,
        "takes": model.takes,
        "n_labels": model.n_labels,
        "n_rows": model.model.model_.n_rows,
    }


async def health(request: Request) -> Response:
    """That the service answers."""
    return as_json({"status": "ok", "version": __version__})


async def show_metrics(request: Request) -> Response:
    """The counters of all workers, as Prometheus reads them."""
    kind = "text/plain; version=0.0.4; charset=utf-8"
    return Response(request.app.state.metrics.text(), media_type=kind)


async def describe(request: Request) -> Response:
    """The service as OpenAPI describes it."""
    return as_json(document())


async def page(request: Request) -> Response:
    """The page where people try the models, or a file that it needs."""
    path = PAGE / PAGE_FILES[request.scope["path"]]
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(path.read_bytes(), media_type=TYPES[path.suffix], headers=headers)


def _items(given: dict[str, Any], fields: tuple[str, ...]) -> tuple[str, list]:
    """The field that was given, and what stands there as a list."""
    (field,) = (name for name in fields if given[name] is not None)
    return field, given[field] if field.endswith("s") else [given[field]]


async def _refused(request: Request, reason: Exception) -> Response:
    """An error of ours as JSON; what the model says about its input is the sender's to mend."""
    return error(request, getattr(reason, "status", 422), str(reason))


async def _not_found(request: Request, reason: Exception) -> Response:
    """Starlette's errors, of paths and methods, as JSON."""
    status, detail = getattr(reason, "status_code", 500), getattr(reason, "detail", "error")
    line = f"{request.method} {request.scope['path']}: {detail.lower()}"
    return error(request, status, line, getattr(reason, "headers", None))


async def _failed(request: Request, reason: Exception) -> Response:
    """A bug of ours: the door logs its trace, which the answer must not have."""
    return error(request, 500, "internal error; the log has it by this X-Request-ID")
