"""Arrays of jobs as files: a job that travels takes paths along, and who does it maps them.

Each array is written once, however many jobs read it, and its file goes when nobody here has the
array any more. Arrays that are mapped from a file already stay where they are. What jobs give comes
home in files, too.
"""

from __future__ import annotations

import itertools
import math
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import numpy as np

from ..arrays import frozen
from ..errors import WorkerError
from ..io.files import FilePath
from ..mapped import owners
from ..parallel import lock

SMALL = 1024  # bytes of an array that travels with its job
ALIGNED = 64  # an array in a pile begins at a multiple of a line of the cache
KEPT = 8  # values that a worker keeps, each made of mapped arrays


class OnFile(NamedTuple):
    """An array in a file.

    state: size of the file and when it was changed, in bytes and nanoseconds.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    state: tuple[int, int]

    def mapped(self) -> np.ndarray:
        """The array. Raises OSError or ValueError if it isn't there."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


class Packed(NamedTuple):
    """A NamedTuple whose arrays lie in files.

    key: tells it from all others, so that a worker opens it once for many jobs.
    """

    key: str
    kind: type
    parts: tuple[Any, ...]


class Shelf:
    """Where arrays lie that jobs need, in a folder that all workers see."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._names = itertools.count()
        self._known: dict[int, OnFile] = {}  # by the id of the array

    def packed(self, jobs: Sequence[tuple]) -> list[tuple]:
        """The jobs as they travel."""
        known: dict[int, Any] = {}  # a problem that all jobs share is packed once

        def pack(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                # A copy, as joblib sends the name of the file instead of a part of a mapped one.
                return value.copy() if value.nbytes <= SMALL else self._on_file(value)
            if hasattr(value, "_fields"):
                if id(value) not in known:
                    key = f"{self.folder}/{next(self._names)}"
                    known[id(value)] = Packed(key, type(value), tuple(map(pack, value)))
                return known[id(value)]
            return _inside(value, pack)

        return [tuple(map(pack, job)) for job in jobs]

    def _on_file(self, array: np.ndarray) -> OnFile:
        if id(array) not in self._known:
            self._known[id(array)] = _mapped_already(array) or self._write(array)
            weakref.finalize(array, self._forget, id(array))
        return self._known[id(array)]

    def _write(self, array: np.ndarray) -> OnFile:
        path = self.folder / f"{next(self._names)}.array"
        with open(path, "xb") as file:
            np.ascontiguousarray(array).tofile(file)
        return OnFile(str(path), array.dtype.str, array.shape, 0, _state(path))

    def _forget(self, array: int) -> None:
        """Remove the file of an array that is no more, if it was written here."""
        path = Path(self._known.pop(array).path)
        if path.parent == self.folder:
            path.unlink(missing_ok=True)


def _mapped_already(array: np.ndarray) -> OnFile | None:
    """Where an array lies that is a part of a file's memory map; None where no path leads to it."""
    maps = [own for own in owners(array) if isinstance(own, np.memmap)]
    base = maps[-1] if maps else None  # a view's own offset says nothing
    if base is None or base.filename is None or not array.flags.c_contiguous:
        return None
    offset = base.offset + array.ctypes.data - base.ctypes.data
    path = os.path.abspath(base.filename)
    try:
        found = OnFile(path, array.dtype.str, array.shape, offset, _state(path))
        # Under the name may be a file that has taken the place of the one that is mapped.
        return found if np.array_equal(found.mapped(), array) else None
    except (OSError, ValueError):
        return None


def _state(path: FilePath) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


class InPile(NamedTuple):
    """An array in a file of arrays that lie end to end."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


class Pile:
    """The arrays of a result in one file, so that they needn't go through a scheduler."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []
        self._size = 0

    def packed(self, value: Any) -> Any:
        """The value as it goes home."""
        if isinstance(value, np.ndarray) and value.nbytes:
            array, at = np.ascontiguousarray(value), self._size
            self._arrays.append(array)
            self._size += -(-array.nbytes // ALIGNED) * ALIGNED
            return InPile(array.dtype.str, array.shape, at)
        return _inside(value, self.packed)

    def write(self, folder: str) -> str | None:
        """Write the arrays; the path of the file, if there are any."""
        if not self._arrays:
            return None
        with NamedTemporaryFile(dir=folder, suffix=".pile", delete=False) as file:
            for array in self._arrays:
                file.write(array.reshape(-1).view(np.uint8).data)
                file.write(bytes(-array.nbytes % ALIGNED))
        return file.name


def from_pile(value: Any, path: str | None) -> Any:
    """A result with its arrays, read-only and mapped; the file goes with the last of them."""
    if path is None:
        return value
    try:
        whole = np.memmap(path, np.uint8, "r")
        os.unlink(path)
    except OSError as error:
        raise WorkerError(f"{path}: what a worker wrote can't be read: {error.strerror}") from None

    def unpack(value: Any) -> Any:
        if isinstance(value, InPile):
            n_bytes = math.prod(value.shape) * np.dtype(value.dtype).itemsize
            part = whole[value.offset : value.offset + n_bytes]
            return frozen(np.asarray(part).view(value.dtype).reshape(value.shape))
        return _inside(value, unpack)

    return unpack(value)


_opened: OrderedDict[str, Any] = OrderedDict()
_lock = lock()


def unpacked(job: tuple) -> tuple:
    """What a worker is given, with its arrays mapped.

    Raises WorkerError if a file isn't there, or isn't what it was.
    """
    return tuple(_once(value) if isinstance(value, Packed) else _made(value) for value in job)


def _once(value: Packed) -> Any:
    """A value that many jobs share, opened once."""
    with _lock:
        if value.key not in _opened:
            _opened[value.key] = _made(value)
            while len(_opened) > KEPT:
                _opened.popitem(last=False)
        _opened.move_to_end(value.key)
        return _opened[value.key]


def _made(value: Any) -> Any:
    if isinstance(value, OnFile):
        return _mapped(value)
    if isinstance(value, Packed):
        make: Callable[..., Any] = value.kind
        return make(*map(_made, value.parts))
    if isinstance(value, np.ndarray):
        return frozen(value)
    return _inside(value, _made)


def _inside(value: Any, change: Callable[[Any], Any]) -> Any:
    """A tuple or list with each of its members changed; anything else as it is."""
    if hasattr(value, "_fields"):
        return value._make(map(change, value))
    return type(value)(map(change, value)) if type(value) in (tuple, list) else value


def _mapped(array: OnFile) -> np.ndarray:
    try:
        if _state(array.path) != array.state:
            raise WorkerError(f"{array.path}: was changed while workers read it")
        return frozen(np.asarray(array.mapped()))
    except OSError as error:
        raise WorkerError(
            f"{array.path}: a worker can't read it ({error.strerror}); give a folder on storage "
            "that all workers see"
        ) from None
