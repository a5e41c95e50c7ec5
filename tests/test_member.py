import naive
import numpy as np
import pytest

from xmc.arrays import Lists
from xmc.label_tree import LabelTree, check_tree, one_vs_all
from xmc.params import LabelTreeParams, OneVsAllParams, tree_params
from xmc.progress import Progress
from xmc.ranking.search import Search, beam, search_of
from xmc.training import grow, negatives
from xmc.training import level as level_room
from xmc.training.grow import SHALLOW_FOR, grow_trees
from xmc.training.member import train_member
from xmc.training.problem import MemberProblem

# Labels 0 1 | 2 3 under the first node of level 1, 4 5 | 6 under the second.
TREE = LabelTree(
    (np.array([0, 2]), np.array([0, 2, 4]), np.array([0, 2, 4, 6, 7])), np.arange(7, dtype=np.int32)
)
X = naive.as_rows(np.eye(8))
Y = np.array(
    [
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 1],
        [1, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ]
)


def member_of(X, Y, tree, seed=(0, 0), user_negatives=(), **settings):
    params = LabelTreeParams(**{"n_jobs": 1, **settings})
    problem = MemberProblem(X, naive.as_targets(Y), tree, seed, user_negatives)
    return train_member(problem, params, Progress(0), "test")


@pytest.fixture
def problems(monkeypatch):
    """What each level is trained on, recorded while a member is trained."""
    recorded, original = [], level_room.train_layers

    def recording(problems, params, *how):
        recorded.extend(problems)
        return original(problems, params, *how)

    monkeypatch.setattr(level_room, "train_layers", recording)
    return recorded


def rows_by_chunk(problem):
    return naive.split(*problem.chunk_rows)


def nodes_of_rows(problem):
    return problem.nodes.indptr, problem.nodes.ids


def random_case(rng, n_rows=60, shape=(3, 3, 4)):
    """Rows, labels and a tree; some rows have no label, and one label is not in the tree."""
    tree = naive.random_member(rng, 5, shape).tree
    Y = rng.random((n_rows, len(tree.labels) + 1)) < 0.05
    return naive.random_rows(rng, n_rows, 20), Y, tree


def grown(n_labels=30, **settings):
    rng = np.random.default_rng(0)
    X = naive.random_rows(rng, 60, 20, empty=0)
    lists = naive.as_lists((rng.random((60, n_labels)) < 0.2).T)
    return grow_trees(X, lists, LabelTreeParams(**{"n_jobs": 1, **settings}), 0, Progress(0))


def in_beams(found):
    """The nodes that each row's beam holds."""
    return [ids[:size].tolist() for size, ids in zip(found.size, found.ids, strict=True)]


def test_tfn_trains_a_chunk_on_the_rows_with_a_label_under_its_node(problems):
    member_of(X, Y, TREE, negatives="tfn")
    assert rows_by_chunk(problems[0]) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert rows_by_chunk(problems[1]) == [[0, 1, 2, 3, 6], [4, 5, 6]]
    assert rows_by_chunk(problems[2]) == [[0, 1, 6], [2, 3], [4, 5], [5, 6]]


@pytest.mark.parametrize("beam_size", [1, 2])
def test_man_trains_a_chunk_on_the_rows_whose_beam_holds_its_node(problems, beam_size):
    member, _ = member_of(X, Y, TREE, negatives="man", beam_size=beam_size)
    search = Search(beam_size, 1.0, 0)
    assert rows_by_chunk(problems[0]) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    for level in (1, 2):
        found = beam(X, member.layers[:level], search)
        beams = in_beams(found)
        n_nodes = len(TREE.chunks[level]) - 1
        expected = [[row for row in range(8) if node in beams[row]] for node in range(n_nodes)]
        assert rows_by_chunk(problems[level]) == expected
        assert sum(map(len, expected)) == 8 * beam_size


