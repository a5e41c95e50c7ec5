"""Documents, one a line: with label ids as `id,id<TAB>text`, or plain text."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, ParameterError, quoted
from ..formats import TSV_COLUMNS
from .columns import SAMPLE, Columns, find_columns, ids_of
from .files import FilePath, empty_file, log, numbered_lines, source_name
from .label_ids import check_id, csr_by_id
from .rows import distinct_labels, nearest_float32, value_texts

WEIGHTED = re.compile(r"(.+)::([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


def read_documents(
    path: FilePath, columns: str | None = None
) -> tuple[list[str], sp.csr_matrix, list[str]]:
    """Texts, Y, and the ids of its columns in ascending order, from lines `id,id<TAB>text`.

    The part before the tab may be empty. An id may have a weight, `id::0.5`, the value of Y.
    columns: one of `TSV_COLUMNS`; without it the file must look like one of them, and what may
    surprise is logged. Raises DataError, with the line, where a tab or an id is missing.
    """
    name = source_name(path)
    lines = numbered_lines(path)
    sample = list(islice(lines, SAMPLE))
    shape, notices = _columns(columns, [line for _, line in sample], name)
    texts: list[str] = []
    numbers, counts = array("i"), array("q", [0])
    found: dict[str, int] = {}
    first_lines = array("q")
    for number, line in chain(sample[shape.header :], lines):
        row = shape.split(line)
        ids = ids_of(row[0]) if row else [""]
        if row is None or "" in ids:
            expected = "text<TAB>id,id" if shape.text_first else "id,id<TAB>text"
            raise DataError(f"{name}:{number}: expected {expected}, got {quoted(line)}")
        if columns is None:
            _check_quotes(ids, f"{name}:{number}")
        if any("," in label for label in ids):  # of URIs within <>
            raise DataError(f"{name}:{number}: expected URIs without commas, got {quoted(row[0])}")
        numbers.extend([found.setdefault(label, len(found)) for label in ids])
        first_lines.extend([number] * (len(found) - len(first_lines)))
        counts.append(len(numbers))
        texts.append(row[1])
    if not texts:
        raise empty_file(path)
    known, columns_of, weights = _weights(list(found), first_lines, name)
    for notice in (*notices, *_weight_notice(list(found))):
        log.warning(f"{name}: {notice}")
    chosen = np.array(numbers, np.int64)
    Y, ids = csr_by_id(weights[chosen], columns_of[chosen], counts, known)
    return texts, distinct_labels(Y), ids


def _columns(named: str | None, sample: Sequence[str], name: str) -> tuple[Columns, list[str]]:
    if named is None:
        return find_columns(sample, name)
    if named not in TSV_COLUMNS:
        among = ", ".join(map(repr, TSV_COLUMNS))
        raise ParameterError(f"tsv_columns must be one of {among}, got {named!r}")
    return Columns.named(named), []


def _check_quotes(ids: Sequence[str], where: str) -> None:
    """Raise DataError if a comma within quotes has cut an id."""
    ends = [(label[0] == '"', label[-1] == '"' and len(label) > 1) for label in ids]
    if (True, False) in ends and (False, True) in ends[ends.index((True, False)) :]:
        raise DataError(
            f"{where}: expected ids without commas, got {quoted(', '.join(ids))}; "
            "quotes don't keep an id together"
        )


def _weights(
    found: Sequence[str], first_lines: Sequence[int], name: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids without their weights; of each id as found, its place among these, and its weight.

    Ids have weights if whatever follows `::` is a number; if none is, it is part of the id. Raises
    DataError, with the line, if some are, or if a weight isn't above 0.
    """
    parts = [WEIGHTED.fullmatch(label) for label in found]
    known: dict[str, int] = {}
    places, weights = np.zeros(len(found), np.int32), np.ones(len(found), np.float32)
    any_weight = any(parts)
    for i, (label, part) in enumerate(zip(found, parts, strict=True)):
        if part is not None:
            weights[i] = nearest_float32([part[2]])[0]
            if not 0 < weights[i] < np.inf:
                expected = "expected a weight above 0 after ::"
                raise DataError(f"{name}:{first_lines[i]}: {expected}, got {quoted(label)}")
        elif any_weight and "::" in label:
            expected = "expected a number after ::, as other ids have their weights there"
            raise DataError(f"{name}:{first_lines[i]}: {expected}, got {quoted(label)}")
        bare = label if part is None else part[1].strip()
        places[i] = known.setdefault(bare, len(known))
    return list(known), places, weights


def _weight_notice(found: Sequence[str]) -> list[str]:
    example = next((label for label in found if WEIGHTED.fullmatch(label)), None)
    return [] if example is None else [f"ids have weights after ::, as in {quoted(example)}"]


def document_text(
    texts: Sequence[str], Y: sp.csr_matrix, ids: Sequence[str], name: str
) -> Iterator[bytes]:
    """The lines `id,id<TAB>text`, or `id::0.5,id::1<TAB>text` if values of Y aren't 1, or if an id
    looks as if a weight stood behind it.

    Raises DataError if a text spans lines, or if an id holds a comma, a tab or a line break.
    """
    for label in ids:
        check_id(label, name, ",")
    labels = [ids[column] for column in Y.indices]
    if (Y.data != 1).any() or any(map(WEIGHTED.fullmatch, ids)):
        weights = value_texts(Y.data)
        labels = [f"{label}::{weight}" for label, weight in zip(labels, weights, strict=True)]
    for row, text in enumerate(texts):
        own = ",".join(labels[Y.indptr[row] : Y.indptr[row + 1]])
        yield f"{own}\t{_one_line(text, row, name)}\n".encode()


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
