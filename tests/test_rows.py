from decimal import Decimal, localcontext

import naive_parse as naive
import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import DataError
from xmc.io import rows as text_formats
from xmc.io.rows import (
    nearest_float32,
    read_sparse,
    read_svmlight,
    read_xmc,
    row_text,
    value_texts,
)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A function that writes a file into the working folder and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="train.txt"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return write


def midpoint_tokens(rng, count):
    """Decimals at, just below and just above the middle of two neighbouring float32s."""
    bits = rng.integers(0, 0x7F7FFFFF, count, dtype=np.int32)
    with localcontext() as context:
        context.prec = 200
        for value in bits.view(np.float32):
            above = np.nextafter(value, np.float32(np.inf))
            middle = (Decimal(float(value)) + Decimal(float(above))) / 2
            step = Decimal(f"1e{middle.adjusted() - 40}")
            yield from (str(middle), str(middle - step), str(-(middle + step)))


def test_decimals_near_the_middle_of_two_float32s_are_rounded_once():
    tokens = list(midpoint_tokens(np.random.default_rng(0), 200))
    got = nearest_float32(tokens)
    assert np.array_equal(
        got.view(np.int32), np.array([naive.nearest_float32(t) for t in tokens]).view(np.int32)
    )


@pytest.mark.parametrize(
    ("token", "value"),
    [
        (str(2**128 - 2**103), np.inf),
        ("3.40282356779733661637e38", 3.4028234663852886e38),
        ("-3.40282356779733661638e38", -np.inf),
        ("1e400", np.inf),
        ("7.0064923216240853e-46", 0.0),
        ("7.0064923216240854e-46", 1e-45),
        ("16777217." + "0" * 5000 + "1", 16777218.0),
    ],
)
def test_the_ends_of_float32_are_rounded_once(token, value):
    assert nearest_float32([token])[0] == np.float32(value)


def test_doubtful_values_in_a_file_are_read_exactly(given):
    tokens = [token for token in midpoint_tokens(np.random.default_rng(1), 1200)]
    X, _ = read_svmlight(given("\n".join(f"0:{token}" for token in tokens), "a.svm"))
    assert np.array_equal(X.data, [naive.nearest_float32(token) for token in tokens])


def test_a_header_says_the_shape(given):
    X, Y = read_xmc(given("3 10 5\n1,4 2:0.5 3:1\n 0:2\n2\n"))
    assert X.toarray()[:, :4].tolist() == [[0, 0, 0.5, 1], [2, 0, 0, 0], [0, 0, 0, 0]]
    assert Y.toarray().tolist() == [[0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]]
    assert (X.shape, X.dtype, X.indices.dtype) == ((3, 10), np.float32, np.int32)


def test_lines_may_be_empty_and_surplus_ones_are_no_rows(given):
    X, Y = read_xmc(given("2 3 1\n\n0 1:2\n\n \n"))
    assert (X.shape, Y.shape) == ((2, 3), (2, 1))
    assert np.diff(X.indptr).tolist() == [0, 1]


def test_features_in_a_row_are_sorted_and_summed_and_labels_collapse(given):
    X, Y = read_xmc(given("1 5 5\n3,1,3 4:1 2:0.5 4:2\n"))
    assert (X.indices.tolist(), X.data.tolist()) == ([2, 4], [0.5, 3])
    assert (Y.indices.tolist(), Y.data.tolist()) == ([1, 3], [1, 1])


WEIGHTED = "3 9 5\n0:0.5, 3 3:1.5\n 2:7 4:1\n1:2 0:1\n"


@pytest.mark.parametrize("read", [read_xmc, read_svmlight])
def test_weights_of_labels_are_values_of_y(given, read):
    """A file that has a comma behind a weight has labels where it begins a row, unless indented."""
    text = WEIGHTED if read is read_xmc else WEIGHTED.partition("\n")[2]
    X, Y = read(given(text))
    assert Y.toarray()[:, :4].tolist() == [[0.5, 0, 0, 1], [0, 0, 0, 0], [0, 2, 0, 0]]
    assert X.toarray()[:, :5].tolist() == [[0, 0, 0, 1.5, 0], [0, 0, 7, 0, 1], [1, 0, 0, 0, 0]]


def test_without_a_comma_behind_a_weight_rows_begin_with_features(given):
    X, Y = read_svmlight(given("0:0.5 3:1.2\n1,2 0:1\n", "a.svm"))
    assert X.toarray().tolist() == [[0.5, 0, 0, np.float32(1.2)], [1, 0, 0, 0]]
    assert Y.toarray().tolist() == [[0, 0, 0], [0, 1, 1]]


