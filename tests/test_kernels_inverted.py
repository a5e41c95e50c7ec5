import naive
import naive_inverted
import numpy as np
import pytest

from xmc.evidence.nearest import inverted, nearest
from xmc.kernels import inverted as kernels

N_FEATURES = 40


def near(index, X, k):
    """(row, similarity) of the filled places of each row."""
    ids, similarity = np.empty((X.n_rows, k), np.int32), np.empty((X.n_rows, k), np.float32)
    kernels.nearest(*index[:-1], *X[:3], ids, similarity)
    assert np.array_equal(ids < 0, similarity == -np.inf)
    return [
        [(row, value) for row, value in zip(*place, strict=True) if row >= 0]
        for place in zip(ids.tolist(), similarity.tolist(), strict=True)
    ]


def assert_same(got, wanted):
    assert [[row for row, _ in found] for found in got] == [[row for row, _ in w] for w in wanted]
    for found, twin in zip(got, wanted, strict=True):
        assert [v for _, v in found] == pytest.approx([v for _, v in twin], abs=1e-5)


def agree(rows, X, k):
    wanted = naive_inverted.nearest(
        naive_inverted.coded(naive.to_dense(*rows)), naive.to_dense(*X), k
    )
    assert_same(near(inverted(rows), X, k), wanted)


@pytest.mark.parametrize("k", [1, 5, 400])
@pytest.mark.parametrize("density", [0.03, 0.15, 0.7])
def test_nearest_agrees_with_sorting_all_products(rng, density, k):
    rows, X = (naive.random_rows(rng, n, N_FEATURES, density) for n in (300, 12))
    agree(rows, X, k)


@pytest.mark.parametrize("n_rows, n_queries", [(1, 1), (1, 3), (0, 2), (5, 0), (0, 0)])
def test_nearest_of_hardly_any_rows(rng, n_rows, n_queries):
    agree(*(naive.random_rows(rng, n, N_FEATURES, empty=0) for n in (n_rows, n_queries)), 3)


def test_features_of_every_kind_of_frequency_count_alike(rng):
    """Features that one row in 2, 4, 8, ... has: about half of them are frequent."""
    shares = 2.0 ** -np.arange(1, 7).repeat(7)
    dense = np.abs(rng.normal(size=(310, len(shares)))) * (rng.random((310, len(shares))) < shares)
    agree(naive.as_rows(dense[:300]), naive.as_rows(dense[300:]), 20)


def test_rows_past_a_block_are_found(rng):
    n_rows = kernels.BLOCK + 40
    dense = np.zeros((n_rows, 6))
    held = np.concatenate([np.arange(30), np.arange(n_rows - 60, n_rows)])
    dense[held] = rng.random((len(held), 6))
    X = naive.as_rows(rng.random((2, 6)))
    agree(naive.as_rows(dense), X, 70)


def test_equal_rows_stand_in_their_order(rng):
    dense = np.tile(rng.random((1, 9)) + 0.1, (200, 1))
    rows = naive.as_rows(dense)
    ids = [row for row, _ in near(inverted(rows), naive.as_rows(dense[:1]), 7)[0]]
    assert ids == list(range(7))


@pytest.mark.parametrize("signed", [False, True])
def test_codes_are_never_0_and_near_their_values(rng, signed):
    dense = rng.random((50, 8)) ** 6 * (rng.choice([-1, 1], (50, 8)) if signed else 1)
    rows = naive.as_rows(dense * (rng.random((50, 8)) < 0.1))
    index = inverted(rows)
    assert len(index.frequent) == 0  # all values are in the postings
    assert len(index.code) == len(rows.data) and np.all(index.code != 0)
    features = np.repeat(np.arange(8), np.diff(index.indptr[0]))
    held = naive.to_dense(*rows)[index.row, features]
    assert np.all(np.abs(index.code * index.step[features] - held) <= index.step[features])


def test_length_is_that_of_the_frequent_part(rng):
    index = inverted(naive.random_rows(rng, 100, N_FEATURES, density=0.4))
    part = index.dense[:, : len(index.frequent)] * index.step[index.frequent]
    assert len(index.frequent) > 0 and not index.dense[:, len(index.frequent) :].any()
    assert index.length == pytest.approx(np.linalg.norm(part, axis=1), rel=1e-6)


