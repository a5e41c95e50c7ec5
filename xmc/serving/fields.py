"""The fields of a request's body, declared once: checks and the OpenAPI description follow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..errors import XmcError

SHOWN = 40  # characters of a wrong value in an error


class Refused(XmcError):
    """A request that gets an error for its answer: a status of HTTP and one line."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def wrong(where: str, expected: str, value: Any) -> Refused:
    """The refusal of a value."""
    return Refused(422, f"{where}: expected {expected}, got {shown(value)}")


def shown(value: Any) -> str:
    """A value as JSON, if that is short, else what it is."""
    if isinstance(value, (dict, list)) and value:
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    if isinstance(value, str) and len(value) > SHOWN:
        return f"a text of {len(value):,} characters"
    text = json.dumps(value)
    return text if len(text) <= SHOWN + 2 else f"{text[:SHOWN]}..."


class Kind(Protocol):
    """What a field may hold."""

    def check(self, value: Any, where: str) -> Any:
        """The value. Raises Refused if it is none of this kind."""

    def schema(self) -> dict[str, Any]:
        """The kind as JSON schema."""


@dataclass(frozen=True)
class Whole:
    """An int in a range."""

    low: int
    high: int

    def check(self, value: Any, where: str) -> int:
        if type(value) is not int or not self.low <= value <= self.high:
            raise wrong(where, f"an int from {self.low:,} to {self.high:,}", value)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Text:
    """A text that isn't blank, and not longer than `most` characters, if that is given."""

    most: int | None = None

    def check(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise wrong(where, "a text that isn't empty", value)
        if self.most is not None and len(value) > self.most:
            raise wrong(where, f"{self.most:,} characters at most", value)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused(422, f"{where}: half of a surrogate pair is no Unicode text") from None
        return value

    def schema(self) -> dict[str, Any]:
        longest = {} if self.most is None else {"maxLength": self.most}
        return {"type": "string", "minLength": 1} | longest


@dataclass(frozen=True)
class Row:
    """Values of features, by their names or, as in "17", by their numbers."""

    def check(self, value: Any, where: str) -> dict[str, float]:
        if not isinstance(value, dict):
            raise wrong(where, "an object of features and their values", value)
        for feature, number in value.items():
            if not _is_number(number):
                raise wrong(f"{where}[{json.dumps(feature)[:SHOWN]}]", "a finite number", number)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "number"}}


@dataclass(frozen=True)
class ListOf:
    """A list of one kind, not longer than `most`."""

    kind: Kind
    most: int
    least: int = 0

    def check(self, value: Any, where: str) -> list:
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise wrong(where, f"a list of {self.least} to {self.most:,}", value)
        return [self.kind.check(item, f"{where}[{n}]") for n, item in enumerate(value)]

    def schema(self) -> dict[str, Any]:
        items = self.kind.schema()
        return {"type": "array", "items": items, "minItems": self.least, "maxItems": self.most}


@dataclass(frozen=True)
class Record:
    """An object of fields; of those in `one_of` exactly one is given.

    open: what else is there is left alone. A field that is null counts as not given, where it
    needn't be given and has no default.
    """

    fields: dict[str, Field]
    one_of: tuple[str, ...] = ()
    open: bool = False

    def check(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong(where, "a JSON object", value)
        self._check_names(value, where)
        given = {name: own for name, own in value.items() if name in self.fields}
        found = {}
        for name, field in self.fields.items():
            own = given.get(name, field.default)
            if own is not None or field.required or (name in given and field.default is not None):
                place = name if where == BODY else f"{where}.{name}"
                own = field.kind.check(own, place)
            found[name] = own
        self._check_one_of(found, where)
        return found

    def _check_names(self, value: dict[str, Any], where: str) -> None:
        unknown = [name for name in value if name not in self.fields]
        if unknown and not self.open:
            known = ", ".join(self.fields)
            raise Refused(422, f"{where}: unknown field {shown(unknown[0])}; known are {known}")
        for name, field in self.fields.items():
            if field.required and name not in value:
                raise Refused(422, f"{where}: expected a field {name}, it is missing")

    def _check_one_of(self, found: dict[str, Any], where: str) -> None:
        given = [name for name in self.one_of if found[name] is not None]
        if self.one_of and len(given) != 1:
            got = " and ".join(given) or "none"
            raise Refused(422, f"{where}: expected one of {', '.join(self.one_of)}, got {got}")

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: field.schema() for name, field in self.fields.items()},
            "additionalProperties": self.open,
        }
        if required := [name for name, field in self.fields.items() if field.required]:
            schema["required"] = required
        if self.one_of:
            schema["oneOf"] = [{"required": [name]} for name in self.one_of]
        return schema


class Field(NamedTuple):
    """What a field holds, what it is for, and what it is if it isn't given."""

    kind: Kind
    help: str
    default: Any = None
    required: bool = False

    def schema(self) -> dict[str, Any]:
        more = {} if self.default is None else {"default": self.default}
        return self.kind.schema() | {"description": self.help} | more


BODY = "body"  # how errors call the whole


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number that float32 can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value) and abs(value) < 3e38
    except OverflowError:
        return False
