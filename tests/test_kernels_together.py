import naive_together as naive
import numpy as np
import pytest

from xmc.kernels import together as kernels
from xmc.ranking.together import KINDS

N_LABELS = 9


def random_case(rng, n_rows, k=2):
    """Candidates with their probabilities, best first; a row may have any number of them."""
    labels = rng.permuted(np.tile(np.arange(N_LABELS, dtype=np.int32), (n_rows, 1)), axis=1)[:, :7]
    p = -np.sort(-rng.random(labels.shape).astype(np.float32), axis=1)
    empty = np.arange(7) >= rng.integers(0, 8, (n_rows, 1))
    labels[empty], p[empty] = -1, -np.inf
    return labels, p, np.tile(np.arange(k, dtype=np.int32), (n_rows, 1))


def as_dense(labels, p, chosen):
    """The probabilities, and which labels are named, both rows x labels."""
    P, named = np.zeros((len(labels), N_LABELS)), np.zeros((len(labels), N_LABELS), bool)
    row, place = np.nonzero(labels >= 0)
    P[row, labels[row, place]] = p[row, place]
    for row, own in enumerate(np.take_along_axis(labels, chosen, axis=1)):
        named[row, own[own >= 0]] = True
    return P, named


@pytest.mark.parametrize("n_rows", [0, 1, 3, 25])
@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.1, 0.3), (0.0, 1.0)])
def test_choosing_again_agrees_with_trying_every_label(rng, n_rows, target, weights):
    for _ in range(10 if n_rows == 3 else 1):  # few rows leave labels that none names
        agrees(rng, *random_case(rng, n_rows), target, weights)


def agrees(rng, labels, p, chosen, target, weights):
    """Let the rows choose twice, and hold it against the twin."""
    counts = kernels.counted(labels, p, chosen, N_LABELS)
    for _ in range(2):
        P, named = as_dense(labels, p, chosen)
        order = rng.permutation(len(labels))
        candidates = [own[own >= 0].tolist() for own in labels]
        expected, gain = naive.choose_again(P, candidates, named, target, *weights, order)
        what = labels, p, counts, KINDS[target], *weights, order, chosen
        assert kernels.choose_again(*what) == pytest.approx(gain, abs=1e-6)
        np.testing.assert_array_equal(as_dense(labels, p, chosen)[1], expected)
        assert (np.diff(chosen, axis=1) > 0).all()


def test_a_row_without_candidates_and_label_0_in_the_last_place(rng):
    labels = np.array([[-1, -1], [1, 0], [1, 0], [2, -1]], np.int32)
    p = np.float32([[-np.inf] * 2, [0.9, 0.5], [0.9, 0.5], [0.3, -np.inf]])
    chosen = np.zeros((4, 1), np.int32)
    counts = kernels.counted(labels, p, chosen, 3)
    kernels.choose_again(
        labels, p, counts, kernels.COVERAGE, 1.0, 0.0, np.array([0, 3, 1, 2]), chosen
    )
    assert chosen.ravel().tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    "gains, expected",
    [([1, 1, 1], [0, 1]), ([1, 1, 2], [0, 2]), ([1, 2, 2, 2], [1, 2]), ([0, 1, 0, 2], [1, 3])],
)
def test_of_equal_gains_the_first_are_chosen(gains, expected):
    chosen = np.zeros(2, np.int32)
    kernels._choose_best(np.array(gains, np.float64), chosen)
    assert chosen.tolist() == expected


def test_what_is_added_is_the_change_of_the_target(rng):
    labels, p, first = random_case(rng, 25)
    for target, kind in KINDS.items():
        chosen = first.copy()
        P, named = as_dense(labels, p, chosen)
        before = naive.value(P, named, target)
        counts = kernels.counted(labels, p, chosen, N_LABELS)
        added = kernels.choose_again(labels, p, counts, kind, 1.0, 0.0, rng.permutation(25), chosen)
        after = naive.value(P, as_dense(labels, p, chosen)[1], target)
        assert added == pytest.approx(after - before, abs=1e-6)
        assert added > 0.01


def test_counts_agree_with_sums_and_follow_every_choice(rng):
    labels, p, chosen = random_case(rng, 25)
    p[:, 0] = np.where(labels[:, 0] >= 0, 1, p[:, 0])  # certain, whose chance to be missed is 0
    counts = kernels.counted(labels, p, chosen, N_LABELS)
    for _ in range(2):
        P, named = as_dense(labels, p, chosen)
        missed = np.log(1 - np.minimum(P * named, kernels.MOST)).sum(axis=0)
        expected = P.sum(axis=0), named.sum(axis=0), (P * named).sum(axis=0), missed
        np.testing.assert_allclose(counts, expected, atol=1e-6)
        kernels.choose_again(labels, p, counts, 0, 1.0, 0.0, rng.permutation(25), chosen)
