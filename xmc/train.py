"""Train an ensemble member: tree, folded targets, layers from the root down."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .kernels.gather import fold, relabel, transpose
from .layer import Task, train_layer, work
from .matrix import Rows, frozen
from .pages import Layer
from .parallel import run
from .params import LabelTreeParams, SolverParams
from .progress import Progress
from .tree import EMBEDDING_FEATURES, LabelTree, balanced, label_embeddings, shallow
from .walk import TRANSFORMS, Member, Search, beam, row_blocks, slice_rows

# Numbers of labels for which "auto" takes the shallow tree. It ranks better than the balanced one, but with more labels
# its clusters of very uneven size take far longer to train.
SHALLOW_FOR = range(1000, 100_001)

Lists = tuple[np.ndarray, np.ndarray]  # pointers (int64) and ids (int32), the ids of each row ascending


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
    X: Rows, Y: Lists, tree: LabelTree, params: SolverParams, seed: tuple[int, ...], progress: Progress, title: str
) -> tuple[Member, int]:
    """Train every level of a tree, the matchers first; gives the member and the most passes that the solver took."""
    negatives = getattr(params, "negatives", "tfn")
    layers: list[Layer] = []
    n_passes = 0
    for level, task in enumerate(level_tasks(X, Y, tree, seed)):
        if level and negatives != "tfn":
            pairs = _training_pairs(task, layers, params, negatives)
            task = task._replace(chunk_rows=_columns(pairs, len(task.chunk_ptr) - 1))
        advance = progress.stage(f"{title}, level {level + 1} of {tree.depth}", max(1, work(task).sum()))
        layer, passes = train_layer(task, params, advance)
        layers.append(layer)
        n_passes = max(n_passes, passes)
    return Member(tree, tuple(layers)), n_passes


def level_tasks(X: Rows, Y: Lists, tree: LabelTree, seed: tuple[int, ...]) -> Iterator[Task]:
    """What each level is trained on from the top, a node's trainers being the rows of its parent (teacher forcing)."""
    parents = _everyone(X.n_rows)
    for level, nodes in enumerate(_levels(Y, tree)):
        chunk_ptr = tree.chunks[level]
        rows = _columns(parents, len(chunk_ptr) - 1)
        yield Task(X, nodes, rows, chunk_ptr, level < tree.depth - 1, (*seed, level))
        parents = nodes


def _levels(Y: Lists, tree: LabelTree) -> list[Lists]:
    """The nodes of each level that every row belongs to, from the top."""
    place = np.full(max(int(Y[1].max(initial=-1)), int(tree.labels.max(initial=-1))) + 1, -1, np.int32)
    place[tree.labels] = np.arange(len(tree.labels))
    lists = [_frozen(relabel(*Y, place))]
    for level in range(tree.depth - 1, 0, -1):
        lists.append(_frozen(fold(*lists[-1], tree.parents(level))))
    return lists[::-1]


def _training_pairs(task: Task, layers: list[Layer], params: SolverParams, negatives: str) -> Lists:
    """The parent nodes for whose chunks each row is trained on: those in its beam, and its own with tfn+man."""
    pairs = _matched(task.X, layers, params)
    if negatives == "tfn+man":
        pairs = np.concatenate([pairs, _row_pairs(task.chunk_rows)])
    pairs = np.unique(pairs)
    counts = np.bincount(pairs >> 32, minlength=task.X.n_rows)
    return _frozen((np.concatenate([[0], np.cumsum(counts)]), (pairs & 0xFFFFFFFF).astype(np.int32)))


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


def _everyone(n_rows: int) -> Lists:
    return frozen(np.arange(n_rows + 1)), frozen(np.zeros(n_rows, np.int32))


def _columns(lists: Lists, n_columns: int) -> Lists:
    return _frozen(transpose(*lists, n_columns))


def _frozen(lists: Lists) -> Lists:
    return frozen(lists[0]), frozen(lists[1])
