"""The door: whatever a caller passes becomes one form, canonical CSR of float32, or a DataError."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .arrays import BLOCK, Rows, Targets, frozen, pointers, spans
from .errors import DataError
from .mapped import beside, release
from .soundness import sound

LARGEST = 1e15  # value in rows that are not scaled: their margins stay far within float32


def canonical(M: Any, who: str, name: str) -> sp.csr_matrix:
    """M as CSR float32: sorted indices, no duplicates, no stored zeros, no NaN or inf.

    M itself is not changed. Raises DataError, naming the first bad value's place.
    """
    csr = as_csr(M, who, name)
    if not (csr.has_canonical_format and csr.data.all()):
        csr = csr.copy()
        csr.sum_duplicates()
        csr.eliminate_zeros()
    check_finite(csr, who, name)
    return csr


def as_csr(M: Any, who: str, name: str) -> sp.csr_matrix:
    """M as CSR float32; what is CSR already keeps its order, its stored zeros and its duplicates.

    Raises DataError if M is no sound matrix of real numbers.
    """
    M = sound(M, who, name)
    with np.errstate(over="ignore"):  # what is too large becomes inf
        if sp.issparse(M):
            M = M.astype(np.float32) if M.dtype.kind in "iu" else M  # small ints would wrap in sums
            return sp.csr_matrix(M).astype(np.float32, copy=False)
        return sp.csr_matrix(M.astype(np.float32, copy=False))


def true_labels(Y: Any, who: str, name: str) -> sp.csr_matrix:
    """Where Y isn't 0, as bool CSR without duplicates.

    Raises DataError if Y is no matrix of finite numbers with a row and a column.
    """
    M = sound(Y, who, name)
    check_not_empty(M, who, name)
    entries = sp.coo_matrix(M)
    check_finite(entries, who, name)
    true = entries.data != 0
    places = entries.row[true], entries.col[true]
    return sp.csr_matrix((true[true], places), shape=entries.shape)


def check_finite(M: Any, who: str, name: str, first_row: int = 0) -> None:
    """Raise DataError at the first NaN or infinity of a CSR or COO matrix.

    first_row: the number of its first row in what it is a block of.
    """
    at = _first_not_finite(M.data)
    if at is None:
        return
    value = "NaN" if np.isnan(M.data[at]) else "inf"
    row, column = (int(ids[at]) for ids in M.tocoo(copy=False).coords)
    converted = ", after conversion to float32" if M.dtype == np.float32 else ""
    raise DataError(
        f"{who}: expected finite values in {name}, got {value} in row {first_row + row}, "
        f"column {column} (counted from 0{converted})"
    )


def _first_not_finite(values: np.ndarray) -> int | None:
    """The place of the first NaN or infinity, by blocks: the values may be a large file."""
    for start in range(0, len(values), BLOCK):
        finite = np.isfinite(values[start : start + BLOCK])
        if not finite.all():
            return start + int(np.argmin(finite))
    return None


def check_not_too_large(X: Rows, who: str, name: str) -> None:
    """Raise DataError at values that rows can only have if they are scaled to length 1."""
    largest = max(X.data.max(initial=0), -X.data.min(initial=0))
    if largest > LARGEST:
        raise DataError(
            f"{who}: expected values from -{LARGEST:g} to {LARGEST:g} in {name} with "
            f"normalize=False, got {largest:g}: scale the features, or set normalize=True"
        )


def check_not_empty(M: Any, who: str, name: str) -> None:
    """Raise DataError unless M has a row and a column."""
    if 0 in M.shape:
        raise DataError(
            f"{who}: expected at least one row and one column in {name}, got shape {M.shape}"
        )


def as_rows(csr: sp.csr_matrix, normalize: bool) -> Rows:
    """A canonical matrix as the kernels read it; values are copied if a row must be scaled."""
    indptr = np.ascontiguousarray(csr.indptr, np.int64)  # kernels are compiled for such arrays
    data = np.ascontiguousarray(csr.data, np.float32)
    indices = np.ascontiguousarray(csr.indices, np.int32)
    rows = Rows(frozen(indptr), frozen(indices), frozen(data), csr.shape[1])
    return scaled(rows) if normalize else rows


def scaled(rows: Rows) -> Rows:
    """The rows with the values of each scaled to length 1; values that are mapped from a file
    become others that are.
    """
    if len(rows.data) <= BLOCK:
        return rows._replace(data=frozen(_scaled(rows.indptr, rows.data)))
    out = None
    for start, end in spans(rows.indptr, BLOCK):
        first, last = rows.indptr[start], rows.indptr[end]
        part = rows.part(start, end)
        own = _scaled(part.indptr, part.data)
        if out is None and own is not part.data:
            out = beside(rows.data, len(rows.data), np.float32)
            out[:first] = rows.data[:first]
        if out is not None:
            out[first:last] = own
            release(out)
        release(rows.data)
    return rows if out is None else rows._replace(data=frozen(out))


def as_matrix(rows: Rows) -> sp.csr_matrix:
    """Rows as the matrix that they are; nothing is copied."""
    shape = rows.n_rows, rows.n_features
    return sp.csr_matrix((rows.data, rows.indices, rows.indptr), shape)


def taken(rows: Rows, chosen: np.ndarray) -> Rows:
    """These rows, by number or by a bool for each."""
    return as_rows(as_matrix(rows)[chosen], normalize=False)


def selected(rows: Rows, chosen: np.ndarray) -> Rows:
    """As `taken`, but what is chosen of mapped rows is mapped from a scratch file."""
    numbers = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
    indptr = pointers(np.diff(rows.indptr)[numbers])
    indices = beside(rows.indices, int(indptr[-1]), np.int32)
    data = beside(rows.data, int(indptr[-1]), np.float32)
    for start, end in spans(indptr, BLOCK):
        own, first, last = numbers[start:end], indptr[start], indptr[end]
        shifts = np.repeat(rows.indptr[own] - indptr[start:end], np.diff(indptr[start : end + 1]))
        places = np.arange(first, last) + shifts
        indices[first:last], data[first:last] = rows.indices[places], rows.data[places]
    return Rows(indptr, frozen(indices), frozen(data), rows.n_features)


def stacked(above: Rows, below: Rows) -> Rows:
    """The rows of both."""
    return as_rows(sp.vstack(list(map(as_matrix, (above, below))), format="csr"), normalize=False)


def as_targets(csr: sp.csr_matrix, costs: np.ndarray | None = None) -> Targets:
    """A canonical matrix of labels as the kernels read it."""
    indptr, ids = (
        np.ascontiguousarray(csr.indptr, np.int64),
        np.ascontiguousarray(csr.indices, np.int32),
    )
    return Targets(
        frozen(indptr), frozen(ids), frozen(np.empty(0, np.float32) if costs is None else costs)
    )


def same_rows(X: Rows | sp.csr_matrix, Y: sp.csr_matrix, who: str) -> None:
    """Raise DataError unless X and Y have as many rows."""
    if X.shape[0] != Y.shape[0]:
        raise DataError(
            f"{who}: expected as many rows in X as in Y, got {X.shape[0]:,} and {Y.shape[0]:,}"
        )


def _scaled(indptr: np.ndarray, data: np.ndarray) -> np.ndarray:
    """The values with each row scaled to length 1; `data` itself if no row needs it."""
    from .kernels.gather import LONGEST, UNIT, squared_norms

    norms = np.sqrt(squared_norms(frozen(indptr), frozen(data)))
    scaled = (np.abs(norms - 1) > UNIT) & (norms > 0)
    if not scaled.any():
        return data
    # Beyond these, float32 can't hold the inverse of a length: such rows are scaled twice.
    near = np.clip(norms, 1 / LONGEST, LONGEST)
    sizes = np.diff(indptr)
    if (scaled & (near != norms)).any():
        exact = data / np.repeat(np.where(scaled, norms / near, 1), sizes)
        data = exact.astype(np.float32)
    scale = np.divide(1, near, out=np.ones_like(norms), where=scaled).astype(np.float32)
    return data * np.repeat(scale, sizes)
