import naive
import numpy as np
import pytest
import scipy.sparse as sp

from xmc.arrays import Targets, frozen, pointers
from xmc.inputs import as_rows
from xmc.kernels.gather import (
    count,
    entries_of,
    fold,
    gather,
    pick,
    relabel,
    squared_norms,
    targets,
    transpose,
    unit_row,
)

SIZES = [0, 1, 60]
N_FEATURES = 25


@pytest.fixture(params=SIZES, ids=["nothing", "one-row", "random"])
def X(request, rng):
    return naive.random_rows(rng, request.param, N_FEATURES)


@pytest.fixture(params=SIZES, ids=["nothing", "one-row", "random"])
def lists(request, rng):
    return naive.random_lists(rng, request.param, 12)


@pytest.fixture(params=[False, True], ids=["equal", "costs"])
def nodes(request, rng, lists):
    """Lists with costs that floats sum exactly, or without."""
    costs = rng.integers(1, 9, len(lists[1]) if request.param else 0).astype(np.float32)
    return Targets(*lists, frozen(costs))


def some_rows(rng, n_rows):
    """About half of the rows, ascending."""
    return frozen(np.flatnonzero(rng.random(n_rows) < 0.5).astype(np.int32))


def gathered(X, rows):
    mark = np.zeros(X.n_features, np.int32)
    return (*gather(X.indptr, X.indices, X.data, rows, mark), mark)


def plain(*arrays):
    return tuple(array.tolist() for array in arrays)


def test_gather_agrees_with_its_twin(rng, X):
    rows = some_rows(rng, X.n_rows)
    *parts, _ = gathered(X, rows)
    assert plain(*parts) == naive.gather(X.indptr, X.indices, X.data, rows)


def test_gathered_rows_are_scipys_rows(rng, X):
    rows = some_rows(rng, X.n_rows)
    indptr, indices, data, features, _ = gathered(X, rows)
    ours = sp.csr_matrix((data, features[indices], indptr), shape=(len(rows), N_FEATURES))
    judge = sp.csr_matrix((X.data, X.indices, X.indptr), shape=(X.n_rows, N_FEATURES))[rows]
    assert (ours != judge).nnz == 0


def test_gather_takes_rows_in_any_order_and_repeated(rng):
    X = naive.random_rows(rng, 10, N_FEATURES)
    rows = np.int32([7, 3, 3, 0, 9])
    *parts, _ = gathered(X, rows)
    assert plain(*parts) == naive.gather(X.indptr, X.indices, X.data, rows)


def test_gathered_features_are_those_of_the_rows_each_once(rng):
    X = naive.random_rows(rng, 8, 400, density=0.02)
    rows = some_rows(rng, 8)
    *_, features, _ = gathered(X, rows)
    dense = naive.to_dense(*X)[rows]
    assert sorted(features) == np.flatnonzero(dense.any(axis=0)).tolist()


def test_gathered_features_are_the_more_frequent_the_lower_and_ascend_in_each_row(rng):
    X = naive.random_rows(rng, 300, 400, density=0.1)  # sorted in several parts
    indptr, indices, data, features, _ = gathered(X, some_rows(rng, 300))
    frequency = np.bincount(indices)
    assert len(features) == 400 and (np.diff(frequency) <= 0).all()
    assert all((np.diff(row) > 0).all() for row in map(np.array, naive.split(indptr, indices)))


def test_columns_are_counted(rng, X):
    assert (
        count(X.indices, X.n_features + 2).tolist()
        == np.bincount(X.indices, minlength=X.n_features + 2).tolist()
    )


def test_gather_gives_marks_back_all_0(rng, X):
    *_, mark = gathered(X, some_rows(rng, X.n_rows))
    assert not mark.any()


def test_gather_of_no_rows_is_empty(rng):
    X = naive.random_rows(rng, 5, N_FEATURES)
    indptr, indices, data, features, _ = gathered(X, np.empty(0, np.int32))
    assert plain(indptr, indices, data, features) == ([0], [], [], [])


def test_gather_gives_the_types_that_kernels_read(rng, X):
    *parts, _ = gathered(X, some_rows(rng, X.n_rows))
    assert [part.dtype for part in parts] == [np.int64, np.int32, np.float32, np.int32]


def test_squared_norms_agree_with_numpy(X):
    got = squared_norms(X.indptr, X.data)
    assert got.dtype == np.float64
    assert got == pytest.approx((naive.to_dense(*X) ** 2).sum(axis=1))


