"""Low rank: the closed form by numpy's judgement, alternating least squares, exact ranking."""

import json
import re
from dataclasses import replace

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from xmc import (
    DataError,
    LabelTreeClassifier,
    LowRankClassifier,
    ModelError,
    ParameterError,
    RerankedClassifier,
    load,
    low_rank,
    low_rank_classifier,
)
from xmc.inputs import as_rows, as_targets
from xmc.kernels import factors as kernels_of
from xmc.low_rank import Pair, Turns, alternate, closed, problem_of
from xmc.ranking import factors
from xmc.ranking.factors import Factors, factors_of
from xmc.ranking.search import Search
from xmc.training.problem import transposed

RANK = 6
SEARCH = Search(1, 0.0, 0)
X, Y = planted.X, planted.Y
MODEL = LowRankClassifier(rank=20, ridge=0.1, random_state=0)


@pytest.fixture
def data(rng):
    """(X, Y) of 60 rows, 25 features, 12 labels, dense: X as rows are, with a constant 1 behind."""
    X = rng.normal(size=(60, 25)) * (rng.random((60, 25)) < 0.4)
    Y = (rng.random((60, 12)) < 0.2).astype(float)
    return np.hstack([X.astype(np.float32), np.ones((60, 1))]), Y


def posed(X, Y, weights=(), dtype=np.float64):
    """The problem of such data, as fits pose it."""
    rows, targets = as_rows(sp.csr_matrix(X[:, :-1]), False), as_targets(sp.csr_matrix(Y))
    rows_of_label = transposed(targets, Y.shape[1])
    return problem_of(rows, targets, rows_of_label, np.array(weights), 1.0, dtype, 1)


def best_of_rank(X, Y, rank, ridge):
    """The ridge regression of that rank, by numpy: with A = (X'X + r)^1/2 it is A^-1 (A R)_k."""
    values, vectors = np.linalg.eigh(X.T @ X + ridge * np.eye(X.shape[1]))
    root = vectors * np.sqrt(values) @ vectors.T
    U, S, Vt = np.linalg.svd(root @ np.linalg.solve(root @ root, X.T @ Y), full_matrices=False)
    S[rank:] = 0
    return np.linalg.solve(root, U * S @ Vt)


# The closed form.
@pytest.mark.parametrize("rank", [1, RANK, 12])
@pytest.mark.parametrize("ridge", [1e-6, 0.5, 30.0])
def test_the_closed_form_is_that_of_numpy(data, rank, ridge):
    pair = closed(posed(*data), rank, 26, ridge, 0)
    expected = best_of_rank(*data, rank, ridge)
    assert pair.features.shape == (26, rank)
    assert np.abs(pair.features @ pair.labels.T - expected).max() < 1e-6


def test_without_a_ridge_it_is_v_over_s_times_the_truncated_projection(data):
    X, Y = data
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    left, values, right = np.linalg.svd(U.T @ Y, full_matrices=False)
    values[RANK:] = 0
    expected = Vt.T / S @ (left * values @ right)
    pair = closed(posed(*data), RANK, 26, 0.0, 0)
    assert np.abs(pair.features @ pair.labels.T - expected).max() < 1e-6


def test_in_float32_it_is_the_same_to_what_that_can_hold(data):
    pair = closed(posed(*data, dtype=np.float32), RANK, 26, 0.5, 0)
    assert pair.features.dtype == pair.labels.dtype == np.float32
    expected = best_of_rank(*data, RANK, 0.5)
    assert np.abs(pair.features @ pair.labels.T - expected).max() < 1e-4


def test_a_weighted_row_counts_as_often(data, rng):
    X, Y = data
    times = rng.integers(1, 4, 60)
    repeated = np.repeat(np.arange(60), times)
    expected = best_of_rank(X[repeated], Y[repeated], RANK, 0.5)
    pair = closed(posed(X, Y, times), RANK, 26, 0.5, 0)
    assert np.abs(pair.features @ pair.labels.T - expected).max() < 1e-6
    weighted, twice = (
        alternate(problem, pair, 0.5, 0.2, 3, 0.0).objectives
        for problem in (posed(X, Y, times), posed(X[repeated], Y[repeated]))
    )
    assert weighted == pytest.approx(twice, rel=1e-9)


