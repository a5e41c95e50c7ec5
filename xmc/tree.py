"""Label trees: the value, and two ways to grow one from label embeddings."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .errors import DataError
from .kernels.gather import pick
from .kernels.kmeans import bisect, embed, means, nearest
from .kernels.lanes import N_LANES
from .matrix import Rows, frozen, pointers
from .parallel import n_threads, run

WIDE_LEAF, NARROW_LEAF = 4, 50  # of a shallow tree: split leaves that average over 4 x arity labels, into about 50
KMEANS_MAX_ITER = 20
# Largest features of a label that k-means sees, and the gain at which it stops: halves of many labels that are alike
# need more of both to come out well than clusters of any size.
EMBEDDING_FEATURES = {"balanced": 1024, "shallow": 256}
KMEANS_TOL = {"balanced": 1e-4, "shallow": 1e-3}


class LabelTree(NamedTuple):
    """A tree whose leaves are labels, all at the same depth.

    chunks: per level from the top, pointers (int64): the children of node n of the level above are the nodes
        chunks[level][n] .. chunks[level][n + 1] - 1; the last level's nodes are places in `labels`.
    labels: int32, the label at each place; a label that is not in the tree is never predicted.
    """

    chunks: tuple[np.ndarray, ...]
    labels: np.ndarray

    @property
    def depth(self) -> int:
        return len(self.chunks)

    def parents(self, level: int) -> np.ndarray:
        """The parent of each node of a level, int32, ascending."""
        return np.repeat(np.arange(len(self.chunks[level]) - 1, dtype=np.int32), np.diff(self.chunks[level]))

    def restricted_to(self, kept: np.ndarray) -> LabelTree:
        """The tree without the labels where `kept` is False, and without nodes that this leaves empty."""
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


def check_tree(tree: LabelTree, n_labels: int, who: str) -> None:
    """Raise DataError unless `tree` is well formed and its labels are below n_labels."""
    if not tree.chunks:
        raise DataError(f"{who}: expected a tree with at least one level")
    n_nodes = 1
    for level, chunk in enumerate(map(np.asarray, tree.chunks)):
        if len(chunk) != n_nodes + 1 or chunk[0] != 0 or (np.diff(chunk) < 0).any():
            raise DataError(f"{who}: expected {n_nodes + 1} ascending pointers from 0 on in level {level} of the tree")
        n_nodes = int(chunk[-1])
    labels = np.asarray(tree.labels)
    if len(labels) != n_nodes or len(np.unique(labels)) != len(labels):
        raise DataError(f"{who}: expected the tree to hold {n_nodes:,} different labels, one per leaf")
    if len(labels) and not (0 <= labels.min() and labels.max() < n_labels):
        raise DataError(
            f"{who}: expected labels 0 to {n_labels - 1:,} in the tree, got {labels.min()} to {labels.max()}"
        )


def label_embeddings(
    X: Rows, rows_of_label: tuple[np.ndarray, np.ndarray], labels: np.ndarray, n_kept: int, n_jobs: int | None
) -> Rows:
    """One unit-length row per label, the direction of the sum of its training rows (PIFA), n_kept features."""
    indptr, rows = rows_of_label
    jobs = [(part,) for part in np.array_split(labels, max(1, min(64, len(labels) // 64)))]

    def task(part):
        zeros = np.zeros(X.n_features, np.float32), np.zeros(X.n_features, np.bool_)
        return embed(indptr, rows, X.indptr, X.indices, X.data, part, n_kept, *zeros)

    parts = run(task, jobs, n_jobs)
    sizes = np.concatenate([np.diff(p[0]) for p in parts])
    return Rows(
        pointers(sizes),
        frozen(np.concatenate([p[1] for p in parts])),
        frozen(np.concatenate([p[2] for p in parts])),
        X.n_features,
    )


def balanced(
    Z: Rows, labels: np.ndarray, arity: int, max_leaf_size: int, max_depth: int | None, seed: tuple, n_jobs: int | None
) -> LabelTree:
    """Recursive 2-means of equal halves, its levels merged into nodes of `arity` children.

    (Prabhu et al., Parabel, WWW 2018; Yu et al., PECOS, JMLR 2022.) Row i of Z belongs to labels[i].
    """
    n_leaves = math.ceil(len(labels) / max_leaf_size)
    inner = next(n for n in range(64) if arity**n >= n_leaves)
    inner = inner if max_depth is None else min(inner, max_depth - 1)
    n_leaves = min(n_leaves, arity**inner)
    ends = np.arange(n_leaves + 1) * len(labels) // n_leaves  # where each leaf ends among the labels
    parts, leaves, chunks = [np.arange(len(labels), dtype=np.int32)], [range(n_leaves)], []
    for level in range(inner):
        below = [_shares(part, arity ** (inner - 1 - level)) for part in leaves]
        sizes = [[int(ends[share.stop] - ends[share.start]) for share in shares] for shares in below]
        jobs = [(Z, part, size, (*seed, level, n)) for n, (part, size) in enumerate(zip(parts, sizes, strict=True))]
        parts = [child for children in run(_split, jobs, n_jobs) for child in children]
        chunks.append(pointers([len(shares) for shares in below]))
        leaves = [share for shares in below for share in shares]
    return _tree(chunks, parts, labels)


def _shares(leaves: range, most: int) -> list[range]:
    """The range in as few even parts as have `most` leaves at most."""
    n = math.ceil(len(leaves) / most)
    ends = [leaves.start + len(leaves) * i // n for i in range(n + 1)]
    return [range(a, b) for a, b in zip(ends, ends[1:], strict=False)]


def shallow(Z: Rows, labels: np.ndarray, arity: int, max_depth: int, seed: tuple, n_jobs: int | None) -> LabelTree:
    """k-means with k = arity and clusters of any size; the clusters of very many labels are clustered again.

    (Khandagale et al., Bonsai, Machine Learning 2020.) Row i of Z belongs to labels[i].
    """
    parts = [np.arange(len(labels), dtype=np.int32)]
    chunks: list[np.ndarray] = []
    while len(chunks) < max_depth - 1 and len(labels) > (WIDE_LEAF * arity * len(parts) if chunks else arity):
        counts = [arity if not chunks else min(arity, math.ceil(len(part) / NARROW_LEAF)) for part in parts]
        inner = n_jobs if len(parts) == 1 else 1  # the root's rows are shared among the threads, else the nodes are
        jobs = [
            (Z, part, k, (*seed, len(chunks), n), inner) for n, (part, k) in enumerate(zip(parts, counts, strict=True))
        ]
        split = run(_cluster, jobs, n_jobs)
        chunks.append(pointers([len(children) for children in split]))
        parts = [child for children in split for child in children]
    return _tree(chunks, parts, labels)


def _tree(chunks: list[np.ndarray], parts: list[np.ndarray], labels: np.ndarray) -> LabelTree:
    order = np.concatenate(parts)
    return LabelTree((*chunks, pointers([len(p) for p in parts])), frozen(labels[order].astype(np.int32)))


def _split(Z: Rows, members: np.ndarray, sizes: list[int], seed: tuple) -> list[np.ndarray]:
    """The members in clusters of the given sizes, by 2-means again and again."""
    return [members[part] for part in _halves(_pick(Z, members), np.arange(len(members)), sizes, seed)]


def _halves(rows: Rows, members: np.ndarray, sizes: list[int], seed: tuple) -> list[np.ndarray]:
    """The members, one per row, in clusters of the given sizes."""
    if len(sizes) < 2:
        return [members]
    half = len(sizes) // 2
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    starts = rng.choice(len(members), 2, replace=False)
    left = bisect(*rows[:3], rows.n_features, sum(sizes[:half]), starts, KMEANS_TOL["balanced"], KMEANS_MAX_ITER)
    found = []
    for n, (part, own) in enumerate(((left, sizes[:half]), (~left, sizes[half:]))):
        kept = np.flatnonzero(part).astype(np.int32)
        below = _pick(rows, kept) if len(own) > 1 else rows
        found += _halves(below, members[kept], own, (*seed, n))
    return found


def _cluster(Z: Rows, members: np.ndarray, k: int, seed: tuple, n_jobs: int | None) -> list[np.ndarray]:
    """The members in at most k clusters by spherical k-means."""
    if k < 2 or len(members) <= k:
        return [members]
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    rows = _pick(Z, members)
    cluster = np.full(len(members), -1, np.int32)
    cluster[rng.choice(len(members), k, replace=False)] = np.arange(k)
    similarity = np.empty(len(members), np.float32)
    size = max(1024, -(-len(members) // (4 * n_threads(n_jobs))))
    blocks = [(start, min(start + size, len(members))) for start in range(0, len(members), size)]
    n_blocks = -(-k // N_LANES)
    centroids = np.empty(n_blocks * rows.n_features * N_LANES, np.float32)
    before = -math.inf
    for _ in range(KMEANS_MAX_ITER):
        run(means, [(*rows[:3], cluster, block, rows.n_features, centroids) for block in range(n_blocks)], n_jobs)
        run(nearest, [(*rows[:3], *block, centroids, k, cluster, similarity) for block in blocks], n_jobs)
        together = float(similarity.sum(dtype=np.float64))
        if together <= before * (1 + KMEANS_TOL["shallow"]):
            break
        before = together
    order = np.argsort(cluster, kind="stable")
    parts = np.split(members[order], np.cumsum(np.bincount(cluster, minlength=k))[:-1])
    return [part for part in parts if len(part)]


def _pick(Z: Rows, members: np.ndarray) -> Rows:
    """The members' rows with the features they use renumbered."""
    arrays = frozen(Z.indptr), frozen(Z.indices), frozen(Z.data), frozen(members)
    indptr, indices, data, features = pick(*arrays, np.zeros(Z.n_features, np.int32))
    return Rows(indptr, indices, data, len(features))