def test_squares_that_are_no_float32_are_no_inf_and_no_0():
    got = squared_norms(frozen(np.array([0, 1, 2])), frozen(np.float32([1e30, 1e-30])))
    assert got == pytest.approx([1e60, 1e-60])


def test_squared_norms_of_long_rows_lose_no_digits():
    n = 100_000
    data = np.full(n, 0.1, np.float32)
    got = squared_norms(frozen(np.array([0, n])), frozen(data))
    assert got == pytest.approx([n * np.float64(data[0]) ** 2], rel=1e-7)


def test_entries_of_lists_agree_with_their_twin(rng, lists):
    ends = pointers(rng.integers(0, 5, 12))
    assert plain(entries_of(*lists, ends)) == (naive.entries_of(*lists, ends),)


def test_transpose_agrees_with_its_twin(lists):
    assert plain(*transpose(*lists, 12)) == naive.transpose(*lists, 12)


def test_transpose_agrees_with_scipy(lists):
    indptr, rows = transpose(*lists, 12)
    n = len(lists[0]) - 1
    judge = sp.csr_matrix((np.ones(len(lists[1])), lists[1], lists[0]), shape=(n, 12)).T.tocsr()
    assert plain(indptr, rows) == plain(judge.indptr, judge.indices)


def test_transpose_knows_columns_without_rows():
    indptr, rows = transpose(*naive.as_lists([[0, 1, 0, 0], [0, 1, 0, 1]]), 4)
    assert plain(indptr, rows) == ([0, 0, 2, 2, 3], [0, 1, 1])


def test_relabel_agrees_with_its_twin(rng, nodes):
    new_id = rng.permutation(12).astype(np.int32)
    new_id[rng.random(12) < 0.3] = -1
    assert plain(*relabel(*nodes, new_id)) == naive.renumbered(nodes, new_id)


def test_relabel_permutes_columns_as_scipy_does(rng, nodes):
    new_id = rng.permutation(12).astype(np.int32)
    indptr, ids, costs = relabel(*nodes, new_id)
    n = len(nodes.indptr) - 1
    Y = sp.csr_matrix((naive.costs_of(nodes), nodes.ids, nodes.indptr), shape=(n, 12))
    judge = Y[:, np.argsort(new_id)].tocsr()
    judge.sort_indices()
    assert plain(indptr, ids) == plain(judge.indptr, judge.indices)
    assert costs.tolist() == (judge.data.tolist() if len(nodes.costs) else [])


def test_relabel_may_drop_everything(nodes):
    indptr, ids, costs = relabel(*nodes, np.full(12, -1, np.int32))
    assert plain(indptr, ids, costs) == ([0] * len(nodes.indptr), [], [])


def test_fold_agrees_with_its_twin(rng, nodes):
    parent = np.sort(rng.integers(0, 5, 12)).astype(np.int32)
    assert plain(*fold(*nodes, parent)) == naive.renumbered(nodes, parent)


def test_fold_agrees_with_the_product_by_an_indicator_matrix(rng, nodes):
    parent = np.sort(rng.integers(0, 5, 12)).astype(np.int32)
    indptr, ids, costs = fold(*nodes, parent)
    Y = naive.to_dense(*nodes[:2], naive.costs_of(nodes), 12)
    judge = sp.csr_matrix(Y @ np.eye(5)[parent])
    assert plain(indptr, ids) == plain(judge.indptr, judge.indices)
    assert costs.tolist() == (judge.data.tolist() if len(nodes.costs) else [])


@pytest.mark.parametrize(("first", "last"), [(0, 12), (3, 7), (5, 6), (4, 4)])
def test_targets_agree_with_their_twin(rng, nodes, first, last):
    rows = some_rows(rng, len(nodes.indptr) - 1)
    assert plain(*targets(*nodes, rows, first, last)) == naive.targets(nodes, rows, first, last)


def test_targets_agree_with_scipys_block(rng, nodes):
    rows = some_rows(rng, len(nodes.indptr) - 1)
    row, sibling, costs, count = targets(*nodes, rows, 3, 7)
    judge = naive.to_dense(*nodes[:2], naive.costs_of(nodes), 12)[rows, 3:7]
    costs = costs if len(nodes.costs) else np.ones(len(row))
    assert np.array_equal(
        sp.csr_matrix((costs, (row, sibling)), shape=(len(rows), 4)).toarray(), judge
    )
    assert count.tolist() == (judge > 0).sum(axis=0).tolist()


