"""PIFA: a label is the direction of its training rows."""

from __future__ import annotations

import numpy as np

from .arrays import Rows, frozen, pointers
from .kernels.kmeans import embed
from .parallel import run


def label_embeddings(
    X: Rows,
    rows_of_label: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    n_kept: int,
    n_jobs: int | None,
) -> Rows:
    """One unit-length row per label, the direction of the sum of its training rows (PIFA), n_kept
    features.
    """
    indptr, rows = rows_of_label
    jobs = [(part,) for part in np.array_split(labels, max(1, min(64, len(labels) // 64)))]

    def task(part):
        zeros = np.zeros(X.n_features, np.float32), np.zeros(X.n_features, np.bool_)
        return embed(indptr, rows, X.indptr, X.indices, X.data, part, n_kept, *zeros)

    parts = run(task, jobs, n_jobs)
    sizes = np.concatenate([np.diff(p[0]) for p in parts])
    return Rows(
        pointers(sizes),
        frozen(np.concatenate([p[1] for p in parts])),
        frozen(np.concatenate([p[2] for p in parts])),
        X.n_features,
    )
