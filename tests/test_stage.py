"""What the last stage learns from, what it learns, and how that is judged."""

from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.ensemble import HistGradientBoostingClassifier

from xmc import stage
from xmc.evidence.boosted import log_odds
from xmc.evidence.reranked import Evidence, probabilities
from xmc.metrics import precision_at_k
from xmc.ranking.search import Candidates
from xmc.topk import TopK

COLUMNS = ["base0_log_score", "base0_place", "name_words", "neighbor_votes_less_best"]
N_LABELS = 30
UNKNOWN = 7  # a label that only held-out rows have


def random_rows(rng, n_rows=300, most=12):
    """Held-out rows whose candidates are the likelier the larger their first evidence; some true
    labels are no candidates.
    """
    sizes = rng.integers(0, most, n_rows)
    ids = [np.sort(rng.permutation(N_LABELS)[:size]) for size in sizes]
    values = rng.normal(size=(sizes.sum(), len(COLUMNS))).astype(np.float32)
    true = rng.random(len(values)) < 1 / (1 + np.exp(2 - 2 * values[:, 0]))
    values[rng.random(values.shape) < 0.2] = np.nan
    truth = rng.random((n_rows, N_LABELS)) < 0.02
    flat = np.concatenate(ids)
    rows = np.repeat(np.arange(n_rows), sizes)
    truth[rows, flat] = true
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    evidence = Evidence(indptr, flat.astype(np.int32), values)
    return stage.held_out(evidence, sp.csr_matrix(truth), np.arange(N_LABELS) != UNKNOWN, COLUMNS)


@pytest.fixture(scope="module")
def rows():
    return random_rows(np.random.default_rng(0))


def test_candidates_are_true_where_the_truth_says_so(rows):
    (indptr, ids, _), truth = rows.evidence, rows.truth.toarray()
    expected = [
        truth[row, label]
        for row in range(len(indptr) - 1)
        for label in ids[indptr[row] : indptr[row + 1]]
    ]
    assert rows.is_true.tolist() == expected
    assert rows.truth.nnz > rows.is_true.sum() > 0


def test_labels_that_only_held_out_rows_have_are_no_merit_unless_more_have_no_row():
    counts, kept = np.array([3, 2, 0, 1, 5]), np.array([2, 0, 0, 0, 5])
    assert stage.known_labels(counts, kept).tolist() == [True, False, True, False, True]
    more = np.append(counts, [0, 0]), np.append(kept, [0, 0])  # as a vocabulary brings them
    assert stage.known_labels(*more).all()


TOLD = [
    *("base0_log_score", "base0_place", "base0_log_score_less_best", "base0_company"),
    *("name_cosine", "name_share", "neighbor_votes", "nearest_neighbor", "n_neighbors"),
    *("log_label_rows", "neighbor_votes_less_best"),
]
NAN = float("nan")


def test_without_rows_only_names_tell_of_a_label():
    values = np.float32([[-1, 2, -0.5, 3, 0.7, 0.9, 1.5, 0.8, 4, 2.5, -0.5]])
    got = stage.without_rows(values, TOLD)
    expected = [NAN, NAN, NAN, 0, 0.7, 0.9, 0, 0, 0, 0, -2]  # the best has 2 votes
    np.testing.assert_allclose(got[0], np.float32(expected))
    assert values[0, 0] == -1, "they are a copy"


def named_rows(rng, n_rows, untrained, n_labels=60):
    """Rows of 30 candidates; a label is true where its name fits. untrained: labels without rows,
    which are never true.
    """
    fit, counts = rng.random((n_rows, 30)), rng.integers(1, 9, n_labels)
    counts[untrained] = 0
    ids = np.concatenate([np.sort(rng.permutation(n_labels)[:30]) for _ in range(n_rows)])
    values = rng.random((ids.size, len(TOLD))).astype(np.float32)
    values[:, TOLD.index("name_cosine")] = fit.ravel()
    values[:, TOLD.index("log_label_rows")] = np.log1p(counts[ids])
    true = (fit.ravel() > 0.9) & (counts[ids] > 0)
    row = np.repeat(np.arange(n_rows), 30)
    truth = sp.csr_matrix((true[true], (row[true], ids[true])), (n_rows, n_labels))
    evidence = Evidence(np.arange(n_rows + 1) * 30, ids.astype(np.int32), values)
    return stage.held_out(evidence, truth, np.ones(n_labels, bool), TOLD)