def test_picked_rows_are_the_gathered_ones_with_features_in_the_order_of_their_first_appearance(
    rng, X
):
    rows, mark = some_rows(rng, X.n_rows), np.zeros(X.n_features, np.int32)
    indptr, indices, data, features = pick(X.indptr, X.indices, X.data, rows, mark)
    assert not mark.any()
    own = sp.csr_matrix((data, features[indices], indptr), shape=(len(rows), N_FEATURES))
    judge = sp.csr_matrix((X.data, X.indices, X.indptr), shape=(X.n_rows, N_FEATURES))[rows]
    assert (own != judge).nnz == 0
    first = list(dict.fromkeys(judge.indices.tolist()))
    assert features.tolist() == first
    kinds = [part.dtype for part in (indptr, indices, data, features)]
    assert kinds == [np.int64, np.int32, np.float32, np.int32]


def unit(indices, data, n_features=10, scaled=True):
    """The values that `unit_row` writes for a row, None if it isn't canonical."""
    indices, data = np.array(indices, np.int32), np.array(data, np.float32)
    out = np.full(len(data), 7, np.float32)
    found = unit_row(frozen(indices), frozen(data), n_features, scaled, out)
    assert found or (out == 7).all()
    return out.tolist() if found else None


@pytest.mark.parametrize(
    "size", [1.0, 0.5, 3.0, 1e29, 1e-29, 2e-30, 1e31, 1e-31, 1e38, 1e-38, 1e-44]
)
def test_one_row_is_scaled_as_many_are(rng, size):
    for n in (1, 2, 7, 7, 7, 7, 7):
        data = (rng.normal(size=n) / 3 * size).astype(np.float32)
        data[data == 0] = np.float32(size)
        indices = np.sort(rng.permutation(10)[:n])
        row = sp.csr_matrix((data, indices, [0, n]), (1, 10))
        for scaled in (True, False):
            expected = as_rows(row, scaled).data.tolist()
            assert unit(indices, data, scaled=scaled) == expected
        assert np.linalg.norm(np.float64(unit(indices, data))) == pytest.approx(1, rel=1e-6)


def test_one_row_of_about_length_1_stays_as_it_is():
    for value in np.float32(1) + np.arange(-8, 9) * np.float32(2.0**-24):
        expected = as_rows(sp.csr_matrix(([value], [3], [0, 1]), (1, 10)), True).data.tolist()
        assert unit([3], [value]) == expected
    assert unit([3], [1 + 2.0**-22]) == [1 + 2.0**-22]
    assert unit([3], [1 + 2.0**-20]) == [1]
    assert unit([], []) == []


@pytest.mark.parametrize(
    ("indices", "data"),
    [
        ([3, 3], [1, 1]),
        ([4, 3], [1, 1]),
        ([-1, 3], [1, 1]),
        ([-5], [1]),
        ([3, 10], [1, 1]),
        ([3, 11], [1, 1]),
        ([3, 4], [1, 0]),
        ([3], [0]),
        ([3], [np.nan]),
        ([3, 4], [1, np.inf]),
        ([3, 4], [-np.inf, 1]),
    ],
)
@pytest.mark.parametrize("scaled", [True, False])
def test_a_row_that_is_not_canonical_is_left_to_others(indices, data, scaled):
    assert unit(indices, data, scaled=scaled) is None


def test_the_first_and_the_last_feature_are_features():
    assert unit([0, 9], [0.6, 0.8]) == pytest.approx([0.6, 0.8])
    assert unit([0, 1], [1, 1], scaled=False) == [1, 1]


@pytest.mark.parametrize("n_rows", [1, 2, 5, 40])
def test_few_rows_are_gathered_at_a_time_whatever_their_number(rng, n_rows):
    X = naive.random_rows(rng, 40, 6, density=0.9, empty=0.2)
    rows = rng.integers(0, 40, n_rows).astype(np.int32)
    found = gather(*X[:3], rows, np.zeros(6, np.int32))
    dense = np.zeros((n_rows, 6))
    for row in range(n_rows):
        own = slice(*found[0][row : row + 2])
        assert (np.diff(found[1][own]) > 0).all()
        dense[row, found[3][found[1][own]]] = found[2][own]
    assert np.array_equal(dense, naive.to_dense(*X)[rows])
