from copy import copy

import numpy as np
import pytest
import scipy.sparse as sp
from folders import replace_array
from planted import same_answer, same_model, uncertain

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    TextClassifier,
    load,
)
from xmc.calibration import FEW_TRUE, calibrated_on, fit, held_out
from xmc.errors import ModelError, ParameterError
from xmc.metrics import best_threshold, ece_at_k
from xmc.ranking.calibration import Calibration
from xmc.reranked_classifier import RerankedClassifier
from xmc.topk import TopK

X, Y = uncertain(3000, 0)
ASKED, TRUE = uncertain(600, 1)


@pytest.fixture(scope="module", params=["tree", "trees", "one-vs-all"])
def settings(request):
    if request.param == "one-vs-all":
        return OneVsAllClassifier, {"random_state": 0}
    own = {"random_state": 0, "max_leaf_size": 5, "arity": 2}
    return LabelTreeClassifier, own | {"n_trees": 1 if request.param == "tree" else 3}


@pytest.fixture(scope="module")
def raw(settings):
    kind, own = settings
    return kind(**own).fit(X, Y)


@pytest.fixture(scope="module")
def model(settings):
    kind, own = settings
    return kind(**own, calibration="isotonic").fit(X, Y)


def test_weights_and_order_are_those_of_a_model_that_is_not_calibrated(raw, model):
    assert same_model(raw, model)
    before, after = raw.predict_topk(ASKED, 5), model.predict_topk(ASKED, 5)
    np.testing.assert_array_equal(before.labels, after.labels)
    assert (np.diff(after.scores, axis=1) <= 0).all()


def test_scores_are_what_the_map_says_everywhere(raw, model):
    curve = model.model_.calibration
    P, Q = raw.predict_proba(ASKED), model.predict_proba(ASKED)
    np.testing.assert_array_equal(P.indices, Q.indices)
    np.testing.assert_array_equal(curve.of(P.data), Q.data)
    top = model.predict_topk(ASKED, 3)
    assert (top.scores == np.take_along_axis(Q.toarray(), top.labels.astype(int), 1)).all()
    one = model.predict_topk(ASKED[7], 3)
    np.testing.assert_array_equal(one.labels[0], top.labels[7])
    np.testing.assert_array_equal(one.scores[0], top.scores[7])
    assert same_answer(model.ranker()(ASKED[7], 3), one)


def test_the_map_is_closer_to_the_truth(raw, model):
    before = ece_at_k(TRUE, raw.predict_topk(ASKED, 5), 5)
    after = ece_at_k(TRUE, model.predict_topk(ASKED, 5), 5)
    assert after < before / 2
    assert after < 0.05


@pytest.mark.parametrize("average", ["micro", "samples", "macro"])
def test_sets_are_cut_where_held_out_rows_say(settings, average):
    kind, own = settings
    model = kind(**own, calibration="platt", threshold_for=average).fit(X, Y)
    threshold, P = model.model_.threshold, model.predict_proba(ASKED)
    expected = P.toarray() >= np.float32(threshold)
    np.testing.assert_array_equal(model.predict(ASKED).toarray() != 0, expected)
    np.testing.assert_array_equal(model.predict(ASKED, 0.4).toarray(), P.toarray() >= 0.4)
    sets = model.predict_topk(ASKED, None, sets=True)
    assert (sets.labels >= 0).sum() == expected.sum()
    assert (sets.scores[sets.labels >= 0] >= np.float32(threshold)).all()


def test_the_best_labels_of_a_set_keep_their_order(raw, model):
    sets, top = model.predict_topk(ASKED, 2, sets=True), raw.predict_topk(ASKED, 2)
    filled = sets.labels >= 0
    np.testing.assert_array_equal(sets.labels[filled], top.labels[filled])


def test_a_boost_comes_after_the_probability(model):
    boosted = copy(model).set_params(optimize="psp")
    P, Q = model.predict_proba(ASKED), boosted.predict_proba(ASKED)
    boost = Q.data / P.data
    for label in np.unique(P.indices):
        own = boost[P.indices == label]
        assert own == pytest.approx(own[0], rel=1e-5)
    top = boosted.predict_topk(ASKED, 1)
    np.testing.assert_allclose(top.scores[:, 0], Q.max(axis=1).toarray().ravel())


def test_a_saved_model_keeps_map_and_threshold(model, tmp_path):
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.model_.threshold == model.model_.threshold
    assert again.calibration == "isotonic"
    assert same_answer(again.predict_topk(ASKED, 4), model.predict_topk(ASKED, 4))


@pytest.mark.parametrize(
    "change",
    [lambda a: a[::-1], lambda a: a - 2, lambda a: a * np.nan, lambda a: a[:-1], lambda a: a + 1],
)
def test_a_damaged_map_is_refused(model, tmp_path, change):
    model.save(tmp_path / "model")
    curve = model.model_.calibration.probability
    replace_array(tmp_path / "model", "model.json", "calibration.probability", change(curve))
    with pytest.raises(ModelError, match="calibration: expected"):
        load(tmp_path / "model")


def test_isotonic_follows_any_shape_and_platt_one_of_its_own():
    rng = np.random.default_rng(0)
    scores = rng.random(20_000).astype(np.float32)
    steps = np.where(scores < 0.5, 0.1, 0.8)
    is_true = rng.random(len(scores)) < steps
    asked = np.float32([0.2, 0.45, 0.55, 0.9])
    assert fit("isotonic", scores, is_true).of(asked) == pytest.approx(
        [0.1, 0.1, 0.8, 0.8], abs=0.03
    )
    logistic = rng.random(len(scores)) < 1 / (1 + np.exp(1 - 2 * np.log(scores / (1 - scores))))
    expected = 1 / (1 + np.exp(1 - 2 * np.log(asked / (1 - asked))))
    assert fit("platt", scores, logistic).of(asked) == pytest.approx(expected, abs=0.02)


