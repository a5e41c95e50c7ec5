"""Which rows train a node beside its positives.

Those of its parent, those that the matchers bring to its parent, those that the user names. All are
collected as pairs of a row and a node of the level above, in one int64: (row << 32) + node.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Lists, Rows, frozen, pointers
from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..layer import Layer
from ..params import LabelTreeParams, at_level
from ..progress import Progress
from ..ranking.search import Search, beam, row_blocks, search_of
from .level import train_level
from .problem import LevelProblem, MemberProblem, level_problems, transposed

ROWS_PER_BATCH = 1024  # whose beams are found in one job


def with_negatives(
    problem: LevelProblem,
    layers: list[Layer],
    params: LabelTreeParams,
    beams: np.ndarray | None = None,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> LevelProblem:
    """The problem with each chunk trained on the rows that the scheme of negatives says.

    layers: those above.
    beams: pairs of each row and the nodes in its beam, where these layers must not find them.
    """
    schemes = _schemes(params, problem.level)
    of_user = problem.user_negatives
    if not problem.level or (schemes == ["tfn"] and of_user is None):
        return problem
    pairs = [] if of_user is None else [_pairs_by_row(of_user)]
    if "tfn" in schemes:
        pairs.append(_pairs_by_node(problem.chunk_rows))
    if "man" in schemes:
        if beams is None:
            beams = _beam_pairs(problem.X, layers, params, checkpoint)
        pairs.append(beams)
    distinct = np.unique(np.concatenate(pairs))
    counts = np.bincount(distinct >> 32, minlength=problem.X.n_rows)
    nodes = Lists(pointers(counts), frozen((distinct & 0xFFFFFFFF).astype(np.int32)))
    return problem._replace(chunk_rows=transposed(nodes, len(problem.chunk_ptr) - 1))


def unseen_beams(
    member: MemberProblem,
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint,
) -> dict[int, np.ndarray]:
    """By level, pairs of each row and the nodes in its beam, found by matchers that never saw it.

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
    found: dict[int, list[np.ndarray]] = {level: [] for level in levels}
    for fold in range(n_folds):
        left_out = fold_of_row == fold
        stage = f"{title}, part {fold + 1} of {n_folds} left out"
        own = member._replace(seed=(*seed, fold))
        how = params, progress, stage, checkpoint.part(f"without{fold}")
        for level, pairs in _beams_without(own, left_out, levels, *how).items():
            found[level].append(pairs)
    return {level: np.concatenate(parts) for level, parts in found.items()}


def _beams_without(
    member: MemberProblem,
    left_out: np.ndarray,
    levels: list[int],
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint,
) -> dict[int, np.ndarray]:
    """For each of the levels, the beams of the rows left out, by matchers trained on the others."""
    layers: list[Layer] = []
    found = {}
    for problem in level_problems(member):
        if problem.level in levels:
            pairs = _beam_pairs(member.X, layers, params, checkpoint)
            found[problem.level] = pairs[left_out[pairs >> 32]]
        if problem.level == levels[-1]:
            break
        problem = with_negatives(problem, layers, params, checkpoint=checkpoint)
        problem = _without(problem, left_out)
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


def _beam_pairs(
    X: Rows, layers: list[Layer], params: LabelTreeParams, checkpoint: Checkpoint
) -> np.ndarray:
    """Pairs of each row and the nodes in its beam."""
    asked = Asked(X, tuple(layers), search_of(params))
    jobs = [(asked, *block) for block in row_blocks(X.n_rows, ROWS_PER_BATCH)]
    return np.concatenate(checkpoint.anew(_pairs_of_beams, jobs, params.n_jobs))


class Asked(NamedTuple):
    """Rows, and the matchers whose beams they go through."""

    X: Rows
    layers: tuple[Layer, ...]
    search: Search


def _pairs_of_beams(asked: Asked, start: int, end: int) -> np.ndarray:
    found = beam(asked.X.part(start, end), [*asked.layers], asked.search)
    row, slot = np.nonzero(np.arange(found.ids.shape[1]) < found.size[:, None])
    return ((start + row) << 32) + found.ids[row, slot]


def _pairs_by_node(chunk_rows: Lists) -> np.ndarray:
    """Pairs from the rows of each node."""
    indptr, rows = chunk_rows
    return (rows.astype(np.int64) << 32) + np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _pairs_by_row(row_nodes: Lists) -> np.ndarray:
    """Pairs from the nodes of each row."""
    indptr, nodes = row_nodes
    return (np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) << 32) + nodes
