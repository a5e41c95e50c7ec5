import naive
import numpy as np
import pytest

from xmc.layer import (
    DTYPES,
    assemble,
    check_layer,
    pack,
    page_counts,
    parent_of,
    repacked,
    unpack,
    weights_of,
)

N_FEATURES = 90


def packed(W, chunk_ptr, rng, weights="float32"):
    """The layer of the weights W (features + the bias, nodes), packed chunk by chunk from entries
    in any order.
    """
    pages = []
    for first, last in zip(chunk_ptr, chunk_ptr[1:], strict=False):
        feature, child = np.nonzero(W[:-1, first:last])
        order = rng.permutation(len(feature))
        weight = W[feature, first + child].astype(np.float32)
        parts = feature[order].astype(np.int32), child[order], weight[order]
        pages.extend(pack(*parts, last - first, len(W) - 1, weights))
    return assemble(np.asarray(chunk_ptr, np.int64), pages, W[-1].astype(np.float32))


def sparse(rng, widths, density=0.2):
    W = rng.normal(size=(N_FEATURES + 1, sum(widths))) * (
        rng.random((N_FEATURES + 1, sum(widths))) < density
    )
    return W.astype(np.float32), np.concatenate([[0], np.cumsum(widths)])


@pytest.mark.parametrize("density", [0.001, 0.05, 1])
@pytest.mark.parametrize("widths", [[1], [300], [256, 257], [0, 5, 0, 600, 0], []])
def test_a_layer_holds_what_was_packed(rng, widths, density):
    W, chunk_ptr = sparse(rng, widths, density)
    assert np.array_equal(naive.layer_weights(packed(W, chunk_ptr, rng), N_FEATURES), W)


@pytest.mark.parametrize("widths", [[1], [300], [0, 5, 0, 600, 0]])
def test_pages_are_unpacked_by_feature_then_child(rng, widths):
    W, chunk_ptr = sparse(rng, widths)
    layer = packed(W, chunk_ptr, rng)
    starts = [s for a, b in zip(chunk_ptr, chunk_ptr[1:], strict=False) for s in range(a, b, 256)]
    ends = [min(s + 256, chunk_ptr[np.searchsorted(chunk_ptr, s, side="right")]) for s in starts]
    for page, (start, end) in enumerate(zip(starts, ends, strict=True)):
        expected = [
            (j, c, W[j, start + c]) for j, c in zip(*np.nonzero(W[:-1, start:end]), strict=True)
        ]
        found = unpack(layer, page, N_FEATURES)
        assert list(zip(*found, strict=True)) == expected
        assert found[0].dtype.kind == found[1].dtype.kind == "i" and found[2].dtype == np.float32
    assert page + 1 == len(layer.shift)


@pytest.mark.parametrize("width", [40, 300])
def test_float16_weights_are_the_nearest(rng, width):
    W, chunk_ptr = sparse(rng, [width])
    W[:3, :3] = 65504, -65504, 1e-9  # the most that float16 holds, and less than the least
    found = naive.layer_weights(packed(W, chunk_ptr, rng, "float16"), N_FEATURES)
    assert np.array_equal(found[:-1], W[:-1].astype(np.float16))
    assert np.array_equal(found[-1], W[-1])


@pytest.mark.parametrize("largest", [1e-43, 1e-30, 1e-10, 1e-4, 1e-3, 1, 1e5, 1e15, 1e38])
def test_float16_weights_keep_their_digits_whatever_their_size(rng, largest):
    W, chunk_ptr = sparse(rng, [40, 300])
    W *= np.float32(largest) / np.abs(W).max()
    found = naive.layer_weights(packed(W, chunk_ptr, rng, "float16"), N_FEATURES)
    beside_the_largest = max(2.0**-14 * largest, 2.0**-149)
    np.testing.assert_allclose(found[:-1], W[:-1], rtol=2.0**-11 * 1.01, atol=beside_the_largest)


