"""Where compiled kernels are kept between runs, and when one has to be compiled again.

Numba alone would run stale code, as it looks for edits in the caller's file only, and it would
refuse to import a kernel when it finds no folder to write to. Here the stamp of a compiled kernel
covers all kernel files, and nobody needs a folder to write to. Reading an index unpickles it, which
runs what it says: so only a folder that nobody else can have filled is read.
"""

import hashlib
import logging
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from numba import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _Cache, _CacheLocator

HERE = Path(__file__).parent
SETTINGS = ("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE")  # change the code, not the key
# An index names the classes of all arguments, and Numba reads it whole before it compares stamps:
# one that is no more, or has moved, shows in these.
STALE = (AttributeError, ImportError)

log = logging.getLogger("xmc.kernels")


class Places(NamedTuple):
    """The folders for the compiled kernels of one source file.

    read: looked through in this order.
    write: one of them, or None if none can be written to.
    """

    read: tuple[Path, ...]
    write: Path | None


@cache
def places(file: Path) -> Places:
    """Where the compiled kernels of a source file are looked for, and where they are kept.

    They are kept in the first folder that is safe and can be written to: NUMBA_CACHE_DIR, the one
    beside the source, the user's. The one beside the source is read in any case: whoever installed
    the package may have filled it. A folder behind the first writable one is never read.
    """
    beside = file.parent / "__pycache__"
    name = _CacheLocator.get_suitable_cache_subpath(str(file))
    own = [Path(config.CACHE_DIR).absolute() / name] if config.CACHE_DIR else []
    if own and not safe(own[0]):
        _say_unsafe(own[0].parent)
    users = [top / "numba" / name for top in _users_tops()]
    read = []
    for folder in filter(safe, own + [beside] + users):
        read.append(folder)
        if writable(folder):
            return Places(tuple(dict.fromkeys([*read, beside])), folder)
    return Places(tuple(read), None)


def _users_tops() -> list[Path]:
    """The folder for the user's caches; none if there is no home, as `~` stays what it is then and
    would become a folder of that name.
    """
    tops = (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache"))
    return [Path(top) for top in tops if os.path.isabs(top)][:1]


def safe(folder: Path) -> bool:
    """Whether nobody but us and root decides what lies in a folder for compiled kernels.

    Looked at are the folder and those above it, up to the one of NUMBA_CACHE_DIR or of the user's
    caches, or to the first that exists. The one beside the source is as safe as the source.
    """
    tops = [Path(config.CACHE_DIR).absolute()] if config.CACHE_DIR else []
    top = next((top for top in tops + _users_tops() if top in folder.parents), None)
    if top is None:
        return True
    path = folder
    while not os.path.exists(path) or top in path.parents:
        if os.path.exists(path) and not _is_ours(path, path == folder):
            return False
        path = path.parent
    return _is_ours(path, False)


def _is_ours(path: Path, itself: bool) -> bool:
    """Whether a folder is ours or root's and not for everybody to write to, or is above ours and,
    as /tmp, keeps everybody from what is others'.
    """
    found = path.stat()
    shared = found.st_mode & stat.S_IWOTH and (itself or not found.st_mode & stat.S_ISVTX)
    return found.st_uid in (0, os.geteuid()) and not shared


def writable(folder: Path) -> bool:
    """Whether the folder can be written to; if there is none, whether it can be made."""
    while not os.path.exists(folder):
        folder = folder.parent
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


@cache
def stamp(file: Path) -> str:
    """A hash over what machine code is made from: all kernel files, `file`, Numba's settings."""
    found = hashlib.sha256(repr([str(getattr(config, name, "")) for name in SETTINGS]).encode())
    for path in [*sorted(HERE.glob("*.py")), file]:
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


class Locator(_CacheLocator):
    """Tells Numba the folder and the stamp of one source file."""

    def __init__(self, file: Path, folder: Path):
        self._py_file, self._folder = str(file), folder

    def get_cache_path(self) -> str:
        return str(self._folder)

    def ensure_cache_path(self) -> None:
        os.makedirs(self._folder, exist_ok=True)

    def get_source_stamp(self) -> str:
        return stamp(Path(self._py_file))

    def get_disambiguator(self) -> str:
        """Part of the files' names. Not the line, so that code that moves replaces its old self."""
        return "kernel"


class _Entries(CompileResultCacheImpl):
    """How Numba stores a compiled function, in a given place instead of one that it looks for."""

    def __init__(self, function: Callable[..., Any], locator: Locator):
        self._locator, self._lineno = locator, function.__code__.co_firstlineno
        name = f"{Path(locator._py_file).stem}.{function.__qualname__}"
        self._filename_base = self.get_filename_base(name, getattr(sys, "abiflags", ""))


class FolderCache(FunctionCache):
    """The compiled versions of one function that lie in one folder."""

    def __init__(self, function: Callable[..., Any], locator: Locator):
        self._impl_class = partial(_Entries, locator=locator)
        super().__init__(function)


class KernelCache(_Cache):
    """The compiled versions of one kernel: read from several folders, kept in one at most."""

    def __init__(self, function: Callable[..., Any]):
        file = Path(function.__code__.co_filename).absolute()
        self.places = places(file)
        self._readers = [FolderCache(function, Locator(file, p)) for p in self.places.read]
        self._writer = (
            None
            if self.places.write is None
            else self._readers[self.places.read.index(self.places.write)]
        )

    @property
    def cache_path(self) -> str:
        return str(self.places.write or self.places.read[0])

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kernel compiled for these types; None if no folder has it, and Numba compiles it."""
        for folder, reader in zip(self.places.read, self._readers, strict=True):
            with suppress(OSError, *STALE):  # such as a file that only its owner may read
                # Somebody may have made the folder since the kernel was defined.
                found = safe(folder) and reader.load_overload(sig, target_context)
                if found:
                    return found
        _say_compiling(self._writer is not None)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what Numba has compiled, if there is a place for it."""
        if self._writer is None:
            return
        try:
            self._save(self._writer, sig, data)
        except OSError as error:
            _say_unkept(self.places.write, error.strerror)

    @staticmethod
    def _save(writer: FolderCache, sig: Any, data: Any) -> None:
        """Add a version to the index, or begin a new index where the old one can't be read."""
        try:
            writer.save_overload(sig, data)
        except STALE:
            writer.flush()
            writer.save_overload(sig, data)

    def enable(self) -> None:
        for reader in self._readers:
            reader.enable()

    def disable(self) -> None:
        for reader in self._readers:
            reader.disable()

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()


@cache
def _say_compiling(kept: bool) -> None:
    if kept:
        log.info("compiling kernels for this machine, once: some seconds")
    else:
        log.warning(
            "compiling kernels, in every run, as there is no folder to keep them in; "
            "set NUMBA_CACHE_DIR to one of your own"
        )


@cache
def _say_unsafe(folder: Path) -> None:
    log.warning(
        f"NUMBA_CACHE_DIR: expected a folder of yours or root's that is not for everybody to write "
        f"to, got {folder}; compiled kernels are neither read there nor kept there"
    )


@cache
def _say_unkept(folder: Path, reason: str) -> None:
    log.warning(
        f"compiled kernels can't be kept in {folder}: {reason}; "
        "set NUMBA_CACHE_DIR to a folder that can be written to"
    )


class _Listener(logging.Handler):
    def __init__(self, say: Callable[[str], None]):
        super().__init__()
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        self.say(record.getMessage())


def listen(say: Callable[[str], None]) -> None:
    """From now on, tell this function, and nobody else, when kernels are compiled.

    If nobody listens, only what needs the user's help is said, on stderr.
    """
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [_Listener(say)]
