"""Data sets and matrices in and out of files: npz, XMC text, SVMlight, labelled documents, plain
text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import scipy.sparse as sp

from ..errors import DataError, ParameterError
from ..formats import FORMATS, SUFFIXES
from ..inputs import as_csr, check_finite
from . import documents
from . import rows as text_formats
from .files import (
    FilePath,
    create_file,
    is_standard,
    open_bytes,
    quoted,
    read_lines,
)
from .npz import as_stored, read_npz, write_npz


class Dataset(NamedTuple):
    """What a file holds; the parts that it doesn't are None.

    X (n_rows, n_features) and Y (n_rows, n_labels): float32 CSR, sorted, without duplicates; the
    entries of Y are 1, and label_ids[i] is the id of its column i.
    npz: X alone, whatever it means. xmc, svmlight: X and Y. tsv: texts, Y and label_ids. text:
    texts.
    """

    X: sp.csr_matrix | None = None
    Y: sp.csr_matrix | None = None
    texts: list[str] | None = None
    label_ids: list[str] | None = None


def format_of(path: FilePath, format: str | None = None) -> str:
    """The format that is given, or that the suffix says, .gz aside; .txt is XMC if its first line
    is three integers.

    Raises ParameterError if there is no such format, DataError if the path doesn't tell.
    """
    format = _named_format(path, format)
    if format != "txt":
        return format
    with open_bytes(path) as file:
        return "xmc" if text_formats.is_header(file.readline(100)) else "text"


def _named_format(path: FilePath, format: str | None) -> str:
    """The format that is given or that the suffix says; "txt" is still open."""
    if format is not None:
        if format not in FORMATS:
            raise ParameterError(
                f"format must be one of {', '.join(map(repr, FORMATS))}, got {format!r}"
            )
        return format
    name = os.fspath(path)
    if is_standard(path):
        raise DataError(f"{name}: expected a format for stdin or stdout, got none")
    suffix = os.path.splitext(name.lower().removesuffix(".gz"))[1]
    if suffix == ".txt":
        return "txt"
    if suffix not in SUFFIXES:
        raise DataError(
            f"{name}: expected a name that ends in .npz, .tsv, .svm or .txt, or a format, got {quoted(suffix)}"
        )
    return SUFFIXES[suffix]


def read(path: FilePath, *, format: str | None = None, zero_based: bool = True) -> Dataset:
    """The data set in a file, "-" being stdin; ids in XMC text and SVMlight count from 0 if
    zero_based, else from 1.

    Raises DataError if the file isn't what its format says.
    """
    format = format_of(path, format)
    if format == "npz":
        return Dataset(X=read_matrix(path))
    if format == "text":
        return Dataset(texts=read_lines(path))
    if format == "tsv":
        texts, Y, label_ids = documents.read_documents(path)
        return Dataset(Y=Y, texts=texts, label_ids=label_ids)
    reader = text_formats.read_xmc if format == "xmc" else text_formats.read_svmlight
    return Dataset(*reader(path, zero_based))


def read_matrix(path: FilePath) -> sp.csr_matrix:
    """The sparse matrix in an .npz file as float32 CSR, sorted, duplicates summed.

    Raises DataError unless there is one, with a row, a column and only finite numbers.
    """
    M = read_npz(path)
    M.sum_duplicates()
    return M


def write(
    path: FilePath,
    dataset: Dataset,
    *,
    format: str | None = None,
    zero_based: bool = True,
    overwrite: bool = False,
) -> None:
    """Writes the parts of the data set that the format holds; "-" is stdout, and .txt is XMC where
    there is an X.

    Y stands for the columns where it isn't 0; ids in XMC text and SVMlight count from 0 if
    zero_based, else from 1. Raises DataError if the format asks for other parts, or the path exists
    without overwrite or can't be written.
    """
    format = _named_format(path, format)
    if format == "txt":
        format = "text" if dataset.X is None else "xmc"
    if format == "npz":
        return write_matrix(path, _one_matrix(path, dataset), overwrite=overwrite)
    rows = _document_rows if format in ("tsv", "text") else _matrix_rows
    blocks = rows(os.fspath(path), dataset, format, zero_based)
    with create_file(path, overwrite) as file:
        for block in blocks:
            file.write(block)


def write_matrix(path: FilePath, M: sp.spmatrix, *, overwrite: bool = False) -> None:
    """Writes a sparse matrix as .npz, as CSR in its stored order, uncompressed.

    Raises DataError if it is empty or not finite, or the path exists without overwrite or can't be
    written.
    """
    write_npz(path, M, overwrite)


def _one_matrix(path: FilePath, dataset: Dataset) -> sp.csr_matrix:
    matrices = [M for M in (dataset.X, dataset.Y) if M is not None]
    if len(matrices) != 1:
        raise DataError(
            f"{os.fspath(path)}: expected one matrix for npz, got {len(matrices)}; a pair is two paths"
        )
    return matrices[0]


def _matrix_rows(
    name: str, dataset: Dataset, format: str, zero_based: bool
) -> Iterator[memoryview | bytes]:
    if dataset.X is None:
        raise DataError(f"{name}: expected features for format {format}, got none")
    X, Y = as_stored(dataset.X, name), _written_labels(dataset, dataset.X.shape[0], name)
    if format == "xmc":
        yield f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}\n".encode()
    yield from text_formats.row_text(X, Y, zero_based)


def _document_rows(name: str, dataset: Dataset, format: str, zero_based: bool) -> Iterable[bytes]:
    if dataset.texts is None:
        raise DataError(f"{name}: expected texts for format {format}, got none")
    if format == "text":
        return documents.plain_text(dataset.texts, name)
    Y = _written_labels(dataset, len(dataset.texts), name)
    ids = (
        [str(column) for column in range(Y.shape[1])]
        if dataset.label_ids is None
        else dataset.label_ids
    )
    return documents.document_text(dataset.texts, Y, ids, name)


def _written_labels(dataset: Dataset, n_rows: int, name: str) -> sp.csr_matrix:
    """Y without stored zeros, or without columns where there is none."""
    if dataset.Y is None:
        return sp.csr_matrix((n_rows, 0))
    if dataset.Y.shape[0] != n_rows:
        raise DataError(
            f"{name}: expected as many rows of labels as of data, {n_rows}, got {dataset.Y.shape[0]}"
        )
    Y = as_csr(dataset.Y, name, "Y").copy()
    check_finite(Y, name, "Y")
    Y.eliminate_zeros()
    return Y
