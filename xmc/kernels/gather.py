"""Pick rows out of sparse matrices: the training rows of a chunk, transposes, and targets folded up
a tree.
"""

import numpy as np

from . import kernel

UNIT = (
    2 * np.finfo(np.float32).eps
)  # how far from 1 the length of a row is that was scaled in float32


@kernel
def pick(indptr, indices, data, rows, mark):
    """The given rows with only the features they use, renumbered by first appearance.

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


@kernel
def gather(indptr, indices, data, rows, mark):
    """As `pick`, but features are renumbered by descending frequency and ascend in each row.

    What is used often lies together then, and solvers wait less for memory. Equally frequent
    features are in the order of their first appearance.
    """
    out_indptr, out_indices, out_data, found = pick(indptr, indices, data, rows, mark)
    rank = _rank(count(out_indices, found.shape[0]), rows.shape[0])
    features = np.empty_like(found)
    for s in range(found.shape[0]):
        features[rank[s]] = found[s]
    last = 0
    while (
        last < rows.shape[0]
    ):  # rows with as many entries as there are features, so that their buffer is small
        first, last = last, last + 1
        while last < rows.shape[0] and out_indptr[last] - out_indptr[first] < found.shape[0]:
            last += 1
        _sort_by_rank(out_indptr[first : last + 1], out_indices, out_data, rank)
    return out_indptr, out_indices, out_data, features


@kernel
def count(indices, n_columns):
    """How often each column occurs."""
    out = np.zeros(n_columns, np.int64)
    for j in indices:
        out[j] += 1
    return out


@kernel
def _rank(frequency, most):
    """Place of each feature by descending frequency, equal ones in their order; frequencies are 1
    to `most`.
    """
    place = np.zeros(most + 1, np.int64)
    for n in frequency:
        place[most - n + 1] += 1
    for n in range(most):
        place[n + 1] += place[n]
    rank = np.empty(frequency.shape[0], np.int32)
    for s in range(frequency.shape[0]):
        rank[s] = place[most - frequency[s]]
        place[most - frequency[s]] += 1
    return rank


@kernel
def _sort_by_rank(indptr, indices, data, rank):
    """Replace the features of some rows by their rank, ascending in each row: a counting sort by
    rank, then by row.
    """
    place = np.zeros(rank.shape[0] + 1, np.int64)
    for p in range(indptr[0], indptr[-1]):
        place[rank[indices[p]] + 1] += 1
    for j in range(rank.shape[0]):
        place[j + 1] += place[j]
    row = np.empty(indptr[-1] - indptr[0], np.int32)
    value = np.empty(indptr[-1] - indptr[0], np.float32)
    for r in range(indptr.shape[0] - 1):
        for p in range(indptr[r], indptr[r + 1]):
            j = rank[indices[p]]
            row[place[j]] = r
            value[place[j]] = data[p]
            place[j] += 1  # ends where the next rank starts
    free = indptr[:-1].copy()
    t = 0
    for j in range(rank.shape[0]):
        while t < place[j]:
            indices[free[row[t]]] = j
            data[free[row[t]]] = value[t]
            free[row[t]] += 1
            t += 1


@kernel
def squared_norms(indptr, data):
    """Squared length of each row, float64: the squares of very large or small values are no
    float32.
    """
    out = np.zeros(indptr.shape[0] - 1, np.float64)
    for i in range(out.shape[0]):
        total = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            total += np.float64(data[p]) * np.float64(data[p])
        out[i] = total
    return out


@kernel
def unit_row(indices, data, n_features, scaled, out):
    """Whether a row is canonical: features ascending and in range, values finite and not 0. If so,
    write its values.

    scaled: to length 1, as matrix.as_rows does it for many rows.
    """
    before, square = -1, 0.0
    for p in range(indices.shape[0]):
        if indices[p] <= before or data[p] == 0 or not np.isfinite(data[p]):
            return False
        before = indices[p]
        square += np.float64(data[p]) * np.float64(data[p])
    if before >= n_features:
        return False
    norm = np.sqrt(square)
    scale = np.float32(1 / norm) if scaled and abs(norm - 1) > UNIT and norm > 0 else np.float32(1)
    for p in range(indices.shape[0]):
        out[p] = data[p] * scale
    return True


@kernel
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


@kernel
def relabel(indptr, indices, costs, new_id):
    """Each row's columns replaced by `new_id` (-1 drops), ascending, with their costs; those may be
    none at all.
    """
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out = np.empty(indices.shape[0], np.int32)
    out_costs = np.empty(costs.shape[0], np.float32)
    t = 0
    for i in range(indptr.shape[0] - 1):
        start = t
        for p in range(indptr[i], indptr[i + 1]):
            if new_id[indices[p]] >= 0:
                out[t] = new_id[indices[p]]
                if costs.shape[0]:
                    out_costs[t] = costs[p]
                t += 1
        if costs.shape[0]:
            out_costs[start:t] = out_costs[start:t][np.argsort(out[start:t])]
        out[start:t].sort()
        out_indptr[i + 1] = t
    return out_indptr, out[:t].copy(), out_costs[:t].copy()


@kernel
def fold(indptr, indices, costs, parent):
    """Each row's columns replaced by their parents, every parent once, costs summed; `parent` and
    each row ascend.
    """
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out = np.empty(indices.shape[0], np.int32)
    out_costs = np.zeros(costs.shape[0], np.float32)
    t = 0
    for i in range(indptr.shape[0] - 1):
        start = t
        for p in range(indptr[i], indptr[i + 1]):
            node = parent[indices[p]]
            if t == start or out[t - 1] != node:
                out[t] = node
                t += 1
            if costs.shape[0]:
                out_costs[t - 1] += costs[p]
        out_indptr[i + 1] = t
    return out_indptr, out[:t].copy(), out_costs[:t].copy()


@kernel
def targets(indptr, indices, costs, rows, first, last):
    """Which of the columns first..last-1 the given rows have: (place of the row, column - first,
    cost), their counts.

    costs: one per entry, or none at all; then none are given.
    """
    count = np.zeros(last - first, np.int64)
    total = 0
    for r in range(rows.shape[0]):
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if first <= indices[p] < last:
                count[indices[p] - first] += 1
                total += 1
    place = np.empty(total, np.int32)
    column = np.empty(total, np.int32)
    cost = np.empty(total if costs.shape[0] else 0, np.float32)
    t = 0
    for r in range(rows.shape[0]):
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if first <= indices[p] < last:
                place[t] = r
                column[t] = indices[p] - first
                if cost.shape[0]:
                    cost[t] = costs[p]
                t += 1
    return place, column, cost, count
