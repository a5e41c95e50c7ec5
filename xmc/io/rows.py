"""XMC text and SVMlight, to matrices and back."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
import scipy.sparse as sp

from ..arrays import INT32_MAX, frozen
from ..errors import DataError
from .files import FilePath, empty_file, quoted, read_bytes, source_name

TOKEN = re.compile(rb"[^ \t\r\n]*")
NUMBER = re.compile(rb"[-+.\deE]*")
HEADER = re.compile(rb"\s*(\d+)[ \t]+(\d+)[ \t]+(\d+)\s*")
BLOCK_BYTES = 1 << 22


def is_header(line: bytes) -> bool:
    """Whether the line is three integers, as XMC text begins."""
    return HEADER.fullmatch(line.removeprefix(codecs.BOM_UTF8)) is not None


def read_xmc(path: FilePath, zero_based: bool = True) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of a file with a header `rows features labels` and rows `l1,l2 f:v f:v`.

    Raises DataError, with the line, at anything else.
    """
    content, name = read_bytes(path), source_name(path)
    start = content.index(b"\n") + 1
    n_rows, n_features, n_labels = _header(bytes(content[:start]), name)
    X, Y = _parse(content, start, name, int(not zero_based), n_features, n_labels, comment=b"\n")
    surplus = X.shape[0] - n_rows
    if surplus < 0 or X.indptr[n_rows] < X.nnz or Y.indptr[n_rows] < Y.nnz:
        raise DataError(f"{name}:1: expected {n_rows} rows as the header says, got {X.shape[0]}")
    return X[:n_rows] if surplus else X, Y[:n_rows] if surplus else Y


def _header(line: bytes, name: str) -> tuple[int, int, int]:
    if not is_header(line):
        raise DataError(
            f"{name}:1: expected a header 'rows features labels', got {quoted(line.strip())}"
        )
    digits = HEADER.fullmatch(line).groups()
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
    """X and Y of a file of rows `l1,l2 f:v f:v # comment`, as wide as their largest ids ask for.

    A blank line is a row without labels and features; a line that holds only a comment is none.
    Raises DataError, with the line, at anything else.
    """
    X, Y = _parse(
        read_bytes(path),
        0,
        source_name(path),
        int(not zero_based),
        INT32_MAX,
        INT32_MAX,
        comment=b"#",
    )
    if X.shape[0] == 0:
        raise empty_file(path)
    return _narrowed(X), _narrowed(Y)


def _narrowed(M: sp.csr_matrix) -> sp.csr_matrix:
    width = int(M.indices.max()) + 1 if M.nnz else 0
    return sp.csr_matrix((M.data, M.indices, M.indptr), shape=(M.shape[0], width))


def _parse(
    content: bytearray,
    start: int,
    name: str,
    base: int,
    n_features: int,
    n_labels: int,
    comment: bytes,
):
    from ..kernels import parse

    text = frozen(np.frombuffer(content, np.uint8))
    n_lines, n_colons, n_commas = parse.count_marks(text)
    labels, label_ptr = np.empty(n_lines + n_commas, np.int32), np.empty(n_lines + 1, np.int64)
    features, feature_ptr = np.empty(n_colons, np.int32), np.empty(n_lines + 1, np.int64)
    values = np.empty(n_colons, np.float32)
    arrays = labels, label_ptr, features, values, feature_ptr
    n_doubts, doubts = 1, np.empty((0, 2), np.int64)
    while n_doubts > len(doubts):
        doubts = np.empty((max(1024, n_doubts), 2), np.int64)
        fault, at, n_rows, n_doubts = parse.parse_rows(
            text, start, base, n_labels, n_features, ord(comment), *arrays, doubts
        )
    if fault != parse.FINE:
        raise _fault(fault, content, at, name, base, n_features, n_labels)
    _settle(content, name, values, doubts[:n_doubts])
    X = _canonical(values, features, feature_ptr[: n_rows + 1], n_features)
    Y = _canonical(
        np.ones(label_ptr[n_rows], np.float32), labels, label_ptr[: n_rows + 1], n_labels
    )
    Y.data[:] = 1
    return X, Y


