import re

import naive
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from xmc.arrays import Lists, Rows
from xmc.errors import ParameterError
from xmc.evidence.nearest import Inverted, inverted, nearest, votes, votes_of

K = 10


def unit_rows(rng, n_rows, n_features=60):
    """Rows of length 1 with 5 ones each before scaling: an index holds such values exactly."""
    dense = np.zeros((n_rows, n_features))
    for row in dense:
        row[np.minimum(rng.geometric(0.08, 20) - 1, n_features - 1)[:5]] = 1
    return naive.as_rows(dense / np.linalg.norm(dense, axis=1, keepdims=True))


def same_ones(rng, n_rows, n_features=60):
    dense = np.array([rng.permutation(n_features) < 5 for _ in range(n_rows)])
    return naive.as_rows(dense / np.sqrt(5))


def csr(rows: Rows):
    return sp.csr_matrix((rows.data, rows.indices, rows.indptr), (rows.n_rows, rows.n_features))


def test_similarities_are_those_of_scikit_learn(rng):
    rows, X = same_ones(rng, 200), same_ones(rng, 20)
    judge = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(csr(rows))
    distance, _ = judge.kneighbors(csr(X))
    got = nearest(inverted(rows), X, K).similarity
    assert np.where(got > 0, got, 0) == pytest.approx(1 - distance, abs=1e-5)


def test_similarities_are_near_the_products_of_scipy(rng):
    rows, X = unit_rows(rng, 300), unit_rows(rng, 20)
    index = inverted(rows)
    near = nearest(index, X, K)
    exact = np.take_along_axis((csr(X) @ csr(rows).T).toarray(), near.rows, axis=1)
    worst = np.abs(csr(X)) @ index.step  # no value is off by more than a step
    assert np.all(near.rows >= 0)
    assert np.all(np.abs(near.similarity - exact) <= worst[:, None] + 1e-6)


def test_rows_without_a_common_feature_are_not_near():
    rows = naive.as_rows(np.eye(4))
    near = nearest(inverted(rows), naive.as_rows(np.eye(4)[1:2]), 3)
    assert near.rows.tolist() == [[1, -1, -1]]
    assert near.similarity[0] == pytest.approx([1, -np.inf, -np.inf])


def test_a_row_is_answered_alone_as_among_others(rng):
    index, X = inverted(unit_rows(rng, 300)), unit_rows(rng, 20)
    together = nearest(index, X, K)
    alone = [nearest(index, naive.as_rows(naive.to_dense(*X)[i : i + 1]), K) for i in range(20)]
    assert np.array_equal(np.concatenate([near.rows for near in alone]), together.rows)
    assert np.array_equal(np.concatenate([near.similarity for near in alone]), together.similarity)


@pytest.mark.parametrize("sharpness", [0.5, 2.0])
def test_sharpness_weighs_features_by_inverse_document_frequency(rng, sharpness):
    rows, X = unit_rows(rng, 300), unit_rows(rng, 20)
    tfidf = TfidfTransformer().fit(csr(rows) > 0)
    weights = sp.diags_array(tfidf.idf_**sharpness)
    sharp, asked = (normalize(csr(some) @ weights) for some in (rows, X))
    products = (asked @ sharp.T).toarray()
    near = nearest(inverted(rows, sharpness=sharpness), X, K)
    assert near.similarity == pytest.approx(-np.sort(-products, axis=1)[:, :K], abs=0.01)
    assert near.similarity == pytest.approx(np.take_along_axis(products, near.rows, 1), abs=0.01)


def test_an_index_is_read_only_and_says_its_size(rng):
    rows = unit_rows(rng, 300)
    index = inverted(rows)
    assert (index.n_rows, index.n_features) == (300, 60)
    assert not any(array.flags.writeable for array in index)
    assert index.n_bytes == sum(array.nbytes for array in index)


@pytest.mark.parametrize("sharpness", [0, 0.5])
@pytest.mark.parametrize("share", [0.99, 0.8, 0.6])
def test_an_index_keeps_within_its_bound_and_uses_it(rng, share, sharpness):
    rows = naive.random_rows(rng, 400, 60, density=0.1)
    free = inverted(rows, sharpness=sharpness).n_bytes
    index = inverted(rows, int(free * share), sharpness)
    assert free * (share - 0.1) < index.n_bytes <= free * share


def test_a_bound_leaves_out_the_smallest_values(rng):
    rows = naive.random_rows(rng, 400, 60, density=0.1)
    index = inverted(rows, int(inverted(rows).n_bytes * 0.8))
    kept = np.count_nonzero(dense(index))
    largest = np.sort(np.abs(rows.data))[-kept:]
    assert 0 < kept < len(rows.data)
    assert np.sort(np.abs(dense(index)[dense(index) != 0])) == pytest.approx(largest, abs=0.03)


def dense(index: Inverted):
    """The values of an index of one block."""
    out = np.zeros((index.n_rows, index.n_features))
    out[index.row, np.repeat(np.arange(index.n_features), np.diff(index.indptr[0]))] = index.code
    out[:, index.frequent] = index.dense[:, : len(index.frequent)]
    return out * index.step


def test_a_large_enough_bound_changes_nothing(rng):
    rows = unit_rows(rng, 300)
    index = inverted(rows)
    for ours, bounded in zip(index, inverted(rows, index.n_bytes), strict=True):
        assert np.array_equal(ours, bounded)


@pytest.mark.parametrize("n_rows", [0, 300])
def test_a_bound_too_small_for_anything_is_refused(rng, n_rows):
    rows = naive.random_rows(rng, n_rows, 60)
    with pytest.raises(ParameterError, match="inverted: max_bytes must be at least") as error:
        inverted(rows, 10)
    least = int(re.search("at least ([0-9,]+)", str(error.value))[1].replace(",", ""))
    assert len(inverted(rows, least).code) == 0


@pytest.fixture
def voted(rng):
    """Near rows, labels of all rows, and each query's figures of all labels, dense."""
    rows, X = unit_rows(rng, 200), unit_rows(rng, 20)
    near, labels = nearest(inverted(rows), X, K), Lists(*naive.random_lists(rng, 200, 15, 0.1))
    has = naive.to_dense(*labels, np.ones(len(labels.ids)), 15)[near.rows]
    assert np.all(near.rows >= 0)
    seen = has * near.similarity[:, :, None]
    return near, labels, ((seen**2).sum(axis=1), seen.max(axis=1), has.sum(axis=1))


def test_the_best_labels_have_the_largest_totals(voted):
    near, labels, wanted = voted
    found = votes(near, labels, 3)
    assert np.all(found.labels >= 0)
    assert found.figures.total == pytest.approx(-np.sort(-wanted[0], axis=1)[:, :3], rel=1e-5)
    for got, all_labels in zip(found.figures, wanted, strict=True):
        assert got == pytest.approx(np.take_along_axis(all_labels, found.labels, 1), rel=1e-5)


def test_figures_are_those_of_the_candidates_asked_for(rng, voted):
    near, labels, wanted = voted
    candidates = Lists(*naive.random_lists(rng, 20, 15))
    found = votes_of(near, labels, candidates)
    pairs = np.repeat(np.arange(20), np.diff(candidates.indptr)), candidates.ids
    for got, all_labels in zip(found, wanted, strict=True):
        assert got == pytest.approx(all_labels[pairs], rel=1e-5)
