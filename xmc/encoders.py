"""Numbers that a user's own encoder makes of texts, side by side with their TF-IDF features.

An encoder is any callable that takes a list of str and gives an array (n_texts, width). A model
keeps what it is called and what it makes of a few texts, not the callable: whoever loads the model
gives it, and one that has changed is noticed.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp

from .checksums import checksum
from .errors import DataError, ModelError, ParameterError, quoted, shortened
from .io.files import create_file
from .io.folder import npy_array
from .progress import Progress
from .sparse_kind import like

Encoder: TypeAlias = Callable[[list[str]], Any]

PROBES = ("Trees and other plants", "Bäume und andere Pflanzen", "A history of 20 towns, vol. 3")
ALIKE = 1e-3  # by how much a number of a row of length 1 may differ: float16 and threads round
BATCH = 1024  # texts that an encoder is given at a time, and that are cached together
SAMPLED = 64  # texts that tell how long all others will take
ENCODER = "encoder"  # what its columns are called


class Encoding(NamedTuple):
    """What a model keeps of its encoder.

    name: module and name of the callable, for people.
    weight: the length of its numbers in a row, where TF-IDF features have length 1.
    probes: float32, (len(PROBES), width), what it makes of PROBES, each row of length 1.
    """

    name: str
    weight: float
    probes: np.ndarray

    @property
    def width(self) -> int:
        return self.probes.shape[1]

    def check(self) -> None:
        """Raise ValueError unless all of it is what `encoding_of` gives."""
        probes, weight = self.probes, self.weight
        is_weight = isinstance(weight, (int, float)) and 0 < weight < math.inf
        if not (isinstance(self.name, str) and is_weight):
            raise ValueError("encoder: expected a name and a weight above 0")
        shape = probes.ndim == 2 and len(probes) == len(PROBES) and probes.shape[1] > 0
        if not shape or probes.dtype != np.float32 or not np.isfinite(probes).all():
            raise ValueError(f"encoder: expected numbers for {len(PROBES)} texts")


class EncodedVectorizer:
    """A vectoriser of words, and an encoder beside it, as one vectoriser.

    words: scikit-learn's TfidfVectorizer or a TextVectorizer.
    encoder: None where nobody has given it yet, as in a model that was loaded.
    cache: the folder that keeps what the encoder gives; None keeps nothing.
    verbose: 1 reports progress on stderr, where there is more than a batch of texts.

    Fitted attribute: encoding_, an Encoding.
    """

    encoding_: Encoding

    def __init__(
        self,
        words: Any,
        encoder: Encoder | None,
        weight: float = 1.0,
        cache: str | os.PathLike[str] | None = None,
        verbose: int = 0,
    ):
        self.words, self.encoder, self.weight, self.cache = words, encoder, weight, cache
        self.verbose = verbose

    @classmethod
    def restored(cls, words: Any, encoding: Encoding) -> EncodedVectorizer:
        """The fitted vectoriser, still without its encoder."""
        vectorizer = cls(words, None, encoding.weight)
        vectorizer.encoding_ = encoding
        return vectorizer

    @property
    def min_df(self) -> int:
        return getattr(self.words, "params", self.words).min_df

    def fit_transform(self, texts: Sequence[str]) -> sp.csr_matrix | sp.csr_array:
        """Learn the words of texts, and transform these."""
        self.encoding_ = encoding_of(self.encoder, self.weight)
        return self._beside(self.words.fit_transform(texts), self.encoded(texts))

    def transform(self, texts: Sequence[str]) -> sp.csr_matrix | sp.csr_array:
        """CSR float32 (n_texts, n_features), the encoder's columns behind those of words."""
        return self._beside(self.words.transform(texts), self.encoded(texts))

    def fit_for_forecast(self, texts: Sequence[str]) -> tuple[sp.csr_matrix | sp.csr_array, float]:
        """For a forecast: rows as of `fit_transform`, but with the numbers of a few texts for all,
        and the seconds that encoding will take.
        """
        self.encoding_ = encoding_of(self.encoder, self.weight)
        few = [*texts[:: -(-len(texts) // SAMPLED)]]
        start = time.perf_counter()
        rows = unit_rows(self._given(), few, self.encoding_.width)
        a_text = (time.perf_counter() - start) / len(few)
        n_new = sum(len(batch) for batch in _batches(texts) if not self._is_cached(batch))
        encoded = np.resize(rows, (len(texts), self.encoding_.width))
        return self._beside(self.words.fit_transform(texts), encoded), a_text * n_new

    def _is_cached(self, batch: list[str]) -> bool:
        if self.cache is None:
            return False
        return (Path(self.cache) / f"{_name_of(batch, self.encoding_)}.npy").is_file()

    def _beside(self, X: Any, encoded: np.ndarray) -> sp.csr_matrix | sp.csr_array:
        encoded = self.encoding_.weight * encoded
        both = sp.hstack([X, sp.csr_matrix(encoded)], format="csr", dtype=np.float32)
        return like(X, sp.csr_matrix(both))

    def encoded(self, texts: Sequence[str]) -> np.ndarray:
        """What the encoder makes of the texts: float32 (n_texts, width), rows of length 1, or of
        zeros.

        Raises DataError at what is no such array, ModelError if there is no encoder.
        """
        encoder, encoding = self._given(), self.encoding_
        folder = None if self.cache is None else _made(self.cache)
        parts = [np.empty((0, encoding.width), np.float32)]
        with Progress(self.verbose if len(texts) > BATCH else 0) as progress:
            advance = progress.stage("encoding texts", len(texts))
            for batch in _batches(texts):
                if folder is None:
                    parts.append(unit_rows(encoder, batch, encoding.width))
                else:
                    parts.append(_cached(folder, encoder, batch, encoding))
                advance(len(batch))
        return np.concatenate(parts)

    def use(self, encoder: Encoder | None, cache: Any = None) -> None:
        """Take this encoder from now on.

        Raises DataError if it isn't the one of the training, or has changed.
        """
        if encoder is not None and encoder is not self.encoder:
            check_same(encoder, self.encoding_)
        self.encoder, self.cache = encoder, cache

    def get_feature_names_out(self) -> np.ndarray:
        """Names of the columns; those of the encoder are `encoder:0` and so on."""
        own = [f"{ENCODER}:{column}" for column in range(self.encoding_.width)]
        return np.array([*self.words.get_feature_names_out(), *own], dtype=object)

    def _given(self) -> Encoder:
        if self.encoder is None:
            raise ModelError(
                f"model: expected its encoder {self.encoding_.name}, which reads texts for it: "
                "give it by load(path, encoder=...), model.encoder = ... or --encoder"
            )
        return self.encoder


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), BATCH):
        yield [*texts[start : start + BATCH]]


def name_of(encoder: Any) -> str:
    """Module and name of a callable; of an object that is called, those of its class."""
    named = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    return f"{named.__module__}:{named.__qualname__}"


def encoder_named(name: str) -> Encoder:
    """The callable that `module:name` names, of an installed module or one in the current folder.

    Importing it runs its code. Raises ParameterError if there is no such callable.
    """
    module, _, own = name.partition(":")
    if not (module and own):
        raise ParameterError(
            f"encoder: expected module:name, as sentences:encode, got {quoted(name)}"
        )
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = attrgetter(own)(import_module(module))
    except (Exception, SystemExit) as error:  # the latter of a script
        reason = shortened(" ".join(f"{type(error).__name__}: {error}".split()))
        raise ParameterError(f"encoder {name}: can't be imported: {reason}") from None
    if not callable(found):
        raise ParameterError(f"encoder {name}: expected a callable, got {type(found).__name__}")
    return found


def encoding_of(encoder: Any, weight: float) -> Encoding:
    """What a model keeps of an encoder. Raises DataError if it gives no array of numbers."""
    return Encoding(name_of(encoder), float(weight), unit_rows(encoder, [*PROBES]))


def check_same(encoder: Encoder, encoding: Encoding) -> None:
    """Raise DataError unless an encoder gives what that of the training gave."""
    probes = unit_rows(encoder, [*PROBES], encoding.width)
    if np.abs(probes - encoding.probes).max() > ALIKE:
        raise DataError(
            f"encoder {name_of(encoder)}: expected the numbers that {encoding.name} gave in "
            "training, got others: it is another encoder, or has changed"
        )


def unit_rows(encoder: Encoder, texts: list[str], width: int | None = None) -> np.ndarray:
    """What an encoder makes of texts: float32 (n_texts, width), rows of length 1, or of zeros.

    width: how many numbers a text must have; None for any. Raises DataError at anything else.
    """
    who = f"encoder {name_of(encoder)}"
    try:
        given = np.asarray(encoder(texts))
    except (Exception, SystemExit) as error:
        reason = shortened(" ".join(f"{type(error).__name__}: {error}".split()))
        raise DataError(f"{who}: failed on {len(texts):,} texts: {reason}") from error
    if given.ndim != 2 or given.dtype.kind not in "biuf" or len(given) != len(texts):
        got = f"{given.dtype} of shape {given.shape}"
        raise DataError(
            f"{who}: expected a row of numbers for each of {len(texts):,} texts, got {got}"
        )
    if given.shape[1] != (width or given.shape[1]) or not given.shape[1]:
        expected = "at least one number" if width is None else f"{width:,} numbers"
        raise DataError(f"{who}: expected {expected} for a text, got {given.shape[1]:,}")
    with np.errstate(over="ignore"):  # what is too large becomes inf
        rows = given.astype(np.float64)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        value = "NaN" if np.isnan(rows[row, column]) else "inf"
        text = f"text {row}, column {column} (counted from 0)"
        raise DataError(f"{who}: expected finite numbers, got {value} in {text}")
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    rows /= np.where(largest > 0, largest, 1)  # first, as squares of very large numbers are inf
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _made(path: str | os.PathLike[str]) -> Path:
    """The folder of a cache. Raises ParameterError if there is none and none can be made."""
    folder = Path(path)
    try:
        folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:  # the latter if a null byte is in the name
        reason = "is a file" if os.path.exists(folder) else getattr(error, "strerror", error)
        raise ParameterError(f"{folder}: expected a folder to cache in, {reason}") from None
    return folder


def _name_of(texts: list[str], encoding: Encoding) -> str:
    """What the file of a cache is called that has what an encoder makes of these texts."""
    return checksum([encoding.probes, texts])


def _cached(folder: Path, encoder: Encoder, texts: list[str], encoding: Encoding) -> np.ndarray:
    """As `unit_rows`, from a file in the folder. One that can't be read is made anew."""
    name, shape = _name_of(texts, encoding), (len(texts), encoding.width)
    try:
        rows = np.array(npy_array(folder, name, np.dtype(np.float32), shape))
    except (ModelError, FileNotFoundError):
        rows = None
    if rows is None or not (np.abs(rows) <= 1 + ALIKE).all():
        rows = unit_rows(encoder, texts, encoding.width)
        with create_file(folder / f"{name}.npy", overwrite=True) as file:
            np.save(file, rows, allow_pickle=False)
    return rows
