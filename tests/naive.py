"""Slow twins of the kernels in plain Python and dense numpy, and random input for them."""

from collections import Counter

import numpy as np

from xmc.arrays import Lists, Rows, Targets, frozen
from xmc.label_tree import LabelTree
from xmc.layer import Layer
from xmc.member import Member

# ---- random input


def random_rows(rng, n_rows, n_features, density=0.3, empty=0.1):
    """Sparse rows of any values, some of them without features."""
    dense = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < density)
    dense[rng.random(n_rows) < empty] = 0
    return as_rows(dense)


def random_lists(rng, n_rows, n_columns, density=0.3):
    """Pointers and ascending ids of each row."""
    return as_lists(rng.random((n_rows, n_columns)) < density)


def random_candidates(rng, sizes, n_ids=40):
    """Pointers, ids, scores and margins of random candidates; few different scores and margins, so
    that many tie.
    """
    indptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
    ids = [rng.permutation(n_ids)[:size] for size in sizes]
    score, margin = rng.choice(np.float32([0, 0.25, 0.5]), (2, indptr[-1]))
    return indptr, np.concatenate([np.empty(0, int), *ids]).astype(np.int32), score, margin


def as_rows(dense):
    """A dense matrix in the form that kernels read."""
    dense = np.asarray(dense, np.float32)
    row, column = np.nonzero(dense)
    indptr = np.searchsorted(row, np.arange(len(dense) + 1)).astype(np.int64)
    return Rows(
        frozen(indptr), frozen(column.astype(np.int32)), frozen(dense[row, column]), dense.shape[1]
    )


def as_lists(dense):
    """The pattern of a dense matrix in the form that kernels read."""
    return Lists(*as_rows(dense)[:2])


def as_targets(dense, costs=False):
    """Which columns each row has, with the values as costs if wanted."""
    indptr, ids, data, _ = as_rows(dense)
    return Targets(indptr, ids, data if costs else frozen(np.empty(0, np.float32)))


def to_dense(indptr, indices, data, n_columns):
    """The sum of the entries at each place, float64."""
    dense = np.zeros((len(indptr) - 1, n_columns))
    np.add.at(dense, (np.repeat(np.arange(len(dense)), np.diff(indptr)), indices), data)
    return dense


def as_layer(W, chunk_ptr, shift=2, dtype=np.float32, scale=1.0):
    """The layer with the weights W (features + the bias, nodes); integers are stored divided by
    `scale`.
    """
    W = np.asarray(W, np.float32)
    bucket, low, more, child, weight, counts, page_counts = [], [], [], [], [], [], []
    n_buckets = (len(W) - 2 >> shift) + 1
    for first, last in zip(chunk_ptr, chunk_ptr[1:], strict=False):
        starts = range(first, last, 256)
        page_counts.append(len(starts))
        for start in starts:
            page = W[:-1, start : min(start + 256, last)]
            before = [
                np.count_nonzero(page[: b << shift].any(axis=1)) for b in range(n_buckets + 1)
            ]
            bucket.extend((n, np.count_nonzero(page[: b << shift])) for b, n in enumerate(before))
            used = [(j, np.flatnonzero(row)) for j, row in enumerate(page) if row.any()]
            low.extend(j % (1 << shift) for j, _ in used)
            more.extend(len(columns) - 1 for _, columns in used)
            child.extend(c for _, columns in used for c in columns)
            weight.extend(page[j, c] for j, columns in used for c in columns)
            counts.append((n_buckets + 1, len(used), sum(len(columns) for _, columns in used)))
    per_page = np.reshape(counts, (-1, 3)).astype(np.int64)
    pointers = np.concatenate([np.zeros((1, 3), np.int64), per_page.cumsum(axis=0)]).T.copy()
    stored = np.array(weight, np.float32) / np.float32(scale)
    weights = (
        stored.astype(np.float16).view(np.uint16) if dtype == np.float16 else stored.astype(dtype)
    )
    padded = (np.array([*column, *[0] * 16], np.uint8) for column in (low, more))
    arrays = (
        *(
            np.asarray(chunk_ptr, np.int64),
            np.cumsum([0, *page_counts]).astype(np.int64),
            *pointers,
        ),
        *(np.full(len(counts), shift, np.uint8), np.full(len(counts), scale, np.float32)),
        *(np.array(bucket, np.uint32).reshape(-1, 2), *padded),
        *(np.array(child, np.uint8), weights, W[-1].copy()),
    )
    return Layer(*map(frozen, arrays))


def random_member(rng, n_features, widths=(4, 4, 5), values=None):
    """A trained tree with nodes of 1 to so many children per level, its weights normal or chosen
    from `values`.
    """
    chunks, layers, n_nodes = [], [], 1
    for widest in widths:
        chunks.append(np.concatenate([[0], np.cumsum(rng.integers(1, widest + 1, n_nodes))]))
        n_nodes = int(chunks[-1][-1])
        W = (
            rng.normal(size=(n_features + 1, n_nodes))
            if values is None
            else rng.choice(values, (n_features + 1, n_nodes))
        )
        layers.append(as_layer(W * (rng.random(W.shape) < 0.4), chunks[-1]))
    labels = rng.permutation(n_nodes).astype(np.int32)
    return Member(
        LabelTree(tuple(frozen(c.astype(np.int64)) for c in chunks), frozen(labels)), tuple(layers)
    )


