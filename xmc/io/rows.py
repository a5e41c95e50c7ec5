"""Read and write rows as text: XMC text, SVMlight, and sparse matrices."""

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
HEADER = re.compile(rb"\s*\d+([ \t]+\d+)*\s*")
FINITE, WEIGHT = "a finite float32 number", "a weight above 0 of a label"
AS_TEXT = "; --format text reads it as plain text"
BLOCK_BYTES = 1 << 22


def header_size(line: bytes) -> int:
    """How many integers the line is; 0 if it is anything else."""
    while line.startswith(codecs.BOM_UTF8):
        line = line.removeprefix(codecs.BOM_UTF8)
    return len(line.split()) if HEADER.fullmatch(line) else 0


def read_xmc(path: FilePath, zero_based: bool = True) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of a file with a header `rows features labels` and rows `l1,l2 f:v f:v`.

    Labels may have weights, `l1:w,l2:w`, which are the values of Y. In a file without a comma
    behind a weight, a row that begins with `0:0.5` has no labels and begins with a feature; in one
    with weights, a blank stands before the features of a row without labels. Raises DataError, with
    the line, at anything else.
    """
    content, name = read_bytes(path), source_name(path)
    start = content.index(b"\n") + 1
    n_rows, n_features, n_labels = _header(bytes(content[:start]), name, "rows features labels")
    text = _Text(content, name, int(not zero_based), n_features, n_labels)
    X, Y = _parse(text, start, b"\n")
    _check_rows(text, n_rows, X, Y)
    return _summed(X[:n_rows], text), distinct_labels(Y[:n_rows])


def read_sparse(path: FilePath, zero_based: bool = True) -> sp.csr_matrix:
    """The matrix of a file with a header `rows columns` and rows `c:v c:v`, in stored order.

    Raises DataError, with the line, at anything else. As plain text may begin with two numbers,
    the error then says how it is read.
    """
    content, name = read_bytes(path), source_name(path)
    start = content.index(b"\n") + 1
    n_rows, n_columns = _header(bytes(content[:start]), name, "rows columns")
    text = _Text(content, name, int(not zero_based), n_columns, 0, "column")
    M, no_labels = _parse(text, start, b"\n")
    _check_rows(text, n_rows, M, no_labels)
    return M[:n_rows]


def _header(line: bytes, name: str, fields: str) -> list[int]:
    """The numbers in the first line of a file; the first two are at least 1."""
    words, got = fields.split(), quoted(line.strip())
    if header_size(line) != len(words):
        raise DataError(f"{name}:1: expected a header '{fields}', got {got}")
    digits = line.split()
    if max(map(len, digits)) > 10 or max(map(int, digits)) > INT32_MAX:
        raise DataError(f"{name}:1: expected header numbers up to {INT32_MAX}, got {got}")
    numbers = list(map(int, digits))
    if 0 in numbers[:2]:
        expected = f"at least one row and one {words[1].removesuffix('s')}"
        raise DataError(f"{name}:1: expected {expected}, got {got}")
    return numbers


def _check_rows(text: _Text, n_rows: int, X: sp.csr_matrix, Y: sp.csr_matrix) -> None:
    """Raise DataError unless there are the rows of the header; blank lines may follow them."""
    if X.shape[0] < n_rows or X.indptr[n_rows] < X.nnz or Y.indptr[n_rows] < Y.nnz:
        raise DataError(
            f"{text.name}:1: expected {n_rows} rows as the header says, got {X.shape[0]}"
            + text.hint
        )


def read_svmlight(path: FilePath, zero_based: bool = True) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of a file of rows `l1,l2 f:v f:v # comment`, as wide as their largest ids need.

    A blank line is a row without labels and features; a line that holds only a comment is none.
    Labels may have weights, as in `read_xmc`. Raises DataError, with the line, at anything else.
    """
    text = _Text(read_bytes(path), source_name(path), int(not zero_based), INT32_MAX, INT32_MAX)
    X, Y = _parse(text, 0, b"#")
    if X.shape[0] == 0:
        raise empty_file(path)
    return _narrowed(_summed(X, text)), _narrowed(distinct_labels(Y))


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
    feature: str = "feature"  # what a row's columns are called

    @property
    def hint(self) -> str:
        """What errors say besides, where the file may be no such text at all."""
        return AS_TEXT if self.feature == "column" else ""


