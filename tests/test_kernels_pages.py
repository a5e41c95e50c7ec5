import naive
import numpy as np
import pytest

from xmc.kernels.pages import (
    MANY,
    Pages,
    add_margins,
    count_buckets,
    map_page,
    page_of,
    pays,
    room_for,
    room_for_map,
    unsound_page,
)


def pages_of(layer):
    return Pages(*layer[2:12])


def mapped(layer, n):
    """The map of a page."""
    page_map = room_for_map(MANY, pages_of(layer))
    map_page(page_of(pages_of(layer), n), page_map)
    return page_map


def margins(x, layer, n):
    """What a dense row adds to all 256 slots of a page, the same with a map and without."""
    X, page, page_map = naive.as_rows([x]), page_of(pages_of(layer), n), mapped(layer, n)
    found = np.zeros((2, 256), np.float32)
    for with_map, out in enumerate(found):
        room = room_for(X.indptr)
        add_margins(X.indices, X.data, page, page_map, bool(with_map), room, out)
    assert found[0].tobytes() == found[1].tobytes()
    return found[0]


def sparse(rng, n_features, width, density):
    W = rng.normal(size=(n_features + 1, width)) * (rng.random((n_features + 1, width)) < density)
    return W.astype(np.float32)


@pytest.mark.parametrize("shift", [0, 1, 3, 5, 8])
@pytest.mark.parametrize(
    ("n_features", "density"), [(1, 1), (37, 0.3), (300, 0.02), (300, 1), (2000, 0.001)]
)
def test_margins_are_the_products_with_the_weights(rng, n_features, density, shift):
    W = sparse(rng, n_features, 20, density)
    layer = naive.as_layer(W, [0, 20], shift)
    for share in (0.01, 0.3, 1):
        x = rng.normal(size=n_features) * (rng.random(n_features) < share)
        assert margins(x, layer, 0) == pytest.approx(np.append(x @ W[:-1], np.zeros(236)), abs=1e-4)


@pytest.mark.parametrize("shift", [0, 4, 8])
def test_every_feature_is_found_and_no_other(shift):
    """Every second feature has a weight; buckets hold up to 128 of them."""
    W = np.zeros((601, 1))
    W[1:600:2, 0] = np.arange(1, 301)
    layer = naive.as_layer(W, [0, 1], shift)
    assert [margins(np.eye(600)[j], layer, 0)[0] for j in range(600)] == W[:-1, 0].tolist()


def test_pages_hold_256_children_each(rng):
    W = sparse(rng, 50, 700, 0.1)
    layer, x = naive.as_layer(W, [0, 30, 700]), rng.normal(size=50)
    expected = x @ W[:-1]
    for page, (first, last) in enumerate([(0, 30), (30, 286), (286, 542), (542, 700)]):
        found = margins(x, layer, page)
        assert found[: last - first] == pytest.approx(expected[first:last], abs=1e-4)
        assert not found[last - first :].any()


def test_a_feature_may_weigh_on_all_256_children(rng):
    W = np.vstack([np.arange(1, 257), np.arange(2, 258), np.zeros(256)])
    assert np.array_equal(margins([0, 2], naive.as_layer(W, [0, 256]), 0), 2 * W[1])


def test_a_page_without_weights_adds_nothing():
    layer = naive.as_layer(np.zeros((6, 3)), [0, 3])
    assert not margins(np.ones(5), layer, 0).any()


