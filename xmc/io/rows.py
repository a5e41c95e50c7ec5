"""Read and write rows of features and labels as text: XMC text and SVMlight."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import INT32_MAX, frozen
from ..errors import DataError, quoted
from ..inputs import check_finite
from .files import FilePath, empty_file, read_bytes, source_name

TOKEN = re.compile(rb"[^ \t\r\n]*")
NUMBER = re.compile(rb"[-+.\deE]*")
HEADER = re.compile(rb"\s*(\d+)[ \t]+(\d+)[ \t]+(\d+)\s*")
BLOCK_BYTES = 1 << 22


def is_header(line: bytes) -> bool:
    """Whether the line is three integers, as XMC text begins."""
    while line.startswith(codecs.BOM_UTF8):
        line = line.removeprefix(codecs.BOM_UTF8)
    return HEADER.fullmatch(line) is not None


def read_xmc(path: FilePath, zero_based: bool = True) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of a file with a header `rows features labels` and rows `l1,l2 f:v f:v`.

    Raises DataError, with the line, at anything else.
    """
    content, name = read_bytes(path), source_name(path)
    start = content.index(b"\n") + 1
    n_rows, n_features, n_labels = _header(bytes(content[:start]), name)
    text = _Text(content, name, int(not zero_based), n_features, n_labels)
    X, Y = _parse(text, start, b"\n")
    surplus = X.shape[0] - n_rows
    if surplus < 0 or X.indptr[n_rows] < X.nnz or Y.indptr[n_rows] < Y.nnz:
        raise DataError(f"{name}:1: expected {n_rows} rows as the header says, got {X.shape[0]}")
    return X[:n_rows] if surplus else X, Y[:n_rows] if surplus else Y


def _header(line: bytes, name: str) -> tuple[int, int, int]:
    found = HEADER.fullmatch(line)
    if found is None:
        raise DataError(
            f"{name}:1: expected a header 'rows features labels', got {quoted(line.strip())}"
        )
    digits = found.groups()
    if max(map(len, digits)) > 10 or max(map(int, digits)) > INT32_MAX:
        raise DataError(
            f"{name}:1: expected header numbers up to {INT32_MAX}, got {quoted(line.strip())}"
        )
    n_rows, n_features, n_labels = map(int, digits)
    if n_rows == 0 or n_features == 0:
        raise DataError(
            f"{name}:1: expected at least one row and one feature, got {quoted(line.strip())}"
        )
    return n_rows, n_features, n_labels


def read_svmlight(path: FilePath, zero_based: bool = True) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of a file of rows `l1,l2 f:v f:v # comment`, as wide as their largest ids need.

    A blank line is a row without labels and features; a line that holds only a comment is none.
    Raises DataError, with the line, at anything else.
    """
    text = _Text(read_bytes(path), source_name(path), int(not zero_based), INT32_MAX, INT32_MAX)
    X, Y = _parse(text, 0, b"#")
    if X.shape[0] == 0:
        raise empty_file(path)
    return _narrowed(X), _narrowed(Y)


def _narrowed(M: sp.csr_matrix) -> sp.csr_matrix:
    width = int(M.indices.max()) + 1 if M.nnz else 0
    return sp.csr_matrix((M.data, M.indices, M.indptr), shape=(M.shape[0], width))


class _Text(NamedTuple):
    """What is parsed, and what ids may stand in it."""

    content: bytearray
    name: str  # of its file, in errors
    base: int  # the smallest id
    n_features: int
    n_labels: int


def _parse(text: _Text, start: int, comment: bytes) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of the rows from byte `start` on; the byte `comment` ends what is read of a line."""
    from ..kernels import parse

    content = frozen(np.frombuffer(text.content, np.uint8))
    n_lines, n_colons, n_commas = parse.count_marks(content)
    labels, label_ptr = np.empty(n_lines + n_commas, np.int32), np.empty(n_lines + 1, np.int64)
    features, feature_ptr = np.empty(n_colons, np.int32), np.empty(n_lines + 1, np.int64)
    values = np.empty(n_colons, np.float32)
    arrays = labels, label_ptr, features, values, feature_ptr
    n_doubts, doubts = 1, np.empty((0, 2), np.int64)
    while n_doubts > len(doubts):
        doubts = np.empty((max(1024, n_doubts), 2), np.int64)
        fault, at, n_rows, n_doubts = parse.parse_rows(
            content, start, text.base, text.n_labels, text.n_features, ord(comment), *arrays, doubts
        )
    if fault != parse.FINE:
        raise _fault(fault, text, at)
    _settle(text, values, doubts[:n_doubts])
    X = _summed(values, features, feature_ptr[: n_rows + 1], text.n_features)
    check_finite(X, text.name, "X")
    ones = np.ones(label_ptr[n_rows], np.float32)
    Y = _summed(ones, labels, label_ptr[: n_rows + 1], text.n_labels)
    Y.data[:] = 1
    return X, Y


