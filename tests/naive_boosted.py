"""Slow twins of the kernels of boosted trees: recursion, and Shapley values over all subsets."""

from itertools import combinations
from math import factorial

import numpy as np

from xmc.arrays import frozen, pointers
from xmc.evidence.boosted import DTYPES, BoostedTrees


def random_trees(rng, n_trees, n_leaves, n_columns):
    """Trees of random shape with this many leaves, that ask random columns, often one twice."""
    nodes, sizes = [], []
    for _ in range(n_trees):
        first = len(nodes)
        add_tree(rng, nodes, first, n_leaves, n_leaves + int(rng.integers(100)), n_columns)
        sizes.append(len(nodes) - first)
    columns = zip(*nodes, strict=True) if nodes else [[]] * 6
    names = list(DTYPES)[1:]
    arrays = [frozen(np.array(list(c), DTYPES[n])) for c, n in zip(columns, names, strict=True)]
    return BoostedTrees(pointers(sizes), *arrays, rng.normal())


def add_tree(rng, nodes, root, n_leaves, cover, n_columns):
    """Append a random tree as nodes in preorder."""
    if n_leaves == 1:
        nodes.append([-1, 0, False, 0, rng.normal(), cover])
        return
    left = int(rng.integers(1, n_leaves))
    left_cover = int(rng.integers(left, cover - (n_leaves - left) + 1))
    node = [rng.integers(n_columns), rng.integers(-2, 3), rng.random() < 0.5, 0, 0.0, cover]
    nodes.append(node)
    add_tree(rng, nodes, root, left, left_cover, n_columns)
    node[3] = len(nodes) - root
    add_tree(rng, nodes, root, n_leaves - left, cover - left_cover, n_columns)


def random_evidence(rng, n_rows, n_columns):
    """Small whole numbers, so that many equal a threshold, and some NaN, inf and -inf."""
    E = rng.integers(-3, 4, (n_rows, n_columns)).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf):
        E[rng.random(E.shape) < 0.1] = value
    return E


def children(trees, root, i):
    return i + 1, root + trees.right[i]


def goes_left(trees, i, x):
    value = x[trees.feature[i]]
    return bool(trees.nan_left[i]) if np.isnan(value) else value <= trees.threshold[i]


def mean(trees, root, i, x, known):
    """The mean value below node i over the training rows, which decide where an unknown column is
    asked.
    """
    if trees.feature[i] < 0:
        return trees.value[i]
    left, right = children(trees, root, i)
    if trees.feature[i] in known:
        return mean(trees, root, left if goes_left(trees, i, x) else right, x, known)
    both = sum(trees.cover[c] * mean(trees, root, c, x, known) for c in (left, right))
    return both / trees.cover[i]


def known_log_odds(trees, x, known):
    """The mean log-odds of a row of which only some columns are known."""
    roots = trees.indptr[:-1]
    return trees.baseline + sum(mean(trees, root, root, x, known) for root in roots)


def log_odds(trees, E):
    every = set(range(E.shape[1]))
    return np.array([known_log_odds(trees, x, every) for x in E])


def contributions(trees, E):
    """Shapley values by their definition, and the mean log-odds."""
    out = np.zeros((len(E), E.shape[1] + 1))
    for row, x in zip(out, E, strict=True):
        row[:-1] = shapley(lambda known, x=x: known_log_odds(trees, x, known), E.shape[1])
        row[-1] = known_log_odds(trees, x, set())
    return out


def shapley(game, n):
    """What each of n players adds to the game, a function of a set of players."""
    worth = {s: game(set(s)) for k in range(n + 1) for s in combinations(range(n), k)}
    out = np.zeros(n)
    for s, value in worth.items():
        for i in set(range(n)) - set(s):
            weight = factorial(len(s)) * factorial(n - len(s) - 1) / factorial(n)
            out[i] += weight * (worth[tuple(sorted((*s, i)))] - value)
    return out
