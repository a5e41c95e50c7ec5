"""The one way to work in parallel: `run`. Nothing else in the package starts a thread."""

from __future__ import annotations

import multiprocessing
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import joblib


class Executor(ABC):
    """Where jobs run: calls of one function, each with its own arguments."""

    @abstractmethod
    def outcomes(
        self, function: Callable[..., Any], jobs: Sequence[tuple]
    ) -> Iterator[tuple[int, Any]]:
        """The position of each job and what it gave, as they finish."""

    @abstractmethod
    def n_workers(self) -> int:
        """How many jobs run at a time."""


@dataclass(frozen=True)
class Threads(Executor):
    """Threads of this process, as many as `n_jobs` says.

    Jobs release the GIL in kernels. They may write into arrays that they share, and be closures.
    """

    n_jobs: int | None = None

    def outcomes(
        self, function: Callable[..., Any], jobs: Sequence[tuple]
    ) -> Iterator[tuple[int, Any]]:
        threads = min(len(jobs), self.n_workers())
        if threads < 2:
            return ((n, function(*job)) for n, job in enumerate(jobs))
        return _on_threads(function, jobs, threads)

    def n_workers(self) -> int:
        return n_threads(self.n_jobs)


def run(
    function: Callable[..., Any],
    jobs: Sequence[tuple],
    executor: Executor | int | None = None,
    done: Callable[[int], Any] | None = None,
    held: Callable[[Any], Any] | None = None,
) -> list:
    """[function(*job) for job in jobs], results in the order of the jobs.

    executor: a number is that of threads of this process, as n_jobs has it.
    done: called with the position of each job when it is finished, for a progress bar.
    held: what takes the place of a result as soon as it is there, where others would take memory.
    """
    found: list[Any] = [None] * len(jobs)
    for n, result in outcomes(function, jobs, executor):
        found[n] = result if held is None else held(result)
        if done is not None:
            done(n)
    return found


def outcomes(
    function: Callable[..., Any], jobs: Sequence[tuple], executor: Executor | int | None = None
) -> Iterator[tuple[int, Any]]:
    """The position of each job and what `run` gives for it, as they finish."""
    return executor_of(executor).outcomes(function, jobs)


def executor_of(executor: Executor | int | None) -> Executor:
    """The executor itself, or threads of this process, as many as the number says."""
    return executor if isinstance(executor, Executor) else Threads(executor)


def in_turn(
    function: Callable[..., Any], jobs: Sequence[tuple], executor: Executor | int | None = None
) -> Iterator[Any]:
    """What `run` gives, one result after another, each as soon as it is its turn."""
    waiting, at = {}, 0
    for n, result in outcomes(function, jobs, executor):
        waiting[n] = result
        while at in waiting:
            yield waiting.pop(at)
            at += 1


def _on_threads(
    function: Callable[..., Any], jobs: Sequence[tuple], threads: int
) -> Iterator[tuple[int, Any]]:
    """The outcomes of jobs on some threads.

    joblib's own threads look for results every 10 ms, as long as two texts take to rank. Those of
    multiprocessing and concurrent.futures are waited for, or complain, when somebody interrupts.
    """
    changed = threading.Condition()
    left = deque(range(len(jobs)))
    done: deque[tuple[int, bool, Any]] = deque()

    def work() -> None:
        while True:
            with changed:
                if not left:
                    return
                n = left.popleft()
            try:
                outcome = n, True, function(*jobs[n])
            except BaseException as error:
                outcome = n, False, error
            with changed:
                done.append(outcome)
                changed.notify_all()

    try:
        for _ in range(threads):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(len(jobs)):
            with changed:
                while not done:
                    changed.wait()
                n, succeeded, result = done.popleft()
            if not succeeded:
                raise result
            yield n, result
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


def this_thread() -> int:
    """The number of the thread that asks, as logging has it."""
    return threading.get_ident()
