"""Trees that learn labels after their training: only the columns of these are solved."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Rows, Targets, frozen, pointers
from ..inputs import taken
from ..kernels.gather import transpose
from ..label_tree import LabelTree
from ..layer import Layer
from ..member import Member
from ..parallel import run
from ..params import LabelTreeParams
from ..ranking.search import beam, search_of
from ..ranking.trees import Trees
from ..training.level import params_at
from ..training.negatives import with_negatives
from ..training.problem import (
    LevelProblem,
    MemberProblem,
    Weights,
    joined,
    level_problems,
    pose_chunk,
    sibling_groups,
)
from ..training.solver import solve
from .columns import Change, changed_layer

MOST_ASKED = 200  # rows of a label that say where it goes


class Lesson(NamedTuple):
    """What trees learn.

    X, Y: all rows, those known before and new ones, with all their labels.
    labels: int32, ascending, those whose rows are others than before.
    """

    X: Rows
    Y: Targets
    labels: np.ndarray


def taught(trees: Trees, lesson: Lesson, params: LabelTreeParams, seed: int) -> Trees:
    """The trees with the columns of the lesson's labels solved again, on the rows of all."""
    return Trees(
        tuple(_taught(member, lesson, params, (seed, n)) for n, member in enumerate(trees.members))
    )


def without(trees: Trees, labels: np.ndarray, n_features: int) -> Trees:
    """The trees without the leaves of some labels."""
    return Trees(tuple(_without(member, labels, n_features) for member in trees.members))


def _taught(
    member: Member, lesson: Lesson, params: LabelTreeParams, seed: tuple[int, ...]
) -> Member:
    new = lesson.labels[~np.isin(lesson.labels, member.tree.labels)]
    tree = with_leaves(member.tree, new, _parents_for(member, lesson, new, params))
    *_, problem = level_problems(MemberProblem(lesson.X, lesson.Y, tree, seed))
    problem = with_negatives(problem, [*member.layers[:-1]], params, None)
    solved = _solved(problem, _siblings(tree, lesson.labels), params_at(params, tree.depth - 1))
    before, after = np.diff(member.tree.chunks[-1]), np.diff(tree.chunks[-1])
    changes = {n: Change(np.arange(before[n]), int(after[n]), own) for n, own in solved.items()}
    return _with_last(member, tree, changes, lesson.X.n_features)


def _parents_for(
    member: Member, lesson: Lesson, labels: np.ndarray, params: LabelTreeParams
) -> np.ndarray:
    """The node of the last level but one that each label goes below: the one that most of the
    label's rows reach, by the probabilities of their paths.
    """
    if member.tree.depth == 1 or not len(labels):
        return np.zeros(len(labels), np.int64)
    n_nodes = len(member.tree.chunks[-1]) - 1
    indptr, ids, _ = lesson.Y
    ends, rows = transpose(indptr, ids, 1 + int(ids.max()))
    parents = []
    for label in labels.tolist():
        own = rows[ends[label] : ends[label + 1]]
        own = own[:: 1 + len(own) // MOST_ASKED]
        found = beam(taken(lesson.X, own), member.layers[:-1], search_of(params))
        there = found.ids >= 0
        mass = np.bincount(found.ids[there], np.exp(found.score[there]), n_nodes)
        parents.append(int(mass.argmax()))
    return np.array(parents, np.int64)


def with_leaves(tree: LabelTree, labels: np.ndarray, parents: np.ndarray) -> LabelTree:
    """The tree with more leaves, each behind those that its parent has."""
    order = np.argsort(parents, kind="stable")
    last = tree.chunks[-1]
    own = np.insert(tree.labels, last[parents[order] + 1], labels[order])
    sizes = np.diff(last) + np.bincount(parents, minlength=len(last) - 1)
    return LabelTree((*tree.chunks[:-1], pointers(sizes)), frozen(own.astype(np.int32)))


def _siblings(tree: LabelTree, labels: np.ndarray) -> dict[int, np.ndarray]:
    """Where the labels stand among their siblings, by the number of the chunk."""
    last, place = tree.chunks[-1], np.flatnonzero(np.isin(tree.labels, labels))
    chunk = np.searchsorted(last, place, side="right") - 1
    starts = np.flatnonzero(np.diff(chunk, prepend=-1))
    parts = np.split(place - last[chunk], starts[1:])
    return dict(zip(chunk[starts].tolist(), parts, strict=False))


def _solved(
    problem: LevelProblem, siblings: dict[int, np.ndarray], params: LabelTreeParams
) -> dict[int, Weights]:
    """The weights of these siblings: chunks side by side on threads, or the groups of only one."""
    if len(siblings) == 1:
        ((n, chosen),) = siblings.items()
        chunk = pose_chunk(problem, n, len(chosen))
        jobs = [(chunk, group, params) for group in sibling_groups(chunk, chosen)]
        return {n: joined(run(solve, jobs, params.n_jobs))}

    def solve_some(n: int, chosen: np.ndarray) -> Weights:
        chunk = pose_chunk(problem, n, len(chosen))
        return joined([solve(chunk, group, params) for group in sibling_groups(chunk, chosen)])

    return dict(zip(siblings, run(solve_some, [*siblings.items()], params.n_jobs), strict=True))


def _without(member: Member, labels: np.ndarray, n_features: int) -> Member:
    changes, gone = {}, np.isin(member.tree.labels, labels)
    last, own = member.tree.chunks[-1], member.tree.labels.copy()
    stay = np.ones(len(own), bool)
    for n in np.unique(np.searchsorted(last, np.flatnonzero(gone), side="right") - 1).tolist():
        part = slice(last[n], last[n + 1])
        place = _closed_up(gone[part])
        width = int((place >= 0).sum())
        changes[n] = Change(place, width, joined([]))
        own[part][place[place >= 0]] = member.tree.labels[part][place >= 0]
        stay[part][width:] = False
    tree = member.tree._replace(labels=frozen(own[stay]))
    return _with_last(member, tree, changes, n_features)


def _closed_up(gone: np.ndarray) -> np.ndarray:
    """The new place of each child, -1 of those that go: the last ones take the places set free, so
    that few columns move.
    """
    place = np.where(gone, -1, np.arange(len(gone)))
    width = int((~gone).sum())
    place[np.flatnonzero(place >= width)] = np.flatnonzero(gone[:width])
    return place


def _with_last(
    member: Member, tree: LabelTree, changes: dict[int, Change], n_features: int
) -> Member:
    layer: Layer = changed_layer(member.layers[-1], changes, n_features)
    tree = tree._replace(chunks=(*tree.chunks[:-1], layer.chunk_ptr))
    return Member(tree, (*member.layers[:-1], layer))
