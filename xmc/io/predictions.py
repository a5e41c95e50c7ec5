"""Read and write predictions, best first, a line for each row in text.

npz, sparse: a matrix of scores.  tsv: `label<TAB>score<TAB>label<TAB>score`.  jsonl: an object a
row, `{"labels": [{"id": ..., "name": ..., "score": ...}]}`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, quoted
from ..formats import MATRIX_FORMATS, prediction_format
from ..topk import TopK
from .blocks import BLOCKS, WHOLE, Cut, numbered_blocks
from .datasets import stored_blocks
from .files import FilePath, source_name
from .label_ids import check_id, csr_by_id
from .prediction_files import json_lines, prediction_file
from .rows import nearest_float32

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
    file = prediction_file(
        path,
        n_labels,
        label_ids=label_ids,
        label_names=label_names,
        format=format,
        overwrite=overwrite,
    )
    with file as add:
        add(top)


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
    lines = json_lines(top.to_csr(n_labels), label_ids, label_names)
    return [json.loads(line) for line in lines]


def read_predictions(path: FilePath, *, format: str | None = None) -> Predictions:
    """The predictions in a file of any of the formats.

    Those with ids have one column per id that occurs, in ascending order of ids. Raises DataError,
    with the line, at anything that `write_predictions` doesn't write.
    """
    (predictions,) = prediction_blocks(path, format=format, cut=WHOLE)
    return predictions


def prediction_blocks(
    path: FilePath, *, format: str | None = None, cut: Cut = BLOCKS
) -> Iterator[Predictions]:
    """The predictions of each block of rows. Those with ids have the ids that occur in the block.

    Raises DataError as `read_predictions` does.
    """
    format = prediction_format(path, format)
    if format in MATRIX_FORMATS:
        for P in stored_blocks(path, format, cut=cut):
            yield Predictions(P, None)
        return
    for lines in numbered_blocks(path, cut):
        yield _read_lines(lines, source_name(path), format)


def _read_lines(lines: Iterable[tuple[int, str]], name: str, format: str) -> Predictions:
    columns, counts = array("i"), array("q", [0])
    scores: list[str] = []
    found: dict[str, int] = {}
    number = 0
    for number, line in lines:
        try:
            pairs = _tsv_row(line) if format == "tsv" else _json_row(line)
        except (ValueError, RecursionError) as error:
            expected = "label<TAB>score<TAB>..." if format == "tsv" else JSON_ROW
            raise DataError(f"{name}:{number}: expected {expected}, got {quoted(line)}") from error
        columns.extend([found.setdefault(label, len(found)) for label, _ in pairs])
        scores.extend([score for _, score in pairs])
        counts.append(len(columns))
    values = nearest_float32(scores)
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        line_number = number + 1 - len(counts) + int(np.searchsorted(counts, at, side="right"))
        expected = "expected a finite float32 number"
        raise DataError(f"{name}:{line_number}: {expected}, got {quoted(scores[at])}")
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
