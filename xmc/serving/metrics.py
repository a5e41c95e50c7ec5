"""Counters that all workers share, and their text as Prometheus reads it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STATUSES = (200, 204, 400, 404, 405, 408, 413, 415, 422, 500, 503)
OTHER = "other"


class Family(NamedTuple):
    """Numbers of one name, one for each combination of their labels' values."""

    name: str
    kind: str  # counter, gauge or histogram
    help: str
    labels: dict[str, Sequence[str]]

    def series(self) -> Iterator[tuple[str, ...]]:
        """The keys of all its numbers."""
        for values in product(*self.labels.values()):
            if self.kind == "histogram":
                for end in (*(f"le={bound}" for bound in SECONDS), "count", "sum"):
                    yield (self.name, *values, end)
            else:
                yield (self.name, *values)


def families(endpoints: Sequence[str], models: Sequence[str]) -> list[Family]:
    """All that is counted."""
    statuses = [*map(str, STATUSES), OTHER]
    by_model = {"model": models}
    return [
        Family(
            "xmc_requests_total",
            "counter",
            "Requests that were answered.",
            {"endpoint": endpoints, "status": statuses},
        ),
        Family(
            "xmc_request_seconds",
            "histogram",
            "Seconds from a request's headers to the end of its answer.",
            {"endpoint": endpoints},
        ),
        Family("xmc_requests_in_flight", "gauge", "Requests that are being answered.", {}),
        Family("xmc_items_total", "counter", "Texts and rows that models labelled.", by_model),
        Family(
            "xmc_batches_total", "counter", "Calls that labelled them; each took several.", by_model
        ),
        Family(
            "xmc_reloads_total",
            "counter",
            "New model folders, by whether they could be loaded.",
            by_model | {"result": ("loaded", "broken")},
        ),
        Family("xmc_feedback_total", "counter", "Lines of feedback that were kept.", by_model),
    ]


class Metrics:
    """Numbers in memory that processes share once they are forked; each has a row of its own."""

    def __init__(self, endpoints: Sequence[str], models: Sequence[str], n_workers: int = 1):
        self.families = families(endpoints, models)
        keys = [key for family in self.families for key in family.series()]
        self._place = {key: n for n, key in enumerate(keys)}
        self._n_workers, self._own = n_workers, 0
        self._numbers = memoryview(mmap.mmap(-1, 8 * n_workers * len(keys))).cast("d")

    def as_worker(self, number: int) -> None:
        """Add to this row from now on; whoever had it before is dead and answers nothing."""
        self._own = number * len(self._place)
        self._numbers[self._own + self._place[("xmc_requests_in_flight",)]] = 0

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        self._numbers[self._own + self._place[(name, *labels)]] += by

    def count_request(self, endpoint: str, status: int, seconds: float) -> None:
        """One more request that was answered."""
        self.add("xmc_requests_total", endpoint, str(status) if status in STATUSES else OTHER)
        own = "xmc_request_seconds", endpoint
        for bound in SECONDS:
            if seconds <= bound:
                self.add(*own, f"le={bound}")
        self.add(*own, "count")
        self.add(*own, "sum", by=seconds)

    def value(self, *key: str) -> float:
        """The sum over all workers."""
        place, step = self._place[key], len(self._place)
        return sum(self._numbers[place + worker * step] for worker in range(self._n_workers))

    def text(self) -> str:
        """All of it in Prometheus' text format; of requests only what occurred."""
        return "".join(f"{line}\n" for family in self.families for line in self._lines(family))

    def _lines(self, family: Family) -> Iterator[str]:
        yield f"# HELP {family.name} {family.help}"
        yield f"# TYPE {family.name} {family.kind}"
        for key in family.series():
            value = self.value(*key)
            if family.kind == "histogram":
                yield from self._of_histogram(family, key, value)
            elif value or "endpoint" not in family.labels:
                yield f"{family.name}{_labels(family, key[1:])} {value:.17g}"

    def _of_histogram(self, family: Family, key: tuple[str, ...], value: float) -> Iterator[str]:
        total = self.value(*key[:-1], "count")
        if not total:
            return
        labels, end = key[1:-1], key[-1]
        if end.startswith("le="):
            yield f"{family.name}_bucket{_labels(family, labels, end[3:])} {value:.17g}"
            return
        if end == "count":
            yield f"{family.name}_bucket{_labels(family, labels, '+Inf')} {total:.17g}"
        yield f"{family.name}_{end}{_labels(family, labels)} {value:.17g}"


def _labels(family: Family, values: Sequence[str], bound: str = "") -> str:
    pairs = [*zip(family.labels, values, strict=True), *([("le", bound)] if bound else [])]
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
