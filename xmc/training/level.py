"""Train all chunks of a level, or of several levels that don't wait for each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..kernels.gather import entries_of
from ..kernels.lanes import N_LANES
from ..layer import Layer, Page, assemble, kept_pages, pack
from ..parallel import lock, run
from ..params import LabelTreeParams, at_level
from ..progress import Progress
from ..spill import Spill
from .problem import ChunkProblem, LevelProblem, Weights, joined, pose_chunk, sibling_groups
from .solver import solve

# A chunk of this much work a pass is wide: each of its groups of siblings is a job of its own. So
# is one of less that is this part of its level at least: it would be left alone with one worker.
WIDE = 1 << 28
LONG, PART_OF_LEVEL = 1 << 24, 1 / 64


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
    entries = entries_of(*problem.chunk_rows, problem.X.indptr)
    widths = np.diff(problem.chunk_ptr)
    trained = widths > 1 if problem.inner else widths > 0
    return entries * trained * -(-widths // N_LANES) * N_LANES


def is_wide(problem: LevelProblem) -> np.ndarray:
    """Which chunks are trained group by group, bool."""
    own = work(problem)
    return (own >= WIDE) | ((own >= LONG) & (own >= PART_OF_LEVEL * own.sum()))


def train_levels(
    problems: Sequence[LevelProblem],
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint,
) -> list[tuple[Layer, int]]:
    """Train levels with their own parameters, as `train_layers` does."""
    advance = progress.stage(title, max(1, sum(work(problem).sum() for problem in problems)))
    kept = checkpoint.part("level" + "+".join(str(problem.level) for problem in problems))
    how = [params_at(params, problem.level) for problem in problems]
    return train_layers(problems, how, advance, kept)


def params_at(params: LabelTreeParams, level: int) -> LabelTreeParams:
    """The parameters as the solver takes them on a level: with one C."""
    return replace(params, C=at_level(params.C, level))


class Part(NamedTuple):
    """What one job trains.

    level: its position among those that are trained together.
    n: the chunk.
    group: of its siblings; None for all of them.
    work: multiplications of one pass.
    """

    level: int
    n: int
    group: int | None
    work: float


def train_layers(
    problems: Sequence[LevelProblem],
    params: Sequence[LabelTreeParams],
    done: Callable[[float], None],
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> list[tuple[Layer, int]]:
    """Train every chunk of some levels; gives of each the layer and the most passes of any group.

    The first levels have very few chunks, so workers would wait if each level waited for the last.

    done: called with the work of each chunk, or of a part of it, once it is finished.
    """
    parts = [part for level, own in enumerate(problems) for part in _parts(own, level)]
    parts.sort(key=_long_first)
    jobs = [(problems[part.level], part.n, part.group, params[part.level]) for part in parts]
    spill = problems[0].spill
    try:
        found = checkpoint.run(
            *("chunks", Trained, train, jobs, params[0].n_jobs),
            done=lambda i: done(parts[i].work),
            held=lambda trained: _held(trained, spill),
        )
    finally:
        latest.forget()
    own_results: list[dict[int, list[Trained]]] = [{} for _ in problems]
    for part in parts:  # a chunk's groups stand in their order
        own_results[part.level].setdefault(part.n, [])
    found.reverse()
    for part in parts:
        own_results[part.level][part.n].append(found.pop())
    return [
        _layer(problem, own_params, own)
        for problem, own_params, own in zip(problems, params, own_results, strict=True)
    ]


def _parts(problem: LevelProblem, level: int) -> Iterator[Part]:
    """What is trained of a level: chunks, wide ones in groups."""
    n_groups = -(-np.diff(problem.chunk_ptr) // N_LANES)
    in_groups = is_wide(problem) & (n_groups > 1)
    for n, own in enumerate(work(problem).tolist()):
        if in_groups[n]:
            yield from (Part(level, n, g, own / n_groups[n]) for g in range(n_groups[n]))
        else:
            yield Part(level, n, None, own)


def _long_first(part: Part) -> tuple[float, int, int, int]:
    """Long jobs come first, so that nobody is left alone with one; groups of a chunk together."""
    return -part.work, part.level, part.n, part.group or 0


def _layer(
    problem: LevelProblem, params: LabelTreeParams, found: dict[int, list[Trained]]
) -> tuple[Layer, int]:
    """The layer of a level's trained chunks, and the most passes. Consumes them."""
    wide = [n for n, own in found.items() if own[0].weights]
    how = problem.X.n_features, params.weights
    jobs = [
        ([one for own in found[n] for one in own.weights], _width(problem, n), *how) for n in wide
    ]
    packed = dict(zip(wide, run(_packed, jobs, params.n_jobs), strict=True))
    chunks = [
        packed[n] if n in packed else found.pop(n)[0].chunk[0]
        for n in range(len(problem.chunk_ptr) - 1)
    ]
    bias_weight = [np.empty(0, np.float32), *(chunk.bias_weight for chunk in chunks)]
    n_passes = max((chunk.n_passes for chunk in chunks), default=0)
    pages = [page for chunk in chunks for page in chunk.pages]
    for kept in (chunks, packed, found, jobs):  # `assemble` frees the pages one by one
        kept.clear()
    bias = np.concatenate(bias_weight)
    return assemble(problem.chunk_ptr, pages, bias, problem.spill, params.n_jobs), n_passes


def train(problem: LevelProblem, n: int, group: int | None, params: LabelTreeParams) -> Trained:
    """Train the children of node n of the level above, all or one group of them."""
    if group is not None:
        chunk, groups = latest.pose(problem, n)
        return Trained([], [solve(chunk, groups[group], params)])
    width = _width(problem, n)
    solved: list[Weights] = []
    if width > 1 or (width == 1 and not problem.inner):  # an only child takes its parent's score
        chunk = pose_chunk(problem, n)
        solved = [solve(chunk, own, params) for own in sibling_groups(chunk)]
    return Trained([_packed(solved, width, problem.X.n_features, params.weights)], [])


def _held(trained: Trained, spill: Spill) -> Trained:
    """What was trained, its pages where large arrays lie."""
    return trained._replace(
        chunk=[own._replace(pages=kept_pages(own.pages, spill)) for own in trained.chunk]
    )


def _width(problem: LevelProblem, n: int) -> int:
    return int(problem.chunk_ptr[n + 1] - problem.chunk_ptr[n])


class Posed(NamedTuple):
    """A chunk and the groups of its siblings."""

    chunk: ChunkProblem
    groups: list[np.ndarray]


class Latest:
    """The wide chunks posed last in this process: groups of one chunk share it."""

    def __init__(self) -> None:
        self.lock, self.kept = lock(), deque[tuple[LevelProblem, int, Posed]](maxlen=2)

    def pose(self, problem: LevelProblem, n: int) -> Posed:
        with self.lock:
            for of, own, posed in self.kept:
                if of is problem and own == n:
                    return posed
            chunk = pose_chunk(problem, n)
            posed = Posed(chunk, sibling_groups(chunk))
            self.kept.append((problem, n, posed))
            return posed

    def forget(self) -> None:
        with self.lock:
            self.kept.clear()


latest = Latest()


def _packed(solved: list[Weights], width: int, n_features: int, weights: str) -> TrainedChunk:
    """One chunk from the weights of its groups; none are solved if nothing is to be learned."""
    found = joined(solved)
    bias_weight = np.zeros(width, np.float32)
    bias_weight[found.biased] = found.bias
    pages = pack(found.feature, found.sibling, found.weight, width, n_features, weights)
    return TrainedChunk(pages, bias_weight, found.n_passes)
