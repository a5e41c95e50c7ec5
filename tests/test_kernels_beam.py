import inspect

import naive
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.kernels.beam import best_children, order_by, score_leaves
from xmc.kernels.pages import MANY, Pages
from xmc.kernels.score import L2_HINGE, L3_HINGE, LOG_SIGMOID, probability
from xmc.layer import Layer
from xmc.ranking.search import Beam

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
N_FEATURES = 30
WIDTHS = [
    3,
    1,
    0,
    6,
    289,
]  # of the chunks: an only child, a node without children, one with two pages among them
NO_LABELS = np.empty(0, np.int32)
NO_BOOST = np.empty(0, np.float32)


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
    """Row, node and path of each pair, row by row: every row holds two or three nodes."""
    nodes = [rng.permutation(len(WIDTHS))[: rng.integers(2, 4)] for _ in range(n_rows)]
    row = np.repeat(np.arange(n_rows), [len(own) for own in nodes])
    node = np.concatenate([np.empty(0, int), *nodes])
    return row, node.astype(np.int32), -rng.random(len(row)).astype(np.float32)


def as_nodes(layer, pairs, n_rows):
    """Node, path and start of pairs as of the second of two members, whose slots are three."""
    row, node, path = pairs
    widths = np.diff(layer.chunk_ptr)[node]
    slot = np.arange(len(row)) - np.searchsorted(row, row)
    nodes = np.full((n_rows, 2, 3), -1, np.int32), np.zeros((n_rows, 2, 3), np.float32)
    start, wanted = np.zeros((n_rows, 2, 3), np.int64), np.zeros((n_rows, 2, 3), bool)
    wanted[:, 0] = True  # those of the first member are none of this one's
    for array, values in zip((*nodes, start, wanted), (node, path, 0, True), strict=True):
        array[row, 1, slot] = values
    start[row, 1, slot] = np.cumsum(widths) - widths
    return wanted, *nodes, start


def scored(X, layer, pairs, transform="l3_hinge", bias=1.0):
    """Margins and probabilities of each pair's children; also looks at the best paths."""
    widths = np.diff(layer.chunk_ptr)[pairs[1]]
    path, margin = np.full((2, widths.sum()), np.nan, np.float32)
    rows = frozen(X.indptr), frozen(X.indices), frozen(X.data)
    nodes = as_nodes(layer, pairs, X.n_rows)
    how = np.float32(bias), TRANSFORMS[transform]
    best = np.full(nodes[0].shape, np.nan, np.float32)
    score_leaves(*rows, 1, *nodes, *layer, *how, best, path, margin)
    ends = np.cumsum(widths)[:-1]
    told = (nodes[1] >= 0) & (np.diff(layer.chunk_ptr)[nodes[1]] > 0)
    assert best[told].tolist() == [own.max() for own in np.split(path, ends) if len(own)]
    assert np.isnan(best[~told]).all()
    score = np.array([probability(own) for own in path], np.float32)
    return np.split(margin, ends), np.split(score, ends)


def as_beam(rng, n_rows):
    """A beam of two or three nodes per row, best first; nothing where a row has fewer."""
    size = rng.integers(2, 4, n_rows)
    ids = np.argsort(rng.random((n_rows, len(WIDTHS))), axis=1)[:, :3]
    return (
        size,
        np.ascontiguousarray(ids, np.int32),
        -np.sort(rng.random((n_rows, 3)).astype(np.float32), axis=1),
    )


def ranked(X, layer, beam, k, transform="l3_hinge", inner=True, labels=NO_LABELS, boost=NO_BOOST):
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
        *map(frozen, (labels, boost)),
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


