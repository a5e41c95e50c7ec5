"""Read and write rows as text: XMC text, SVMlight, and sparse matrices."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..arrays import INT32_MAX, frozen
from ..errors import DataError, quoted
from ..inputs import check_finite
from .blocks import BLOCK_BYTES, WHOLE, Cut, text_blocks
from .files import FilePath, can_be_read_again, empty_file, source_name

TOKEN = re.compile(rb"[^ \t\r\n]*")
NUMBER = re.compile(rb"[-+.\deE]*")
HEADER = re.compile(rb"\s*\d+([ \t]+\d+)*\s*")
FINITE, WEIGHT = "a finite float32 number", "a weight above 0 of a label"
AS_TEXT = "; --format text reads it as plain text"
PAIR_FIRST = re.compile(rb"^(?:[ \t\r]*\r)?\d+:", re.MULTILINE)  # behind no blank


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
    (pair,) = xmc_blocks(path, zero_based)
    return pair


def xmc_blocks(
    path: FilePath, zero_based: bool = True, cut: Cut = WHOLE
) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
    """X and Y of each block of such a file."""
    for first, X, Y in _counted_blocks(path, "rows features labels", zero_based, cut):
        yield _summed(X, source_name(path), first), distinct_labels(Y)


def read_sparse(path: FilePath, zero_based: bool = True) -> sp.csr_matrix:
    """The matrix of a file with a header `rows columns` and rows `c:v c:v`, in stored order.

    Raises DataError, with the line, at anything else. As plain text may begin with two numbers,
    the error then says how it is read.
    """
    (M,) = sparse_blocks(path, zero_based)
    return M


def sparse_blocks(
    path: FilePath, zero_based: bool = True, cut: Cut = WHOLE
) -> Iterator[sp.csr_matrix]:
    """The rows of each block of such a file."""
    for _, M, _ in _counted_blocks(path, "rows columns", zero_based, cut):
        yield M


def _counted_blocks(
    path: FilePath, fields: str, zero_based: bool, cut: Cut
) -> Iterator[tuple[int, sp.csr_matrix, sp.csr_matrix]]:
    """Blocks of a file with a header of these fields: how many rows stand before, X and Y.

    Raises DataError unless there are the rows of the header; blank lines may follow them.
    """
    blocks = text_blocks(path, cut)
    begun = next(blocks)
    start, name = begun.index(b"\n") + 1, source_name(path)
    n_rows, width, *n_labels = _header(bytes(begun[:start]), name, fields)
    kind = fields.split()[1].removesuffix("s")
    text = _Text(path, name, int(not zero_based), width, sum(n_labels), b"\n", kind)
    n_read, beyond = 0, False
    for X, Y in _parsed(text, chain([begun], blocks), start, cut):
        kept = min(X.shape[0], max(0, n_rows - n_read))
        beyond = beyond or X.indptr[kept] < X.nnz or Y.indptr[kept] < Y.nnz
        if kept:
            yield n_read, X[:kept], Y[:kept]
        n_read += X.shape[0]
    if n_read < n_rows or beyond:
        expected = f"expected {n_rows} rows as the header says"
        raise DataError(f"{name}:1: {expected}, got {n_read}{text.hint}")


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


def read_svmlight(path: FilePath, zero_based: bool = True) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of a file of rows `l1,l2 f:v f:v # comment`, as wide as their largest ids need.

    A blank line is a row without labels and features; a line that holds only a comment is none.
    Labels may have weights, as in `read_xmc`. Raises DataError, with the line, at anything else.
    """
    (pair,) = svmlight_blocks(path, zero_based)
    return pair


def svmlight_blocks(
    path: FilePath, zero_based: bool = True, cut: Cut = WHOLE
) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
    """X and Y of each block of such a file, as wide as the largest ids in the block need."""
    name, n_read = source_name(path), 0
    text = _Text(path, name, int(not zero_based), INT32_MAX, INT32_MAX, b"#")
    for X, Y in _parsed(text, text_blocks(path, cut), 0, cut):
        if X.shape[0]:
            yield _narrowed(_summed(X, name, n_read)), _narrowed(distinct_labels(Y))
        n_read += X.shape[0]
    if n_read == 0:
        raise empty_file(path)


