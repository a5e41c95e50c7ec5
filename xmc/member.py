"""A trained tree of an ensemble."""

from __future__ import annotations

from typing import NamedTuple

from .label_tree import LabelTree
from .layer import Layer


class Member(NamedTuple):
    """A trained tree: one layer per level."""

    tree: LabelTree
    layers: tuple[Layer, ...]
