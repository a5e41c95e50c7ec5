"""Vocabularies: labels with names in several languages, and which label is broader than which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .arrays import frozen
from .errors import DataError, ParameterError, printable, quoted
from .formats import vocabulary_format
from .io.files import FilePath, source_name
from .io.folder import pack_strings, unpack_strings
from .io.skos import PARSERS, read_skos
from .io.vocabularies import ALTERNATIVE, KINDS, PREFERRED, READERS, Entries

LONGEST = 1000  # characters of a name; what is longer is a damaged file or a definition
MOST_LANGUAGES = 2**15 - 1  # their numbers are int16
QUALIFIERS = re.compile(r"(.*?\S)((?: \([^()]+\))+)")
ID_START = re.compile(r".*[/#:]")
TEXTS = ("ids", "names", "qualifiers", "languages")
COLUMNS = {"name_concepts": np.int32, "name_kinds": np.int8, "name_languages": np.int16}


class Name(NamedTuple):
    """A name of a concept."""

    name: str  # without its qualifiers
    qualifiers: str  # as they stand behind it, in brackets; "" if there are none
    kind: str  # "preferred", "alternative" or "hidden"
    language: str | None

    @property
    def whole(self) -> str:
        """The name with its qualifiers."""
        return _whole(self.name, self.qualifiers)


@dataclass(frozen=True, eq=False, repr=False)
class Vocabulary:
    """Concepts, which are labels with or without training rows, their names, and what is broader.

    Everything stands in columns. Concepts are numbered by ascending id, as labels of texts are, and
    as RDF has no order: so all formats give one value. The names of a concept stand together: the
    preferred, the alternative, the hidden ones; within a kind by language, the one with the most
    preferred names first and names without a language last; then as in the file.
    """

    ids: list[str]  # of the concepts, ascending
    names: list[str]  # without qualifiers
    qualifiers: list[str]  # of each name, in brackets; "" if there are none
    name_concepts: np.ndarray  # int32, of each name, ascending
    name_kinds: np.ndarray  # int8, of each name, an index into KINDS
    name_languages: np.ndarray  # int16, of each name, an index into languages; -1 if none
    languages: list[str]  # the one with the most preferred names first
    broader_pairs: np.ndarray  # int32, (n, 2), ascending: a concept and a broader one; no cycles
    notices: tuple[str, ...] = ()  # what reading left out or changed, one line each

    @classmethod
    def read(cls, path: FilePath, format: str | None = None) -> Vocabulary:
        """The vocabulary in a file; the end of its name shows the format if `format` is None.

        Formats are SKOS (.ttl .rdf .nt .jsonld, which need the extra xmc-trees[skos]), .tsv (lines
        id<TAB>name or id<TAB>language<TAB>name), .txt (id<TAB>name or only id), Annif's .csv, and
        .jsonl as in xmc/io/vocabularies.py; each may be compressed. The first name
        that an id has in a language is preferred, later ones are alternative. Raises DataError,
        with the line, if the file isn't what its format says, ParameterError at another format.
        """
        format = vocabulary_format(path, format)
        entries = read_skos(path, format) if format in PARSERS else READERS[format](path)
        if not entries.concepts:
            raise DataError(f"{source_name(path)}: expected at least one concept, got none")
        return cls.from_entries(entries, source_name(path))

    @classmethod
    def of(
        cls,
        names: Iterable[tuple[str, str, str, str | None]],
        broader: Iterable[tuple[str, str]] = (),
    ) -> Vocabulary:
        """The vocabulary of these names, (id, name, kind, language), and pairs (id, broader id).

        A kind is "preferred", "alternative" or "hidden"; a language is a code, or None. Raises
        ParameterError at another kind, DataError at what is no text.
        """
        entries = Entries(broader=list(broader))
        for concept, name, kind, language in names:
            if kind not in KINDS:
                raise ParameterError(
                    f"Vocabulary: kind must be one of {_listed(KINDS)}, got {kind!r}"
                )
            entries.add(concept, name, KINDS.index(kind), (language or "").lower())
        return cls.from_entries(entries)

    @classmethod
    def from_entries(cls, entries: Entries, who: str = "Vocabulary") -> Vocabulary:
        """The value of what a file said. Raises DataError, beginning with `who`, if it is no text,
        or if there are too many languages.
        """
        _check_texts((*entries.concepts, *entries.names), who)
        ids, notices = sorted(entries.concepts), list(entries.notices)
        place = {concept: i for i, concept in enumerate(ids)}
        rows, languages = _sorted_names(entries, place, notices)
        if len(languages) > MOST_LANGUAGES:
            expected = f"at most {MOST_LANGUAGES:,} languages"
            raise DataError(f"{who}: expected {expected}, got {len(languages):,}")
        parts = [split_qualifiers(name) for *_, name in rows]
        columns = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
        codes = np.where(columns[2] == len(languages), -1, columns[2])
        return cls(
            ids,
            [name for name, _ in parts],
            [qualifiers for _, qualifiers in parts],
            frozen(columns[0].astype(np.int32)),
            frozen(columns[1].astype(np.int8)),
            frozen(codes.astype(np.int16)),
            languages,
            frozen(_sorted_pairs(entries, place, ids, notices)),
            tuple(map(printable, notices)),
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All columns as arrays: texts as UTF-8 bytes and their offsets, and ints."""
        arrays = {name: getattr(self, name) for name in (*COLUMNS, "broader_pairs")}
        for name in TEXTS:
            arrays[name], arrays[f"{name}_offsets"] = pack_strings(getattr(self, name))
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Vocabulary:
        """What `to_arrays` gave. Raises KeyError or ValueError if the arrays don't fit."""
        columns: dict[str, Any] = {name: arrays[name] for name in (*COLUMNS, "broader_pairs")}
        for name in TEXTS:
            columns[name] = unpack_strings(arrays[name], arrays[f"{name}_offsets"])
        found = cls(**columns)
        found._check()
        return found

    def _check(self) -> None:
        """Raise ValueError if the columns contradict each other."""
        sizes = {len(self.names), len(self.qualifiers), *(len(getattr(self, c)) for c in COLUMNS)}
        pairs = self.broader_pairs
        right = (
            len(sizes) == 1
            and all(a < b for a, b in pairwise(self.ids))
            and all(getattr(self, name).dtype == dtype for name, dtype in COLUMNS.items())
            and _within(self.name_concepts, 0, len(self.ids))
            and (np.diff(self.name_concepts) >= 0).all()
            and _within(self.name_kinds, 0, len(KINDS))
            and _within(self.name_languages, -1, len(self.languages))
            and (pairs.dtype, pairs.shape[1:]) == (np.int32, (2,))
            and _within(pairs, 0, len(self.ids))
            and (np.diff(pairs[:, 0] * np.int64(len(self.ids)) + pairs[:, 1]) > 0).all()
        )
        if not right:
            raise ValueError("expected the columns of a vocabulary that fit each other")

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, concept: object) -> bool:
        return concept in self._place

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        arrays = (*COLUMNS, "broader_pairs")
        return all(getattr(self, a) == getattr(other, a) for a in TEXTS) and all(
            np.array_equal(getattr(self, a), getattr(other, a)) for a in arrays
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.ids):,} concepts, {len(self.names):,} names)"

    def names_of(self, ids: Iterable[str], language: str | None = None) -> list[str]:
        """The preferred names of these ids with their qualifiers.

        Where there is none in `language`, it is the first preferred one of any; where there is none
        at all, or no such concept, the id. Raises ParameterError if no name is in the language.
        """
        first, place = self._preferred(language), self._place
        found = ((concept, first[place[concept]] if concept in place else -1) for concept in ids)
        return [concept if n < 0 else self._whole(n) for concept, n in found]

    def preferred(self, concept: str, language: str | None = None) -> str:
        """The preferred name of a concept as `names_of` finds it.

        Raises ParameterError if there is no such concept, or no name in the language.
        """
        i, code = self._number(concept), self._code(language)
        found = [n for n in self._span(i) if self.name_kinds[n] == PREFERRED]
        found.sort(key=lambda n: code is None or self.name_languages[n] != code)
        return self._whole(found[0]) if found else concept

    def all_names(self, concept: str) -> list[Name]:
        """All names of a concept, the preferred ones first.

        Raises ParameterError if there is no such concept.
        """
        return [self._name(n) for n in self._span(self._number(concept))]

    def broader(self, concept: str) -> list[str]:
        """The ids of the concepts that are one step broader.

        Raises ParameterError if there is no such concept.
        """
        pairs, i = self.broader_pairs, self._number(concept)
        a, b = np.searchsorted(pairs[:, 0], [i, i + 1])
        return [self.ids[j] for j in pairs[a:b, 1]]

    def narrower(self, concept: str) -> list[str]:
        """The ids of the concepts that are one step narrower.

        Raises ParameterError if there is no such concept.
        """
        pairs, i = self._narrower_pairs, self._number(concept)
        a, b = np.searchsorted(pairs[:, 0], [i, i + 1])
        return [self.ids[j] for j in pairs[a:b, 1]]

    def broader_in(self, ids: Sequence[str]) -> np.ndarray:
        """int64 (n, 2), the places of a concept and a broader one among these ids, as far as both
        are there.
        """
        place = {label: n for n, label in enumerate(ids)}
        own = np.array([place.get(concept, -1) for concept in self.ids], np.int64)
        pairs = own[self.broader_pairs]
        return pairs[(pairs >= 0).all(axis=1)]

    def as_in(self, ids: Sequence[str]) -> Vocabulary:
        """The same concepts, called as these ids are where only what comes first differs.

        Data may say gnd:4066399-1 where SKOS says https://d-nb.info/gnd/4066399-1. Of all ids the
        beginning up to the last / # or : is exchanged, the one that most of those have which end
        alike; a vocabulary that has some of these ids as they are stays as it is.
        """
        if any(label in self for label in ids):
            return self
        ends = {end: start for start, end in map(split_id, ids)}
        alike = [(start, ends[end]) for start, end in map(split_id, self.ids) if end in ends]
        if not alike:
            return self
        (own, theirs), _ = Counter(alike).most_common(1)[0]
        named = [theirs + i.removeprefix(own) if i.startswith(own) else i for i in self.ids]
        return self if len(set(named)) < len(named) else self._renamed(named)

    def _renamed(self, ids: list[str]) -> Vocabulary:
        """With other ids, which put the concepts in another order."""
        order = sorted(range(len(ids)), key=ids.__getitem__)
        place = np.empty(len(ids), np.int32)
        place[order] = np.arange(len(ids), dtype=np.int32)
        concepts, pairs = place[self.name_concepts], place[self.broader_pairs]
        by_concept = np.argsort(concepts, kind="stable")
        return replace(
            self,
            ids=[ids[i] for i in order],
            names=[self.names[n] for n in by_concept],
            qualifiers=[self.qualifiers[n] for n in by_concept],
            name_concepts=frozen(concepts[by_concept]),
            name_kinds=frozen(self.name_kinds[by_concept]),
            name_languages=frozen(self.name_languages[by_concept]),
            broader_pairs=frozen(pairs[np.lexsort(pairs.T[::-1])]),
        )

    @cached_property
    def _place(self) -> dict[str, int]:
        return {concept: i for i, concept in enumerate(self.ids)}

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where the names of each concept begin, and the end."""
        return np.searchsorted(self.name_concepts, np.arange(len(self.ids) + 1))

    @cached_property
    def _narrower_pairs(self) -> np.ndarray:
        pairs = self.broader_pairs[:, ::-1]
        return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]

    def _preferred(self, language: str | None) -> list[int]:
        """The number of each concept's preferred name, -1 if it has none."""
        code, first = self._code(language), np.full(len(self.ids), -1)
        preferred = np.flatnonzero(self.name_kinds == PREFERRED)[::-1]  # the last one written wins
        first[self.name_concepts[preferred]] = preferred
        if code is not None:
            chosen = preferred[self.name_languages[preferred] == code]
            first[self.name_concepts[chosen]] = chosen
        return first.tolist()

    def _code(self, language: str | None) -> int | None:
        """The number of a language. Raises ParameterError if no name is in it."""
        if language is None:
            return None
        if language.lower() not in self.languages:
            one_of = f"one of {_listed(self.languages)}" if self.languages else "None here"
            raise ParameterError(f"Vocabulary: language must be {one_of}, got {language!r}")
        return self.languages.index(language.lower())

    def _number(self, concept: str) -> int:
        if concept not in self._place:
            raise ParameterError(f"Vocabulary: expected the id of a concept, got {quoted(concept)}")
        return self._place[concept]

    def _span(self, i: int) -> range:
        return range(int(self._starts[i]), int(self._starts[i + 1]))

    def _whole(self, n: int) -> str:
        return _whole(self.names[n], self.qualifiers[n])

    def _name(self, n: int) -> Name:
        code = int(self.name_languages[n])
        language = None if code < 0 else self.languages[code]
        return Name(self.names[n], self.qualifiers[n], KINDS[self.name_kinds[n]], language)


