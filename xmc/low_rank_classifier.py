"""LowRankClassifier: one regression for all labels, of low rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import DataError, ParameterError
from .estimators import CalibratedEstimator
from .low_rank import (
    DOUBLE,
    Pair,
    Problem,
    Swept,
    alternate,
    closed,
    compile_kernels,
    problem_of,
)
from .memory import held_bytes
from .parallel import n_threads
from .params import LowRankParams
from .progress import Progress
from .ranking.factors import Factors, factors_of
from .training.needs import Needs, within
from .training_data import TrainingData

RANK, LEAST_COMPONENTS = 100, 500  # unless told, and the data have as many
LEAST_RIDGE = 1e-9  # of als: with less, rounding alone says how long factors are
COPIES = 5  # of U and V, while they are found
LATER = 2, 6  # copies of these, and of the factors, in what follows


@dataclass(repr=False, eq=False, kw_only=True)
class LowRankClassifier(LowRankParams, CalibratedEstimator):
    """A few numbers stand for each row and each label, and their product is the score.

    A least-squares regression of all labels at once, whose weights are a matrix of low rank: in
    closed form, or by least squares that alternate and weigh labels that a row lacks less (Yu et
    al., ICML 2014). xmc/low_rank.py says what is minimised.

    A score is the mean that the regression expects, cut off at 0 and 1, and a label belongs to a
    row's set from 0.5 on; calibration learns better ones of both. With alternating least squares
    scores are higher, the more so the smaller implicit_weight is.

    The rank is what makes it small, and so it can't be compressed.
    """

    predictor_type = Factors

    def compress(
        self, weights: str = "int8", weight_threshold: float | None = None
    ) -> LowRankClassifier:
        """Raises ParameterError: a smaller model is one of lower rank."""
        raise ParameterError(
            f"{type(self).__name__}: can't be compressed: fit it again with a smaller rank"
        )

    def _without(self, predictor: Factors, labels: np.ndarray) -> Factors:
        return predictor.without(labels)

    def _trained(self, data: TrainingData, progress: Progress) -> tuple[Factors, int]:
        """The factors, and the sweeps that they took."""
        self._check_given(data)
        compile_kernels()
        pair, n_sweeps = self._solved(data, progress)
        if not all(np.isfinite(factors).all() for factors in pair):
            raise DataError(
                f"{type(self).__name__}: expected values whose squares float32 can sum, got others "
                "with normalize=False: scale the features, or set normalize=True"
            )
        labels = np.flatnonzero(data.label_counts).astype(np.int32)
        return factors_of(pair.features, pair.labels[labels], labels), n_sweeps

    def _check_given(self, data: TrainingData) -> None:
        """Raise ParameterError at what doesn't go together."""
        who = type(self).__name__
        if data.user_negatives is not None:
            raise ParameterError(f"{who}: user_negatives must be None")
        if self.factorization == "als" and self.ridge < LEAST_RIDGE:
            least = f"at least {LEAST_RIDGE:g} with factorization='als'"
            raise ParameterError(f"{who}: ridge must be {least}, got {self.ridge:g}")
        if self.components is not None and self.components < (self.rank or 0):
            raise ParameterError(
                f"{who}: components must be at least rank={self.rank}, got {self.components}"
            )
        # What can't be is told before the directions are found, which takes long and much memory.
        n_labels = int(np.count_nonzero(data.label_counts))
        self._check_rank(min(data.X.n_rows, data.X.n_features + 1, n_labels))

    def _solved(self, data: TrainingData, progress: Progress) -> tuple[Pair, int]:
        """The closed form, from which sweeps go on if they are wanted, and how many there were."""
        problem, n_components = self._problem(data)
        n_sweeps = self.max_sweeps if self.factorization == "als" else 0
        advance = progress.stage("low rank", 1 + n_sweeps)
        given, kept = (
            (self.rank or RANK, n_components, float(self.ridge), data.seed),
            data.checkpoint,
        )
        pair = kept.once("closed", Pair, lambda: closed(problem, *given))
        self._check_rank(pair.features.shape[1])
        advance(1)
        if not n_sweeps:
            return pair, 1
        how = float(self.ridge), float(self.implicit_weight), n_sweeps, float(self.sweep_tol)
        swept = kept.once("als", Swept, lambda: alternate(problem, pair, *how, lambda: advance(1)))
        advance(n_sweeps)  # it may have stopped before
        return swept.pair, max(1, len(swept.objectives) - 1)

    def _problem(self, data: TrainingData) -> tuple[Problem, int]:
        """What there is to solve, and by how many directions of the features.

        Raises ParameterError if it takes more memory than there may be.
        """
        X = data.X
        wanted = self.components or max(LEAST_COMPONENTS, 2 * (self.rank or RANK))
        n_components = min(wanted, X.n_rows, X.n_features + 1)
        size = n_components * (X.n_rows + X.n_features + 1)
        dtype = np.float64 if size <= DOUBLE else np.float32
        if self.memory is not None:
            factors = (self.rank or RANK) * (len(data.label_counts) + X.n_features)
            most = max(COPIES * size, LATER[0] * size + LATER[1] * factors)
            n_bytes = np.dtype(dtype).itemsize * most + 6 * X.data.nbytes
            within([Needs(held_bytes() + n_bytes, 0, 0)], self.memory, n_threads(self.n_jobs))
        given = data.X, data.Y, data.rows_of_label, data.row_weights
        return problem_of(*given, float(self.bias), dtype, self.n_jobs), n_components

    def _check_rank(self, found: int) -> None:
        """Raise ParameterError if the data have no such rank."""
        if self.rank is not None and found < self.rank:
            raise ParameterError(
                f"{type(self).__name__}: rank must be at most {found:,}, as the data have no more, "
                f"got {self.rank:,}"
            )
