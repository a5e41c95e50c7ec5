"""Analysers that turn a text into its features, and a vectoriser of one or two kinds of them.

Kinds are "words", which are scikit-learn's, "stems" and "chars". All of a vectoriser that is fitted
has a name or is a number, so that it can be stored without pickle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer

from .languages import language_of, languages_of, stem
from .params import TextParams

# Python's \w leaves out the signs that Arabic, Hebrew and the scripts of India write inside words.
SIGNS = "\u0300-\u036f\u0591-\u05bd\u064b-\u0652\u0900-\u0963\u0966-\u0d7f"
# Chinese and Japanese have no blanks between words.
UNSPACED = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORDS = re.compile(rf"[\w{SIGNS}]{{2,}}")
RUNS = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}{SIGNS}]+|[{SIGNS}\w]+")
LENGTHS = (3, 5)  # of n-grams inside words
UNSPACED_LENGTHS = (1, 3)  # where a character is a word, or half of one


@dataclass(frozen=True)
class Stems:
    """A text's stems, and sequences of them as words with blanks between.

    languages: the one of all texts, or those among which each text's is found.
    detect: find it; a text whose language doesn't show keeps its words as they are.
    """

    languages: tuple[str, ...]
    detect: bool
    max_ngram: int = 1
    lowercase: bool = True

    def __call__(self, text: str) -> list[str]:
        lower = words_of(text)
        words = lower if self.lowercase else WORDS.findall(text)
        language = language_of(lower, self.languages) if self.detect else self.languages[0]
        stems = [stem(word, language) for word in words] if language else words
        for n in range(2, self.max_ngram + 1):
            stems = stems + [" ".join(stems[i : i + n]) for i in range(len(words) - n + 1)]
        return stems


@dataclass(frozen=True)
class Chars:
    """A text's n-grams inside words, which have a blank at each end, as scikit-learn's char_wb.

    shortest, longest: characters of an n-gram.
    """

    shortest: int = LENGTHS[0]
    longest: int = LENGTHS[1]
    lowercase: bool = True

    def __call__(self, text: str) -> list[str]:
        found: list[str] = []
        for run in RUNS.findall(text.lower() if self.lowercase else text):
            found += _ngrams(run, self.shortest, self.longest)
        return found


ANALYZERS = {"stems": Stems, "chars": Chars}


def words_of(text: str) -> list[str]:
    """The lower-case words of a text, of two characters at least."""
    return WORDS.findall(text.lower())


@lru_cache(maxsize=2**16)
def _ngrams(run: str, shortest: int, longest: int) -> tuple[str, ...]:
    """The n-grams of one word, or of Chinese or Japanese without a blank."""
    if "\u3005" <= run[0] and re.match(f"[{UNSPACED}]", run):
        return _windows(run, *UNSPACED_LENGTHS)
    return _windows(f" {run} ", shortest, longest)


def _windows(run: str, shortest: int, longest: int) -> tuple[str, ...]:
    """All n-grams, short ones first; a run that is shorter than the shortest is one itself."""
    if len(run) <= shortest:
        return (run,)
    return tuple(
        run[i : i + n]
        for n in range(shortest, min(longest, len(run)) + 1)
        for i in range(len(run) - n + 1)
    )


class TextVectorizer:
    """Texts to TF-IDF rows of other features than words, or of two kinds side by side.

    Each kind has unit length, and so has the row: kinds weigh the same.

    Fitted attribute: parts_, scikit-learn's TfidfVectorizer of each kind.
    """

    def __init__(self, params: TextParams, parts: dict[str, TfidfVectorizer] | None = None):
        self.params = params
        if parts is not None:
            self.parts_ = parts

    def fit(self, texts: list[str]) -> TextVectorizer:
        """Learn the features that occur in texts, and the languages where asked."""
        self.fit_transform(texts)
        return self

    def fit_transform(self, texts: list[str]) -> sp.csr_matrix:
        """Learn, and transform the same texts."""
        parts = {kind: part(kind, self.params, texts) for kind in kinds_of(self.params)}
        found = [part.fit_transform(texts) for part in parts.values()]
        self.parts_ = parts
        return _side_by_side(found)

    def transform(self, texts: list[str]) -> sp.csr_matrix:
        """CSR float32 (n_texts, n_features)."""
        return _side_by_side([part.transform(texts) for part in self.fitted().values()])

    def get_feature_names_out(self) -> np.ndarray:
        """Names of the columns, which begin with their kind where there are two: `chars:hau`."""
        names = {kind: part.get_feature_names_out() for kind, part in self.fitted().items()}
        if len(names) == 1:
            return next(iter(names.values()))
        told = [f"{kind}:{name}" for kind, own in names.items() for name in own]
        return np.array(told, dtype=object)

    def fitted(self) -> dict[str, TfidfVectorizer]:
        """The vectoriser of each kind. Raises NotFittedError before there is one."""
        if not hasattr(self, "parts_"):
            raise NotFittedError("TextVectorizer: expected a vectoriser that is fitted")
        return self.parts_


def kinds_of(params: TextParams) -> list[str]:
    """The kinds of features that the parameters ask for."""
    return params.analyzer.split("+")


def part(kind: str, params: TextParams, texts: list[str]) -> TfidfVectorizer:
    """An unfitted vectoriser of one kind; languages that are to be found are those of the texts."""
    how: dict[str, Any] = {"analyzer": _analyzer(kind, params, texts)}
    if kind == "words":
        how = {"ngram_range": (1, params.max_ngram)}
    return TfidfVectorizer(
        min_df=params.min_df,
        max_features=params.max_features,
        sublinear_tf=params.sublinear_tf,
        lowercase=params.lowercase,
        dtype=np.float32,
        **how,
    )


def _analyzer(kind: str, params: TextParams, texts: list[str]) -> Any:
    if kind == "chars":
        return Chars(lowercase=params.lowercase)
    if kind == "words":
        return "word"
    detect = params.language == "auto"
    languages = languages_of(map(words_of, texts)) if detect else (str(params.language),)
    return Stems(languages, detect, params.max_ngram, params.lowercase)


def _side_by_side(found: list[Any]) -> sp.csr_matrix:
    if len(found) == 1:
        return found[0]
    share = np.float32(np.sqrt(1 / len(found)))
    return sp.hstack([X * share for X in found], format="csr")
