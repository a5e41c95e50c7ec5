"""What is legal: labels without rows, rows without labels, one row, one label."""

import re

import numpy as np
import scipy.sparse as sp
from planted import (
    N_LABELS,
    X_TEST,
    Y_TEST,
    X,
    Y,
    row_sets,
    same_answer,
)
from sklearn.base import clone

from xmc import LabelTree, LabelTreeClassifier, RerankedClassifier
from xmc.evidence import reranked
from xmc.ranking import factors, trees
from xmc.reranked_classifier import FOLDS


def test_labels_without_a_row_are_never_predicted(model, sparse_labels):
    model.fit(X, sparse_labels)
    labels, _ = model.predict_topk(X_TEST, N_LABELS)
    absent = {0, 7, 8, N_LABELS - 1}
    assert not absent & set(labels.ravel().tolist())
    assert not absent & set(model.predict(X_TEST).indices.tolist())
    assert model.n_labels_ == N_LABELS
    assert model.predict_proba(X_TEST).shape == (60, N_LABELS)


def test_a_label_of_one_row_is_learnt(learner, sparse_labels):
    assert sparse_labels[:, 3].sum() == 1
    assert 3 in learner.fit(X, sparse_labels).predict_topk(X[:1], 3).labels


def test_rows_without_features_all_get_the_same_answer(fitted):
    with_empty = sp.vstack([X_TEST[:2], sp.csr_matrix((3, X.shape[1])), X_TEST[2:4]], format="csr")
    top = fitted.predict_topk(with_empty, 5)
    assert (top.labels[0, 0], top.labels[5, 0]) == tuple(
        fitted.predict_topk(X_TEST[[0, 2]], 1).labels.ravel()
    )
    assert all((column[2:5] == column[2]).all() for column in top)
    assert same_answer(fitted.predict_topk(with_empty[2], 5), [column[2:3] for column in top])


def test_rows_without_features_are_ranked_by_how_frequent_labels_are(model):
    often = Y.toarray()
    often[:, 12] = 1
    nothing = sp.csr_matrix((1, X.shape[1]), dtype=np.float32)
    assert model.fit(X, sp.csr_matrix(often)).predict_topk(nothing, 1).labels.item() == 12


def test_training_rows_without_features_are_legal(learner):
    blank = sp.vstack([X, sp.csr_matrix((20, X.shape[1]))], format="csr")
    assert learner.fit(blank, sp.vstack([Y, Y[:20]], format="csr")).score(X_TEST, Y_TEST) > 0.9


def test_training_rows_without_labels_are_negatives(model):
    unlabelled = sp.vstack([Y, sp.csr_matrix((60, N_LABELS))], format="csr")
    more = clone(model).fit(sp.vstack([X, X_TEST], format="csr"), unlabelled)
    before = clone(model).fit(X, Y)
    assert more.predict_proba(X_TEST).sum() < before.predict_proba(X_TEST).sum()


def test_a_single_label_is_legal(model):
    if isinstance(model.get_params().get("tree"), LabelTree):
        model.set_params(
            tree=LabelTree((np.array([0, 1]), np.array([0, 1])), np.array([0], np.int32))
        )
    top = model.fit(X, Y[:, :1]).predict_topk(X_TEST, 1)
    assert (top.labels == 0).all()


def test_a_single_row_is_legal(model):
    assert model.fit(X[0], Y[0]).predict_topk(X[0], 2).labels[0, 0] in row_sets(Y)[0]


def test_labels_of_a_given_tree_only_are_predicted():
    tree = LabelTree((np.array([0, 2]), np.array([0, 2, 4])), np.array([9, 3, 21, 14], np.int32))
    labels, _ = LabelTreeClassifier(tree=tree, random_state=0).fit(X, Y).predict_topk(X_TEST, 10)
    assert set(labels.ravel().tolist()) == {-1, 3, 9, 14, 21}


def test_the_beam_can_be_widened_after_training(tree_model):
    narrow = tree_model.set_params(beam_size=1).fit(X, Y).predict_proba(X_TEST).nnz
    assert (
        tree_model.set_params(beam_size=N_LABELS).predict_proba(X_TEST).nnz
        == 60 * N_LABELS
        > narrow
    )


def test_progress_is_lines_on_stderr_only_if_asked_for(learner, capfd):
    learner.fit(X, Y)
    assert capfd.readouterr() == ("", "")
    learner.set_params(verbose=1).fit(X, Y)
    out, err = capfd.readouterr()
    n_levels = sum(map(len, learner.model_.predictor.levels()))
    # Below a last stage, base models are trained on parts of the rows first.
    n_fits = 1 + FOLDS if isinstance(learner, RerankedClassifier) else 1
    assert out == ""
    told = [line for line in err.splitlines() if "left out" not in line]
    trained = re.findall(r"tree \d+ of \d+, levels? (\d+)(?: to (\d+))? of", "\n".join(told))
    n_trained = sum(int(last or first) - int(first) + 1 for first, last in trained)
    assert n_trained == n_levels * n_fits
    assert all(": done in " in line for line in err.splitlines())


def test_ranking_reports_progress_if_threads_have_several_blocks_each(learned, monkeypatch, capfd):
    quiet = learned.verbose
    learned.set_params(verbose=1).predict_topk(X_TEST, 3)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(trees, "MOST_ROWS", 7)
    monkeypatch.setattr(reranked, "ROWS_PER_BATCH", 7)
    monkeypatch.setattr(factors, "ROWS_PER_BATCH", 7)
    learned.predict_topk(X_TEST, 3)
    learned.set_params(verbose=quiet)
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"ranking rows: done in \d+\.\d s\n", err)
