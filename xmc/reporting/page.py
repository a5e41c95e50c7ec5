"""The report as a page: one HTML file that needs nothing else, and no script.

Whatever comes from data or models is escaped: ids and names may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ..errors import printable
from ..metrics import Reliability
from ..svg import Drawing
from .bootstrap import N_SAMPLES
from .figures import calibration_figure, fates_figure, intervals_figure, shorten
from .groups import Table, bin_names
from .misses import FATES, TOO_LOW, UNREACHED, LabelCount
from .outline import Node, Outline, more_text, node_text, words_text
from .report import Report
from .style import STYLE

LONGEST_NAME, LONGEST_WORDS = 80, 160  # characters
# Nothing may be loaded, whatever stands in the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(found: Report) -> str:
    """The HTML of the page."""
    sections = (
        _overall(found),
        _table_section("By training rows of the label", BY_FREQUENCY, found.frequency, found),
        *(_table_section(f"By {t.title}", BY_COLUMN, t, found) for t in found.columns),
        _errors(found),
        _calibration(found),
        _labels(found),
        _trees(found.outlines),
    )
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(found.name)}: report</title><style>{STYLE}</style>"
    )
    body = f"<h1>{_text(found.name)}</h1>{_facts(found)}{''.join(sections)}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


BY_FREQUENCY = (
    "Labels by how many training rows they have; in each line only these labels count as true. So "
    "the P of all lines add up to the P of all labels."
)
BY_COLUMN = "Each line is the rows with one value."


def _facts(found: Report) -> str:
    facts, metrics = found.facts, found.metrics
    told = {
        "model": facts.kind,
        "labels": f"{facts.n_labels:,}",
        "features": f"{facts.n_features:,}",
        "weights": f"{facts.n_weights:,}",
        "size": "" if facts.n_bytes is None else f"{facts.n_bytes / 1e6:,.1f} MB",
        "time per row": f"{1000 * facts.seconds_per_row:.3g} ms",
        "rows measured": f"{metrics['n_rows']:,}",
        "labels true in them": f"{metrics['n_labels_with_rows']:,}",
    }
    items = (
        f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>"
        for name, value in told.items()
        if value
    )
    return f"<dl>{''.join(items)}</dl>"


def _overall(found: Report) -> str:
    (group,) = found.overall.groups
    by_name = dict(zip(found.overall.names, zip(*group.figures, strict=True), strict=True))
    metrics = dict.fromkeys(name.partition("@")[0] for name in found.overall.names)
    lines = [
        [metric, *(_interval(*by_name[f"{metric}@{k}"]) for k in found.ks)] for metric in metrics
    ]
    for metric, text in (("nDCG", ".1f"), ("coverage", ".1f"), ("ECE", ".3f")):
        if f"{metric}@{found.ks[0]}" in found.metrics:
            values = (found.metrics[f"{metric}@{k}"] for k in found.ks)
            name = "ECE, 0 to 1" if metric == "ECE" else metric
            lines.append([name, *(f"{value:{text}}" for value in values)])
    note = (
        "In percent. P is precision, PSP precision with rare labels weighted up, R recall, "
        "coverage the share of the labels that are found at least once. Below a figure stands what "
        f"it is in 95% of {N_SAMPLES:,} resamples of the rows."
    )
    return _section("All rows", note, _html_table(["%", *(f"@{k}" for k in found.ks)], lines))


def _table_section(title: str, note: str, table: Table, found: Report) -> str:
    most = found.ks[-1]
    head = [table.title, "rows", "labels", "true", *table.names]
    lines = []
    for group in table.groups:
        sizes = (f"{n:,}" for n in (group.n_rows, group.n_labels, group.n_true))
        figures = zip(*group.figures, strict=True)
        lines.append([_text(group.name), *sizes, *(_interval(*figure) for figure in figures)])
    drawn = [intervals_figure(table, f"{metric}@{most}") for metric in ("R", "PSP")]
    return _section(title, note, _drawings(drawn) + _html_table(head, lines))


def _errors(found: Report) -> str:
    note = (
        f"Each true label of each row is found in the row's best {found.ks[-1]} labels or missed: "
        f"“{FATES[TOO_LOW]}” if the model found it, but below those; “{FATES[UNREACHED]}” "
        "if it never scored it for this row."
    )
    counts = found.fates.counts
    names = [*bin_names(), "all"]
    lines = [
        [name, f"{sum(own):,}", *(f"{n:,}" for n in own)]
        for name, own in zip(names, [*counts.tolist(), counts.sum(axis=0).tolist()], strict=True)
    ]
    table = _html_table(["training rows", "true", *FATES], lines)
    return _section("Where errors happen", note, _drawings([fates_figure(found.fates)]) + table)


def _calibration(found: Report) -> str:
    title = "Calibration"
    if found.calibration is None:
        return _section(title, "Scores are not all from 0 to 1, so they are no probabilities.", "")
    note = (
        f"Scores of the best {found.ks[-1]} labels of all rows in bins of equal width. On the "
        "dashed line they are probabilities; above it the model is too modest, below it too sure. "
        "Large dots are large bins."
    )
    table = _html_table(["scores", "labels", "mean score", "true"], _bin_lines(found.calibration))
    inner = _drawings([calibration_figure(found.calibration)])
    return _section(title, note, inner + _details("the bins", table))


def _bin_lines(bins: Reliability) -> list[list[str]]:
    width = 1 / len(bins.counts)
    rows = zip(*(part.tolist() for part in bins), strict=True)
    return [
        [f"to {(n + 1) * width:.2f}", f"{count:,}", f"{score:.3f}", f"{share:.3f}"]
        for n, (count, score, share) in enumerate(rows)
        if count
    ]


def _labels(found: Report) -> str:
    tables = [
        ("Suggested too often", _count_table(found, found.over)),
        ("Suggested too rarely", _count_table(found, found.under)),
        ("Confusions", _confusion_table(found)),
    ]
    note = (
        f"In the best {found.ks[-1]} labels of each row. A confusion is a row for which one label "
        "is suggested wrongly while another one is missed."
    )
    inner = "".join(f"<h3>{title}</h3>{table}" for title, table in tables if table)
    return _section("Labels", note, inner)


def _count_table(found: Report, counts: Sequence[LabelCount]) -> str:
    head = ["label", "suggested", "true", "both"]
    lines = [
        [_label(found, own.label), *(f"{n:,}" for n in (own.n_suggested, own.n_true, own.n_hits))]
        for own in counts
    ]
    return _html_table(head, lines) if lines else ""


def _confusion_table(found: Report) -> str:
    lines = [
        [_label(found, own.suggested), _label(found, own.missed), f"{own.n_rows:,}"]
        for own in found.confusions
    ]
    head = ["suggested wrongly", "while this was missed", "rows"]
    return _html_table(head, lines, n_names=2) if lines else ""


def _trees(outlines: Sequence[Outline]) -> str:
    if not outlines:
        return ""
    note = (
        "Nodes with most training rows come first. The small number says how many, a row counting "
        "once for each of its labels; the words are the features of largest weight above 0."
    )
    return _section("The trees", note, "".join(map(_tree, outlines)))


def _tree(outline: Outline) -> str:
    shown = f"{outline.n_shown:,} of {outline.n_nodes:,} nodes shown"
    return _details(f"{_text(outline.title)}: {shown}", _below(outline.root))


def _node(node: Node) -> str:
    words = _text(shorten(words_text(node), LONGEST_WORDS))
    beside = f" <small>{node.n_rows:,}</small>" + (f" <i>{words}</i>" if words else "")
    head = f"<b>{_name(node.name)}</b>{beside}" if node.name else f"{node_text(node)}{beside}"
    if not node.children:
        return f"<li>{head}</li>"
    return f"<li>{_details(head, _below(node))}</li>"


def _below(node: Node) -> str:
    """The children of a node, and what is left out of them."""
    rest = f"<li><small>{more_text(node)}</small></li>" if more_text(node) else ""
    return f"<ul>{''.join(map(_node, node.children))}{rest}</ul>"


def _section(title: str, note: str, inner: str) -> str:
    return f"<section><h2>{_text(title)}</h2><p>{_text(note)}</p>{inner}</section>"


def _details(head: str, inner: str) -> str:
    """What unfolds; head and inner are HTML."""
    return f"<details><summary>{head}</summary>{inner}</details>"


def _drawings(several: Iterable[Drawing]) -> str:
    return f'<div class="figures">{"".join(map(str, several))}</div>'


def _html_table(head: Sequence[str], lines: Iterable[Sequence[str]], n_names: int = 1) -> str:
    """A table; its cells are HTML, and all but the first n_names columns hold numbers."""
    kinds = ['<th scope="col">'] * n_names + ['<th scope="col" class="n">'] * (len(head) - n_names)
    titles = "".join(f"{kind}{_text(cell)}</th>" for kind, cell in zip(kinds, head, strict=True))
    cells = ["<td>"] * n_names + ['<td class="n">'] * (len(head) - n_names)
    rows = (
        "".join(f"{kind}{cell}</td>" for kind, cell in zip(cells, line, strict=True))
        for line in lines
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    scroll = '<div class="wide" tabindex="0">'
    return f"{scroll}<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"


def _interval(value: float, low: float, high: float) -> str:
    if value != value:
        return "–"
    return f"{value:.1f}<small>{low:.1f} to {high:.1f}</small>"


def _label(found: Report, label: int) -> str:
    """A label's name, and its id if that is another one."""
    told, own = found.labels.name(label), found.labels.id(label)
    beside = "" if told == own else f" <small>{_name(own)}</small>"
    return f"{_name(told)}{beside}"


def _name(name: str) -> str:
    return _text(shorten(name, LONGEST_NAME))


def _text(value: Any) -> str:
    """Escaped, and without what would turn the direction of what follows."""
    return escape(printable(str(value)))
