import re

import naive
import naive_inverted
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from xmc.arrays import Lists, Rows
from xmc.errors import ParameterError
from xmc.evidence.nearest import (
    Inverted,
    _largest,
    index_bytes,
    inverted,
    likened,
    nearest,
    rows_of,
    votes,
    votes_of,
    with_rows,
)
from xmc.inputs import as_rows
from xmc.kernels import inverted as kernels

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


def signed_rows(rng, n_rows, n_features=40, without=()):
    """Rows of length 1 with values of both signs, and none of some features."""
    dense = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.15)
    dense[:, ::7] = rng.normal(size=(n_rows, len(range(0, n_features, 7))))  # frequent ones
    dense[:, [*without]] = 0
    return naive.as_rows(normalize(dense) if n_rows else dense)


def as_weighed(index, rows):
    """Dense rows as the index compares them."""
    values = naive.to_dense(*rows)
    return normalize(values * index.weight) if len(index.weight) else values


@pytest.mark.parametrize("sharpness", [0, 0.5])
def test_rows_come_behind_others_in_their_steps(rng, sharpness):
    first, more = signed_rows(rng, 50, without=[5, 39]), signed_rows(rng, 30, without=[39])
    if not sharpness:  # else they are scaled to length 1
        first = first._replace(data=first.data * np.float32(0.5))
        more = more._replace(data=more.data * np.float32(1.5))
    index = inverted(first, sharpness=sharpness)
    found = with_rows(index, more)
    values = as_weighed(index, more)
    step = np.where(index.step > 0, index.step, np.abs(values).max(axis=0) / 127)
    assert index.step[5] == 0 < found.step[5] and found.step[39] == 0
    assert found.step == pytest.approx(step)
    assert dense(found)[:50] == pytest.approx(dense(index), abs=1e-6)
    assert dense(found)[50:] == pytest.approx(naive_inverted.coded(values, step), abs=1e-5)
    frequent = dense(found)[:, index.frequent]
    assert found.length == pytest.approx(np.linalg.norm(frequent, axis=1), rel=1e-5)
    assert np.array_equal(found.frequent, index.frequent) and len(index.frequent) >= 6
    assert np.array_equal(found.weight, index.weight)
    assert found.fits(80, 40) and [a.dtype for a in found] == [a.dtype for a in index]
    assert not any(array.flags.writeable for array in found)
    # Larger values than an index has steps for are cut, at both ends.
    if not sharpness:
        assert np.abs(values).max() > np.abs(dense(found)[50:]).max()


@pytest.mark.parametrize("sharpness", [0, 0.5])
def test_rows_come_back_from_an_index(rng, sharpness):
    rows, others = signed_rows(rng, 50), signed_rows(rng, 20)
    index = inverted(rows, sharpness=sharpness)
    weight = index.weight if sharpness else 1
    back = rows_of(index)
    assert naive.to_dense(*back) == pytest.approx(normalize(dense(index) / weight), abs=1e-6)
    assert naive.to_dense(*back) == pytest.approx(naive.to_dense(*rows), abs=0.02)
    expected = normalize(naive_inverted.coded(as_weighed(index, others), index.step) / weight)
    found = likened(index, others)
    assert naive.to_dense(*found) == pytest.approx(expected, abs=1e-5)
    assert [a.dtype for a in found[:3]] == [a.dtype for a in rows[:3]]


def test_rows_of_several_blocks_come_back(rng):
    n = kernels.BLOCK + 3
    feature = rng.integers(0, 20, n)
    values = rng.random(n) + 0.5
    M = sp.csr_matrix((values, (np.arange(n), feature)), (n, 20))
    rows = as_rows(M, normalize=True)
    index = inverted(rows)
    assert len(index.indptr) == 2 and index.fits(n, 20)
    back = rows_of(index)
    assert np.array_equal(back.indices, feature) and np.array_equal(back.indptr, rows.indptr)
    assert back.data == pytest.approx(np.ones(n))


def test_weights_are_powers_of_inverse_document_frequencies(rng):
    rows = signed_rows(rng, 50, without=[39])
    n_rows = (naive.to_dense(*rows) != 0).sum(axis=0)
    index = inverted(rows, sharpness=0.5)
    assert index.weight == pytest.approx((np.log(51 / (1 + n_rows)) + 1) ** 0.5, rel=1e-6)
    assert index.weight.dtype == np.float32 and inverted(rows).weight.shape == (0,)


def test_a_feature_is_frequent_in_more_than_a_sixth_of_the_rows():
    values = np.zeros((12, 4))
    values[:2, 0] = values[:3, 1] = values[:, 2] = 1
    assert inverted(naive.as_rows(values)).frequent.tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(50, 40), (0, 40), (1, 40)])
def test_the_size_of_an_index_is_told_before_it_is_made(rng, shape):
    rows = signed_rows(rng, *shape, without=[39])
    assert index_bytes(rows) == inverted(rows).n_bytes


