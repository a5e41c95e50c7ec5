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
    return repr(text if len(text) <= 40 else f"{text[:25]}...{text[-12:]}")
