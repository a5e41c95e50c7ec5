"""The folders that are served, and the model of each, loaded anew when its folder is replaced."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..encoders import Encoder
from ..errors import ParameterError, printable, quoted
from ..io.folder import ARRAYS
from ..model_files import FILE
from .batching import Batcher
from .fields import Refused
from .loaded import Loaded

LOG = logging.getLogger("xmc.serving")


class Stamp(NamedTuple):
    """What tells one folder at a path from the next: of the folder and its files, where they are
    and when they were written.
    """

    parts: tuple

    @classmethod
    def of(cls, path: str) -> Stamp:
        return cls(tuple(map(_facts, (path, os.path.join(path, FILE), os.path.join(path, ARRAYS)))))


class Found(NamedTuple):
    """A model as it was loaded, and of which folder."""

    stamp: Stamp
    model: Loaded

    @classmethod
    def at(cls, path: str, n_jobs: int, encoder: Encoder | None = None) -> Found:
        return cls(Stamp.of(path), Loaded(path, n_jobs, encoder))


class Served:
    """A folder that is served: its name, the model that was loaded last, and who waits for it.

    counted: called with the size of each batch. renewed: with "loaded" or "broken" when another
    folder stands there. found: what was loaded before, for as long as the folder is the same.
    encoder: of texts, for models that were trained with one.
    """

    def __init__(
        self,
        name: str,
        path: str,
        n_jobs: int,
        counted: Callable[[int], Any],
        renewed: Callable[[str], Any],
        found: Found | None = None,
        encoder: Encoder | None = None,
    ):
        self.name, self.path, self.renewed = name, path, renewed
        self.how = n_jobs, encoder
        self.batcher = Batcher(counted)
        self.explaining = asyncio.Lock()
        self._seen = Stamp.of(path)
        is_same = found is not None and found.stamp == self._seen
        self.now = found.model if found is not None and is_same else Loaded(path, *self.how)

    async def answers(self, model: Loaded, items: list, k: int) -> list:
        """The best labels of each item; the calls of several requests are put together."""
        return await self.batcher.ask(model, items, k)

    async def explain(self, model: Loaded, item: Any, label: str | None, k: int) -> list[dict]:
        """Why labels have their scores; one request at a time, as each takes a processor."""
        async with self.explaining:
            return await asyncio.to_thread(model.explain, item, label, k)

    async def renew(self) -> None:
        """Load the folder if it isn't the one that was seen last; a broken one changes nothing."""
        stamp = Stamp.of(self.path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.now = await asyncio.to_thread(Loaded, self.path, *self.how)
        except Exception as error:
            LOG.warning("%s: the old model goes on, as the new one fails: %s", self.name, error)
            self.renewed("broken")
        else:
            LOG.info("%s: the new model answers from now on", self.name)
            self.renewed("loaded")


class Models:
    """All that are served, by name."""

    def __init__(self, served: Sequence[Served]):
        self.by_name = {one.name: one for one in served}

    def of(self, name: str | None) -> Served:
        """The model of a request. Raises Refused if it isn't named, or not served."""
        if name is None and len(self.by_name) == 1:
            return next(iter(self.by_name.values()))
        if name not in self.by_name:
            got = "none" if name is None else quoted(name)
            raise Refused(422, f"model: expected one of {', '.join(self.by_name)}, got {got}")
        return self.by_name[name]

    async def watch(self, seconds: float, each_time: Callable[[], Any]) -> None:
        """Look for new folders again and again."""
        while True:
            await asyncio.sleep(seconds)
            each_time()
            for served in self.by_name.values():
                await served.renew()


def names_of(folders: Sequence[str]) -> list[str]:
    """What the models in these folders are called: the last part of each path.

    Raises ParameterError if two are called alike, or if a name can't be shown.
    """
    names = [os.path.basename(os.path.abspath(folder)) for folder in folders]
    for n, name in enumerate(names):
        if not name or printable(name) != name:
            what = f"serve: expected a folder with a name that can be shown, got {quoted(name)}"
            raise ParameterError(f"{what}; serve a link to it")
        if name in names[:n]:
            raise ParameterError(f"serve: expected folders of different names, got {name} twice")
    return names


def _facts(path: str) -> tuple | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
