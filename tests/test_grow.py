import naive
import numpy as np
import pytest

from xmc.embedding import label_embeddings
from xmc.errors import DataError
from xmc.label_tree import LabelTree, as_tree, check_tree, one_vs_all
from xmc.params import LabelTreeParams
from xmc.progress import Progress
from xmc.training import grow as tree_module
from xmc.training.grow import balanced, grow_trees, shallow, shallow_arity

SHAPES = [
    (1, 16, 100),
    (100, 16, 100),
    (101, 16, 100),
    (64, 2, 8),
    (50, 2, 7),
    (200, 4, 3),
    (300, 2, 10),
    (1700, 16, 100),
]
SINGLE = [(17, 16, 1), (33, 4, 1), (40, 2, 1)]  # one label per leaf


def random_embeddings(n_labels, seed=0):
    rng = np.random.default_rng(seed)
    return naive.as_rows(
        naive.unit(naive.to_dense(*naive.random_rows(rng, n_labels, 40, density=0.2, empty=0.02)))
    )


def some_labels(n_labels):
    """Ascending ids with gaps: labels without rows."""
    return np.arange(2, 2 + 3 * n_labels, 3).astype(np.int32)


def planted(rng, n_topics, n_labels):
    """Embeddings with words of the label's topic and a little of what is common to all; the topic
    of each label.
    """
    topic = rng.permutation(np.arange(n_labels) % n_topics)
    dense = np.hstack([np.kron(np.eye(n_topics)[topic], np.ones(4)), np.full((n_labels, 6), 0.2)])
    return naive.as_rows(naive.unit(dense * rng.uniform(0.7, 1, dense.shape))), topic


def grown_balanced(n_labels, arity=16, max_leaf_size=100, max_depth=None, seed=(0, 0), n_jobs=1):
    Z = random_embeddings(n_labels)
    return balanced(Z, some_labels(n_labels), arity, max_leaf_size, max_depth, seed, n_jobs)


def grown_shallow(n_labels, arity=10, max_depth=3, seed=(0, 0), n_jobs=1):
    return shallow(
        random_embeddings(n_labels), some_labels(n_labels), arity, max_depth, seed, n_jobs
    )


def children(tree):
    """The number of children of each node, level by level."""
    return [np.diff(chunk) for chunk in tree.chunks]


def nested(tree):
    """The tree as lists in lists, the labels innermost."""
    nodes = [int(label) for label in tree.labels]
    for chunk in reversed(tree.chunks):
        nodes = naive.split(chunk, nodes)
    return nodes[0]


def without(node, kept):
    """A nested tree without some labels and without what this leaves empty."""
    if isinstance(node, int):
        return node if kept[node] else None
    return [part for child in node if (part := without(child, kept)) is not None] or None


def same_tree(a, b):
    return a.depth == b.depth and all(
        np.array_equal(x, y)
        for x, y in zip((*a.chunks, a.labels), (*b.chunks, b.labels), strict=True)
    )


def small_tree():
    """Labels 4, 0, 2 | 1 | nothing in two nodes above three."""
    return LabelTree(
        (np.array([0, 2]), np.array([0, 2, 3]), np.array([0, 3, 4, 4])), np.int32([4, 0, 2, 1])
    )


def topics_of_leaves(tree, labels, topic):
    """The topics of the labels that share a parent."""
    of_label = dict(zip(labels, topic, strict=True))
    return [
        {of_label[label] for label in part} for part in naive.split(tree.chunks[-1], tree.labels)
    ]


@pytest.mark.parametrize(("n_labels", "arity", "max_leaf_size"), SHAPES + SINGLE)
def test_a_balanced_tree_holds_every_label_once(n_labels, arity, max_leaf_size):
    tree = grown_balanced(n_labels, arity, max_leaf_size)
    check_tree(tree, 2 + 3 * n_labels, "test")
    assert sorted(tree.labels) == some_labels(n_labels).tolist()


@pytest.mark.parametrize(("n_labels", "arity", "max_leaf_size"), SHAPES + SINGLE)
def test_leaves_of_a_balanced_tree_are_even_and_no_larger_than_allowed(
    n_labels, arity, max_leaf_size
):
    *_, leaves = children(grown_balanced(n_labels, arity, max_leaf_size))
    assert leaves.max() <= max_leaf_size
    assert leaves.max() - leaves.min() <= 1


@pytest.mark.parametrize(("n_labels", "arity", "max_leaf_size"), SHAPES + SINGLE)
def test_inner_nodes_of_a_balanced_tree_have_arity_children_at_most(n_labels, arity, max_leaf_size):
    *inner, _ = children(grown_balanced(n_labels, arity, max_leaf_size))
    assert all(1 <= widths.min() and widths.max() <= arity for widths in inner)


