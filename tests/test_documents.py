import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import DataError, ParameterError
from xmc.io import Dataset, read, write
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


def test_a_blank_may_follow_a_comma_between_ids(given):
    assert read_documents(given("545, 32\tone\n", "a.tsv"))[2] == ["32", "545"]


def test_ids_may_have_weights(given, caplog):
    _, Y, ids = read_documents(given("b::0.5,a::2\tone\nb,b::3e-1\ttwo\n", "a.tsv"))
    assert ids == ["a", "b"]
    assert Y.toarray().tolist() == [[2, 0.5], [0, 1]]
    assert caplog.messages == ["a.tsv: ids have weights after ::, as in 'b::0.5'"]


def test_what_follows_two_colons_is_part_of_the_id_if_none_is_a_number(given, caplog):
    assert read_documents(given("use::game,lang::nan\tone\n", "a.tsv"))[2] == [
        "lang::nan",
        "use::game",
    ]
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a::1\tone\nb::x\ttwo\n",
            "a.tsv:2: expected a number after ::, as other ids have their weights there, "
            "got 'b::x'",
        ),
        ("a::1\tone\nb,a::0\ttwo\n", "a.tsv:2: expected a weight above 0 after ::, got 'a::0'"),
        ("a::-2\tone\n", "a.tsv:1: expected a weight above 0 after ::, got 'a::-2'"),
        ("a::1e39\tone\n", "a.tsv:1: expected a weight above 0 after ::, got 'a::1e39'"),
        (
            '"Tales, English",x\tone\n',
            "a.tsv:1: expected ids without commas, got '\"Tales, English\", x'; "
            "quotes don't keep an id together",
        ),
    ],
)
def test_weights_and_commas_that_cannot_be_read_have_a_line(given, text, message):
    with pytest.raises(DataError) as caught:
        read_documents(given(text, "a.tsv"))
    assert str(caught.value) == message


def test_columns_may_be_named(given):
    swapped = given("one text\tb, a\nno labels\t\nwith\ttab\ta\n", "a.tsv")
    texts, Y, ids = read_documents(swapped, "text,labels")
    assert (texts, ids) == (["one text", "no labels", "with\ttab"], ["a", "b"])
    assert Y.toarray().tolist() == [[1, 1], [0, 0], [1, 0]]
    headed = given("Titel\tThemen\none\ta\n", "a.tsv")
    assert read_documents(headed, "header,text,labels")[::2] == (["one"], ["a"])
    assert read_documents(headed, "header,labels,text")[::2] == (["a"], ["one"])


def test_columns_that_are_named_are_believed(given, caplog):
    """What looks like a header, or like Annif's order, is what the user says."""
    texts, _, ids = read_documents(given("label\ttext\na\t<b:c>\n", "a.tsv"), "labels,text")
    assert (texts, ids) == (["text", "<b:c>"], ["a", "label"])
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\nabc\n", "a.tsv:2: expected text<TAB>id,id, got 'abc'"),
        ("a\tb\nabc\tx,,y\n", "a.tsv:2: expected text<TAB>id,id, got 'abc\\tx,,y'"),
    ],
)
def test_faults_in_swapped_columns_have_a_line(given, text, message):
    with pytest.raises(DataError) as caught:
        read_documents(given(text, "a.tsv"), "text,labels")
    assert str(caught.value) == message


def test_an_unknown_order_of_columns_is_refused(given):
    with pytest.raises(ParameterError, match="tsv_columns must be one of 'labels,text', .*'b,a'"):
        read_documents(given("a\tb\n", "a.tsv"), "b,a")


def test_a_header_alone_is_an_empty_file(given):
    with pytest.raises(DataError, match="a.tsv: expected at least one row, got an empty file"):
        read_documents(given("labels\ttext\n", "a.tsv"))


def test_weights_are_written_and_read_again(tmp_path):
    Y = sp.csr_matrix(np.array([[0.5, 0], [1, 3.25]], np.float32))
    write(tmp_path / "a.tsv", Dataset(None, Y, ["one", "two"], ["a", "b"]))
    assert (tmp_path / "a.tsv").read_text() == "a::0.5\tone\na::1,b::3.25\ttwo\n"
    assert (read(tmp_path / "a.tsv").Y != Y).nnz == 0


def test_an_id_that_looks_weighted_stays_itself(tmp_path):
    Y = sp.csr_matrix(np.eye(2, dtype=np.float32))
    write(tmp_path / "a.tsv", Dataset(None, Y, ["one", "two"], ["a::3", "b"]))
    assert read(tmp_path / "a.tsv").label_ids == ["a::3", "b"]


@pytest.mark.parametrize("ids", [["<", ">"], ["<a", "b>"], ["<a>", "b"], ["<a>"]])
def test_ids_that_look_like_uris_together_stay_themselves(tmp_path, ids):
    Y = sp.csr_matrix(np.ones((1, len(ids)), np.float32))
    write(tmp_path / "a.tsv", Dataset(None, Y, ["one"], ids))
    again = read(tmp_path / "a.tsv")
    assert (again.label_ids, again.texts) == (ids, ["one"])
    assert (again.Y != Y).nnz == 0


def test_an_id_that_would_be_cut_at_a_uri_is_refused(tmp_path):
    Y = sp.csr_matrix(np.ones((1, 1), np.float32))
    message = "expected label ids without a URI behind a blank, got 'see http://x'"
    with pytest.raises(DataError, match=message):
        write(tmp_path / "a.tsv", Dataset(None, Y, ["one"], ["see http://x"]))
    assert not (tmp_path / "a.tsv").exists()


def test_half_a_line_break_before_the_ids_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"one\r\t<u:1>\r\ntwo\t<u:2>\n")
    texts, Y, ids = read_documents(path)
    assert (texts, ids) == (["one", "two"], ["u:1", "u:2"])
    assert [*document_text(texts, Y, ids, "a")] == [b"u:1\tone\n", b"u:2\ttwo\n"]


def test_a_uri_with_a_comma_is_refused(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("one\t<http://x/a,b> <http://x/c>\n")
    with pytest.raises(DataError, match=r"a.tsv:1: expected URIs without commas, got '<http://x/a"):
        read(path)
