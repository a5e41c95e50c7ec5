"""Files of predictions that are written block by block, in memory that doesn't grow with the rows.

tsv and jsonl grow line by line. What a matrix begins with is known at the end only, so its parts
are put aside in streams, and put together then.
"""

from __future__ import annotations

import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, TypeAlias, cast

import numpy as np
import scipy.sparse as sp

from ..errors import DataError
from ..formats import prediction_format
from ..topk import TopK
from .files import CHUNK, FilePath, create_file, is_standard
from .label_ids import check_id
from .npz import as_stored, check_plain, zip_csr
from .rows import sparse_rows, value_texts

Streams: TypeAlias = Callable[[str], BinaryIO]  # a file to append to, and to read again, by a name


class Labels:
    """What people call the labels of predictions. Raises DataError if there are too few or many."""

    def __init__(
        self,
        where: str,
        n_labels: int,
        ids: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ):
        for what, known in (("ids", ids), ("names", names)):
            if known is not None and len(known) != n_labels:
                expected = f"expected {n_labels} label {what}"
                raise DataError(f"{where}: {expected}, got {len(known)}")
        self.n_labels, self.ids, self.names = n_labels, ids, names


@contextmanager
def prediction_file(
    path: FilePath,
    n_labels: int,
    *,
    label_ids: Sequence[str] | None = None,
    label_names: Sequence[str] | None = None,
    format: str | None = None,
    overwrite: bool = False,
    streams: Streams | None = None,
) -> Iterator[Callable[[TopK], None]]:
    """A function that takes the predictions of one block of rows after the other. The file then
    appears whole or not at all; stdout gets lines as they are there.

    streams: where to put what comes; without it, the lines go straight into the file. Raises
    DataError as `write_predictions` does.
    """
    format, where = prediction_format(path, format), os.fspath(path)
    labels = Labels(where, n_labels, label_ids, label_names)
    if format == "npz":
        check_plain(path)
    if format == "tsv":
        for label in label_ids or ():
            check_id(label, where)
    with create_file(path, overwrite) as file:
        if streams is None and format in ("tsv", "jsonl"):
            writer = WRITERS[format](labels, lambda name: file)
        else:
            writer = WRITERS[format](labels, streams or _temporary(path))
        n_rows = 0

        def add(top: TopK) -> None:
            nonlocal n_rows
            writer.add(as_stored(top.to_csr(n_labels), where, n_rows))
            n_rows += len(top.labels)
            if is_standard(path):
                file.flush()

        yield add
        writer.finish(file)


def _temporary(path: FilePath) -> Streams:
    """Files without a name, on the disk where the path is; they vanish with the process."""
    folder = None if is_standard(path) else Path(os.path.realpath(path)).parent
    return lambda name: cast(BinaryIO, TemporaryFile(dir=folder))


class _Writer(ABC):
    """Takes blocks of predictions, and makes a file of them at the end."""

    def __init__(self, labels: Labels, streams: Streams):
        self.labels = labels
        self.streams = [streams(name) for name in self.names]

    names: tuple[str, ...] = ("lines",)  # of the streams

    @abstractmethod
    def add(self, P: sp.csr_matrix) -> None:
        """Put a block into the streams."""

    @abstractmethod
    def finish(self, file: BinaryIO) -> None:
        """Make the file of what the streams hold."""


class _Lines(_Writer):
    """A line for each row."""

    @abstractmethod
    def lines(self, P: sp.csr_matrix) -> Iterator[str]:
        """The lines of a block."""

    def add(self, P: sp.csr_matrix) -> None:
        self.streams[0].write("".join(self.lines(P)).encode())

    def finish(self, file: BinaryIO) -> None:
        if file is not self.streams[0]:
            _copy(self.streams[0], file)


def _copy(stream: BinaryIO, file: BinaryIO) -> None:
    stream.seek(0)
    shutil.copyfileobj(stream, file, CHUNK)


class _Tsv(_Lines):
    def lines(self, P: sp.csr_matrix) -> Iterator[str]:
        ids = self.labels.ids
        for row in _rows(P):
            yield (
                "\t".join([f"{own if ids is None else ids[own]}\t{score}" for own, score in row])
                + "\n"
            )


class _Jsonl(_Lines):
    def lines(self, P: sp.csr_matrix) -> Iterator[str]:
        return json_lines(P, self.labels.ids, self.labels.names)


class _Sparse(_Writer):
    """A header, and a line for each row."""

    def add(self, P: sp.csr_matrix) -> None:
        self.streams[0].writelines(sparse_rows(P))

    def finish(self, file: BinaryIO) -> None:
        (stream,) = self.streams
        stream.seek(0)
        n_rows = sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(CHUNK), b""))
        file.write(f"{n_rows} {self.labels.n_labels}\n".encode())
        _copy(stream, file)


class _Npz(_Writer):
    """The arrays of a CSR matrix."""

    names = ("values", "columns", "counts")

    def add(self, P: sp.csr_matrix) -> None:
        arrays = P.data, P.indices.astype(np.int32), np.diff(P.indptr).astype(np.int32)
        for stream, array in zip(self.streams, arrays, strict=True):
            stream.write(array.tobytes())

    def finish(self, file: BinaryIO) -> None:
        zip_csr(file, self.labels.n_labels, *self.streams)


WRITERS: dict[str, type[_Writer]] = {"npz": _Npz, "tsv": _Tsv, "jsonl": _Jsonl, "sparse": _Sparse}


def _rows(P: sp.csr_matrix) -> Iterator[list[tuple[int, str]]]:
    """Each row's labels with their scores as text, in stored order."""
    pairs = zip(P.indices.tolist(), value_texts(P.data), strict=True)
    for count in np.diff(P.indptr).tolist():
        yield list(islice(pairs, count))


def json_lines(
    P: sp.csr_matrix, ids: Sequence[str] | None, names: Sequence[str] | None
) -> Iterator[str]:
    """Each row as an object `{"labels": [{"id": ..., "name": ..., "score": ...}]}`."""

    def entry(label: int, score: str) -> str:
        known = {"id": label if ids is None else ids[label]} | (
            {} if names is None else {"name": names[label]}
        )
        return f'{json.dumps(known, ensure_ascii=False)[:-1]}, "score": {score}}}'

    for row in _rows(P):
        yield f'{{"labels": [{", ".join([entry(*pair) for pair in row])}]}}\n'
