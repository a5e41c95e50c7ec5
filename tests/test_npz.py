import io
import sys
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import DataError
from xmc.io.npz import read_npz, write_npz, zip_csr


def random_matrix(seed=0, shape=(7, 9)):
    return sp.random(*shape, density=0.3, format="csr", dtype=np.float32, random_state=seed)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, bool])
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
def test_every_sparse_format_becomes_float32_csr(tmp_path, format, dtype, kind):
    M = kind(random_matrix()).astype(dtype)
    sp.save_npz(tmp_path / "M.npz", M.asformat(format))
    got = read_npz(tmp_path / "M.npz")
    assert isinstance(got, sp.csr_matrix)
    assert (got.dtype, got.indices.dtype) == (np.float32, np.int32)
    assert np.array_equal(got.toarray(), M.toarray().astype(np.float32))


def test_wide_indices_are_narrowed(tmp_path):
    M = random_matrix()
    M.indices, M.indptr = M.indices.astype(np.int64), M.indptr.astype(np.int64)
    sp.save_npz(tmp_path / "M.npz", M)
    assert read_npz(tmp_path / "M.npz").indices.dtype == np.int32


def test_the_stored_order_survives(tmp_path):
    M = sp.csr_matrix((np.float32([3, 2, 1]), [2, 0, 1], [0, 3]), shape=(1, 4))
    write_npz(tmp_path / "M.npz", M)
    assert read_npz(tmp_path / "M.npz").indices.tolist() == [2, 0, 1]


def test_the_same_matrix_gives_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_npz(tmp_path / name, random_matrix())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_standard_input_holds_npz_too(tmp_path, monkeypatch):
    write_npz(tmp_path / "M.npz", random_matrix())
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "M.npz").read_bytes()))
    )
    assert (read_npz("-") != random_matrix()).nnz == 0


def saved(save, *args, **named):
    def make(path):
        with open(path, "wb") as file:
            save(file, *args, **named)

    return make


def csr_parts(**changes):
    parts = {
        "format": b"csr",
        "shape": [2, 3],
        "data": np.ones(2),
        "indices": [0, 1],
        "indptr": [0, 1, 2],
    }
    return saved(np.savez, **(parts | changes))


def matrix_with(value):
    M = sp.csr_matrix(([1.0, value], [1, 2], [0, 1, 2]), shape=(2, 3))
    return saved(sp.save_npz, M)


def truncated(path):
    saved(sp.save_npz, random_matrix())(path)
    path.write_bytes(path.read_bytes()[:-100])


def scribbled(path):
    saved(sp.save_npz, random_matrix())(path)
    content = bytearray(path.read_bytes())
    content[40:200] = bytes(160)
    path.write_bytes(content)


def packed_by(method, **changes):
    """The file with other bytes in some members, packed by this method."""

    def make(path):
        saved(sp.save_npz, random_matrix())(path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, changes.get(name.removesuffix(".npy"), content))

    return make


def claiming(old, new):
    """The values in an array whose header says something else of the same length."""
    array = io.BytesIO()
    np.save(array, np.ones(2))
    content = array.getvalue()
    longer = len(new) - len(old)
    return packed_by(
        zipfile.ZIP_STORED,
        data=content.replace(old.encode() + b", }" + b" " * longer, new.encode() + b", }")
        if longer
        else content.replace(old.encode(), new.encode()),
    )


