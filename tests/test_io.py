import gzip
import io as stdio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from parsers import joined, same_dataset

from xmc import io
from xmc.errors import DataError, ParameterError
from xmc.io import Dataset


def random_dataset(seed=0, n_rows=30, n_features=20, n_labels=6):
    rng = np.random.default_rng(seed)
    X, Y = (random_matrix(rng, n_rows, width) for width in (n_features, n_labels))
    X.data[:3] = [0, -0.0, 1e-45]
    Y.data[:] = 1
    return Dataset(X, Y)


def random_matrix(rng, n_rows, width):
    """A matrix whose last column has an entry, so that its width shows in every format."""
    filled = rng.random((n_rows, width)) < 0.3
    filled[-1, -1] = True
    return sp.csr_matrix(filled * rng.normal(size=filled.shape).astype(np.float32))


def same(A, B):
    return (
        A.shape == B.shape
        and np.array_equal(A.indptr, B.indptr)
        and np.array_equal(A.indices, B.indices)
        and np.array_equal(A.data.view(np.int32), B.data.view(np.int32))
    )


@pytest.mark.parametrize("name", ["a.txt", "a.svm", "a.txt.gz", "a.svm.gz"])
@pytest.mark.parametrize("zero_based", [True, False])
def test_npz_to_text_to_npz_keeps_every_bit(tmp_path, name, zero_based):
    data = random_dataset()
    io.write(tmp_path / name, data, zero_based=zero_based)
    back = io.read(tmp_path / name, zero_based=zero_based)
    for M, again, path in zip(data[:2], back[:2], ("X.npz", "Y.npz"), strict=True):
        io.write_matrix(tmp_path / path, again)
        assert same(M, io.read_matrix(tmp_path / path))
    assert back[2:] == (None, None)


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_documents_survive_a_round_trip(tmp_path, name):
    data = Dataset(
        None, sp.csr_matrix(np.float32([[1, 0], [1, 1]])), ["one", "zw\u00f6lf"], ["a", "b"]
    )
    io.write(tmp_path / name, data)
    back = io.read(tmp_path / name)
    assert same(data.Y, back.Y)
    assert (back.X, back.texts, back.label_ids) == (None, data.texts, data.label_ids)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_texts_survive_a_round_trip(tmp_path, name):
    data = Dataset(texts=["one two", "", "3 4"])
    io.write(tmp_path / name, data)
    assert io.read(tmp_path / name) == data


def test_npz_fills_x_alone(tmp_path):
    X = random_dataset().X
    io.write(tmp_path / "X.npz", Dataset(X=X))
    data = io.read(tmp_path / "X.npz")
    assert same(data.X, X)
    assert data[1:] == (None, None, None)


def test_a_sparse_text_fills_x_alone_and_keeps_every_bit(tmp_path):
    X = random_dataset().X
    for name in ("X.txt", "X.txt.gz"):
        io.write_matrix(tmp_path / name, X)
        data = io.read(tmp_path / name)
        assert same(data.X, X)
        assert data[1:] == (None, None, None)
    io.write(tmp_path / "one.txt", Dataset(X=X), format="sparse", zero_based=False)
    assert same(io.read_matrix(tmp_path / "one.txt", zero_based=False), X)


def test_a_matrix_is_read_from_no_other_format(tmp_path):
    io.write(tmp_path / "a.txt", random_dataset())
    with pytest.raises(DataError) as caught:
        io.read_matrix(tmp_path / "a.txt")
    matrix = "a matrix, .npz or a .txt that begins with 'rows columns'"
    assert str(caught.value) == f"{tmp_path / 'a.txt'}: expected {matrix}, got format xmc"
    with pytest.raises(DataError, match=f"a.svm: expected {matrix}, got format svmlight"):
        io.write_matrix("a.svm", ONE)


def test_a_matrix_is_sorted_and_its_duplicates_are_summed(tmp_path):
    io.write_matrix(
        tmp_path / "M.npz", sp.csr_matrix((np.float32([1, 2, 3]), [2, 0, 2], [0, 3]), shape=(1, 3))
    )
    M = io.read_matrix(tmp_path / "M.npz")
    assert (M.indices.tolist(), M.data.tolist()) == ([0, 2], [2, 4])


OVERFLOWS = sp.csr_matrix((np.float32([3e38, 3e38]), [1, 1], [0, 2]), shape=(1, 2))
SUM = "expected finite values in {}, got inf in row 0, column 1"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.npz", None, "the matrix"),
        ("a.txt", "1 2 1\n0 1:3e38 1:3e38\n", "X"),
        ("a.svm", "0 1:3e38 1:3e38\n", "X"),
    ],
)
def test_duplicates_whose_sum_is_beyond_float32_are_refused(tmp_path, name, content, what):
    if content is None:
        sp.save_npz(tmp_path / name, OVERFLOWS)
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{name}: {SUM.format(what)}"):
        io.read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt", "a.svm", "a.tsv", "b.txt"])
