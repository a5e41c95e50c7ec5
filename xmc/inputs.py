"""The door: whatever a caller passes becomes one form, canonical CSR of float32, or a DataError."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .arrays import Rows, Targets, frozen
from .errors import DataError


def canonical(M: Any, who: str, name: str) -> sp.csr_matrix:
    """M as CSR float32 with sorted indices, no duplicates, no stored zeros, no NaN or inf; M itself
    is not changed.

    Raises DataError, naming the first bad value's place.
    """
    csr = _from_sparse(M, who, name) if sp.issparse(M) else _from_dense(M, who, name)
    if csr.shape[1] > np.iinfo(np.int32).max:
        raise DataError(
            f"{who}: expected at most 2,147,483,647 columns in {name}, got {csr.shape[1]:,}"
        )
    with np.errstate(over="ignore"):  # what is too large becomes inf
        csr = csr.astype(np.float32, copy=False)
    if not (csr.has_canonical_format and csr.data.all()):
        csr = csr.copy()
        csr.sum_duplicates()
        csr.eliminate_zeros()
    _check_finite(csr, who, name)
    return csr


def as_rows(csr: sp.csr_matrix, normalize: bool) -> Rows:
    """The kernels' view of a canonical matrix; only values are copied, and only if a row must be
    scaled.
    """
    indptr = csr.indptr.astype(np.int64, copy=False)
    data = csr.data.astype(np.float32, copy=False)
    if normalize:
        data = _scaled(indptr, data)
    indices = csr.indices.astype(np.int32, copy=False)
    return Rows(frozen(indptr), frozen(indices), frozen(data), csr.shape[1])


def as_targets(csr: sp.csr_matrix, costs: np.ndarray | None = None) -> Targets:
    """The kernels' view of a canonical matrix of labels."""
    indptr, ids = csr.indptr.astype(np.int64, copy=False), csr.indices.astype(np.int32, copy=False)
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
    """Values of rows of length 1, or 0; the values themselves where they are."""
    from .kernels.gather import UNIT, squared_norms

    norms = np.sqrt(squared_norms(frozen(indptr), frozen(data)))
    scaled = (np.abs(norms - 1) > UNIT) & (norms > 0)
    if not scaled.any():
        return data
    scale = np.divide(1, norms, out=np.ones_like(norms), where=scaled).astype(np.float32)
    return data * np.repeat(scale, np.diff(indptr))


def _from_dense(M: Any, who: str, name: str) -> sp.csr_matrix:
    try:
        array = np.asarray(M)
    except ValueError:
        raise DataError(
            f"{who}: expected {name} to be a 2-D numeric matrix, got rows of different lengths"
        ) from None
    if array.ndim != 2 or array.dtype.kind not in "biufc":
        raise DataError(
            f"{who}: expected {name} to be a 2-D numeric matrix, got {array.ndim}-D {array.dtype}"
        )
    _check_real(array, who, name)
    with np.errstate(over="ignore"):
        return sp.csr_matrix(array.astype(np.float32, copy=False))


def _from_sparse(M: Any, who: str, name: str) -> sp.csr_matrix:
    if M.ndim != 2:
        raise DataError(
            f"{who}: expected {name} to be a 2-D numeric matrix, got {M.ndim}-D {M.dtype}"
        )
    _check_real(M, who, name)
    if M.format in ("csr", "csc", "bsr"):
        _check_structure(M, who, name)
    return sp.csr_matrix(M)


def _check_real(M: Any, who: str, name: str) -> None:
    if M.dtype.kind == "c":
        raise DataError(f"{who}: Complex data not supported in {name}")


def _check_structure(M: Any, who: str, name: str) -> None:
    """scipy takes any ids and pointers; kernels would read past the end."""
    width = M.shape[0] if M.format == "csc" else M.shape[1]
    width //= M.blocksize[1] if M.format == "bsr" else 1
    ids = M.indices[: M.indptr[-1]]
    if len(ids) and (ids.min() < 0 or ids.max() >= width):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise DataError(
            f"{who}: expected ids 0 to {width - 1:,} in the indices of {name}, got {wrong}"
        )
    if (M.indptr[1:] < M.indptr[:-1]).any():
        raise DataError(f"{who}: expected ascending pointers in {name}, got descending ones")


def _check_finite(csr: sp.csr_matrix, who: str, name: str) -> None:
    if np.isfinite(csr.data).all():
        return
    at = int(np.flatnonzero(~np.isfinite(csr.data))[0])
    row = int(np.searchsorted(csr.indptr, at, side="right")) - 1
    value = "NaN" if np.isnan(csr.data[at]) else "inf"
    raise DataError(
        f"{who}: expected finite values in {name}, got {value} in row {row}, column {csr.indices[at]} "
        "(counted from 0, after conversion to float32)"
    )
