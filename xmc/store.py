"""Folders of one JSON and one .npy file per array: written whole or not at all, opened memory-mapped, never pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelError
from .files import replacing
from .matrix import frozen

FORMAT = 1

PathName = str | os.PathLike[str]


def write_folder(
    path: PathName, file: str, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray], overwrite: bool
) -> None:
    """Write arrays and `meta`, the JSON named `file`, as the folder `path`.

    Raises ModelError if `path` exists and is no folder of this kind, DataError if it exists without overwrite.
    """
    if overwrite and os.path.exists(path) and not (Path(path) / file).is_file():
        raise ModelError(f"{os.fspath(path)}: expected a folder with a {file} to replace, got something else")
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    text = json.dumps({"format": FORMAT, **meta, "arrays": shapes}, indent=1, sort_keys=True, ensure_ascii=False)
    with replacing(path, overwrite) as fresh:
        fresh.mkdir()
        for name, array in arrays.items():
            np.save(fresh / f"{name}.npy", np.asarray(array), allow_pickle=False)
        (fresh / file).write_text(text + "\n", encoding="utf-8")


def read_meta(path: PathName, file: str) -> dict[str, Any]:
    """The JSON of a folder.

    Raises ModelError if it is missing, damaged, or of a newer format.
    """
    name = os.fspath(path)
    try:
        meta = json.loads((Path(path) / file).read_text(encoding="utf-8"))
        found = meta["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{name}: expected a folder with a {file}, got {_what(path)}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{name}: {file} can't be read: {error or type(error).__name__}") from None
    if not isinstance(found, int) or found > FORMAT:
        raise ModelError(f"{name}: expected format {FORMAT} at most, got {found}; a newer xmc can read it")
    return meta


def read_folder(path: PathName, file: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON of a folder and its arrays, memory-mapped and read-only.

    Raises ModelError if one is missing, truncated, or not what the JSON says.
    """
    meta = read_meta(path, file)
    try:
        listed = {name: (np.dtype(dtype), tuple(shape)) for name, (dtype, shape) in meta["arrays"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ModelError(f"{os.fspath(path)}: {file} can't be read: no list of arrays") from None
    return meta, {name: _array(Path(path), name, *expected) for name, expected in listed.items()}


def _array(folder: Path, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    where = folder / f"{name}.npy"
    try:
        array = np.load(where, mmap_mode="r" if np.prod(shape) else None, allow_pickle=False)
    except FileNotFoundError:
        raise ModelError(f"{folder}: expected an array {name}.npy, it is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{where}: damaged or truncated: {' '.join(str(error).split())}") from None
    if array.dtype != dtype or array.shape != shape:
        raise ModelError(f"{where}: expected {dtype} {shape}, got {array.dtype} {array.shape}")
    return frozen(np.asarray(array))


def _what(path: PathName) -> str:
    if not os.path.exists(path):
        return "nothing there"
    return "a folder without" if os.path.isdir(path) else "a file"


def pack_strings(strings: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Strings as UTF-8 bytes (uint8) and the offsets (int64) where each begins, and the end."""
    encoded = [s.encode() for s in strings]
    offsets = np.concatenate([[0], np.cumsum([len(e) for e in encoded], dtype=np.int64)])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets.astype(np.int64)


def unpack_strings(data: np.ndarray, offsets: np.ndarray) -> list[str]:
    """What `pack_strings` packed."""
    content, ends = data.tobytes(), offsets.tolist()
    return [content[a:b].decode() for a, b in zip(ends, ends[1:], strict=False)]
