"""What a training will take, before it starts: time, memory and model size.

For that, a sample is trained: a few groups of siblings of each level.
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
from ..params import LabelTreeParams
from .level import params_at, work
from .problem import (
    LevelProblem,
    MemberProblem,
    Weights,
    level_problems,
    pose_chunk,
    sibling_groups,
)
from .solver import solve

SAMPLED, SAMPLED_INNER = 6, 2  # groups of a level that are trained: of the last one, of the others
ENTRY, FEATURE, NODE = 5, 3, 12  # bytes in a layer, a feature's share of its bucket included


class Forecast(NamedTuple):
    """What a training will take.

    levels: nodes and chunks of each level of the first tree.
    seconds: with the model's threads.
    shared_bytes: peak memory of the process, but for what each thread works on.
    thread_bytes: what each thread works on.
    model_bytes: size of the model's arrays.
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

        Raises ParameterError if it doesn't allow one.
        """
        if memory < self.memory(1):
            need, got = _size(self.memory(1)), _size(memory)
            raise ParameterError(f"memory: training needs about {need}, got {got}")
        return min(wanted, (memory - self.shared_bytes) // max(1, self.thread_bytes))


def forecast(
    X: Rows,
    Y: Targets,
    trees: Sequence[LabelTree],
    params: LabelTreeParams,
    seed: int,
    tree_seconds: float = 0.0,
) -> Forecast:
    """Train a sample of the first tree and scale up; the other trees are taken to be like it.

    tree_seconds: what growing the trees took.
    """
    tree, n_trees = trees[0], len(trees)
    problems = list(level_problems(MemberProblem(X, Y, tree, (seed, 0))))
    samples = [_sample(problem, params_at(params, problem.level)) for problem in problems]
    seconds, entries = np.transpose(samples)
    # Matchers are trained again for each part of the rows but one.
    seconds[:-1] *= params.negative_folds
    model_bytes = n_trees * sum(map(_layer_bytes, problems, entries))
    return Forecast(
        X.n_rows,
        X.n_features,
        len(tree.labels),
        n_trees,
        tuple((int(problem.chunk_ptr[-1]), len(problem.chunk_ptr) - 1) for problem in problems),
        tree_seconds + float(n_trees * seconds.sum() / n_threads(params.n_jobs)),
        int(resident_bytes() + model_bytes + entries.sum() * ENTRY * 2),
        max(int(_chunk_bytes(problem).max(initial=0)) for problem in problems),
        int(model_bytes),
    )


def _sample(problem: LevelProblem, params: LabelTreeParams) -> tuple[float, float]:
    """Seconds that a level takes on one thread, and weights that it will keep.

    Both are scaled up from a few of its groups. Groups stand by frequency in their chunk, so they
    are drawn from evenly spread shares of it.
    """
    chunk_work = work(problem).astype(np.float64)
    if not chunk_work.sum():
        return 0.0, 0.0
    rng = np.random.default_rng(0)
    n_groups = -(-np.diff(problem.chunk_ptr) // N_LANES) * (chunk_work > 0)
    n_drawn = SAMPLED_INNER if problem.inner else SAMPLED
    shares = (np.arange(n_drawn) + 0.5) / n_drawn
    timed = zip(_draw(rng, chunk_work, n_drawn), shares, strict=True)
    pace = [
        _train_one(problem, n, share, params)[0] / (chunk_work[n] / n_groups[n])
        for n, share in timed
    ]
    drawn = zip(_draw(rng, n_groups, n_drawn), shares, strict=True)
    kept = [_train_one(problem, n, share, params)[1] for n, share in drawn]
    per_node = sum(len(group.weight) for group in kept) / sum(len(group.biased) for group in kept)
    return float(np.mean(pace) * chunk_work.sum()), float(per_node * problem.chunk_ptr[-1])


def _draw(rng: np.random.Generator, share: np.ndarray, n_drawn: int) -> list[int]:
    return rng.choice(len(share), n_drawn, p=share / share.sum()).tolist()


def _train_one(
    problem: LevelProblem, n: int, share: float, params: LabelTreeParams
) -> tuple[float, Weights]:
    """Seconds and weights of one group of chunk n, the one at that share of its groups."""
    chunk = pose_chunk(problem, n)
    groups = sibling_groups(chunk)
    siblings = groups[int(share * len(groups))]
    start = time.perf_counter()
    weights = solve(chunk, siblings, params)
    return time.perf_counter() - start, weights


def _layer_bytes(problem: LevelProblem, entries: float) -> float:
    """Size of a layer, if its chunks share the entries by their nodes and no two of a chunk's share
    a feature.
    """
    widths = np.diff(problem.chunk_ptr)
    per_chunk = entries * widths / max(1, widths.sum())
    features = np.minimum(per_chunk, problem.X.n_features).sum()
    return ENTRY * entries + FEATURE * features + NODE * widths.sum()


def _chunk_bytes(problem: LevelProblem) -> np.ndarray:
    """What a thread holds while it trains each chunk: rows, dual variables, weights of a group."""
    indptr, rows = problem.chunk_rows
    n_features = problem.X.n_features
    lengths = np.concatenate([[0], np.cumsum(np.diff(problem.X.indptr)[rows])])
    entries, n_rows = np.diff(lengths[indptr]), np.diff(indptr)
    features = np.minimum(entries, n_features)
    per_row = 4 * N_LANES * (2 if len(problem.nodes.costs) else 1) + 40
    return 8 * entries + per_row * n_rows + (4 * N_LANES + 8) * features + 4 * n_features


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
