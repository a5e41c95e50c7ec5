"""Read and write predictions, best first, a line for each row in text.

npz, sparse: a matrix of scores.  tsv: `label<TAB>score<TAB>label<TAB>score`.  jsonl: an object a
row, `{"labels": [{"id": ..., "name": ..., "score": ...}]}`.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, quoted
from ..formats import MATRIX_FORMATS, prediction_format
from ..topk import TopK
from .datasets import read_stored, write_matrix
from .files import FilePath, create_file, numbered_lines, source_name
from .label_ids import check_id, csr_by_id
from .npz import as_stored
from .rows import nearest_float32, value_texts

JSON_ROW = '{"labels": [{"id": ..., "score": ...}]}'


class Predictions(NamedTuple):
    """Scores, and the ids of their columns.

    A label that was written without an id has its column number for one.
    """

    P: sp.csr_matrix  # (n_rows, n_labels), each row's entries in stored order
    label_ids: list[str] | None  # None if they come from a matrix


def write_predictions(
    path: FilePath,
    top: TopK,
    n_labels: int,
    *,
    label_ids: Sequence[str] | None = None,
    label_names: Sequence[str] | None = None,
    format: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write predictions best first; without label_ids a label is its column number.

    Only jsonl holds names. Raises DataError if the path exists and overwrite is False, if it can't
    be written, or if an id doesn't fit the format.
    """
    format = prediction_format(path, format)
    P = as_stored(top.to_csr(n_labels), os.fspath(path))
    for what, known in (("ids", label_ids), ("names", label_names)):
        if known is not None and len(known) != n_labels:
            raise DataError(
                f"{os.fspath(path)}: expected {n_labels} label {what}, got {len(known)}"
            )
    if format in MATRIX_FORMATS:
        return write_matrix(path, P, format=format, overwrite=overwrite)
    if format == "tsv":
        for label in label_ids or ():
            check_id(label, os.fspath(path))
    lines = _tsv_lines(P, label_ids) if format == "tsv" else _json_lines(P, label_ids, label_names)
    with create_file(path, overwrite) as file:
        for line in lines:
            file.write(line.encode())


def prediction_rows(
    top: TopK,
    n_labels: int,
    label_ids: Sequence[str] | None = None,
    label_names: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """What the lines of `write_predictions` in jsonl say: {"labels": [{"id", "name", "score"}]}.

    Without label_ids an id is the number of a column; without label_names there is no name. Raises
    DataError if a label is no column.
    """
    lines = _json_lines(top.to_csr(n_labels), label_ids, label_names)
    return [json.loads(line) for line in lines]


def _rows(P: sp.csr_matrix) -> Iterator[list[tuple[int, str]]]:
    """Each row's labels with their scores as text, in stored order."""
    pairs = zip(P.indices.tolist(), value_texts(P.data), strict=True)
    for count in np.diff(P.indptr).tolist():
        yield list(islice(pairs, count))


def _tsv_lines(P: sp.csr_matrix, ids: Sequence[str] | None) -> Iterator[str]:
    for row in _rows(P):
        yield (
            "\t".join([f"{label if ids is None else ids[label]}\t{score}" for label, score in row])
            + "\n"
        )


def _json_lines(
    P: sp.csr_matrix, ids: Sequence[str] | None, names: Sequence[str] | None
) -> Iterator[str]:
    def entry(label: int, score: str) -> str:
        known = {"id": label if ids is None else ids[label]} | (
            {} if names is None else {"name": names[label]}
        )
        return f'{json.dumps(known, ensure_ascii=False)[:-1]}, "score": {score}}}'

    for row in _rows(P):
        yield f'{{"labels": [{", ".join([entry(*pair) for pair in row])}]}}\n'


def read_predictions(path: FilePath, *, format: str | None = None) -> Predictions:
    """The predictions in a file of any of the formats.

    Those with ids have one column per id that occurs, in ascending order of ids. Raises DataError,
    with the line, at anything that `write_predictions` doesn't write.
    """
    format = prediction_format(path, format)
    if format in MATRIX_FORMATS:
        return Predictions(read_stored(path, format=format), None)
    columns, counts = array("i"), array("q", [0])
    scores: list[str] = []
    found: dict[str, int] = {}
    for number, line in numbered_lines(path):
        try:
            pairs = _tsv_row(line) if format == "tsv" else _json_row(line)
        except (ValueError, RecursionError) as error:
            expected = "label<TAB>score<TAB>..." if format == "tsv" else JSON_ROW
            raise DataError(
                f"{source_name(path)}:{number}: expected {expected}, got {quoted(line)}"
            ) from error
        columns.extend([found.setdefault(label, len(found)) for label, _ in pairs])
        scores.extend([score for _, score in pairs])
        counts.append(len(columns))
    values = nearest_float32(scores)
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        where = f"{source_name(path)}:{int(np.searchsorted(counts, at, side='right'))}"
        raise DataError(f"{where}: expected a finite float32 number, got {quoted(scores[at])}")
    return Predictions(*csr_by_id(values, columns, counts, list(found)))


def _tsv_row(line: str) -> list[tuple[str, str]]:
    fields = line.split("\t") if line else []
    pairs = list(zip(fields[::2], fields[1::2], strict=True))
    for label, score in pairs:
        _check_score(score)
        check_id(label, "tsv")
    return pairs


def _check_score(score: str) -> None:
    """Raise ValueError unless it is a number; Python's 1_000 is none elsewhere."""
    float(score)
    if "_" in score or not score.isascii():
        raise ValueError


def _json_row(line: str) -> list[tuple[str, str]]:
    row = json.loads(line, parse_float=_Digits, parse_int=_Digits)
    if not isinstance(row, dict) or not isinstance(row.get("labels"), list):
        raise ValueError
    return [_json_pair(entry) for entry in row["labels"]]


class _Digits(str):
    """A number of JSON as it stands there, which is no text in quotes."""


def _json_pair(entry: Any) -> tuple[str, str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or "score" not in entry:
        raise ValueError
    label, score = str(entry["id"]), entry["score"]
    if not label or not isinstance(score, _Digits | float):  # NaN and Infinity are floats here
        raise ValueError
    label.encode()  # half of a surrogate pair is no text
    return label, str(score)
