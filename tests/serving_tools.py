"""What the tests of the service share: models in folders, requests without a network, and a server
as a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from cli_tools import MAIN

from xmc import OneVsAllClassifier, TextClassifier
from xmc.serving.app import Settings, create

COLOURS = {"red": "Red", "green": "Green", "blue": "Blue", "fruit": "Fruit", "sky": "The sky"}
THINGS = {"apple": "fruit", "cherry": "fruit", "plum": "fruit", "grass": None, "sky": "sky"}
TEXTS = [f"a {colour} {thing}" for colour in ("red", "green", "blue") for thing in THINGS]
LABELS = [
    [label for label in (text.split()[1], THINGS[text.split()[2]]) if label] for text in TEXTS
]
_folder = TemporaryDirectory(prefix="xmc-test-serving-")


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The one line of an error, which is JSON and has nothing else."""
        assert self.headers["content-type"] == "application/json", self.body
        assert self.status >= 400 and set(self.json) == {"error"}, self.body
        (line,) = self.json["error"].splitlines()
        assert "Traceback" not in line
        return line


def trained(C: float = 1.0) -> TextClassifier:
    """A small model of texts, whose labels have names."""
    model = TextClassifier(OneVsAllClassifier(C=C, random_state=0), min_df=1, rerank=False)
    return model.fit(TEXTS, LABELS, label_names=COLOURS)


@cache
def colours() -> str:
    """The folder of a model of texts."""
    trained().save(f"{_folder.name}/colours")
    return f"{_folder.name}/colours"


@cache
def numbers() -> str:
    """The folder of a model of matrices, with 6 features and 3 labels that are only numbered."""
    X = sp.csr_matrix(np.tile(np.eye(6, dtype=np.float32), (2, 1)))
    Y = sp.csr_matrix(np.tile(np.repeat(np.eye(3, dtype=np.float32), 2, axis=0), (2, 1)))
    OneVsAllClassifier(random_state=0).fit(X, Y).save(f"{_folder.name}/numbers")
    return f"{_folder.name}/numbers"


def service(*folders: str, **settings: Any) -> Any:
    """The application over these folders."""
    settings_ = Settings(folders or (colours(),), n_jobs=1, **settings)
    return create(settings_, settings_.metrics())


async def asked(
    app: Any,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    query: str = "",
    parts: list[bytes] | None = None,
) -> Answer:
    """The answer of an ASGI application. parts: the body in pieces, after which the sender leaves
    if the last is not there.
    """
    pieces = iter([body] if parts is None else parts)
    left = 1 if parts is None else len(parts)
    sent: list[dict] = []

    async def receive() -> dict:
        nonlocal left
        left -= 1
        piece = next(pieces, None)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": left > 0 or parts is not None}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    start, *rest = sent
    known = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], known, b"".join(part.get("body", b"") for part in rest))


def get(app: Any, path: str, **how: Any) -> Answer:
    return asyncio.run(asked(app, "GET", path, **how))


def post(app: Any, path: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
    """The answer to a body: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    how = {"Content-Type": "application/json"} | (headers or {})
    return asyncio.run(asked(app, "POST", path, content, how))


class Server(NamedTuple):
    """A service as a process."""

    process: subprocess.Popen
    port: int
    folder: Path

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """The answer over a connection of its own; a body that is bytes goes as it is."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            sent = {"Content-Type": "application/json"} if content else {}
            connection.request(method, path, content, sent | headers)
            response = connection.getresponse()
            known = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, known, response.read())
        finally:
            connection.close()

    def log(self) -> str:
        """What it said, after its end."""
        return self.process.communicate(timeout=60)[1]


@contextmanager
def serving(folder: Path, *args: object) -> Iterator[Server]:
    """`xmc serve` in a folder, on a free port; it is ended if the test doesn't."""
    told = folder / "listening.json"
    told.unlink(missing_ok=True)
    command = [sys.executable, "-c", MAIN, "serve", *map(str, args), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--json", str(told), "--overwrite"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not told.exists() and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()[1]
        port = int(json.loads(told.read_text())["url"].rstrip("/").rpartition(":")[2])
        yield Server(process, port, folder)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)
