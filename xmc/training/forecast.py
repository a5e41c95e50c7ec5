"""What a training will take, before it starts: time, memory and model size, from a few blocks
trained for a sample.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Rows, Targets
from ..errors import ParameterError
from ..kernels.lanes import N_LANES
from ..label_tree import LabelTree
from ..memory import resident_bytes
from ..parallel import n_threads
from ..params import SolverParams
from .level import Task, level_tasks, params_at, pose_chunk, work
from .problem import Weights, blocks
from .solver import solve

SAMPLE, INNER_SAMPLE = 6, 2  # blocks of a level that are trained
ENTRY, FEATURE, NODE = 5, 3, 12  # bytes in a layer, a feature's share of its bucket included


class Forecast(NamedTuple):
    """What a training will take.

    levels: (nodes, chunks) of each level of the first tree; seconds: with the model's threads;
    shared_bytes: peak memory of the process without what each thread works on, thread_bytes.
    """

    n_rows: int
    n_features: int
    n_labels: int
    n_trees: int
    levels: tuple[tuple[int, int], ...]
    seconds: float
    shared_bytes: int
    thread_bytes: int
    model_bytes: int

    def memory(self, threads: int) -> int:
        """Peak bytes of the process with that many threads."""
        return self.shared_bytes + threads * self.thread_bytes

    def threads_within(self, memory: int, wanted: int) -> int:
        """How many of the wanted threads a budget allows.

        Raises ParameterError if not even one fits.
        """
        if memory < self.memory(1):
            raise ParameterError(
                f"memory: training needs about {_size(self.memory(1))}, got {_size(memory)}"
            )
        return min(wanted, (memory - self.shared_bytes) // max(1, self.thread_bytes))


def forecast(
    X: Rows,
    Y: Targets,
    trees: Sequence[LabelTree],
    params: SolverParams,
    seed: int,
    tree_seconds: float = 0.0,
) -> Forecast:
    """Train a sample of blocks of the first tree and scale up; the other trees are taken to be like
    it.
    """
    tree, tasks = trees[0], list(level_tasks(X, Y, trees[0], (seed, 0)))
    seconds, entries = np.transpose(
        [_sample(task, params_at(params, level)) for level, task in enumerate(tasks)]
    )
    seconds[:-1] *= getattr(
        params, "negative_folds", 1
    )  # matchers are trained once more for each part but one
    model_bytes = len(trees) * sum(
        _layer_bytes(task, kept) for task, kept in zip(tasks, entries, strict=True)
    )
    return Forecast(
        X.n_rows,
        X.n_features,
        len(tree.labels),
        len(trees),
        tuple((int(task.chunk_ptr[-1]), len(task.chunk_ptr) - 1) for task in tasks),
        tree_seconds + float(len(trees) * seconds.sum() / n_threads(params.n_jobs)),
        int(resident_bytes() + model_bytes + entries.sum() * ENTRY * 2),
        max(int(_chunk_bytes(task).max(initial=0)) for task in tasks),
        int(model_bytes),
    )


def _sample(task: Task, params: SolverParams) -> tuple[float, float]:
    """Seconds that a level takes on one thread, and weights that it will keep, scaled up from a few
    of its blocks.
    """
    cost = work(task).astype(np.float64)
    if not cost.sum():
        return 0.0, 0.0
    rng = np.random.default_rng(0)
    n_blocks = -(-np.diff(task.chunk_ptr) // N_LANES) * (cost > 0)
    n_drawn = INNER_SAMPLE if task.inner else SAMPLE
    places = (
        np.arange(n_drawn) + 0.5
    ) / n_drawn  # of the blocks among their chunk's, which go by frequency
    timed = zip(_draw(rng, cost, n_drawn), places, strict=True)
    seconds = [
        _train_one(task, n, place, params)[0] / (cost[n] / n_blocks[n]) for n, place in timed
    ]
    drawn = zip(_draw(rng, n_blocks, n_drawn), places, strict=True)
    kept = [_train_one(task, n, place, params)[1] for n, place in drawn]
    per_node = sum(len(block.weight) for block in kept) / sum(len(block.biased) for block in kept)
    return float(np.mean(seconds) * cost.sum()), float(per_node * task.chunk_ptr[-1])


def _draw(rng: np.random.Generator, share: np.ndarray, n_drawn: int) -> list[int]:
    return rng.choice(len(share), n_drawn, p=share / share.sum()).tolist()


def _train_one(task: Task, n: int, place: float, params: SolverParams) -> tuple[float, Weights]:
    problem = pose_chunk(task, n)
    groups = blocks(problem)
    siblings = groups[int(place * len(groups))]
    start = time.perf_counter()
    weights = solve(problem, siblings, params)
    return time.perf_counter() - start, weights


def _layer_bytes(task: Task, entries: float) -> float:
    """Size of a layer, if its chunks share the entries by their nodes and no two of a chunk's share
    a feature.
    """
    widths = np.diff(task.chunk_ptr)
    per_chunk = entries * widths / max(1, widths.sum())
    return (
        ENTRY * entries
        + FEATURE * np.minimum(per_chunk, task.X.n_features).sum()
        + NODE * widths.sum()
    )


def _chunk_bytes(task: Task) -> np.ndarray:
    """What a thread holds while it trains each chunk: rows, dual variables, weights of a block."""
    indptr, rows = task.chunk_rows
    lengths = np.concatenate([[0], np.cumsum(np.diff(task.X.indptr)[rows])])
    entries, n_rows = np.diff(lengths[indptr]), np.diff(indptr)
    features = np.minimum(entries, task.X.n_features)
    per_row = 4 * N_LANES * (2 if len(task.nodes.costs) else 1) + 40
    return 8 * entries + per_row * n_rows + (4 * N_LANES + 8) * features + 4 * task.X.n_features


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
