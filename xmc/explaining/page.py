"""Explanations as HTML, which needs nothing else: for notebooks and pages."""

from __future__ import annotations

from html import escape

from .told import lacked, marked, named_in, pulls, said, signed, way
from .why import Why

STYLE = (
    ".xmc-why{font:14px/1.5 system-ui,sans-serif;max-width:46em;margin:0 0 1.5em}"
    ".xmc-why table{border-collapse:collapse;margin:.5em 0;font:inherit}"
    ".xmc-why td{padding:.1em .8em .1em 0;text-align:left;vertical-align:top}"
    ".xmc-why td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".xmc-why i{display:inline-block;height:.7em;border-radius:2px}"
    ".xmc-why .up{background:#2e9e5b}.xmc-why .down{background:#d3513f}"
    ".xmc-why small{opacity:.7}.xmc-why mark{color:inherit;border-radius:3px}"
    ".xmc-why u{text-decoration-thickness:2px;text-underline-offset:3px}"
)
GREEN, RED = "46,158,91", "211,81,63"
WIDEST = 7  # em, of a bar


def as_html(why: Why) -> str:
    """A block with its own style."""
    return f'<div class="xmc-why"><style>{STYLE}</style>{body(why)}</div>'


def body(why: Why) -> str:
    """What is in the block."""
    place = "not found" if why.place is None else f"place {why.place}"
    own = "" if why.name == str(why.label) else escape(str(why.label))
    parts = [f"<b>{escape(why.name)}</b> {why.score:.3f} <small>{own} {place}</small>"]
    if why.text is not None:
        parts.append(f"<p>{marked_text(why)}</p>")
    if why.log_odds is not None:
        parts.append(_evidence(why))
    parts.append(_bars(pulls(why)))
    for model in why.models:
        for n, member in enumerate(model.members, 1):
            tree = f" {n}" if len(model.members) > 1 else ""
            parts.append(f"<small>{escape(model.model + tree)}: {escape(way(member))}</small><br>")
    parts.append(f"<small>rival: {escape(lacked(why))}</small>")
    return "".join(parts)


def marked_text(why: Why) -> str:
    """The text with its words marked: green pulled up, red down, a name's words underlined."""
    text, starts = why.text or "", named_in(why)
    strengths = {word.start: (word.end, strength) for word, strength in marked(why)}
    ends = {word.start: word.end for word in why.words}
    if why.name_found is not None:
        ends |= {word.start: word.end for word in why.name_found.words}
    told, at = [], 0
    for start in sorted({*strengths, *starts}):
        word = escape(text[start : ends[start]])
        if start in starts:
            word = f"<u>{word}</u>"
        if start in strengths:
            strength = strengths[start][1]
            colour = GREEN if strength > 0 else RED
            tone = f"background:rgba({colour},{0.15 + 0.5 * abs(strength):.2f})"
            word = f'<mark style="{tone}" title="{signed(strength)} of the most">{word}</mark>'
        told += [escape(text[at:start]), word]
        at = ends[start]
    return "".join([*told, escape(text[at:])])


def _evidence(why: Why) -> str:
    own = sorted(why.evidence, key=lambda own: -abs(own.share))
    rows = [(one.source, one.share, said(one, why)) for one in own]
    rows.append(("start", why.start or 0.0, "what all candidates start from"))
    rest = "" if why.is_candidate else "were it a candidate"
    total = f"<tr><td>log-odds<td class=n>{signed(why.log_odds or 0.0)}<td><td>{rest}"
    return f"<table>{_rows(rows)}{total}</table>"


def _bars(pairs: list[tuple[str, float]]) -> str:
    return f"<table>{_rows([(word, weight, '') for word, weight in pairs])}</table>"


def _rows(rows: list[tuple[str, float, str]]) -> str:
    """A row each: what, how much, a bar, a phrase."""
    most = max((abs(share) for _, share, _ in rows), default=0.0) or 1.0
    return "".join(
        f"<tr><td>{escape(what)}<td class=n>{signed(share)}"
        f'<td><i class="{"up" if share > 0 else "down"}" '
        f'style="width:{WIDEST * abs(share) / most:.2f}em"></i><td>{escape(phrase)}'
        for what, share, phrase in rows
    )
