"""Send requests that are wrong at random to the service, and hold it to its promises.

    python tests/fuzz_service.py 100000 [--seed 0] [--seconds 600]

Each request is a sound one with bytes, values, fields, headers or its path changed. It must get an
answer or an error: JSON of one line without a trace, of a status that we know, never 500. Nothing
goes over a network. What breaks a promise is printed with its seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from serving_tools import TEXTS, Answer, asked, colours, numbers, service

KNOWN = {200, 204, 400, 404, 405, 408, 413, 415, 422, 503}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
SOUND = [
    ("/predict", {"text": TEXTS[0], "k": 3, "model": "colours"}),
    ("/predict", {"texts": TEXTS[:3], "k": 2, "model": "colours"}),
    ("/predict", {"rows": [{"0": 1, "3": 0.5}, {}], "model": "numbers"}),
    ("/explain", {"text": TEXTS[0], "label": "red", "model": "colours"}),
    ("/explain", {"row": {"0": 1.0}, "k": 1, "model": "numbers"}),
    ("/feedback", {"text": "a", "accepted": ["red"], "rejected": ["sky"], "model": "colours"}),
    ("/v1/projects/colours/suggest-batch", {"documents": [{"text": "a", "document_id": "1"}]}),
    ("/v1/projects/colours/learn", [{"text": "a", "subjects": [{"uri": "red"}]}]),
]
FORMS = ["text=a+red+plum&limit=3", "text=a&threshold=0.5&language=de"]
PATHS = [
    "/",
    "/models",
    "/health",
    "/metrics",
    "/openapi.json",
    "/v1/projects",
    "/page.js",
    "//",
    "",
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 5, 10**6, 2**31, 2**63, 10**30, 0.5, -0.0, 1e300, 1e-320),
    *("", " ", "5", "red", "a red plum", "\x00", "\ud800", "é" * 300, "a" * 70_000, "\u202e", "١"),
    *([], {}, [[]], [{}], ["a"], {"a": 1}, {"0": 1}, {"0": None}, ["a"] * 1001),
]
HEADERS = [
    *(("Content-Type", "text/plain"), ("Content-Type", ""), ("Content-Type", f"{JSON}; x=\x7f")),
    *(("Content-Encoding", "gzip"), ("Expect", "100-continue"), ("Content-Length", "-1")),
    *(("Content-Length", "9" * 30), ("Host", "["), ("Host", "é\x00"), ("X-Request-ID", "\x1b[0m")),
    *(("X-Forwarded-Prefix", "//x"), ("Transfer-Encoding", "chunked")),
]
BYTES = [b"\x00", b"\xff", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"NaN", b"1e999", b"%"]


class Case:
    """A request by its seed."""

    def __init__(self, seed: int):
        self.rng = Random(seed)
        self.method, self.path, self.query = "POST", "", ""
        self.headers: dict[str, str] = {"Content-Type": JSON}
        self.body = b""
        self.parts: list[bytes] | None = None
        self._choose()
        for _ in range(self.rng.choice((0, 0, 0, 1, 3))):
            self._spoil()

    def _choose(self) -> None:
        kind = self.rng.random()
        if kind < 0.1:
            self.method, self.path = "GET", self.rng.choice(PATHS)
        elif kind < 0.2:
            self.path, self.body = "/v1/projects/colours/suggest", self.rng.choice(FORMS).encode()
            self.headers["Content-Type"] = FORM
        else:
            self.path, value = self.rng.choice(SOUND)
            for _ in range(self.rng.choice((0, 1, 1, 2))):
                value = self._other(value)
            self.body = json.dumps(value).encode()

    def _other(self, value: Any) -> Any:
        """The value with something in it exchanged, added or taken away."""
        rng = self.rng
        if isinstance(value, dict) and value and rng.random() < 0.9:
            name = rng.choice(list(value))
            change = rng.random()
            if change < 0.7:
                return value | {name: self._other(value[name])}
            if change < 0.85:
                return {own: inner for own, inner in value.items() if own != name}
            return value | {rng.choice(["k", "model", "text", "x", ""]): rng.choice(VALUES)}
        if isinstance(value, list) and value and rng.random() < 0.6:
            place = rng.randrange(len(value))
            return [*value[:place], self._other(value[place]), *value[place + 1 :]]
        return rng.choice(VALUES)

    def _spoil(self) -> None:
        """Damage the request below what JSON can say."""
        rng, way = self.rng, self.rng.randrange(5)
        place = rng.randrange(len(self.body) + 1)
        if way == 0:
            self.body = self.body[:place] + rng.choice(BYTES) + self.body[place:]
        elif way == 1:
            self.body = self.body[:place] + self.body[place + rng.randrange(1, 9) :]
        elif way == 2:
            self.headers |= [rng.choice(HEADERS)]
        elif way == 3:
            self.path = rng.choice(
                [self.path + "/", self.path.upper(), self.path + "\x00é\n", "/x"]
            )
            self.method = rng.choice(["POST", "GET", "PUT", "HEAD", "OPTIONS", "\x00"])
        else:
            self.query = rng.choice(
                ["limit=x", "limit=3&threshold=2", "limit=99999999999", "%ff=%"]
            )
            self.parts = [self.body[:place], self.body[place:]][: rng.randrange(3)]

    async def answer(self, app: Any) -> Answer:
        return await asked(
            app, self.method, self.path, self.body, self.headers, self.query, self.parts
        )


def outcome(answer: Answer) -> str:
    """The status, and BAD if the answer breaks a promise."""
    status, kind = answer.status, answer.headers.get("content-type", "")
    if status not in KNOWN or "x-request-id" not in answer.headers:
        return f"BAD {status}"
    if status >= 400:
        if "json" not in kind:
            return f"BAD {status} as {kind}"
        told = answer.json
        line = told.get("error", told.get("detail", ""))
        if not line or not line.isprintable() or "Traceback" in line or len(line) > 1000:
            return f"BAD line {line!r}"
    elif kind == JSON:
        answer.json  # noqa: B018  (it can be read)
    return str(status)


async def run(app: Any, seeds: range, until: float, together: int = 8) -> tuple[Counter, list[str]]:
    """Counts of outcomes, and what was bad; some requests are sent at once."""
    counts: Counter = Counter()
    bad: list[str] = []

    async def one(seed: int) -> None:
        case = Case(seed)
        try:
            what = outcome(await case.answer(app))
        except Exception as error:
            what = f"BAD {type(error).__name__}: {error}"
        counts[what] += 1
        if what.startswith("BAD"):
            bad.append(f"seed {seed}: {case.method} {case.path!r} {case.body[:200]!r}: {what}")

    for start in range(seeds.start, seeds.stop, together):
        await asyncio.gather(*map(one, range(start, min(start + together, seeds.stop))))
        if time.monotonic() > until:
            break
    return counts, bad


def fuzz(n: int, seed: int, feedback: str, seconds: float = float("inf")) -> tuple[Counter, list]:
    """What came of n requests; feedback goes to this file."""
    app = service(colours(), numbers(), annif=True, feedback=feedback)
    return asyncio.run(run(app, range(seed, seed + n), time.monotonic() + seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    wanted = parser.parse_args()
    with TemporaryDirectory() as folder:
        counts, bad = fuzz(wanted.n, wanted.seed, f"{folder}/said", wanted.seconds)
    print(*bad, *(f"{count:,} {what}" for what, count in sorted(counts.items())), sep="\n")
    sys.exit(bool(bad))
