"""Train all chunks of a level."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import NamedTuple

import numpy as np

from ..arrays import Lists, Rows, Targets, frozen
from ..kernels.gather import fold, relabel, transpose
from ..kernels.lanes import N_LANES
from ..label_tree import LabelTree
from ..layer import Layer, Page, assemble, pack
from ..parallel import run
from ..params import SolverParams, at_level
from ..progress import Progress
from .problem import Problem, Weights, blocks, pose
from .solver import solve

WIDE = (
    1 << 28
)  # multiplications a pass from which the blocks of a chunk are solved on several threads


class Chunk(NamedTuple):
    """The trained scorers of one chunk. bias_weight: one per child; n_passes: most that the solver
    needed.
    """

    pages: list[Page]
    bias_weight: np.ndarray
    n_passes: int


class Task(NamedTuple):
    """What a level is trained on.

    nodes: those of this level that each row has.
    chunk_rows: (pointers, rows that train each chunk), ascending.
    inner: whether the level's nodes have children; seed: goes into SeedSequence before the chunk's
    number.
    """

    X: Rows
    nodes: Targets
    chunk_rows: tuple[np.ndarray, np.ndarray]
    chunk_ptr: np.ndarray
    inner: bool
    seed: tuple[int, ...]


def work(task: Task) -> np.ndarray:
    """Multiplications that one pass over each chunk costs, int64."""
    indptr, rows = task.chunk_rows
    lengths = np.concatenate([[0], np.cumsum(np.diff(task.X.indptr)[rows])])
    widths = np.diff(task.chunk_ptr)
    trained = widths > 1 if task.inner else widths > 0
    return np.diff(lengths[indptr]) * trained * -(-widths // N_LANES) * N_LANES


def train_layer(task: Task, params: SolverParams, done: Callable[[int], None]) -> tuple[Layer, int]:
    """Train every chunk of a level; gives the layer and the most passes that a block took.

    done: told the work as it is finished.
    """
    cost = work(task)
    order = np.argsort(
        -cost, kind="stable"
    )  # long work first, so that no thread is left alone with it
    n_wide = int((cost >= WIDE).sum())
    chunks = {n: _train_wide(task, n, params, done, cost[n]) for n in order[:n_wide].tolist()}
    narrow = order[n_wide:].tolist()
    jobs = [(task, n, params) for n in narrow]
    chunks.update(
        zip(
            narrow,
            run(train_chunk, jobs, params.n_jobs, lambda n: done(cost[narrow[n]])),
            strict=True,
        )
    )
    trained = [chunks.pop(n) for n in range(len(cost))]
    bias_weight = np.concatenate(
        [np.empty(0, np.float32), *(chunk.bias_weight for chunk in trained)]
    )
    n_passes = max((chunk.n_passes for chunk in trained), default=0)
    pages = [page for chunk in trained for page in chunk.pages]
    trained.clear()
    return assemble(task.chunk_ptr, pages, bias_weight), n_passes


def _train_wide(
    task: Task, n: int, params: SolverParams, done: Callable[[int], None], cost: int
) -> Chunk:
    problem = pose_chunk(task, n)
    jobs = [(problem, siblings, params) for siblings in blocks(problem)]
    solved = run(solve, jobs, params.n_jobs, lambda _: done(cost / len(jobs)))
    return _chunk(solved, len(problem.count), task.X.n_features, params.weights)


def train_chunk(task: Task, n: int, params: SolverParams) -> Chunk:
    """Train the children of node n of the level above."""
    width = int(task.chunk_ptr[n + 1] - task.chunk_ptr[n])
    if width == 0 or (task.inner and width == 1):  # an only child takes its parent's score
        return _chunk([], width, task.X.n_features, params.weights)
    problem = pose_chunk(task, n)
    solved = [solve(problem, siblings, params) for siblings in blocks(problem)]
    return _chunk(solved, width, task.X.n_features, params.weights)


def pose_chunk(task: Task, n: int) -> Problem:
    """The problem that trains the children of node n."""
    indptr, rows = task.chunk_rows
    seed = np.random.SeedSequence((*task.seed, n)).generate_state(1, np.uint64)[0]
    return pose(
        task.X,
        task.nodes,
        rows[indptr[n] : indptr[n + 1]],
        task.chunk_ptr[n],
        task.chunk_ptr[n + 1],
        seed,
    )


def _chunk(blocks: list[Weights], width: int, n_features: int, weights: str) -> Chunk:
    """One chunk from its blocks of siblings."""
    bias_weight = np.zeros(width, np.float32)
    feature, sibling, weight = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32)
    for block in blocks:
        bias_weight[block.biased] = block.bias
    if blocks:
        feature, sibling, weight = map(
            np.concatenate, zip(*(block[:3] for block in blocks), strict=True)
        )
    n_passes = max((block.n_passes for block in blocks), default=0)
    return Chunk(pack(feature, sibling, weight, width, n_features, weights), bias_weight, n_passes)


def level_tasks(X: Rows, Y: Targets, tree: LabelTree, seed: tuple[int, ...]) -> Iterator[Task]:
    """What each level is trained on from the top, a node's trainers being the rows of its parent
    (teacher forcing).
    """
    parents = _everyone(X.n_rows)
    for level, nodes in enumerate(_levels(Y, tree)):
        chunk_ptr = tree.chunks[level]
        rows = _columns(parents, len(chunk_ptr) - 1)
        yield Task(X, nodes, rows, chunk_ptr, level < tree.depth - 1, (*seed, level))
        parents = nodes[:2]


def _levels(Y: Targets, tree: LabelTree) -> list[Targets]:
    """The nodes of each level that every row belongs to, from the top; a node costs what the row's
    labels below it do.

    Costs are scaled to a mean of 1 on every level, so that C means the same on all of them.
    """
    place = np.full(
        max(int(Y.ids.max(initial=-1)), int(tree.labels.max(initial=-1))) + 1, -1, np.int32
    )
    place[tree.labels] = np.arange(len(tree.labels))
    levels = [Targets(*map(frozen, relabel(*Y, place)))]
    for level in range(tree.depth - 1, 0, -1):
        levels.append(Targets(*map(frozen, fold(*levels[-1], tree.parents(level)))))
    return [nodes._replace(costs=_of_mean_1(nodes.costs)) for nodes in levels[::-1]]


def _of_mean_1(costs: np.ndarray) -> np.ndarray:
    return (
        frozen((costs / costs.mean(dtype=np.float64)).astype(np.float32)) if len(costs) else costs
    )


def params_at(params: SolverParams, level: int) -> SolverParams:
    """The parameters that the solver sees on a level."""
    own = copy(params)
    own.C = at_level(params.C, level)
    return own


def train_level(
    task: Task, level: int, params: SolverParams, progress: Progress, title: str
) -> tuple[Layer, int]:
    return train_layer(
        task, params_at(params, level), progress.stage(title, max(1, work(task).sum()))
    )


def _everyone(n_rows: int) -> Lists:
    return frozen(np.arange(n_rows + 1)), frozen(np.zeros(n_rows, np.int32))


def _columns(lists: Lists, n_columns: int) -> Lists:
    return _frozen(transpose(*lists, n_columns))


def _frozen(lists: Lists) -> Lists:
    return frozen(lists[0]), frozen(lists[1])
