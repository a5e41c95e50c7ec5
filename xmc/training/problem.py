"""What is trained: the problem of a tree, its levels and their chunks; and the weights found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Lists, Rows, Targets, frozen
from ..inputs import taken
from ..kernels.gather import fold, gather, relabel, squared_norms, targets, transpose
from ..kernels.lanes import N_LANES
from ..label_tree import LabelTree
from ..spill import IN_MEMORY, Spill

# Up to this many siblings that all rows train use X itself: sorting its features by frequency would
# take as long as it saves, and memory. Of siblings that are solved later, fewer make up for it.
NARROW = 128

EQUAL = frozen(np.empty(0, np.float32))  # the weights of rows that all weigh 1

UserNegatives = Sequence[Lists | None]  # of each level from the top, see LevelProblem


class MemberProblem(NamedTuple):
    """What one tree of an ensemble is trained on.

    X: the training rows.
    Y: the labels of each row.
    tree: its leaves are the labels.
    seed: where the seeds of all its levels begin.
    user_negatives: of each level, what the user adds to its negatives; empty for nothing at all.
    row_weights: float32, what an error on each row costs, times C; empty if all are 1.
    spill: where what is learned lies.
    """

    X: Rows
    Y: Targets
    tree: LabelTree
    seed: tuple[int, ...]
    user_negatives: UserNegatives = ()
    row_weights: np.ndarray = EQUAL
    spill: Spill = IN_MEMORY


class LevelProblem(NamedTuple):
    """What one level of a tree is trained on.

    X: the training rows.
    nodes: the nodes of this level that each row has a label below.
    chunk_rows: the rows that train each chunk, ascending.
    chunk_ptr: int64, the nodes of each chunk.
    level: counted from the top, which is 0.
    inner: whether the nodes have children.
    seed: where the seeds of its chunks begin.
    user_negatives: the nodes of the level above whose children each row trains by the user's wish.
    row_weights: float32, what an error on each row costs, times C; empty if all are 1.
    spill: where what is learned lies.
    """

    X: Rows
    nodes: Targets
    chunk_rows: Lists
    chunk_ptr: np.ndarray
    level: int
    inner: bool
    seed: tuple[int, ...]
    user_negatives: Lists | None = None
    row_weights: np.ndarray = EQUAL
    spill: Spill = IN_MEMORY


class ChunkProblem(NamedTuple):
    """The one-vs-rest problems of a chunk's siblings, all on the same rows.

    indptr, indices, data: these rows as CSR, with features of their own, frequent ones first.
    features: int32, the number in X of each of these features.
    norms: float32, the squared length of each row.
    row_in_chunk, sibling: int32, one entry per positive: its row here, and the sibling it has.
    costs: float32, what an error on each positive costs; empty if all are 1.
    counts: int64, positives of each sibling.
    seed: decides the order in which rows are visited.
    row_weights: float32, what an error on each row costs, times C; empty if all are 1.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    features: np.ndarray
    norms: np.ndarray
    row_in_chunk: np.ndarray
    sibling: np.ndarray
    costs: np.ndarray
    counts: np.ndarray
    seed: np.uint64
    row_weights: np.ndarray = EQUAL

    @property
    def n_rows(self) -> int:
        return len(self.norms)


class Weights(NamedTuple):
    """The solution for some siblings of a chunk, small weights left out.

    feature: int32, of each weight, as X numbers it.
    sibling: of each weight.
    weight: float32.
    biased: all siblings that were solved.
    bias: float32, the bias weight of each of them.
    n_passes: over the rows until done; 1 where the solver doesn't tell.
    """

    feature: np.ndarray
    sibling: np.ndarray
    weight: np.ndarray
    biased: np.ndarray
    bias: np.ndarray
    n_passes: int

    def kept(self, spill: Spill) -> Weights:
        """The same, where large arrays lie."""
        return self._replace(
            feature=spill.kept(self.feature),
            sibling=spill.kept(self.sibling),
            weight=spill.kept(self.weight),
        )


def level_problems(member: MemberProblem) -> Iterator[LevelProblem]:
    """The problem of each level from the top, where the rows of a node train its children.

    That is teacher forcing; other schemes of negatives then change chunk_rows.
    """
    X, Y, tree, seed, user_negatives, weights, spill = member
    of_user = dict(enumerate(user_negatives))
    above = _root_of(X.n_rows)
    for level, chunk_ptr in enumerate(tree.chunks):
        nodes = _nodes_of_level(Y, tree, level, weights)
        rows = transposed(above, len(chunk_ptr) - 1)
        inner = level < tree.depth - 1
        own = (*seed, level), of_user.get(level), weights, spill
        yield LevelProblem(X, nodes, rows, chunk_ptr, level, inner, *own)
        above = Lists(nodes.indptr, nodes.ids)


