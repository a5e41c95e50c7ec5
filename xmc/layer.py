"""A layer: all chunks of one level, trained together and stored together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .kernels.lanes import N_LANES
from .matrix import Rows, frozen
from .parallel import run
from .params import SolverParams
from .solver import Problem, Weights, blocks, pose, solve

WIDE = 1 << 28  # multiplications a pass from which the blocks of a chunk are solved on several threads


class Layer(NamedTuple):
    """The linear scorers of a level. Chunk n holds the children of node n of the level above.

    chunk_ptr: int64, nodes of each chunk; feature_ptr: int64, each chunk's part of `features`;
    features: int32, ascending in a chunk; entry_ptr: int64, each feature's part of `child` and `weight`;
    child: int32, node - the chunk's first node; weight: float32; bias_weight: float32, one per node.
    """

    chunk_ptr: np.ndarray
    feature_ptr: np.ndarray
    features: np.ndarray
    entry_ptr: np.ndarray
    child: np.ndarray
    weight: np.ndarray
    bias_weight: np.ndarray


class Chunk(NamedTuple):
    """The trained scorers of one chunk: features ascending, entries of each, and per entry child and weight.

    bias_weight: one per child; n_passes: most that the solver needed.
    """

    features: np.ndarray
    sizes: np.ndarray
    child: np.ndarray
    weight: np.ndarray
    bias_weight: np.ndarray
    n_passes: int


class Task(NamedTuple):
    """What a level is trained on.

    nodes: (pointers, nodes of this level that each row has), ascending.
    chunk_rows: (pointers, rows that train each chunk), ascending.
    inner: whether the level's nodes have children; seed: goes into SeedSequence before the chunk's number.
    """

    X: Rows
    nodes: tuple[np.ndarray, np.ndarray]
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
    order = np.argsort(-cost, kind="stable")  # long work first, so that no thread is left alone with it
    n_wide = int((cost >= WIDE).sum())
    chunks = {n: _train_wide(task, n, params, done, cost[n]) for n in order[:n_wide].tolist()}
    narrow = order[n_wide:].tolist()
    jobs = [(task, n, params) for n in narrow]
    chunks.update(zip(narrow, run(train_chunk, jobs, params.n_jobs, lambda n: done(cost[narrow[n]])), strict=True))
    n_passes = max((chunk.n_passes for chunk in chunks.values()), default=0)
    return assemble(task.chunk_ptr, [chunks.pop(n) for n in range(len(cost))]), n_passes


def _train_wide(task: Task, n: int, params: SolverParams, done: Callable[[int], None], cost: int) -> Chunk:
    problem = pose_chunk(task, n)
    jobs = [(problem, siblings, params) for siblings in blocks(problem)]
    return _chunk(run(solve, jobs, params.n_jobs, lambda _: done(cost / len(jobs))), len(problem.count))


def train_chunk(task: Task, n: int, params: SolverParams) -> Chunk:
    """Train the children of node n of the level above."""
    width = int(task.chunk_ptr[n + 1] - task.chunk_ptr[n])
    if width == 0 or (task.inner and width == 1):  # an only child takes its parent's score
        return _chunk([], width)
    problem = pose_chunk(task, n)
    return _chunk([solve(problem, siblings, params) for siblings in blocks(problem)], width)


def pose_chunk(task: Task, n: int) -> Problem:
    """The problem that trains the children of node n."""
    indptr, rows = task.chunk_rows
    seed = np.random.SeedSequence((*task.seed, n)).generate_state(1, np.uint64)[0]
    return pose(task.X, task.nodes, rows[indptr[n] : indptr[n + 1]], task.chunk_ptr[n], task.chunk_ptr[n + 1], seed)


def _chunk(blocks: list[Weights], width: int) -> Chunk:
    """One chunk from its blocks of siblings."""
    bias_weight = np.zeros(width, np.float32)
    key, weight = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for block in blocks:
        bias_weight[block.biased] = block.bias
        key.append(block.feature * np.int64(width) + block.sibling)
        weight.append(block.weight)
    keys = np.concatenate(key)
    order = np.argsort(keys)
    feature, child = np.divmod(keys[order], max(1, width))
    features, sizes = np.unique(feature, return_counts=True)
    columns = (features.astype(np.int32), sizes.astype(np.int32), child.astype(np.int32), np.concatenate(weight)[order])
    return Chunk(*columns, bias_weight, max((block.n_passes for block in blocks), default=0))


def assemble(chunk_ptr: np.ndarray, chunks: list[Chunk]) -> Layer:
    """One layer of all its chunks, which are used up: column by column, so that memory is not needed twice."""
    feature_ptr = np.concatenate([[0], np.cumsum([len(chunk.features) for chunk in chunks])])
    columns = [list(column) for column in list(zip(*chunks, strict=True))[:5]]
    chunks.clear()
    joined = []
    for column in columns:
        joined.append(np.concatenate(column))
        column.clear()
    features, sizes, child, weight, bias_weight = joined
    entry_ptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return Layer(chunk_ptr, *map(frozen, (feature_ptr, features, entry_ptr, child, weight, bias_weight)))
