"""PIFA (positive instance feature aggregation): a label is the direction of its training rows."""

from __future__ import annotations

import numpy as np

from .arrays import Lists, Rows, frozen, pointers
from .errors import DataError
from .kernels.kmeans import embed
from .parallel import Executor, in_turn
from .spill import IN_MEMORY, Spill

PART = 512  # labels that are embedded in one job, at most: their arrays wait in memory


def label_embeddings(
    X: Rows,
    rows_of_label: Lists,
    labels: np.ndarray,
    n_kept: int,
    n_jobs: int | None,
    spill: Spill = IN_MEMORY,
    executor: Executor | None = None,
) -> Rows:
    """A unit row per label: the sum of its training rows, of which the n_kept largest features.

    executor: where they are found; None is on threads of this process.
    """
    n_parts = max(1, min(64, len(labels) // 64), -(-len(labels) // PART))
    parts = np.array_split(labels, n_parts)
    jobs = [(X, rows_of_label, part, n_kept) for part in parts]
    sizes, indices, data = [], spill.growing(np.int32), spill.growing(np.float32)
    for own_indptr, own_indices, own_data in in_turn(embed_part, jobs, executor or n_jobs):
        if not np.isfinite(own_data).all():
            raise DataError(
                "labels: expected rows with a direction, got rows so short that float32 can't hold "
                "one: scale the features, or set normalize=True"
            )
        sizes.append(np.diff(own_indptr))
        indices.append(own_indices)
        data.append(own_data)
    joined = indices.whole(n_jobs), data.whole(n_jobs)
    return Rows(pointers(np.concatenate(sizes)), *joined, X.n_features)


def embed_part(
    X: Rows, rows_of_label: Lists, labels: np.ndarray, n_kept: int
) -> tuple[np.ndarray, ...]:
    """Pointers, features and values of some labels' rows, as `label_embeddings` has them."""
    zeros = np.zeros(X.n_features, np.float32), np.zeros(X.n_features, np.bool_)
    return embed(*rows_of_label, X.indptr, X.indices, X.data, frozen(labels), n_kept, *zeros)
