"""Grow label trees from label embeddings, in one of two shapes.

Both growers split points, which are rows of Z: row i is the embedding of labels[i].
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from ..arrays import Lists, Rows, frozen, pointers
from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..embedding import label_embeddings
from ..kernels.gather import pick
from ..kernels.kmeans import bisect, means, nearest, split_along
from ..kernels.lanes import N_LANES
from ..label_tree import LabelTree
from ..parallel import n_threads, run
from ..params import LabelTreeParams
from ..progress import Progress
from ..spill import IN_MEMORY, Spill

# "auto" takes the shallow tree for these numbers of labels. It ranks better than the balanced one,
# but with more labels its clusters of very uneven size take far longer to train.
SHALLOW_FOR = range(1000, 100_001)
# A shallow tree splits its leaves again if they hold more than WIDE_LEAF x arity labels on average,
# into leaves of about NARROW_LEAF.
WIDE_LEAF, NARROW_LEAF = 4, 50
# If nobody says how many clusters, there are so many that a leaf holds FULL_LEAF x arity labels on
# average, but LEAST_ARITY at least: with many labels, wider leaves and a third level rank worse.
LEAST_ARITY, FULL_LEAF = 100, 1.5
BALANCED_ARITY = 16
# k-means sees the largest features of a label, this many, and stops at this gain. Halves of many
# labels that are alike need more of both to come out well than clusters of any size.
EMBEDDING_FEATURES = {"balanced": 1024, "shallow": 256}
KMEANS_TOL = {"balanced": 1e-4, "shallow": 1e-3}
KMEANS_MAX_ITER = 20
# 2-means reads rows faster from a copy, where they lie together with their own features; a copy of
# more entries than these is not worth the memory that each thread would hold.
COPIED = 1 << 25
# Of more points than these, as many decide in which direction all are halved: trees rank no worse
# for it, with a twentieth of the points even, and 2-means passes over few of them.
SAMPLE = 1 << 13
SHARES = 4  # nodes for each worker, at which each node is a job


def grow_trees(
    X: Rows,
    rows_of_label: Lists,
    params: LabelTreeParams,
    seed: int,
    progress: Progress,
    checkpoint: Checkpoint = NOTHING_KEPT,
    spill: Spill = IN_MEMORY,
) -> list[LabelTree]:
    """One tree per ensemble member, over the labels that have rows."""
    labels = with_rows(rows_of_label)
    shape = shape_of(params.tree, len(labels))
    advance = progress.stage(f"label tree, {shape}", params.n_trees + 1)

    @cache
    def embeddings() -> Rows:  # none if all trees are kept
        how = EMBEDDING_FEATURES[shape], params.n_jobs, spill, checkpoint.executor
        Z = label_embeddings(X, rows_of_label, labels, *how)
        advance(1)
        return Z

    def grow(member: int) -> LabelTree:
        return _grow(embeddings(), labels, shape, params, (seed, member), checkpoint)

    jobs = [(member,) for member in range(params.n_trees)]
    return checkpoint.here().run("trees", LabelTree, grow, jobs, done=lambda _: advance(1))


def with_rows(rows_of_label: Lists) -> np.ndarray:
    """The labels that have rows, int32."""
    return np.flatnonzero(np.diff(rows_of_label.indptr)).astype(np.int32)


def shape_of(wanted: str, n_labels: int) -> str:
    """The shape of a tree, where "auto" leaves it to the number of labels."""
    if wanted != "auto":
        return wanted
    return "shallow" if n_labels in SHALLOW_FOR else "balanced"


def _grow(
    Z: Rows,
    labels: np.ndarray,
    shape: str,
    params: LabelTreeParams,
    seed: tuple[int, ...],
    checkpoint: Checkpoint,
) -> LabelTree:
    how = seed, params.n_jobs, checkpoint
    if shape == "balanced":
        sizes = params.arity or BALANCED_ARITY, params.max_leaf_size, params.max_depth
        return balanced(Z, labels, *sizes, *how)
    arity = params.arity or shallow_arity(len(labels))
    return shallow(Z, labels, arity, params.max_depth or 3, *how)


def shallow_arity(n_labels: int) -> int:
    """Children of an inner node of a shallow tree, if nobody says how many.

    Very many labels take three levels, whose leaves are NARROW_LEAF wide whatever the arity.
    """
    if n_labels > SHALLOW_FOR[-1]:
        return LEAST_ARITY
    return max(LEAST_ARITY, math.ceil(math.sqrt(n_labels / FULL_LEAF)))


def balanced(
    Z: Rows,
    labels: np.ndarray,
    arity: int,
    max_leaf_size: int,
    max_depth: int | None,
    seed: tuple[int, ...],
    n_jobs: int | None,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> LabelTree:
    """A tree by recursive 2-means of equal halves; some levels are merged into one for the arity.

    (Prabhu et al., Parabel, WWW 2018; Yu et al., PECOS, JMLR 2022.)
    """
    n_leaves, n_inner = balanced_shape(len(labels), arity, max_leaf_size, max_depth)
    ends = np.arange(n_leaves + 1) * len(labels) // n_leaves  # where each leaf ends in the labels
    # Of each node of a level: its points, and the leaves that will come of them.
    points, leaves = [np.arange(len(labels), dtype=np.int32)], [range(n_leaves)]
    chunks = []
    for level in range(n_inner):
        shares = [_shares(own, arity ** (n_inner - 1 - level)) for own in leaves]
        sizes = [[int(ends[s.stop] - ends[s.start]) for s in below] for below in shares]
        nodes = [
            Halving(own, own_sizes, (*seed, level, n))
            for n, (own, own_sizes) in enumerate(zip(points, sizes, strict=True))
        ]
        points = _clusters(Z, nodes, checkpoint, n_jobs)
        leaves = [share for below in shares for share in below]
        chunks.append(pointers([len(below) for below in shares]))
    return _tree(chunks, points, labels)


def balanced_shape(
    n_labels: int, arity: int, max_leaf_size: int, max_depth: int | None
) -> tuple[int, int]:
    """How many leaves a balanced tree has, and how many levels above them."""
    n_leaves = math.ceil(n_labels / max_leaf_size)
    n_inner = next(n for n in range(64) if arity**n >= n_leaves)
    n_inner = n_inner if max_depth is None else min(n_inner, max_depth - 1)
    return min(n_leaves, arity**n_inner), n_inner


def _shares(leaves: range, most: int) -> list[range]:
    """The range in as few even parts as hold at most `most` leaves each."""
    n = math.ceil(len(leaves) / most)
    ends = [leaves.start + len(leaves) * i // n for i in range(n + 1)]
    return [range(a, b) for a, b in zip(ends, ends[1:], strict=False)]


class Halving(NamedTuple):
    """Points that become clusters of these sizes, by 2-means again and again."""

    points: np.ndarray
    sizes: list[int]
    seed: tuple[int, ...]


def _clusters(
    Z: Rows, nodes: list[Halving], checkpoint: Checkpoint, n_jobs: int | None
) -> list[np.ndarray]:
    """The clusters of all nodes, one after another.

    Where nodes are few, each halving is a job of its own, so that all workers have some.
    """
    few = SHARES * checkpoint.n_workers(n_jobs)
    while len(nodes) < few and any(len(node.sizes) > 1 for node in nodes):
        halves = checkpoint.anew(_halved, [(Z, node) for node in nodes], n_jobs)
        nodes = [half for both in halves for half in both]
    found = checkpoint.anew(_split, [(Z, node) for node in nodes], n_jobs)
    return [cluster for clusters in found for cluster in clusters]


def _split(Z: Rows, node: Halving) -> list[np.ndarray]:
    """The node's clusters."""
    points, sizes, seed = node
    if len(points) * (len(Z.indices) / Z.n_rows) > COPIED:
        return _halves(Z, node)
    own = _rows_of(Z, points)
    parts = _halves(own, Halving(np.arange(len(points), dtype=np.int32), sizes, seed))
    return [points[part] for part in parts]


