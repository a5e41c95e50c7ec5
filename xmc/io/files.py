"""Read and write files. Packed ones and "-" need no care; a file appears whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import secrets
import shutil
import socket
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import DataError, quoted
from .compression import Codec, codec_of, is_damage

FilePath = str | os.PathLike
CHUNK = 1 << 20
TEMPORARY = ".xmc-"  # what the names of entries begin with that are being written
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2

log = logging.getLogger("xmc.files")


def is_standard(path: FilePath) -> bool:
    """Whether the path is "-", which means stdin or stdout."""
    return os.fspath(path) == "-"


def can_be_read_again(path: FilePath) -> bool:
    """Whether the path is a file, neither stdin nor a pipe."""
    return not is_standard(path) and os.path.isfile(path)


def source_name(path: FilePath) -> str:
    """The name that errors give to a file that is read."""
    return "stdin" if is_standard(path) else os.fspath(path)


@contextmanager
def open_bytes(path: FilePath) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if its path says that it is compressed; the path "-" is stdin.

    Raises DataError if they can't be read.
    """
    name, codec = source_name(path), codec_of(path)
    try:
        with _open(path, codec) as file:
            yield file
    except DataError:
        raise
    except Exception as error:
        if codec is not None and is_damage(error, codec):
            expected = f"expected a {codec.name} file"
            raise DataError(f"{name}: {expected}, got a damaged or truncated one") from error
        if not isinstance(error, OSError):
            raise
        raise DataError(f"{name}: can't be read: {error.strerror or error}") from error


def _open(path: FilePath, codec: Codec | None) -> Any:
    if is_standard(path):
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        return nullcontext(sys.stdin.buffer)
    return open(path, "rb") if codec is None else codec.open(path)


def numbered_lines(path: FilePath) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file without their line ends, numbered from 1.

    Raises DataError if the file is empty, or if a line isn't UTF-8.
    """
    number = 0
    with open_bytes(path) as file:
        for number, text in decoded_lines(file, path):
            yield number, text
    if number == 0:
        raise empty_file(path)


def decoded_lines(
    lines: Iterable[bytes], path: FilePath, first: int = 1
) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file without their line ends, numbered from `first` on.

    Raises DataError if one isn't UTF-8.
    """
    for number, line in enumerate(lines, first):
        text = _decoded(line, path, number)
        yield number, text if number > 1 else text.lstrip("\ufeff")


def read_lines(path: FilePath) -> list[str]:
    """The lines of a UTF-8 file without their line ends.

    Raises DataError if the file is empty, or if a line isn't UTF-8.
    """
    return [line for _, line in numbered_lines(path)]


def _decoded(line: bytes, path: FilePath, number: int) -> str:
    try:
        return line.decode().removesuffix("\n").rstrip("\r")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source_name(path)}:{number}: expected UTF-8, got byte 0x{line[error.start]:02x}"
        ) from error


def empty_file(path: FilePath) -> DataError:
    """The error of a file without a row."""
    return DataError(f"{source_name(path)}: expected at least one row, got an empty file")


def check_target(path: FilePath, overwrite: bool = False) -> None:
    """Raise DataError if nothing may or can be written at `path`.

    Ask this before the work whose result goes there.
    """
    name, target = os.fspath(path), os.path.realpath(path)
    if is_standard(path):
        return
    if not name:
        raise DataError("expected a path to write to, got an empty one")
    if not os.path.isdir(os.path.dirname(target)):
        got = quoted(os.path.dirname(name))
        raise DataError(f"{name}: expected an existing folder to write into, got {got}")
    if os.path.islink(path) and not os.path.isfile(target):
        what = "a folder" if os.path.isdir(target) else "nothing"
        raise DataError(f"{name}: is a link to {what}; expected {target} itself")
    if os.path.exists(target) and not (os.path.isfile(target) or os.path.isdir(target)):
        raise DataError(
            f"{name}: expected a file or folder to replace, got a device or pipe; - is stdout"
        )
    if os.path.exists(target) and not overwrite:
        raise DataError(f"{name}: exists already; overwrite replaces it")
    try:
        _try_entry(_temporary(Path(target)))
    except OSError as error:
        raise DataError(f"{name}: can't be written: {error.strerror or error}") from error


def _try_entry(trial: Path) -> None:
    """Make an entry and remove it, as only that shows that one can be made."""
    try:
        os.mkdir(trial)
    finally:
        with suppress(OSError):
            os.rmdir(trial)


