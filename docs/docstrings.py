"""Docstrings as Sphinx reads them: names that are explained become lists, all else paragraphs."""

import re
from dataclasses import is_dataclass
from inspect import getsource
from pydoc import locate

from xmc.params import by_heading, rule_text

CODE = re.compile(r"(`[^`]+`)")
SIGNS = re.compile(r"([\\*_|])")
EXPLAINED = re.compile(r"([a-z]\w*(?:, \w+)*): (?=\S)")
IN_COLUMNS = re.compile(r"([^\s.:]+(?: [^\s.:]+)*) {2,}(?=\S)")


def as_rst(lines):
    """Lines of reStructuredText. A line `name: what it is` begins an item of a list where a
    sentence has ended; it goes on to the next one, an empty line, or what is raised.
    """
    found, item = [], False
    for line in lines:
        text = line.strip()
        ended = bool(found) and found[-1][-1:] in ("", ".", ":", ";")
        head = IN_COLUMNS.match(text) or (EXPLAINED.match(text) if ended else None)
        if head:
            found += ["", f"* ``{head[1]}``: {escaped(text[head.end() :])}"]
        elif item and text.startswith("Raises "):
            found += ["", escaped(text)]
        else:
            found.append("  " * (item and text != "") + escaped(text))
        item = bool(head) or (item and text != "" and not text.startswith("Raises "))
    return [*found, ""]


def field_of(name):
    """The comment behind a field of a NamedTuple, which says its shape."""
    owner, _, field = name.rpartition(".")
    found = re.search(rf"^ +{field}: [^#\n]*# (.*)", getsource(locate(owner)), re.MULTILINE)
    return [escaped(found[1]) if found else "", ""]


def escaped(text):
    """The text with its `code` marked as RST does, and no other sign acting."""
    parts = CODE.split(text)
    parts[::2] = [SIGNS.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"`{part}`" for part in parts[1::2]]
    return "".join(parts)


def parameters_of(thing):
    """The declared parameters of an estimator, by group: default, meaning, what is allowed."""
    if not is_dataclass(thing) or not hasattr(thing, "fit"):
        return []
    found = []
    for heading, fields in by_heading(thing).items():
        found += ["", f"*{heading}*", ""]
        for field in fields:
            told = escaped(field.metadata["help"])
            found.append(f"* ``{field.name} = {field.default!r}``: {told} ({escaped(rule(field))})")
    return [*found, ""]


def rule(field):
    return "a matrix or None" if "matrix" in field.metadata else rule_text(field)
