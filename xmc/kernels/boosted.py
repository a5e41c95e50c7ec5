"""Gradient-boosted trees: the log-odds of rows, and what each column adds to them.

    log-odds(x) = baseline + sum over trees of value[leaf that x reaches]

A tree's nodes are in preorder: a node, all of its left subtree, all of its right one. So the left
child of node i is node i + 1, and leaves are in order from left to right.

Scoring follows no path. If a row goes right, it loses the leaves of the left subtree. Asked of all
nodes, whether on the row's path or not, this leaves the row's leaf as the leftmost that isn't lost
(QuickScorer, Lucchese et al. 2015). The nodes of a tree may come in any order and do the same to
all rows of a block: one comparison, one `and`, one `or`, for many rows at a time, and no branch.

An explanation shares the log-odds among columns by Shapley values: what a set of columns tells is
the mean over the training rows, which decide wherever a tree asks a column outside of the set
(TreeSHAP, Lundberg et al. 2020). On the way to a leaf, a share z_j of the training rows follows
column j's answers, and the row does (o_j = 1) or doesn't (o_j = 0). The leaf adds to column i

    value * (o_i - z_i) * integral from 0 to 1 of prod_{j != i} (z_j (1 - t) + o_j t) dt

as the weight of a set of k among d - 1 other columns is k! (d-1-k)! / d!, the integral of
t^k (1-t)^(d-1-k). The product is a polynomial in t, and Gauss's quadrature is exact with half as
many points as there are columns on the way. A pass down the tree makes the products with column i
still in them, a pass up adds the leaves and takes column i out again.

Arrays:
    indptr         int64    (trees + 1,), where each tree's nodes start; the first is its root
    feature        int32    per node: the column that it asks, -1 in a leaf
    threshold      float32  per node: a value goes left if it is at most this
    nan_left       bool     per node: whether NaN goes left
    right          int32    per node: its right child, counted from the tree's root; 0 in a leaf
    value          float64  per node: what a leaf adds to the log-odds
    cover          int64    per node: the training rows that came by, at least 1
    E              float32  (rows, columns), in C order, NaN allowed
    parent, above  int64    per node, see `edges`; -1 is none
    share          float64  per node, see `edges`
    point, weight  float64  a quadrature's on [0, 1]
"""

from typing import NamedTuple

import numpy as np

from . import inner, kernel
from .bytes import count_bits

BLOCK, STEP = 256, 16  # rows that are scored together, their number rounded up to a multiple


class Trees(NamedTuple):
    """Trees as they are stored; the arrays are those above."""

    indptr: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    nan_left: np.ndarray
    right: np.ndarray
    value: np.ndarray


class Splits(NamedTuple):
    """Trees as they are scored: inner nodes without their paths, and leaves.

    indptr: (trees + 1,), where each tree's inner nodes start.
    middle: (trees,), where those start that send NaN right; the others come first.
    feature, threshold: per inner node, as above.
    lost: per inner node, a bit for each leaf of its left subtree.
    leaf_indptr: (trees + 1,), where each tree's leaves start.
    value: per leaf.
    """

    indptr: np.ndarray
    middle: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    lost: np.ndarray
    leaf_indptr: np.ndarray
    value: np.ndarray


class Edges(NamedTuple):
    """How each node is reached; the arrays are those above."""

    parent: np.ndarray
    above: np.ndarray
    share: np.ndarray


class Passed(NamedTuple):
    """What a row finds in one tree; a line per node of the largest tree, a column per point.

    follows: 1 if the row follows this node's column, in all its answers on the way, 0 if not.
    factor: this column's part of the product.
    product: of the factors of all columns on the way; on the way up, of value and product the sum
        over the leaves below.
    """

    follows: np.ndarray
    factor: np.ndarray
    product: np.ndarray


@kernel
def misfit(indptr, feature, right, n_columns):
    """Some node that is no node of such a tree, -1 if there is none; then every walk stays inside
    and ends.

    Only indptr must be sound: rising from 0 to the number of nodes.
    """
    size = np.zeros(feature.shape[0], np.int64)
    for tree in range(indptr.shape[0] - 1):
        first, end = indptr[tree], indptr[tree + 1]
        for i in range(end - 1, first - 1, -1):
            size[i] = 1
            if feature[i] < 0:
                continue
            second = first + right[i]
            if feature[i] >= n_columns or not i + 1 < second < end or second != i + 1 + size[i + 1]:
                return i
            size[i] += size[i + 1] + size[second]
        if size[first] != end - first:
            return first
    return np.int64(-1)


@inner
def goes_left(x, threshold, nan_left):
    """Whether a value goes left at a node."""
    return x <= threshold or (nan_left and np.isnan(x))


