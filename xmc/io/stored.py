"""A folder of rows: features, labels and texts as .npy files that are mapped, not loaded, and one
JSON. It is written block by block, so that it may be larger than memory.

    X.indptr, X.indices, X.data    features of each row: CSR, ascending, without duplicates or zeros
    Y.indptr, Y.indices, Y.data    labels of each row, likewise
    label_ids, label_ids_offsets   of the columns of Y, as UTF-8 bytes and where each begins
    texts, texts_offsets           of the rows, likewise
    vectorizer.*                   what turned the texts into X

Y, label ids, texts and vectoriser may be missing. Pointers and offsets are int64, ids int32, values
float32.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import scipy.sparse as sp

from ..arrays import BLOCK, INT32_MAX, Rows, ascend, lists_fit, spans, within
from ..errors import DataError, ModelError
from ..inputs import as_rows, canonical, selected
from ..mapped import file_size, release
from .files import FilePath
from .folder import (
    as_model_error,
    is_still,
    meta_in,
    npy_array,
    read_at_once,
    unpack_strings,
    verify_arrays,
)
from .tensors import open_regular

FILE, FORMAT = "rows.json", 1
DTYPES = {
    **{f"{M}.{part}": code for M in "XY" for part, code in
       (("indptr", "<i8"), ("indices", "<i4"), ("data", "<f4"))},
    **{name: code for strings in ("label_ids", "texts") for name, code in
       ((strings, "|u1"), (f"{strings}_offsets", "<i8"))},
}  # fmt: skip
VECTORIZER = "vectorizer."
ROWS_PER_PART = 1 << 16  # that are asked at a time, at most
TEXT_BYTES = 1 << 22  # that are decoded at a time


class Texts(Sequence[str]):
    """Texts in a folder of rows, each decoded when it is asked for."""

    def __init__(self, content: np.ndarray, offsets: np.ndarray, chosen: np.ndarray | None = None):
        self._content, self._offsets, self._chosen = content, offsets, chosen

    def __len__(self) -> int:
        return len(self._offsets) - 1 if self._chosen is None else len(self._chosen)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[row] for row in range(*at.indices(len(self)))]
        row = range(len(self))[at] if self._chosen is None else self._chosen[at]
        start, end = self._offsets[row : row + 2]
        return _decoded(self._content[start:end].tobytes())

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Iterator[list[str]]:
        """All texts, some at a time."""
        if self._chosen is not None:
            yield from (self[start : start + 1024] for start in range(0, len(self), 1024))
            return
        for start, end in spans(self._offsets, TEXT_BYTES):
            first, *ends = (self._offsets[start : end + 1] - self._offsets[start]).tolist()
            at = self._offsets[start]
            content = self._content[at : at + ends[-1]].tobytes()
            release(self._content)
            starts = [first, *ends]
            yield [_decoded(content[a:b]) for a, b in zip(starts, ends, strict=False)]

    def taken(self, rows: np.ndarray) -> Texts:
        """The texts of these rows, by number."""
        chosen = rows if self._chosen is None else self._chosen[rows]
        return Texts(self._content, self._offsets, chosen)


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise DataError("texts.npy is damaged: expected UTF-8") from None


class Part(NamedTuple):
    """The rows start..end-1 of a folder, and their texts if they have some."""

    start: int
    end: int
    rows: Rows
    texts: list[str] | None


class StoredRows:
    """Rows in a folder, which `fit` and `predict_topk` take without loading them.

    n_rows, n_features, n_labels: sizes; n_labels is 0 where there are no labels.
    X, Y: (n_rows, n_features) and (n_rows, n_labels) CSR over the files; Y is None without labels.
    label_ids: of the columns of Y, None where labels have no ids.
    texts: a sequence of str, each read when it is asked for; None where there are none.
    """

    def __init__(
        self,
        path: FilePath,
        rows: Rows,
        Y: sp.csr_matrix | None,
        label_ids: list[str] | None = None,
        texts: Texts | None = None,
        vectorizer: tuple[dict[str, Any], dict[str, np.ndarray]] | None = None,
        files: Mapping[str, int] | None = None,
    ):
        self.path, self.Y, self.label_ids, self.texts = os.fspath(path), Y, label_ids, texts
        self.packed_vectorizer = vectorizer
        self._rows, self._checked = rows, False
        self._transform: Callable[[list[str]], Any] | None = None
        self._origin: StoredRows | None = None  # whose rows these are, and whose files stay open
        self._files = {name: (own, _state(own)) for name, own in (files or {}).items()}
        weakref.finalize(self, _close, list((files or {}).values()))

    def __repr__(self) -> str:
        labels = f", {self.n_labels:,} labels" if self.Y is not None else ""
        texts = ", with texts" if self.texts is not None else ""
        sizes = f"{self.n_rows:,} rows, {self.n_features:,} features{labels}{texts}"
        return f"<StoredRows {self.path}: {sizes}>"

    @property
    def n_rows(self) -> int:
        return self._rows.n_rows

    @property
    def n_features(self) -> int:
        return self._rows.n_features

    @property
    def n_labels(self) -> int:
        return 0 if self.Y is None else self.Y.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """That of X, as scikit-learn counts rows by it."""
        return self._rows.shape

    def __len__(self) -> int:
        return self.n_rows

    @property
    def X(self) -> sp.csr_matrix:
        indptr, indices, data, n_features = self._rows
        return _matrix(indptr, indices, data, n_features)

    @property
    def sizes(self) -> np.ndarray:
        """int64, how many features each row has."""
        return np.diff(self._rows.indptr)

    def rows(self) -> Rows:
        """X as estimators read it, once all of it was looked at.

        Raises DataError if it is no sound matrix of finite numbers.
        """
        if not self._checked:
            _check_sound(self._rows, self.path)
            self._checked = True
        return self._rows

    def taken(self, chosen: np.ndarray) -> StoredRows:
        """These rows, by number; their features lie in a scratch file."""
        Y = None if self.Y is None else self.Y[chosen]
        texts = None if self.texts is None else self.texts.taken(chosen)
        rows = selected(self.rows(), chosen)
        own = StoredRows(self.path, rows, Y, self.label_ids, texts, self.packed_vectorizer)
        own._origin = self
        return own

    def transformed(self, transform: Callable[[list[str]], Any]) -> StoredRows:
        """The same rows, to be asked only: features of each part are made of its texts by this."""
        asked = copy(self)
        asked._transform, asked._origin = transform, self
        return asked

    def parts(self, n_entries: int = BLOCK) -> Iterator[Part]:
        """Some rows at a time, which have about so many features together."""
        for first, end in spans(self._rows.indptr, n_entries):
            for start in range(first, end, ROWS_PER_PART):
                yield self._part(start, min(end, start + ROWS_PER_PART))
            release(self._rows.data)
            release(self._rows.indices)

    def _part(self, start: int, end: int) -> Part:
        texts = None if self.texts is None else self.texts[start:end]
        if texts is not None and self._transform is not None:
            made = canonical(self._transform(texts), self.path, "X")
            return Part(start, end, as_rows(made, normalize=False), texts)
        rows = self._rows.part(start, end)
        _check_sound(rows, self.path)
        return Part(start, end, rows, texts)

    def check_unchanged(self) -> None:
        """Raise DataError if a file was changed since the folder was opened.

        A folder that was replaced by another one is still there for whoever had opened it.
        """
        if self._origin is not None:
            self._origin.check_unchanged()
        for name, (descriptor, before) in self._files.items():
            if _state(descriptor) != before:
                raise DataError(
                    f"{self.path}: {name} was changed while it was read; what was made of it is "
                    "worth nothing"
                )


def open_rows(path: FilePath, verify: bool = False) -> StoredRows:
    """The rows in a folder that `xmc convert` wrote, mapped, not loaded: a StoredRows.

    verify: read all of it and compare its checksums. Without, sizes are compared now, and `fit`
    finds what could lead out of an array.

    Raises DataError if it is no such folder, damaged, or of a newer format.
    """
    with as_data_error():
        meta, arrays, files = read_at_once(path, FILE, _read)
        try:
            if verify:
                verify_arrays(path, FILE, meta, arrays)
            with as_model_error(path, FILE):
                return _stored(path, meta, arrays, files)
        except BaseException:
            _close(files.values())
            raise


def is_stored(path: FilePath) -> bool:
    """Whether a folder of rows is there."""
    return os.path.isfile(os.path.join(path, FILE))


def _read(
    path: FilePath, file: str, folder: int
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, int]]:
    """JSON, arrays, and a descriptor of the file of each array, by its name."""
    meta = meta_in(path, file, folder, FORMAT, FORMAT)
    with as_model_error(path, file):
        listed = {
            n: (np.dtype(of["dtype"]), tuple(of["shape"])) for n, of in meta["arrays"].items()
        }
        if wrong := [n for n, (dtype, shape) in listed.items() if not _is_ours(n, dtype, shape)]:
            raise ValueError(f"expected arrays of a folder of rows, got {wrong[0]!r}")
    arrays, files = {}, {}
    try:
        for name, (dtype, shape) in listed.items():
            with open_regular(f"{name}.npy", folder) as opened:
                files[f"{name}.npy"] = os.dup(opened.fileno())
            arrays[name] = npy_array(Path(path), name, dtype, shape)
            size, expected = os.fstat(files[f"{name}.npy"]).st_size, file_size(arrays[name])
            if expected not in (None, size):
                where = os.path.join(path, f"{name}.npy")
                raise ModelError(f"{where}: expected {expected:,} bytes, got {size:,}")
        if not is_still(path, folder):
            raise FileNotFoundError(2, "replaced meanwhile", file)
    except FileNotFoundError:
        _close(files.values())
        raise
    except BaseException as error:
        _close(files.values())
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise ModelError(f"{os.fspath(path)}: {name}.npy can't be read: {reason}") from None
        raise
    return meta, arrays, files


def _is_ours(name: str, dtype: np.dtype, shape: tuple[Any, ...]) -> bool:
    sizes = len(shape) > 0 and all(type(size) is int and size >= 0 for size in shape)
    own = name.startswith(VECTORIZER) and Path(name).name == name
    return sizes and (own or (len(shape) == 1 and DTYPES.get(name) == dtype.str))


def _stored(
    path: FilePath, meta: dict[str, Any], arrays: dict[str, np.ndarray], files: Mapping[str, int]
) -> StoredRows:
    n_rows, n_features, n_labels = (meta[n] for n in ("n_rows", "n_features", "n_labels"))
    X = _csr_arrays("X", arrays, n_rows, n_features)
    Y = label_ids = texts = vectorizer = None
    if n_labels is not None:
        Y = _matrix(*_csr_arrays("Y", arrays, n_rows, n_labels))
        if not within(Y.indices, n_labels):
            raise ValueError(f"Y: expected labels below {n_labels}")
    if "label_ids" in arrays:
        label_ids = unpack_strings(arrays["label_ids"], arrays["label_ids_offsets"])
        if len(label_ids) != n_labels:
            raise ValueError(f"expected {n_labels} label ids, got {len(label_ids)}")
    if "texts" in arrays:
        content, offsets = arrays["texts"], arrays["texts_offsets"]
        if len(offsets) != n_rows + 1 or not lists_fit(offsets, content):
            raise ValueError(f"expected {n_rows} texts, they don't fit")
        texts = Texts(content, offsets)
    if meta["vectorizer"] is not None:
        own = {n.removeprefix(VECTORIZER): a for n, a in arrays.items() if n.startswith(VECTORIZER)}
        vectorizer = meta["vectorizer"], own
    return StoredRows(path, Rows(*X), Y, label_ids, texts, vectorizer, files)


def _csr_arrays(
    name: str, arrays: Mapping[str, np.ndarray], n_rows: Any, width: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Pointers, ids, values and width of a matrix, as far as their ends tell that they fit."""
    indptr, indices, data = (arrays[f"{name}.{part}"] for part in ("indptr", "indices", "data"))
    sizes = all(type(size) is int and 0 <= size <= INT32_MAX for size in (n_rows, width))
    fits = sizes and len(indptr) == n_rows + 1 and len(indices) == len(data)
    if not fits or not lists_fit(indptr, indices):
        raise ValueError(f"{name}: expected arrays that fit each other, they don't")
    return indptr, indices, data, width


