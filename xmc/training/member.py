"""Train one tree of an ensemble, from the root down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..checkpoint import NOTHING_KEPT, Checkpoint
from ..layer import Layer
from ..member import Member
from ..params import LabelTreeParams
from ..progress import Progress
from .level import train_levels
from .negatives import schemes_at, unseen_beams, with_negatives
from .problem import LevelProblem, MemberProblem, level_problems


def train_member(
    member: MemberProblem,
    params: LabelTreeParams,
    progress: Progress,
    title: str,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> tuple[Member, int]:
    """Train every level of a tree; gives the member and the most passes that the solver took.

    Where matchers find negatives, they come first; other levels don't wait for those above.
    """
    beams = unseen_beams(member, params, progress, title, checkpoint)
    layers: list[Layer] = []
    n_passes = 0
    for problems in _together(level_problems(member), params):
        problems = [
            with_negatives(own, layers, params, beams.get(own.level), checkpoint)
            for own in problems
        ]
        first, last = problems[0].level + 1, problems[-1].level + 1
        which = f"level {first}" if first == last else f"levels {first} to {last}"
        stage = f"{title}, {which} of {member.tree.depth}"
        for layer, passes in train_levels(problems, params, progress, stage, checkpoint):
            layers.append(layer)
            n_passes = max(n_passes, passes)
    return Member(member.tree, tuple(layers)), n_passes


def _together(
    problems: Iterable[LevelProblem], params: LabelTreeParams
) -> Iterator[list[LevelProblem]]:
    """The levels in groups that are trained together: a new one begins where beams are needed."""
    group: list[LevelProblem] = []
    for problem in problems:
        if group and "man" in schemes_at(params, problem.level):
            yield group
            group = []
        group.append(problem)
    if group:
        yield group
