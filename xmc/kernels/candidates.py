"""Candidates, the scored labels of each row: averaged over trees, held against the training rows of
labels.
"""

import numpy as np

from . import kernel


@kernel
def average(indptr, ids, score, margin, n_members, n_ids):
    """Candidates of the same row and id become one, the first's place: score summed / n_members,
    margin averaged.

    Gives (pointers, ids, scores, margins).
    """
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out_ids = np.empty(ids.shape[0], np.int32)
    out_score = np.empty(ids.shape[0], np.float32)
    out_margin = np.empty(ids.shape[0], np.float32)
    place = np.full(n_ids, np.int64(-1))
    found = np.zeros(ids.shape[0], np.int32)
    t = 0
    for i in range(indptr.shape[0] - 1):
        start = t
        for c in range(indptr[i], indptr[i + 1]):
            at = place[ids[c]]
            if at < start:
                at = t
                place[ids[c]] = t
                out_ids[t], out_score[t], out_margin[t] = ids[c], 0, 0
                t += 1
            out_score[at] += score[c]
            out_margin[at] += margin[c]
            found[at] += 1
        for at in range(start, t):
            out_score[at] /= n_members
            out_margin[at] /= found[at]
        out_indptr[i + 1] = t
    return out_indptr, out_ids[:t].copy(), out_score[:t].copy(), out_margin[:t].copy()


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
