"""The one-vs-rest problems of a chunk, and the weights that solve them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Rows, Targets, frozen
from ..kernels.gather import gather, squared_norms, targets
from ..kernels.lanes import N_LANES

AS_IT_IS = 128  # siblings up to which all rows are used where they are: sorting them takes as long, and memory


class Problem(NamedTuple):
    """The training rows of a chunk, features by frequency, and which row has which sibling.

    place, sibling, cost: one entry per positive, cost empty if all are 1; count: positives of each
    sibling;
    seed: of the order of the visits.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    features: np.ndarray
    norms: np.ndarray
    place: np.ndarray
    sibling: np.ndarray
    cost: np.ndarray
    count: np.ndarray
    seed: np.uint64

    @property
    def n_rows(self) -> int:
        return len(self.norms)


class Weights(NamedTuple):
    """Pruned weights of some siblings: entries (feature as X numbers it, sibling, weight), and
    (sibling, bias weight).

    n_passes: over the rows until done; 1 where the solver doesn't tell.
    """

    feature: np.ndarray
    sibling: np.ndarray
    weight: np.ndarray
    biased: np.ndarray
    bias: np.ndarray
    n_passes: int


def pose(
    X: Rows, nodes: Targets, rows: np.ndarray, first: int, last: int, seed: np.uint64
) -> Problem:
    """The problem of the siblings first..last-1 on the given rows; `nodes` holds every row's nodes
    of their level.
    """
    if len(rows) == X.n_rows and last - first <= AS_IT_IS:
        indptr, indices, data, _ = X
        features = np.arange(X.n_features, dtype=np.int32)
    else:
        mark = np.zeros(X.n_features, np.int32)
        indptr, indices, data, features = gather(X.indptr, X.indices, X.data, rows, mark)
        indptr, indices, data = frozen(indptr), frozen(indices), frozen(data)
    norms = squared_norms(indptr, data).astype(np.float32)
    return Problem(
        indptr, indices, data, features, norms, *targets(*nodes, rows, first, last), seed
    )


def blocks(problem: Problem) -> list[np.ndarray]:
    """The siblings in groups that are solved side by side, equally frequent ones together: they
    need as many passes.
    """
    order = np.argsort(-problem.count, kind="stable")
    return [order[start : start + N_LANES] for start in range(0, len(order), N_LANES)]
