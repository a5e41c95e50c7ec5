"""Rank one row at a time, with as little around the kernels as can be."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..arrays import Rows, frozen
from ..errors import DataError
from ..features import Reading
from ..inputs import as_rows, canonical, check_not_too_large
from ..kernels.gather import unit_row
from ..numbering import old_numbers, restricted
from ..soundness import one_row
from ..topk import TopK, check_k
from .predictor import Predictor
from .search import Search

FLOAT32, INT32 = np.dtype(np.float32), np.dtype(np.int32)


class Ranker:
    """Ranks the labels of one row or one text per call; may be called from many threads at once.

    It keeps the parameters that the model had when the ranker was made.
    who: what errors begin with.
    kept_features, kept_labels: of the model, which the predictor numbers anew.
    reading: what the model makes of rows.
    """

    def __init__(
        self,
        who: str,
        predictor: Predictor,
        search: Search,
        n_features: int,
        n_labels: int,
        normalize: bool,
        kept_features: np.ndarray | None = None,
        kept_labels: np.ndarray | None = None,
        reading: Reading | None = None,
    ):
        self._who, self._predictor, self._search = who, predictor, search
        self._n_features, self._n_labels = n_features, n_labels
        self._normalize, self._vectorizer = normalize, None
        self._kept_features, self._kept_labels = kept_features, kept_labels
        self._reading = reading

    def of_texts(self, vectorizer: Any) -> Ranker:
        """The same ranker, which takes a text as well."""
        ranker = copy(self)
        ranker._vectorizer = vectorizer
        return ranker

    def __call__(self, x: Any, k: Any = 5) -> TopK:
        """The best k labels of x, (1, k) int32 and float32, as `predict_topk` ranks it.

        x: a sparse matrix of one row, a 1-D sparse array, or a text. Raises DataError and
        ParameterError as `predict_topk` does.
        """
        k = check_k("predict_topk", k, self._n_labels)
        texts = None
        if isinstance(x, str):
            if self._vectorizer is None:
                raise DataError(
                    f"{self._who}: expected a matrix, got a text, and the model holds no vectoriser"
                )
            texts = [x]
            x = self._vectorizer.transform(texts)
        asked = self._predictor.asked(self._read(self._row(x)), texts)
        labels, scores = self._predictor.rank(asked, self._search, k)
        return TopK(old_numbers(labels, self._kept_labels), scores)

    def _read(self, row: Rows) -> Rows:
        """The row as the predictor reads it."""
        if self._reading is None:
            return restricted(row, self._kept_features)
        return self._reading.of(row, self._normalize, self._kept_features)

    def _row(self, x: Any) -> Rows:
        """x past the door, and scaled, unless more is made of it than that."""
        scale = self._normalize and self._reading is None
        wanted = 1, self._n_features
        shape = x.shape if sp.issparse(x) else None
        if shape is not None and len(shape) == 1:
            x = one_row(x, self._who, "x")
            shape = x.shape
        if shape != wanted:
            got = type(x).__name__ if shape is None else f"shape {shape}"
            raise DataError(f"{self._who}: expected a sparse matrix of shape {wanted}, got {got}")
        if _is_plain(x):
            ids, scaled = frozen(x.indices), np.empty_like(x.data)
            if unit_row(ids, frozen(x.data), self._n_features, scale, scaled):
                if not self._normalize:
                    check_not_too_large(x, self._who, "x")
                indptr = np.array((0, len(scaled)))
                return Rows(frozen(indptr), ids, frozen(scaled), self._n_features)
        row = canonical(x, self._who, "x")
        if not self._normalize:
            check_not_too_large(row, self._who, "x")
        return as_rows(row, scale)


def _is_plain(x: Any) -> bool:
    """Whether a row's arrays are those of a kernel, so that only its ids are left to check."""
    try:
        data, ids, indptr = x.data, x.indices, x.indptr
        n = len(ids)
        return (
            x.format == "csr"
            and data.dtype == FLOAT32
            and ids.dtype == INT32
            and data.shape == ids.shape == (n,)
            and data.flags.c_contiguous
            and ids.flags.c_contiguous
            and indptr.dtype.kind == "i"
            and indptr.tolist() == [0, n]
        )
    except AttributeError:  # some are no arrays; `canonical` says so
        return False
