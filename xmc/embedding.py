"""PIFA (positive instance feature aggregation): a label is the direction of its training rows."""

from __future__ import annotations

import numpy as np

from .arrays import Lists, Rows, frozen, pointers
from .errors import DataError
from .kernels.kmeans import embed
from .parallel import run


def label_embeddings(
    X: Rows, rows_of_label: Lists, labels: np.ndarray, n_kept: int, n_jobs: int | None
) -> Rows:
    """A unit row per label: the sum of its training rows, of which the n_kept largest features."""
    indptr, rows = rows_of_label

    def embed_part(part: np.ndarray) -> tuple[np.ndarray, ...]:
        zeros = np.zeros(X.n_features, np.float32), np.zeros(X.n_features, np.bool_)
        return embed(indptr, rows, X.indptr, X.indices, X.data, part, n_kept, *zeros)

    n_parts = max(1, min(64, len(labels) // 64))
    found = run(embed_part, [(part,) for part in np.array_split(labels, n_parts)], n_jobs)
    own_indptr, indices, data = zip(*found, strict=True)
    sizes = np.concatenate([np.diff(part) for part in own_indptr])
    if not all(np.isfinite(part).all() for part in data):
        raise DataError(
            "labels: expected rows with a direction, got rows so short that float32 can't hold "
            "one: scale the features, or set normalize=True"
        )
    joined = frozen(np.concatenate(indices)), frozen(np.concatenate(data))
    return Rows(pointers(sizes), *joined, X.n_features)
