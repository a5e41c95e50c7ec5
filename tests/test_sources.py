"""What is known of labels beside base models: the candidates that it gives, and the evidence."""

import naive
import naive_inverted
import numpy as np
import pytest
import scipy.sparse as sp

from xmc.arrays import Lists, frozen
from xmc.evidence import sources
from xmc.evidence.names import COLUMNS as NAME_COLUMNS
from xmc.evidence.names import best_names, evidence_of, mentions, name_index
from xmc.evidence.nearest import inverted, nearest
from xmc.evidence.sources import (
    Beside,
    Neighbors,
    Question,
    Sources,
    check,
    fill,
    hear,
    labels_beside,
    named,
    relatives,
)
from xmc.topk import TopK

N_LABELS, N_FEATURES, N_ROWS = 25, 40, 60
TEXTS = ["a red apple", "green grass", "", "the apple of the red grass"]
# The last labels have no name.
# What a base model says: of the third text nothing.
TOP = TopK(
    np.array([[7, 3, 1], [2, 7, -1], [-1, -1, -1], [8, -1, -1]], np.int32),
    np.float32([[0.9, 0.5, 0.1], [0.8, 0.4, -np.inf], [-np.inf] * 3, [0.5, -np.inf, -np.inf]]),
)
NAMES, NAME_LABELS = ["apple", "grass", "red apple", "pear"], np.array([3, 4, 4, 9], np.int32)


def ones(rng, n_rows):
    """Rows of length 1 with 5 equal values: an index holds such values exactly."""
    return np.array([rng.permutation(N_FEATURES) < 5 for _ in range(n_rows)]) / np.sqrt(5)


