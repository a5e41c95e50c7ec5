"""The one door: a matrix gets the same answer in every container, to the bit, on both paths."""

import numpy as np
import pytest
import scipy.sparse as sp
from planted import X_TEST, X, Y, same_answer

from xmc import DataError, OneVsAllClassifier
from xmc.kernels.gather import squared_norms

FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]
DTYPES = ["f4", "f8", ">f4", ">f8", "f2", "i1", "u2", ">i4", "i8", "?"]
ONES = sp.csr_matrix(X_TEST[:5] > 0, dtype=np.float32)  # what all dtypes hold


@pytest.fixture(scope="module", params=[True, False], ids=["scaled", "as they are"])
def model(request):
    return OneVsAllClassifier(normalize=request.param, random_state=0).fit(X, Y)


def on_arrays(M, data=None, indices=None, indptr=None):
    """M on these very arrays, which scipy would convert."""
    odd = sp.csr_matrix(M.shape, dtype=M.dtype)
    odd.data = M.data if data is None else data
    odd.indices = M.indices if indices is None else indices
    odd.indptr = M.indptr if indptr is None else indptr
    return odd


def strided(array):
    return np.repeat(array, 2)[::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def backwards(M):
    """Each row's entries in descending order."""
    order = np.concatenate(
        [np.arange(b - 1, a - 1, -1) for a, b in zip(M.indptr, M.indptr[1:], strict=False)]
    )
    return on_arrays(M, M.data[order], M.indices[order])


def halved(M):
    """Every entry in two halves, and a stored zero in each row."""
    pieces = [np.repeat(M.data / 2, 2), np.repeat(M.indices, 2), 2 * M.indptr]
    free = [np.setdiff1d(np.arange(M.shape[1]), row.indices)[0] for row in M]
    at = pieces[2][1:]
    return on_arrays(
        M,
        np.insert(pieces[0], at, 0).astype(np.float32),
        np.insert(pieces[1], at, free).astype(np.int32),
        (pieces[2] + np.arange(len(M.indptr))).astype(np.int32),
    )


WRITINGS = {
    "int64 indices": lambda M: on_arrays(M, None, M.indices.astype("i8"), M.indptr.astype("i8")),
    "indices of the other byte order": lambda M: on_arrays(M, None, M.indices.astype(">i4")),
    "pointers of the other byte order": lambda M: on_arrays(M, indptr=M.indptr.astype(">i8")),
    "unsigned indices": lambda M: on_arrays(M, None, M.indices.astype("u4"), M.indptr.astype("u8")),
    "narrow indices": lambda M: on_arrays(M, None, M.indices.astype("i1")),
    "read-only arrays": lambda M: on_arrays(M, *map(read_only, (M.data, M.indices, M.indptr))),
    "strided arrays": lambda M: on_arrays(M, *map(strided, (M.data, M.indices, M.indptr))),
    "more data than the pointers say": lambda M: on_arrays(
        M, np.append(M.data, np.float32(np.nan)), np.append(M.indices, np.int32(10**8))
    ),
    "unsorted indices": backwards,
    "duplicates and zeros": halved,
    "flags that lie": lambda M: lying(backwards(M)),
    "float64 with a NaN behind the end": lambda M: on_arrays(
        M, np.append(M.data.astype("f8"), np.nan), np.append(M.indices, 0)
    ),
}


def lying(M):
    M.has_sorted_indices = M.has_canonical_format = True
    return M


def check_same_answers(model, M, expected):
    """As a batch, and each row alone by both ways."""
    top = model.predict_topk(M, 5)
    assert same_answer(top, expected)
    assert (model.predict(M) != model.predict(ONES)).nnz == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("format", FORMATS)
def test_every_container_gets_the_same_answer(model, format, form, dtype):
    scipys = np.dtype(dtype).newbyteorder("=") if dtype != "f2" else "f4"
    M = form(ONES.astype(scipys)).asformat(format)
    if hasattr(M, "data") and format != "lil" and M.dtype != dtype:
        M.data = M.data.astype(dtype)
    check_same_answers(model, M, model.predict_topk(ONES, 5))
    for i in range(3):
        row = form(ONES[[i]].astype(scipys)).asformat(format)
        if hasattr(row, "data") and format != "lil" and row.dtype != dtype:
            row.data = row.data.astype(dtype)
        expected = model.predict_topk(ONES, 5)
        assert same_answer(model.predict_topk(row, 5), [part[i : i + 1] for part in expected])
        assert same_answer(model.ranker()(row, 5), [part[i : i + 1] for part in expected])


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, np.ndarray.tolist])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_rows_get_the_same_answer(model, dtype, kind):
    M = kind(ONES.toarray().astype(dtype))
    check_same_answers(model, M, model.predict_topk(ONES, 5))
    assert same_answer(model.predict_topk(M[:1], 5), model.predict_topk(ONES[0], 5))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_numpys_matrices_are_read_as_arrays():
    learned = [OneVsAllClassifier(random_state=0).fit(X.toarray(), Y.toarray())]
    learned += [
        OneVsAllClassifier(random_state=0).fit(np.matrix(X.toarray()), np.matrix(Y.toarray()))
    ]
    tops = [m.predict_topk(np.matrix(ONES.toarray()), 5) for m in learned]
    assert same_answer(*tops)
    assert learned[1].score(np.matrix(X.toarray()), np.matrix(Y.toarray())) > 0.9


@pytest.mark.parametrize("writing", WRITINGS)
def test_every_writing_of_csr_gets_the_same_answer(model, writing):
    expected = model.predict_topk(ONES, 5)
    assert same_answer(model.predict_topk(WRITINGS[writing](ONES), 5), expected)
    for i in range(3):
        row, own = WRITINGS[writing](ONES[i]), [part[i : i + 1] for part in expected]
        assert same_answer(model.predict_topk(row, 5), own)
        assert same_answer(model.ranker()(row, 5), own)


@pytest.mark.parametrize("writing", WRITINGS)
def test_every_writing_of_csr_trains_the_same_model(writing):
    plain, other = (
        OneVsAllClassifier(random_state=0).fit(M, Y).predict_topk(ONES, 5)
        for M in (
            sp.csr_matrix(X > 0, dtype=np.float32),
            WRITINGS[writing](sp.csr_matrix(X > 0, dtype=np.float32)),
        )
    )
    assert same_answer(plain, other)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_on_both_paths(model, format, value):
    dense = ONES.toarray().astype(np.float64)
    dense[:, 1] = value
    asked = [(model.predict_topk, dense)]
    asked += [(ask, dense[:1]) for ask in (model.predict_topk, model.ranker())]
    for ask, rows in asked:
        with pytest.raises(DataError, match="finite values in [xX], got .* in row 0, column 1 "):
            ask(sp.csr_matrix(rows).asformat(format), 3)


@pytest.mark.parametrize(
    "indptr", [[1, 3], [0, -1], [-1, 2], [0, 10**8], [0], [], [0, 1, 2], [0.0, 2.0], [[0, 2]]]
)
def test_wrong_pointers_of_one_row_are_refused(model, indptr):
    row = on_arrays(ONES[0], indptr=np.array(indptr))
    for ask in (model.predict_topk, model.ranker()):
        with pytest.raises(DataError, match="pointers"):
            ask(row, 3)


def test_pointers_may_lie_beyond_int32():
    n = 2**31 + 5
    many = np.broadcast_to(np.float32(1), n)
    assert squared_norms(np.array([0, 2, n]), many).tolist() == [2, n - 2]
