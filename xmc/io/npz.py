"""Sparse matrices as .npz files, as scipy writes them; never a pickle."""

from __future__ import annotations

import io
import math
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import scipy.sparse as sp

from ..arrays import INT32_MAX
from ..errors import DataError, quoted
from ..inputs import as_csr, check_finite, check_not_empty
from .blocks import WHOLE, Cut
from .compression import codec_of
from .files import CHUNK, FilePath, create_file, is_standard, open_bytes, source_name

MATRIX = "the matrix"  # what errors call it, after the name of its file
DEFLATE = 1032  # bytes that one byte of a deflated file can stand for, at most
EMPTY_ROWS = 10**7  # rows that any file may have, though they be empty
SPOOLED = 1 << 26  # bytes of a stream that are kept in memory, not in a temporary file
ENTRY_BYTES = POINTER_BYTES = 8  # of an entry, and of a row besides


def read_npz(path: FilePath) -> sp.csr_matrix:
    """The sparse matrix of a file as float32 CSR with int32 indices.

    If it was stored as CSR, each row's entries keep their order. Raises DataError unless the file
    holds a sound sparse matrix of finite numbers with a row and a column.
    """
    (M,) = npz_blocks(path)
    return M


def npz_blocks(path: FilePath, cut: Cut = WHOLE) -> Iterator[sp.csr_matrix]:
    """The rows of each block of such a file. What isn't stored as CSR is in memory at once."""
    name = source_name(path)
    with _opened(path) as content:
        _check_kind(name, content)
        with _sound_archive(name):
            size = _stored_size(content)
            vectors = None if cut.n_bytes is None else _vectors(content)
        if vectors is None:
            yield from _cut_rows(_loaded(content, size, name), cut)
        else:
            yield from _read_rows(vectors, cut.n_bytes or 0, name)


@contextmanager
def _opened(path: FilePath) -> Iterator[BinaryIO]:
    """The bytes of a file at any place, which an archive needs."""
    with open_bytes(path) as file:
        if codec_of(path) is None and not is_standard(path):
            yield file
            return
        with SpooledTemporaryFile(SPOOLED) as copy:
            shutil.copyfileobj(file, copy, CHUNK)
            copy.seek(0)
            yield cast(BinaryIO, copy)


@contextmanager
def _sound_archive(name: str) -> Iterator[None]:
    """Turn what comes of damaged bytes into DataError."""
    try:
        yield
    except MemoryError as error:
        raise DataError(
            f"{name}: expected a matrix that fits into memory, got a larger or damaged one"
        ) from error
    except Exception as error:  # scipy and zipfile raise nearly anything over damaged files
        raise DataError(
            f"{name}: expected a sound .npz file, got a damaged or truncated one"
        ) from error


def _loaded(content: BinaryIO, size: int, name: str) -> sp.csr_matrix:
    """All of the matrix; size: the bytes of its arrays."""
    content.seek(0)
    with _sound_archive(name):
        M = sp.load_npz(content)
    if M.shape[0] > EMPTY_ROWS + size:  # only CSR stores something for each row
        got = f"{M.shape[0]:,} rows in {size:,} bytes"
        raise DataError(f"{name}: expected rows with entries, got {got}")
    return as_stored(M, name)


def _cut_rows(M: sp.csr_matrix, cut: Cut) -> Iterator[sp.csr_matrix]:
    """The rows in blocks."""
    if cut.n_bytes is None:
        yield M
        return
    for first, last in _row_ranges(M.indptr, cut.n_bytes):
        yield M[first:last]


