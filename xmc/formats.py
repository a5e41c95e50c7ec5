"""Which format a file has, by its name: light, because `xmc --help` reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .errors import DataError, ParameterError, quoted

FilePath = str | os.PathLike

FORMATS = ("npz", "xmc", "svmlight", "sparse", "tsv", "text", "rows")
MATRIX_FORMATS = ("npz", "sparse")  # a file holds one matrix, so that X and Y are two files
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")  # may follow any other suffix
# .txt is told by its first line; .rows is a folder.
SUFFIXES = {".npz": "npz", ".tsv": "tsv", ".svm": "svmlight", ".rows": "rows"}
# What the columns of a .tsv hold; a header is a first line that only names them.
TSV_COLUMNS = ("labels,text", "text,labels", "header,labels,text", "header,text,labels")
PREDICTION_SUFFIXES = {".npz": "npz", ".tsv": "tsv", ".jsonl": "jsonl", ".txt": "sparse"}
PREDICTION_FORMATS = tuple(PREDICTION_SUFFIXES.values())
VOCABULARY_FORMATS = ("ttl", "rdf", "nt", "jsonld", "tsv", "txt", "csv", "jsonl")
VOCABULARY_SUFFIXES = {f".{format}": format for format in VOCABULARY_FORMATS}


def compression_suffix(path: FilePath) -> str:
    """The end of the name that says how the file is compressed, "" if none does."""
    end = os.path.splitext(os.fspath(path).lower())[1]
    return end if end in COMPRESSIONS else ""


def suffix_of(path: FilePath) -> str:
    """What a name ends in, in lower case, without the suffix of a compression."""
    name = os.fspath(path).lower()
    return os.path.splitext(name.removesuffix(compression_suffix(path)))[1]


def named_format(path: FilePath, format: str | None) -> str:
    """The format of a file: `format` if there is one, else what its name says.

    It is "txt" where only the first line can tell. Raises ParameterError if there is no such
    format, DataError if the name doesn't tell.
    """
    if format is not None:
        if format not in FORMATS:
            raise ParameterError(
                f"format must be one of {', '.join(map(repr, FORMATS))}, got {format!r}"
            )
        return format
    name = os.fspath(path)
    if name == "-":
        raise DataError(f"{name}: expected a format for stdin or stdout, got none")
    suffix = suffix_of(path)
    if suffix == ".txt":
        return "txt"
    if suffix not in SUFFIXES:
        raise DataError(
            f"{name}: expected a name that ends in .npz, .tsv, .svm, .txt or .rows, or a format, "
            f"got {quoted(suffix)}"
        )
    return SUFFIXES[suffix]


def prediction_format(path: FilePath, format: str | None = None) -> str:
    """The format of a file of predictions: `format` if there is one, else what the path ends in.

    Raises ParameterError if there is no such format, DataError if the path doesn't tell.
    """
    return _by_suffix(path, format, PREDICTION_SUFFIXES)


def vocabulary_format(path: FilePath, format: str | None = None) -> str:
    """The format of a vocabulary: `format` if there is one, else what the path ends in.

    Raises ParameterError if there is no such format, DataError if the path doesn't tell.
    """
    return _by_suffix(path, format, VOCABULARY_SUFFIXES)


def _by_suffix(path: FilePath, format: str | None, known: Mapping[str, str]) -> str:
    if format is not None:
        if format not in known.values():
            names = ", ".join(map(repr, known.values()))
            raise ParameterError(f"format must be one of {names}, got {format!r}")
        return format
    name = os.fspath(path)
    suffix = suffix_of(path)
    if suffix not in known:
        what = "stdin or stdout without a format" if name == "-" else quoted(name)
        *first, last = known
        raise DataError(
            f"{name}: expected a name that ends in {', '.join(first)} or {last}, got {what}"
        )
    return known[suffix]