def _matrix(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, width: int) -> sp.csr_matrix:
    """The arrays as a matrix, without a copy: scipy's own constructor makes ids as wide as pointers
    have to be.
    """
    M = sp.csr_matrix((len(indptr) - 1, width), dtype=data.dtype)
    M.data, M.indices = data, indices
    M.indptr = indptr.astype(np.int32) if len(data) <= INT32_MAX else indptr
    return M


def _check_sound(rows: Rows, path: str) -> None:
    """Raise DataError unless kernels can trust the rows; they are looked at in blocks."""
    for start, end in spans(rows.indptr, BLOCK):
        part = rows.part(start, end)
        ids = within(part.indices, rows.n_features) and ascend(part.indptr, part.indices)
        if not ids or not (np.isfinite(part.data).all() and part.data.all()):
            what = "X.data.npy" if ids else "X.indices.npy"
            rows_ = f"in rows {start:,} to {end - 1:,}"
            raise DataError(f"{path}: {what} is not what was written: it is damaged {rows_}")
        release(rows.indices)
        release(rows.data)


def _state(descriptor: int) -> tuple[int, int]:
    """What changes when a file does."""
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns


def _close(descriptors: Any) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@contextmanager
def as_data_error() -> Iterator[None]:
    """What is wrong with a folder, as an error about data."""
    try:
        yield
    except ModelError as error:
        raise DataError(str(error)) from error
