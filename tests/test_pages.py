import naive
import numpy as np
import pytest

from xmc.pages import assemble, entries, pack, page_counts

N_FEATURES = 90


def packed(W, chunk_ptr, rng):
    """The layer of the weights W (features + the bias, nodes), packed chunk by chunk from entries in any order."""
    pages = []
    for first, last in zip(chunk_ptr, chunk_ptr[1:], strict=False):
        feature, child = np.nonzero(W[:-1, first:last])
        order = rng.permutation(len(feature))
        weight = W[feature, first + child].astype(np.float32)
        parts = feature[order].astype(np.int32), child[order], weight[order]
        pages.extend(pack(*parts, last - first, len(W) - 1))
    return assemble(np.asarray(chunk_ptr, np.int64), pages, W[-1].astype(np.float32))


def sparse(rng, widths, density=0.2):
    W = rng.normal(size=(N_FEATURES + 1, sum(widths))) * (rng.random((N_FEATURES + 1, sum(widths))) < density)
    return W.astype(np.float32), np.concatenate([[0], np.cumsum(widths)])


@pytest.mark.parametrize("density", [0.001, 0.05, 1])
@pytest.mark.parametrize("widths", [[1], [300], [256, 257], [0, 5, 0, 600, 0], []])
def test_a_layer_holds_what_was_packed(rng, widths, density):
    W, chunk_ptr = sparse(rng, widths, density)
    assert np.array_equal(naive.layer_weights(packed(W, chunk_ptr, rng), N_FEATURES), W)


@pytest.mark.parametrize("widths", [[1], [300], [0, 5, 0, 600, 0], []])
def test_entries_are_what_was_packed_in_order_of_page_feature_and_child(rng, widths):
    W, chunk_ptr = sparse(rng, widths)
    expected = []
    for first, last in zip(chunk_ptr, chunk_ptr[1:], strict=False):
        for start in range(first, last, 256):
            part = W[:-1, start : min(start + 256, last)]
            expected.extend((j, start + c, part[j, c]) for j, c in zip(*np.nonzero(part), strict=True))
    assert list(zip(*entries(packed(W, chunk_ptr, rng)), strict=True)) == expected


@pytest.mark.parametrize("dtype", [np.float16, np.int8])
def test_entries_of_narrow_weights_are_float32(rng, dtype):
    W = 0.5 * rng.integers(-9, 10, (N_FEATURES + 1, 7))
    feature, node, weight = entries(naive.as_layer(W, [0, 3, 7], dtype=dtype, scale=0.5))
    assert weight.dtype == np.float32
    assert np.array_equal(weight, W[feature, node])


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
