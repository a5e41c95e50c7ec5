import numpy as np
import pytest
import scipy.sparse as sp

from xmc.arrays import Rows, frozen
from xmc.errors import DataError
from xmc.inputs import (
    as_rows,
    as_targets,
    canonical,
    check_not_too_large,
    same_rows,
    true_labels,
)
from xmc.kernels.gather import unit_row

DENSE = np.float32([[0, 2, 0, -1], [0, 0, 0, 0], [3, 0, 0.5, 0]])
FORMATS = ["csr", "csc", "coo", "bsr", "dok", "lil", "dia"]


def csr(data, indices, indptr, shape, dtype=np.float32, index=np.int32):
    """A CSR matrix that keeps these very arrays, however odd they are."""
    M = sp.csr_matrix(shape, dtype=dtype)
    M.data, M.indices, M.indptr = (
        np.array(data, dtype),
        np.array(indices, index),
        np.array(indptr, index),
    )
    return M


def unsorted():
    """DENSE with an entry cut in two, entries out of order and stored zeros."""
    return csr([-1, 1, 0, 1, 0.5, 3], [3, 1, 0, 1, 2, 0], [0, 4, 4, 6], DENSE.shape)


def as_memory_map(M, folder, mode):
    """M on arrays mapped from files."""
    mapped = sp.csr_matrix(M.shape, dtype=M.dtype)
    for name in ("data", "indices", "indptr"):
        np.save(folder / f"{name}.npy", getattr(M, name))
        setattr(mapped, name, np.load(folder / f"{name}.npy", mmap_mode=mode))
    return mapped


def same(A, B):
    return all(
        np.array_equal(a, b) and a.dtype == b.dtype
        for a, b in ((A.data, B.data), (A.indices, B.indices), (A.indptr, B.indptr))
    )


def content(M):
    return [array.copy() for array in (M.data, M.indices, M.indptr)]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
def test_every_sparse_format_becomes_the_same_csr(format, kind):
    got = canonical(kind(DENSE).asformat(format), "who", "X")
    assert same(got, sp.csr_matrix(DENSE))
    assert isinstance(got, sp.csr_matrix)


@pytest.mark.parametrize(
    "M",
    [
        DENSE,
        DENSE.tolist(),
        DENSE.astype(np.float64),
        np.asfortranarray(DENSE),
        unsorted(),
        unsorted().astype(np.float64),
        unsorted().tocoo(),
        csr([2, -1, 3, 0.5], [1, 3, 0, 2], [0, 2, 2, 4], DENSE.shape, np.float64, np.int64),
    ],
    ids=["dense", "lists", "float64", "fortran", "unsorted", "unsorted64", "coo", "int64"],
)
def test_every_writing_of_a_matrix_becomes_the_same_rows(M):
    got = as_rows(canonical(M, "who", "X"), normalize=False)
    for array, expected in zip(
        got[:3], as_rows(sp.csr_matrix(DENSE), normalize=False)[:3], strict=True
    ):
        assert np.array_equal(array, expected)


@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint8, np.int64, np.float16, ">f4", np.float64, np.longdouble]
)
def test_dense_numbers_of_every_type_become_float32(dtype):
    got = canonical(np.array([[0, 1], [1, 1]], dtype), "who", "X")
    assert got.dtype == np.float32
    assert np.array_equal(got.toarray(), [[0, 1], [1, 1]])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float64, np.longdouble])
def test_sparse_numbers_of_every_type_become_float32(dtype):
    got = canonical(sp.csr_matrix(np.array([[0, 1], [1, 1]], dtype)), "who", "X")
    assert got.dtype == np.float32
    assert np.array_equal(got.toarray(), [[0, 1], [1, 1]])


def test_stored_zeros_are_left_out():
    got = canonical(csr([0, -0.0, 1e-60, 1], [0, 1, 2, 3], [0, 4], (1, 4), np.float64), "who", "X")
    assert (got.data.tolist(), got.indices.tolist()) == ([1], [3])


def test_duplicates_that_cancel_out_are_left_out():
    assert canonical(csr([1, -1], [0, 0], [0, 2], (1, 2)), "who", "X").nnz == 0


@pytest.mark.parametrize(
    "M", [unsorted(), unsorted().astype(np.float64), unsorted().tocsc(), unsorted().tocoo()]
)
def test_the_callers_matrix_is_not_changed(M):
    before = M.copy()
    canonical(M, "who", "X")
    assert type(M) is type(before)
    assert all(
        np.array_equal(getattr(M, name), getattr(before, name))
        for name in ("data", *index_arrays(M))
    )


