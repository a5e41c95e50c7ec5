"""The one way to work in parallel: `run`. Nothing else in the package starts a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import joblib


def run(
    function: Callable[..., Any],
    jobs: Sequence[tuple],
    n_jobs: int | None = None,
    done: Callable[[int], Any] | None = None,
) -> list:
    """[function(*job) for job in jobs] on threads, results in the order of the jobs.

    done: called with the number of finished jobs' positions one by one, for a progress bar.
    Jobs release the GIL in kernels. Another backend comes in by joblib.parallel_config.
    """
    if len(jobs) < 2 or n_threads(n_jobs) == 1:
        return [_tell(done, n, function(*job)) for n, job in enumerate(jobs)]
    parallel = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator", batch_size=1)
    return [
        _tell(done, n, result)
        for n, result in enumerate(parallel(joblib.delayed(function)(*job) for job in jobs))
    ]


def n_threads(n_jobs: int | None) -> int:
    """The number of threads that `n_jobs` means here."""
    return joblib.effective_n_jobs(n_jobs)


def lock() -> threading.Lock:
    """A lock for what can only be done by one thread at a time."""
    return threading.Lock()


def _tell(done: Callable[[int], Any] | None, n: int, result: Any) -> Any:
    if done is not None:
        done(n)
    return result
