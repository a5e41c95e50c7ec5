"""Data whose right answer is known by construction, and the models that the battery tries.

A new kind of model adds a line to MODELS.
"""

from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from xmc import (
    LabelTree,
    LabelTreeClassifier,
    LowRankClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
)
from xmc.base import Estimator, Learned
from xmc.methods import Method
from xmc.params import OneVsAllParams
from xmc.ranking.predictor import Predictor
from xmc.ranking.search import Candidates

N_TOPICS, PER_TOPIC, N_NOISE = 8, 5, 30
N_LABELS = N_TOPICS * PER_TOPIC
BY_TOPIC = LabelTree(
    (np.array([0, N_TOPICS]), np.arange(0, N_LABELS + 1, PER_TOPIC)),
    np.arange(N_LABELS, dtype=np.int32),
)
SMALL = {"max_leaf_size": PER_TOPIC, "arity": 3, "random_state": 0}


def planted(n_rows, seed):
    """(X, Y): each row has a topic and one to three of its labels; features are the labels, the
    topic, and noise.
    """
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, N_TOPICS, n_rows)
    Y = np.zeros((n_rows, N_LABELS), np.float32)
    for row, n_own in enumerate(rng.integers(1, 4, n_rows)):
        Y[row, topic[row] * PER_TOPIC + rng.choice(PER_TOPIC, n_own, replace=False)] = 1
    noise = (rng.random((n_rows, N_NOISE)) < 0.1) * rng.uniform(0, 0.3, (n_rows, N_NOISE))
    X = np.hstack([Y * rng.uniform(1, 1.5, Y.shape), np.eye(N_TOPICS)[topic], noise])
    return sp.csr_matrix(X.astype(np.float32)), sp.csr_matrix(Y)


def uncertain(n_rows, seed):
    """Planted rows which lack the features of a third of their labels, and have others instead."""
    X, Y = planted(n_rows, seed)
    rng = np.random.default_rng(seed)
    own = X.toarray()
    own[:, :N_LABELS] *= rng.random((n_rows, N_LABELS)) < 0.67
    own[:, :N_LABELS] += rng.random((n_rows, N_LABELS)) < 0.02
    return sp.csr_matrix(own), Y


X, Y = planted(300, 0)
X_TEST, Y_TEST = planted(60, 1)


def arrays(model):
    """All that a model has learnt."""

    def flat(value):
        if isinstance(value, Predictor):
            value = tuple(getattr(value, f.name) for f in fields(value))
        return (
            [part for own in value for part in flat(own)] if isinstance(value, tuple) else [value]
        )

    return flat(model.model_.predictor)


def with_settings(model, **settings):
    """A copy with these settings of training, which a re-ranked model has in its base models."""
    model = clone(model)
    if isinstance(model, RerankedClassifier):
        bases = tuple(clone(base).set_params(**settings) for base in model.classifier)
        return model.set_params(classifier=bases)
    return model.set_params(**settings)


def same_model(a, b):
    ours, theirs = arrays(a), arrays(b)
    return len(ours) == len(theirs) and all(
        np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True)
    )


def same_answer(a, b):
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(a, b, strict=True))


def row_sets(M):
    """The labels of each row, as sets."""
    return [set(M.indices[a:b].tolist()) for a, b in zip(M.indptr, M.indptr[1:], strict=False)]


def dense(top, n_labels=N_LABELS):
    """The scores of a TopK as a matrix, 0 where there is none."""
    scores = np.zeros((len(top.labels), n_labels), np.float32)
    rows = np.repeat(np.arange(len(top.labels)), (top.labels >= 0).sum(axis=1))
    scores[rows, top.labels[top.labels >= 0]] = top.scores[top.labels >= 0]
    return scores


EXACT = {"tol": 1e-5, "max_iter": 5000, "weight_threshold": 0.0, "random_state": 0}


def log_p(margin):
    return -(np.maximum(0, 1 - margin) ** 3)


def unit(M):
    return sp.csr_matrix(M.multiply(1 / np.sqrt(M.multiply(M).sum(axis=1))))


# A third kind of model: what a new one takes, and how little.


@dataclass(frozen=True, eq=False)
class Frequency(Predictor):
    """How frequent labels are, the same for every row."""

    share: np.ndarray

    def candidates(self, X, search):
        ids = np.flatnonzero(self.share).astype(np.int32)
        columns = ids, self.share[ids], self.share[ids]
        return Candidates(
            np.arange(X.n_rows + 1) * len(ids), *(np.tile(column, X.n_rows) for column in columns)
        )


@dataclass(repr=False, eq=False, kw_only=True)
class FrequencyClassifier(OneVsAllParams, Estimator):
    """The most frequent labels, whatever the row."""

    predictor_type = Frequency

    def _train(self, data, progress):
        return Learned(Frequency((data.label_counts / data.X.n_rows).astype(np.float32)), 1)


FREQUENCY = Method("frequency", "planted", "FrequencyClassifier", OneVsAllParams, "frequent labels")


MODELS = {
    "balanced": LabelTreeClassifier(tree="balanced", **SMALL),
    "shallow": LabelTreeClassifier(tree="shallow", arity=4, random_state=0),
    "given": LabelTreeClassifier(tree=BY_TOPIC, random_state=0),
    "ensemble": LabelTreeClassifier(n_trees=3, **SMALL),
    "man": LabelTreeClassifier(negatives="man", beam_size=3, **SMALL),
    "tfn+man": LabelTreeClassifier(negatives="tfn+man", **SMALL),
    "folds": LabelTreeClassifier(negatives="man", negative_folds=3, beam_size=3, **SMALL),
    "costs": LabelTreeClassifier(costs="propensity", C=(2.0, 1.0), **SMALL),
    "hinge": LabelTreeClassifier(loss="hinge", score_transform="log_sigmoid", **SMALL),
    "one-vs-all": OneVsAllClassifier(random_state=0),
    "tfidf+pairs": OneVsAllClassifier(tfidf=True, pairs=0.5, random_state=0),
    "low-rank": LowRankClassifier(random_state=0),
    "als": LowRankClassifier(factorization="als", random_state=0),
    "reranked": RerankedClassifier(
        (LabelTreeClassifier(**SMALL), OneVsAllClassifier(random_state=0))
    ),
    "frequency": FrequencyClassifier(random_state=0),
}
LEARNERS = [name for name in MODELS if name != "frequency"]
LOW_RANK = ["low-rank", "als"]
FLAT = ["one-vs-all", "tfidf+pairs"]
TREES = [name for name in LEARNERS if name not in (*FLAT, "reranked", *LOW_RANK)]
