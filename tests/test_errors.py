"""Messages: one line, whatever stands in the files and names that they speak of."""

import pickle

import pytest
from parsers import UNSEEN

from xmc.errors import DataError, XmcError, printable, quoted, shortened

ACTING = "\x1b[31m \r \x9b \x00 \x7f \u202e \u2066 \u200f \u061c \u2028 \ud800"


def test_what_acts_on_a_terminal_is_named_instead():
    expected = r"\x1b[31m \r \x9b \x00 \x7f \u202e \u2066 \u200f \u061c \u2028 \ud800"
    assert printable(ACTING) == expected
    assert printable("\t\n") == r"\t\n"


@pytest.mark.parametrize(
    "text", ["a b", "\u00fc \u5b57 \u0627", "\u00a0\u3000\u200d", "\U0001f600", "\\"]
)
def test_other_texts_stay_as_they_are(text):
    assert printable(text) == text


def test_no_error_holds_what_acts_on_a_terminal():
    assert not UNSEEN.search(str(DataError(f"{ACTING}: expected a file")))
    assert not UNSEEN.search(quoted(ACTING)) and not UNSEEN.search(
        quoted(ACTING.encode("utf-8", "replace"))
    )


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("a" * 40, "a" * 40),
        ("a" * 20 + "b" * 21, "a" * 20 + "b" * 5 + "..." + "b" * 12),
        ("\u200f" * 6 + "abcd", r"\u200f" * 6 + "abcd"),
        ("\u200f" * 6 + "abcde", r"\u200f" * 4 + "..." + r"\u200f" + "abcde"),
        ("\U000e0001" * 9, r"\U000e0001" * 2 + "..." + r"\U000e0001"),
        ("\u5b57" * 40, "\u5b57" * 40),
    ],
)
def test_what_is_quoted_is_short_also_where_escapes_stand_for_characters(token, shown):
    assert quoted(token) == f"'{shown}'"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("", 5, ""),
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "ab..."),
        ("\x1bbcdef", 9, r"\x1bbcdef"),
        ("\x1bbcdefg", 9, r"\x1bbc..."),
        ("abcde\x1bcdefg", 11, "abcde..."),
    ],
)
def test_a_text_is_shortened_as_it_is_shown(text, width, shown):
    assert printable(shortened(text, width)) == shown


def test_errors_can_be_pickled():
    error = pickle.loads(pickle.dumps(DataError("a\x1b: expected b")))
    assert isinstance(error, XmcError) and str(error) == r"a\x1b: expected b"
