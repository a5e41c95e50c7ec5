import naive_metrics as naive
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.metrics
from sklearn.calibration import calibration_curve

from xmc import metrics
from xmc.arrays import INT32_MAX
from xmc.errors import DataError, ParameterError
from xmc.kernels import metrics as kernels
from xmc.topk import TopK

PLAIN = {
    "P": (metrics.precision_at_k, naive.precision),
    "R": (metrics.recall_at_k, naive.recall),
    "nDCG": (metrics.ndcg_at_k, naive.ndcg),
    "coverage": (metrics.coverage_at_k, naive.coverage),
}
SCORED = {"PSP": (metrics.psp_at_k, naive.psp), "PSnDCG": (metrics.psndcg_at_k, naive.psndcg)}
SEEDS = range(5)

# Row 0 hits at places 0 and 2, row 1 has no labels, row 2 hits at place 1 and has an empty place.
Y_SMALL = sp.csr_matrix([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
SMALL = TopK(
    np.array([[0, 3, 1], [0, 1, 2], [0, 2, -1]], np.int32),
    np.array([[3, 2, 1], [3, 2, 1], [3, 2, -np.inf]], np.float32),
)
LOG3 = 1 / np.log2(3)


@pytest.fixture(params=SEEDS)
def case(request):
    return random_case(np.random.default_rng(request.param))


def random_case(rng, n_rows=40, n_labels=9, k=6):
    """Truth with rows without labels, predictions with empty places, and a propensity."""
    Y = sp.csr_matrix(rng.random((n_rows, n_labels)) < rng.choice([0, 0.2, 0.6], size=(n_rows, 1)))
    labels = rng.permuted(np.tile(np.arange(n_labels, dtype=np.int32), (n_rows, 1)), axis=1)[:, :k]
    labels[rng.random((n_rows, k)) < rng.choice([0, 0.3, 1], size=(n_rows, 1))] = -1
    scores = np.where(labels < 0, -np.inf, -np.arange(k)).astype(np.float32)
    return Y, TopK(labels, scores), rng.uniform(0.05, 1, n_labels)


def random_hits(rng, n_rows=30, n_labels=9):
    Y, top, _ = random_case(rng, n_rows, n_labels)
    Y.sort_indices()
    indptr, indices = Y.indptr.astype(np.int64), Y.indices.astype(np.int32)
    starts = np.arange(n_rows + 1) * top.labels.shape[1]
    hits, _ = kernels.find_hits(indptr, indices, starts, top.labels.ravel(), n_labels)
    return indptr, indices, top.labels, hits.reshape(top.labels.shape)


def arrays_of(Y):
    return Y.indptr.astype(np.int64), Y.indices.astype(np.int32)


def as_probabilities(top):
    """The same labels with scores on a grid of 31, so that many lie on the edge of a bin."""
    grid = np.random.default_rng(19).integers(0, 31, top.scores.shape) / 30
    return TopK(top.labels, np.where(top.labels < 0, -np.inf, grid).astype(np.float32))


def as_sets(Y):
    return [set(np.flatnonzero(row)) for row in Y.toarray()]


def full_predictions(rng, n_rows=50, n_labels=12):
    """Truth, dense scores without ties and the same scores as CSR: what scikit-learn takes."""
    dense = rng.permuted(np.tile(np.linspace(0.01, 1, n_labels), (n_rows, 1)), axis=1)
    return rng.random((n_rows, n_labels)) < 0.3, dense, sp.csr_matrix(dense)


def binarised(dense, k):
    return dense >= np.sort(dense, axis=1)[:, [-k]]


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("name", PLAIN)
def test_metric_agrees_with_its_definition(case, name, k):
    Y, top, _ = case
    fast, slow = PLAIN[name]
    assert fast(Y, top, k) == pytest.approx(slow(as_sets(Y), top.labels.tolist(), k))


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("name", SCORED)
def test_propensity_metric_agrees_with_its_definition(case, name, k):
    Y, top, p = case
    fast, slow = SCORED[name]
    assert fast(Y, top, k, propensity=p) == pytest.approx(
        slow(as_sets(Y), top.labels.tolist(), k, p)
    )


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("average", metrics.AVERAGES)
def test_f1_agrees_with_its_definition(case, average, k):
    Y, top, _ = case
    got = metrics.f1_at_k(Y, top, k, average=average)
    assert got == pytest.approx(naive.f1(as_sets(Y), top.labels.tolist(), k, average))


@pytest.mark.parametrize("k", range(1, 7))
def test_macro_recall_agrees_with_its_definition(case, k):
    Y, top, _ = case
    got = metrics.recall_at_k(Y, top, k, average="macro")
    assert got == pytest.approx(naive.macro_recall(as_sets(Y), top.labels.tolist(), k))


@pytest.mark.parametrize("k", [1, 3, 12])
def test_ndcg_agrees_with_scikit_learn(k):
    Y, dense, P = full_predictions(np.random.default_rng(0))
    assert metrics.ndcg_at_k(Y, P, k) == pytest.approx(sklearn.metrics.ndcg_score(Y, dense, k=k))


@pytest.mark.parametrize("k", [1, 3, 12])
def test_precision_agrees_with_scikit_learn(k):
    Y, dense, P = full_predictions(np.random.default_rng(1))
    judge = sklearn.metrics.precision_score(
        Y, binarised(dense, k), average="samples", zero_division=0
    )
    assert metrics.precision_at_k(Y, P, k) == pytest.approx(judge)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_recall_agrees_with_scikit_learn_on_rows_with_labels(k):
    Y, dense, P = full_predictions(np.random.default_rng(2))
    Y[:5] = False
    has = Y.any(axis=1)
    judge = sklearn.metrics.recall_score(Y[has], binarised(dense, k)[has], average="samples")
    assert metrics.recall_at_k(Y, P, k) == pytest.approx(judge)


def test_recall_is_averaged_over_rows_or_labels():
    with pytest.raises(
        ParameterError, match="^recall_at_k: average must be 'samples' or 'macro', got 'micro'$"
    ):
        metrics.recall_at_k(EYE, EYE, 1, average="micro")


@pytest.mark.parametrize("k", [1, 3, 12])
@pytest.mark.parametrize("average", ["macro", "micro"])
def test_f1_agrees_with_scikit_learn_on_rows_and_labels_that_count(average, k):
    Y, dense, P = full_predictions(np.random.default_rng(3), n_rows=8, n_labels=12)
    Y[0] = False
    has, named = Y.any(axis=1), binarised(dense, k)
    seen = np.flatnonzero(Y[has].any(axis=0) | named[has].any(axis=0))
    judge = sklearn.metrics.f1_score(
        Y[has], named[has], labels=seen, average=average, zero_division=0
    )
    assert metrics.f1_at_k(Y, P, k, average=average) == pytest.approx(judge)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_f1_of_rows_agrees_with_scikit_learn_on_rows_with_labels(k):
    Y, dense, P = full_predictions(np.random.default_rng(17))
    Y[:5] = False
    has = Y.any(axis=1)
    judge = sklearn.metrics.f1_score(Y[has], binarised(dense, k)[has], average="samples")
    assert metrics.f1_at_k(Y, P, k, average="samples") == pytest.approx(judge)


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (metrics.precision_at_k, 1, 1 / 3),
        (metrics.precision_at_k, 3, 3 / 9),
        (metrics.recall_at_k, 1, (1 / 2 + 0) / 2),
        (metrics.recall_at_k, 3, 1.0),
        (metrics.ndcg_at_k, 1, 1 / 3),
        (metrics.ndcg_at_k, 3, ((1 + 1 / 2) / (1 + LOG3) + LOG3) / 3),
        (metrics.coverage_at_k, 1, 1 / 3),
        (metrics.coverage_at_k, 3, 1.0),
    ],
)
def test_small_example_by_hand(metric, k, expected):
    assert metric(Y_SMALL, SMALL, k) == pytest.approx(expected)


