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
