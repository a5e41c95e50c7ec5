"""Figures that papers and public tables give for public data sets, each with its source."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).with_name("published.csv")
METRICS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5")


class Published(NamedTuple):
    """A method's figures on a data set: `metrics` in percent, those that the source gives.

    features: what columns are, as "bow" or "tfidf"; inputs: "sparse" for these columns, "deep" for
    the text itself.
    """

    dataset: str
    features: str
    method: str
    inputs: str
    metrics: dict[str, float]
    source: str


def published(datasets: Sequence[str], features: str | None = None) -> list[Published]:
    """The published figures of data sets by these names, those of sparse inputs first.

    features: only figures with these features; any if None.
    """
    with open(HOME, newline="", encoding="utf-8") as file:
        rows = [_row(line) for line in csv.DictReader(file) if line["dataset"] in datasets]
    return sorted(
        (row for row in rows if features in (None, row.features)),
        key=lambda row: row.inputs != "sparse",
    )


def _row(line: dict[str, str]) -> Published:
    metrics = {name: float(line[name]) for name in METRICS if line[name]}
    return Published(
        line["dataset"], line["features"], line["method"], line["inputs"], metrics, line["source"]
    )