def test_a_label_that_comes_twice_has_its_larger_weight(given):
    _, Y = read_xmc(given("2 5 5\n3:2,1,3:0.5,3 0:1\n1:0.25,1:0.125\n"))
    assert (Y.indices.tolist(), Y.data.tolist()) == ([1, 3, 1], [1, 2, 0.25])
    assert Y.indptr.tolist() == [0, 2, 3]


def test_doubtful_weights_are_read_exactly(given):
    tokens = [t for t in midpoint_tokens(np.random.default_rng(2), 600) if t[0] != "-"]
    tokens = [t for t in tokens if naive.nearest_float32(t) > 0]
    _, Y = read_svmlight(given("\n".join(f"0:{token},1" for token in tokens), "a.svm"))
    assert np.array_equal(Y.data[::2], [naive.nearest_float32(token) for token in tokens])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0:0,1 2:3", "expected a weight above 0 of a label, got '0:0'"),
        ("1,0:-1 2:3", "expected a weight above 0 of a label, got '0:-1'"),
        ("1,0:inf 2:3", "expected a weight above 0 of a label, got '0:inf'"),
        ("0:7.0064923216240853e-46,1", "expected a weight above 0 of a label, got '7.006"),
        ("1,9:2 2:3", "expected a label id from 0 to 8, got '9:2'"),
        ("1, 9:2 2:3", "expected label,label, got '1,'"),
        ("1,0:2 2:3 4", "expected feature:value, got '4'"),
    ],
)
def test_faults_of_weights_have_a_line(given, row, message):
    with pytest.raises(DataError) as caught:
        read_xmc(given(f"2 9 9\n0 1:2\n{row}\n"))
    assert str(caught.value).startswith(f"train.txt:3: {message}")


def test_labels_have_no_weights_where_there_are_no_labels(given):
    for text, expected in (("1 9 0\n0:1,2 3:4\n", "no label as the header says, got '0:1'"),):
        with pytest.raises(DataError, match=f"train.txt:2: expected {expected}"):
            read_xmc(given(text))
    with pytest.raises(DataError, match="X.txt:3: expected column:value, got '3:4,5:6'"):
        read_sparse(given("2 9\n0:1\n3:4,5:6\n", "X.txt"))


def test_ids_may_count_from_one(given):
    X, Y = read_xmc(given("1 2 2\n1,2 1:5 2:6\n"), zero_based=False)
    assert (X.indices.tolist(), Y.indices.tolist()) == ([0, 1], [0, 1])


def test_svmlight_is_as_wide_as_its_ids(given):
    X, Y = read_svmlight(given("# head\n2,0 3:1 # tail\n\n 1:2\n", "a.svm"))
    assert (X.shape, Y.shape) == ((3, 4), (3, 3))


def test_svmlight_without_labels_and_features_has_no_columns(given):
    X, Y = read_svmlight(given("\n", "a.svm"))
    assert (X.shape, Y.shape) == ((1, 0), (1, 0))


def test_a_sparse_matrix_keeps_its_order_and_blank_rows(given):
    M = read_sparse(given("3 5\n4:1 2:0.5\n\n0:0 \n\n \n"))
    assert (M.shape, M.indptr.tolist()) == ((3, 5), [0, 2, 2, 3])
    assert (M.indices.tolist(), M.data.tolist()) == ([4, 2, 0], [1, 0.5, 0])
    assert read_sparse(given("1 2\n2:1\n"), zero_based=False).indices.tolist() == [1]


AS_TEXT = "; --format text reads it as plain text"
SPARSE_FAULTS = [
    ("1 2 3\n", ":1: expected a header 'rows columns', got '1 2 3'"),
    ("0 2\n", ":1: expected at least one row and one column, got '0 2'"),
    ("2 0\n\n\n", ":1: expected at least one row and one column, got '2 0'"),
    ("1 2147483648\n", ":1: expected header numbers up to 2147483647, got '1 2147483648'"),
    ("3 9\n0:1\n", f":1: expected 3 rows as the header says, got 1{AS_TEXT}"),
    ("1 9\n0:1\n\n0:1\n", f":1: expected 1 rows as the header says, got 3{AS_TEXT}"),
    ("1 9\n9:1\n", ":2: expected a column id from 0 to 8, got '9:1'"),
    ("2 9\n0:1\n1:x\n", ":3: expected a finite float32 number, got '1:x'"),
    ("2 9\n0:1\n3 1:2\n", f":3: expected column:value, got '3'{AS_TEXT}"),
    ("2 9\n0:1\n3,4\n", f":3: expected column:value, got '3,4'{AS_TEXT}"),
    ("2 9\n0:1 7\n\n", f":2: expected column:value, got '7'{AS_TEXT}"),
    ("12 30\nlunch and dinner\n", f":2: expected column:value, got 'lunch'{AS_TEXT}"),
]


