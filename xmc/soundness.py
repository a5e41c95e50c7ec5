"""Read what people keep matrices in: arrays, lists, scipy's sparse formats, data frames.

scipy trusts the arrays inside a sparse matrix, and its compiled code reads past their ends where
they are wrong. So they are checked here, before scipy converts anything.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from .arrays import INT32_MAX
from .errors import DataError
from .frames import frame_matrix, is_frame

Matrix: TypeAlias = sp.spmatrix | sp.sparray | np.ndarray
NUMBERS = "biuf"  # kinds of dtypes: bool, signed, unsigned, float
BROKEN = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


def sound(M: Any, who: str, name: str) -> Any:
    """M as a 2-D numpy array of real numbers, or as a scipy matrix that is safe to convert.

    A scipy matrix keeps its dtype, its order, its stored zeros and its duplicates. Raises DataError
    if M is anything else, or if its arrays don't fit together.
    """
    if is_frame(M):
        M = frame_matrix(M, who, name)
    return _sound_sparse(M, who, name) if sp.issparse(M) else _sound_array(M, who, name)


def one_row(M: Any, who: str, name: str) -> sp.csr_matrix:
    """A 1-D sparse array as a matrix of one row, its entries in stored order.

    Raises DataError if its arrays don't fit together.
    """
    try:
        if M.format == "csr":
            row = sp.csr_matrix((1, M.shape[0]))
            row.data, row.indices, row.indptr = M.data, M.indices, M.indptr
        else:
            entries = M.tocoo()  # of DOK, whose keys scipy checks
            (ids,) = entries.coords
            row = sp.coo_matrix((1, M.shape[0]))
            row.data, row.coords = entries.data, (np.zeros(len(ids), np.int32), ids)
    except BROKEN as error:
        raise _broken(who, name, error) from None
    return sp.csr_matrix(sound(row, who, name))


def _sound_array(M: Any, who: str, name: str) -> np.ndarray:
    try:
        array = np.asarray(M)
    except ValueError:
        raise DataError(
            f"{who}: expected {name} to be a 2-D numeric matrix, got rows of different lengths"
        ) from None
    if np.ma.is_masked(M):
        raise DataError(f"{who}: expected a value in each place of {name}, got masked ones")
    _check_matrix(array, who, name)
    return array


def _sound_sparse(M: Any, who: str, name: str) -> Any:
    try:
        _check_matrix(M, who, name)
        return _READERS[M.format](M, who, name)
    except DataError:
        raise
    except BROKEN as error:
        raise _broken(who, name, error) from None


def _check_matrix(M: Any, who: str, name: str) -> None:
    if M.ndim == 2 and M.dtype.kind == "c":
        raise DataError(f"{who}: Complex data not supported in {name}")
    if M.ndim != 2 or M.dtype.kind not in NUMBERS:
        raise DataError(
            f"{who}: expected {name} to be a 2-D numeric matrix, got {M.ndim}-D {M.dtype}"
        )
    if max(M.shape) > INT32_MAX:
        raise DataError(
            f"{who}: expected at most {INT32_MAX:,} rows and columns in {name}, got shape {M.shape}"
        )


def _compressed(M: Any, who: str, name: str) -> Any:
    """CSR, CSC or BSR, without the entries that its pointers leave out."""
    n_lists, width = M.shape[::-1] if M.format == "csc" else M.shape
    if M.format == "bsr":
        n_lists, width = (_blocks(*pair) for pair in zip(M.shape, M.data.shape[1:], strict=True))
    _check_pointers(M, n_lists, who, name)
    end = int(M.indptr[-1])
    ids = M.indices[:end]
    _check_ids(ids, width, who, name)
    parts = (_for_scipy(M.data[:end]), ids, M.indptr)
    return getattr(sp, f"{M.format}_matrix")(parts, shape=M.shape)


def _blocks(size: int, block: int) -> int:
    """How many blocks of a BSR matrix stand along one of its sides."""
    if size % block:
        raise ValueError(f"blocks of {block} don't divide {size}")
    return size // block


def _coordinates(M: Any, who: str, name: str) -> sp.coo_matrix:
    rows, columns = M.coords
    return _entries(M.data, rows, columns, M.shape, who, name)


def _lists(M: Any, who: str, name: str) -> sp.coo_matrix:
    """LIL: a list of columns and a list of values for each row."""
    counts = [len(columns) for columns in M.rows]
    if counts != [len(values) for values in M.data] or len(counts) != M.shape[0]:
        raise ValueError("lists of columns and of values differ in length")
    columns = np.array([*chain.from_iterable(M.rows)] or np.empty(0, np.int64))
    values = np.array([*chain.from_iterable(M.data)], M.dtype)
    rows = np.repeat(np.arange(len(counts)), counts)
    return _entries(values, rows, columns, M.shape, who, name)


def _keys(M: Any, who: str, name: str) -> sp.coo_matrix:
    """DOK: a dict of values by row and column."""
    pairs = np.array([*M.keys()] or np.empty((0, 2), np.int64))
    values = np.array([*M.values()], M.dtype)
    return _entries(values, pairs[:, 0], pairs[:, 1], M.shape, who, name)


def _diagonals(M: Any, who: str, name: str) -> sp.coo_matrix:
    """DIA: a row of values for each diagonal, where an entry's place is its column."""
    if M.offsets.shape != (len(M.data),) or M.data.ndim != 2:
        raise ValueError(f"{len(M.offsets)} offsets don't fit diagonals of shape {M.data.shape}")
    columns = np.broadcast_to(np.arange(M.data.shape[1]), M.data.shape)
    rows = columns - M.offsets.astype(np.int64)[:, None]
    inside = (rows >= 0) & (rows < M.shape[0]) & (columns < M.shape[1]) & (M.data != 0)
    return _entries(M.data[inside], rows[inside], columns[inside], M.shape, who, name)


