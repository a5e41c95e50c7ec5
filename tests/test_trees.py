import naive
import numpy as np
import pytest

from xmc.kernels.score import L3_HINGE
from xmc.ranking.search import MOST_ROWS, Search
from xmc.ranking.trees import Trees

N_FEATURES = 25
SEARCH = Search(3, 1.0, L3_HINGE)


@pytest.fixture
def trees(rng):
    return Trees(tuple(naive.random_member(rng, N_FEATURES, widths) for widths in ((4, 5), (30,))))


def n_labels(trees):
    return max(len(member.tree.labels) for member in trees.members)


def test_levels_are_described_by_their_sizes(trees):
    member = trees.members[0]
    first, last = trees.levels()[0]
    widths = np.diff(member.tree.chunks[1])
    assert first == {
        "n_chunks": 1,
        "n_nodes": len(widths),
        "width_min": len(widths),
        "width_median": len(widths),
        "width_max": len(widths),
        "n_weights": len(member.layers[0].weight),
    }
    assert (last["n_chunks"], last["n_nodes"]) == (len(widths), len(member.tree.labels))
    assert (last["width_min"], last["width_max"]) == (min(widths), max(widths))
    assert last["width_median"] == np.median(widths)
    assert [len(levels) for levels in trees.levels()] == [2, 1]
    assert {type(value) for value in last.values()} == {int, float}


def test_as_many_labels_are_found_as_the_largest_member_has(trees):
    assert trees.n_labels_found(np.ones(3)) == n_labels(trees)


def test_leaves_have_the_old_numbers_of_labels(trees):
    kept = np.arange(n_labels(trees), dtype=np.int32) * 2 + 1
    for member, before in zip(trees.members_with(kept), trees.members, strict=True):
        assert np.array_equal(member.tree.labels, before.tree.labels * 2 + 1)
        assert not member.tree.labels.flags.writeable
        assert member.layers is before.layers
    for member, before in zip(trees.members_with(None), trees.members, strict=True):
        assert np.array_equal(member.tree.labels, before.tree.labels)


def test_sound_trees_pass(trees):
    trees.check(N_FEATURES, n_labels(trees))


@pytest.mark.parametrize(("tree", "level"), [(0, 0), (0, 1), (1, 0)])
def test_a_damaged_layer_is_named_by_its_tree_and_level(trees, tree, level):
    members = list(trees.members)
    layers = list(members[tree].layers)
    layers[level] = layers[level]._replace(scale=layers[level].scale * np.float32(np.nan))
    members[tree] = members[tree]._replace(layers=tuple(layers))
    with pytest.raises(ValueError, match=f"^tree{tree}.level{level}: expected finite scales"):
        Trees(tuple(members)).check(N_FEATURES, 1000)


def test_a_damaged_tree_is_named(trees):
    first = trees.members[0]
    damaged = first._replace(tree=first.tree._replace(labels=first.tree.labels * 0))
    with pytest.raises(ValueError, match="^tree1"):
        Trees((first, damaged)).check(N_FEATURES, 1000)
    with pytest.raises(ValueError, match="^tree0"):
        trees.check(N_FEATURES, 1)


def test_every_layer_is_compressed(trees):
    small = trees.compressed(N_FEATURES, "int8", 0.5)
    for member, before in zip(small.members, trees.members, strict=True):
        assert member.tree is before.tree
        for layer, old in zip(member.layers, before.layers, strict=True):
            assert layer.weight.dtype == np.int8
            kept = np.abs(old.weight)[np.abs(old.weight) >= 0.6]
            assert len(kept) <= len(layer.weight) < len(old.weight)
    small.check(N_FEATURES, n_labels(trees))


def test_batches_are_small_only_where_all_candidates_are_written_down(trees):
    single = Trees(trees.members[:1])
    assert single.rows_per_batch(SEARCH, False) == MOST_ROWS
    widest = sum(sorted(np.diff(trees.members[0].tree.chunks[-1]))[-SEARCH.beam_size :])
    assert widest < 32  # so that it is the rows, and not the candidates, that bound a batch
    assert single.rows_per_batch(SEARCH, True) == MOST_ROWS
    wide = Trees((naive.random_member(np.random.default_rng(1), N_FEATURES, (5000,)),) * 2)
    n = n_labels(wide)
    assert wide.rows_per_batch(SEARCH, False) == MOST_ROWS
    assert wide.rows_per_batch(SEARCH, True) == (1 << 20) // (2 * n + 1) < MOST_ROWS


def test_candidates_and_ranks_are_those_of_the_members(rng, trees):
    X = naive.random_rows(rng, 10, N_FEATURES, density=0.3)
    found = trees.candidates(X, SEARCH)
    top = trees.rank(X, SEARCH, 2)
    for n, (start, end) in enumerate(zip(found.indptr, found.indptr[1:], strict=False)):
        assert top.scores[n, 0] == found.score[start:end].max()
        assert top.labels[n, 0] in found.ids[start:end]
