"""The estimators: a label tree, and one-vs-all as the tree of height one."""

from __future__ import annotations

import numbers
import time
import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .arrays import Lists, Rows, Targets, frozen
from .errors import DataError, ParameterError
from .frames import check_no_missing, is_frame
from .inputs import as_rows, as_targets, canonical, check_k, check_not_empty, same_rows
from .kernels.gather import transpose
from .label_tree import LabelTree, check_tree, one_vs_all
from .layer import repacked
from .memory import return_freed_arrays
from .model import Member
from .parallel import n_threads, run
from .params import (
    BeamParams,
    DataParams,
    LabelTreeParams,
    OneVsAllParams,
    check,
    names,
    tree_params,
)
from .progress import Progress
from .propensity import propensities_of
from .ranking.ranker import Ranker
from .ranking.search import (
    Candidates,
    Search,
    block_size,
    label_candidates,
    rank,
    rank_block,
    row_blocks,
    search_of,
    slice_rows,
)
from .ranking.tail import Tail, label_means
from .topk import TopK
from .training.forecast import Forecast, forecast
from .training.grow import grow_trees
from .training.member import train_member
from .training.negatives import UserNegatives
from .warmup import compile_kernels


class Training(NamedTuple):
    """Data and seed of a fit, past the door. classes: those of a 1-D y, else None."""

    X: Rows
    Y: Targets
    rows_of_label: Lists
    classes: np.ndarray | None
    seed: int