@contextmanager
def replacing(path: FilePath, overwrite: bool = False) -> Iterator[Path]:
    """An unused path beside `path`, which ends as it does. What is made there moves to `path` at
    the end.

    If anything fails, it is removed, and `path` stays as it was. With overwrite an old file, or an
    old folder with everything in it, is replaced: look before what it is. At no moment is neither
    there, whoever looks and whatever kills the process. What killed ones left is removed. Raises
    DataError if `path` exists and overwrite is False, or if it can't be written.
    """
    check_target(path, overwrite)
    target = Path(os.path.realpath(path))
    _sweep(target.parent)
    fresh = _temporary(target)
    try:
        yield fresh
        _move(fresh, target)
        _sync(target.parent)
    except OSError as error:
        raise DataError(
            f"{os.fspath(path)}: can't be written: {error.strerror or error}"
        ) from error
    except DataError as error:  # of what is made inside: people know the path, not the temporary
        raise DataError(str(error).replace(str(fresh), os.fspath(path))) from error
    finally:
        _remove(fresh)


@contextmanager
def scratch_folder(beside: FilePath) -> Iterator[Path]:
    """A new folder beside a path for what is needed for a while; at the end it is removed.

    What killed processes left is removed, too. Raises DataError if it can't be made.
    """
    target = Path(os.path.realpath(beside))
    fresh = _temporary(target)
    try:
        _sweep(target.parent)
        fresh.mkdir()
    except OSError as error:
        raise DataError(f"{target.parent}: can't be written: {error.strerror or error}") from error
    try:
        yield fresh
    finally:
        _remove(fresh)


def remove_folder(path: Path) -> None:
    """Remove a folder: to others it is whole or gone."""
    aside = _temporary(path)
    os.rename(path, aside)
    _remove(aside)


def _temporary(target: Path) -> Path:
    """An unused path beside the target, which tells who made it and ends as the target does."""
    own = f"{os.getpid()}-{_begun(os.getpid())}"
    end = "".join(target.suffixes[-2:])
    return target.with_name(f"{_own_prefix()}{own}-{secrets.token_hex(8)}{end}")


def _own_prefix() -> str:
    """What the names of our temporary files on this machine begin with. A process id follows, and
    when that process began: ids come again, in a container even the same ones.
    """
    return f"{TEMPORARY}{zlib.crc32(socket.gethostname().encode()):08x}-"


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine left in the folder that are no more."""
    prefix = _own_prefix()
    for entry in os.listdir(folder):
        pid, begun, *_ = [*entry.removeprefix(prefix).split("-"), "", ""]
        if entry.startswith(prefix) and pid.isdecimal() and not _runs(int(pid), begun):
            log.warning(f"removed {folder / entry}, which a killed process left")
            _remove(folder / entry)


def _runs(pid: int, begun: str) -> bool:
    """Whether the process of this id that began then still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no process id
        pass
    return _begun(pid) in (begun, "")


def _begun(pid: int) -> str:
    """When a process began, in ticks of the system's clock; "" where the system doesn't tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _move(fresh: Path, target: Path) -> None:
    """Put `fresh` in the place of `target`; an old folder then lies where `fresh` was."""
    if not (fresh.is_dir() and target.is_dir()):
        os.replace(fresh, target)
    elif not _exchange(fresh, target):
        _move_in_steps(fresh, target)


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two entries at once, where the system can: Linux does on most file systems."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    paths = os.fsencode(a), os.fsencode(b)
    return rename(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) == 0


def _move_in_steps(fresh: Path, target: Path) -> None:
    """As `_move`, with a moment where neither is there: a kill then leaves the old one beside,
    under a name that people see.
    """
    old = target.with_name(f"{target.name}.replaced-{secrets.token_hex(4)}")
    os.rename(target, old)
    try:
        os.rename(fresh, target)
    except OSError:
        os.rename(old, target)
        raise
    os.rename(old, fresh)


def _sync(folder: Path) -> None:
    """Make sure that the entries of a folder are on the disk."""
    with suppress(OSError):  # not every file system can
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def create_file(path: FilePath, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file to write bytes to, which appears at `path` as `replacing` says; "-" is stdout.

    It is compressed if the path says so, without time or name, so that equal content gives equal
    bytes.
    """
    if is_standard(path):
        if sys.stdout is None:
            raise DataError("stdout: can't be written: it is closed")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.isdir(path):
        raise DataError(f"{os.fspath(path)}: expected a file, got a folder")
    with replacing(path, overwrite) as fresh, open(fresh, "xb") as file:
        codec = codec_of(path)
        if codec is None:
            yield file
            return
        with codec.pack(file) as packed:
            yield cast(BinaryIO, packed)