def _narrowed(M: sp.csr_matrix) -> sp.csr_matrix:
    width = int(M.indices.max()) + 1 if M.nnz else 0
    return sp.csr_matrix((M.data, M.indices, M.indptr), shape=(M.shape[0], width))


class _Text(NamedTuple):
    """What is parsed, and what ids may stand in it."""

    path: FilePath
    name: str  # of the file, in errors
    base: int  # the smallest id
    n_features: int
    n_labels: int
    comment: bytes  # the byte that ends what is read of a line
    feature: str = "feature"  # what a row's columns are called

    @property
    def hint(self) -> str:
        """What errors say besides, where the file may be no such text at all."""
        return AS_TEXT if self.feature == "column" else ""

    @property
    def has_header(self) -> bool:
        """Whether the first line is no row."""
        return self.comment == b"\n"


class _Block(NamedTuple):
    """A part of a text."""

    content: bytearray
    start: int  # where rows begin in it
    line: int  # the number of its first line


def _parsed(
    text: _Text, contents: Iterable[bytearray], start: int, cut: Cut
) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
    """X and Y of each block, as they stand there, duplicates and all.

    start: where rows begin in the first one.

    Whether what begins a row is a label with a weight, all rows tell. Where it matters first, those
    that follow are looked at; what can be read only once must do without such labels from then on.
    """
    from ..kernels import parse

    weighted, guessed, line = False, 0, 1
    surely = cut.n_bytes is None or not text.n_labels
    for content in contents:
        block = _Block(content, start, line)
        run = _run(text, block, weighted)
        if run.fault == parse.WEIGHTS and text.n_labels:
            if guessed:
                raise _late_weight(text, block, run.at, guessed)
            weighted = surely = True
            run = _run(text, block, weighted)
        X, Y = _matrices(text, block, run)
        if not surely and (guess := _guessed(block, X, Y)):
            surely = can_be_read_again(text.path)
            guessed = 0 if surely else guess
            weighted = surely and _has_weights(text, cut)
            if weighted:
                X, Y = _matrices(text, block, _run(text, block, weighted))
        yield X, Y
        start, line = 0, line + content.count(b"\n")


def _guessed(block: _Block, X: sp.csr_matrix, Y: sp.csr_matrix) -> int:
    """The line of a row whose first feature is one only if no label has a weight; 0 if none is."""
    if not ((np.diff(Y.indptr) == 0) & (np.diff(X.indptr) > 0)).any():
        return 0
    found = PAIR_FIRST.search(block.content, block.start)
    return _line(block, found.start()) if found else 0


def _has_weights(text: _Text, cut: Cut) -> bool:
    """Whether some label of the file surely has a weight, before any fault."""
    from ..kernels import parse

    for n, content in enumerate(text_blocks(text.path, cut)):
        start = content.index(b"\n") + 1 if text.has_header and n == 0 else 0
        fault = _run(text, _Block(content, start, 1), False).fault
        if fault:
            return fault == parse.WEIGHTS
    return False


def _late_weight(text: _Text, block: _Block, at: int, guessed: int) -> DataError:
    expected = f"expected no weights of labels, as line {guessed} was read as features"
    got = quoted(_token(TOKEN, block.content, at))
    return DataError(
        f"{text.name}:{_line(block, at)}: {expected}, got {got}; a file can be read, not a stream"
    )


class _Run(NamedTuple):
    """What the kernel made of a block."""

    fault: int
    at: int  # its place
    n_rows: int
    arrays: tuple[np.ndarray, ...]  # labels, weights, label_ptr, features, values, feature_ptr
    doubts: np.ndarray