@pytest.mark.parametrize("largest", [1e-6, 1, 1e6])
def test_int8_weights_are_off_by_half_a_step_at_most(rng, largest):
    """A step is the largest weight of a page / 127."""
    W, chunk_ptr = sparse(rng, [40, 300])
    W *= np.float32(largest)
    layer = packed(W, chunk_ptr, rng, "int8")
    found = naive.layer_weights(layer, N_FEATURES)
    for first, last in [(0, 40), (40, 296), (296, 340)]:
        most = np.abs(W[:-1, first:last]).max()
        assert np.abs(found - W)[:-1, first:last].max() <= most / 254 * 1.001
        assert np.abs(found[:-1, first:last]).max() == pytest.approx(most)
    assert layer.weight.dtype == np.int8 and layer.weight.all()


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_repacking_drops_small_weights_and_stores_the_others_so(rng, weights):
    W, chunk_ptr = sparse(rng, [3, 0, 400, 1])
    layer = repacked(packed(W, chunk_ptr, rng), N_FEATURES, weights, 0.5)
    W[:-1][np.abs(W[:-1]) < 0.5] = 0
    expected = packed(W, chunk_ptr, rng, weights)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(layer, expected, strict=True))


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_the_weights_of_a_node_are_those_of_its_column(rng, weights):
    W, chunk_ptr = sparse(rng, [3, 0, 300, 1])
    layer = packed(W, chunk_ptr, rng, weights)
    W = naive.layer_weights(layer, N_FEATURES)
    for node in range(W.shape[1]):
        features, found = weights_of(layer, node, N_FEATURES)
        (expected,) = np.nonzero(W[:-1, node])
        assert features.tolist() == expected.tolist()
        np.testing.assert_array_equal(found, W[expected, node])
    assert [parent_of(layer, node) for node in (0, 2, 3, 302, 303)] == [0, 0, 2, 2, 3]


@pytest.mark.parametrize("largest", [65504, 2.0**-10, 1])
def test_float16_weights_within_its_range_are_as_they_are(rng, largest):
    W, chunk_ptr = sparse(rng, [40])
    W *= np.float32(largest / 2 / np.abs(W).max())
    W[3, 3] = largest
    assert packed(W, chunk_ptr, rng, "float16").scale.tolist() == [1]
    assert packed(W, chunk_ptr, rng).scale.tolist() == [1]


@pytest.mark.parametrize(("largest", "scale"), [(65536, 4), (1e6, 32), (2.0**-11, 2.0**-25)])
def test_float16_weights_beyond_its_range_are_scaled_by_a_power_of_2(rng, largest, scale):
    """So that the largest is 2**14 to 2**15, where nothing overflows and no bit is lost."""
    W, chunk_ptr = sparse(rng, [40])
    W *= np.float32(largest / 2 / np.abs(W).max())
    W[3, 3] = largest
    assert packed(W, chunk_ptr, rng, "float16").scale.tolist() == [scale]
    assert packed(W, chunk_ptr, rng).scale.tolist() == [1]


def test_the_least_scale_is_the_least_normal_number(rng):
    W, chunk_ptr = sparse(rng, [40])
    W *= np.float32(1e-42)
    assert packed(W, chunk_ptr, rng, "float16").scale.tolist() == [2.0**-126]


