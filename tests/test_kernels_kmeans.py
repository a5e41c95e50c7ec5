import naive
import numpy as np
import pytest

from xmc.arrays import Rows, frozen
from xmc.kernels.gather import pick
from xmc.kernels.kmeans import (
    _turn,
    _used_features,
    bisect,
    choose_left,
    embed,
    means,
    nearest,
    split_along,
)
from xmc.kernels.lanes import N_LANES

SIZES = [0, 1, 60]
N_FEATURES = 20


@pytest.fixture(params=SIZES, ids=["nothing", "one-row", "random"])
def Z(request, rng):
    """Rows of unit length, some of them without features."""
    return naive.as_rows(
        naive.unit(naive.to_dense(*naive.random_rows(rng, request.param, N_FEATURES)))
    )


def many(rng, n_rows=60):
    return naive.as_rows(naive.unit(naive.to_dense(*naive.random_rows(rng, n_rows, N_FEATURES))))


def planted(rng, sizes, n_words=5):
    """Rows of unit length in clusters that share no feature, and the cluster of each."""
    cluster = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    dense = np.zeros((len(cluster), len(sizes) * n_words))
    for row, c in zip(dense, cluster, strict=True):
        row[c * n_words : (c + 1) * n_words] = rng.uniform(0.5, 1, n_words)
    return naive.as_rows(naive.unit(dense)), cluster


