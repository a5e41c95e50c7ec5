"""Tables of what is known of each row."""

import gzip

import pytest

from xmc.errors import DataError
from xmc.io.tables import read_columns, read_table


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "rows.tsv"
        path.write_bytes(text.encode())
        return path

    return write


def test_columns_have_the_names_of_the_first_line(table):
    path = table("type\tlanguage\nbook\tde\n\ten\n")
    assert read_table(path) == {"type": ["book", ""], "language": ["de", "en"]}


def test_tables_may_be_compressed_and_have_lines_of_windows(tmp_path):
    path = tmp_path / "rows.tsv.gz"
    path.write_bytes(gzip.compress("\ufefftype\r\nbook\r\n".encode()))
    assert read_table(path) == {"type": ["book"]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\ta\n1\t2\n", ":1: expected different names of columns, got 'a\\ta'"),
        ("a\t\n1\t2\n", ":1: expected different names of columns, got 'a\\t'"),
        (
            "a\tb\n1\t2\n3\n",
            ":3: expected 2 values with tabs between, as names in the first line, got 1",
        ),
        ("a\tb\n", ": expected at least one row, got an empty file"),
        ("", ": expected at least one row, got an empty file"),
    ],
)
def test_what_is_no_table_is_refused(table, text, line):
    path = table(text)
    with pytest.raises(DataError) as error:
        read_table(path)
    assert str(error.value) == f"{path}{line}"


def test_columns_that_are_asked_for_come_in_that_order(table):
    path = table("a\tb\tc\n1\t2\t3\n")
    assert list(read_columns(path, ["c", "a"], 1).items()) == [("c", ["3"]), ("a", ["1"])]


def test_a_column_that_is_not_there_is_refused_with_those_that_are(table):
    path = table("type\tlanguage\nbook\tde\n")
    with pytest.raises(DataError) as error:
        read_columns(path, ["lang"], 1)
    assert str(error.value) == f"{path}: expected a column 'lang', there is 'type', 'language'"


def test_a_table_of_other_rows_is_refused(table):
    path = table("type\nbook\n")
    with pytest.raises(DataError) as error:
        read_columns(path, ["type"], 3)
    assert str(error.value) == f"{path}: expected 3 rows below the names, got 1"