_READERS = {
    "csr": _compressed,
    "csc": _compressed,
    "bsr": _compressed,
    "coo": _coordinates,
    "lil": _lists,
    "dok": _keys,
    "dia": _diagonals,
}


def _entries(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: Any, who: str, name: str
) -> sp.coo_matrix:
    if not values.shape == rows.shape == columns.shape:
        raise DataError(
            f"{who}: expected as many rows and columns as values in {name}, "
            f"got {rows.shape}, {columns.shape} and {values.shape}"
        )
    for ids, size in ((rows, shape[0]), (columns, shape[1])):
        _check_ids(ids, size, who, name)
    return sp.coo_matrix((_for_scipy(values), (rows, columns)), shape=shape)


def _check_pointers(M: Any, n_lists: int, who: str, name: str) -> None:
    indptr, most = M.indptr, len(M.indices)
    _check_ints(indptr, "pointers", who, name)
    if len(M.data) != most:
        raise DataError(
            f"{who}: expected as many values as indices in {name}, got {len(M.data):,} and {most:,}"
        )
    if len(indptr) != n_lists + 1 or indptr[0] != 0:
        raise DataError(
            f"{who}: expected {n_lists + 1:,} pointers from 0 on in {name}, "
            f"got {len(indptr):,} from {indptr[0] if len(indptr) else 'nothing'} on"
        )
    if (indptr[1:] < indptr[:-1]).any():
        raise DataError(f"{who}: expected ascending pointers in {name}, got descending ones")
    if indptr[-1] > most:
        raise DataError(
            f"{who}: expected pointers up to {most:,} in {name}, its entries, got {indptr[-1]:,}"
        )


def _check_ids(ids: np.ndarray, width: int, who: str, name: str) -> None:
    _check_ints(ids, "indices", who, name)
    if not len(ids) or (ids.min() >= 0 and ids.max() < width):
        return
    wrong = ids.min() if ids.min() < 0 else ids.max()
    expected = f"ids 0 to {width - 1:,}" if width else "no ids"
    raise DataError(f"{who}: expected {expected} in the indices of {name}, got {wrong}")


def _check_ints(array: np.ndarray, what: str, who: str, name: str) -> None:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"{who}: expected {what} of {name} to be a vector of ints, "
            f"got {array.ndim}-D {array.dtype}"
        )


def _for_scipy(values: np.ndarray) -> np.ndarray:
    """The values in a type that scipy's compiled code knows."""
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _broken(who: str, name: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{who}: expected a sound matrix in {name}, got one that is broken: {reason}")
