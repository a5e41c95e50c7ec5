"""Compressed files: one table of what the end of a name means."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from ..errors import DataError
from ..formats import FilePath, compression_suffix

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class Codec(NamedTuple):
    """How a kind of compressed file is read and written."""

    name: str
    open: Callable[[Any], Any]  # a path or file to read bytes from
    pack: Callable[[BinaryIO], Any]  # a file that compresses into this one; no time, no name


def _zstd() -> Any:
    """The module of Python 3.14 or, in older versions, its backport."""
    try:
        from compression import zstd
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise DataError(
                "zstd: expected Python 3.14 or the package backports.zstd, got neither; "
                "pip install 'xmc-trees[zstd]'"
            ) from None
    return zstd


CODECS = {
    ".gz": Codec(
        "gzip",
        lambda path: gzip.open(path, "rb"),
        lambda file: gzip.GzipFile("", "wb", 6, file, mtime=0),
    ),
    ".bz2": Codec("bzip2", bz2.open, lambda file: bz2.open(file, "wb")),
    ".xz": Codec("xz", lzma.open, lambda file: lzma.open(file, "wb")),
    ".zst": Codec("zstd", lambda path: _zstd().open(path), lambda file: _zstd().open(file, "wb")),
}


def codec_of(path: FilePath) -> Codec | None:
    """How the file is compressed, None if it isn't."""
    return CODECS.get(compression_suffix(path))


def is_damage(error: Exception, codec: Codec) -> bool:
    """Whether the error says that the content can't be unpacked, not that it can't be read."""
    if codec.name == "zstd" and isinstance(error, _zstd().ZstdError):
        return True
    return isinstance(error, DAMAGED) or (isinstance(error, OSError) and error.errno is None)
