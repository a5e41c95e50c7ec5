import naive
import numpy as np
import pytest

from xmc.kernels.dcd import (
    LONGEST_REST,
    _due,
    _shuffle,
    inverse_costs,
    prune,
    signs,
    solve_lanes,
)
from xmc.kernels.gather import squared_norms
from xmc.kernels.lanes import N_LANES

LOSSES = {"squared_hinge": True, "hinge": False}
TIGHT = 1e-5


def solved(X, Y, squared=True, C=1.0, bias=1.0, tol=TIGHT, max_iter=3000, seed=0, costs=None):
    """Signed dual variables (rows, lanes) and weights (features + bias, lanes) of up to 16 labels,
    and the passes.
    """
    row, sibling = (part.astype(np.int32) for part in np.nonzero(Y))
    lane = np.arange(Y.shape[1], dtype=np.int32)
    A = signs(row, sibling, lane, X.n_rows)
    inverse_cost = (
        None
        if costs is None
        else inverse_costs(row, sibling, costs[row, sibling].astype(np.float32), lane, X.n_rows)
    )
    W = np.zeros((X.n_features + 1) * N_LANES, np.float32)
    diagonal, upper = (0.5 / C, np.inf) if squared else (0.0, C)
    numbers = (
        np.float32(bias),
        np.float32(diagonal),
        np.float32(upper),
        float(tol),
        int(max_iter),
        np.uint64(seed),
    )
    indptr, indices, data = (np.array(part) for part in X[:3])
    with np.errstate(over="ignore"):  # of the random numbers, where kernels run as plain Python
        n_passes = solve_lanes(
            indptr, indices, data, squared_norms(indptr, data), *numbers, inverse_cost, A, W
        )
    return A.reshape(-1, N_LANES), W.reshape(-1, N_LANES), n_passes


def with_bias(X, bias):
    return np.hstack([naive.to_dense(*X), np.full((X.n_rows, 1), bias)])


def as_signs(Y):
    return np.where(Y, 1.0, -1.0)


@pytest.fixture
def problem(rng):
    """Rows, two of them without features, and 16 labels that depend on them, frequent and rare, one
    in no row.
    """
    X = naive.random_rows(rng, 25, 10, density=0.5, empty=0)
    dense = naive.to_dense(*X)
    dense[[3, 17]] = 0
    margins = dense @ rng.normal(size=(10, 16)) + rng.normal(size=(25, 16)) + np.linspace(-2, 1, 16)
    Y = margins > 0
    Y[:, 5] = False
    return naive.as_rows(dense), Y


def shuffled(order, seed):
    """The slow twin of `_shuffle`, of whole numbers."""
    order = list(order)
    for i in range(len(order) - 1, 0, -1):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        j = (seed >> 32) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return order, seed


