"""The matrices as every peer gets them. Runs in each peer's environment: numpy and scipy only."""

from pathlib import Path

import numpy as np
import scipy.sparse as sp


def features(path):
    """CSR float32, indices ascending, no duplicates or stored zeros, rows of unit length."""
    X = _canonical(path)
    length = np.sqrt(np.asarray(X.multiply(X).sum(axis=1), np.float64).ravel())
    length[length == 0] = 1
    X.data /= np.repeat(length, np.diff(X.indptr)).astype(np.float32)
    return X


def labels(path):
    """CSR float32 of ones, indices ascending."""
    Y = _canonical(path)
    Y.data[:] = 1
    return Y


def _canonical(path):
    M = sp.csr_matrix(sp.load_npz(Path(path))).astype(np.float32)
    M.sum_duplicates()
    M.eliminate_zeros()
    M.sort_indices()
    if M.nnz < 2**31:  # some peers know no other
        M.indices, M.indptr = M.indices.astype(np.int32), M.indptr.astype(np.int32)
    return M


def sampled_labels(Y, n, seed):
    """n random labels out of those that have a row, ascending, or all of those."""
    used = np.flatnonzero(np.bincount(Y.indices, minlength=Y.shape[1]))
    return np.sort(np.random.default_rng(seed).choice(used, min(n, len(used)), replace=False))


def small_set():
    """(X, Y) to warm up with: 600 rows, 300 features, 150 labels, three of each per row."""
    rng = np.random.default_rng(0)
    return tuple(
        _random_csr(rng, 600, n_columns, value) for n_columns, value in ((300, 3**-0.5), (150, 1))
    )


def _random_csr(rng, n_rows, n_columns, value, n_each=3):
    ids = np.sort(np.stack([rng.choice(n_columns, n_each, replace=False) for _ in range(n_rows)]))
    data = np.full(ids.size, value, np.float32)
    return sp.csr_matrix(
        (data, ids.ravel().astype(np.int32), np.arange(0, ids.size + 1, n_each)),
        (n_rows, n_columns),
    )


def top_of_rows(rows, k):
    """(labels int32, scores float32), (n_rows, k), best first, from (labels, scores) of each row.

    Entries of equal score keep their order; empty places are -1 and -inf.
    """
    top = np.full((len(rows), k), -1, np.int32), np.full((len(rows), k), -np.inf, np.float32)
    for i, (ids, scores) in enumerate(rows):
        best = np.argsort(-np.asarray(scores, np.float64), kind="stable")[:k]
        top[0][i, : len(best)], top[1][i, : len(best)] = (
            np.asarray(ids)[best],
            np.asarray(scores)[best],
        )
    return top