def _parse(text: _Text, start: int, comment: bytes) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of the rows from byte `start` on, as they stand there, duplicates and all.

    The byte `comment` ends what is read of a line.
    """
    from ..kernels import parse

    content = frozen(np.frombuffer(text.content, np.uint8))
    n_lines, n_colons, n_commas = parse.count_marks(content)
    labels, label_ptr = np.empty(n_lines + n_commas, np.int32), np.empty(n_lines + 1, np.int64)
    features, feature_ptr = np.empty(n_colons, np.int32), np.empty(n_lines + 1, np.int64)
    weights, values = np.empty(len(labels), np.float32), np.empty(n_colons, np.float32)
    arrays = labels, weights, label_ptr, features, values, feature_ptr
    bounds = text.base, text.n_labels, text.n_features
    n_doubts, weighted = 1024, 0
    while True:
        doubts = np.empty((max(1024, n_doubts), 2), np.int64)
        fault, at, n_rows, n_doubts = parse.parse_rows(
            content, start, *bounds, ord(comment), weighted, *arrays, doubts
        )
        if fault == parse.WEIGHTS and text.n_labels:
            weighted = 1
        elif n_doubts <= len(doubts):
            break
    if fault != parse.FINE:
        raise _fault(fault, text, at)
    _settle(text, weights, values, doubts[:n_doubts])
    X = _matrix(values, features, feature_ptr[: n_rows + 1], text.n_features)
    return X, _matrix(weights, labels, label_ptr[: n_rows + 1], text.n_labels)


def _matrix(values: np.ndarray, columns: np.ndarray, ptr: np.ndarray, width: int) -> sp.csr_matrix:
    """The matrix of these CSR arrays, of which the first two may be longer than needed."""
    used = ptr[-1]
    return sp.csr_matrix((values[:used], columns[:used], ptr), shape=(len(ptr) - 1, width))


def _summed(M: sp.csr_matrix, text: _Text) -> sp.csr_matrix:
    M.sum_duplicates()
    check_finite(M, text.name, "X")
    return M


def distinct_labels(Y: sp.csr_matrix) -> sp.csr_matrix:
    """Y sorted; a label that comes twice in a row is there once, with its larger weight."""
    if (Y.data == 1).all():
        Y.sum_duplicates()
        Y.data[:] = 1
        return Y
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    order = np.lexsort((-Y.data, Y.indices, rows))
    rows, columns = rows[order], Y.indices[order]
    first = np.append(True, (np.diff(rows) != 0) | (np.diff(columns) != 0))
    ends = np.append(0, np.cumsum(np.bincount(rows[first], minlength=Y.shape[0])))
    return sp.csr_matrix((Y.data[order][first], columns[first], ends), shape=Y.shape)


def _settle(text: _Text, weights: np.ndarray, values: np.ndarray, doubts: np.ndarray) -> None:
    """Read the numbers again that the kernel couldn't round with certainty.

    doubts: the place of each in `values`, or -1 - its place in `weights`; and where its digits
    begin in the text.
    """
    if len(doubts) == 0:
        return
    starts = doubts[:, 1].tolist()
    tokens = [_token(NUMBER, text.content, at) for at in starts]
    exact, is_value = nearest_float32(tokens), doubts[:, 0] >= 0
    bad = np.isinf(exact) | ((exact <= 0) & ~is_value)
    if bad.any():
        first = int(np.argmax(bad))
        expected = FINITE if is_value[first] else WEIGHT
        line, got = _line(text.content, starts[first]), quoted(tokens[first])
        raise DataError(f"{text.name}:{line}: expected {expected}, got {got}")
    values[doubts[is_value, 0]] = exact[is_value]
    weights[-1 - doubts[~is_value, 0]] = exact[~is_value]


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
    hint = ""
    if fault == parse.FEATURE_RANGE:
        expected = _range(text.feature, text.base, text.n_features)
        digits = token.split(b":")[0]
        if len(digits) <= 10 and text.n_features <= int(digits) - text.base < text.n_labels:
            hint = "; the header is 'rows features labels'"
    elif fault == parse.BAD_VALUE:
        expected = FINITE
    elif fault == parse.BAD_WEIGHT:
        expected = WEIGHT
        token = token.split(b",")[0]
    elif fault == parse.BAD_FEATURE or text.feature == "column":
        expected, hint = f"{text.feature}:value", text.hint
    elif fault in (parse.LABEL_RANGE, parse.WEIGHTS):
        expected = _range("label", text.base, text.n_labels)
        token = token.split(b",")[0]
    else:
        expected = "feature:value" if b":" in token else "label,label"
    return DataError(f"{text.name}:{line}: expected {expected}, got {quoted(token)}{hint}")


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


def sparse_text(M: sp.csr_matrix, zero_based: bool = True) -> Iterator[bytes]:
    """A header `rows columns` and the rows of M as lines `c:v c:v`, many lines at a time."""
    yield f"{M.shape[0]} {M.shape[1]}\n".encode()
    for block in row_text(M, sp.csr_matrix((M.shape[0], 0)), zero_based):
        yield bytes(block).removeprefix(b" ").replace(b"\n ", b"\n")


def value_texts(values: np.ndarray) -> list[str]:
    """Each finite float32 as the shortest decimal that reads back to it."""
    from ..kernels.format import VALUE_BYTES, format_values

    out = np.empty(len(values) * (VALUE_BYTES + 1), np.uint8)
    used = format_values(frozen(np.ascontiguousarray(values, np.float32).view(np.int32)), out)
    return out[:used].tobytes().decode().split("\n")[:-1]
