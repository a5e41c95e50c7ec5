"""RerankedClassifier: base models, and a last stage that weighs all evidence for each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from .arrays import Lists, Rows, frozen
from .base import Estimator, Learned
from .checkpoint import Checkpoint
from .errors import DataError, ParameterError
from .estimators import LabelTreeClassifier, OneVsAllClassifier
from .evidence.boosted import BoostedTrees, importance
from .evidence.names import NameIndex, mentions
from .evidence.nearest import Inverted, index_bytes, inverted
from .evidence.reranked import Base, Evidence, Reranked, collect, columns_of, together
from .evidence.sources import Beside, Neighbors, Question, Sources, labels_beside
from .inputs import as_matrix, as_rows, canonical, selected, taken
from .memory import held_bytes
from .methods import method_of
from .model_files import Saved, settings
from .parallel import run
from .params import (
    TARGETS,
    FeatureParams,
    LabelTreeParams,
    RerankedParams,
    check,
    names,
    tree_params,
)
from .progress import Progress
from .ranking.search import as_topk, row_blocks, search_of
from .stage import (
    HeldOut,
    held_out,
    joined,
    known_labels,
    learn,
    quality,
    threshold_of,
    unseen_scores,
)
from .topk import TopK, joined_tops
from .training.forecast import Forecast
from .training.needs import Needs
from .training_data import TrainingData, as_seed
from .updating.known import Known
from .updating.sources import known_rows, renamed_sources, taught_sources, without_labels
from .updating.update import News

MOST_HELD, SHARE_HELD = 10_000, 0.08  # rows that the stage learns from, where one part is enough
FEW_ROWS, FOLDS = 20_000, 3  # fewer rows than this are all held out in turn, in so many parts
ROWS_PER_BLOCK = 1024  # of held-out rows whose evidence is collected at a time
MOST_WEIGHED = 500  # candidates on which the weight of each column is measured: 2 ms each
# One-vs-all takes time by labels with rows x values of X; up to here it is minutes on two threads.
AFFORDABLE = 1e12
# For forecasts: candidates of a row, and what a stage learns from each, with two threads.
CANDIDATES, LEARNING_SECONDS = 100, 1e-5
SHARPNESS = 0.5  # of neighbours, see inverted
N_SHOWN = 5  # labels of a row by which base models and stage are held against each other
WORTH = 0.2  # points of P@1, P@3 and P@5 on average that a further base model must bring
DEFAULT = (LabelTreeClassifier(), OneVsAllClassifier(costs="propensity"))  # base models


class Part(NamedTuple):
    """Rows by number: those that base models learn from, and those that the stage learns from."""

    kept: np.ndarray
    held: np.ndarray


class Asked(NamedTuple):
    """What there is to learn from a part, for each choice of base models; and the best labels by
    each base model of the first choice.
    """

    held: list[HeldOut]
    tops: list[TopK]


class Stage(NamedTuple):
    """The last stage.

    chosen: the number of the choice of base models that it weighs.
    threshold: probability from which a label belongs to a set.
    held_out: metrics on held-out rows of each base model, and of the stage.
    trees: that give the log-odds.
    importance: of each column of the evidence.
    """

    chosen: int
    threshold: float
    held_out: dict[str, Any]
    trees: BoostedTrees
    importance: np.ndarray


class Given(NamedTuple):
    """What a fit is given, as base models, sources and the stage take it.

    X: rows, scaled as the base models want them.
    Y: CSR; not 0 where a label is true.
    row_weights: of each row, None if all are 1.
    texts: that the rows come from, if they do.
    names: of the labels, for texts.
    related: which are broader and narrower.
    label_features: each label as a row, if they were given, and the index of them.
    """

    X: Rows
    Y: sp.csr_matrix
    row_weights: np.ndarray | None
    texts: Sequence[str] | None
    names: NameIndex | None
    related: Beside | None
    label_features: Rows | None
    label_index: Inverted | None

    def label_counts(self, rows: Any = slice(None)) -> np.ndarray:
        """int64, how many of these rows have each label."""
        return np.bincount(self.Y[rows].indices, minlength=self.Y.shape[1])

    def train(self, bases: Sequence[Any], checkpoint: Checkpoint, rows: Any = None) -> list[Any]:
        """Base models, fitted to all rows, or to these."""
        X, Y, weights = self.X, self.Y, self.row_weights
        if rows is not None:
            X, Y = selected(X, rows), Y[rows]
            weights = None if weights is None else weights[rows]
        return [
            base.fit(X, Y, sample_weight=weights, checkpoint=checkpoint.part(f"base{n}"))
            for n, base in enumerate(bases)
        ]

    def question(self, chosen: np.ndarray) -> Question:
        """The chosen rows, to be asked."""
        found = None
        if self.names is not None and self.texts is not None:
            found = mentions(self.names, [self.texts[row] for row in chosen])
        return Question(taken(self.X, chosen), found)

    def sources(self, kept: np.ndarray, neighbors: bool) -> Sources:
        """What the kept rows and the names say of labels."""
        Y = self.Y[kept]
        known = Sources(
            frozen(self.label_counts(kept)),
            labels_beside(Y),
            self.names,
            self.label_features,
            self.label_index,
            related=self.related,
        )
        if not neighbors:
            return known
        labels = Lists(frozen(Y.indptr.astype(np.int64)), frozen(Y.indices.astype(np.int32)))
        rows = inverted(selected(self.X, kept), sharpness=SHARPNESS)
        return known._replace(neighbors=Neighbors(rows, labels))


@dataclass(repr=False, eq=False)
class RerankedClassifier(RerankedParams, Estimator):
    """Base models find candidates, and a last stage gives each its probability by all evidence.

    Evidence is what the base models say, which labels the nearest training rows have, how often a
    label occurs, and how well its name fits: by `label_features`, or with texts by the names that a
    TextClassifier knows. Boosted trees weigh it. They learn from rows that the base models had not
    seen; after that, the base models are trained on all rows.

    classifier: the base model or a tuple of several. None is a label tree, and one-vs-all whose
        errors cost by propensity, with choose=True.
    choose: of several base models leave the last ones out where that costs less than 0.2 points of
        precision on held-out rows; and one-vs-all where it would take hours.
    label_features: (n_labels, n_features), each label's name as a row of X.

    Base models heed sample_weight; the stage, and what else is known of labels, count a row once.

    Scores are probabilities. Without a threshold, `predict` takes the one that had the best
    micro-F1 on held-out rows.

    Fitted attributes beside those of all estimators: evidence_names_, evidence_weights_; and, until
    it is saved, base_kinds_, the classes of the base models that were tried, and held_out_, the
    metrics on held-out rows of each of them and of the stage.
    """

    predictor_type = Reranked
    _renumbers = False  # a label without a row may be found, and how many there are is evidence

    def forecast(self, X: Any, y: Any = None) -> Forecast:
        """What `fit` would take: each base model is trained on all rows, and before that without
        those that are held out, once or in turns. The stage learns from the latter, and the model
        keeps what is known of labels beside its base models.
        """
        given = (fresh := clone(self))._given(fresh._training_data(X, y))  # this one stays as it is
        bases = self._unfitted(given.X, given.Y)
        needs = [base.forecast(given.X, given.Y) for base in bases]
        most = max(needs, key=lambda need: need.memory(1))
        n_rows = given.X.n_rows
        sources = given.sources(np.arange(n_rows), neighbors=False)
        known_bytes = bytes_of(sources)
        if self.neighbors:
            known_bytes += index_bytes(given.X) + 4 * given.Y.nnz
        parts = parts_of(n_rows, 0)
        n_times = 1 + sum(len(part.kept) for part in parts) / n_rows
        n_candidates = CANDIDATES * sum(len(part.held) for part in parts)
        n_choices = len(bases) if self._chooses else 1
        n_columns = 1 + len(columns_of(bases, sources))
        evidence_bytes = 4 * n_candidates * n_columns * (n_choices + 2)  # while a stage learns
        model_bytes = sum(need.model_bytes for need in needs)
        others = model_bytes - most.model_bytes
        needed = [part._replace(large_bytes=part.large_bytes + others) for part in most.parts]
        needed.append(Needs(held_bytes() + evidence_bytes, 0, 0))
        n_learned = 2 * n_choices + 1
        return most._replace(
            seconds=n_times * sum(need.seconds for need in needs)
            + n_learned * n_candidates * LEARNING_SECONDS,
            n_trees=sum(need.n_trees for need in needs),
            model_bytes=model_bytes + known_bytes,
            parts=tuple(part.with_more(known_bytes) for part in needed),
        )

    def compress(
        self, weights: str = "int8", weight_threshold: float | None = None
    ) -> RerankedClassifier:
        """A copy whose base models are smaller: what they say changes a little."""
        model = self._fitted()
        predictor: Any = model.predictor
        bases = [
            _smaller(base, model.n_kept_features, weights, weight_threshold)
            for base in predictor.bases
        ]
        smaller = copy(self)
        smaller.classifier = tuple(map(unfitted, bases))
        smaller.model_ = model._replace(predictor=replace(predictor, bases=tuple(bases)))
        return smaller

    def check_learns(self) -> None:
        predictor: Any = self._fitted().predictor
        for base in predictor.bases:
            self._base_of(base).check_learns()

    def _taught(self, predictor: Reranked, news: News) -> Reranked:
        sources = taught_sources(
            *(predictor.sources, news.X, news.Y, news.names, news.related, news.joined.Y)
        )
        bases = [
            base._replace(predictor=self._base_of(base)._taught(base.predictor, news))
            for base in predictor.bases
        ]
        return replace(predictor, bases=tuple(bases), sources=sources)

    def _without(self, predictor: Reranked, labels: np.ndarray) -> Reranked:
        bases = [
            base._replace(predictor=self._base_of(base)._without(base.predictor, labels))
            for base in predictor.bases
        ]
        sources = without_labels(predictor.sources, labels)
        return replace(predictor, bases=tuple(bases), sources=sources)

    def _named(self, predictor: Reranked, n_labels: int, names: Any, related: Any) -> Reranked:
        sources = renamed_sources(predictor.sources, n_labels, names, related)
        return replace(predictor, sources=sources)

    @property
    def _keeps_rows(self) -> bool:  # type: ignore[override]
        return any(getattr(base, "keep_rows", False) for base in as_tuple(self.classifier))

    @property
    def has_rows_(self) -> bool:
        predictor: Any = self._fitted().predictor
        # Neighbours are kept by their direction: how long they were is lost.
        knows = predictor.sources.neighbors is not None and self.normalize
        return knows or super().has_rows_

    def _rows_held(self) -> Known | None:
        predictor: Any = self._fitted().predictor
        return known_rows(predictor.sources) if self.has_rows_ else None

    def _base_of(self, base: Base) -> Any:
        """The estimator of a base model, with the threads and the model of this one."""
        estimator = unfitted(base)
        estimator.set_params(n_jobs=self.n_jobs)
        estimator.model_ = self.model_
        return estimator

    @classmethod
    def restored(cls, saved: Saved) -> Estimator:
        """The fitted estimator that was saved."""
        estimator: Any = super().restored(saved)
        predictor: Any = saved.model.predictor
        estimator.classifier = tuple(map(unfitted, predictor.bases))
        features = predictor.sources.label_features
        if features is not None:
            estimator.label_features = as_matrix(features)
        return estimator

    @property
    def normalize(self) -> bool:
        """Whether rows are scaled to unit length: as the base models do."""
        return bool(self._first().normalize)

    @property
    def tfidf(self) -> bool:
        """Whether values are weighed by how rare their feature is: as the base models do."""
        return bool(self._first().tfidf)

    @property
    def pairs(self) -> float:
        """The length of products of two features, as the base models have them."""
        return float(self._first().pairs)

    @property
    def best_base_(self) -> Estimator | None:
        """The base model that was better on held-out rows than the stage; None if none was."""
        scores = {name: mean_precision(figures) for name, figures in self.held_out_.items()}
        best = max(scores, key=lambda name: scores[name])
        if best == "stage" or scores[best] <= scores["stage"]:
            return None
        model = self._fitted()
        predictor: Any = model.predictor
        base = predictor.bases[int(best.removeprefix("base"))]
        fitted = unfitted(base)
        fitted.__dict__.update({k: v for k, v in vars(self).items() if k.endswith("_in_")})
        fitted.model_ = model._replace(predictor=base.predictor, threshold=None)
        return fitted

    @property
    def summary_(self) -> str:
        """What held-out rows say of each base model that was tried, and of the stage: one line."""
        predictor: Any = self._fitted().predictor
        precision = [f"P@1 {figures['P@1']:.1f}" for figures in self.held_out_.values()]
        told = [f"{kind} {p}" for kind, p in zip(self.base_kinds_, precision, strict=False)]
        n_kept = len(predictor.bases)
        told[n_kept:] = [f"{text}, left out" for text in told[n_kept:]]
        return f"on held-out rows: {'; '.join([*told, f'last stage {precision[-1]}'])}"

    @property
    def weights(self) -> str:
        """How the weights of the base models are stored: as in the first that has any."""
        return str(self._of_first("weights"))

    @property
    def weight_threshold(self) -> float:
        """The base models have no smaller weights than this, by the first one."""
        return float(self._of_first("weight_threshold"))

    @property
    def evidence_names_(self) -> list[str]:
        """What the columns of the evidence are called, as docs/how-it-works.md explains them."""
        predictor: Any = self._fitted().predictor
        return columns_of(predictor.bases, predictor.sources)

    @property
    def evidence_weights_(self) -> np.ndarray:
        """(n_columns,), the mean absolute share of each column in the log-odds of held-out
        candidates: Shapley values of the trees.
        """
        predictor: Any = self._fitted().predictor
        return predictor.importance

    def _first(self) -> Any:
        several = as_tuple(self.classifier)
        return several[0] if several else LabelTreeClassifier()

    def _of_first(self, name: str) -> Any:
        """A parameter of the first base model that has it."""
        bases = *as_tuple(self.classifier), LabelTreeClassifier()
        return next(getattr(base, name) for base in bases if hasattr(base, name))

    def _params(self) -> LabelTreeParams:
        order = ("optimize", "macro_share", "propensity_a", "propensity_b")
        own = {name: getattr(self, name) for name in order}
        if self.random_state is not None:
            own["random_state"] = self.random_state
        # Base models that weigh errors by Y's values need these; the others make costs themselves.
        several = as_tuple(self.classifier)
        relevance = any(getattr(base, "costs", "") == "relevance" for base in several)
        own |= {"costs": "relevance" if relevance else "equal", "solver": "block"}
        return tree_params(self._first(), **own, n_jobs=self.n_jobs, tail_share=0.0)

    @property
    def _chooses(self) -> bool:
        return self.choose or self.classifier is None

    def _unfitted(self, X: Rows, Y: Any) -> list[Any]:
        """Copies of the base models, with threads and memory from here where they have none."""
        n_trained = len(np.unique(sp.csr_matrix(Y).indices))
        bases = [clone(base) for base in as_tuple(self.classifier) or DEFAULT]
        for base in bases:
            if self.random_state is not None:
                base.set_params(random_state=self.random_state)
            if base.random_state is not None:  # a generator gives one seed, however often it trains
                base.set_params(random_state=as_seed(base.random_state))
        if self._chooses and len(X.data) * n_trained > AFFORDABLE:
            bases = [base for base in bases if not isinstance(base, OneVsAllClassifier)] or bases
        for base in bases:
            base._renumbers = base._makes_features = False
            if base.optimize in TARGETS:  # it finds candidates; the stage's probabilities choose
                base.set_params(optimize="p")
            _check_base(base, self._first(), type(self).__name__)
            for name in ("n_jobs", "memory"):
                if getattr(base, name) is None:
                    base.set_params(**{name: getattr(self, name)})
            base.set_params(verbose=max(base.verbose, self.verbose))
        return bases

    def _train(self, data: TrainingData, progress: Progress) -> Learned:
        if data.user_negatives is not None:
            raise ParameterError(f"{type(self).__name__}: user_negatives must be None")
        given = self._given(data)
        unfitted = self._unfitted(given.X, given.Y)
        n_least = 1 if self._chooses else len(unfitted)
        choices = [unfitted[:n] for n in range(len(unfitted), n_least - 1, -1)]
        self.base_kinds_ = [type(base).__name__ for base in unfitted]
        checkpoint = data.checkpoint
        stage = checkpoint.once(
            "stage", Stage, lambda: self._stage(given, choices, data.seed, checkpoint)
        )
        self.held_out_ = stage.held_out
        fitted = given.train(choices[stage.chosen], checkpoint)
        sources = given.sources(np.arange(given.X.n_rows), self.neighbors)
        bases = tuple(map(base_of, fitted))
        predictor = Reranked(bases, sources, stage.trees, stage.importance)
        return Learned(predictor, max(base.n_iter_ for base in fitted), stage.threshold)

    def _stage(
        self,
        given: Given,
        choices: Sequence[Sequence[Any]],
        seed: int,
        checkpoint: Checkpoint,
    ) -> Stage:
        """The last stage, learned from held-out rows."""
        held, alone = self._held_out(given, choices, seed, checkpoint)
        figures = {f"base{n}": own for n, own in enumerate(alone)}
        chosen, threshold, figures["stage"] = self._choose(held, figures, seed)
        trees = learn(held[chosen], self.n_jobs)
        values = held[chosen].evidence.values
        sample = np.ascontiguousarray(values[:: 1 + len(values) // MOST_WEIGHED])
        return Stage(chosen, threshold, figures, trees, frozen(importance(trees, sample)))

    def _given(self, data: TrainingData) -> Given:
        indptr, ids, costs = data.Y
        n_rows, n_labels = data.X.n_rows, len(data.label_counts)
        values = costs if len(costs) else np.ones(len(ids), np.float32)
        described = data.described
        return Given(
            data.X,
            sp.csr_matrix((values, ids, indptr), (n_rows, n_labels)),
            data.row_weights if len(data.row_weights) else None,
            None if described is None else described.texts,
            None if described is None else described.names,
            None if described is None else described.related,
            *self._label_rows(data.X.n_features, n_labels),
        )

    def _label_rows(self, n_features: int, n_labels: int) -> tuple[Rows | None, Inverted | None]:
        """`label_features` past the door, and their index."""
        if self.label_features is None:
            return None, None
        who = type(self).__name__
        if self.tfidf or self.pairs:
            why = "with tfidf or pairs in base models, which make other columns of X"
            raise ParameterError(f"{who}: label_features must be None {why}")
        csr = canonical(self.label_features, who, "label_features")
        if csr.shape != (n_labels, n_features):
            expected = f"expected shape {(n_labels, n_features)}, labels x features of X,"
            raise DataError(f"{who}: {expected} in label_features, got {csr.shape}")
        rows = as_rows(csr, normalize=True)
        return rows, inverted(rows)

    def _held_out(
        self,
        given: Given,
        choices: Sequence[Sequence[Any]],
        seed: int,
        checkpoint: Checkpoint,
    ) -> tuple[list[HeldOut], list[dict[str, Any]]]:
        """What the stage may learn from, for each choice of base models, and how good each base
        model of the first choice is by itself.
        """
        parts = with_labels(parts_of(given.X.n_rows, seed), given.Y)
        asked = []
        for n, part in enumerate(parts):
            kept = checkpoint.part(f"part{n}")
            how = partial(self._ask, given, part, choices, kept)
            asked.append(kept.once("evidence", Asked, how))
        held = list(map(joined, zip(*(own.held for own in asked), strict=True)))
        tops = map(joined_tops, zip(*(own.tops for own in asked), strict=True))
        truth = held[0].truth
        return held, [quality(truth, own) for own in tops]

    def _ask(
        self,
        given: Given,
        part: Part,
        choices: Sequence[Sequence[Any]],
        checkpoint: Checkpoint,
    ) -> Asked:
        """What models trained on the kept rows of a part say of those that are held out."""
        bases = list(map(base_of, given.train(choices[0], checkpoint, part.kept)))
        sources, asked = given.sources(part.kept, self.neighbors), given.question(part.held)
        truth = given.Y[part.held] != 0
        known = known_labels(given.label_counts(), sources.label_counts)
        held = []
        for choice in choices:
            own = bases[: len(choice)]
            evidence = evidence_for(own, sources, asked, self.n_jobs)
            held.append(held_out(evidence, truth, known, columns_of(own, sources)))
        tops = [base.predictor.rank(asked.rows, base.search, N_SHOWN) for base in bases]
        return Asked(held, tops)

    def _choose(
        self, held: Sequence[HeldOut], alone: dict[str, dict[str, Any]], seed: int
    ) -> tuple[int, float, dict[str, Any]]:
        """The number of the best choice, the threshold of its sets, and its metrics.

        A choice of fewer base models, which come later, wins unless it is clearly worse, or leaves
        one out that is better alone.
        """
        reached_alone = list(map(mean_precision, alone.values()))
        best, threshold, so_far, told = 0, 1.0, -np.inf, {}
        for n, rows in enumerate(held):
            found = unseen_scores(rows, self.n_jobs, seed)
            figures = quality(rows.truth, as_topk(found, N_SHOWN))
            reached = mean_precision(figures)
            left_out = reached_alone[len(reached_alone) - n :]
            if reached > so_far - WORTH and reached >= max(left_out, default=0):
                best, so_far, told = n, reached, figures
                threshold = threshold_of(rows, found, self.threshold_for)
        return best, threshold, told


def bytes_of(value: Any) -> int:
    """What the arrays take that something is made of."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    return sum(map(bytes_of, value)) if isinstance(value, tuple) else 0


