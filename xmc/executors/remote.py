"""What executors have in common whose jobs run in other processes."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..errors import ParameterError, WorkerError
from ..io.files import FilePath, scratch_folder
from ..memory import keep_freed_arrays
from ..parallel import Executor, this_thread
from .shelf import Pile, Shelf, from_pile, unpacked

BUNDLES = 16  # of jobs for each worker: few, as each takes milliseconds on its way, but even shares


class Bundle(NamedTuple):
    """Jobs that travel together.

    version: of xmc, where they come from.
    folder: for what they give.
    """

    version: str
    folder: str
    function: Callable[..., Any]
    jobs: list[tuple]


class Answer(NamedTuple):
    """What the jobs of a bundle gave, and what was logged meanwhile: logger, level, message.

    results: without their arrays, which are in the file `pile`.
    """

    results: list[Any]
    pile: str | None
    logged: list[tuple[str, int, str]]


class Remote(Executor):
    """Jobs in other processes, here or on other machines, which all see one folder.

    Functions must be those of a module; arrays lie in files, which workers map, and results come
    home. It is a context manager: what it has opened is closed at the end.
    """

    name: str

    def __init__(self, folder: FilePath):
        """folder: an existing one, which gets a folder of its own for the time being."""
        self._stack = ExitStack()
        if not Path(folder).is_dir():
            raise ParameterError(f"{self.name}: expected an existing folder, got {str(folder)!r}")
        place = Path(folder).resolve() / "jobs"
        self._shelf = Shelf(self._stack.enter_context(scratch_folder(place)))

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back workers and files."""
        self._stack.close()

    def outcomes(
        self, function: Callable[..., Any], jobs: Sequence[tuple]
    ) -> Iterator[tuple[int, Any]]:
        packed = self._shelf.packed(jobs)
        n_bundles = min(len(jobs), BUNDLES * self.n_workers())
        # Long jobs come first, so every bundle has some of them.
        places = [range(first, len(jobs), n_bundles) for first in range(n_bundles)]
        how = __version__, str(self._shelf.folder), function
        bundles = [Bundle(*how, [packed[n] for n in own]) for own in places]
        for at, answer in self._answers(bundles):
            for logger, level, message in answer.logged:
                logging.getLogger(logger).log(level, message)
            yield from zip(places[at], from_pile(answer.results, answer.pile), strict=True)

    @abstractmethod
    def _answers(self, bundles: list[Bundle]) -> Iterator[tuple[int, Answer]]:
        """The position of each bundle and its answer, as they are finished.

        Raises WorkerError if workers or their scheduler are lost for good.
        """


def answer(bundle: Bundle) -> Answer:
    """Do the jobs of a bundle: what a worker does."""
    if bundle.version != __version__:
        raise WorkerError(
            f"a worker has xmc {__version__}, the training began with {bundle.version}; "
            "install the same on all"
        )
    # Dask has its workers give back whatever exceeds 64 KiB, and so has what is started after them:
    # their starter keeps the variable. Each chunk would then wait until the system has cleared its
    # pages, which makes trainings half as long again.
    keep_freed_arrays()
    with _logged() as records:
        results = [bundle.function(*unpacked(job)) for job in bundle.jobs]
    pile = Pile()
    return Answer(pile.packed(results), pile.write(bundle.folder), records)


class _Records(logging.Handler):
    """What this thread logs: others of the worker do other bundles."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = this_thread()
        self.seen: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            self.seen.append((record.name, record.levelno, record.getMessage()))


@contextmanager
def _logged() -> Iterator[list[tuple[str, int, str]]]:
    """What xmc logs meanwhile."""
    handler, logger = _Records(), logging.getLogger("xmc")
    logger.addHandler(handler)
    try:
        yield handler.seen
    finally:
        logger.removeHandler(handler)