def index_arrays(M):
    return ("row", "col") if M.format == "coo" else ("indices", "indptr")


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_memory_mapped_matrix_is_read_and_not_changed(tmp_path, mode):
    M = as_memory_map(unsorted(), tmp_path, mode)
    before = content(M)
    got = canonical(M, "who", "X")
    assert same(got, sp.csr_matrix(DENSE))
    assert all(np.array_equal(a, b) for a, b in zip(content(M), before, strict=True))


def test_canonical_input_is_not_copied():
    M = sp.csr_matrix(DENSE)
    assert np.shares_memory(canonical(M, "who", "X").data, M.data)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")])
@pytest.mark.parametrize("kind", [np.array, sp.csr_matrix, sp.csc_matrix])
def test_the_first_value_that_is_not_finite_is_named_with_its_place(kind, value, word):
    dense = DENSE.copy()
    dense[2, 1] = value
    expected = (
        f"fit: expected finite values in X, got {word} in row 2, column 1 "
        "(counted from 0, after conversion to float32)"
    )
    with pytest.raises(DataError) as error:
        canonical(kind(dense), "fit", "X")
    assert str(error.value) == expected


def test_a_number_beyond_float32_is_an_infinity():
    with pytest.raises(DataError, match="got inf in row 0, column 1"):
        canonical(np.array([[1, 1e300]]), "fit", "X")


