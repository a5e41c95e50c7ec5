"""TextClassifier: texts in, labels with ids and names out, any estimator of matrices below it."""

from __future__ import annotations

import numbers
from array import array
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from . import model_files
from .analyzers import TextVectorizer
from .base import Estimator, as_of_now, of_now, weighted_mean
from .checkpoint import Checkpoint, opened
from .encoders import ENCODER, EncodedVectorizer
from .errors import DataError, ParameterError, quoted
from .estimators import LabelTreeClassifier
from .evidence.names import NameIndex, name_index
from .evidence.sources import relatives
from .explaining.occurrences import Occurrence, occurrences
from .identity import identity_of
from .io.label_ids import align_labels, csr_by_id
from .io.stored import StoredRows
from .label_lists import are_lists, ids_of_rows, is_0_or_1, listed
from .model import Model
from .parallel import Executor
from .params import (
    TARGETS,
    EncoderParams,
    FeatureParams,
    OrderParams,
    PropensityParams,
    RerankParams,
    SetParams,
    StageParams,
    TextParams,
    TogetherParams,
    check,
    names,
    param,
    plain,
)
from .ranking.ranker import Ranker
from .reranked_classifier import RerankedClassifier, as_tuple
from .stored_rows import vectorizer_of
from .text import as_texts, fit_for_forecast, fitted_on, make_vectorizer
from .topk import TopK
from .training.forecast import Forecast
from .training_data import (
    DescribedRows,
    as_label_matrix,
    as_label_texts,
    as_list,
    as_row_weights,
    check_once,
    labels_of,
)
from .vocabulary import Vocabulary, split_id, split_qualifiers

MOST_READ = 5000  # texts that show which words are frequent in texts
LEAST_ROWS = 1000  # of training, from which on "auto" tries a last stage


class Suggestion(NamedTuple):
    """A label for a text, as people want it; the score is from 0 to 1."""

    id: str
    name: str
    score: float