@pytest.mark.parametrize(
    ("n_labels", "arity", "max_leaf_size", "depth"),
    [
        (1, 16, 100, 1),
        (100, 16, 100, 1),
        (101, 16, 100, 2),
        (1600, 16, 100, 2),
        (1601, 16, 100, 3),
        (64, 2, 8, 4),
    ],
)
def test_a_balanced_tree_is_as_deep_as_it_must_be(n_labels, arity, max_leaf_size, depth):
    assert grown_balanced(n_labels, arity, max_leaf_size).depth == depth


@pytest.mark.parametrize("max_depth", [1, 2, 3, 9])
def test_a_balanced_tree_is_as_deep_as_allowed_at_most(max_depth):
    tree = grown_balanced(64, 2, 8, max_depth)
    assert tree.depth == min(max_depth, 4)
    assert sorted(tree.labels) == some_labels(64).tolist()
    assert all(widths.max() <= 2 for widths in children(tree)[:-1])


@pytest.mark.parametrize("n_labels", [1, 9, 10, 11, 60, 500])
@pytest.mark.parametrize("arity", [2, 10])
def test_a_shallow_tree_holds_every_label_once(n_labels, arity):
    tree = grown_shallow(n_labels, arity)
    check_tree(tree, 2 + 3 * n_labels, "test")
    assert sorted(tree.labels) == some_labels(n_labels).tolist()
    assert all(widths.min() >= 1 for widths in children(tree))
    assert all(widths.max() <= arity for widths in children(tree)[:-1])


@pytest.mark.parametrize("max_depth", [1, 2, 3, 4])
def test_a_shallow_tree_is_as_deep_as_allowed_at_most(max_depth):
    assert grown_shallow(900, 3, max_depth).depth == max_depth


def test_few_labels_are_one_leaf_of_a_shallow_tree():
    assert grown_shallow(10, 10).depth == 1
    assert grown_shallow(11, 10).depth == 2


def test_clusters_are_clustered_again_where_labels_are_very_many():
    tree = grown_shallow(400, 10)
    n_clusters = len(tree.chunks[1]) - 1
    assert tree.depth == (3 if 400 > tree_module.WIDE_LEAF * 10 * n_clusters else 2)
    assert grown_shallow(tree_module.WIDE_LEAF * 10 * 10 + 1, 10).depth == 3


@pytest.mark.parametrize(
    ("n_labels", "arity"),
    [
        (1, 100),
        (4000, 100),
        (15_000, 100),
        (15_001, 101),
        (60_000, 200),
        (100_000, 259),
        (100_001, 100),
        (10**7, 100),
    ],
)
def test_many_labels_get_more_clusters_and_very_many_a_third_level(n_labels, arity):
    assert shallow_arity(n_labels) == arity


def test_the_number_of_labels_alone_makes_no_third_level():
    for n_labels in tree_module.SHALLOW_FOR[::999]:
        n_clusters = 0.5 * shallow_arity(n_labels)  # if half of them came out empty
        assert n_labels <= tree_module.WIDE_LEAF * shallow_arity(n_labels) * n_clusters