def test_fewer_components_see_only_the_largest_directions_of_the_features(data):
    X, Y = data
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    cut = U[:, :8] * S[:8] @ Vt[:8]
    pair = closed(posed(X, Y), 4, 8, 0.5, 0)
    expected = best_of_rank(cut, Y, 4, 0.5)
    assert np.abs(pair.features @ pair.labels.T - expected).max() < 1e-2
    assert np.abs(pair.features @ pair.labels.T - best_of_rank(X, Y, 4, 0.5)).max() > 1e-2


def test_the_model_scores_by_the_closed_form_cut_off_at_0_and_1():
    model = clone(MODEL).fit(X, Y)
    rows, test = (np.hstack([planted.unit(M).toarray(), np.ones((M.shape[0], 1))])
                  for M in (X, planted.X_TEST))  # fmt: skip
    margin = test @ best_of_rank(rows.astype(float), Y.toarray().astype(float), 20, 0.1)
    scores = planted.dense(model.predict_topk(planted.X_TEST, planted.N_LABELS))
    assert np.abs(scores - np.clip(margin, 0, 1)).max() < 1e-6


# By turns.
def objective(X, Y, pair, ridge, weight):
    """Over all pairs of a row and a label."""
    P, Q = pair
    weights = np.where(Y > 0, 1, weight)
    squares = (P**2).sum() + (Q**2).sum()
    return (weights * (Y - X @ P @ Q.T) ** 2).sum() + ridge * squares


def gradient(X, Y, pair, ridge, weight):
    """Of half the objective, by P and by Q."""
    P, Q = pair
    errors = np.where(Y > 0, 1, weight) * (X @ P @ Q.T - Y)
    return X.T @ errors @ Q + ridge * P, errors.T @ X @ P + ridge * Q


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_objective_is_that_of_all_pairs_and_never_rises(data, weight, dtype):
    problem = posed(*data, dtype=dtype)
    start = closed(problem, RANK, 26, 0.5, 0)
    pair, objectives = alternate(problem, start, 0.5, weight, 40, 0.0)
    assert objectives[-1] == pytest.approx(objective(*data, pair, 0.5, weight), rel=1e-5)
    assert len(objectives) > 3 and (np.diff(objectives) < 0).all()


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("rank", [1, RANK, 15])
def test_no_half_of_a_sweep_raises_it_wherever_it_begins(data, rng, rank, weight):
    turns = Turns(posed(*data), 0.5, weight)
    pair = Pair(rng.normal(size=(26, rank)), rng.normal(size=(12, rank)))
    reached = [objective(*data, pair, 0.5, weight)]
    for _ in range(4):
        features = turns.features(pair)
        halfway = Pair(features, pair.labels)
        pair = turns.labels(features)
        reached += [objective(*data, own, 0.5, weight) for own in (halfway, pair)]
    assert (np.diff(reached) < 0).all()


def test_the_factors_of_labels_are_the_best_for_those_of_features(data):
    turns = Turns(posed(*data), 0.5, 0.2)
    pair = turns.labels(closed(turns.problem, RANK, 26, 0.5, 0).features)
    assert np.abs(gradient(*data, pair, 0.5, 0.2)[1]).max() < 1e-9


def test_after_many_sweeps_nothing_is_left_to_gain(data):
    problem = posed(*data)
    start = closed(problem, 2, 26, 0.5, 0)
    pair, _ = alternate(problem, start, 0.5, 0.2, 2000, 0.0)
    assert max(np.abs(own).max() for own in gradient(*data, pair, 0.5, 0.2)) < 1e-3


