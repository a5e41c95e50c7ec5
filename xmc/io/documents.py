"""Documents, one a line: with label ids as `id,id<TAB>text`, or plain text."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, quoted
from .files import FilePath, numbered_lines, source_name
from .label_ids import check_id, csr_by_id


def read_documents(path: FilePath) -> tuple[list[str], sp.csr_matrix, list[str]]:
    """Texts, Y, and the ids of its columns in ascending order, from lines `id,id<TAB>text`.

    The part before the tab may be empty. Raises DataError, with the line, where a tab or an id is
    missing.
    """
    texts: list[str] = []
    columns, counts = array("i"), array("q", [0])
    found: dict[str, int] = {}
    for number, line in numbered_lines(path):
        field, tab, text = line.partition("\t")
        ids = [label.strip() for label in field.split(",")] if field.strip() else []
        if not tab or "" in ids:
            raise DataError(
                f"{source_name(path)}:{number}: expected id,id<TAB>text, got {quoted(line)}"
            )
        columns.extend([found.setdefault(label, len(found)) for label in ids])
        counts.append(len(columns))
        texts.append(text)
    Y, ids = csr_by_id(np.ones(len(columns), np.float32), columns, counts, list(found))
    Y.sum_duplicates()
    Y.data[:] = 1
    return texts, Y, ids


def document_text(
    texts: Sequence[str], Y: sp.csr_matrix | None, ids: Sequence[str], name: str
) -> Iterator[bytes]:
    """The lines `id,id<TAB>text`.

    Raises DataError if a text spans lines, or if an id holds a comma, a tab or a line break.
    """
    for label in ids:
        check_id(label, name, ",")
    for row, text in enumerate(texts):
        columns = Y.indices[Y.indptr[row] : Y.indptr[row + 1]] if Y is not None else []
        yield f"{','.join([ids[c] for c in columns])}\t{_one_line(text, row, name)}\n".encode()


def plain_text(texts: Sequence[str], name: str) -> Iterator[bytes]:
    """The texts, one a line. Raises DataError if one spans lines."""
    for row, text in enumerate(texts):
        yield f"{_one_line(text, row, name)}\n".encode()


def _one_line(text: str, row: int, name: str) -> str:
    if "\n" in text or text.endswith("\r"):
        raise DataError(
            f"{name}: expected one line per text, got a line break in row {row}: {quoted(text)}"
        )
    return text