class Given(NamedTuple):
    """What a fit is given: texts, a label matrix or one class per text, what labels are called.

    vocabulary: with ids as the labels have them. notices: what there is to say of that.
    row_weights: of each text; empty if all are 1.
    stored: the folder of rows that the texts are in, with their features, if they are in one.
    """

    texts: Sequence[str]
    y: Any
    ids: list[str] | None
    names: list[str] | None
    vocabulary: Vocabulary | None
    notices: tuple[str, ...]
    row_weights: np.ndarray
    stored: StoredRows | None = None

    def known(self) -> dict[str, Any]:
        """All of it, by what people call it."""
        y = as_label_matrix(self.y, "labels")
        return {
            "texts": self.texts,
            "labels": y,
            "ids of labels": self.ids,
            "names of labels": self.names,
            "weights of texts": self.row_weights,
        }

    def described(self, X: Any) -> DescribedRows:
        """The texts as these rows, with all that a last stage may know of labels."""
        names = related = None
        if self.names is not None or self.vocabulary is not None:
            some = self.texts[:: 1 + len(self.texts) // MOST_READ]
            names = names_of_labels(self.ids, self.names, self.vocabulary, some)
        if self.vocabulary is not None and self.ids is not None:
            related = relatives(self.vocabulary.broader_in(self.ids), len(self.ids))
        return DescribedRows(X, self.texts, names, related)


@dataclass(repr=False, eq=False)
class TextClassifier(TextParams, EncoderParams, RerankParams, ClassifierMixin, BaseEstimator):
    """A model of texts: a vectoriser, estimators of matrices below it, and a stage that re-ranks.

    classifier: any estimator of ours, or a tuple of several where the stage weighs what they say;
        the model trains copies. None is LabelTreeClassifier(), and below a stage what
        RerankedClassifier takes then.
    encoder: any callable that takes a list of str and gives an array (n_texts, width): numbers that
        stand beside the TF-IDF features of a text, as a vector of length `encoder_weight`. A saved
        model keeps what it is called and what it makes of a few texts, not the callable:
        `load(path, encoder=...)`, or set `encoder` on a loaded model.
    encoder_cache: a folder that keeps these numbers, so that a text is encoded once.
    vocabulary: names of labels, which the stage looks for in the text. Its concepts are labels too,
        with or without a training row.
    rerank: whether there is a stage. "auto": if there are enough rows for it to learn, and held-out
        ones say that it helps.

    Texts are any 1-D sequence of str: a list, a tuple, an array, a column of a data frame.
    What ranks can be set on the trained copy: `model.classifier_.set_params(optimize="psp")`.

    Fitted attributes: vectorizer_ (of words scikit-learn's TfidfVectorizer, else a TextVectorizer
    or an EncodedVectorizer, which have the same methods), classifier_ (the trained copy, a
    RerankedClassifier if there is a stage), notices_ (what was chosen and why, one line each), and
    what it knows of its labels: label_ids_, label_names_, label_counts_, n_labels_, classes_.
    """

    classifier: Any = param(
        None, "estimator of matrices that is trained", estimator=True, several=True
    )
    vocabulary: Any = param(None, "names of labels", vocabulary=True)

    # To scikit-learn whatever isn't called X or y is metadata, which may be routed.
    __metadata_request__fit = {"texts": UNUSED, "labels": UNUSED}
    __metadata_request__predict = {"texts": UNUSED}
    __metadata_request__predict_proba = {"texts": UNUSED}
    __metadata_request__score = {"texts": UNUSED, "labels": UNUSED}

    def fit(
        self,
        texts: Any,
        labels: Any = None,
        *,
        sample_weight: Any = None,
        label_ids: Sequence[str] | None = None,
        label_names: Sequence[str] | Mapping[str, str] | None = None,
        checkpoint: str | PathLike[str] | None = None,
        executor: Executor | None = None,
    ) -> TextClassifier:
        """Train on texts and their labels.

        texts: may be a folder of rows (see `open_rows`), which is not loaded: it has features of
            its texts already, made with the settings of this model, and without labels its own are
            learned.
        labels: for each text its label ids, a list of lists of str; or a matrix (n_texts,
            n_labels); or one label per text.
        label_ids: the ids of the labels, in the order that columns have. With lists of ids they are
            those that occur and those of the vocabulary, ascending, unless given.
        label_names: names in the order of the ids, or a mapping from id to name; a label without
            one has that of the vocabulary.
        sample_weight: of each text, as estimators of matrices heed it.
        checkpoint: a folder that keeps what is finished. If a training is killed, the same call
            goes on from there and ends in the same model; you remove the folder when it has served.
        executor: where the jobs run that training is made of, as estimators of matrices take it.
        Raises ParameterError and DataError, both ValueErrors, and WorkerError of an executor.
        """
        given = self._given(texts, labels, label_ids, label_names, sample_weight)
        fresh: Any = as_of_now(self)  # until it is trained, this one answers as before
        fresh.notices_ = [*given.notices]
        vectorizer = self._unfitted_vectorizer()
        with opened(checkpoint, lambda: identity_of(self, given.known()), executor) as kept:
            if given.stored is None:
                vectorizer, X = fitted_on(vectorizer, given.texts, kept)
            else:
                vectorizer, X = self._made_of(given.stored), given.stored
            fresh.classifier_ = fresh._learned(X, given, kept)
        fresh.vectorizer_ = vectorizer
        learned = ("vectorizer_", "classifier_", "notices_")
        self.__dict__.update({name: getattr(fresh, name) for name in learned})
        return self

    def _given(
        self, texts: Any, labels: Any, label_ids: Any, label_names: Any, sample_weight: Any = None
    ) -> Given:
        """What a fit is given, checked, with the labels of the vocabulary among its own."""
        who = type(self).__name__
        check(self)
        _check_base_features(as_tuple(self.classifier), who)
        stored = texts if isinstance(texts, StoredRows) else None
        if labels is None and stored is not None and label_ids is None:
            label_ids = stored.label_ids
        texts = as_texts(texts, who) if stored is None else texts_of(stored)
        y, ids = as_labels(labels_of(stored, labels), label_ids, who)
        _same_length(texts, y, who)
        weights = as_row_weights(sample_weight, len(texts), who)
        if not weights.all():
            kept = np.flatnonzero(weights)
            stored = None if stored is None else stored.taken(kept)
            texts = [texts[row] for row in kept] if stored is None else texts_of(stored)
            y, weights = _rows_of(y, kept), weights[kept]
        names = names_in_order(label_names, ids, who)
        ids, names = _known(ids, names, y, who)
        if self.vocabulary is None:
            return Given(texts, y, ids, names, None, (), weights, stored)
        vocabulary = self.vocabulary.as_in(ids or ())
        language, notices = self._language_of_names(vocabulary)
        y, every, names = with_concepts(y, ids, names, vocabulary, language, who)
        notices += self._renamed(vocabulary, ids or ())
        return Given(texts, y, every, names, vocabulary, notices, weights, stored)

    def _made_of(self, stored: StoredRows) -> Any:
        """The vectoriser of a folder of rows. Raises ParameterError if this model's is another."""
        vectorizer, who = vectorizer_of(stored), type(self).__name__
        if self.encoder is not None:
            raise ParameterError(
                f"{who}: encoder must be None with {stored.path}, whose texts have features already"
            )
        if vectorizer is None:
            raise DataError(f"{stored.path}: expected features of texts, something else made them")
        own = vars(self._text_params())
        for name, value in settings_of(vectorizer).items():
            if own[name] != value:
                raise ParameterError(
                    f"{who}: {name} must be {value!r}, as in the vectoriser of {stored.path}, "
                    f"got {own[name]!r}"
                )
        return vectorizer

    def _language_of_names(self, vocabulary: Vocabulary) -> tuple[str | None, tuple[str, ...]]:
        """The language in which labels are named, None for the vocabulary's first one; notices."""
        code = self.language
        if code in (None, "auto") or code in vocabulary.languages:
            return None if code == "auto" else code, ()
        there = ", ".join(vocabulary.languages) or "names without a language"
        return None, (f"no name of the vocabulary is in {code!r}; it has {there}",)

    def _renamed(self, vocabulary: Vocabulary, ids: Sequence[str]) -> tuple[str, ...]:
        """What there is to say if the vocabulary's ids are others than its file has."""
        if vocabulary is self.vocabulary:
            return ()
        here = next(label for label in ids if label in vocabulary)
        there = next(i for i in self.vocabulary.ids if split_id(i)[1] == split_id(here)[1])
        return (f"the vocabulary's {there} is taken for {here}, others likewise",)

    def _learned(self, X: Any, given: Given, checkpoint: Checkpoint) -> Estimator:
        """The trained classifier: with a stage, if there is to be one and it helps."""
        known: dict[str, Any] = {
            "sample_weight": given.row_weights if len(given.row_weights) else None,
            "label_ids": given.ids,
            "label_names": given.names,
            "checkpoint": checkpoint,
        }
        if not self._wants_stage(X.shape[0]):
            self.notices_ += [f"{why}: trained without" for why in self._obstacles(X.shape[0])]
            return self._unfitted().fit(X, given.y, **known)
        stage: Any = self._reranked().fit(given.described(X), given.y, **known)
        best = stage.best_base_
        needed = self._has_own_stage or stage.optimize in TARGETS  # which take its probabilities
        if self.rerank == "auto" and best is not None and not needed:
            self.notices_.append(f"the last stage is left out; {stage.summary_}")
            return best
        self.notices_.append(stage.summary_)
        return stage

    @property
    def _has_own_stage(self) -> bool:
        """Whether the classifier that was given is one with a stage."""
        return isinstance(self.classifier, RerankedClassifier)

    def _obstacles(self, n_rows: int) -> list[str]:
        """Why there is no stage, where that is left to us."""
        if self.rerank != "auto" or self._has_own_stage:
            return []
        if n_rows < LEAST_ROWS:
            needed = f"a last stage needs {LEAST_ROWS:,} rows to learn from"
            return [f"{needed}, there are {n_rows:,}"]
        bases = as_tuple(self.classifier)
        wrong = [
            name
            for name in ("tail_share", "calibration")
            if any(getattr(base, name, None) for base in bases)
        ]
        return [f"a last stage doesn't go with {name}" for name in wrong]

    def _wants_stage(self, n_rows: int) -> bool:
        if self._has_own_stage and not self.rerank:
            who = type(self).__name__
            raise ParameterError(f"{who}: rerank must not be False with a RerankedClassifier")
        return bool(self.rerank) and not self._obstacles(n_rows)

    def _first(self) -> Any:
        """The classifier, the first of several, or a tree where none is given."""
        given = self.classifier
        return given[0] if isinstance(given, (tuple, list)) else given or LabelTreeClassifier()

    def _reranked(self) -> RerankedClassifier:
        if self._has_own_stage:
            return clone(self.classifier)
        first = self._first()
        shared = names(type(first), OrderParams, TogetherParams, PropensityParams, SetParams)
        order = {name: getattr(first, name) for name in shared}
        return RerankedClassifier(
            classifier=self.classifier,
            choose=self.rerank == "auto",
            neighbors=self.neighbors,
            n_jobs=first.n_jobs,
            verbose=first.verbose,
            **order,
        )

    def forecast(
        self,
        texts: Any,
        labels: Any = None,
        *,
        label_ids: Sequence[str] | None = None,
        label_names: Sequence[str] | Mapping[str, str] | None = None,
    ) -> Forecast:
        """What `fit` would take: seconds, and bytes of memory and of the model.

        Raises DataError and ParameterError as `fit` does.
        """
        given = self._given(texts, labels, label_ids, label_names)
        vectorizer = self._unfitted_vectorizer()
        X, encoding_seconds = given.stored, 0.0
        if X is None:
            X, encoding_seconds = fit_for_forecast(vectorizer, given.texts)
        else:
            self._made_of(X)
        if self._wants_stage(X.shape[0]):
            needs = self._reranked().forecast(given.described(X), given.y)
        else:
            needs = self._unfitted().forecast(X, given.y)
        needs = needs._replace(seconds=needs.seconds + encoding_seconds)
        if given.vocabulary is None:
            return needs
        more = sum(array.nbytes for array in given.vocabulary.to_arrays().values())
        return needs.with_more(more)

    @of_now
    def predict_topk(
        self, texts: Any, k: int | None = 5, *, sets: bool = False, threshold: float | None = None
    ) -> TopK:
        """The best k labels of each text, columns of label_ids_: (n_texts, k) int32 and float32,
        best first.

        sets, threshold: as for the classifier; only the labels that `predict` gives.
        Raises DataError at what is no text, ParameterError at k below 1 or above n_labels.
        """
        X = self.rows(texts)
        return self._fitted().predict_topk(X, k, sets=sets, threshold=threshold)

    @of_now
    def predict(self, texts: Any, threshold: float | None = None) -> Any:
        """The set of labels of each text, (n_texts, n_labels) 0/1 CSR; with one label per text, the
        best class.

        threshold: from 0 to 1; without one, that of the classifier. Raises DataError at what is no
        text.
        """
        return self._fitted().predict(self.rows(texts), threshold)

    @of_now
    def predict_proba(self, texts: Any) -> Any:
        """The scores of all labels that are found, those that `predict_topk` ranks by, as CSR
        (n_texts, n_labels).
        """
        return self._fitted().predict_proba(self.rows(texts))

    @of_now
    def suggest(self, texts: Any, k: int = 5) -> list:
        """The best k labels with ids and names: a list for one text, a list of lists for several.

        k may be larger than the number of labels. Raises DataError at what is no text.
        """
        if not isinstance(texts, str):
            n_labels = self._fitted().model_.n_labels
            most = min(k, n_labels) if isinstance(k, numbers.Integral) else k
            found, ids = self.predict_topk(texts, most), self._ids()
            names = self.label_names_ or ids
            return [_suggestions(*row, ids, names) for row in zip(*found, strict=True)]
        return self.suggest([texts], k)[0]

    @of_now
    def explain(self, text: str, label: Any = None, k: int = 3) -> Any:
        """Why a label has its score for a text: an Explanation, whose numbers add up.

        label: its id or its name. Without one, a list that explains the best k labels. Raises
        DataError, which names the closest one, if the model doesn't know the label.
        """
        who = type(self).__name__
        if not isinstance(text, str):
            raise DataError(f"{who}: expected one text to explain, got {type(text).__name__}")
        classifier, X = self._fitted(), self.rows([text])
        found = occurrences(self.vectorizer_, text)
        return classifier._explained(
            X, label, k, text, found, features=self._features_in(found), names_of=self._names_of
        )

    def _features_in(self, found: Sequence[Occurrence]) -> Callable[[int], str]:
        """What features are called, as their vectoriser does."""
        known = {own.feature: own.name for own in found}
        if isinstance(self.vectorizer_, EncodedVectorizer):  # whose columns mean nothing one by one
            return lambda feature: known.get(feature, ENCODER)
        if known:
            return known.__getitem__
        return self.vectorizer_.get_feature_names_out().__getitem__

    def _names_of(self, label: int) -> list[str]:
        """All names of a label, in the order in which texts are searched for them."""
        ids, names = self.label_ids_, self.label_names_
        vocabulary = self.vocabulary and self.vocabulary.as_in(ids or ())
        return several_names(label, ids, names or (), vocabulary)

    def add(
        self,
        texts: Any,
        labels: Any,
        *,
        label_ids: Sequence[str] | None = None,
        label_names: Sequence[str] | Mapping[str, str] | None = None,
        vocabulary: Vocabulary | None = None,
        rows: tuple[Any, Any] | None = None,
    ) -> TextClassifier:
        """Learn new texts, and new labels, without training again, see Estimator.add.

        texts, labels, label_ids, label_names: as in `fit`; ids that the model doesn't know are new
            labels, whose columns come behind the others. No texts at all, [] and [], are enough for
            labels that have names: a last stage finds them by these.
        vocabulary: in place of the one that the model has; its concepts become labels.
        rows: texts and labels of the training. They aren't needed where the model was trained with
            keep_rows=True, or has a last stage that knows its neighbours.

        Words that no training text had stay unknown. Raises DataError at what doesn't fit,
        ParameterError if there are no rows to learn beside.
        """
        fresh = as_of_now(self)
        fresh.classifier_ = as_of_now(self._fitted())
        fresh.vocabulary = vocabulary or self.vocabulary
        fresh._learn_more(texts, labels, label_ids, label_names, rows)
        self.__dict__.update(classifier_=fresh.classifier_, vocabulary=fresh.vocabulary)
        return self

    def _learn_more(
        self, texts: Any, labels: Any, label_ids: Any, label_names: Any, rows: Any
    ) -> None:
        """Let this very classifier learn, which nobody asks meanwhile."""
        who, known = type(self).__name__, self.label_ids_
        texts = as_texts(texts, who) if len(texts) else []
        Y, ids = _as_columns(texts, labels, label_ids, known, who)
        names: Any = names_in_order(label_names, ids, who)
        if ids is not None and known is not None:
            concepts = self.vocabulary.as_in(known).ids if self.vocabulary is not None else ()
            every = [*known, *sorted({*ids, *concepts} - set(known))]
            Y = align_labels(Y, ids, every)[0]
            names = self._names_of_all(every, dict(zip(ids, names or ids, strict=True)))
            ids = every
        described = self._described(texts, ids, names)
        if rows is not None:
            own = as_texts(rows[0], who)
            beside, own_ids = _as_columns(own, rows[1], label_ids, known, who)
            if ids is not None and own_ids is not None:
                beside = align_labels(beside, own_ids, ids)[0][:, : len(ids)]
            rows = self._vectorizer().transform(own), beside
        self.classifier_.add(described, Y, label_ids=ids, label_names=names, rows=rows)

    def _names_of_all(self, ids: list[str], given: Mapping[str, str]) -> list[str] | None:
        """The names of labels: given ones, those of before, those of the vocabulary, else ids."""
        known = dict(zip(self.label_ids_ or (), self.label_names_ or (), strict=False))
        known |= {label: name for label, name in given.items() if name != label}
        if self.vocabulary is not None:
            vocabulary = self.vocabulary.as_in(self.label_ids_ or ())
            lacking = [label for label in ids if known.get(label, label) == label]
            found = vocabulary.names_of(lacking, self._language_of_names(vocabulary)[0])
            known |= dict(zip(lacking, found, strict=True))
        return [known.get(label, label) for label in ids] if known else None

    def _described(
        self, texts: list[str], ids: list[str] | None, names: list[str] | None
    ) -> DescribedRows:
        """The texts as rows, and what a last stage may know of labels."""
        X = (
            self._vectorizer().transform(texts)
            if texts
            else sp.csr_matrix((0, 1), dtype=np.float32)
        )
        predictor: Any = self.classifier_.model_.predictor
        if not predictor.reads_texts:
            return DescribedRows(X, texts)
        vocabulary, related = self.vocabulary, None
        if vocabulary is not None and ids is not None:
            vocabulary = vocabulary.as_in(ids)
            related = relatives(vocabulary.broader_in(ids), len(ids))
        index = names_of_labels(ids, names, vocabulary, (), predictor.sources.names)
        return DescribedRows(X, texts, index, related)

    def remove(self, labels: Any) -> TextClassifier:
        """Forget labels, by their ids: they are no longer suggested. Columns keep their numbers.

        Raises DataError at a label that isn't known.
        """
        fresh = as_of_now(self._fitted())
        fresh.remove(labels)
        self.classifier_ = fresh
        return self

    @of_now
    def score(self, texts: Any, labels: Any, sample_weight: Any = None) -> float:
        """P@1, from 0 to 1: the share of texts whose best label is true.

        labels: as in `fit`.
        sample_weight: (n_texts,), what a text counts.
        Raises DataError if texts and labels don't fit.
        """
        estimator, who = self._fitted(), type(self).__name__
        labels = listed(labels)
        if not are_lists(labels, is_0_or_1):
            return estimator.score(self.rows(texts), labels, sample_weight)
        best, ids = self.predict_topk(texts, 1).labels[:, 0], self._ids()
        _same_length(best, labels, who)
        true = ids_of_rows(labels, who)
        hit = [ids[label] in set(own) for label, own in zip(best, true, strict=True)]
        return weighted_mean(hit, sample_weight, who)

    def ranker(self) -> Ranker:
        """What ranks one text or row at a time, fast, from as many threads as you like: a Ranker,
        which keeps the parameters of now.
        """
        return self._fitted().ranker().of_texts(copy(self._vectorizer()))

    def compress(
        self, weights: str = "int8", weight_threshold: float | None = None
    ) -> TextClassifier:
        """A smaller copy: weights stored as `weights` says, those below the threshold dropped.

        weights: "float32", "float16" or "int8".
        Raises ParameterError at another word or a threshold below 0.
        """
        smaller = copy(self)
        smaller.classifier_ = self._fitted().compress(weights, weight_threshold)
        smaller.classifier = _below(smaller.classifier_)
        return smaller

    def save(self, path: str | PathLike[str], overwrite: bool = False) -> None:
        """Write the model folder. Raises ModelError if `path` exists, unless `overwrite` and it is
        a model, or if it can't be written.
        """
        saved = (
            self._fitted()
            ._saved()
            ._replace(
                vectorizer=self.vectorizer_,
                text_parameters=vars(self._text_params()) | self._stage_params(),
                vocabulary=self.vocabulary,
            )
        )
        model_files.save(path, saved, overwrite)

    @classmethod
    def restored(cls, saved: model_files.Saved, classifier: Estimator) -> TextClassifier:
        """The fitted model that was saved, around its fitted classifier."""
        settings = saved.text_parameters or settings_of(saved.vectorizer)
        reranks = isinstance(classifier, RerankedClassifier)
        settings = {"opening": 0, "rerank": reranks, "vocabulary": saved.vocabulary} | settings
        if isinstance(saved.vectorizer, EncodedVectorizer):
            settings["encoder_weight"] = saved.vectorizer.encoding_.weight
        restored = cls(classifier=_below(classifier), **settings)
        check(restored)
        restored.classifier_, restored.vectorizer_ = classifier, saved.vectorizer
        return restored

    @property
    def model_(self) -> Model:
        """What the classifier learned."""
        return self.classifier_.model_

    @property
    def label_ids_(self) -> list[str] | None:
        return self.model_.label_ids

    @property
    def label_names_(self) -> list[str] | None:
        return self.model_.label_names

    @property
    def label_counts_(self) -> np.ndarray:
        return self.classifier_.label_counts_

    @property
    def n_labels_(self) -> int:
        return self.model_.n_labels

    @property
    def classes_(self) -> np.ndarray:
        return self.classifier_.classes_

    @property
    def drift_(self) -> float:
        """The share of labels that were added, solved again or removed since the training."""
        return self.model_.drift

    def _fitted(self) -> Estimator:
        check_is_fitted(self, "classifier_")
        return self.classifier_

    def _unfitted(self) -> Estimator:
        """A copy of the one base model that a model without a stage is.

        Where the stage was left to us, that is the first of several.
        """
        if isinstance(self.classifier, (tuple, list)):
            if len(self.classifier) > 1 and self.rerank != "auto":
                raise ParameterError(
                    f"{type(self).__name__}: classifier must be one estimator where there is no "
                    f"last stage, got {len(self.classifier)}"
                )
            return clone(self.classifier[0])
        return LabelTreeClassifier() if self.classifier is None else clone(self.classifier)

    def _stage_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names(StageParams)} | {"rerank": self.rerank}

    def _unfitted_vectorizer(self) -> Any:
        """The vectoriser that a fit begins with."""
        words = make_vectorizer(self._text_params(), type(self).__name__)
        if self.encoder is None:
            return words
        how = self.encoder_weight, self.encoder_cache, self._first().verbose
        return EncodedVectorizer(words, self.encoder, *how)

    def _vectorizer(self) -> Any:
        """The vectoriser, with the encoder that the model has now."""
        if isinstance(self.vectorizer_, EncodedVectorizer):
            check(self)  # the encoder and its cache may have been set since
            self.vectorizer_.use(self.encoder, self.encoder_cache)
        return self.vectorizer_

    def _text_params(self) -> TextParams:
        return TextParams(**{name: plain(getattr(self, name)) for name in names(TextParams)})

    def rows(self, texts: Any) -> Any:
        """The texts as `classifier_` takes them: CSR, or DescribedRows where it reads texts. Those
        of a folder of rows become features part by part.
        """
        predictor = self._fitted().model_.predictor
        if isinstance(texts, StoredRows) and texts_of(texts):
            return texts.transformed(self._vectorizer().transform)
        texts = as_texts(texts, type(self).__name__)
        X = self._vectorizer().transform(texts)
        return DescribedRows(X, texts) if predictor.reads_texts else X

    def _ids(self) -> list[str]:
        """What people call the labels: ids, else classes, else column numbers."""
        return self.label_ids_ or [str(label) for label in self.classes_]

    def __sklearn_clone__(self) -> TextClassifier:
        bare: Any = as_of_now(self)
        bare.encoder = None  # a copy would take as much memory again, and of some none can be made
        fresh = super(TextClassifier, bare).__sklearn_clone__()
        fresh.encoder = self.encoder
        return fresh

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.target_tags.multi_output = True
        return tags


