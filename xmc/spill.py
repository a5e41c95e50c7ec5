"""Spill: where a training has its large arrays, in memory or in files that nobody sees.

What lies in files is mapped. Its pages are the system's to write out and to drop, so they need no
memory, and arrays may be larger than it. The files have no names: they are gone when the last array
in them is, and when the process is, whatever ends it.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .arrays import frozen
from .errors import DataError, ParameterError
from .parallel import lock, run

SEGMENT = 1 << 28  # bytes of the files that hold many arrays; each takes a descriptor
SMALL = 1 << 12  # an array of fewer bytes stays in memory: a page is as large
COPIES = 64  # jobs that put parts together
NOTHING = frozen(np.empty(0, np.uint8))
IN_MEMORY_TYPES = ("tmpfs", "ramfs")  # file systems without a disk


class Growing:
    """An array that grows at its end, in memory."""

    def __init__(self, dtype: Any):
        self.dtype, self.parts = np.dtype(dtype), [np.empty(0, dtype)]

    def append(self, part: np.ndarray) -> None:
        self.parts.append(part.ravel())

    def whole(self, n_jobs: int | None = 1) -> np.ndarray:
        """All that was appended, flat and read-only; nothing can be appended after that.

        n_jobs: threads that copy it.
        """
        ends = np.cumsum([len(part) for part in self.parts])
        out = np.empty(ends[-1], self.dtype)
        n_groups = min(len(self.parts), COPIES)
        groups = np.array_split(np.arange(len(self.parts)), n_groups)
        run(self._copy, [(out, ends, group) for group in groups], n_jobs)
        self.parts.clear()
        return frozen(out)

    def _copy(self, out: np.ndarray, ends: np.ndarray, group: np.ndarray) -> None:
        """Copy some parts to their places; each is freed then."""
        for n in group.tolist():
            part, self.parts[n] = self.parts[n], NOTHING
            out[ends[n] - len(part) : ends[n]] = part


class Spill:
    """Has arrays in memory."""

    def growing(self, dtype: Any) -> Growing:
        """An array to append to."""
        return Growing(dtype)

    def kept(self, array: np.ndarray) -> np.ndarray:
        """The array, where large ones lie; the one that is given can then be dropped."""
        return array


IN_MEMORY = Spill()


class SpillFiles(Spill):
    """Has arrays in files, in the folder for temporary ones. In another process it has them in
    memory.

    n_bytes: what will lie there, about. Raises ParameterError if the folder has less room, or none
    but memory.
    """

    def __init__(self, n_bytes: int = 0):
        self.folder = Path(tempfile.gettempdir())
        if _type_of(self.folder) in IN_MEMORY_TYPES:
            raise ParameterError(
                f"memory: training needs files to put arrays in, but {self.folder} is held in "
                "memory: set TMPDIR to a folder on a disk"
            )
        free = shutil.disk_usage(self.folder).free
        if n_bytes > free:
            raise ParameterError(
                f"memory: training needs about {n_bytes / 2**30:.2f} GiB of files in "
                f"{self.folder}, which has {free / 2**30:.2f} GiB: set TMPDIR to a folder with "
                "more room"
            )
        self._lock = lock()
        self._segment = _Segment(self.folder, 0)

    def growing(self, dtype: Any) -> Growing:
        return GrowingFile(self.folder, dtype)

    def kept(self, array: np.ndarray) -> np.ndarray:
        if array.nbytes < SMALL:
            return array
        with self._lock:  # of threads that keep arrays, each has a place of its own
            if not self._segment.has_room(array.nbytes):
                self._segment = _Segment(self.folder, max(SEGMENT, array.nbytes))
            segment, start = self._segment, self._segment.take(array.nbytes)
        return segment.put(array, start)

    def __reduce__(self) -> tuple:
        return Spill, ()


class GrowingFile(Growing):
    """An array that grows at its end, in a file."""

    def __init__(self, folder: Path, dtype: Any):
        self.dtype, self.folder, self.file = np.dtype(dtype), folder, _file(folder)

    def append(self, part: np.ndarray) -> None:
        _write(self.file, np.ascontiguousarray(part, self.dtype), self.folder)

    def whole(self, n_jobs: int | None = 1) -> np.ndarray:
        with self.file:
            n_bytes = self.file.tell()
            return _mapped(self.file, n_bytes).view(self.dtype)


class _Segment:
    """A file that holds several arrays."""

    def __init__(self, folder: Path, n_bytes: int):
        self.folder, self.n_bytes, self.used = folder, n_bytes, 0
        self.file = _file(folder)
        self.file.truncate(n_bytes)
        self.bytes = _mapped(self.file, n_bytes)

    def has_room(self, n_bytes: int) -> bool:
        return self.used + n_bytes <= self.n_bytes

    def take(self, n_bytes: int) -> int:
        """Where the next array of so many bytes goes."""
        start, self.used = self.used, self.used + -(-n_bytes // 64) * 64
        return start

    def put(self, array: np.ndarray, start: int) -> np.ndarray:
        """Write an array there, past the mapping, which would count as memory of the process."""
        _write(self.file, np.ascontiguousarray(array), self.folder, start)
        own = self.bytes[start : start + array.nbytes]
        return frozen(own.view(array.dtype).reshape(array.shape))


def _file(folder: Path) -> BinaryIO:
    """A new file without a name."""
    try:
        return tempfile.TemporaryFile(buffering=0, dir=folder)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _write(file: BinaryIO, array: np.ndarray, folder: Path, start: int | None = None) -> None:
    """Write an array at the end of a file, or at a place in it."""
    left = array.ravel().view(np.uint8).data
    try:
        while left:  # the system takes 2 GiB at once
            n = file.write(left) if start is None else os.pwrite(file.fileno(), left, start)
            left, start = left[n:], None if start is None else start + n
    except OSError as error:
        raise _unwritable(folder, error) from None


def _mapped(file: BinaryIO, n_bytes: int) -> np.ndarray:
    """The bytes of a file, read-only."""
    if not n_bytes:
        return frozen(np.empty(0, np.uint8))
    whole = mmap.mmap(file.fileno(), n_bytes, access=mmap.ACCESS_READ)
    return frozen(np.frombuffer(memoryview(whole), np.uint8))


def _unwritable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{folder}: arrays beyond `memory` can't be written there: {error.strerror or error}; "
        "TMPDIR names another folder"
    )


def _type_of(folder: Path) -> str:
    """The type of the file system that a folder is on; "" where the system doesn't tell."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    real = os.path.realpath(folder)
    points = [line.split()[1:3] for line in lines]
    above = [(point, kind) for point, kind in points if _is_below(real, point)]
    return max(reversed(above), key=lambda mount: len(mount[0]), default=("", ""))[1]


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