def test_man_looks_at_every_row_of_large_sets_too(problems, rng):
    """The beams are found batch by batch."""
    rows, labels, tree = random_case(rng, n_rows=2100, shape=(3, 4))
    member, _ = member_of(rows, labels, tree, negatives="man", beam_size=2)
    found = beam(rows, member.layers[:1], Search(2, 1.0, 0))
    beams, n_nodes = in_beams(found), len(tree.chunks[1]) - 1
    assert rows_by_chunk(problems[1]) == [
        [i for i, b in enumerate(beams) if node in b] for node in range(n_nodes)
    ]


def test_man_with_a_beam_as_wide_as_the_level_trains_every_chunk_on_every_row(problems):
    member_of(X, Y, TREE, negatives="man", beam_size=4)
    assert all(rows == list(range(8)) for problem in problems for rows in rows_by_chunk(problem))


@pytest.mark.parametrize("beam_size", [1, 2])
def test_tfn_and_man_train_a_chunk_on_the_rows_of_both(problems, beam_size):
    member, _ = member_of(X, Y, TREE, negatives="tfn+man", beam_size=beam_size)
    teacher = [naive.split(*problem.chunk_rows) for problem in problems]
    assert teacher[0] == [list(range(8))]
    for level, labels_of_node in (
        (1, [[0, 1, 2, 3], [4, 5, 6]]),
        (2, [[0, 1], [2, 3], [4, 5], [6]]),
    ):
        found = beam(X, member.layers[:level], Search(beam_size, 1.0, 0))
        beams = in_beams(found)
        expected = [
            [row for row in range(8) if node in beams[row] or Y[row, labels].any()]
            for node, labels in enumerate(labels_of_node)
        ]
        assert rows_by_chunk(problems[level]) == expected


@pytest.mark.parametrize("negatives", ["tfn", "man", "tfn+man"])
def test_every_row_trains_a_chunk_once(problems, rng, negatives):
    rows, labels, tree = random_case(rng)
    member_of(rows, labels, tree, negatives=negatives, beam_size=2)
    for problem in problems:
        assert all(own == sorted(set(own)) for own in rows_by_chunk(problem))


@pytest.mark.parametrize("seed", range(3))
def test_targets_are_the_labels_times_the_trees_indicators(problems, seed):
    rows, labels, tree = random_case(np.random.default_rng(seed))
    member_of(rows, labels, tree)
    expected = labels[:, tree.labels]
    for level in reversed(range(tree.depth)):
        found = naive.to_dense(*nodes_of_rows(problems[level]), 1, expected.shape[1])
        assert np.array_equal(found > 0, expected)
        indicator = np.eye(len(tree.chunks[level]) - 1)[tree.parents(level)]
        expected = (expected @ indicator) > 0
    for problem in problems:
        assert all(own == sorted(set(own)) for own in naive.split(*nodes_of_rows(problem)))


def test_levels_are_told_whether_they_are_inner_and_have_seeds_of_their_own(problems):
    member_of(X, Y, TREE, seed=(5, 2))
    assert [problem.inner for problem in problems] == [True, True, False]
    assert [problem.seed for problem in problems] == [(5, 2, 0), (5, 2, 1), (5, 2, 2)]


def test_one_vs_all_trains_every_label_on_every_row(problems):
    params = tree_params(OneVsAllParams(n_jobs=1), beam_size=1)
    problem = MemberProblem(X, naive.as_targets(Y), one_vs_all(np.arange(7)), (0, 0))
    member, _ = train_member(problem, params, Progress(0), "test")
    assert [rows_by_chunk(problem) for problem in problems] == [[list(range(8))]]
    assert not problems[0].inner
    assert len(member.layers) == 1 and len(member.layers[0].bias_weight) == 7


@pytest.mark.parametrize("negatives", ["tfn", "man", "tfn+man"])
def test_members_do_not_depend_on_the_number_of_threads(rng, negatives):
    rows, labels, tree = random_case(rng, n_rows=200)
    runs = [
        [
            part.tobytes()
            for layer in member_of(rows, labels, tree, negatives=negatives, n_jobs=n)[0].layers
            for part in layer
        ]
        for n in (1, 2, 4)
    ]
    assert runs[0] == runs[1] == runs[2]


