"""Folders that hold one JSON and a .npy file for each array.

A folder is written whole or not at all. Its arrays are memory-mapped, and nothing is pickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import frozen
from ..errors import DataError, ModelError
from .files import replacing

FORMAT = OLDEST = 2

PathName = str | os.PathLike[str]


def write_folder(
    path: PathName,
    file: str,
    meta: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    overwrite: bool,
) -> None:
    """Write arrays and `meta`, the JSON named `file`, as the folder `path`.

    Raises ModelError if `path` exists and overwrite is False, if it is no folder with such a JSON,
    or if it can't be written.
    """
    if overwrite and os.path.exists(path) and not (Path(path) / file).is_file():
        raise ModelError(
            f"{os.fspath(path)}: expected a folder with a {file} to replace, got something else"
        )
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    text = json.dumps(
        {"format": FORMAT, **meta, "arrays": shapes}, indent=1, sort_keys=True, ensure_ascii=False
    )
    try:
        with replacing(path, overwrite) as fresh:
            fresh.mkdir()
            for name, array in arrays.items():
                np.save(fresh / f"{name}.npy", np.asarray(array), allow_pickle=False)
            (fresh / file).write_text(text + "\n", encoding="utf-8")
    except DataError as error:  # `replacing` raises it for files and folders alike
        raise ModelError(str(error)) from error


def read_meta(path: PathName, file: str) -> dict[str, Any]:
    """The JSON of a folder.

    Raises ModelError if it is missing, damaged, or of a format that is too new or too old.
    """
    name = os.fspath(path)
    try:
        with as_model_error(path, file):
            meta = json.loads((Path(path) / file).read_text(encoding="utf-8"))
            found = meta["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{name}: expected a folder with a {file}, got {_what(path)}") from None
    except OSError as error:
        raise ModelError(f"{name}: {file} can't be read: {error.strerror}") from None
    if not isinstance(found, int) or found > FORMAT:
        raise ModelError(
            f"{name}: expected format {FORMAT} at most, got {found}; a newer xmc can read it"
        )
    if found < OLDEST:
        raise ModelError(
            f"{name}: expected format {OLDEST} at least, got {found}; make it again with this xmc"
        )
    return meta


def read_folder(path: PathName, file: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON of a folder and its arrays, memory-mapped and read-only.

    Raises ModelError if one is missing, truncated, or not what the JSON says.
    """
    meta = read_meta(path, file)
    with as_model_error(path, file):
        listed = {name: _expected(*expected) for name, expected in meta["arrays"].items()}
    return meta, {name: _array(Path(path), name, *expected) for name, expected in listed.items()}


@contextmanager
def as_model_error(path: PathName, file: str) -> Iterator[None]:
    """Turn errors about content that `write_folder` never wrote into a ModelError.

    It names the folder and the file.
    """
    try:
        yield
    except KeyError as error:
        raise ModelError(f"{os.fspath(path)}: {file} can't be read: no {error.args[0]!r}") from None
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{os.fspath(path)}: {file} can't be read: {reason}") from None


def _expected(dtype: str, shape: list[int]) -> tuple[np.dtype, tuple[int, ...]]:
    return np.dtype(dtype), tuple(int(size) for size in shape)


def _array(folder: Path, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    where = folder / f"{name}.npy"
    try:
        array = np.load(where, mmap_mode="r" if 0 not in shape else None, allow_pickle=False)
    except FileNotFoundError:
        raise ModelError(f"{folder}: expected an array {name}.npy, it is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{where}: damaged or truncated: {' '.join(str(error).split())}") from None
    if not isinstance(array, np.ndarray):
        raise ModelError(f"{where}: expected an array, got an archive of arrays")
    if array.dtype != dtype or array.shape != shape:
        raise ModelError(f"{where}: expected {dtype} {shape}, got {array.dtype} {array.shape}")
    return frozen(np.asarray(array))


def _what(path: PathName) -> str:
    if not os.path.exists(path):
        return "nothing there"
    return "a folder without" if os.path.isdir(path) else "a file"


def pack_strings(strings: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Strings as UTF-8 bytes (uint8), and offsets (int64): where each begins, and the end."""
    encoded = [s.encode() for s in strings]
    offsets = np.concatenate([[0], np.cumsum([len(e) for e in encoded], dtype=np.int64)])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets.astype(np.int64)


def unpack_strings(data: np.ndarray, offsets: np.ndarray) -> list[str]:
    """The strings that `pack_strings` packed. Raises ValueError if the offsets don't fit."""
    if len(offsets) == 0 or offsets[-1] != len(data):
        raise ValueError(f"expected the offsets of {len(data)} bytes of strings")
    content, ends = data.tobytes(), offsets.tolist()
    return [content[a:b].decode() for a, b in zip(ends, ends[1:], strict=False)]


def plain_values(values: dict[str, Any]) -> dict[str, Any]:
    """Parameters without numpy's types, as JSON holds them."""
    return {name: plain(value) for name, value in values.items()}


def plain(value: Any) -> Any:
    """A parameter without numpy's types."""
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value