def test_f1_of_the_small_example_by_hand():
    # at 3, label: true, named, hit -> 0: 1, 2, 1   1: 1, 1, 1   2: 1, 1, 1   3: 0, 1, 0; row 1 is
    # left out
    assert metrics.f1_at_k(Y_SMALL, SMALL, 3) == pytest.approx((2 / 3 + 1 + 1 + 0) / 4)
    assert metrics.f1_at_k(Y_SMALL, SMALL, 3, average="micro") == pytest.approx(2 * 3 / (3 + 5))
    # row 0: 2 true, 3 named, 2 hit; row 2: 1 true, 2 named, 1 hit
    expected = (2 * 2 / (2 + 3) + 2 * 1 / (1 + 2)) / 2
    assert metrics.f1_at_k(Y_SMALL, SMALL, 3, average="samples") == pytest.approx(expected)


def test_propensity_metrics_of_the_small_example_by_hand():
    p = np.array([1, 0.5, 0.25, 0.1])
    reached, best = 1 + 0 + 2 / 2 + 4 * LOG3, 2 + 1 * LOG3 + 4
    assert metrics.psp_at_k(Y_SMALL, SMALL, 1, propensity=p) == pytest.approx(1 / (2 + 4))
    assert metrics.psp_at_k(Y_SMALL, SMALL, 3, propensity=p) == pytest.approx(7 / 7)
    assert metrics.psndcg_at_k(Y_SMALL, SMALL, 3, propensity=p) == pytest.approx(reached / best)


def test_perfect_predictions_score_one_at_most():
    rng = np.random.default_rng(4)
    Y = sp.csr_matrix(rng.random((200, 30)) < 0.2)
    p = rng.uniform(0.01, 1, 30)
    best_first = Y.multiply(1 / p).tocsr()
    assert metrics.ndcg_at_k(Y, best_first, 5) == pytest.approx(np.mean(Y.sum(axis=1) > 0))
    for k in range(1, 30):
        for metric in (metrics.psp_at_k, metrics.psndcg_at_k):
            assert 1 - 1e-12 < metric(Y, best_first, k, propensity=p) <= 1


def far_apart(case, width):
    """The same truth and predictions with very many labels."""
    Y, top, _ = case
    columns = np.sort(np.random.default_rng(3).choice(width, Y.shape[1], replace=False))
    Y = sp.csr_matrix((Y.data, columns[Y.indices].astype(np.int32), Y.indptr), (Y.shape[0], width))
    return Y, TopK(np.where(top.labels < 0, -1, columns[top.labels]).astype(np.int32), top.scores)


@pytest.mark.parametrize("per_row", [False, True])
def test_labels_with_large_numbers_are_measured_as_others_are(case, per_row):
    Y, top, _ = case
    wide, far = far_apart(case, INT32_MAX)
    p, far_p = metrics.propensities(Y), metrics.sparse_propensities(wide)
    for near, predictions in ((top, far), (top.to_csr(Y.shape[1]), far.to_csr(INT32_MAX))):
        expected = metrics.report(Y, near, (1, 3), p, per_row=per_row)
        found = metrics.report(wide, predictions, (1, 3), far_p, per_row=per_row)
        assert found.pop("n_labels", INT32_MAX) == INT32_MAX
        assert found.keys() == expected.keys() - {"n_labels"}
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert metrics.best_threshold(wide, far) == metrics.best_threshold(Y, top)


def test_propensities_of_very_many_labels_may_be_a_vector(case):
    Y, top = far_apart(case, 1 << 21)
    vector = metrics.report(Y, top, propensity=metrics.propensities(Y))
    assert vector == metrics.report(Y, top, propensity=metrics.sparse_propensities(Y))


def test_propensities_of_few_labels_may_be_sparse(case):
    Y, top, _ = case
    vector = metrics.report(Y, top, propensity=metrics.propensities(Y))
    assert vector == metrics.report(Y, top, propensity=metrics.sparse_propensities(Y))


