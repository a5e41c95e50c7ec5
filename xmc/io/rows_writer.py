"""Write a folder of rows, block by block: what it holds is told in stored.py."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..arrays import BLOCK, spans
from ..errors import DataError, quoted
from ..formats import compression_suffix
from ..inputs import canonical
from .files import FilePath, is_standard, replacing
from .folder import check_ours, npy_array, pack_strings, write_meta
from .stored import DTYPES, FILE, FORMAT, VECTORIZER, Texts, as_data_error


class _Array:
    """A .npy file that grows: arrays of one dtype are appended to it, whose rows are all `row`."""

    def __init__(self, path: Path, dtype: str, row: tuple[int, ...] = ()):
        self.dtype, self.length, self.digest = np.dtype(dtype), 0, hashlib.sha256()
        self.row = row
        self.file = open(path, "xb")  # noqa: SIM115, closed by `close`
        self._write_header()

    def append(self, array: np.ndarray) -> None:
        content = np.ascontiguousarray(array, self.dtype).data
        self.file.write(content)
        self.digest.update(content)
        self.length += len(array)

    def close(self) -> dict[str, Any]:
        """What the JSON says of the array, which is on the disk then."""
        if not self.file.closed:
            self.file.seek(0)
            self._write_header()
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        facts = {"dtype": self.dtype.str, "shape": [self.length, *self.row]}
        return facts | {"sha256": self.digest.hexdigest()}

    def _write_header(self) -> None:
        """The header, which numpy makes as long for any length."""
        facts = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length, *self.row)}
        np.lib.format.write_array_header_1_0(self.file, facts)


class RowsWriter:
    """Writes a folder of rows, block by block. It is whole once `finish` was called."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.folder = folder
        self.widths = {"X": 0, "Y": 0}
        self._arrays: dict[str, _Array] = {}
        self._column: dict[str, int] = {}  # of each label id, in the order in which they came

    def __enter__(self) -> RowsWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        for array in self._arrays.values():
            array.file.close()

    def append(self, block: Any) -> None:
        """Add the rows of a Dataset; all blocks have the same parts, features may come later."""
        if block.texts is not None:
            self._append_strings("texts", block.texts)
        if block.X is not None:
            self.append_features(block.X)
        if block.Y is None:
            return
        Y = canonical(block.Y, str(self.folder), "Y")
        if block.label_ids is None:
            self._append_matrix("Y", Y)
        else:  # labels are numbered as they come, and by their ids at the end
            columns = [self._column.setdefault(i, len(self._column)) for i in block.label_ids]
            ids = np.array(columns, np.int32)[Y.indices]
            self._append_matrix("seen", sp.csr_matrix((Y.data, ids, Y.indptr), Y.shape))

    def append_features(self, X: Any) -> None:
        """Add features of the next rows."""
        self._append_matrix("X", canonical(X, str(self.folder), "X"))

    def texts(self) -> Texts:
        """The texts of all rows that are there, to be read from the disk."""
        for name in ("texts", "texts_offsets"):
            self._arrays[name].close()
        return Texts(*(self._written(name) for name in ("texts", "texts_offsets")))

    def finish(
        self,
        known: Sequence[str] = (),
        vectorizer: tuple[dict[str, Any], Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        """Write what is left, and the JSON.

        known: ids of the labels that are to come first, in this order; the others ascend.
        vectorizer: that made X of the texts, as settings and arrays.
        """
        if "seen.indptr" in self._arrays:
            self._sort_labels([*known, *sorted(self._column.keys() - set(known))])
        if not self.widths["Y"]:
            self._leave_out("Y.", "label_ids")
        self._check_lengths()
        settings, arrays = vectorizer or (None, {})
        for name, array in arrays.items():
            self._array(f"{VECTORIZER}{name}", array.dtype.str, array.shape[1:]).append(array)
        meta = {
            "format": FORMAT,
            "n_rows": self._arrays["X.indptr"].length - 1,
            "n_features": self.widths["X"],
            "n_labels": self.widths["Y"] if "Y.indptr" in self._arrays else None,
            "vectorizer": settings,
        }
        listed = {name: array.close() for name, array in self._arrays.items()}
        write_meta(self.folder / FILE, meta | {"arrays": listed})

    def _check_lengths(self) -> None:
        """Raise DataError unless there are features, and labels and texts for the same rows."""
        found = {
            name: array.length - 1
            for name, array in self._arrays.items()
            if name in ("X.indptr", "Y.indptr", "texts_offsets")
        }
        if "X.indptr" not in found:
            raise DataError(f"{self.folder}: expected features of the rows, got none")
        if len(set(found.values())) > 1:
            counts = ", ".join(f"{n:,} in {name}" for name, n in found.items())
            raise DataError(f"{self.folder}: expected as many rows in each part, got {counts}")

    def _array(self, name: str, dtype: str, row: tuple[int, ...] = ()) -> _Array:
        if name not in self._arrays:
            self._arrays[name] = _Array(self.folder / f"{name}.npy", dtype, row)
        return self._arrays[name]

    def _append_matrix(self, name: str, M: sp.csr_matrix) -> None:
        indptr, indices, data = (
            self._array(f"{name}.{part}", DTYPES[f"Y.{part}"])
            for part in ("indptr", "indices", "data")
        )
        if not indptr.length:
            indptr.append(np.zeros(1, np.int64))
        indptr.append(M.indptr[1:] + np.int64(indices.length))
        indices.append(M.indices)
        data.append(M.data)
        if name in self.widths:
            self.widths[name] = max(self.widths[name], M.shape[1])

    def _append_strings(self, name: str, strings: Sequence[str]) -> None:
        try:
            content, offsets = pack_strings(list(strings))
        except UnicodeEncodeError as error:
            got = quoted(error.object)
            raise DataError(f"{self.folder}: expected {name} as UTF-8, got {got}") from None
        packed, ends = (self._array(own, DTYPES[own]) for own in (name, f"{name}_offsets"))
        if not ends.length:
            ends.append(np.zeros(1, np.int64))
        ends.append(offsets[1:] + packed.length)
        packed.append(content)

    def _sort_labels(self, ids: Sequence[str]) -> None:
        """Write Y with the labels in this order, and their ids."""
        place = {label: column for column, label in enumerate(ids)}
        columns = np.array([place[label] for label in self._column], np.int32)
        names = [f"seen.{part}" for part in ("indptr", "indices", "data")]
        for name in names:
            self._arrays[name].close()
        indptr, seen, data = map(self._written, names)
        for start, end in spans(indptr, BLOCK):
            first, last = indptr[start], indptr[end]
            own = data[first:last], columns[seen[first:last]], indptr[start : end + 1] - first
            Y = sp.csr_matrix(own, (end - start, len(ids)), copy=True)
            Y.sort_indices()
            self._append_matrix("Y", Y)
        self._append_strings("label_ids", ids)
        self._leave_out("seen.")

    def _leave_out(self, *starts: str) -> None:
        """Remove arrays whose names begin so."""
        for name in [name for name in self._arrays if name.startswith(starts)]:
            self._arrays.pop(name).close()
            (self.folder / f"{name}.npy").unlink()

    def _written(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        return npy_array(self.folder, name, array.dtype, (array.length,))


def check_folder(path: FilePath) -> None:
    """Raise DataError if a folder of rows can't be named so, or if something else is there."""
    name = os.fspath(path)
    if is_standard(path):
        raise DataError(f"{name}: expected a folder for rows, got stdout")
    if compression_suffix(path):
        raise DataError(f"{name}: expected a folder for rows, which can't be compressed")
    with as_data_error():
        check_ours(path, FILE, "rows")


@contextmanager
def writing(path: FilePath, overwrite: bool = False) -> Iterator[RowsWriter]:
    """What writes a folder of rows, which appears at the path once it is whole.

    Raises DataError if the path exists and overwrite is False, if it is no folder of rows, or if it
    can't be written.
    """
    check_folder(path)
    with replacing(path, overwrite) as fresh, RowsWriter(fresh) as writer:
        yield writer