@pytest.mark.parametrize("n_features", [32, 33, 34])
def test_a_page_has_buckets_for_all_features_and_no_more(rng, n_features):
    W = np.zeros((n_features + 1, 5), np.float32)
    W[:n_features, 1] = 1  # 8 to a bucket
    child, feature = np.nonzero(W[:-1].T)
    pages = pack(feature.astype(np.int32), child, W[feature, child], 5, n_features, "float32")
    layer = assemble(np.array([0, 5]), pages, np.zeros(5, np.float32))
    check_layer(layer, n_features, "it")
    assert layer.shift.tolist() == [3]
    assert len(layer.bucket) == -(-n_features // 8) + 1
    for other in (n_features + 8, n_features - 8):
        with pytest.raises(ValueError, match=f"it: expected buckets for {other} features"):
            check_layer(layer, other, "it")


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_weights_that_are_stored_so_are_left_whatever_the_scale_of_their_page(rng, weights):
    """As an update leaves a page whose largest weight is gone."""
    layer = packed(*sparse(rng, [3, 0, 400, 1]), rng, weights)
    smaller = layer._replace(scale=np.float32(layer.scale * 3), weight=layer.weight // 2 | 1)
    assert same_bytes(repacked(smaller, N_FEATURES, weights, 0.0), smaller)
    assert same_bytes(repacked(smaller, N_FEATURES, weights, 1e-9), smaller)


def test_pointers_that_are_no_pointers_are_refused(rng):
    layer = packed(*sparse(rng, [3]), rng)
    with pytest.raises(ValueError, match="it: expected arrays that fit each other"):
        check_layer(layer._replace(chunk_ptr=layer.chunk_ptr[:0]), N_FEATURES, "it")


def same_bytes(a, b):
    return all(x.tobytes() == y.tobytes() and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("threshold", [0.0, 0.15, 0.5, 1e300])
@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_repacking_twice_is_repacking_once(rng, weights, threshold):
    """Though what was rounded down may be below the threshold."""
    W, chunk_ptr = sparse(rng, [3, 0, 400, 1])
    once = repacked(packed(W, chunk_ptr, rng), N_FEATURES, weights, threshold)
    assert same_bytes(repacked(once, N_FEATURES, weights, threshold), once)
    assert same_bytes(repacked(once, N_FEATURES, weights, 0.0), once)


@pytest.mark.parametrize("size", [1e-6, 1, 1e6])
@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_weights_that_stay_keep_their_bits_where_others_are_dropped(rng, weights, size):
    W, chunk_ptr = sparse(rng, [3, 0, 400, 1])
    W *= np.float32(size)
    before = packed(W, chunk_ptr, rng, weights)
    found = naive.layer_weights(repacked(before, N_FEATURES, weights, 0.7 * size), N_FEATURES)
    known = naive.layer_weights(before, N_FEATURES)
    kept = found != 0
    assert np.array_equal(found[kept], known[kept])
    left = np.abs(known[:-1][~kept[:-1]])
    assert (left < 0.7 * size).all() and 0 < kept.sum() < (known != 0).sum()


@pytest.mark.parametrize("narrow", ["float16", "int8"])
def test_wider_weights_have_the_values_of_narrow_ones(rng, narrow):
    W, chunk_ptr = sparse(rng, [3, 0, 400, 1])
    before = packed(W, chunk_ptr, rng, narrow)
    wide = repacked(before, N_FEATURES, "float32", 0.0)
    values = naive.layer_weights(before, N_FEATURES)
    assert np.array_equal(naive.layer_weights(wide, N_FEATURES), values)
    assert same_bytes(repacked(wide, N_FEATURES, "float32", 0.0), wide)
    for other in ("float16", "int8"):  # stored anew, from the values
        expected = packed(values, chunk_ptr, rng, other)
        assert narrow == other or same_bytes(repacked(before, N_FEATURES, other, 0.0), expected)


def test_layers_have_the_types_that_kernels_read_and_are_read_only(rng):
    layer = packed(*sparse(rng, [3, 0, 400]), rng)
    types = ["i8"] * 5 + ["u1", "f4", "u4", "u1", "u1", "u1", "f4", "f4"]
    assert [part.dtype for part in layer] == [np.dtype(name) for name in types]
    assert not any(part.flags.writeable for part in layer)
    assert [part.dtype for part in layer] == [part.dtype for part in packed(*sparse(rng, []), rng)]


def test_buckets_hold_about_eight_features(rng):
    """Where a page has enough of them; no bucket spans more than 256."""
    for density in (0.01, 0.1, 0.5, 1):
        W = (rng.random((20_001, 1)) < density).astype(np.float32)
        layer = packed(W, [0, 1], rng)
        held = len(layer.low) / len(layer.bucket)
        assert layer.shift[0] <= 8 and (layer.shift[0] == 8 or 7 < held < 17)


def test_chunks_have_a_page_per_256_children():
    assert page_counts(np.array([0, 0, 1, 257, 514, 1026])).tolist() == [0, 1, 1, 2, 2]


@pytest.fixture
def layer(rng):
    return packed(*sparse(rng, [3, 0, 400]), rng)


def refusal(layer, n_features=N_FEATURES):
    with pytest.raises(ValueError) as error:
        check_layer(layer, n_features, "tree0.level1")
    return str(error.value)


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
@pytest.mark.parametrize("widths", [[3, 0, 400], [1], []])
def test_a_layer_that_was_packed_is_sound(rng, widths, weights):
    check_layer(packed(*sparse(rng, widths), rng, weights), N_FEATURES, "tree0.level1")


@pytest.mark.parametrize("part", [*DTYPES, "weight"])
def test_another_type_is_refused_by_the_name_of_its_array(layer, part):
    expected = DTYPES.get(part, "('<f4', '|i1', '<u2')")
    changed = layer._replace(**{part: getattr(layer, part).astype(np.float64)})
    assert refusal(changed) == f"tree0.level1.{part}: expected {expected}, got float64"


CHANGES = {
    "2-D": lambda array: array[None],
    "one more": lambda array: np.concatenate([array, array[-1:]]),
    "one less": lambda array: array[:-1],
    "none": lambda array: array[:0],
    "a later start": lambda array: np.concatenate([array[:1] + 1, array[1:]]),
    "a later end": lambda array: np.concatenate([array[:-1], array[-1:] + 1]),
    "an earlier end": lambda array: np.concatenate([array[:-1], array[-1:] - 1]),
    "a fall": lambda array: np.concatenate([array[:1], array[-1:] + 1, array[2:]]),
}
LENGTHS = ["2-D", "one more", "one less", "none"]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        *((part, change) for part in DTYPES if part[-4:] == "_ptr" for change in CHANGES),
        *((part, change) for part in DTYPES if part[-4:] != "_ptr" for change in LENGTHS),
        *(("weight", change) for change in LENGTHS),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(layer, part, change):
    changed = CHANGES[change](getattr(layer, part))
    assert refusal(layer._replace(**{part: changed})) == (
        "tree0.level1: expected arrays that fit each other, their lengths don't"
    )


@pytest.mark.parametrize("n_columns", [1, 3])
def test_buckets_are_pairs(layer, n_columns):
    bucket = np.zeros((len(layer.bucket), n_columns), np.uint32)
    assert "expected arrays that fit each other" in refusal(layer._replace(bucket=bucket))


@pytest.mark.parametrize("n_features", [1, 60, 200, 1_234])
def test_buckets_are_those_of_the_features(layer, n_features):
    said = f"tree0.level1: expected buckets for {n_features:,} features"
    assert refusal(layer, n_features) == said


def test_no_bucket_spans_more_than_256_features(rng):
    layer = packed(np.ones((201, 1), np.float32), [0, 1], rng)
    wide = np.uint32([[0, 0], [200, 200]])
    for shift in (8, 9):
        changed = layer._replace(shift=np.uint8([shift]), bucket=wide, bucket_ptr=np.array([0, 2]))
        if shift == 8:
            check_layer(changed, 200, "tree0.level1")
        else:
            assert refusal(changed, 200) == "tree0.level1: expected buckets for 200 features"


@pytest.mark.parametrize("part", ["scale", "bias_weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scales_and_bias_weights_are_finite(layer, part, value):
    changed = getattr(layer, part).copy()
    changed[1] = value
    said = "tree0.level1: expected finite scales and bias weights"
    assert refusal(layer._replace(**{part: changed})) == said


@pytest.mark.parametrize("page", [0, 2])
def test_a_page_whose_buckets_do_not_fit_its_features_is_named(layer, page):
    bucket = layer.bucket.copy()
    bucket[layer.bucket_ptr[page]] += 1
    said = f"tree0.level1: expected buckets that fit the features of page {page}"
    assert refusal(layer._replace(bucket=bucket)) == said
