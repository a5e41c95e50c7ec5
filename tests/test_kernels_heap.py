import naive
import numpy as np
import pytest

from xmc.kernels.heap import Best, best, offer


def kept(found, k):
    """The best k of each row."""
    n = len(found[0]) - 1
    out = (
        np.full(n, -1),
        np.empty((n, k), np.int32),
        np.empty((n, k), np.float32),
        np.empty((n, k), np.float32),
    )
    best(*found, *out)
    return naive.filled(*out)


@pytest.mark.parametrize("k", [1, 2, 3, 10, 50])
def test_best_agrees_with_sorting(rng, k):
    found = naive.random_candidates(rng, rng.integers(0, 40, 50))
    assert kept(found, k) == [naive.best(row, k) for row in naive.scored(*found)]


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("sizes", [[], [0], [1], [0, 3, 0]])
def test_best_of_hardly_any_candidates(rng, sizes, k):
    found = naive.random_candidates(rng, sizes)
    assert kept(found, k) == [naive.best(row, k) for row in naive.scored(*found)]


def test_best_goes_by_score_then_margin_then_the_smaller_id():
    found = (
        np.array([0, 4]),
        np.int32([9, 4, 2, 7]),
        np.float32([0.5, 0.5, 0.5, 1]),
        np.float32([3, 2, 2, -5]),
    )
    assert [label for *_, label in kept(found, 3)[0]] == [7, 9, 2]


@pytest.mark.parametrize("k", [1, 3, 50])
def test_offer_tells_whether_a_candidate_is_kept(rng, k):
    """Who offers skips what can't be among the best any more."""
    indptr, ids, score, margin = naive.random_candidates(rng, [40])
    held = Best(
        np.zeros(1, np.int64),
        np.empty((1, k), np.int32),
        np.empty((1, k), np.float32),
        np.empty((1, k), np.float32),
    )
    for n in range(40):
        told = offer(score[n], margin[n], ids[n], held, 0)
        wanted = naive.best(naive.scored(np.array([0, n + 1]), ids, score, margin)[0], k)
        assert told == (ids[n] in [label for *_, label in wanted])
