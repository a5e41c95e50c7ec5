import naive
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.kernels.score import L2_HINGE, L3_HINGE, LOG_SIGMOID
from xmc.params import LabelTreeParams
from xmc.ranking import trees as trees_room
from xmc.ranking.ensemble import label_candidates
from xmc.ranking.search import (
    MOST_ROWS,
    Candidates,
    Search,
    as_topk,
    beam,
    probability_at_0,
    row_blocks,
    scored,
    search_of,
)
from xmc.ranking.tail import Tail, with_tail
from xmc.ranking.trees import Trees

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
N_FEATURES = 25
NO_BOOST = np.empty(0, np.float32)
SATURATED = {
    "l3_hinge": [0.998, 0.999, 1, 1.5],
    "l2_hinge": [0.9999, 0.99995, 1, 1.5],
    "log_sigmoid": [16.5, 17, 18, 30],
}  # weights whose log-probabilities differ in float32, probabilities are 1
HALVES = np.array([-1, -0.5, 0.5, 1])  # margins of such weights are exact, and many tie


def random_rows(rng, n_rows):
    return naive.random_rows(rng, n_rows, N_FEATURES, density=0.3)


def rank(X, members, search, k):
    return Trees(members).rank(X, search, k)


def rows_of(found):
    """(score, margin, label) of each row's candidates."""
    return naive.split(
        found.indptr, list(zip(found.score.tolist(), found.margin.tolist(), found.ids, strict=True))
    )


def searched(X, members, beam_size, transform="l3_hinge", bias=1.0):
    """The candidates of each row that a slow search finds in all members, the best first."""
    rows = []
    for x in naive.to_dense(*X):
        each = [
            naive.beam_search(x, m.layers, m.tree.labels, beam_size, bias, transform)
            for m in members
        ]
        rows.append(naive.best(each[0] if len(each) == 1 else naive.average(each), None))
    return rows


def ranked(X, members, beam_size, transform="l3_hinge", bias=1.0, k=None):
    """The best candidates of each row; `rank` must give the same."""
    search = Search(beam_size, bias, TRANSFORMS[transform])
    rows = [naive.best(row, k) for row in rows_of(label_candidates(X, members, search))]
    for most in (1, 3, 50):
        assert listed(rank(X, members, search, most)) == [
            [(s, label) for s, _, label in row[:most]] for row in rows
        ]
    return rows


def listed(topk):
    """(score, label) of each row, without the empty places."""
    pairs = (
        zip(scores, labels, strict=True)
        for labels, scores in zip(*map(np.ndarray.tolist, topk), strict=True)
    )
    return [[(score, label) for score, label in row if label >= 0] for row in pairs]


def assert_same(got, expected):
    assert len(got) == len(expected)
    for ours, judge in zip(got, expected, strict=True):
        assert [label for *_, label in ours] == [label for *_, label in judge]
        assert [s for s, *_ in ours] == pytest.approx([s for s, *_ in judge], rel=1e-3, abs=1e-6)
        assert [m for _, m, _ in ours] == pytest.approx(
            [m for _, m, _ in judge], rel=1e-4, abs=1e-5
        )


def same_bits(a, b):
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("n_rows", [1, 100])
@pytest.mark.parametrize("beam_size", [1, 3, 1000])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_search_agrees_with_scoring_every_node(rng, transform, beam_size, n_rows):
    member, X = naive.random_member(rng, N_FEATURES), random_rows(rng, n_rows)
    assert_same(
        ranked(X, (member,), beam_size, transform), searched(X, [member], beam_size, transform)
    )


@pytest.mark.parametrize("bias", [0.0, 2.0])
@pytest.mark.parametrize(
    "widths", [(30,), (5, 6), (1, 3, 1, 4)], ids=["one-vs-all", "two-levels", "four-levels"]
)
def test_search_agrees_in_trees_of_any_height(rng, widths, bias):
    member, X = naive.random_member(rng, N_FEATURES, widths), random_rows(rng, 20)
    assert_same(ranked(X, (member,), 2, bias=bias), searched(X, [member], 2, bias=bias))


def saturated(rng, transform):
    """A tree, and rows of 0 and 1, of which most have more than 3 labels of probability 1."""
    member = naive.random_member(rng, 6, (4, 5, 8), values=SATURATED[transform])
    return member, naive.as_rows(rng.random((100, 6)) < 0.7)