@pytest.mark.parametrize("n_rows, reached", [(3000, True), (300, False)])
def test_some_labels_stand_in_for_those_without_a_row(rng, n_rows, reached):
    rows = named_rows(rng, n_rows, [1, 2])
    values, is_true = stage.with_untrained(rows)
    n = len(rows.is_true)
    assert np.array_equal(values[:n], rows.evidence.values) and len(values) == len(is_true)
    again, true = values[n:], is_true[n:]
    assert (again[:, TOLD.index("log_label_rows")] == 0).all()
    assert 0 < true.mean() < 0.5
    # A tenth of the labels at most, which have as much of the true ones.
    assert (true.sum() >= stage.ENOUGH_UNTRAINED) == reached
    assert true.sum() <= 0.15 * rows.is_true.sum()
    # Only those that would be found by name: 20 of 30.
    fits = again[:, TOLD.index("name_cosine")] * again[:, TOLD.index("name_share")] ** 1.5
    assert fits.min() > 0 and len(again) < 0.1 * n


def test_nobody_stands_in_where_all_labels_have_rows_or_names_say_nothing(rng):
    rows = named_rows(rng, 300, [])
    assert stage.with_untrained(rows)[0] is rows.evidence.values
    rows = named_rows(rng, 300, [1, 2])
    rows.evidence.values[:, TOLD.index("name_cosine")] = np.nan
    assert stage.with_untrained(rows)[0] is rows.evidence.values


def test_trees_learn_what_a_name_alone_is_worth(rng):
    rows, fresh = named_rows(rng, 3000, [1, 2]), named_rows(rng, 300, [])
    asked = stage.without_rows(fresh.evidence.values, TOLD)
    taught = log_odds(stage.learn(rows, 1), asked)
    rows = rows._replace(is_known=rows.column("log_label_rows") > 0)  # no label without rows: none
    untaught = log_odds(stage.learn(rows, 1), asked)
    true = fresh.is_true
    assert taught[true].mean() > untaught[true].mean() + 1
    assert taught[true].mean() > taught[~true].mean() + 2


def test_labels_that_are_not_known_come_last(rows):
    found = stage.unseen_scores(rows, 1, seed=0)
    assert (found.ids == UNKNOWN).any()
    assert (found.score[found.ids == UNKNOWN] == 0).all()
    assert (found.score[found.ids != UNKNOWN] > 0).all()


def test_chosen_rows_keep_their_candidates(rows, rng):
    chosen = rng.random(300) < 0.5
    own = rows.rows(chosen)
    of_row = np.split(np.arange(len(rows.is_true)), rows.evidence.indptr[1:-1])
    places = np.concatenate([of_row[row] for row in np.flatnonzero(chosen)])
    assert np.array_equal(own.evidence.ids, rows.evidence.ids[places])
    assert np.array_equal(own.evidence.values, rows.evidence.values[places], equal_nan=True)
    assert np.array_equal(own.is_true, rows.is_true[places])
    assert np.array_equal(own.is_known, rows.is_known[places])
    assert (own.truth != rows.truth[chosen]).nnz == 0
    assert np.array_equal(np.diff(own.evidence.indptr), np.diff(rows.evidence.indptr)[chosen])


def test_parts_that_are_joined_are_the_whole(rows):
    first = np.arange(300) < 120
    again = stage.joined([rows.rows(first), rows.rows(~first)])
    for ours, theirs in zip(again.evidence, rows.evidence, strict=True):
        assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.array_equal(again.is_true, rows.is_true)
    assert (again.truth != rows.truth).nnz == 0


def test_log_odds_are_scikit_learns(rows):
    judge = HistGradientBoostingClassifier(
        max_iter=stage.N_TREES,
        max_leaf_nodes=stage.N_LEAVES,
        learning_rate=stage.LEARNING_RATE,
        min_samples_leaf=stage.least_per_leaf(len(rows.is_true)),
        l2_regularization=stage.L2,
        early_stopping=False,
    ).fit(rows.evidence.values, rows.is_true)
    ours = log_odds(stage.learn(rows, 1), rows.evidence.values)
    assert np.ptp(ours) > 1
    assert ours == pytest.approx(judge.decision_function(rows.evidence.values), abs=1e-6)


