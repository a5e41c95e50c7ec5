"""The two columns of a file of labelled documents: which holds the text, and whether the first line
only names them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import DataError, quoted

SAMPLE = 1000  # rows that are looked at
FEWEST = 10  # rows that say anything
URIS = re.compile(r"(?:<[^<>\s]+>[\s,]*)+")  # as Annif writes them: <uri> <uri>
URIS_LAST = re.compile(rf"\t\s*{URIS.pattern}$")
BETWEEN_IDS = re.compile(r",|\s+(?=[a-z][a-z0-9+.-]*://)")
LABEL_WORDS = frozenset(
    "class classes category categories concept concepts id ids keyword keywords label labels "
    "label_id label_ids subject subjects tag tags target targets topic topics uri uris".split()
)
TEXT_WORDS = frozenset(
    "abstract abstracts content contents description descriptions doc document documents text "
    "texts title titles".split()
)


class Columns(NamedTuple):
    """Where the parts of a line are."""

    text_first: bool = False
    header: bool = False  # the first line is no row

    @classmethod
    def named(cls, name: str) -> Columns:
        """The columns of a name in `TSV_COLUMNS`."""
        return cls(text_first=name.endswith("text,labels"), header=name.startswith("header,"))

    def split(self, line: str) -> tuple[str, str] | None:
        """The fields of labels and of text; None if there is no tab. The text may hold tabs."""
        if not self.text_first:
            field, tab, text = line.partition("\t")
            return (field, text) if tab else None
        found = URIS_LAST.search(line)
        at = found.start() if found else line.rfind("\t")
        # A text can't be written again that ends in half a line break.
        return None if at < 0 else (line[at + 1 :], line[:at].rstrip("\r"))


def ids_of(field: str) -> list[str]:
    """The ids in a field: between commas, between blanks if they are URIs, or within <>."""
    field = field.strip()
    if URIS.fullmatch(field):
        return [part.partition(">")[0] for part in field.split("<")[1:]]
    return [label.strip() for label in BETWEEN_IDS.split(field)] if field else []


def find_columns(lines: Sequence[str], name: str) -> tuple[Columns, list[str]]:
    """The columns of a file that begins with these lines, and what people should know of it.

    Raises DataError if they look otherwise than `id,id<TAB>text`, but not so surely that they can
    be read so.
    """
    header = _header(lines, name)
    if header is not None:
        said = quoted(lines[0].replace("\t", "<TAB>"))
        return header, [f"the first line, {said}, is taken for names of columns"]
    if _all_uris(lines):
        return Columns(text_first=True), ["the columns are taken for text<TAB><uri> <uri>"]
    _refuse_swapped(lines, name)
    return Columns(), _cut_names(lines)


def _header(lines: Sequence[str], name: str) -> Columns | None:
    """The columns that the first line names, if it does."""
    words = [word.strip(' "#').lower() for word in lines[0].split("\t")]
    are_labels = [word in LABEL_WORDS for word in words]
    known = all(word in LABEL_WORDS | TEXT_WORDS for word in words)
    if not known or all(are_labels) or not any(are_labels):
        return None
    if len(words) > 2:
        raise DataError(f"{name}:1: expected two columns, labels and text, got {quoted(lines[0])}")
    return Columns(text_first=are_labels[1], header=True)


def _all_uris(lines: Sequence[str]) -> bool:
    """Whether all lines end in URIs within <>, but for those without labels."""
    with_labels = [line for line in lines if not line.endswith("\t")]
    return bool(with_labels) and all(map(URIS_LAST.search, with_labels))


class _Column(NamedTuple):
    """What a column is like, if it is read as ids."""

    blanks: float  # share of the ids that hold blanks
    distinct: float  # ids that differ over all ids
    fields: int  # fields that differ


def _column(fields: Sequence[str]) -> _Column:
    ids = [label for field in fields for label in ids_of(field)]
    n_ids = max(1, len(ids))
    blanks = sum(" " in label for label in ids) / n_ids
    return _Column(blanks, len(set(ids)) / n_ids, len(set(fields)))


def _refuse_swapped(lines: Sequence[str], name: str) -> None:
    """Raise DataError if the first column reads like texts and the second like ids.

    Texts hold blanks and differ from row to row. Ids hold none, or come again and again.
    """
    rows = [line.split("\t") for line in lines]
    ends = [(row[0], row[-1]) for row in rows if len(row) > 1 and row[0] and row[-1]]
    if len(ends) < FEWEST:
        return
    first, second = (_column(fields) for fields in zip(*ends, strict=True))
    like_texts = first.blanks > 0.5 and first.fields >= second.fields
    if like_texts and (second.blanks < 0.1 or second.distinct < first.distinct / 2):
        raise DataError(
            f"{name}: expected id,id<TAB>text, got columns that look like text<TAB>id,id, as in "
            f"{quoted(lines[0])}; --tsv-columns text,labels reads them so, labels,text as they are"
        )


def _cut_names(lines: Sequence[str]) -> list[str]:
    """A notice if commas come with and without a blank behind them: some may belong to a name."""
    fields = [line.partition("\t")[0] for line in lines]
    behind = Counter(blank == " " for field in fields for blank in re.findall(r",(.)", field))
    if min(behind[True], behind[False]) < max(FEWEST, 0.1 * behind.total()):
        return []
    example = next(field for field in fields if ", " in field)
    cut = f"each comma separates ids, also those before a blank, as in {quoted(example)}"
    return [f"{cut}; ids can't hold commas"]
