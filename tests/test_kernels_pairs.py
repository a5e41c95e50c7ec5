import naive
import naive_pairs
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.kernels.pairs import code_pairs, read_rows

N_FEATURES = 9
PLACE = np.array([0, -1, 1, 2, 3, -1, 4, 5, 6], np.int32)  # of features, to a model that has seven
N_KNOWN = 7


@pytest.fixture(params=[0, 1, 60], ids=["nothing", "one-row", "random"])
def X(request, rng):
    return naive.random_rows(rng, request.param, N_FEATURES)


def dense(X):
    return naive.to_dense(*X)


def test_code_pairs_agrees_with_its_twin(X):
    expected = naive_pairs.codes(dense(X))
    out = np.zeros(len(expected) + 1, np.int64)
    code_pairs(X.indptr, X.indices, N_FEATURES, out[:-1])
    assert out[:-1].tolist() == expected and out[-1] == 0


@pytest.mark.parametrize("unit", [False, True], ids=["as-it-is", "unit"])
@pytest.mark.parametrize("length", [0.0, 0.7], ids=["single", "pairs"])
@pytest.mark.parametrize("weighed", [False, True], ids=["equal", "idf"])
def test_read_rows_agrees_with_its_twin(X, rng, weighed, length, unit):
    idf = rng.uniform(1, 5, N_KNOWN + 1 if weighed else 0).astype(np.float32)
    every = [a * N_KNOWN + b for a in range(N_KNOWN) for b in range(a + 1, N_KNOWN)]
    known = np.sort(rng.choice(every, 12, replace=False)) if length else np.empty(0, np.int64)
    sizes = np.diff(X.indptr)
    room = int((sizes * (sizes + 1) // 2).sum())
    ids, values = np.full(room + 1, -7, np.int32), np.zeros(room + 1, np.float32)
    how = frozen(idf), N_KNOWN, frozen(known), length, unit
    read = X.indptr, frozen(PLACE[X.indices]), X.data, *how
    indptr = read_rows(*read, ids[:-1], values[:-1])
    own = idf.astype(float) if weighed else None
    expected = naive_pairs.read(dense(X), PLACE.tolist(), own, known.tolist(), length, unit)
    assert len(indptr) == X.n_rows + 1 and (ids[indptr[-1] :] == -7).all()
    for row, wanted in enumerate(expected):
        part = slice(*indptr[row : row + 2])
        assert ids[part].tolist() == sorted(wanted)
        assert values[part] == pytest.approx([wanted[j] for j in sorted(wanted)], rel=1e-5)


@pytest.mark.parametrize("size", [1e-40, 1e38])
def test_no_length_is_too_large_or_too_small(size):
    """Squares of products of such values are beyond float32, and their squares near float64's."""
    values = frozen(np.float32([size, size]))
    ids, out = np.empty(3, np.int32), np.empty(3, np.float32)
    nothing, codes = frozen(np.empty(0, np.float32)), frozen(np.array([1]))
    indptr, two = frozen(np.array([0, 2])), frozen(np.array([0, 1], np.int32))
    read_rows(indptr, two, values, nothing, 2, codes, 1.0, True, ids, out)
    assert out == pytest.approx([0.5, 0.5, np.sqrt(0.5)], rel=1e-4)


def test_a_row_of_length_1_has_pairs():
    values, ids = frozen(np.full(4, 0.5, np.float32)), frozen(np.arange(4, dtype=np.int32))
    out_ids, out = np.empty(10, np.int32), np.empty(10, np.float32)
    codes = frozen(np.array([a * 4 + b for a in range(4) for b in range(a + 1, 4)]))
    nothing, indptr = frozen(np.empty(0, np.float32)), frozen(np.array([0, 4]))
    read_rows(indptr, ids, values, nothing, 4, codes, 1.0, False, out_ids, out)
    assert out == pytest.approx([0.5] * 4 + [np.sqrt(1 / 6)] * 6)