class World:
    """Training rows, their labels and features of labels, dense, and the sources made of them."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.trained, self.asked = ones(rng, N_ROWS), ones(rng, len(TEXTS))
        self.asked[1, :20] = 0
        self.labels = [np.sort(rng.permutation(N_LABELS)[:2]) for _ in range(N_ROWS)]
        self.features = ones(rng, N_LABELS)
        self.features[5] = 0
        indptr, ids = naive.join(self.labels)
        own = Lists(frozen(np.array(indptr, np.int64)), frozen(np.array(ids, np.int32)))
        self.counts = np.bincount(own.ids, minlength=N_LABELS)
        rows = naive.as_rows(self.features)
        names = name_index(NAMES, NAME_LABELS, N_LABELS)
        near = Neighbors(inverted(naive.as_rows(self.trained)), own)
        none = Beside(*naive.as_rows(np.zeros((N_LABELS, N_LABELS)))[:3])
        self.bare = Sources(self.counts, none)
        self.sources = Sources(self.counts, none, names, rows, inverted(rows), near)
        self.question = Question(naive.as_rows(self.asked), mentions(names, TEXTS))


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture
def candidates(rng):
    lists = [np.sort(rng.permutation(N_LABELS)[:9]) for _ in TEXTS]
    indptr, ids = naive.join(lists)
    return np.array(indptr, np.int64), np.array(ids, np.int32)


def evidence(sources, question, candidates):
    """All columns by name."""
    parts = np.hstack(fill(sources, question, hear(sources, question, TOP), *candidates))
    return dict(zip(sources.columns(), parts.T, strict=True))


def votes(world):
    """(total, largest, count) of each label by query."""
    near = naive_inverted.nearest(world.trained, world.asked, sources.N_NEIGHBORS)
    split = [tuple(zip(*own, strict=True)) or ((), ()) for own in near]
    return [naive_inverted.figures(*own, world.labels) for own in split]


def test_every_source_has_its_columns_and_label_counts_always_do(world):
    features = {"label_features": None, "label_index": None}
    for left_out in ({"names": None}, features, {"neighbors": None}, features | {"names": None}):
        fewer = world.sources._replace(**left_out)
        own = {*NAME_COLUMNS} if "names" in left_out else set()
        own |= {"label_cosine"} if "label_index" in left_out else set()
        own |= {*sources.VOTE_COLUMNS} if "neighbors" in left_out else set()
        assert {*world.sources.columns()} - {*fewer.columns()} == own
    assert world.bare.columns() == ["log_label_rows", "log_row_features"]


def test_all_matrices_together_have_the_columns_that_are_promised(world, candidates):
    for known in (world.sources, world.bare, world.sources._replace(names=None)):
        parts = fill(known, world.question, hear(known, world.question, TOP), *candidates)
        assert sum(part.shape[1] for part in parts) == len(known.columns())
        assert all(len(part) == len(candidates[1]) for part in parts)
        assert all(part.dtype == np.float32 for part in parts)


def test_neighbours_vote_as_counting_says(world, candidates):
    found = evidence(world.sources, world.question, candidates)
    expected = [
        own.get(int(label), (0, 0, 0))
        for own, ids in zip(votes(world), naive.split(*candidates), strict=True)
        for label in ids
    ]
    got = np.stack([found[name] for name in sources.VOTE_COLUMNS], axis=1)
    assert got == pytest.approx(np.array(expected), abs=1e-5)


def test_the_best_of_the_neighbours_are_candidates(world):
    top = hear(world.sources, world.question, TOP).tops[-1]
    for got, wanted in zip(top, votes(world), strict=True):
        totals = sorted((total for total, *_ in wanted.values()), reverse=True)[: sources.N_BEST]
        assert [wanted[label][0] for label in got if label >= 0] == pytest.approx(totals)


def test_the_cosine_of_a_labels_features_is_the_product(world, candidates):
    found = evidence(world.sources, world.question, candidates)["label_cosine"]
    products = world.asked @ world.features.T
    rows = np.repeat(np.arange(len(TEXTS)), np.diff(candidates[0]))
    assert found == pytest.approx(products[rows, candidates[1]], abs=1e-6)


def test_labels_with_the_nearest_features_are_candidates(world):
    top = hear(world.sources, world.question, TOP).tops[1]
    for got, wanted in zip(
        top, naive_inverted.nearest(world.features, world.asked, sources.N_BEST), strict=True
    ):
        assert {*got.tolist()} - {-1} == {label for label, _ in wanted}


def test_names_are_candidates_and_evidence(world, candidates):
    known, question = world.sources.names, world.question
    top = hear(world.sources, question, TOP).tops[0]
    assert np.array_equal(top, best_names(known, question.mentions, sources.N_BEST).labels)
    assert {3, 4} <= {*top[0].tolist()} and (top[2] == -1).all()
    found = evidence(world.sources, question, candidates)
    expected = evidence_of(known, question.mentions, *candidates)
    got = np.stack([found[name] for name in NAME_COLUMNS], axis=1)
    assert np.array_equal(got, expected, equal_nan=True)


def test_without_texts_names_are_unknown_and_give_no_candidates(world, candidates):
    silent = world.question._replace(mentions=None)
    assert len(hear(world.sources, silent, TOP).tops) == 2
    found = evidence(world.sources, silent, candidates)
    assert all(np.isnan(found[name]).all() for name in NAME_COLUMNS)
    assert np.isfinite(found["neighbor_votes"]).all()


def test_labels_count_by_their_rows_and_rows_by_their_features(world, candidates):
    found = evidence(world.sources, world.question, candidates)
    rows = np.repeat(np.arange(len(TEXTS)), np.diff(candidates[0]))
    assert found["log_label_rows"] == pytest.approx(np.log1p(world.counts[candidates[1]]))
    n_features = (world.asked != 0).sum(axis=1)
    assert found["log_row_features"] == pytest.approx(np.log1p(n_features[rows]))


def test_a_part_of_the_rows_is_answered_as_among_all(world, candidates):
    whole = evidence(world.sources, world.question, candidates)
    for row in range(len(TEXTS)):
        first, last = candidates[0][row : row + 2]
        own = np.array([0, last - first]), candidates[1][first:last]
        part = evidence(world.sources, world.question.part(row, row + 1), own)
        for name in whole:
            assert np.array_equal(part[name], whole[name][first:last], equal_nan=True), name


def test_no_rows_are_legal(world):
    none = np.zeros(1, np.int64), np.empty(0, np.int32)
    found = evidence(world.sources, world.question.part(2, 2), none)
    assert all(len(column) == 0 for column in found.values())


def test_a_label_is_named_if_it_has_a_name_or_features(world):
    known = world.sources
    assert np.flatnonzero(named(known._replace(label_features=None))).tolist() == [3, 4, 9]
    assert np.flatnonzero(~named(known._replace(names=None))).tolist() == [5]
    assert named(known).sum() == N_LABELS - 1
    assert not named(world.bare).any()


# Broader and narrower labels: 10 and 11 below 7, 12 below 7 and 3, 13 below 8.
PAIRS = np.array([[10, 7], [11, 7], [12, 7], [12, 3], [13, 8]])


def expectations():
    """What each text's best labels make expect, by hand: {label: how much}."""
    third = 1 / 3
    return [{10: 0.9 * third, 11: 0.9 * third, 12: 0.9 * third + 0.5},
            {10: 0.4 * third, 11: 0.4 * third, 12: 0.4 * third},
            {},
            {13: 0.5}]  # fmt: skip


