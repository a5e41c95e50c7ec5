"""Train the one-vs-rest classifiers of a chunk.

Ours are trained 16 side by side, by block dual coordinate descent; liblinear's one by one.

Both minimise, per sibling, 1/2 |w|^2 + C sum_i loss(y_i w.x_i) over the chunk's rows; the bias is
the weight of one more feature. With ours, each term may have its own cost, times C: that of the
positive, times the weight of the row.
"""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from ..kernels.dcd import inverse_costs, prune, signs, solve_lanes
from ..kernels.lanes import N_LANES
from ..params import LabelTreeParams
from .liblinear import solve_with_liblinear
from .problem import ChunkProblem, Weights

HUGE_PAGE = 1 << 19  # float32 values
NOT_FINITE = (
    "training: expected finite weights, got NaN or inf, as float32 overflows: scale the features "
    "or set normalize=True, and bring C, bias and costs nearer to 1"
)


def solve(problem: ChunkProblem, siblings: np.ndarray, params: LabelTreeParams) -> Weights:
    """The classifiers of a group of siblings; weights below the threshold are dropped."""
    solver = _solve_side_by_side if params.solver == "block" else solve_with_liblinear
    with np.errstate(over="ignore"):  # what is too large becomes inf, and is found below
        found = solver(problem, siblings, params)
    if not (np.isfinite(found.bias).all() and np.isfinite(found.weight).all()):
        raise DataError(NOT_FINITE)
    return found


def _solve_side_by_side(
    problem: ChunkProblem, siblings: np.ndarray, params: LabelTreeParams
) -> Weights:
    """Block dual coordinate descent, one sibling per lane."""
    lane = np.full(len(problem.counts), -1, np.int32)
    lane[siblings] = np.arange(len(siblings))
    row, sibling, n_rows = problem.row_in_chunk, problem.sibling, problem.n_rows
    A = signs(row, sibling, lane, n_rows)
    inverse = None
    if len(problem.costs):
        inverse = inverse_costs(row, sibling, problem.costs, lane, n_rows)
    if len(problem.row_weights):
        inverse = np.ones(n_rows * N_LANES, np.float32) if inverse is None else inverse
        inverse /= np.repeat(problem.row_weights, N_LANES)
    W = _zeros((len(problem.features) + 1) * N_LANES)
    squared = params.loss == "squared_hinge"
    diagonal, upper = (0.5 / params.C, np.inf) if squared else (0.0, params.C)
    n_passes = solve_lanes(
        *(problem.indptr, problem.indices, problem.data, problem.norms),
        *(np.float32(params.bias), np.float32(diagonal), np.float32(upper)),
        *(float(params.tol), int(params.max_iter), problem.seed, inverse, A, W),
    )
    if not np.isfinite(W.sum()):  # NaN is no weight of at least the threshold: it would be dropped
        raise DataError(NOT_FINITE)
    feature, lane, weight = prune(W, len(siblings), float(params.weight_threshold))
    bias = W[-N_LANES:][: len(siblings)].copy()
    return Weights(problem.features[feature], siblings[lane], weight, siblings, bias, n_passes)


def _zeros(n: int) -> np.ndarray:
    """n zeros, float32; many of them start where a huge page does, which makes page walks rare.

    numpy asks the system for huge pages from 4 MiB on.
    """
    if n < HUGE_PAGE // 2:
        return np.zeros(n, np.float32)
    room = np.zeros(max(n, HUGE_PAGE) + HUGE_PAGE, np.float32)
    start = -room.ctypes.data // room.itemsize % HUGE_PAGE
    return room[start : start + n]
