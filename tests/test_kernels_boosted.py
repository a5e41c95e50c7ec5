import naive_boosted
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.evidence.boosted import contributions, quadrature
from xmc.kernels import boosted
from xmc.kernels.boosted import BLOCK, misfit

N_COLUMNS = 5
LEAVES = [1, 2, 15, 32, 33, 64, 65]  # each way to score, up to its last leaf


def log_odds(trees, E):
    out = np.full(len(E), np.nan)
    boosted.log_odds(*trees[:6], trees.baseline, frozen(E), out)
    return out


@pytest.mark.parametrize("n_leaves", LEAVES)
@pytest.mark.parametrize("n_rows", [0, 1, 40])
def test_log_odds_agree_with_recursion(rng, n_leaves, n_rows):
    trees = naive_boosted.random_trees(rng, 4, n_leaves, N_COLUMNS)
    E = naive_boosted.random_evidence(rng, n_rows, N_COLUMNS)
    assert log_odds(trees, E) == pytest.approx(naive_boosted.log_odds(trees, E), abs=1e-12)


@pytest.mark.parametrize("n_leaves", LEAVES)
def test_every_leaf_is_reached(rng, n_leaves):
    trees = naive_boosted.random_trees(rng, 1, n_leaves, n_leaves)
    # Each inner node asks a column of its own, so a row can be made for each leaf.
    inner = np.flatnonzero(trees.feature >= 0)
    feature = trees.feature.copy()
    feature[inner] = np.arange(len(inner))
    trees = trees._replace(feature=frozen(feature), baseline=0.0)
    leaves = np.flatnonzero(trees.feature < 0)
    E = np.zeros((len(leaves), n_leaves), np.float32)
    for row, leaf in zip(E, leaves, strict=True):
        # All nodes that it isn't below send it right, which must not matter.
        left = (inner < leaf) & (leaf < trees.right[inner])
        row[: len(inner)] = np.where(left, -9, 9)
    assert log_odds(trees, E).tolist() == trees.value[leaves].tolist()


def test_trees_of_several_sizes_stand_side_by_side(rng):
    parts = [naive_boosted.random_trees(rng, 2, n, N_COLUMNS) for n in (3, 1, 40, 7)]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(p.indptr) for p in parts]))])
    joint = [
        frozen(np.concatenate(arrays)) for arrays in zip(*[p[1:7] for p in parts], strict=True)
    ]
    trees = naive_boosted.BoostedTrees(frozen(indptr), *joint, 0.5)
    E = naive_boosted.random_evidence(rng, 20, N_COLUMNS)
    assert log_odds(trees, E) == pytest.approx(naive_boosted.log_odds(trees, E), abs=1e-12)
    got = contributions(trees, E[:2])
    assert got == pytest.approx(naive_boosted.contributions(trees, E[:2]), abs=1e-11)


def test_without_trees_all_rows_get_the_baseline(rng):
    trees = naive_boosted.random_trees(rng, 0, 1, N_COLUMNS)
    E = naive_boosted.random_evidence(rng, 3, N_COLUMNS)
    assert log_odds(trees, E).tolist() == [trees.baseline] * 3
    assert contributions(trees, E).tolist() == [[0.0] * N_COLUMNS + [trees.baseline]] * 3