@pytest.mark.parametrize(("text", "message"), SPARSE_FAULTS)
def test_faults_in_a_sparse_matrix_have_a_line(given, text, message):
    with pytest.raises(DataError) as caught:
        read_sparse(given(text, "X.txt"))
    assert str(caught.value) == f"X.txt{message}"


XMC_FAULTS = [
    ("", "train.txt: expected at least one row, got an empty file"),
    ("1,2 3:4\n", "train.txt:1: expected a header 'rows features labels', got '1,2 3:4'"),
    ("1 2\n", "train.txt:1: expected a header 'rows features labels', got '1 2'"),
    ("-1 2 3\n", "train.txt:1: expected a header 'rows features labels', got '-1 2 3'"),
    (
        "1 2147483648 3\n",
        "train.txt:1: expected header numbers up to 2147483647, got '1 2147483648 3'",
    ),
    (
        "1 2 " + "9" * 5000,
        "train.txt:1: expected header numbers up to 2147483647, got '1 2 "
        + "9" * 21
        + "..."
        + "9" * 12
        + "'",
    ),
    ("0 2 3\n", "train.txt:1: expected at least one row and one feature, got '0 2 3'"),
    ("2 0 3\n0\n0\n", "train.txt:1: expected at least one row and one feature, got '2 0 3'"),
    ("3 9 9\n1 2:3\n", "train.txt:1: expected 3 rows as the header says, got 1"),
    ("1 9 9\n1 2:3\n1 2:3\n", "train.txt:1: expected 1 rows as the header says, got 2"),
    ("1 9 9\n\n1\n", "train.txt:1: expected 1 rows as the header says, got 2"),
    ("2 9 9\n1 2:3\n4 5:6 7\n", "train.txt:3: expected feature:value, got '7'"),
    ("1 9 9\n1 x:3\n", "train.txt:2: expected feature:value, got 'x:3'"),
    ("1 9 9\n1 -2:3\n", "train.txt:2: expected feature:value, got '-2:3'"),
    ("1 9 9\n-2:3\n", "train.txt:2: expected feature:value, got '-2:3'"),
    ("1 9 9\n1 2.5:3\n", "train.txt:2: expected feature:value, got '2.5:3'"),
    ("1 9 9\n1 2:3 # four\n", "train.txt:2: expected feature:value, got '#'"),
    ("1 9 9\n-1 2:3\n", "train.txt:2: expected label,label, got '-1'"),
    ("1 9 9\n1.5 2:3\n", "train.txt:2: expected label,label, got '1.5'"),
    ("1 9 9\n1,,2 2:3\n", "train.txt:2: expected label,label, got '1,,2'"),
    ("1 9 9\n1 9:3\n", "train.txt:2: expected a feature id from 0 to 8, got '9:3'"),
    (
        "1 5 9\n1 7:3\n",
        "train.txt:2: expected a feature id from 0 to 4, got '7:3'; "
        "the header is 'rows features labels'",
    ),
    (
        f"1 5 9\n1 {'7' * 5000}:3\n",
        f"train.txt:2: expected a feature id from 0 to 4, got '{'7' * 25}...{'7' * 10}:3'",
    ),
    ("1 9 9\n1,9 2:3\n", "train.txt:2: expected a label id from 0 to 8, got '9'"),
    ("1 9 0\n1 2:3\n", "train.txt:2: expected no label as the header says, got '1'"),
    ("1 9 9\n1 2:nan\n", "train.txt:2: expected a finite float32 number, got '2:nan'"),
    ("1 9 9\n1 2:inf\n", "train.txt:2: expected a finite float32 number, got '2:inf'"),
    ("1 9 9\n1 2:1e39\n", "train.txt:2: expected a finite float32 number, got '2:1e39'"),
    (
        "1 9 9\n1 2:3.402823567797336616375394e38\n",
        "train.txt:2: expected a finite float32 number, got '3.402823567797336616375394e38'",
    ),
    (
        "1 9 9\n1 2:" + "x" * 100,
        "train.txt:2: expected a finite float32 number, got '2:"
        + "x" * 23
        + "..."
        + "x" * 12
        + "'",
    ),
    (b"1 9 9\n1 \xff\xfe\n", "train.txt:2: expected feature:value, got '\ufffd\ufffd'"),
]