def test_with_a_weight_of_1_no_pair_of_that_rank_is_much_better_than_the_closed_form(data):
    """Both minimise the same errors, of which the ridges are next to nothing here."""
    problem = posed(*data)
    start = closed(problem, RANK, 26, 1e-7, 0)
    pair, _ = alternate(problem, start, 1e-7, 1.0, 5, 0.0)
    reached, least = (objective(*data, own, 0, 1.0) for own in (pair, start))
    assert least <= reached + 1e-6 <= least + 1e-3


def test_sweeps_end_where_they_gain_less_than_sweep_tol():
    few, more = (
        LowRankClassifier(rank=10, factorization="als", sweep_tol=tol, max_sweeps=30).fit(X, Y)
        for tol in (0.1, 1e-4)
    )
    assert 1 <= few.n_iter_ < more.n_iter_ <= 30


# Ranking.
def some_factors(rng, n_labels=300, rank=5):
    """Labels of very different lengths, some of them twice; a row of features for each factor."""
    labels = rng.normal(size=(n_labels, rank)) * rng.pareto(1.0, (n_labels, 1))
    labels[1::7] = labels[::7][: len(labels[1::7])]
    features = np.vstack([np.eye(rank), np.zeros(rank)])
    return factors_of(features, labels, rng.permutation(n_labels).astype(np.int32))


def some_rows(rng, n_rows, rank=5):
    return as_rows(sp.csr_matrix(rng.normal(size=(n_rows, rank)).astype(np.float32)), False)


@pytest.mark.parametrize("k", [1, 5, 299, 300, 310])
@pytest.mark.parametrize("n_rows", [1, 40])
def test_the_best_labels_are_those_of_all_products(rng, monkeypatch, k, n_rows):
    monkeypatch.setattr(factors, "LABELS_PER_BLOCK", 16)
    model, rows = some_factors(rng), some_rows(rng, n_rows)
    found = model.candidates(rows, SEARCH)
    margin, label = (column.reshape(n_rows, 300) for column in (found.margin, found.ids))
    order = np.lexsort((label, -margin))[:, :k]
    best = model.rank(rows, SEARCH, k)
    assert np.array_equal(best.labels[:, :300], np.take_along_axis(label, order, axis=1))
    expected = np.clip(np.take_along_axis(margin, order, axis=1), 0, 1)
    assert np.array_equal(best.scores[:, :300], expected)
    assert (best.labels[:, 300:] == -1).all() and np.isneginf(best.scores[:, 300:]).all()
    dense = np.array([row.data for row in map(rows.part, range(n_rows), range(1, n_rows + 1))])
    by_label = np.argsort(model.labels)
    np.testing.assert_allclose(
        np.take_along_axis(margin, np.argsort(label), axis=1),
        dense @ model.label_factors[by_label].T,
        rtol=1e-4,
        atol=1e-4,
    )


def n_products(monkeypatch, model, rows, k):
    """How many products of a row and a label are computed."""
    counted = []

    def count(rows, chosen, labels, out):
        counted.append(out.size)
        kernel(rows, chosen, labels, out)

    kernel = factors.margins
    with monkeypatch.context() as patch:
        patch.setattr(factors, "LABELS_PER_BLOCK", 16)
        patch.setattr(factors, "margins", count)
        model.rank(rows, SEARCH, k)
    return sum(counted)


def test_short_labels_are_not_looked_at(rng, monkeypatch):
    model, rows = some_factors(rng), some_rows(rng, 40)
    needed = [n_products(monkeypatch, model, rows, k) for k in (1, 20, 300)]
    assert needed[0] < needed[1] < needed[2] == 40 * 300
    assert needed[0] < 40 * 300 / 4
    equal = model.label_factors / model.length[:, None]
    alike = replace(model, label_factors=equal, length=np.ones(300, np.float32))
    assert n_products(monkeypatch, alike, rows, 1) > 40 * 300 / 2