def test_a_label_that_comes_twice_is_refused_whatever_its_number():
    Y, twice = (
        sp.csr_matrix((1, INT32_MAX), dtype=bool),
        TopK(np.full((1, 2), 10**9), np.ones((1, 2))),
    )
    with pytest.raises(DataError, match="expected each label once per row, row 0"):
        metrics.precision_at_k(Y, twice, 2)


@pytest.mark.parametrize(("true", "named"), [(5, 0), (0, 5), (10**9, 7), (7, INT32_MAX - 1)])
def test_far_labels_that_are_named_or_true_only_are_no_hits(true, named):
    Y = sp.csr_matrix(([True], ([0], [true])), (1, INT32_MAX))
    for label, hits in ((named, 0), (true, 1)):
        top = TopK(np.array([[label]]), np.ones((1, 1)))
        assert metrics.precision_at_k(Y, top, 1) == hits
        assert metrics.recall_at_k(Y, top, 1) == hits


def test_the_only_label_there_is_can_be_right():
    assert metrics.precision_at_k(np.ones((1, 1)), TopK(np.zeros((1, 1), int), np.ones((1, 1))), 1)


def test_sparse_propensities_are_the_propensities_of_all_labels(case):
    Y, _, _ = case
    Y = sp.csr_matrix(sp.hstack([np.zeros((Y.shape[0], 2)), Y, np.zeros((Y.shape[0], 3))]))
    for M in (Y, Y * 0):
        found = metrics.sparse_propensities(M, 0.5, 0.4)
        expected = metrics.propensities(M, 0.5, 0.4)
        np.testing.assert_array_equal(found.of(np.arange(M.shape[1])), expected)


@pytest.mark.parametrize("metric", [metrics.psp_at_k, metrics.psndcg_at_k])
def test_scale_of_propensity_does_not_matter(case, metric):
    Y, top, p = case
    assert metric(Y, top, 3, propensity=p / 7) == pytest.approx(metric(Y, top, 3, propensity=p))


def test_order_of_rows_does_not_matter(case):
    Y, top, p = case
    shuffled = np.random.default_rng(6).permutation(Y.shape[0])
    base = metrics.report(Y, top, (1, 3, 6), p)
    assert metrics.report(
        Y[shuffled], TopK(*(part[shuffled] for part in top)), (1, 3, 6), p
    ) == pytest.approx(base)


def test_names_of_labels_do_not_matter(case):
    Y, top, p = case
    new = np.random.default_rng(7).permutation(Y.shape[1])
    old = np.argsort(new)
    renamed = TopK(np.where(top.labels < 0, -1, new[top.labels]), top.scores)
    assert metrics.report(Y[:, old], renamed, (1, 6), p[old]) == pytest.approx(
        metrics.report(Y, top, (1, 6), p)
    )


def test_csr_and_topk_agree(case):
    Y, _, p = case
    rng = np.random.default_rng(8)
    P = sp.csr_matrix(rng.integers(0, 4, Y.shape).astype(np.float32))
    assert metrics.report(Y, P, (1, 6), p) == metrics.report(Y, TopK.from_csr(P, 6), (1, 6), p)


@pytest.mark.parametrize(
    "form", [sp.csr_array, sp.coo_matrix, sp.csc_matrix, sp.lil_matrix, sp.dok_matrix]
)
def test_form_of_sparse_matrices_does_not_matter(form):
    Y, dense, P = full_predictions(np.random.default_rng(9))
    assert metrics.report(form(Y.astype(int)), form(P)) == metrics.report(sp.csr_matrix(Y), P)


@pytest.mark.parametrize("form", [np.array, lambda Y: Y.astype(int).tolist(), lambda Y: Y * -0.5])
def test_form_of_dense_truth_does_not_matter(form):
    Y, _, P = full_predictions(np.random.default_rng(10))
    assert metrics.report(form(Y), P) == metrics.report(sp.csr_matrix(Y), P)


def test_equal_scores_keep_their_stored_order():
    Y = sp.csr_matrix([[0, 0, 1]])
    P = sp.csr_matrix((np.float32([1, 1, 1]), [2, 0, 1], [0, 3]), shape=(1, 3))
    assert metrics.precision_at_k(Y, P, 1) == 1
    assert P.indices.tolist() == [2, 0, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_best_is_best_whatever_the_type_of_scores(dtype):
    P = sp.csr_matrix(np.array([[1, 3, 2]], dtype))
    assert metrics.precision_at_k([[0, 1, 0]], P, 1) == 1


def test_stored_zeros_and_negative_scores_are_predictions():
    P = sp.csr_matrix((np.float32([0, -1]), [0, 1], [0, 2]), shape=(1, 2))
    assert metrics.precision_at_k([[1, 1]], P, 2) == 1


def test_stored_zeros_of_the_truth_are_not_labels():
    Y = sp.csr_matrix((np.float32([0, 1]), [0, 1], [0, 2]), shape=(1, 4))
    assert metrics.recall_at_k(Y, TopK(np.int32([[1]]), np.float32([[1]])), 1) == 1


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.coo_matrix])
def test_duplicates_of_the_truth_are_one_label(form):
    Y = form(sp.csr_matrix(([1, -1, 1], [1, 1, 2], [0, 3]), shape=(1, 3)))
    assert metrics.recall_at_k(Y, TopK(np.int32([[1]]), np.float32([[1]])), 1) == 0.5
    assert Y.nnz == 3


def test_true_labels_that_the_model_does_not_know_are_misses():
    Y = sp.csr_matrix([[1, 0, 1, 1]])
    assert metrics.recall_at_k(Y, sp.csr_matrix([[0.5, 0.1]]), 3) == pytest.approx(1 / 3)


