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
from .metrics import report
from .parallel import n_threads
from .ranking.search import Candidates
from .threshold import best_threshold_of
from .topk import TopK

# Chosen on held-out rows of three data sets, see benchmarks/NOTES.md.
N_TREES, N_LEAVES, LEARNING_RATE, LEAST_PER_LEAF, L2 = 150, 24, 0.09, 200, 50.0


class HeldOut(NamedTuple):
    """Rows that neither base models nor sources have seen.

    evidence: their candidates and what is known of each.
    is_true: bool, of each candidate.
    is_known: bool, of each candidate: whether new rows could have it, too, see `known_labels`.
    truth: bool CSR (n_rows, n_labels), all true labels, candidates or not.
    """

    evidence: Evidence
    is_true: np.ndarray
    is_known: np.ndarray
    truth: sp.csr_matrix

    def rows(self, chosen: np.ndarray) -> HeldOut:
        """The chosen ones, a bool for each row."""
        sizes = np.diff(self.evidence.indptr)
        of_rows = np.repeat(chosen, sizes)
        indptr = np.concatenate([[0], np.cumsum(sizes[chosen])])
        own = Evidence(indptr, self.evidence.ids[of_rows], self.evidence.values[of_rows])
        return HeldOut(own, self.is_true[of_rows], self.is_known[of_rows], self.truth[chosen])


def held_out(evidence: Evidence, truth: sp.csr_matrix, known: np.ndarray) -> HeldOut:
    """The rows with the evidence for their candidates.

    truth: the true labels of the same rows. known: bool, of each label, see `known_labels`.
    """
    n_labels = np.int64(truth.shape[1])
    own = _rows(evidence.indptr) * n_labels + evidence.ids
    true = _rows(truth.indptr) * n_labels + truth.indices
    return HeldOut(evidence, np.isin(own, true), known[evidence.ids], truth)


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
    return HeldOut(evidence, is_true, is_known, truth)


def _rows(indptr: np.ndarray) -> np.ndarray:
    """The row of each entry, int64."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def learn(rows: HeldOut, n_jobs: int | None) -> BoostedTrees:
    """Trees that give the log-odds of a candidate by the evidence for it."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import; only fits need it

    n_true = int(rows.is_true.sum())
    if n_true in (0, len(rows.is_true)):  # nothing to tell apart
        return constant(float(np.log((n_true + 1) / (len(rows.is_true) - n_true + 1))))
    learner = HistGradientBoostingClassifier(
        max_iter=N_TREES,
        max_leaf_nodes=N_LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=least_per_leaf(len(rows.is_true)),
        l2_regularization=L2,
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(n_threads(n_jobs), "openmp"):
        learner.fit(_known_somewhere(rows.evidence.values), rows.is_true)
    return from_sklearn(learner)


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


def threshold_of(rows: HeldOut, found: Candidates) -> float:
    """The probability from which a candidate belongs to the set, for the best micro-F1."""
    threshold = best_threshold_of(found.score, rows.is_true, rows.truth.nnz)
    return min(1.0, threshold)  # no candidate is true: none is kept that isn't certain
