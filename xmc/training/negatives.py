"""Which rows train a node beside its positives.

Those of its parent, those that the matchers bring to its parent, those that the user names. All are
collected as the nodes of the level above that each row has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Lists, Rows, frozen, pointers
from ..checkpoint import Checkpoint
from ..layer import Layer
from ..parallel import run
from ..params import LabelTreeParams, at_level
from ..progress import Progress
from ..ranking.search import beam, row_blocks, search_of
from .level import train_level
from .problem import LevelProblem, MemberProblem, level_problems, transposed

ROWS_PER_BATCH = 1024  # whose beams are found in one job
ROWS_PER_PART = 1 << 16  # whose nodes are united at once, as that takes several times their memory


def with_negatives(
    problem: LevelProblem,
    layers: list[Layer],
    params: LabelTreeParams,
    beams: Lists | None = None,
) -> LevelProblem:
    """The problem with each chunk trained on the rows that the scheme of negatives says.

    layers: those above.
    beams: the nodes in the beam of each row, where these layers must not find them.
    """
    schemes = _schemes(params, problem.level)
    of_user = problem.user_negatives
    if not problem.level or (schemes == ["tfn"] and of_user is None):
        return problem
    nodes = [] if of_user is None else [of_user]
    if "tfn" in schemes:
        nodes.append(transposed(problem.chunk_rows, problem.X.n_rows))
    if "man" in schemes:
        nodes.append(_beams(problem.X, layers, params) if beams is None else beams)
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
    levels = [level for level in range(1, depth) if "man" in _schemes(params, level)]
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
            found[problem.level] = _only(_beams(member.X, layers, params), left_out)
        if problem.level == levels[-1]:
            break
        problem = _without(with_negatives(problem, layers, params), left_out)
        stage = f"{title}, level {problem.level + 1}"
        layers.append(train_level(problem, params, progress, stage, checkpoint)[0])
    return found


def _schemes(params: LabelTreeParams, level: int) -> list[str]:
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


def _beams(X: Rows, layers: list[Layer], params: LabelTreeParams) -> Lists:
    """The nodes in the beam of each row, best first."""
    search = search_of(params)

    def of_batch(start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        found = beam(X.part(start, end), layers, search)
        return found.size, found.ids[np.arange(found.ids.shape[1]) < found.size[:, None]]

    sizes, ids = zip(
        *run(of_batch, row_blocks(X.n_rows, ROWS_PER_BATCH), params.n_jobs), strict=True
    )
    return Lists(pointers(np.concatenate(sizes)), frozen(np.concatenate(ids)))