@kernel
def log_odds(indptr, feature, threshold, nan_left, right, value, baseline, E, out):
    """The log-odds of each row, into out (float64). Each row adds its leaves in order of the trees,
    so it gets the same bits in whatever block.
    """
    trees = Trees(indptr, feature, threshold, nan_left, right, value)
    out[:] = baseline
    most = most_leaves(indptr)
    if most <= 32:
        add_by_bits(trees, E, np.empty(BLOCK, np.uint32), out)
    elif most <= 64:
        add_by_bits(trees, E, np.empty(BLOCK, np.uint64), out)
    else:
        add_by_walks(trees, E, out)


@inner
def most_leaves(indptr):
    """The leaves of the tree that has most."""
    most = np.int64(0)
    for tree in range(indptr.shape[0] - 1):
        most = max(most, (indptr[tree + 1] - indptr[tree] + 1) // 2)
    return most


@inner
def add_by_walks(trees, E, out):
    """Add to each row its leaves, found on the way down."""
    for row in range(E.shape[0]):
        for tree in range(trees.indptr.shape[0] - 1):
            root = trees.indptr[tree]
            i = root
            while trees.feature[i] >= 0:
                x = E[row, trees.feature[i]]
                if goes_left(x, trees.threshold[i], trees.nan_left[i]):
                    i += 1
                else:
                    i = root + trees.right[i]
            out[row] += trees.value[i]


@kernel
def add_by_bits(trees, E, lost, out):
    """Add to each row its leaves, found as the leftmost that isn't lost.

    lost: (BLOCK,), with as many bits as a tree has leaves, or more; its content is overwritten.
    """
    splits = as_splits(trees, lost)
    columns = np.zeros((E.shape[1], BLOCK), np.float32)
    for start in range(0, E.shape[0], BLOCK):
        stop = min(start + BLOCK, E.shape[0])
        for row in range(start, stop):
            for column in range(E.shape[1]):
                columns[column, row - start] = E[row, column]
        add_block(splits, columns, lost, out[start:stop])


@kernel
def as_splits(trees, like):
    """Trees ready to be scored, with bits of the type of the array `like`."""
    n_trees = trees.indptr.shape[0] - 1
    n_leaves = (trees.feature.shape[0] + n_trees) // 2
    n_inner = trees.feature.shape[0] - n_leaves
    splits = Splits(
        np.zeros(n_trees + 1, np.int64),
        np.empty(n_trees, np.int64),
        np.empty(n_inner, np.int32),
        np.empty(n_inner, np.float32),
        np.empty(n_inner, like.dtype),
        np.zeros(n_trees + 1, np.int64),
        np.empty(n_leaves, np.float64),
    )
    before = np.empty(trees.feature.shape[0], np.int64)  # leaves of the tree that come before
    for tree in range(n_trees):
        add_leaves(trees, tree, before, splits)
        splits.middle[tree] = add_inner(trees, tree, True, splits.indptr[tree], before, splits)
        splits.indptr[tree + 1] = add_inner(trees, tree, False, splits.middle[tree], before, splits)
    return splits


@inner
def add_leaves(trees, tree, before, splits):
    """Append the leaves of a tree, and count those before each of its nodes."""
    first = splits.leaf_indptr[tree]
    at = first
    for i in range(trees.indptr[tree], trees.indptr[tree + 1]):
        before[i] = at - first
        if trees.feature[i] < 0:
            splits.value[at] = trees.value[i]
            at += 1
    splits.leaf_indptr[tree + 1] = at


@inner
def add_inner(trees, tree, nan_left, at, before, splits):
    """Append the inner nodes of a tree that send NaN that way, from place `at` on; the place
    behind them.
    """
    root, one = trees.indptr[tree], np.uint64(1)
    for i in range(root, trees.indptr[tree + 1]):
        if trees.feature[i] < 0 or trees.nan_left[i] != nan_left:
            continue
        splits.feature[at], splits.threshold[at] = trees.feature[i], trees.threshold[i]
        # The last leaf of a tree is in no left subtree: the bits end below it.
        splits.lost[at] = (one << np.uint64(before[root + trees.right[i]])) - (
            one << np.uint64(before[i])
        )
        at += 1
    return at


@inner
def add_block(splits, columns, lost, out):
    """Add to each row of a block its leaves; columns: (columns, BLOCK), the rows side by side."""
    width = (out.shape[0] + STEP - 1) // STEP * STEP
    none = lost.dtype.type(0)
    for tree in range(splits.middle.shape[0]):
        lost[:width] = none
        for s in range(splits.indptr[tree], splits.middle[tree]):
            x, threshold, left = columns[splits.feature[s]], splits.threshold[s], splits.lost[s]
            for row in range(width):  # NaN is not above
                lost[row] |= left if x[row] > threshold else none
        for s in range(splits.middle[tree], splits.indptr[tree + 1]):
            x, threshold, left = columns[splits.feature[s]], splits.threshold[s], splits.lost[s]
            for row in range(width):  # NaN is not at most
                lost[row] |= none if x[row] <= threshold else left
        leaves = splits.value[splits.leaf_indptr[tree] : splits.leaf_indptr[tree + 1]]
        for row in range(out.shape[0]):
            out[row] += leaves[ones_from_the_right(lost[row])]


@inner
def ones_from_the_right(bits):
    """How many bits are set before the first that isn't."""
    word = np.uint64(bits)
    return count_bits(np.int64(word & ~(word + np.uint64(1))))


@kernel
def edges(indptr, feature, right, cover):
    """How each node is reached, and the most columns that are asked on the way to one.

    parent: the node that sends rows here.
    above: the nearest node on the way whose parent asks the same column as this one's.
    share: how many of the training rows follow this column's answers on the way, all those to the
        same column taken together.
    """
    n_nodes = feature.shape[0]
    found = Edges(np.full(n_nodes, -1), np.full(n_nodes, -1), np.ones(n_nodes))
    asked, most = np.zeros(n_nodes, np.int64), np.int64(0)
    for tree in range(indptr.shape[0] - 1):
        for i in range(indptr[tree], indptr[tree + 1]):
            if feature[i] < 0:
                continue
            for child in (i + 1, indptr[tree] + right[i]):
                found.parent[child] = i
                found.share[child] = cover[child] / cover[i]
                asked[child] = asked[i]
                same = nearest_above(feature, found.parent, child)
                if same < 0:
                    asked[child] += 1
                else:
                    found.above[child] = same
                    found.share[child] *= found.share[same]
                most = max(most, asked[child])
    return found.parent, found.above, found.share, most


@inner
def nearest_above(feature, parent, node):
    """The nearest node on the way to this one whose parent asks the same column; -1 if none."""
    wanted, i = feature[parent[node]], parent[node]
    while parent[i] >= 0:
        if feature[parent[i]] == wanted:
            return i
        i = parent[i]
    return np.int64(-1)


@kernel
def contributions(
    indptr, feature, threshold, nan_left, right, value, parent, above, share, point, weight, E, out
):  # fmt: skip
    """Add to out (float64, rows by columns) what each column adds to the log-odds of each row."""
    trees = Trees(indptr, feature, threshold, nan_left, right, value)
    found = Edges(parent, above, share)
    n_nodes, n_points = 2 * most_leaves(indptr), point.shape[0]
    passed = Passed(
        np.ones(n_nodes), np.ones((n_nodes, n_points)), np.ones((n_nodes, n_points))
    )  # line 0, the root's, stays as it is
    for row in range(E.shape[0]):
        for tree in range(indptr.shape[0] - 1):
            walk_down(trees, tree, found, E[row], point, passed)
            walk_up(trees, tree, found, weight, passed, out[row])


@inner
def walk_down(trees, tree, edges, x, point, passed):
    """Multiply what the columns on the way to each node of a tree say of a row."""
    root = trees.indptr[tree]
    for i in range(root + 1, trees.indptr[tree + 1]):
        up, same, share = edges.parent[i], edges.above[i], edges.share[i]
        left = goes_left(x[trees.feature[up]], trees.threshold[up], trees.nan_left[up])
        follows = 1.0 if left == (i == up + 1) else 0.0
        factor, product = passed.factor[i - root], passed.product[i - root]
        before = passed.product[up - root]
        if same < 0:
            for q in range(point.shape[0]):
                factor[q] = share * (1 - point[q]) + follows * point[q]
                product[q] = before[q] * factor[q]
        else:
            follows *= passed.follows[same - root]
            replaced = passed.factor[same - root]
            for q in range(point.shape[0]):
                factor[q] = share * (1 - point[q]) + follows * point[q]
                product[q] = before[q] / replaced[q] * factor[q]
        passed.follows[i - root] = follows


@inner
def walk_up(trees, tree, edges, weight, passed, out):
    """Add, for each node but the root, what its column adds by the leaves below.

    For these, the node stands for all answers of its column so far. So the part of the nearest node
    above that asks the same is taken back.
    """
    root = trees.indptr[tree]
    for i in range(trees.indptr[tree + 1] - 1, root, -1):
        sum_leaves(trees, root, i, passed.product)
        product, factor = passed.product[i - root], passed.factor[i - root]
        same, total = edges.above[i], 0.0
        gain = passed.follows[i - root] - edges.share[i]
        if same < 0:
            for q in range(weight.shape[0]):
                total += weight[q] * product[q] * (gain / factor[q])
        else:
            replaced = passed.factor[same - root]
            gain_replaced = passed.follows[same - root] - edges.share[same]
            for q in range(weight.shape[0]):
                part = gain / factor[q] - gain_replaced / replaced[q]
                total += weight[q] * product[q] * part
        out[trees.feature[edges.parent[i]]] += total


@inner
def sum_leaves(trees, root, i, product):
    """Turn a node's products into sums over the leaves below."""
    here = product[i - root]
    if trees.feature[i] < 0:
        for q in range(here.shape[0]):
            here[q] *= trees.value[i]
    else:
        left, right = product[i + 1 - root], product[trees.right[i]]
        for q in range(here.shape[0]):
            here[q] = left[q] + right[q]
