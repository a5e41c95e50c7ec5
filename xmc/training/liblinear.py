"""The reference solver: one classifier at a time by liblinear-official."""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.sparse as sp

from ..parallel import lock
from ..params import SolverParams
from .problem import Problem, Weights

LIBLINEAR = lock()  # its random numbers are the process's: with one block at a time, the same seed gives the same model


def solve_with_liblinear(problem: Problem, siblings: np.ndarray, params: SolverParams) -> Weights:
    """One at a time by liblinear-official, options -s 1 (squared hinge) or -s 3 (hinge)."""
    shape = (problem.n_rows, len(problem.features))
    entries = (problem.data.astype(np.float64), problem.indices.copy(), problem.indptr)
    X = sp.csr_matrix(entries, shape=shape)
    X.sort_indices()
    if not problem.n_rows:  # liblinear would return a model without weights
        nothing = np.empty(0, np.float32)
        return Weights(
            nothing.astype(np.int32),
            siblings[:0],
            nothing,
            siblings,
            np.zeros(len(siblings), np.float32),
            1,
        )
    with LIBLINEAR:
        _seed_liblinear(problem.seed)
        columns = [
            _train_liblinear(X, problem.place[problem.sibling == sibling], params)
            for sibling in siblings
        ]
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
