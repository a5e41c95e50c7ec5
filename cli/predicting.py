"""What `xmc predict` does with long inputs: parts of the rows, runs that were stopped, workers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import click

from xmc.cli.data import Source, load_model, matrix_model
from xmc.cli.output import Notices
from xmc.errors import DataError, ParameterError

READ_AGAIN = "goes with a FILE, as stdin and typed texts can't be read again"


class Shard(click.ParamType):
    """One of equal parts, as `3/16`: its number, and how many there are."""

    name = "shard"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value, re.ASCII)
        if found is None:
            self.fail(f"expected a part and how many there are, as 3/16, got {value!r}", param, ctx)
        number, n_shards = map(int, found.groups())
        if not 1 <= number <= n_shards:
            last = max(1, n_shards)
            raise ParameterError(f"--shard: expected 1/{last} to {last}/{last}, got {value}")
        return number, n_shards


def check_parts(
    path: str | None, out: str | None, resume: bool, shard: tuple[int, int] | None
) -> None:
    """Raise an error if rows must be read again that can't be, or if nothing can be kept."""
    for flag, given in (("--resume", resume), ("--shard", shard)):
        if given and (path is None or path == "-"):
            raise click.UsageError(f"{flag} {READ_AGAIN}")
        if given and path is not None and os.path.exists(path) and not os.path.isfile(path):
            raise DataError(f"{path}: expected a file for {flag}, which is read again, got a pipe")
    if resume and out in (None, "-"):
        raise click.UsageError("--resume goes with --out, a file")


