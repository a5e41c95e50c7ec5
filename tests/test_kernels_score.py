import naive
import numpy as np
import pytest

from xmc.kernels.score import average


def test_average_agrees_with_its_twin(rng):
    """Members one after another, each with its own candidates of a row."""
    members = [
        naive.scored(*naive.random_candidates(rng, rng.integers(0, 20, 30), n_ids=25))
        for _ in range(3)
    ]
    rows = [[c for found in row for c in found] for row in zip(*members, strict=True)]
    indptr, flat = naive.join(rows)
    score, margin, ids = (np.array(column) for column in zip(*flat, strict=True))
    found = (
        np.array(indptr),
        ids.astype(np.int32),
        score.astype(np.float32),
        margin.astype(np.float32),
    )
    got = naive.scored(*average(*found, 3, 25))
    for ours, judge in zip(got, zip(*members, strict=True), strict=True):
        assert np.array(sorted(ours, key=lambda c: c[2])).ravel() == pytest.approx(
            np.array(sorted(naive.average(judge), key=lambda c: c[2])).ravel(), abs=1e-6
        )


def test_a_label_that_a_member_missed_counts_0_there():
    found = (
        np.array([0, 3]),
        np.int32([5, 2, 5]),
        np.float32([0.5, 0.8, 0.25]),
        np.float32([1, 2, 4]),
    )
    assert naive.scored(*average(*found, 2, 6)) == [[(0.375, 2.5, 5), (pytest.approx(0.4), 2.0, 2)]]


@pytest.mark.parametrize("sizes", [[], [0], [1], [0, 0, 2]])
def test_average_of_hardly_any_candidates(rng, sizes):
    found = naive.random_candidates(rng, sizes)
    expected = [
        [(score / 2, margin, label) for score, margin, label in row] for row in naive.scored(*found)
    ]
    assert naive.scored(*average(*found, 2, 40)) == expected
