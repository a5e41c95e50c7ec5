"""What models learn is right: planted labels come first, and other libraries agree."""

import numpy as np
import pytest
import scipy.sparse as sp
from planted import (
    BY_TOPIC,
    EXACT,
    N_LABELS,
    N_TOPICS,
    PER_TOPIC,
    SMALL,
    X_TEST,
    Y_TEST,
    X,
    Y,
    dense,
    log_p,
    row_sets,
    same_model,
    unit,
)
from sklearn.svm import LinearSVC

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.ranking.trees import Trees
from xmc.training.grow import SHALLOW_FOR


def test_the_planted_labels_come_first(learned):
    labels, _ = learned.predict_topk(X_TEST, 3)
    assert [
        set(row[: len(true)].tolist()) for row, true in zip(labels, row_sets(Y_TEST), strict=True)
    ] == row_sets(Y_TEST)


def test_predict_gives_the_planted_labels_and_few_others(learned):
    # Two levels with margins near 1 make .73 ** 2, where a hinge makes 1.
    transform = learned.get_params().get("score_transform")  # none where a last stage scores
    threshold = 0.25 if transform == "log_sigmoid" else None
    Y_hat = learned.predict(X_TEST, threshold)
    assert Y_hat.multiply(Y_TEST).nnz == Y_TEST.nnz
    assert Y_hat.nnz <= 1.25 * Y_TEST.nnz


def test_the_reference_solver_finds_the_planted_labels():
    pytest.importorskip("liblinear")
    model = LabelTreeClassifier(solver="liblinear", **SMALL).fit(X, Y)
    assert model.score(X_TEST, Y_TEST) == 1


def test_the_reference_solver_gives_the_same_model_for_the_same_seed():
    pytest.importorskip("liblinear")
    first, second = (
        OneVsAllClassifier(solver="liblinear", random_state=0).fit(X, Y) for _ in range(2)
    )
    assert same_model(first, second)


def svm(X, y, C=1.0):
    """Margins of a classifier with the same objective, solved by scikit-learn, as a function of
    rows.
    """
    solved = LinearSVC(
        C=C, loss="squared_hinge", dual=True, tol=1e-6, max_iter=100_000, random_state=0
    ).fit(X, y)
    return solved.decision_function


def test_one_vs_all_is_one_linear_svm_per_label():
    model = OneVsAllClassifier(C=2.0, **EXACT).fit(X, Y)
    y, rows = Y.toarray(), unit(X_TEST)
    margin = np.stack([svm(unit(X), y[:, label], 2.0)(rows) for label in range(N_LABELS)], axis=1)
    np.testing.assert_allclose(
        dense(model.predict_topk(X_TEST, N_LABELS)), np.exp(log_p(margin)), atol=2e-3
    )
    certain = np.abs(margin) > 1e-3  # two solvers agree to that
    assert np.array_equal((model.predict(X_TEST).toarray() > 0)[certain], (margin > 0)[certain])


def test_a_tree_multiplies_the_probabilities_along_the_path():
    model = LabelTreeClassifier(tree=BY_TOPIC, beam_size=N_TOPICS, **EXACT).fit(X, Y)
    y, rows = Y.toarray(), unit(X_TEST)
    topics = y.reshape(-1, N_TOPICS, PER_TOPIC).max(axis=2)
    expected, margins = (
        np.empty((len(rows.indptr) - 1, N_LABELS)),
        np.empty((len(rows.indptr) - 1, N_LABELS)),
    )
    for label in range(N_LABELS):
        topic = label // PER_TOPIC
        own = topics[:, topic] > 0
        margins[:, label] = svm(unit(X)[own], y[own, label])(rows)
        expected[:, label] = np.exp(
            log_p(svm(unit(X), topics[:, topic])(rows)) + log_p(margins[:, label])
        )
    np.testing.assert_allclose(dense(model.predict_topk(X_TEST, N_LABELS)), expected, atol=2e-3)
    certain = np.abs(expected - np.exp(-1)) > 2e-3
    sets = model.predict(X_TEST).toarray() > 0
    assert np.array_equal(sets[certain], (expected >= np.exp(-1))[certain])


def test_a_tree_of_height_one_is_one_vs_all():
    tree = LabelTreeClassifier(tree="balanced", max_leaf_size=N_LABELS, random_state=0).fit(X, Y)
    assert same_model(tree, OneVsAllClassifier(random_state=0).fit(X, Y))


def test_an_ensemble_averages_its_members_and_a_label_that_one_missed_counts_0():
    model = LabelTreeClassifier(n_trees=3, beam_size=2, **SMALL).fit(X, Y)
    whole, alone = model.model_, []
    for member in model.members_:
        model.model_ = whole._replace(predictor=Trees((member,)))
        alone.append(model.predict_proba(X_TEST).toarray())
    model.model_ = whole
    together = model.predict_proba(X_TEST)
    found = np.stack(alone) > 0
    assert (found.any(axis=0) & ~found.all(axis=0)).any(), (
        "no label is missed by one member and found by another"
    )
    np.testing.assert_allclose(together.toarray(), np.mean(alone, axis=0), rtol=1e-6)


def test_auto_chooses_the_tree_by_the_number_of_labels():
    many = sp.eye(SHALLOW_FOR[0], format="csr", dtype=np.float32)
    settings = {"max_iter": 1, "arity": 30, "random_state": 0}
    for data, shape in (((X, Y), "balanced"), ((many, many), "shallow")):
        auto, named = (
            LabelTreeClassifier(tree=tree, **settings).fit(*data) for tree in ("auto", shape)
        )
        assert same_model(auto, named)


@pytest.mark.parametrize("limit", [1, 5, 7, 39, N_LABELS])
def test_leaves_of_a_balanced_tree_hold_that_many_labels_at_most(limit):
    model = LabelTreeClassifier(tree="balanced", arity=2, max_leaf_size=limit, random_state=0).fit(
        X, Y
    )
    assert np.diff(model.members_[0].tree.chunks[-1]).max() <= limit


@pytest.mark.parametrize("tree", ["balanced", "shallow"])
@pytest.mark.parametrize("depth", [1, 2])
def test_max_depth_bounds_the_levels(tree, depth):
    model = LabelTreeClassifier(
        tree=tree, arity=2, max_leaf_size=2, max_depth=depth, random_state=0
    ).fit(X, Y)
    assert model.members_[0].tree.depth == depth


def test_negatives_are_different_rows():
    settings = {"beam_size": 2, **SMALL}
    models = [
        LabelTreeClassifier(negatives=name, **settings).fit(X, Y)
        for name in ("tfn", "man", "tfn+man")
    ]
    assert not any(same_model(a, b) for a, b in zip(models, models[1:] + models[:1], strict=True))
