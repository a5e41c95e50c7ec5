"""Train one tree of an ensemble, level by level from the root down."""

from __future__ import annotations

from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..layer import Layer
from ..member import Member
from ..params import LabelTreeParams
from ..progress import Progress
from .level import train_level
from .negatives import unseen_beams, with_negatives
from .problem import MemberProblem, level_problems


def train_member(
    member: MemberProblem,
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> tuple[Member, int]:
    """Train every level of a tree; gives the member and the most passes that the solver took.

    The levels above come first, as their scorers, the matchers, find the negatives of the next one.
    """
    beams = unseen_beams(member, params, progress, title, checkpoint)
    layers: list[Layer] = []
    n_passes = 0
    for problem in level_problems(member):
        level = problem.level
        problem = with_negatives(problem, layers, params, beams.get(level), checkpoint)
        stage = f"{title}, level {level + 1} of {member.tree.depth}"
        layer, passes = train_level(problem, params, progress, stage, checkpoint)
        layers.append(layer)
        n_passes = max(n_passes, passes)
    return Member(member.tree, tuple(layers)), n_passes
