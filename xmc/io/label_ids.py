"""Columns that are told apart by the ids of their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from ..errors import DataError
from .files import FilePath, numbered_lines, quoted, source_name


def csr_by_id(values, columns, ptr, ids: list[str]) -> tuple[sp.csr_matrix, list[str]]:
    """The matrix of these CSR arrays with its columns, whose ids are given, in ascending order of
    id; and those ids.

    Each row's entries keep their order.
    """
    M = sp.csr_matrix(
        (values, np.array(columns, np.int32), np.array(ptr)), shape=(len(ptr) - 1, len(ids))
    )
    return align_labels(M, ids, sorted(ids))


def align_labels(
    M: sp.csr_matrix, label_ids: Sequence[str], to_ids: Sequence[str]
) -> tuple[sp.csr_matrix, list[str]]:
    """M with its columns, whose ids are `label_ids`, where `to_ids` has them; and the ids of all
    columns.

    Ids that `to_ids` lacks become columns after its own, in their order. Each row's entries keep
    theirs.
    """
    to_ids = list(to_ids)
    place = {label: column for column, label in enumerate(to_ids)}
    columns = np.array([place.setdefault(label, len(place)) for label in label_ids], np.int32)
    indices = columns[M.indices] if M.nnz else M.indices
    return sp.csr_matrix((M.data, indices, M.indptr), shape=(M.shape[0], len(place))), list(place)


def check_id(label: str, name: str, separators: str = "") -> None:
    """Raises DataError unless the id survives in a field between tabs and these separators."""
    if label != label.strip() or not label or any(c in label for c in "\t\n" + separators):
        kinds = "comma, tab or line break" if separators else "tab or line break"
        raise DataError(
            f"{name}: expected label ids without {kinds} or blanks around them, got {quoted(label)}"
        )


def read_label_names(path: FilePath) -> tuple[list[str], list[str]]:
    """Ids and names from lines `id<TAB>name`; line i is label i, and a missing name is the id.

    Raises DataError at an id that is empty or comes twice.
    """
    seen, names = {}, []
    for number, line in numbered_lines(path):
        label, _, name = (part.strip() for part in line.partition("\t"))
        if not label or label in seen:
            expected = "an id that comes once" if label else "id<TAB>name"
            raise DataError(
                f"{source_name(path)}:{number}: expected {expected}, got {quoted(line)}"
            )
        seen[label] = number
        names.append(name or label)
    return list(seen), names