def test_a_label_makes_expect_what_is_broader_and_a_part_of_what_is_narrower():
    indptr, ids, share = relatives(PAIRS, N_LABELS)
    found = {
        label: dict(zip(ids[a:b].tolist(), share[a:b].tolist(), strict=True))
        for label, (a, b) in enumerate(zip(indptr[:-1], indptr[1:], strict=True))
        if b > a
    }
    third = pytest.approx(1 / 3)
    assert found == {
        **{3: {12: 1}, 7: {10: third, 11: third, 12: third}, 8: {13: 1}},
        **{10: {7: 1}, 11: {7: 1}, 12: {3: 1, 7: 1}, 13: {8: 1}},
    }
    assert relatives(PAIRS[:0], N_LABELS) is None


def test_relatives_of_the_best_labels_are_candidates_and_evidence(world, candidates):
    known = world.sources._replace(related=relatives(PAIRS, N_LABELS))
    check(known, N_FEATURES, N_LABELS)
    best = hear(known, world.question, TOP).tops[-1]
    for got, wanted in zip(best, expectations(), strict=True):
        order = sorted(wanted, key=lambda label: (-wanted[label], label))
        assert got[got >= 0].tolist() == order
    found = evidence(known, world.question, candidates)["related"]
    rows = np.repeat(np.arange(len(TEXTS)), np.diff(candidates[0]))
    pairs = zip(rows, candidates[1].tolist(), strict=True)
    expected = [expectations()[row].get(own, 0) for row, own in pairs]
    assert found == pytest.approx(expected) and found.max() > 0


def test_relatives_of_labels_that_do_not_exist_are_refused(world):
    related = relatives(PAIRS, N_LABELS)._replace(ids=np.full(10, N_LABELS, np.int32))
    with pytest.raises(ValueError, match="^related: expected arrays that fit each other"):
        check(world.sources._replace(related=related), N_FEATURES, N_LABELS)
    known = Sources(np.zeros(N_LABELS, np.int64), world.bare.beside, related=relatives(PAIRS, 25))
    assert np.flatnonzero(named(known)).tolist() == [3, 7, 8, 10, 11, 12, 13]


def cut(lists):
    return lists._replace(**{lists._fields[1]: lists[1][:-1]})


def too_high(lists, n):
    return lists._replace(**{lists._fields[1]: np.append(lists[1][:-1], np.int32(n))})


