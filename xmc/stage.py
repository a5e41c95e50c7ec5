"""Learn the last stage: boosted trees that turn evidence for a label of a row into its log-odds.

They learn from rows that the base models and the sources have not seen: what these say of their own
training rows is too good to be true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from .evidence.boosted import BoostedTrees, constant, from_sklearn, log_odds
from .evidence.reranked import Evidence, probabilities, together
from .evidence.sources import N_BEST, VOTE_COLUMNS
from .metrics import report
from .parallel import n_processors
from .ranking.search import Candidates
from .threshold import best_threshold
from .topk import TopK

# Chosen on held-out rows of three data sets, see benchmarks/NOTES.md.
N_TREES, N_LEAVES, LEARNING_RATE, LEAST_PER_LEAF, L2 = 150, 24, 0.09, 200, 50.0
# Of true candidates whose label has no training row so many are enough to learn from; no more than
# this share of the labels is taken for such.
ENOUGH_UNTRAINED, MOST_UNTRAINED = 200, 0.1
# Candidates for each thread that learns from them. Trees split thousands of nodes: where these are
# small, threads gain little, and lose many times as much where another one has the processor.
PER_THREAD = 50_000
OF_ROWS = (*VOTE_COLUMNS, "log_label_rows")  # what training rows say of a label


class HeldOut(NamedTuple):
    """Rows that neither base models nor sources have seen.

    evidence: their candidates and what is known of each.
    is_true: bool, of each candidate.
    is_known: bool, of each candidate: whether new rows could have it, too, see `known_labels`.
    truth: bool CSR (n_rows, n_labels), all true labels, candidates or not.
    columns: what the columns of the evidence are called.
    """

    evidence: Evidence
    is_true: np.ndarray
    is_known: np.ndarray
    truth: sp.csr_matrix
    columns: list[str]

    def rows(self, chosen: np.ndarray) -> HeldOut:
        """The chosen ones, a bool for each row."""
        sizes = np.diff(self.evidence.indptr)
        of_rows = np.repeat(chosen, sizes)
        indptr = np.concatenate([[0], np.cumsum(sizes[chosen])])
        own = Evidence(indptr, self.evidence.ids[of_rows], self.evidence.values[of_rows])
        known, truth = self.is_known[of_rows], self.truth[chosen]
        return HeldOut(own, self.is_true[of_rows], known, truth, self.columns)

    def column(self, name: str) -> np.ndarray:
        """One kind of evidence, of each candidate; NaN where there is no such kind."""
        if name not in self.columns:
            return np.full(len(self.is_true), np.float32(np.nan))
        return self.evidence.values[:, self.columns.index(name)]


def held_out(
    evidence: Evidence, truth: sp.csr_matrix, known: np.ndarray, columns: list[str]
) -> HeldOut:
    """The rows with the evidence for their candidates.

    truth: the true labels of the same rows. known: bool, of each label, see `known_labels`.
    """
    n_labels = np.int64(truth.shape[1])
    own = _rows(evidence.indptr) * n_labels + evidence.ids
    true = _rows(truth.indptr) * n_labels + truth.indices
    return HeldOut(evidence, np.isin(own, true), known[evidence.ids], truth, columns)


def known_labels(counts: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """bool, the labels that count where held-out rows tell how good a model is.

    A label that only held-out rows have is true of one of them for certain, and there for no other
    reason. The stage learns from it what a name alone is worth, but to find it is no merit: new
    rows have no such labels, unless a vocabulary brings even more of those that no row has.
    counts, kept: how many of all rows have each label, and of those that base models learn from.
    """
    only_held = (kept == 0) & (counts > 0)
    if np.count_nonzero(counts == 0) > np.count_nonzero(only_held):
        return np.ones(len(counts), bool)
    return ~only_held


def joined(parts: Sequence[HeldOut]) -> HeldOut:
    """The rows of all parts, one part after another."""
    evidence = together([part.evidence for part in parts])
    is_true = np.concatenate([part.is_true for part in parts])
    is_known = np.concatenate([part.is_known for part in parts])
    truth = sp.vstack([part.truth for part in parts], format="csr")
    return HeldOut(evidence, is_true, is_known, truth, parts[0].columns)


def _rows(indptr: np.ndarray) -> np.ndarray:
    """The row of each entry, int64."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def with_untrained(rows: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """The evidence for all candidates and which are true, and again for those of some labels as if
    these had no training row.

    What a name alone is worth is learned from labels that only held-out rows have. Where there are
    few of those and new rows may have labels without a row, the names of others teach it.
    """
    values, is_true, ids = rows.evidence.values, rows.is_true, rows.evidence.ids
    no_row = rows.column("log_label_rows") == 0
    n_lacking = ENOUGH_UNTRAINED - int(np.count_nonzero(no_row & is_true))
    named = ~no_row & _best_by_name(rows)
    place = np.random.default_rng(0).permutation(rows.truth.shape[1])[ids]
    true_places = np.sort(place[named & is_true])
    if n_lacking <= 0 or not (no_row & rows.is_known).any() or not len(true_places):
        return values, is_true
    last = true_places[min(n_lacking, len(true_places)) - 1]
    chosen = named & (place <= last) & (place < MOST_UNTRAINED * rows.truth.shape[1])
    again = without_rows(values[chosen], rows.columns)
    return np.concatenate([values, again]), np.concatenate([is_true, is_true[chosen]])


def without_rows(values: np.ndarray, columns: list[str]) -> np.ndarray:
    """What would be known of these candidates if their labels had no training row."""
    values = values.copy()
    for n, name in enumerate(columns):
        if name.endswith(("_log_score", "_place", "_log_score_less_best")):
            values[:, n] = np.nan
        elif name == "neighbor_votes_less_best":
            values[:, n] -= values[:, columns.index("neighbor_votes")]
    gone = [n for n, name in enumerate(columns) if name in OF_ROWS or name.endswith("_company")]
    values[:, gone] = 0
    return values


def _best_by_name(rows: HeldOut) -> np.ndarray:
    """bool, whether a candidate is among the best of its row by names, or by label features."""
    fit = rows.column("name_cosine") * rows.column("name_share") ** 1.5
    fit = np.nan_to_num(np.fmax(fit, rows.column("label_cosine")))
    row = _rows(rows.evidence.indptr)
    order = np.lexsort((-fit, row))
    place = np.empty(len(row), np.int64)
    place[order] = np.arange(len(row)) - rows.evidence.indptr[row]
    return (place < N_BEST) & (fit > 0)


def learn(rows: HeldOut, n_jobs: int | None) -> BoostedTrees:
    """Trees that give the log-odds of a candidate by the evidence for it."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import; only fits need it

    values, is_true = with_untrained(rows)
    n_true = int(is_true.sum())
    if n_true in (0, len(is_true)):  # nothing to tell apart
        return constant(float(np.log((n_true + 1) / (len(is_true) - n_true + 1))))
    learner = HistGradientBoostingClassifier(
        max_iter=N_TREES,
        max_leaf_nodes=N_LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=least_per_leaf(len(is_true)),
        l2_regularization=L2,
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(threads_for(len(is_true), n_jobs), "openmp"):
        learner.fit(_known_somewhere(values), is_true)
    return from_sklearn(learner)


def threads_for(n_candidates: int, n_jobs: int | None) -> int:
    """How many threads learn from so many candidates: of few candidates one."""
    return max(1, min(n_processors(n_jobs), n_candidates // PER_THREAD))


def least_per_leaf(n_candidates: int) -> int:
    """How many candidates a leaf covers at least: of few candidates fewer, or no tree could split
    and all labels would tie.
    """
    return min(LEAST_PER_LEAF, max(5, n_candidates // 100))


def _known_somewhere(values: np.ndarray) -> np.ndarray:
    """The evidence with 0 in columns that are NaN in all rows: scikit-learn takes no such column,
    and doesn't ask one that is 0 everywhere.
    """
    unknown = np.isnan(values).all(axis=0)
    return np.where(unknown, np.float32(0), values) if unknown.any() else values


def unseen_scores(rows: HeldOut, n_jobs: int | None, seed: int) -> Candidates:
    """The candidates as trees score them that learned from the other half of the rows; those that
    aren't known last.
    """
    n_rows = len(rows.evidence.indptr) - 1
    half = np.random.default_rng(seed).permutation(n_rows) < n_rows // 2
    margin = np.empty(len(rows.evidence.ids))
    for own in (half, ~half):
        trees = learn(rows.rows(~own), n_jobs)
        chosen = np.repeat(own, np.diff(rows.evidence.indptr))
        margin[chosen] = log_odds(trees, rows.evidence.values[chosen])
    margin[~rows.is_known] = -np.inf
    return Candidates(*rows.evidence[:2], *probabilities(margin))


def quality(truth: sp.csr_matrix, top: TopK) -> dict[str, float | int]:
    """The metrics of these labels at 1, 3 and 5, as far as there are labels."""
    k = min(top.labels.shape[1], truth.shape[1])
    best = TopK(top.labels[:, :k], top.scores[:, :k])
    return report(truth, best, [n for n in (1, 3, 5) if n <= k])


def threshold_of(rows: HeldOut, found: Candidates, average: str) -> float:
    """The probability from which a candidate belongs to the set, for the best F1."""
    scores = sp.csr_matrix((found.score, found.ids, found.indptr), rows.truth.shape)
    threshold = best_threshold(rows.truth, scores, average)
    return min(1.0, threshold)  # no candidate is true: none is kept that isn't certain
