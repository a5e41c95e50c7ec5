"""What settings do: narrow weights, propensities, costs, negatives."""

from copy import copy

import numpy as np
import pytest
import scipy.sparse as sp
from planted import (
    BY_TOPIC,
    EXACT,
    MODELS,
    N_LABELS,
    N_TOPICS,
    SMALL,
    X_TEST,
    X,
    Y,
    arrays,
    dense,
    log_p,
    same_model,
    unit,
)
from sklearn.base import clone
from sklearn.svm import LinearSVC

from xmc import (
    DataError,
    LabelTreeClassifier,
    LowRankClassifier,
    OneVsAllClassifier,
    ParameterError,
    RerankedClassifier,
)
from xmc.metrics import propensities


# Compression.
def skip_low_rank(model):
    if isinstance(model, LowRankClassifier):
        pytest.skip("it can't be compressed, as tests/test_low_rank.py says")


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_narrow_weights_rank_almost_alike(fitted, weights):
    skip_low_rank(fitted)
    full, narrow = fitted.predict_topk(X_TEST, 3), fitted.compress(weights).predict_topk(X_TEST, 3)
    assert (full.labels == narrow.labels).mean() > 0.9
    assert np.abs(full.scores - narrow.scores).max() < 0.1


def test_compressing_leaves_the_model_alone(learned):
    skip_low_rank(learned)
    before = [np.array(part).tobytes() for part in arrays(learned)]
    smaller = learned.compress("int8", 0.5)
    assert before == [np.array(part).tobytes() for part in arrays(learned)]
    assert not same_model(smaller, learned)
    assert (learned.weights, smaller.weights, smaller.weight_threshold) == ("float32", "int8", 0.5)


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_training_with_narrow_weights_is_training_and_compressing(learner, weights):
    skip_low_rank(learner)
    if learner.get_params().get("negatives", "tfn") != "tfn":
        pytest.skip("matchers with narrow weights choose other negatives")
    if isinstance(learner, RerankedClassifier):
        pytest.skip("its last stage learns from what narrow base models say")
    narrow, full = (
        clone(learner).set_params(weights=weights).fit(X, Y),
        learner.fit(X, Y).compress(weights),
    )
    for one, other in zip(narrow.members_, full.members_, strict=True):
        for a, b in zip(one.layers, other.layers, strict=True):
            assert all(
                p.tobytes() == q.tobytes() and p.dtype == q.dtype for p, q in zip(a, b, strict=True)
            )


@pytest.mark.parametrize("settings", [{"weights": "int4"}, {"weight_threshold": -1}])
def test_impossible_compression_is_refused(settings):
    model = clone(MODELS["shallow"]).fit(X, Y)
    with pytest.raises(ParameterError, match=next(iter(settings))):
        model.compress(**settings)


# Ranking by propensity.
def test_psp_ranks_by_probability_over_propensity(fitted):
    """Times the smallest propensity, so that scores stay probabilities."""
    by_p = fitted.predict_proba(X_TEST).toarray()
    p = propensities(Y)
    expected = by_p * (p.min() / p)
    fitted = copy(fitted).set_params(optimize="psp")
    labels, scores = fitted.predict_topk(X_TEST, 5)
    found = np.take_along_axis(expected, labels, axis=1)
    assert scores == pytest.approx(found, rel=1e-4, abs=1e-7)
    assert found == pytest.approx(-np.sort(-expected, axis=1)[:, :5], rel=1e-4, abs=1e-7)
    for i in range(10):
        assert np.array_equal(fitted.predict_topk(X_TEST[i], 5).scores[0], scores[i])


def test_propensities_are_those_of_the_parameters(fitted):
    a, b = (
        copy(fitted).set_params(optimize="psp", **settings)
        for settings in ({}, {"propensity_a": 0.0})
    )
    assert not np.array_equal(a.predict_topk(X_TEST, 3).scores, b.predict_topk(X_TEST, 3).scores)
    assert b.predict_topk(X_TEST, 3).scores == pytest.approx(
        fitted.predict_topk(X_TEST, 3).scores, rel=1e-5
    )


def test_sets_stay_as_they_are(fitted):
    for settings in ({"optimize": "psp"}, {"propensity_a": 0.3}):
        changed = copy(fitted).set_params(**settings)
        assert (fitted.predict(X_TEST) != changed.predict(X_TEST)).nnz == 0


# What errors cost, and what the user says about negatives.
def test_missing_a_label_costs_its_value_in_y():
    """Scaled so that the mean of all values is 1, by scikit-learn's judgement."""
    relevance = Y.copy()
    relevance.data = np.random.default_rng(0).uniform(0.5, 3, Y.nnz).astype(np.float32)
    model = OneVsAllClassifier(costs="relevance", **EXACT).fit(X, relevance)
    scores = dense(model.predict_topk(X_TEST, N_LABELS))
    weights = relevance.toarray() / relevance.data.mean()
    for label in (0, 17, 39):
        y = Y.toarray()[:, label]
        judge = LinearSVC(tol=1e-6, max_iter=100_000, random_state=0)
        judge.fit(unit(X), y, np.where(y > 0, weights[:, label], 1))
        expected = np.exp(log_p(judge.decision_function(unit(X_TEST))))
        np.testing.assert_allclose(scores[:, label], expected, atol=2e-3)


def test_costs_by_propensity_are_those_of_its_inverse():
    inverse = 1 / propensities(Y)
    by_hand = Y.copy()
    by_hand.data = inverse.astype(np.float32)[Y.indices]
    settings = {"random_state": 0, "tree": BY_TOPIC}
    models = [
        LabelTreeClassifier(costs=costs, **settings).fit(X, labels)
        for costs, labels in (("propensity", Y), ("relevance", by_hand))
    ]
    assert same_model(*models)


def test_costs_need_our_own_solver():
    with pytest.raises(
        ParameterError, match=r"^OneVsAllClassifier: costs='relevance' needs solver='block'$"
    ):
        OneVsAllClassifier(costs="relevance", solver="liblinear").fit(X, Y)


def test_named_negatives_are_trained_on():
    everyone = sp.csr_matrix(np.ones((300, N_TOPICS), np.float32))
    tree = LabelTreeClassifier(tree=BY_TOPIC, random_state=0)
    named = clone(tree).fit(X, Y, user_negatives=[None, everyone])
    wide = clone(tree).set_params(negatives="man", beam_size=N_TOPICS).fit(X, Y)
    assert same_model(named, wide)
    assert not same_model(named, tree.fit(X, Y))


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({}, [None, None], "user_negatives needs tree=LabelTree, and every label of it must have"),
        ({"tree": BY_TOPIC}, [None], "a matrix or None in user_negatives per level, 2, got 1"),
        (
            {"tree": BY_TOPIC},
            [None, X],
            r"shape \(300, 8\) in user_negatives\[1\], got \(300, 78\)",
        ),
    ],
)
def test_negatives_that_name_no_nodes_are_refused(settings, given, message):
    with pytest.raises(DataError, match=message):
        LabelTreeClassifier(**SMALL | settings).fit(X, Y, user_negatives=given)