def test_few_true_candidates_give_a_smooth_curve():
    rng = np.random.default_rng(0)
    scores = rng.random(600).astype(np.float32)
    is_true = np.zeros(600, bool)
    is_true[np.argsort(-scores)[: FEW_TRUE - 1]] = True
    few, same = (fit(kind, scores, is_true) for kind in ("isotonic", "platt"))
    np.testing.assert_array_equal(few.probability, same.probability)
    is_true[np.argsort(-scores)[FEW_TRUE - 1]] = True
    assert len(np.unique(fit("isotonic", scores, is_true).probability)) == 2


@pytest.mark.parametrize("kind", ["isotonic", "platt"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_nothing_is_certain(kind, share):
    rng = np.random.default_rng(0)
    scores = rng.random(5000).astype(np.float32)
    curve = fit(kind, scores, rng.random(5000) < share)
    p = curve.of(np.float32([0, 0.5, 1]))
    assert (p > 0).all() and (p < 1).all()
    curve.check()


def test_the_threshold_is_the_best_of_held_out_rows():
    top = TopK(np.array([[0, 1], [1, 0]], np.int32), np.float32([[0.9, 0.2], [0.8, 0.6]]))
    truth = sp.csr_matrix([[1, 0], [1, 1]])
    curve, threshold = calibrated_on("platt", "micro", top, truth)
    sets = TopK(top.labels, curve.of_best(top).scores)
    assert threshold == best_threshold(truth, sets)


def test_empty_places_stay_empty():
    top = TopK(np.array([[3, -1]], np.int32), np.float32([[0.5, -np.inf]]))
    curve = Calibration(np.array([0.0, 1.0]), np.array([0.2, 0.6]))
    assert curve.of_best(top).scores.tolist() == [[np.float32(0.4), -np.inf]]


def test_the_same_rows_are_held_out_whatever_the_threads():
    kind = LabelTreeClassifier
    few = [kind(calibration="isotonic", random_state=3, n_jobs=n).fit(X, Y) for n in (1, 2)]
    a, b = (model.model_.calibration for model in few)
    np.testing.assert_array_equal(a.score, b.score)
    np.testing.assert_array_equal(a.probability, b.probability)
    assert held_out(1000, 3, "who").sum() == 100
    assert held_out(200_000, 3, "who").sum() == 10_000


def test_costs_weights_and_classes_are_calibrated_too():
    weights = np.where(np.arange(X.shape[0]) % 3, 1.0, 2.0)
    model = OneVsAllClassifier(calibration="isotonic", costs="propensity", random_state=0)
    model.fit(X, Y, sample_weight=weights)
    assert ece_at_k(TRUE, model.predict_topk(ASKED, 3), 3) < 0.06
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 3)), rng.integers(0, 3, 400)
    x[np.arange(400), y] += 3
    model = OneVsAllClassifier(calibration="platt", random_state=0).fit(x, y)
    assert model.score(x, y) > 0.9
    assert model.predict_proba(x).sum(axis=1) == pytest.approx(1)


def test_what_does_not_go_with_a_calibration_is_refused():
    with pytest.raises(ParameterError, match="calibration must be None with tail_share"):
        LabelTreeClassifier(calibration="platt", tail_share=0.2).fit(X, Y)
    with pytest.raises(ParameterError, match="calibration must be one of 'isotonic', 'platt' or"):
        LabelTreeClassifier(calibration="beta").fit(X, Y)
    with pytest.raises(DataError, match="expected at least 20 rows to calibrate with, got 19"):
        LabelTreeClassifier(calibration="platt").fit(X[:19], Y[:19])
    base = LabelTreeClassifier(calibration="platt")
    with pytest.raises(ParameterError, match="calibration must be None in base models"):
        RerankedClassifier(base).fit(X, Y)
    model = LabelTreeClassifier(calibration="platt", random_state=0).fit(X, Y)
    with pytest.raises(ParameterError, match="tail_share must be 0 where scores are calibrated"):
        model.set_params(tail_share=0.1).predict_topk(ASKED)


def test_a_calibrated_model_of_texts_says_that_it_has_no_last_stage():
    texts = [f"word{n % 7} other{n % 3}" for n in range(1200)]
    model = TextClassifier(LabelTreeClassifier(calibration="isotonic", random_state=0))
    model.fit(texts, [[f"l{n % 7}"] for n in range(1200)])
    assert model.notices_ == ["a last stage doesn't go with calibration: trained without"]
    assert model.classifier_.model_.calibration is not None


def test_an_interrupted_calibration_goes_on_to_the_same_model(tmp_path, monkeypatch):
    from xmc import estimators

    def stop(*args):
        raise KeyboardInterrupt

    kept = {"checkpoint": tmp_path / "kept"}
    own = {"calibration": "isotonic", "random_state": 0}
    with monkeypatch.context() as patched:
        patched.setattr(estimators, "calibrated_on", stop)
        with pytest.raises(KeyboardInterrupt):
            LabelTreeClassifier(**own).fit(X, Y, **kept)
    assert (tmp_path / "kept").is_dir()
    again = LabelTreeClassifier(**own).fit(X, Y, **kept)
    whole = LabelTreeClassifier(**own).fit(X, Y)
    assert same_answer(again.predict_topk(ASKED, 3), whole.predict_topk(ASKED, 3))
