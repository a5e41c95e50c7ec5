import naive
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.kernels.beam import all_children, best_children, order_by
from xmc.kernels.score import L2_HINGE, L3_HINGE, LOG_SIGMOID

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
N_FEATURES = 30
WIDTHS = [
    3,
    1,
    0,
    6,
    300,
]  # of the chunks: an only child, a node without children, one with two pages among them
NUMBERS = np.empty(0, np.int32)
NOTHING = np.empty(0, np.float32)


@pytest.fixture
def chunks(rng):
    """Dense weights (features + bias, nodes), the layer that holds them; the chunk of 6 holds
    nothing but biases.
    """
    chunk_ptr = np.concatenate([[0], np.cumsum(WIDTHS)])
    W = rng.normal(size=(N_FEATURES + 1, chunk_ptr[-1])) * (
        rng.random((N_FEATURES + 1, chunk_ptr[-1])) < 0.2
    )
    W[-1] = rng.normal(size=chunk_ptr[-1])
    W[:-1, chunk_ptr[3] : chunk_ptr[4]] = 0
    return W.astype(np.float32), naive.as_layer(W, chunk_ptr)


def random_pairs(rng, n_rows):
    """Row, node and log-probability of each pair: every row holds two or three nodes, in any order."""
    nodes = [rng.permutation(len(WIDTHS))[: rng.integers(2, 4)] for _ in range(n_rows)]
    row = np.repeat(np.arange(n_rows), [len(own) for own in nodes])
    node = np.concatenate([np.empty(0, int), *nodes])
    return row, node.astype(np.int32), -rng.random(len(row)).astype(np.float32)


def scored(X, layer, pairs, transform="l3_hinge", bias=1.0):
    """Margins and probabilities of each pair's children, as arrays."""
    row, node, path = pairs
    out_ptr = np.concatenate([[0], np.cumsum(np.diff(layer.chunk_ptr)[node])]).astype(np.int64)
    margin, score = np.full((2, out_ptr[-1]), np.nan, np.float32)
    names, ids = (
        np.arange(layer.chunk_ptr[-1], dtype=np.int32) + 7,
        np.full(out_ptr[-1], -1, np.int32),
    )
    rows = frozen(X.indptr), frozen(X.indices), frozen(X.data)
    out = names, ids, score, margin
    all_children(
        *rows, row, node, path, out_ptr, *layer, np.float32(bias), TRANSFORMS[transform], *out
    )
    called = [np.arange(layer.chunk_ptr[c], layer.chunk_ptr[c + 1]) + 7 for c in node]
    assert ids.tolist() == [name for own in called for name in own]
    return np.split(margin, out_ptr[1:-1]), np.split(score, out_ptr[1:-1])


def as_beam(rng, n_rows):
    """A beam of two or three nodes per row, best first; nothing where a row has fewer."""
    size = rng.integers(2, 4, n_rows)
    ids = np.argsort(rng.random((n_rows, len(WIDTHS))), axis=1)[:, :3]
    return (
        size,
        np.ascontiguousarray(ids, np.int32),
        -np.sort(rng.random((n_rows, 3)).astype(np.float32), axis=1),
    )


def ranked(X, layer, beam, k, transform="l3_hinge", inner=True, names=NUMBERS, gain=NOTHING):
    """(score, margin, id) of each row's best k children."""
    n = X.n_rows
    kept = np.full(n, -1), np.full((n, k), -1, np.int32), *np.full((2, n, k), np.nan, np.float32)
    rows = frozen(X.indptr), frozen(X.indices), frozen(X.data)
    best_children(
        *rows,
        *beam,
        *layer,
        np.float32(1),
        TRANSFORMS[transform],
        inner,
        *map(frozen, (names, gain)),
        *kept,
    )
    return naive.filled(*kept)


