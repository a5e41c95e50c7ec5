"""Explanations in words, for terminals and pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .why import Evidence, Member, Why, Word

MOST_WORDS = 8  # of those that pulled
LEAST = 0.005  # a pull that rounds to more than 0
WEAK = 0.1  # of the strongest pull: weaker words are not marked
FOUND = 0.3  # of a name: words that have less of it are not marked


def signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "\u2212")


def pulls(why: Why) -> list[tuple[str, float]]:
    """The words that pulled most, or the features where there is no text, the strongest first."""
    total: dict[str, float] = {}
    if why.text is not None:
        for word in why.words:
            total[word.word] = total.get(word.word, 0.0) + word.weight
    else:
        members = [m for model in why.models for m in model.members if m is not None]
        for member in members:
            for own in (own for node in member.nodes for own in node.features):
                total[own.feature] = total.get(own.feature, 0.0) + own.share / len(members)
    return strongest(total.items())


def strongest(pairs: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Those that pull most, the strongest first, without those that are told as 0."""
    some = [pair for pair in pairs if abs(pair[1]) >= LEAST]
    return sorted(some, key=lambda pair: -abs(pair[1]))[:MOST_WORDS]


def marked(why: Why) -> list[tuple[Word, float]]:
    """The words to mark, in the order of the text, with a strength from -1 to 1."""
    most = max((abs(word.weight) for word in why.words), default=0.0)
    found = ((word, word.weight / most) for word in why.words if most)
    return [(word, strength) for word, strength in found if abs(strength) >= WEAK]


def named_in(why: Why) -> set[int]:
    """Where words begin that stand in the label's name."""
    found = why.name_found
    return {word.start for word in found.words if word.weight >= FOUND} if found else set()


def said(evidence: Evidence, why: Why) -> str:
    """What a piece of evidence says, in a phrase."""
    known = {column.name: column.value for column in evidence.columns}
    if evidence.source == "name":
        return _of_name(why)
    if evidence.source == "neighbours":
        near = [own for own in why.neighbors if own.has_label]
        n = len(why.neighbors)
        if not near:
            return f"none of the {n} nearest training rows has it"
        return f"{len(near)} of the {n} nearest training rows; most alike: {near[0].similarity:.2f}"
    for model in why.models:
        if evidence.source == model.model:
            place = next((v for name, v in known.items() if name.endswith("_place")), None)
            told = f"score {model.score:.3f}"
            return told if place is None else f"{told}, place {int(place) + 1}"
    value = evidence.columns[0].value
    if value is None:
        return "nothing"
    if evidence.source in ("frequency", "length of the row"):
        what = "training rows" if evidence.source == "frequency" else "features"
        return f"{round(math.expm1(value)):,} {what}"
    return f"{value:.2f}"


def _of_name(why: Why) -> str:
    found = why.name_found
    if found is None:
        return "it has no name"
    words = [word.word for word in found.words if word.weight >= FOUND]
    if not words:
        return f"{found.name!r} isn't in the text"
    return f"{found.name!r}: {', '.join(dict.fromkeys(words))}"


def way(member: Member | None) -> str:
    """A path in a line: the probability of each node, and what lies below it."""
    if member is None:
        return "lacks the label"
    steps = [
        f"{_probability(node.log_probability)} "
        + (", ".join(node.labels) + _more(node.n_labels, node.labels))
        + ("" if node.held else " (left out by the search)")
        for node in member.nodes
    ]
    return f"{member.probability:.3f} = " + " \u00d7 ".join(steps)


def _probability(log_probability: float) -> str:
    return f"{math.exp(log_probability):.3f}"


def _more(n: int, told: Sequence[str]) -> str:
    return f" and {n - len(told):,} more" if n > len(told) else ""


def lacked(why: Why) -> str:
    """What sets the label apart from its rival, in a line."""
    rival = why.runner_up
    if rival is None:
        return "no other label is found"
    evidence, words = (
        ", ".join(f"{what} {signed(difference)}" for what, difference in strongest(some))
        for some in (rival.evidence, rival.words)
    )
    told = [evidence, f"words {words}" if evidence and words else words]
    return f"{rival.score:.3f} {rival.name}: {'; '.join(filter(None, told))}"
