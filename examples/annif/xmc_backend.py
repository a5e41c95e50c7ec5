"""An Annif backend whose label trees xmc trains; README.md tells how Annif finds it."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import annif.backend
import joblib
import numpy as np
import scipy.sparse as sp
from annif import default_config
from annif.backend.backend import AnnifLearningBackend
from annif.backend.hyperopt import (
    AnnifHyperoptBackend,
    HPObjective,
    HPRecommendation,
    HyperparameterOptimizer,
)
from annif.backend.mixins import TfidfVectorizerMixin
from annif.eval import EvaluationBatch
from annif.exception import (
    ConfigurationException,
    NotInitializedException,
    NotSupportedException,
    OperationFailedException,
)
from annif.suggestion import SuggestionBatch
from annif.util import atomic_save, boolean
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from xmc import LabelTreeClassifier, load
from xmc.analyzers import opening_of
from xmc.calibration import FEWEST_ROWS
from xmc.params import check
from xmc.topk import TopK

OPENING_SHARE = 0.7  # of each of the two kinds of features of an opening; the text's is 1


class XmcOptimizer(HyperparameterOptimizer):
    """Finds C, costs and, unless the tree is balanced, cluster_k, on the cached training data."""

    def _prepare(self, n_jobs: int = 1) -> dict[str, Any]:
        self._backend.initialize_vectorizer()
        X, Y = self._backend.cached_matrices()
        documents = list(self._corpus.documents)
        n_processes = n_jobs if n_jobs > 0 else os.cpu_count()
        return {
            "backend": self._backend,
            "train": (X, Y),
            "rows": self._backend.vectorizer.transform([doc.text for doc in documents]),
            "gold": [doc.subject_set for doc in documents],
            "metric": self._metric,
            "threads": max(1, (os.cpu_count() or 1) // n_processes),
        }

    def _postprocess(self, study: Any) -> HPRecommendation:
        best = study.best_params | {"C": f"{study.best_params['C']:.3g}"}
        lines = [f"{name}={value}" for name, value in best.items()]
        return HPRecommendation(lines=lines, score=study.best_value)


class XmcObjective(HPObjective):
    """What the metric says of one choice of parameters."""

    @classmethod
    def objective(cls, trial: Any, args: dict[str, Any]) -> float:
        backend = args["backend"]
        params = backend.params | {"calibration": "none"}  # which leaves the order as it is
        params["C"] = trial.suggest_float("C", 0.1, 10, log=True)
        params["costs"] = trial.suggest_categorical("costs", ["equal", "propensity"])
        if not boolean(params["cluster_balanced"]):
            params["cluster_k"] = trial.suggest_int("cluster_k", 20, 500, log=True)
        model = make_classifier(params, args["threads"]).fit(*args["train"])
        found = EvaluationBatch(backend.project.subjects)
        found.evaluate_many(backend.suggestions(model, args["rows"], params), args["gold"])
        return found.results(metrics=[args["metric"]])[args["metric"]]


class XmcBackend(TfidfVectorizerMixin, AnnifHyperoptBackend, AnnifLearningBackend):
    """Label trees of linear classifiers, over words as the project's analyzer finds them."""

    name = "xmc"

    MODEL_FILE = "xmc-model"
    TRAIN_FILES = ("xmc-train-X.npz", "xmc-train-Y.npz")  # Annif takes *-train* for no model

    DEFAULT_PARAMETERS = {
        "min_df": 2,
        "ngram": 1,
        "opening": 16,
        "cluster_balanced": False,
        "cluster_k": "auto",
        "max_depth": 3,
        "collapse_every_n_layers": 0,
        "n_trees": 3,
        "C": 1.0,
        "costs": "equal",
        "calibration": "isotonic",
        "seed": 0,
    }

    # Of a backend that isn't initialised yet.
    _model = None
    _active = None

    def get_hp_optimizer(self, corpus: Any, metric: str) -> XmcOptimizer:
        return XmcOptimizer(self, corpus, metric, XmcObjective)

    def initialize(self, parallel: bool = False) -> None:
        self.initialize_vectorizer()
        if self._model is None:
            self._model = self._loaded()

    def _loaded(self) -> Any:
        path = os.path.join(self.datadir, self.MODEL_FILE)
        if not os.path.exists(path):
            raise NotInitializedException(f"model {path} not found", backend_id=self.backend_id)
        self.debug(f"loading model from {path}")
        with as_annif_error():
            model = load(path)
        n_subjects = len(self.project.subjects)
        if model.n_labels_ > n_subjects:
            raise OperationFailedException(
                f"the vocabulary has {n_subjects:,} subjects, the model was trained on "
                f"{model.n_labels_:,}: train the project again"
            )
        return model

    def _train(self, corpus: Any, params: dict[str, Any], jobs: int = 0) -> None:
        with as_annif_error():
            model = make_classifier(params, jobs or -1)
            check(model)  # nobody should wait for the vectoriser to learn of a mistyped setting
            if corpus == "cached":
                self.info("reusing cached training data from previous run")
                X, Y = self.cached_matrices()
            else:
                X, Y = self._matrices(corpus, params)
            if X.shape[0] < FEWEST_ROWS and model.calibration:
                self.warning(f"{X.shape[0]} documents are too few to calibrate: scores are raw")
                model.set_params(calibration=None)
            self.info(f"training on {X.shape[0]:,} documents, {X.shape[1]:,} features")
            model.fit(X, Y).save(os.path.join(self.datadir, self.MODEL_FILE), overwrite=True)
        self._model = model

    def _learn(self, corpus: Any, params: dict[str, Any]) -> None:
        """Solve the subjects of more documents again, beside the documents of the training."""
        self.initialize()
        documents = [doc for doc in corpus.documents if doc.subject_set]
        if not documents:
            raise NotSupportedException("Cannot learn from no documents")
        rows = self.vectorizer.transform([doc.text for doc in documents]).tocsr()
        n_subjects = len(self.project.subjects)
        subjects = subject_matrix([doc.subject_set for doc in documents], n_subjects)
        X, Y = self.cached_matrices()
        Y.resize(Y.shape[0], n_subjects)
        with as_annif_error():
            self._model.add(rows, subjects, rows=(X, Y))
            self._model.save(os.path.join(self.datadir, self.MODEL_FILE), overwrite=True)
        self._keep(sp.vstack([X, rows], format="csr"), sp.vstack([Y, subjects], format="csr"))
        self._active = None
        share = f"{self._model.drift_:.0%} of the subjects"
        self.info(f"learned {len(documents):,} documents; {share} have changed since the training")

    def _matrices(self, corpus: Any, params: dict[str, Any]) -> tuple[Any, Any]:
        """Features and subjects of all documents that have a subject, CSR; keeps them in files."""
        documents = [doc for doc in corpus.documents if doc.subject_set]
        if not documents:
            raise NotSupportedException("Cannot train xmc project with no documents")
        self.info("creating vectorizer")
        self.vectorizer = make_vectorizer(self.project.analyzer, params)
        X = self.vectorizer.fit_transform([doc.text for doc in documents]).tocsr()
        Y = subject_matrix([doc.subject_set for doc in documents], len(self.project.subjects))
        atomic_save(self.vectorizer, self.datadir, self.VECTORIZER_FILE, method=joblib.dump)
        self._keep(X, Y)
        return X, Y

    def _keep(self, X: Any, Y: Any) -> None:
        """Keep the features and subjects of all documents that the model knows."""
        for matrix, name in zip((X, Y), self.TRAIN_FILES, strict=True):
            atomic_save(matrix, self.datadir, name, method=lambda M, path: sp.save_npz(path, M))

    def cached_matrices(self) -> list[Any]:
        """Features and subjects of the documents that were trained on last."""
        paths = [os.path.join(self.datadir, name) for name in self.TRAIN_FILES]
        for path in paths:
            if not os.path.exists(path):
                raise NotInitializedException(f"{path} not found", backend_id=self.backend_id)
        return [sp.load_npz(path) for path in paths]

    def _suggest_batch(self, documents: list[Any], params: dict[str, Any]) -> SuggestionBatch:
        rows = self.vectorizer.transform([doc.text for doc in documents])
        return self.suggestions(self._model, rows, params)

    def suggestions(self, model: Any, rows: Any, params: dict[str, Any]) -> SuggestionBatch:
        """The best subjects of each row, none of a row without features."""
        with as_annif_error():
            top = model.predict_topk(rows, min(int(params["limit"]), model.n_labels_))
        if self._active is None:  # subjects that are neither deprecated nor excluded
            self._active = np.zeros(len(self.project.subjects), bool)
            self._active[[subject_id for subject_id, _ in self.project.subjects.active]] = True
        wanted = (top.labels >= 0) & self._active[top.labels]
        wanted &= np.diff(rows.tocsr().indptr)[:, None] > 0
        return SuggestionBatch(score_array(top, wanted, len(self._active)))