def _check_base_features(bases: Sequence[Any], who: str) -> None:
    """Raise ParameterError if something would be made of features that the vectoriser made."""
    for name in names(FeatureParams):
        if any(getattr(base, name) for base in bases):
            made = "the vectoriser makes features of texts, TF-IDF weights"
            raise ParameterError(f"{who}: {name} of the classifier is for matrices only: {made}")


def as_labels(
    labels: Any, label_ids: Sequence[str] | None, who: str
) -> tuple[Any, list[str] | None]:
    """Labels as estimators of matrices take them, and the id of each column if they have ids."""
    if not hasattr(labels, "__len__"):
        raise DataError(f"{who}: expected labels for each text, got {type(labels).__name__}")
    known = None if label_ids is None else as_list(label_ids, "label_ids", who)
    if known is not None:
        check_once(known, who)
    labels = listed(labels)
    if not are_lists(labels, is_0_or_1):
        return labels, known
    column: dict[str, int] = {}
    indices, indptr = array("i"), array("q", [0])
    for own in ids_of_rows(labels, who):
        indices.extend(column.setdefault(label, len(column)) for label in own)
        indptr.append(len(indices))
    Y, ids = csr_by_id(np.ones(len(indices), np.float32), indices, indptr, list(column))
    if known is not None:
        if unknown := sorted(set(ids) - set(known)):
            raise DataError(f"{who}: expected labels among label_ids, got {unknown[0]!r}")
        Y, ids = align_labels(Y, ids, known)
    Y.sum_duplicates()
    Y.data[:] = 1
    return Y, ids