def split(indptr, values):
    """The values of each row, as lists."""
    return [list(values[a:b]) for a, b in zip(indptr, indptr[1:], strict=False)]


def scored(indptr, ids, score, margin):
    """(score, margin, id) of each row's candidates."""
    return split(indptr, list(zip(score.tolist(), margin.tolist(), ids.tolist(), strict=True)))


def join(rows):
    """Pointers and values, as lists: what `split` takes."""
    return [0, *np.cumsum([len(row) for row in rows], dtype=int).tolist()], [
        value for row in rows for value in row
    ]


# ---- gather


def gather(indptr, indices, data, rows):
    entries = [split(indptr, list(zip(indices, data, strict=True)))[row] for row in rows]
    found = Counter(j for row in entries for j, _ in row)
    features = [
        j for j, _ in found.most_common()
    ]  # equally frequent ones in the order in which they are met
    out_indptr, flat = join([sorted((features.index(j), v) for j, v in row) for row in entries])
    return out_indptr, [j for j, _ in flat], [v for _, v in flat], features


def entries_of(list_ptr, ids, indptr):
    lengths = np.diff(indptr)
    return [int(sum(lengths[i] for i in rows)) for rows in split(list_ptr, ids)]


def transpose(indptr, indices, n_columns):
    return join(
        [[i for i, row in enumerate(split(indptr, indices)) if j in row] for j in range(n_columns)]
    )


def renumbered(nodes, new_id):
    """Each row's ids replaced by new_id (-1 drops), the costs of equal ones summed: (pointers, ids,
    costs).
    """
    rows = []
    for ids, costs in zip(split(*nodes[:2]), split(nodes.indptr, costs_of(nodes)), strict=True):
        row = {}
        for j, cost in zip(ids, costs, strict=True):
            if new_id[j] >= 0:
                row[int(new_id[j])] = row.get(int(new_id[j]), 0) + cost
        rows.append(sorted(row.items()))
    costs = [cost for row in rows for _, cost in row] if len(nodes.costs) else []
    return *join([[j for j, _ in row] for row in rows]), costs


def costs_of(nodes):
    return nodes.costs if len(nodes.costs) else np.ones(len(nodes.ids))


def targets(nodes, rows, first, last):
    lists, costs = split(*nodes[:2]), split(nodes.indptr, costs_of(nodes))
    found = [
        (place, j - first, cost)
        for place, row in enumerate(rows)
        for j, cost in zip(lists[row], costs[row], strict=True)
        if first <= j < last
    ]
    columns = [column for _, column, _ in found]
    costs = [cost for *_, cost in found] if len(nodes.costs) else []
    return (
        [place for place, *_ in found],
        columns,
        costs,
        [columns.count(c) for c in range(last - first)],
    )


# ---- dcd


def dual_coordinate_descent(X, y, C, squared, tol=1e-9, max_iter=5000):
    """Weights and dual variables of one label, row after row in the same order (Hsieh et al., ICML
    2008).

    C: one for all rows or one per row.
    """
    C = np.broadcast_to(C, y.shape)
    diagonal, upper = (0.5 / C, np.full(len(y), np.inf)) if squared else (np.zeros(len(y)), C)
    curvature = (X**2).sum(axis=1) + diagonal
    w, a = np.zeros(X.shape[1]), np.where(curvature > 0, 0.0, upper)
    for _ in range(max_iter):
        violation = 0.0
        for i in np.flatnonzero(curvature > 0):
            gradient = y[i] * (X[i] @ w) - 1 + diagonal[i] * a[i]
            stepped = min(max(a[i] - gradient / curvature[i], 0.0), upper[i])
            violation = max(violation, abs(stepped - a[i]) * curvature[i])
            w += (stepped - a[i]) * y[i] * X[i]
            a[i] = stepped
        if violation <= tol:
            break
    return w, a


def primal(X, y, w, C, squared):
    """1/2 |w|^2 + sum_i C_i max(0, 1 - y_i w.x_i), its square if squared; C is one for all rows or
    one per row.
    """
    short = np.maximum(0, 1 - y * (X @ w))
    return 0.5 * w @ w + (C * (short**2 if squared else short)).sum()


def signs(place, column, lane_of_column, n_rows, n_lanes):
    A = np.full((n_rows, n_lanes), -0.0, np.float32)
    for row, sibling in zip(place, column, strict=True):
        if lane_of_column[sibling] >= 0:
            A[row, lane_of_column[sibling]] = 0.0
    return A


def prune(W, n_lanes, threshold):
    """Of W (features + the bias, lanes)."""
    return [
        (j, b, W[j, b])
        for j in range(len(W) - 1)
        for b in range(n_lanes)
        if W[j, b] != 0 and abs(W[j, b]) >= threshold
    ]


# ---- kmeans


