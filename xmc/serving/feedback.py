"""Feedback as lines of JSON at the end of a file, whole and on disk before anybody is thanked."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ..errors import DataError, quoted
from ..io.files import numbered_lines


def default_path(folder: str) -> str:
    """Where feedback on a model is kept: beside its folder, which is replaced as a whole."""
    return f"{os.path.normpath(folder)}.feedback.jsonl"


def check(path: str) -> None:
    """Raise DataError if feedback couldn't be kept in this file."""
    place = path if os.path.exists(path) else os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.access(place, os.W_OK):
        raise DataError(f"{path}: expected a file that can be written to")


def accepted(path: str) -> tuple[list[str], list[list[str]]]:
    """The texts on which feedback was kept in a file, and the labels accepted for each; texts for
    which none was are left out. Raises DataError at a line that is none of ours.
    """
    texts, labels = [], []
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
            text, own = record["text"], record["accepted"]
            sound = isinstance(text, str) and all(isinstance(label, str) for label in own)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise DataError(f"{path}:{number}: expected feedback as JSON, got {quoted(line)}")
        if own:
            texts.append(text)
            labels.append(own)
    if not texts:
        raise DataError(f"{path}: expected feedback that accepts a label, got none")
    return texts, labels


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
