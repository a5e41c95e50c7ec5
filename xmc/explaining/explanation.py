"""Explanation: why a label has its score, as people and programs read it."""

from __future__ import annotations

from typing import Any

from .page import as_html
from .terminal import as_text
from .why import Why


class Explanation(Why):
    """Why a label has its score: the fields of Why, a text for people, HTML for a notebook."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        return plain(self)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def plain(value: Any) -> Any:
    """Tuples with names as dicts, others as lists."""
    if hasattr(value, "_asdict"):
        return {name: plain(own) for name, own in value._asdict().items()}
    return [plain(own) for own in value] if isinstance(value, (list, tuple)) else value
