"""The errors of this package: XmcError, and below it DataError, ParameterError, ModelError and
WorkerError.

Each message is one line that a terminal shows as it is, and the command line prints it.
"""

from __future__ import annotations

import re

# What would act on a terminal, break a line, or turn the order of what follows: controls, halves of
# surrogate pairs, separators of lines, and all that Unicode calls Bidi_Control.
ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with `\\x1b` for an escape, and so on for all that would act on a terminal."""
    return ACTING.sub(lambda found: repr(found.group())[1:-1], text)


class XmcError(Exception):
    """Something the caller can mend: the message says who, what was expected and what came."""

    def __init__(self, message: str):
        super().__init__(printable(message))


class DataError(XmcError, ValueError):
    """A file or matrix is not what it must be."""


class ParameterError(XmcError, ValueError):
    """A setting is out of its range."""


class ModelError(XmcError, ValueError):
    """A model folder can't be read or written."""


class WorkerError(XmcError, RuntimeError):
    """Workers in other processes or on other machines are lost, or don't fit."""


def quoted(token: str | bytes) -> str:
    """The token in quotes, as error messages show it; a long one loses its middle."""
    text = token if isinstance(token, str) else token.decode("utf-8", "replace")
    if _fitting(text, 40) < len(text):
        end = len(text) - _fitting(text[::-1], 12)
        text = f"{text[: _fitting(text, 25)]}...{text[end:]}"
    return repr(text)


def shortened(text: str, width: int = 200) -> str:
    """The text, or its beginning and dots: about so many characters as messages show them."""
    return text if _fitting(text, width) == len(text) else f"{text[: _fitting(text, width - 3)]}..."


def _fitting(text: str, width: int) -> int:
    """How many characters of the beginning take at most so many once escapes stand for some."""
    taken = 0
    for n, character in enumerate(text):
        taken += len(repr(character)) - 2
        if taken > width:
            return n
    return len(text)
