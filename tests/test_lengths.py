"""Rows of any length, scaled or not: right answers, or one line."""

import numpy as np
import pytest
import scipy.sparse as sp
from planted import EXACT, SMALL, X_TEST, Y_TEST, X, Y, dense, log_p
from sklearn.svm import LinearSVC

from xmc import DataError, LabelTreeClassifier, OneVsAllClassifier

PLAIN = {"normalize": False, "random_state": 0}


def longer(M, length):
    """M with values times a number, which float64 computes and float32 holds."""
    return sp.csr_matrix((M.data * float(length), M.indices, M.indptr), shape=M.shape)


@pytest.mark.parametrize("length", [10.0, 1e3, 1e10, 1e14])
@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
@pytest.mark.parametrize("model", [LabelTreeClassifier, OneVsAllClassifier])
def test_long_rows_that_are_not_scaled_are_learned(model, weights, length):
    settings = (SMALL if model is LabelTreeClassifier else {}) | PLAIN
    model = model(weights=weights, **settings).fit(longer(X, length), Y)
    assert model.score(longer(X_TEST, length), Y_TEST) > 0.95
    assert np.isfinite(model.predict_topk(longer(X_TEST, length), 5).scores).all()


@pytest.mark.parametrize("length", [1e-39, 1e-3, 1.0, 30.0])
def test_rows_that_are_not_scaled_are_solved_as_scikit_learn_does(length):
    """Of short rows, features weigh next to nothing: such is the optimum."""
    model = OneVsAllClassifier(**EXACT, normalize=False).fit(longer(X, length), Y)
    scores = dense(model.predict_topk(longer(X_TEST, length), Y.shape[1]))
    for label in (0, 17):
        judge = LinearSVC(tol=1e-6, max_iter=100_000, random_state=0)
        judge.fit(longer(X, length), Y.toarray()[:, label])
        expected = np.exp(log_p(judge.decision_function(longer(X_TEST, length))))
        np.testing.assert_allclose(scores[:, label], expected, atol=5e-3)


def test_the_threshold_of_weights_is_that_of_rows_of_length_1():
    kept = [
        np.count_nonzero(
            OneVsAllClassifier(**PLAIN).fit(longer(X, n), Y).members_[0].layers[0].weight
        )
        for n in (8, 800)
    ]
    assert kept[0] == pytest.approx(kept[1], rel=0.05)


@pytest.mark.parametrize("length", [1e-39, 1e-10])
def test_rows_too_short_to_learn_from_are_refused(length):
    with pytest.raises(DataError) as error:
        OneVsAllClassifier(**PLAIN).fit(longer(X, length), Y)
    assert str(error.value) == (
        "OneVsAllClassifier: expected weights of at least weight_threshold=0.1, got none with "
        "normalize=False: scale the features, or set normalize=True"
    )


def test_labels_without_a_direction_are_refused():
    with pytest.raises(DataError, match="^labels: expected rows with a direction, got rows so sho"):
        LabelTreeClassifier(**PLAIN).fit(longer(X, 1e-40), Y)


@pytest.mark.parametrize("use", ["fit", "predict_topk", "one row", "ranker"])
def test_values_that_overflow_are_refused(use):
    model, large = OneVsAllClassifier(**PLAIN), longer(X, 1e16)
    with pytest.raises(
        DataError, match="expected values from -1e\\+15 to 1e\\+15 in .* with normali"
    ):
        if use == "fit":
            model.fit(large, Y)
        model.fit(X, Y)
        if use == "ranker":
            model.ranker()(large[0], 3)
        model.predict_topk(large if use == "predict_topk" else large[0], 3)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("value", [1e-45, 1e-39, 1e-20, 1.0, 1e15])
def test_one_row_is_answered_as_among_others(normalize, value):
    model = OneVsAllClassifier(normalize=normalize, random_state=0).fit(X, Y)
    query = sp.csr_matrix(longer(X_TEST[:3] > 0, value).astype(np.float32))
    many = model.predict_topk(query, 5)
    assert np.isfinite(many.scores).all()
    for i in range(3):
        assert np.array_equal(model.predict_topk(query[i], 5).labels[0], many.labels[i])
        assert np.array_equal(model.predict_topk(query[i], 5).scores[0], many.scores[i])
    if normalize:
        usual = model.predict_topk(sp.csr_matrix(X_TEST[:3] > 0, dtype=np.float32), 5)
        np.testing.assert_allclose(many.scores, usual.scores, rtol=1e-3, atol=1e-6)


def test_values_of_y_that_differ_beyond_float32_are_no_costs():
    relevance = Y.copy()
    relevance.data[0] = 1e-20
    with pytest.raises(DataError, match="largest value of Y to be at most 1e.09 times the small"):
        OneVsAllClassifier(costs="relevance").fit(X, relevance)