def _halves(Z: Rows, node: Halving) -> list[np.ndarray]:
    if len(node.sizes) < 2:
        return [node.points]
    return [cluster for half in _halved(Z, node) for cluster in _halves(Z, half)]


def _halved(Z: Rows, node: Halving) -> list[Halving]:
    """Both halves of a node; a node that is a cluster is left."""
    points, sizes, seed = node
    if len(sizes) < 2:
        return [node]
    half = len(sizes) // 2
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    left = _bisected(Z, frozen(points), sum(sizes[:half]), rng)
    own = (left, sizes[:half]), (~left, sizes[half:])
    return [Halving(points[side], part, (*seed, n)) for n, (side, part) in enumerate(own)]


def _bisected(Z: Rows, points: np.ndarray, n_left: int, rng: np.random.Generator) -> np.ndarray:
    """Which points are in the left half, which has n_left of them."""
    seen, n_seen = points, min(SAMPLE, len(points))
    if n_seen < len(points):
        seen = frozen(points[np.sort(rng.choice(len(points), n_seen, replace=False))])
    starts = rng.choice(n_seen, 2, replace=False)
    how = starts, KMEANS_TOL["balanced"], KMEANS_MAX_ITER
    left, direction = bisect(*Z, seen, n_left * n_seen // len(points), *how)
    return left if seen is points else split_along(*Z[:3], points, n_left, direction)


def shallow(
    Z: Rows,
    labels: np.ndarray,
    arity: int,
    max_depth: int,
    seed: tuple[int, ...],
    n_jobs: int | None,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> LabelTree:
    """A tree by k-means with k = arity; clusters have any size.

    The clusters of very many labels are clustered again. (Khandagale et al., Bonsai, Machine
    Learning 2020.)
    """
    points = [np.arange(len(labels), dtype=np.int32)]  # of each node of a level
    chunks: list[np.ndarray] = []
    while len(chunks) < max_depth - 1:
        root = not chunks
        if len(labels) <= (arity if root else WIDE_LEAF * arity * len(points)):
            break
        counts = [arity if root else min(arity, math.ceil(len(p) / NARROW_LEAF)) for p in points]
        jobs = [
            (Z, own, k, (*seed, len(chunks), n))
            for n, (own, k) in enumerate(zip(points, counts, strict=True))
        ]
        # The threads share the rows of a single node, and otherwise the workers the nodes.
        if len(points) == 1:
            clusters = [_cluster(*jobs[0], n_jobs)]
        else:
            clusters = checkpoint.anew(_cluster, jobs, n_jobs)
        chunks.append(pointers([len(children) for children in clusters]))
        points = [child for children in clusters for child in children]
    return _tree(chunks, points, labels)


def _cluster(
    Z: Rows, points: np.ndarray, k: int, seed: tuple[int, ...], n_jobs: int | None = 1
) -> list[np.ndarray]:
    """The points in at most k clusters by spherical k-means."""
    if k < 2 or len(points) <= k:
        return [points]
    own = _rows_of(Z, points)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    cluster = np.full(len(points), -1, np.int32)
    cluster[rng.choice(len(points), k, replace=False)] = np.arange(k)
    _kmeans(own, cluster, k, n_jobs)
    order = np.argsort(cluster, kind="stable")
    ends = np.cumsum(np.bincount(cluster, minlength=k))[:-1]
    return [part for part in np.split(points[order], ends) if len(part)]


def _kmeans(Z: Rows, cluster: np.ndarray, k: int, n_jobs: int | None) -> None:
    """Write the cluster of each row of Z; at first it holds the k rows to start from, else -1."""
    rows = Z.indptr, Z.indices, Z.data
    similarity = np.empty(Z.n_rows, np.float32)
    size = max(1024, -(-Z.n_rows // (4 * n_threads(n_jobs))))
    batches = [(start, min(start + size, Z.n_rows)) for start in range(0, Z.n_rows, size)]
    n_groups = -(-k // N_LANES)
    centroids = np.empty(n_groups * Z.n_features * N_LANES, np.float32)
    moves = [(*rows, cluster, group, Z.n_features, centroids) for group in range(n_groups)]
    assigns = [(*rows, *batch, centroids, k, cluster, similarity) for batch in batches]
    before = -math.inf
    for _ in range(KMEANS_MAX_ITER):
        run(means, moves, n_jobs)
        run(nearest, assigns, n_jobs)
        together = float(similarity.sum(dtype=np.float64))
        if together <= before * (1 + KMEANS_TOL["shallow"]):
            break
        before = together


def _rows_of(Z: Rows, points: np.ndarray) -> Rows:
    """The points' rows of Z, with only the features that they use, numbered anew."""
    arrays = frozen(Z.indptr), frozen(Z.indices), frozen(Z.data), frozen(points)
    *picked, features = pick(*arrays, np.zeros(Z.n_features, np.int32))
    indptr, indices, data = map(frozen, picked)
    return Rows(indptr, indices, data, len(features))


def _tree(chunks: list[np.ndarray], points: list[np.ndarray], labels: np.ndarray) -> LabelTree:
    """The tree whose inner levels have these chunks, and whose last inner nodes these points."""
    leaves = labels[np.concatenate(points)].astype(np.int32)
    return LabelTree((*chunks, pointers([len(own) for own in points])), frozen(leaves))