def _as_columns(
    texts: Sequence[str],
    labels: Any,
    label_ids: Sequence[str] | None,
    known: Sequence[str] | None,
    who: str,
) -> tuple[sp.csr_matrix, list[str] | None]:
    """Labels of texts as a matrix, and the ids of its columns; a matrix without ids has those that
    are known.
    """
    if not len(texts):
        ids = [*(label_ids or known or ())]
        return sp.csr_matrix((0, len(ids)), dtype=np.float32), ids if known is not None else None
    y, own = as_labels(labels, label_ids, who)
    _same_length(texts, y, who)
    Y, _ = as_label_matrix(y, who)
    if own is not None and known is None:
        raise DataError(f"{who}: expected a matrix of labels, as the model's labels have no ids")
    if own is None and known is not None:
        if Y.shape[1] != len(known):
            expected = f"{len(known):,} columns, one per label of the model, or label_ids"
            raise DataError(f"{who}: expected {expected}, got {Y.shape[1]:,}")
        own = [*known]
    return Y, own


def _rows_of(labels: Any, kept: np.ndarray) -> Any:
    """The labels of some texts, in whatever form they are."""
    if sp.issparse(labels):
        return sp.csr_matrix(labels)[kept]
    if hasattr(labels, "iloc"):
        return labels.iloc[kept]
    return labels[kept] if hasattr(labels, "shape") else [labels[row] for row in kept]


