"""One file of named arrays, in the layout of safetensors (https://huggingface.co/docs/safetensors).

    8 bytes    the length of the header, an unsigned little-endian integer
    header     JSON: of each array its dtype, its shape, and where it begins and ends; then blanks
    data       the arrays end to end, those of large numbers first, so that each is aligned

A file is mapped once, however many arrays it holds: that takes one file descriptor, and no time.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import frozen

DTYPES = {
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.dtype(bool),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
LENGTH = struct.Struct("<Q")
ALIGNED = 64  # the data begin at a multiple of a line of the cache
LONGEST = 100 << 20  # of a header, as the format has it


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a new file, and make sure that it is on the disk.

    Raises ValueError for an array of objects or of texts, or of more than two dimensions.
    """
    for name, array in arrays.items():
        if array.dtype not in CODES:
            raise ValueError(f"{name}: expected an array of numbers, got {array.dtype}")
        if array.ndim > 2:
            raise ValueError(f"{name}: expected 2 dimensions at most, got {array.ndim}")
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header, end = {}, 0
    for name in order:
        array, start = arrays[name], end
        end += array.nbytes
        known = {"dtype": CODES[array.dtype], "shape": list(array.shape)}
        header[name] = known | {"data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(LENGTH.size + len(text)) % ALIGNED)
    with open(path, "xb") as file:
        file.write(LENGTH.pack(len(text)) + text)
        for name in order:
            file.write(np.ascontiguousarray(arrays[name]).data)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path | str, folder: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file, mapped and read-only.

    folder: the descriptor of the folder where it is, None if the path says all.

    Raises ValueError unless the file is one that `write` could have written, and OSError if it
    can't be read.
    """
    with open_regular(path, folder) as file:
        size = os.fstat(file.fileno()).st_size
        if size < LENGTH.size:
            raise ValueError(f"expected a file of arrays, got {size} bytes")
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    (length,) = LENGTH.unpack(whole[: LENGTH.size])
    if length > min(LONGEST, size - LENGTH.size):
        raise ValueError(f"expected a header of the {size:,} bytes, got one of {length:,}")
    header = _header(bytes(whole[LENGTH.size : LENGTH.size + length]))
    data = whole[LENGTH.size + length :]
    arrays, end = {}, 0
    for name, start, stop, dtype, shape in sorted(header, key=lambda entry: entry[1:3]):
        if start != end or stop > len(data):
            raise ValueError(f"{name}: expected arrays that lie end to end in the file")
        if (LENGTH.size + length + start) % dtype.itemsize:
            raise ValueError(f"{name}: expected an array at a multiple of {dtype.itemsize} bytes")
        arrays[name] = frozen(np.frombuffer(data[start:stop], dtype).reshape(shape))
        end = stop
    if end != len(data):
        raise ValueError(f"expected {end:,} bytes of arrays, got {len(data):,}")
    return arrays


def open_regular(path: Path | str, folder: int | None = None) -> Any:
    """A file opened to be read as bytes; a pipe or a device, which may never end, is an OSError."""
    if not stat.S_ISREG(os.stat(path, dir_fd=folder).st_mode):
        raise OSError(0, "expected a regular file", os.fspath(path))
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=folder))


def _header(text: bytes) -> list[tuple[str, int, int, np.dtype, tuple[int, ...]]]:
    """Name, start, end, dtype and shape of each array, all sound by themselves."""
    try:
        entries = json.loads(text, object_pairs_hook=list)
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    return [_entry(name, dict(fields)) for name, fields in entries if name != "__metadata__"]


def _entry(name: str, fields: dict[str, Any]) -> tuple[str, int, int, np.dtype, tuple[int, ...]]:
    dtype, shape = DTYPES[fields["dtype"]], fields["shape"]
    start, end = fields["data_offsets"]
    numbers = [start, end, *shape]
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
        raise ValueError(f"{name}: expected a shape and offsets that are sizes, got {numbers}")
    if len(shape) > 2:
        raise ValueError(f"{name}: expected 2 dimensions at most, got {len(shape)}")
    n_bytes = dtype.itemsize
    for size in shape:
        n_bytes *= size
    if end - start != n_bytes:
        raise ValueError(f"{name}: expected {n_bytes:,} bytes, got {end - start:,}")
    return name, start, end, dtype, tuple(shape)
