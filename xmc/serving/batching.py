"""Batches: what waits while a model works is answered by its next call, together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MOST_TOGETHER = 64  # texts or rows in one call, so that nobody waits long behind a large request


class Job(NamedTuple):
    """Some texts or rows that wait for their answers.

    model: the one that was loaded when the request came; it answers even if another one replaces
    it meanwhile.
    """

    model: Any
    items: list
    k: int
    answers: asyncio.Future


class Batcher:
    """Asks a model in a thread, one call at a time.

    A lone request is asked at once. Nobody waits for others to come: those that come during a call
    are the next batch. counted: called with the size of each batch.
    """

    def __init__(self, counted: Callable[[int], Any]):
        self.counted = counted
        self.waiting: deque[Job] = deque()
        self.working: asyncio.Task | None = None

    async def ask(self, model: Any, items: list, k: int) -> list:
        """The answer to each item; a long list takes its turn again after each part."""
        answers: list = []
        for start in range(0, len(items), MOST_TOGETHER):
            answers += await self._queued(model, items[start : start + MOST_TOGETHER], k)
        return answers

    def _queued(self, model: Any, items: list, k: int) -> asyncio.Future:
        loop = asyncio.get_running_loop()
        job = Job(model, items, k, loop.create_future())
        self.waiting.append(job)
        if self.working is None:
            self.working = loop.create_task(self._work())
        return job.answers

    async def _work(self) -> None:
        try:
            while jobs := self._next():
                self.counted(sum(len(job.items) for job in jobs))
                for job, answers in await asyncio.to_thread(_answered, jobs):
                    if job.answers.done():  # whoever asked is gone
                        continue
                    if isinstance(answers, Exception):
                        job.answers.set_exception(answers)
                    else:
                        job.answers.set_result(answers)
        finally:
            self.working = None

    def _next(self) -> list[Job]:
        """The first that waits, and those behind it that ask the same model for as many labels."""
        jobs: list[Job] = []
        left: deque[Job] = deque()
        size = 0
        for job in self.waiting:
            if job.answers.done():
                continue
            alike = not jobs or (job.model is jobs[0].model and job.k == jobs[0].k)
            if alike and size + len(job.items) <= MOST_TOGETHER:
                jobs.append(job)
                size += len(job.items)
            else:
                left.append(job)
        self.waiting = left
        return jobs


def _answered(jobs: list[Job]) -> list[tuple[Job, Any]]:
    """Each job with its answers, or with the error that it raised.

    An error of one must not be that of others: where a batch fails, each job is asked by itself.
    """
    model, k = jobs[0].model, jobs[0].k
    try:
        answers = iter(model.answers([item for job in jobs for item in job.items], k))
        return [(job, _take(answers, len(job.items))) for job in jobs]
    except Exception as error:
        if len(jobs) == 1:
            return [(jobs[0], error)]
    return [pair for job in jobs for pair in _answered([job])]


def _take(answers: Iterator, n: int) -> list:
    return [next(answers) for _ in range(n)]
