"""Messages: one line, whatever stands in the files and names that they speak of."""

import pickle

import pytest
from parsers import UNSEEN

from xmc.errors import DataError, XmcError, printable, quoted

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


def test_errors_can_be_pickled():
    error = pickle.loads(pickle.dumps(DataError("a\x1b: expected b")))
    assert isinstance(error, XmcError) and str(error) == r"a\x1b: expected b"
