"""Labels as people keep them: a list of ids for each row, in lists, arrays or columns of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp

from .errors import DataError


def listed(labels: Any) -> Any:
    """A column of lists of polars as lists; anything else as it is."""
    is_nested = hasattr(getattr(labels, "dtype", None), "inner")
    return labels.to_list() if is_nested else labels


def are_lists(labels: Any, is_entry: Callable[[Any], bool]) -> bool:
    """Whether rows have collections of labels: no matrix, and not one label each.

    is_entry: of a matrix. Lists of nothing else, all of one length, are one.
    """
    is_flat = isinstance(labels, Iterable) and len(getattr(labels, "shape", (0,))) == 1
    if sp.issparse(labels) or not is_flat:
        return False
    rows = list(labels)
    if not any(map(_is_collection, rows)):
        return False
    alike = all(map(_is_collection, rows)) and len({len(own) for own in rows}) == 1
    return not (alike and all(is_entry(value) for own in rows for value in own))


def is_0_or_1(value: Any) -> bool:
    return is_number(value) and value in (0, 1)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number, np.bool_))


def ids_of_rows(labels: Any, who: str) -> list[Any]:
    """The label ids of each row. Raises DataError, with the row, where they are no list of str."""
    rows = list(labels)
    for row, own in enumerate(rows):
        if not _is_collection(own):
            raise DataError(f"{who}: expected a list of label ids in row {row}, got {own!r}")
        for label in own:
            if not isinstance(label, str):
                raise DataError(f"{who}: expected label ids as str, got {label!r} in row {row}")
    return rows


def _is_collection(own: Any) -> bool:
    if isinstance(own, np.ndarray):
        return own.ndim == 1
    return isinstance(own, (list, tuple, set, frozenset))