def grown_by(n_labels, **params):
    """The one shallow tree of labels with one row each, which have two of 20 features."""
    dense = np.zeros((n_labels, 20))
    dense[np.arange(n_labels), np.arange(n_labels) % 20] = 1
    dense[np.arange(n_labels), np.arange(n_labels) // 20 % 20] += 0.5
    found = LabelTreeParams(tree="shallow", n_jobs=1, **params)
    rows_of_label = naive.as_lists(np.eye(n_labels, dtype=bool))
    (tree,) = grow_trees(naive.as_rows(dense), rows_of_label, found, 0, Progress(0))
    return tree


def test_what_the_user_says_goes_before_what_the_labels_ask_for(monkeypatch):
    monkeypatch.setattr(tree_module, "LEAST_ARITY", 4)
    assert 4 < len(grown_by(150).chunks[1]) - 1 <= 10  # the root of 150 / 1.5
    assert len(grown_by(150, arity=7).chunks[1]) - 1 <= 7
    assert grown_by(150).depth == 2 and grown_by(150, arity=4).depth == 3


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_balanced_tree_is_the_same_whether_rows_are_copied_or_read_where_they_are(
    monkeypatch, n_jobs
):
    copied = grown_balanced(300, 3, 4)
    for limit in (0, 400):  # none, and those of small nodes
        monkeypatch.setattr(tree_module, "COPIED", limit)
        assert same_tree(grown_balanced(300, 3, 4, n_jobs=n_jobs), copied)


@pytest.mark.parametrize("shares", [0, 3, 1000])
@pytest.mark.parametrize("n_jobs", [1, 4])
def test_a_balanced_tree_is_the_same_whoever_halves_which_node(monkeypatch, shares, n_jobs):
    expected = grown_balanced(300, 16, 5)
    monkeypatch.setattr(tree_module, "SHARES", shares)
    assert same_tree(grown_balanced(300, 16, 5, n_jobs=n_jobs), expected)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_of_very_many_points_a_sample_decides_how_they_are_halved(monkeypatch, n_jobs):
    monkeypatch.setattr(tree_module, "SAMPLE", 40)
    Z, rng = random_embeddings(300), np.random.default_rng(np.random.SeedSequence((0, 0, 0, 0)))
    sample, dense = np.sort(rng.choice(300, 40, replace=False)), naive.to_dense(*Z)
    left = naive.bisect(dense[sample], 20, rng.choice(40, 2, replace=False), 1e-4, 20)
    direction = np.subtract(*naive.means(dense[sample], np.where(left, 0, 1), 2))
    half = np.sort(np.argsort(-(dense @ direction), kind="stable")[:150])
    tree = grown_balanced(300, 2, 150, n_jobs=n_jobs)
    assert tree.labels[:150].tolist() == some_labels(300)[half].tolist()


@pytest.mark.parametrize("n_topics", [2, 8])
def test_a_sample_finds_planted_topics(monkeypatch, rng, n_topics):
    monkeypatch.setattr(tree_module, "SAMPLE", 50)
    Z, topic = planted(rng, n_topics, 400)
    tree = balanced(Z, some_labels(400), 2, 400 // n_topics, None, (1,), 2)
    whole = [
        topics for topics in topics_of_leaves(tree, some_labels(400), topic) if len(topics) == 1
    ]
    assert len(whole) >= n_topics // 2


@pytest.mark.parametrize("seed", range(3))
def test_balanced_halves_are_planted_topics(rng, seed):
    Z, topic = planted(rng, 2, 60)
    tree = balanced(Z, some_labels(60), 2, 30, None, (seed,), 1)
    assert topics_of_leaves(tree, some_labels(60), topic) in ([{0}, {1}], [{1}, {0}])


@pytest.mark.parametrize("seed", range(3))
def test_shallow_clusters_are_parts_of_planted_topics(rng, seed):
    Z, topic = planted(rng, 4, 120)
    tree = shallow(Z, some_labels(120), 20, 2, (seed,), 1)
    assert all(len(topics) == 1 for topics in topics_of_leaves(tree, some_labels(120), topic))


@pytest.mark.parametrize(
    "grow", [lambda **s: grown_balanced(300, 4, 10, **s), lambda **s: grown_shallow(300, 5, **s)]
)
def test_the_seed_alone_decides_the_tree(grow):
    tree = grow(seed=(3, 1))
    for n_jobs in (1, 2, 4):
        assert same_tree(tree, grow(seed=(3, 1), n_jobs=n_jobs))
    assert not same_tree(tree, grow(seed=(3, 2)))


@pytest.mark.parametrize(
    "rows", [np.zeros((40, 5)), np.tile([1.0, 0, 0, 0, 0], (40, 1))], ids=["no-features", "alike"]
)
def test_embeddings_that_tell_nothing_still_give_a_tree(rows):
    Z, labels = naive.as_rows(rows), some_labels(40)
    for tree in (balanced(Z, labels, 2, 5, None, (0,), 1), shallow(Z, labels, 5, 3, (0,), 1)):
        check_tree(tree, 200, "test")
        assert sorted(tree.labels) == labels.tolist()
        assert all(widths.min() >= 1 for widths in children(tree))


@pytest.mark.parametrize("n_labels", [0, 1, 5])
def test_one_vs_all_is_the_tree_of_height_one(n_labels):
    tree = one_vs_all(some_labels(n_labels))
    assert tree.depth == 1
    assert nested(tree) == some_labels(n_labels).tolist()
    check_tree(tree, 100, "test")


def test_parents_are_those_whose_chunk_holds_the_node():
    tree = small_tree()
    assert [tree.parents(level).tolist() for level in range(3)] == [[0, 0], [0, 0, 1], [0, 0, 0, 1]]
    assert tree.parents(0).dtype == np.int32


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_restricted_tree_is_the_tree_without_the_labels(seed, share):
    rng = np.random.default_rng(seed)
    tree = naive.random_member(rng, 3, (4, 4, 4)).tree
    kept = rng.random(len(tree.labels)) < share
    kept[tree.labels[0]] = True
    restricted = tree.restricted_to(kept)
    check_tree(restricted, len(kept), "test")
    assert nested(restricted) == without(nested(tree), kept)


def test_nodes_that_were_empty_before_go_too():
    tree = small_tree().restricted_to(np.ones(5, bool))
    assert nested(tree) == [[[4, 0, 2], [1]]]


def test_a_tree_without_labels_is_a_root():
    tree = small_tree().restricted_to(np.zeros(5, bool))
    assert tree.depth == 3 and len(tree.labels) == 0
    assert nested(tree) == []


def test_a_tree_without_levels_is_refused():
    with pytest.raises(DataError, match=r"^me: expected a tree with at least one level$"):
        check_tree(LabelTree((), np.int32([0])), 1, "me")


@pytest.mark.parametrize("chunk", [[0, 2], [0, 2, 1], [1, 2, 3], [0, 1, 2, 3], []])
def test_pointers_that_do_not_fit_their_level_are_refused(chunk):
    tree = LabelTree((np.array([0, 2]), np.array(chunk, int)), np.int32([0, 1, 2]))
    with pytest.raises(
        DataError, match=r"^me: expected 3 ascending pointers from 0 on in level 1 of the tree$"
    ):
        check_tree(tree, 3, "me")


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 1], [0, 1, 2, 3]])
def test_labels_that_repeat_or_do_not_fit_the_leaves_are_refused(labels):
    tree = LabelTree((np.array([0, 3]),), np.int32(labels))
    with pytest.raises(
        DataError, match=r"^me: expected the tree to hold 3 different labels, one per leaf$"
    ):
        check_tree(tree, 10, "me")