BROKEN = {
    "a count more": ("label_counts", lambda s: np.append(s.label_counts, 1)),
    "a count of two numbers": ("label_counts", lambda s: np.stack([s.label_counts] * 2)),
    "a count below 0": ("label_counts", lambda s: s.label_counts - s.label_counts.max() - 1),
    "fewer labels beside": ("beside", lambda s: cut(s.beside)),
    "a label beside that isn't": ("beside", lambda s: too_high(s.beside, N_LABELS)),
    "names of fewer labels": ("names", lambda s: name_index(NAMES, NAME_LABELS, N_LABELS - 1)),
    "a feature that isn't": ("label_features", lambda s: too_high(s.label_features, N_FEATURES)),
    "fewer features": ("label_features", lambda s: cut(s.label_features)),
    "an index of fewer labels": (
        "label_index",
        lambda s: inverted(naive.as_rows(np.ones((N_LABELS - 1, N_FEATURES)))),
    ),
    "labels of fewer rows": (
        "neighbors",
        lambda s: s.neighbors._replace(labels=Lists(*naive.as_rows(np.ones((3, 2)))[:2])),
    ),
    "fewer labels of rows": (
        "neighbors",
        lambda s: s.neighbors._replace(labels=cut(s.neighbors.labels)),
    ),
    "a label of rows that isn't": (
        "neighbors",
        lambda s: s.neighbors._replace(labels=too_high(s.neighbors.labels, N_LABELS)),
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_arrays_that_do_not_fit_are_called_by_their_name(kind):
    known = World().sources._replace(beside=relatives(PAIRS, N_LABELS))
    check(known, N_FEATURES, N_LABELS)
    check(known._replace(label_counts=known.label_counts * 0), N_FEATURES, N_LABELS)
    name, broken = BROKEN[kind]
    with pytest.raises(ValueError, match=f"^{name}: expected arrays that fit each other"):
        check(known._replace(**{name: broken(known)}), N_FEATURES, N_LABELS)


def test_nothing_but_counts_and_labels_beside_is_needed(world):
    check(world.bare, N_FEATURES, N_LABELS)


def test_labels_beside_are_those_of_the_same_rows():
    rows = [[0, 1], [0, 1], [0], [2, 1], [], [0, 3]]
    Y = sp.lil_matrix((len(rows), 5), dtype=np.float32)
    for row, labels in enumerate(rows):
        Y[row, labels] = 0.5 + row
    Y = Y.tocsr()
    Y.data[0] = 0  # label 0 of the first row: a stored zero is no label
    rows[0] = [1]
    found = labels_beside(Y)
    assert [array.dtype for array in found] == [np.int64, np.int32, np.float32]
    assert not any(array.flags.writeable for array in found)
    assert len(found.indptr) == 6
    for label in range(5):
        own = [{*labels} for labels in rows if label in labels]
        common = {
            other: sum(other in labels for labels in own) / (len(own) + 2)
            for other in range(5)
            if other != label and any(other in labels for labels in own)
        }
        first, last = found.indptr[label : label + 2]
        got = dict(zip(found.ids[first:last].tolist(), found.share[first:last], strict=True))
        assert got == pytest.approx(common) and [*got] == sorted(got)


def test_what_finds_a_label_adds_up():
    one = naive.as_rows(np.array([[0, 0], [0, 2], [0, 0]]))
    related = Beside(np.array([0, 0, 0, 1], np.int64), np.int32([0]), np.float32([1]))
    names = name_index(["Bank"], np.int32([0]), 3)
    none = Beside(*naive.as_rows(np.zeros((3, 3)))[:3])
    for left_out, expected in (
        ((), [True, True, True]),
        (("names",), [False, True, True]),
        (("label_features",), [True, False, True]),
        (("related",), [True, True, False]),
    ):
        own = {"names": names, "label_features": one, "related": related}
        own |= dict.fromkeys(left_out)
        assert named(Sources(np.zeros(3, np.int64), none, **own)).tolist() == expected


def test_rows_without_texts_and_without_neighbours_are_answered(world, candidates):
    silent = world.question._replace(mentions=None)
    part = silent.part(1, 3)
    assert part.mentions is None and part.n_rows == 2
    heard = hear(world.sources, world.question, TOP)
    parts = fill(world.sources, world.question, heard._replace(near=None), *candidates)
    assert [part.shape[1] for part in parts] == [len(NAME_COLUMNS), 1, 2]


def test_what_sources_say_has_the_types_that_kernels_take(world, candidates, monkeypatch):
    related = relatives(PAIRS, N_LABELS)
    assert [array.dtype for array in related] == [np.int64, np.int32, np.float32]
    known, asked = world.sources._replace(related=related), []

    def zeros(name, n, dtype):
        asked.append((n, dtype))
        return np.zeros(n, dtype)

    monkeypatch.setattr(sources, "zeros", zeros)
    for question in (world.question, world.question._replace(mentions=None)):
        heard = hear(known, question, TOP)
        assert {top.dtype for top in heard.tops} == {np.dtype(np.int32)}
        parts = fill(known, question, heard, *candidates)
        assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    assert sources.expected(related, heard.sure, *candidates).dtype == np.float32
    assert {*asked} == {(N_LABELS, np.float32)}


def test_small_values_are_left_out_where_neighbours_are_looked_for(world, rng):
    rows = naive.as_rows(rng.normal(size=(9, N_FEATURES)) * (rng.random((9, N_FEATURES)) < 0.4))
    found = sources.nearest_rows(world.sources.neighbors, rows)
    index = world.sources.neighbors.rows
    expected = nearest(index, rows, sources.N_NEIGHBORS, sources.LEFT_OUT)
    assert [a.tolist() for a in found] == [a.tolist() for a in expected]
    assert found.rows.shape == (9, sources.N_NEIGHBORS) and sources.LEFT_OUT > 0
    whole = nearest(index, rows, sources.N_NEIGHBORS)
    assert found.similarity.tolist() != whole.similarity.tolist()