def test_the_seed_decides_the_bits(rng):
    rows, labels, tree = random_case(rng, n_rows=200)
    same, again, other = (
        member_of(rows, labels, tree, seed=seed)[0].layers[-1].weight.tobytes()
        for seed in ((0, 1), (0, 1), (0, 2))
    )
    assert same == again != other


def test_the_most_passes_of_any_level_are_told():
    assert member_of(X, Y, TREE, tol=1e-9, max_iter=3)[1] == 3


@pytest.mark.parametrize("negatives", ["tfn", "man", "tfn+man"])
@pytest.mark.parametrize("n_rows", [1, 8])
def test_rows_without_features_or_labels_are_no_error(n_rows, negatives):
    rows = naive.as_rows(np.zeros((n_rows, 3)))
    member, _ = member_of(rows, Y[:n_rows], TREE, negatives=negatives)
    assert all(np.isfinite(layer.bias_weight).all() for layer in member.layers)


@pytest.mark.parametrize("n_trees", [1, 3])
@pytest.mark.parametrize("shape", ["balanced", "shallow"])
def test_one_tree_is_grown_per_member_and_no_two_alike(n_trees, shape):
    trees = grown(tree=shape, n_trees=n_trees, arity=4, max_leaf_size=4)
    assert len(trees) == n_trees
    assert len({tree.labels.tobytes() for tree in trees}) == n_trees
    for tree in trees:
        check_tree(tree, 30, "test")
        assert len(tree.labels) == 30


def test_labels_without_rows_are_not_in_the_tree():
    labels = np.zeros((60, 30), bool)
    labels[:, [3, 7, 20]] = True
    trees = grow_trees(
        naive.as_rows(np.eye(60)),
        naive.as_lists(labels.T),
        LabelTreeParams(n_jobs=1, n_trees=2),
        0,
        Progress(0),
    )
    assert all(sorted(tree.labels) == [3, 7, 20] for tree in trees)


def test_auto_is_shallow_in_a_range_of_numbers_of_labels_and_balanced_outside(monkeypatch):
    assert (SHALLOW_FOR[0], SHALLOW_FOR[-1]) == (1000, 100_000)
    for numbers, shape in (
        (range(31, 40), "balanced"),
        (range(30, 31), "shallow"),
        (range(20, 30), "balanced"),
    ):
        monkeypatch.setattr(grow, "SHALLOW_FOR", numbers)
        auto, named = (grown(tree=tree, arity=4, max_leaf_size=4)[0] for tree in ("auto", shape))
        assert all(np.array_equal(a, b) for a, b in zip(auto.chunks, named.chunks, strict=True))
        assert np.array_equal(auto.labels, named.labels)


def test_the_search_has_the_settings_of_the_model():
    assert search_of(LabelTreeParams(beam_size=7, bias=0.5, score_transform="l2_hinge")) == Search(
        7, 0.5, 1
    )
    assert search_of(tree_params(OneVsAllParams(bias=2.0), beam_size=1)) == Search(1, 2.0, 0)


def test_a_rows_costs_are_summed_up_the_tree_and_scaled_to_a_mean_of_1(problems):
    costs = np.where(Y, np.arange(1, 8), 0.0)
    problem = MemberProblem(X, naive.as_targets(costs, costs=True), TREE, (0, 0))
    train_member(problem, LabelTreeParams(n_jobs=1, costs="relevance"), Progress(0), "test")
    for problem, labels_of_node in zip(
        problems, ([[0, 1, 2, 3], [4, 5, 6]], [[0, 1], [2, 3], [4, 5], [6]]), strict=False
    ):
        summed = np.stack([costs[:, labels].sum(axis=1) for labels in labels_of_node], axis=1)
        expected = summed / summed[summed > 0].mean()
        assert naive.to_dense(*problem.nodes, len(labels_of_node)) == pytest.approx(expected)
    assert naive.to_dense(*problems[2].nodes, 7) == pytest.approx(costs / costs[costs > 0].mean())


