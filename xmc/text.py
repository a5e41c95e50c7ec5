"""Texts to TF-IDF rows by scikit-learn's TfidfVectorizer, kept in a folder without pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

from .errors import DataError, ModelError
from .io.folder import (
    PathName,
    as_model_error,
    pack_strings,
    read_folder,
    unpack_strings,
    write_folder,
)
from .params import TextParams, check

FILE = "vectorizer.json"
SETTINGS = (
    *(
        "analyzer",
        "ngram_range",
        "lowercase",
        "strip_accents",
        "stop_words",
        "token_pattern",
        "binary",
    ),
    *("encoding", "decode_error", "norm", "use_idf", "smooth_idf", "sublinear_tf"),
)


def make_vectorizer(params: TextParams | None = None) -> TfidfVectorizer:
    """An unfitted vectoriser: unigrams, min_df 2, sublinear tf and unit length unless the
    parameters say otherwise.
    """
    params = params or TextParams()
    check(params)
    return TfidfVectorizer(
        ngram_range=(1, params.max_ngram),
        min_df=params.min_df,
        max_features=params.max_features,
        sublinear_tf=params.sublinear_tf,
        lowercase=params.lowercase,
        dtype=np.float32,
    )


def as_texts(texts: Any, who: str) -> list[str]:
    """The door for texts: any 1-D sequence of str as a list.

    Raises DataError, with the row, at anything else: one str, None, NaN, bytes, nothing at all.
    """
    kind = type(texts).__name__
    if isinstance(texts, (str, bytes)):
        raise DataError(f"{who}: expected a sequence of texts, got one {kind}; put it in a list")
    if sp.issparse(texts) or not (hasattr(texts, "__len__") and hasattr(texts, "__getitem__")):
        raise DataError(f"{who}: expected a sequence of texts, got {kind}")
    shape = getattr(texts, "shape", (0,))
    if len(shape) != 1 or isinstance(texts, dict):
        what = f"{kind} of shape {tuple(shape)}" if len(shape) != 1 else kind
        raise DataError(f"{who}: expected one column of texts, got {what}")
    listed = list(texts)
    if not listed:
        raise DataError(f"{who}: expected at least one text, got none")
    for row, text in enumerate(listed):
        if not isinstance(text, str):
            raise DataError(
                f"{who}: expected a str in each row of the texts, got {_shown(text)} in row {row}"
            )
    return listed


def _shown(value: Any) -> str:
    """A value that is no text: itself if it is short, else its type."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 30 else type(value).__name__


def fit_texts(vectorizer: TfidfVectorizer, texts: list[str]) -> Any:
    """Fit and transform: CSR float32 (n_rows, n_features).

    Raises DataError if no feature is left.
    """
    try:
        return vectorizer.fit_transform(texts)
    except ValueError as error:
        raise DataError(f"text: {' '.join(str(error).split())}") from None


def pack(vectorizer: TfidfVectorizer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A fitted vectoriser as settings for JSON and arrays.

    Raises ModelError if it has settings that only pickle could keep.
    """
    if type(vectorizer) is not TfidfVectorizer:
        raise ModelError(
            f"vectoriser: expected scikit-learn's TfidfVectorizer, got {type(vectorizer).__name__}"
        )
    if vectorizer.input != "content":
        raise ModelError(f"vectoriser: expected texts as input, got {vectorizer.input!r}")
    settings = {name: getattr(vectorizer, name) for name in SETTINGS}
    own = [name for name in ("preprocessor", "tokenizer") if getattr(vectorizer, name) is not None]
    own += [name for name, value in settings.items() if callable(value)]
    if own:
        raise ModelError(
            f"vectoriser: expected settings that JSON can hold, got a function as {own[0]}"
        )
    settings["ngram_range"] = [int(n) for n in settings["ngram_range"]]
    settings["dtype"] = np.dtype(vectorizer.dtype).name
    names = [str(name) for name in vectorizer.get_feature_names_out()]
    data, offsets = pack_strings(names)
    arrays = {"vocabulary": data, "vocabulary_offsets": offsets}
    if vectorizer.use_idf:
        arrays["idf"] = np.asarray(vectorizer.idf_)
    return settings, arrays


def unpack(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> TfidfVectorizer:
    """The vectoriser that `pack` packed."""
    names = unpack_strings(arrays["vocabulary"], arrays["vocabulary_offsets"])
    own = {name: settings[name] for name in SETTINGS} | {
        "ngram_range": tuple(settings["ngram_range"])
    }
    vocabulary = {name: column for column, name in enumerate(names)}
    vectorizer = TfidfVectorizer(
        vocabulary=vocabulary, dtype=np.dtype(settings["dtype"]).type, **own
    )
    with np.errstate(divide="ignore"):  # without smooth_idf, over words that no row has
        vectorizer.fit([""])
    if vectorizer.use_idf:
        vectorizer.idf_ = np.asarray(arrays["idf"])
    return vectorizer


def save_vectorizer(vectorizer: TfidfVectorizer, path: PathName, overwrite: bool = False) -> None:
    """Write a vectoriser folder."""
    settings, arrays = pack(vectorizer)
    write_folder(path, FILE, {"settings": settings}, arrays, overwrite)


def load_vectorizer(path: PathName) -> TfidfVectorizer:
    """Read a vectoriser folder. Raises ModelError if it is damaged."""
    meta, arrays = read_folder(path, FILE)
    with as_model_error(path, FILE):
        return unpack(meta["settings"], arrays)
