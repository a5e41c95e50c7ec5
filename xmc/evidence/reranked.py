"""Reranked, the predictor whose last stage weighs all evidence for each candidate.

Candidates come from base models and from what is known of labels (sources.py); boosted trees turn
the evidence for each into its log-odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Rows
from ..kernels.evidence import base_evidence, less_the_best, union
from ..ranking.predictor import Predictor
from ..ranking.search import Candidates, Search, scored
from ..topk import TopK
from .boosted import BoostedTrees, check, contributions, log_odds
from .names import mentions
from .sources import Question, Sources, expected, fill, hear, named, surest
from .sources import check as check_sources

N_BEST = 50  # candidates that a base model gives
BASE_COLUMNS = ("log_score", "place", "log_score_less_best", "company")
# Of these the difference to the best candidate of the row is evidence, too.
COMPARED = (
    "name_cosine",
    "name_word_cosine",
    "name_share",
    "opening_cosine",
    "opening_share",
    "label_cosine",
    "neighbor_votes",
)
ROWS_PER_BATCH = 4096  # base models read each page once a batch; evidence takes 12 kB a row


class Base(NamedTuple):
    """A base model.

    estimator: the class that trained it.
    parameters: its hyper-parameters, as JSON holds them.
    predictor: what it learned.
    search: how that is searched, which follows from the parameters.
    """

    estimator: str
    parameters: dict[str, Any]
    predictor: Predictor
    search: Search


class Evidence(NamedTuple):
    """The candidates of each row and the evidence for each.

    indptr: int64, where each row's candidates start.
    ids: int32, ascending in each row.
    values: float32, (candidates, columns), NaN where nothing is known.
    """

    indptr: np.ndarray
    ids: np.ndarray
    values: np.ndarray


class Weighed(NamedTuple):
    """How the last stage comes to the score of a label.

    score: what ranks; 0 where the label is no candidate.
    columns: what the evidence is called.
    values: float32, the evidence; NaN where nothing is known.
    shares: float64, what each adds to the log-odds.
    start: what the log-odds of all candidates start from.
    bases: what each base model knows of its own score.
    is_candidate: if not, the evidence is what it would be if it were.
    """

    score: float
    columns: list[str]
    values: np.ndarray
    shares: np.ndarray
    start: float
    bases: tuple[Any, ...]
    is_candidate: bool

    @property
    def log_odds(self) -> float:
        return self.start + float(self.shares.sum())


@dataclass(frozen=True, eq=False)
class Reranked(Predictor):
    """Base models, what is known of labels beside them, and the trees that weigh it."""

    bases: tuple[Base, ...]
    sources: Sources
    trees: BoostedTrees
    importance: np.ndarray  # float64, the mean absolute share of each column in the log-odds

    def candidates(self, X: Any, search: Search) -> Candidates:
        found = collect(self.bases, self.sources, X)
        margin = log_odds(self.trees, found.values)
        return Candidates(found.indptr, found.ids, *probabilities(margin))

    def reasons(self, asked: Question, search: Search, label: int) -> Weighed:
        known = collect(self.bases, self.sources, asked, np.array([[label]], np.int32))
        own = known.ids == label
        of_label = self.candidates(asked, search)
        score = scored(asked.rows, of_label, search).score[of_label.ids == label]
        shares = contributions(self.trees, known.values[own])[0]
        return Weighed(
            float(score.sum()),
            columns_of(self.bases, self.sources),
            known.values[own][0],
            shares[:-1],
            float(shares[-1]),
            tuple(base.predictor.reasons(asked.rows, base.search, label) for base in self.bases),
            len(score) > 0,
        )

    @property
    def reads_texts(self) -> bool:
        return self.sources.names is not None

    @property
    def gives_probabilities(self) -> bool:
        return True

    def asked(self, X: Rows, texts: list[str] | None = None) -> Question:
        names = self.sources.names
        return Question(X, None if names is None or texts is None else mentions(names, texts))

    def rows_per_batch(self, search: Search, all_candidates: bool) -> int:
        return ROWS_PER_BATCH

    def check(self, n_features: int, n_labels: int) -> None:
        for base in self.bases:
            base.predictor.check(n_features, n_labels)
        check_sources(self.sources, n_features, n_labels)
        check(self.trees, len(columns_of(self.bases, self.sources)))
        if self.importance.shape != (len(columns_of(self.bases, self.sources)),):
            raise ValueError("importance: expected a number for each kind of evidence")

    def n_labels_found(self, label_counts: np.ndarray) -> int:
        """Those with training rows, and those that have a name to be found by."""
        return int(np.count_nonzero((label_counts > 0) | named(self.sources)))

    @property
    def n_weights(self) -> int:
        return sum(base.predictor.n_weights for base in self.bases)

    def levels(self) -> list[list[dict[str, Any]]]:
        return [tree for base in self.bases for tree in base.predictor.levels()]


def together(parts: Sequence[Evidence]) -> Evidence:
    """The rows of all parts, one part after another."""
    sizes = np.concatenate([np.diff(part.indptr) for part in parts])
    ids = np.concatenate([part.ids for part in parts])
    values = np.concatenate([part.values for part in parts])
    return Evidence(np.concatenate([[0], np.cumsum(sizes)]), ids, values)


def probabilities(log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities that these log-odds mean, and the log-odds, float32."""
    with np.errstate(over="ignore"):  # of inf, 1 / inf is right
        return (1 / (1 + np.exp(-log_odds))).astype(np.float32), log_odds.astype(np.float32)


def columns_of(bases: Sequence[Any], sources: Sources) -> list[str]:
    """What the columns of the evidence are called."""
    own = [f"base{n}_{name}" for n in range(len(bases)) for name in BASE_COLUMNS]
    known = sources.columns()
    return [*own, *known, *(f"{name}_less_best" for name in known if name in COMPARED)]


def collect(
    bases: Sequence[Base],
    sources: Sources,
    asked: Question,
    more: np.ndarray | None = None,
) -> Evidence:
    """The candidates of each row, and all that is known of each.

    more: int32, (rows, any), labels that are to be among them.
    """
    tops = [_best(base, asked) for base in bases]
    heard = hear(sources, asked, tops[0])
    wanted = [*(top.labels for top in tops), *heard.tops, *([] if more is None else [more])]
    indptr, ids = union(np.hstack(wanted))
    columns = columns_of(bases, sources)
    values = np.full((len(ids), len(columns)), np.nan, np.float32)
    for n, top in enumerate(tops):
        column = n * len(BASE_COLUMNS)
        base_evidence(indptr, ids, *top, column, values)
        values[:, column + 3] = expected(sources.beside, surest(top), indptr, ids)
    column = len(bases) * len(BASE_COLUMNS)
    for part in fill(sources, asked, heard, indptr, ids):
        values[:, column : column + part.shape[1]] = part
        column += part.shape[1]
    for target in range(column, len(columns)):
        source = columns.index(columns[target].removesuffix("_less_best"))
        less_the_best(indptr, values, source, target)
    return Evidence(indptr, ids, values)


def _best(base: Base, asked: Question) -> TopK:
    return base.predictor.rank(asked.rows, base.search, N_BEST)
