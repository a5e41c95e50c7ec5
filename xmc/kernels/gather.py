"""Pick rows out of sparse matrices: the training rows of a chunk, transposes, and targets folded up a tree."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def gather(indptr, indices, data, rows, mark):
    """The given rows with their features renumbered by first appearance.

    `mark` has one int32 per feature, all 0, and is returned so.
    Gives (row pointers, local feature of each entry, its value, the features in local order).
    """
    out_indptr = np.zeros(rows.shape[0] + 1, np.int64)
    for r in range(rows.shape[0]):
        out_indptr[r + 1] = out_indptr[r] + indptr[rows[r] + 1] - indptr[rows[r]]
    out_indices = np.empty(out_indptr[-1], np.int32)
    out_data = np.empty(out_indptr[-1], np.float32)
    features = np.empty(min(out_indptr[-1], mark.shape[0]), np.int32)
    seen, t = 0, 0
    for r in range(rows.shape[0]):
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = indices[p]
            if mark[j] == 0:
                features[seen] = j
                seen += 1
                mark[j] = seen
            out_indices[t] = mark[j] - 1
            out_data[t] = data[p]
            t += 1
    for s in range(seen):
        mark[features[s]] = 0
    return out_indptr, out_indices, out_data, features[:seen].copy()


@njit(nogil=True, cache=True)
def squared_norms(indptr, data):
    """Squared length of each row, float64: the squares of very large or small values are no float32."""
    out = np.zeros(indptr.shape[0] - 1, np.float64)
    for i in range(out.shape[0]):
        total = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            total += np.float64(data[p]) * np.float64(data[p])
        out[i] = total
    return out


@njit(nogil=True, cache=True)
def transpose(indptr, indices, n_columns):
    """Rows of each column, ascending: (pointers, rows)."""
    out_indptr = np.zeros(n_columns + 1, np.int64)
    for p in range(indices.shape[0]):
        out_indptr[indices[p] + 1] += 1
    for j in range(n_columns):
        out_indptr[j + 1] += out_indptr[j]
    place = out_indptr[:-1].copy()
    rows = np.empty(indices.shape[0], np.int32)
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            rows[place[indices[p]]] = i
            place[indices[p]] += 1
    return out_indptr, rows


@njit(nogil=True, cache=True)
def relabel(indptr, indices, new_id):
    """Each row's columns replaced by `new_id` (-1 drops), ascending."""
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out = np.empty(indices.shape[0], np.int32)
    t = 0
    for i in range(indptr.shape[0] - 1):
        start = t
        for p in range(indptr[i], indptr[i + 1]):
            if new_id[indices[p]] >= 0:
                out[t] = new_id[indices[p]]
                t += 1
        out[start:t].sort()
        out_indptr[i + 1] = t
    return out_indptr, out[:t].copy()


@njit(nogil=True, cache=True)
def fold(indptr, indices, parent):
    """Each row's columns replaced by their parents, every parent once; `parent` and each row ascend."""
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out = np.empty(indices.shape[0], np.int32)
    t = 0
    for i in range(indptr.shape[0] - 1):
        start = t
        for p in range(indptr[i], indptr[i + 1]):
            node = parent[indices[p]]
            if t == start or out[t - 1] != node:
                out[t] = node
                t += 1
        out_indptr[i + 1] = t
    return out_indptr, out[:t].copy()


@njit(nogil=True, cache=True)
def targets(indptr, indices, rows, first, last):
    """Which of the columns first..last-1 the given rows have: (place of the row, column - first), and their counts."""
    count = np.zeros(last - first, np.int64)
    total = 0
    for r in range(rows.shape[0]):
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if first <= indices[p] < last:
                count[indices[p] - first] += 1
                total += 1
    place = np.empty(total, np.int32)
    column = np.empty(total, np.int32)
    t = 0
    for r in range(rows.shape[0]):
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if first <= indices[p] < last:
                place[t] = r
                column[t] = indices[p] - first
                t += 1
    return place, column, count
