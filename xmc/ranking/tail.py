"""PfastreXML's tail classifiers: labels rank higher whose training rows lie near (Jain et al., KDD
2016).

They have few parameters and so do well by labels with few rows, where one-vs-rest classifiers say
little.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Lists, Rows
from ..embedding import label_embeddings
from ..kernels.candidates import products

MOST_FEATURES = 256  # of a label's embedding


class Tail(NamedTuple):
    """Tail classifiers and their part in the score.

    label_embeddings: the direction of each label's training rows, (n_labels, n_features).
    gamma: how fast probability falls with distance.
    share: of their log-probability in a label's log-score, from 0 to 1.
    """

    label_embeddings: Rows
    gamma: float
    share: float


def tail_embeddings(X: Rows, rows_of_label: Lists, n_jobs: int | None) -> Rows:
    """The direction of each label's training rows, its largest features."""
    labels = np.arange(len(rows_of_label[0]) - 1, dtype=np.int32)
    return label_embeddings(X, rows_of_label, labels, MOST_FEATURES, n_jobs)


def with_tail(
    X: Rows, indptr: np.ndarray, ids: np.ndarray, score: np.ndarray, tail: Tail
) -> np.ndarray:
    """Scores of candidates with the tail classifiers' share, float32: a step of kernels/score.py.

    p**(1 - share) * t**share with t = 1 / (1 + exp(gamma / 2 * d**2)), d being the distance from
    the row to the label's embedding.
    indptr, ids: the candidates of each row.
    score: p of each.
    """
    embeddings = tail.label_embeddings[:3]
    cosine = products(X.indptr, X.indices, X.data, X.n_features, indptr, ids, *embeddings)
    log_t = -np.logaddexp(0, tail.gamma * (1 - cosine))  # d**2 / 2, as both have length 1
    return score ** np.float32(1 - tail.share) * np.exp(tail.share * log_t).astype(np.float32)
