"""PfastreXML's tail classifiers: labels rank higher whose training rows lie near (Jain et al., KDD
2016).

They have few parameters and so do well by labels with few rows, where one-vs-rest classifiers say
little.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Rows
from ..embedding import label_embeddings
from ..kernels.candidates import products

MOST_FEATURES = 256  # of a label's mean


class Tail(NamedTuple):
    """Tail classifiers and their part in the score.

    means: the direction of each label's training rows, (n_labels, n_features); gamma: how fast
    probability falls with distance; share: of their log-probability in a label's score, between 0
    and 1.
    """

    means: Rows
    gamma: float
    share: float


def label_means(X: Rows, rows_of_label: tuple[np.ndarray, np.ndarray], n_jobs: int | None) -> Rows:
    """The direction of each label's training rows, its largest features."""
    labels = np.arange(len(rows_of_label[0]) - 1, dtype=np.int32)
    return label_embeddings(X, rows_of_label, labels, MOST_FEATURES, n_jobs)


def with_tail(
    X: Rows, indptr: np.ndarray, ids: np.ndarray, score: np.ndarray, tail: Tail
) -> np.ndarray:
    """Scores of candidates with the tail classifiers' share in them: float32.

    p**(1 - share) * t**share with t = 1 / (1 + exp(gamma / 2 * d**2)), d being the distance of row
    and mean.
    indptr, ids: the candidates of each row; score: p of each.
    """
    cosine = products(X.indptr, X.indices, X.data, X.n_features, indptr, ids, *tail.means[:3])
    log_t = -np.logaddexp(0, tail.gamma * (1 - cosine))  # both have length 1
    return score ** np.float32(1 - tail.share) * np.exp(tail.share * log_t).astype(np.float32)
