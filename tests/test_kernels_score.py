import naive
import numpy as np
import pytest

from xmc.kernels.score import (
    L2_HINGE,
    L3_HINGE,
    LEAST,
    LOG_SIGMOID,
    add_log_probabilities,
    before,
    lowest_path,
    probability,
)

TRANSFORMS = {"l3_hinge": L3_HINGE, "l2_hinge": L2_HINGE, "log_sigmoid": LOG_SIGMOID}
SMALLEST = np.float32(2.0**-149)


@pytest.mark.parametrize("n", [0, 1, 300])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_paths_grow_by_the_log_probability_of_the_margin(rng, transform, n):
    margin = rng.normal(0, 3, n + 5).astype(np.float32)
    out, path = np.full(n + 5, 7, np.float32), np.float32(-1.5)
    add_log_probabilities(margin, n, path, TRANSFORMS[transform], out)
    judge = np.maximum(path + naive.log_probability(margin[:n].astype(float), transform), LEAST)
    assert out[:n] == pytest.approx(judge, rel=1e-5)
    assert (out[n:] == 7).all()


def test_the_least_path_has_no_probability():
    assert probability(LEAST) == 0
    assert probability(np.float32(0)) == 1


def test_one_candidate_ranks_before_another_by_score_then_margin_then_the_smaller_id(rng):
    for a, b in rng.integers(0, 2, (200, 2, 3)).tolist():
        assert before(*a, *b) == ((-a[0], -a[1], a[2]) < (-b[0], -b[1], b[2]))


def scores_of_every_size(rng):
    """Random float32 between 0 and 1, the smallest ones and those next to 1 among them."""
    wide = np.exp(rng.uniform(-103, 0, 2000)).astype(np.float32)
    near_1 = 1 - rng.exponential(1e-5, 500).astype(np.float32)
    special = np.float32([1, 2.0**-126, np.nextafter(np.float32(2.0**-126), np.float32(0))])
    return np.concatenate([wide, near_1, np.arange(1, 500) * SMALLEST, special])


def test_no_path_below_the_lowest_reaches_the_score(rng):
    for score in scores_of_every_size(rng):
        below = np.nextafter(lowest_path(score), np.float32(-np.inf))
        assert all(probability(below * np.float32(f)) < score for f in (1, 1.00001, 1.001, 1.1))


def test_the_lowest_path_is_close_to_that_of_the_score(rng):
    for score in scores_of_every_size(rng):
        most = 2.1 if score < np.float32(2.0**-126) else 1.001
        assert probability(lowest_path(score)) * most + SMALLEST > score


def test_any_path_reaches_a_score_of_0():
    assert lowest_path(np.float32(0)) == -np.inf
