"""Folders that hold one JSON and one file of arrays.

A folder is written whole or not at all. Its arrays are memory-mapped, and nothing is pickled. The
JSON has a checksum of each array and one of its own content, which are looked at when asked for.
Folders of format 2 have a .npy file for each array and no checksums.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import frozen, lists_fit
from ..errors import DataError, ModelError
from ..params import plain
from . import tensors
from .files import replacing

FORMAT, OLDEST = 3, 2
ARRAYS = "arrays.safetensors"

FACTS = ("dtype", "shape")

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
    if overwrite:
        check_ours(path, file)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    listed = {name: _facts(array) | {"sha256": _hash(array)} for name, array in arrays.items()}
    try:
        with replacing(path, overwrite) as fresh:
            fresh.mkdir()
            tensors.write(fresh / ARRAYS, arrays)
            write_meta(fresh / file, {"format": FORMAT, **meta, "arrays": listed})
    except DataError as error:  # `replacing` raises it for files and folders alike
        raise ModelError(str(error)) from error


def write_meta(path: Path, meta: Mapping[str, Any]) -> None:
    """Write the JSON of a folder, with the checksum of its content."""
    whole = {**meta, "sha256": _hash_of(meta)}
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False)
    with open(path, "xb") as opened:
        opened.write(f"{text}\n".encode())
        opened.flush()
        os.fsync(opened.fileno())


def check_ours(
    path: PathName, file: str, what: str = "a model", beside: Sequence[str] = ()
) -> None:
    """Raise ModelError unless nothing is there, an empty folder, or such a folder and nothing else
    in it.

    what: it is, to people. beside: names of files that may be in it, too.
    """
    name = os.fspath(path)
    if not os.path.exists(path) or _is_empty(path):
        return
    if not (Path(path) / file).is_file():
        raise ModelError(f"{name}: expected a folder with a {file} to replace, got something else")
    own = (file, ARRAYS, *beside)
    others = [e for e in sorted(os.listdir(path)) if e not in own and e[-4:] != ".npy"]
    if others:
        raise ModelError(f"{name}: expected nothing but {what} to replace, there is {others[0]}")


def _is_empty(path: PathName) -> bool:
    """Whether a folder is there, and nothing in it."""
    try:
        return not os.listdir(path)
    except OSError:  # a file, or a folder that we may not look into
        return False


def read_meta(path: PathName, file: str) -> dict[str, Any]:
    """The JSON of a folder.

    Raises ModelError if it is missing, damaged, or of a format that is too new or too old.
    """
    return read_at_once(path, file, meta_in)


def read_folder(path: PathName, file: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON of a folder and its arrays, memory-mapped and read-only.

    Both are of one folder, even while another process replaces it. Raises ModelError if one is
    missing, truncated, or not what the JSON says.
    """
    return read_at_once(path, file, _meta_and_arrays)


def read_at_once(path: PathName, file: str, reader: Callable[[PathName, str, int], Any]) -> Any:
    """What a reader finds in a folder, again if it was replaced and removed meanwhile.

    The reader gets the path, `file`, and the descriptor of the folder. It raises FileNotFoundError
    if something is missing.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            got = _what(path)
            raise ModelError(
                f"{os.fspath(path)}: expected a folder with a {file}, got {got}"
            ) from None
        try:
            return reader(path, file, descriptor)
        except FileNotFoundError as error:
            if is_still(path, descriptor):
                raise _missing(path, file, os.fspath(error.filename)) from None
        finally:
            os.close(descriptor)


def is_still(path: PathName, descriptor: int) -> bool:
    """Whether a path leads to the folder that was opened."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return True  # it is gone for good


def _missing(path: PathName, file: str, what: str) -> ModelError:
    name = os.fspath(path)
    if what == file:
        return ModelError(f"{name}: expected a folder with a {file}, got {_what(path)}")
    return ModelError(f"{name}: expected {what}, it is missing")


def meta_in(
    path: PathName, file: str, folder: int, oldest: int = OLDEST, newest: int = FORMAT
) -> dict[str, Any]:
    """The JSON in the folder of this descriptor, of a format between these."""
    name = os.fspath(path)
    try:
        with as_model_error(path, file), tensors.open_regular(file, folder) as opened:
            meta = json.loads(opened.read().decode())
            found = meta["format"]
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ModelError(f"{name}: {file} can't be read: {error.strerror}") from None
    if not isinstance(found, int) or found > newest:
        raise ModelError(
            f"{name}: expected format {newest} at most, got {found}; a newer xmc can read it"
        )
    if found < oldest:
        raise ModelError(
            f"{name}: expected format {oldest} at least, got {found}; make it again with this xmc"
        )
    return meta


