"""Train the one-vs-rest classifiers of a chunk: side by side by block dual coordinate descent, or by liblinear.

Both minimise, per sibling, 1/2 |w|^2 + C sum_i loss(y_i w.x_i) over the chunk's rows, the bias one of the features.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .kernels.dcd import eases, prune, signs, solve_lanes
from .kernels.gather import gather, squared_norms, targets
from .kernels.lanes import N_LANES
from .matrix import Rows, Targets, frozen
from .parallel import lock
from .params import SolverParams

LIBLINEAR = lock()  # its random numbers are the process's: with one block at a time, the same seed gives the same model
HUGE_PAGE = 1 << 19  # float32 values
AS_IT_IS = 128  # siblings up to which all rows are used where they are: sorting them takes as long, and memory


class Problem(NamedTuple):
    """The training rows of a chunk, features by frequency, and which row has which sibling.

    place, sibling, cost: one entry per positive, cost empty if all are 1; count: positives of each sibling;
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
    """Pruned weights of some siblings: entries (feature as X numbers it, sibling, weight), and (sibling, bias weight).

    n_passes: over the rows until done; 1 where the solver doesn't tell.
    """

    feature: np.ndarray
    sibling: np.ndarray
    weight: np.ndarray
    biased: np.ndarray
    bias: np.ndarray
    n_passes: int


def pose(X: Rows, nodes: Targets, rows: np.ndarray, first: int, last: int, seed: np.uint64) -> Problem:
    """The problem of the siblings first..last-1 on the given rows; `nodes` holds every row's nodes of their level."""
    if len(rows) == X.n_rows and last - first <= AS_IT_IS:
        indptr, indices, data, _ = X
        features = np.arange(X.n_features, dtype=np.int32)
    else:
        mark = np.zeros(X.n_features, np.int32)
        indptr, indices, data, features = gather(X.indptr, X.indices, X.data, rows, mark)
        indptr, indices, data = frozen(indptr), frozen(indices), frozen(data)
    norms = squared_norms(indptr, data).astype(np.float32)
    return Problem(indptr, indices, data, features, norms, *targets(*nodes, rows, first, last), seed)


def blocks(problem: Problem) -> list[np.ndarray]:
    """The siblings in groups that are solved side by side, equally frequent ones together: they need as many passes."""
    order = np.argsort(-problem.count, kind="stable")
    return [order[start : start + N_LANES] for start in range(0, len(order), N_LANES)]


def solve(problem: Problem, siblings: np.ndarray, params: SolverParams) -> Weights:
    """The siblings' classifiers, weights below the threshold dropped."""
    return (_solve_block if params.solver == "block" else _solve_liblinear)(problem, siblings, params)


def _solve_block(problem: Problem, siblings: np.ndarray, params: SolverParams) -> Weights:
    lane = np.full(len(problem.count), -1, np.int32)
    lane[siblings] = np.arange(len(siblings))
    A = signs(problem.place, problem.sibling, lane, problem.n_rows)
    ease = None
    if len(problem.cost):
        ease = eases(problem.place, problem.sibling, problem.cost, lane, problem.n_rows)
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
    """n float32 zeros; many of them start with a huge page, as numpy asks for these from 4 MiB on: fewer page walks."""
    if n < HUGE_PAGE // 2:
        return np.zeros(n, np.float32)
    room = np.zeros(max(n, HUGE_PAGE) + HUGE_PAGE, np.float32)
    start = -room.ctypes.data // room.itemsize % HUGE_PAGE
    return room[start : start + n]


def _solve_liblinear(problem: Problem, siblings: np.ndarray, params: SolverParams) -> Weights:
    """One at a time by liblinear-official, options -s 1 (squared hinge) or -s 3 (hinge)."""
    shape = (problem.n_rows, len(problem.features))
    entries = (problem.data.astype(np.float64), problem.indices.copy(), problem.indptr)
    X = sp.csr_matrix(entries, shape=shape)
    X.sort_indices()
    if not problem.n_rows:  # liblinear would return a model without weights
        nothing = np.empty(0, np.float32)
        return Weights(
            nothing.astype(np.int32), siblings[:0], nothing, siblings, np.zeros(len(siblings), np.float32), 1
        )
    with LIBLINEAR:
        _seed_liblinear(problem.seed)
        columns = [_train_liblinear(X, problem.place[problem.sibling == sibling], params) for sibling in siblings]
    W = np.stack(columns, axis=1).astype(np.float32)
    bias = W[-1] if params.bias > 0 else np.zeros(len(siblings), np.float32)
    W = W[: len(problem.features)]
    feature, lane = np.nonzero((W != 0) & (np.abs(W) >= params.weight_threshold))
    return Weights(problem.features[feature], siblings[lane], W[feature, lane], siblings, bias, 1)


def _seed_liblinear(seed: np.uint64) -> None:
    """It draws from the C library's rand()."""
    ctypes.CDLL(None).srand(ctypes.c_uint(int(seed) & 0xFFFFFFFF))


def _train_liblinear(X: sp.csr_matrix, positives: np.ndarray, params: SolverParams) -> np.ndarray:
    from liblinear.liblinearutil import parameter, problem, train

    y = np.full(X.shape[0], -1.0)
    y[positives] = 1.0
    kind = 1 if params.loss == "squared_hinge" else 3
    options = f"-s {kind} -c {params.C!r} -e {params.tol!r} -B {params.bias if params.bias > 0 else -1} -q"
    model = train(problem(y, X), parameter(options))
    w = np.ctypeslib.as_array(model.w, (model.nr_feature + (params.bias > 0),)).copy()
    return w if model.label[0] > 0 else -w
