import naive
import naive_inverted
import numpy as np
import pytest

from xmc.kernels import votes as kernels

N_ROWS, N_LABELS = 30, 12


def random_near(rng, n_queries, k=6):
    """Near rows and similarities, with empty places at the end."""
    near = np.array([rng.permutation(N_ROWS)[:k] for _ in range(n_queries)], np.int32)
    near = near.reshape(n_queries, k)
    near[np.arange(k) >= rng.integers(0, k + 1, (n_queries, 1))] = -1
    values = -np.sort(-rng.choice(np.float32([0.25, 0.5, 0.75]), (n_queries, k)), axis=1)
    return near, np.where(near >= 0, values, np.float32(-np.inf))


def twin(near, similarity, y_indptr, y_ids):
    labels = naive.split(y_indptr, y_ids)
    return [naive_inverted.figures(*pair, labels) for pair in zip(near, similarity, strict=True)]


def empty(shape):
    return np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)


@pytest.mark.parametrize("n_queries", [0, 1, 40])
@pytest.mark.parametrize("n_best", [1, 4, 30])
def test_best_agrees_with_sorting_all_labels(rng, n_queries, n_best):
    near, labels = random_near(rng, n_queries), naive.random_lists(rng, N_ROWS, N_LABELS, 0.2)
    ids, figures = np.empty((n_queries, n_best), np.int32), empty((n_queries, n_best))
    kernels.best(*near, *labels, ids, *figures)
    for i, wanted in enumerate(twin(*near, *labels)):
        order = sorted(wanted, key=lambda label: (-wanted[label][0], label))[:n_best]
        left = n_best - len(order)
        assert ids[i].tolist() == order + [-1] * left
        got = list(zip(*(figure[i].tolist() for figure in figures), strict=True))
        assert got == [wanted[label] for label in order] + [(0, 0, 0)] * left


@pytest.mark.parametrize("n_queries", [0, 1, 40])
def test_figures_of_candidates_agree_with_counting(rng, n_queries):
    near, labels = random_near(rng, n_queries), naive.random_lists(rng, N_ROWS, N_LABELS, 0.2)
    some = [rng.permutation(N_LABELS)[: rng.integers(0, 9)] for _ in range(n_queries)]
    indptr, ids = naive.join(some)
    figures = empty(len(ids))
    kernels.of_candidates(
        *near, *labels, np.array(indptr, np.int64), np.array(ids, np.int32), *figures
    )
    wanted = [
        found.get(int(label), (0, 0, 0))
        for found, candidates in zip(twin(*near, *labels), some, strict=True)
        for label in candidates
    ]
    assert list(zip(*(figure.tolist() for figure in figures), strict=True)) == wanted


@pytest.fixture
def colliding():
    """17 labels that one place of the table for 16 is meant for."""
    labels = np.arange(100_000)
    places = (labels * kernels.MULTIPLIER >> 16) % 32
    return labels[places == places[0]][:17].astype(np.int32)


def test_labels_of_one_place_are_told_apart(colliding):
    """One that is no candidate is looked for, too."""
    near = np.array([[0, 1]], np.int32), np.float32([[0.5, 0.25]])
    rows = np.array([0, 17, 19]), np.append(colliding, colliding[[3, 5]])
    figures = empty(16)
    kernels.of_candidates(*near, *rows, np.array([0, 16]), colliding[1:], *figures)
    voters = [2 if place in (3, 5) else 1 for place in range(1, 17)]
    assert figures[2].tolist() == voters
    assert figures[0].tolist() == [0.25 + 0.0625 * (n - 1) for n in voters]

    found, figures = np.empty((1, 17), np.int32), empty((1, 17))
    kernels.best(*near, *rows, found, *figures)
    assert found[0].tolist() == [*colliding[[3, 5]], *np.delete(colliding, [3, 5])]
    assert figures[2].tolist() == [[2, 2] + [1] * 15]


def test_labels_with_large_ids_are_told_apart():
    ids = np.array([2**31 - 1, 2**31 - 2, 2**30, 0], np.int32)  # all of one row
    near = np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32)
    found, figures = np.empty((1, 4), np.int32), empty((1, 4))
    kernels.best(*near, np.array([0, 4]), np.sort(ids), found, *figures)
    assert found[0].tolist() == sorted(ids.tolist())


@pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 17, 1000])
def test_tables_are_a_power_of_two_and_half_empty(n):
    size = len(kernels._table(n))
    assert size & (size - 1) == 0 and size >= 2 * n