def _canonical(values, columns, ptr, width) -> sp.csr_matrix:
    used = ptr[-1]
    M = sp.csr_matrix((values[:used], columns[:used], ptr), shape=(len(ptr) - 1, width))
    M.sum_duplicates()
    return M


def _settle(content: bytearray, name: str, values: np.ndarray, doubts: np.ndarray) -> None:
    """Reads the values of `doubts` exactly."""
    if len(doubts) == 0:
        return
    tokens = [NUMBER.match(content, at).group() for at in doubts[:, 1].tolist()]
    values[doubts[:, 0]] = exact = nearest_float32(tokens)
    if np.isinf(exact).any():
        token, at = next(
            (t, at) for t, at, v in zip(tokens, doubts[:, 1], exact, strict=True) if np.isinf(v)
        )
        raise DataError(
            f"{name}:{_line(content, at)}: expected a finite float32 number, got {quoted(token)}"
        )


def _line(content: bytearray, at: int) -> int:
    return content.count(b"\n", 0, at) + 1


def _fault(
    fault: int, content: bytearray, at: int, name: str, base: int, n_features: int, n_labels: int
) -> DataError:
    from ..kernels import parse

    token, line = TOKEN.match(content, at).group(), _line(content, at)
    if fault == parse.LABEL_RANGE:
        expected = _range("label", base, n_labels)
        token = token.split(b",")[0]
    elif fault == parse.FEATURE_RANGE:
        expected = _range("feature", base, n_features)
    elif fault == parse.BAD_VALUE:
        expected = "a finite float32 number"
    else:
        expected = "feature:value" if fault == parse.BAD_FEATURE or b":" in token else "label,label"
    return DataError(f"{name}:{line}: expected {expected}, got {quoted(token)}")


def _range(kind: str, base: int, count: int) -> str:
    return (
        f"a {kind} id from {base} to {count - 1 + base}"
        if count
        else f"no {kind} as the header says"
    )


def nearest_float32(tokens: Sequence[str | bytes]) -> np.ndarray:
    """The float32 nearest to each decimal, the even one of two; infinity beyond the largest.

    Python rounds to float64 correctly; rounding that again is wrong only where it is the middle of
    two float32s.
    """
    doubles = np.array([float(token) for token in tokens], np.float64)
    with np.errstate(over="ignore"):
        values = doubles.astype(np.float32)
        other = np.nextafter(values, np.where(doubles > values, np.inf, -np.inf).astype(np.float32))
    # infinity stands for 2**128 here, the number after the largest float32
    ends = [np.clip(ends.astype(np.float64), -(2.0**128), 2.0**128) for ends in (values, other)]
    for i in np.flatnonzero((doubles == (ends[0] + ends[1]) / 2) & (doubles != values)):
        token = tokens[i].decode() if isinstance(tokens[i], bytes) else tokens[i]
        exact, middle = Decimal(token), Decimal(float(doubles[i]))
        if exact != middle:
            choose = max if exact > middle else min
            values[i] = choose(values[i], other[i])
    return values


def row_text(X: sp.csr_matrix, Y: sp.csr_matrix, zero_based: bool = True) -> Iterator[memoryview]:
    """The rows of X and Y as blocks of lines `l1,l2 f:v f:v`, each number as short as it reads back
    the same.
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
        yield memoryview(out)[:used]
        first = last


def value_texts(values: np.ndarray) -> list[str]:
    """Each finite float32 as the shortest decimal that reads back to it."""
    from ..kernels.format import VALUE_BYTES, format_values

    out = np.empty(len(values) * (VALUE_BYTES + 1), np.uint8)
    used = format_values(frozen(np.ascontiguousarray(values, np.float32).view(np.int32)), out)
    return out[:used].tobytes().decode().split("\n")[:-1]