def test_the_number_of_threads_makes_no_difference(rows, monkeypatch):
    monkeypatch.setattr(stage, "PER_THREAD", 1)
    one, two = (stage.learn(rows, n_jobs) for n_jobs in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_threads_learn_from_many_candidates_each_and_one_from_few(rows, monkeypatch):
    limits = []
    monkeypatch.setattr(
        stage, "threadpool_limits", lambda *limit: limits.append(limit) or nullcontext()
    )
    monkeypatch.setattr(stage, "n_processors", lambda n_jobs: n_jobs)
    n_candidates = len(rows.is_true)
    for per_thread in (n_candidates + 1, n_candidates, n_candidates // 2, 1):
        monkeypatch.setattr(stage, "PER_THREAD", per_thread)
        stage.learn(rows, 3)
    assert limits == [(n, "openmp") for n in (1, 1, 2, 3)]


@pytest.mark.parametrize("is_true", [False, True])
def test_where_there_is_nothing_to_tell_apart_all_candidates_are_equal(rows, is_true):
    same = rows._replace(is_true=np.full_like(rows.is_true, is_true))
    found = log_odds(stage.learn(same, 1), rows.evidence.values)
    assert np.isfinite(found).all() and np.ptp(found) == 0
    assert (found[0] > 5) == is_true and abs(found[0]) > 5


def test_few_candidates_are_told_apart_too(rng):
    few = random_rows(rng, 20)
    assert len(few.is_true) < 200 and few.is_true.any()
    found = log_odds(stage.learn(few, 1), few.evidence.values)
    assert found[few.is_true].mean() > found[~few.is_true].mean() + 0.1


def test_evidence_that_is_never_known_is_never_asked(rows):
    values = rows.evidence.values.copy()
    values[:, 2] = np.nan
    trees = stage.learn(rows._replace(evidence=rows.evidence._replace(values=values)), 1)
    assert len(trees.feature) and 2 not in trees.feature
    assert np.isnan(values[:, 2]).all()
    found = log_odds(trees, values)
    values[:, 2] = 5
    assert np.array_equal(log_odds(trees, values), found) and np.ptp(found) > 1


def test_no_candidates_at_all_are_legal():
    none = random_rows(np.random.default_rng(0), 3, 1)
    assert len(none.is_true) == 0
    assert stage.learn(none, 1).baseline == 0
    assert len(stage.unseen_scores(none, 1, 0).ids) == 0


def test_unseen_scores_come_from_trees_that_have_not_seen_the_row(rng):
    """Labels at random, each candidate with evidence of its own: who remembers, is right."""
    rows = random_rows(rng, 400)
    values = rows.evidence.values.copy()
    values[:] = rng.random(values.shape)
    chance = rows._replace(
        evidence=rows.evidence._replace(values=values), is_true=rng.random(len(values)) < 0.5
    )
    remembered = log_odds(stage.learn(chance, 1), values) > 0
    unseen = stage.unseen_scores(chance, 1, 0).score > 0.5
    assert (remembered == chance.is_true).mean() > 0.6
    assert abs((unseen == chance.is_true).mean() - 0.5) < 0.05


def test_unseen_scores_stand_with_their_candidates(rows):
    found = stage.unseen_scores(rows, 1, 0)
    assert np.array_equal(found.indptr, rows.evidence.indptr)
    assert np.array_equal(found.ids, rows.evidence.ids)
    first = rows.evidence.values[:, 0]
    high, low = found.score[first > 1.5], found.score[first < -0.5]
    assert high.mean() > 0.4 > 0.2 > low.mean()
    again = stage.unseen_scores(rows, 1, 0)
    assert np.array_equal(found.score, again.score)


def test_probabilities_are_those_of_the_log_odds():
    p, margin = probabilities(np.array([0.0, 2.0, -2.0, 800.0]))
    assert p == pytest.approx([0.5, 0.880797, 0.119203, 1])
    assert (p.dtype, margin.dtype) == (np.float32, np.float32)


def test_the_threshold_has_the_best_micro_f1_of_all_that_there_are(rows):
    found = stage.unseen_scores(rows, 1, 0)
    n_true = rows.truth.nnz

    def f1(threshold):
        kept = found.score >= threshold
        return 2 * (kept & rows.is_true).sum() / (kept.sum() + n_true)

    best = max(f1(threshold) for threshold in np.unique(found.score))
    assert f1(stage.threshold_of(rows, found, "micro")) == pytest.approx(best)


def test_without_a_true_candidate_only_what_is_certain_is_kept(rows):
    nothing = sp.csr_matrix(rows.truth.shape)
    wrong = rows._replace(is_true=np.zeros_like(rows.is_true), truth=nothing)
    score = np.full(len(rows.is_true), np.float32(0.99))
    found = Candidates(*rows.evidence[:2], score, score)
    assert stage.threshold_of(wrong, found, "micro") == 1


def test_quality_is_that_of_the_metrics_as_far_as_there_are_labels():
    truth = sp.csr_matrix(np.eye(4, dtype=bool))
    top = TopK(np.array([[0, 1], [0, 1], [2, 3], [-1, -1]], np.int32), np.zeros((4, 2), np.float32))
    figures = stage.quality(truth, top)
    assert figures["P@1"] == pytest.approx(100 * precision_at_k(truth, top, 1)) == 50
    assert "P@3" not in figures and "P@5" not in figures
