import naive
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from xmc.datasets import load_sample
from xmc.errors import DataError
from xmc.inputs import as_rows, canonical
from xmc.kernels.lanes import N_LANES
from xmc.params import LabelTreeParams
from xmc.training.problem import pose, sibling_groups
from xmc.training.solver import HUGE_PAGE, _zeros, solve

LOSSES = ["squared_hinge", "hinge"]


def tight(solver="block", **settings):
    """Parameters that solve a problem to the end."""
    return LabelTreeParams(
        solver=solver, **{"tol": 1e-5, "max_iter": 5000, "weight_threshold": 0.0, **settings}
    )


def posed(X, Y, rows=None, first=0, last=None):
    rows = np.arange(X.n_rows, dtype=np.int32) if rows is None else np.asarray(rows, np.int32)
    return pose(
        X, naive.as_targets(Y), rows, first, Y.shape[1] if last is None else last, np.uint64(1)
    )


def dense_weights(problem, n_features, params):
    """The weights of all siblings: (features + bias, siblings)."""
    W = np.zeros((n_features + 1, len(problem.counts)))
    for siblings in sibling_groups(problem):
        weights = solve(problem, siblings, params)
        np.add.at(W, (weights.feature, weights.sibling), weights.weight)
        W[-1, weights.biased] = weights.bias
    return W


def with_bias(X, bias):
    return np.hstack([naive.to_dense(*X), np.full((X.n_rows, 1), bias)])


def objectives(X, Y, W, params):
    signs, squared = np.where(Y, 1.0, -1.0), params.loss == "squared_hinge"
    X = with_bias(X, params.bias)
    return np.array(
        [naive.primal(X, signs[:, b], W[:, b], params.C, squared) for b in range(Y.shape[1])]
    )


@pytest.fixture
def data(rng):
    """Rows of unit length, as short and wide as those of texts, and 20 labels from frequent to
    rare.
    """
    dense = naive.unit(naive.to_dense(*naive.random_rows(rng, 120, 300, density=0.04, empty=0.05)))
    margins = dense @ rng.normal(size=(300, 20)) + rng.normal(size=(120, 20)) / 4
    return naive.as_rows(dense), margins > np.quantile(
        margins, np.linspace(0.4, 0.97, 20), axis=0
    ).diagonal()


@pytest.fixture(scope="module")
def sample():
    """The first 500 packages of the embedded sample, and the 12 most frequent tags."""
    whole = load_sample()
    X = as_rows(canonical(whole.X[:500], "test", "X"), True)
    Y = whole.Y[:500].toarray() > 0
    return X, Y[:, np.argsort(-Y.sum(axis=0), kind="stable")[:12]]