def split_qualifiers(name: str) -> tuple[str, str]:
    """A name, and the qualifiers in brackets at its end: "Bank (Money)" is "Bank" and "(Money)"."""
    found = QUALIFIERS.fullmatch(name) if name.endswith(")") else None
    return (found[1], found[2].strip()) if found else (name, "")


def split_id(label: str) -> tuple[str, str]:
    """What comes first in an id, up to its last / # or :, and the rest."""
    start = ID_START.match(label)
    return label[: start.end()] if start else "", label[start.end() :] if start else label


def _whole(name: str, qualifiers: str) -> str:
    return f"{name} {qualifiers}" if qualifiers else name


def _listed(values: Sequence[str]) -> str:
    """The values in quotes; of many only the first."""
    rest = f" and {len(values) - 12} more" if len(values) > 12 else ""
    return ", ".join(map(repr, values[:12])) + rest


def _check_texts(texts: Iterable[str], who: str) -> None:
    """Raise DataError at half of a surrogate pair, which JSON and RDF can name and UTF-8 can't."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{who}: expected Unicode text, got half of a surrogate pair in {quoted(text)}"
            ) from None


def _within(numbers: np.ndarray, low: int, end: int) -> bool:
    return numbers.size == 0 or (int(numbers.min()) >= low and int(numbers.max()) < end)


def _sorted_names(
    entries: Entries, place: dict[str, int], notices: list[str]
) -> tuple[list[tuple[int, int, int, int, str]], list[str]]:
    """Rows (concept, kind, language, place in the file, name) as they stand, and the languages.

    Names without a language have the number after the last language.
    """
    kept = _kept_names(entries, notices)
    counts = Counter(language for _, kind, language, _ in kept if kind == PREFERRED and language)
    others = {language for _, _, language, _ in kept if language}
    languages = sorted(others, key=lambda language: (-counts[language], language))
    code = {language: i for i, language in enumerate(languages)} | {"": len(languages)}
    rows = sorted(
        (place[concept], kind, code[language], i, name)
        for i, (concept, kind, language, name) in enumerate(kept)
    )
    once: dict[tuple[int, int, str], tuple[int, int, int, int, str]] = {}
    for row in rows:  # of a name that comes twice, the first one stays
        once.setdefault((row[0], row[2], row[4]), row)
    return list(once.values()), languages


def _kept_names(entries: Entries, notices: list[str]) -> list[tuple[str, int, str, str]]:
    """Concept, kind, language and name of each that is one; only the first preferred stays so."""
    kept: list[tuple[str, int, str, str]] = []
    first: dict[tuple[str, str], str] = {}
    n_empty, too_long, later = 0, [], []
    columns = (entries.ids, entries.kinds, entries.languages, entries.names)
    for concept, kind, language, text in zip(*columns, strict=True):
        name = " ".join(text.split())
        if not name:
            n_empty += 1
            continue
        if len(name) > LONGEST:
            too_long.append(concept)
            continue
        if kind == PREFERRED and first.setdefault((concept, language), name) != name:
            kind = ALTERNATIVE
            later.append(concept)
        kept.append((concept, kind, language, name))
    if n_empty:
        notices.append(f"empty names: {n_empty:,}; they are left out")
    if too_long:
        what = f"names longer than {LONGEST:,} characters: {len(too_long):,}"
        notices.append(f"{what}, the first of {quoted(too_long[0])}; they are left out")
    if later and not entries.several:
        what = f"names after the preferred one of their language: {len(later):,}"
        notices.append(f"{what}, the first of {quoted(later[0])}; they are alternative")
    return kept


def _sorted_pairs(
    entries: Entries, place: dict[str, int], ids: list[str], notices: list[str]
) -> np.ndarray:
    """Pairs (concept, broader one), ascending, without unknown ids and without cycles."""
    known = {(place[a], place[b]) for a, b in entries.broader if a in place and b in place}
    unknown = sum(a not in place or b not in place for a, b in entries.broader)
    if unknown:
        what = f"broader or narrower ids that are no concept here: {unknown:,}"
        notices.append(f"{what}; they are left out")
    pairs = sorted(known)
    closing, cycle = _closing_pairs(len(ids), pairs)
    if closing:
        steps = [ids[i] for i in cycle]
        named = " > ".join(steps if len(steps) < 8 else [*steps[:6], "...", steps[-1]])
        what = f"relations that close a cycle of broader: {len(closing):,}"
        notices.append(f"{what}, the first {named}; they are left out")
    left = [pair for pair in pairs if pair not in closing]
    return np.array(left, np.int32).reshape(-1, 2)


def _closing_pairs(
    n_concepts: int, pairs: list[tuple[int, int]]
) -> tuple[set[tuple[int, int]], list[int]]:
    """The pairs that lead back to where a walk upwards came from, and the first such cycle."""
    broader: list[list[int]] = [[] for _ in range(n_concepts)]
    for a, b in pairs:
        broader[a].append(b)
    closing: set[tuple[int, int]] = set()
    cycle: list[int] = []
    ON_THE_WAY, DONE = 1, 2
    state = bytearray(n_concepts)
    for start in range(n_concepts):
        way = [] if state[start] else [start]
        while way:
            here = way[-1]
            state[here] = ON_THE_WAY
            if not broader[here]:
                state[way.pop()] = DONE
                continue
            up = broader[here].pop(0)
            if state[up] == ON_THE_WAY:
                closing.add((here, up))
                cycle = cycle or [*way[way.index(up) :], up]
            elif not state[up]:
                way.append(up)
    return closing, cycle
