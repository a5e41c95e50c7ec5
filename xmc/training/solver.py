"""Train the one-vs-rest classifiers of a chunk: side by side by block dual coordinate descent, or
by liblinear.

Both minimise, per sibling, 1/2 |w|^2 + C sum_i loss(y_i w.x_i) over the chunk's rows, the bias one
of the features.
"""

from __future__ import annotations

import numpy as np

from ..kernels.dcd import inverse_costs, prune, signs, solve_lanes
from ..kernels.lanes import N_LANES
from ..params import SolverParams
from .liblinear import solve_with_liblinear
from .problem import Problem, Weights

HUGE_PAGE = 1 << 19  # float32 values


def solve(problem: Problem, siblings: np.ndarray, params: SolverParams) -> Weights:
    """The siblings' classifiers, weights below the threshold dropped."""
    return (_solve_block if params.solver == "block" else solve_with_liblinear)(
        problem, siblings, params
    )


def _solve_block(problem: Problem, siblings: np.ndarray, params: SolverParams) -> Weights:
    lane = np.full(len(problem.count), -1, np.int32)
    lane[siblings] = np.arange(len(siblings))
    A = signs(problem.place, problem.sibling, lane, problem.n_rows)
    ease = None
    if len(problem.cost):
        ease = inverse_costs(problem.place, problem.sibling, problem.cost, lane, problem.n_rows)
    W = _zeros((len(problem.features) + 1) * N_LANES)
    squared = params.loss == "squared_hinge"
    diagonal, upper = (0.5 / params.C, np.inf) if squared else (0.0, params.C)
    n_passes = solve_lanes(
        *(problem.indptr, problem.indices, problem.data, problem.norms),
        *(
            np.float32(params.bias),
            np.float32(diagonal),
            np.float32(upper),
            float(params.tol),
            int(params.max_iter),
            problem.seed,
        ),
        *(ease, A, W),
    )
    feature, lane, weight = prune(W, len(siblings), float(params.weight_threshold))
    bias = W[-N_LANES:][: len(siblings)].copy()
    return Weights(problem.features[feature], siblings[lane], weight, siblings, bias, n_passes)


def _zeros(n: int) -> np.ndarray:
    """n float32 zeros; many of them start with a huge page, as numpy asks for these from 4 MiB on:
    fewer page walks.
    """
    if n < HUGE_PAGE // 2:
        return np.zeros(n, np.float32)
    room = np.zeros(max(n, HUGE_PAGE) + HUGE_PAGE, np.float32)
    start = -room.ctypes.data // room.itemsize % HUGE_PAGE
    return room[start : start + n]
