"""The figures of the pages; those of how-it-works.md show what a small model really holds.

    python docs/figures.py [FOLDER]

They are written beside this file unless a folder is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import toy
from drawings import DRAWINGS

from xmc import TextClassifier
from xmc.kernels.lanes import N_LANES
from xmc.svg import BLUE, GREEN, GREY, INK, PALE, PAPER, RED, YELLOW, Drawing

HERE = Path(__file__).resolve().parent
WIDTH = 700
N_NODES = len(toy.NAMES)


def chunk(model: TextClassifier) -> Drawing:
    """The children of one node, the rows that train them, and their weights side by side."""
    out = Drawing(WIDTH, 372)
    heads = (
        (14, "a chunk:", "all children of a node"),
        (204, "the rows that train it:", "those with a label below the node"),
        (478, "their weights: a lane of 16", "for each sibling"),
    )
    for x, *lines in heads:
        for n, line in enumerate(lines):
            out.text(x, 22 + 16 * n, line, bold=True)
    _tree_at(out, 14, 62)
    rows = [n for n, label in enumerate(toy.LABELS) if label in toy.NAMES[:3]]
    visited = next(n for n in rows if "mouse" in toy.TEXTS[n])
    _training_rows(out, 204, 62, rows, visited)
    _weights_at(out, 466, 62, model, toy.row_of(model, toy.TEXTS[visited]).indices)
    return out


def _tree_at(out: Drawing, x: float, y: float) -> None:
    """The label tree, root to the left, the first chunk of labels marked."""
    middle = [y + 27 + 81 * n for n in range(3)]
    out.box(x + 94, y - 4, 64, 84, fill=YELLOW, radius=6)
    for n, topic in enumerate(toy.TOPICS):
        out.line((x + 6, middle[1] + 8), (x + 30, middle[n] + 8))
        out.text(x + 34, middle[n] + 12, topic, fill=INK if n == 0 else GREY)
        for c in range(3):
            leaf = y + 81 * n + 27 * c + 12
            out.line((x + 86, middle[n] + 8), (x + 100, leaf))
            out.text(
                x + 104, leaf + 4, toy.NAMES[3 * n + c], fill=INK if n == 0 else GREY, bold=n == 0
            )
    out.dot(x + 6, middle[1] + 8, 5, fill=GREY)


def _training_rows(out: Drawing, x: float, y: float, rows: list[int], visited: int) -> None:
    """The texts with a sign for each sibling: +1 if the label is true, else -1."""
    for c, name in enumerate(toy.NAMES[:3]):
        out.text(x + 166 + 32 * c, y + 2, name, size=11, fill=GREY, anchor="middle")
    for i, n in enumerate(rows):
        top = y + 10 + 25 * i
        if n == visited:
            out.box(x - 4, top, 246, 22, fill=YELLOW, stroke="none", radius=4)
        out.text(x, top + 15, toy.TEXTS[n].replace(",", ""), size=11)
        for c, name in enumerate(toy.NAMES[:3]):
            true = toy.LABELS[n] == name
            out.text(
                x + 166 + 32 * c,
                top + 16,
                "+1" if true else "−1",
                fill=GREEN if true else GREY,
                anchor="middle",
                bold=true,
            )
        if n == visited:
            out.arrow((x + 242, top + 11), (x + 257, top + 11))
    last = y + 10 + 25 * len(rows) + 14
    out.text(x, last, "A row is read once for all siblings: each of its", size=11, fill=GREY)
    out.text(x, last + 15, "features meets one run of 16 numbers.", size=11, fill=GREY)


def _weights_at(
    out: Drawing, x: float, y: float, model: TextClassifier, features: np.ndarray
) -> None:
    """The chunk's part of W, as it is trained: features by lanes."""
    W = toy.weights(model, 1)[:, :3]
    used = np.flatnonzero(W.any(axis=1))
    height = 292 / len(used)
    for i, feature in enumerate(used):
        top = y + height * i
        own = feature in features
        if own:
            out.box(x - 4, top, 220, height, fill=YELLOW, stroke="none")
        word = toy.words(model)[feature]
        out.text(x + 52, top + height - 4, word, size=11, anchor="end", fill=INK if own else GREY)
        for lane in range(N_LANES):
            weight = W[feature, lane] if lane < W.shape[1] else 0.0
            left = x + 58 + 9.6 * lane
            fill = _shade(weight) if lane < W.shape[1] else PALE
            out.box(left, top + 1, 9.6, height - 2, fill=fill, stroke=PAPER)
    for c in range(3):
        out.text(x + 62.8 + 9.6 * c, y - 4, toy.NAMES[c][0], size=11, fill=GREY, anchor="middle")
    out.text(x + 92, y - 4, "13 lanes unused", size=11, fill=GREY)


