"""Names of labels from files: TSV, lists of labels, Annif's CSV, JSON lines; SKOS is in skos.py.

What a file says becomes Entries, and xmc/vocabulary.py makes one value of them. A line of the JSON
lines is one concept; only its id is required, and a text alone stands for a list of one:

    {"id": "gnd:1", "names": {"de": ["Bank (Geldinstitut)", "Kreditinstitut"], "en": "bank"},
     "alternative": {"fr": "banque"}, "hidden": {"": ["banc"]}, "broader": ["gnd:2"]}

The first of the `names` in a language is preferred, the others are alternative. The language "" is
none.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import DataError, quoted
from .files import FilePath, empty_file, numbered_lines, source_name

KINDS = ("preferred", "alternative", "hidden")
PREFERRED, ALTERNATIVE, HIDDEN = range(3)
LANGUAGE = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
TWO, THREE = "id<TAB>name", "id<TAB>language<TAB>name"
KEYS = ("names", "alternative", "hidden")


@dataclass
class Entries:
    """What a file says about concepts, in its order."""

    ids: list[str] = field(default_factory=list)  # the concept of each name
    names: list[str] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)  # of each name, an index into KINDS
    languages: list[str] = field(default_factory=list)  # of each name, "" if none
    concepts: dict[str, None] = field(default_factory=dict)  # all, also those without a name
    broader: list[tuple[str, str]] = field(default_factory=list)  # a concept, a broader one
    several: bool = False  # whether it is natural that names of one language come after the first
    notices: list[str] = field(default_factory=list)  # what was left out, one line each

    def add(self, concept: str, name: str, kind: int, language: str) -> None:
        """Take in a name of a concept."""
        self.concepts[concept] = None
        self.ids.append(concept)
        self.names.append(name)
        self.kinds.append(kind)
        self.languages.append(language)


def read_label_list(path: FilePath) -> Entries:
    """Lines `id<TAB>name`, or only `id`."""
    entries, file = Entries(), source_name(path)
    for number, line in numbered_lines(path):
        where = f"{file}:{number}"
        concept, _, name = line.partition("\t")
        concept = checked_id(concept, line, TWO, where)
        entries.concepts[concept] = None
        if name.strip():
            entries.add(concept, name, PREFERRED, "")
    return entries


def read_tsv(path: FilePath) -> Entries:
    """Lines `id<TAB>name`, or `id<TAB>language<TAB>name`, all of them as the first one."""
    entries, width, file = Entries(), 0, source_name(path)
    for number, line in numbered_lines(path):
        where, parts = f"{file}:{number}", line.split("\t")
        width = width or len(parts)
        expected = {2: TWO, 3: THREE}.get(width, f"{TWO} or {THREE}")
        if len(parts) != width or not 2 <= width <= 3 or not parts[-1].strip():
            raise DataError(f"{where}: expected {expected}, got {quoted(line)}")
        language = checked_language(parts[1], where) if width == 3 else ""
        concept = checked_id(parts[0], line, expected, where)
        entries.add(concept, parts[-1], PREFERRED, language)
    entries.several = width == 3
    return entries


def read_annif(path: FilePath) -> Entries:
    """Annif's CSV: the columns uri and label_LANGUAGE; others, such as notation, are no names."""
    rows = _csv_rows(path)
    where, header = next(rows, ("", []))
    if not header:
        raise empty_file(path)
    columns = [(i, title[6:]) for i, title in enumerate(header) if title.startswith("label_")]
    if "uri" not in header or not columns:
        expected = "the columns uri and label_LANGUAGE, such as label_en"
        raise DataError(f"{where}: expected {expected}, got {quoted(','.join(header))}")
    languages = [(i, checked_language(language, where)) for i, language in columns]
    entries, uri = Entries(), header.index("uri")
    for where, row in rows:
        if len(row) != len(header):
            raise DataError(f"{where}: expected {len(header)} columns, got {len(row)}")
        concept = _new_id(row[uri], entries, where)
        for i, language in languages:
            if row[i].strip():
                entries.add(concept, row[i], PREFERRED, language)
    return entries


def _csv_rows(path: FilePath) -> Iterator[tuple[str, list[str]]]:
    """The place and the fields of each row."""
    reader = csv.reader((f"{line}\n" for _, line in numbered_lines(path)), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{source_name(path)}:{reader.line_num}: expected CSV, {error}"
            ) from None
        yield f"{source_name(path)}:{reader.line_num}", row


def read_json_lines(path: FilePath) -> Entries:
    """One concept a line, as above."""
    entries, file = Entries(), source_name(path)
    for number, line in numbered_lines(path):
        where = f"{file}:{number}"
        concept = _json_object(line, where)
        if not isinstance(concept.get("id"), str):
            raise DataError(f'{where}: expected an "id" that is a text, got {quoted(line)}')
        name = _new_id(concept["id"], entries, where)
        for key, kind in zip(KEYS, range(3), strict=True):
            _add_names(entries, name, concept.get(key, {}), kind, f"{where}: {key}")
        broader = _texts(concept.get("broader", []), f"{where}: broader")
        entries.broader += [(name, other) for other in broader]
    return entries


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{where}: expected a JSON object, got {quoted(line)}")
    unknown = found.keys() - {"id", "broader", *KEYS}
    if unknown:
        known = ", ".join(["id", *KEYS, "broader"])
        raise DataError(f"{where}: expected the keys {known}, got {quoted(min(unknown))}")
    return found


def _add_names(entries: Entries, concept: str, names: Any, kind: int, where: str) -> None:
    if not isinstance(names, dict):
        raise DataError(f'{where}: expected an object such as {{"en": ["name"]}}')
    for language, texts in names.items():
        language = checked_language(language, where)
        for i, text in enumerate(_texts(texts, where)):
            if not text.strip():
                raise DataError(f"{where}: expected names, got an empty one")
            entries.add(concept, text, max(kind, ALTERNATIVE) if i else kind, language)


def _texts(found: Any, where: str) -> list[str]:
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: expected a text or a list of texts")
    return texts


def checked_id(text: str, line: str, expected: str, where: str) -> str:
    """The id without blanks around it, and without the brackets of `<uri>`."""
    concept = text.strip()
    if concept[:1] == "<" and concept[-1:] == ">":
        concept = concept[1:-1]
    if not concept:
        raise DataError(f"{where}: expected {expected}, got an empty id in {quoted(line)}")
    return concept


def _new_id(text: str, entries: Entries, where: str) -> str:
    """The id, which no earlier line may have."""
    concept = checked_id(text, text, "an id", where)
    if concept in entries.concepts:
        raise DataError(f"{where}: expected an id that comes once, got {quoted(concept)}")
    entries.concepts[concept] = None
    return concept


def checked_language(text: str, where: str) -> str:
    """The language in lower case; "" is none."""
    language = text.strip().lower()
    if language and not LANGUAGE.fullmatch(language):
        raise DataError(f"{where}: expected a language such as de or en-gb, got {quoted(text)}")
    return language


READERS = {
    "txt": read_label_list,
    "tsv": read_tsv,
    "csv": read_annif,
    "jsonl": read_json_lines,
}