@pytest.mark.parametrize("dtype", [np.int8, np.float16])
def test_narrow_weights_are_read_as_what_they_stand_for(rng, dtype):
    stored = (
        rng.integers(-127, 128, (31, 40))
        if dtype == np.int8
        else rng.normal(size=(31, 40)).astype(np.float16)
    )
    W = 0.03125 * stored.astype(np.float32)
    layer, x = naive.as_layer(W, [0, 40], dtype=dtype, scale=0.03125), rng.normal(size=30)
    assert margins(x, layer, 0)[:40] == pytest.approx(x @ W[:-1], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("special", [0.0, 65504.0, 6e-8, -6e-8, 0.5, -1.0])
def test_every_kind_of_float16_is_read(special):
    layer = naive.as_layer([[special], [0]], [0, 1], dtype=np.float16)
    assert margins([1.0], layer, 0)[0] == np.float32(np.float16(special))


@pytest.mark.parametrize("shift", [0, 3, 8])
def test_buckets_count_features_and_entries_before_them(rng, shift):
    feature = np.flatnonzero(rng.random(500) < 0.2).astype(np.int32)
    sizes = rng.integers(1, 257, len(feature))
    n_buckets = (499 >> shift) + 1
    expected = [((feature >> shift) < b).sum() for b in range(n_buckets + 1)]
    found = count_buckets(feature, sizes, shift, n_buckets)
    assert (found.shape, found.dtype) == ((n_buckets + 1, 2), np.uint32)
    assert found[:, 0].tolist() == expected
    assert found[:, 1].tolist() == [sizes[:n].sum() for n in expected]


@pytest.mark.parametrize("shift", [0, 3, 8])
def test_a_map_counts_features_by_words_and_entries_by_feature(rng, shift):
    W = sparse(rng, 200, 20, 0.05)
    layer = naive.as_layer(W, [0, 9, 20], shift)
    for page, own in enumerate((W[:-1, :9], W[:-1, 9:])):
        features, before = mapped(layer, page)
        n_entries = np.count_nonzero(own, axis=1)
        held = np.append(n_entries > 0, np.zeros(32 * len(features) - 200, bool))
        assert features[:, 0].tolist() == [held[: 32 * w].sum() for w in range(len(features))]
        assert np.array_equal(
            np.unpackbits(features[:, 1:].copy().view(np.uint8), bitorder="little"), held
        )
        assert before[: held.sum() + 1].tolist() == [0, *np.cumsum(n_entries[n_entries > 0])]


@pytest.mark.parametrize("shift", [0, 3, 5, 8])
def test_no_byte_of_low_leads_out_of_a_map(rng, shift):
    """These are not looked at when a model is opened."""
    layer = naive.as_layer(sparse(rng, 256, 20, 0.3), [0, 20], shift)
    sound, damaged = mapped(layer, 0), layer._replace(low=np.full_like(layer.low, 255))
    features, before = mapped(damaged, 0)
    assert features.shape == sound.features.shape
    buckets = np.flatnonzero(np.diff(layer.bucket[:, 0].astype(int)))
    wanted = (buckets << shift) + (1 << shift) - 1
    bits = np.unpackbits(features[:, 1:].copy().view(np.uint8), bitorder="little")
    assert np.flatnonzero(bits).tolist() == wanted.tolist()
    assert np.array_equal(before, sound.before)


def test_a_page_is_mapped_for_as_many_features_to_find_as_it_has():
    layer = naive.as_layer(np.ones((51, 1)), [0, 1])
    rows = np.arange(0, 10 * MANY + 1, 10)  # of 10 features each
    page = page_of(pages_of(layer), 0)
    assert [pays(n, page, rows) for n in (0, 4, 5, 8)] == [False, False, True, True]
    assert not pays(1, page, np.array([0, 1000]))


def test_the_map_of_few_rows_takes_no_room(rng):
    pages = pages_of(naive.as_layer(sparse(rng, 200, 20, 0.3), [0, 20]))
    assert room_for_map(MANY - 1, pages).features.size == 0
    assert 32 * len(room_for_map(MANY, pages).features) >= 200


def test_pages_are_cut_out_of_their_level(rng):
    """With the 16 bytes that are read beyond the last feature."""
    layer = naive.as_layer(sparse(rng, 50, 300, 0.1), [0, 300])
    for n in (0, 1):
        page, first, last = page_of(pages_of(layer), n), *layer.feature_ptr[n : n + 2]
        assert np.array_equal(page.low, layer.low[first : last + 16])
        assert np.array_equal(page.more, layer.more[first : last + 16])
        assert np.array_equal(page.child, layer.child[slice(*layer.entry_ptr[n : n + 2])])
        assert np.array_equal(page.bucket, layer.bucket[slice(*layer.bucket_ptr[n : n + 2])])


def first_unsound(layer, bucket):
    """The slow twin of `unsound_page`, which has the pointers of a level."""
    for n in range(len(layer.shift)):
        own = bucket[slice(*layer.bucket_ptr[n : n + 2])].astype(np.int64)
        ends = np.diff(layer.feature_ptr[n : n + 2])[0], np.diff(layer.entry_ptr[n : n + 2])[0]
        if (
            not len(own)
            or own[0].any()
            or tuple(own[-1]) != ends
            or (np.diff(own, axis=0) < 0).any()
        ):
            return n
    return -1


def test_the_first_page_whose_buckets_do_not_fit_is_named(rng):
    layer = naive.as_layer(sparse(rng, 40, 600, 0.1), [0, 600], 2)
    pointers = layer.bucket_ptr, layer.feature_ptr, layer.entry_ptr
    assert len(layer.shift) == 3 and unsound_page(*pointers, layer.bucket) == -1
    found = set()
    for place in np.ndindex(layer.bucket.shape):
        own = int(layer.bucket[place])
        for value in {0, max(own - 1, 0), own + 1, 2**32 - 1} - {own}:
            bucket = layer.bucket.copy()
            bucket[place] = value
            expected = first_unsound(layer, bucket)
            assert unsound_page(*pointers, bucket) == expected
            found.add(expected)
    assert found == {-1, 0, 1, 2}


def test_a_page_without_buckets_does_not_fit(rng):
    layer = naive.as_layer(sparse(rng, 40, 300, 0.1), [0, 300], 2)
    ends = layer.bucket_ptr.tolist()
    for n in (0, 1):
        bucket_ptr = np.array(ends[: n + 1] + ends[n:])
        with_one_more = [np.append(ptr, ptr[-1]) for ptr in (layer.feature_ptr, layer.entry_ptr)]
        assert unsound_page(bucket_ptr, *with_one_more, layer.bucket) == n