def test_rows_without_labels_count_in_precision_and_not_in_recall():
    Y, P = sp.csr_matrix([[1, 0], [0, 0]]), sp.csr_matrix([[1.0, 0], [1.0, 0]])
    assert metrics.precision_at_k(Y, P, 1) == metrics.ndcg_at_k(Y, P, 1) == 0.5
    assert metrics.recall_at_k(Y, P, 1) == metrics.f1_at_k(Y, P, 1, average="micro") == 1


def test_truth_without_any_label_scores_zero():
    found = metrics.report(
        sp.csr_matrix((3, 5)), sp.csr_matrix(np.ones((3, 5))), propensity=np.ones(5)
    )
    assert {value for key, value in found.items() if "@" in key and key[:3] != "ECE"} == {0.0}
    assert found["ECE@1"] == 1  # it was sure of what wasn't true
    assert found["n_rows_without_labels"] == 3


def test_no_predictions_score_zero():
    found = metrics.report(sp.csr_matrix(np.eye(5)), sp.csr_matrix((5, 5)), propensity=np.ones(5))
    assert {value for key, value in found.items() if "@" in key} == {0.0}
    assert found["n_rows_without_predictions"] == 5


def test_inputs_are_not_changed_and_may_be_read_only(case):
    Y, top, p = case
    for part in (Y.data, Y.indices, Y.indptr, *top, p):
        part.flags.writeable = False
    assert metrics.report(Y, top, (1, 6), p) == metrics.report(
        Y.copy(), TopK(*(a.copy() for a in top)), (1, 6), p
    )


def test_report_holds_every_metric_in_percent(case):
    Y, top, p = case
    found = metrics.report(Y, top, (1, 4), p)
    for k in (1, 4):
        for name, (metric, _) in PLAIN.items():
            assert found[f"{name}@{k}"] == 100 * metric(Y, top, k)
        for name, (metric, _) in SCORED.items():
            assert found[f"{name}@{k}"] == pytest.approx(100 * metric(Y, top, k, propensity=p))
        for average, name in (("macro", "macro-F1"), ("micro", "micro-F1"), ("samples", "F1")):
            assert found[f"{name}@{k}"] == 100 * metrics.f1_at_k(Y, top, k, average=average)


def test_report_goes_by_metric_then_k_then_counts():
    Y, top, p = random_case(np.random.default_rng(11))
    top = as_probabilities(top)
    names = ["P", "nDCG", "R", "PSP", "PSnDCG", "F1", "coverage", "macro-F1", "micro-F1", "ECE"]
    counts = [
        "n_rows",
        "n_rows_without_labels",
        "n_rows_without_predictions",
        "n_labels",
        "n_labels_with_rows",
    ]
    assert (
        list(metrics.report(Y, top, (5, 1), p))
        == [f"{name}@{k}" for name in names for k in (5, 1)] + counts
    )
    assert not [name for name in metrics.report(Y, top) if name.startswith("PS")]


def test_report_counts_rows_and_labels():
    found = metrics.report(Y_SMALL, SMALL, np.array([1, 3]))
    counts = {name: value for name, value in found.items() if "@" not in name}
    assert counts == {
        "n_rows": 3,
        "n_rows_without_labels": 1,
        "n_rows_without_predictions": 0,
        "n_labels": 4,
        "n_labels_with_rows": 3,
    }


def test_report_is_plain_numbers():
    assert {
        type(value)
        for value in metrics.report(Y_SMALL, SMALL, np.array([1, 3]), np.ones(4)).values()
    } == {
        float,
        int,
    }


@pytest.mark.parametrize(("a", "b"), [(0.55, 1.5), (0.5, 0.4), (0.6, 2.6)])
def test_propensities_agree_with_their_definition(a, b):
    Y = sp.csr_matrix(np.random.default_rng(12).random((60, 7)) < [0, 0.01, 0.1, 0.3, 0.5, 0.9, 1])
    got = metrics.propensities(Y, a, b)
    assert got == pytest.approx(naive.propensities(as_sets(Y), 7, a, b))
    assert ((got > 0) & (got < 1)).all()


def test_propensities_by_hand():
    Y = sp.csr_matrix(np.ones((100, 1)))
    C = (np.log(100) - 1) * 2.5**0.55
    assert metrics.propensities(Y) == pytest.approx([1 / (1 + C / 101.5**0.55)])


def test_propensities_grow_with_the_number_of_rows_of_a_label():
    Y = sp.csr_matrix(np.tri(50))
    assert (np.diff(metrics.propensities(Y)) < 0).all()


@pytest.mark.parametrize("n_rows", [1, 2])
def test_propensities_of_one_or_two_rows_are_one(n_rows):
    assert metrics.propensities(np.eye(n_rows, 3)).tolist() == [1, 1, 1]


def test_find_hits_agrees_with_sets(case):
    Y, top, _ = case
    labels = top.labels.copy()
    labels[7, :2] = 3
    starts = np.arange(len(labels) + 1) * labels.shape[1]
    hits, repeated = kernels.find_hits(*arrays_of(Y), starts, labels.ravel(), Y.shape[1])
    expected, first = naive.find_hits(Y.indptr, Y.indices, starts, labels.ravel())
    assert hits.tolist() == expected
    assert repeated == first == 7


@pytest.mark.parametrize("n_rows", [0, 1, 30])
def test_find_hits_takes_rows_of_different_lengths(n_rows):
    rng = np.random.default_rng(18)
    Y, P = (sp.random(n_rows, 9, 0.4, "csr", random_state=rng) for _ in "YP")
    hits, repeated = kernels.find_hits(*arrays_of(Y), *arrays_of(P), 9)
    expected = naive.find_hits(Y.indptr, Y.indices, P.indptr, P.indices)
    assert (hits.tolist(), repeated) == expected


@pytest.mark.parametrize("n_rows", [0, 1, 30])
def test_row_gains_agree_with_a_plain_sum(n_rows):
    *_, hits = random_hits(np.random.default_rng(13), n_rows)
    discounts = np.array([1, 0.7, 0.4])
    assert kernels.row_gains(hits, discounts) == pytest.approx(naive.row_gains(hits, discounts))


