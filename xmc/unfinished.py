"""What is done of a file of predictions, in a folder beside it, so that a stopped command goes on.

Streams of bytes grow there. A small folder says how long each of them was when the last block of
rows was done, how many rows that were, and what their checksum is; whatever came after is written
again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from . import checkpoint
from .errors import DataError, ModelError
from .io.files import remove_folder
from .io.folder import read_meta, verify_folder, write_folder

DONE, FILE = "done", "done.json"


class Unfinished:
    """The streams in a folder, and `facts`: what whoever writes them wants to know again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.facts: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._streams: dict[str, BinaryIO] = {}
        self._last = time.monotonic()
        if (folder / DONE).exists():
            verify_folder(folder / DONE, FILE)
            meta = read_meta(folder / DONE, FILE)
            self.facts, self._sizes = meta["facts"], meta["sizes"]

    def stream(self, name: str) -> BinaryIO:
        """A file that goes on where it was done."""
        path = self.folder / name
        path.touch()
        size = self._sizes.get(name, 0)
        if path.stat().st_size < size:
            got = f"{path.stat().st_size:,}"
            raise DataError(f"{path}: expected {size:,} bytes, got {got}; remove {self.folder}")
        stream = self._streams[name] = open(path, "r+b")  # noqa: SIM115 - `kept_beside` closes it
        stream.truncate(size)
        stream.seek(size)
        return stream

    def done(self, facts: dict[str, Any]) -> None:
        """A block is done, in all streams; what is done is written down every few seconds."""
        self.facts = facts
        self._sizes = {name: stream.tell() for name, stream in self._streams.items()}
        if time.monotonic() - self._last >= checkpoint.EVERY:
            self.save()

    def save(self) -> None:
        """Write down what is done."""
        for stream in self._streams.values():
            stream.flush()
            os.fsync(stream.fileno())
        meta = {"facts": self.facts, "sizes": self._sizes}
        write_folder(self.folder / DONE, FILE, meta, {}, overwrite=True)
        self._last = time.monotonic()

    def leave(self) -> None:
        """Keep what is done when something went wrong, though it were a full disk."""
        with suppress(OSError, ModelError):
            if self.facts:
                self.save()
            else:
                self.remove()

    def remove(self) -> None:
        """Remove the folder. What says how much is done goes first: without it, nothing is."""
        if (self.folder / DONE).exists():
            remove_folder(self.folder / DONE)
        checkpoint.remove(self.folder)

    def close(self) -> None:
        for stream in self._streams.values():
            with suppress(OSError):  # of a full disk; what is done is on it
                stream.close()


@contextmanager
def kept_beside(path: str, identity: Callable[[], checkpoint.Identity]) -> Iterator[Unfinished]:
    """What is done of the file at a path, in the folder PATH.part, which goes when all is done.

    identity: what is predicted. Raises ModelError if the folder has to do with something else, if
    another process uses it, or if it is damaged.
    """
    with checkpoint.locked(part_of(path), identity, "prediction", "give another --out") as folder:
        unfinished = Unfinished(folder)
        try:
            yield unfinished
        except BaseException:
            unfinished.leave()
            raise
        finally:
            unfinished.close()
        unfinished.remove()


def part_of(path: str) -> str:
    """The folder of what is done of a file."""
    return f"{os.path.realpath(path)}.part"
