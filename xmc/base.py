"""Estimator, which all that learn from matrices share: it checks data, keeps a Model, asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import cache, wraps
from os import PathLike
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from . import model_files
from .arrays import BLOCK, Lists, Rows, freeze, spans
from .checkpoint import Checkpoint, opened
from .errors import DataError, ParameterError
from .explaining.build import Named, Row, column_of, explain
from .explaining.occurrences import Occurrence
from .features import Reading, learned, read
from .frames import check_no_missing, is_frame
from .identity import identity_of
from .inputs import (
    as_rows,
    as_targets,
    canonical,
    check_not_empty,
    check_not_too_large,
    same_rows,
    selected,
)
from .io.stored import StoredRows
from .model import Model, all_scores, compressed, label_sets, search_with
from .numbering import old_numbers, renumbered, spread
from .parallel import Executor, n_threads, run
from .params import (
    BeamParams,
    DataParams,
    LabelTreeParams,
    check,
    names,
    tree_params,
)
from .progress import Progress
from .ranking.calibration import Calibration
from .ranking.predictor import Predictor
from .ranking.ranker import Ranker
from .ranking.search import Candidates, Search, best_of, row_blocks
from .ranking.tail import tail_embeddings
from .ranking.together import best_together, check_probabilities, n_candidates, target_of
from .soundness import sound
from .sparse_kind import like
from .topk import TopK, check_k, joined_tops
from .training.forecast import Forecast
from .training.liblinear import require_liblinear
from .training.problem import transposed
from .training_data import (
    DescribedRows,
    TrainingData,
    Widths,
    as_label_matrix,
    as_label_texts,
    as_row_weights,
    as_seed,
    kept_negatives,
    label_costs,
    labels_of,
    stored_in,
)
from .updating.known import Known
from .updating.update import News, added, removed
from .warmup import compile_kernels

Method = TypeVar("Method", bound=Callable)


class Learned(NamedTuple):
    """What a kind of model learns.

    n_passes: over the rows, the most that its solver needed.
    threshold: probability from which a label belongs to a row's set, where it was learned, too.
    calibration: what scores are as probabilities, likewise.
    """

    predictor: Predictor
    n_passes: int
    threshold: float | None = None
    calibration: Calibration | None = None


def as_of_now(estimator: Any) -> Any:
    """A copy that stays as it is, whoever fits the estimator meanwhile."""
    copied = object.__new__(type(estimator))
    vars(copied).update(vars(estimator))  # at once: no other thread comes between
    return copied


def of_now(method: Method) -> Method:
    """The method, asked of the estimator as it is when the call begins."""

    @wraps(method)
    def asked(self: Any, *args: Any, **settings: Any) -> Any:
        return method(as_of_now(self), *args, **settings)

    return cast(Method, asked)


class Estimator(ClassifierMixin, BaseEstimator):
    """What every estimator shares: the door, and the answers of a trained model.

    A new kind of model declares its parameters (see params), trains a Predictor in `_train`, names
    that one's class in `predictor_type`, and is registered in methods.

    Fitted attributes: model_ (what was learned, a Model), n_features_in_, and what follows from
    them: classes_, n_labels_, label_counts_ (training rows of each label), label_ids_,
    label_names_, n_iter_ (most passes that the solver needed).
    """

    predictor_type: type[Predictor]
    _keeps_rows = False
    # Whether very wide matrices are numbered anew for training. What stands below another model is
    # asked with its numbers, and must not.
    _renumbers = True
    # Whether tfidf and pairs are heeded. What stands below another model is asked with its columns.
    _makes_features = True

    def fit(
        self,
        X: Any,
        y: Any = None,
        user_negatives: Sequence[Any] | None = None,
        *,
        sample_weight: Any = None,
        label_ids: Sequence[str] | None = None,
        label_names: Sequence[str] | None = None,
        checkpoint: str | PathLike[str] | Checkpoint | None = None,
        executor: Executor | None = None,
    ) -> Estimator:
        """Train on X (n_rows, n_features) and y: (n_rows, n_labels) or one label per row.

        In a matrix y what is not zero is true. X may be a folder of rows (see `open_rows`), which
        is not loaded; without y its own labels, and their ids, are learned.
        label_ids, label_names: what people call its columns, n_labels str.
        sample_weight: of each row, what an error on it costs, times C; 2 is the row given twice,
        and a row of weight 0 is left out. Only the linear classifiers heed it: labels are clustered
        and counted by rows, each of which counts once.
        user_negatives: with a LabelTree as `tree`, for each of its levels from the top None or a
        matrix (n_rows, nodes of the level above); where it is not 0, the row trains the node's
        children too, whatever `negatives` says.
        checkpoint: a folder that keeps what is finished. If a training is killed, the same call
        goes on from there and ends in the same model; you remove the folder when it has served.
        executor: where the jobs run that training is made of, one of xmc.executors; the model is
        the same. Without one they run on n_jobs threads of this process, as what is no such job
        always does.
        Raises ParameterError and DataError, both ValueErrors, and WorkerError of an executor.
        """
        fresh = as_of_now(self)  # until it is trained, this one answers as before
        try:
            data = X, y, user_negatives, sample_weight, label_ids, label_names
            fresh._fit(*data, checkpoint, executor)
        except BaseException:
            self.__dict__.pop("model_", None)
            raise
        trained = {name: own for name, own in vars(fresh).items() if name not in names(type(self))}
        for name in vars(self).keys() - vars(fresh).keys():
            delattr(self, name)  # such as the names of columns, which are no more
        self.__dict__.update(trained)
        return self

    def _fit(
        self,
        X: Any,
        y: Any,
        user_negatives: Sequence[Any] | None,
        sample_weight: Any,
        label_ids: Sequence[str] | None,
        label_names: Sequence[str] | None,
        checkpoint: str | PathLike[str] | Checkpoint | None,
        executor: Executor | None,
    ) -> None:
        """Train this very estimator; what it learned so far is gone even if that fails."""
        stored = stored_in(X)
        if y is None and stored is not None and label_ids is None:
            label_ids = stored.label_ids
        data = self._training_data(X, y, user_negatives, sample_weight)
        who, n_labels = type(self).__name__, data.widths.n_labels
        label_ids = as_label_texts(label_ids, n_labels, "label_ids", who)
        label_names = as_label_texts(label_names, n_labels, "label_names", who)
        with (
            opened(checkpoint, lambda: identity_of(self, data.given()), executor) as kept,
            Progress(self.verbose) as progress,
        ):
            # Where there is no seed, one is drawn; the model that goes on must have the same.
            seed = kept.once("seed", int, lambda: data.seed)
            learned = self._train(data._replace(seed=seed, checkpoint=kept), progress)
        embeddings = None
        if self._params().tail_share:
            embeddings = tail_embeddings(data.X, data.rows_of_label, self.n_jobs)
        columns = getattr(self, "feature_names_in_", None)
        self.model_ = Model(
            learned.predictor,
            data.X.n_rows,
            data.widths.n_features,
            n_labels,
            learned.n_passes,
            data.label_counts,
            int(np.count_nonzero(np.diff(data.X.indptr) == 0)),
            embeddings,
            data.classes,
            label_ids,
            label_names,
            None if columns is None else list(columns),
            learned.threshold,
            learned.calibration,
            data.widths.kept_features,
            data.widths.kept_labels,
            data.X if self._keeps_rows else None,
            Lists(*data.Y[:2]) if self._keeps_rows else None,
            reading=data.reading,
        )
        if stored is not None:
            stored.check_unchanged()

    def _train(self, data: TrainingData, progress: Progress) -> Learned:
        """What this kind of model learns."""
        raise NotImplementedError

    def forecast(self, X: Any, y: Any = None) -> Forecast:
        """What `fit` would take: seconds, and bytes of memory and of the model.

        Raises ParameterError if this kind of model can't tell.
        """
        raise ParameterError(
            f"{type(self).__name__}: can't be forecast: what its fit takes isn't known"
        )

    def predict_topk(
        self, X: Any, k: int | None = 5, *, sets: bool = False, threshold: float | None = None
    ) -> TopK:
        """The best k labels of each row: (n_rows, k) int32 and float32, best first.

        Scores are path probabilities in [0, 1], averaged over the trees; equal ones are in order of
        margin, then label. Where there are fewer than k labels, -1 and -inf fill the row.
        With tail_share, tail classifiers have their share in the scores; with optimize="psp" they
        are then multiplied by the label's inverse propensity over the largest one (both Jain et
        al., KDD 2016).
        With calibration, or a last stage, scores are the probabilities learned on held-out rows.
        With optimize="macro_f1" (the mean over all labels), "macro_f1_named" (over those that are
        true or named), "macro_recall" or "coverage" the k labels are those that, for the rows of
        this call together, are expected to be best by that metric at k (Schultheis et al., NeurIPS
        2023): another k or other rows beside may give a row other labels. They stand in the order
        of their probabilities. One row alone gets its most probable ones.
        sets: only the labels that `predict` gives with this threshold; k may then be None, which
        is the size of the largest set.
        Raises DataError if X has another width than in training, ParameterError at k below 1 or
        above n_labels.
        """
        if (
            not sets
            and threshold is None
            and sp.issparse(X)
            and (X.shape[0] == 1 or len(X.shape) == 1)
        ):
            return self._ready_ranker()(X, k)
        return self._best(X, k, sets, threshold)

    @of_now
    def _best(self, X: Any, k: int | None, sets: bool, threshold: float | None) -> TopK:
        """The best k labels of several rows."""
        model = self._fitted()
        if threshold is not None and not sets:
            raise ParameterError(f"{type(self).__name__}: threshold goes with sets=True")
        if sets and k is None:
            return self._ranked_sets(X, None, threshold)
        n = check_k("predict_topk", k, model.n_labels)
        if sets:
            return self._ranked_sets(X, n, threshold)
        target = target_of(self)
        most = n if target is None else n_candidates(n, model.n_kept_labels)
        parts = self._answers(
            X, lambda rows, search: model.predictor.rank(rows, search, most), False
        )
        if target is not None:
            parts = [best_together(joined_tops(parts), n, target)]
        return self._topk(parts)

    @of_now
    def predict(self, X: Any, threshold: float | None = None) -> Any:
        """The set of labels of each row, (n_rows, n_labels) 0/1 CSR; with 1-D y, the best class.

        It is a csr_array if X is one of scipy's sparse arrays, and a csr_matrix if X is one of its
        matrices; where X is neither, scikit-learn's setting `sparse_interface` says which.
        A label belongs to the set if its path probability, averaged over the trees, reaches the
        threshold, from 0 to 1. Without one it is what held-out rows have found, where there is
        calibration or a last stage, and else what a margin of 0 gives on one level, exp(-1) for
        both hinges and 0.5 for log_sigmoid; a margin of exactly 0 is then left out: it says
        nothing, as of an empty row without bias. Tail classifiers and `optimize` change the order
        of labels, not sets. Raises DataError if X has another width than in training.
        """
        model = self._fitted()
        if model.classes is not None:
            if threshold is not None:
                raise ParameterError(
                    f"{type(self).__name__}: threshold must be None with one label per row, "
                    f"got {threshold!r}"
                )
            return model.classes[self.predict_topk(X, 1).labels[:, 0]]
        _check_threshold(threshold, type(self).__name__)
        parts = self._answers(X, lambda rows, search: label_sets(model, search, rows, threshold))
        sets = self._csr(parts)
        sets.data[:] = 1
        return like(X, sets)

    @of_now
    def predict_proba(self, X: Any) -> Any:
        """The scores of all labels that are found, those that `predict_topk` ranks by, as CSR
        (n_rows, n_labels), of the kind that `predict` gives.

        With 1-D y, dense and scaled to sum to 1 per row. Raises DataError if X has another width
        than in training.
        """
        model = self._fitted()
        P = self._csr(self._answers(X, lambda rows, search: all_scores(model, search, rows)))
        if model.classes is None:
            return like(X, P)
        dense = P.toarray().astype(np.float64)
        dense[dense.sum(axis=1) == 0] = 1
        return dense / dense.sum(axis=1, keepdims=True)

    @of_now
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """P@1, from 0 to 1: the share of rows whose best label is true; with 1-D y, the accuracy.

        sample_weight: (n_rows,), what a row counts. Raises DataError if X and y don't fit.
        """
        if self._fitted().classes is not None:
            y = sound(y, type(self).__name__, "y") if sp.issparse(y) else y
            check_no_missing(y, type(self).__name__, "y")
            return super().score(X, y, sample_weight)
        best = self.predict_topk(X, 1).labels[:, 0]
        who = type(self).__name__
        Y = canonical(y, who, "Y")
        same_rows(best[:, None], Y, who)
        if Y.shape[1] < self.n_labels_:
            raise DataError(f"{who}: expected {self.n_labels_:,} labels in Y, got {Y.shape[1]:,}")
        hit = np.asarray(Y[np.arange(len(best)), best] != 0).ravel()
        return weighted_mean(hit, sample_weight, who)

    @of_now
    def explain(self, X: Any, label: Any = None, k: int = 3) -> Any:
        """Why a label has its score for the only row of X: an Explanation, whose numbers add up.

        label: its id, name or class, or else its column. Without one, a list that explains the best
        k labels. Raises DataError if the model doesn't know the label.
        """
        return self._explained(X, label, k)

    def _explained(
        self,
        X: Any,
        label: Any,
        k: int,
        text: str | None = None,
        occurrences: Sequence[Occurrence] = (),
        **naming: Any,
    ) -> Any:
        """As `explain`; text: that the row comes from, and where its features stand; naming: fields
        of Named that are known.
        """
        model, who = self._fitted(), type(self).__name__
        check(self)
        asked = self._rows(X)
        if asked.n_rows != 1:
            raise DataError(f"{who}: expected one row to explain, got {asked.n_rows:,}")
        own = range(model.n_labels) if model.classes is None else model.classes.tolist()
        ids = self.label_ids_ or own  # with no ids there may be very many labels
        names = self.label_names_ or ids
        columns = getattr(self, "feature_names_in_", None)
        own_name = str if columns is None else columns.__getitem__
        known: dict[str, Any] = {
            "features": lambda n: model.feature_name(n, own_name),
            "names_of": lambda n: [str(names[n])],
        }
        if label is None:
            best = self.predict_topk(X, check_k("explain", k, model.n_labels)).labels[0]
            labels = best[best >= 0].tolist()
        else:
            labels = [column_of(label, ids, self.label_names_, who)]
        row, search = Row(asked, text, [*occurrences]), self._search()
        told = explain(model, search, who, row, labels, Named(ids, names, **(known | naming)))
        return told if label is None else told[0]

    def add(
        self,
        X: Any,
        y: Any,
        *,
        label_ids: Sequence[str] | None = None,
        label_names: Sequence[str] | Mapping[str, str] | None = None,
        rows: tuple[Any, Any] | None = None,
    ) -> Estimator:
        """Learn new rows, and new labels, without training again.

        Only the scorers of labels that gain rows are solved, on all rows; new labels go where the
        tree leads the mean of their rows. All else keeps its bits. A row that is known gains the
        labels. How far the model is from one trained anew tells `drift_`.

        X: (n_rows, n_features).
        y: (n_rows, any); the first columns are the labels of the model, further ones are new. With
            label_ids, as a model whose labels have ids needs them for new ones, the columns are
            these, in any order.
        label_names: of the columns, or a mapping from id to name.
        rows: X and y of the training, with the same columns as y. They aren't needed where the
            model was trained with keep_rows=True, or has a last stage that knows its neighbours,
            whose rows are a little rounded.

        Raises DataError at what doesn't fit, ParameterError if there are no rows to learn beside.
        """
        self._fitted()
        check(self)
        self.model_ = added(as_of_now(self), X, y, label_ids, label_names, rows)
        return self

    def remove(self, labels: Any) -> Estimator:
        """Forget labels, by their ids, or their columns where they have no ids: they are no longer
        predicted. Columns keep their numbers. Raises DataError at a label that isn't known.
        """
        self._fitted()
        self.model_ = removed(as_of_now(self), labels)
        return self

    def check_learns(self) -> None:
        """Raise ParameterError if this kind of model can't learn from new rows."""
        if type(self)._taught is Estimator._taught:
            cannot = "can't learn from new rows or labels: fit it again"
            raise ParameterError(f"{type(self).__name__}: {cannot}")

    def _taught(self, predictor: Any, news: News) -> Predictor:
        """The predictor, with what it learns of new rows."""
        raise NotImplementedError

    def _without(self, predictor: Any, labels: np.ndarray) -> Predictor:
        """The predictor, which finds these labels no longer."""
        raise ParameterError(f"{type(self).__name__}: can't forget labels: fit it again")

    def _named(self, predictor: Any, n_labels: int, names: Any, related: Any) -> Predictor:
        """The predictor with other names of so many labels."""
        return predictor

    def _rows_held(self) -> Known | None:
        """Training rows that the predictor holds, if it does."""
        return None

    def ranker(self) -> Ranker:
        """What ranks one row at a time, fast, from as many threads as you like: a Ranker, which
        keeps the parameters of now.
        """
        model = self._fitted()
        check(self)  # beam_size and others may have been set since
        return Ranker(
            type(self).__name__,
            model.predictor,
            self._search(),
            model.n_features,
            model.n_labels,
            self.normalize,
            model.kept_features,
            model.kept_labels,
            model.reading,
        )

    def compress(self, weights: str = "int8", weight_threshold: float | None = None) -> Estimator:
        """A smaller copy: weights stored as `weights` says, those below the threshold dropped.

        weights: "float32", "float16" or "int8".
        Without a threshold all are kept. Weights that are stored so already keep their bits.
        Raises ParameterError at another word or a threshold below 0.
        """
        model = self._fitted()
        smaller = copy(self)
        smaller.weights = weights
        if weight_threshold is not None:
            smaller.weight_threshold = weight_threshold
        check(smaller)
        smaller.weight_threshold = max(smaller.weight_threshold, self.weight_threshold)
        smaller.model_ = compressed(model, weights, weight_threshold or 0.0)
        return smaller

    def save(self, path: str | PathLike[str], overwrite: bool = False) -> None:
        """Write the model folder. Raises ModelError if `path` exists, unless `overwrite` and it is
        a model, or if it can't be written.
        """
        model_files.save(path, self._saved(), overwrite)

    def _saved(self) -> model_files.Saved:
        check(self)  # what was set since must come back
        return model_files.Saved(type(self).__name__, model_files.settings(self), self._fitted())

    @classmethod
    def restored(cls, saved: model_files.Saved) -> Estimator:
        """The fitted estimator that was saved. Raises ParameterError at a setting out of range."""
        estimator = cls(**saved.parameters)
        check(estimator)
        estimator.model_ = saved.model
        estimator.n_features_in_ = saved.model.n_features
        if saved.model.feature_names_in is not None:  # as scikit-learn has them
            estimator.feature_names_in_ = np.array(saved.model.feature_names_in, object)
        return estimator

    @property
    def classes_(self) -> np.ndarray:
        classes = self.model_.classes
        return np.arange(self.model_.n_labels) if classes is None else classes

    @property
    def n_labels_(self) -> int:
        return self.model_.n_labels

    @property
    def label_counts_(self) -> np.ndarray:
        model = self.model_
        return spread(model.label_counts, model.kept_labels, model.n_labels)

    @property
    def label_ids_(self) -> list[str] | None:
        return self.model_.label_ids

    @property
    def label_names_(self) -> list[str] | None:
        return self.model_.label_names

    @property
    def drift_(self) -> float:
        """The share of labels that were added, solved again or removed since the training."""
        return self.model_.drift

    @property
    def has_rows_(self) -> bool:
        """Whether the model holds rows to learn new ones beside, so that `add` needs none."""
        return self.model_.rows is not None

    @property
    def n_iter_(self) -> int:
        return self.model_.n_passes

    def _fitted(self) -> Model:
        check_is_fitted(self, "model_")
        return self.model_

    def _params(self) -> LabelTreeParams:
        """The parameters as training and ranking read them."""
        return tree_params(self)

    def _search(self) -> Search:
        model = self.model_
        if model.calibration is None and not model.predictor.gives_probabilities:
            check_probabilities(self)
        try:
            return search_with(model, self._params())
        except ParameterError as error:
            raise ParameterError(f"{type(self).__name__}: {error}") from None

    def _ready_ranker(self) -> Ranker:
        """The ranker made last, unless something that it depends on was set since."""
        state = vars(self)
        estimator: Any = type(self)
        needs = [state.get("model_"), *map(state.get, _ranked_with(estimator))]
        kept = state.get("_ranker")
        if kept is None or any(a is not b for a, b in zip(kept[0], needs, strict=True)):
            now = as_of_now(self)
            needs = [vars(now).get("model_"), *map(vars(now).get, _ranked_with(estimator))]
            kept = self._ranker = needs, now.ranker()
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_ranker"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # Or kernels would compile again, for arrays that can be written to.
        freeze(vars(self).get("model_"))

    def _training_data(
        self, X: Any, y: Any, user_negatives: Any = None, sample_weight: Any = None
    ) -> TrainingData:
        check(self)
        params = self._params()
        if params.solver == "liblinear":
            require_liblinear(type(self).__name__)
        who = type(self).__name__
        if sample_weight is not None and params.solver != "block":
            raise ParameterError(f"{who}: sample_weight needs solver='block'")
        compile_kernels(params.weights, params.costs != "equal" or sample_weight is not None)
        described = X if isinstance(X, DescribedRows) else None
        rows = self._features(X if described is None else described.X, reset=True)
        Y, classes = as_label_matrix(labels_of(X, y), who)
        same_rows(rows, Y, who)
        weights = as_row_weights(sample_weight, Y.shape[0], who)
        if not weights.all():  # rows of weight 0 are left out
            kept = weights > 0
            rows, Y = selected(rows, kept), Y[kept]
            weights = as_row_weights(weights[kept], Y.shape[0], who)
            user_negatives = kept_negatives(user_negatives, kept, who)
            described = described and described.of(kept)
            if classes is not None:
                used = np.unique(Y.indices)
                Y, classes = Y[:, used], classes[used]
        rows, Y, widths = self._numbered(rows, Y)
        targets = as_targets(Y)
        rows_of_label = transposed(targets, Y.shape[1])
        if not len(rows_of_label.ids):
            raise DataError(
                f"{who}: expected at least one row with a label, got {Y.shape[0]:,} rows without"
            )
        costs = label_costs(Y, np.diff(rows_of_label.indptr), params, who)
        rows, reading = self._learned_reading(rows, stored_in(X))
        targets = targets._replace(costs=costs)
        seed = as_seed(params.random_state)
        given = classes, user_negatives, seed, widths, described, weights
        return TrainingData(rows, targets, rows_of_label, *given, reading=reading)

    def _learned_reading(
        self, rows: Rows, stored: StoredRows | None
    ) -> tuple[Rows, Reading | None]:
        """Training rows as the predictor will read them, and what they say of how."""
        reading, who = None, type(self).__name__
        if self._makes_features:
            if self.tfidf and stored is not None and stored.packed_vectorizer is not None:
                made = f"got those of {stored.path}, which are TF-IDF weights already"
                raise DataError(f"{who}: tfidf expects features of no vectoriser, {made}")
            reading = learned(rows, self, self.memory, who)
        return read(rows, self.normalize, reading), reading

    def _numbered(self, X: Rows, Y: sp.csr_matrix) -> tuple[Rows, sp.csr_matrix, Widths]:
        """X and Y as training numbers their columns."""
        widths = Widths(X.n_features, Y.shape[1])
        if not self._renumbers:
            return X, Y, widths
        indices, n_features, kept_features = renumbered(X.indices, X.n_features)
        ids, n_labels, kept_labels = renumbered(Y.indices, Y.shape[1])
        X = X._replace(indices=indices, n_features=n_features)
        Y = sp.csr_matrix((Y.data, ids, Y.indptr), shape=(Y.shape[0], n_labels))
        return X, Y, widths._replace(kept_features=kept_features, kept_labels=kept_labels)

    def _features(self, X: Any, reset: bool) -> Rows:
        """X as canonical rows with the model's number of features, which `reset` sets."""
        who = type(self).__name__
        if isinstance(X, (Rows, StoredRows)):
            rows = X if isinstance(X, Rows) else X.rows()  # past the door, or checked
            self._check_width(rows.n_features, reset)
        else:
            rows = self._as_rows(X, reset)
        check_not_empty(rows, who, "X")
        if not self.normalize:
            check_not_too_large(rows, who, "X")
        return rows

    def _as_rows(self, X: Any, reset: bool) -> Rows:
        """A matrix past the door."""
        who = type(self).__name__
        texts = X.dtype.kind in "US" if isinstance(X, np.ndarray) else isinstance(X, str)
        if texts or (isinstance(X, list) and X and isinstance(X[0], str)):
            raise DataError(f"{who}: expected a matrix, got texts; a TextClassifier takes those")
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
        return as_rows(csr, normalize=False)

    def _check_width(self, n_features: int, reset: bool) -> None:
        """Hold rows without names of columns against those of the fit, which `reset` sets."""
        try:
            validate_data(self, sp.csr_matrix((1, n_features)), reset=reset, skip_check_array=True)
        except ValueError as error:
            raise DataError(" ".join(str(error).split())) from None

    def _rows(self, X: Any) -> Any:
        """X as the predictor reads it."""
        texts = None
        if isinstance(X, DescribedRows):
            X, texts = X.X, X.texts
        rows = self._kept_rows(self._features(X, reset=False))
        return self.model_.predictor.asked(rows, texts)

    def _kept_rows(self, rows: Rows) -> Rows:
        """Rows with the columns that the model has."""
        model = self.model_
        return read(rows, self.normalize, model.reading, model.kept_features)

    def _answers(
        self, X: Any, answer: Callable[[Rows, Search], Any], all_candidates: bool = True
    ) -> list:
        """`answer` of each batch of rows; all_candidates: it writes all of them down."""
        if (parts := self._parts(X)) is not None:
            return [own for part in parts for own in self._answers(part, answer, all_candidates)]
        model = self._fitted()
        check(self)  # beam_size and others may have been set since
        rows = self._rows(X)
        search = self._search()
        if rows.n_rows == 1:
            return [answer(rows, search)]
        threads = n_threads(self.n_jobs)
        most = model.predictor.rows_per_batch(search, all_candidates)
        jobs = row_blocks(rows.n_rows, min(most, -(-rows.n_rows // threads)))
        with Progress(self.verbose if len(jobs) > threads else 0) as progress:
            advance = progress.stage("ranking rows", rows.n_rows)
            return run(
                lambda start, end: answer(rows.part(start, end), search),
                jobs,
                self.n_jobs,
                lambda n: advance(jobs[n][1] - jobs[n][0]),
            )

    def _parts(self, X: Any) -> Iterator[Any] | None:
        """X some rows at a time, where it isn't to be held at once as the predictor reads it."""
        if isinstance(X, StoredRows):
            return (_with(texts, rows) for _, _, rows, texts in X.parts())
        reading = self._fitted().reading
        if reading is None or reading.pairs is None:
            return None
        own, texts = (X.X, X.texts) if isinstance(X, DescribedRows) else (X, None)
        rows = self._features(own, reset=False)
        several = [*spans(reading.ends(rows.indptr), BLOCK)]
        if len(several) <= 1:
            return None
        return (_with(texts and texts[a:b], rows.part(a, b)) for a, b in several)

    def _ranked_sets(self, X: Any, k: int | None, threshold: float | None) -> TopK:
        """The best k labels of each row's set, or all of them."""
        model = self._fitted()
        if model.classes is not None:
            raise ParameterError(
                f"{type(self).__name__}: sets must be False with one label per row"
            )
        _check_threshold(threshold, type(self).__name__)
        most = k or model.n_kept_labels

        def best(rows: Any, search: Search) -> TopK:
            found = label_sets(model, search, rows, threshold)
            widest = int(np.diff(found.indptr).max(initial=0))
            return best_of(rows, found, search, max(1, min(most, widest)))

        parts = self._answers(X, best)
        width = k or max(part.labels.shape[1] for part in parts)
        return self._topk([part.widened(width) for part in parts])

    def _topk(self, parts: list[TopK]) -> TopK:
        """The rows of all parts, one part after another, with labels as the user numbers them."""
        labels, scores = joined_tops(parts)
        return TopK(old_numbers(labels, self.model_.kept_labels), scores)

    def _csr(self, parts: list[Candidates]) -> sp.csr_matrix:
        counts = np.concatenate([np.diff(part.indptr) for part in parts])
        indptr = np.concatenate([[0], np.cumsum(counts)])
        ids = old_numbers(np.concatenate([part.ids for part in parts]), self.model_.kept_labels)
        scores = np.concatenate([part.score for part in parts])
        csr = sp.csr_matrix((scores, ids, indptr), shape=(len(counts), self.n_labels_))
        csr.sort_indices()
        return csr

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # Several labels per row; the tag multi_label would promise dense predictions too.
        tags.target_tags.multi_output = True
        return tags


def _with(texts: Sequence[str] | None, rows: Rows) -> Any:
    """The rows with their texts, where they have texts."""
    return rows if texts is None else DescribedRows(rows, texts)


def weighted_mean(values: Any, weights: Any, who: str) -> float:
    """The mean of one value per row. Raises DataError unless there is a weight for each."""
    if weights is None:
        return float(np.mean(values))
    weights = np.asarray(weights)
    if weights.shape != (len(values),) or weights.dtype.kind not in "biuf" or not weights.sum() > 0:
        raise DataError(f"{who}: expected a weight for each of {len(values):,} rows, not all 0")
    return float(np.average(values, weights=weights))


@cache
def _ranked_with(estimator: Any) -> tuple[str, ...]:
    """The parameters that change what a trained model answers."""
    return tuple(names(estimator, DataParams, BeamParams))


def _check_threshold(threshold: Any, who: str) -> None:
    is_number = isinstance(threshold, (int, float, np.number)) and not isinstance(threshold, bool)
    if threshold is not None and not (is_number and 0 <= threshold <= 1):
        raise ParameterError(
            f"{who}: threshold must be a number from 0 to 1 or None, got {threshold!r}"
        )
