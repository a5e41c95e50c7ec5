import naive
import numpy as np
import pytest

from xmc.kernels.beam import L2_HINGE, L3_HINGE, LOG_SIGMOID, average, best, score_chunks

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
N_FEATURES = 30
WIDTHS = [3, 1, 0, 6, 20]  # of the chunks, an only child and a node without children among them


@pytest.fixture
def chunks(rng):
    """Dense weights (features + bias, nodes), the layer that holds them; the chunk of 6 holds nothing but biases."""
    chunk_ptr = np.concatenate([[0], np.cumsum(WIDTHS)])
    W = rng.normal(size=(N_FEATURES + 1, chunk_ptr[-1])) * (rng.random((N_FEATURES + 1, chunk_ptr[-1])) < 0.2)
    W[-1] = rng.normal(size=chunk_ptr[-1])
    W[:-1, chunk_ptr[3] : chunk_ptr[4]] = 0
    return W.astype(np.float32), naive.as_layer(W, chunk_ptr)


def random_pairs(rng, n_rows):
    """Row, node and log-probability of each pair: every row holds two or three nodes, in any order."""
    nodes = [rng.permutation(len(WIDTHS))[: rng.integers(2, 4)] for _ in range(n_rows)]
    row = np.repeat(np.arange(n_rows), [len(own) for own in nodes])
    node = np.concatenate([np.empty(0, int), *nodes])
    return row.astype(np.int32), node.astype(np.int32), -rng.random(len(row)).astype(np.float32)


def scored(X, layer, pairs, transform="l3_hinge", bias=1.0, inner=False):
    """Margins and scores of each pair's children, as arrays, and the marks."""
    row, node, log_p = pairs
    out_indptr = np.concatenate([[0], np.cumsum(np.diff(layer.chunk_ptr)[node])]).astype(np.int64)
    margin, score = np.full((2, out_indptr[-1]), np.nan, np.float32)
    place = np.zeros(X.n_features, np.int32)
    score_chunks(
        *(*X[:3], row, node, log_p, np.argsort(node, kind="stable"), out_indptr, *layer),
        *(np.float32(bias), TRANSFORMS[transform], inner, place, margin, score),
    )
    return np.split(margin, out_indptr[1:-1]), np.split(score, out_indptr[1:-1]), place


def candidates(rng, sizes, n_ids=40):
    """Pointers, ids, scores and margins of random candidates; few different scores and margins, so that many tie."""
    indptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
    ids = [rng.permutation(n_ids)[:size] for size in sizes]
    score, margin = rng.choice(np.float32([0, 0.25, 0.5]), (2, indptr[-1]))
    return indptr, np.concatenate([np.empty(0, int), *ids]).astype(np.int32), score, margin


def rows_of(indptr, ids, score, margin):
    """(score, margin, id) of each row's candidates."""
    return naive.split(indptr, list(zip(score.tolist(), margin.tolist(), ids.tolist(), strict=True)))


def kept(found, k):
    """The best k of each row."""
    indptr = np.concatenate([[0], np.cumsum(np.minimum(np.diff(found[0]), k))]).astype(np.int64)
    n = int(indptr[-1])
    out = indptr, np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
    best(*found, k, *out)
    return rows_of(*out)


