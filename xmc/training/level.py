"""Train all chunks of a level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..kernels.gather import entries_of
from ..kernels.lanes import N_LANES
from ..layer import Layer, Page, assemble, kept_pages, pack
from ..params import LabelTreeParams, at_level
from ..progress import Progress
from .problem import ChunkProblem, LevelProblem, Weights, joined, pose_chunk, sibling_groups
from .solver import solve

# A chunk of this much work a pass is wide: its groups of siblings are shared among the threads.
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


def work(problem: LevelProblem) -> np.ndarray:
    """Multiplications of one pass over each chunk, int64."""
    entries = entries_of(*problem.chunk_rows, problem.X.indptr)
    widths = np.diff(problem.chunk_ptr)
    trained = widths > 1 if problem.inner else widths > 0
    return entries * trained * -(-widths // N_LANES) * N_LANES


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
    # Long work comes first, so that no thread is left alone with it.
    order = np.argsort(-chunk_work, kind="stable").tolist()
    n_wide = int((chunk_work >= WIDE).sum())
    wide, narrow = order[:n_wide], order[n_wide:]
    chunks = {n: _train_wide(problem, n, params, done, chunk_work[n], checkpoint) for n in wide}
    jobs = [(problem, n, params) for n in narrow]
    found = checkpoint.run(
        *("chunks", TrainedChunk, train_chunk, jobs, params.n_jobs),
        lambda i: done(chunk_work[narrow[i]]),
    )
    chunks.update(zip(narrow, found, strict=True))
    trained = [chunks[n] for n in range(len(chunk_work))]
    bias_weight = [np.empty(0, np.float32), *(chunk.bias_weight for chunk in trained)]
    n_passes = max((chunk.n_passes for chunk in trained), default=0)
    pages = [page for chunk in trained for page in chunk.pages]
    for kept in (chunks, found, trained):  # `assemble` frees the pages one by one
        kept.clear()
    bias = np.concatenate(bias_weight)
    return assemble(problem.chunk_ptr, pages, bias, problem.spill), n_passes


def _train_wide(
    problem: LevelProblem,
    n: int,
    params: LabelTreeParams,
    done: Callable[[float], None],
    chunk_work: int,
    checkpoint: Checkpoint,
) -> TrainedChunk:
    """Train the children of node n of the level above, their groups side by side on threads."""
    chunk = pose_chunk(problem, n)
    jobs = [(chunk, group, params) for group in sibling_groups(chunk)]
    solved = checkpoint.run(
        *(f"chunk{n}", Weights, solve, jobs, params.n_jobs),
        lambda _: done(chunk_work / len(jobs)),
    )
    return _trained(problem, solved, len(chunk.counts), params.weights)


def train_chunk(problem: LevelProblem, n: int, params: LabelTreeParams) -> TrainedChunk:
    """Train the children of node n of the level above."""
    width = int(problem.chunk_ptr[n + 1] - problem.chunk_ptr[n])
    solved: list[Weights] = []
    if width > 1 or (width == 1 and not problem.inner):  # an only child takes its parent's score
        solved = _solve_groups(pose_chunk(problem, n), params)
    return _trained(problem, solved, width, params.weights)


def _solve_groups(chunk: ChunkProblem, params: LabelTreeParams) -> list[Weights]:
    return [solve(chunk, group, params) for group in sibling_groups(chunk)]


def _trained(
    problem: LevelProblem, solved: list[Weights], width: int, weights: str
) -> TrainedChunk:
    """One chunk from the weights of its groups; none are solved if nothing is to be learned."""
    found = joined(solved)
    bias_weight = np.zeros(width, np.float32)
    bias_weight[found.biased] = found.bias
    found_weights = found.feature, found.sibling, found.weight
    pages = pack(*found_weights, width, problem.X.n_features, weights)
    return TrainedChunk(kept_pages(pages, problem.spill), bias_weight, found.n_passes)