def test_a_row_that_shares_features_but_no_product_is_not_near():
    """Both features are frequent, and what they could reach together is above 0."""
    rows = naive.as_rows(np.array([[1, 0], [0, 1], [1, 1.0]]))
    assert len(inverted(rows).frequent) == 2
    agree(rows, naive.as_rows(np.array([[1, 0], [0, 2.0]])), 3)


def test_a_bound_stands_above_what_it_bounds():
    """Row 1 points where the query does: rounding must not take it below row 0, which is nearly as
    near.
    """
    index = inverted(naive.as_rows(np.array([[127, 73], [100, 100], [0, 127.0]])))
    assert len(index.frequent) == 2
    assert [row for row, _ in near(index, naive.as_rows(np.array([[1, 1.00002]])), 1)[0]] == [1]


@pytest.mark.parametrize("n_rows", [kernels.SPAN, kernels.SPAN + 1, 2 * kernels.SPAN + 1])
def test_the_last_row_of_all_is_found(n_rows):
    dense = np.zeros((n_rows, 2))
    dense[-1, 0], dense[:, 1] = 1, 1e-3
    ids = [row for row, _ in near(inverted(naive.as_rows(dense)), naive.as_rows(np.eye(2)), 1)[0]]
    assert ids == [n_rows - 1]


def test_of_equal_rows_in_spans_that_are_looked_at_later_the_first_is_near():
    """The last span is looked at first, as its row could reach 2 by what is frequent; it doesn't,
    and row 5 is as near, to the last bit: all codes stand for what they are made from.
    """
    dense = np.zeros((4 * kernels.SPAN, 3))
    middle = slice(kernels.SPAN, 3 * kernels.SPAN)
    dense[middle, 1], dense[middle, 2] = np.tile([[0.3, 0], [0, 1]], (kernels.SPAN, 1)).T
    dense[[5, 9, -7], 0], dense[-7, 2] = 127 / 128, 1
    dense[0, 1], dense[kernels.SPAN + 1, 2] = 0.5, 127 / 64
    index = inverted(naive.as_rows(dense))
    assert index.frequent.tolist() == [1, 2]
    X = naive.as_rows(np.array([[1, 1, 0.0]]))
    for k, wanted in ((1, [5]), (2, [5, 9]), (3, [5, 9, len(dense) - 7])):
        assert [row for row, _ in near(index, X, k)[0]] == wanted


@pytest.mark.parametrize(
    ("peaks", "bar", "wanted"),
    [
        ([0.5, 0.7, 0.5, 0.2], 0.5, [1, 0, 2]),
        ([0.5, 0.7, 0.5, 0.2], 0.6, [1]),
        ([0, 1e-6, 0, 1, -np.inf], 0, [3, 1]),
        ([0.5, 0.2], 0.7, []),
        ([0, 0], 0, []),
        ([3, 9, 6], 1, [1, 2, 0]),
    ],
)
def test_spans_that_reach_the_bar_come_in_order_of_their_peaks(peaks, bar, wanted):
    bounds = kernels.Bounds(
        np.empty(0, np.float32),
        np.float32(peaks),
        np.full(len(peaks), 1 << 30, np.int32),
        np.empty(kernels.N_BUCKETS + 1, np.int64),
        np.empty(0, np.int32),
    )
    n = kernels._order(bounds, np.float32(bar))
    assert (n, bounds.order[:n].tolist()) == (len(wanted), wanted)


@pytest.mark.parametrize("n_rows", [5, kernels.TOGETHER, kernels.SPAN])
def test_only_rows_that_are_due_are_weighed(n_rows):
    """What stands behind them among the due ones may be anything."""
    rows = naive.as_rows(np.tile([[1, 0], [0, 1]], (n_rows, 1))[:n_rows])
    index = kernels.Index(*inverted(rows)[:-1])
    query = kernels._query(index, np.array([0], np.int32), np.float32([1]))
    bounds = kernels.Bounds(
        np.empty(kernels.BLOCK, np.float32),
        np.empty(1, np.float32),
        np.zeros(1, np.int32),
        np.empty(kernels.N_BUCKETS + 1, np.int64),
        np.full(kernels.TOGETHER + kernels.SPAN, 1 << 30, np.int32),
    )
    kernels._bound(index, 0, query, bounds)
    kernels._peaks(bounds)
    ids, similarity = np.empty((1, 2), np.int32), np.empty((1, 2), np.float32)
    kept = kernels.Best(np.zeros(1, np.int64), ids, similarity, np.zeros((1, 2), np.float32))
    kernels._visit(index, 0, query, bounds.order, np.float32(0), bounds, kept, 0)
    assert kept.size[0] == 2 and sorted(ids[0].tolist()) == [0, 2]


