import numpy as np
import pytest
import scipy.sparse as sp

from xmc import DataError, LabelTreeClassifier, ParameterError, TopK, metrics
from xmc.topk import check_k

NONE = -np.inf


def rows(*rows, n_labels=6, dtype=np.float32):
    """CSR whose rows hold these (label, score) pairs in this order."""
    labels = [label for row in rows for label, _ in row]
    scores = np.array([score for row in rows for _, score in row], dtype)
    return sp.csr_matrix(
        (scores, labels, np.cumsum([0, *map(len, rows)])), shape=(len(rows), n_labels)
    )


def test_it_unpacks_into_labels_and_scores():
    labels, scores = TopK(np.array([[1]]), np.array([[0.5]]))
    assert (labels.tolist(), scores.tolist()) == ([[1]], [[0.5]])


def test_the_best_k_come_first_and_empty_places_are_marked():
    top = TopK.from_csr(rows([(0, 0.1), (1, 0.9), (5, 0.5)], [], [(3, 0.2)]), 2)
    assert top.labels.tolist() == [[1, 5], [-1, -1], [3, -1]]
    assert top.scores.tolist() == [[np.float32(0.9), 0.5], [NONE, NONE], [np.float32(0.2), NONE]]


def test_labels_are_int32_and_scores_float32():
    top = TopK.from_csr(rows([(1, 0.5)], dtype=np.float64), 3)
    assert (top.labels.dtype, top.scores.dtype) == (np.int32, np.float32)
    assert top.labels.shape == top.scores.shape == (1, 3)


def test_equal_scores_keep_their_stored_order():
    top = TopK.from_csr(rows([(4, 0.5), (2, 0.5), (5, 0.7), (0, 0.5)]), 4)
    assert top.labels.tolist() == [[5, 4, 2, 0]]


def test_stored_zeros_and_negative_scores_are_predictions():
    top = TopK.from_csr(rows([(4, 0.0), (2, -1.0)]), 3)
    assert (top.labels.tolist(), top.scores.tolist()) == ([[4, 2, -1]], [[0, -1, NONE]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool, np.float64])
def test_scores_of_every_type_are_ordered(dtype):
    top = TopK.from_csr(rows([(4, 0), (2, 1), (3, 1)], dtype=dtype), 3)
    assert top.labels.tolist() == [[2, 3, 4]]


def test_to_csr_keeps_rows_best_first():
    P = TopK(
        np.int32([[3, 1], [2, -1], [-1, -1]]), np.float32([[0.9, 0.4], [0.1, NONE], [NONE, NONE]])
    ).to_csr(4)
    assert P.shape == (3, 4)
    assert (P.indptr.tolist(), P.indices.tolist()) == ([0, 2, 3, 3], [3, 1, 2])
    assert P.data.tolist() == [np.float32(0.9), np.float32(0.4), np.float32(0.1)]


def test_a_label_beyond_the_columns_is_refused():
    top = TopK(np.int32([[0, 4]]), np.float32([[2, 1]]))
    with pytest.raises(DataError, match="^TopK: expected labels from 0 to 3, got 4$"):
        top.to_csr(4)


def test_scores_that_are_no_matrix_are_refused():
    with pytest.raises(DataError, match="^TopK: expected P to be a 2-D numeric matrix, got 1-D"):
        TopK.from_csr(np.ones(3), 1)


def test_other_formats_than_csr_are_read():
    P = sp.csr_matrix(np.float32([[0.5, 0, 0.7], [0, 0.1, 0]]))
    for form in (sp.csc_matrix, sp.coo_array):
        assert np.array_equal(TopK.from_csr(form(P), 2).labels, TopK.from_csr(P, 2).labels)


def test_csr_and_back_is_the_same(rng):
    P = sp.random(20, 9, 0.4, "csr", np.float32, rng=rng)
    top = TopK.from_csr(P, 9)
    back = TopK.from_csr(top.to_csr(9), 9)
    assert np.array_equal(top.labels, back.labels)
    assert np.array_equal(top.scores, back.scores)


def test_no_rows_give_no_predictions():
    assert TopK.from_csr(sp.csr_matrix((0, 4), dtype=np.float32), 2).labels.shape == (0, 2)
    assert TopK(np.empty((0, 2), np.int32), np.empty((0, 2), np.float32)).to_csr(4).shape == (0, 4)


@pytest.mark.parametrize("k", [1, 3, np.int32(1), np.int32(2), np.uint8(3)])
def test_as_many_labels_as_there_are_can_be_asked_for(k):
    found = check_k("who", k, 3)
    assert type(found) is int and found == k


@pytest.fixture(scope="module")
def model():
    return LabelTreeClassifier(random_state=0).fit(np.eye(4), np.eye(4))


@pytest.mark.parametrize("k", [True, np.True_, 0, -1, 5, 2.0, "2", None, np.array([2])])
def test_every_door_refuses_the_same_k_in_the_same_words(model, k):
    X = sp.csr_matrix(np.eye(4, dtype=np.float32))
    top = TopK(np.zeros((4, 1), np.int32), np.zeros((4, 1), np.float32))
    doors = {
        "predict_topk": [
            lambda: model.predict_topk(X, k),
            lambda: model.predict_topk(X[:1], k),
            lambda: model.ranker()(X[:1], k),
        ],
        "recall_at_k": [lambda: metrics.recall_at_k(X, top, k)],
        "report": [lambda: metrics.report(X, top, [k])],
    }
    for who, calls in doors.items():
        for call in calls:
            with pytest.raises(ParameterError) as error:
                call()
            expected = f"{who}: k must be an int from 1 to 4, the number of labels, got {k!r}"
            assert str(error.value) == expected


@pytest.mark.parametrize("form", [sp.coo_array, sp.csr_array, sp.dok_array])
def test_a_one_dimensional_sparse_row_is_ranked_as_a_matrix_of_one_row(model, form):
    expected = model.predict_topk(sp.csr_matrix(np.float32([[0, 1, 0, 2]])), 3)
    x = form(np.float32([0, 1, 0, 2]))
    for got in (model.predict_topk(x, 3), model.ranker()(x, 3)):
        assert all(map(np.array_equal, got, expected))


def test_a_one_dimensional_sparse_row_of_another_width_is_refused(model):
    with pytest.raises(DataError, match=r"shape \(1, 4\), got shape \(1, 3\)$"):
        model.predict_topk(sp.coo_array(np.ones(3)), 2)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("X", lambda model, x: LabelTreeClassifier().fit(x, np.eye(4))),
        ("Y", lambda model, x: LabelTreeClassifier().fit(np.eye(4), x)),
        ("X", lambda model, x: model.predict(x)),
        ("Y", lambda model, x: model.score(np.eye(4), x)),
        ("Y_true", lambda model, x: metrics.recall_at_k(x, sp.csr_matrix(np.eye(4)), 1)),
        ("predictions", lambda model, x: metrics.recall_at_k(np.eye(4), x, 1)),
    ],
)
def test_a_one_dimensional_sparse_array_is_no_matrix(model, name, call):
    with pytest.raises(DataError, match=f"{name} to be a 2-D numeric matrix, got 1-D float64"):
        call(model, sp.coo_array(np.ones(4)))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_model_takes_a_numpy_matrix(model):
    X = np.random.default_rng(0).random((3, 4))
    got, expected = model.predict_topk(np.matrix(X), 2), model.predict_topk(X, 2)
    assert np.array_equal(got.labels, expected.labels)
