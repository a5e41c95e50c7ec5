"""Jobs on the workers of a Dask cluster (Rocklin, Dask, SciPy 2015; https://distributed.dask.org)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from ..errors import ParameterError, WorkerError
from ..io.files import FilePath
from .remote import Answer, Bundle, Remote, answer

INSTALL = "Dask isn't installed: pip install 'xmc-trees[dask]'"
WAIT = 60  # seconds for the first worker to come


class Dask(Remote):
    """The workers of a Dask cluster. Jobs of a lost worker run again on others."""

    name = "dask"

    def __init__(self, client: Any, folder: FilePath):
        """client: a distributed.Client, or the address of a scheduler.

        folder: an existing one on storage that all workers see, for what they read.
        Raises ParameterError without Dask, WorkerError if the scheduler can't be reached or has
        no workers.
        """
        try:
            import distributed
        except ImportError:
            raise ParameterError(INSTALL) from None
        super().__init__(folder)
        where = client if isinstance(client, str) else client.scheduler.address
        try:
            if isinstance(client, str):
                client = self._stack.enter_context(distributed.Client(client, set_as_default=False))
            client.wait_for_workers(1, timeout=WAIT)
        except (OSError, TimeoutError, ValueError) as error:
            self.close()
            why = " ".join(str(error).split())
            raise WorkerError(f"dask: {where} can't be used: {why}") from None
        self.client = client

    def n_workers(self) -> int:
        return sum(self.client.nthreads().values())

    def _answers(self, bundles: list[Bundle]) -> Iterator[tuple[int, Answer]]:
        import distributed

        # As bytes: Dask would look for its own tasks in all that a bundle is made of.
        sent = [pickle.dumps(bundle) for bundle in bundles]
        futures = [self.client.submit(_answer, bundle, pure=False) for bundle in sent]
        place = {future.key: n for n, future in enumerate(futures)}
        lost = distributed.client.CancelledError, TimeoutError, distributed.comm.CommClosedError
        try:
            for future in distributed.as_completed(futures, self.client.loop):
                yield place[future.key], future.result()
                future.release()
        except distributed.KilledWorker:
            raise WorkerError(
                "dask: the same jobs killed several workers; have they memory enough?"
            ) from None
        except lost:
            raise WorkerError("dask: the scheduler is gone") from None
        finally:
            if self.client.status == "running":
                self.client.cancel(futures)


def _answer(bundle: bytes) -> Answer:
    return answer(pickle.loads(bundle))