def with_concepts(
    y: Any,
    ids: list[str] | None,
    names: Sequence[str] | None,
    vocabulary: Vocabulary,
    language: str | None,
    who: str,
) -> tuple[Any, list[str], list[str]]:
    """The labels with those of the vocabulary among them, ascending by id, and their names in the
    language, where there are some.

    Raises DataError if labels have no ids, or none that the vocabulary has.
    """
    if ids is None:
        raise DataError(f"{who}: a vocabulary needs label_ids, or labels as lists of ids")
    if not any(label in vocabulary for label in ids):
        wanted, there = quoted(ids[0]), quoted(vocabulary.ids[0])
        raise DataError(f"{who}: expected ids of the vocabulary, such as {there}, got {wanted}")
    given = dict(zip(ids, names or ids, strict=True))
    every = sorted({*ids, *vocabulary.ids})
    Y, _ = align_labels(as_label_matrix(y, who)[0], ids, every)
    found = zip(every, vocabulary.names_of(every, language), strict=True)
    own = [name if given.get(label, label) == label else given[label] for label, name in found]
    return Y, every, own


def names_of_labels(
    ids: Sequence[str] | None,
    names: Sequence[str] | None,
    vocabulary: Vocabulary | None,
    some_texts: Sequence[str],
    like: NameIndex | None = None,
) -> NameIndex | None:
    """All names of each label, to be looked for in such texts; none where there are only ids.

    like: an index that knows of texts, in place of some.
    """
    found: list[tuple[int, str]] = []
    for label in range(len(names or ())):
        found += ((label, name) for name in several_names(label, ids, names or (), vocabulary))
    if not found:
        return None
    labels, texts = zip(*found, strict=True)
    return name_index(texts, np.array(labels, np.int32), len(names or ()), some_texts, like)


