"""Analysers that turn a text into its features, and a vectoriser of several kinds of them.

Kinds are "words", which are scikit-learn's, "stems" and "chars". All of a vectoriser that is fitted
has a name or is a number, so that it can be stored without pickle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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
OPENING = "opening_"  # begins the names of what reads the opening of a text
OPENING_LENGTH = 0.7  # of its part of a row, where that of the whole text is 1
OPENING_NGRAM = 4  # characters; 3 to 5 together tell no more and are more than twice as many
LONG_WORD = 12  # characters and the blank after them


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
    """Texts to TF-IDF rows of several kinds of features side by side.

    Kinds of the whole text are those of `analyzer`, and weigh the same. The opening of a text, its
    first words, has features of its own: words or stems, pairs of them, and 4-grams of characters.
    So a title counts for more than what an abstract mentions. Where most texts are no longer than
    an opening, all of them is opening.

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
        names = part_names(self.params)
        if self.params.opening and _are_short(texts, self.params.opening):
            names = [name for name in names if name.startswith(OPENING)]
        parts, found, error = {}, [], None
        for name, own in self._read(texts, names):
            parts[name] = part(name, self.params, texts)
            try:
                found.append(parts[name].fit_transform(own))
            except (
                ValueError
            ) as none_left:  # no feature is in so many texts, as where those are few
                error = error or none_left
                del parts[name]
        if error is not None and not parts:
            raise error
        self.parts_ = parts
        return _side_by_side(found, list(parts))

    def transform(self, texts: list[str]) -> sp.csr_matrix:
        """CSR float32 (n_texts, n_features)."""
        parts = self.fitted()
        found = [parts[name].transform(own) for name, own in self._read(texts, list(parts))]
        return _side_by_side(found, list(parts))

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

    def _read(self, texts: list[str], names: list[str]) -> Iterator[tuple[str, list[str]]]:
        """What each part reads: the whole texts, or what comes first if there are parts of both."""
        opened = texts
        if not all(name.startswith(OPENING) for name in names):
            opened = [opening_of(text, self.params.opening) for text in texts]
        for name in names:
            yield name, opened if name.startswith(OPENING) else texts


def kinds_of(params: TextParams) -> list[str]:
    """The kinds of features that the parameters ask for."""
    return params.analyzer.split("+")


def part_names(params: TextParams) -> list[str]:
    """The kinds, and those of the opening if it counts apart."""
    kinds = kinds_of(params)
    opened = dict.fromkeys([kinds[0], "chars"]) if params.opening else ()
    return kinds + [OPENING + kind for kind in opened]


def opening_of(text: str, n_words: int) -> str:
    """The first words of a text, or as many characters as they would be where it has no blanks."""
    return " ".join(text[: n_words * LONG_WORD].split()[:n_words])


def _are_short(texts: list[str], n_words: int) -> bool:
    """Whether most texts are nothing but their opening."""
    short = sum(len(opening_of(text, n_words)) >= len(text.strip()) for text in texts)
    return 2 * short > len(texts)


def part(name: str, params: TextParams, texts: list[str]) -> TfidfVectorizer:
    """An unfitted vectoriser of one kind; languages that are to be found are those of the texts."""
    kind = name.removeprefix(OPENING)
    opens = kind != name
    max_ngram = max(2, params.max_ngram) if opens else params.max_ngram
    how: dict[str, Any] = {"ngram_range": (1, max_ngram)}
    if kind == "chars":
        lengths = (OPENING_NGRAM, OPENING_NGRAM) if opens else LENGTHS
        how = {"analyzer": Chars(*lengths, params.lowercase)}
    elif kind == "stems":
        how = {"analyzer": _stems(params, max_ngram, texts)}
    return TfidfVectorizer(
        min_df=params.min_df,
        max_features=params.max_features,
        sublinear_tf=params.sublinear_tf,
        lowercase=params.lowercase,
        dtype=np.float32,
        **how,
    )


def _stems(params: TextParams, max_ngram: int, texts: list[str]) -> Stems:
    detect = params.language == "auto"
    languages = languages_of(map(words_of, texts)) if detect else (str(params.language),)
    return Stems(languages, detect, max_ngram, params.lowercase)


def _side_by_side(found: list[Any], names: list[str]) -> sp.csr_matrix:
    """One matrix of all kinds, rows of unit length; kinds of the same text weigh the same."""
    if len(found) == 1:
        return found[0]
    n_opening = sum(name.startswith(OPENING) for name in names)
    n_whole = len(names) - n_opening
    square = OPENING_LENGTH**2 if n_whole else 1.0
    whole = np.sqrt(1 / (1 + square * (n_opening > 0)) / max(n_whole, 1))
    opening = np.sqrt(square / (square + (n_whole > 0)) / max(n_opening, 1))
    shares = [opening if name.startswith(OPENING) else whole for name in names]
    return sp.hstack(
        [X * np.float32(share) for X, share in zip(found, shares, strict=True)], format="csr"
    )
