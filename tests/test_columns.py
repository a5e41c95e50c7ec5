"""Which column of a file of labelled documents is which."""

import numpy as np
import pytest

from xmc.errors import DataError
from xmc.io.columns import Columns, find_columns, ids_of

WORDS = "apple cherry green grass lime plum sky blue red tree stone river".split()


def texts(rng, n_rows):
    return [" ".join(rng.choice(WORDS, 8)) for _ in range(n_rows)]


def ids(rng, n_rows, known):
    return [",".join(rng.choice(known, rng.integers(0, 4), replace=False)) for _ in range(n_rows)]


NAMES = ["Short stories", "Fruit trees", "fiction", "Blue skies", "Stones in rivers"]


@pytest.mark.parametrize("known", [list("abcdefgh"), NAMES], ids=["ids", "names"])
@pytest.mark.parametrize("n_rows", [1, 5, 30, 1000])
def test_labels_before_texts_are_no_alarm(known, n_rows):
    rng = np.random.default_rng(n_rows)
    lines = map("\t".join, zip(ids(rng, n_rows, known), texts(rng, n_rows), strict=True))
    assert find_columns(list(lines), "a.tsv") == (Columns(), [])


@pytest.mark.parametrize(
    ("known", "n_rows"), [(list("abcdefgh"), 20), (list("abcdefgh"), 1000), (NAMES, 200)]
)
def test_texts_before_labels_are_refused(known, n_rows):
    rng = np.random.default_rng(n_rows)
    lines = map("\t".join, zip(texts(rng, n_rows), ids(rng, n_rows, known), strict=True))
    with pytest.raises(DataError) as caught:
        find_columns(["a red tree\tx", *lines], "a.tsv")
    assert str(caught.value) == (
        "a.tsv: expected id,id<TAB>text, got columns that look like text<TAB>id,id, as in "
        "'a red tree\\tx'; --tsv-columns text,labels reads them so, labels,text as they are"
    )


def test_short_texts_that_come_again_and_again_are_no_alarm():
    """Such as a column of record types; and queries of one word with names of labels."""
    lines = [f"id:{row % 7},id:{row}\tBook de" for row in range(500)]
    assert find_columns(lines, "a.tsv") == (Columns(), [])
    lines = [f"a,b\ta text, {row}\ten" for row in range(50)]
    assert find_columns(lines, "a.tsv") == (Columns(), [])
    lines = [f"Home and garden {row % 9}\tquery{row}" for row in range(500)]
    assert find_columns(lines, "a.tsv") == (Columns(), [])


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("labels\ttext", Columns(header=True)),
        ("Text\tLabels", Columns(text_first=True, header=True)),
        ('#title\t"subject"', Columns(text_first=True, header=True)),
    ],
)
def test_a_header_of_known_words_says_the_order(header, columns):
    found, (notice,) = find_columns([header, "a\tone"], "a.tsv")
    assert found == columns
    assert notice == (
        f"the first line, {header.replace(chr(9), '<TAB>')!r}, is taken for names of columns"
    )


@pytest.mark.parametrize("line", ["labels\tone text", "label\tlabel", "text\tone", "text"])
def test_other_first_lines_are_rows(line):
    assert find_columns([line, "a\tone"], "a.tsv") == (Columns(), [])


def test_a_header_of_three_columns_is_refused():
    with pytest.raises(DataError, match="a.tsv:1: expected two columns, labels and text, got 'id"):
        find_columns(["id\ttitle\tabstract", "1\ta\tb"], "a.tsv")


def test_texts_before_uris_are_read_as_annif_writes_them():
    lines = ["a red\ttree\t<http://x/1> <http://x/2,3>", "none\t", "two\t<http://x/1>\t<u:2>"]
    columns, notices = find_columns(lines, "a.tsv")
    assert (columns, notices) == (
        Columns(text_first=True),
        ["the columns are taken for text<TAB><uri> <uri>"],
    )
    assert [columns.split(line) for line in lines] == [
        ("<http://x/1> <http://x/2,3>", "a red\ttree"),
        ("", "none"),
        ("<http://x/1>\t<u:2>", "two"),
    ]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("", []),
        (" ", []),
        ("a b, c", ["a b", "c"]),
        ("a,,b", ["a", "", "b"]),
        ("<http://x/1> <http://x/2,3>", ["http://x/1", "http://x/2,3"]),
        ("<u:1>\u2028 <u:2>\x0c<u:3>\r,\x85<u:4>", ["u:1", "u:2", "u:3", "u:4"]),
        ("<u:1>,<u:2>\t<u:3>", ["u:1", "u:2", "u:3"]),
        ("http://x/1 http://x/2", ["http://x/1", "http://x/2"]),
        ("<5, >3", ["<5", ">3"]),
    ],
)
def test_ids_stand_between_commas_or_are_uris(field, expected):
    assert ids_of(field) == expected


def test_commas_of_two_kinds_are_told():
    lines = ["Tales, English,Fiction\tone"] * 15
    _, (notice,) = find_columns(lines, "a.tsv")
    assert notice == (
        "each comma separates ids, also those before a blank, as in 'Tales, English,Fiction'; "
        "ids can't hold commas"
    )
    assert find_columns(["a, b, c\tone"] * 15 + ["a,b\ttwo"], "a.tsv")[1] == []
