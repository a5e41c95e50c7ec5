"""A headless Chromium for tests, driven over WebDriver's HTTP interface; no package is needed."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
MISSING = "no chromium with chromedriver on this machine"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how WebDriver calls the reference of an element
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Space": " ", "Control": "\ue009"}


class Page:
    """A window of the browser."""

    def __init__(self, session: str):
        self._session = session

    def _do(self, command: str, body: dict | None = None) -> Any:
        return _call(f"{self._session}/{command}", body)

    def open(self, url: str) -> None:
        self._do("url", {"url": url})

    def resize(self, width: int, height: int) -> None:
        self._do("window/rect", {"width": width, "height": height})

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self._do("execute/sync", {"script": script, "args": []})

    def all(self, css: str) -> list[str]:
        """References of the elements that a selector finds."""
        return [e[ELEMENT] for e in self._do("elements", {"using": "css selector", "value": css})]

    def text(self, css: str) -> str:
        """The text of an element as it is seen."""
        return self._do_on(css, "text")

    def click(self, css: str) -> None:
        self._do_on(css, "click", {})

    def type(self, css: str, text: str) -> None:
        self._do_on(css, "value", {"text": text})

    def press(self, *names: str) -> None:
        """Press keys one after another, wherever the focus is."""
        strokes = [
            {"type": kind, "value": KEYS[name]} for name in names for kind in ("keyDown", "keyUp")
        ]
        self._do("actions", {"actions": [{"type": "key", "id": "k", "actions": strokes}]})

    def wait(self, script: str) -> Any:
        """What a script returns, as soon as that is true."""
        for _ in range(200):
            if found := self.run(f"return {script}"):
                return found
            time.sleep(0.05)
        raise AssertionError(f"it never became true: {script}")

    def prefer(self, scheme: str) -> None:
        """Prefer light or dark from now on."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        media = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self._do("goog/cdp/execute", media)

    def save(self, path: str | Path) -> None:
        """A screenshot as PNG."""
        Path(path).write_bytes(base64.b64decode(self._do("screenshot")))

    def log(self) -> list[str]:
        """What the console has said: errors of scripts, what the policy forbade."""
        return [entry["message"] for entry in self._do("se/log", {"type": "browser"})]

    def _do_on(self, css: str, command: str, body: dict | None = None) -> Any:
        (element,) = self.all(css)
        return self._do(f"element/{element}/{command}", body)


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """A window of a browser of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    base = f"http://127.0.0.1:{port}"
    own = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    args = [*own, f"--user-data-dir={profile}"]
    options = {"binary": BROWSER, "args": args}
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    try:
        _until_ready(base)
        session = _call(f"{base}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Page(f"{base}/session/{session}")
        finally:
            _call(f"{base}/session/{session}", None, "DELETE")
    finally:
        driver.terminate()
        driver.wait(30)


def _until_ready(base: str) -> None:
    for _ in range(200):
        try:
            _call(f"{base}/status", None)
            return
        except URLError:
            time.sleep(0.05)
    raise AssertionError("chromedriver doesn't answer")


def _call(url: str, body: dict | None, method: str | None = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, {"Content-Type": "application/json"}, method=method)
    try:
        with urlopen(request, timeout=60) as response:
            return json.loads(response.read())["value"]
    except HTTPError as error:
        raise AssertionError(json.loads(error.read())["value"]["message"]) from None