def test_any_number_of_byte_order_marks_at_the_start_is_none_of_the_content(tmp_path, name):
    content = {"a.txt": "1 2 1\n0 1:1\n", "a.svm": "0 1:1\n", "a.tsv": "a\tb\n", "b.txt": "a\n"}
    (tmp_path / name).write_text(content[name])
    expected = io.read(tmp_path / name)
    (tmp_path / name).write_text("\ufeff" * 3 + content[name])
    assert str(io.read(tmp_path / name)) == str(expected)


def test_documents_without_ids_are_labelled_by_column(tmp_path):
    io.write(tmp_path / "a.tsv", Dataset(None, sp.csr_matrix(np.float32([[0, 0, 1]])), ["one"]))
    assert (tmp_path / "a.tsv").read_bytes() == b"2\tone\n"


def test_stored_zeros_are_no_labels(tmp_path):
    Y = sp.csr_matrix((np.float32([0, 1]), [0, 1], [0, 2]), shape=(1, 2))
    io.write(tmp_path / "a.svm", Dataset(sp.csr_matrix(np.eye(1, dtype=np.float32)), Y))
    assert (tmp_path / "a.svm").read_bytes() == b"1 0:1\n"
    assert Y.nnz == 2


def test_features_without_labels_are_written(tmp_path):
    io.write(tmp_path / "a.txt", Dataset(sp.csr_matrix(np.float32([[0, 2]]))))
    assert (tmp_path / "a.txt").read_bytes() == b"1 2 0\n 1:2\n"


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.npz", b"", "npz"),
        ("a.NPZ", b"", "npz"),
        ("a.tsv.gz", b"", "tsv"),
        ("a.svm", b"", "svmlight"),
        ("a.txt", b"3 4 5\n1 2:3\n", "xmc"),
        ("a.txt", b"\xef\xbb\xbf3 4 5\r\n", "xmc"),
        ("a.txt", b"3 4\n0:1\n", "sparse"),
        ("a.txt", b"\xef\xbb\xbf3 4\r\n", "sparse"),
        ("a.txt", b"3\n", "text"),
        ("a.txt", b"3 -4\n", "text"),
        ("a.txt", b"3 4 5 6\n", "text"),
        ("a.txt", b"in 2024 again\n", "text"),
        ("a.txt.gz", gzip.compress(b"3 4 5\n"), "xmc"),
    ],
)
def test_the_suffix_says_the_format(tmp_path, name, content, format):
    (tmp_path / name).write_bytes(content)
    assert io.format_of(tmp_path / name) == format


@pytest.mark.parametrize("format", io.FORMATS)
def test_a_format_that_is_given_wins(format):
    assert io.format_of("nowhere.npz", format) == format


def test_standard_input_is_read_in_the_format_that_is_given(monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdio.TextIOWrapper(stdio.BytesIO(b"1 0:2\n\n0:x\n")))
    with pytest.raises(DataError, match="stdin:3: expected a finite float32 number, got '0:x'"):
        io.read("-", format="svmlight")


def test_standard_output_is_written_in_the_format_that_is_given(capsysbinary):
    io.write("-", Dataset(sp.csr_matrix(np.float32([[0, 2]]))), format="xmc")
    assert capsysbinary.readouterr().out == b"1 2 0\n 1:2\n"


def test_an_unknown_format_is_refused():
    with pytest.raises(ParameterError, match="format must be one of 'npz', 'xmc', .*, got 'csv'"):
        io.read("a.npz", format="csv")