def pose_chunk(problem: LevelProblem, n: int, n_solved: int | None = None) -> ChunkProblem:
    """The problem of the children of node n of the level above, of which so many, or all, are to
    be solved.
    """
    indptr, rows = problem.chunk_rows
    seed = np.random.SeedSequence((*problem.seed, n)).generate_state(1, np.uint64)[0]
    first, last = problem.chunk_ptr[n : n + 2]
    own = rows[indptr[n] : indptr[n + 1]]
    given = problem.X, problem.nodes, own, first, last, seed, problem.row_weights
    return pose(*given, n_solved)


def pose(
    X: Rows,
    nodes: Targets,
    rows: np.ndarray,
    first: int,
    last: int,
    seed: np.uint64,
    row_weights: np.ndarray = EQUAL,
    n_solved: int | None = None,
) -> ChunkProblem:
    """The problem of the siblings first..last-1 on the given rows.

    nodes: the nodes of the siblings' level that each row of X has a label below.
    n_solved: how many of the siblings will be solved; None for all.
    """
    if n_solved is not None and n_solved <= NARROW:
        indptr, indices, data, _ = X if len(rows) == X.n_rows else taken(X, rows)
        features = np.arange(X.n_features, dtype=np.int32)
    elif len(rows) == X.n_rows and last - first <= NARROW:
        indptr, indices, data, _ = X
        features = np.arange(X.n_features, dtype=np.int32)
    else:
        mark = np.zeros(X.n_features, np.int32)
        *arrays, features = gather(X.indptr, X.indices, X.data, rows, mark)
        indptr, indices, data = map(frozen, arrays)
    norms = squared_norms(indptr, data).astype(np.float32)
    row_in_chunk, sibling, costs, counts = targets(*nodes, rows, first, last)
    positives = row_in_chunk, sibling, costs, counts
    weights = row_weights[rows] if len(row_weights) else EQUAL
    return ChunkProblem(indptr, indices, data, features, norms, *positives, seed, weights)


def sibling_groups(problem: ChunkProblem, chosen: np.ndarray | None = None) -> list[np.ndarray]:
    """The siblings, all or the chosen ones, in groups of 16 that are solved side by side.

    Equally frequent ones stand together, as they need about as many passes.
    """
    siblings = np.arange(len(problem.counts)) if chosen is None else chosen
    order = siblings[np.argsort(-problem.counts[siblings], kind="stable")]
    return [order[start : start + N_LANES] for start in range(0, len(order), N_LANES)]


def joined(solved: Sequence[Weights]) -> Weights:
    """The solutions of several groups of a chunk as one."""
    if not solved:
        none = np.empty(0, np.int64)
        return Weights(none.astype(np.int32), none, EQUAL, none, EQUAL, 0)
    columns: Any = [*zip(*solved, strict=True)]
    return Weights._make([*map(np.concatenate, columns[:-1]), max(columns[-1])])


def transposed(lists: Lists | Targets, n_columns: int) -> Lists:
    """The rows of each id, ascending, from the ids of each row."""
    return Lists(*map(frozen, transpose(lists.indptr, lists.ids, n_columns)))


def _root_of(n_rows: int) -> Lists:
    """The nodes that each row has above the first level: the root."""
    return Lists(frozen(np.arange(n_rows + 1)), frozen(np.zeros(n_rows, np.int32)))


def _nodes_of_level(Y: Targets, tree: LabelTree, level: int, row_weights: np.ndarray) -> Targets:
    """The nodes of a level that each row has a label below.

    A node costs what the row's labels below it cost together. On every level costs are then scaled
    to a mean of 1, over rows by their weights, so that C means the same on all of them.

    They come from the leaves, each time anew: those of all levels together may be larger than Y.
    """
    n_labels = 1 + max(int(Y.ids.max(initial=-1)), int(tree.labels.max(initial=-1)))
    leaf = np.full(n_labels, -1, np.int32)
    leaf[tree.labels] = np.arange(len(tree.labels))
    nodes = Targets(*map(frozen, relabel(*Y, leaf)))
    for below in range(tree.depth - 1, level, -1):
        nodes = Targets(*map(frozen, fold(*nodes, tree.parents(below))))
    return nodes._replace(costs=_of_mean_1(nodes, row_weights))


def _of_mean_1(nodes: Targets, row_weights: np.ndarray) -> np.ndarray:
    costs = nodes.costs
    if not len(costs):
        return costs
    if len(row_weights):
        mean = np.average(costs, weights=np.repeat(row_weights, np.diff(nodes.indptr)))
    else:
        mean = costs.mean(dtype=np.float64)
    return frozen((costs / mean).astype(np.float32))
