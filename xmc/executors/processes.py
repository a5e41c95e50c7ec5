"""Jobs in processes of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import joblib
from joblib.externals.loky import get_reusable_executor, process_executor

from ..errors import WorkerError
from ..io.files import FilePath
from ..parallel import n_threads
from .remote import Answer, Bundle, Remote, answer

LIVES = 3  # times in a row that processes may die before a bundle is finished


class Processes(Remote):
    """Processes of this machine, as joblib starts them."""

    name = "processes"

    def __init__(self, n_jobs: int | None = -1, folder: FilePath | None = None):
        """n_jobs: how many; folder: for what they read, else where temporary files go.

        Raises ParameterError if there is no such folder.
        """
        super().__init__(tempfile.gettempdir() if folder is None else folder)
        self.n_jobs, self._started = n_jobs, False

    def n_workers(self) -> int:
        return n_threads(self.n_jobs)

    def _answers(self, bundles: list[Bundle]) -> Iterator[tuple[int, Answer]]:
        left, lives = dict(enumerate(bundles)), LIVES
        if not self._started:
            self._started = True
            self._stack.callback(lambda: get_reusable_executor().shutdown())
        while left:
            start = joblib.Parallel(
                n_jobs=self.n_workers(),
                backend="loky",
                max_nbytes=None,
                return_as="generator_unordered",
            )
            try:
                for n, found in start([joblib.delayed(_numbered)(*item) for item in left.items()]):
                    del left[n]
                    lives = LIVES
                    yield n, found
            except process_executor.TerminatedWorkerError:
                lives -= 1
                if not lives:
                    raise WorkerError(
                        f"{self.name}: died {LIVES} times in a row at the same work; is there "
                        "memory for so many of them?"
                    ) from None


def _numbered(n: int, bundle: Bundle) -> tuple[int, Answer]:
    # Files that a worker maps count as its memory. What watches for leaks would take them for one,
    # and start another worker every few bundles.
    process_executor._USE_PSUTIL = False
    return n, answer(bundle)
