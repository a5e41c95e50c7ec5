"""Gradient-boosted trees as plain arrays: their log-odds, and which column adds what to them.

scikit-learn fits them (HistGradientBoostingClassifier, two classes, log-loss); everything after
that is done here, without it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..arrays import frozen, pointers
from ..errors import ParameterError
from ..kernels import boosted as kernels

READ = ("_predictors", "_baseline_prediction", "is_categorical_", "classes_", "loss")
NODE = (
    *("is_leaf", "left", "right", "feature_idx", "num_threshold", "missing_go_to_left"),
    *("value", "count"),
)


class BoostedTrees(NamedTuple):
    """Boosted trees. All arrays are read-only, and all but the first have one value per node.

    A tree's nodes are in preorder: a node, its left subtree, its right one. So the left child of
    node i is node i + 1.

    indptr: int64 (n_trees + 1,), where each tree's nodes start.
    feature: int32, the column that a node asks; -1 in a leaf.
    threshold: float32, a value goes left if it is at most this; 0 in a leaf.
    nan_left: bool, whether NaN goes left; False in a leaf.
    right: int32, the right child, counted from the tree's root; 0 in a leaf.
    value: float64, what a leaf adds to the log-odds; 0 in an inner node.
    cover: int64, how many training rows came by.
    baseline: the log-odds before any tree.
    """

    indptr: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    nan_left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    cover: np.ndarray
    baseline: float


DTYPES = {
    "indptr": np.int64,
    "feature": np.int32,
    "threshold": np.float32,
    "nan_left": np.bool_,
    "right": np.int32,
    "value": np.float64,
    "cover": np.int64,
}


def from_sklearn(fitted: Any) -> BoostedTrees:
    """The trees of a fitted HistGradientBoostingClassifier: two classes, no categorical columns.

    Thresholds are rounded down to float32, so that every float32 goes the way it went before.
    Raises ParameterError for any other model, and if a version of scikit-learn keeps its trees in
    another way.
    """
    trees = [_one_tree(_in_preorder(nodes)) for nodes in _node_tables(fitted)]
    arrays = {
        name: frozen(np.concatenate([tree[name] for tree in trees]).astype(DTYPES[name]))
        for name in trees[0]
    }
    indptr = pointers([len(tree["feature"]) for tree in trees])
    return BoostedTrees(indptr, **arrays, baseline=float(fitted._baseline_prediction[0, 0]))


def constant(baseline: float) -> BoostedTrees:
    """No trees: every row has these log-odds."""
    none = (frozen(np.empty(0, DTYPES[name])) for name in BoostedTrees._fields[1:-1])
    return BoostedTrees._make([pointers([]), *none, baseline])


def _node_tables(fitted: Any) -> list[np.ndarray]:
    """scikit-learn's own table of nodes of each tree, once it is clear that we understand it."""
    wanted = "BoostedTrees: expected a fitted HistGradientBoostingClassifier"
    if lacking := [name for name in READ if not hasattr(fitted, name)]:
        raise ParameterError(
            f"{wanted}, got a {type(fitted).__name__} without {', '.join(lacking)}"
        )
    if fitted.loss != "log_loss" or len(fitted.classes_) != 2:
        raise ParameterError(
            f"{wanted} of two classes with loss='log_loss', got {len(fitted.classes_)} classes "
            f"with loss={fitted.loss!r}"
        )
    if fitted.is_categorical_ is not None:
        raise ParameterError(f"{wanted} without categorical columns, got some")
    tables = [getattr(tree, "nodes", np.empty(0)) for trees in fitted._predictors for tree in trees]
    if any(not set(NODE) <= set(table.dtype.names or ()) for table in tables):
        raise ParameterError(f"{wanted} with {', '.join(NODE)} per node, got others")
    return tables


def _in_preorder(nodes: np.ndarray) -> np.ndarray:
    """A table of nodes in preorder, as scikit-learn has it already, without saying so."""
    order, left_to_do = [], [0]
    while left_to_do:
        order.append(i := left_to_do.pop())
        if not nodes["is_leaf"][i]:
            left_to_do += [int(nodes["right"][i]), int(nodes["left"][i])]
    place = np.zeros(len(nodes), np.uint32)
    place[order] = np.arange(len(order))
    ordered = nodes[order]
    ordered["right"] = place[ordered["right"]]
    return ordered


def _one_tree(nodes: np.ndarray) -> dict[str, np.ndarray]:
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "feature": np.where(leaf, -1, nodes["feature_idx"]),
        "threshold": np.where(leaf, 0, round_down(nodes["num_threshold"])),
        "nan_left": ~leaf & nodes["missing_go_to_left"].astype(bool),
        "right": np.where(leaf, 0, nodes["right"]),
        "value": np.where(leaf, nodes["value"], 0),
        "cover": nodes["count"],
    }


