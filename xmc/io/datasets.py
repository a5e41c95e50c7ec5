"""Read and write data sets and matrices in every format."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import scipy.sparse as sp

from ..errors import DataError
from ..formats import MATRIX_FORMATS, named_format
from ..inputs import as_csr, as_matrix, check_finite
from . import documents
from . import rows as text_formats
from .blocks import BLOCK_BYTES, BLOCKS, WHOLE, Cut, line_blocks, numbered_blocks
from .files import FilePath, create_file, open_bytes, source_name
from .npz import ENTRY_BYTES, MATRIX, as_stored, npz_blocks, write_npz
from .rows_writer import writing
from .stored import StoredRows, open_rows

ONE_MATRIX = "a matrix, .npz or a .txt that begins with 'rows columns'"


class Dataset(NamedTuple):
    """What a file holds; a part that it doesn't hold is None.

    An npz file and a sparse matrix as text hold X alone, whatever its columns mean. XMC text and
    SVMlight hold X and Y, tsv files texts, Y and label_ids, plain text only texts. A folder of rows
    has X, and what there was beside it; its arrays are mapped, and read-only. Matrices are float32
    CSR, sorted, without duplicates.
    """

    X: sp.csr_matrix | None = None  # (n_rows, n_features)
    Y: sp.csr_matrix | None = None  # (n_rows, n_labels); an entry is a label's weight, else 1
    texts: Sequence[str] | None = None  # one per row
    label_ids: list[str] | None = None  # of the columns of Y

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.texts or ()) if self.X is None else self.X.shape[0]

    def part(self, start: int, stop: int) -> Dataset:
        """These rows, by number from 0 on."""
        rows = slice(start, stop)
        X, Y = (None if M is None else M[rows] for M in (self.X, self.Y))
        return self._replace(X=X, Y=Y, texts=None if self.texts is None else self.texts[rows])


def format_of(path: FilePath, format: str | None = None) -> str:
    """The format of a file: `format` if there is one, else what its name says without .gz.

    A .txt file is XMC text if its first line is three integers, a sparse matrix if it is two, else
    plain text. A folder is one of rows, whatever its name. Raises ParameterError if there is no
    such format, DataError if the path doesn't tell.
    """
    if format is None and os.path.isdir(path):
        return "rows"
    format = named_format(path, format)
    if format != "txt":
        return format
    with open_bytes(path) as file:
        size = text_formats.header_size(file.readline(100))
    return {2: "sparse", 3: "xmc"}.get(size, "text")


def read(
    path: FilePath,
    *,
    format: str | None = None,
    zero_based: bool = True,
    tsv_columns: str | None = None,
) -> Dataset:
    """The data set in a file; the path "-" is stdin.

    zero_based: whether ids in text with features count from 0; otherwise they count from 1.
    tsv_columns: one of `xmc.formats.TSV_COLUMNS`, if a tsv file doesn't look like what it is.
    Raises DataError if the file isn't what its format says.
    """
    (dataset,) = _blocks(path, format_of(path, format), zero_based, tsv_columns, WHOLE)
    return dataset


def read_blocks(
    path: FilePath,
    *,
    format: str | None = None,
    zero_based: bool = True,
    tsv_columns: str | None = None,
    block_bytes: int = BLOCK_BYTES,
    as_it_comes: bool = False,
) -> Iterator[Dataset]:
    """What `read` gives, a block of rows after the other, of which only one is in memory.

    Matrices of npz, sparse and XMC text are as wide in each block as in the whole. Those of
    SVMlight are as wide as the largest ids in the block need. Each block of a tsv file has its own
    label_ids, of the labels that its rows have.
    block_bytes: of the file, about so many make a block; of npz, of its arrays in memory.
    as_it_comes: give the rows of a pipe that have come, rather than wait for more. What a tsv file
    looks like is then told by those rows that come first.

    Raises DataError as `read` does, but once the rows before are given. A stream can't be read
    twice: where a label far down is the first with a weight, which says that rows above begin with
    one, too, and not with features, that is an error, too.
    """
    cut = Cut(block_bytes, as_it_comes)
    return _blocks(path, format_of(path, format), zero_based, tsv_columns, cut)


def count_rows(
    path: FilePath,
    *,
    format: str | None = None,
    zero_based: bool = True,
    tsv_columns: str | None = None,
) -> int:
    """How many rows `read` gives. Raises DataError as it does, but of lines only if it must."""
    format = format_of(path, format)
    if format in ("text", "tsv"):
        n_lines = sum(1 for block in line_blocks(path, BLOCKS) for _ in io.BytesIO(block))
        return n_lines - int(format == "tsv" and documents.has_header(path, tsv_columns))
    blocks = _blocks(path, format, zero_based, tsv_columns, BLOCKS)
    return sum(dataset.n_rows for dataset in blocks)


def _blocks(
    path: FilePath, format: str, zero_based: bool, tsv_columns: str | None, cut: Cut
) -> Iterator[Dataset]:
    if format in MATRIX_FORMATS:
        first = 0
        for M in stored_blocks(path, format, zero_based, cut):
            M.sum_duplicates()
            check_finite(M, source_name(path), MATRIX, first)
            yield Dataset(X=M)
            first += M.shape[0]
    elif format == "text":
        for lines in numbered_blocks(path, cut):
            yield Dataset(texts=[line for _, line in lines])
    elif format == "tsv":
        for texts, Y, label_ids in documents.document_blocks(path, tsv_columns, cut):
            yield Dataset(Y=Y, texts=texts, label_ids=label_ids)
    elif format == "rows":
        yield from _stored_blocks(open_rows(path), cut)
    else:
        pairs = text_formats.xmc_blocks if format == "xmc" else text_formats.svmlight_blocks
        for X, Y in pairs(path, zero_based, cut):
            yield Dataset(X, Y)


def _stored_blocks(stored: StoredRows, cut: Cut) -> Iterator[Dataset]:
    if cut.n_bytes is None:
        stored.rows()  # whose arrays are looked at
        yield Dataset(stored.X, stored.Y, stored.texts, stored.label_ids)
        return
    Y = stored.Y
    for part in stored.parts(cut.n_bytes // ENTRY_BYTES):
        labels = None if Y is None else Y[part.start : part.end]
        yield Dataset(as_matrix(part.rows), labels, part.texts, stored.label_ids)


def read_matrix(
    path: FilePath, *, format: str | None = None, zero_based: bool = True
) -> sp.csr_matrix:
    """The sparse matrix in a file, npz or text, as float32 CSR, sorted, duplicates summed.

    Raises DataError if the file holds no such matrix, or one without a row or column, or a number
    that isn't finite.
    """
    format = format_of(path, format)
    _check_matrix(path, format)
    (dataset,) = _blocks(path, format, zero_based, None, WHOLE)
    return dataset.X


def stored_blocks(
    path: FilePath, format: str, zero_based: bool = True, cut: Cut = WHOLE
) -> Iterator[sp.csr_matrix]:
    """The rows of each block of a matrix, whose entries keep their order.

    Raises DataError as `read_matrix` does, also if the format is another one.
    """
    _check_matrix(path, format)
    if format == "npz":
        return npz_blocks(path, cut)
    return text_formats.sparse_blocks(path, zero_based, cut)


def _check_matrix(path: FilePath, format: str) -> None:
    """Raise DataError unless the format holds one matrix."""
    if format not in MATRIX_FORMATS:
        raise DataError(f"{source_name(path)}: expected {ONE_MATRIX}, got format {format}")


def write(
    path: FilePath,
    dataset: Dataset,
    *,
    format: str | None = None,
    zero_based: bool = True,
    overwrite: bool = False,
) -> None:
    """Write those parts of the data set that the format holds; the path "-" is stdout.

    A .txt file becomes XMC text if the data set has an X, else plain text. A row has the labels
    where Y isn't 0.
    zero_based: whether ids in text with features count from 0; otherwise they count from 1.
    Raises DataError if the format needs other parts, if the path exists and overwrite is False, or
    if it can't be written.
    """
    format = named_format(path, format)
    if format == "txt":
        format = "text" if dataset.X is None else "xmc"
    if format in MATRIX_FORMATS:
        M = _one_matrix(path, dataset, format)
        how = {"zero_based": zero_based, "overwrite": overwrite}
        return write_matrix(path, M, format=format, **how)
    if format == "rows":
        with writing(path, overwrite) as writer:
            writer.append(dataset)
            return writer.finish()
    rows = _document_rows if format in ("tsv", "text") else _matrix_rows
    blocks = rows(os.fspath(path), dataset, format, zero_based)
    with create_file(path, overwrite) as file:
        for block in blocks:
            file.write(block)


def write_matrix(
    path: FilePath,
    M: sp.spmatrix,
    *,
    format: str | None = None,
    zero_based: bool = True,
    overwrite: bool = False,
) -> None:
    """Write a sparse matrix in its stored order: uncompressed .npz, or text, a .txt.

    Raises DataError if it is empty or not finite, if the path exists and overwrite is False, or if
    it can't be written.
    """
    if matrix_format(path, format) == "npz":
        return write_npz(path, M, overwrite)
    M = as_stored(M, os.fspath(path))
    with create_file(path, overwrite) as file:
        file.writelines(text_formats.sparse_text(M, zero_based))


def matrix_format(path: FilePath, format: str | None = None) -> str:
    """The format in which one matrix is written to the path, by its name if none is given."""
    format = named_format(path, format)
    format = "sparse" if format == "txt" else format
    if format not in MATRIX_FORMATS:
        raise DataError(f"{os.fspath(path)}: expected {ONE_MATRIX}, got format {format}")
    return format


def _one_matrix(path: FilePath, dataset: Dataset, format: str) -> sp.csr_matrix:
    matrices = [M for M in (dataset.X, dataset.Y) if M is not None]
    if len(matrices) != 1:
        name = os.fspath(path)
        raise DataError(
            f"{name}: expected one matrix for {format}, got {len(matrices)}; a pair is two paths"
        )
    return matrices[0]


def _matrix_rows(
    name: str, dataset: Dataset, format: str, zero_based: bool
) -> Iterator[bytes | memoryview]:
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
    """Y without stored zeros; a matrix without columns if there is no Y."""
    if dataset.Y is None:
        return sp.csr_matrix((n_rows, 0))
    if dataset.Y.shape[0] != n_rows:
        got = dataset.Y.shape[0]
        raise DataError(f"{name}: expected as many rows of labels as of data, {n_rows}, got {got}")
    Y = as_csr(dataset.Y, name, "Y").copy()
    check_finite(Y, name, "Y")
    Y.eliminate_zeros()
    return Y
