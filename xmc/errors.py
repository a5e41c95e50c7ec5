"""The errors of this package: XmcError, and below it DataError, ParameterError and ModelError.

Each message is one line, and the command line prints it as it is.
"""


class XmcError(Exception):
    """Something the caller can mend: the message says who, what was expected and what came."""


class DataError(XmcError, ValueError):
    """A file or matrix is not what it must be."""


class ParameterError(XmcError, ValueError):
    """A setting is out of its range."""


class ModelError(XmcError, ValueError):
    """A model folder can't be read or written."""


def quoted(token: str | bytes) -> str:
    """The token in quotes, as error messages show it; a long one loses its middle."""
    text = token if isinstance(token, str) else token.decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else f"{text[:25]}...{text[-12:]}")
