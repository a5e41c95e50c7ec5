import numpy as np
import pytest
import scipy.sparse as sp

from xmc import DataError, TopK

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