def check_agreement(X, Y, settings):
    problem = posed(X, Y)
    ours, theirs = (
        dense_weights(problem, X.n_features, tight(solver, **settings))
        for solver in ("block", "liblinear")
    )
    params = tight(**settings)
    assert objectives(X, Y, ours, params) == pytest.approx(
        objectives(X, Y, theirs, params), rel=1e-4
    )
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("C", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("bias", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_block_and_liblinear_agree_on_random_rows(data, loss, bias, C):
    check_agreement(*data, {"loss": loss, "bias": bias, "C": C})


@pytest.mark.parametrize("loss", LOSSES)
def test_block_and_liblinear_agree_on_the_embedded_sample(sample, loss):
    check_agreement(*sample, {"loss": loss})


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_scikit_learn_agrees(data, loss, bias):
    X, Y = data
    params = tight(loss=loss, bias=bias)
    W = dense_weights(posed(X, Y), X.n_features, params)
    for label in (0, 6, 19):
        judge = LinearSVC(
            loss=loss,
            C=1.0,
            dual=True,
            fit_intercept=bias > 0,
            intercept_scaling=bias or 1,
            tol=1e-6,
            max_iter=100_000,
        )
        judge.fit(naive.to_dense(*X), Y[:, label])
        assert W[:-1, label] == pytest.approx(judge.coef_[0], abs=1e-3)
        assert bias * W[-1, label] == pytest.approx(
            float(judge.intercept_[0] if bias else 0), abs=1e-3
        )


@pytest.mark.parametrize("solver", ["block", "liblinear"])
def test_pruning_drops_exactly_the_weights_below_the_threshold(data, solver):
    X, Y = data
    problem = posed(X, Y)
    W = dense_weights(problem, X.n_features, tight(solver))
    threshold = float(np.median(np.abs(W[:-1][W[:-1] != 0])))
    pruned = dense_weights(problem, X.n_features, tight(solver, weight_threshold=threshold))
    assert np.array_equal(pruned[:-1], np.where(np.abs(W[:-1]) >= threshold, W[:-1], 0))
    assert np.array_equal(pruned[-1], W[-1])


@pytest.mark.parametrize("solver", ["block", "liblinear"])
def test_weights_are_numbered_as_X_numbers_features_and_from_the_first_sibling(data, solver):
    X, Y = data
    rows = np.flatnonzero(Y[:, :6].any(axis=1))
    part = dense_weights(posed(X, Y, rows, 6, 9), X.n_features, tight(solver))
    alone = naive.as_rows(naive.to_dense(*X)[rows])
    assert part == pytest.approx(
        dense_weights(posed(alone, Y[rows, 6:9]), X.n_features, tight(solver)), abs=1e-3
    )


@pytest.mark.parametrize("solver", ["block", "liblinear"])
def test_solving_leaves_the_problem_as_it_was(data, solver):
    problem, again = posed(*data), posed(*data)
    solve(problem, np.arange(3), tight(solver))
    assert all(np.array_equal(a, b) for a, b in zip(problem, again, strict=True))


def test_a_problem_holds_the_given_rows_and_siblings(data):
    X, Y = data
    rows = [4, 9, 110, 111]
    problem = posed(X, Y, rows, 3, 12)
    dense = np.zeros((4, X.n_features))
    dense[:, problem.features] = naive.to_dense(*problem[:3], len(problem.features))
    assert np.array_equal(dense, naive.to_dense(*X)[rows])
    assert problem.norms == pytest.approx((dense**2).sum(axis=1))
    has = np.zeros((4, 9), bool)
    has[problem.row_in_chunk, problem.sibling] = True
    assert np.array_equal(has, Y[rows, 3:12])
    assert problem.counts.tolist() == has.sum(axis=0).tolist()


@pytest.mark.parametrize("n_labels", [1, 16, 17, 40])
def test_groups_hold_every_sibling_once_the_most_frequent_first(rng, n_labels):
    Y = rng.random((30, n_labels)) < rng.random(n_labels)
    problem = posed(naive.random_rows(rng, 30, 5), Y)
    groups = sibling_groups(problem)
    counts = problem.counts[np.concatenate(groups)]
    assert sorted(np.concatenate(groups)) == list(range(n_labels))
    assert (np.diff(counts) <= 0).all()
    assert max(map(len, groups)) <= N_LANES and len(groups) == -(-n_labels // N_LANES)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["block", "liblinear"])
def test_labels_of_all_rows_and_of_none_mirror_each_other(data, solver, loss):
    X, _ = data
    Y = np.tile([True, False], (X.n_rows, 1))
    W = dense_weights(posed(X, Y), X.n_features, tight(solver, loss=loss))
    assert W[:, 0] == pytest.approx(-W[:, 1], abs=1e-3)
    assert W[-1, 0] > 0


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["block", "liblinear"])
@pytest.mark.parametrize(
    "dense",
    [np.zeros((0, 4)), np.zeros((3, 4)), np.eye(1, 4)],
    ids=["no-rows", "no-features", "one-row"],
)
def test_hardly_any_rows_are_no_error(dense, solver, loss, bias):
    Y = np.array([[True, False]] * len(dense)).reshape(-1, 2)
    params = tight(solver, loss=loss, bias=bias, tol=1e-4)
    W = dense_weights(posed(naive.as_rows(dense), Y), 4, params)
    assert np.isfinite(W).all()
    assert (W[:-1] != 0).any() == dense.any()
    assert W[-1].any() == (bias > 0 and len(dense) > 0)


@pytest.mark.parametrize("solver", ["block", "liblinear"])
def test_no_rows_give_weights_of_exactly_0(data, solver):
    """Whatever memory holds: liblinear's model of no rows has no weights to read."""
    problem = posed(naive.as_rows(np.zeros((0, 4))), np.zeros((0, 16), bool))
    for _ in range(5):
        solve(posed(*data), np.arange(2), tight(solver))
        assert solve(problem, np.arange(16), tight(solver)).bias.tobytes() == bytes(4 * 16)


def test_the_block_solver_tells_its_passes(data):
    problem = posed(*data)
    assert solve(problem, np.arange(16), tight(max_iter=3)).n_passes == 3
    assert solve(problem, np.arange(16), tight("liblinear")).n_passes == 1


@pytest.mark.parametrize("solver", ["block", "liblinear"])
def test_the_seed_of_a_problem_decides_its_weights(data, solver):
    problem, params = posed(*data), tight(solver, tol=0.01, max_iter=2)
    runs = [
        solve(problem._replace(seed=np.uint64(seed)), np.arange(16), params).weight.tobytes()
        for seed in (5, 2**63 + 6, 5)
    ]
    assert runs[0] == runs[2] != runs[1]


@pytest.mark.parametrize("loss", LOSSES)
def test_costs_agree_with_scikit_learns_sample_weights(data, rng, loss):
    X, Y = data
    costs = np.where(Y, rng.uniform(0.3, 4, Y.shape), 0)
    problem = pose(
        X,
        naive.as_targets(costs, costs=True),
        np.arange(X.n_rows, dtype=np.int32),
        0,
        20,
        np.uint64(1),
    )
    W = dense_weights(problem, X.n_features, tight(loss=loss))
    for b in range(0, 20, 6):
        judge = LinearSVC(C=1.0, loss=loss, tol=1e-8, max_iter=100_000, random_state=0)
        judge.fit(naive.to_dense(*X), Y[:, b], np.where(Y[:, b], costs[:, b], 1.0))
        assert W[:-1, b] == pytest.approx(judge.coef_[0], abs=1e-3)
        assert W[-1, b] == pytest.approx(judge.intercept_[0], abs=1e-3)


@pytest.mark.parametrize(
    ("solver", "settings", "length"),
    [("block", {"C": 1e-300}, 1), ("block", {"bias": 1e39}, 1), ("liblinear", {"C": 1e300}, 1e-39)],
)
def test_weights_that_are_not_finite_are_refused(data, solver, settings, length):
    X, Y = data
    problem = posed(X._replace(data=X.data * np.float32(length)), Y)
    with pytest.raises(DataError, match="^training: expected finite weights, got NaN or inf, as "):
        with np.errstate(all="ignore", over="raise"):  # `solve` itself lets inf come, and sees it
            solve(problem, np.arange(16), tight(solver, weight_threshold=0.1, **settings))


@pytest.mark.parametrize("n", [1, HUGE_PAGE // 2 - 1, HUGE_PAGE // 2, HUGE_PAGE, 3 * HUGE_PAGE + 5])
def test_zeros_for_many_weights_start_with_a_huge_page(n):
    found = _zeros(n)
    assert found.shape == (n,) and found.dtype == np.float32 and found.flags.c_contiguous
    assert not found.any()
    if n >= HUGE_PAGE // 2:
        assert found.ctypes.data % (HUGE_PAGE * found.itemsize) == 0