@pytest.mark.parametrize(("labels", "got"), [([0, 2000, 1], "0 to 2000"), ([5, -1, 3], "-1 to 5")])
def test_labels_that_do_not_exist_are_refused(labels, got):
    tree = LabelTree((np.array([0, 3]),), np.int32(labels))
    with pytest.raises(
        DataError, match=rf"^me: expected labels 0 to 1,999 in the tree, got {got}$"
    ):
        check_tree(tree, 2000, "me")


@pytest.mark.parametrize("n_kept", [4, 256])
def test_label_embeddings_agree_with_numpy_for_any_number_of_threads(rng, n_kept):
    X, Y = naive.random_rows(rng, 50, 30), rng.random((50, 300)) < 0.1
    labels = np.flatnonzero(Y.any(axis=0) & (rng.random(300) < 0.5)).astype(np.int32)
    found = [
        label_embeddings(X, naive.as_lists(Y.T), labels, n_kept, n_jobs) for n_jobs in (1, 2, 4)
    ]
    expected = naive.embed(
        [np.flatnonzero(column) for column in Y.T], naive.to_dense(*X), labels, n_kept
    )
    assert naive.to_dense(*found[0]) == pytest.approx(expected, abs=1e-6)
    assert all(
        np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True)
    )


def test_label_embeddings_are_unit_rows(rng):
    X, Y = naive.random_rows(rng, 50, 30, empty=0), rng.random((50, 10)) < 0.2
    Z = label_embeddings(
        X, naive.as_lists(Y.T), np.flatnonzero(Y.any(axis=0)).astype(np.int32), 256, 1
    )
    lengths = np.linalg.norm(naive.to_dense(*Z), axis=1)
    assert lengths == pytest.approx(np.ones(len(lengths)))
    assert Z.n_features == 30


def test_a_tree_of_lists_is_read():
    tree = as_tree(LabelTree(([0, 2], (0, 1, 3)), [2, 0, 1]), 3, "me")
    assert [chunk.tolist() for chunk in tree.chunks] == [[0, 2], [0, 1, 3]]
    assert [chunk.dtype for chunk in tree.chunks] == [np.int64] * 2
    assert tree.labels.tolist() == [2, 0, 1] and tree.labels.dtype == np.int32
    narrow = LabelTree((np.uint8([0, 3]),), np.int8([2, 0, 1]))
    assert as_tree(narrow, 3, "me").labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("chunks", "labels"),
    [
        (([0.0, 2.0],), [0, 1]),
        (([0, 2],), [0.0, 1.0]),
        (([0, 2],), np.array([0, np.nan])),
        (([[0, 2]],), [0, 1]),
        (("02",), [0, 1]),
        (([0, [2]],), [0, 1]),
        ((None,), [0, 1]),
        (7, [0, 1]),
        (([0, 2],), None),
        (([0, 2],), [True, False]),
    ],
)
def test_a_tree_of_anything_else_is_refused(chunks, labels):
    with pytest.raises(DataError, match="^me: expected vectors of ints as chunks and labels of "):
        as_tree(LabelTree(chunks, labels), 3, "me")


@pytest.mark.parametrize("labels", [[0, 2**32], np.uint64([0, 2**64 - 1]), [0, -1]])
def test_a_label_that_int32_would_change_is_refused(labels):
    with pytest.raises(DataError, match="^me: expected labels 0 to 2 in the tree, got "):
        as_tree(LabelTree(([0, 2],), labels), 3, "me")