@pytest.mark.parametrize("n_rows", [0, 1, 40])
@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_margins_and_scores_agree_with_dense_products(rng, chunks, transform, bias, n_rows):
    (W, layer), X, pairs = chunks, naive.random_rows(rng, n_rows, N_FEATURES), random_pairs(rng, n_rows)
    margins, scores, _ = scored(X, layer, pairs, transform, bias)
    dense = np.hstack([naive.to_dense(*X), np.full((n_rows, 1), bias)]) @ W
    for row, node, log_p, margin, score in zip(*pairs, margins, scores, strict=False):
        expected = dense[row, layer.chunk_ptr[node] : layer.chunk_ptr[node + 1]]
        assert margin == pytest.approx(expected, abs=1e-5)
        assert score == pytest.approx(log_p + naive.log_probability(expected, transform), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_an_only_child_takes_its_parents_score_on_inner_levels(rng, chunks, transform):
    (_, layer), X, pairs = chunks, naive.random_rows(rng, 20, N_FEATURES), random_pairs(rng, 20)
    _, passed, _ = scored(X, layer, pairs, transform, inner=True)
    _, ranked, _ = scored(X, layer, pairs, transform, inner=False)
    for node, log_p, inner, leaf in zip(*pairs[1:], passed, ranked, strict=False):
        assert np.array_equal(inner, [log_p] if node == 1 else leaf)


@pytest.mark.parametrize("density", [0.03, 0.3, 1.0])
def test_many_rows_and_one_row_give_the_same_bits(rng, chunks, density):
    """A few rows are searched for in the chunk, many are looked up."""
    (_, layer), X, pairs = chunks, naive.random_rows(rng, 300, N_FEATURES, density), random_pairs(rng, 300)
    together = scored(X, layer, pairs)
    for n, (row, node, log_p) in enumerate(zip(*pairs, strict=True)):
        alone = scored(X, layer, (np.int32([row]), np.int32([node]), np.float32([log_p])))
        for one, all_rows in zip(alone[:2], together[:2], strict=True):
            assert b"".join(part.tobytes() for part in one) == all_rows[n].tobytes()


@pytest.mark.parametrize("n_rows", [1, 100])
def test_scoring_gives_marks_back_all_0(rng, chunks, n_rows):
    X, pairs = naive.random_rows(rng, n_rows, N_FEATURES), random_pairs(rng, n_rows)
    *_, place = scored(X, chunks[1], pairs)
    assert not place.any()


def test_rows_without_features_are_scored_by_bias(chunks):
    W, layer = chunks
    X = naive.as_rows(np.zeros((5, N_FEATURES)))
    pairs = np.arange(5, dtype=np.int32), np.arange(5, dtype=np.int32), np.zeros(5, np.float32)
    margins, _, _ = scored(X, layer, pairs, bias=2.0)
    assert np.concatenate(margins) == pytest.approx(2 * W[-1])


@pytest.mark.parametrize("n_features", [1, 2, 3, 50, 1000])
def test_every_feature_of_a_chunk_is_found(n_features):
    """By a row of one feature that is searched for, whatever the number of features in the chunk."""
    W = np.zeros((2 * n_features + 1, 1))
    W[1 : 2 * n_features : 2, 0] = np.arange(1, n_features + 1)
    layer = naive.as_layer(W, [0, 1])
    for feature in range(2 * n_features) if n_features < 100 else range(0, 2000, 37):
        X = naive.as_rows(np.eye(1, 2 * n_features, feature))
        (margin,), _, _ = scored(X, layer, (np.int32([0]), np.int32([0]), np.float32([0])))
        assert margin[0] == W[feature, 0]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_large_margins_neither_overflow_nor_lose_their_order(transform):
    margins = np.float32([-80, -20, -2, -0.0, 0, 0.5, 0.999, 1, 3, 90])
    layer = naive.as_layer(np.vstack([margins, np.zeros(10)]), [0, 10])
    X = naive.as_rows([[1.0]])
    _, (score,), _ = scored(X, layer, (np.int32([0]), np.int32([0]), np.float32([0])), transform)
    assert np.isfinite(score).all() and (score <= 0).all() and (np.diff(score) >= 0).all()
    assert score == pytest.approx(naive.log_probability(margins.astype(float), transform), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("k", [1, 2, 3, 10, 50])
def test_best_agrees_with_sorting(rng, k):
    found = candidates(rng, rng.integers(0, 40, 50))
    assert kept(found, k) == [naive.best(row, k) for row in rows_of(*found)]


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("sizes", [[], [0], [1], [0, 3, 0]])
def test_best_of_hardly_any_candidates(rng, sizes, k):
    found = candidates(rng, sizes)
    assert kept(found, k) == [naive.best(row, k) for row in rows_of(*found)]


def test_best_goes_by_score_then_margin_then_the_smaller_id():
    found = np.array([0, 4]), np.int32([9, 4, 2, 7]), np.float32([0.5, 0.5, 0.5, 1]), np.float32([3, 2, 2, -5])
    assert [label for *_, label in kept(found, 3)[0]] == [7, 9, 2]


def test_average_agrees_with_its_twin(rng):
    """Members one after another, each with its own candidates of a row."""
    members = [rows_of(*candidates(rng, rng.integers(0, 20, 30), n_ids=25)) for _ in range(3)]
    rows = [[c for found in row for c in found] for row in zip(*members, strict=True)]
    indptr, flat = naive.join(rows)
    score, margin, ids = (np.array(column) for column in zip(*flat, strict=True))
    found = np.array(indptr), ids.astype(np.int32), score.astype(np.float32), margin.astype(np.float32)
    got = rows_of(*average(*found, 3, 25))
    for ours, judge in zip(got, zip(*members, strict=True), strict=True):
        assert np.array(sorted(ours, key=lambda c: c[2])).ravel() == pytest.approx(
            np.array(sorted(naive.average(judge), key=lambda c: c[2])).ravel(), abs=1e-6
        )


def test_a_label_that_a_member_missed_counts_0_there():
    found = np.array([0, 3]), np.int32([5, 2, 5]), np.float32([0.5, 0.8, 0.25]), np.float32([1, 2, 4])
    assert rows_of(*average(*found, 2, 6)) == [[(0.375, 2.5, 5), (pytest.approx(0.4), 2.0, 2)]]


@pytest.mark.parametrize("sizes", [[], [0], [1], [0, 0, 2]])
def test_average_of_hardly_any_candidates(rng, sizes):
    found = candidates(rng, sizes)
    expected = [[(score / 2, margin, label) for score, margin, label in row] for row in rows_of(*found)]
    assert rows_of(*average(*found, 2, 40)) == expected