def round_down(values: np.ndarray) -> np.ndarray:
    """The largest float32 that is at most each float64."""
    with np.errstate(over="ignore"):  # what float32 can't reach becomes inf, and comes back below
        near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def check(trees: BoostedTrees, n_columns: int) -> None:
    """Raise ValueError unless the arrays fit each other and ask only this many columns.

    Trees that pass can't lead a kernel out of bounds or around in circles.
    """
    _check_shapes(trees)
    node = kernels.misfit(*map(frozen, (trees.indptr, trees.feature, trees.right)), n_columns)
    if node >= 0:
        raise ValueError(
            f"boosted trees: expected trees in preorder over {n_columns} columns, "
            f"node {node} doesn't fit"
        )
    _check_numbers(trees)


def _check_shapes(trees: BoostedTrees) -> None:
    for name, dtype in DTYPES.items():
        array = getattr(trees, name)
        if array.dtype != dtype or array.ndim != 1:
            raise ValueError(f"boosted trees: expected {name} to be flat {np.dtype(dtype)}")
    n_nodes, indptr = len(trees.feature), trees.indptr
    if any(len(array) != n_nodes for array in trees[2:-1]):
        raise ValueError(f"boosted trees: expected {n_nodes} nodes in every array")
    if not len(indptr) or [*indptr[[0, -1]]] != [0, n_nodes] or (indptr[1:] <= indptr[:-1]).any():
        raise ValueError(f"boosted trees: expected indptr to rise from 0 to {n_nodes}")


def _check_numbers(trees: BoostedTrees) -> None:
    inner = np.flatnonzero(trees.feature >= 0)
    root = np.repeat(trees.indptr[:-1], np.diff(trees.indptr))[inner]
    children = trees.cover[inner + 1] + trees.cover[root + trees.right[inner]]
    if (trees.cover < 1).any() or (children != trees.cover[inner]).any():
        raise ValueError("boosted trees: expected each node to cover the rows of its children")
    finite = np.isfinite(trees.value).all() and np.isfinite(trees.baseline)
    if np.isnan(trees.threshold).any() or not finite:
        raise ValueError("boosted trees: expected numbers in thresholds, values and baseline")


def log_odds(trees: BoostedTrees, E: np.ndarray) -> np.ndarray:
    """The log-odds of each row of E: float64 (n_rows,).

    E: float32 (n_rows, n_columns), in C order; NaN is a missing value.
    """
    out = np.empty(len(E))
    kernels.log_odds(*_walked(trees), trees.baseline, frozen(E), out)
    return out


def contributions(trees: BoostedTrees, E: np.ndarray) -> np.ndarray:
    """What each column adds to the log-odds of each row, and last what all rows start from:
    float64 (n_rows, n_columns + 1). Each row sums to its log-odds.

    They are exact Shapley values (TreeSHAP): where a column isn't known, the training rows decide.
    All start from the mean log-odds of the training rows. E is as in `log_odds`.
    """
    n_rows, n_columns = E.shape
    shape = [frozen(array) for array in (trees.indptr, trees.feature, trees.right, trees.cover)]
    *edges, most = kernels.edges(*shape)
    out = np.zeros((n_rows, n_columns + 1))
    known = *map(frozen, edges), *quadrature(max(1, (most + 1) // 2))
    kernels.contributions(*_walked(trees), *known, frozen(E), out)
    out[:, -1] = expectation(trees)
    return out


@cache
def quadrature(n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights that integrate polynomials of degree < 2 n_points from 0 to 1."""
    point, weight = np.polynomial.legendre.leggauss(n_points)
    return frozen((point + 1) / 2), frozen(weight / 2)


def expectation(trees: BoostedTrees) -> float:
    """The mean log-odds of the training rows."""
    leaf = trees.feature < 0
    rows = np.repeat(trees.cover[trees.indptr[:-1]], np.diff(trees.indptr))
    return trees.baseline + float((trees.value * trees.cover / rows)[leaf].sum())


def importance(trees: BoostedTrees, E_sample: np.ndarray) -> np.ndarray:
    """How far each column moves the log-odds, up or down, on average over the rows of a sample:
    float64 (n_columns,). It is 0 for a column that no tree asks.
    """
    total = np.abs(contributions(trees, E_sample)[:, :-1]).sum(axis=0)
    return total / max(1, len(E_sample))


def _walked(trees: BoostedTrees) -> list[np.ndarray]:
    """The arrays that a walk down needs, as kernels want them."""
    return [frozen(array) for array in trees[:6]]
