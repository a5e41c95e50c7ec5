"""What a training will take, before it starts: time, memory and model size.

For that, a sample is trained: a few groups of siblings of each level.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Rows, Targets, pointers
from ..kernels.lanes import N_LANES
from ..label_tree import LabelTree
from ..layer import IN_BUCKET, assemble, pack, page_counts
from ..memory import held_bytes
from ..parallel import n_threads, run
from ..params import LabelTreeParams, at_level
from .level import is_wide, latest, params_at, work
from .needs import Needs, chunk_bytes, most_memory, target_bytes, within
from .problem import (
    LevelProblem,
    MemberProblem,
    level_problems,
    pose_chunk,
    sibling_groups,
)
from .solver import solve

SAMPLED, SAMPLED_INNER = 8, 2  # groups of a level that are trained: of the last one, of the others
# How the weights of a node grow with its positives, and the features of a page with its siblings:
# exponents as measured on the embedded sample, where both lie within 0.2 of these.
BY_POSITIVES, BY_SIBLINGS = 0.75, 0.4
BUCKET_SPAN = 256  # features that a bucket spans at most
WEIGHT = 72  # bytes of a weight of a chunk while pages are made of them
WAITING = 16  # and of one of a wide chunk, before
# The arrays of a Layer, by what they have one element for.
PARTS = {
    "entry": ("child", "weight"),
    "feature": ("low", "more"),
    "bucket": ("bucket",),
    "page": ("bucket_ptr", "feature_ptr", "entry_ptr", "shift", "scale"),
    "chunk": ("chunk_ptr", "page_ptr"),
    "node": ("bias_weight",),
}


class Forecast(NamedTuple):
    """What a training will take.

    levels: nodes and chunks of each level of the first tree.
    seconds: with the model's threads.
    parts: the memory of parts of the training: growing the trees, if it was asked for, and then for
        each level its wide chunks, all chunks, and the layer made of them.
    model_bytes: size of the model's arrays.
    """

    n_rows: int
    n_features: int
    n_labels: int
    n_trees: int
    levels: tuple[tuple[int, int], ...]
    seconds: float
    parts: tuple[Needs, ...]
    model_bytes: int

    def memory(self, threads: int, spilled: bool = False) -> int:
        """Peak bytes of the process with that many threads.

        spilled: with large arrays in files, as a budget may have them.
        """
        return most_memory(self.parts, threads, spilled)

    def threads_within(self, memory: int, wanted: int) -> int:
        """How many of the wanted threads a budget allows.

        Raises ParameterError if it doesn't allow one.
        """
        return within(self.parts, memory, wanted)[0]

    def with_more(self, n_bytes: int) -> Forecast:
        """The same of a model that holds so many bytes more."""
        parts = tuple(part.with_more(n_bytes) for part in self.parts)
        return self._replace(parts=parts, model_bytes=self.model_bytes + n_bytes)


def forecast(
    X: Rows,
    Y: Targets,
    trees: Sequence[LabelTree],
    params: LabelTreeParams,
    seed: int,
    growing: Sequence[Needs] = (),
    tree_seconds: float = 0.0,
) -> Forecast:
    """Train a sample of the first tree and scale up; the other trees are taken to be like it.

    growing: what growing the trees needed.
    tree_seconds: that it took.
    """
    tree, n_trees = trees[0], len(trees)
    matched = any("man" in at_level(params.negatives, level) for level in range(tree.depth))
    held = held_bytes() + target_bytes(Y, params.beam_size if matched else 0)
    part_bytes = bytes_of_parts(params.weights)
    problems = level_problems(MemberProblem(X, Y, tree, (seed, 0)))
    levels = [_level(problem, params_at(params, problem.level), part_bytes) for problem in problems]
    seconds = np.array([level.seconds for level in levels])
    # Matchers are trained again for each part of the rows but one.
    seconds[:-1] *= params.negative_folds
    tree_bytes = int(tree.labels.nbytes + sum(level.layer_bytes for level in levels))
    return Forecast(
        X.n_rows,
        X.n_features,
        len(tree.labels),
        n_trees,
        tuple((len(tree.parents(level)), len(c) - 1) for level, c in enumerate(tree.chunks)),
        tree_seconds + float(n_trees * seconds.sum() / n_threads(params.n_jobs)),
        (*growing, *_parts(levels, held, (n_trees - 1) * tree_bytes)),
        n_trees * tree_bytes,
    )


class LevelForecast(NamedTuple):
    """What a level will take.

    seconds: on one thread.
    wide: what is held of a chunk whose groups are shared among the threads, and what each works on.
    waiting: what is held of other such chunks, until the level is done.
    thread_bytes: what a thread that trains whole chunks works on.
    """

    seconds: float
    layer_bytes: int
    wide: tuple[int, int]
    waiting: int
    thread_bytes: int


def _level(
    problem: LevelProblem, params: LabelTreeParams, part_bytes: dict[str, int]
) -> LevelForecast:
    sample, wide = _sample(problem, params), is_wide(problem)
    rows, solving = chunk_bytes(problem)
    expected = np.bincount(_parents(problem), _expected(_positives(problem)), len(wide))
    entries = sample.entries * expected / max(1.0, expected.sum())
    rows = rows + WEIGHT * entries
    others = entries[wide].sum() - entries[wide].max(initial=0)
    return LevelForecast(
        sample.seconds,
        int(_layer_bytes(problem, sample, part_bytes)),
        (int(rows[wide].max(initial=0)), int(solving[wide].max(initial=0))),
        int(WAITING * others),
        int((solving + rows)[~wide].max(initial=0)),
    )


def _parts(levels: Sequence[LevelForecast], held: int, before: int) -> Iterator[Needs]:
    """What the levels of the last tree need, one after another.

    before: bytes of the other trees.
    """
    for level in levels:
        rows, solving = level.wide
        yield Needs(held + rows, before + level.waiting, solving)
        before += level.layer_bytes
        yield Needs(held, before + level.waiting, level.thread_bytes)
        yield Needs(held, before + level.layer_bytes, 0)  # until a layer stands, its pages do, too


def _positives(problem: LevelProblem) -> np.ndarray:
    """Rows of each node."""
    return np.bincount(problem.nodes.ids, minlength=problem.chunk_ptr[-1])


def _parents(problem: LevelProblem) -> np.ndarray:
    """The chunk of each node."""
    return np.repeat(np.arange(len(problem.chunk_ptr) - 1), np.diff(problem.chunk_ptr))


class Sample(NamedTuple):
    """What a few groups of a level say about it.

    seconds: that the level takes on one thread.
    entries: weights that it will store.
    features: per entry, of a page with as many siblings as a group.
    siblings: of a group, on average.
    """

    seconds: float
    entries: float
    features: float
    siblings: float


def _sample(problem: LevelProblem, params: LabelTreeParams) -> Sample:
    """Train a few groups and scale up: seconds by the work, weights by the nodes' positives.

    Groups stand by frequency in their chunk, so they are drawn from spread shares of it. The first
    ones take most passes, and differ most. All threads train some at a time, as in the training:
    they are in each other's way.
    """
    chunk_work = work(problem).astype(np.float64)
    if not chunk_work.sum():
        return Sample(0.0, 0.0, 0.0, 1.0)
    rng = np.random.default_rng(0)
    n_groups = -(-np.diff(problem.chunk_ptr) // N_LANES) * (chunk_work > 0)
    n_drawn = SAMPLED_INNER if problem.inner else SAMPLED
    ends = (np.arange(n_drawn + 1) / n_drawn) ** 2
    timed = _trained(problem, _draw(rng, chunk_work, n_drawn), ends, params)
    pace = [group.seconds / (chunk_work[group.n] / n_groups[group.n]) for group in timed]
    evenly = np.arange(n_drawn + 1) / n_drawn
    kept = _trained(problem, _draw(rng, n_groups, n_drawn), evenly, params)
    entries = sum(group.entries for group in kept)
    share_kept = entries / max(1.0, sum(group.expected for group in kept))
    return Sample(
        float(np.average(pace, weights=np.diff(ends)) * chunk_work.sum()),
        float(share_kept * _expected(_positives(problem)).sum()),
        sum(group.features for group in kept) / max(1, entries),
        float(np.mean([group.siblings for group in kept])),
    )


def _trained(
    problem: LevelProblem, chunks: list[int], ends: np.ndarray, params: LabelTreeParams
) -> list[Group]:
    """A group of each chunk, each from the middle of its share of the groups."""
    shares = (ends[1:] + ends[:-1]) / 2
    wide = is_wide(problem)
    jobs = [(problem, n, wide[n], share, params) for n, share in zip(chunks, shares, strict=True)]
    try:
        return run(_train_one, jobs, params.n_jobs)
    finally:
        latest.forget()


def _draw(rng: np.random.Generator, share: np.ndarray, n_drawn: int) -> list[int]:
    return rng.choice(len(share), n_drawn, p=share / share.sum()).tolist()


class Group(NamedTuple):
    """A group that was trained for a sample.

    n: its chunk.
    seconds: that it took, and its share of what its chunk took besides.
    siblings: that it has.
    expected: what its number of weights is compared to, see `_expected`.
    entries: that a page of this group has.
    features: that this page has.
    """

    n: int
    seconds: float
    siblings: int
    expected: float
    entries: int
    features: int


def _train_one(
    problem: LevelProblem, n: int, wide: bool, share: float, params: LabelTreeParams
) -> Group:
    """Train a group of chunk n, the one at that share of its groups."""
    start = time.perf_counter()
    chunk = latest.pose(problem, n).chunk if wide else pose_chunk(problem, n)
    groups = sibling_groups(chunk)
    posed = time.perf_counter() - start
    siblings = groups[int(share * len(groups))]
    start = time.perf_counter()
    weights = solve(chunk, siblings, params)
    child = np.empty(len(chunk.counts), np.int32)
    child[siblings] = np.arange(len(siblings))
    stored = weights.feature, child[weights.sibling], weights.weight
    (page,) = pack(*stored, len(siblings), problem.X.n_features, params.weights)
    seconds = time.perf_counter() - start + posed / len(groups)
    expected = float(_expected(chunk.counts[siblings]).sum())
    return Group(n, seconds, len(siblings), expected, len(page.child), len(page.low))


def _expected(positives: np.ndarray) -> np.ndarray:
    """What the weights of nodes with so many positives are proportional to."""
    return positives**BY_POSITIVES


def bytes_of_parts(weights: str) -> dict[str, int]:
    """Bytes of each entry, feature and so on of a layer, read off a small one."""
    first, weight = np.zeros(1, np.int32), np.ones(1, np.float32)
    layer = assemble(pointers([1]), pack(first, first, weight, 1, 1, weights), weight)
    return {
        part: sum(getattr(layer, name)[0].nbytes for name in names) for part, names in PARTS.items()
    }


def _layer_bytes(problem: LevelProblem, sample: Sample, part_bytes: dict[str, int]) -> float:
    """Size of a layer whose nodes have equally many weights."""
    widths = np.diff(problem.chunk_ptr)
    n_nodes, n_features = widths.sum(), problem.X.n_features
    n_pages = page_counts(problem.chunk_ptr)
    siblings = np.repeat(widths / np.maximum(1, n_pages), n_pages)  # of each page
    entries = sample.entries * siblings / max(1, n_nodes)
    wider = np.maximum(1, siblings / sample.siblings)
    features = entries * sample.features * wider ** (BY_SIBLINGS - 1)
    features = np.minimum(features, n_features)
    buckets = np.maximum(features / IN_BUCKET, n_features / BUCKET_SPAN) + 1
    counts = {
        "entry": sample.entries,
        "feature": features.sum(),
        "bucket": buckets.sum(),
        "page": len(siblings),
        "chunk": len(widths),
        "node": n_nodes,
    }
    return float(sum(counts[part] * part_bytes[part] for part in PARTS))
