"""Ensembles rank as if every label below every node of their beams were scored, bit for bit."""

import naive
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.kernels.score import L2_HINGE, L3_HINGE, LOG_SIGMOID
from xmc.ranking import ensemble
from xmc.ranking.calibration import Calibration
from xmc.ranking.ensemble import label_candidates
from xmc.ranking.search import Search, best_of, scored
from xmc.ranking.trees import Trees

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
N_FEATURES = 25
SHAPES = {
    "alike": [(4, 5, 8)] * 3,
    "of-any-height": [(30,), (5, 6), (1, 3, 1, 4)],
    "two": [(6, 300), (9, 6)],
}
SATURATED = [0.998, 0.999, 1, 1.5]  # weights that say 1, or nearly, by margins that differ


@pytest.fixture(params=SHAPES)
def members(request, rng):
    shapes = SHAPES[request.param]
    return tuple(naive.random_member(rng, N_FEATURES, widths) for widths in shapes)


def random_rows(rng, n_rows):
    return naive.random_rows(rng, n_rows, N_FEATURES, density=0.3)


def rank(X, members, search, k):
    return Trees(members).rank(X, search, k)


def same_bits(a, b):
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def by_writing_all_down(X, members, search, k):
    """The best k of all candidates. Those are held against a slow search in test_search.py."""
    found = scored(X, label_candidates(X, members, search), search)
    rows = naive.scored(*found)
    labels, scores = np.full((len(rows), k), -1, np.int32), np.full((len(rows), k), -np.inf)
    for i, row in enumerate(rows):
        for place, (score, _, label) in enumerate(naive.best(row, k)):
            labels[i, place], scores[i, place] = label, score
    return labels, scores.astype(np.float32)


def assert_ranks_as_all(X, members, search):
    for k in (1, 3, 50):
        expected = by_writing_all_down(X, members, search, k)
        whole = rank(X, members, search, k)
        assert same_bits(whole, expected)
        for i in range(0, X.n_rows, 7):
            alone = rank(X.part(i, i + 1), members, search, k)
            assert same_bits(alone, [part[i : i + 1] for part in expected])


@pytest.mark.parametrize("beam_size", [1, 4, 1000])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_ensembles_rank_as_if_all_were_scored(rng, members, transform, beam_size):
    search = Search(beam_size, 1.0, TRANSFORMS[transform])
    assert_ranks_as_all(random_rows(rng, 100), members, search)


@pytest.mark.parametrize("beam_size", [2, 1000])
def test_ties_are_settled_by_margins_of_all_members(rng, beam_size):
    """A node that adds nothing to a score may still add to the margin that decides."""
    members = tuple(naive.random_member(rng, 6, (4, 5, 6), values=SATURATED) for _ in range(3))
    X = naive.as_rows(rng.random((100, 6)) < 0.7)
    search = Search(beam_size, 1.0, L3_HINGE)
    scores = rank(X, members, search, 4).scores
    assert (scores[:, 2] == scores[:, 3]).sum() > 5  # or the test would test nothing
    assert_ranks_as_all(X, members, search)


def test_what_changes_scores_afterwards_changes_the_same_ones(rng, members):
    n_labels = 1 + max(member.tree.labels.max() for member in members)
    boost = frozen(rng.choice(np.float32([1, 0.5, 0.01]), n_labels))
    flat = Calibration(np.array([0.2, 0.3]), np.array([0.1, 0.9]))  # most scores tie
    X, search = random_rows(rng, 50), Search(4, 1.0, L3_HINGE)
    assert_ranks_as_all(X, members, search._replace(boost=boost))
    assert_ranks_as_all(X, members, search._replace(boost=boost, calibration=flat))
    calibrated = search._replace(calibration=flat)
    expected = best_of(X, label_candidates(X, members, search), calibrated, 3)
    assert same_bits(rank(X, members, calibrated, 3), expected)


def test_answers_do_not_depend_on_how_many_rows_are_scored_together(rng, members, monkeypatch):
    X, search = random_rows(rng, 40), Search(4, 1.0, L3_HINGE)
    whole = rank(X, members, search, 3)
    for most in (1, 100, 1000):
        monkeypatch.setattr(ensemble, "MOST_LEAVES", most)
        assert same_bits(whole, rank(X, members, search, 3))


def test_members_may_hold_different_labels(rng):
    wide = naive.random_member(rng, N_FEATURES, (9, 6))
    narrow = naive.random_member(rng, N_FEATURES, (2, 2))
    for members in ((wide, narrow), (narrow, wide, narrow)):
        assert_ranks_as_all(random_rows(rng, 20), members, Search(3, 1.0, L3_HINGE))


def test_no_rows_have_no_answers(rng, members):
    top = rank(random_rows(rng, 0), members, Search(3, 1.0, L3_HINGE), 5)
    assert top.labels.shape == top.scores.shape == (0, 5)


def test_most_nodes_are_not_scored(rng, monkeypatch):
    members = tuple(naive.random_member(rng, N_FEATURES, (4, 5, 8)) for _ in range(3))
    X, search, counts = random_rows(rng, 100), Search(1000, 1.0, L3_HINGE), []

    def counted(X, members, search, nodes, wanted, *rest, score=ensemble._score):
        counts.append(wanted.sum() / (nodes.width > 0).sum())
        score(X, members, search, nodes, wanted, *rest)

    monkeypatch.setattr(ensemble, "_score", counted)
    rank(X, members, search, 1)
    assert 0 < sum(counts) < 0.5
    counts.clear()
    rank(X, members, search, 1000)
    assert sum(counts) == pytest.approx(1)
