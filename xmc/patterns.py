"""Which regular expressions a model folder may hold: those whose time can't explode.

Python's matcher tries every way to split a text among repeats. A repeat of something that can match
in several ways, as in (a+)+ or (a|a)*, has exponentially many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 1000  # characters
SHORT, MOST_REPEATS = 100, 2  # each longer repeat multiplies the time by the length of the text
REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
ALTERNATIVES = (codes.BRANCH, codes.GROUPREF_EXISTS)


def check_pattern(pattern: Any) -> None:
    """Raise ValueError unless it is a regular expression that ends soon on any text."""
    if not isinstance(pattern, str) or len(pattern) > LONGEST:
        raise ValueError(f"expected a token_pattern of at most {LONGEST:,} characters")
    try:
        parsed = _parser.parse(pattern)
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"expected a regular expression as token_pattern: {error}") from None
    for code, value in _nodes(parsed):
        if code == codes.GROUPREF:
            raise ValueError("expected a token_pattern that doesn't refer to its groups")
        inside = _nodes(value[2]) if code in REPEATS and value[1] > 1 else ()
        if any(inner in (*REPEATS, *ALTERNATIVES) for inner, _ in inside):
            raise ValueError("expected a token_pattern without repeats inside repeats")
    if _long_repeats(parsed) > MOST_REPEATS:
        raise ValueError(f"expected a token_pattern with {MOST_REPEATS} long repeats at most")


def _long_repeats(parsed: Any) -> int:
    """How many long repeats follow each other at most, of alternatives only one counting."""
    return sum(
        max(map(_long_repeats, value[1]))
        if code == codes.BRANCH
        else (code in REPEATS and value[1] > SHORT) + sum(map(_long_repeats, _inside(value)))
        for code, value in parsed
    )


def _nodes(parsed: Any) -> Iterator[tuple[Any, Any]]:
    """All parts of a parsed expression, those inside others, too."""
    for code, value in parsed:
        yield code, value
        for own in _inside(value):
            yield from _nodes(own)


def _inside(value: Any) -> list[Any]:
    """The expressions that stand in a value."""
    if isinstance(value, _parser.SubPattern):
        return [value]
    if isinstance(value, (tuple, list)):
        return [own for part in value for own in _inside(part)]
    return []