def test_codes_are_steps_of_at_least_one():
    step = np.float32(1 / 127)
    values = [0, 1, -1, 1e-9, -1e-9, 0.5, -0.5]
    codes = [kernels._code(np.float32(value), step) for value in values]
    assert codes == [0, 127, -127, 1, -1, 64, -64]


@pytest.mark.parametrize("n_rows", [0, 1, kernels.BLOCK, kernels.BLOCK + 1])
def test_an_index_has_as_many_blocks_as_its_rows_take(n_rows):
    """And room for the postings of rare features only."""
    indptr, indices = np.arange(n_rows + 1), np.arange(n_rows, dtype=np.int32) % 3
    place = np.array([-1, 0, -1], np.int32)
    pointers, size = kernels._pointers(indptr, indices, place)
    assert len(pointers) == -(-n_rows // kernels.BLOCK)
    assert size == np.count_nonzero(indices != 1)
    assert size == np.diff(pointers, axis=1)[:, [0, 2]].sum()


def test_a_row_whose_features_weigh_nothing_stays_0():
    rows = naive.as_rows(np.array([[1, 0, 0], [1, 2, 0], [0, 0, 3.0]]))
    got = kernels.weighed(*rows[:3], np.float32([0, 1, 0.5]))
    assert got.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("n_rows", [0, 1, 30])
def test_weighed_rows_have_length_1(rng, n_rows):
    rows, weight = naive.random_rows(rng, n_rows, 8), rng.random(8).astype(np.float32)
    wanted = naive.to_dense(*rows) * weight
    length = np.linalg.norm(wanted, axis=1, keepdims=True)
    got = naive.to_dense(*rows[:2], kernels.weighed(*rows[:3], weight), 8)
    assert got == pytest.approx(wanted / np.where(length > 0, length, 1), abs=1e-6)


@pytest.mark.parametrize("left_out", [0.05, 0.3, 0.9])
def test_pruning_leaves_out_the_smallest_values_that_fit_in_a_part_of_the_squared_length(
    rng, left_out
):
    rows = naive.random_rows(rng, 30, N_FEATURES)
    got = naive.to_dense(*kernels.pruned(*rows[:3], left_out), N_FEATURES)
    for own, found in zip(naive.to_dense(*rows), got, strict=True):
        room, kept = left_out * float((own.astype(float) ** 2).sum()), own.copy()
        for j in sorted(range(N_FEATURES), key=lambda j: abs(own[j])):
            room -= float(own[j]) ** 2
            if room < 0:
                break
            kept[j] = 0
        assert found.tolist() == kept.tolist()


def test_pruning_leaves_out_what_fits_exactly():
    rows = naive.as_rows(np.array([[3, 4.0], [0, 5]]))
    indptr, indices, data = kernels.pruned(*rows[:3], 0.36)
    assert (indptr.tolist(), indices.tolist(), data.tolist()) == ([0, 1, 2], [1, 1], [4, 5])


def test_a_pruned_query_misses_no_more_than_the_root_of_what_is_left_out(rng):
    rows, X = (naive.random_rows(rng, n, N_FEATURES, 0.5) for n in (60, 12))
    index = inverted(rows)
    whole, part = (nearest(index, X, 60, left_out) for left_out in (0.0, 0.2))
    length = np.linalg.norm(naive.to_dense(*rows), axis=1).max() * 1.02  # of codes
    for i, query in enumerate(naive.to_dense(*X)):
        exact = dict(zip(whole.rows[i].tolist(), whole.similarity[i].tolist(), strict=True))
        room = np.sqrt(0.2) * np.linalg.norm(query) * length
        for row, similarity in zip(part.rows[i].tolist(), part.similarity[i].tolist(), strict=True):
            assert row < 0 or abs(exact.get(row, 0) - similarity) <= room
    assert not np.array_equal(whole.similarity, part.similarity)