def make_vectorizer(analyzer: Any, params: dict[str, Any]) -> FeatureUnion:
    """An unfitted vectoriser: words of the text, and apart from them words and n-grams of
    characters of its opening, which mostly is a title.
    """
    words = {"tokenizer": analyzer.tokenize_words, "token_pattern": None}
    shared = {"min_df": int(params["min_df"]), "dtype": np.float32}
    text = TfidfVectorizer(ngram_range=(1, int(params["ngram"])), **words, **shared)
    n_words = int(params["opening"])
    if not n_words:
        return FeatureUnion([("text", text)])
    shared["preprocessor"] = partial(lower_opening, n_words=n_words)
    pairs = TfidfVectorizer(ngram_range=(1, 2), **words, **shared)
    chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), **shared)
    return FeatureUnion(
        [("text", text), ("pairs", pairs), ("chars", chars)],
        transformer_weights={"pairs": OPENING_SHARE, "chars": OPENING_SHARE},
    )


def lower_opening(text: str, n_words: int) -> str:
    """The first words of a text in lower case."""
    return opening_of(text, n_words).lower()


def make_classifier(params: dict[str, Any], threads: int) -> LabelTreeClassifier:
    """An unfitted tree, or ensemble of trees, by the names of Annif's Omikuji backend and ours."""
    if int(params["collapse_every_n_layers"]):
        raise ConfigurationException(
            "collapse_every_n_layers must be 0 in the xmc backend: a larger cluster_k does the same"
        )
    k, calibration, max_depth = params["cluster_k"], params["calibration"], int(params["max_depth"])
    return LabelTreeClassifier(
        tree="balanced" if boolean(params["cluster_balanced"]) else "shallow",
        arity=None if k == "auto" else int(k),
        max_depth=max_depth,
        n_trees=int(params["n_trees"]) if max_depth > 1 else 1,  # such trees are all the same
        C=float(params["C"]),
        costs=params["costs"],
        calibration=None if calibration == "none" else calibration,
        random_state=int(params["seed"]),
        n_jobs=threads,
    )


