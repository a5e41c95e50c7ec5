"""Candidates, the scored labels of each row, held against the training rows of labels.

Arrays:
    x_indptr, embedding_indptr      int64, (rows + 1,) and (labels + 1,); ascending
    x_indices, embedding_indices    int32, features; in any order, each once in a row
    x_data, embedding_data          float32
    indptr                          int64, (rows + 1,), where each row's candidates start; ascending
    ids                             int32, labels; in any order
"""

import numpy as np

from . import kernel


@kernel
def products(
    x_indptr, x_indices, x_data, n_features, indptr, ids,
    embedding_indptr, embedding_indices, embedding_data,
):  # fmt: skip
    """Scalar product of each row with the embedding of each of its candidate labels: one float32
    per candidate.
    """
    row = np.zeros(n_features, np.float32)
    out = np.empty(ids.shape[0], np.float32)
    for i in range(indptr.shape[0] - 1):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            row[x_indices[p]] = x_data[p]
        for c in range(indptr[i], indptr[i + 1]):
            total = np.float32(0)
            for p in range(embedding_indptr[ids[c]], embedding_indptr[ids[c] + 1]):
                total += embedding_data[p] * row[embedding_indices[p]]
            out[c] = total
        for p in range(x_indptr[i], x_indptr[i + 1]):
            row[x_indices[p]] = 0
    return out
