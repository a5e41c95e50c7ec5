"""Texts to TF-IDF rows by a vectoriser that is kept in a folder without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

from .analyzers import ANALYZERS, TextVectorizer, kinds_of, part, part_names
from .arrays import INT32_MAX
from .checkpoint import Checkpoint
from .counting import fit_counting
from .encoders import EncodedVectorizer, Encoding
from .errors import DataError, ModelError, ParameterError, XmcError
from .io.folder import (
    PathName,
    as_model_error,
    pack_strings,
    plain_values,
    read_folder,
    unpack_strings,
    write_folder,
)
from .languages import CODES
from .params import TextParams, check
from .patterns import check_pattern

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
ARRAYS = ("vocabulary", "vocabulary_offsets", "idf")
PROBE = "The trees of 1900, ein Haus, 日本"  # what any vectoriser must be able to take apart
Vectorizer: TypeAlias = TfidfVectorizer | TextVectorizer | EncodedVectorizer


def make_vectorizer(params: TextParams | None = None, who: str = "TextParams") -> Vectorizer:
    """An unfitted vectoriser: words and an opening, min_df 2, sublinear tf and unit length unless
    the parameters say otherwise. That of words alone is scikit-learn's.

    Raises ParameterError, in the name of `who`.
    """
    params = params or TextParams()
    check(params, who)
    if "stems" in kinds_of(params) and params.language is None:
        raise ParameterError(
            f"{who}: analyzer {params.analyzer!r} needs a language, 'auto' or one of "
            f"{', '.join(CODES)}, got None"
        )
    if params.analyzer == "words" and not params.opening:
        return part("words", params, [])
    return TextVectorizer(params)


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


def fit_texts(vectorizer: Vectorizer, texts: Sequence[str]) -> Any:
    """Fit and transform: CSR float32 (n_rows, n_features).

    Raises DataError if no feature is left, or if an encoder gives no array of numbers.
    """
    with _telling_of_no_features(vectorizer, len(texts)):
        return vectorizer.fit_transform(texts)


def fit_for_forecast(vectorizer: Vectorizer, texts: Sequence[str]) -> tuple[Any, float]:
    """For a forecast: rows as large as those of `fit_texts`, and the seconds that an encoder will
    take, which is given few texts here.
    """
    if not isinstance(vectorizer, EncodedVectorizer):
        return fit_texts(vectorizer, texts), 0.0
    with _telling_of_no_features(vectorizer, len(texts)):
        return vectorizer.fit_for_forecast(texts)


def fit_only(vectorizer: Vectorizer, texts: Sequence[str]) -> Vectorizer:
    """The vectoriser that `fit_texts` leaves, fitted in memory that goes by features: of texts that
    are on the disk, only some are in memory at a time.
    """
    with _telling_of_no_features(vectorizer, len(texts)):
        if isinstance(vectorizer, TextVectorizer):
            return vectorizer.fit(texts)
        return fit_counting(vectorizer, texts)


def is_fitted(vectorizer: Vectorizer) -> bool:
    """Whether a vectoriser has learned its features."""
    learned = "parts_", "vocabulary_", "encoding_"
    return any(hasattr(vectorizer, name) for name in learned)


@contextmanager
def _telling_of_no_features(vectorizer: Vectorizer, n_texts: int) -> Iterator[None]:
    """Say what is wrong where scikit-learn speaks of document frequencies."""
    try:
        yield
    except XmcError:  # of an encoder
        raise
    except ValueError:
        how = vectorizer.params if isinstance(vectorizer, TextVectorizer) else vectorizer
        least = how.min_df
        told = f"that {least:,} texts or more have (min_df), found none in {n_texts:,}"
        message = f"text: expected features {told}; are they empty, or too few?"
        raise DataError(message) from None


class FittedTexts(NamedTuple):
    """A fitted vectoriser as `pack` gives it, and the rows that it made."""

    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]
    X: sp.csr_matrix


def fitted_on(
    vectorizer: Vectorizer, texts: Sequence[str], checkpoint: Checkpoint
) -> tuple[Vectorizer, Any]:
    """The vectoriser fitted on these texts, and their rows as in `fit_texts`."""
    if not checkpoint.keeps:
        return vectorizer, fit_texts(vectorizer, texts)

    def job() -> FittedTexts:
        X = fit_texts(vectorizer, texts)
        return FittedTexts(*pack(vectorizer), X)

    kept = checkpoint.once("texts", FittedTexts, job)
    fitted = unpack(kept.settings, kept.arrays)
    if isinstance(vectorizer, EncodedVectorizer) and isinstance(fitted, EncodedVectorizer):
        fitted.use(vectorizer.encoder, vectorizer.cache)  # or it would be noticed after training
    return fitted, kept.X


def pack(vectorizer: Vectorizer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A fitted vectoriser as settings for JSON and arrays.

    Raises ModelError if it has settings that only pickle could keep.
    """
    if isinstance(vectorizer, EncodedVectorizer):
        own, arrays = pack(vectorizer.words)
        name, weight, probes = vectorizer.encoding_
        settings = {"words": own, "encoder": {"name": name, "weight": weight}}
        return settings, {f"words.{key}": a for key, a in arrays.items()} | {"probes": probes}
    if not isinstance(vectorizer, TextVectorizer):
        return _pack_part(vectorizer)
    packed = {kind: _pack_part(part) for kind, part in vectorizer.fitted().items()}
    settings = {kind: own for kind, (own, _) in packed.items()}
    arrays = {
        f"{kind}.{name}": array for kind, (_, own) in packed.items() for name, array in own.items()
    }
    return {"parameters": plain_values(vars(vectorizer.params)), "parts": settings}, arrays


