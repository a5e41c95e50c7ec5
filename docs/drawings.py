"""Figures of the pages that need no model; `figures.py` draws them with the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from xmc import TopK
from xmc.calibration import fit
from xmc.metrics import reliability
from xmc.svg import BLUE, GREEN, GREY, PALE, RED, YELLOW, Drawing

WIDTH = 700


def whole() -> Drawing:
    """From texts and labels to a model, from a text to its labels."""
    out = Drawing(WIDTH, 190)
    _box(out, 14, 30, "texts and their labels", "a .tsv, or matrices X and Y")
    _box(out, 14, 110, "a new text", "or a row of features")
    _box(out, 250, 30, "train", "trees, one-vs-all, last stage", fill=YELLOW)
    _box(out, 486, 30, "a model folder", "one JSON, one file of arrays")
    _box(out, 250, 110, "rank", "best first, with scores", fill=YELLOW)
    _box(out, 486, 110, "labels, sets, reasons", "for people and for programs")
    for y in (55, 135):
        out.arrow((214, y), (250, y))
        out.arrow((450, y), (486, y))
    out.arrow((586, 80), (586, 95), (350, 95), (350, 110))
    return out


def _box(out: Drawing, x: float, y: float, head: str, below: str, fill: str = PALE) -> None:
    out.box(x, y, 200, 50, fill=fill, radius=6)
    out.text(x + 100, y + 21, head, anchor="middle", bold=True)
    out.text(x + 100, y + 39, below, size=11, fill=GREY, anchor="middle")


PLACES = "ABCDF"  # what is predicted, best first; A, C and E are true
TRUE = "ACE"
PROPENSITY = {"A": 0.9, "B": 0.9, "C": 0.3, "D": 0.9, "E": 0.5, "F": 0.9}


def places() -> Drawing:
    """What each metric counts for the places of one row, and what the best answer would count."""
    out = Drawing(WIDTH, 224)
    heads = "place", "label", "hit", "P: 1", "nDCG: 1 / log2(j + 1)", "PSP: 1 / p"
    columns = 30, 100, 170, 250, 370, 530
    for x, head in zip(columns, heads, strict=True):
        out.text(x, 24, head, bold=True)
    gains = [(1 / np.log2(j + 2), 1 / PROPENSITY[own]) for j, own in enumerate(PLACES)]
    for j, own in enumerate(PLACES):
        y, hit = 50 + 25 * j, own in TRUE
        if hit:
            out.box(14, y - 17, WIDTH - 28, 24, fill=YELLOW, stroke="none", radius=4)
        shown = "1", *(f"{gain:.2f}" for gain in gains[j])
        out.text(columns[0], y, str(j + 1))
        out.text(columns[1], y, own, bold=True)
        out.text(columns[2], y, "yes" if hit else "no", fill=GREEN if hit else GREY)
        for x, value in zip(columns[3:], shown, strict=True):
            out.text(x, y, value if hit else "0", fill=BLUE if hit else GREY)
    ndcg = sum(gain for own, (gain, _) in zip(PLACES, gains, strict=True) if own in TRUE)
    best = sum(1 / np.log2(j + 2) for j in range(len(TRUE)))
    psp = sum(1 / PROPENSITY[own] for own in PLACES if own in TRUE)
    most = sum(1 / PROPENSITY[own] for own in TRUE)
    out.line((14, 164), (WIDTH - 14, 164))
    out.text(30, 186, "over the largest possible")
    out.text(30, 206, "E, the third true label, was missed", size=11, fill=RED)
    sums = f"2 / 5 = {2 / 5:.0%}", f"{ndcg:.2f} / {best:.2f}", f"{psp:.2f} / {most:.2f}"
    shares = "", f"= {ndcg / best:.1%}", f"= {psp / most:.1%}"
    for x, total, share in zip(columns[3:], sums, shares, strict=True):
        out.text(x, 186, total, bold=True)
        out.text(x, 206, share, bold=True)
    return out


def calibration() -> Drawing:
    """How often scores come true, and the map that isotonic regression learns from that."""
    out = Drawing(WIDTH, 300)
    rng = np.random.default_rng(0)
    scores = rng.random(600).astype(np.float32)
    is_true = rng.random(600) < scores**2
    learned = fit("isotonic", scores, is_true)

    def at(score: float, p: float) -> tuple[float, float]:
        return 80 + 240 * float(score), 256 - 240 * float(p)

    out.box(80, 16, 240, 240, fill=PALE)
    out.line(at(0, 0), at(1, 1), dashes="4 3")
    grid = np.linspace(scores.min(), scores.max(), 200)
    curve = learned.of(grid)
    out.line(*(at(*pair) for pair in zip(grid, curve, strict=True)), stroke=BLUE, width=2)
    top = TopK(np.zeros((600, 1), np.int32), scores[:, None])
    bins = reliability(sp.csr_matrix(is_true[:, None]), top, 1, n_bins=10)
    for score, share in zip(bins.mean_scores, bins.true_shares, strict=True):
        out.dot(*at(score, share), 4, fill=RED)
    for value in (0.0, 0.5, 1.0):
        out.text(at(value, 0)[0], 274, f"{value:g}", size=11, fill=GREY, anchor="middle")
        out.text(72, at(0, value)[1] + 4, f"{value:g}", size=11, fill=GREY, anchor="end")
    out.text(200, 292, "raw score", anchor="middle")
    notes = (
        (RED, "how often scores of a bin came true, on held-out rows"),
        (BLUE, "the map: scores become probabilities, in the same order"),
        (GREY, "what they would be if scores were probabilities already"),
    )
    for n, (colour, words) in enumerate(notes):
        out.dot(356, 92 + 30 * n, 4, fill=colour)
        out.text(370, 96 + 30 * n, words, size=11)
    return out


def untrained() -> Drawing:
    """Two ways to a label: through training texts, or through its name alone."""
    out = Drawing(WIDTH, 190)
    _box(out, 14, 70, "a text", "amber prices in Lisbon")
    _box(out, 250, 20, "trees, neighbours", "know labels with texts")
    _box(out, 250, 120, "names", "know every concept", fill=YELLOW)
    _box(out, 486, 20, "amber museums", "12 training texts")
    _box(out, 486, 120, "amber prices", "no training text", fill=YELLOW)
    out.arrow((214, 95), (232, 95), (232, 45), (250, 45))
    out.arrow((232, 95), (232, 145), (250, 145))
    out.arrow((450, 45), (486, 45))
    out.arrow((450, 145), (486, 145))
    out.text(586, 102, "the last stage weighs both", size=11, fill=GREY, anchor="middle")
    return out


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "whole": whole,
    "places": places,
    "calibration": calibration,
    "untrained": untrained,
}
