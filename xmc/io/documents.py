"""Documents, one a line: with label ids as `id,id<TAB>text`, or plain text."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, ParameterError, quoted
from ..formats import TSV_COLUMNS
from .blocks import WHOLE, Cut, numbered_blocks
from .columns import BETWEEN_IDS, SAMPLE, Columns, find_columns, ids_of
from .files import FilePath, empty_file, log, numbered_lines, source_name
from .label_ids import check_id, csr_by_id
from .rows import distinct_labels, nearest_float32, value_texts

WEIGHTED = re.compile(r"(.+)::([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
Lines: TypeAlias = Iterator[tuple[int, str]]  # with their numbers


def read_documents(
    path: FilePath, columns: str | None = None
) -> tuple[list[str], sp.csr_matrix, list[str]]:
    """Texts, Y, and the ids of its columns in ascending order, from lines `id,id<TAB>text`.

    The part before the tab may be empty. An id may have a weight, `id::0.5`, the value of Y.
    columns: one of `TSV_COLUMNS`; without it the file must look like one of them, and what may
    surprise is logged. Raises DataError, with the line, where a tab or an id is missing.
    """
    (documents,) = document_blocks(path, columns)
    return documents


def document_blocks(
    path: FilePath, columns: str | None = None, cut: Cut = WHOLE
) -> Iterator[tuple[list[str], sp.csr_matrix, list[str]]]:
    """Texts, Y and ids of each block of such a file; a block has the ids of its own rows.

    The first lines tell what the columns are: of a pipe, those that come first.
    """
    name, blocks = source_name(path), numbered_blocks(path, cut)
    sample, begun = _begun(blocks, cut)
    shape, notices = _columns(columns, sample, name)
    weights, any_row = _Weights(name), False
    for number, lines in enumerate(chain(begun, blocks)):
        header = int(shape.header and number == 0)
        rows = _rows(islice(lines, header, None), shape, columns is None, name)
        if rows.texts:
            for notice in [] if any_row else notices:
                log.warning(f"{name}: {notice}")
            known, places, values = weights.split(list(rows.found), rows.first_lines)
            chosen = np.array(rows.numbers, np.int64)
            Y, ids = csr_by_id(values[chosen], places[chosen], rows.counts, known)
            yield rows.texts, distinct_labels(Y), ids
            any_row = True
    if not any_row:
        raise empty_file(path)


def has_header(path: FilePath, columns: str | None = None) -> bool:
    """Whether the first line of such a file is no row."""
    sample = [line for _, line in islice(numbered_lines(path), SAMPLE)]
    return _columns(columns, sample, source_name(path))[0].header


def _begun(blocks: Iterator[Lines], cut: Cut) -> tuple[list[str], list[Lines]]:
    """The lines that tell what the columns are, and the blocks that were begun for them."""
    sample: list[str] = []
    begun: list[Lines] = []
    for lines in blocks:
        own = list(islice(lines, SAMPLE - len(sample)))
        sample.extend([line for _, line in own])
        begun.append(chain(own, lines))
        if len(sample) == SAMPLE or cut.as_it_comes:
            break
    return sample, begun


class _Rows(NamedTuple):
    """The rows of a block."""

    texts: list[str]
    numbers: array  # of the ids of all rows, by their places in `found`
    counts: array  # where each row's ids begin and end in `numbers`
    found: dict[str, int]  # ids with their weights
    first_lines: array  # where each of them comes first


def _rows(lines: Lines, shape: Columns, is_guess: bool, name: str) -> _Rows:
    """What lines hold. Raises DataError, with the line, where one is no row."""
    rows = _Rows([], array("i"), array("q", [0]), {}, array("q"))
    texts, numbers, counts, found, first_lines = rows
    for number, line in lines:
        row = shape.split(line)
        ids = ids_of(row[0]) if row else [""]
        if row is None or "" in ids:
            expected = "text<TAB>id,id" if shape.text_first else "id,id<TAB>text"
            raise DataError(f"{name}:{number}: expected {expected}, got {quoted(line)}")
        if is_guess:
            _check_quotes(ids, f"{name}:{number}")
        if any("," in label for label in ids):  # of URIs within <>
            raise DataError(f"{name}:{number}: expected URIs without commas, got {quoted(row[0])}")
        numbers.extend([found.setdefault(label, len(found)) for label in ids])
        first_lines.extend([number] * (len(found) - len(first_lines)))
        counts.append(len(numbers))
        texts.append(row[1])
    return rows


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


class _Weights:
    """The weights of ids, block by block.

    Ids have weights if whatever follows `::` is a number; if none is, it is part of the id.
    """

    def __init__(self, name: str):
        self.name = name  # of the file
        self.any = False  # whether an id had one
        self.plain: tuple[int, str] | None = None  # the first id without one that has a ::

    def split(
        self, found: Sequence[str], first_lines: Sequence[int]
    ) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Ids without their weights; of each id as found, its place among these, and its weight.

        What may surprise is logged. Raises DataError, with the line, if some ids have weights and
        others have something else there, or if a weight isn't above 0.
        """
        parts = [WEIGHTED.fullmatch(label) for label in found]
        known: dict[str, int] = {}
        places, weights = np.zeros(len(found), np.int32), np.ones(len(found), np.float32)
        said, self.any = self.any, self.any or any(parts)
        self._check_plain()
        for i, (label, part) in enumerate(zip(found, parts, strict=True)):
            if part is not None:
                weights[i] = nearest_float32([part[2]])[0]
                if not 0 < weights[i] < np.inf:
                    raise self._refused("a weight above 0 after ::", first_lines[i], label)
            elif "::" in label:
                self.plain = self.plain or (first_lines[i], label)
                self._check_plain()
            bare = label if part is None else part[1].strip()
            places[i] = known.setdefault(bare, len(known))
        if self.any and not said:
            example = next(label for label, part in zip(found, parts, strict=True) if part)
            log.warning(f"{self.name}: ids have weights after ::, as in {quoted(example)}")
        return list(known), places, weights

    def _check_plain(self) -> None:
        if self.any and self.plain is not None:
            expected = "a number after ::, as other ids have their weights there"
            raise self._refused(expected, *self.plain)

    def _refused(self, expected: str, line: int, label: str) -> DataError:
        return DataError(f"{self.name}:{line}: expected {expected}, got {quoted(label)}")


def document_text(
    texts: Sequence[str], Y: sp.csr_matrix, ids: Sequence[str], name: str
) -> Iterator[bytes]:
    """The lines `id,id<TAB>text`, or `id::0.5,id::1<TAB>text` if values of Y aren't 1, or if an id
    looks as if a weight stood behind it, or like the beginning of a URI within <>.

    Raises DataError if a text spans lines, or if an id can't stand between commas and tabs.
    """
    for label in ids:
        check_id(label, name, ",")
        if BETWEEN_IDS.search(label):
            raise DataError(
                f"{name}: expected label ids without a URI behind a blank, got {quoted(label)}"
            )
    labels = [ids[column] for column in Y.indices]
    mistakable = any(label.startswith("<") or WEIGHTED.fullmatch(label) for label in ids)
    if mistakable or (Y.data != 1).any():
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
