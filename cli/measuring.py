"""Predictions held against the truth, block by block of their rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from xmc.cli.data import Source
from xmc.cli.matching import (
    Inputs,
    LabelMatrix,
    add_ids,
    as_wide_as,
    check_as_many,
    match_labels,
    of_dataset,
)


def prediction_blocks(path: str) -> Iterator[LabelMatrix]:
    """The predictions in a file."""
    from xmc.io import blocks
    from xmc.io.predictions import prediction_blocks as blocks_of

    for block in blocks_of(path, cut=blocks.Cut(blocks.BLOCK_BYTES)):
        yield LabelMatrix(path, *block)


def label_blocks(path: str, source: Source) -> Iterator[LabelMatrix]:
    """The labels of the rows in a file."""
    for dataset in source.read_blocks(path):
        yield of_dataset(path, dataset, source)


def side_by_side(
    predictions: str, truth: str, source: Source
) -> Iterator[tuple[LabelMatrix, LabelMatrix]]:
    """Predictions and labels of the same rows, block by block.

    Raises DataError unless there are as many of both.
    """
    preds, trues = prediction_blocks(predictions), label_blocks(truth, source)
    pred, true, n_rows = next(preds, None), next(trues, None), 0
    while pred is not None and true is not None:
        n = min(pred.n_rows, true.n_rows)
        pair = pred.part(0, n), true.part(0, n)
        pred, true = _after(pred, n, preds), _after(true, n, trues)
        n_rows += n
        if (pred is None) != (true is None):
            break
        yield pair
    n_left = [
        sum(block.n_rows for block in (first, *rest) if block is not None)
        for first, rest in ((pred, preds), (true, trues))
    ]
    check_as_many(predictions, n_rows + n_left[0], truth, n_rows + n_left[1])


def _after(block: LabelMatrix, n: int, others: Iterator[LabelMatrix]) -> LabelMatrix | None:
    """The rows of a block after the first n; if there are none, the next block."""
    return block.part(n, block.n_rows) if n < block.n_rows else next(others, None)


def training_rows(path: str, source: Source) -> tuple[LabelMatrix, int]:
    """How many training rows each label of a file has, as a matrix of one row; and how many rows
    there are.
    """
    import numpy as np
    import scipy.sparse as sp

    from xmc.inputs import true_labels

    counts: dict[Any, int] = {}
    n_rows = width = 0
    for block in label_blocks(path, source):
        labels, own = np.unique(true_labels(block.M, path, "Y").indices, return_counts=True)
        for label, count in zip(block.named(labels), own.tolist(), strict=True):
            counts[label] = counts.get(label, 0) + count
        n_rows, width = n_rows + block.n_rows, max(width, block.n_labels)
    names = sorted(counts)
    ids = None if block.ids is None else names
    columns = names if ids is None else range(len(ids))
    parts = [counts[label] for label in names], list(columns), [0, len(names)]
    M = sp.csr_matrix(parts, shape=(1, width if ids is None else len(ids)), dtype=np.int64)
    return LabelMatrix(path, M, ids, block.headerless), n_rows


class Sums:
    """What the metrics of predictions follow from.

    ks: those that may be asked for. training: what `training_rows` gives, if there are to be
    propensities; constants: their a and b.
    """

    def __init__(
        self,
        ks: Sequence[int],
        training: tuple[LabelMatrix, int] | None,
        constants: tuple[float, float],
    ):
        from xmc.tally import Tally

        self.tally = Tally(ks, training is not None)
        self.most = 0  # the most predictions of a row
        self._scores = (math.inf, -math.inf)  # the lowest and the highest
        self._training, self._constants = training, constants
        self._counts: dict[Any, int] | None = None  # of training rows, by label
        self._numbers: dict[Any, int] = {}  # of labels, in the order in which they come
        self._true: LabelMatrix | None = None  # the last block
        self._width = 0  # of the widest

    def add(self, pred: LabelMatrix, true: LabelMatrix, ids: list[str] | None) -> None:
        """Take in a block of rows; ids: of columns that have none. Raises DataError if the labels
        can't be matched.
        """
        import numpy as np

        from xmc.judged import judge

        given = add_ids(Inputs(pred, true, self._training and self._training[0]), ids)
        pred, true, _ = match_labels(given._replace(train=None))
        self.most = max(self.most, int(pred.M.getnnz(axis=1).max()))
        if pred.M.nnz:
            lowest, highest = self._scores
            self._scores = min(lowest, pred.M.data.min()), max(highest, pred.M.data.max())
        self._true, self._width = true, max(self._width, true.n_labels)
        for label in true.ids or ():
            self._numbers.setdefault(label, len(self._numbers))
        used = np.unique(np.concatenate([pred.M.indices, true.M.indices]))
        labels = true.named(used)
        numbers = [self._numbers.setdefault(label, len(self._numbers)) for label in labels]
        Y, P = (_among(used, own.M, max(self.tally.ks)) for own in (true, pred))
        judged = judge("report", Y, P, self.tally.ks, self.tally.n_rows)
        kept = slice(None) if judged.true.kept is None else judged.true.kept
        p = self._propensities(given.train, true, labels, Y.shape[1])
        self.tally.add(judged, None if p is None else p[kept], np.array(numbers, np.int64)[kept])

    def _propensities(
        self, train: LabelMatrix | None, true: LabelMatrix, labels: list[Any], n: int
    ) -> Any:
        """Those of the labels of a block, with 1 up to n of them; None if there are to be none."""
        import numpy as np

        from xmc.propensity import propensities_of

        if train is None or self._training is None:
            return None
        if self._counts is None:
            if true.ids is not None:
                train.known_ids(true)
            counts = train.M.data.tolist()
            self._counts = dict(zip(train.named(train.M.indices), counts, strict=True))
        own = np.array([self._counts.get(label, 0) for label in labels], np.int64)
        p = np.ones(n)
        p[: len(own)] = propensities_of(own, self._training[1], *self._constants)
        return p

    @property
    def are_unordered(self) -> bool:
        """Whether rows have several predictions, but all have one score."""
        lowest, highest = self._scores
        return self.most > 1 and lowest == highest

    def n_labels(self, ids: list[str] | None) -> int:
        """How many labels there are in all. Raises DataError if those of the training rows have
        other columns.
        """
        if self._true is None or self._true.ids is not None:
            return len(self._numbers)
        true = self._true.widened_to(self._width)
        if self._training is not None:
            train = self._training[0]
            as_wide_as(train if ids is None else train.with_ids(ids), true)
        return self._width


def _among(used: Any, M: Any, least: int) -> Any:
    """M with only the columns that are used, at least so many columns."""
    import numpy as np
    import scipy.sparse as sp

    columns = np.searchsorted(used, M.indices).astype(np.int32)
    return sp.csr_matrix((M.data, columns, M.indptr), shape=(M.shape[0], max(least, len(used))))
