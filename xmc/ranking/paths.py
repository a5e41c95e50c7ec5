"""The path to a label in each tree, and what made each node of it likely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..arrays import Rows, frozen
from ..layer import Layer, parent_of, weights_of
from ..member import Member
from .ensemble import label_candidates
from .search import Candidates, Search, beam, log_probability, scored


class Node(NamedTuple):
    """A node on a path, the label's leaf being the last one.

    number: on its level.
    features: int32, those of the row that have a weight here.
    values: float32, of the row.
    weights: float32.
    bias: what the constant feature adds to the margin.
    margin: values times weights, and bias.
    log_probability: given the parent.
    held: whether the row's beam held it, and of a leaf, whether it held the parent.
    """

    number: int
    features: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    bias: float
    margin: float
    log_probability: float
    held: bool

    @property
    def shares(self) -> np.ndarray:
        """float64, what each feature adds to the margin."""
        return self.values.astype(np.float64) * self.weights


class Path(NamedTuple):
    """The nodes from below the root down to a label, in one tree."""

    nodes: tuple[Node, ...]

    @property
    def log_probability(self) -> float:
        return sum(node.log_probability for node in self.nodes)

    @property
    def reached(self) -> bool:
        """Whether the row's beam came to the label."""
        return all(node.held for node in self.nodes)


class Paths(NamedTuple):
    """How trees come to the score of a label.

    paths: of each member, None where its tree lacks the label.
    probability: averaged over the members; one that the beam didn't reach counts 0.
    score: after tail classifiers or calibration, and the boost: what is shown.
    """

    paths: tuple[Path | None, ...]
    probability: float
    score: float

    def feature_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """Features, ascending, and what each adds to the margins of a path, averaged over the
        members that have the label: float64.
        """
        found = [path for path in self.paths if path is not None]
        return summed([node for path in found for node in path.nodes], max(1, len(found)))


def summed(nodes: list[Node], over: int) -> tuple[np.ndarray, np.ndarray]:
    """Features, ascending, and the sum of the shares of each in these nodes, over a number."""
    none = np.empty(0, np.int32)
    features = np.concatenate([none, *(node.features for node in nodes)])
    shares = np.concatenate([none, *(node.shares for node in nodes)])
    ids, place = np.unique(features, return_inverse=True)
    return ids, np.bincount(place, shares, len(ids)) / over


def parting(a: Paths, b: Paths) -> list[tuple[Node, Node]]:
    """In each tree that has both labels, the nodes where their paths part."""
    pairs = zip(a.paths, b.paths, strict=True)
    both = [zip(one.nodes, other.nodes, strict=True) for one, other in pairs if one and other]
    return [next(pair for pair in path if pair[0].number != pair[1].number) for path in both]


def paths_to(X: Rows, members: tuple[Member, ...], search: Search, label: int) -> Paths:
    """How the trees come to the label's score for the only row of X."""
    found = label_candidates(X, members, search)
    own = np.flatnonzero(found.ids == label)
    one = Candidates(np.array([0, len(own)]), *(column[own] for column in found[1:]))
    numbers = [float(part.score.sum()) for part in (one, scored(X, one, search))]
    return Paths(tuple(_path(X, member, search, label) for member in members), *numbers)


def _path(X: Rows, member: Member, search: Search, label: int) -> Path | None:
    """The path of one tree."""
    leaves = np.flatnonzero(member.tree.labels == label)
    if not len(leaves):
        return None
    numbers = list(_way_up(member.layers, int(leaves[0])))[::-1]
    nodes, last, held = [], len(numbers) - 1, True
    for level, (layer, number) in enumerate(zip(member.layers, numbers, strict=True)):
        if level < last:
            held = number in beam(X, member.layers[: level + 1], search).ids
        nodes.append(_node(X, layer, number, search, held, level < last))
    return Path(tuple(nodes))


def _way_up(layers: tuple[Layer, ...], leaf: int) -> Iterator[int]:
    """The leaf, its parent, and so on, up to the node below the root."""
    for layer in reversed(layers):
        yield leaf
        leaf = parent_of(layer, leaf)


def _node(X: Rows, layer: Layer, number: int, search: Search, held: bool, inner: bool) -> Node:
    own, weights = weights_of(layer, number, X.n_features)
    place = np.searchsorted(own, X.indices)
    has = np.append(own, -1)[place] == X.indices
    values, weights = X.data[has], weights[place[has]]
    bias = search.bias * float(layer.bias_weight[number])
    margin = float(values.astype(np.float64) @ weights) + bias
    parent = parent_of(layer, number)
    only = inner and layer.chunk_ptr[parent + 1] - layer.chunk_ptr[parent] == 1
    log_p = 0.0 if only else float(log_probability(margin, search.transform))
    return Node(number, X.indices[has], values, weights, bias, margin, log_p, held)


def labels_below(member: Member, level: int, number: int) -> np.ndarray:
    """The labels below a node, int32, in the order of the leaves."""
    start, end = number, number + 1
    for layer in member.layers[level + 1 :]:
        start, end = layer.chunk_ptr[start], layer.chunk_ptr[end]
    return frozen(member.tree.labels[start:end])
