"""Jobs on a Ray cluster (Moritz et al., Ray, OSDI 2018; https://docs.ray.io)."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..errors import ParameterError, WorkerError, XmcError
from ..io.files import FilePath
from .remote import Answer, Bundle, Remote, answer

INSTALL = "Ray isn't installed: pip install 'xmc-trees[ray]'"
# Bundles for each worker that Ray has at a time. After an error these are done for nothing: Ray
# ends this whole process if what is cancelled is finished at that moment (ray-project/ray#54527).
AHEAD = 2


class Ray(Remote):
    """The processors of a Ray cluster. Jobs of a lost worker run again on others."""

    name = "ray"

    def __init__(self, address: str | None = None, folder: FilePath = "."):
        """address: of a cluster; without one, Ray's own choice: a cluster that runs here, or else
        processes that it starts.

        folder: an existing one on storage that all nodes see, for what they read.
        Raises ParameterError without Ray, WorkerError if the cluster can't be reached.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise ParameterError(INSTALL) from None
        super().__init__(folder)
        if ray.is_initialized():
            return
        try:
            own: dict[str, Any] = {} if address else {"include_dashboard": False}
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            self.close()
            why = " ".join(str(error).split())
            raise WorkerError(f"ray: {address or 'a cluster'} can't be used: {why}") from None
        self._stack.callback(ray.shutdown)

    def n_workers(self) -> int:
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def _answers(self, bundles: list[Bundle]) -> Iterator[tuple[int, Answer]]:
        import ray

        remote = ray.remote(answer)
        waiting, place = deque(enumerate(bundles)), dict[Any, int]()
        try:
            while waiting or place:
                while waiting and len(place) < AHEAD * self.n_workers():
                    n, bundle = waiting.popleft()
                    place[remote.remote(bundle)] = n
                (done, *_), _ = ray.wait([*place], num_returns=1)
                found = ray.get(done)
                yield place.pop(done), found
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, XmcError) else error from None
        except ray.exceptions.RayError as error:
            why = " ".join(str(error).split())[:200]
            raise WorkerError(f"ray: workers are lost: {why}") from None
