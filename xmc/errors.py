"""XmcError > DataError, ParameterError, ModelError: one line each, which the command line prints as
it is.
"""


class XmcError(Exception):
    """Something the caller can mend: the message says who, what was expected and what came."""


class DataError(XmcError, ValueError):
    """A file or matrix is not what it must be."""


class ParameterError(XmcError, ValueError):
    """A setting is out of its range."""


class ModelError(XmcError, ValueError):
    """A model folder can't be read or written."""
