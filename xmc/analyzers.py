"""Analysers that turn a text into its features, and a vectoriser of several kinds of them.

Kinds are "words", which are scikit-learn's, "stems" and "chars". All of a vectoriser that is fitted
has a name or is a number, so that it can be stored without pickle.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer

from .counting import fit_counting
from .languages import language_of, languages_of, stem
from .params import TextParams
from .sparse_kind import like

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

    @property
    def lengths(self) -> tuple[int, int]:
        """Words of the shortest and the longest sequence."""
        return 1, self.max_ngram

    def __call__(self, text: str) -> list[str]:
        lower = words_of(text)
        words = lower if self.lowercase else WORDS.findall(text)
        language = language_of(lower, self.languages) if self.detect else self.languages[0]
        stems = [stem(word, language) for word in words] if language else words
        for n in range(2, min(self.max_ngram, len(words)) + 1):
            stems = stems + [" ".join(stems[i : i + n]) for i in range(len(words) - n + 1)]
        return stems

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where each feature begins and ends, in their order; if they are to be lower case, the
        text is.
        """
        yield from sequences([word.span() for word in WORDS.finditer(text)], 1, self.max_ngram)


@dataclass(frozen=True)
class Chars:
    """A text's n-grams inside words, which have a blank at each end, as scikit-learn's char_wb.

    shortest, longest: characters of an n-gram.
    """

    shortest: int = LENGTHS[0]
    longest: int = LENGTHS[1]
    lowercase: bool = True

    @property
    def lengths(self) -> tuple[int, int]:
        """Characters of the shortest and the longest n-gram."""
        return self.shortest, self.longest

    def __call__(self, text: str) -> list[str]:
        found: list[str] = []
        for run in RUNS.findall(text.lower() if self.lowercase else text):
            found += _ngrams(run, self.shortest, self.longest)
        return found

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """As in Stems; the blanks around a word are left out."""
        for run in RUNS.finditer(text):
            start, end = run.span()
            if _is_unspaced(run[0]):
                places = _places(end - start, *UNSPACED_LENGTHS)
            else:
                places, start = _places(end - start + 2, self.shortest, self.longest), start - 1
            for first, last in places:
                yield max(start + first, run.start()), min(start + last, end)


# Fits a part to what it reads, and gives what is to be kept of that.
Learner = Callable[[TfidfVectorizer, Iterable[str]], Any]
ANALYZERS = {"stems": Stems, "chars": Chars}


def words_of(text: str) -> list[str]:
    """The lower-case words of a text, of two characters at least."""
    return WORDS.findall(text.lower())


@lru_cache(maxsize=2**16)
def _ngrams(run: str, shortest: int, longest: int) -> tuple[str, ...]:
    """The n-grams of one word, or of Chinese or Japanese without a blank."""
    lengths = UNSPACED_LENGTHS if _is_unspaced(run) else (shortest, longest)
    run = run if _is_unspaced(run) else f" {run} "
    return tuple(run[first:last] for first, last in _places(len(run), *lengths))


def _is_unspaced(run: str) -> bool:
    return "\u3005" <= run[0] and re.match(f"[{UNSPACED}]", run) is not None


def _places(length: int, shortest: int, longest: int) -> Iterator[tuple[int, int]]:
    """Where n-grams begin and end, short ones first; what is shorter than these is one itself."""
    if length <= shortest:
        yield 0, length
        return
    for n in range(shortest, min(longest, length) + 1):
        for first in range(length - n + 1):
            yield first, first + n