@pytest.mark.parametrize("n_rows", [MANY - 1, MANY, MANY + 1])
def test_leaves_of_few_rows_and_of_many_are_scored_alike(rng, n_rows):
    """From MANY rows on, pages are mapped."""
    W = rng.normal(size=(N_FEATURES + 1, 14))
    layer, pairs = naive.as_layer(W, [0, 3, 4, 4, 10, 14]), random_pairs(rng, n_rows)
    X = naive.random_rows(rng, n_rows, N_FEATURES)
    dense = np.hstack([naive.to_dense(*X), np.ones((n_rows, 1))]) @ W
    for row, node, margin in zip(*pairs[:2], scored(X, layer, pairs)[0], strict=True):
        expected = dense[row, layer.chunk_ptr[node] : layer.chunk_ptr[node + 1]]
        assert margin == pytest.approx(expected, abs=1e-5)


def test_leaves_of_a_node_with_three_pages_are_scored(rng):
    W = np.vstack([rng.normal(size=600), np.zeros(600)])
    layer, X = naive.as_layer(W, [0, 600]), naive.as_rows([[1.0]])
    ((margin,), _) = scored(X, layer, (np.array([0]), np.int32([0]), np.float32([0])))
    assert margin == pytest.approx(W[0], abs=1e-5)


def pairs_of(beam):
    """Row, node and path of each pair that a beam holds."""
    size, ids, path = beam
    row, slot = np.nonzero(np.arange(3) < size[:, None])
    return row, ids[row, slot], path[row, slot]


@pytest.mark.parametrize("k", [1, 4, 500])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_best_nodes_are_the_best_of_all(rng, chunks, transform, k):
    """Of every child of every node in the beam, though most nodes need not be scored."""
    (_, layer), X, beam = chunks, naive.random_rows(rng, 100, N_FEATURES), as_beam(rng, 100)
    pairs, everything = pairs_of(beam), [[] for _ in range(100)]
    for i, node, parent, margins in zip(*pairs, scored(X, layer, pairs, transform)[0], strict=True):
        path = parent + naive.log_probability(margins.astype(float), transform) * (node != 1)
        children = range(layer.chunk_ptr[node], layer.chunk_ptr[node + 1])
        everything[i].extend(zip(np.maximum(path, -104), margins.tolist(), children, strict=True))
    expected = [naive.best(children, k) for children in everything]
    found = ranked(X, layer, beam, k, transform)
    for row, judge in zip(found, expected, strict=True):
        assert [child[1:] for child in row] == [child[1:] for child in judge]
        assert [path for path, *_ in row] == pytest.approx([p for p, *_ in judge], rel=1e-4)


@pytest.mark.parametrize("n_rows", [1, MANY])
def test_a_node_that_could_only_tie_is_scored(n_rows):
    """Its child has the larger margin, though both are certain."""
    layer = naive.as_layer(np.array([[1.5, 1.2, 3, 2], [0, 0, 0, 0]]), [0, 2, 4])
    beam = np.full(n_rows, 2), np.tile(np.int32([0, 1]), (n_rows, 1)), np.zeros((n_rows, 2))
    found = ranked(naive.as_rows(np.ones((n_rows, 1))), layer, (*beam[:2], np.float32(beam[2])), 1)
    assert found == [[(0, 3, 2)]] * n_rows


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("n_rows", [MANY - 1, MANY, MANY + 30])
def test_a_node_that_became_hopeless_is_left_out_for_its_row_alone(rng, n_rows, k):
    """Of eight slots the last ones are scored together, by node: some of them need not be."""
    W = rng.normal(size=(N_FEATURES + 1, 40))
    layer, X = naive.as_layer(W, np.arange(0, 41, 5)), naive.random_rows(rng, n_rows, N_FEATURES)
    ids = np.argsort(rng.random((n_rows, 8)), axis=1).astype(np.int32)
    paths = -np.sort(rng.random((n_rows, 8)).astype(np.float32), axis=1)
    margins = np.hstack([naive.to_dense(*X), np.ones((n_rows, 1))]) @ W
    found = ranked(X, layer, (np.full(n_rows, 8), ids, paths), k)
    for row in range(n_rows):
        parent = paths[row, np.argsort(ids[row])].repeat(5).astype(float)
        path = parent + naive.log_probability(margins[row], "l3_hinge")
        best = naive.best(zip(path, margins[row], range(40), strict=True), k)
        assert [label for *_, label in found[row]] == [label for *_, label in best]
        assert [path for path, *_ in found[row]] == pytest.approx([p for p, *_ in best], rel=1e-4)