def _summed(values: np.ndarray, columns: np.ndarray, ptr: np.ndarray, width: int) -> sp.csr_matrix:
    """The matrix of these CSR arrays, sorted, duplicates summed."""
    used = ptr[-1]
    M = sp.csr_matrix((values[:used], columns[:used], ptr), shape=(len(ptr) - 1, width))
    M.sum_duplicates()
    return M


def _settle(text: _Text, values: np.ndarray, doubts: np.ndarray) -> None:
    """Read the values again that the kernel couldn't round with certainty.

    doubts: the place of each in `values`, and where its digits begin in the text.
    """
    if len(doubts) == 0:
        return
    starts = doubts[:, 1].tolist()
    tokens = [_token(NUMBER, text.content, at) for at in starts]
    values[doubts[:, 0]] = exact = nearest_float32(tokens)
    if np.isinf(exact).any():
        first = int(np.argmax(np.isinf(exact)))
        line, got = _line(text.content, starts[first]), quoted(tokens[first])
        raise DataError(f"{text.name}:{line}: expected a finite float32 number, got {got}")


def _token(pattern: re.Pattern[bytes], content: bytearray, at: int) -> bytes:
    """What a pattern that matches everywhere matches at a place."""
    found = pattern.match(content, at)
    return found.group() if found else b""


def _line(content: bytearray, at: int) -> int:
    return content.count(b"\n", 0, at) + 1


def _fault(fault: int, text: _Text, at: int) -> DataError:
    """The error for what the kernel found at a byte."""
    from ..kernels import parse

    token, line = _token(TOKEN, text.content, at), _line(text.content, at)
    if fault == parse.LABEL_RANGE:
        expected = _range("label", text.base, text.n_labels)
        token = token.split(b",")[0]
    elif fault == parse.FEATURE_RANGE:
        expected = _range("feature", text.base, text.n_features)
    elif fault == parse.BAD_VALUE:
        expected = "a finite float32 number"
    else:
        expected = "feature:value" if fault == parse.BAD_FEATURE or b":" in token else "label,label"
    return DataError(f"{text.name}:{line}: expected {expected}, got {quoted(token)}")


def _range(kind: str, base: int, count: int) -> str:
    return (
        f"a {kind} id from {base} to {count - 1 + base}"
        if count
        else f"no {kind} as the header says"
    )


def nearest_float32(tokens: Sequence[str | bytes]) -> np.ndarray:
    """The float32 nearest to each decimal, the even one of two; infinity beyond the largest.

    Python rounds to float64 correctly. To round that again is wrong only where the float64 lies in
    the middle between two float32s; those are compared as exact decimals.
    """
    doubles = np.array([float(token) for token in tokens], np.float64)
    with np.errstate(over="ignore"):
        values = doubles.astype(np.float32)
        other = np.nextafter(values, np.where(doubles > values, np.inf, -np.inf).astype(np.float32))
    # Here infinity stands for 2**128, the number after the largest float32.
    ends = [np.clip(ends.astype(np.float64), -(2.0**128), 2.0**128) for ends in (values, other)]
    for i in np.flatnonzero((doubles == (ends[0] + ends[1]) / 2) & (doubles != values)):
        token = tokens[int(i)]
        exact = Decimal(token if isinstance(token, str) else token.decode())
        middle = Decimal(float(doubles[i]))
        if exact != middle:
            choose = max if exact > middle else min
            values[i] = choose(values[i], other[i])
    return values


def row_text(
    X: sp.csr_matrix, Y: sp.csr_matrix, zero_based: bool = True
) -> Iterator[bytes | memoryview]:
    """The rows of X and Y as lines `l1,l2 f:v f:v`, many lines at a time.

    Each number is the shortest decimal that reads back to the same float32.
    """
    from ..kernels.format import FEATURE_BYTES, LABEL_BYTES, format_rows

    x_ptr, y_ptr = X.indptr.astype(np.int64), Y.indptr.astype(np.int64)
    sizes = 1 + FEATURE_BYTES * np.diff(x_ptr) + LABEL_BYTES * np.diff(y_ptr)
    ends, first = np.cumsum(sizes), 0
    arrays = [frozen(a) for a in (Y.indices, y_ptr, X.indices, X.data.view(np.int32), x_ptr)]
    while first < X.shape[0]:
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + BLOCK_BYTES, side="right")))
        out = np.empty(ends[last - 1] - done, np.uint8)
        used = format_rows(first, last, int(not zero_based), *arrays, out)
        yield out[:used].data
        first = last


def value_texts(values: np.ndarray) -> list[str]:
    """Each finite float32 as the shortest decimal that reads back to it."""
    from ..kernels.format import VALUE_BYTES, format_values

    out = np.empty(len(values) * (VALUE_BYTES + 1), np.uint8)
    used = format_values(frozen(np.ascontiguousarray(values, np.float32).view(np.int32)), out)
    return out[:used].tobytes().decode().split("\n")[:-1]
