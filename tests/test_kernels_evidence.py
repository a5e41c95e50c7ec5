import naive
import naive_evidence
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.kernels import evidence as kernels

N_LABELS = 15


def random_found(rng, n_rows, n_places):
    """Labels with repetitions and empty places in any order."""
    found = rng.integers(0, N_LABELS, (n_rows, n_places)).astype(np.int32)
    found[rng.random(found.shape) < 0.3] = -1
    return found


def random_tops(rng, n_rows, k):
    """Labels of a base model, each once in a row, best first, with empty places at the end."""
    ids = np.array([rng.permutation(N_LABELS)[:k] for _ in range(n_rows)], np.int32)
    ids = ids.reshape(n_rows, k)
    ids[np.arange(k) >= rng.integers(0, k + 1, (n_rows, 1))] = -1
    scores = -np.sort(-rng.uniform(0, 1, (n_rows, k)), axis=1).astype(np.float32)
    return ids, np.where(ids >= 0, scores, np.float32(-np.inf))


def random_candidates(rng, n_rows, most=9):
    lists = [np.sort(rng.permutation(N_LABELS)[: rng.integers(0, most)]) for _ in range(n_rows)]
    indptr, ids = naive.join(lists)
    return np.array(indptr, np.int64), np.array(ids, np.int32), [own.tolist() for own in lists]


@pytest.mark.parametrize(("n_rows", "n_places"), [(0, 4), (1, 1), (1, 8), (40, 12), (3, 0)])
def test_union_agrees_with_sets(rng, n_rows, n_places):
    found = random_found(rng, n_rows, n_places)
    before = found.copy()
    indptr, ids = kernels.union(found)
    assert (indptr.dtype, ids.dtype) == (np.int64, np.int32)
    assert [[*own] for own in naive.split(indptr, ids)] == naive_evidence.union(found)
    assert np.array_equal(found, before)


def test_union_of_empty_places_is_empty():
    indptr, ids = kernels.union(np.full((2, 3), -1, np.int32))
    assert (indptr.tolist(), ids.tolist()) == ([0, 0, 0], [])


def test_union_takes_the_largest_ids():
    largest = np.int32(2**31 - 1)
    indptr, ids = kernels.union(np.array([[largest, 0, largest, -1, 1]], np.int32))
    assert (indptr.tolist(), ids.tolist()) == ([0, 3], [0, 1, largest])


@pytest.mark.parametrize("n_rows", [0, 1, 40])
@pytest.mark.parametrize("k", [1, 6])
def test_base_evidence_agrees_with_its_twin(rng, n_rows, k):
    indptr, ids, lists = random_candidates(rng, n_rows)
    tops = random_tops(rng, n_rows, k)
    out = np.full((len(ids), 7), np.nan, np.float32)
    kernels.base_evidence(indptr, ids, *tops, 2, out)
    np.testing.assert_allclose(
        out[:, 2:5], naive_evidence.base_evidence(lists, *tops), rtol=1e-6, atol=1e-6
    )
    assert np.isnan(out[:, [0, 1, 5, 6]]).all()  # other columns stay


def test_a_score_that_underflowed_to_0_has_a_finite_logarithm():
    out = np.full((2, 3), np.nan, np.float32)
    tops = np.array([[4, 2]], np.int32), np.float32([[1.0, 0.0]])
    kernels.base_evidence(np.array([0, 2]), np.array([2, 4], np.int32), *tops, 0, out)
    assert np.isfinite(out).all()
    assert out[0, 0] < np.log(1e-15) and out[1].tolist() == [0, 0, 0]


def test_differences_are_to_the_best_label_even_if_it_is_no_candidate():
    out = np.full((1, 3), np.nan, np.float32)
    tops = np.array([[4, 2]], np.int32), np.float32([[0.5, 0.25]])
    kernels.base_evidence(np.array([0, 1]), np.array([2], np.int32), *tops, 0, out)
    assert out[0] == pytest.approx([np.log(0.25), 1, np.log(0.5)])