@pytest.mark.parametrize("boost", [[], [1, 0.5, 0.25]], ids=["plain", "boosted"])
@pytest.mark.parametrize("beam_size", [1, 3, 1000])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_one_row_a_batch_and_all_candidates_rank_alike(rng, transform, beam_size, boost):
    """The same bits, though only the last way sees every score."""
    for member, X in (
        saturated(rng, transform),
        (naive.random_member(rng, N_FEATURES, (4, 5, 30)), random_rows(rng, 100)),
    ):
        own = np.float32(rng.choice(boost, len(member.tree.labels))) if boost else NO_BOOST
        search = Search(beam_size, 1.0, TRANSFORMS[transform], frozen(own))
        found = scored(X, label_candidates(X, (member,), search), search)
        for k in (1, 3, 50):
            batch = rank(X, (member,), search, k)
            ones = [rank(X.part(i, i + 1), (member,), search, k) for i in range(100)]
            assert same_bits(batch, as_topk(found, k))
            assert same_bits(batch, [np.concatenate(part) for part in zip(*ones, strict=True)])
            assert listed(batch) == [
                [(s, label) for s, _, label in naive.best(row, k)] for row in rows_of(found)
            ]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_saturated_rows_tie_at_the_place_where_they_are_cut(rng, transform):
    """What the test before this one needs."""
    member, X = saturated(rng, transform)
    scores = rank(X, (member,), Search(1000, 1.0, TRANSFORMS[transform]), 4).scores
    assert (scores == 1).all(axis=1).sum() > 20


def test_scores_are_the_boost_times_the_share_of_the_tail(rng):
    member, X = naive.random_member(rng, N_FEATURES), random_rows(rng, 10)
    n_labels = len(member.tree.labels)
    tail = Tail(naive.random_rows(rng, n_labels, N_FEATURES), 2.0, 0.3)
    boost = rng.random(n_labels).astype(np.float32)
    plain = Search(3, 1.0, L3_HINGE)
    found = label_candidates(X, (member,), plain)
    assert same_bits(scored(X, found, plain), found)
    got = scored(X, found, plain._replace(boost=frozen(boost), tail=tail))
    shared = with_tail(X, found.indptr, found.ids, found.score, tail)
    assert got.score.dtype == np.float32
    assert got.score == pytest.approx(boost[found.ids] * shared)
    assert not np.array_equal(got.score, shared) and not np.array_equal(shared, found.score)
    assert same_bits(got[:2], found[:2]) and np.array_equal(got.margin, found.margin)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("transform", ["l3_hinge", "l2_hinge"])
def test_ties_go_to_the_larger_margin_then_the_smaller_id_on_every_level(rng, transform, beam_size):
    member = naive.random_member(rng, 6, (5, 5, 6), values=HALVES)
    X = naive.as_rows(rng.choice([0, 0.5, 1], (80, 6)))
    expected = searched(X, [member], beam_size, transform)
    saturated = sum(row[0][0] == row[1][0] for row in expected if len(row) > 1)
    assert saturated > 5  # or the test would test nothing
    assert_same(ranked(X, (member,), beam_size, transform), expected)