def unpack(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Vectorizer:
    """The vectoriser that `pack` packed, without its encoder."""
    if "words" in settings:
        encoding = Encoding(**settings["encoder"], probes=np.asarray(arrays["probes"]))
        encoding.check()
        words = {key.removeprefix("words."): a for key, a in arrays.items()}
        return EncodedVectorizer.restored(unpack(settings["words"], words), encoding)
    if "parts" not in settings:
        return _unpack_part(settings, arrays)
    params = TextParams(**({"opening": 0} | settings["parameters"]))
    check(params)
    parts = {}
    for kind in part_names(params):
        if kind in settings["parts"]:  # of short texts all is opening; few have no feature twice
            own = {name: arrays[f"{kind}.{name}"] for name in ARRAYS if f"{kind}.{name}" in arrays}
            parts[kind] = _unpack_part(settings["parts"][kind], own)
    return TextVectorizer(params, parts)


def _pack_part(vectorizer: TfidfVectorizer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if type(vectorizer) is not TfidfVectorizer:
        raise ModelError(
            f"vectoriser: expected scikit-learn's TfidfVectorizer, got {type(vectorizer).__name__}"
        )
    if vectorizer.input != "content":
        raise ModelError(f"vectoriser: expected texts as input, got {vectorizer.input!r}")
    settings = {name: getattr(vectorizer, name) for name in SETTINGS}
    settings["analyzer"] = _named(settings["analyzer"])
    own = [name for name in ("preprocessor", "tokenizer") if getattr(vectorizer, name) is not None]
    own += [name for name, value in settings.items() if callable(value)]
    if own:
        raise ModelError(
            f"vectoriser: expected settings that JSON can hold, got a function as {own[0]}"
        )
    try:
        check_pattern(settings["token_pattern"])
    except ValueError as error:  # or the model could be saved, but not be loaded again
        raise ModelError(f"vectoriser: {error}") from None
    settings["ngram_range"] = [int(n) for n in settings["ngram_range"]]
    settings["dtype"] = np.dtype(vectorizer.dtype).name
    names = [str(name) for name in vectorizer.get_feature_names_out()]
    data, offsets = pack_strings(names)
    arrays = {"vocabulary": data, "vocabulary_offsets": offsets}
    if vectorizer.use_idf:
        arrays["idf"] = np.asarray(vectorizer.idf_)
    return settings, arrays


def _named(analyzer: Any) -> Any:
    """An analyser of ours as its name and settings; another one as it is."""
    names = {kind: name for name, kind in ANALYZERS.items()}
    return {names[type(analyzer)]: asdict(analyzer)} if type(analyzer) in names else analyzer


def _of_name(analyzer: Any) -> Any:
    """The analyser that `_named` named."""
    if not isinstance(analyzer, dict):
        return analyzer
    ((name, settings),) = analyzer.items()
    own = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    found = ANALYZERS[name](**own)
    _check_lengths(*found.lengths)
    return found


def _check_lengths(shortest: Any, longest: Any) -> None:
    """Raise ValueError unless these are lengths of n-grams: others are looped over for ever."""
    if not (type(shortest) is type(longest) is int and 0 <= shortest <= longest <= INT32_MAX):
        raise ValueError(f"expected lengths of n-grams, got {shortest!r} to {longest!r}")


def _unpack_part(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> TfidfVectorizer:
    check_pattern(settings["token_pattern"])
    _check_lengths(*settings["ngram_range"])
    names = unpack_strings(arrays["vocabulary"], arrays["vocabulary_offsets"])
    own = {name: settings[name] for name in SETTINGS} | {
        "ngram_range": tuple(settings["ngram_range"]),
        "analyzer": _of_name(settings["analyzer"]),
    }
    vocabulary = {name: column for column, name in enumerate(names)}
    # Some letters, such as \u03d2, are upper case and have no lower one: scikit-learn would warn.
    cased = own | {"lowercase": False}
    vectorizer = TfidfVectorizer(
        vocabulary=vocabulary, dtype=np.dtype(settings["dtype"]).type, **cased
    )
    with np.errstate(divide="ignore"):  # without smooth_idf, over words that no row has
        vectorizer.fit([""])
    vectorizer.lowercase = own["lowercase"]
    vectorizer.build_analyzer()(PROBE)  # raises at settings that can't read any text
    if vectorizer.use_idf:
        idf = np.asarray(arrays["idf"])
        if idf.dtype.kind != "f" or not np.isfinite(idf).all():
            raise ValueError("expected numbers as the weights of words")
        vectorizer.idf_ = idf
    return vectorizer


def save_vectorizer(vectorizer: Vectorizer, path: PathName, overwrite: bool = False) -> None:
    """Write a vectoriser folder."""
    settings, arrays = pack(vectorizer)
    write_folder(path, FILE, {"settings": settings}, arrays, overwrite)


def load_vectorizer(path: PathName) -> Vectorizer:
    """Read a vectoriser folder. Raises ModelError if it is damaged."""
    meta, arrays = read_folder(path, FILE)
    with as_model_error(path, FILE):
        return unpack(meta["settings"], arrays)