def bomb(path):
    """An archive whose directory claims an array of 4 GB."""
    header = np.lib.format.magic(1, 0) + b"\x46\x00"
    header += b"{'descr': '<f8', 'fortran_order': False, 'shape': (500000000,), }".ljust(69) + b"\n"
    packed_by(zipfile.ZIP_DEFLATED, data=header + bytes(1000))(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02", content.rindex(b"data.npy") - 46)
    content[at + 24 : at + 28] = (4_000_000_000 + len(header)).to_bytes(4, "little")
    path.write_bytes(content)


NOT_FINITE = (
    "expected finite values in the matrix, got {} in row 1, column 2 "
    "(counted from 0, after conversion to float32)"
)
DAMAGED = "expected a sound .npz file, got a damaged or truncated one"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "can't be read: No such file or directory"),
        (lambda path: path.mkdir(), "can't be read: Is a directory"),
        (lambda path: path.touch(), "expected an .npz file, got bytes that begin with ''"),
        (
            lambda path: path.write_text("1 2 3\n"),
            "expected an .npz file, got bytes that begin with '1 2 3\\n'",
        ),
        (
            saved(np.save, np.ones(3)),
            "expected a sparse matrix, got a dense array; scipy.sparse.save_npz writes sparse ones",
        ),
        (
            saved(np.savez, np.ones(3), names=np.ones(2)),
            "expected a sparse matrix as scipy.sparse.save_npz writes it, got 'names, arr_0'",
        ),
        (truncated, DAMAGED),
        (scribbled, DAMAGED),
        (csr_parts(indices=[0, 3]), "expected ids 0 to 2 in the indices of the matrix, got 3"),
        (csr_parts(indices=[0, -1]), "expected ids 0 to 2 in the indices of the matrix, got -1"),
        (
            csr_parts(indptr=[0, 2, 1]),
            "expected ascending pointers in the matrix, got descending ones",
        ),
        (csr_parts(indptr=[0, 2]), DAMAGED),
        (
            csr_parts(format=b"csc", indices=[0, 3], indptr=[0, 1, 2, 2]),
            "expected ids 0 to 1 in the indices of the matrix, got 3",
        ),
        (csr_parts(format=b"new"), DAMAGED),
        (csr_parts(data=np.array([{}, {}], object)), DAMAGED),
        (csr_parts(data=b"no array"), DAMAGED),
        (claiming("(2,)", "(2000000000,)"), DAMAGED),
        (claiming("(2,)", "(-2,)"), DAMAGED),
        (claiming("<f8", "|O"), DAMAGED),
        (bomb, DAMAGED),
        (packed_by(zipfile.ZIP_LZMA), DAMAGED),
        (csr_parts(data=np.ones(2, complex)), "Complex data not supported in the matrix"),
        (
            saved(sp.save_npz, sp.csr_matrix((0, 4))),
            "expected at least one row and one column in the matrix, got shape (0, 4)",
        ),
        (
            saved(sp.save_npz, sp.csr_matrix((4, 0))),
            "expected at least one row and one column in the matrix, got shape (4, 0)",
        ),
        (
            saved(sp.save_npz, sp.csr_matrix((1, 2**31))),
            "expected at most 2,147,483,647 rows and columns in the matrix, "
            "got shape (1, 2147483648)",
        ),
        (matrix_with(np.nan), NOT_FINITE.format("NaN")),
        (matrix_with(-np.inf), NOT_FINITE.format("inf")),
        (matrix_with(1e39), NOT_FINITE.format("inf")),
    ],
)
def test_what_is_not_a_sound_matrix_is_named(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "M.npz")
    with pytest.raises(DataError) as caught:
        read_npz("M.npz")
    assert str(caught.value) == f"M.npz: {message}"


def test_rows_that_nothing_stands_for_are_refused_before_they_take_memory(tmp_path):
    M = sp.coo_matrix(([1.0], ([0], [0])), shape=(2**31 - 1, 1))
    saved(sp.save_npz, M)(tmp_path / "M.npz")
    expected = "expected rows with entries, got 2,147,483,647 rows in [0-9]{3} bytes"
    with pytest.raises(DataError, match=expected):
        read_npz(tmp_path / "M.npz")


def test_a_matrix_beyond_memory_is_named(tmp_path, monkeypatch):
    def out_of_memory(file):
        raise MemoryError

    write_npz(tmp_path / "M.npz", random_matrix())
    monkeypatch.setattr(sp, "load_npz", out_of_memory)
    with pytest.raises(
        DataError, match="M.npz: expected a matrix that fits into memory, got a larger or damaged"
    ):
        read_npz(tmp_path / "M.npz")


def test_any_damage_is_a_data_error_or_does_no_harm(tmp_path):
    rng = np.random.default_rng(0)
    saved(sp.save_npz, random_matrix(), compressed=True)(tmp_path / "M.npz")
    sound = (tmp_path / "M.npz").read_bytes()
    for _ in range(200):
        content = bytearray(sound[: rng.integers(1, len(sound))] if rng.random() < 0.2 else sound)
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        (tmp_path / "M.npz").write_bytes(content)
        try:
            read_npz(tmp_path / "M.npz")
        except DataError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(("path", "got"), [("-", "stdout"), ("M.npz.gz", "gzip")])
def test_npz_is_written_to_plain_files_only(tmp_path, monkeypatch, path, got):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"{path}: expected a plain file for npz, got {got}"):
        write_npz(path, random_matrix())


def test_a_matrix_that_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(DataError, match="got NaN in row 0, column 1"):
        write_npz(tmp_path / "M.npz", sp.csr_matrix([[0, np.nan]]))
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_utf_8_are_refused_in_one_line(tmp_path):
    sp.save_npz(tmp_path / "a.npz", sp.csr_matrix(np.eye(2)))
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    entry = damaged.rindex(b"PK\x01\x02")
    damaged[entry + 9] |= 0x08  # the name is UTF-8
    damaged[entry + 46] = 0xFF
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"a.npz: expected a sound .npz file, got a damaged"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("n_rows", [1, 40])
def test_what_is_zipped_from_parts_is_what_is_written_at_once(tmp_path, n_rows):
    M = random_matrix()[:n_rows]
    write_npz(tmp_path / "whole.npz", M)
    counts = np.diff(M.indptr).astype(np.int32)
    parts = [io.BytesIO(array.tobytes()) for array in (M.data, M.indices, counts)]
    with open(tmp_path / "parts.npz", "wb") as file:
        zip_csr(file, M.shape[1], *parts)
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