@pytest.mark.parametrize("k", [1, 4, 500])
@pytest.mark.parametrize("n_rows", [0, 1, 100])
@pytest.mark.parametrize("boosted", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_best_labels_are_the_best_of_all_children(rng, chunks, transform, boosted, n_rows, k):
    """The same bits: what is left out has a smaller score."""
    (_, layer), X = chunks, naive.random_rows(rng, n_rows, N_FEATURES)
    beam, labels = as_beam(rng, n_rows), rng.permutation(layer.chunk_ptr[-1]).astype(np.int32)
    boost = rng.choice(np.float32([1, 0.5, 1e-3]), len(labels)) if boosted else NO_BOOST
    pairs, everything = pairs_of(beam), [[] for _ in range(n_rows)]
    for i, node, *found in zip(*pairs[:2], *scored(X, layer, pairs, transform), strict=False):
        own = labels[layer.chunk_ptr[node] : layer.chunk_ptr[node + 1]]
        score = found[1] * boost[own] if boosted else found[1]
        everything[i].extend(zip(score.tolist(), found[0].tolist(), own.tolist(), strict=True))
    found = ranked(X, layer, beam, k, transform, False, labels, boost)
    assert found == [naive.best(row, k) for row in everything]


def test_labels_of_equal_scores_go_by_margin_though_their_paths_differ():
    """exp(-1e-8) is 1 in float32. On an inner level, where nobody sees it, the better path wins."""
    layer = naive.as_layer([[0.999, 5], [0, 0]], [0, 1, 2])
    beam = np.array([2]), np.int32([[0, 1]]), np.float32([[0, -1e-8]])
    x, labels = naive.as_rows([[1.0]]), np.int32([7, 8])
    assert [label for *_, label in ranked(x, layer, beam, 2, "l3_hinge", False, labels)[0]] == [
        8,
        7,
    ]
    assert [label for *_, label in ranked(x, layer, beam, 1, "l3_hinge", False, labels)[0]] == [8]
    assert [node for *_, node in ranked(x, layer, beam, 2)[0]] == [0, 1]


def test_labels_without_a_probability_go_by_margin():
    """Their paths differ where float32 shows 0."""
    layer = naive.as_layer([[2, 3, 9], [0, 0, 0]], [0, 2, 3])
    beam = np.array([2]), np.int32([[0, 1]]), np.float32([[-103.98, -103.99]])
    labels = np.int32([7, 8, 9])
    (found,) = ranked(naive.as_rows([[1.0]]), layer, beam, 2, "l3_hinge", False, labels)
    assert found == [(0, 9, 9), (0, 3, 8)]


def test_the_order_of_flat_arrays_is_that_of_layers_and_beams():
    for kernel in (best_children, score_leaves):
        names = list(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)
        first = names.index("chunk_ptr")
        assert names[first : first + len(Layer._fields)] == list(Layer._fields)
    names = list(inspect.signature(getattr(best_children, "py_func", best_children)).parameters)
    assert names[3:6] == [f"beam_{name}" for name in Beam._fields[:3]]
    assert names[-4:] == list(Beam._fields)
    assert Pages._fields == Layer._fields[2:12]


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


@pytest.mark.parametrize("width", [1, 17, 273])
def test_the_best_path_may_be_that_of_the_last_child(width):
    """`scored` compares it with all of them."""
    layer = naive.as_layer([np.zeros(width), np.arange(width) / width], [0, width])
    pairs = np.array([0]), np.int32([0]), np.float32([-1])
    _, (score,) = scored(naive.as_rows([[1.0]]), layer, pairs)
    assert score.argmax() == width - 1


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