class Model(ClassifierMixin, BaseEstimator):
    """What every estimator shares: from matrices at the door to members, and from candidates to
    answers.

    Fitted attributes: members_ (the trained trees), classes_, n_labels_, n_features_in_, n_iter_
    (most passes that the solver needed), n_rows_ and label_counts_ (training rows, and those of
    each label); label_means_ with tail_share; vectorizer_, label_ids_ and label_names_ are None
    unless the model was trained from text.
    """

    def fit(self, X: Any, y: Any, user_negatives: Sequence[Any] | None = None) -> Model:
        """Train on X (n_rows, n_features) and y: (n_rows, n_labels), nonzero is true, or one label
        per row.

        user_negatives: with a LabelTree, for each of its levels from the top None or a matrix
        (n_rows, nodes of the level above); where it is not 0, the row trains the node's children
        too, whatever `negatives` says. Raises ParameterError and DataError, both ValueErrors.
        """
        data = self._training(X, y)
        with Progress(self.verbose) as progress:
            trees = self._trees(data.X, data.rows_of_label, data.seed, progress)
            negatives = self._user_negatives(user_negatives, trees[0], data.X.n_rows)
            params = self._tree_params()
            if self.memory is not None:
                params = self._within_memory(data, trees, params)
            trained = []
            for n, tree in enumerate(trees):
                title = f"tree {n + 1} of {len(trees)}"
                trained.append(
                    train_member(
                        data.X, data.Y, tree, params, (data.seed, n), progress, title, negatives
                    )
                )
        self.members_ = tuple(member for member, _ in trained)
        self.n_labels_ = len(data.rows_of_label[0]) - 1
        self.n_rows_, self.label_counts_ = data.X.n_rows, np.diff(data.rows_of_label[0])
        self.label_means_ = (
            label_means(data.X, data.rows_of_label, self.n_jobs) if self.tail_share else None
        )
        self.classes_ = np.arange(self.n_labels_) if data.classes is None else data.classes
        self.one_label_per_row_ = data.classes is not None
        self.n_iter_ = max(n_passes for _, n_passes in trained)
        self.vectorizer_ = self.label_ids_ = self.label_names_ = None
        return self

    def forecast(self, X: Any, y: Any) -> Forecast:
        """What `fit` would take: time, memory and model size, from its trees and a sample of their
        scorers.
        """
        data = self._training(X, y)
        start = time.perf_counter()
        trees = self._trees(data.X, data.rows_of_label, data.seed, Progress(0))
        return forecast(
            data.X, data.Y, trees, self._tree_params(), data.seed, time.perf_counter() - start
        )

    def predict_topk(self, X: Any, k: int = 5) -> TopK:
        """The best k labels of each row: (n_rows, k) int32 and float32, best first, -1 and -inf
        where there are fewer.

        Scores are path probabilities in [0, 1], averaged over the trees; equal ones are in order of
        margin, label. With tail_share, tail classifiers have their share in them; with
        optimize="psp" they are then multiplied by the label's inverse propensity over the largest
        one (both Jain et al., KDD 2016).
        X: matrix, or a list of texts if the model holds a vectoriser.
        """
        if sp.issparse(X) and (X.shape[0] == 1 or len(X.shape) == 1):
            return self._ready_ranker()(X, k)
        check_k("predict_topk", k, self._n_labels())
        parts = self._answers(
            X, lambda rows, search: rank(rows, self.members_, search, k), rank_block
        )
        return TopK(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def predict(self, X: Any) -> Any:
        """The labels that the beam reaches with a margin above 0, as 0/1 CSR; with 1-D y, the best
        class.
        """
        if self._one_label():
            return self.classes_[self.predict_topk(X, 1).labels[:, 0]]
        return self._csr(self._candidates(X, _positive))

    def predict_proba(self, X: Any) -> Any:
        """The scores of all labels that the beam reaches, as CSR; with 1-D y, dense and scaled to
        sum to 1 per row.
        """
        P = self._csr(self._candidates(X))
        if not self._one_label():
            return P
        dense = P.toarray().astype(np.float64)
        dense[dense.sum(axis=1) == 0] = 1
        return dense / dense.sum(axis=1, keepdims=True)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """P@1: the share of rows whose best label is true; with 1-D y, the accuracy."""
        if self._one_label():
            return super().score(X, y, sample_weight)
        best = self.predict_topk(X, 1).labels[:, 0]
        who = type(self).__name__
        Y = canonical(y, who, "Y")
        same_rows(best[:, None], Y, who)
        if Y.shape[1] < self.n_labels_:
            raise DataError(f"{who}: expected {self.n_labels_:,} labels in Y, got {Y.shape[1]:,}")
        hit = np.asarray(Y[np.arange(len(best)), best] != 0).ravel()
        return float(np.average(hit, weights=sample_weight))

    def ranker(self) -> Ranker:
        """What ranks one row or text at a time, fast, from as many threads as you like."""
        check_is_fitted(self, "members_")
        check(self)  # beam_size and others may have been set since
        learned = self.members_, self._search(), self.n_features_in_, self.n_labels_
        return Ranker(type(self).__name__, *learned, self.normalize, self.vectorizer_)

    def _ready_ranker(self) -> Ranker:
        """The ranker made last, if nothing it depends on was set since: making one takes time."""
        state = vars(self)
        learned = ("members_", "vectorizer_", "label_counts_", "label_means_")
        needs = [state.get(name) for name in (*learned, *names(self, DataParams, BeamParams))]
        kept = state.get("_ranker")
        if kept is None or any(a is not b for a, b in zip(kept[0], needs, strict=True)):
            kept = self._ranker = needs, self.ranker()
        return kept[1]

    def compress(self, weights: str = "int8", weight_threshold: float | None = None) -> Model:
        """A smaller copy: weights stored as `weights` says, those below the threshold (by default
        its own) dropped.
        """
        check_is_fitted(self, "members_")
        smaller = copy(self)
        smaller.weights = weights
        smaller.weight_threshold = (
            self.weight_threshold if weight_threshold is None else weight_threshold
        )
        check(smaller)

        def narrow(member: Member) -> Member:
            settings = self.n_features_in_, weights, smaller.weight_threshold
            return member._replace(
                layers=tuple(repacked(layer, *settings) for layer in member.layers)
            )

        smaller.members_ = tuple(map(narrow, self.members_))
        return smaller

    def save(self, path: str | PathLike[str], overwrite: bool = False) -> None:
        """Write the model folder. Raises ModelError if `path` exists, unless `overwrite`."""
        from .model_files import save

        check_is_fitted(self, "members_")
        save(self, path, overwrite)

    def _trees(
        self, X: Rows, rows_of_label: Lists, seed: int, progress: Progress
    ) -> list[LabelTree]:
        raise NotImplementedError

    def _training(self, X: Any, y: Any) -> Training:
        check(self)
        compile_kernels(self.weights, self.costs != "equal")
        return_freed_arrays()
        who = type(self).__name__
        vars(self).pop(
            "members_", None
        )  # if this fit fails, the old trees and the new n_features_in_ don't meet
        csr = self._features(X, reset=True)
        Y, classes = self._labels(y)
        same_rows(csr, Y, who)
        targets = as_targets(Y)
        rows_of_label = tuple(map(frozen, transpose(*targets[:2], Y.shape[1])))
        if not len(rows_of_label[1]):
            raise DataError(
                f"{who}: expected at least one row with a label, got {Y.shape[0]:,} rows without"
            )
        targets = targets._replace(costs=self._costs(Y, rows_of_label))
        return Training(as_rows(csr, self.normalize), targets, rows_of_label, classes, self._seed())

    def _costs(self, Y: sp.csr_matrix, rows_of_label: Lists) -> np.ndarray:
        """What missing each label of each row costs; nothing if all cost the same."""
        if self.costs == "equal":
            return frozen(np.empty(0, np.float32))
        if self.solver != "block":
            raise ParameterError(
                f"{type(self).__name__}: costs={self.costs!r} needs solver='block'"
            )
        if self.costs == "relevance":
            return frozen(Y.data)
        p = propensities_of(
            np.diff(rows_of_label[0]), Y.shape[0], self.propensity_a, self.propensity_b
        )
        return frozen((1 / p).astype(np.float32)[Y.indices])

    def _user_negatives(
        self, given: Sequence[Any] | None, tree: LabelTree, n_rows: int
    ) -> UserNegatives:
        """The door of what the user says trains which nodes."""
        if given is None:
            return ()
        who = type(self).__name__
        own = getattr(self, "tree", "")
        if isinstance(own, str) or len(own.labels) != len(tree.labels):
            raise DataError(
                f"{who}: expected a LabelTree as tree with user_negatives, all its labels with rows, as they name nodes"
            )
        if len(given) != tree.depth:
            raise DataError(
                f"{who}: expected a matrix or None in user_negatives per level, {tree.depth}, got {len(given)}"
            )
        checked: list[Lists | None] = []
        for level, M in enumerate(given):
            csr = None if M is None else canonical(M, who, f"user_negatives[{level}]")
            shape = n_rows, len(tree.chunks[level]) - 1
            if csr is not None and csr.shape != shape:
                raise DataError(
                    f"{who}: expected shape {shape} in user_negatives[{level}], got {csr.shape}"
                )
            checked.append(None if csr is None else as_targets(csr)[:2])
        return checked

    def _tree_params(self) -> LabelTreeParams:
        """The parameters as training reads them."""
        return tree_params(self)

    def _within_memory(
        self, data: Training, trees: list[LabelTree], params: LabelTreeParams
    ) -> LabelTreeParams:
        """The parameters with as many threads as the memory budget allows."""
        needs = forecast(data.X, data.Y, trees, params, data.seed)
        params.n_jobs = needs.threads_within(self.memory, n_threads(self.n_jobs))
        return params

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _n_labels(self) -> int:
        check_is_fitted(self, "members_")
        return self.n_labels_

    def _one_label(self) -> bool:
        check_is_fitted(self, "members_")
        return self.one_label_per_row_

    def _features(self, X: Any, reset: bool) -> sp.csr_matrix:
        """X as canonical CSR with the model's number of features, which `reset` sets."""
        who = type(self).__name__
        try:
            if sp.issparse(X) or is_frame(X):
                csr = canonical(X, who, "X")
                known = not reset and csr.shape[1] == self.n_features_in_
                if not known or hasattr(self, "feature_names_in_"):  # costs more than ranking a row
                    validate_data(self, X, reset=reset, skip_check_array=True)
            else:
                X = np.asarray(X) if isinstance(X, np.matrix) else X
                X = validate_data(self, X, reset=reset, dtype="numeric", ensure_all_finite=False)
                csr = canonical(X, who, "X")
        except ValueError as error:
            raise DataError(" ".join(str(error).split())) from None
        check_not_empty(csr, who, "X")
        return csr

    def _labels(self, y: Any) -> tuple[sp.csr_matrix, np.ndarray | None]:
        """y as CSR (n_rows, n_labels), and the classes if it was one label per row."""
        who = type(self).__name__
        if y is None:
            raise DataError(f"{who} requires y to be passed, but the target y is None")
        if sp.issparse(y) or (is_frame(y) and y.shape[1] > 1):
            return self._label_matrix(y), None
        check_no_missing(y, who, "y")
        try:
            y = np.asarray(y)
            if y.ndim == 2 and y.shape[1] > 1:
                return self._label_matrix(y), None
            if y.ndim == 2:
                warnings.warn(
                    "A column-vector y was passed when a 1d array was expected",
                    DataConversionWarning,
                    stacklevel=3,
                )
            y = column_or_1d(y)
            check_classification_targets(y)
            classes, ids = np.unique(y, return_inverse=True)
        except DataError:
            raise
        except (TypeError, ValueError) as error:
            raise DataError(f"{who}: y can't be read: {' '.join(str(error).split())}") from None
        one_hot = (np.ones(len(ids), np.float32), ids.astype(np.int32), np.arange(len(ids) + 1))
        return sp.csr_matrix(one_hot, shape=(len(ids), len(classes))), classes

    def _label_matrix(self, y: Any) -> sp.csr_matrix:
        who = type(self).__name__
        Y = canonical(y, who, "Y")
        if (Y.data < 0).any():
            raise DataError(f"{who}: expected no negative values in Y, got {Y.data.min()}")
        if Y.shape[1] == 0:
            raise DataError(f"{who}: expected at least one label, Y has no columns")
        return Y

    def _candidates(self, X: Any, take: Any = lambda found: found) -> list[Candidates]:
        """`take` of the candidates of each block of rows."""
        return self._answers(
            X, lambda rows, search: take(label_candidates(rows, self.members_, search)), block_size
        )

    def _answers(self, X: Any, answer: Any, most_rows: Any) -> list:
        """`answer` of each block of rows and how to search; most_rows: of members and search, how
        many it takes.
        """
        check_is_fitted(self, "members_")
        check(self)  # beam_size and others may have been set since
        rows = as_rows(self._features(self._vectorized(X), reset=False), self.normalize)
        search = self._search()
        if rows.n_rows == 1:
            return [answer(rows, search)]
        threads = n_threads(self.n_jobs)
        jobs = row_blocks(
            rows.n_rows, min(most_rows(self.members_, search), -(-rows.n_rows // threads))
        )
        with Progress(self.verbose if len(jobs) > threads else 0) as progress:
            advance = progress.stage("ranking rows", rows.n_rows)
            return run(
                lambda start, end: answer(slice_rows(rows, start, end), search),
                jobs,
                self.n_jobs,
                lambda n: advance(jobs[n][1] - jobs[n][0]),
            )

    def _search(self) -> Search:
        """How to rank: with optimize="psp", labels gain by their inverse propensity over the
        largest one.
        """
        search = search_of(self._tree_params())
        if self.tail_share:
            if self.label_means_ is None:
                raise ParameterError(
                    f"{type(self).__name__}: tail_share must be 0, as it was in training"
                )
            search = search._replace(
                tail=Tail(self.label_means_, float(self.tail_gamma), float(self.tail_share))
            )
        if self.optimize == "p":
            return search
        p = propensities_of(self.label_counts_, self.n_rows_, self.propensity_a, self.propensity_b)
        return search._replace(gain=frozen(np.log(p.min() / p).astype(np.float32)))

    def _vectorized(self, X: Any) -> Any:
        if not (isinstance(X, list) and X and all(isinstance(text, str) for text in X)):
            return X
        if self.vectorizer_ is None:
            raise DataError(
                f"{type(self).__name__}: expected a matrix, got texts, and the model holds no vectoriser"
            )
        return self.vectorizer_.transform(X)

    def _csr(self, parts: list[Candidates]) -> sp.csr_matrix:
        counts = np.concatenate([np.diff(part.indptr) for part in parts])
        indptr = np.concatenate([[0], np.cumsum(counts)])
        ids, scores = (np.concatenate([part[column] for part in parts]) for column in (1, 2))
        csr = sp.csr_matrix((scores, ids, indptr), shape=(len(counts), self.n_labels_))
        csr.sort_indices()
        return csr

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # Several labels per row; the tag multi_label would promise dense predictions too.
        tags.target_tags.multi_output = True
        return tags


@dataclass(repr=False, eq=False, kw_only=True)
class LabelTreeClassifier(LabelTreeParams, Model):
    """A label tree with one linear scorer per node, searched by beam; several trees make an
    ensemble.

    The labels are clustered by their training rows; every node's scorer is trained on the rows of
    its parent, and a row descends along its best nodes (Prabhu et al., WWW 2018; Khandagale et al.,
    2020; Yu et al., JMLR 2022).
    """

    def _trees(
        self, X: Rows, rows_of_label: Lists, seed: int, progress: Progress
    ) -> list[LabelTree]:
        if isinstance(self.tree, str):
            return grow_trees(X, rows_of_label, self._tree_params(), seed, progress)
        who = type(self).__name__
        check_tree(self.tree, len(rows_of_label[0]) - 1, who)
        tree = self.tree.restricted_to(np.diff(rows_of_label[0]) > 0)
        if not len(tree.labels):
            raise DataError(
                f"{who}: expected a tree that holds a label with rows, got one that holds none"
            )
        return [tree] * self.n_trees


@dataclass(repr=False, eq=False, kw_only=True)
class OneVsAllClassifier(OneVsAllParams, Model):
    """One linear scorer per label, trained on all rows: the most accurate setting wherever it can
    be afforded.

    (Babbar & Schölkopf, DiSMEC, WSDM 2017.)
    """

    def _trees(
        self, X: Rows, rows_of_label: Lists, seed: int, progress: Progress
    ) -> list[LabelTree]:
        return [one_vs_all(np.flatnonzero(np.diff(rows_of_label[0])))]

    def _tree_params(self) -> LabelTreeParams:
        return tree_params(self, beam_size=1)


def _positive(found: Candidates) -> Candidates:
    """The candidates with a margin above 0, scored 1."""
    kept = found.margin > 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return Candidates(
        before[found.indptr],
        found.ids[kept],
        np.ones(int(before[-1]), np.float32),
        found.margin[kept],
    )
