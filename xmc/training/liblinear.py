"""The reference solver: one classifier at a time by liblinear-official."""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.sparse as sp

from ..errors import ParameterError
from ..parallel import lock
from ..params import LabelTreeParams
from .problem import ChunkProblem, Weights

# LIBLINEAR's random numbers are those of the whole process: it solves one group of siblings at a
# time, or the same seed would not give the same model.
LIBLINEAR = lock()


def require_liblinear(who: str) -> None:
    """Raise ParameterError if LIBLINEAR isn't installed: it is an extra, as it takes a compiler."""
    try:
        import liblinear.liblinearutil  # noqa: F401
    except ImportError:
        raise ParameterError(
            f"{who}: solver='liblinear' needs LIBLINEAR: pip install xmc-trees[liblinear]"
        ) from None


def solve_with_liblinear(
    problem: ChunkProblem, siblings: np.ndarray, params: LabelTreeParams
) -> Weights:
    """One classifier at a time, by option -s 1 (squared hinge) or -s 3 (hinge)."""
    if not problem.n_rows:  # its model of no rows has no weights to read
        return _no_weights(siblings)
    X = _as_doubles(problem)
    with LIBLINEAR:
        _seed(problem.seed)
        columns = [_train(X, _positives(problem, sibling), params) for sibling in siblings]
    W = np.stack(columns, axis=1).astype(np.float32)
    bias = W[-1] if params.bias > 0 else np.zeros(len(siblings), np.float32)
    W = W[: len(problem.features)]
    feature, lane = np.nonzero((W != 0) & (np.abs(W) >= params.weight_threshold))
    return Weights(problem.features[feature], siblings[lane], W[feature, lane], siblings, bias, 1)


def _no_weights(siblings: np.ndarray) -> Weights:
    nothing = np.empty(0, np.float32)
    bias = np.zeros(len(siblings), np.float32)
    return Weights(nothing.astype(np.int32), siblings[:0], nothing, siblings, bias, 1)


def _as_doubles(problem: ChunkProblem) -> sp.csr_matrix:
    entries = problem.data.astype(np.float64), problem.indices.copy(), problem.indptr
    X = sp.csr_matrix(entries, shape=(problem.n_rows, len(problem.features)))
    X.sort_indices()
    return X


def _positives(problem: ChunkProblem, sibling: int) -> np.ndarray:
    return problem.row_in_chunk[problem.sibling == sibling]


def _seed(seed: np.uint64) -> None:
    """LIBLINEAR draws from the C library's rand()."""
    ctypes.CDLL(None).srand(ctypes.c_uint(int(seed) & 0xFFFFFFFF))


def _train(X: sp.csr_matrix, positives: np.ndarray, params: LabelTreeParams) -> np.ndarray:
    """The weights of one classifier, float64, the bias last if there is one."""
    from liblinear.liblinearutil import parameter, problem, train

    y = np.full(X.shape[0], -1.0)
    y[positives] = 1.0
    kind, bias = 1 if params.loss == "squared_hinge" else 3, params.bias if params.bias > 0 else -1
    options = f"-s {kind} -c {params.C!r} -e {params.tol!r} -B {bias} -q"
    model = train(problem(y, X), parameter(options))
    w = np.ctypeslib.as_array(model.w, (model.nr_feature + (params.bias > 0),)).copy()
    return w if model.label[0] > 0 else -w
