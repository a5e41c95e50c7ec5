"""Every public reader, and what must hold of what it gives, also written and read again."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from xmc import Vocabulary
from xmc.errors import XmcError
from xmc.io import (
    Dataset,
    Predictions,
    align_labels,
    read,
    read_blocks,
    read_label_names,
    read_predictions,
    write,
    write_matrix,
    write_predictions,
)
from xmc.topk import TopK

# What no message may hold: controls, halves of surrogate pairs, what breaks lines or turns text.
UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
MOST_BLOCKS = 10_000
LONGEST_MESSAGE = 600  # without the name of the file
MARK = "\ufeff"


class Parser(NamedTuple):
    """A reader of files that end in `suffix`."""

    suffix: str
    read: Callable[[str], Any]
    check: Callable[[Any], None]  # what holds of all that is read
    again: Callable[[str, Any], None]  # that it is the same, written to a path and read
    slow: bool = False
    in_blocks: Callable[[str, int], Dataset] | None = None  # the same, in blocks of so many bytes


def outcome(name: str, path: str) -> str:
    """ "read", "refused", or BAD and what is wrong."""
    parser = PARSERS[name]
    try:
        found = parser.read(path)
    except XmcError as error:
        return _of_message(error, path) if _refused_in_blocks(parser, path, error) else "BAD blocks"
    except Exception as error:  # what nobody foresaw is what is looked for
        return f"BAD {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    try:
        parser.check(found)
        parser.again(f"{path}.again", found)
        if parser.in_blocks is not None and len(found.texts or found.X.indptr) < MOST_BLOCKS:
            same_dataset(found, parser.in_blocks(path, _few(path)))
    except Exception as error:
        return f"BAD value: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "read"


class TooManyBlocks(Exception):
    """More than it makes sense to read."""


def _few(path: str) -> int:
    """How many bytes a block shall have: so few that small files have many, large ones 100."""
    size = os.path.getsize(path)
    return 1 + size % 50 + size // 100


def _refused_in_blocks(parser: Parser, path: str, whole: XmcError) -> bool:
    """Whether blocks are refused where the whole is: at the same line or, as what comes far down
    is read later, at one above.
    """
    if parser.in_blocks is None:
        return True
    try:
        parser.in_blocks(path, _few(path))
    except XmcError as error:
        if str(error) == str(whole):
            return True
        lines = [re.search(r":(\d+): ", str(own)) for own in (error, whole)]
        at_end = "rows as the header says" in str(whole)
        return at_end or None in lines or int(lines[0][1]) <= int(lines[1][1])
    except TooManyBlocks:
        return True
    except Exception:
        return False
    return False


def joined(blocks: Iterable[Dataset]) -> Dataset:
    """The blocks of a data set as one, the columns of labels in the order of their ids."""
    blocks = list(blocks)
    assert all(0 not in {len(part) for part in (b.texts,) if part is not None} for b in blocks)
    ids = None
    if blocks[0].label_ids is not None:
        ids = sorted({label for block in blocks for label in block.label_ids})
        moved = [align_labels(block.Y, block.label_ids, ids)[0] for block in blocks]
        blocks = [block._replace(Y=Y) for block, Y in zip(blocks, moved, strict=True)]
    X, Y = (_stacked([block[part] for block in blocks]) for part in range(2))
    texts = None if blocks[0].texts is None else [text for b in blocks for text in b.texts]
    return Dataset(X, Y, texts, ids)


def _stacked(matrices: list[sp.csr_matrix | None]) -> sp.csr_matrix | None:
    """All rows, as wide as the widest matrix."""
    if matrices[0] is None:
        return None
    width = max(M.shape[1] for M in matrices)
    for M in matrices:
        assert M.shape[0] > 0
        M.resize(M.shape[0], width)
    whole = sp.vstack(matrices, format="csr", dtype=np.float32)
    whole.sort_indices()
    return whole


def same_dataset(a: Dataset, b: Dataset) -> None:
    """Both are one data set to the bit."""
    same_csr(a.X, b.X)
    same_csr(a.Y, b.Y)
    assert a[2:] == b[2:], (a[2:], b[2:])


def _of_message(error: XmcError, path: str) -> str:
    message = str(error).replace(path, "")
    if UNSEEN.search(message):
        return f"BAD message: {message!r}"
    if len(message) > LONGEST_MESSAGE:
        return f"BAD message of {len(message):,} characters: {message[:200]}"
    if isinstance(error.__cause__, MemoryError):
        return f"BAD memory: {message}"
    return "refused"


def check_csr(M: sp.csr_matrix) -> None:
    """A matrix as all code below the readers believes it to be, in any order."""
    assert isinstance(M, sp.csr_matrix), type(M)
    assert (M.dtype, M.indices.dtype) == (np.float32, np.int32), (M.dtype, M.indices.dtype)
    assert len(M.indptr) == M.shape[0] + 1 and M.indptr[0] == 0, M.indptr
    assert M.indptr[-1] == len(M.indices) == len(M.data), (M.indptr[-1], len(M.indices))
    assert (M.indptr[1:] >= M.indptr[:-1]).all(), M.indptr
    assert M.nnz == 0 or (M.indices.min() >= 0 and M.indices.max() < M.shape[1]), M.indices
    assert np.isfinite(M.data).all(), M.data


def check_canonical(M: sp.csr_matrix) -> None:
    """The same, with the columns of each row ascending."""
    check_csr(M)
    rows = np.repeat(np.arange(M.shape[0], dtype=np.int64), np.diff(M.indptr))
    assert (np.diff(rows * M.shape[1] + M.indices) > 0).all(), M.indices


def check_dataset(found: Dataset) -> None:
    """What the docstring of Dataset says."""
    sizes = {len(part) for part in (found.texts,) if part is not None}
    for M in (found.X, found.Y):
        if M is not None:
            check_canonical(M)
            sizes.add(M.shape[0])
    assert len(sizes) == 1 and 0 not in sizes, sizes
    assert found.Y is None or (found.Y.data > 0).all(), found.Y.data
    assert not any("\n" in text for text in found.texts or ())
    if found.label_ids is not None:
        check_ids(found.label_ids, found.Y.shape[1])
        assert not any("," in label or label != label.strip() for label in found.label_ids)


def check_ids(ids: list[str], n: int) -> None:
    """So many ids, ascending, none of them empty."""
    assert len(ids) == n, (len(ids), n)
    assert all(a < b for a, b in zip(ids, ids[1:], strict=False)) and "" not in ids, ids
    "".join(ids).encode()


def same_csr(a: sp.csr_matrix | None, b: sp.csr_matrix | None) -> None:
    """Both are one matrix to the bit, or none."""
    assert (a is None) == (b is None)
    if a is not None:
        assert a.shape == b.shape, (a.shape, b.shape)
        assert np.array_equal(a.indptr, b.indptr) and np.array_equal(a.indices, b.indices)
        assert np.array_equal(a.data.view(np.int32), b.data.view(np.int32)), (a.data, b.data)


def _of_ones(Y: sp.csr_matrix | None) -> sp.csr_matrix | None:
    return None if Y is None else Y.sign()


def _put(path: str, write_to: Callable[[str], None]) -> bytes:
    """Write what goes to stdout into the file, which is faster than replacing one."""
    with redirect_stdout(io.TextIOWrapper(io.BytesIO())) as out:
        write_to("-")
    with open(path, "wb") as file:
        file.write(out.buffer.getvalue())
    return out.buffer.getvalue()


def dataset_again(path: str, found: Dataset, format: str, zero_based: bool) -> None:
    if format == "npz":
        write_matrix(path, found.X, format=format, overwrite=True)
    elif found.X is not None and found.X.shape[1] == 0:
        return  # no format holds a matrix without a column
    elif _put(path, lambda to: write(to, found, format=format, zero_based=zero_based)).startswith(
        MARK.encode()
    ):
        return  # what begins with a mark loses it
    columns = "labels,text" if format == "tsv" else None
    again = read(path, format=format, zero_based=zero_based, tsv_columns=columns)
    same_csr(found.X, again.X)
    # Of rows of numbers, weights of labels are left out where they are written.
    same_csr(found.Y if format == "tsv" else _of_ones(found.Y), again.Y)
    assert found[2:] == again[2:], (found[2:], again[2:])


def check_predictions(found: Predictions) -> None:
    check_csr(found.P)
    assert found.P.shape[0] > 0
    if found.label_ids is not None:
        check_ids(found.label_ids, found.P.shape[1])


def predictions_again(path: str, found: Predictions, format: str) -> None:
    P, ids = found
    k = int(np.diff(P.indptr).max())
    if P.shape[1] == 0 or P.shape[0] * k > 10**6:
        return
    top = TopK.from_csr(P, k)
    if format == "npz":
        write_predictions(path, top, P.shape[1], format=format, overwrite=True)
    else:
        args = (top, P.shape[1])
        named = {"label_ids": ids, "format": format}
        if _put(path, lambda to: write_predictions(to, *args, **named)).startswith(MARK.encode()):
            return
    again = read_predictions(path, format=format)
    assert again.label_ids == ids
    best = TopK.from_csr(again.P, k)
    assert np.array_equal(best.labels, top.labels) and np.array_equal(best.scores, top.scores)


def check_vocabulary(found: Vocabulary) -> None:
    check_ids(found.ids, len(found))
    assert not any(UNSEEN.search(notice) for notice in found.notices), found.notices
    assert all(" ".join(name.split()) == name != "" for name in found.names)
    assert all(found.broader(concept) is not None for concept in found.ids[:3])
    found.names_of(found.ids)


def vocabulary_again(path: str, found: Vocabulary) -> None:
    assert Vocabulary.from_arrays(found.to_arrays()) == found


def check_names(found: tuple[list[str], list[str]]) -> None:
    ids, names = found
    assert len(ids) == len(names) == len(set(ids)) > 0
    assert "" not in ids and "" not in names


def names_again(path: str, found: tuple[list[str], list[str]]) -> None:
    lines = [f"{label}\t{name}\n" for label, name in zip(*found, strict=True)]
    with open(path, "wb") as file:
        file.write("".join(lines).encode())
    assert lines[0].startswith(MARK) or read_label_names(path) == found


def _dataset(suffix: str, format: str, zero_based: bool = True, told: bool = True) -> Parser:
    """A reader of data sets; `told`: whether it is told the format, or the file's name tells."""
    asked = {"format": format if told else None, "zero_based": zero_based}
    again = partial(dataset_again, format=format, zero_based=zero_based)
    in_blocks = partial(_in_blocks, **asked)
    return Parser(suffix, partial(read, **asked), check_dataset, again, in_blocks=in_blocks)