@pytest.mark.parametrize("n_rows", [0, 1, 30])
def test_place_gains_agree_with_a_plain_sum(n_rows):
    rng = np.random.default_rng(14)
    _, _, labels, hits = random_hits(rng, n_rows)
    weights = rng.random(9)
    gains = np.arange(hits.shape[1], dtype=np.float64)
    kernels.add_place_gains(labels, hits, weights, gains)
    added = gains - np.arange(len(gains))
    assert added == pytest.approx(naive.place_gains(labels, hits, weights))


@pytest.mark.parametrize("n_rows", [0, 1, 30])
def test_best_place_gains_agree_with_sorting(n_rows):
    rng = np.random.default_rng(15)
    indptr, indices, *_ = random_hits(rng, n_rows)
    weights = rng.random(9)
    gains = np.arange(4, dtype=np.float64)
    kernels.add_best_place_gains(indptr, indices, weights, gains)
    added = gains - np.arange(4)
    assert added == pytest.approx(naive.best_place_gains(indptr, indices, weights, 4))


@pytest.mark.parametrize("n_rows", [0, 1, 30])
def test_count_labels_agrees_with_counting(n_rows):
    indptr, _, labels, hits = random_hits(np.random.default_rng(16), n_rows)
    named, hit = kernels.count_labels(indptr, labels, hits, 4, 9)
    assert (named.tolist(), hit.tolist()) == naive.count_labels(indptr, labels, hits, 4, 9)


EYE = sp.csr_matrix(np.eye(3))
TOP = TopK(np.int32([[0, 1], [1, 2], [2, 0]]), np.float32([[2, 1]] * 3))


@pytest.mark.parametrize("k", [0, -1, 4, 2.0, "2", None, True])
def test_k_must_be_a_number_of_labels(k):
    with pytest.raises(
        ParameterError,
        match="^precision_at_k: k must be an int from 1 to 3, the number of labels, got ",
    ):
        metrics.precision_at_k(EYE, TOP, k)


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        ([1, 0, 1], "expected Y_true to be a 2-D numeric matrix, got 1-D int64"),
        ([["a"], ["b"], ["c"]], "expected Y_true to be a 2-D numeric matrix, got 2-D <U1"),
        (
            [[1, 2], [1]],
            "expected Y_true to be a 2-D numeric matrix, got rows of different lengths",
        ),
        (
            sp.csr_matrix((0, 3)),
            "expected at least one row and one column in Y_true, got shape (0, 3)",
        ),
        (
            [[1, 0, 1], [0, 1, np.nan], [1, 1, 1]],
            "expected finite values in Y_true, got NaN in row 1, column 2 (counted from 0)",
        ),
        (
            sp.csc_matrix([[1, 0, 1], [0, 1, np.inf], [1, 1, 1]]),
            "expected finite values in Y_true, got inf in row 1, column 2 (counted from 0)",
        ),
        (np.eye(4), "Y_true has 4 rows, predictions have 3"),
        (np.eye(3, 2), "Y_true has 2 labels, predictions name label 2"),
    ],
)
def test_wrong_truth_is_refused(Y, message):
    with pytest.raises(DataError) as error:
        metrics.recall_at_k(Y, TOP, 2)
    assert str(error.value) == f"recall_at_k: {message}"


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (np.eye(3), "predictions must be a TopK or a sparse matrix, got ndarray"),
        (sp.csr_matrix(np.eye(3) * 1j), "Complex data not supported in predictions"),
        (sp.csr_matrix((2, 3)), "Y_true has 3 rows, predictions have 2"),
        (sp.csr_matrix((3, 4)), "Y_true has 3 labels, predictions have 4"),
        (sp.csr_matrix([[np.nan, 1, 2]] * 3), "scores of predictions must not be NaN"),
        (
            sp.csr_matrix((np.ones(6), [0, 1, 1, 1, 0, 1], [0, 2, 4, 6]), shape=(3, 3)),
            "expected each label once per row, row 1 of predictions has one twice",
        ),
        (
            TopK(TOP.labels, TOP.scores[:, :1]),
            "labels and scores must be 2-D and alike, got (3, 2) and (3, 1)",
        ),
        (
            TopK(TOP.labels[0], TOP.scores[0]),
            "labels and scores must be 2-D and alike, got (2,) and (2,)",
        ),
        (TopK([[0], [1, 2]], TOP.scores), "labels must be an array of numbers, got list"),
        (
            TopK(TOP.scores, TOP.scores),
            "labels must be ints and scores numbers, got float32 and float32",
        ),
        (TopK(TOP.labels, TOP.scores * np.nan), "scores of predictions must not be NaN"),
        (TopK(TOP.labels[:2], TOP.scores[:2]), "Y_true has 3 rows, predictions have 2"),
        (
            TopK(TOP.labels[:, :1], TOP.scores[:, :1]),
            "expected 2 places per row, got predictions with 1; predict with k=2",
        ),
        (TopK(TOP.labels + 2000, TOP.scores), "Y_true has 3 labels, predictions name label 2,002"),
        (TopK(TOP.labels - 2, TOP.scores), "Y_true has 3 labels, predictions name label -2"),
        (
            TopK([[-1, 3]] * 3, TOP.scores),
            "Y_true has 3 labels, predictions name label 3",
        ),
        (TopK(TOP.labels, [[0], [1, 2]]), "scores must be an array of numbers, got list"),
        (
            TopK(TOP.labels, TOP.scores * 1j),
            "labels must be ints and scores numbers, got int32 and complex64",
        ),
        (
            TopK(TOP.labels.astype(bool), TOP.scores),
            "labels must be ints and scores numbers, got bool and float32",
        ),
        (
            TopK(TOP.labels * 0, TOP.scores),
            "expected each label once per row, row 0 of predictions has one twice",
        ),
    ],
)
def test_wrong_predictions_are_refused(predictions, message):
    with pytest.raises(DataError) as error:
        metrics.ndcg_at_k(EYE, predictions, 2)
    assert str(error.value) == f"ndcg_at_k: {message}"


