"""Sparse matrices as .npz files, as scipy writes them; never a pickle."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any, BinaryIO, cast

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, quoted
from ..inputs import as_csr, check_finite, check_not_empty
from .compression import codec_of
from .files import FilePath, create_file, is_standard, open_bytes, source_name

MATRIX = "the matrix"  # what errors call it, after the name of its file
DEFLATE = 1032  # bytes that one byte of a deflated file can stand for, at most
EMPTY_ROWS = 10**7  # rows that any file may have, though they be empty


def read_npz(path: FilePath) -> sp.csr_matrix:
    """The sparse matrix of a file as float32 CSR with int32 indices.

    If it was stored as CSR, each row's entries keep their order. Raises DataError unless the file
    holds a sound sparse matrix of finite numbers with a row and a column.
    """
    name = source_name(path)
    with open_bytes(path) as file:
        content = io.BytesIO(file.read()) if codec_of(path) or is_standard(path) else file
        _check_kind(name, content)
        try:
            most_rows = EMPTY_ROWS + _stored_size(content)
            M = sp.load_npz(content)
        except MemoryError as error:
            raise DataError(
                f"{name}: expected a matrix that fits into memory, got a larger or damaged one"
            ) from error
        except Exception as error:  # scipy and zipfile raise nearly anything over damaged files
            raise DataError(
                f"{name}: expected a sound .npz file, got a damaged or truncated one"
            ) from error
    if M.shape[0] > most_rows:  # only CSR stores something for each row
        got = f"{M.shape[0]:,} rows in {most_rows - EMPTY_ROWS:,} bytes"
        raise DataError(f"{name}: expected rows with entries, got {got}")
    return as_stored(M, name)


def _stored_size(content: BinaryIO) -> int:
    """The bytes of all arrays. Raises ValueError if one claims more than the file can hold.

    numpy takes memory for what the header of an array claims, before it reads the array.
    """
    with zipfile.ZipFile(content) as archive:
        for member in archive.infolist():
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{member.filename} is packed as no tool packs arrays")
            if member.file_size > DEFLATE * member.compress_size:
                raise ValueError(f"{member.filename} claims more than it can hold")
            with cast(zipfile.ZipExtFile, archive.open(member)) as file:
                if file.peek(6)[:6] == np.lib.format.MAGIC_PREFIX:
                    _check_array(file, member.file_size)
        total = sum(member.file_size for member in archive.infolist())
    content.seek(0)
    return total


def _check_array(file: zipfile.ZipExtFile, size: int) -> None:
    """Raise ValueError unless the file has the size that its header says."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or file.tell() + n_bytes != size:
        raise ValueError(f"expected {n_bytes:,} bytes of an array")


def write_npz(path: FilePath, M: sp.csr_matrix, overwrite: bool = False) -> None:
    """Write M in its stored order, uncompressed: a tenth of the time for about twice the size.

    Raises DataError if the path is stdout or gzipped, or if M holds NaN or infinity.
    """
    check_plain(path)
    M = as_stored(M, str(path))
    with create_file(path, overwrite) as file:
        sp.save_npz(file, M, compressed=False)


def check_plain(path: FilePath) -> None:
    """Raise DataError unless npz can be written there: what is zipped has a plain file."""
    codec = codec_of(path)
    if is_standard(path) or codec is not None:
        got = "stdout" if codec is None else codec.name
        raise DataError(f"{path}: expected a plain file for npz, got {got}")


def _check_kind(name: str, content: BinaryIO) -> None:
    start = content.read(6)
    content.seek(0)
    if start == b"\x93NUMPY":
        raise DataError(
            f"{name}: expected a sparse matrix, got a dense array; "
            "scipy.sparse.save_npz writes sparse ones"
        )
    if start[:2] != b"PK":
        raise DataError(f"{name}: expected an .npz file, got bytes that begin with {quoted(start)}")
    try:
        with zipfile.ZipFile(content) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise DataError(
            f"{name}: expected a sound .npz file, got a damaged or truncated one"
        ) from error
    content.seek(0)
    if "format.npy" not in members:
        got = quoted(", ".join(member.removesuffix(".npy") for member in members))
        raise DataError(
            f"{name}: expected a sparse matrix as scipy.sparse.save_npz writes it, got {got}"
        )


def as_stored(M: Any, name: str) -> sp.csr_matrix:
    """M as float32 CSR; what is CSR already keeps its order.

    Raises DataError, beginning with `name`, if M is empty or no sound matrix of finite numbers.
    """
    csr = as_csr(M, name, MATRIX)
    check_not_empty(csr, name, MATRIX)
    check_finite(csr, name, MATRIX)
    return csr