def as_blocks(centroids):
    """Flat (blocks of 16 clusters x features x 16)."""
    n_clusters, n_features = centroids.shape
    n_blocks = -(-n_clusters // N_LANES)
    padded = np.zeros((n_blocks * N_LANES, n_features), np.float32)
    padded[:n_clusters] = centroids
    return padded.reshape(n_blocks, N_LANES, n_features).transpose(0, 2, 1).ravel()


def from_blocks(flat, n_clusters, n_features):
    """(clusters, features)."""
    n_blocks = -(-n_clusters // N_LANES)
    by_lane = flat.reshape(n_blocks, n_features, N_LANES).transpose(0, 2, 1)
    return by_lane.reshape(n_blocks * N_LANES, n_features)[:n_clusters]


def embedded(Y, X, labels, n_kept):
    """Dense embeddings, the number of features of each label, and the two marks."""
    indptr, rows = naive.as_lists(Y.T)
    marks = np.zeros(X.n_features, np.float32), np.zeros(X.n_features, np.bool_)
    found = embed(
        indptr, rows, X.indptr, X.indices, X.data, np.asarray(labels, np.int32), n_kept, *marks
    )
    assert [part.dtype for part in found] == [np.int64, np.int32, np.float32]
    return naive.to_dense(*found, X.n_features), np.diff(found[0]), marks


def assigned(Z, centroids, first=0, last=None):
    """The nearest centroid and its similarity, -7 in the rows that were not asked for."""
    cluster, similarity = np.full(Z.n_rows, -7, np.int32), np.full(Z.n_rows, -7, np.float32)
    last = Z.n_rows if last is None else last
    nearest(*Z[:3], first, last, as_blocks(centroids), len(centroids), cluster, similarity)
    return cluster, similarity


def centroids_of(Z, cluster, n_clusters):
    n_blocks = -(-n_clusters // N_LANES)
    flat = np.full(n_blocks * Z.n_features * N_LANES, 7, np.float32)
    for block in range(n_blocks):
        means(*Z[:3], np.asarray(cluster, np.int32), block, Z.n_features, flat)
    return from_blocks(flat, n_clusters, Z.n_features)


def halves(Z, n_left, seeds, tol=1e-4, max_iter=20):
    points = np.arange(Z.n_rows, dtype=np.int32)
    return bisect_of(Z, points, n_left, seeds, tol, max_iter)


def bisect_of(Z, points, n_left, seeds, tol=1e-4, max_iter=20):
    how = n_left, np.asarray(seeds, np.int64), tol, max_iter
    return bisect(*Z, frozen(points), *how)[0]


def together(Z, left):
    """The rows' summed similarity to their own centroid."""
    dense = naive.to_dense(*Z)
    return np.linalg.norm(dense[left].sum(axis=0)) + np.linalg.norm(dense[~left].sum(axis=0))


@pytest.mark.parametrize("n_kept", [1, 5, N_FEATURES])
@pytest.mark.parametrize("n_rows", SIZES)
def test_embeddings_agree_with_numpy(rng, n_rows, n_kept):
    X, Y = naive.random_rows(rng, n_rows, N_FEATURES), rng.random((n_rows, 9)) < 0.3
    labels = [8, 0, 3, 4]
    got, counts, _ = embedded(Y, X, labels, n_kept)
    rows_of_label = [np.flatnonzero(column) for column in Y.T]
    assert got == pytest.approx(
        naive.embed(rows_of_label, naive.to_dense(*X), labels, n_kept), abs=1e-6
    )
    assert counts.max() <= n_kept


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_embeddings_have_length_1_however_long_the_rows_are(rng, scale):
    dense = naive.to_dense(*naive.random_rows(rng, 30, N_FEATURES))
    Y = np.ones((30, 1), bool)
    got, _, _ = embedded(Y, naive.as_rows(scale * dense), [0], N_FEATURES)
    assert got == pytest.approx(embedded(Y, naive.as_rows(dense), [0], N_FEATURES)[0], abs=1e-6)
    assert np.linalg.norm(got) == pytest.approx(1)


def test_embeddings_of_no_labels_are_empty(rng):
    got, _, _ = embedded(np.ones((3, 2), bool), naive.random_rows(rng, 3, N_FEATURES), [], 5)
    assert got.shape == (0, N_FEATURES)


def test_embeddings_give_marks_back_all_0(rng):
    X, Y = naive.random_rows(rng, 30, N_FEATURES), rng.random((30, 9)) < 0.3
    _, _, (total, mark) = embedded(Y, X, range(9), 4)
    assert not total.any() and not mark.any()


def test_a_label_whose_rows_cancel_out_has_no_direction():
    X, Y = naive.as_rows([[1, 0], [-1, 0]]), np.ones((2, 1), bool)
    got, _, _ = embedded(Y, X, [0], 2)
    assert not got.any()


@pytest.mark.parametrize("values", [[1, 1, 1, 5], [5, 1, 1, 1], [1, -5, 1, 1], [1, 1, 5, -5]])
def test_the_largest_features_are_kept_though_others_tie(values):
    got, counts, _ = embedded(np.ones((1, 1), bool), naive.as_rows([values]), [0], 2)
    expected = np.sort(np.abs(values))[-2:]
    assert counts == [2]
    assert np.sort(np.abs(got[0]))[-2:] == pytest.approx(expected / np.linalg.norm(expected))


@pytest.mark.parametrize("n_clusters", [1, 2, 16, 17, 40])
def test_nearest_agrees_with_numpy(rng, Z, n_clusters):
    centroids = naive.unit(rng.normal(size=(n_clusters, N_FEATURES)))
    cluster, similarity = assigned(Z, centroids)
    judge = naive.to_dense(*Z) @ centroids.T
    assert cluster.tolist() == judge.argmax(axis=1).tolist()
    assert similarity == pytest.approx(judge.max(axis=1), abs=1e-6)


def test_the_first_of_equally_near_clusters_wins(rng):
    Z = many(rng)
    centroids = np.tile(naive.unit(rng.normal(size=(3, N_FEATURES))), (12, 1))
    cluster, _ = assigned(Z, centroids)
    assert cluster.max() < 3


def test_nearest_writes_the_rows_in_its_range_only(rng):
    Z = many(rng)
    centroids = naive.unit(rng.normal(size=(20, N_FEATURES)))
    whole, part = assigned(Z, centroids), assigned(Z, centroids, 10, 25)
    for a, b in zip(whole, part, strict=True):
        assert np.array_equal(a[10:25], b[10:25])
        assert (b[:10] == -7).all() and (b[25:] == -7).all()


def test_rows_nearest_to_nothing_still_get_a_cluster(rng):
    """All similarities are negative, and those of the padding are not looked at."""
    Z = naive.as_rows(np.abs(naive.to_dense(*many(rng))))
    cluster, similarity = assigned(Z, -naive.unit(rng.uniform(0.1, 1, (3, N_FEATURES))))
    assert (cluster >= 0).all() and (cluster < 3).all() and (similarity <= 0).all()


@pytest.mark.parametrize("n_clusters", [1, 2, 16, 17, 40])
def test_means_agree_with_numpy(rng, Z, n_clusters):
    cluster = rng.integers(-1, n_clusters, Z.n_rows)
    got = centroids_of(Z, cluster, n_clusters)
    assert got == pytest.approx(naive.means(naive.to_dense(*Z), cluster, n_clusters), abs=1e-6)


def test_an_empty_clusters_mean_is_0(rng):
    got = centroids_of(many(rng), np.full(60, 1), 3)
    assert not got[[0, 2]].any()
    assert np.linalg.norm(got[1]) == pytest.approx(1)


@pytest.mark.parametrize("n_clusters", [3, 20])
def test_similarity_never_falls_from_step_to_step(rng, n_clusters):
    Z = many(rng, 200)
    cluster, before = rng.integers(0, n_clusters, Z.n_rows), -np.inf
    for _ in range(10):
        cluster, similarity = assigned(Z, centroids_of(Z, cluster, n_clusters))
        assert similarity.sum(dtype=np.float64) >= before - 1e-4
        before = similarity.sum(dtype=np.float64)


@pytest.mark.parametrize("n_left", [0, 1, 17, 30, 60])
@pytest.mark.parametrize("max_iter", [1, 20])
def test_bisect_agrees_with_its_twin(rng, n_left, max_iter):
    Z = many(rng)
    Z = naive.as_rows(naive.to_dense(*Z)[naive.to_dense(*Z).any(axis=1)])
    n_left = min(n_left, Z.n_rows)
    left = halves(Z, n_left, [3, 11], 1e-4, max_iter)
    expected = naive.bisect(naive.to_dense(*Z), n_left, [3, 11], 1e-4, max_iter)
    assert left.tolist() == expected.tolist()


def test_bisect_of_some_points_is_that_of_their_rows_alone(rng):
    """To the bit: the order of sums goes by the points alone, not by other rows of Z."""
    Z = many(rng, 200)
    points = np.sort(rng.choice(200, 60, replace=False)).astype(np.int32)
    own = Rows(
        *map(frozen, pick(*Z[:3], frozen(points), np.zeros(Z.n_features, np.int32))[:3]),
        Z.n_features,
    )
    assert np.array_equal(bisect_of(Z, points, 25, [3, 11]), halves(own, 25, [3, 11]))


def test_the_direction_of_bisect_is_that_between_the_centroids(rng):
    Z = many(rng)
    dense, points = naive.to_dense(*Z), np.arange(60, dtype=np.int32)
    left, direction = bisect(*Z, frozen(points), 25, np.array([3, 11]), 1e-4, 20)
    expected = np.subtract(*naive.means(dense, np.where(left, 0, 1), 2))
    assert np.allclose(direction, expected, atol=1e-6)


@pytest.mark.parametrize("scale", np.float32([1e-6, 1]))
@pytest.mark.parametrize("n_left", [0, 1, 17, 40])
def test_split_along_takes_the_points_that_lie_farthest_in_the_direction(rng, n_left, scale):
    Z, direction = many(rng), rng.normal(size=many(rng).n_features).astype(np.float32)
    Z, direction = Z._replace(data=scale * Z.data), scale * direction
    points = np.sort(rng.choice(60, 40, replace=False)).astype(np.int32)
    farthest = np.argsort(-(naive.to_dense(*Z)[points] @ direction), kind="stable")[:n_left]
    left = split_along(*Z[:3], frozen(points), n_left, direction)
    assert np.flatnonzero(left).tolist() == sorted(farthest.tolist())


@pytest.mark.parametrize("n_left", range(0, 61, 7))
def test_bisect_gives_exactly_the_sizes_that_are_asked_for(rng, n_left):
    assert halves(many(rng), n_left, [0, 1]).sum() == n_left


@pytest.mark.parametrize("seed", range(5))
def test_more_passes_of_bisect_never_lower_the_similarity(seed):
    Z = many(np.random.default_rng(seed), 100)
    found = [together(Z, halves(Z, 50, [3, 11], 0.0, n)) for n in (1, 2, 3, 5, 10, 20)]
    assert (np.diff(found) >= -1e-4).all()
    assert found[-1] > found[0]


@pytest.mark.parametrize("n_left", [0, 1, 9, 10, 20])
def test_of_equally_similar_points_the_first_are_left(n_left):
    similarity = np.array([0, 3, -1, 3, 0, 2, 0, -0.0, 3, 0] * 2, np.float32)
    assert np.flatnonzero(choose_left(similarity, n_left)).tolist() == sorted(
        np.argsort(-similarity, kind="stable")[:n_left].tolist()
    )


@pytest.mark.parametrize("sizes", [(20, 20), (8, 30)])
def test_bisect_finds_two_planted_clusters(rng, sizes):
    Z, cluster = planted(rng, sizes)
    seeds = [np.flatnonzero(cluster == side)[0] for side in (0, 1)]
    assert np.array_equal(halves(Z, sizes[0], seeds), cluster == 0)


@pytest.mark.parametrize(
    "rows", [[[1.0, 0.0]] * 6, [[0.0, 0.0]] * 6], ids=["alike", "without-features"]
)
def test_rows_that_are_all_alike_are_still_split(rows):
    left = halves(naive.as_rows(rows), 3, [0, 1])
    assert left.sum() == 3


def test_rows_without_any_feature_are_no_error():
    Z = naive.as_rows(np.zeros((5, 0)))
    cluster, similarity = assigned(Z, centroids_of(Z, np.arange(5), 5))
    assert (cluster == 0).all() and not similarity.any()
    assert halves(Z, 2, [0, 1]).sum() == 2


@pytest.mark.parametrize("n_left", [1, 2, 3, 700, 1999, 2000])
def test_the_most_similar_of_many_points_are_left(rng, n_left):
    similarity = rng.normal(size=2000).astype(np.float32)
    left = choose_left(similarity, n_left)
    assert np.flatnonzero(left).tolist() == sorted(np.argsort(-similarity)[:n_left].tolist())


def test_bisect_stops_where_a_pass_gains_a_share_of_tol_or_less(rng):
    """Passes of 2-means gain less than half."""
    Z, points, seeds = many(rng, 400), np.arange(400, dtype=np.int32), np.array([0, 1])
    lefts = [
        bisect(*Z[:3], N_FEATURES, points, 200, seeds, tol, max_iter)[0].tobytes()
        for tol, max_iter in ((0.5, 20), (0.0, 2), (0.0, 20))
    ]
    assert lefts[0] == lefts[1] != lefts[2]


def test_used_features_come_in_the_order_of_the_points():
    rows = naive.as_rows([[1, 0, 0, 2, 0], [0, 0, 3, 0, 0], [0, 1, 0, 4, 0], [0, 0, 0, 0, 5]])
    found = _used_features(*rows[:2], 5, np.array([2, 1], np.int32))
    assert found.tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    ("left", "right", "direction", "together"),
    [
        ([0, 0], [3, 4], [-0.6, -0.8], 5),
        ([3, 4], [0, 0], [0.6, 0.8], 5),
        ([0.03, 0.04], [5, 0], [-0.4, 0.8], 5.05),
        ([5, 0], [0.03, 0.04], [0.4, -0.8], 5.05),
        ([0, 0], [0, 0], [0, 0], 0),
    ],
)
def test_the_direction_leads_from_the_right_centroid_to_the_left(left, right, direction, together):
    found = np.full(2, 7, np.float32)
    similarity = _turn(np.array([0, 1], np.int32), np.float32([left, right]), found)
    assert found == pytest.approx(direction) and similarity == pytest.approx(together)