def test_a_label_that_only_its_length_keeps_in_the_race_is_found():
    """Its margin is the length of the row times its own, and all before it are longer."""
    labels = np.zeros((40, 2), np.float32)
    labels[:39, 1], labels[39, 0] = 10, 1
    model = factors_of(np.eye(3, 2), labels, np.arange(40, dtype=np.int32))
    row = as_rows(sp.csr_matrix(np.array([[3.0, 0.0]], np.float32)), False)
    assert model.rank(row, SEARCH, 1).labels.item() == 39


# A model like the others.
def test_no_later_fit_stops_to_compile(monkeypatch):
    clone(MODEL).fit(X, Y)
    kernels = kernels_of.times, kernels_of.add_positives, kernels_of.positive_errors
    before = [len(kernel.signatures) for kernel in kernels]
    monkeypatch.setattr(low_rank_classifier, "DOUBLE", 0)
    model = clone(MODEL).set_params(factorization="als", max_sweeps=2).fit(X, Y)
    model.predict_topk(planted.X_TEST, 3)
    assert [len(kernel.signatures) for kernel in kernels] == before


@pytest.mark.parametrize("settings", [{}, {"factorization": "als", "max_sweeps": 2}])
def test_in_float32_too_threads_make_no_difference(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(low_rank_classifier, "DOUBLE", 0)
    monkeypatch.setattr(low_rank, "ROWS_PER_JOB", 50)
    monkeypatch.setattr(low_rank, "LABELS_PER_JOB", 7)
    for n_jobs in (1, 2, 3):
        model = clone(MODEL).set_params(n_jobs=n_jobs, **settings).fit(X, Y)
        model.save(tmp_path / str(n_jobs))
    one, *others = (
        {file.name: file.read_bytes() for file in (tmp_path / str(n_jobs)).iterdir()}
        for n_jobs in (1, 2, 3)
    )
    assert one == others[0] == others[1]


def test_a_saved_model_answers_the_same(tmp_path):
    model = clone(MODEL).fit(X, Y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", verify=True)
    assert planted.same_model(model, again) and again.get_params() == model.get_params()
    assert planted.same_answer(*(m.predict_topk(planted.X_TEST, 7) for m in (model, again)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"length": lambda a: a[::-1]}, "length: expected numbers that descend"),
        ({"length": lambda a: a * np.nan}, "length: expected numbers that descend"),
        ({"labels": lambda a: a + 1}, "labels: expected different ones below 40"),
        ({"labels": lambda a: a * 0}, "labels: expected different ones below 40"),
        ({"length": lambda a: a[1:]}, "factors: expected arrays that fit each other, they don't"),
        ({"label_factors": lambda a: a[:, 1:]}, "factors: expected arrays that fit each other"),
        ({"feature_factors": lambda a: a[1:]}, "factors: expected arrays that fit each other"),
        ({"labels": lambda a: a.astype(np.int64)}, "labels: expected int32 in 1, got int64 in 1"),
        ({"feature_factors": np.ravel}, "feature_factors: expected float32 in 2, got float32 in 1"),
    ],
)
def test_damaged_factors_are_refused(tmp_path, change, said):
    model = clone(MODEL).fit(X, Y)
    own = model.model_.predictor
    wrong = {name: damage(getattr(own, name)) for name, damage in change.items()}
    model.model_ = model.model_._replace(predictor=replace(own, **wrong))
    model.save(tmp_path / "model")
    with pytest.raises(ModelError, match=re.escape(said)):
        load(tmp_path / "model")


def test_calibration_gives_probabilities_and_a_threshold_of_sets():
    X, Y = planted.planted(2000, 5)
    raw = clone(MODEL).fit(X, Y)
    told = clone(MODEL).set_params(calibration="isotonic").fit(X, Y)
    ranked, with_p = (m.predict_topk(planted.X_TEST, 5) for m in (raw, told))
    assert planted.same_model(raw, told) and np.array_equal(ranked.labels, with_p.labels)
    found = planted.Y_TEST[np.arange(60)[:, None], ranked.labels].toarray()
    assert ((with_p.scores - found) ** 2).mean() < ((ranked.scores - found) ** 2).mean()
    assert told.model_.threshold != 0.5