def several_names(
    label: int,
    ids: Sequence[str] | None,
    names: Sequence[str],
    vocabulary: Vocabulary | None,
) -> list[str]:
    """All names of a label, each once."""
    own = None if ids is None else ids[label]
    several = [] if names[label] == own else [split_qualifiers(names[label])[0]]
    if vocabulary is not None and own is not None and own in vocabulary:
        several += [known.name for known in vocabulary.all_names(own)]
    return [*dict.fromkeys(several)]


def _known(ids: Any, names: Any, y: Any, who: str) -> tuple[list[str] | None, list[str] | None]:
    """Ids and names as lists of str, one for each label."""
    if ids is None and names is None:
        return None, None
    n_labels = as_label_matrix(y, who)[0].shape[1]
    own = as_label_texts(ids, n_labels, "label_ids", who)
    return own, as_label_texts(names, n_labels, "label_names", who)


def _below(classifier: Any) -> Any:
    """What TextClassifier was given, or would be, for a trained classifier."""
    if isinstance(classifier, RerankedClassifier):
        return clone(classifier).classifier
    return clone(classifier)


def names_in_order(
    given: Sequence[str] | Mapping[str, str] | None, ids: list[str] | None, who: str
) -> Sequence[str] | None:
    """Names in the order of the ids; a label without a name keeps its id."""
    if not isinstance(given, Mapping):
        return given
    if ids is None:
        raise DataError(f"{who}: label_names by id needs label_ids, or labels as lists of ids")
    return [given.get(label, label) for label in ids]


