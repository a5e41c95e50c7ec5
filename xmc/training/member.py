"""Train an ensemble member: tree, folded targets, layers from the root down."""

from __future__ import annotations

from ..arrays import Rows, Targets
from ..label_tree import LabelTree
from ..layer import Layer
from ..member import Member
from ..params import SolverParams
from ..progress import Progress
from .level import level_tasks, train_level
from .negatives import UserNegatives, unseen_beams, with_negatives


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
    """Train every level of a tree, the matchers first; gives the member and the most passes that
    the solver took.
    """
    beams = unseen_beams(X, Y, tree, params, seed, progress, title, user_negatives)
    layers: list[Layer] = []
    n_passes = 0
    for level, task in enumerate(level_tasks(X, Y, tree, seed)):
        task = with_negatives(task, level, layers, params, user_negatives, beams.get(level))
        layer, passes = train_level(
            task, level, params, progress, f"{title}, level {level + 1} of {tree.depth}"
        )
        layers.append(layer)
        n_passes = max(n_passes, passes)
    return Member(tree, tuple(layers)), n_passes