@pytest.mark.parametrize("n_leaves", [7, 40, 70])
def test_a_row_gets_the_same_bits_in_any_block(rng, n_leaves):
    trees = naive_boosted.random_trees(rng, 9, n_leaves, N_COLUMNS)
    E = naive_boosted.random_evidence(rng, 2 * BLOCK + 3, N_COLUMNS)
    whole = log_odds(trees, E)
    for cuts in ([1], [BLOCK - 1], [17, BLOCK + 20]):
        parts = [log_odds(trees, np.ascontiguousarray(part)) for part in np.split(E, cuts)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("n_columns, n_leaves", [(1, 6), (2, 9), (5, 1), (5, 2), (5, 20)])
def test_contributions_agree_with_all_subsets(rng, n_columns, n_leaves):
    trees = naive_boosted.random_trees(rng, 3, n_leaves, n_columns)
    E = naive_boosted.random_evidence(rng, 8, n_columns)
    got = contributions(trees, E)
    assert got == pytest.approx(naive_boosted.contributions(trees, E), abs=1e-11)


def test_contributions_agree_with_all_subsets_on_long_paths(rng):
    """One tree, a chain that asks eight columns, two of them twice."""
    n, columns = 10, [0, 1, 2, 3, 1, 4, 5, 0, 6, 7]
    trees = naive_boosted.random_trees(rng, 1, n + 1, 8)
    place = np.arange(2 * n + 1)
    inner = (place % 2 == 0) & (place < 2 * n)
    trees = trees._replace(
        feature=frozen(np.where(inner, np.repeat([*columns, -1], 2)[: 2 * n + 1], -1).astype("i4")),
        right=frozen(np.where(inner, place + 2, 0).astype(np.int32)),
        threshold=frozen(np.zeros(2 * n + 1, np.float32)),
        cover=frozen(np.where(place % 2, 3, 3 * (n - place // 2) + 1)),
        value=frozen(np.where(inner, 0, rng.normal(size=2 * n + 1))),
    )
    E = np.vstack([np.ones(8), -np.ones(8), rng.normal(size=(2, 8))]).astype(np.float32)
    got = contributions(trees, E)
    assert got == pytest.approx(naive_boosted.contributions(trees, E), abs=1e-12)


def test_contributions_of_nobody_are_none(rng):
    trees = naive_boosted.random_trees(rng, 3, 5, N_COLUMNS)
    assert contributions(trees, np.empty((0, N_COLUMNS), np.float32)).shape == (0, N_COLUMNS + 1)


@pytest.mark.parametrize("n_points", [1, 2, 5, 16])
def test_quadrature_is_exact_up_to_twice_its_points(n_points):
    point, weight = quadrature(n_points)
    powers = np.arange(2 * n_points)
    assert weight @ point[:, None] ** powers == pytest.approx(1 / (powers + 1), rel=1e-13)


def test_edges_name_the_nearest_node_of_the_same_column():
    """Columns 0, 1, 0 down the right side."""
    feature = np.array([0, -1, 1, -1, 0, -1, -1], np.int32)
    right = np.array([2, 0, 4, 0, 6, 0, 0], np.int32)
    cover = np.array([8, 4, 4, 2, 2, 1, 1])
    parent, above, share, most = boosted.edges(np.array([0, 7]), feature, right, cover)
    assert parent.tolist() == [-1, 0, 0, 2, 2, 4, 4]
    assert above.tolist() == [-1, -1, -1, -1, -1, 2, 2]
    assert share.tolist() == [1, 1 / 2, 1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 4]
    assert most == 2


@pytest.mark.parametrize("n_leaves", LEAVES)
def test_random_trees_fit(rng, n_leaves):
    trees = naive_boosted.random_trees(rng, 3, n_leaves, N_COLUMNS)
    assert misfit(trees.indptr, trees.feature, trees.right, N_COLUMNS) == -1
    nothing = np.empty(0, np.int32)
    assert misfit(np.zeros(1, np.int64), nothing, nothing, N_COLUMNS) == -1


def test_any_other_pointer_is_a_misfit(rng):
    trees = naive_boosted.random_trees(rng, 2, 6, N_COLUMNS)
    inner = np.flatnonzero(trees.feature >= 0)
    for i in inner:
        for wrong in {-(2**31), -1, *range(12), 2**31 - 1} - {int(trees.right[i])}:
            right = trees.right.copy()
            right[i] = wrong
            assert misfit(trees.indptr, trees.feature, frozen(right), N_COLUMNS) >= 0


def test_a_column_that_is_not_there_is_a_misfit(rng):
    trees = naive_boosted.random_trees(rng, 2, 6, N_COLUMNS)
    for i in np.flatnonzero(trees.feature >= 0):
        for wrong in (N_COLUMNS, 2**31 - 1):
            feature = trees.feature.copy()
            feature[i] = wrong
            assert misfit(trees.indptr, frozen(feature), trees.right, N_COLUMNS) == i


@pytest.mark.parametrize("behind", [0, 1])
def test_a_node_whose_second_child_lies_behind_the_tree_is_a_misfit(behind):
    indptr = np.array([0, 2, *[3] * behind])
    feature, right = np.array([[0, -1, -1], [2, 0, 0]], np.int32)[:, : 2 + behind]
    assert misfit(indptr, frozen(feature), frozen(right), 1) == 0


def test_a_leaf_alone_asks_nothing():
    parent, above, share, most = boosted.edges(
        np.array([0, 1]), np.array([-1], np.int32), np.zeros(1, np.int32), np.array([5])
    )
    assert (parent.tolist(), above.tolist(), share.tolist(), most) == ([-1], [-1], [1], 0)


def test_a_leaf_that_asks_or_a_node_that_does_not_is_a_misfit(rng):
    trees = naive_boosted.random_trees(rng, 2, 6, N_COLUMNS)
    for i in range(len(trees.feature)):
        feature = trees.feature.copy()
        feature[i] = 0 if feature[i] < 0 else -1
        assert misfit(trees.indptr, frozen(feature), trees.right, N_COLUMNS) >= 0
