"""What is made of the features of rows before a model reads them: TF-IDF weights, products."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import BLOCK, INT32_MAX, Rows, ascend, frozen, pointers, spans, within
from .errors import DataError
from .inputs import scaled
from .kernels.gather import count
from .kernels.pairs import code_pairs, read_rows
from .mapped import beside, file_size, release
from .memory import held_bytes, machine_bytes
from .numbering import new_numbers, restricted
from .params import FeatureParams, LabelTreeParams, check

ENTRY, SORTED = 8, 3 * 8  # bytes of a value and its feature; of a code while codes are sorted
LARGEST_IDF = 100  # no number of rows has one as large
NO_WEIGHTS, NO_PAIRS = frozen(np.empty(0, np.float32)), frozen(np.empty(0, np.int64))


class Reading(NamedTuple):
    """What a model makes of rows, as its training rows say.

    n_features: of the rows, those that the model has kept.
    idf: float32 (n_features + 1,), what a value of each feature counts, the rarer the feature the
        more: log((1 + rows) / (1 + rows with it)) + 1; the last one is for features that no
        training row has. None where all count the same.
    pairs: length of a row's products of two features, over its own; None without products.
    codes: int64, ascending, a * n_features + b of every two features a < b that stand together in
        some training row. Their products are columns behind the features, in this order.
    """

    n_features: int
    idf: np.ndarray | None = None
    pairs: float | None = None
    codes: np.ndarray | None = None

    @property
    def n_columns(self) -> int:
        """The features and the pairs."""
        return self.n_features + (0 if self.codes is None else len(self.codes))

    def ends(self, indptr: np.ndarray) -> np.ndarray:
        """Where each row ends that is read, at most: int64, from 0."""
        sizes = np.diff(indptr)
        return pointers(sizes if self.pairs is None else sizes * (sizes + 1) // 2)

    def of(self, rows: Rows, normalize: bool, kept: np.ndarray | None = None) -> Rows:
        """The rows with columns for features and pairs; what is made of mapped rows is mapped, too.

        kept: which features of the rows the model has, None for all.
        """
        ends = self.ends(rows.indptr)
        ids = beside(rows.indices, int(ends[-1]), np.int32)
        values = beside(rows.data, int(ends[-1]), np.float32)
        idf = NO_WEIGHTS if self.idf is None else frozen(self.idf)
        codes = NO_PAIRS if self.codes is None else frozen(self.codes)
        how = idf, self.n_features, codes, float(self.pairs or 0), bool(normalize)
        at, indptr = 0, np.zeros(len(ends), np.int64)
        for start, end in spans(ends, BLOCK):
            part = rows.part(start, end)
            known = frozen(new_numbers(part.indices, kept))
            own = read_rows(part.indptr, known, part.data, *how, ids[at:], values[at:])
            indptr[start + 1 : end + 1] = at + own[1:]
            at += int(own[-1])
            for array in (rows.indices, rows.data, ids, values):
                release(array)
        return Rows(frozen(indptr), frozen(ids[:at]), frozen(values[:at]), self.n_columns)

    def pair(self, place: int) -> tuple[int, int]:
        """The two features of a pair."""
        codes = NO_PAIRS if self.codes is None else self.codes
        first, second = divmod(int(codes[place]), self.n_features)
        return first, second

    def check(self, n_features: int) -> None:
        """Raise ValueError unless the arrays, read from a folder, fit each other."""
        if self.n_features != n_features:
            raise ValueError(f"reading: expected {n_features} features, got {self.n_features}")
        if self.idf is not None:
            sound = (self.idf > 0) & (self.idf < LARGEST_IDF)
            if self.idf.shape != (n_features + 1,) or not sound.all():
                wanted = f"{n_features + 1} numbers above 0 and below {LARGEST_IDF}"
                raise ValueError(f"reading.idf: expected {wanted}")
        if (self.pairs is None) != (self.codes is None):
            raise ValueError("reading: expected pairs and codes, got one of them")
        if self.pairs is None or self.codes is None:
            return
        check(LabelTreeParams(pairs=self.pairs), "reading")
        whole = pointers([len(self.codes)])
        known = within(self.codes, n_features**2) and ascend(whole, self.codes)
        if not known or not (self.codes // n_features < self.codes % n_features).all():
            raise ValueError("reading.codes: expected ascending pairs of features, they aren't")


def read(
    rows: Rows, normalize: bool, reading: Reading | None = None, kept: np.ndarray | None = None
) -> Rows:
    """Rows as a predictor reads them: with the features that it has kept, scaled to unit length if
    `normalize` says so, and with what is made of features.
    """
    if reading is not None:
        return reading.of(rows, normalize, kept)
    return restricted(scaled(rows) if normalize else rows, kept)


def learned(rows: Rows, params: FeatureParams, memory: int | None, who: str) -> Reading | None:
    """What is to be made of rows, by these training rows; None for nothing.

    memory: bytes that there may be held, None for those of the machine.
    Raises DataError if there are too many pairs.
    """
    if not params.tfidf and not params.pairs:
        return None
    reading = Reading(rows.n_features)
    if params.tfidf:
        reading = reading._replace(idf=_idf(rows))
    if params.pairs:
        pairs = float(params.pairs)
        _check_room(rows, reading._replace(pairs=pairs), memory, who)
        reading = reading._replace(pairs=pairs, codes=_codes_in(rows))
        if reading.n_columns > INT32_MAX:
            raise DataError(
                f"{who}: expected at most {INT32_MAX:,} features and pairs of them, got "
                f"{reading.n_columns:,}: keep fewer features, or set pairs=0"
            )
    return reading


def _idf(rows: Rows) -> np.ndarray:
    n_with = np.append(count(frozen(rows.indices), rows.n_features), 0)
    return frozen((np.log((1 + rows.n_rows) / (1 + n_with)) + 1).astype(np.float32))


def _codes_in(rows: Rows) -> np.ndarray:
    """The code of each pair that some row has, ascending."""
    sizes = np.diff(rows.indptr)
    found = NO_PAIRS
    for start, end in spans(pointers(sizes * (sizes - 1) // 2), BLOCK):
        part = rows.part(start, end)
        own = np.diff(part.indptr)
        codes = np.empty((own * (own - 1) // 2).sum(), np.int64)
        code_pairs(part.indptr, part.indices, rows.n_features, codes)
        found = np.union1d(found, codes)
        release(rows.indices)
    return frozen(found)


def _check_room(rows: Rows, reading: Reading, memory: int | None, who: str) -> None:
    """Raise DataError unless there is memory for rows with all their pairs, where they aren't
    mapped, and for the pairs that there may be.
    """
    n_values, n = int(reading.ends(rows.indptr)[-1]), rows.n_features
    in_memory = ENTRY * n_values if file_size(rows.indices) is None else 0
    needed = in_memory + SORTED * min(n_values, n * (n - 1) // 2)
    most = machine_bytes() if memory is None else memory
    held = held_bytes()
    if held + needed > most:
        more = "" if memory is None else "give more memory, "
        raise DataError(
            f"{who}: pairs of features make {n_values:,} values of {len(rows.data):,}, which take "
            f"{needed / 2**30:.2f} GiB beside {held / 2**30:.2f} GiB in use, more than there is in "
            f"{most / 2**30:.2f} GiB: {more}keep fewer features, or set pairs=0"
        )
