"""The estimators: a label tree, and one-vs-all as the tree of height one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from .arrays import Rows
from .base import Estimator, Learned
from .calibration import N_CANDIDATES, SHARE_HELD, calibrated_on, held_out
from .errors import DataError, ParameterError
from .inputs import as_targets
from .label_tree import LabelTree, as_tree, one_vs_all
from .member import Member
from .memory import held_bytes
from .numbering import new_numbers
from .parallel import n_threads, run
from .params import (
    LabelTreeParams,
    OneVsAllParams,
    tree_params,
)
from .progress import Progress
from .ranking.calibration import Calibration
from .ranking.search import row_blocks, search_of
from .ranking.together import check_probabilities
from .ranking.trees import Trees
from .spill import IN_MEMORY, Spill, SpillFiles
from .topk import joined_tops
from .training.forecast import Forecast, forecast
from .training.grow import grow_trees
from .training.member import train_member
from .training.needs import Needs, growing_needs, within
from .training.problem import MemberProblem, UserNegatives
from .training_data import (
    TrainingData,
    as_seed,
    as_user_negatives,
    label_costs,
    middle_length,
)
from .updating.trees import Lesson, taught, without
from .updating.update import News


class CalibratedEstimator(Estimator):
    """What is trained again without some rows, which tell what its scores are as probabilities."""

    def _training_data(self, *given: Any) -> TrainingData:
        data = super()._training_data(*given)
        if self.calibration is None:
            check_probabilities(self)
        return data

    def _train(self, data: TrainingData, progress: Progress) -> Learned:
        learned = Learned(*self._trained(data, progress))
        if self.calibration is None:
            return learned
        calibration, threshold = self._calibrated(data, progress)
        return learned._replace(threshold=threshold, calibration=calibration)

    def _calibrated(self, data: TrainingData, progress: Progress) -> tuple[Calibration, float]:
        """What held-out rows say of what was trained on the others."""
        who = type(self).__name__
        if data.user_negatives is not None:
            raise ParameterError(f"{who}: calibration must be None with user_negatives")
        if getattr(self, "tail_share", 0):
            raise ParameterError(f"{who}: calibration must be None with tail_share")
        held = held_out(data.X.n_rows, data.seed, who)
        kept, asked = data.of(~held), data.of(held)
        learned, _ = self._trained(
            kept._replace(checkpoint=data.checkpoint.part("calibration")), progress
        )
        k, search = min(N_CANDIDATES, len(data.label_counts)), search_of(self._params())
        blocks = row_blocks(asked.X.n_rows, learned.rows_per_batch(search, False))
        parts = run(
            lambda start, end: learned.rank(asked.X.part(start, end), search, k),
            blocks,
            self.n_jobs,
        )
        truth = asked.truth(kept.label_counts > 0)
        return calibrated_on(self.calibration, self.threshold_for, joined_tops(parts), truth)

    def _trained(self, data: TrainingData, progress: Progress) -> tuple[Any, int]:
        """The predictor, and the most passes over the rows that its solver needed."""
        raise NotImplementedError


class TreeEstimator(CalibratedEstimator):
    """What a label tree and one-vs-all share: they train trees."""

    predictor_type = Trees

    @property
    def members_(self) -> tuple[Member, ...]:
        """The trained trees, their leaves being labels as the user numbers them."""
        predictor: Any = self.model_.predictor
        return predictor.members_with(self.model_.kept_labels)

    def _trained(self, data: TrainingData, progress: Progress) -> tuple[Trees, int]:
        """Trees, and the most passes over the rows that a solver needed."""
        params = self._training_params(data.X)
        trees = self._trees(data, progress)
        negatives = self._negatives(data, trees[0])
        what = data.X, data.Y, trees, params, data.seed
        params.n_jobs, spill = self._within(lambda: forecast(*what).parts)
        trained = []
        for n, tree in enumerate(trees):
            problem = MemberProblem(
                data.X, data.Y, tree, (data.seed, n), negatives, data.row_weights, spill
            )
            title = f"tree {n + 1} of {len(trees)}"
            kept = data.checkpoint.part(f"tree{n}")
            trained.append(train_member(problem, params, progress, title, kept))
        members, n_passes = zip(*trained, strict=True)
        learned = Trees(members)
        self._check_learned(learned)
        return learned, max(n_passes)

    def _within(self, needs: Callable[[], Sequence[Needs]]) -> tuple[int | None, Spill]:
        """The threads that `memory` allows a part of the training, and where it has large arrays.

        Raises ParameterError if it needs more.
        """
        if self.memory is None:
            return self.n_jobs, IN_MEMORY
        parts = needs()
        threads, spilled = within(parts, self.memory, n_threads(self.n_jobs))
        if not spilled:
            return threads, IN_MEMORY
        return threads, SpillFiles(max(part.large_bytes for part in parts))

    def _check_learned(self, trees: Trees) -> None:
        """Raise DataError where features that aren't scaled have left no weight."""
        layers = [layer for member in trees.members for layer in member.layers]
        n_labels = max(len(member.tree.labels) for member in trees.members)
        if not self.normalize and n_labels > 1 and not any(len(layer.weight) for layer in layers):
            raise DataError(
                f"{type(self).__name__}: expected weights of at least weight_threshold="
                f"{self.weight_threshold:g}, got none with normalize=False: scale the features, or "
                "set normalize=True"
            )

    @property
    def _keeps_rows(self) -> bool:  # type: ignore[override]
        return bool(self.keep_rows)

    def _taught(self, predictor: Trees, news: News) -> Trees:
        params, both = self._training_params(news.joined.X), news.joined
        counts = np.bincount(both.Y.indices, minlength=both.Y.shape[1])
        costs = label_costs(both.Y, counts, params, type(self).__name__)
        lesson = Lesson(both.X, as_targets(both.Y, costs), both.labels)
        return taught(predictor, lesson, params, as_seed(self.random_state))

    def _without(self, predictor: Trees, labels: np.ndarray) -> Trees:
        return without(predictor, labels, self.model_.n_kept_features)

    def _training_params(self, X: Rows) -> LabelTreeParams:
        """The parameters of training. The threshold is that of rows of length 1: the weights of
        rows that are longer are as much smaller.
        """
        params = self._params()
        if not self.normalize:
            params.weight_threshold /= max(1.0, middle_length(X))
        return params

    def forecast(self, X: Any, y: Any = None) -> Forecast:
        """What `fit` would take: seconds, and bytes of memory and of the model.

        It grows the trees and trains a sample of their scorers. Raises DataError and ParameterError
        as `fit` does.
        """
        fresh = clone(self)  # a trained model stays one
        fresh._renumbers, fresh._makes_features = self._renumbers, self._makes_features
        data = fresh._training_data(X, y)
        start, growing = time.perf_counter(), [fresh._growing_needs(data)]
        trees = fresh._trees(data, Progress(0))
        seconds = time.perf_counter() - start
        params = fresh._training_params(data.X)
        needs = forecast(data.X, data.Y, trees, params, data.seed, growing, seconds)
        again = 0 if self.calibration is None else 1 - SHARE_HELD  # of the rows
        return needs._replace(
            n_features=data.widths.n_features, seconds=(1 + again) * needs.seconds
        )

    def _trees(self, data: TrainingData, progress: Progress) -> list[LabelTree]:
        """One tree per member of the ensemble, over the labels that have rows."""
        raise NotImplementedError

    def _growing_needs(self, data: TrainingData) -> Needs:
        """The memory that `_trees` needs."""
        return Needs(held_bytes(), 0, 0)

    def _negatives(self, data: TrainingData, tree: LabelTree) -> UserNegatives:
        """The user's negatives, held against the tree that they are for."""
        if data.user_negatives is None:
            return ()
        who, own = type(self).__name__, getattr(self, "tree", "")
        if isinstance(own, str) or len(own.labels) != len(tree.labels):
            raise DataError(
                f"{who}: user_negatives needs tree=LabelTree, and every label of it must have a "
                "training row"
            )
        return as_user_negatives(data.user_negatives, tree, data.X.n_rows, who)


