import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import DataError
from xmc.io.documents import document_text, plain_text, read_documents
from xmc.io.label_ids import align_labels


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A function that writes a file into the working folder and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="train.txt"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return write


def test_columns_of_documents_ascend_by_id(given):
    texts, Y, ids = read_documents(given("b,10\tone\n\ttwo\ttabs\n9, b ,b\t\n", "a.tsv"))
    assert texts == ["one", "two\ttabs", ""]
    assert ids == ["10", "9", "b"]
    assert Y.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]
    assert (Y.dtype, Y.indices.dtype) == (np.float32, np.int32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.tsv: expected at least one row, got an empty file"),
        ("a\tone\nabc\n", "a.tsv:2: expected id,id<TAB>text, got 'abc'"),
        ("a\tone\n\n", "a.tsv:2: expected id,id<TAB>text, got ''"),
        ("a,,b\tone\n", "a.tsv:1: expected id,id<TAB>text, got 'a,,b\\tone'"),
        (b"a\tone\nb\t\xe4\n", "a.tsv:2: expected UTF-8, got byte 0xe4"),
    ],
)
def test_faults_in_documents_have_a_line(given, text, message):
    with pytest.raises(DataError) as caught:
        read_documents(given(text, "a.tsv"))
    assert str(caught.value) == message


def test_documents_read_back_the_same(given):
    texts, ids = ["one", "", "drei\tvier \u2028"], ["a", "b b", "\u00e4"]
    Y = sp.csr_matrix(np.float32([[1, 0, 1], [0, 0, 0], [0, 1, 0]]))
    back = read_documents(given(b"".join(document_text(texts, Y, ids, "a.tsv")), "a.tsv"))
    assert (back[0], back[2]) == (texts, ids)
    assert np.array_equal(back[1].toarray(), Y.toarray())


@pytest.mark.parametrize("label", ["a,b", "a\tb", "a\n", " a", ""])
def test_an_id_that_would_not_read_back_is_not_written(label):
    with pytest.raises(
        DataError, match="a.tsv: expected label ids without comma, tab or line break"
    ):
        list(document_text(["one"], sp.csr_matrix((1, 1)), [label], "a.tsv"))


def test_a_text_of_two_lines_is_not_written():
    with pytest.raises(
        DataError,
        match=r"a.txt: expected one line per text, got a line break in row 1: 'two\\nlines'",
    ):
        list(plain_text(["one", "two\nlines"], "a.txt"))


def test_a_text_that_ends_in_a_carriage_return_is_not_written():
    with pytest.raises(DataError, match=r"got a line break in row 0: 'one\\r'"):
        list(plain_text(["one\r"], "a.txt"))


def test_carriage_returns_before_a_line_end_are_none_of_the_text(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"a\tone\r\r\nb\tt\rwo\n")
    assert read_documents(tmp_path / "a.tsv")[0] == ["one", "t\rwo"]


def test_unknown_labels_become_columns_at_the_end():
    M = sp.csr_matrix((np.float32([1, 2, 3, 4]), [3, 0, 1, 2], [0, 4]), shape=(1, 4))
    aligned, ids = align_labels(M, ["new", "b", "newer", "a"], ["a", "b", "c"])
    assert ids == ["a", "b", "c", "new", "newer"]
    assert aligned.shape == (1, 5)
    assert (aligned.indices.tolist(), aligned.data.tolist()) == ([0, 3, 1, 4], [1, 2, 3, 4])


def test_no_labels_align_to_nothing():
    aligned, ids = align_labels(sp.csr_matrix((2, 0), dtype=np.float32), [], ["a"])
    assert (aligned.shape, aligned.nnz, ids) == ((2, 1), 0, ["a"])
