"""The one way to work in parallel: `run`. Nothing else in the package starts a thread."""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib


def run(
    function: Callable[..., Any],
    jobs: Sequence[tuple],
    n_jobs: int | None = None,
    done: Callable[[int], Any] | None = None,
) -> list:
    """[function(*job) for job in jobs] on threads, results in the order of the jobs.

    done: called with the position of each job in turn when it is finished, for a progress bar.

    Jobs release the GIL in kernels. They write into arrays that they share, so they stay on threads
    of this process, whatever backend joblib.parallel_config names; n_jobs may come from there.
    """
    finished = []
    for n, result in enumerate(results_of(function, jobs, n_jobs)):
        finished.append(result)
        if done is not None:
            done(n)
    return finished


def results_of(
    function: Callable[..., Any], jobs: Sequence[tuple], n_jobs: int | None = None
) -> Iterator[Any]:
    """What `run` gives, one result after another, each as soon as it is its turn."""
    threads = min(len(jobs), n_threads(n_jobs))
    if threads < 2:
        return (function(*job) for job in jobs)
    return _in_turn(function, jobs, threads)


def _in_turn(function: Callable[..., Any], jobs: Sequence[tuple], threads: int) -> Iterator[Any]:
    """The results of jobs on some threads.

    joblib's own threads look for results every 10 ms, as long as two texts take to rank. Those of
    multiprocessing and concurrent.futures are waited for, or complain, when somebody interrupts.
    """
    changed = threading.Condition()
    left = deque(range(len(jobs)))
    done: dict[int, tuple[bool, Any]] = {}

    def work() -> None:
        while True:
            with changed:
                if not left:
                    return
                n = left.popleft()
            try:
                outcome = True, function(*jobs[n])
            except BaseException as error:
                outcome = False, error
            with changed:
                done[n] = outcome
                changed.notify_all()

    try:
        for _ in range(threads):
            threading.Thread(target=work, daemon=True).start()
        for n in range(len(jobs)):
            with changed:
                while n not in done:
                    changed.wait()
                succeeded, result = done.pop(n)
            if not succeeded:
                raise result
            yield result
    finally:
        with changed:
            left.clear()


def n_threads(n_jobs: int | None) -> int:
    """The number of threads that `n_jobs` means here, inside a joblib.parallel_config too.

    In a worker of a multiprocessing.Pool it is one, as for joblib, which would warn each time.
    """
    if multiprocessing.current_process().daemon:
        return 1
    return joblib.effective_n_jobs(None if n_jobs is None else int(n_jobs))


def n_processors(n_jobs: int | None) -> int:
    """As many of these threads as there are processors, for OpenMP: more of its threads wait for
    each other.
    """
    return min(n_threads(n_jobs), joblib.cpu_count())


def lock() -> threading.Lock:
    """A lock for what only one thread may do at a time."""
    return threading.Lock()
