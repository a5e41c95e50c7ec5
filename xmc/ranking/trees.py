"""Trees, the predictor of label trees and of one-vs-all, the tree of height one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import Rows, frozen
from ..label_tree import check_tree
from ..layer import Layer, check_layer, repacked
from ..member import Member
from ..numbering import old_numbers
from ..topk import TopK
from .ensemble import Numbers, label_candidates, numbers_of, rank_together
from .paths import Paths, paths_to
from .predictor import Predictor
from .search import MOST_CANDIDATES, MOST_HELD, MOST_ROWS, Candidates, Search, best_labels, best_of


@dataclass(frozen=True, eq=False)
class Trees(Predictor):
    """An ensemble of trained label trees, whose scores are averaged."""

    members: tuple[Member, ...]

    def members_with(self, kept_labels: np.ndarray | None) -> tuple[Member, ...]:
        """The members, their leaves having the old numbers of labels."""
        numbers = [old_numbers(member.tree.labels, kept_labels) for member in self.members]
        return tuple(
            member._replace(tree=member.tree._replace(labels=frozen(own)))
            for member, own in zip(self.members, numbers, strict=True)
        )

    def renumbered(self, place: np.ndarray) -> Trees:
        """The same, labels having the numbers that `place` gives to those of now."""
        return Trees(
            tuple(
                member._replace(tree=member.tree._replace(labels=frozen(place[member.tree.labels])))
                for member in self.members
            )
        )

    def candidates(self, X: Rows, search: Search) -> Candidates:
        return label_candidates(X, self.members, search)

    def rank(self, X: Rows, search: Search, k: int) -> TopK:
        if _needs_candidates(search):
            return best_of(X, self.candidates(X, search), search, k)
        if len(self.members) > 1:
            return rank_together(X, self.members, self._numbers, search, k)
        return best_labels(X, self.members[0], search, k)

    @cached_property
    def _numbers(self) -> Numbers:
        return numbers_of(self.members)

    def reasons(self, asked: Rows, search: Search, label: int) -> Paths:
        return paths_to(asked, self.members, search, label)

    def rows_per_batch(self, search: Search, all_candidates: bool) -> int:
        if not all_candidates and not _needs_candidates(search):
            parents = max(len(member.layers[-1].chunk_ptr) - 1 for member in self.members)
            n_held = len(self.members) * min(search.beam_size, parents)
            return max(1, min(MOST_ROWS, MOST_HELD // n_held))
        widest = 1
        for member in self.members:
            widths = np.sort(np.diff(member.layers[-1].chunk_ptr))
            widest += int(widths[-search.beam_size :].sum())
        return max(1, min(MOST_ROWS, MOST_CANDIDATES // widest))

    def compressed(self, n_features: int, weights: str, threshold: float) -> Trees:
        def narrow(member: Member) -> Member:
            layers = (repacked(layer, n_features, weights, threshold) for layer in member.layers)
            return member._replace(layers=tuple(layers))

        return Trees(tuple(map(narrow, self.members)))

    def check(self, n_features: int, n_labels: int) -> None:
        for n, member in enumerate(self.members):
            check_tree(member.tree, n_labels, f"tree{n}")
            for level, layer in enumerate(member.layers):
                check_layer(layer, n_features, f"tree{n}.level{level}")

    def n_labels_found(self, label_counts: np.ndarray) -> int:
        return max(len(member.tree.labels) for member in self.members)

    def levels(self) -> list[list[dict[str, Any]]]:
        return [[_level_facts(layer) for layer in member.layers] for member in self.members]


def _needs_candidates(search: Search) -> bool:
    """Whether ranking writes all candidates down: for tail classifiers, or to boost what is
    calibrated.
    """
    return search.tail is not None or (search.calibration is not None and len(search.boost) > 0)


def _level_facts(layer: Layer) -> dict[str, Any]:
    """Sizes of a level; a width is the number of nodes in a chunk."""
    widths = np.diff(layer.chunk_ptr)
    return {
        "n_chunks": len(widths),
        "n_nodes": int(widths.sum()),
        "width_min": int(widths.min()),
        "width_median": float(np.median(widths)),
        "width_max": int(widths.max()),
        "n_weights": len(layer.weight),
    }
