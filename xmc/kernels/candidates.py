"""Candidates, the scored labels of each row, held against the training rows of labels."""

import numpy as np

from . import kernel


@kernel
def products(
    x_indptr, x_indices, x_data, n_features, indptr, ids, mean_indptr, mean_indices, mean_data
):
    """Scalar product of each row with the mean of each of its candidate labels: one float32 per
    candidate.
    """
    row = np.zeros(n_features, np.float32)
    out = np.empty(ids.shape[0], np.float32)
    for i in range(indptr.shape[0] - 1):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            row[x_indices[p]] = x_data[p]
        for c in range(indptr[i], indptr[i + 1]):
            total = np.float32(0)
            for p in range(mean_indptr[ids[c]], mean_indptr[ids[c] + 1]):
                total += mean_data[p] * row[mean_indices[p]]
            out[c] = total
        for p in range(x_indptr[i], x_indptr[i + 1]):
            row[x_indices[p]] = 0
    return out