def test_every_level_has_its_own_C(monkeypatch):
    seen, original = [], level_room.train_layers

    def recording(problems, params, *how):
        seen.extend(own.C for own in params)
        return original(problems, params, *how)

    monkeypatch.setattr(level_room, "train_layers", recording)
    for C in (3.0, (2.0, 5.0), (1.0, 2.0, 3.0, 4.0)):
        member_of(X, Y, TREE, C=C)
    assert seen == [3.0, 3.0, 3.0, 2.0, 5.0, 5.0, 1.0, 2.0, 3.0]


def test_every_level_has_its_own_negatives(problems):
    member_of(X, Y, TREE, negatives=("tfn", "tfn", "man"), beam_size=4)
    assert rows_by_chunk(problems[1]) == [[0, 1, 2, 3, 6], [4, 5, 6]]
    assert rows_by_chunk(problems[2]) == [list(range(8))] * 4


def test_the_rows_that_a_user_names_train_the_children_of_their_nodes_too(problems):
    extra = naive.as_lists([[0, 0], [0, 0], [0, 0], [0, 0], [1, 0], [0, 0], [0, 0], [1, 1]])
    member_of(X, Y, TREE, user_negatives=(None, extra))
    assert rows_by_chunk(problems[1]) == [[0, 1, 2, 3, 4, 6, 7], [4, 5, 6, 7]]
    assert rows_by_chunk(problems[2]) == [[0, 1, 6], [2, 3], [4, 5], [5, 6]]


def test_the_beams_of_a_part_come_from_matchers_that_have_not_seen_it(problems, rng):
    """Every row's chunks of the last level are those of a beam that some matcher, trained without
    the row, gives it.
    """
    rows, labels, tree = random_case(rng, n_rows=90, shape=(4, 3))
    member_of(rows, labels, tree, negatives="man", negative_folds=3, beam_size=2)
    *parts, top, last = problems
    trainers = [np.concatenate(rows_by_chunk(part)) for part in parts]
    assert [len(own) for own in trainers] == [60, 60, 60]
    assert sorted(np.concatenate(trainers)) == sorted([*range(90)] * 2)
    assert rows_by_chunk(top) == [list(range(90))]
    found = naive.to_dense(*last.chunk_rows, 1, 90) > 0
    for part, own in zip(parts, trainers, strict=True):
        how = [LabelTreeParams(n_jobs=1)], lambda amount: None
        ((layer, _),) = level_room.train_layers([part], *how)
        beams = in_beams(beam(rows, [layer], Search(2, 1.0, 0)))
        for row in set(range(90)) - set(own):
            assert sorted(np.flatnonzero(found[:, row])) == sorted(beams[row])


def test_folds_change_nothing_where_no_beam_is_asked_for(rng):
    rows, labels, tree = random_case(rng)
    one, three = (
        member_of(rows, labels, tree, negatives="tfn", negative_folds=n)[0] for n in (1, 3)
    )
    assert all(
        a.weight.tobytes() == b.weight.tobytes()
        for a, b in zip(one.layers, three.layers, strict=True)
    )


@pytest.mark.parametrize("rows_per_part", [1, 7, 100])
def test_what_rows_have_together_is_the_union_of_their_lists(rng, monkeypatch, rows_per_part):
    monkeypatch.setattr(negatives, "ROWS_PER_PART", rows_per_part)
    several = [Lists(*naive.random_lists(rng, 30, 12)) for _ in range(3)]
    unordered = several[0].ids.copy()
    for start, end in zip(several[0].indptr, several[0].indptr[1:], strict=False):
        unordered[start:end] = unordered[start:end][::-1]  # as beams are
    got = naive.split(*negatives.united([several[0]._replace(ids=unordered), *several[1:]]))
    rows = zip(*(naive.split(*lists) for lists in several), strict=True)
    assert [list(row) for row in got] == [sorted(set().union(*own)) for own in rows]