ENDS = "expected a name that ends in .npz, .tsv, .svm, .txt or .rows, or a format"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.csv", f"a.csv: {ENDS}, got '.csv'"),
        ("a", f"a: {ENDS}, got ''"),
        ("-", "-: expected a format for stdin or stdout, got none"),
        ("a.txt", "a.txt: can't be read: No such file or directory"),
        ("a.svm", "a.svm: can't be read: No such file or directory"),
    ],
)
def test_paths_that_cannot_be_read_are_named(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        io.read(path)
    assert str(caught.value) == message


ONE = sp.csr_matrix(np.eye(1, dtype=np.float32))


@pytest.mark.parametrize(
    ("path", "dataset", "message"),
    [
        (
            "a.npz",
            Dataset(ONE, ONE),
            "a.npz: expected one matrix for npz, got 2; a pair is two paths",
        ),
        (
            "a.npz",
            Dataset(texts=["one"]),
            "a.npz: expected one matrix for npz, got 0; a pair is two paths",
        ),
        ("a.svm", Dataset(texts=["one"]), "a.svm: expected features for format svmlight, got none"),
        ("a.tsv", Dataset(ONE, ONE), "a.tsv: expected texts for format tsv, got none"),
        ("a.txt", Dataset(), "a.txt: expected texts for format text, got none"),
        (
            "a.txt",
            Dataset(ONE, sp.csr_matrix((2, 1))),
            "a.txt: expected as many rows of labels as of data, 1, got 2",
        ),
        (
            "a.svm",
            Dataset(ONE * np.nan),
            "a.svm: expected finite values in the matrix, got NaN in row 0, column 0 "
            "(counted from 0, after conversion to float32)",
        ),
        ("there.svm", Dataset(ONE), "there.svm: exists already; overwrite replaces it"),
        ("no/a.svm", Dataset(ONE), "no/a.svm: expected an existing folder to write into, got 'no'"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, path, dataset, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.svm").touch()
    with pytest.raises(DataError) as caught:
        io.write(path, dataset)
    assert str(caught.value) == message
    assert os.listdir(tmp_path) == ["there.svm"]
    assert os.path.getsize("there.svm") == 0


def test_overwrite_replaces(tmp_path):
    (tmp_path / "a.svm").write_text("old")
    io.write(tmp_path / "a.svm", Dataset(ONE), overwrite=True)
    assert (tmp_path / "a.svm").read_bytes() == b" 0:1\n"


def test_names_default_to_ids(tmp_path):
    (tmp_path / "labels.txt").write_text("b\tsecond letter\na\n c \t\n")
    assert io.read_label_names(tmp_path / "labels.txt") == (
        ["b", "a", "c"],
        ["second letter", "a", "c"],
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\na\tagain\n", "labels.txt:3: expected an id that comes once, got 'a\\tagain'"),
        ("a\n\tname\n", "labels.txt:2: expected id<TAB>name, got '\\tname'"),
        ("", "labels.txt: expected at least one row, got an empty file"),
    ],
)
def test_ids_that_are_missing_or_come_twice_have_a_line(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        io.read_label_names("labels.txt")
    assert str(caught.value) == message


def test_true_labels_that_a_model_does_not_know_stay_countable(tmp_path):
    (tmp_path / "truth.tsv").write_text("a,x\tone\nb\ttwo\n")
    truth = io.read(tmp_path / "truth.tsv")
    Y, ids = io.align_labels(truth.Y, truth.label_ids, ["b", "a"])
    assert ids == ["b", "a", "x"]
    assert Y.toarray().tolist() == [[0, 1, 1], [1, 0, 0]]


def test_reading_npz_imports_neither_numba_nor_scikit_learn(tmp_path):
    io.write_matrix(tmp_path / "M.npz", ONE)
    heavy = "print(sys.modules.keys() & {'numba', 'sklearn'})"
    code = f"import sys, xmc.io; xmc.io.read(sys.argv[1]); {heavy}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "M.npz")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout == "set()\n", done.stderr


TEXTS = {
    "a.txt": "5 9 5\n 0:0.5 3:1\n1,3 2:1 2:2\n\n0:0.5,2 1:1e-3\n4 8:1\n \n",
    "a.svm": "0:0.5 3:1\n1,3 2:1 # why\n# none\n\n4 7:1\r\n2 5:2",
    "M.txt": "3 9\n1:1 0:2 1:3\n\n8:1\n",
    "a.tsv": "\ufeffa::0.5,b::2\tone\n\tnone\nb::1\ttwo\tthree\r\na::1,c::0.25\tfour",
    "b.tsv": "labels\ttext\na,b\tone\nc::d\ttwo\n",
    "notes.txt": "one\n\nt\rwo\r\nthree",
}


@pytest.fixture(params=[*TEXTS, "a.npz"])
def any_file(tmp_path, request):
    """The path of a file, one for each format."""
    path = tmp_path / request.param
    if request.param.endswith(".npz"):
        io.write_matrix(path, random_dataset().X)
    else:
        path.write_bytes(TEXTS[request.param].encode())
    return path


@pytest.mark.parametrize("n_bytes", [1, 10, 100])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_blocks_have_the_rows_of_the_whole(any_file, n_bytes, suffix):
    path = f"{any_file}{suffix}"
    if suffix:
        Path(path).write_bytes(gzip.compress(any_file.read_bytes()))
    blocks = list(io.read_blocks(path, block_bytes=n_bytes))
    assert len(blocks) > 1 or n_bytes == 100
    same_dataset(joined(blocks), io.read(path))


def test_a_block_of_a_file_with_ids_has_those_of_its_rows(tmp_path):
    (tmp_path / "a.tsv").write_text("b,a\tone\nc\ttwo\nc,a\tthree\n")
    blocks = list(io.read_blocks(tmp_path / "a.tsv", block_bytes=9))
    assert [(b.texts, b.label_ids) for b in blocks] == [
        (["one"], ["a", "b"]),
        (["two"], ["c"]),
        (["three"], ["a", "c"]),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "3 5 5\n1 2:1\n0 3:2\n4 9:1\n", "a.txt:4: expected a feature id from 0 to 4"),
        ("a.txt", "9 5 5\n1 2:1\n0 3:2\n", "a.txt:1: expected 9 rows as the header says, got 2"),
        ("a.txt", "1 5 5\n1 2:1\n\n0 3:2\n", "a.txt:1: expected 1 rows as the header says, got 3"),
        ("a.txt", "2 5 5\n1 2:1\n0 3:3e38 3:3e38\n", "got inf in row 1, column 3"),
        ("a.svm", "1 2:1\n0 3:2\n4 9:1e60\n", "a.svm:3: expected a finite float32 number"),
        ("a.tsv", "a\tone\nb\ttwo\nthree\n", "a.tsv:3: expected id,id<TAB>text"),
        ("a.tsv", "a\tone\nb::c\ttwo\nb::1\tthree\n", "a.tsv:2: expected a number after ::"),
        ("a.tsv", "a::1\tone\nb::2\ttwo\nb::c\tthree\n", "a.tsv:3: expected a number after ::"),
    ],
)
def test_blocks_are_refused_where_the_whole_is(tmp_path, monkeypatch, name, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    for read in (io.read, lambda path: list(io.read_blocks(path, block_bytes=1))):
        with pytest.raises(DataError, match=message):
            read(name)


def test_rows_above_a_fault_are_given_first(tmp_path):
    (tmp_path / "a.svm").write_text("0 1:1\n1 2:1\nx\n")
    blocks = io.read_blocks(tmp_path / "a.svm", block_bytes=1)
    assert [next(blocks).X.indices.tolist() for _ in range(2)] == [[1], [2]]
    with pytest.raises(DataError, match="a.svm:3"):
        next(blocks)


def test_a_comma_far_down_tells_that_rows_above_begin_with_weights(tmp_path):
    (tmp_path / "a.svm").write_text("0:0.5 3:1\n1 2:1\n0:2,1:1 0:1\n")
    blocks = list(io.read_blocks(tmp_path / "a.svm", block_bytes=1))
    assert [block.Y.data.tolist() for block in blocks] == [[0.5], [1], [2, 1]]


def test_of_a_stream_it_comes_too_late(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text("a file that is not asked for")
    content = b"1 1:1\n0:0.5 3:1\n1 2:1\n0:2,1:1 0:1\n"
    monkeypatch.setattr(sys, "stdin", stdio.TextIOWrapper(stdio.BytesIO(content)))
    with pytest.raises(DataError, match=r"stdin:4: .*weights.* line 2 .*, got '0:2,1:1'; a file"):
        list(io.read_blocks("-", format="svmlight", block_bytes=1))


def test_a_matrix_without_a_quick_way_to_its_rows_comes_in_blocks_too(tmp_path):
    M = random_dataset().X
    sp.save_npz(tmp_path / "M.npz", M.tocoo())
    blocks = list(io.read_blocks(tmp_path / "M.npz", block_bytes=100))
    assert len(blocks) > 5
    assert same(
        sp.vstack([block.X for block in blocks], format="csr"), io.read(tmp_path / "M.npz").X
    )


@pytest.mark.parametrize("format", ["text", "tsv", "svmlight"])
def test_lines_are_given_as_they_come(format):
    code = (
        "import sys; from xmc.io import read_blocks\n"
        f"for block in read_blocks('-', format={format!r}, as_it_comes=True):\n"
        "    print(len(block.texts or block.X.indptr[1:]), flush=True)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as reader:
        line = {"text": b"one\n", "tsv": b"a\tone\n", "svmlight": b"1 2:1\n"}[format]
        for times in (1, 3):
            reader.stdin.write(line * times)
            reader.stdin.flush()
            assert reader.stdout.readline() == f"{times}\n".encode()
        reader.stdin.close()
        assert reader.stdout.read() == b""