@pytest.mark.filterwarnings(
    "ignore:overflow"
)  # numpy warns where the compiled kernel just gets infinity
@pytest.mark.parametrize(
    ("text", "message"), XMC_FAULTS, ids=[message[:60] for _, message in XMC_FAULTS]
)
def test_faults_in_xmc_text_have_a_line(given, text, message):
    with pytest.raises(DataError) as caught:
        read_xmc(given(text))
    assert str(caught.value) == message


def test_one_based_ranges_are_told_as_the_file_counts(given):
    with pytest.raises(
        DataError, match="train.txt:2: expected a feature id from 1 to 9, got '0:3'"
    ):
        read_xmc(given("1 9 9\n1 0:3\n"), zero_based=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "a.svm: expected at least one row, got an empty file"),
        ("2147483647 1:1\n", "a.svm:1: expected a label id from 0 to 2147483646, got '2147483647'"),
        (
            "1 1:1\n\n1 99999999999999999999:1\n",
            "a.svm:3: expected a feature id from 0 to 2147483646, got '9999",
        ),
        ("+1 1:1\n", "a.svm:1: expected label,label, got '+1'"),
        ("1 qid:1 1:1\n", "a.svm:1: expected feature:value, got 'qid:1'"),
    ],
)
def test_faults_in_svmlight_have_a_line(given, text, message):
    with pytest.raises(DataError) as caught:
        read_svmlight(given(text, "a.svm"))
    assert str(caught.value).startswith(message)


def test_svmlight_agrees_with_scikit_learn(given):
    from sklearn.datasets import load_svmlight_file

    name = given("2,0 3:1 7:-2.5e-3 # tail\n5 1:2\n 0:0.1\n", "a.svm")
    X, labels = load_svmlight_file(name, multilabel=True, zero_based=True)
    ours, Y = read_svmlight(name)
    assert np.array_equal(ours.toarray(), X.toarray().astype(np.float32))
    assert [tuple(map(float, row)) for row in np.split(Y.indices, Y.indptr[1:-1])] == labels


def test_any_damage_is_a_data_error_or_does_no_harm(given):
    rng = np.random.default_rng(0)
    sound = b"3 9 9\n1,2 3:0.5 4:-1e-5\n 0:2\n8\n"
    for _ in range(500):
        content = bytearray(sound[: rng.integers(1, len(sound))] if rng.random() < 0.2 else sound)
        for place in rng.integers(0, len(content), 2):
            content[place] = rng.choice(list(b"0123456789 \t\n\r:,.-+eE#x\x00\xff"))
        try:
            X, Y = read_xmc(given(bytes(content)))
        except DataError as error:
            assert "\n" not in str(error)
        else:
            X.check_format()
            Y.check_format()


def random_csr(rng, shape, density):
    M = sp.random(*shape, density=density, format="csr", dtype=np.float32, random_state=rng)
    M.data = rng.integers(0, 0x7F7FFFFF, M.nnz, dtype=np.int32).view(np.float32) * rng.choice(
        [-1, 1], M.nnz
    )
    M.data = M.data.astype(np.float32)
    return M


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (60, 40)])
@pytest.mark.parametrize("zero_based", [True, False])
def test_rows_read_back_to_the_same_bits(given, shape, zero_based):
    rng = np.random.default_rng(2)
    X, Y = random_csr(rng, shape, 0.3), random_csr(rng, (shape[0], 7), 0.3)
    Y.data[:] = 1
    header = f"{X.shape[0]} {X.shape[1]} 7\n".encode()
    name = given(header + b"".join(row_text(X, Y, zero_based)))
    for M, back in zip((X, Y), read_xmc(name, zero_based), strict=True):
        assert M.shape == back.shape
        assert np.array_equal(M.indptr, back.indptr)
        assert np.array_equal(M.indices, back.indices)
        assert np.array_equal(M.data.view(np.int32), back.data.view(np.int32))


def test_rows_come_in_blocks_without_gaps(monkeypatch):
    monkeypatch.setattr(text_formats, "BLOCK_BYTES", 500)
    X = random_csr(np.random.default_rng(3), (20, 40), 0.5)
    Y = sp.csr_matrix((20, 0))
    blocks = [bytes(block) for block in row_text(X, Y)]
    assert len(blocks) > 2
    assert b"".join(blocks) == b"".join(b"".join(row_text(X[i], Y[i])) for i in range(20))


def test_read_only_rows_can_be_written():
    X = sp.csr_matrix(np.eye(2, dtype=np.float32))
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    assert b"".join(row_text(X, X)) == b"0 0:1\n1 1:1\n"


def test_values_are_as_short_as_they_read_back():
    assert value_texts(np.float32([0.1, 1, -2.5e-7, 1e20])) == ["0.1", "1", "-2.5e-7", "1e20"]
    assert value_texts(np.float32([])) == []
