"""Label trees: the value, and two ways to grow one from label embeddings."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Lists, Rows, frozen, pointers
from ..embedding import label_embeddings
from ..kernels.gather import pick
from ..kernels.kmeans import bisect, means, nearest
from ..kernels.lanes import N_LANES
from ..label_tree import LabelTree
from ..parallel import n_threads, run
from ..params import LabelTreeParams
from ..progress import Progress

WIDE_LEAF, NARROW_LEAF = (
    4,
    50,
)  # of a shallow tree: split leaves that average over 4 x arity labels, into about 50
KMEANS_MAX_ITER = 20
# Largest features of a label that k-means sees, and the gain at which it stops: halves of many
# labels that are alike need more of both to come out well than clusters of any size.
EMBEDDING_FEATURES = {"balanced": 1024, "shallow": 256}
KMEANS_TOL = {"balanced": 1e-4, "shallow": 1e-3}


def balanced(
    Z: Rows,
    labels: np.ndarray,
    arity: int,
    max_leaf_size: int,
    max_depth: int | None,
    seed: tuple,
    n_jobs: int | None,
) -> LabelTree:
    """Recursive 2-means of equal halves, its levels merged into nodes of `arity` children.

    (Prabhu et al., Parabel, WWW 2018; Yu et al., PECOS, JMLR 2022.) Row i of Z belongs to
    labels[i].
    """
    n_leaves = math.ceil(len(labels) / max_leaf_size)
    inner = next(n for n in range(64) if arity**n >= n_leaves)
    inner = inner if max_depth is None else min(inner, max_depth - 1)
    n_leaves = min(n_leaves, arity**inner)
    ends = (
        np.arange(n_leaves + 1) * len(labels) // n_leaves
    )  # where each leaf ends among the labels
    parts, leaves, chunks = [np.arange(len(labels), dtype=np.int32)], [range(n_leaves)], []
    for level in range(inner):
        below = [_shares(part, arity ** (inner - 1 - level)) for part in leaves]
        sizes = [
            [int(ends[share.stop] - ends[share.start]) for share in shares] for shares in below
        ]
        jobs = [
            (Z, part, size, (*seed, level, n))
            for n, (part, size) in enumerate(zip(parts, sizes, strict=True))
        ]
        parts = [child for children in run(_split, jobs, n_jobs) for child in children]
        chunks.append(pointers([len(shares) for shares in below]))
        leaves = [share for shares in below for share in shares]
    return _tree(chunks, parts, labels)


def _shares(leaves: range, most: int) -> list[range]:
    """The range in as few even parts as have `most` leaves at most."""
    n = math.ceil(len(leaves) / most)
    ends = [leaves.start + len(leaves) * i // n for i in range(n + 1)]
    return [range(a, b) for a, b in zip(ends, ends[1:], strict=False)]


def shallow(
    Z: Rows, labels: np.ndarray, arity: int, max_depth: int, seed: tuple, n_jobs: int | None
) -> LabelTree:
    """k-means with k = arity and clusters of any size; the clusters of very many labels are
    clustered again.

    (Khandagale et al., Bonsai, Machine Learning 2020.) Row i of Z belongs to labels[i].
    """
    parts = [np.arange(len(labels), dtype=np.int32)]
    chunks: list[np.ndarray] = []
    while len(chunks) < max_depth - 1 and len(labels) > (
        WIDE_LEAF * arity * len(parts) if chunks else arity
    ):
        counts = [
            arity if not chunks else min(arity, math.ceil(len(part) / NARROW_LEAF))
            for part in parts
        ]
        inner = (
            n_jobs if len(parts) == 1 else 1
        )  # the root's rows are shared among the threads, else the nodes are
        jobs = [
            (Z, part, k, (*seed, len(chunks), n), inner)
            for n, (part, k) in enumerate(zip(parts, counts, strict=True))
        ]
        split = run(_cluster, jobs, n_jobs)
        chunks.append(pointers([len(children) for children in split]))
        parts = [child for children in split for child in children]
    return _tree(chunks, parts, labels)


def _tree(chunks: list[np.ndarray], parts: list[np.ndarray], labels: np.ndarray) -> LabelTree:
    order = np.concatenate(parts)
    return LabelTree(
        (*chunks, pointers([len(p) for p in parts])), frozen(labels[order].astype(np.int32))
    )


def _split(Z: Rows, members: np.ndarray, sizes: list[int], seed: tuple) -> list[np.ndarray]:
    """The members in clusters of the given sizes, by 2-means again and again."""
    return [
        members[part] for part in _halves(_pick(Z, members), np.arange(len(members)), sizes, seed)
    ]


def _halves(rows: Rows, members: np.ndarray, sizes: list[int], seed: tuple) -> list[np.ndarray]:
    """The members, one per row, in clusters of the given sizes."""
    if len(sizes) < 2:
        return [members]
    half = len(sizes) // 2
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    starts = rng.choice(len(members), 2, replace=False)
    left = bisect(
        *rows[:3],
        rows.n_features,
        sum(sizes[:half]),
        starts,
        KMEANS_TOL["balanced"],
        KMEANS_MAX_ITER,
    )
    found = []
    for n, (part, own) in enumerate(((left, sizes[:half]), (~left, sizes[half:]))):
        kept = np.flatnonzero(part).astype(np.int32)
        below = _pick(rows, kept) if len(own) > 1 else rows
        found += _halves(below, members[kept], own, (*seed, n))
    return found


def _cluster(
    Z: Rows, members: np.ndarray, k: int, seed: tuple, n_jobs: int | None
) -> list[np.ndarray]:
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
        run(
            means,
            [(*rows[:3], cluster, block, rows.n_features, centroids) for block in range(n_blocks)],
            n_jobs,
        )
        run(
            nearest,
            [(*rows[:3], *block, centroids, k, cluster, similarity) for block in blocks],
            n_jobs,
        )
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


# Numbers of labels for which "auto" takes the shallow tree. It ranks better than the balanced one,
# but with more labels its clusters of very uneven size take far longer to train.
SHALLOW_FOR = range(1000, 100_001)


def grow_trees(
    X: Rows, rows_of_label: Lists, params: LabelTreeParams, seed: int, progress: Progress
) -> list[LabelTree]:
    """One tree per ensemble member over the labels that have rows."""
    labels = np.flatnonzero(np.diff(rows_of_label[0])).astype(np.int32)
    shape = (
        params.tree
        if params.tree != "auto"
        else "shallow"
        if len(labels) in SHALLOW_FOR
        else "balanced"
    )
    advance = progress.stage(f"label tree, {shape}", params.n_trees + 1)
    Z = label_embeddings(X, rows_of_label, labels, EMBEDDING_FEATURES[shape], params.n_jobs)
    advance(1)
    trees = []
    for member in range(params.n_trees):
        if shape == "balanced":
            tree = balanced(
                Z,
                labels,
                params.arity or 16,
                params.max_leaf_size,
                params.max_depth,
                (seed, member),
                params.n_jobs,
            )
        else:
            tree = shallow(
                Z, labels, params.arity or 100, params.max_depth or 3, (seed, member), params.n_jobs
            )
        trees.append(tree)
        advance(1)
    return trees
