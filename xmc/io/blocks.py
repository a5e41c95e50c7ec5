"""Files in blocks of whole lines, for whoever can't hold all of one."""

from __future__ import annotations

import codecs
import io
import select
import time
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .compression import codec_of
from .files import CHUNK, FilePath, decoded_lines, empty_file, numbered_lines, open_bytes

BLOCK_BYTES = 1 << 22
PAUSE, LONGEST_WAIT = 0.01, 0.1  # seconds for more to come, and for a block in all


class Cut(NamedTuple):
    """Where one block of a file ends and the next begins."""

    n_bytes: int | None = None  # a block has about so many; None is one block with all
    as_it_comes: bool = False  # a block is what a pipe has now, rather than wait until it is full


WHOLE, BLOCKS = Cut(), Cut(BLOCK_BYTES)


def line_blocks(path: FilePath, cut: Cut = WHOLE) -> Iterator[bytearray]:
    """The bytes of a file in blocks of whole lines; only the last line may lack its newline."""
    block = bytearray()
    with open_bytes(path) as file:
        for chunk in _chunks(file, cut, plain=codec_of(path) is None):
            end = 0 if cut.n_bytes is None else chunk.rfind(b"\n") + 1
            block += chunk[:end] if end else chunk
            if end:
                yield block
                block = bytearray(chunk[end:])
    if block:
        yield block


def _chunks(file: BinaryIO, cut: Cut, plain: bool) -> Iterator[bytes]:
    n_bytes = cut.n_bytes or CHUNK
    wait = cut.as_it_comes and plain and _descriptor(file) is not None
    while chunk := _arrived(file, n_bytes) if wait else file.read(n_bytes):
        yield chunk


def _descriptor(file: BinaryIO) -> int | None:
    """What the system knows the file by; None if it lives in memory."""
    try:
        return file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return None


def _arrived(file: BinaryIO, n_bytes: int) -> bytes:
    """What has come, up to so many bytes; nothing only at the end.

    A pipe holds less than a block, and whoever fills it needs a moment for more. Those who write
    line by line shall not wait for that long.
    """
    content, until = bytearray(), time.monotonic() + LONGEST_WAIT
    while len(content) < n_bytes:
        chunk = file.read1(n_bytes - len(content))  # type: ignore[attr-defined]
        content += chunk
        pause = min(PAUSE, until - time.monotonic())
        if not chunk or pause <= 0 or not select.select([file], [], [], pause)[0]:
            break
    return bytes(content)


def text_blocks(path: FilePath, cut: Cut = WHOLE) -> Iterator[bytearray]:
    """The content of a text file without byte order marks, in blocks that end in a newline.

    Raises DataError if the file is empty.
    """
    first = True
    for block in line_blocks(path, cut):
        while first and block.startswith(codecs.BOM_UTF8):  # tools that don't look add another one
            del block[: len(codecs.BOM_UTF8)]
        if not block:
            break
        if block[-1:] != b"\n":
            block += b"\n"
        yield block
        first = False
    if first:
        raise empty_file(path)


def numbered_blocks(path: FilePath, cut: Cut = WHOLE) -> Iterator[Iterator[tuple[int, str]]]:
    """The lines of a UTF-8 file as `numbered_lines` gives them, those of each block together."""
    if cut.n_bytes is None:
        yield numbered_lines(path)
        return
    number = 1
    for block in line_blocks(path, cut):
        yield decoded_lines(io.BytesIO(block), path, number)
        number += block.count(b"\n") + (block[-1:] != b"\n")
    if number == 1:
        raise empty_file(path)


def read_bytes(path: FilePath) -> bytearray:
    """All of a text file, as `text_blocks` gives it."""
    (content,) = text_blocks(path)
    return content
