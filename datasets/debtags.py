"""The embedded sample: Debian packages and their debtags, small enough to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from xmc.datasets.registry import SPLIT
from xmc.errors import DataError

HOME = Path(__file__).with_name("debtags")


class Sample(NamedTuple):
    """Training and test rows; X holds word counts.

    features: the word of each column of X.
    label_names: the name of each column of Y.
    """

    X: sp.csr_matrix
    Y: sp.csr_matrix
    X_test: sp.csr_matrix
    Y_test: sp.csr_matrix
    features: list[str]
    label_names: list[str]


def load_sample() -> Sample:
    """26,795 training and 2,990 test packages with 14,248 words and 569 debtags.

    debtags/ORIGIN.md says where they come from.
    """
    X, Y, X_test, Y_test = (sp.csr_matrix(sp.load_npz(HOME / name)) for name in SPLIT)
    return Sample(X, Y, X_test, Y_test, _lines("features.txt"), _lines("labels.txt"))


def sample_texts(X: sp.csr_matrix, features: list[str]) -> list[str]:
    """The text of each row of counts: its words in order of column, as often as counted."""
    if X.shape[1] != len(features):
        raise DataError(
            f"sample_texts: expected one word per column, "
            f"got {len(features)} words for {X.shape[1]} columns"
        )
    X = sp.csr_matrix(X)
    words = np.array(features, dtype=object)
    bounds = zip(X.indptr[:-1], X.indptr[1:], strict=True)
    return [
        " ".join(np.repeat(words[X.indices[a:b]], X.data[a:b].astype(np.int64))) for a, b in bounds
    ]


def _lines(name: str) -> list[str]:
    return (HOME / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")