def base_of(fitted: Any) -> Base:
    """What the last stage keeps of a fitted base model."""
    search = search_of(fitted._params())
    return Base(type(fitted).__name__, settings(fitted), fitted.model_.predictor, search)


def unfitted(base: Base) -> Any:
    """An estimator with the parameters of a base model."""
    return method_of(base.estimator).load()(**base.parameters)


def _smaller(base: Base, n_features: int, weights: str, threshold: float | None) -> Base:
    """A base model compressed, where it can be."""
    if "weights" not in base.parameters:
        return base
    dropped = 0.0 if threshold is None else threshold
    settings = base.parameters | {"weights": weights, "weight_threshold": dropped}
    check(method_of(base.estimator).load()(**settings))
    settings["weight_threshold"] = max(dropped, base.parameters["weight_threshold"])
    predictor = base.predictor.compressed(n_features, weights, dropped)
    return base._replace(parameters=settings, predictor=predictor)


def parts_of(n_rows: int, seed: int) -> list[Part]:
    """Which rows base models and the stage learn from.

    Of many rows a share is held out once. Of few, each is held out once, in parts that follow each
    other, so that the stage learns from all.
    """
    order = np.random.default_rng(seed).permutation(n_rows)
    if n_rows >= FEW_ROWS:
        n_held = min(MOST_HELD, round(SHARE_HELD * n_rows))
        helds = [order[:n_held]]
    else:
        helds = np.array_split(order, min(FOLDS, n_rows))
    everything = np.arange(n_rows)
    return [
        Part(np.setdiff1d(everything, held), np.sort(held[: MOST_HELD // len(helds)]))
        for held in helds
    ]


def with_labels(parts: Sequence[Part], Y: sp.csr_matrix) -> list[Part]:
    """The parts from whose kept rows base models can learn: a row must have a label. If there is
    none, base models and stage learn from all rows.
    """
    everything = np.arange(Y.shape[0])
    useful = [part for part in parts if Y[part.kept].nnz]
    return useful or [Part(everything, everything)]


def evidence_for(
    bases: Sequence[Base], sources: Sources, asked: Question, n_jobs: int | None
) -> Evidence:
    """The candidates of many rows with all that is known of each, collected by threads."""
    blocks = row_blocks(asked.n_rows, ROWS_PER_BLOCK)
    parts = run(lambda a, b: collect(bases, sources, asked.part(a, b)), blocks, n_jobs)
    return together(parts)


def _check_base(base: Any, first: Any, who: str) -> None:
    """Raise ParameterError unless a base model goes with the stage and with the first one."""
    if isinstance(base, RerankedClassifier):
        raise ParameterError(f"{who}: classifier must be without a last stage of its own")
    for name in ("normalize", *names(FeatureParams)):
        if getattr(base, name) != getattr(first, name):
            raise ParameterError(f"{who}: {name} must be the same for all base models")
    if tail_share := getattr(base, "tail_share", 0):
        raise ParameterError(f"{who}: tail_share must be 0 in base models, got {tail_share!r}")
    if base.calibration is not None:
        got = f"got {base.calibration!r}"
        raise ParameterError(f"{who}: calibration must be None in base models, {got}")


def as_tuple(classifier: Any) -> tuple[Any, ...]:
    """The base models that are given; none of None."""
    if isinstance(classifier, (tuple, list)):
        return tuple(classifier)
    return () if classifier is None else (classifier,)


def mean_precision(figures: dict[str, Any]) -> float:
    """The mean of P@1, P@3 and P@5, as far as there are so many labels."""
    return float(np.mean([value for name, value in figures.items() if name.startswith("P@")]))