def _suggestions(
    labels: np.ndarray, scores: np.ndarray, ids: Sequence[str], names: Sequence[str]
) -> list[Suggestion]:
    found = zip(labels.tolist(), scores.tolist(), strict=True)
    return [Suggestion(ids[label], names[label], score) for label, score in found if label >= 0]


def _same_length(texts: Any, labels: Any, who: str) -> None:
    n_rows = labels.shape[0] if hasattr(labels, "shape") else len(labels)
    if len(texts) != n_rows:
        raise DataError(f"{who}: expected labels for {len(texts):,} texts, got {n_rows:,}")


def texts_of(stored: StoredRows) -> Sequence[str]:
    """The texts in a folder of rows. Raises DataError if there are none."""
    if stored.texts is None:
        raise DataError(f"{stored.path}: expected texts, the rows have only features")
    return stored.texts


def settings_of(vectorizer: Any) -> dict[str, Any]:
    """The parameters that a vectoriser tells of itself: of words alone it doesn't tell all."""
    if isinstance(vectorizer, EncodedVectorizer):
        return settings_of(vectorizer.words)
    if isinstance(vectorizer, TextVectorizer):
        return vars(vectorizer.params)
    return {
        "opening": 0,
        "max_ngram": int(vectorizer.ngram_range[1]),
        "sublinear_tf": bool(vectorizer.sublinear_tf),
        "lowercase": bool(vectorizer.lowercase),
    }