@pytest.mark.parametrize("n_rows", [0, 1, 40])
@pytest.mark.parametrize("k", [1, 6])
def test_company_agrees_with_its_twin(rng, n_rows, k):
    indptr, ids, lists = random_candidates(rng, n_rows)
    tops = random_tops(rng, n_rows, k)
    share = rng.random((N_LABELS, N_LABELS)) * (rng.random((N_LABELS, N_LABELS)) < 0.4)
    beside = naive.as_rows(share)
    out = np.empty(len(ids), np.float32)
    kernels.company(indptr, ids, *tops, *beside[:3], np.zeros(N_LABELS, np.float32), out)
    assert out == pytest.approx(naive_evidence.company(lists, *tops, share), abs=1e-5)


@pytest.mark.parametrize("n_rows", [0, 1, 40])
@pytest.mark.parametrize("k", [1, 6])
def test_the_best_company_is_what_the_best_labels_make_expect_most(rng, n_rows, k):
    tops = random_tops(rng, n_rows, k)
    share = rng.random((N_LABELS, N_LABELS)) * (rng.random((N_LABELS, N_LABELS)) < 0.2)
    ids, scores = np.empty((n_rows, 5), np.int32), np.empty((n_rows, 5), np.float32)
    nothing = np.zeros(N_LABELS, np.float32)
    kernels.best_company(*tops, *naive.as_rows(share)[:3], nothing, ids, scores)
    every = [np.arange(N_LABELS)] * n_rows
    expected = naive_evidence.company(every, *tops, share)
    for row, wanted in enumerate(np.reshape(expected, (n_rows, N_LABELS))):
        order = np.argsort(-wanted, kind="stable")[:5]
        order = order[wanted[order] > 0]
        n = len(order)
        assert scores[row, :n] == pytest.approx(wanted[order], abs=1e-5)
        assert wanted[ids[row, :n]] == pytest.approx(wanted[order], abs=1e-5)
        assert (ids[row, n:] == -1).all() and (scores[row, n:] == -np.inf).all()
    assert not nothing.any(), "scratch is left as it was"


@pytest.mark.parametrize("k", [1, 2, 3])
def test_of_labels_that_are_expected_alike_the_smaller_come_first(k):
    """Label 0 makes expect 7, label 1 makes expect 3, whichever is met first."""
    tops = np.array([[0, 1]], np.int32), np.float32([[0.5, 0.5]])
    beside = np.array([0, 1, 2, *[2] * 6]), np.array([7, 3], np.int32), np.float32([0.5, 0.5])
    ids, scores = np.empty((1, k), np.int32), np.empty((1, k), np.float32)
    kernels.best_company(*tops, *beside, np.zeros(8, np.float32), ids, scores)
    assert ids[0].tolist() == [3, 7, -1][:k]


@pytest.mark.parametrize("n_rows", [0, 1, 40])
def test_less_the_best_agrees_with_its_twin(rng, n_rows):
    indptr, ids, _ = random_candidates(rng, n_rows)
    out = rng.normal(size=(len(ids), 4)).astype(np.float32)
    out[rng.random(out.shape) < 0.4] = np.nan
    before = out.copy()
    kernels.less_the_best(indptr, out, 1, 3)
    expected = naive_evidence.less_the_best(np.diff(indptr), before[:, 1])
    np.testing.assert_allclose(out[:, 3], expected, rtol=1e-6, atol=1e-6)
    assert np.array_equal(out[:, :3], before[:, :3], equal_nan=True)


def test_a_row_of_which_nothing_is_known_stays_unknown():
    out = np.full((3, 2), np.nan, np.float32)
    out[2, 0] = 5
    kernels.less_the_best(np.array([0, 2, 3]), out, 0, 1)
    assert np.isnan(out[:2, 1]).all() and out[2, 1] == 0


def test_read_only_arrays_are_taken(rng):
    indptr, ids, _ = random_candidates(rng, 5)
    top_ids, top_scores = random_tops(rng, 5, 4)
    plain, read_only = (np.full((len(ids), 4), np.nan, np.float32) for _ in range(2))
    kernels.base_evidence(indptr, ids, top_ids, top_scores, 0, plain)
    kernels.base_evidence(*map(frozen, (indptr, ids, top_ids, top_scores)), 0, read_only)
    assert np.array_equal(plain, read_only, equal_nan=True)