@pytest.mark.parametrize(
    ("propensity", "message"),
    [
        (None, "propensity must be a vector of numbers, got 0-D of object"),
        (np.ones((3, 1)), "propensity must be a vector of numbers, got 2-D of float64"),
        (np.ones(2), "Y_true has 3 labels, propensity has 2"),
        (metrics.sparse_propensities(np.eye(4)), "Y_true has 3 labels, propensity has 4"),
        (np.ones(4), "Y_true has 3 labels, propensity has 4"),
        (np.array([1, 0, 0.5]), "propensity must be above 0 and at most 1, got 0.0"),
        (np.array([1, np.nan, 0.5]), "propensity must be above 0 and at most 1, got nan"),
        (np.array([1, 12.5, 0.5]), "propensity must be above 0 and at most 1, got 12.5"),
        (np.array([1, 1.5, 0.5]), "propensity must be above 0 and at most 1, got 1.5"),
        ([[1], [1, 0.5]], "propensity must be an array of numbers, got list"),
    ],
)
@pytest.mark.parametrize("metric", [metrics.psp_at_k, metrics.psndcg_at_k])
def test_wrong_propensity_is_refused(metric, propensity, message):
    with pytest.raises(DataError) as error:
        metric(EYE, TOP, 2, propensity=propensity)
    assert str(error.value) == f"{metric.__name__}: {message}"


def test_average_must_be_macro_or_micro():
    with pytest.raises(
        ParameterError,
        match="^f1_at_k: average must be 'macro', 'micro' or 'samples', got 'weighted'$",
    ):
        metrics.f1_at_k(EYE, TOP, 2, average="weighted")


@pytest.mark.parametrize("ks", [3, (), None])
def test_report_needs_a_sequence_of_ks(ks):
    with pytest.raises(ParameterError, match="^report: ks must be a sequence of ints, got "):
        metrics.report(EYE, TOP, ks)


def test_report_checks_each_k():
    with pytest.raises(
        ParameterError, match="^report: k must be an int from 1 to 3, the number of labels, got 0$"
    ):
        metrics.report(EYE, TOP, (0, 2))


@pytest.mark.parametrize("a", [-0.1, np.nan, np.inf, "1", None])
def test_propensities_refuse_a(a):
    with pytest.raises(ParameterError, match="^propensities: a must be a number >= 0, got "):
        metrics.propensities(EYE, a=a)


@pytest.mark.parametrize("wrong", [{"a": 11}, {"a": 1e308}, {"b": 1e-9}, {"b": 1e7}])
def test_propensities_refuse_what_overflows(wrong):
    said = "^propensities: a must be at most 10 and b from 0.001 to 1e.06, got "
    with pytest.raises(ParameterError, match=said):
        metrics.propensities(EYE, **wrong)


@pytest.mark.parametrize("b", [0, -1, np.nan, np.inf, "1", True])
def test_propensities_refuse_b(b):
    with pytest.raises(ParameterError, match="^propensities: b must be a number > 0, got "):
        metrics.propensities(EYE, b=b)


def test_propensities_refuse_no_rows():
    with pytest.raises(
        DataError, match="^propensities: expected at least one row and one column in Y_train, "
    ):
        metrics.propensities(sp.csr_matrix((0, 3)))


def gain_of_row(true, row, p, discounts):
    places = zip(row, discounts, strict=False)
    return sum(discount / p[label] for label, discount in places if label in true)


@pytest.mark.parametrize("k", range(1, 7))
def test_rows_agree_with_their_definition(case, k):
    Y, top, p = case
    found = metrics.report(Y, top, [k], p, per_row=True)
    discounts = {"PSP": np.ones(k), "PSnDCG": 1 / np.log2(np.arange(2, k + 2))}
    for i, (true, row) in enumerate(zip(as_sets(Y), top.labels.tolist(), strict=True)):
        one = [true], [row]
        assert found[f"P@{k}"][i] == pytest.approx(100 * naive.precision(*one, k))
        assert found[f"nDCG@{k}"][i] == pytest.approx(100 * naive.ndcg(*one, k))
        for name, slow in (("R", naive.recall), ("F1", naive.f1_of_rows)):
            share = 100 * slow(*one, k) if true else np.nan
            assert found[f"{name}@{k}"][i] == pytest.approx(share, nan_ok=True)
        rarest = sorted(true, key=lambda label: p[label])
        for name, discount in discounts.items():
            gain, ideal = (gain_of_row(true, labels, p, discount) for labels in (row, rarest))
            assert found[f"{name}-gain@{k}"][i] == pytest.approx(gain)
            assert found[f"{name}-ideal@{k}"][i] == pytest.approx(ideal)


def aggregated(rows, ks):
    """The figures of a report from the contributions of its rows."""

    def ratio(name, k):
        ideal = rows[f"{name}-ideal@{k}"].sum()
        return 100 * rows[f"{name}-gain@{k}"].sum() / ideal if ideal else 0.0

    def mean(values):
        return values.mean() if len(values) else 0.0

    shares = {f"{name}@{k}": rows[f"{name}@{k}"] for name in ("P", "nDCG", "R", "F1") for k in ks}
    means = {name: mean(share[~np.isnan(share)]) for name, share in shares.items()}
    return means | {f"{name}@{k}": ratio(name, k) for name in ("PSP", "PSnDCG") for k in ks}


def without_labels(Y, top, p):
    return sp.csr_matrix(Y.shape), top, p


def without_predictions(Y, top, p):
    return Y, TopK(np.full_like(top.labels, -1), np.full_like(top.scores, -np.inf)), p


def one_row(Y, top, p):
    return Y[:1], TopK(top.labels[:1], top.scores[:1]), p


