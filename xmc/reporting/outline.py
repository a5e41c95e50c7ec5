"""The trees of a model in outline: the nodes with the most training rows, and their telling words.

A tree may have hundreds of thousands of nodes, a page or a figure has room for some: those nodes
are unfolded first below which most training rows lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from ..explaining.build import numbered
from ..label_tree import LabelTree
from ..layer import Layer, weights_of
from ..member import Member
from ..ranking.trees import Trees
from .labels import Labels
from .training_rows import TrainingRows, training_rows
from .words import N_WORDS, Words

N_READ = 3 * N_WORDS  # features, as several may be one word
NOTHING = np.empty(0, np.int64)
Place = tuple[int, int]  # a node: its depth, 0 for the root, and its number there


class Bounds(NamedTuple):
    """How much of a model's trees is shown."""

    n_nodes: int  # of all trees
    n_children: int  # of one node; in a flat tree more, as there is room for them
    depth: int  # levels


class Node(NamedTuple):
    """A node of a tree, or a label, with what is shown below it."""

    name: str  # of a label; of inner nodes ""
    words: list[str]  # of its largest weights above 0, the largest first
    n_labels: int  # at and below the node
    n_rows: int  # training rows of these labels, a row counting once for each that it has
    children: list[Node]
    n_more: int  # children that are not shown
    n_more_labels: int  # at and below those


class Outline(NamedTuple):
    """A tree of a model in outline."""

    title: str
    root: Node
    n_nodes: int  # below the root, labels among them
    n_shown: int


def node_text(node: Node) -> str:
    """What a node is: a label by its name, or how many labels are below it."""
    return node.name or f"{node.n_labels:,} labels"


def words_text(node: Node) -> str:
    """The words of a node, on one line."""
    return ", ".join(node.words)


def more_text(node: Node) -> str:
    """What is left out below a node of which some children are shown; "" if it is nothing."""
    if not node.n_more or not node.children:
        return ""
    what = "label" if node.n_more == node.n_more_labels else "node"
    plural = "" if node.n_more == 1 else "s"
    of = "" if what == "label" else f" with {node.n_more_labels:,} labels"
    return f"and {node.n_more:,} more {what}{plural}{of}"


def outlines(model: Any, labels: Labels, bounds: Bounds) -> list[Outline]:
    """An outline of each tree of a trained model; none of a model without trees."""
    words, trained = Words(model), training_rows(model)
    trees = list(_trees(model))
    share = bounds._replace(n_nodes=bounds.n_nodes // max(1, len(trees)))
    return [_outline(title, own, words, labels, trained, share) for title, own in trees]


def _trees(model: Any) -> Iterator[tuple[str, Member]]:
    """The trees of a model or of its base models, their labels as the user numbers them."""
    predictor, kept = model.model_.predictor, model.model_.kept_labels
    bases = getattr(predictor, "bases", ())
    kinds = [f"{kind}, " for kind in numbered([base.estimator for base in bases])]
    several = list(zip(kinds, (base.predictor for base in bases), strict=True))
    for name, own in several or [("", predictor)]:
        if isinstance(own, Trees):
            members = own.members_with(kept)
            for n, member in enumerate(members, 1):
                yield f"{name}tree {n} of {len(members)}", member


def _outline(
    title: str,
    member: Member,
    words: Words,
    labels: Labels,
    trained: TrainingRows,
    bounds: Bounds,
) -> Outline:
    tree = member.tree
    n_labels = _at_and_below(tree, np.ones(len(tree.labels), np.int64))
    n_rows = _at_and_below(tree, trained.of(tree.labels))
    shown = _unfolded(tree, n_rows, bounds)
    told = _words_of_nodes(member, shown, words)

    def node(depth: int, n: int) -> Node:
        children = shown.get((depth, n), NOTHING)
        is_label = depth == tree.depth
        n_children = 0 if is_label else int(np.diff(tree.chunks[depth][n : n + 2])[0])
        n_seen = 0 if is_label else int(n_labels[depth + 1][children].sum())
        own = int(n_labels[depth][n])
        return Node(
            labels.name(int(tree.labels[n])) if is_label else "",
            told.get((depth, n), []),
            own,
            int(n_rows[depth][n]),
            [node(depth + 1, child) for child in children.tolist()],
            n_children - len(children),
            0 if is_label else own - n_seen,
        )

    n_nodes = sum(int(chunks[-1]) for chunks in tree.chunks)
    return Outline(title, node(0, 0), n_nodes, sum(map(len, shown.values())))


def _at_and_below(tree: LabelTree, values: np.ndarray) -> list[np.ndarray]:
    """By depth, the sum of the leaves' values at and below each node."""
    found = [values]
    for chunks in reversed(tree.chunks):
        before = np.concatenate([[0], np.cumsum(found[0])])
        found.insert(0, before[chunks[1:]] - before[chunks[:-1]])
    return found


def _unfolded(tree: LabelTree, n_rows: list[np.ndarray], bounds: Bounds) -> dict[Place, np.ndarray]:
    """The children that are shown of each node that is unfolded, those with most rows first."""
    shown: dict[Place, np.ndarray] = {}
    waiting, left = [(0, 0, 0)], bounds.n_nodes
    most = max(bounds.n_children, bounds.n_nodes // 10 ** (tree.depth - 1))
    while waiting and left > 0:
        _, depth, n = heappop(waiting)
        first, last = tree.chunks[depth][n : n + 2].tolist()
        below = n_rows[depth + 1][first:last]
        order = np.argsort(-below, kind="stable")[: min(most, left)]
        shown[depth, n] = first + order
        left -= len(order)
        if depth + 1 < min(tree.depth, bounds.depth):
            for child in order.tolist():
                heappush(waiting, (-int(below[child]), depth + 1, first + child))
    return shown


def _words_of_nodes(
    member: Member, shown: dict[Place, np.ndarray], words: Words
) -> dict[Place, list[str]]:
    """The telling words of each node that is shown."""
    told = {}
    for (depth, _), children in shown.items():
        for child in children.tolist():
            own = telling(member.layers[depth], child, words.n_features, N_READ)
            told[depth + 1, child] = words.of(own)
    return told


def telling(layer: Layer, node: int, n_features: int, n: int) -> np.ndarray:
    """The n features of largest weight above 0 of a node's scorer, the largest first."""
    features, weights = weights_of(layer, node, n_features)
    order = np.argsort(-weights, kind="stable")[:n]
    return features[order[weights[order] > 0]]
