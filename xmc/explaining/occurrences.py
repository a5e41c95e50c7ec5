"""Where the features of a text stand in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..analyzers import (
    LONG_WORD,
    OPENING,
    SIGNS,
    UNSPACED,
    Chars,
    Stems,
    TextVectorizer,
    opening_of,
    sequences,
)
from ..encoders import EncodedVectorizer

# A word as people see it; of scripts without blanks between words, a character.
WORD = re.compile(rf"[{UNSPACED}]|(?:(?![{UNSPACED}])[\w{SIGNS}])+")


class Occurrence(NamedTuple):
    """A feature in a text.

    start, end: characters.
    feature: its column.
    name: as the vectoriser calls it.
    """

    start: int
    end: int
    feature: int
    name: str


class Part(NamedTuple):
    """What a text is read as, and for each of its characters the place in the text."""

    text: str
    origin: np.ndarray  # int64, and one past the last character


def words_in(text: str) -> list[tuple[int, int]]:
    """Where each word begins and ends."""
    return [word.span() for word in WORD.finditer(text)]


def occurrences(vectorizer: Any, text: str) -> list[Occurrence]:
    """Each feature of the text, as often as it stands there; none where a vectoriser of one's own
    doesn't show where it found them. An encoder's stand nowhere.
    """
    if isinstance(vectorizer, EncodedVectorizer):
        vectorizer = vectorizer.words
    whole = Part(text, np.arange(len(text) + 1))
    if not isinstance(vectorizer, TextVectorizer):
        return list(_of_part(vectorizer, whole, 0, ""))
    parts = vectorizer.fitted()
    opening = whole
    if not all(name.startswith(OPENING) for name in parts):
        opening = opening_part(text, vectorizer.params.opening)
    found: list[Occurrence] = []
    start = 0
    for kind, part in parts.items():
        own = opening if kind.startswith(OPENING) else whole
        found += _of_part(part, own, start, f"{kind}:" if len(parts) > 1 else "")
        start += len(part.vocabulary_)
    return found


def opening_part(text: str, n_words: int) -> Part:
    """The opening of a text, in which one blank stands between words."""
    words = [w.span() for w in re.finditer(r"\S+", text[: n_words * LONG_WORD])][:n_words]
    origin: list[int] = []
    for start, end in words:
        origin += [*range(start, end), end]  # the blank after it
    return Part(opening_of(text, n_words), np.array(origin or [0]))


def lowered(part: Part) -> Part:
    """The part in lower case, of which a few characters have two."""
    sizes = [len(character.lower()) for character in part.text]
    origin = np.repeat(part.origin[:-1], sizes)
    return Part(part.text.lower(), np.append(origin, part.origin[-1]))


def _of_part(vectorizer: Any, part: Part, first: int, kind: str) -> Iterator[Occurrence]:
    """The features that a vectoriser of one kind finds, with columns from `first` on."""
    lower = getattr(vectorizer.analyzer, "lowercase", vectorizer.lowercase)
    text, origin = lowered(part) if lower else part
    places = _places(vectorizer, text)
    if places is None:
        return
    features: Sequence[str] = vectorizer.build_analyzer()(part.text)
    for name, (start, end) in zip(features, places, strict=True):
        column = vectorizer.vocabulary_.get(name)
        if column is not None and start < end:
            place = int(origin[start]), int(origin[end - 1]) + 1
            yield Occurrence(*place, first + column, kind + name)


def _places(vectorizer: Any, text: str) -> Iterator[tuple[int, int]] | None:
    """Where the features of a text stand, in the order in which its analyser gives them."""
    if isinstance(vectorizer.analyzer, (Stems, Chars)):
        return vectorizer.analyzer.places(text)
    own = vectorizer.preprocessor, vectorizer.tokenizer, vectorizer.stop_words
    if vectorizer.analyzer != "word" or vectorizer.strip_accents or any(own):
        return None
    pattern = re.compile(vectorizer.token_pattern)
    words = [word.span(min(1, pattern.groups)) for word in pattern.finditer(text)]
    return sequences(words, *vectorizer.ngram_range)