def _in_blocks(path: str, n_bytes: int, **asked: Any) -> Dataset:
    blocks = read_blocks(path, block_bytes=n_bytes, **asked)
    first = list(islice(blocks, MOST_BLOCKS))
    if next(blocks, None) is not None:
        raise TooManyBlocks
    return joined(first)


def _text_or_numbers() -> Parser:
    """A .txt file, whose first line tells what it is."""

    def again(path: str, found: Dataset) -> None:
        format = "text" if found.X is None else "sparse" if found.Y is None else "xmc"
        dataset_again(path, found, format, True)

    return Parser(".txt", read, check_dataset, again, in_blocks=_in_blocks)


def _predictions(format: str, suffix: str | None = None) -> Parser:
    again = partial(predictions_again, format=format)
    return Parser(suffix or f".{format}", read_predictions, check_predictions, again)


def _vocabulary(format: str, slow: bool = False) -> Parser:
    return Parser(f".{format}", Vocabulary.read, check_vocabulary, vocabulary_again, slow)


PARSERS = {
    "xmc": _text_or_numbers(),
    "xmc-from-1": _dataset(".txt", "xmc", zero_based=False),
    "sparse-from-1": _dataset(".txt", "sparse", zero_based=False),
    "svmlight": _dataset(".svm", "svmlight", told=False),
    "svmlight-from-1": _dataset(".svm", "svmlight", zero_based=False),
    "documents": _dataset(".tsv", "tsv", told=False),
    "text": _dataset(".txt", "text"),
    "npz": _dataset(".npz", "npz", told=False),
    "label-names": Parser(".txt", read_label_names, check_names, names_again),
    **{f"predictions-{format}": _predictions(format) for format in ("npz", "tsv", "jsonl")},
    "predictions-sparse": _predictions("sparse", ".txt"),
    **{f"vocabulary-{format}": _vocabulary(format) for format in ("tsv", "txt", "csv", "jsonl")},
    **{
        f"vocabulary-{format}": _vocabulary(format, True)
        for format in ("ttl", "rdf", "nt", "jsonld")
    },
}