@pytest.mark.parametrize(
    "change", [lambda *case: case, without_labels, without_predictions, one_row]
)
def test_rows_add_up_to_the_report(case, change):
    Y, top, p = change(*case)
    ks = (1, 3, 6)
    rows = metrics.report(Y, top, ks, p, per_row=True)
    expected = metrics.report(Y, top, ks, p)
    names = [name for name in expected if name.startswith(("P", "nDCG", "R", "F1"))]
    got = aggregated(rows, ks)
    assert {name: got[name] for name in names} == pytest.approx({n: expected[n] for n in names})


def test_rows_are_arrays_by_metric_then_k(case):
    Y, top, p = case
    found = metrics.report(Y, top, (5, 1), p, per_row=True)
    names = ["P", "nDCG", "R", "F1", "PSP-gain", "PSP-ideal", "PSnDCG-gain", "PSnDCG-ideal"]
    assert list(found) == [f"{name}@{k}" for name in names for k in (5, 1)]
    assert {(a.shape, a.dtype.str) for a in found.values()} == {((Y.shape[0],), "<f8")}
    assert list(metrics.report(Y, top, [1], per_row=True)) == ["P@1", "nDCG@1", "R@1", "F1@1"]


@pytest.mark.parametrize("propensity", [None, np.ones(2)])
def test_rows_are_checked_as_the_report_is(propensity):
    wrong = {"ks": (0,)} if propensity is None else {"ks": (1,), "propensity": propensity}
    with pytest.raises(ValueError) as of_report:
        metrics.report(EYE, TOP, **wrong)
    with pytest.raises(ValueError) as of_rows:
        metrics.report(EYE, TOP, **wrong, per_row=True)
    assert str(of_rows.value) == str(of_report.value)


@pytest.mark.parametrize("k", range(1, 7))
def test_ece_agrees_with_its_definition(case, k):
    Y, top, _ = case
    top = as_probabilities(top)
    expected = naive.ece(as_sets(Y), top.labels.tolist(), top.scores, k)
    assert metrics.ece_at_k(Y, top, k) == pytest.approx(expected)
    assert metrics.report(Y, top, (1, k))[f"ECE@{k}"] == metrics.ece_at_k(Y, top, k)


@pytest.mark.parametrize("n_bins", [1, 4, 15])
def test_reliability_agrees_with_its_definition(case, n_bins):
    Y, top, _ = case
    top = as_probabilities(top)
    got = metrics.reliability(Y, top, 5, n_bins)
    bins = naive.reliability(as_sets(Y), top.labels.tolist(), top.scores, 5, n_bins)
    assert got.counts.tolist() == [len(pairs) for pairs in bins]
    means = [np.mean(pairs, axis=0) if pairs else [np.nan, np.nan] for pairs in bins]
    assert np.allclose(np.transpose([got.mean_scores, got.true_shares]), means, equal_nan=True)


@pytest.mark.parametrize("n_bins", [3, 15])
def test_reliability_agrees_with_scikit_learn(n_bins):
    rng = np.random.default_rng(20)
    dense = rng.integers(0, 31, (200, 12)).astype(np.float32) / 30
    Y, P = rng.random(dense.shape) < dense**2, stored(dense)
    got = metrics.reliability(Y, P, 12, n_bins)
    shares, means = calibration_curve(Y.ravel(), dense.ravel(), n_bins=n_bins)
    filled = got.counts > 0
    assert got.true_shares[filled] == pytest.approx(shares)
    assert got.mean_scores[filled] == pytest.approx(means)
    gaps = got.counts[filled] / dense.size * np.abs(shares - means)
    if n_bins == metrics.N_BINS:
        assert metrics.ece_at_k(Y, P, 12) == pytest.approx(gaps.sum())


def stored(dense):
    """Sparse, and what is 0 is stored, too."""
    n_rows, n_labels = dense.shape
    starts = np.arange(n_rows + 1) * n_labels
    labels = np.tile(np.arange(n_labels), n_rows)
    return sp.csr_matrix((dense.ravel(), labels, starts), shape=dense.shape)


def test_ece_by_hand():
    # 0.95 hits and 0.97 does not, in one bin; 0.5 hits, alone; the last place is empty.
    labels, scores = np.int32([[0, 1], [2, -1]]), np.float32([[0.95, 0.5], [0.97, -np.inf]])
    Y = [[1, 1, 0], [1, 0, 0]]
    expected = 2 / 3 * abs(0.96 - 1 / 2) + 1 / 3 * abs(0.5 - 1)
    assert metrics.ece_at_k(Y, TopK(labels, scores), 2) == pytest.approx(expected)
    assert metrics.ece_at_k(Y, TopK(labels, scores), 1) == pytest.approx(0.46)


def test_ece_of_probabilities_that_are_right_is_small_and_of_others_their_gap():
    rng = np.random.default_rng(21)
    p = rng.random((4000, 5)) ** 2
    Y = rng.random(p.shape) < p
    assert metrics.ece_at_k(Y, stored(p), 5) < 0.015
    assert metrics.ece_at_k(Y, stored(np.minimum(p + 0.2, 1)), 5) > 0.12


def test_ece_takes_the_same_scores_as_topk_and_csr(case):
    Y, top, _ = case
    P = as_probabilities(top).to_csr(Y.shape[1])
    assert metrics.ece_at_k(Y, P, 4) == metrics.ece_at_k(Y, TopK.from_csr(P, 4), 4)


def test_scores_of_zero_and_one_are_in_the_outer_bins():
    got = metrics.reliability([[1, 0]], TopK(np.int32([[0, 1]]), np.float32([[1, 0]])), 2)
    assert got.counts.tolist() == [1, *[0] * 13, 1]
    assert (got.true_shares[0], got.true_shares[14]) == (0, 1)


def test_ece_of_no_predictions_is_zero():
    assert metrics.ece_at_k(EYE, sp.csr_matrix((3, 3)), 2) == 0


