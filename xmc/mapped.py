"""Arrays that are mapped from files, and scratch files for what is made of them.

What is made of an array that doesn't fit into memory doesn't fit either. So it goes into a file
without a name in the same folder, which is gone when the array is, whatever kills the process.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .errors import DataError


def beside(array: np.ndarray, n: int, dtype: DTypeLike) -> np.ndarray:
    """n places to write to: in a scratch file if `array` is mapped from a file, else in memory.

    Raises DataError if the disk has no room.
    """
    folder = _folder_of(array)
    if folder is None or n == 0:
        return np.empty(n, dtype)
    size = n * np.dtype(dtype).itemsize
    try:
        with _scratch_file(folder) as file:
            # A page that the disk has no room for would kill the process when it is written.
            os.posix_fallocate(file.fileno(), 0, size)
            made = np.memmap(file, dtype, "r+", shape=(n,))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{folder}: {size:,} bytes can't be written beside: {reason}") from error
    made.filename = os.fspath(
        folder / "scratch"
    )  # so that what is made of this one goes there, too
    return np.asarray(made)


def release(array: np.ndarray) -> None:
    """Let the system take back the memory in which it holds a mapped array: what was read once is
    not in the way of what is read again and again.
    """
    for owner in owners(array):
        if isinstance(owner, mmap.mmap):
            owner.madvise(mmap.MADV_DONTNEED)


def file_size(array: np.ndarray) -> int | None:
    """The bytes of a file that ends where the array does that is mapped from it; None if it isn't
    mapped.
    """
    for owner in owners(array):
        if isinstance(owner, np.memmap):
            return owner.offset + owner.nbytes
    return None


def _scratch_file(folder: Path) -> Any:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:  # it can't be written to
        return tempfile.TemporaryFile()


def _folder_of(array: np.ndarray) -> Path | None:
    """The folder of the file that an array is mapped from; None if it is in memory."""
    for owner in owners(array):
        if isinstance(owner, np.memmap) and owner.filename is not None:
            return Path(owner.filename).parent
    return None


def owners(array: Any) -> Iterator[Any]:
    """The array, what it is a part of, and so on."""
    while array is not None:
        yield array
        array = getattr(array, "base", None)
