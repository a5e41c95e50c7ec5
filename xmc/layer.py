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
    order = np.argsort(-cost, kind="stable")
    wide, narrow = order[cost[order] >= WIDE], order[cost[order] < WIDE]
    weights: list[list[Weights]] = [[]] * len(cost)
    for chunk in wide:
        weights[chunk] = _train_wide(task, chunk, params, done, cost[chunk])
    jobs = [(task, chunk, params) for chunk in narrow]
    trained = run(_train_chunk, jobs, params.n_jobs, lambda n: done(cost[narrow[n]]))
    for chunk, parts in zip(narrow, trained, strict=True):
        weights[chunk] = parts
    n_passes = max((block.n_passes for parts in weights for block in parts), default=0)
    return assemble(task.chunk_ptr, weights), n_passes


def _train_wide(task: Task, chunk: int, params: SolverParams, done: Callable[[int], None], cost: int) -> list[Weights]:
    problem = _pose(task, chunk)
    jobs = [(problem, siblings, params) for siblings in blocks(problem)]
    return run(solve, jobs, params.n_jobs, lambda _: done(cost / len(jobs)))


def _train_chunk(task: Task, chunk: int, params: SolverParams) -> list[Weights]:
    width = task.chunk_ptr[chunk + 1] - task.chunk_ptr[chunk]
    if width == 0 or (task.inner and width == 1):  # an only child takes its parent's score
        return []
    problem = _pose(task, chunk)
    return [solve(problem, siblings, params) for siblings in blocks(problem)]


def _pose(task: Task, chunk: int) -> Problem:
    indptr, rows = task.chunk_rows
    seed = np.random.SeedSequence((*task.seed, int(chunk))).generate_state(1, np.uint64)[0]
    own = rows[indptr[chunk] : indptr[chunk + 1]]
    return pose(task.X, task.nodes, own, task.chunk_ptr[chunk], task.chunk_ptr[chunk + 1], seed)


def assemble(chunk_ptr: np.ndarray, weights: list[list[Weights]]) -> Layer:
    """One layer from the weights of each chunk's blocks."""
    bias_weight = np.zeros(chunk_ptr[-1], np.float32)
    parts = []
    for chunk, groups in enumerate(weights):
        for group in groups:
            bias_weight[chunk_ptr[chunk] + group.biased] = group.bias
        parts.append(_sorted_entries(groups, int(chunk_ptr[chunk + 1] - chunk_ptr[chunk])))
        weights[chunk] = []
    features, sizes, child, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    feature_ptr = np.concatenate([[0], np.cumsum([len(part[0]) for part in parts])])
    entry_ptr = np.concatenate([[0], np.cumsum(sizes)])
    return Layer(chunk_ptr, *map(frozen, (feature_ptr, features, entry_ptr, child, weight, bias_weight)))


def _sorted_entries(groups: list[Weights], width: int) -> tuple[np.ndarray, ...]:
    """A chunk's entries by feature and child: (features, entries of each, children, weights)."""
    if not groups:
        return np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
    key = np.concatenate([group.feature * np.int64(width) + group.sibling for group in groups])
    order = np.argsort(key)
    key = key[order]
    feature, child = np.divmod(key, width)
    features, sizes = np.unique(feature, return_counts=True)
    weight = np.concatenate([group.weight for group in groups])[order]
    return features.astype(np.int32), sizes, child.astype(np.int32), weight
