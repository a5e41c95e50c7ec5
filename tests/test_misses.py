"""Where predictions go wrong."""

import naive_reporting as naive
import numpy as np
import planted
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier
from xmc.judged import judge
from xmc.reporting import misses
from xmc.reporting.groups import BINS, bin_names, bin_of
from xmc.reporting.misses import (
    among_candidates,
    confusions,
    everywhere,
    fates,
    found_labels,
    label_counts,
    most_suggested,
    rows_at,
)
from xmc.reporting.training_rows import training_rows
from xmc.topk import TopK
from xmc.training_data import DescribedRows

K = 2


@pytest.fixture(scope="module")
def narrow(sparse_labels):
    """A tree that follows one node a row, and so misses labels; some have no training row."""
    return LabelTreeClassifier(beam_size=1, **planted.SMALL).fit(planted.X, sparse_labels)


def judged_of(model, X, Y):
    top = model.predict_topk(X, K)
    return judge("test", Y, top, (K,)), planted.row_sets(Y), top.labels.tolist()


@pytest.mark.parametrize("places", [1, 1 << 24])
def test_fates_are_those_counted_row_by_row(narrow, monkeypatch, places):
    monkeypatch.setattr(misses, "MOST_PLACES", places)  # one row at a time, or all
    X, Y = planted.X_TEST, planted.Y_TEST
    judged, truth, best = judged_of(narrow, X, Y)
    reached = [set(row) - {-1} for row in narrow.predict_topk(X, planted.N_LABELS).labels.tolist()]
    found = fates(narrow, X, judged, training_rows(narrow)).counts
    assert found.tolist() == naive.fates(truth, best, reached, narrow.label_counts_.tolist())
    assert (found.sum(axis=0) > 0).all()  # all fates occur
    assert found.sum() == Y.nnz


@pytest.mark.parametrize("name", ["balanced", "ensemble", "one-vs-all", "reranked", "frequency"])
def test_candidates_are_all_that_predict_topk_finds(third_method, name):
    model = clone(planted.MODELS[name]).fit(planted.X, planted.Y)
    top = model.predict_topk(planted.X_TEST, planted.N_LABELS).labels
    row, label = np.divmod(np.arange(top.size), planted.N_LABELS)
    expected = [label[i] in set(top[row[i]].tolist()) for i in range(top.size)]
    assert among_candidates(model, planted.X_TEST, row, label).tolist() == expected


def test_one_vs_all_reaches_every_label_with_a_row(sparse_labels):
    model = OneVsAllClassifier(random_state=0).fit(planted.X, sparse_labels)
    assert sorted(everywhere(model)) == np.flatnonzero(model.label_counts_).tolist()


def test_a_tree_given_with_few_labels_reaches_only_those():
    labels = np.array([3, 5], np.int32)
    tree = planted.BY_TOPIC._replace(chunks=(np.array([0, 2]),), labels=labels)
    model = LabelTreeClassifier(tree=tree).fit(planted.X, planted.Y)
    assert among_candidates(model, planted.X_TEST, np.zeros(2, int), np.array([3, 4])).tolist() == [
        True,
        False,
    ]


def test_candidates_of_texts_are_asked_with_their_texts():
    texts = ["red apple", "green apple", "blue sky", "red sky"] * 10
    labels = [["r"], ["g"], ["b"], ["r", "b"]] * 10
    names = {"r": "red", "g": "green", "b": "blue"}
    model = TextClassifier(min_df=1, rerank=True).fit(texts, labels, label_names=names)
    X = model.rows(["red", "sky", "green"])
    assert isinstance(X, DescribedRows)
    part = rows_at(X, np.array([0, 2]))
    assert part.texts == ["red", "green"] and (part.X != X.X[[0, 2]]).nnz == 0
    top = model.predict_topk(["red", "sky", "green"], 3).labels.tolist()
    row, label = np.divmod(np.arange(9), 3)
    found = among_candidates(model.classifier_, X, row, label).tolist()
    assert found == [n in top[r] for r, n in zip(row.tolist(), label.tolist(), strict=True)]


def test_with_one_label_per_row_candidates_are_classes():
    y = np.arange(300) % 3
    model = LabelTreeClassifier(random_state=0).fit(planted.X, y)
    assert among_candidates(model, planted.X_TEST, np.arange(3), np.arange(3)).all()


def random_predictions(rng):
    Y = sp.csr_matrix((rng.random((50, 9)) < 0.3).astype(np.float32))
    P = sp.csr_matrix(rng.random((50, 9)) * (rng.random((50, 9)) < 0.5))
    top = TopK.from_csr(P, 3)
    return judge("test", Y, top, (3,)), planted.row_sets(Y), top.labels.tolist()


def test_found_labels_are_the_true_ones_among_the_best(rng):
    judged, truth, best = random_predictions(rng)
    expected = [n in row for true, row in zip(truth, best, strict=True) for n in sorted(true)]
    assert found_labels(judged).tolist() == expected


def test_label_counts_are_those_counted_row_by_row(rng):
    judged, truth, best = random_predictions(rng)
    expected = naive.label_counts(truth, best)
    assert {own.label: list(own[1:]) for own in label_counts(judged)} == expected


def test_confusions_are_those_counted_row_by_row(rng):
    judged, truth, best = random_predictions(rng)
    assert [tuple(own) for own in confusions(judged)] == naive.confusions(truth, best)[:20]


def test_what_is_suggested_too_often_comes_by_how_much(rng):
    judged, truth, best = random_predictions(rng)
    counts = label_counts(judged)
    over, under = most_suggested(counts), most_suggested(counts, -1)
    excess = [own.n_suggested - own.n_true for own in over]
    assert excess == sorted(excess, reverse=True) and min(excess) > 0
    assert all(own.n_suggested < own.n_true for own in under)
    even = sum(own.n_suggested == own.n_true for own in counts)
    assert len(over) + len(under) + even == len(counts)


def test_right_predictions_leave_nothing_to_tell(rng):
    Y = planted.Y_TEST[:, :]
    judged = judge("test", Y, TopK.from_csr(Y, 3), (3,))
    assert found_labels(judged).all()
    assert confusions(judged) == [] and most_suggested(label_counts(judged)) == []


def test_very_many_labels_keep_the_numbers_that_the_user_has():
    wide = (2, 2_000_000_000)
    Y = sp.csr_matrix((np.ones(2, np.float32), [1_999_999_999, 7], [0, 1, 2]), wide)
    top = TopK(np.int32([[5], [7]]), np.float32([[1], [1]]))
    judged = judge("test", Y, top, (1,))
    assert confusions(judged) == [(5, 1_999_999_999, 1)]
    assert [own.label for own in label_counts(judged)] == [5, 7, 1_999_999_999]


def test_bins_are_named_by_their_ends():
    assert bin_names() == ["0", "1", "2-4", "5-9", "10-99", "100+"]
    counts = np.array([0, 1, 2, 4, 5, 9, 10, 99, 100, 10**6])
    assert bin_of(counts).tolist() == [naive.bin_of(count) for count in counts.tolist()]
    assert len(BINS) == len(naive.BINS)
