"""RerankedClassifier: what its stage learns from, what that is worth, and what it refuses."""

import numpy as np
import pytest
import scipy.sparse as sp
from folders import arrays_of
from planted import SMALL, X_TEST, Y_TEST, arrays, same_answer, same_model
from planted import X as X_PLANTED
from planted import Y as Y_PLANTED
from planted_names import described_labels, unrelated
from sklearn.base import clone

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    ParameterError,
    RerankedClassifier,
    load,
    stage,
)
from xmc import reranked_classifier as module
from xmc.metrics import ece_at_k, precision_at_k
from xmc.reranked_classifier import labels_beside, parts_of, with_labels

BASE = OneVsAllClassifier(random_state=0)
TREE = LabelTreeClassifier(**SMALL)


@pytest.fixture(scope="module")
def described():
    return described_labels(400, 1), described_labels(300, 2)


@pytest.fixture(scope="module")
def by_names(described):
    (X, Y, features), _ = described
    return RerankedClassifier(BASE, label_features=features).fit(X, Y)


@pytest.fixture(scope="module")
def plain(described):
    (X, Y, _), _ = described
    return RerankedClassifier(BASE).fit(X, Y)


@pytest.fixture(scope="module")
def fitted():
    return RerankedClassifier((TREE, BASE)).fit(X_PLANTED, Y_PLANTED)


def small(**settings):
    return RerankedClassifier(BASE, **settings)


# Rows that the stage learns from.
@pytest.mark.parametrize("n_rows", [1, 2, 3, 10, 500])
def test_each_of_few_rows_is_held_out_once(n_rows):
    parts = parts_of(n_rows, 0)
    held = np.concatenate([part.held for part in parts])
    assert sorted(held.tolist()) == list(range(n_rows))
    for part in parts:
        assert sorted([*part.kept, *part.held]) == list(range(n_rows))


def test_a_share_of_many_rows_is_held_out_once(monkeypatch):
    monkeypatch.setattr(module, "FEW_ROWS", 100)
    (part,) = parts_of(1000, 0)
    assert len(part.held) == round(module.SHARE_HELD * 1000)
    assert sorted([*part.kept, *part.held]) == list(range(1000))
    assert parts_of(1000, 1)[0].held.tolist() != part.held.tolist()


def test_the_stage_learns_from_no_more_rows_than_it_needs(monkeypatch):
    monkeypatch.setattr(module, "MOST_HELD", 30)
    assert sum(len(part.held) for part in parts_of(500, 0)) <= 30
    monkeypatch.setattr(module, "FEW_ROWS", 100)
    assert len(parts_of(1000, 0)[0].held) == 30


def test_base_models_never_learn_from_rows_without_any_label():
    Y = sp.csr_matrix(np.eye(6, 2))  # only the first two rows have one
    for seed in range(20):
        parts = with_labels(parts_of(6, seed), Y)
        assert parts and all(Y[part.kept].nnz for part in parts)
    (part,) = with_labels(parts_of(1, 0), sp.csr_matrix([[1]]))
    assert (part.kept.tolist(), part.held.tolist()) == ([0], [0])


def test_one_labelled_row_among_many_is_legal():
    X, Y = sp.eye(9, 4, format="csr"), sp.csr_matrix(([1.0], ([5], [1])), (9, 3))
    assert small().fit(X, Y).predict_topk(X, 1).labels.max() == 1


# Nothing leaks.
def test_where_rows_say_nothing_probabilities_are_the_share_of_rows():
    """A row that is its own neighbour, or a base model's training row, would promise more."""
    (X, Y), (X_test, Y_test) = unrelated(500, 0), unrelated(500, 1)
    model = small().fit(X, Y)
    chance, top = 2 / 20, model.predict_topk(X_test, 5)
    assert precision_at_k(Y_test, top, 1) < chance + 4 * np.sqrt(chance * 0.9 / 500)
    assert model.predict_proba(X_test).data.mean() == pytest.approx(chance, abs=0.02)
    # The base model knows its training rows by heart, and so do neighbours: the stage has learned
    # that this is worth nothing.
    assert clone(BASE).fit(X, Y).score(X, Y) > 0.95
    assert model.score(X, Y) < 0.5