def test_the_largest_values_stay(rng):
    rows = signed_rows(rng, 300)
    order = np.sort(np.abs(rows.data))
    assert len(np.unique(order)) == len(order)
    for n in (0, 1, 7, *range(50, len(order) - 1, 100), len(order) - 1):
        found = _largest(rows, n)
        bar = order[-n] if n else np.inf
        values = naive.to_dense(*rows)
        assert np.array_equal(naive.to_dense(*found), np.where(np.abs(values) >= bar, values, 0))
        assert found.indptr.dtype == np.int64
    same = rows._replace(data=np.full_like(rows.data, 0.5))
    assert len(_largest(same, 3).data) == 0


def test_a_bound_is_used_to_the_last_value(rng):
    rows = naive.random_rows(rng, 400, 60, density=0.1)  # none of the features is frequent
    for n in (0, 1, 100, 1000, len(rows.data) - 1):
        bound = index_bytes(_largest(rows, n))
        assert inverted(rows, bound).n_bytes == bound
        assert n == 0 or inverted(rows, bound - 1).n_bytes < bound


def test_small_values_of_queries_may_be_left_out(rng):
    rows, X = signed_rows(rng, 80), signed_rows(rng, 15)
    index, values = inverted(rows), naive.to_dense(*X)
    for row in values:
        order = np.argsort(np.abs(row))
        row[order[np.cumsum(row[order] ** 2) <= 0.2 * (row**2).sum()]] = 0
    found, expected = nearest(index, X, K, 0.2), nearest(index, naive.as_rows(values), K)
    assert np.array_equal(found.rows, expected.rows)
    assert found.similarity == pytest.approx(expected.similarity, abs=1e-6)
    whole = nearest(index, X, K)
    assert not np.array_equal(found.similarity, whole.similarity)
    assert whole.similarity == pytest.approx(nearest(index, X, K, 1e-12).similarity, abs=1e-5)


def test_what_is_found_has_the_types_that_are_promised(rng, voted):
    near, labels, _ = voted
    assert [a.dtype for a in near] == [np.int32, np.float32]
    figures = [np.float32, np.float32, np.int32]
    best = votes(near, labels, 3)
    assert best.labels.dtype == np.int32 and [a.dtype for a in best.figures] == figures
    some = votes_of(near, labels, Lists(*naive.random_lists(rng, 20, 15)))
    assert [a.dtype for a in some] == figures
    index = inverted(signed_rows(rng, 30), sharpness=0.5)
    kinds = "int64 uint16 int8 float32 int32 int8 float32 float32"
    assert [a.dtype.name for a in index] == kinds.split()


UNFIT = {
    "a block more": ("indptr", lambda a: np.concatenate([a, a])),
    "a pointer less": ("indptr", lambda a: a[:, :-1]),
    "a pointer more": ("indptr", lambda a: np.concatenate([a, a[:, -1:]], axis=1)),
    "pointers that end early": ("indptr", lambda a: np.minimum(a, a.max() - 1)),
    "pointers that begin late": ("indptr", lambda a: np.maximum(a, 1)),
    "pointers that fall": ("indptr", lambda a: np.where(np.arange(a.shape[1]) == 3, a.max(), a)),
    "a row less": ("row", lambda a: a[:-1]),
    "a code less": ("code", lambda a: a[:-1]),
    "a code more": ("code", lambda a: np.append(a, a[-1:])),
    "fewer dense rows": ("dense", lambda a: a[:-1]),
    "dense rows too narrow": ("dense", lambda a: a[:, :-1].copy()),
    "dense rows too wide": ("dense", lambda a: np.concatenate([a, a], axis=1)),
    "codes of no frequent feature": ("frequent", lambda a: a[:0]),
    "a frequent feature that isn't": ("frequent", lambda a: np.append(a[:-1], np.int32(40))),
    "a frequent feature below 0": ("frequent", lambda a: np.append(np.int32(-1), a[1:])),
    "a length less": ("length", lambda a: a[:-1]),
    "a step less": ("step", lambda a: a[:-1]),
    "a weight less": ("weight", lambda a: a[:-1]),
    "one weight": ("weight", lambda a: a[:1]),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_an_index_whose_arrays_do_not_fit_is_seen(rng, kind):
    index = inverted(signed_rows(rng, 50), sharpness=0.5)
    assert index.fits(50, 40) and index._replace(weight=index.weight[:0]).fits(50, 40)
    assert not index.fits(49, 40) and not index.fits(50, 39)
    name, change = UNFIT[kind]
    assert not index._replace(**{name: change(getattr(index, name))}).fits(50, 40)


def test_an_index_of_no_rows_fits(rng):
    index = inverted(signed_rows(rng, 0))
    assert index.fits(0, 40) and not index.fits(1, 40)
    assert not index._replace(row=np.zeros(1, np.uint16), code=np.ones(1, np.int8)).fits(0, 40)
