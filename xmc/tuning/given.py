"""What a search is given: rows and labels of any kind, settings, and numbers, all checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..checksums import checksum
from ..errors import DataError, ParameterError
from ..frames import is_frame
from ..inputs import as_csr
from ..labelled_rows import LabelledRows
from ..methods import METHODS
from ..params import TextParams
from ..text import as_texts
from ..text_classifier import as_labels, names_in_order
from ..training_data import as_label_matrix, as_row_weights
from ..vocabulary import Vocabulary
from .space import METHODS_TRIED, settings_of

WHO = "tune"


def as_labelled_rows(
    rows: Any, labels: Any, label_ids: Any, label_names: Any, sample_weight: Any
) -> LabelledRows:
    """What a search is given, checked."""
    X: Any = None
    texts: Any = None
    if sp.issparse(rows) or is_frame(rows) or len(getattr(rows, "shape", ())) == 2:
        X, given, ids = as_csr(rows, WHO, "X"), labels, label_ids
    else:
        texts = as_texts(rows, WHO)
        given, ids = as_labels(labels, label_ids, WHO)
    Y = as_label_matrix(given, WHO)[0]
    n_rows = X.shape[0] if texts is None else len(texts)
    if Y.shape[0] != n_rows:
        raise DataError(f"{WHO}: expected labels for {n_rows:,} rows, got {Y.shape[0]:,}")
    weights = None
    if sample_weight is not None:
        as_row_weights(sample_weight, n_rows, WHO)
        weights = np.broadcast_to(np.asarray(sample_weight), (n_rows,)).copy()
    names = names_in_order(label_names, ids, WHO)
    ids, names = (None if own is None else list(own) for own in (ids, names))
    return LabelledRows(X, Y, texts, ids, names, weights)


def check_numbers(budget: Any, n_trials: Any, valid: Any, seed: Any) -> None:
    """Raise ParameterError at numbers that no search can have."""

    def is_whole(value: Any) -> bool:
        return isinstance(value, Integral) and not isinstance(value, bool)

    def is_between(value: Any, low: float, high: float) -> bool:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return is_number and low < value < high

    for name, value, is_right, rule in (
        ("budget", budget, is_between(budget, 0, np.inf), "a finite number of seconds > 0"),
        ("n_trials", n_trials, n_trials is None or is_whole(n_trials), "an int or None"),
        ("valid", valid, is_between(valid, 0, 1), "a number > 0 and < 1"),
        ("random_state", seed, is_whole(seed) and seed >= 0, "an int >= 0"),
    ):
        if not is_right:
            raise ParameterError(f"{WHO}: {name} must be {rule}, got {value!r}")


def check_settings(settings: Mapping[str, Any], of_texts: bool) -> None:
    """Raise ParameterError at settings that there aren't, or that no kind of model has together."""
    declared = [method.params for method in METHODS.values()] + [TextParams] * of_texts
    known = {f.name for own in declared for f in fields(own) if "own_flag" not in f.metadata}
    known |= {"method", "rerank"} if of_texts else {"method"}
    for name, value in settings.items():
        if name not in known:
            raise ParameterError(f"{WHO}: there is no setting {name!r} of such rows")
        if not isinstance(value, (str, int, float, tuple, NoneType)):
            got = type(value).__name__
            raise ParameterError(f"{WHO}: {name} must be a value that a file can keep, got {got}")
    method = settings.get("method")
    kinds = METHODS_TRIED if method is None else (method,)
    lacking = [set(settings) - settings_of(kind, of_texts) for kind in kinds]
    if all(lacking):
        missed = ", ".join(sorted(set.intersection(*lacking) or set.union(*lacking)))
        if method is not None:
            raise ParameterError(f"{WHO}: method {method!r} has no {missed}")
        tried = ", ".join(kinds)
        raise ParameterError(f"{WHO}: none of {tried} has {missed}; give a method that does")


def checksums(data: LabelledRows, vocabulary: Vocabulary | None) -> dict[str, str]:
    """Checksums of the data, by what people call them."""
    given = {
        "rows": data.rows,
        "labels": data.Y,
        "ids of labels": data.label_ids,
        "names of labels": data.label_names,
        "weights of rows": data.row_weights,
        "vocabulary": None if vocabulary is None else vocabulary.to_arrays(),
    }
    return {name: checksum(value) for name, value in given.items() if value is not None}
