"""Which rows train a node beside its positives.

Those of its parent, those that the matchers bring to its parent, those that the user names. All are
collected as the nodes of the level above that each row has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Lists, Rows, frozen, pointers
from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..layer import Layer
from ..params import LabelTreeParams, at_level
from ..progress import Progress
from ..ranking.search import Search, beam, row_blocks, search_of
from .level import train_levels
from .problem import LevelProblem, MemberProblem, level_problems, transposed

ROWS_PER_BATCH = 1024  # whose beams are found in one job
ROWS_PER_PART = 1 << 16  # whose nodes are united at once, as that takes several times their memory


def with_negatives(
    problem: LevelProblem,
    layers: list[Layer],
    params: LabelTreeParams,
    beams: Lists | None = None,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> LevelProblem:
    """The problem with each chunk trained on the rows that the scheme of negatives says.

    layers: those above.
    beams: the nodes in the beam of each row, where these layers must not find them.
    """
    schemes = schemes_at(params, problem.level)
    of_user = problem.user_negatives
    if not problem.level or (schemes == ["tfn"] and of_user is None):
        return problem
    nodes = [] if of_user is None else [of_user]
    if "tfn" in schemes:
        nodes.append(transposed(problem.chunk_rows, problem.X.n_rows))
    if "man" in schemes:
        if beams is None:
            beams = _beams(problem.X, layers, params, checkpoint)
        nodes.append(beams)
    return problem._replace(chunk_rows=transposed(united(nodes), len(problem.chunk_ptr) - 1))


def united(several: Sequence[Lists]) -> Lists:
    """What lists of the same rows have together: ascending in each row, and once."""
    n_rows = len(several[0].indptr) - 1
    counts, ids = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for start, end in row_blocks(n_rows, ROWS_PER_PART):
        pairs = np.unique(np.concatenate([_pairs(lists, start, end) for lists in several]))
        counts.append(np.bincount(pairs >> 32, minlength=end - start))
        ids.append((pairs & 0xFFFFFFFF).astype(np.int32))
    return Lists(pointers(np.concatenate(counts)), frozen(np.concatenate(ids)))


def _pairs(lists: Lists, start: int, end: int) -> np.ndarray:
    """Each row from start to end - 1 with each of its ids: (row - start << 32) + id, int64."""
    indptr, ids = lists
    own = np.arange(end - start).repeat(np.diff(indptr[start : end + 1]))
    return (own << 32) + ids[indptr[start] : indptr[end]]


def unseen_beams(
    member: MemberProblem,
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint,
) -> dict[int, Lists]:
    """By level, the nodes in the beam of each row, found by matchers that never saw it.

    The rows are cut into `negative_folds` parts, and the matchers are trained once without each.
    Empty where all rows train the matchers that find their negatives.
    """
    depth, n_folds = member.tree.depth, min(params.negative_folds, member.X.n_rows)
    levels = [level for level in range(1, depth) if "man" in schemes_at(params, level)]
    if n_folds == 1 or not levels:
        return {}
    seed = (*member.seed, depth)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    fold_of_row = rng.permutation(member.X.n_rows) % n_folds
    found: dict[int, list[Lists]] = {level: [] for level in levels}
    for fold in range(n_folds):
        left_out = fold_of_row == fold
        stage = f"{title}, part {fold + 1} of {n_folds} left out"
        own = member._replace(seed=(*seed, fold))
        how = params, progress, stage, checkpoint.part(f"without{fold}")
        for level, beams in _beams_without(own, left_out, levels, *how).items():
            found[level].append(beams)
    return {level: united(parts) for level, parts in found.items()}


def _beams_without(
    member: MemberProblem,
    left_out: np.ndarray,
    levels: list[int],
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint,
) -> dict[int, Lists]:
    """For each of the levels, the beams of the rows left out, by matchers trained on the others;
    the others have none.
    """
    layers: list[Layer] = []
    found = {}
    for problem in level_problems(member):
        if problem.level in levels:
            found[problem.level] = _only(_beams(member.X, layers, params, checkpoint), left_out)
        if problem.level == levels[-1]:
            break
        problem = with_negatives(problem, layers, params, checkpoint=checkpoint)
        problem = _without(problem, left_out)
        stage = f"{title}, level {problem.level + 1}"
        layers.append(train_levels([problem], params, progress, stage, checkpoint)[0][0])
    return found


def schemes_at(params: LabelTreeParams, level: int) -> list[str]:
    """The schemes of negatives on a level: of "tfn" and "man", one or both."""
    return at_level(params.negatives, level).split("+")


def _without(problem: LevelProblem, left_out: np.ndarray) -> LevelProblem:
    """The problem without the rows of a mask."""
    indptr, rows = problem.chunk_rows
    kept = ~left_out[rows]
    before = np.concatenate([[0], np.cumsum(kept)])
    return problem._replace(chunk_rows=Lists(frozen(before[indptr]), frozen(rows[kept])))


def _only(lists: Lists, kept: np.ndarray) -> Lists:
    """The lists of the rows of a mask; those of others are empty."""
    sizes = np.diff(lists.indptr)
    return Lists(pointers(sizes * kept), frozen(lists.ids[kept.repeat(sizes)]))


def _beams(X: Rows, layers: list[Layer], params: LabelTreeParams, checkpoint: Checkpoint) -> Lists:
    """The nodes in the beam of each row, best first."""
    asked = Asked(X, tuple(layers), search_of(params))
    jobs = [(asked, *block) for block in row_blocks(X.n_rows, ROWS_PER_BATCH)]
    sizes, ids = zip(*checkpoint.anew(_beams_of_batch, jobs, params.n_jobs), strict=True)
    return Lists(pointers(np.concatenate(sizes)), frozen(np.concatenate(ids)))


class Asked(NamedTuple):
    """Rows, and the matchers whose beams they go through."""

    X: Rows
    layers: tuple[Layer, ...]
    search: Search


def _beams_of_batch(asked: Asked, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of the beams of these rows, and the nodes in them."""
    found = beam(asked.X.part(start, end), asked.layers, asked.search)
    return found.size, found.ids[np.arange(found.ids.shape[1]) < found.size[:, None]]