def test_figures_are_those_of_rows_that_base_models_had_not_seen():
    """Each row has a feature of its own: only who has seen it knows its labels."""
    _, Y = unrelated(300, 0)
    X = sp.eye(300, format="csr", dtype=np.float32)
    model = RerankedClassifier((BASE, TREE)).fit(X, Y)
    assert [*model.held_out_] == ["base0", "base1", "stage"]
    chance = 100 * 2 / 20
    assert all(figures["P@1"] < 2.5 * chance for figures in model.held_out_.values())
    assert clone(BASE).fit(X, Y).score(X, Y) == 1
    assert all(figures["n_rows"] == 300 for figures in model.held_out_.values())


# What evidence is worth.
def test_label_features_help_where_labels_have_few_rows(described, by_names, plain):
    _, (X, Y, _) = described
    best, without = (model.predict_topk(X, 3) for model in (by_names, plain))
    for k in (1, 3):
        assert precision_at_k(Y, best, k) > precision_at_k(Y, without, k) + 0.1
    assert "label_cosine" in by_names.evidence_names_
    assert "label_cosine" not in plain.evidence_names_


def test_a_label_without_a_row_is_found_by_its_features(described):
    (X, Y, features), (X_test, Y_test, _) = described
    known = Y.toarray()
    known[:, :40] = 0
    asked = Y_test.toarray()[:, :40].any(axis=1)
    found = []
    for given in (features, None):
        model = small(label_features=given).fit(X, known)
        assert (model.label_counts_[:40] == 0).all()
        top = model.predict_topk(X_test[asked], 5).labels
        truth = Y_test[asked].toarray()[:, :40]
        hits = np.zeros_like(truth)
        rows, places = np.nonzero((top >= 0) & (top < 40))
        hits[rows, top[rows, places]] = 1
        found.append((hits * truth).sum() / truth.sum())
    assert found[0] > 0.5 and found[1] == 0


def test_the_stage_is_better_than_its_base_models_where_it_knows_more(described, by_names):
    _, (X, Y, _) = described
    alone = clone(BASE).fit(*described[0][:2])
    ours, theirs = (precision_at_k(Y, m.predict_topk(X, 1), 1) for m in (by_names, alone))
    assert ours > theirs + 0.1
    held = by_names.held_out_
    assert held["stage"]["P@1"] > held["base0"]["P@1"] + 10
    assert by_names.best_base_ is None


def test_probabilities_are_calibrated(described, by_names):
    _, (X, Y, _) = described
    top = by_names.predict_topk(X, 5)
    assert ece_at_k(Y, top, 1) < 0.08
    assert ece_at_k(Y, top, 5) < 0.05
    assert by_names.predict_proba(X).sum() == pytest.approx(Y.nnz, rel=0.15)


def test_weights_say_which_evidence_moves_log_odds(by_names):
    weights = dict(zip(by_names.evidence_names_, by_names.evidence_weights_, strict=True))
    assert all(weight >= 0 for weight in weights.values())
    strongest = max(weights, key=weights.get)
    assert strongest.startswith(("label_cosine", "base0_"))
    assert weights["label_cosine"] + weights["label_cosine_less_best"] > 0.1


# Sets.
def test_predict_takes_the_threshold_that_was_learned(by_names, described, tmp_path):
    _, (X, Y, _) = described
    threshold = by_names.model_.threshold
    assert 0 < threshold < 1
    sets = by_names.predict(X)
    assert (sets != by_names.predict(X, threshold)).nnz == 0
    assert by_names.predict(X, 0.0).nnz > sets.nnz > by_names.predict(X, 1.0).nnz
    by_names.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.model_.threshold == threshold
    assert (again.predict(X) != sets).nnz == 0


def test_the_threshold_is_near_the_best_of_new_rows(by_names, described):
    _, (X, Y, _) = described
    P = by_names.predict_proba(X)

    def f1(threshold):
        kept = P.multiply(P >= threshold) if threshold else P
        return 2 * (kept.multiply(Y) > 0).nnz / (kept.nnz + Y.nnz)

    best = max(f1(threshold) for threshold in np.linspace(0.05, 0.95, 19))
    assert f1(by_names.model_.threshold) > best - 0.03


# Labels beside each other.
def test_labels_beside_each_other_share_rows():
    Y = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 2, 1, 0]], np.float32)
    found = sp.csr_matrix(tuple(labels_beside(sp.csr_matrix(Y)))[::-1], (4, 4)).toarray()
    common = (Y > 0).T.astype(int) @ (Y > 0)
    np.fill_diagonal(common, 0)
    assert found == pytest.approx(common / (np.array([3, 2, 1, 0])[:, None] + 2))


