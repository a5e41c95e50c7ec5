"""Data frames of pandas and polars as plain or sparse matrices; neither library is imported."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .errors import DataError


class _Sparse(NamedTuple):
    """The entries of a sparse column."""

    rows: np.ndarray
    values: np.ndarray


def is_frame(M: Any) -> bool:
    """Whether M is a data frame of pandas or polars."""
    return hasattr(M, "columns") and hasattr(M, "dtypes") and not sp.issparse(M)


def frame_matrix(frame: Any, who: str, name: str) -> np.ndarray | sp.csc_matrix:
    """The columns of a data frame side by side; sparse if one of them is.

    Raises DataError, naming the column, where a value is missing or no number.
    """
    columns = [_column(values, who, name, label) for label, values in columns_of(frame)]
    if not any(isinstance(column, _Sparse) for column in columns):
        return np.stack(columns, axis=1) if columns else np.empty(frame.shape)
    return _side_by_side([_entries(column) for column in columns], frame.shape)


def columns_of(frame: Any) -> list[tuple[Any, Any]]:
    """The columns of a data frame, each with its label."""
    if hasattr(frame, "items"):
        return list(frame.items())
    return [(column.name, column) for column in frame.iter_columns()]


def check_no_missing(values: Any, who: str, name: str) -> None:
    """Raise DataError, with the row, if a column of pandas or polars has a missing value."""
    missing = _missing(values)
    if missing.any():
        raise DataError(f"{who}: expected a value in each row of {name}, {_place(missing)}")


def _place(missing: np.ndarray) -> str:
    return f"got a missing one in row {int(np.argmax(missing))}"


def _missing(values: Any) -> np.ndarray:
    """Which rows of a column have no value."""
    if hasattr(values, "isna"):
        return np.asarray(values.isna())
    return np.asarray(values.is_null()) if hasattr(values, "is_null") else np.zeros(1, bool)


def _column(values: Any, who: str, name: str, label: Any) -> np.ndarray | _Sparse:
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biufc":
        return values.to_numpy()
    if hasattr(dtype, "fill_value") and dtype.fill_value == 0:
        return _Sparse(values.array.sp_index.to_int_index().indices, values.array.sp_values)
    missing = _missing(values)
    if missing.any():
        raise DataError(
            f"{who}: expected finite values in column {label!r} of {name}, {_place(missing)}"
        )
    array = values.to_numpy()
    try:
        return array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError):
        raise DataError(
            f"{who}: expected numbers in column {label!r} of {name}, got {dtype}"
        ) from None


def _entries(column: np.ndarray | _Sparse) -> _Sparse:
    if isinstance(column, _Sparse):
        return column
    rows = np.flatnonzero(column)
    return _Sparse(rows, column[rows])


def _side_by_side(columns: list[_Sparse], shape: tuple[int, int]) -> sp.csc_matrix:
    indptr = np.concatenate([[0], np.cumsum([len(column.rows) for column in columns])])
    values = np.concatenate([column.values for column in columns])
    return sp.csc_matrix((values, np.concatenate([c.rows for c in columns]), indptr), shape=shape)
