"""Feedback as lines of JSON at the end of a file, whole and on disk before anybody is thanked."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ..errors import DataError


def default_path(folder: str) -> str:
    """Where feedback on a model is kept: beside its folder, which is replaced as a whole."""
    return f"{os.path.normpath(folder)}.feedback.jsonl"


def check(path: str) -> None:
    """Raise DataError if feedback couldn't be kept in this file."""
    place = path if os.path.exists(path) else os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.access(place, os.W_OK):
        raise DataError(f"{path}: expected a file that can be written to")


def keep(path: str, records: list[dict[str, Any]]) -> None:
    """Append a line for each record, with the time. Raises OSError; then nothing is appended."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [json.dumps({"time": now} | record, ensure_ascii=False) for record in records]
    _append(path, "".join(f"{line}\n" for line in lines).encode())


def _append(path: str, content: bytes) -> None:
    with _locked(path) as file:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # somebody's editor left it so
            content = b"\n" + content
        try:
            written = 0
            while written < len(content):
                written += os.write(file, content[written:])
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise


@contextmanager
def _locked(path: str) -> Iterator[int]:
    """The open file, which no other worker writes to meanwhile."""
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