@pytest.mark.parametrize(
    ("score", "shown"), [(1.0000001, "1.0000001"), (-0.25, "-0.25"), (np.inf, "inf")]
)
def test_scores_that_are_no_probabilities_have_no_ece(score, shown):
    P = sp.csr_matrix((np.float32([0.5, 0.5, score]), [0, 1, 2], [0, 1, 2, 3]), shape=(3, 3))
    for metric in (metrics.ece_at_k, metrics.reliability):
        with pytest.raises(DataError) as error:
            metric(EYE, P, 1)
        expected = f"scores of predictions must be from 0 to 1, got {shown} in row 2"
        assert str(error.value) == f"{metric.__name__}: {expected}"
    found = metrics.report(EYE, P, [1])
    assert found["P@1"] == 100
    assert not [name for name in found if name.startswith("ECE")]


def test_scores_beyond_k_may_be_no_probabilities():
    top = TopK(np.int32([[0, 1]]), np.float32([[0.75, -3]]))
    assert metrics.ece_at_k([[1, 0]], top, 1) == 0.25
    assert [name for name in metrics.report([[1, 0]], top, (1, 2)) if "ECE" in name] == []


@pytest.mark.parametrize("n_bins", [0, -1, 2.0, True, None])
def test_reliability_refuses_bins(n_bins):
    with pytest.raises(ParameterError) as error:
        metrics.reliability(EYE, TOP, 1, n_bins)
    assert str(error.value) == f"reliability: n_bins must be an int >= 1, got {n_bins!r}"


def test_a_row_whose_only_label_the_model_does_not_know_counts_as_missed():
    # Label 3 is in no column of P. Row 0 hits in both places and misses label 3, row 1 has only 3.
    Y = sp.csr_matrix([[1, 1, 0, 1], [0, 0, 0, 1]])
    P = sp.csr_matrix(np.float32([[0.9, 0.8, 0], [0, 0, 0.7]]))
    found = metrics.report(Y, P, (2,), np.array([1, 1, 1, 0.25]))
    assert found["P@2"] == 100 * 2 / 4
    assert found["R@2"] == pytest.approx(100 * (2 / 3 + 0) / 2)
    assert found["F1@2"] == pytest.approx(100 * (2 * 2 / (3 + 2) + 0) / 2)
    assert found["nDCG@2"] == pytest.approx(100 * (1 + 0) / 2)
    assert found["PSP@2"] == pytest.approx(100 * (1 + 1) / (4 + 1 + 4))
    assert (found["n_labels"], found["n_rows_without_labels"]) == (4, 0)


P_OF_EYE = {"propensity": np.ones(3)}
DOORS = [
    (metrics.precision_at_k, {}),
    (metrics.recall_at_k, {}),
    (metrics.ndcg_at_k, {}),
    (metrics.psp_at_k, P_OF_EYE),
    (metrics.psndcg_at_k, P_OF_EYE),
    (metrics.coverage_at_k, {}),
    (metrics.f1_at_k, {}),
    (metrics.ece_at_k, {}),
    (metrics.reliability, {}),
]


@pytest.mark.parametrize(("metric", "settings"), DOORS)
def test_every_metric_begins_its_errors_with_its_name(metric, settings):
    said = f"^{metric.__name__}: Y_true has 3 rows, predictions have 2$"
    with pytest.raises(DataError, match=said):
        metric(EYE, sp.csr_matrix((2, 3)), 1, **settings)


@pytest.mark.parametrize("per_row", [False, True])
def test_a_report_begins_its_errors_with_its_name(per_row):
    with pytest.raises(DataError, match="^report: Y_true has 3 rows, predictions have 2$"):
        metrics.report(EYE, sp.csr_matrix((2, 3)), (1,), per_row=per_row)
    with pytest.raises(DataError, match="^report: Y_true has 3 labels, propensity has 2$"):
        metrics.report(EYE, TOP, (1, 2), np.ones(2), per_row=per_row)


def test_a_report_has_the_ece_of_each_k(case):
    Y, top, _ = case
    top = as_probabilities(top)
    found = metrics.report(Y, top, (1, 6))
    for k in (1, 6):
        cut = TopK(top.labels[:, :k], top.scores[:, :k])
        assert found[f"ECE@{k}"] == metrics.ece_at_k(Y, cut, k)


def test_no_share_is_above_one_by_rounding():
    p = np.array([0.2, 0.5, 0.6])
    worst_first = TopK(np.int32([[2, 1, 0]]), np.float32([[3, 2, 1]]))
    assert sum(1 / p[::-1]) > sum(1 / p)
    assert metrics.psp_at_k([[1, 1, 1]], worst_first, 3, propensity=p) == 1


@pytest.mark.filterwarnings("error")
def test_rows_without_labels_or_predictions_warn_of_nothing():
    found = metrics.report(sp.csr_matrix((3, 3)), sp.csr_matrix((3, 3)), (1, 3), np.ones(3))
    assert {value for name, value in found.items() if "@" in name} == {0.0}
    metrics.report(sp.csr_matrix((3, 3)), sp.csr_matrix((3, 3)), (1, 3), np.ones(3), per_row=True)


@pytest.mark.filterwarnings("error")
def test_bins_without_scores_have_no_means():
    top = TopK(np.int32([[0, 1]]), np.float32([[0.9495, 0.1495]]))
    found = metrics.reliability([[1, 0]], top, 2, 1000)
    filled = np.flatnonzero(found.counts)
    assert filled.tolist() == [149, 949]
    for means in (found.mean_scores, found.true_shares):
        assert np.flatnonzero(~np.isnan(means)).tolist() == filled.tolist()


def test_the_first_label_is_a_prediction_as_any_other():
    first = TopK(np.int32([[0], [-1]]), np.float32([[1.5], [7]]))
    assert metrics.report(np.eye(2), first, [1])["n_rows_without_predictions"] == 1
    with pytest.raises(DataError, match="must be from 0 to 1, got 1.5 in row 0$"):
        metrics.ece_at_k(np.eye(2), first, 1)