@dataclass(repr=False, eq=False, kw_only=True)
class LabelTreeClassifier(LabelTreeParams, TreeEstimator):
    """A label tree with one linear scorer per node, searched by beam; several make an ensemble.

    The labels are clustered by their training rows; every node's scorer is trained on the rows of
    its parent, and a row descends along its best nodes (Prabhu et al., WWW 2018; Khandagale et al.,
    2020; Yu et al., JMLR 2022).
    """

    def _trees(self, data: TrainingData, progress: Progress) -> list[LabelTree]:
        if isinstance(self.tree, str):
            params = self._params()
            params.n_jobs, spill = self._within(lambda: (self._growing_needs(data),))
            what = data.X, data.rows_of_label, params, data.seed
            return grow_trees(*what, progress, data.checkpoint, spill)
        who = type(self).__name__
        given = as_tree(self.tree, data.widths.n_labels, who)
        labels = new_numbers(given.labels, data.widths.kept_labels)
        with_rows = np.append(data.label_counts > 0, False)  # the last one for labels of number -1
        tree = given._replace(labels=labels).restricted_to(with_rows)
        if not len(tree.labels):
            raise DataError(
                f"{who}: expected a tree that holds a label with rows, got one that holds none"
            )
        return [tree] * self.n_trees

    def _growing_needs(self, data: TrainingData) -> Needs:
        if not isinstance(self.tree, str):
            return super()._growing_needs(data)
        return growing_needs(data.X, data.rows_of_label, self._params())


@dataclass(repr=False, eq=False, kw_only=True)
class OneVsAllClassifier(OneVsAllParams, TreeEstimator):
    """One linear scorer per label, trained on all rows: the most accurate where it can be afforded.

    (Babbar & Schölkopf, DiSMEC, WSDM 2017.)
    """

    def _trees(self, data: TrainingData, progress: Progress) -> list[LabelTree]:
        return [one_vs_all(np.flatnonzero(data.label_counts))]

    def _params(self) -> LabelTreeParams:
        return tree_params(self, beam_size=1)