def unit(M):
    """Rows scaled to length 1, zeros stay."""
    length = np.linalg.norm(M, axis=1, keepdims=True)
    return np.divide(M, length, out=np.zeros_like(M), where=length > 0)


def embed(rows_of_label, X, labels, n_kept):
    Z = np.zeros((len(labels), X.shape[1]))
    for n, label in enumerate(labels):
        total = X[rows_of_label[label]].sum(axis=0)
        kept = np.argsort(-np.abs(total), kind="stable")[:n_kept]
        Z[n, kept] = total[kept]
    return unit(Z)


def means(Z, cluster, n_clusters):
    sums = [Z[np.asarray(cluster) == c].sum(axis=0) for c in range(n_clusters)]
    return unit(np.array(sums).reshape(n_clusters, Z.shape[1]))


def bisect(Z, n_left, seeds, tol, max_iter):
    direction, before = Z[seeds[0]] - Z[seeds[1]], -np.inf
    for _ in range(max_iter):
        left = np.zeros(len(Z), bool)
        left[np.argsort(-(Z @ direction), kind="stable")[:n_left]] = True
        together = np.linalg.norm(Z[left].sum(axis=0)) + np.linalg.norm(Z[~left].sum(axis=0))
        if together <= before * (1 + tol):
            break
        before = together
        direction = np.subtract(*means(Z, np.where(left, 0, 1), 2))
    return left


# ---- beam


def log_probability(margin, transform):
    short = np.maximum(0, 1 - margin)
    return {
        "l3_hinge": -(short**3),
        "l2_hinge": -(short**2),
        "log_sigmoid": -np.logaddexp(0, -margin),
    }[transform]


def best(candidates, k):
    """The best k of some (score, margin, id), best first."""
    return sorted(candidates, key=lambda c: (-c[0], -c[1], c[2]))[:k]


def filled(size, ids, score, margin):
    """(score, margin, id) of each row's first `size` slots; the others must be empty."""
    empty = np.arange(ids.shape[1]) >= size[:, None]
    assert (ids[empty] == -1).all() and (score[empty] == -np.inf).all() and (ids[~empty] >= 0).all()
    columns = zip(score.tolist(), margin.tolist(), ids.tolist(), size, strict=True)
    return [list(zip(s, m, i, strict=True))[:n] for s, m, i, n in columns]


def average(members):
    """(score, margin, id) of each id, from the members' lists of them."""
    found = {}
    for candidates in members:
        for score, margin, label in candidates:
            found.setdefault(label, []).append((score, margin))
    return [
        (sum(s for s, _ in pairs) / len(members), sum(m for _, m in pairs) / len(pairs), label)
        for label, pairs in found.items()
    ]


def layer_weights(layer, n_features):
    """The weights of a layer's nodes, dense: (features + the bias, nodes)."""
    W = np.zeros((n_features + 1, layer.chunk_ptr[-1]))
    weight = layer.weight.view(np.float16) if layer.weight.dtype == np.uint16 else layer.weight
    for chunk in range(len(layer.chunk_ptr) - 1):
        for number, page in enumerate(range(layer.page_ptr[chunk], layer.page_ptr[chunk + 1])):
            f, e = layer.feature_ptr[page], layer.entry_ptr[page]
            buckets = layer.bucket[layer.bucket_ptr[page] : layer.bucket_ptr[page + 1]].astype(int)
            for b, (here, after) in enumerate(zip(buckets, buckets[1:], strict=False)):
                assert (f, e) == (
                    layer.feature_ptr[page] + here[0],
                    layer.entry_ptr[page] + here[1],
                )
                for _ in range(after[0] - here[0]):
                    feature = (b << int(layer.shift[page])) + int(layer.low[f])
                    for _ in range(int(layer.more[f]) + 1):
                        node = layer.chunk_ptr[chunk] + 256 * number + int(layer.child[e])
                        assert node < layer.chunk_ptr[chunk + 1] and W[feature, node] == 0
                        W[feature, node] = float(weight[e]) * layer.scale[page]
                        e += 1
                    f += 1
            assert (f, e) == (layer.feature_ptr[page + 1], layer.entry_ptr[page + 1])
    W[-1] = layer.bias_weight
    return W


def beam_search(x, layers, labels, beam_size, bias, transform):
    """(score, margin, label) of every label that the beam of one dense row reaches; every node is
    scored.
    """
    x = np.append(x, bias)
    nodes, scores = [0], {0: 0.0}
    for depth, layer in enumerate(layers):
        inner = depth < len(layers) - 1
        margins = x @ layer_weights(layer, len(x) - 1)
        found = []
        for node in nodes:
            children = range(layer.chunk_ptr[node], layer.chunk_ptr[node + 1])
            for child in children:
                own = (
                    0.0
                    if inner and len(children) == 1
                    else log_probability(margins[child], transform)
                )
                found.append((max(scores[node] + own, -104.0), margins[child], child))
        if inner:
            kept = best(found, beam_size)
            nodes, scores = [node for *_, node in kept], {node: score for score, _, node in kept}
    return [
        (float(np.exp(np.float32(score))), margin, int(labels[leaf]))
        for score, margin, leaf in found
    ]