def test_a_beam_wider_than_the_tree_gives_every_label_its_path_probability(rng):
    member, X = naive.random_member(rng, N_FEATURES), random_rows(rng, 10)
    found = label_candidates(X, (member,), Search(1000, 1.0, L2_HINGE))
    x = np.hstack([naive.to_dense(*X), np.ones((10, 1))])
    path, parents = np.zeros((10, 1)), None
    for level, layer in enumerate(member.layers):
        log_p = naive.log_probability(x @ naive.layer_weights(layer, N_FEATURES), "l2_hinge")
        parents = member.tree.parents(level)
        only = (np.diff(layer.chunk_ptr)[parents] == 1) & (level < len(member.layers) - 1)
        path = path[:, parents] + np.where(only, 0, log_p)
    judge = np.empty_like(path)
    judge[:, member.tree.labels] = np.exp(path)
    got = np.zeros_like(judge)
    got[np.repeat(np.arange(10), np.diff(found.indptr)), found.ids] = found.score
    assert len(found.ids) == judge.size
    assert got == pytest.approx(judge, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("beam_size", [2, 1000])
@pytest.mark.parametrize("n_members", [2, 3])
def test_members_are_averaged_and_a_missed_label_counts_0(rng, n_members, beam_size):
    members = [naive.random_member(rng, N_FEATURES, (4, 6)) for _ in range(n_members)]
    X = random_rows(rng, 30)
    expected = searched(X, members, beam_size)
    got = label_candidates(X, tuple(members), Search(beam_size, 1.0, L3_HINGE))
    for ours, judge in zip(rows_of(got), expected, strict=True):
        assert np.array(sorted(ours, key=lambda c: c[2])) == pytest.approx(
            np.array(sorted(judge, key=lambda c: c[2])), rel=1e-3, abs=1e-5
        )


def test_members_that_hold_other_labels_are_averaged_too(rng):
    wide, narrow = (
        naive.random_member(rng, N_FEATURES, (9, 6)),
        naive.random_member(rng, N_FEATURES, (2, 2)),
    )
    X = random_rows(rng, 10)
    for members in ((wide, narrow), (narrow, wide)):
        assert_same(ranked(X, members, 100), searched(X, members, 100))


def test_a_member_twice_ranks_as_once(rng):
    member, X = naive.random_member(rng, N_FEATURES), random_rows(rng, 20)
    assert ranked(X, (member, member), 3) == ranked(X, (member,), 3)


@pytest.mark.parametrize("n_members", [1, 2, 3])
def test_answers_do_not_depend_on_blocks_of_rows(rng, n_members):
    members = tuple(naive.random_member(rng, N_FEATURES) for _ in range(n_members))
    X, search = random_rows(rng, 100), Search(3, 1.0, L3_HINGE)
    whole = rank(X, members, search, 5)
    for size in (1, 7, 99):
        parts = [rank(X.part(*block), members, search, 5) for block in row_blocks(100, size)]
        assert same_bits(whole, [np.concatenate(column) for column in zip(*parts, strict=True)])


def test_answers_do_not_depend_on_the_order_of_rows(rng):
    member, X, search = (
        naive.random_member(rng, N_FEATURES),
        random_rows(rng, 100),
        Search(3, 1.0, LOG_SIGMOID),
    )
    order = rng.permutation(100)
    shuffled = naive.as_rows(naive.to_dense(*X)[order])
    whole, other = (rank(rows, (member,), search, 5) for rows in (X, shuffled))
    assert same_bits([part[order] for part in whole], other)


@pytest.mark.parametrize("beam_size", [1, 4, 1000])
def test_beam_keeps_the_best_nodes_of_inner_layers(rng, beam_size):
    """In the order of a slow search whose last level has one child per node, which keeps the order
    of its beam.
    """
    member, X = naive.random_member(rng, N_FEATURES, (5, 5)), random_rows(rng, 15)
    n_nodes = len(member.tree.labels)
    last = naive.as_layer(np.zeros((N_FEATURES + 1, n_nodes)), np.arange(n_nodes + 1))
    found = beam(X, member.layers, Search(beam_size, 1.0, L3_HINGE))
    for size, ids, x in zip(found.size, found.ids, naive.to_dense(*X), strict=True):
        nodes = ids[:size].tolist()
        judge = naive.beam_search(
            x, (*member.layers, last), np.arange(n_nodes), beam_size, 1.0, "l3_hinge"
        )
        assert nodes == [node for *_, node in judge]


def test_no_inner_layers_give_the_root(rng):
    found = beam(random_rows(rng, 3), (), Search(5, 1.0, L3_HINGE))
    assert found.size.tolist() == [1, 1, 1]
    assert not found.ids.any() and not found.score.any()


@pytest.mark.parametrize("n_members", [1, 2])
def test_no_rows_have_no_candidates(rng, n_members):
    members = tuple(naive.random_member(rng, N_FEATURES) for _ in range(n_members))
    found = label_candidates(random_rows(rng, 0), members, Search(3, 1.0, L3_HINGE))
    assert found.indptr.tolist() == [0] and len(found.ids) == 0
    assert rank(random_rows(rng, 0), members, Search(3, 1.0, L3_HINGE), 5).labels.shape == (0, 5)


def test_rows_without_features_are_ranked_by_bias(rng):
    member = naive.random_member(rng, N_FEATURES, (20,))
    X = naive.as_rows(np.zeros((1, N_FEATURES)))
    got = [label for *_, label in ranked(X, (member,), 1)[0]]
    bias = member.layers[0].bias_weight
    log_p = naive.log_probability(bias.astype(float), "l3_hinge")
    assert got == [
        label for *_, label in naive.best(zip(log_p, bias, member.tree.labels, strict=True), None)
    ]


def test_missing_places_are_empty():
    found = Candidates(
        np.array([0, 1, 1, 4]),
        np.int32([7, 3, 1, 2]),
        np.float32([0.5, 0, 1, 0]),
        np.zeros(4, np.float32),
    )
    got = as_topk(found, 2)
    assert got.labels.tolist() == [[7, -1], [-1, -1], [1, 2]]
    assert got.scores.tolist() == [[0.5, -np.inf], [-np.inf, -np.inf], [1, 0]]
    assert [part.dtype for part in got] == [np.int32, np.float32]


@pytest.mark.parametrize(("n_rows", "size"), [(0, 3), (1, 3), (3, 3), (10, 3)])
def test_blocks_hold_every_row_once(n_rows, size):
    blocks = row_blocks(n_rows, size)
    assert [row for start, end in blocks for row in range(start, end)] == list(range(n_rows))
    assert all(0 < end - start <= size for start, end in blocks)


def test_slices_are_the_rows(rng):
    X = random_rows(rng, 12)
    for start, end in [(0, 12), (3, 7), (5, 5), (11, 12)]:
        part = X.part(start, end)
        assert part.n_rows == end - start
        assert np.array_equal(naive.to_dense(*part), naive.to_dense(*X)[start:end])


@pytest.mark.parametrize("beam_size", [1, 10, 1000])
def test_the_candidates_of_a_block_are_bounded(rng, monkeypatch, beam_size):
    members = tuple(naive.random_member(rng, N_FEATURES, (30, 10)) for _ in range(2))
    search = Search(beam_size, 1.0, L3_HINGE)
    monkeypatch.setattr(trees_room, "MOST_CANDIDATES", 2000)
    size = Trees(members).rows_per_batch(search, True)
    each = [label_candidates(random_rows(rng, size), (member,), search) for member in members]
    assert size >= 1
    assert sum(len(found.ids) for found in each) <= 2000


@pytest.mark.parametrize("beam_size", [1, 7, 1000])
def test_the_nodes_that_a_block_holds_are_bounded(rng, monkeypatch, beam_size):
    members = tuple(naive.random_member(rng, N_FEATURES, (30, 10)) for _ in range(2))
    search = Search(beam_size, 1.0, L3_HINGE)
    monkeypatch.setattr(trees_room, "MOST_HELD", 2000)
    size = Trees(members).rows_per_batch(search, False)
    beams = [beam(random_rows(rng, size), member.layers[:-1], search) for member in members]
    most = 2 * max(found.ids.shape[1] for found in beams)
    assert most == 2 * beam_size or beam_size == 1000
    assert size == 2000 // most


def test_batches_are_large_unless_candidates_are_written_down(rng):
    member, search = naive.random_member(rng, N_FEATURES, (30, 10)), Search(10, 1.0, L3_HINGE)
    tail = search._replace(tail=Tail(naive.as_rows(np.eye(3)), 1.0, 0.5))
    assert Trees((member,)).rows_per_batch(search, False) == MOST_ROWS
    few = Trees((member,)).rows_per_batch(search, True)
    assert 1 <= few < MOST_ROWS
    assert Trees((member,)).rows_per_batch(tail, False) == few
    assert Trees((member, member)).rows_per_batch(search, False) == MOST_ROWS
    assert Trees((member, member)).rows_per_batch(search, True) < few


def test_tail_classifiers_and_boost_act_on_what_is_ranked(rng):
    member, X = naive.random_member(rng, N_FEATURES), random_rows(rng, 10)
    n_labels = len(member.tree.labels)
    tail = Tail(naive.random_rows(rng, n_labels, N_FEATURES), 2.0, 0.3)
    boost = frozen(rng.random(n_labels).astype(np.float32))
    for members in ((member,), (member, member)):
        search = Search(3, 1.0, L3_HINGE, boost, tail)
        found = scored(X, label_candidates(X, members, search), search)
        assert same_bits(rank(X, members, search, 4), as_topk(found, 4))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_parameters_say_how_to_descend(transform):
    found = search_of(LabelTreeParams(beam_size=7, bias=2, score_transform=transform))
    assert found[:3] == (7, 2.0, TRANSFORMS[transform])
    assert len(found.boost) == 0 and found.tail is None


@pytest.mark.parametrize(
    ("transform", "expected"), [(L3_HINGE, np.exp(-1)), (L2_HINGE, np.exp(-1)), (LOG_SIGMOID, 0.5)]
)
def test_a_margin_of_0_has_the_probability_that_the_transform_says(transform, expected):
    found = probability_at_0(transform)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found.dtype == np.float32


def test_a_batch_has_as_many_rows_as_candidates_of_the_widest_beams_allow(rng, monkeypatch):
    member = naive.random_member(rng, N_FEATURES, (3, 4, 50, 6))
    widest = sum(sorted(np.diff(member.tree.chunks[-1]))[-2:])
    search = Search(2, 1.0, L3_HINGE)
    for most, expected in ((widest * 7 + 7, 7), (widest * 7 + 6, 6), (1, 1)):
        monkeypatch.setattr(trees_room, "MOST_CANDIDATES", most)
        assert Trees((member,)).rows_per_batch(search, True) == expected