def _shade(weight: float) -> str:
    """Blue for weights above 0, red below, paler for smaller ones."""
    end = (31, 111, 139) if weight > 0 else (200, 85, 61)
    share = min(1.0, abs(float(weight)) / 0.8)
    return "#" + "".join(f"{round(255 + (channel - 255) * share):02x}" for channel in end)


def page(model: TextClassifier) -> Drawing:
    """One page, byte by byte, and how one feature of a row is found on it."""
    layer, words = toy.layers(model)[1], toy.words(model)
    first, last = layer.feature_ptr[:2]
    low, more, bucket = layer.low[first:last], layer.more[first:last], layer.bucket[:3]
    feature, shift = words.index("mouse"), int(layer.shift[0])
    b, byte = feature >> shift, feature & ((1 << shift) - 1)
    at = int(bucket[b, 0]) + int(np.flatnonzero(low[bucket[b, 0] : bucket[b + 1, 0]] == byte)[0])
    entry = int(more[:at].astype(int).sum()) + at
    out = Drawing(WIDTH, 396)
    _question(out, feature, shift, b, byte)
    _buckets(out, bucket, b)
    left, width = 122, 26
    out.arrow((122 + 65, 128), (122 + 65, 150), stroke=BLUE)
    _cells(out, "low", "1 byte a feature", left, 152, width, list(map(str, low)), {at})
    _cells(out, "more", "1 byte a feature", left, 212, width, list(map(str, more)), {at})
    out.line((left, 243), (left, 249), (left + width * at, 249), (left + width * at, 243))
    before = f"sum of these and 1 for each: {entry} entries before it"
    out.text(left + width * at / 2, 264, before, size=11, fill=BLUE, anchor="middle")
    found = set(range(entry, entry + int(more[at]) + 1))
    shown = range(entry - 4, entry + 8)
    marked = {e - shown[0] for e in found}
    children, weights = layer.child[shown], list(map(_signed, layer.weight[shown].tolist()))
    out.text(left - 4, 309, "…", anchor="end", fill=GREY)
    _cells(out, "child", "1 byte an entry", left, 290, 44, list(map(str, children)), marked)
    _cells(out, "weight", "4 bytes; int8: 1", left, 334, 44, weights, marked)
    sums = (
        f"{toy.NAMES[layer.child[e]]} {'+' if layer.weight[e] >= 0 else '−'} x · "
        f"{abs(layer.weight[e]):.2f}"
        for e in sorted(found)
    )
    out.text(left, 386, "margins:  " + ", ".join(sums), size=12, fill=BLUE)
    return out


def _question(out: Drawing, feature: int, shift: int, b: int, byte: int) -> None:
    out.text(14, 24, f"“mouse” is feature {feature} of the row, with the value x.", bold=True)
    out.text(
        14,
        44,
        f"A bucket spans 2^{shift} features: {feature} >> {shift} = {b} is its bucket, "
        f"{feature} & {(1 << shift) - 1} = {byte} its byte there.",
        fill=GREY,
    )


def _buckets(out: Drawing, bucket: np.ndarray, b: int) -> None:
    cells = [f"{features}, {entries}" for features, entries in bucket.tolist()]
    _cells(out, "bucket", "8 bytes a bucket", 122, 88, 130, cells, {b, b + 1})
    out.text(122, 80, "features and entries of the page before each bucket", size=11, fill=GREY)


