"""Which rows train a node beyond its positives: its parent's, those the matcher brings to it, those
the user names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Lists, Rows, Targets, frozen, pointers
from ..label_tree import LabelTree
from ..layer import Layer
from ..parallel import run
from ..params import SolverParams, at_level
from ..progress import Progress
from ..ranking.search import beam, row_blocks, search_of, slice_rows
from .level import Task, _columns, _frozen, level_tasks, train_level

UserNegatives = Sequence[
    Lists | None
]  # by level from the top: nodes above it whose children each row trains, too


def with_negatives(
    task: Task,
    level: int,
    layers: list[Layer],
    params: SolverParams,
    user_negatives: UserNegatives,
    beams: np.ndarray | None = None,
) -> Task:
    """The task with each chunk trained on the rows that the scheme of negatives says.

    layers: those above. beams: the nodes above this level in each row's beam, if others than these
    layers found them.
    """
    schemes = at_level(getattr(params, "negatives", "tfn"), level).split("+")
    own = user_negatives[level] if level < len(user_negatives) else None
    if not level or (schemes == ["tfn"] and own is None):
        return task
    pairs = [] if own is None else [_as_pairs(own)]
    if "tfn" in schemes:
        pairs.append(_row_pairs(task.chunk_rows))
    if "man" in schemes:
        pairs.append(_matched(task.X, layers, params) if beams is None else beams)
    found = np.unique(np.concatenate(pairs))
    counts = np.bincount(found >> 32, minlength=task.X.n_rows)
    nodes = pointers(counts), frozen((found & 0xFFFFFFFF).astype(np.int32))
    return task._replace(chunk_rows=_columns(nodes, len(task.chunk_ptr) - 1))


def unseen_beams(
    X: Rows,
    Y: Targets,
    tree: LabelTree,
    params: SolverParams,
    seed: tuple[int, ...],
    progress: Progress,
    title: str,
    user_negatives: UserNegatives,
) -> dict[int, np.ndarray]:
    """By level, the nodes above it in each row's beam, found by matchers trained without the row.

    Nothing where all rows train the matchers that find their negatives.
    """
    n_folds = getattr(params, "negative_folds", 1)
    levels = [
        level
        for level in range(1, tree.depth)
        if "man" in at_level(getattr(params, "negatives", ""), level)
    ]
    if n_folds == 1 or not levels:
        return {}
    rng = np.random.default_rng(np.random.SeedSequence((*seed, tree.depth)))
    fold_of_row = rng.permutation(X.n_rows) % n_folds
    found: dict[int, list[np.ndarray]] = {level: [] for level in levels}
    for n in range(n_folds):
        layers: list[Layer] = []
        for level, task in enumerate(level_tasks(X, Y, tree, (*seed, tree.depth, n))):
            if level in found:
                pairs = _matched(X, layers, params)
                found[level].append(pairs[fold_of_row[pairs >> 32] == n])
            if level == levels[-1]:
                break
            task = _without(
                with_negatives(task, level, layers, params, user_negatives), fold_of_row == n
            )
            part = f"{title}, part {n + 1} of {n_folds} left out, level {level + 1}"
            layers.append(train_level(task, level, params, progress, part)[0])
    return {level: np.concatenate(pairs) for level, pairs in found.items()}


def _without(task: Task, left_out: np.ndarray) -> Task:
    """The task without the rows of a mask."""
    indptr, rows = task.chunk_rows
    kept = ~left_out[rows]
    before = np.concatenate([[0], np.cumsum(kept)])
    return task._replace(chunk_rows=_frozen((before[indptr], rows[kept])))


def _matched(X: Rows, layers: list[Layer], params: SolverParams) -> np.ndarray:
    """The nodes in each training row's beam, as (row << 32) + node."""
    search = search_of(params)

    def task(start: int, end: int) -> np.ndarray:
        found = beam(slice_rows(X, start, end), layers, search)
        row, place = np.nonzero(np.arange(found.ids.shape[1]) < found.size[:, None])
        return ((start + row) << 32) + found.ids[row, place]

    return np.concatenate(run(task, row_blocks(X.n_rows, 1024), params.n_jobs))


def _row_pairs(chunk_rows: Lists) -> np.ndarray:
    """The same pairs from the rows of each node."""
    nodes = np.repeat(np.arange(len(chunk_rows[0]) - 1), np.diff(chunk_rows[0]))
    return (chunk_rows[1].astype(np.int64) << 32) + nodes


def _as_pairs(nodes: Lists) -> np.ndarray:
    """The same pairs from the nodes of each row."""
    rows = np.repeat(np.arange(len(nodes[0]) - 1), np.diff(nodes[0]))
    return (rows << 32) + nodes[1]