@pytest.mark.parametrize(
    ("M", "got"),
    [
        ([1, 2], "1-D int64"),
        ([[["a"]]], "3-D <U1"),
        ([["a", "b"]], "2-D <U1"),
        (None, "0-D object"),
        (np.array([[1, None]]), "2-D object"),
        (sp.coo_array(np.ones(3)), "1-D float64"),
        ([[1], [1, 2]], "rows of different lengths"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(M, got):
    with pytest.raises(DataError, match=f"^fit: expected Y to be a 2-D numeric matrix, got {got}$"):
        canonical(M, "fit", "Y")


@pytest.mark.parametrize("kind", [np.array, sp.csr_matrix])
def test_complex_numbers_are_refused(kind):
    with pytest.raises(DataError, match="^fit: Complex data not supported in X$"):
        canonical(kind([[1j]]), "fit", "X")


@pytest.mark.parametrize("wrong", [-1, 4])
def test_an_id_outside_the_width_is_refused(wrong):
    with pytest.raises(
        DataError, match=f"^fit: expected ids 0 to 3 in the indices of X, got {wrong}$"
    ):
        canonical(csr([1, 1], [0, wrong], [0, 1, 2], (2, 4)), "fit", "X")


@pytest.mark.parametrize("kind", ["csc", "bsr"])
def test_an_id_outside_the_height_is_refused_in_other_formats(kind):
    M = sp.csr_matrix(np.eye(4, dtype=np.float32)).asformat(kind)
    M.indices[0] = 4
    with pytest.raises(DataError, match="^fit: expected ids 0 to 3 in the indices of X, got 4$"):
        canonical(M, "fit", "X")


def test_descending_pointers_are_refused():
    with pytest.raises(
        DataError, match="^fit: expected ascending pointers in X, got descending ones$"
    ):
        canonical(csr([1, 1], [0, 1], [0, 2, 1, 2], (3, 4)), "fit", "X")


def test_too_many_columns_are_refused():
    M = csr([1], [0], [0, 1], (1, 2**31), index=np.int64)
    with pytest.raises(
        DataError, match="^fit: expected at most 2,147,483,647 rows and columns in X, got shape "
    ):
        canonical(M, "fit", "X")


def test_rows_are_typed_and_read_only():
    rows = as_rows(canonical(unsorted(), "who", "X"), normalize=True)
    assert [array.dtype for array in rows[:3]] == [np.int64, np.int32, np.float32]
    assert not any(array.flags.writeable for array in rows[:3])
    assert (rows.n_rows, rows.n_features) == DENSE.shape


def test_normalised_rows_have_unit_length_and_empty_rows_stay_empty():
    rows = as_rows(sp.csr_matrix(DENSE), normalize=True)
    lengths = np.sqrt(np.add.reduceat(rows.data**2, [0, 2]))
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    assert rows.indptr.tolist() == [0, 2, 2, 4]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_tiny_and_huge_rows_are_normalised_like_others(scale):
    rows = as_rows(sp.csr_matrix(DENSE * np.float32(scale)), normalize=True)
    np.testing.assert_allclose(
        rows.data, as_rows(sp.csr_matrix(DENSE), normalize=True).data, rtol=1e-5
    )


def test_values_of_rows_that_have_length_1_are_not_copied():
    unit = as_rows(sp.csr_matrix(DENSE), normalize=True)
    M = sp.csr_matrix((unit.data.copy(), unit.indices, unit.indptr), shape=DENSE.shape)
    assert np.shares_memory(as_rows(M, normalize=True).data, M.data)
    M.data *= np.float32(1 + 1e-6)
    assert not np.shares_memory(as_rows(M, normalize=True).data, M.data)
    np.testing.assert_allclose(as_rows(M, normalize=True).data, unit.data, rtol=3e-7)


def test_each_row_is_scaled_whatever_the_others_are():
    """Or one row's answer would depend on its neighbours'."""
    unit = as_rows(sp.csr_matrix(DENSE), normalize=True)
    M = sp.csr_matrix(
        (unit.data * np.float32([1, 1, 3, 3]), unit.indices, unit.indptr), shape=DENSE.shape
    )
    together = as_rows(M, normalize=True).data
    assert together.tobytes() == b"".join(
        as_rows(M[i], normalize=True).data.tobytes() for i in range(3)
    )
    assert together[:2].tobytes() == unit.data[:2].tobytes()


def test_normalising_leaves_the_matrix_alone():
    M = sp.csr_matrix(DENSE)
    as_rows(M, normalize=True)
    assert np.array_equal(M.toarray(), DENSE)


def test_targets_are_pointers_and_ids_and_costs_if_there_are_any():
    indptr, ids, costs = as_targets(canonical(unsorted(), "who", "Y"))
    assert (indptr.tolist(), ids.tolist(), costs.tolist()) == ([0, 2, 2, 4], [1, 3, 0, 2], [])
    assert (indptr.dtype, ids.dtype, costs.dtype) == (np.int64, np.int32, np.float32)
    assert as_targets(
        canonical(unsorted(), "who", "Y"), np.float32([1, 2, 3, 4])
    ).costs.tolist() == [1, 2, 3, 4]


def test_frozen_is_a_view():
    array = np.arange(3)
    assert np.shares_memory(frozen(array), array)
    assert array.flags.writeable


def test_values_that_only_scaled_rows_can_have_are_refused():
    check_not_too_large(sp.csr_matrix([[1e15, -1e15, 1e-45]]), "fit", "X")
    message = (
        "fit: expected values from -1e+15 to 1e+15 in X with normalize=False, got 1.1e+15: "
        "scale the features, or set normalize=True"
    )
    with pytest.raises(DataError) as error:
        check_not_too_large(sp.csr_matrix([[-1.1e15, 2]]), "fit", "X")
    assert str(error.value) == message


def test_different_row_counts_are_both_told():
    with pytest.raises(
        DataError, match="^fit: expected as many rows in X as in Y, got 1,200 and 3$"
    ):
        same_rows(sp.csr_matrix((1200, 2)), sp.csr_matrix((3, 2)), "fit")


def test_n_rows_counts_empty_rows():
    assert Rows(np.array([0, 0, 0]), np.array([]), np.array([]), 5).n_rows == 2


def test_true_labels_are_where_a_matrix_is_not_zero():
    Y = true_labels(unsorted(), "who", "Y")
    assert np.array_equal(Y.toarray(), DENSE != 0)
    assert Y.has_canonical_format


@pytest.mark.parametrize("exponent", [-44, -41, -39, -20, 0, 20, 30, 37])
def test_rows_of_any_length_are_scaled_to_length_1(exponent):
    """Also where float32 can't hold the inverse of the length, as of values of 1e-41."""
    row = np.float32([[3, 0, 4], [3, 1, 4]]) * 10.0**exponent
    M = sp.csr_matrix(row.astype(np.float32))
    data = M.data.astype(np.float64)
    lengths = np.sqrt(np.add.reduceat(data**2, M.indptr[:-1]))
    expected = data / np.repeat(lengths, np.diff(M.indptr))
    many = as_rows(M, normalize=True).data
    assert many == pytest.approx(expected, rel=1e-6)
    one = np.empty(2, np.float32)
    assert unit_row(M.indices[:2], M.data[:2], 3, True, one)
    assert one.tobytes() == many[:2].tobytes()


def test_small_ints_that_stand_in_one_place_are_summed_without_a_wrap():
    M = sp.coo_matrix((np.int8([100, 100]), ([0, 0], [1, 1])), shape=(1, 2))
    assert canonical(M, "fit", "X").toarray().tolist() == [[0, 200]]