def _cells(
    out: Drawing,
    name: str,
    size: str,
    x: float,
    y: float,
    width: float,
    cells: list[str],
    marked: set[int],
) -> None:
    """An array: its name to the left, its numbers in boxes."""
    out.text(14, y + 14, name, bold=True)
    out.text(14, y + 28, size, size=11, fill=GREY)
    for n, words in enumerate(cells):
        fill = YELLOW if n in marked else PAPER
        out.box(x + width * n, y, width, 30, fill=fill)
        out.text(x + width * (n + 0.5), y + 19, words, size=11, anchor="middle", mono=True)


def descent(model: TextClassifier) -> Drawing:
    """A row's way down the tree, two nodes kept on each level."""
    upper, lower = toy.descent(model, toy.ASKED)
    kept = sorted(range(3), key=lambda n: -upper[n].path)[: toy.BEAM]
    out = Drawing(WIDTH, 414)
    out.text(14, 24, f"“{toy.ASKED}”", bold=True)
    out.text(14, 44, "path 0", size=11, fill=GREY)
    out.text(150, 44, "all children of the root are scored", size=11, fill=GREY)
    out.text(400, 44, "children of the best two: those of the third are not", size=11, fill=GREY)
    out.dot(30, 226, 6)
    for n, topic in enumerate(toy.TOPICS):
        top, alive = 82 + 117 * n, n in kept
        _edge(out, (36, 226), (150, top + 22), alive)
        _node(out, 150, top, 170, topic, upper[n], alive)
        for c in range(3 * n, 3 * n + 3):
            _edge(out, (320, top + 22), (400, 72 + 39 * c), alive)
            _leaf(out, 400, 56 + 39 * c, toy.NAMES[c], lower[c] if alive else None)
    return out


def _edge(out: Drawing, start: tuple[float, float], end: tuple[float, float], alive: bool) -> None:
    color, dashes = (INK, "") if alive else (GREY, "3 4")
    out.line(start, end, stroke=color, dashes=dashes, width=1.5 if alive else 1)


def _node(
    out: Drawing, x: float, y: float, width: float, name: str, node: toy.Scored, alive: bool
) -> None:
    out.box(x, y, width, 44, fill=YELLOW if alive else PALE, radius=5)
    out.text(x + 10, y + 18, name, bold=True, fill=INK if alive else GREY)
    out.text(x + width - 10, y + 18, "kept" if alive else "left out", anchor="end", fill=GREY)
    numbers = f"margin {_signed(node.margin)}, path {_signed(node.path)}"
    out.text(x + 10, y + 35, numbers, size=11, fill=INK if alive else GREY)


