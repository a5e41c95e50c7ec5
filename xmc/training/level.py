"""Train all chunks of a level."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..kernels.lanes import N_LANES
from ..layer import Layer, Page, assemble, pack
from ..parallel import lock, run
from ..params import LabelTreeParams, at_level
from ..progress import Progress
from .problem import ChunkProblem, LevelProblem, Weights, joined, pose_chunk, sibling_groups
from .solver import solve

# A chunk of this much work a pass is wide: each of its groups of siblings is a job of its own.
WIDE = 1 << 28


class TrainedChunk(NamedTuple):
    """The trained scorers of one chunk.

    pages: as the level's Layer stores them.
    bias_weight: float32, one per child.
    n_passes: over the rows, the most that any of its groups took.
    """

    pages: list[Page]
    bias_weight: np.ndarray
    n_passes: int


class Trained(NamedTuple):
    """What one job gives: a whole chunk, or the weights of a group of a wide one."""

    chunk: list[TrainedChunk]
    weights: list[Weights]


def work(problem: LevelProblem) -> np.ndarray:
    """Multiplications of one pass over each chunk, int64."""
    indptr, rows = problem.chunk_rows
    lengths = np.concatenate([[0], np.cumsum(np.diff(problem.X.indptr)[rows])])
    widths = np.diff(problem.chunk_ptr)
    trained = widths > 1 if problem.inner else widths > 0
    return np.diff(lengths[indptr]) * trained * -(-widths // N_LANES) * N_LANES


def train_level(
    problem: LevelProblem,
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint,
) -> tuple[Layer, int]:
    """Train a level with its own parameters; gives the layer and the most passes of any group."""
    advance = progress.stage(title, max(1, work(problem).sum()))
    kept = checkpoint.part(f"level{problem.level}")
    return train_layer(problem, params_at(params, problem.level), advance, kept)


def params_at(params: LabelTreeParams, level: int) -> LabelTreeParams:
    """The parameters as the solver takes them on a level: with one C."""
    return replace(params, C=at_level(params.C, level))


def train_layer(
    problem: LevelProblem,
    params: LabelTreeParams,
    done: Callable[[float], None],
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> tuple[Layer, int]:
    """Train every chunk of a level; gives the layer and the most passes of any group.

    done: called with the work of each chunk, or of a part of it, once it is finished.
    """
    chunk_work = work(problem)
    parts, part_work = _parts(problem, chunk_work)
    jobs = [(problem, *part, params) for part in parts]
    try:
        found = checkpoint.run(
            *("chunks", Trained, train, jobs, params.n_jobs), lambda i: done(part_work[i])
        )
    finally:
        _latest.forget()
    chunks: dict[int, TrainedChunk] = {}
    groups: dict[int, list[Weights]] = {}
    for (n, _), trained in zip(parts, found, strict=True):
        chunks.update((n, chunk) for chunk in trained.chunk)
        groups.setdefault(n, []).extend(trained.weights)
    found.clear()
    how = problem.X.n_features, params.weights
    wide = [(groups[n], _width(problem, n), *how) for n in groups if groups[n]]
    chunks.update(zip(groups, run(_packed, wide, params.n_jobs), strict=False))
    trained = [chunks.pop(n) for n in range(len(chunk_work))]
    bias_weight = [np.empty(0, np.float32), *(chunk.bias_weight for chunk in trained)]
    n_passes = max((chunk.n_passes for chunk in trained), default=0)
    pages = [page for chunk in trained for page in chunk.pages]
    trained.clear()  # `assemble` frees the pages one by one
    return assemble(problem.chunk_ptr, pages, np.concatenate(bias_weight)), n_passes


def _parts(
    problem: LevelProblem, chunk_work: np.ndarray
) -> tuple[list[tuple[int, int | None]], list[float]]:
    """What each job trains, a chunk and which of its groups, None for all; and its work."""
    # Long work comes first, so that nobody is left alone with it.
    order = np.argsort(-chunk_work, kind="stable").tolist()
    n_groups = -(-np.diff(problem.chunk_ptr) // N_LANES)
    parts: list[tuple[int, int | None]] = []
    shares: list[float] = []
    for n in order:
        wide = chunk_work[n] >= WIDE and n_groups[n] > 1
        own = range(n_groups[n]) if wide else [None]
        parts += [(n, group) for group in own]
        shares += [chunk_work[n] / len(own)] * len(own)
    return parts, shares


def train(problem: LevelProblem, n: int, group: int | None, params: LabelTreeParams) -> Trained:
    """Train the children of node n of the level above, all or one group of them."""
    if group is not None:
        chunk = _latest.pose(problem, n)
        return Trained([], [solve(chunk, sibling_groups(chunk)[group], params)])
    width = _width(problem, n)
    solved: list[Weights] = []
    if width > 1 or (width == 1 and not problem.inner):  # an only child takes its parent's score
        chunk = pose_chunk(problem, n)
        solved = [solve(chunk, own, params) for own in sibling_groups(chunk)]
    return Trained([_packed(solved, width, problem.X.n_features, params.weights)], [])


def _width(problem: LevelProblem, n: int) -> int:
    return int(problem.chunk_ptr[n + 1] - problem.chunk_ptr[n])


class _Latest:
    """The wide chunks posed last in this process: groups of one chunk share it."""

    def __init__(self) -> None:
        self.lock, self.kept = lock(), deque[tuple[LevelProblem, int, ChunkProblem]](maxlen=2)

    def pose(self, problem: LevelProblem, n: int) -> ChunkProblem:
        with self.lock:
            for of, own, chunk in self.kept:
                if of is problem and own == n:
                    return chunk
            chunk = pose_chunk(problem, n)
            self.kept.append((problem, n, chunk))
            return chunk

    def forget(self) -> None:
        with self.lock:
            self.kept.clear()


_latest = _Latest()


def _packed(solved: list[Weights], width: int, n_features: int, weights: str) -> TrainedChunk:
    """One chunk from the weights of its groups; none are solved if nothing is to be learned."""
    found = joined(solved)
    bias_weight = np.zeros(width, np.float32)
    bias_weight[found.biased] = found.bias
    pages = pack(found.feature, found.sibling, found.weight, width, n_features, weights)
    return TrainedChunk(pages, bias_weight, found.n_passes)
