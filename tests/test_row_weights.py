"""Weights of rows: what an error on a row costs."""

import naive
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from planted import BY_TOPIC, EXACT, SMALL, X_TEST, X, Y, same_answer, same_model, unit
from sklearn.base import clone
from sklearn.svm import LinearSVC
from test_solver import LOSSES, data, dense_weights, objectives, posed, tight  # noqa: F401

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    ParameterError,
    RerankedClassifier,
    TextClassifier,
)
from xmc.kernels.lanes import N_LANES
from xmc.training.problem import pose

MODELS = {
    "one-vs-all": OneVsAllClassifier(random_state=0),
    "tree": LabelTreeClassifier(**SMALL),
    "costs": LabelTreeClassifier(costs="propensity", negatives="tfn+man", **SMALL),
    "reranked": RerankedClassifier(OneVsAllClassifier(random_state=0), neighbors=False),
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


def fitted(model, X, y, **how):
    return type(model)(**model.get_params(deep=False)).fit(X, y, **how)


@pytest.fixture
def weights(rng):
    return rng.choice([0.25, 0.5, 1.0, 2.0, 3.0], X.shape[0])


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_scikit_learn_and_the_slow_twin_agree(data, rng, loss, bias):  # noqa: F811
    X, Y = data
    weights = rng.uniform(0.1, 5, X.n_rows).astype(np.float32)
    every = np.arange(X.n_rows, dtype=np.int32)
    problem = pose(X, naive.as_targets(Y), every, 0, 20, np.uint64(1), weights)
    W = dense_weights(problem, X.n_features, tight(loss=loss, bias=bias))
    rows = np.hstack([naive.to_dense(*X), np.full((X.n_rows, 1), bias)])
    for b in (0, 6, 19):
        judge = LinearSVC(
            loss=loss, tol=1e-8, max_iter=100_000, fit_intercept=bias > 0, random_state=0
        )
        judge.fit(naive.to_dense(*X), Y[:, b], weights)
        assert W[:-1, b] == pytest.approx(judge.coef_[0], abs=5e-4)
        signs, squared = np.where(Y[:, b], 1.0, -1.0), loss == "squared_hinge"
        w, _ = naive.dual_coordinate_descent(rows, signs, weights, squared)
        assert W[:, b] * [*np.ones(X.n_features), bias > 0] == pytest.approx(w, abs=5e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_of_rows_and_costs_of_positives_multiply(data, rng, loss):  # noqa: F811
    X, Y = data
    weights = rng.uniform(0.3, 3, X.n_rows).astype(np.float32)
    costs = np.where(Y, rng.uniform(0.3, 4, Y.shape), 0)
    every = np.arange(X.n_rows, dtype=np.int32)
    nodes = naive.as_targets(costs, costs=True)
    problem = pose(X, nodes, every, 0, N_LANES, np.uint64(1), weights)
    W = dense_weights(problem, X.n_features, tight(loss=loss))
    for b in (0, 9, 15):
        judge = LinearSVC(loss=loss, tol=1e-8, max_iter=100_000, random_state=0)
        judge.fit(naive.to_dense(*X), Y[:, b], weights * np.where(Y[:, b], costs[:, b], 1))
        assert W[:-1, b] == pytest.approx(judge.coef_[0], abs=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_of_2_is_the_row_given_twice(data, rng, loss):  # noqa: F811
    X, Y = data
    times = rng.integers(1, 4, X.n_rows)
    every = np.arange(X.n_rows, dtype=np.int32)
    weighted = pose(X, naive.as_targets(Y), every, 0, 20, np.uint64(1), times.astype(np.float32))
    repeated = np.repeat(every, times)
    params = tight(loss=loss)
    ours, twice = (
        dense_weights(problem, X.n_features, params)
        for problem in (weighted, posed(X, Y, repeated))
    )
    assert np.abs(ours - twice).max() < 1e-3
    X, Y = naive.as_rows(naive.to_dense(*X)[repeated]), Y[repeated]
    assert objectives(X, Y, ours, params) == pytest.approx(
        objectives(X, Y, twice, params), rel=1e-5
    )


@pytest.mark.parametrize("settings", [{}, {"costs": "relevance"}])
def test_a_tree_with_weights_is_the_tree_of_repeated_rows(rng, settings):
    """Costs are scaled to a mean of 1 over the rows as they weigh."""
    times = rng.integers(1, 4, X.shape[0])
    repeated = np.repeat(np.arange(X.shape[0]), times)
    relevance = Y.copy()
    relevance.data = rng.uniform(0.5, 2, Y.nnz).astype(np.float32)
    model = LabelTreeClassifier(tree=BY_TOPIC, **settings, **EXACT)
    weighted = fitted(model, X, relevance, sample_weight=times).predict_topk(X_TEST, 5)
    twice = fitted(model, X[repeated], relevance[repeated]).predict_topk(X_TEST, 5)
    np.testing.assert_allclose(weighted.scores, twice.scores, atol=3e-3)


def test_rows_of_weight_0_are_left_out_to_the_bit(model, weights):
    weights[::3] = 0
    kept = weights > 0
    with_them = fitted(model, X, Y, sample_weight=weights)
    assert same_model(with_them, fitted(model, X[kept], Y[kept], sample_weight=weights[kept]))
    assert with_them.model_.n_rows == kept.sum()
    assert np.array_equal(with_them.label_counts_, Y[kept].getnnz(axis=0))


def test_classes_and_negatives_of_rows_of_weight_0_are_left_out():
    y = np.repeat(["a", "b", "c"], 100)
    kept = y != "b"
    ours, theirs = (
        fitted(MODELS["one-vs-all"], *given)
        if len(given) == 2
        else OneVsAllClassifier(random_state=0).fit(*given[:2], sample_weight=given[2])
        for given in ((X[kept], y[kept]), (X, y, kept.astype(float)))
    )
    assert ours.classes_.tolist() == theirs.classes_.tolist() == ["a", "c"]
    assert same_model(ours, theirs)
    named = sp.random(300, 8, 0.3, format="csr", dtype=np.float32, random_state=0)
    tree = LabelTreeClassifier(tree=BY_TOPIC, random_state=0)
    ours = fitted(tree, X[kept], Y[kept], user_negatives=[None, named[kept]])
    theirs = fitted(tree, X, Y, user_negatives=[None, named], sample_weight=kept)
    assert same_model(ours, theirs)
    with pytest.raises(DataError, match=r"expected shape \(200, 8\) in user_negatives\[1\]"):
        fitted(tree, X, Y, user_negatives=[None, named[:9]], sample_weight=kept)


def test_weights_of_1_change_no_bit(model):
    assert same_model(fitted(model, X, Y), fitted(model, X, Y, sample_weight=np.ones(300)))


def test_weights_of_2_are_twice_the_C():
    model = OneVsAllClassifier(**EXACT)
    twice = fitted(model.set_params(C=2.0), X, Y).predict_topk(X_TEST, 5)
    weighted = fitted(model.set_params(C=1.0), X, Y, sample_weight=2).predict_topk(X_TEST, 5)
    np.testing.assert_allclose(weighted.scores, twice.scores, atol=2e-3)


def test_every_form_of_weights_is_the_same(weights):
    first, *others = (
        fitted(MODELS["tree"], X, Y, sample_weight=given)
        for given in (weights, weights.tolist(), pd.Series(weights), weights.astype("f4"))
    )
    assert all(same_model(first, other) for other in others)
    assert not same_model(first, fitted(MODELS["tree"], X, Y))


def test_the_result_depends_on_no_thread(model, weights):
    one, four = (
        fitted(clone(model).set_params(n_jobs=n), X, Y, sample_weight=weights) for n in (1, 4)
    )
    assert same_model(one, four)


def test_texts_have_weights(weights):
    words = np.array([f"word{i}" for i in range(X.shape[1])])
    texts = [" ".join(words[row.indices]) for row in X]
    weights[::3] = 0
    kept = np.flatnonzero(weights)
    for rerank in (False, True):
        model = TextClassifier(OneVsAllClassifier(random_state=0), rerank=rerank, neighbors=False)
        ours = fitted(model, texts, Y, sample_weight=weights)
        theirs = fitted(model, [texts[i] for i in kept], Y[kept], sample_weight=weights[kept])
        assert same_answer(ours.predict_topk(texts, 5), theirs.predict_topk(texts, 5))
    for labels in (Y.toarray().argmax(axis=1), pd.Series(Y.toarray().argmax(axis=1))):
        model = TextClassifier(OneVsAllClassifier(random_state=0), rerank=False)
        ours = fitted(model, texts, labels, sample_weight=weights)
        assert ours.classes_.tolist() == sorted({*np.asarray(labels)[kept].tolist()})
    lists = [[f"label{i}" for i in row.indices] for row in Y]
    ours = fitted(model, texts, lists, sample_weight=weights)
    assert ours.label_counts_.sum() == Y[kept].nnz


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 2], "expected a number for each of 300 rows as weights, got 2$"),
        (
            np.ones((300, 1)),
            "expected a number for each of 300 rows as weights, got something else",
        ),
        (["x"] * 300, "expected a number for each of 300 rows as weights, got something else$"),
        ([[1], [1, 2]], "expected a number for each of 300 rows as weights, got something else$"),
        ([1] * 299 + [-1], r"0 or from 1e-09 to 1e\+09, got -1 in row 299 \(counted from 0\)$"),
        ([1, np.nan] + [1] * 298, r"weights of rows that are 0 or from .*, got nan in row 1 "),
        ([np.inf] + [1] * 299, r"weights of rows that are 0 or from .*, got inf in row 0 "),
        ([1e10] + [1] * 299, r"weights of rows that are 0 or from .*, got 1e\+10 in row 0 "),
        (np.zeros(300), "expected weights of rows that are not all zero$"),
    ],
)
@pytest.mark.parametrize("name", ["tree", "reranked"])
def test_wrong_weights_are_refused_in_one_line(name, given, message):
    with pytest.raises(DataError, match=f"^{type(MODELS[name]).__name__}: .*{message}") as error:
        fitted(MODELS[name], X, Y, sample_weight=given)
    assert "\n" not in str(error.value)


def test_rows_without_a_label_may_be_all_that_weigh():
    some = Y.toarray()
    some[:10] = 0
    weights = np.arange(300) < 10
    with pytest.raises(DataError, match="expected at least one row with a label, got 10 rows wi"):
        fitted(MODELS["tree"], X, some, sample_weight=weights)


def test_liblinear_has_no_weights_of_rows(weights):
    said = "^OneVsAllClassifier: sample_weight needs solver='block'$"
    with pytest.raises(ParameterError, match=said):
        OneVsAllClassifier(solver="liblinear").fit(X, Y, sample_weight=weights)


def test_scikit_learn_judges_the_whole_estimator(weights):
    model = OneVsAllClassifier(**EXACT).fit(X, Y, sample_weight=weights)
    margins = model.predict_proba(X_TEST).toarray()
    for label in (0, 17, 39):
        judge = LinearSVC(tol=1e-6, max_iter=100_000, random_state=0)
        judge.fit(unit(X), Y.toarray()[:, label], weights)
        short = np.maximum(0, 1 - judge.decision_function(unit(X_TEST)))
        np.testing.assert_allclose(margins[:, label], np.exp(-(short**3)), atol=2e-3)
