"""Train an ensemble member: tree, folded targets, layers from the root down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np

from .kernels.gather import fold, relabel, transpose
from .layer import Task, train_layer, work
from .matrix import Rows, Targets, frozen, pointers
from .pages import Layer
from .parallel import run
from .params import LabelTreeParams, SolverParams, at_level
from .progress import Progress
from .tree import EMBEDDING_FEATURES, LabelTree, balanced, label_embeddings, shallow
from .walk import TRANSFORMS, Member, Search, beam, row_blocks, slice_rows

# Numbers of labels for which "auto" takes the shallow tree. It ranks better than the balanced one, but with more labels
# its clusters of very uneven size take far longer to train.
SHALLOW_FOR = range(1000, 100_001)

Lists = tuple[np.ndarray, np.ndarray]  # pointers (int64) and ids (int32), the ids of each row ascending
UserNegatives = Sequence[Lists | None]  # by level from the top: nodes above it whose children each row trains, too


def search_of(params: SolverParams) -> Search:
    """How to descend with these parameters."""
    return Search(getattr(params, "beam_size", 1), float(params.bias), TRANSFORMS[params.score_transform])


def grow_trees(
    X: Rows, rows_of_label: Lists, params: LabelTreeParams, seed: int, progress: Progress
) -> list[LabelTree]:
    """One tree per ensemble member over the labels that have rows."""
    labels = np.flatnonzero(np.diff(rows_of_label[0])).astype(np.int32)
    shape = params.tree if params.tree != "auto" else "shallow" if len(labels) in SHALLOW_FOR else "balanced"
    advance = progress.stage(f"label tree, {shape}", params.n_trees + 1)
    Z = label_embeddings(X, rows_of_label, labels, EMBEDDING_FEATURES[shape], params.n_jobs)
    advance(1)
    trees = []
    for member in range(params.n_trees):
        if shape == "balanced":
            tree = balanced(
                Z, labels, params.arity or 16, params.max_leaf_size, params.max_depth, (seed, member), params.n_jobs
            )
        else:
            tree = shallow(Z, labels, params.arity or 100, params.max_depth or 3, (seed, member), params.n_jobs)
        trees.append(tree)
        advance(1)
    return trees


def train_member(
    X: Rows,
    Y: Targets,
    tree: LabelTree,
    params: SolverParams,
    seed: tuple[int, ...],
    progress: Progress,
    title: str,
    user_negatives: UserNegatives = (),
) -> tuple[Member, int]:
    """Train every level of a tree, the matchers first; gives the member and the most passes that the solver took."""
    beams = _unseen_beams(X, Y, tree, params, seed, progress, title, user_negatives)
    layers: list[Layer] = []
    n_passes = 0
    for level, task in enumerate(level_tasks(X, Y, tree, seed)):
        task = _with_negatives(task, level, layers, params, user_negatives, beams.get(level))
        layer, passes = _train_level(task, level, params, progress, f"{title}, level {level + 1} of {tree.depth}")
        layers.append(layer)
        n_passes = max(n_passes, passes)
    return Member(tree, tuple(layers)), n_passes


def level_tasks(X: Rows, Y: Targets, tree: LabelTree, seed: tuple[int, ...]) -> Iterator[Task]:
    """What each level is trained on from the top, a node's trainers being the rows of its parent (teacher forcing)."""
    parents = _everyone(X.n_rows)
    for level, nodes in enumerate(_levels(Y, tree)):
        chunk_ptr = tree.chunks[level]
        rows = _columns(parents, len(chunk_ptr) - 1)
        yield Task(X, nodes, rows, chunk_ptr, level < tree.depth - 1, (*seed, level))
        parents = nodes[:2]


def _levels(Y: Targets, tree: LabelTree) -> list[Targets]:
    """The nodes of each level that every row belongs to, from the top; a node costs what the row's labels below it do.

    Costs are scaled to a mean of 1 on every level, so that C means the same on all of them.
    """
    place = np.full(max(int(Y.ids.max(initial=-1)), int(tree.labels.max(initial=-1))) + 1, -1, np.int32)
    place[tree.labels] = np.arange(len(tree.labels))
    levels = [Targets(*map(frozen, relabel(*Y, place)))]
    for level in range(tree.depth - 1, 0, -1):
        levels.append(Targets(*map(frozen, fold(*levels[-1], tree.parents(level)))))
    return [nodes._replace(costs=_of_mean_1(nodes.costs)) for nodes in levels[::-1]]


def _of_mean_1(costs: np.ndarray) -> np.ndarray:
    return frozen((costs / costs.mean(dtype=np.float64)).astype(np.float32)) if len(costs) else costs


def params_at(params: SolverParams, level: int) -> SolverParams:
    """The parameters that the solver sees on a level."""
    own = copy(params)
    own.C = at_level(params.C, level)
    return own


def _train_level(task: Task, level: int, params: SolverParams, progress: Progress, title: str) -> tuple[Layer, int]:
    return train_layer(task, params_at(params, level), progress.stage(title, max(1, work(task).sum())))


def _with_negatives(
    task: Task,
    level: int,
    layers: list[Layer],
    params: SolverParams,
    user_negatives: UserNegatives,
    beams: np.ndarray | None = None,
) -> Task:
    """The task with each chunk trained on the rows that the scheme of negatives says.

    layers: those above. beams: the nodes above this level in each row's beam, if others than these layers found them.
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


def _unseen_beams(
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
    levels = [level for level in range(1, tree.depth) if "man" in at_level(getattr(params, "negatives", ""), level)]
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
            task = _without(_with_negatives(task, level, layers, params, user_negatives), fold_of_row == n)
            part = f"{title}, part {n + 1} of {n_folds} left out, level {level + 1}"
            layers.append(_train_level(task, level, params, progress, part)[0])
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


def _everyone(n_rows: int) -> Lists:
    return frozen(np.arange(n_rows + 1)), frozen(np.zeros(n_rows, np.int32))


def _columns(lists: Lists, n_columns: int) -> Lists:
    return _frozen(transpose(*lists, n_columns))


def _frozen(lists: Lists) -> Lists:
    return frozen(lists[0]), frozen(lists[1])
