"""Rows out of sparse matrices: the training rows of a chunk, transposes, targets up a tree.

    name       dtype    shape       what
    indptr     int64    rows + 1    where each row's entries start
    indices    int32    entries     features or columns, each once in a row; ascending for `fold`
    data       float32  entries     their values
    costs      float32  entries     what an error on each entry costs; or empty, if all cost 1
    rows       int32    any         the rows that are picked, in the order wanted
    list_ptr   int64    lists + 1   where each list of rows starts; `ids` holds them end to end
    mark       int32    n_features  scratch: all 0, and all 0 again afterwards
    frequency  int64    n_features  how often each feature occurs
    rank       int32    n_features  the number of each feature when the frequent ones come first
    new_id     int32    n_columns   what each column becomes; -1 drops it
    parent     int32    n_columns   the parent of each node, ascending

Results have the dtypes of the arguments of their names.
"""

import numpy as np

from . import kernel

# A row that was scaled to length 1 in float32 has a length that is this near to 1.
UNIT = 2 * np.finfo(np.float32).eps
LONGEST = 1e30  # rows longer than this, or shorter than its inverse, are scaled twice


@kernel
def pick(indptr, indices, data, rows, mark):
    """(indptr, indices, data, features): the picked rows, with features of their own.

    They are numbered by first appearance; `features` gives the old number of each.
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
    """As `pick`, but the frequent features come first, and features ascend in each row.

    So what is used often lies together, and solvers wait less for memory. Equally frequent features
    are numbered by first appearance.
    """
    out_indptr, out_indices, out_data, found = pick(indptr, indices, data, rows, mark)
    rank = _rank(count(out_indices, found.shape[0]), rows.shape[0])
    features = np.empty_like(found)
    for s in range(found.shape[0]):
        features[rank[s]] = found[s]
    last = 0
    # Some rows at a time, with about as many entries as there are features: the buffers stay small.
    while last < rows.shape[0]:
        first, last = last, last + 1
        while last < rows.shape[0] and out_indptr[last] - out_indptr[first] < found.shape[0]:
            last += 1
        _sort_by_rank(out_indptr[first : last + 1], out_indices, out_data, rank)
    return out_indptr, out_indices, out_data, features


@kernel
def count(indices, n_columns):
    """The frequency of each column."""
    out = np.zeros(n_columns, np.int64)
    for j in indices:
        out[j] += 1
    return out


@kernel
def _rank(frequency, most):
    """The rank of each feature. Equally frequent ones keep their order; none exceeds `most`."""
    free = np.zeros(most + 1, np.int64)  # the next rank of each frequency, the highest one first
    for n in frequency:
        free[most - n + 1] += 1
    for n in range(most):
        free[n + 1] += free[n]
    rank = np.empty(frequency.shape[0], np.int32)
    for s in range(frequency.shape[0]):
        rank[s] = free[most - frequency[s]]
        free[most - frequency[s]] += 1
    return rank


@kernel
def _sort_by_rank(indptr, indices, data, rank):
    """Replace the features of some rows by their ranks and sort each row by them, in place.

    This is a counting sort by rank, then by row.
    """
    slot = np.zeros(rank.shape[0] + 1, np.int64)  # the next slot of each rank
    for p in range(indptr[0], indptr[-1]):
        slot[rank[indices[p]] + 1] += 1
    for j in range(rank.shape[0]):
        slot[j + 1] += slot[j]
    row = np.empty(indptr[-1] - indptr[0], np.int32)
    value = np.empty(indptr[-1] - indptr[0], np.float32)
    for r in range(indptr.shape[0] - 1):
        for p in range(indptr[r], indptr[r + 1]):
            j = rank[indices[p]]
            row[slot[j]] = r
            value[slot[j]] = data[p]
            slot[j] += 1  # in the end it is where the next rank starts
    free = indptr[:-1].copy()
    t = 0
    for j in range(rank.shape[0]):
        while t < slot[j]:
            indices[free[row[t]]] = j
            data[free[row[t]]] = value[t]
            free[row[t]] += 1
            t += 1


@kernel
def squared_norms(indptr, data):
    """float64, the squared length of each row: float32 can't hold the squares of all its values."""
    out = np.zeros(indptr.shape[0] - 1, np.float64)
    for i in range(out.shape[0]):
        total = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            total += np.float64(data[p]) * np.float64(data[p])
        out[i] = total
    return out


@kernel
def unit_row(indices, data, n_features, scaled, out):
    """Whether a row is canonical; if so, its values are written to `out`.

    Canonical: features ascend and are in range, values are finite and not 0. `scaled`: the values
    are scaled to length 1, as inputs.as_rows does it for many rows. out: float32, like `data`.
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
    if not scaled or abs(norm - 1) <= UNIT or norm == 0:
        out[:] = data
        return True
    near = min(max(norm, 1 / LONGEST), LONGEST)
    scale, first = np.float32(1 / near), norm / near
    for p in range(indices.shape[0]):
        value = data[p] if first == 1 else np.float32(data[p] / first)
        out[p] = value * scale
    return True


@kernel
def entries_of(list_ptr, ids, indptr):
    """int64, how many entries the rows of each list have together; each row counts once a list."""
    out = np.zeros(list_ptr.shape[0] - 1, np.int64)
    for n in range(out.shape[0]):
        for q in range(list_ptr[n], list_ptr[n + 1]):
            out[n] += indptr[ids[q] + 1] - indptr[ids[q]]
    return out


@kernel
def transpose(indptr, indices, n_columns):
    """(indptr, rows): the rows of each column, ascending."""
    out_indptr = np.zeros(n_columns + 1, np.int64)
    for p in range(indices.shape[0]):
        out_indptr[indices[p] + 1] += 1
    for j in range(n_columns):
        out_indptr[j + 1] += out_indptr[j]
    slot = out_indptr[:-1].copy()
    rows = np.empty(indices.shape[0], np.int32)
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            rows[slot[indices[p]]] = i
            slot[indices[p]] += 1
    return out_indptr, rows


@kernel
def relabel(indptr, indices, costs, new_id):
    """(indptr, indices, costs) with each row's columns replaced by their `new_id`, ascending."""
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
    """(indptr, indices, costs) with each row's columns replaced by their parents, each parent once.

    Costs of the same parent are summed. Each row ascends, before and after.
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
    """(row_in_chunk, sibling, cost, count): which columns from first to last - 1 the rows have.

    These columns are siblings, numbered from 0; the rows are numbered in the order given.
    row_in_chunk, sibling: int32, one entry per positive, rows ascending. cost: float32, of each
    positive; empty if `costs` is. count: int64, the positives of each sibling.
    """
    count = np.zeros(last - first, np.int64)
    total = 0
    for r in range(rows.shape[0]):
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if first <= indices[p] < last:
                count[indices[p] - first] += 1
                total += 1
    row_in_chunk = np.empty(total, np.int32)
    sibling = np.empty(total, np.int32)
    cost = np.empty(total if costs.shape[0] else 0, np.float32)
    t = 0
    for r in range(rows.shape[0]):
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if first <= indices[p] < last:
                row_in_chunk[t] = r
                sibling[t] = indices[p] - first
                if cost.shape[0]:
                    cost[t] = costs[p]
                t += 1
    return row_in_chunk, sibling, cost, count
