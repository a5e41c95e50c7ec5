"""The door: whatever a caller passes becomes one form, canonical CSR of float32, or a DataError."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .arrays import Rows, Targets, frozen
from .errors import DataError
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
    finite = np.isfinite(M.data)
    if finite.all():
        return
    at = int(np.argmin(finite))
    value = "NaN" if np.isnan(M.data[at]) else "inf"
    row, column = (int(ids[at]) for ids in M.tocoo(copy=False).coords)
    converted = ", after conversion to float32" if M.dtype == np.float32 else ""
    raise DataError(
        f"{who}: expected finite values in {name}, got {value} in row {first_row + row}, "
        f"column {column} (counted from 0{converted})"
    )


def check_not_too_large(M: sp.csr_matrix, who: str, name: str) -> None:
    """Raise DataError at values that rows can only have if they are scaled to length 1."""
    largest = np.abs(M.data).max(initial=0)
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
    if normalize:
        data = _scaled(indptr, data)
    indices = np.ascontiguousarray(csr.indices, np.int32)
    return Rows(frozen(indptr), frozen(indices), frozen(data), csr.shape[1])


def as_matrix(rows: Rows) -> sp.csr_matrix:
    """Rows as the matrix that they are; nothing is copied."""
    shape = rows.n_rows, rows.n_features
    return sp.csr_matrix((rows.data, rows.indices, rows.indptr), shape)


def taken(rows: Rows, chosen: np.ndarray) -> Rows:
    """These rows, by number or by a bool for each."""
    return as_rows(as_matrix(rows)[chosen], normalize=False)


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


def same_rows(X: sp.csr_matrix, Y: sp.csr_matrix, who: str) -> None:
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