def sequences(
    places: list[tuple[int, int]], shortest: int, longest: int
) -> Iterator[tuple[int, int]]:
    """Where sequences of so many words begin and end, short ones first."""
    for n in range(shortest, min(longest, len(places)) + 1):
        for first in range(len(places) - n + 1):
            yield places[first][0], places[first + n - 1][1]


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
            self._keep(parts)

    def fit(self, texts: Sequence[str]) -> TextVectorizer:
        """Learn the features that occur in texts, and the languages where asked.

        The texts are read several times, and not kept: memory goes by features.
        """
        self._learn(texts, fit_counting)
        return self

    def fit_transform(self, texts: Sequence[str]) -> sp.csr_matrix | sp.csr_array:
        """Learn, and transform the same texts."""
        found = self._learn(texts, lambda part, own: part.fit_transform(own))
        scaled = [X * share for X, share in zip(found, _shares(list(self.parts_)), strict=True)]
        return sp.hstack(scaled, format="csr") if len(found) > 1 else found[0]

    def _learn(self, texts: Sequence[str], learn: Learner) -> list[Any]:
        """Keep the parts that the texts give, and return what `learn` made of each."""
        names = part_names(self.params)
        opening = [name for name in names if name.startswith(OPENING)]
        parts: dict[str, Any] = {}
        if not (opening and _are_short(texts, self.params.opening)):
            parts, found = self._learned(texts, names, learn)
        if all(name in opening for name in parts) and opening:
            parts, found = self._learned(texts, opening, learn)
        if not parts:
            raise ValueError("expected features, found none")
        self._keep(parts)
        return found

    def _keep(self, parts: dict[str, TfidfVectorizer]) -> None:
        """Keep the parts, and what one row needs of all of them."""
        self.parts_ = parts
        self._starts = [0, *accumulate(len(part.vocabulary_) for part in parts.values())]
        self._idf = np.concatenate([part.idf_ for part in parts.values()]).astype(np.float32)

    def _learned(
        self, texts: Sequence[str], names: list[str], learn: Learner
    ) -> tuple[dict[str, Any], list[Any]]:
        """The parts that find features, and what `learn` made of each."""
        parts, found = {}, []
        for name, own in self._read(texts, names):
            learned = part(name, self.params, texts)
            try:
                found.append(learn(learned, own))
                parts[name] = learned
            except ValueError:  # of few texts none may have a feature of another
                continue
        return parts, found

    def transform(self, texts: list[str]) -> sp.csr_matrix | sp.csr_array:
        """CSR float32 (n_texts, n_features), of the kind that scikit-learn is set to give.

        As the parts would give it. For one text they take five times as long, each
        with its checks and matrices.
        """
        columns, counts, sizes = self._counted(texts)
        n_parts = len(self.parts_)
        values = np.log(counts) + np.float32(1) if self.params.sublinear_tf else counts
        values *= self._idf[columns]
        segment = np.repeat(np.arange(len(sizes)), sizes)  # a part of a row
        # Each step is rounded as scikit-learn's is, so that rows are those of the fit.
        length = np.sqrt(np.bincount(segment, values * values, len(sizes)))
        values = (values / length[segment]).astype(np.float32)
        values *= np.tile(_shares(list(self.parts_)), len(texts))[segment]
        indptr = np.concatenate([[0], np.cumsum(sizes)[n_parts - 1 :: n_parts]])
        shape = len(texts), self._starts[-1]
        return like(texts, sp.csr_matrix((values, columns, indptr), shape))

    def _counted(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(columns, counts, sizes): the features of each text, part after part, how often it has
        each, and how many each part has.
        """
        parts = self.fitted()
        columns, counts, sizes = array("i"), array("f"), array("i")
        read = [part.build_analyzer() for part in parts.values()]
        known = [part.vocabulary_.get for part in parts.values()]
        rows = zip(*(own for _, own in self._read(texts, list(parts))), strict=True)
        for row in rows:
            for text, features, column, start in zip(row, read, known, self._starts, strict=False):
                found = Counter(map(column, features(text)))
                del found[None]  # what no training text had twice
                own = sorted(found.items())
                columns.extend(start + j for j, _ in own)
                counts.extend(n for _, n in own)
                sizes.append(len(own))
        return np.array(columns, np.int32), np.array(counts, np.float32), np.array(sizes, np.int64)

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

    def _read(self, texts: Sequence[str], names: list[str]) -> Iterator[tuple[str, Iterable[str]]]:
        """What each part reads: the whole texts, or what comes first if there are parts of both."""
        opened: Iterable[str] = texts
        if not all(name.startswith(OPENING) for name in names):
            opened = _Openings(texts, self.params.opening)
        for name in names:
            yield name, opened if name.startswith(OPENING) else texts


@dataclass(frozen=True)
class _Openings:
    """What comes first in each text, as often as it is asked for."""

    texts: Sequence[str]
    n_words: int

    def __iter__(self) -> Iterator[str]:
        return (opening_of(text, self.n_words) for text in self.texts)


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


def _are_short(texts: Sequence[str], n_words: int) -> bool:
    """Whether most texts are nothing but their opening."""
    short = sum(len(opening_of(text, n_words)) >= len(text.strip()) for text in texts)
    return 2 * short > len(texts)


def part(name: str, params: TextParams, texts: Sequence[str]) -> TfidfVectorizer:
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


def _stems(params: TextParams, max_ngram: int, texts: Sequence[str]) -> Stems:
    detect = params.language == "auto"
    languages = languages_of(map(words_of, texts)) if detect else (str(params.language),)
    return Stems(languages, detect, max_ngram, params.lowercase)


def _shares(names: list[str]) -> np.ndarray:
    """The length of each part of a row of length 1; kinds of the same text weigh the same."""
    opens = np.array([name.startswith(OPENING) for name in names])
    square = np.where(opens, OPENING_LENGTH**2 / max(1, opens.sum()), 1 / max(1, (~opens).sum()))
    return np.sqrt(square / square.sum()).astype(np.float32)
