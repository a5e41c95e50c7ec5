"""Plain arrays, as the kernels read them: sparse rows, targets, lists of ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import numpy as np

INT32_MAX = 2**31 - 1  # ids are int32, so a matrix has at most so many columns
BLOCK = 1 << 22  # entries that are looked at together, where all of them may be too many


class Rows(NamedTuple):
    """A sparse matrix in CSR form, features ascending in each row, all arrays read-only."""

    indptr: np.ndarray  # (n_rows + 1,) int64, where each row begins and ends
    indices: np.ndarray  # int32, the features of all rows
    data: np.ndarray  # float32, their values
    n_features: int

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_rows, self.n_features

    def part(self, start: int, end: int) -> Rows:
        """Rows start..end-1, without copying values."""
        first, last = self.indptr[start], self.indptr[end]
        return Rows(
            frozen(self.indptr[start : end + 1] - first),
            self.indices[first:last],
            self.data[first:last],
            self.n_features,
        )


class Targets(NamedTuple):
    """The labels of each row, or their nodes on a level of a tree; all arrays read-only."""

    indptr: np.ndarray  # (n_rows + 1,) int64, where each row begins and ends
    ids: np.ndarray  # int32, ascending in each row
    costs: np.ndarray  # float32, an error on each id over one on other ids; empty if all are 1


class Lists(NamedTuple):
    """Lists of ids laid end to end, such as the rows of each label; both arrays read-only."""

    indptr: np.ndarray  # (n_lists + 1,) int64, where each list begins and ends
    ids: np.ndarray  # int32, ascending in each list


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only view: kernels compile once for arrays in memory and arrays mapped from disk."""
    view = array.view()
    view.flags.writeable = False
    return view


def freeze(value: Any) -> None:
    """Make the arrays read-only that a tuple or a dataclass is made of, as a copy's aren't; what a
    dataclass has computed once, too.
    """
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif is_dataclass(value):
        freeze(tuple(vars(value).values()))
    elif isinstance(value, tuple):
        for own in value:
            freeze(own)


def pointers(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Offsets of parts of these sizes laid end to end, and the end: int64, read-only."""
    return frozen(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def spans(indptr: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Rows start..end-1 that have at most so many entries together, or are one row, in turn."""
    start = 0
    while start < len(indptr) - 1:
        end = int(np.searchsorted(indptr, indptr[start] + most, side="right")) - 1
        end = max(start + 1, end)
        yield start, end
        start = end


def ascend(indptr: np.ndarray, ids: np.ndarray) -> bool:
    """Whether the ids of each list ascend."""
    ascends = ids[1:] > ids[:-1]
    ascends[indptr[1:-1][(indptr[1:-1] > 0) & (indptr[1:-1] < len(ids))] - 1] = True
    return bool(ascends.all())


def lists_fit(indptr: np.ndarray, ids: Sized) -> bool:
    """Whether pointers rise from 0 to the end of the lists that they divide."""
    return len(indptr) > 0 and indptr[0] == 0 and indptr[-1] == len(ids) and _rise(indptr)


def _rise(indptr: np.ndarray) -> bool:
    return bool((indptr[1:] >= indptr[:-1]).all())


def within(ids: np.ndarray, end: int) -> bool:
    """Whether all ids are from 0 to end - 1."""
    return len(ids) == 0 or (int(ids.min()) >= 0 and int(ids.max()) < end)