def test_the_rank_is_100_or_what_the_data_have():
    assert LowRankClassifier().fit(X, Y).model_.predictor.label_factors.shape == (40, 40)
    rng = np.random.default_rng(0)
    many = sp.csr_matrix((rng.random((400, 130)) < 0.1).astype(np.float32))
    assert LowRankClassifier().fit(many, many).model_.predictor.label_factors.shape == (130, 100)


def test_rows_without_features_and_bias_have_no_rank_and_are_legal(tmp_path):
    nothing = sp.csr_matrix((300, 3), dtype=np.float32)
    model = LowRankClassifier(bias=0.0).fit(nothing, Y)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").predict_topk(nothing, 3).labels[0].tolist() == [0, 1, 2]


def test_removed_labels_are_gone_and_others_as_before():
    model = clone(MODEL).fit(X, Y)
    before = model.predict_proba(planted.X_TEST).toarray()
    model.remove([3, 17])
    before[:, [3, 17]] = 0
    assert np.array_equal(model.predict_proba(planted.X_TEST).toarray(), before)


# Below a last stage.
@pytest.fixture(scope="module")
def stage():
    bases = LabelTreeClassifier(**planted.SMALL), clone(MODEL)
    return RerankedClassifier(bases, random_state=0).fit(X, Y)


def test_below_a_stage_its_score_is_evidence(stage, tmp_path):
    assert stage.score(planted.X_TEST, planted.Y_TEST) > 0.9
    assert {"base1_log_score", "base1_place"} < set(stage.evidence_names_)
    own = stage.model_.predictor.bases[1]
    assert isinstance(own.predictor, Factors) and own.estimator == "LowRankClassifier"
    stage.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.classifier[1].get_params() == own.parameters | {
        name: getattr(MODEL, name) for name in ("n_jobs", "memory", "verbose")
    }
    assert planted.same_answer(*(m.predict_topk(planted.X_TEST, 5) for m in (stage, again)))


def test_a_stage_explains_what_it_says(stage):
    (why,) = stage.explain(planted.X_TEST[0], k=1)
    told = {model.model: model for model in why.models}
    node = told["LowRankClassifier"].members[0].nodes[0]
    assert node.margin == pytest.approx(node.bias + sum(own.share for own in node.features))
    assert told["LowRankClassifier"].score == pytest.approx(np.clip(node.margin, 0, 1), abs=1e-6)
    assert "LowRankClassifier" in [own.source for own in why.evidence]
    json.dumps(why.to_dict())


def test_compressing_a_stage_leaves_it_as_it_is(stage):
    before, after = (m.model_.predictor.bases for m in (stage, stage.compress("int8")))
    assert after[1] is before[1]
    assert not np.array_equal(
        *(base[0].predictor.members[0].layers[0].weight for base in (before, after))
    )
    only = RerankedClassifier(clone(MODEL), random_state=0)
    assert (only.weights, only.weight_threshold) == ("float32", 0.1)  # a tree's, unless told


# What is refused.
def refused(kind, use):
    with pytest.raises(kind) as error:
        use()
    return str(error.value)


@pytest.mark.parametrize("factorization", ["closed", "als"])
def test_a_rank_above_that_of_the_data_is_refused(factorization):
    low = sp.hstack([Y[:, :5]] * 2, format="csr")
    model = LowRankClassifier(rank=6, factorization=factorization, ridge=0.1)
    assert refused(ParameterError, lambda: model.fit(X, low)) == (
        "LowRankClassifier: rank must be at most 5, as the data have no more, got 6"
    )
    assert model.set_params(rank=5).fit(X, low).model_.predictor.label_factors.shape == (10, 5)