def test_more_labels_than_features_are_loaded(tmp_path):
    X, Y, _ = described_labels(200, 1, n_labels=90, n_features=30)
    model = small().fit(X, Y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert same_model(again, model)
    assert same_answer(again.predict_topk(X, 90), model.predict_topk(X, 90))


# Settings.
def test_without_neighbors_none_are_kept(by_names, described, tmp_path):
    (X, Y, features), _ = described
    without = small(label_features=features, neighbors=False).fit(X, Y)
    sizes = []
    for name, model in (("with", by_names), ("without", without)):
        model.save(tmp_path / name)
        arrays = arrays_of(tmp_path / name)
        sizes.append(sum(array.nbytes for array in arrays.values()))
        found = any("neighbors" in array for array in arrays)
        assert found == (name == "with")
        assert any("neighbor" in column for column in model.evidence_names_) == (name == "with")
    assert sizes[1] < 0.9 * sizes[0]
    again = load(tmp_path / "without")
    assert again.neighbors is False and same_model(again, without)


def test_choose_leaves_out_base_models_that_do_not_help(monkeypatch):
    twice = RerankedClassifier((BASE, clone(BASE)), choose=True).fit(X_PLANTED, Y_PLANTED)
    assert len(twice.model_.predictor.bases) == 1
    assert [*twice.held_out_] == ["base0", "base1", "stage"]
    precision = [f"{figures['P@1']:.1f}" for figures in twice.held_out_.values()]
    assert twice.summary_ == (
        f"on held-out rows: OneVsAllClassifier P@1 {precision[0]}; OneVsAllClassifier P@1 "
        f"{precision[1]}, left out; last stage P@1 {precision[2]}"
    )
    monkeypatch.setattr(module, "WORTH", -1e9)  # more is always better
    both = RerankedClassifier((BASE, clone(BASE)), choose=True).fit(X_PLANTED, Y_PLANTED)
    assert len(both.model_.predictor.bases) == 2


def test_a_base_model_that_is_better_alone_than_the_stage_is_kept(monkeypatch):
    """Here the stage is made to look useless, and the second base model to look best."""
    real, calls = module.quality, []

    def quality(truth, top):
        calls.append(len(calls))
        value = {0: 10.0, 1: 90.0}.get(calls[-1], 20.0)
        return real(truth, top) | {"P@1": value, "P@3": value, "P@5": value}

    monkeypatch.setattr(module, "quality", quality)
    model = RerankedClassifier((TREE, BASE), choose=True).fit(X_PLANTED, Y_PLANTED)
    assert len(calls) == 4
    assert len(model.model_.predictor.bases) == 2
    assert type(model.best_base_) is OneVsAllClassifier


def test_a_base_model_that_helps_is_kept(described):
    """One that scores all labels alike comes first; the other knows them."""
    (X, Y, _), _ = described
    blind = OneVsAllClassifier(weight_threshold=1e9, random_state=0)
    model = RerankedClassifier((blind, BASE), choose=True, neighbors=False).fit(X, Y)
    assert len(model.model_.predictor.bases) == 2


def test_one_vs_all_is_left_out_where_it_would_take_hours(monkeypatch):
    monkeypatch.setattr(module, "AFFORDABLE", 1000)
    model = RerankedClassifier((TREE, BASE), choose=True).fit(X_PLANTED, Y_PLANTED)
    assert [base.estimator for base in model.model_.predictor.bases] == ["LabelTreeClassifier"]
    alone = RerankedClassifier(BASE, choose=True).fit(X_PLANTED, Y_PLANTED)
    assert len(alone.model_.predictor.bases) == 1


def test_labels_without_rows_cost_one_vs_all_nothing(monkeypatch):
    monkeypatch.setattr(module, "WORTH", -1e9)
    trained = np.count_nonzero(Y_PLANTED.sum(axis=0))
    monkeypatch.setattr(module, "AFFORDABLE", X_PLANTED.nnz * trained)
    many = sp.hstack([Y_PLANTED, sp.csr_matrix((Y_PLANTED.shape[0], 500))], format="csr")
    model = RerankedClassifier((TREE, BASE), choose=True).fit(X_PLANTED, many)
    assert len(model.model_.predictor.bases) == 2


def test_without_a_base_model_there_is_a_tree_and_one_vs_all(monkeypatch):
    monkeypatch.setattr(module, "WORTH", -1e9)
    model = RerankedClassifier().fit(X_PLANTED, Y_PLANTED)
    assert [base.estimator for base in model.model_.predictor.bases] == [
        "LabelTreeClassifier",
        "OneVsAllClassifier",
    ]
    assert model.classifier is None


def test_settings_of_one_base_model_are_reached_by_name():
    model = RerankedClassifier(LabelTreeClassifier(random_state=0))
    assert model.get_params()["classifier__beam_size"] == 10
    model.set_params(classifier__random_state=7, classifier__max_leaf_size=5)
    assert (model.classifier.random_state, model.classifier.max_leaf_size) == (7, 5)
    assert model.fit(X_PLANTED, Y_PLANTED).model_.predictor.bases[0].parameters["random_state"] == 7


def test_fit_leaves_the_given_base_models_alone():
    base = clone(BASE)
    RerankedClassifier((base,), verbose=0, n_jobs=1).fit(X_PLANTED, Y_PLANTED)
    assert not hasattr(base, "model_") and base.n_jobs is None


def test_values_of_y_reach_the_base_model_that_weighs_errors_by_them():
    relevance = Y_PLANTED.copy()
    relevance.data = np.random.default_rng(0).uniform(0.5, 3, relevance.nnz).astype(np.float32)
    weighing = OneVsAllClassifier(costs="relevance", random_state=0)
    for bases in ((TREE, weighing), (OneVsAllClassifier(costs="propensity"), weighing)):
        bases = tuple(clone(base).set_params(random_state=0) for base in bases)
        model = RerankedClassifier(bases).fit(X_PLANTED, relevance)
        kept = model.model_.predictor.bases
        for base, own in zip(bases, kept, strict=True):
            alone = clone(base).fit(X_PLANTED, relevance)
            alone.model_ = alone.model_._replace(predictor=own.predictor)
            assert same_model(alone, clone(base).fit(X_PLANTED, relevance))


def test_ranking_by_propensity_leaves_the_base_models_alone():
    by_p, by_psp = (
        RerankedClassifier(BASE, optimize=order).fit(X_PLANTED, Y_PLANTED) for order in ("p", "psp")
    )
    assert same_model(by_p, by_psp)
    assert not same_answer(by_p.predict_topk(X_TEST, 5), by_psp.predict_topk(X_TEST, 5))


# Folders, copies.
def test_a_loaded_model_answers_to_the_bit(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is RerankedClassifier
    assert same_model(again, fitted)
    assert same_answer(again.predict_topk(X_TEST, 40), fitted.predict_topk(X_TEST, 40))
    assert (again.predict(X_TEST) != fitted.predict(X_TEST)).nnz == 0
    assert [base.get_params() for base in again.classifier] == [
        base.get_params() for base in fitted.classifier
    ]
    assert again.evidence_names_ == fitted.evidence_names_
    assert np.array_equal(again.evidence_weights_, fitted.evidence_weights_)
    again.save(tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "model")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "PER_THREAD", 1000)
    for n_jobs in (1, 2):
        model = RerankedClassifier((TREE, BASE), n_jobs=n_jobs, memory=10**10)
        model.fit(X_PLANTED, Y_PLANTED).save(tmp_path / str(n_jobs))
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_a_loaded_model_knows_its_label_features_and_can_be_fitted_again(
    described, by_names, tmp_path
):
    (X, Y, features), (X_test, Y_test, _) = described
    by_names.save(tmp_path / "model")
    again = load(tmp_path / "model")
    directions = features / 2  # of four equal values
    assert abs(again.label_features - directions).max() < 1e-6
    ours = by_names.predict_topk(X_test, 1)
    theirs = again.fit(X, Y).predict_topk(X_test, 1)
    assert (ours.labels == theirs.labels).mean() > 0.98


def test_a_compressed_model_is_told_by_its_base_models(fitted, tmp_path):
    before = len(arrays(fitted))
    smaller = fitted.compress("int8", 0.2)
    assert [base.weights for base in smaller.classifier] == ["int8", "int8"]
    assert [base.weight_threshold for base in smaller.classifier] == [0.2, 0.2]
    assert [base.weights for base in fitted.classifier] == ["float32", "float32"]
    assert (smaller.weights, len(arrays(smaller))) == ("int8", before)
    smaller.save(tmp_path / "model")
    assert same_answer(
        load(tmp_path / "model").predict_topk(X_TEST, 5), smaller.predict_topk(X_TEST, 5)
    )


def test_the_best_base_model_is_a_fitted_one(monkeypatch):
    model = RerankedClassifier((TREE, BASE)).fit(X_PLANTED, Y_PLANTED)
    assert model.best_base_ is None or model.held_out_["stage"]["P@1"] < 100
    figures = {name: {"P@1": value} for name, value in (("base0", 1), ("base1", 9), ("stage", 2))}
    model.held_out_ = figures
    best = model.best_base_
    assert type(best) is OneVsAllClassifier and best.model_.threshold is None
    alone = clone(BASE).fit(X_PLANTED, Y_PLANTED)
    assert same_model(best, alone)
    assert same_answer(best.predict_topk(X_TEST, 5), alone.predict_topk(X_TEST, 5))
    model.held_out_ = figures | {"stage": {"P@1": 9}}
    assert model.best_base_ is None


# Forecasts.
def test_a_forecast_counts_every_training_and_leaves_the_model_alone(fitted):
    alone = TREE.forecast(X_PLANTED, Y_PLANTED)
    ours = RerankedClassifier(TREE).forecast(X_PLANTED, Y_PLANTED)
    assert ours.n_trees == alone.n_trees and ours.model_bytes > alone.model_bytes
    without = RerankedClassifier(TREE, neighbors=False).forecast(X_PLANTED, Y_PLANTED)
    assert ours.model_bytes > without.model_bytes
    both = RerankedClassifier((TREE, BASE)).forecast(X_PLANTED, Y_PLANTED)
    assert both.model_bytes > ours.model_bytes
    fitted.forecast(X_PLANTED[:, :50], Y_PLANTED)
    assert fitted.n_features_in_ == X_PLANTED.shape[1]
    assert len(fitted.predict_topk(X_TEST, 3).labels) == 60


# Refusals.
@pytest.mark.parametrize(
    ("bases", "message"),
    [
        ((BASE, OneVsAllClassifier(normalize=False)), "normalize must be the same for all base "),
        ((OneVsAllClassifier(tail_share=0.2),), "tail_share must be 0 in base models, got 0.2"),
        (RerankedClassifier(BASE), "classifier must be without a last stage of its own"),
        ((), "classifier must be one of xmc's estimators of matrices, a tuple of such or None"),
        ((BASE, None), "classifier must be one of xmc's estimators of matrices, a tuple of such"),
        ("tree", "classifier must be one of xmc's estimators of matrices, a tuple of such or None"),
        ((OneVsAllClassifier(C=-1),), "OneVsAllClassifier: C must be a finite number >= 1e-09"),
    ],
    ids=["normalize", "tail", "stage", "empty", "None", "str", "C"],
)
def test_base_models_that_do_not_go_together_are_refused(bases, message):
    with pytest.raises(ParameterError) as error:
        RerankedClassifier(bases).fit(X_PLANTED, Y_PLANTED)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_user_negatives_are_refused():
    with pytest.raises(ParameterError, match="^RerankedClassifier: user_negatives must be None$"):
        small().fit(X_PLANTED, Y_PLANTED, user_negatives=[None])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((3, 78)), r"expected shape \(40, 78\), labels x features of X, in label_features"),
        (np.ones((40, 3)), r"expected shape \(40, 78\), labels x features of X, in label_features"),
        (np.full((40, 78), np.nan), "expected finite values in label_features, got NaN in row 0"),
        (["a", "b"], "expected label_features to be a 2-D numeric matrix, got 1-D"),
    ],
    ids=["labels", "features", "NaN", "texts"],
)
def test_label_features_that_do_not_fit_are_refused(given, message):
    with pytest.raises(DataError, match=f"^RerankedClassifier: {message}"):
        small(label_features=given).fit(X_PLANTED, Y_PLANTED)


@pytest.mark.parametrize("kind", [np.asarray, sp.csc_matrix, sp.csr_array])
def test_label_features_come_in_any_form(kind):
    dense = np.random.default_rng(0).random((40, 78)) * (Y_PLANTED.T @ X_PLANTED).toarray()
    ours = small(label_features=kind(dense)).fit(X_PLANTED, Y_PLANTED)
    assert same_model(ours, small(label_features=sp.csr_matrix(dense)).fit(X_PLANTED, Y_PLANTED))


def test_planted_labels_come_first(fitted):
    assert fitted.score(X_TEST, Y_TEST) == 1