def subject_matrix(subject_sets: Sequence[Any], n_subjects: int) -> sp.csr_matrix:
    """(documents, subjects) CSR with 1 for each subject of a document."""
    indptr = np.cumsum([0, *map(len, subject_sets)])
    indices = [subject_id for subject_set in subject_sets for subject_id in subject_set]
    values = np.ones(len(indices), np.float32)
    return sp.csr_matrix((values, indices, indptr), (len(subject_sets), n_subjects))


def score_array(top: TopK, wanted: np.ndarray, n_subjects: int) -> sp.csr_array:
    """(documents, subjects) CSR with the scores that are wanted.

    Annif orders by scores alone, so the second of two equal ones becomes the next smaller number.
    """
    scores = top.scores.copy()
    for k in range(1, scores.shape[1]):
        below = np.nextafter(scores[:, k - 1], np.float32(0))
        scores[:, k] = np.minimum(scores[:, k], below)
    wanted = wanted & (scores > 0)
    indptr = np.concatenate([[0], np.cumsum(wanted.sum(axis=1))])
    array = sp.csr_array((scores[wanted], top.labels[wanted], indptr), (len(scores), n_subjects))
    array.sort_indices()
    return array


@contextmanager
def as_annif_error() -> Iterator[None]:
    """Errors about data and parameters as those that Annif prints in one line."""
    try:
        yield
    except ValueError as error:
        raise OperationFailedException(str(error)) from error


# Annif has no other place where backends of others could be named.
annif.backend._backend_fns[XmcBackend.name] = lambda: XmcBackend


class Config(default_config.Config):
    """Annif's own settings; ANNIF_CONFIG names this class, so that Annif imports the backend."""

    # As without ANNIF_CONFIG: a server loads all models when it starts, a command what it needs.
    INITIALIZE_PROJECTS = os.environ.get("FLASK_RUN_FROM_CLI") != "true"
