"""The training and test rows in a folder, as matrices or as texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import scipy.sparse as sp

from xmc.datasets.registry import SPLIT
from xmc.errors import DataError
from xmc.io import align_labels, read_matrix
from xmc.io.documents import read_documents
from xmc.params import TextParams
from xmc.text import fit_texts, make_vectorizer

TEXTS = ("train.tsv.gz", "test.tsv.gz")


class Split(NamedTuple):
    """Training and test rows, CSR float32.

    Column i of Y and of Y_test is the same label; either of them may have more columns at its end.
    """

    X: sp.csr_matrix
    Y: sp.csr_matrix
    X_test: sp.csr_matrix
    Y_test: sp.csr_matrix


def read_split(
    folder: str | os.PathLike[str], text: TextParams | None = None, source: str | None = None
) -> Split:
    """The split in a folder: its matrices X.trn.npz, Y.trn.npz, X.tst.npz and Y.tst.npz.

    Where there are none, or if `text` says how, TF-IDF rows are made of its texts, train.tsv.gz and
    test.tsv.gz; the vectoriser is fitted on the training rows.
    source: where the data can be had; named by the error if the folder has neither.
    Raises DataError, also if the files don't fit together.
    """
    home = Path(folder)
    if files_of(home, text is not None, source) is SPLIT:
        return _read_matrices(home)
    return _read_texts(home, text)


def files_of(
    folder: str | os.PathLike[str], of_texts: bool, source: str | None = None
) -> tuple[str, ...]:
    """Which files are read of a folder: its matrices, or its texts if it has none or if these are
    asked for. Raises DataError as `read_split`.
    """
    home = Path(folder)
    if not of_texts and (home / SPLIT[0]).exists():
        return SPLIT
    if (home / TEXTS[0]).exists():
        return TEXTS
    files = " and ".join(TEXTS) if of_texts else f"{', '.join(SPLIT)}, or {' and '.join(TEXTS)}"
    had_from = f"; to be had from {source}" if source else ""
    raise DataError(f"{home}: expected {files}, got none{had_from}")


def _read_matrices(home: Path) -> Split:
    split = Split(*(read_matrix(home / name) for name in SPLIT))
    for (x, X), (y, Y) in (
        zip(SPLIT[:2], split[:2], strict=True),
        zip(SPLIT[2:], split[2:], strict=True),
    ):
        if X.shape[0] != Y.shape[0]:
            raise DataError(
                f"{home / y}: expected {X.shape[0]:,} rows as in {x}, got {Y.shape[0]:,}"
            )
    width, test_width = split.X.shape[1], split.X_test.shape[1]
    if width != test_width:
        raise DataError(
            f"{home / SPLIT[2]}: expected {width:,} features as in {SPLIT[0]}, got {test_width:,}"
        )
    return split


class TextSplit(NamedTuple):
    """Training and test texts with their labels, CSR float32; ids: of the columns of each Y."""

    texts: list[str]
    Y: sp.csr_matrix
    ids: list[str]
    test_texts: list[str]
    Y_test: sp.csr_matrix
    test_ids: list[str]


def read_texts(folder: str | os.PathLike[str], source: str | None = None) -> TextSplit:
    """The texts in a folder: train.tsv.gz and test.tsv.gz. Raises DataError as `read_split`."""
    home = Path(folder)
    train, test = (read_documents(home / name) for name in files_of(home, True, source))
    return TextSplit(*train, *test)


def _read_texts(home: Path, text: TextParams | None) -> Split:
    split = read_texts(home)
    vectorizer = make_vectorizer(text)
    X = fit_texts(vectorizer, split.texts)
    Y_test, _ = align_labels(split.Y_test, split.test_ids, split.ids)
    return Split(X, split.Y, vectorizer.transform(split.test_texts), Y_test)