def rows_of_shard(path: str, shard: tuple[int, int], source: Source) -> range:
    """The rows of a part of a file, counted from 0: one after another, every row in one part."""
    number, n_shards = shard
    n_rows = source.count_rows(path)
    if n_rows < n_shards:
        expected = f"expected at least a row for each of {n_shards:,} shards"
        raise DataError(f"{path}: {expected}, got {n_rows:,} rows")
    return range(n_rows * (number - 1) // n_shards, n_rows * number // n_shards)


@dataclass
class Done:
    """What is answered so far."""

    n_rows: int = 0
    n_rows_without_features: int = 0
    k: int = 0  # the most labels that a row has
    seconds: float = 0.0
    checksum: str = ""  # of the rows, if another run may go on

    def answered(self, block: Ranked) -> None:
        """Count a block."""
        self.n_rows += len(block.top.labels)
        self.n_rows_without_features += block.n_rows_without_features
        self.k = max(self.k, block.top.labels.shape[1])
        self.seconds += block.seconds


class Kept:
    """What a run keeps, and what an earlier one kept; `Kept(None)` is nothing.

    unfinished: of xmc.unfinished.
    """

    def __init__(self, unfinished: Any = None):
        self._unfinished = unfinished
        self.done = Done(**(unfinished.facts if unfinished else {}))
        self.streams = unfinished.stream if unfinished else None
        self.folder = unfinished.folder if unfinished else None

    def left(self, datasets: Iterable[Any], path: str | None) -> Iterator[Any]:
        """The blocks that are not done. Raises DataError if those that are hold other rows."""
        n_done, expected = self.done.n_rows, self.done.checksum
        n_rows, checksum = 0, ""
        for dataset in datasets:
            if n_rows >= n_done and checksum == expected:
                yield dataset
            elif n_rows < n_done:
                n_rows, checksum = n_rows + dataset.n_rows, added(checksum, dataset)
        if checksum != expected:
            raise DataError(
                f"{path}: has other rows than those that are done; remove {self.folder}"
            )

    def add(self, dataset: Any) -> None:
        """The rows of a block are done."""
        if self._unfinished is not None:
            self.done.checksum = added(self.done.checksum, dataset)
            self._unfinished.done(asdict(self.done))


def added(checksum: str, dataset: Any) -> str:
    """The checksum of what has one, and of a block after it."""
    from xmc.checksums import checksum as checksum_of

    return checksum_of([checksum, dataset.X, dataset.texts])


@contextmanager
def resumed(
    out: str | None, folder: str, path: str | None, asked: dict[str, Any], notices: Notices
) -> Iterator[Kept]:
    """What is done of a file of predictions; that the same command goes on is said.

    out: the file; None if nothing is kept. folder: of the model. asked: settings that the result
    depends on.
    """
    if out is None or path is None:
        yield Kept()
        return
    from xmc.checkpoint import Identity, is_begun
    from xmc.model_files import versions
    from xmc.unfinished import kept_beside, part_of

    def identity() -> Identity:
        data = {"model": model_checksum(folder), "rows": os.path.getsize(path)}
        return Identity(settings=versions() | asked, data=data)

    if is_begun(part_of(out)):
        notices.say(f"goes on with what {part_of(out)} keeps")
    try:
        with kept_beside(out, identity) as unfinished:
            yield Kept(unfinished)
    except KeyboardInterrupt as error:
        error.args = (f"interrupted; the same command goes on with what {part_of(out)} keeps",)
        raise


class Ranked(NamedTuple):
    """The answers to a block of rows.

    top: the TopK.
    seconds: that they took.
    """

    top: Any
    n_rows_without_features: int
    seconds: float


class Here:
    """Ranks blocks of rows in this process.

    features: X of a Dataset, as the model takes it. asked: keyword arguments of `predict_topk`.
    """

    together = 1  # blocks that are asked at a time

    def __init__(self, model: Any, features: Callable[[Any], Any], asked: dict[str, Any]):
        self.model, self.features, self.asked = model, features, asked

    def rank(self, datasets: Sequence[Any]) -> Iterator[Ranked]:
        """The answers to each block."""
        return (ranked(self.model, self.features(dataset), self.asked) for dataset in datasets)


class Elsewhere(Here):
    """Ranks blocks on the workers of an executor, which load the model from its folder."""

    def __init__(
        self,
        model: Any,
        features: Callable[[Any], Any],
        asked: dict[str, Any],
        folder: str,
        order: dict[str, Any],
        executor: Any,
    ):
        super().__init__(model, features, asked)
        self.of_model = os.path.abspath(folder), model_checksum(folder), (*order.items(),)
        self.executor, self.together = executor, 2 * executor.n_workers()

    def rank(self, datasets: Sequence[Any]) -> Iterator[Ranked]:
        from xmc.parallel import run

        jobs = [(*self.of_model, self._question(dataset), self.asked) for dataset in datasets]
        return iter(run(ranked_elsewhere, jobs, self.executor))

    def _question(self, dataset: Any) -> Any:
        """Texts where the model reads them, else arrays and shape of X."""
        if dataset.texts is not None and hasattr(self.model, "vectorizer_"):
            return dataset.texts
        X = self.features(dataset)
        return X.data, X.indices, X.indptr, X.shape


def ranked(model: Any, X: Any, asked: dict[str, Any]) -> Ranked:
    """The answers to rows as the model takes them."""
    started = time.monotonic()
    top = matrix_model(model).predict_topk(X, **asked)
    X = getattr(X, "X", X)  # of rows with their texts
    empty = int((X.getnnz(axis=1) == 0).sum())
    return Ranked(top, empty, time.monotonic() - started)


def ranked_elsewhere(
    folder: str,
    checksum: str,
    order: tuple[tuple[str, Any], ...],
    question: Any,
    asked: dict[str, Any],
) -> Ranked:
    """What a worker does for a block; order: settings of what ranks, and the encoder of texts.
    Raises WorkerError if it sees another model.
    """
    import scipy.sparse as sp

    model = _loaded(folder, checksum, order)
    if isinstance(question, list):
        return ranked(model, model.rows(question), asked)
    *arrays, shape = question
    return ranked(model, sp.csr_matrix(tuple(arrays), shape), asked)


@lru_cache(maxsize=1)
def _loaded(folder: str, checksum: str, order: tuple[tuple[str, Any], ...]) -> Any:
    from xmc.errors import WorkerError

    if model_checksum(folder) != checksum:
        raise WorkerError(f"{folder}: a worker sees another model there")
    return load_model(folder, 1, **dict(order))


def model_checksum(folder: str) -> str:
    """The checksum of what a model's JSON says, which has one of each of its arrays."""
    from xmc.checksums import checksum
    from xmc.model_files import describe

    return checksum(describe(folder))


def answer(
    datasets: Iterator[Any],
    ranking: Here,
    write: Callable[[Any, Any], None],
    kept: Kept,
    advance: Callable[[float], None],
) -> Done:
    """Answer block after block. What is done is counted, and kept.

    write: takes the TopK, and the texts if there are any.
    """
    while asked := [*islice(datasets, ranking.together)]:
        for dataset, block in zip(asked, ranking.rank(asked), strict=True):
            write(block.top, dataset.texts)
            kept.done.answered(block)
            kept.add(dataset)
            advance(dataset.n_rows)
    return kept.done
