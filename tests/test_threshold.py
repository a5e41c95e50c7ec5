import naive_metrics as naive
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import f1_score, precision_recall_curve

from xmc import metrics
from xmc.errors import DataError, ParameterError
from xmc.threshold import best_threshold, best_threshold_of
from xmc.topk import TopK


def candidates(seed, n=40, n_scores=12):
    """Scores with ties, which of them are true, and how many true labels there are."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_scores, n).astype(np.float32) / n_scores
    is_true = rng.random(n) < scores
    return scores, is_true, int(is_true.sum() + rng.integers(0, 20))


def scored(seed, n_rows=30, n_labels=8):
    """Truth with labels that are no candidates, and candidates of different numbers."""
    rng = np.random.default_rng(seed)
    P = sp.random(n_rows, n_labels, 0.4, "csr", random_state=rng, dtype=np.float32)
    return sp.csr_matrix(rng.random(P.shape) < 0.1 + 0.7 * P.toarray()), P


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_is_better(seed):
    scores, is_true, n_true = candidates(seed)
    expected = naive.best_threshold(scores, is_true, n_true)
    assert best_threshold_of(scores, is_true, n_true) == expected


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_few_candidates_are_no_exception(n, seed):
    scores, is_true, n_true = candidates(seed, n)
    expected = naive.best_threshold(scores, is_true, n_true)
    assert best_threshold_of(scores, is_true, n_true) == expected


@pytest.mark.parametrize("seed", range(5))
def test_threshold_of_matrices_agrees_with_scikit_learn(seed):
    Y, P = scored(seed)
    true, scores = Y.toarray().ravel(), P.toarray().ravel()
    precision, recall, thresholds = precision_recall_curve(true, scores)
    total = np.maximum(precision + recall, 1e-12)
    f1 = (2 * precision * recall / total)[:-1][thresholds > 0]  # what isn't stored has score 0
    kept = scores >= best_threshold(Y, P)
    assert f1_score(true, kept) == pytest.approx(f1.max())


@pytest.mark.parametrize("average", ["samples", "macro"])
@pytest.mark.parametrize("seed", range(8))
def test_no_threshold_is_better_on_average(seed, average):
    Y, P = scored(seed)
    if seed % 2:  # labels that are never true, the first and the last among them
        Y = sp.csr_matrix(Y.toarray() & (np.arange(8) % 3 == 1))
    P.data = np.round(P.data * 12) / 12 + np.float32(0.01)  # with ties

    def f1(threshold):
        kept = P.toarray() >= threshold
        if average == "samples":
            some = Y.getnnz(axis=1) > 0
            return f1_score(Y.toarray()[some], kept[some], average=average, zero_division=0)
        named = (Y.toarray() | kept).any(axis=0)
        own = Y.toarray()[:, named], kept[:, named]
        return f1_score(*own, average=average, zero_division=0)

    tried = [*np.unique(P.data)]
    best = max(map(f1, tried))
    found = best_threshold(Y, P, average)
    assert f1(found) == pytest.approx(best)
    assert found == max(t for t in tried if f1(t) > best - 1e-9)


def test_an_unknown_average_is_refused():
    with pytest.raises(
        ParameterError, match="best_threshold: average must be one of 'macro', 'micro', 'samples',"
    ):
        best_threshold(np.eye(2), sp.csr_matrix(np.eye(2)), "weighted")


def test_without_a_hit_nothing_is_kept_on_any_average():
    for average in ("macro", "micro", "samples"):
        assert best_threshold([[0, 1]], sp.csr_matrix([[0.5, 0.0]]), average) == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64])
def test_the_threshold_keeps_exactly_the_best_set(dtype):
    P = sp.csr_matrix((np.array([5, 9, 3, 7], dtype), [0, 1, 0, 1], [0, 2, 4]), shape=(2, 3))
    P.data = P.data / np.array(3, P.dtype) if P.dtype.kind == "f" else P.data
    threshold = best_threshold([[1, 1, 0], [0, 1, 1]], P)  # 9, 7 and 5 are true, 3 is not
    assert (P.data >= threshold).tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("is_true", "n_true", "expected"),
    [
        ([1, 1, 1, 0, 0], 5, 0.5),  # 2 * 3 / (4 + 5) > 2 * 2 / (2 + 5): the tie stays together
        ([1, 1, 0, 0, 1], 3, 0.8),  # 2 * 2 / (2 + 3) > 2 * 3 / (5 + 3)
        ([1, 1, 0, 0, 1], 8, 0.1),  # 2 * 3 / (5 + 8) > 2 * 2 / (2 + 8): 5 are no candidates
    ],
)
def test_by_hand(is_true, n_true, expected):
    scores = np.float32([0.9, 0.8, 0.5, 0.5, 0.1])
    assert best_threshold_of(scores, np.bool_(is_true), n_true) == np.float32(expected)


def test_of_equally_good_thresholds_the_highest_is_taken():
    scores, is_true = np.float32([0.9, 0.6, 0.5, 0.3]), np.bool_([True, False, False, True])
    assert 2 * 1 / (1 + 2) == 2 * 2 / (4 + 2)
    assert best_threshold_of(scores, is_true, 2) == np.float32(0.9)


def test_nothing_is_kept_if_no_candidate_is_true():
    assert best_threshold([[0, 0], [0, 1]], sp.csr_matrix(np.float32([[0.9, 0.2], [0, 0]]))) == (
        np.inf
    )
    assert best_threshold([[0, 1]], sp.csr_matrix((1, 2))) == np.inf


def test_order_of_candidates_does_not_matter():
    scores, is_true, n_true = candidates(3)
    shuffled = np.random.default_rng(0).permutation(len(scores))
    assert best_threshold_of(scores[shuffled], is_true[shuffled], n_true) == best_threshold_of(
        scores, is_true, n_true
    )


def test_labels_that_the_model_does_not_know_count():
    P = sp.csr_matrix(np.float32([[0.9, 0.5], [0.4, 0.3]]))
    # 2 * 1 / (1 + 2) of the best one, and as much of all four: 2 * 2 / (4 + 2)
    assert best_threshold([[1, 0], [0, 1]], P) == np.float32(0.9)
    # 2 * 1 / (1 + 4) < 2 * 2 / (4 + 4)
    assert best_threshold([[1, 0, 1], [0, 1, 1]], P) == np.float32(0.3)


def test_topk_and_matrix_agree():
    Y, P = scored(6)
    top = TopK.from_csr(P, P.shape[1])
    assert (top.labels < 0).any()
    assert best_threshold(Y, top) == best_threshold(Y, P)


def test_inputs_are_not_changed_and_may_be_read_only():
    Y, P = scored(7)
    for part in (Y.data, Y.indices, Y.indptr, P.data, P.indices, P.indptr):
        part.flags.writeable = False
    assert best_threshold(Y, P) == best_threshold(Y.copy(), P.copy())


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (np.eye(3).tolist(), "predictions must be a TopK or a sparse matrix, got list"),
        (
            TopK(np.eye(3, dtype=int), np.eye(3)[:2]),
            ("labels and scores must be 2-D and alike, got (3, 3) and (2, 3)"),
        ),
        (TopK(np.int32([[0]] * 2), np.float32([[1]] * 2)), "Y_true has 3 rows, predictions have 2"),
        (np.eye(3), "predictions must be a TopK or a sparse matrix, got ndarray"),
        (sp.csr_matrix((2, 3)), "Y_true has 3 rows, predictions have 2"),
        (sp.csr_matrix((3, 4)), "Y_true has 3 labels, predictions have 4"),
        (sp.csr_matrix([[np.nan, 1, 2]] * 3), "scores of predictions must not be NaN"),
        (
            sp.csr_matrix((np.ones(3), [0, 1, 1], [0, 1, 3, 3]), shape=(3, 3)),
            "expected each label once per row, row 1 of predictions has one twice",
        ),
        (
            TopK(np.int32([[3]] * 3), np.float32([[1]] * 3)),
            "Y_true has 3 labels, predictions name label 3",
        ),
    ],
)
def test_wrong_predictions_are_refused(predictions, message):
    with pytest.raises(DataError) as error:
        best_threshold(np.eye(3), predictions)
    assert str(error.value) == f"best_threshold: {message}"


def test_wrong_truth_is_refused_by_its_name():
    with pytest.raises(DataError) as error:
        best_threshold([1, 0], sp.csr_matrix((2, 3)))
    assert str(error.value) == (
        "best_threshold: expected Y_true to be a 2-D numeric matrix, got 1-D int64"
    )


def test_predictions_without_places_name_no_label():
    none = TopK(np.empty((2, 0), np.int32), np.empty((2, 0), np.float32))
    assert best_threshold(np.eye(2), none) == np.inf


def test_metrics_has_them_too():
    assert metrics.best_threshold is best_threshold
    assert metrics.best_threshold_of is best_threshold_of