def test_a_rank_that_no_data_of_such_a_shape_have_is_refused_before_the_training(monkeypatch):
    monkeypatch.setattr(low_rank_classifier, "closed", None)
    n_labels = len(np.unique(Y.indices))
    wide = sp.hstack([Y] * 99, format="csr")
    for labels, most in ((Y, n_labels), (wide, min(X.shape[0], X.shape[1] + 1))):
        model = LowRankClassifier(rank=most + 1)
        assert refused(ParameterError, lambda model=model, Y=labels: model.fit(X, Y)) == (
            f"LowRankClassifier: rank must be at most {most:,}, as the data have no more, "
            f"got {most + 1:,}"
        )


def test_fewer_components_than_the_rank_are_refused():
    model = LowRankClassifier(rank=20, components=10)
    assert refused(ParameterError, lambda: model.fit(X, Y)) == (
        "LowRankClassifier: components must be at least rank=20, got 10"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"factorization": "als", "ridge": 0},
            "LowRankClassifier: ridge must be at least 1e-09 with factorization='als', got 0",
        ),
        ({"rank": 0}, "LowRankClassifier: rank must be an int >= 1 or None, got 0"),
        ({"ridge": -1}, "LowRankClassifier: ridge must be a finite number >= 0 and <= 1000000000"),
        (
            {"implicit_weight": 0},
            "LowRankClassifier: implicit_weight must be a finite number >= 1e-09",
        ),
        ({"factorization": "svd"}, "LowRankClassifier: factorization must be one of 'closed', 'a"),
        ({"memory": 10**6}, "memory: training needs about "),
    ],
)
def test_settings_that_are_none_are_refused(settings, said):
    message = refused(ParameterError, lambda: LowRankClassifier(**settings).fit(X, Y))
    assert message.startswith(said) and "\n" not in message


def test_what_it_can_not_do_it_says_in_a_line():
    model = clone(MODEL).fit(X, Y)
    assert refused(ParameterError, model.compress) == (
        "LowRankClassifier: can't be compressed: fit it again with a smaller rank"
    )
    assert refused(ParameterError, lambda: model.forecast(X, Y)) == (
        "LowRankClassifier: can't be forecast: what its fit takes isn't known"
    )
    assert refused(ParameterError, lambda: model.fit(X, Y, user_negatives=[None])) == (
        "LowRankClassifier: user_negatives must be None"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("implicit_weight", [1e-9, 1.0])
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_columns_that_say_the_same_are_solved_with_hardly_a_ridge(implicit_weight, length):
    same = sp.csr_matrix(np.full((30, 4), length, np.float32))
    Y = sp.csr_matrix(np.arange(30)[:, None] % [2, 3, 5] == 0, dtype=np.float32)
    model = LowRankClassifier(
        factorization="als", ridge=1e-9, implicit_weight=implicit_weight, normalize=False
    )
    scores = model.fit(same, Y).predict_topk(same, 3).scores
    assert np.isfinite(scores).all()
    if implicit_weight == 1.0:  # each label's share of the rows
        assert scores[0] == pytest.approx([1 / 2, 1 / 3, 1 / 5], abs=1e-3)


def test_a_singular_system_has_its_shortest_solution():
    system = np.array([[2.0, 2.0], [2.0, 2.0]])
    assert low_rank._solved(system, np.array([4.0, 4.0])) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("factorization", ["closed", "als"])
@pytest.mark.parametrize("length", [1e-39, 1e-3, 1e3, 1e14])
def test_rows_of_any_length_are_learned_or_refused_in_a_line(factorization, length):
    long = sp.csr_matrix((X.data * np.float64(length), X.indices, X.indptr), X.shape)
    model = LowRankClassifier(factorization=factorization, normalize=False, ridge=0.1)
    try:
        scores = model.fit(long, Y).predict_topk(long, 3).scores
        assert np.isfinite(scores).all()
    except DataError as error:
        assert re.fullmatch(".*scale the features, or set normalize=True", str(error))
