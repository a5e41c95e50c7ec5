"""Choose k labels of each row that are best for all rows together; kernels/together.py says how.

A row that is alone gets the labels of the highest probability, whatever the target: that is best
for one row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import ParameterError
from ..kernels import together as kernels
from ..kernels.together import TRUE, choose_again, counted
from ..params import TARGETS
from ..topk import TopK

KINDS: dict[str, int] = {name: getattr(kernels, name.upper()) for name in TARGETS}
FEWEST, PER_PLACE = 100, 10  # candidates of a row, and for each of k places: the most probable ones
# Of the metric, from 0 to 1: what all rows together must gain for another pass, and most passes.
LEAST_GAIN, MOST_PASSES = 1e-5, 50


class Target(NamedTuple):
    """What the labels of all rows together are to be best for.

    kind: one of KINDS.
    share: of it in what is optimised; the rest is precision.
    """

    kind: int
    share: float


def target_of(params: Any) -> Target | None:
    """The target that these parameters ask for; None where each row is ranked by itself."""
    kind = KINDS.get(params.optimize)
    return None if kind is None else Target(kind, float(params.macro_share))


def check_probabilities(estimator: Any) -> None:
    """Raise ParameterError if an estimator whose scores are no probabilities has a target."""
    if estimator.optimize in TARGETS:
        raise ParameterError(
            f"{type(estimator).__name__}: optimize must be 'p' or 'psp' where scores are no "
            f"probabilities, got {estimator.optimize!r}; train with calibration or a last stage"
        )


def n_candidates(k: int, n_labels: int) -> int:
    """How many candidates of a row there should be, of so many labels, to choose k from."""
    return max(k, min(n_labels, max(FEWEST, PER_PLACE * k)))


def best_together(found: TopK, k: int, target: Target) -> TopK:
    """The k labels of each row that are best for all rows together, the most probable first.

    found: candidates of each row with their probabilities, best first. All of them are expected to
    be true as often as these say, so there should be far more than k.
    """
    n_rows, width = found.labels.shape
    labels, p = found.widened(max(k, width))
    chosen = np.tile(np.arange(k, dtype=np.int32), (n_rows, 1))
    counts = counted(labels, p, chosen, int(labels.max(initial=-1)) + 1)
    n_labels = -np.expm1(-counts[TRUE]).sum()  # that are expected to occur
    weights = target.share / max(n_labels, 1), (1 - target.share) / (n_rows * k)
    rng = np.random.default_rng(0)
    for _ in range(MOST_PASSES):
        order = rng.permutation(n_rows)
        if choose_again(labels, p, counts, target.kind, *weights, order, chosen) < LEAST_GAIN:
            break
    return TopK(*(np.take_along_axis(column, chosen, axis=1) for column in (labels, p)))