@pytest.mark.parametrize("n_rows", [0, 1, 100])
@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_margins_and_scores_agree_with_dense_products(rng, chunks, transform, bias, n_rows):
    (W, layer), X, pairs = (
        chunks,
        naive.random_rows(rng, n_rows, N_FEATURES),
        random_pairs(rng, n_rows),
    )
    margins, scores = scored(X, layer, pairs, transform, bias)
    dense = np.hstack([naive.to_dense(*X), np.full((n_rows, 1), bias)]) @ W
    for row, node, log_p, margin, score in zip(*pairs, margins, scores, strict=False):
        expected = dense[row, layer.chunk_ptr[node] : layer.chunk_ptr[node + 1]]
        assert margin == pytest.approx(expected, abs=1e-5)
        judge = np.exp(log_p + naive.log_probability(expected, transform))
        assert score == pytest.approx(judge, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("k", [1, 4, 500])
@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_best_children_are_the_best_of_all(rng, chunks, transform, inner, k):
    """Of every child of every node in the beam, though most nodes need not be scored."""
    (_, layer), X, (size, ids, path) = (
        chunks,
        naive.random_rows(rng, 100, N_FEATURES),
        as_beam(rng, 100),
    )
    row, place = np.nonzero(np.arange(3) < size[:, None])
    pairs = row, ids[row, place], path[row, place]
    names = rng.permutation(layer.chunk_ptr[-1]).astype(np.int32)
    everything = [[] for _ in range(100)]
    for i, node, parent, margins in zip(*pairs, scored(X, layer, pairs, transform)[0], strict=True):
        own = naive.log_probability(margins.astype(float), transform) * (not inner or node != 1)
        called = names[layer.chunk_ptr[node] : layer.chunk_ptr[node + 1]].tolist()
        everything[i].extend(
            zip(np.maximum(parent + own, -104), margins.tolist(), called, strict=True)
        )
    expected = [naive.best(children, k) for children in everything]
    found = ranked(X, layer, (size, ids, path), k, transform, inner, names)
    assert [[child[1:] for child in row] for row in found] == [
        [child[1:] for child in row] for row in expected
    ]
    for row, judge in zip(found, expected, strict=True):
        score = np.array([s for s, *_ in judge])
        assert [s for s, *_ in row] == pytest.approx(
            score if inner else np.exp(score), rel=1e-4, abs=1e-37
        )


@pytest.mark.parametrize("k", [1, 4, 500])
def test_gains_add_to_log_probabilities_by_name(rng, chunks, k):
    (_, layer), X, beam = chunks, naive.random_rows(rng, 100, N_FEATURES), as_beam(rng, 100)
    names = rng.permutation(layer.chunk_ptr[-1]).astype(np.int32)
    gain = -rng.exponential(2, len(names)).astype(np.float32)
    plain = ranked(X, layer, beam, 1000, inner=False, names=names)
    found = ranked(X, layer, beam, k, inner=False, names=names, gain=gain)
    for row, judge in zip(found, plain, strict=True):
        expected = sorted((-score * np.exp(gain[name]) for score, _, name in judge))[:k]
        assert [-score for score, *_ in row] == pytest.approx(expected, rel=1e-4, abs=1e-37)
        own = {name: margin for _, margin, name in judge}
        assert all(own[name] == margin for _, margin, name in row)


def test_children_without_names_are_called_by_number(rng, chunks):
    X, beam = naive.random_rows(rng, 20, N_FEATURES), as_beam(rng, 20)
    assert ranked(X, chunks[1], beam, 4) == ranked(
        X, chunks[1], beam, 4, names=np.arange(310, dtype=np.int32)
    )


def test_many_rows_and_one_row_give_the_same_bits(rng, chunks):
    X, beam = naive.random_rows(rng, 100, N_FEATURES), as_beam(rng, 100)
    together = ranked(X, chunks[1], beam, 5)
    for i in range(100):
        alone = naive.as_rows(naive.to_dense(*X)[i : i + 1])
        assert (
            ranked(alone, chunks[1], tuple(part[i : i + 1] for part in beam), 5)
            == together[i : i + 1]
        )


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_hopeless_children_tie_and_go_by_margin(transform):
    """Below float32 there is nothing to tell scores apart."""
    margins = np.float32([-300, -200, -250, -400])
    layer = naive.as_layer(np.vstack([margins, np.zeros(4)]), [0, 4])
    (found,) = ranked(
        naive.as_rows([[1.0]]),
        layer,
        (np.array([1]), np.int32([[0]]), np.float32([[0]])),
        3,
        transform,
    )
    assert found == [(-104, -200, 1), (-104, -250, 2), (-104, -300, 0)]


def test_rows_without_features_are_scored_by_bias(chunks):
    W, layer = chunks
    X = naive.as_rows(np.zeros((5, N_FEATURES)))
    pairs = np.arange(5), np.arange(5, dtype=np.int32), np.zeros(5, np.float32)
    margins, _ = scored(X, layer, pairs, bias=2.0)
    assert np.concatenate(margins) == pytest.approx(2 * W[-1])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_large_margins_neither_overflow_nor_lose_their_order(transform):
    margins = np.float32([-80, -20, -2, -0.0, 0, 0.5, 0.999, 1, 3, 90])
    layer = naive.as_layer(np.vstack([margins, np.zeros(10)]), [0, 10])
    X = naive.as_rows([[1.0]])
    _, (score,) = scored(X, layer, (np.array([0]), np.int32([0]), np.float32([0])), transform)
    assert (0 <= score).all() and (score <= 1).all() and (np.diff(score) >= 0).all()
    assert score == pytest.approx(
        np.exp(naive.log_probability(margins.astype(float), transform)), rel=1e-4, abs=1e-37
    )


@pytest.mark.parametrize("n", [0, 1, 500])
def test_equal_keys_keep_their_order(rng, n):
    keys, elements = rng.integers(0, 20, 600).astype(np.int32), rng.permutation(600)[:n]
    assert np.array_equal(
        order_by(keys, 20, elements), elements[np.argsort(keys[elements], kind="stable")]
    )