def _meta_and_arrays(
    path: PathName, file: str, folder: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    meta = meta_in(path, file, folder)
    if meta["format"] == 2:
        return meta, _arrays_of_format_2(path, file, meta)
    try:
        with as_model_error(path, ARRAYS):
            arrays = tensors.read(ARRAYS, folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{os.fspath(path)}: {ARRAYS} can't be read: {reason}") from None
    with as_model_error(path, file):
        listed = {name: {k: of[k] for k in FACTS} for name, of in meta["arrays"].items()}
        if listed != (found := {name: _facts(array) for name, array in arrays.items()}):
            differ = sorted(n for n in {*listed, *found} if listed.get(n) != found.get(n))
            raise ValueError(f"it lists other arrays than {ARRAYS} has, such as {differ[0]}")
    return meta, arrays


def verify_folder(path: PathName, file: str) -> None:
    """Read a whole folder and raise ModelError unless its content is what was written.

    A folder of format 2 has no checksums: that is a ModelError, too.
    """
    meta, arrays = read_folder(path, file)
    name = os.fspath(path)
    if meta["format"] == 2:
        raise ModelError(f"{name}: a folder of format 2 has no checksums to verify; save it again")
    verify_arrays(path, file, meta, arrays)


def verify_arrays(
    path: PathName, file: str, meta: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Raise ModelError unless JSON and arrays have the checksums that the JSON says."""
    name, meta = os.fspath(path), dict(meta)
    with as_model_error(path, file):
        own, given = meta.pop("sha256"), {n: of["sha256"] for n, of in meta["arrays"].items()}
    if own != _hash_of(meta):
        raise ModelError(f"{name}: {file} is not what was written: its checksum differs")
    for array, expected in given.items():
        if _hash(arrays[array]) != expected:
            raise ModelError(f"{name}: {array} is not what was written: its checksum differs")


def _facts(array: np.ndarray) -> dict[str, Any]:
    return {"dtype": array.dtype.str, "shape": list(array.shape)}


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _hash_of(meta: Mapping[str, Any]) -> str:
    """The checksum of a JSON's content, however it is laid out."""
    text = json.dumps(meta, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _arrays_of_format_2(
    path: PathName, file: str, meta: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    with as_model_error(path, file):
        listed = {name: _expected(*expected) for name, expected in meta["arrays"].items()}
        if outside := [name for name in listed if Path(name).name != name]:
            raise ValueError(f"expected names of arrays in this folder, got {outside[0]!r}")
    try:
        return {name: npy_array(Path(path), name, *of) for name, of in listed.items()}
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise ModelError(f"{os.fspath(path)}: expected an array {missing}, it is missing") from None


@contextmanager
def as_model_error(path: PathName, file: str) -> Iterator[None]:
    """Turn errors about content that `write_folder` never wrote into a ModelError.

    It names the folder and the file.
    """
    try:
        yield
    except KeyError as error:
        raise ModelError(f"{os.fspath(path)}: {file} can't be read: no {error.args[0]!r}") from None
    except RecursionError:
        raise ModelError(f"{os.fspath(path)}: {file} can't be read: nested too deeply") from None
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{os.fspath(path)}: {file} can't be read: {reason}") from None


def _expected(dtype: str, shape: list[int]) -> tuple[np.dtype, tuple[int, ...]]:
    return np.dtype(dtype), tuple(int(size) for size in shape)


def npy_array(folder: Path, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The array in a .npy file, mapped and read-only.

    Raises ModelError if it is another one or damaged, FileNotFoundError if it isn't there.
    """
    where = folder / f"{name}.npy"
    try:
        tensors.open_regular(where).close()
        array = np.load(where, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy raises nearly anything over a damaged header
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
    bytes_and_ends = (data.dtype.str, offsets.dtype.str) == ("|u1", "<i8")
    if not bytes_and_ends or data.ndim != 1 or offsets.ndim != 1 or not lists_fit(offsets, data):
        raise ValueError(f"expected the offsets of {len(data)} bytes of strings")
    content, ends = data.tobytes(), offsets.tolist()
    return [content[a:b].decode() for a, b in zip(ends, ends[1:], strict=False)]


def plain_values(values: dict[str, Any]) -> dict[str, Any]:
    """Parameters without numpy's types, as JSON holds them."""
    return {name: plain(value) for name, value in values.items()}