def _run(text: _Text, block: _Block, weighted: bool) -> _Run:
    """Parse a block; weighted: whether labels have weights, also where no comma tells."""
    from ..kernels import parse

    content = frozen(np.frombuffer(block.content, np.uint8))
    n_lines, n_colons, n_commas = parse.count_marks(content)
    labels, label_ptr = np.empty(n_lines + n_commas, np.int32), np.empty(n_lines + 1, np.int64)
    features, feature_ptr = np.empty(n_colons, np.int32), np.empty(n_lines + 1, np.int64)
    weights, values = np.empty(len(labels), np.float32), np.empty(n_colons, np.float32)
    arrays = labels, weights, label_ptr, features, values, feature_ptr
    how = text.base, text.n_labels, text.n_features, ord(text.comment), int(weighted)
    n_doubts = 1024
    while True:
        doubts = np.empty((n_doubts, 2), np.int64)
        fault, at, n_rows, found = parse.parse_rows(content, block.start, *how, *arrays, doubts)
        if found <= n_doubts:
            return _Run(fault, at, n_rows, arrays, doubts[:found])
        n_doubts = found


def _matrices(text: _Text, block: _Block, run: _Run) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of a block. Raises DataError if there is a fault."""
    if run.fault:
        raise _fault(run.fault, text, block, run.at)
    labels, weights, label_ptr, features, values, feature_ptr = run.arrays
    _settle(text, block, weights, values, run.doubts)
    X = _matrix(values, features, feature_ptr[: run.n_rows + 1], text.n_features)
    return X, _matrix(weights, labels, label_ptr[: run.n_rows + 1], text.n_labels)


def _matrix(values: np.ndarray, columns: np.ndarray, ptr: np.ndarray, width: int) -> sp.csr_matrix:
    """The matrix of these CSR arrays, of which the first two may be longer than needed."""
    used = ptr[-1]
    return sp.csr_matrix((values[:used], columns[:used], ptr), shape=(len(ptr) - 1, width))


def _summed(M: sp.csr_matrix, name: str, first_row: int) -> sp.csr_matrix:
    M.sum_duplicates()
    check_finite(M, name, "X", first_row)
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


def _settle(
    text: _Text, block: _Block, weights: np.ndarray, values: np.ndarray, doubts: np.ndarray
) -> None:
    """Read the numbers again that the kernel couldn't round with certainty.

    doubts: the place of each in `values`, or -1 - its place in `weights`; and where its digits
    begin in the text.
    """
    if len(doubts) == 0:
        return
    starts = doubts[:, 1].tolist()
    tokens = [_token(NUMBER, block.content, at) for at in starts]
    exact, is_value = nearest_float32(tokens), doubts[:, 0] >= 0
    bad = np.isinf(exact) | ((exact <= 0) & ~is_value)
    if bad.any():
        first = int(np.argmax(bad))
        expected = FINITE if is_value[first] else WEIGHT
        line, got = _line(block, starts[first]), quoted(tokens[first])
        raise DataError(f"{text.name}:{line}: expected {expected}, got {got}")
    values[doubts[is_value, 0]] = exact[is_value]
    weights[-1 - doubts[~is_value, 0]] = exact[~is_value]


def _token(pattern: re.Pattern[bytes], content: bytearray, at: int) -> bytes:
    """What a pattern that matches everywhere matches at a place."""
    found = pattern.match(content, at)
    return found.group() if found else b""


def _line(block: _Block, at: int) -> int:
    return block.line + block.content.count(b"\n", 0, at)


def _fault(fault: int, text: _Text, block: _Block, at: int) -> DataError:
    """The error for what the kernel found at a byte."""
    from ..kernels import parse

    token, line = _token(TOKEN, block.content, at), _line(block, at)
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
    yield from sparse_rows(M, zero_based)


def sparse_rows(M: sp.csr_matrix, zero_based: bool = True) -> Iterator[bytes]:
    """The rows of M as such lines."""
    for block in row_text(M, sp.csr_matrix((M.shape[0], 0)), zero_based):
        yield bytes(block).removeprefix(b" ").replace(b"\n ", b"\n")


def value_texts(values: np.ndarray) -> list[str]:
    """Each finite float32 as the shortest decimal that reads back to it."""
    from ..kernels.format import VALUE_BYTES, format_values

    out = np.empty(len(values) * (VALUE_BYTES + 1), np.uint8)
    used = format_values(frozen(np.ascontiguousarray(values, np.float32).view(np.int32)), out)
    return out[:used].tobytes().decode().split("\n")[:-1]