@pytest.mark.parametrize("n", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_shuffling_agrees_with_whole_numbers(n, seed):
    order = np.arange(10, 10 + n, dtype=np.int32)
    with np.errstate(over="ignore"):
        after = _shuffle(order, np.uint64(seed))
    assert (order.tolist(), int(after)) == shuffled(range(10, 10 + n), seed)


def test_rows_are_due_when_their_rest_is_over():
    resting, due = np.array([0, 1, 3, 0, 2], np.int8), np.full(5, -1, np.int32)
    assert _due(resting, due) == 2
    assert (due[:2].tolist(), resting.tolist()) == ([0, 3], [0, 0, 2, 0, 1])


def passed(X, Y, squared, C, bias, tol, max_iter, seed, costs):
    """The slow twin of `solve_lanes`: what `solved` gives, from dense float64."""
    rows, y = with_bias(X, bias), as_signs(Y)
    cost = np.ones(Y.shape) if costs is None else np.where(Y, costs, 1.0)
    diagonal, upper = (0.5 / C / cost, np.inf) if squared else (0 * cost, C * cost)
    upper = np.broadcast_to(upper, Y.shape)
    a, w = np.zeros(Y.shape), np.zeros((rows.shape[1], Y.shape[1]))
    rest, resting = np.zeros(len(rows), int), np.zeros(len(rows), int)
    for n_pass in range(max_iter):
        due, seed = shuffled(np.flatnonzero(resting == 0).tolist(), seed)
        resting = np.maximum(resting - 1, 0)
        violation = 0.0
        for i in due:
            curvature = rows[i] @ rows[i] + diagonal[i]
            gradient = y[i] * (rows[i] @ w) - 1 + diagonal[i] * a[i]
            with np.errstate(divide="ignore"):
                change = np.clip(a[i] - gradient / curvature, 0, upper[i]) - a[i]
            step = (curvature * np.abs(change)).max()
            rest[i] = min(2 * rest[i] + 1, LONGEST_REST) if step <= tol / 2 else 0
            resting[i], violation = rest[i], max(violation, step)
            if step > 0:  # not for a row without features and bias, which moves nothing
                a[i] += change
                w += np.outer(rows[i], y[i] * change)
        if violation <= tol:
            return y * a, w, n_pass + 1
    return y * a, w, max_iter


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighed", [False, True], ids=["equal", "costs"])
@pytest.mark.parametrize("tol", [0.3, 0.03])
def test_every_pass_agrees_with_its_twin(problem, rng, loss, bias, weighed, tol):
    """Also which rows rest, and for how long: rows that move little come seldom."""
    X, Y = problem
    costs = np.where(Y, rng.uniform(0.2, 5, Y.shape), 1.0) if weighed else None
    for max_iter in (1, 2, 3, 5, 9, 17, 100):
        how = LOSSES[loss], 0.7, bias, tol, max_iter, 3, costs
        A, W, n_passes = solved(X, Y, *how)
        a, w, expected = passed(X, Y, *how)
        assert n_passes == expected
        assert A[:, : Y.shape[1]] == pytest.approx(a, abs=1e-3)
        assert W == pytest.approx(w, abs=1e-3)


def test_without_rows_one_pass_is_enough():
    X = naive.as_rows(np.empty((0, 3)))
    assert solved(X, np.zeros((0, N_LANES), bool), tol=0.0, max_iter=7)[2] == 1


@pytest.mark.parametrize("C", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_agree_with_one_label_at_a_time(problem, loss, bias, C):
    X, Y = problem
    _, W, _ = solved(X, Y, LOSSES[loss], C, bias)
    for lane in range(0, N_LANES, 5):
        w, _ = naive.dual_coordinate_descent(
            with_bias(X, bias), as_signs(Y[:, lane]), C, LOSSES[loss], tol=1e-7
        )
        assert W[:-1, lane] == pytest.approx(w[:-1], abs=1e-3)
        assert bias * W[-1, lane] == pytest.approx(bias * w[-1], abs=1e-3)


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_with_costs_agree_with_one_label_at_a_time(problem, rng, loss, bias):
    X, Y = problem
    costs = np.where(Y, rng.uniform(0.2, 5, Y.shape), 1.0)
    _, W, _ = solved(X, Y, LOSSES[loss], 0.7, bias, costs=costs)
    for lane in range(0, N_LANES, 5):
        y, C = as_signs(Y[:, lane]), 0.7 * costs[:, lane]
        w, _ = naive.dual_coordinate_descent(with_bias(X, bias), y, C, LOSSES[loss], tol=1e-7)
        assert W[:-1, lane] == pytest.approx(w[:-1], abs=1e-3)
        assert bias * W[-1, lane] == pytest.approx(bias * w[-1], abs=1e-3)


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_costs_of_1_change_nothing(problem, loss, bias):
    X, Y = problem
    plain, equal = (
        solved(X, Y, LOSSES[loss], bias=bias, costs=costs) for costs in (None, np.ones(Y.shape))
    )
    assert equal[1] == pytest.approx(plain[1], abs=1e-3)
    assert np.array_equal(np.signbit(equal[0]), np.signbit(plain[0]))


def test_inverse_costs_are_1_over_the_costs_of_the_lanes_labels():
    row, sibling, cost = np.int32([0, 0, 2]), np.int32([1, 2, 0]), np.float32([4, 7, 0.5])
    inverse_cost = inverse_costs(row, sibling, cost, np.int32([3, 0, -1]), 3).reshape(3, N_LANES)
    expected = np.ones((3, N_LANES))
    expected[0, 0], expected[2, 3] = 1 / 4, 1 / 0.5
    assert np.array_equal(inverse_cost, expected)


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_dual_variables_are_optimal(problem, loss, bias):
    X, Y = problem
    C, squared = 1.0, LOSSES[loss]
    A, W, _ = solved(X, Y, squared, C, bias)
    a, y = np.abs(A), as_signs(Y)
    gradient = y * (with_bias(X, bias) @ W) - 1 + (0.5 / C * a if squared else 0)
    below = 0.0 if squared else gradient[a >= C].max(initial=0)
    inside = np.abs(gradient[(a > 0) & (a < (np.inf if squared else C))]).max()
    counts = squared_norms(X.indptr, X.data) + bias > 0 if not squared else slice(None)
    above = -gradient[counts][a[counts] == 0].min(initial=0)
    assert max(below, inside, above) < 10 * TIGHT


@pytest.mark.parametrize("C", [0.1, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_dual_variables_stay_in_their_range_and_keep_their_sign(problem, loss, C):
    X, Y = problem
    for max_iter in (1, 3, 1000):
        A, _, _ = solved(X, Y, LOSSES[loss], C, max_iter=max_iter)
        assert np.array_equal(np.signbit(A), ~Y)
        assert np.isfinite(A).all()
        assert loss == "squared_hinge" or np.abs(A).max() <= np.float32(C)


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_the_signed_sum_of_the_rows(problem, loss, bias):
    X, Y = problem
    for max_iter in (1, 2, 1000):
        A, W, _ = solved(X, Y, LOSSES[loss], bias=bias, max_iter=max_iter)
        assert W == pytest.approx(with_bias(X, bias).T @ A, abs=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_lanes_do_not_disturb_each_other(problem, loss):
    X, Y = problem
    _, together, _ = solved(X, Y, LOSSES[loss])
    _, alone, _ = solved(X, Y[:, :1], LOSSES[loss])
    assert alone[:, 0] == pytest.approx(together[:, 0], abs=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_lanes_without_a_label_are_finite_and_alike(problem, loss):
    X, Y = problem
    A, W, _ = solved(X, Y[:, :3], LOSSES[loss])
    assert np.isfinite(A).all() and np.isfinite(W).all()
    assert (A[:, 3:] == A[:, [3]]).all() and (W[:, 3:] == W[:, [3]]).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_without_features_move_the_bias_only(problem, loss):
    X, Y = problem
    rows = np.flatnonzero(np.diff(X.indptr))
    _, W, _ = solved(X, Y, LOSSES[loss], bias=0.0)
    _, without, _ = solved(naive.as_rows(naive.to_dense(*X)[rows]), Y[rows], LOSSES[loss], bias=0.0)
    assert W == pytest.approx(without, abs=1e-3)
    assert not W[-1].any()


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_row_is_solved_in_one_step(loss, bias):
    X, Y = naive.as_rows([[0.6, 0, 0.8]]), np.array([[True, False]])
    length = 1 + bias**2
    a = 1 / (length + 0.5) if LOSSES[loss] else min(1.0, 1 / length)
    A, W, _ = solved(X, Y, LOSSES[loss], bias=bias, max_iter=1)
    assert A[0, :2] == pytest.approx([a, -a])
    assert W[:, :2] == pytest.approx(np.outer([0.6, 0, 0.8, bias], [a, -a]))


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_gives_no_weights(loss):
    A, W, n_passes = solved(naive.as_rows(np.zeros((0, 3))), np.zeros((0, 2), bool), LOSSES[loss])
    assert A.shape == (0, N_LANES) and not W.any() and n_passes <= 1


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_rows_without_any_feature_are_no_error(loss, bias):
    X, Y = naive.as_rows(np.zeros((4, 0))), np.ones((4, 1), bool)
    _, W, _ = solved(X, Y, LOSSES[loss], bias=bias)
    w, _ = naive.dual_coordinate_descent(with_bias(X, bias), np.ones(4), 1.0, LOSSES[loss])
    assert bias * W[:, 0] == pytest.approx(bias * w, abs=1e-3)


def test_loose_tolerance_takes_fewer_passes(problem):
    X, Y = problem
    passes = [solved(X, Y, tol=tol)[2] for tol in (1.0, 0.1, 1e-4)]
    assert passes == sorted(passes) and passes[0] < passes[-1] < 3000


@pytest.mark.parametrize("loss", LOSSES)
def test_no_more_passes_than_asked_for(problem, loss):
    X, Y = problem
    assert [solved(X, Y, LOSSES[loss], max_iter=n, tol=1e-9)[2] for n in (1, 2, 5)] == [1, 2, 5]


def test_the_same_seed_gives_the_same_bits(problem):
    X, Y = problem
    runs = [solved(X, Y, max_iter=4, seed=seed)[1].tobytes() for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]


def test_every_seed_reaches_the_same_weights(problem):
    X, Y = problem
    first, second = (solved(X, Y, seed=seed)[1] for seed in (0, 2**64 - 1))
    assert first == pytest.approx(second, abs=1e-3)


@pytest.mark.parametrize("n_rows", [0, 1, 20])
def test_signs_agree_with_their_twin(rng, n_rows):
    lane_of_sibling = np.full(30, -1, np.int32)
    lane_of_sibling[rng.permutation(30)[:N_LANES]] = np.arange(N_LANES)
    row, sibling = (part.astype(np.int32) for part in np.nonzero(rng.random((n_rows, 30)) < 0.3))
    got = signs(row, sibling, lane_of_sibling, n_rows).reshape(n_rows, N_LANES)
    expected = naive.signs(row, sibling, lane_of_sibling, n_rows, N_LANES)
    assert not got.any()
    assert np.array_equal(np.signbit(got), np.signbit(expected))


@pytest.mark.parametrize("threshold", [0.0, 0.5, 10.0])
@pytest.mark.parametrize("n_lanes", [1, 5, N_LANES])
@pytest.mark.parametrize("n_features", [0, 1, 20])
def test_prune_agrees_with_its_twin(rng, n_features, n_lanes, threshold):
    W = rng.choice(np.float32([0, -0.0, 0.5, -0.5, 0.25, 1, -2]), (n_features + 1, N_LANES))
    feature, lane, weight = prune(W.ravel(), n_lanes, threshold)
    assert list(zip(feature, lane, weight, strict=True)) == naive.prune(W, n_lanes, threshold)


def test_prune_keeps_weights_that_equal_the_threshold():
    W = np.zeros((4, N_LANES), np.float32)
    W[:3, 0] = [0.5, np.nextafter(np.float32(0.5), np.float32(0)), -0.5]
    feature, _, _ = prune(W.ravel(), 1, 0.5)
    assert feature.tolist() == [0, 2]