def _leaf(out: Drawing, x: float, y: float, name: str, node: toy.Scored | None) -> None:
    fill = PALE if node is None else PAPER
    out.box(x, y, 288, 32, fill=fill, radius=5)
    out.text(x + 10, y + 20, name, bold=node is not None, fill=GREY if node is None else INK)
    if node is None:
        return
    numbers = f"margin {_signed(node.margin)}, path {_signed(node.path)}"
    out.text(x + 58, y + 20, numbers, size=11)
    p = float(np.exp(node.path))
    out.box(x + 212, y + 9, 30 * p, 14, fill=BLUE, stroke="none")
    out.text(x + 278, y + 20, f"{p:.3f}", size=11, anchor="end", mono=True)


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def score(model: TextClassifier) -> Drawing:
    """From the margins on a path to the score, in the numbers of one label."""
    upper, lower = toy.descent(model, toy.ASKED)
    label = toy.NAMES.index("cats")
    topic, leaf = upper[label // 3], lower[label]
    out = Drawing(WIDTH, 236)
    heads = ("margin z", "log p = −max(0, 1 − z)³", "path: their sum", "p = exp(path)")
    lefts = (110, 220, 410, 560)
    for left, head in zip(lefts, heads, strict=True):
        out.text(left, 24, head, bold=True)
    for y, name, node in ((44, toy.TOPICS[0], topic), (104, "cats", leaf)):
        out.text(14, y + 26, name, bold=True)
        for left, width, value in ((lefts[0], 80, node.margin), (lefts[1], 80, node.log_p)):
            out.box(left, y, width, 40, radius=5)
            out.text(left + width / 2, y + 25, _signed(value), anchor="middle", mono=True)
        out.arrow((190, y + 20), (218, y + 20))
    out.arrow((300, 64), (380, 64), (380, 114), (408, 114))
    out.arrow((300, 134), (408, 134))
    out.box(lefts[2], 104, 100, 40, radius=5)
    out.text(lefts[2] + 50, 129, _signed(leaf.path), anchor="middle", mono=True)
    out.arrow((510, 124), (558, 124))
    out.box(lefts[3], 104, 110, 40, fill=YELLOW, radius=5)
    p = f"{np.exp(leaf.path):.3f}"
    out.text(lefts[3] + 55, 129, p, anchor="middle", mono=True, bold=True)
    steps = (
        "Three more steps, where they are asked for:",
        "n_trees > 1: the mean of p over the trees; a tree that missed the label counts 0",
        "tail_share > 0: p^(1 − share) · t^share, t from the distance to the label's training rows",
        'optimize="psp": times the label\'s inverse propensity, over the largest one',
    )
    for n, words in enumerate(steps):
        out.text(14 if n == 0 else 28, 174 + 18 * n, words, bold=not n)
    return out


def transforms(model: TextClassifier) -> Drawing:
    """How the three transforms turn a margin into a probability."""
    out = Drawing(WIDTH, 320)
    left, right, top, bottom, low, high = 60, 560, 24, 270, -1.5, 2.0

    def place(z: float, p: float) -> tuple[float, float]:
        across = left + (right - left) * (z - low) / (high - low)
        return across, bottom - (bottom - top) * p

    for p in (0, 0.25, 0.5, 0.75, 1):
        out.line(place(low, p), place(high, p), stroke=PALE)
        out.text(left - 8, place(low, p)[1] + 4, f"{p:g}", size=11, fill=GREY, anchor="end")
    for z in np.arange(low, high + 0.1, 0.5).tolist():
        x = place(z, 0)[0]
        out.text(x, bottom + 18, _signed(z).removesuffix("0"), size=11, fill=GREY, anchor="middle")
    out.text((left + right) / 2, bottom + 40, "margin", anchor="middle")
    out.text(left, 14, "probability of the child, given its parent", size=11)
    out.line(place(0, 0), place(0, 1), stroke=GREY, dashes="3 4")
    z = np.linspace(low, high, 141)
    ends = {"l3_hinge": (RED, 1.02), "l2_hinge": (BLUE, 0.955), "log_sigmoid": (GREEN, None)}
    for name, (color, height) in ends.items():
        p = np.exp(toy.log_probability(z, name))
        out.line(
            *(place(*point) for point in zip(z.tolist(), p.tolist(), strict=True)),
            stroke=color,
            width=2,
        )
        y = place(high, float(p[-1]) if height is None else height)[1]
        out.text(right + 10, y + 4, name, fill=color, bold=True)
    for name in ("l3_hinge", "log_sigmoid"):
        p = float(np.exp(toy.log_probability(np.zeros(1), name))[0])
        x, y = place(0, p)
        out.dot(x, y, 4)
        out.text(x - 10, y - 6, f"{p:.2f}", size=11, anchor="end")
    return out


FIGURES: dict[str, Callable[[Any], Drawing]] = {
    figure.__name__: figure for figure in (chunk, page, descent, score, transforms)
}


def main(folder: Path) -> None:
    """Draw all figures into the folder."""
    model = toy.train()
    for name, figure in FIGURES.items():
        figure(model).save(folder / f"{name}.svg")
    for name, drawing in DRAWINGS.items():
        drawing().save(folder / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
