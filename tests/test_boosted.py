from types import SimpleNamespace

import naive_boosted
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from xmc.arrays import frozen
from xmc.errors import ParameterError
from xmc.evidence.boosted import (
    DTYPES,
    BoostedTrees,
    check,
    contributions,
    from_sklearn,
    importance,
    log_odds,
    round_down,
)
from xmc.io.folder import read_folder, write_folder
from xmc.parallel import run

N_COLUMNS = 6
SETTINGS = {
    "plain": {},
    "monotone": {"monotonic_cst": [1, -1, 0, 1, 0, 0]},
    "large": {"max_leaf_nodes": 100, "min_samples_leaf": 2},
    "stumps": {"max_leaf_nodes": 2},
    "no split": {"min_samples_leaf": 10**6},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """scikit-learn's threads wait for each other in circles: on a busy machine, fits take ages."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def data():
    """Evidence with gaps, and which rows are right; column 5 says nothing."""
    rng = np.random.default_rng(0)
    E = rng.normal(size=(1500, N_COLUMNS)).astype(np.float32)
    y = E[:, 0] - E[:, 1] + E[:, 2] * E[:, 3] + rng.normal(size=len(E)) > 0.5
    E[rng.random(E.shape) < 0.2] = np.nan
    E[y, 4] = np.nan  # a gap that says a lot
    E[:, 5] = 0
    return E, y


def fit(data, **settings):
    return HistGradientBoostingClassifier(max_iter=12, early_stopping=False, **settings).fit(*data)


@pytest.fixture(scope="module", params=SETTINGS)
def fitted(request, data):
    """A model of scikit-learn's of each kind, and the same as plain arrays."""
    model = fit(data, **SETTINGS[request.param])
    return model, from_sklearn(model)


def at_thresholds(model, rng):
    """Rows whose values are thresholds of the model, or the float32 beside."""
    nodes = np.concatenate([tree.nodes for (tree,) in model._predictors])
    inner = nodes[nodes["is_leaf"] == 0]
    E = np.zeros((400, N_COLUMNS), np.float32)
    for column in range(N_COLUMNS):
        near = inner["num_threshold"][inner["feature_idx"] == column].astype(np.float32)
        beside = [np.nextafter(near, np.float32(way)) for way in (-np.inf, np.inf)]
        E[:, column] = rng.choice(np.concatenate([near, *beside, [np.nan, np.inf, -np.inf]]), 400)
    return E


def test_log_odds_are_scikit_learns(fitted, data):
    model, trees = fitted
    assert log_odds(trees, data[0]) == pytest.approx(model.decision_function(data[0]), abs=1e-9)


def test_float32_goes_the_way_of_float64_beside_each_threshold(fitted, rng):
    model, trees = fitted
    E = at_thresholds(model, rng)
    assert log_odds(trees, E) == pytest.approx(model.decision_function(E), abs=1e-9)


def test_contributions_sum_to_log_odds(fitted, data):
    _, trees = fitted
    E = data[0][:100]
    assert contributions(trees, E).sum(axis=1) == pytest.approx(log_odds(trees, E), abs=1e-9)


def test_contributions_are_shapley_values(fitted, data):
    _, trees = fitted
    E = data[0][:2]
    assert contributions(trees, E) == pytest.approx(naive_boosted.contributions(trees, E), abs=1e-9)


def test_contributions_start_from_the_mean_of_the_training_rows(fitted, data):
    model, trees = fitted
    start = contributions(trees, data[0][:1])[0, -1]
    assert start == pytest.approx(model.decision_function(data[0]).mean(), abs=1e-9)


def test_a_stump_gives_its_column_all_that_its_leaf_is_above_the_mean(data):
    trees = from_sklearn(fit(data, max_leaf_nodes=2).set_params(max_iter=1).fit(*data))
    column, rows = trees.feature[0], data[0][:20]
    expected = np.zeros((20, N_COLUMNS + 1))
    expected[:, -1] = trees.baseline + trees.cover[1:] @ trees.value[1:] / trees.cover[0]
    expected[:, column] = log_odds(trees, rows) - expected[:, -1]
    assert contributions(trees, rows) == pytest.approx(expected, abs=1e-12)


def test_trees_fit_and_are_read_only_arrays_and_a_number(fitted):
    _, trees = fitted
    check(trees, N_COLUMNS)
    assert {name: getattr(trees, name).dtype for name in DTYPES} == DTYPES
    assert not any(array.flags.writeable for array in trees[:-1])
    assert set(BoostedTrees._fields) - set(DTYPES) == {"baseline"} and type(trees.baseline) is float


def test_trees_answer_the_same_from_a_folder(fitted, data, tmp_path):
    _, trees = fitted
    arrays = {name: getattr(trees, name) for name in DTYPES}
    write_folder(tmp_path / "a", "a.json", {"baseline": trees.baseline}, arrays, False)
    meta, arrays = read_folder(tmp_path / "a", "a.json")
    again = BoostedTrees(**arrays, baseline=meta["baseline"])
    check(again, N_COLUMNS)
    assert log_odds(again, data[0]).tobytes() == log_odds(trees, data[0]).tobytes()


@pytest.mark.parametrize("function", [log_odds, contributions])
def test_threads_change_no_bit(fitted, data, function):
    _, trees = fitted
    E = data[0][:300]
    parts = run(function, [(trees, part) for part in np.split(E, [1, 70, 256])], 3)
    assert np.concatenate(parts).tobytes() == function(trees, E).tobytes()


def test_nodes_may_come_in_another_order(data, rng):
    model = fit(data)
    for (tree,) in model._predictors:
        order = np.concatenate([[0], 1 + rng.permutation(len(tree.nodes) - 1)])
        place = np.argsort(order)
        tree.nodes = tree.nodes[order]
        for side in ("left", "right"):
            tree.nodes[side] = place[tree.nodes[side]]
    trees, expected = from_sklearn(model), from_sklearn(fit(data))
    assert all(np.array_equal(a, b) for a, b in zip(trees, expected, strict=True))


def test_importance_is_the_mean_size_of_contributions(fitted, data):
    _, trees = fitted
    E = data[0][:50]
    expected = np.abs(contributions(trees, E)[:, :N_COLUMNS]).sum(axis=0) / 50
    assert importance(trees, E) == pytest.approx(expected, rel=1e-12)


def test_a_column_that_says_nothing_has_no_importance(data):
    got = importance(from_sklearn(fit(data)), data[0][:200])
    assert got.shape == (N_COLUMNS,) and got[5] == 0 and got[:5].min() > 0.01


def test_importance_over_nobody_is_0(data):
    trees = from_sklearn(fit(data))
    assert importance(trees, data[0][:0]).tolist() == [0.0] * N_COLUMNS


def test_round_down_gives_the_largest_float32_that_is_not_above(rng):
    values = np.concatenate([rng.normal(size=200), [0, 1e300, -1e300, np.inf, 1e-320, -1e-320]])
    got = round_down(values)
    assert got.dtype == np.float32 and (got <= values).all()
    below = got < np.finfo(np.float32).max
    assert (np.nextafter(got[below], np.float32(np.inf)) > values[below]).all()
    assert got[~below].tolist() == [np.finfo(np.float32).max, np.inf]


WRONG_MODELS = {
    "unfitted": (
        lambda E, y: HistGradientBoostingClassifier(),
        "got a HistGradientBoostingClassifier without _predictors, _baseline_prediction",
    ),
    "no trees": (lambda E, y: SimpleNamespace(loss="log_loss"), "got a SimpleNamespace without"),
    "regression": (
        lambda E, y: HistGradientBoostingRegressor(max_iter=1).fit(E, y),
        "got a HistGradientBoostingRegressor without classes_",
    ),
    "three classes": (
        lambda E, y: fit((E, np.arange(len(E)) % 3)),
        "of two classes with loss='log_loss', got 3 classes with loss='log_loss'",
    ),
    "categories": (
        lambda E, y: fit((np.abs(E.round()), y), categorical_features=[5]),
        "without categorical columns, got some",
    ),
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_other_models_are_refused(data, name):
    make, message = WRONG_MODELS[name]
    with pytest.raises(ParameterError, match="^BoostedTrees: expected a fitted HistGr.*" + message):
        from_sklearn(make(*data))


@pytest.mark.parametrize("change", ["no table", "another table"])
def test_trees_that_are_kept_in_another_way_are_refused(data, change):
    model = fit(data)
    tree = model._predictors[3][0]
    if change == "no table":
        del tree.nodes
    else:
        tree.nodes = tree.nodes[["value", "count", "left", "right"]]
    with pytest.raises(ParameterError, match="with is_leaf, left, .* per node, got others"):
        from_sklearn(model)


def changed(trees, name, place, value):
    array = getattr(trees, name).copy()
    array[place] = value
    return trees._replace(**{name: frozen(array)})


DAMAGES = {
    "float64 thresholds": (
        lambda t: t._replace(threshold=t.threshold.astype(np.float64)),
        "expected threshold to be flat float32",
    ),
    "values in a table": (
        lambda t: t._replace(value=t.value[:, None]),
        "expected value to be flat float64",
    ),
    "a node less": (lambda t: t._replace(cover=t.cover[:-1]), "nodes in every array"),
    "no pointers": (lambda t: t._replace(indptr=t.indptr[:0]), "expected indptr to rise from 0"),
    "a late start": (lambda t: changed(t, "indptr", 0, 1), "expected indptr to rise from 0"),
    "pointers that overflow": (
        lambda t: t._replace(indptr=np.array([0, 2**63 - 1, -2, len(t.feature)])),
        "expected indptr to rise from 0",
    ),
    "an early end": (lambda t: t._replace(indptr=t.indptr[:-1]), "expected indptr to rise from 0"),
    "an empty tree": (
        lambda t: changed(t, "indptr", 1, t.indptr[2]),
        "expected indptr to rise from 0",
    ),
    "a tree's end": (lambda t: changed(t, "indptr", 1, t.indptr[1] + 1), "in preorder"),
    "a far child": (lambda t: changed(t, "right", 0, 10**9), "node 0 doesn't fit"),
    "a circle": (lambda t: changed(t, "right", 0, 0), "node 0 doesn't fit"),
    "a column too many": (
        lambda t: changed(t, "feature", 0, N_COLUMNS),
        "in preorder over 6 columns, node 0 doesn't fit",
    ),
    "nobody": (lambda t: changed(t, "cover", -1, 0), "expected each node to cover"),
    "rows from nowhere": (
        lambda t: changed(t, "cover", 0, t.cover[0] + 1),
        "expected each node to cover the rows of its children",
    ),
    "no threshold": (lambda t: changed(t, "threshold", 0, np.nan), "expected numbers in"),
    "no value": (lambda t: changed(t, "value", -1, np.inf), "expected numbers in"),
    "no baseline": (lambda t: t._replace(baseline=np.nan), "expected numbers in"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_trees_are_refused(data, name):
    damage, message = DAMAGES[name]
    with pytest.raises(ValueError, match=f"^boosted trees: .*{message}"):
        check(damage(from_sklearn(fit(data))), N_COLUMNS)


def test_any_damaged_pointer_is_refused_or_harmless(rng):
    """What passes the check is scored as the slow twin scores it: no walk leaves its tree."""
    trees = naive_boosted.random_trees(rng, 3, 5, N_COLUMNS)
    E = naive_boosted.random_evidence(rng, 5, N_COLUMNS)
    refused = 0
    for _ in range(300):
        name = rng.choice(["indptr", "feature", "right", "cover"])
        place = rng.integers(len(getattr(trees, name)))
        damaged = changed(trees, name, place, rng.integers(-3, 30))
        try:
            check(damaged, N_COLUMNS)
        except ValueError:
            refused += 1
        else:
            expected = naive_boosted.log_odds(damaged, E)
            assert log_odds(damaged, E) == pytest.approx(expected, abs=1e-12)
    assert 200 < refused < 300
