"""Predictor: what one kind of model has learned, and how it scores labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..arrays import Rows
from ..topk import TopK
from .search import Candidates, Search, best_of, probability_at_0

ROWS_PER_BATCH = 1024


class Predictor(ABC):
    """What one kind of model has learned. A subclass is a frozen dataclass.

    Its fields are arrays, numbers, Rows or trees: what model folders know how to store. Only
    `candidates` is needed; the other methods have answers that suit any kind.
    """

    @abstractmethod
    def candidates(self, X: Rows, search: Search) -> Candidates:
        """The labels that the model finds for each row, scored by their probability."""

    def rank(self, X: Rows, search: Search, k: int) -> TopK:
        """The best k labels of each row, as the score of kernels.score orders them."""
        return best_of(X, self.candidates(X, search), search, k)

    def threshold(self, search: Search) -> np.float32:
        """The score from which labels belong to a row's set, unless told: that of a margin of 0 on
        one level.
        """
        return probability_at_0(search.transform)

    @property
    def reads_texts(self) -> bool:
        """Whether texts tell it more than their features do."""
        return False

    @property
    def gives_probabilities(self) -> bool:
        """Whether its scores are probabilities without a calibration."""
        return False

    def asked(self, X: Rows, texts: list[str] | None = None) -> Any:
        """Rows as the methods above take them; texts: that they come from, if they do."""
        return X

    def reasons(self, asked: Any, search: Search, label: int) -> Any:
        """How it comes to the label's score for the only row, None where that can't be told."""
        return None

    def rows_per_batch(self, search: Search, all_candidates: bool) -> int:
        """Rows that are ranked at once, or whose candidates are all written down at once."""
        return ROWS_PER_BATCH

    def compressed(self, n_features: int, weights: str, threshold: float) -> Predictor:
        """A copy with weights below the threshold dropped, the others stored as `weights` says."""
        return self

    def renumbered(self, place: np.ndarray) -> Predictor:
        """The same, labels having the numbers that `place` gives to those of now."""
        raise NotImplementedError

    def check(self, n_features: int, n_labels: int) -> None:
        """Raise ValueError unless the arrays, read from a folder, fit each other."""
        return None

    def n_labels_found(self, label_counts: np.ndarray) -> int:
        """How many labels can be predicted at all."""
        return int(np.count_nonzero(label_counts))

    @property
    def n_weights(self) -> int:
        """How many numbers its scores are computed with."""
        return sum(level["n_weights"] for tree in self.levels() for level in tree)

    def levels(self) -> list[list[dict[str, Any]]]:
        """Sizes of each level of each tree, for people; none where there are no trees."""
        return []
