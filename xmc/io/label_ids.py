"""Columns of labels that are known by ids, and files of label names."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from heapq import nlargest

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, quoted
from ..soundness import sound
from .files import FilePath, numbered_lines, source_name

MOST_COMPARED, LEAST_ALIKE = 100, 0.3  # ids or names that may be what was meant


def csr_by_id(
    values: np.ndarray,
    columns: Sequence[int] | np.ndarray,
    ptr: Sequence[int],
    ids: list[str],
) -> tuple[sp.csr_matrix, list[str]]:
    """The matrix of these CSR arrays, its columns sorted by their ids; and the sorted ids.

    ids: of the columns as they come. Each row's entries keep their order.
    """
    M = sp.csr_matrix(
        (values, np.array(columns, np.int32), np.array(ptr)), shape=(len(ptr) - 1, len(ids))
    )
    return align_labels(M, ids, sorted(ids))


def align_labels(
    M: sp.csr_matrix, label_ids: Sequence[str], to_ids: Sequence[str]
) -> tuple[sp.csr_matrix, list[str]]:
    """M with each column moved to where `to_ids` has its id; and the ids of all columns.

    label_ids: the ids of the columns of M. Those that `to_ids` lacks come after it, in their order.
    Each row's entries keep their order.
    """
    M = sp.csr_matrix(sound(M, "align_labels", "M"))
    to_ids = list(to_ids)
    place = {label: column for column, label in enumerate(to_ids)}
    columns = np.array([place.setdefault(label, len(place)) for label in label_ids], np.int32)
    indices = columns[M.indices] if M.nnz else M.indices
    return sp.csr_matrix((M.data, indices, M.indptr), shape=(M.shape[0], len(place))), list(place)


def check_id(label: str, name: str, separators: str = "") -> None:
    """Raise DataError unless the id can be read back from between tabs and these separators."""
    if label != label.strip() or not label or any(c in label for c in "\t\n" + separators):
        kinds = "comma, tab or line break" if separators else "tab or line break"
        raise DataError(
            f"{name}: expected label ids without {kinds} or blanks around them, got {quoted(label)}"
        )


def read_label_names(path: FilePath) -> tuple[list[str], list[str]]:
    """Ids and names from lines `id<TAB>name`; line i is label i, and a missing name is the id.

    Raises DataError, with the line, where an id is empty or comes twice.
    """
    ids: dict[str, None] = {}  # a dict, as looking up a list takes long
    names: list[str] = []
    for number, line in numbered_lines(path):
        label, _, name = (part.strip() for part in line.partition("\t"))
        if not label or label in ids:
            expected = "an id that comes once" if label else "id<TAB>name"
            raise DataError(
                f"{source_name(path)}:{number}: expected {expected}, got {quoted(line)}"
            )
        ids[label] = None
        names.append(name or label)
    return list(ids), names


def closest(wanted: str, known: Sequence[str]) -> str | None:
    """The one that is most alike, None if none is. Of very many, only those are compared that share
    most pairs of characters: comparing all would take half a minute.
    """
    pairs = _pairs(wanted)
    some = nlargest(MOST_COMPARED, known, key=lambda own: _shared(pairs, _pairs(own)))
    found = get_close_matches(wanted, some, 1, LEAST_ALIKE)
    return found[0] if found else None


def _pairs(text: str) -> set[str]:
    text = text.lower()
    return {text[n : n + 2] for n in range(len(text) - 1)}


def _shared(a: set[str], b: set[str]) -> float:
    return len(a & b) / (1 + len(a) + len(b))
