"""The label tree as a value: grown by training.grow or given by the user, saved and loaded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arrays import frozen, pointers
from .errors import DataError


class LabelTree(NamedTuple):
    """A tree whose leaves are labels, all at the same depth.

    chunks: of each level from the top, pointers (int64): the children of node n of the level above
        are the nodes chunks[level][n] .. chunks[level][n + 1] - 1. Those of the last are leaves.
    labels: int32, the label of each leaf; a label that is not in the tree is never predicted.
    """

    chunks: tuple[np.ndarray, ...]
    labels: np.ndarray

    @property
    def depth(self) -> int:
        """How many levels of scorers it has."""
        return len(self.chunks)

    def parents(self, level: int) -> np.ndarray:
        """The parent of each node of a level, int32, ascending."""
        return np.repeat(
            np.arange(len(self.chunks[level]) - 1, dtype=np.int32), np.diff(self.chunks[level])
        )

    def restricted_to(self, kept: np.ndarray) -> LabelTree:
        """The tree of the labels where `kept`, (n_labels,) bool, is True, without the nodes that
        this leaves empty.
        """
        alive = kept[self.labels]
        labels, chunks = self.labels[alive], []
        for level in reversed(range(self.depth)):
            sizes = np.bincount(self.parents(level)[alive], minlength=len(self.chunks[level]) - 1)
            alive = sizes > 0 if level else np.ones(1, bool)
            chunks.append(pointers(sizes[alive]))
        return LabelTree(tuple(reversed(chunks)), frozen(labels))


def one_vs_all(labels: np.ndarray) -> LabelTree:
    """The tree of height one."""
    return LabelTree((pointers([len(labels)]),), frozen(labels.astype(np.int32)))


def as_tree(tree: Any, n_labels: int, who: str) -> LabelTree:
    """The tree on arrays of the types that a LabelTree has, where it may come as lists.

    Raises DataError unless it is well formed and its labels are below n_labels.
    """
    try:
        chunks, labels = tuple(map(_ints, tree.chunks)), _ints(tree.labels)
    except (AttributeError, TypeError, ValueError):
        raise DataError(
            f"{who}: expected vectors of ints as chunks and labels of the tree"
        ) from None
    check_tree(LabelTree(chunks, labels), n_labels, who)
    return LabelTree(tuple(map(frozen, chunks)), frozen(labels.astype(np.int32)))


def _ints(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise ValueError
    return array.astype(np.int64)


def check_tree(tree: LabelTree, n_labels: int, who: str) -> None:
    """Raise DataError unless `tree` is well formed and its labels are below n_labels."""
    if not tree.chunks:
        raise DataError(f"{who}: expected a tree with at least one level")
    n_nodes = 1
    for level, chunk in enumerate(map(np.asarray, tree.chunks)):
        if len(chunk) != n_nodes + 1 or chunk[0] != 0 or (np.diff(chunk) < 0).any():
            pointers_from_0 = f"{n_nodes + 1} ascending pointers from 0 on"
            raise DataError(f"{who}: expected {pointers_from_0} in level {level} of the tree")
        n_nodes = int(chunk[-1])
    labels = np.asarray(tree.labels)
    if len(labels) != n_nodes or len(np.unique(labels)) != len(labels):
        raise DataError(
            f"{who}: expected the tree to hold {n_nodes:,} different labels, one per leaf"
        )
    if len(labels) and not (0 <= labels.min() and labels.max() < n_labels):
        got = f"{labels.min()} to {labels.max()}"
        raise DataError(f"{who}: expected labels 0 to {n_labels - 1:,} in the tree, got {got}")