def _row_ranges(ptr: np.ndarray, n_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that take about so many bytes each, by their pointers."""
    first, taken = 0, ENTRY_BYTES * ptr.astype(np.int64) + POINTER_BYTES * np.arange(len(ptr))
    while first < len(ptr) - 1:
        last = int(np.searchsorted(taken, taken[first] + n_bytes, side="right")) - 1
        last = max(first + 1, last)
        yield first, last
        first = last


class _Vectors(NamedTuple):
    """The arrays of a CSR matrix in an archive, of which one part after another is read."""

    data: _Vector
    indices: _Vector
    indptr: _Vector
    shape: tuple[int, int]


class _Vector:
    """A vector in an archive."""

    def __init__(self, archive: zipfile.ZipFile, name: str):
        self._file = archive.open(f"{name}.npy")
        shape, _, self.dtype = _header(cast(zipfile.ZipExtFile, self._file))
        (self.left,) = shape

    def take(self, n: int) -> np.ndarray:
        """The next n numbers. Raises ValueError if there are fewer."""
        self.left -= n
        content = bytearray(self._file.read(n * self.dtype.itemsize))  # which can be written to
        return np.frombuffer(content, self.dtype, n)


def _vectors(content: BinaryIO) -> _Vectors | None:
    """The arrays of a CSR matrix; None if it is stored in another way, or is unsound as a whole."""
    arrays = np.load(content)
    kind, shape = arrays["format"].item(), arrays["shape"]
    if kind not in (b"csr", "csr") or shape.dtype.kind not in "iu" or shape.shape != (2,):
        return None
    vectors = [_Vector(arrays.zip, name) for name in ("data", "indices", "indptr")]
    data, indices, indptr = vectors
    fits = 0 not in shape and data.left == indices.left and indptr.left == shape[0] + 1
    if not fits or any(vector.dtype.kind not in "iu" for vector in (indices, indptr)):
        return None
    return _Vectors(data, indices, indptr, (int(shape[0]), int(shape[1])))


def _read_rows(vectors: _Vectors, n_bytes: int, name: str) -> Iterator[sp.csr_matrix]:
    """The rows in blocks, of which each is read when it is asked for."""
    data, indices, indptr, shape = vectors
    with _sound_archive(name):
        end = indptr.take(1)
        if end[0] != 0:
            raise ValueError("the first row doesn't begin at 0")
    n_rows = 0
    while indptr.left:
        with _sound_archive(name):
            ptr = np.append(end, indptr.take(min(indptr.left, max(1, n_bytes // POINTER_BYTES))))
        _check_ascending(ptr, name)
        for first, last in _row_ranges(ptr, n_bytes):
            with _sound_archive(name):
                own = ptr[first : last + 1] - ptr[first]
                n = int(own[-1])
                entries = data.take(n), indices.take(n)
                M = sp.csr_matrix((*entries, own), shape=(last - first, shape[1]))
            yield as_stored(M, name, n_rows)
            n_rows += last - first
        end = ptr[-1:]
    with _sound_archive(name):  # which compares checksums at the end
        for vector in (data, indices):
            while vector.left:
                vector.take(min(vector.left, CHUNK))


def _check_ascending(ptr: np.ndarray, name: str) -> None:
    if (ptr[1:] < ptr[:-1]).any():
        raise DataError(f"{name}: expected ascending pointers in {MATRIX}, got descending ones")


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
    shape, _, dtype = _header(file)
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or file.tell() + n_bytes != size:
        raise ValueError(f"expected {n_bytes:,} bytes of an array")


def _header(file: zipfile.ZipExtFile) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape of an array, whether columns come first, and its dtype."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version not in ((2, 0), (3, 0)):
        raise ValueError(f"expected a version up to 3.0 of an array, got {version}")
    return np.lib.format.read_array_header_2_0(file)


def write_npz(path: FilePath, M: sp.csr_matrix, overwrite: bool = False) -> None:
    """Write M in its stored order, uncompressed: a tenth of the time for about twice the size.

    Raises DataError if the path is stdout or gzipped, or if M holds NaN or infinity.
    """
    check_plain(path)
    M = as_stored(M, str(path))
    with create_file(path, overwrite) as file:
        sp.save_npz(file, M, compressed=False)


def zip_csr(
    file: BinaryIO, n_columns: int, values: BinaryIO, columns: BinaryIO, counts: BinaryIO
) -> None:
    """Write what `write_npz` writes of a matrix, of which files hold the arrays.

    values: float32 of all rows, one after another. columns: int32. counts: int32, the entries of
    each row.
    """
    n_entries, n_rows = (stream.seek(0, os.SEEK_END) // 4 for stream in (values, counts))
    pointer = np.dtype(np.int32 if n_entries <= INT32_MAX else np.int64)
    members = {
        "indices": _vector(np.dtype(np.int32), n_entries, _chunks(columns)),
        "indptr": _vector(pointer, n_rows + 1, _pointers(_chunks(counts), pointer)),
        "format": _array(b"csr"),
        "shape": _array((n_rows, n_columns)),
        "data": _vector(np.dtype(np.float32), n_entries, _chunks(values)),
    }
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, parts in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for part in parts:
                    member.write(part)


def _array(value: Any) -> Iterator[bytes]:
    """The bytes of an array as a file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(value), allow_pickle=False)
    yield file.getvalue()


def _vector(dtype: np.dtype, n: int, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a vector as a file; parts: of its n numbers."""
    file = io.BytesIO()
    facts = {"descr": dtype.str, "fortran_order": False, "shape": (n,)}
    np.lib.format.write_array_header_1_0(file, facts)
    yield file.getvalue()
    yield from parts


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """All of a file, from its beginning on."""
    stream.seek(0)
    while chunk := stream.read(CHUNK):
        yield chunk


def _pointers(counts: Iterator[bytes], dtype: np.dtype) -> Iterator[bytes]:
    """Where rows of these counts begin, and where the last one ends."""
    end = np.zeros(1, dtype)
    yield end.tobytes()
    for part in counts:
        ends = end + np.cumsum(np.frombuffer(part, np.int32), dtype=dtype)
        yield ends.tobytes()
        end = ends[-1:]


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


def as_stored(M: Any, name: str, first_row: int = 0) -> sp.csr_matrix:
    """M as float32 CSR; what is CSR already keeps its order.

    first_row: the number of its first row in what it is a block of.

    Raises DataError, beginning with `name`, if M is empty or no sound matrix of finite numbers.
    """
    csr = as_csr(M, name, MATRIX)
    check_not_empty(csr, name, MATRIX)
    check_finite(csr, name, MATRIX, first_row)
    return csr
