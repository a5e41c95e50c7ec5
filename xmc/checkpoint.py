"""Checkpoint: a folder that keeps the finished jobs of a training, so that a killed one goes on.

A job has a name that depends on neither chance nor threads: its stage, such as base1.tree0.level2,
and its place among the jobs of that. What jobs gave is kept in folders with checksums, each written
whole or not at all. A job that isn't there is done again, from the same seed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import ModelError
from .io.files import TEMPORARY, remove_folder
from .io.folder import as_model_error, read_folder, verify_folder, write_folder
from .io.values import pack_value, unpack_value
from .parallel import Executor, Threads, executor_of, outcomes, run

FILE = "jobs.json"
IDENTITY = "training"  # the folder that says what is trained
EVERY = 5.0  # seconds after which finished jobs are written down


class Identity(dict[str, dict[str, Any]]):
    """What tells trainings apart: "settings" by name, and checksums of "data" by what they are."""


@dataclass(frozen=True)
class Checkpoint:
    """Runs jobs and keeps nothing of them.

    executor: where they run; None is on threads of this process.
    """

    executor: Executor | None = field(default=None, kw_only=True)

    @property
    def keeps(self) -> bool:
        """Whether what jobs give is kept."""
        return False

    def n_workers(self, n_jobs: int | None = None) -> int:
        """How many jobs run at a time."""
        return executor_of(self.executor or n_jobs).n_workers()

    def part(self, name: str) -> Checkpoint:
        """For the jobs of a part of the training."""
        return self

    def run(
        self,
        name: str,
        kind: Any,
        function: Callable[..., Any],
        jobs: Sequence[tuple],
        n_jobs: int | None = None,
        done: Callable[[int], Any] | None = None,
        held: Callable[[Any], Any] | None = None,
    ) -> list:
        """What `parallel.run` gives for these jobs, or what is kept of them.

        name: of the stage.
        kind: the type of each result, made of arrays and numbers as in io.values.
        function: of a module, as jobs may run in another process.
        n_jobs: threads, where there is no other executor.
        """
        return run(function, jobs, self.executor or n_jobs, done, held)

    def here(self) -> Checkpoint:
        """The same, one job after another in this very thread: for those that run jobs of their
        own.
        """
        return replace(self, executor=Threads(1))

    def once(self, name: str, kind: Any, job: Callable[[], Any]) -> Any:
        """What one job gives, here."""
        return self.here().run(name, kind, job, [()])[0]

    def anew(
        self, function: Callable[..., Any], jobs: Sequence[tuple], n_jobs: int | None = None
    ) -> list:
        """As `run`, for what takes no longer than to read it again: nothing is kept."""
        return run(function, jobs, self.executor or n_jobs)


@dataclass(frozen=True)
class KeptInFolder(Checkpoint):
    """Runs jobs and keeps what they give.

    stage: what the names of stages begin with.
    """

    folder: Path
    stage: str = ""

    @property
    def keeps(self) -> bool:
        return True

    def part(self, name: str) -> KeptInFolder:
        return replace(self, stage=f"{self.stage}{name}.")

    def run(
        self,
        name: str,
        kind: Any,
        function: Callable[..., Any],
        jobs: Sequence[tuple],
        n_jobs: int | None = None,
        done: Callable[[int], Any] | None = None,
        held: Callable[[Any], Any] | None = None,
    ) -> list:
        stage = f"{self.stage}{name}"
        found = self._kept(stage, kind)
        left = [n for n in range(len(jobs)) if n not in found]
        tell = done or (lambda n: None)
        for n in found:
            tell(n)
        with self._keeping(stage) as keep:
            for at, result in outcomes(function, [jobs[n] for n in left], self.executor or n_jobs):
                found[left[at]] = result if held is None else held(result)
                keep(left[at], result)
                tell(left[at])
        return [found[n] for n in range(len(jobs))]

    def _kept(self, stage: str, kind: Any) -> dict[int, Any]:
        """The results that are kept of a stage, by the number of the job."""
        found: dict[int, Any] = {}
        for entry in os.listdir(self.folder):
            if entry.rpartition("-")[0] == stage:
                found |= _read(self.folder / entry, kind)
        return found

    @contextmanager
    def _keeping(self, stage: str) -> Iterator[Callable[[int, Any], None]]:
        """A function that takes what a job gave. All is written down at the end, whatever ends it,
        and some of it every few seconds.
        """
        waiting: dict[int, Any] = {}
        last = time.monotonic()

        def keep(n: int, result: Any) -> None:
            nonlocal last
            waiting[n] = result
            if time.monotonic() - last >= EVERY:
                self._write(stage, waiting)
                last = time.monotonic()

        try:
            yield keep
        finally:
            self._write(stage, waiting)

    def _write(self, stage: str, results: dict[int, Any]) -> None:
        """Write results down and forget them."""
        if not results:
            return
        plan, arrays = pack_value(list(results.values()))
        meta = {"jobs": list(results), "plan": plan}
        write_folder(self.folder / f"{stage}-{min(results)}", FILE, meta, arrays, overwrite=False)
        results.clear()


def _read(path: Path, kind: Any) -> dict[int, Any]:
    """The results in a folder by the number of the job. Raises ModelError if it is damaged."""
    try:
        verify_folder(path, FILE)
        meta, arrays = read_folder(path, FILE)
        with as_model_error(path, FILE):
            return dict(
                zip(meta["jobs"], unpack_value(list[kind], meta["plan"], arrays), strict=True)
            )
    except ModelError as error:
        raise ModelError(f"{error}; remove {path}, and its part is trained again") from None


NOTHING_KEPT = Checkpoint()


@contextmanager
def opened(
    given: str | os.PathLike[str] | Checkpoint | None,
    identity: Callable[[], Identity],
    executor: Executor | None = None,
) -> Iterator[Checkpoint]:
    """The checkpoint in a folder, which is made if there is none; it is locked meanwhile.

    given: a checkpoint that is open already is taken as it is; None keeps nothing.
    identity: what is trained. Raises ModelError if the folder has to do with another training, if
    another process uses it, or if it is no checkpoint.
    executor: where jobs run; None is on threads of this process.
    """
    if isinstance(given, Checkpoint):
        yield given
        return
    if given is None:
        yield Checkpoint(executor=executor)
        return
    with locked(given, identity) as folder:
        yield KeptInFolder(folder, executor=executor)


@contextmanager
def locked(
    path: str | os.PathLike[str],
    identity: Callable[[], Identity],
    what: str = "training",
    otherwise: str = "give another folder",
) -> Iterator[Path]:
    """A folder that keeps what is done of some work, made if there is none, locked meanwhile.

    what: the work is called in errors. otherwise: do this for other work. Raises ModelError as
    `opened` does.
    """
    check_checkpoint(path)
    folder = Path(path)
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ModelError(f"{folder}: can't be written: {error.strerror}") from None
    try:
        _lock(descriptor, folder, what)
        if other := _identify(folder, json.loads(json.dumps(identity()))):
            raise ModelError(f"{folder}: keeps a {what} {other}; {otherwise}, or remove this one")
        yield folder
    finally:
        os.close(descriptor)


def check_checkpoint(path: str | os.PathLike[str]) -> None:
    """Raise ModelError unless a path is a checkpoint, or can become one."""
    folder = Path(path)
    if folder.is_dir():
        entries = [entry for entry in os.listdir(folder) if not entry.startswith(TEMPORARY)]
        if entries and not (folder / IDENTITY / FILE).is_file():
            raise ModelError(f"{folder}: expected a checkpoint or an empty folder, got another one")
    elif folder.exists() or folder.is_symlink():
        raise ModelError(f"{folder}: expected a folder, got a file")
    elif not folder.parent.is_dir():
        raise ModelError(f"{folder}: expected an existing folder to write into")


def is_begun(path: str | os.PathLike[str]) -> bool:
    """Whether a checkpoint keeps something."""
    return (Path(path) / IDENTITY).is_dir()


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a checkpoint. What says what it is goes last, so that a killed removal can go on."""
    check_checkpoint(path)
    folder = Path(path)
    for entry in sorted(os.listdir(folder), key=IDENTITY.__eq__):
        remove_folder(folder / entry)
    folder.rmdir()


def _lock(descriptor: int, folder: Path, what: str) -> None:
    """Keep other processes out until the descriptor is closed, if only by a kill."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ModelError(f"{folder}: another {what} uses this checkpoint") from None


def _identify(folder: Path, identity: Mapping[str, Any]) -> str:
    """Say what the work is. If the folder says something else, it is how that differs, else ""."""
    own = folder / IDENTITY
    if not own.exists():
        write_folder(own, FILE, identity, {}, overwrite=False)
        return ""
    try:
        verify_folder(own, FILE)
        meta, _ = read_folder(own, FILE)
        with as_model_error(own, FILE):
            return _difference(meta, identity)
    except ModelError as error:
        raise ModelError(f"{error}; give another folder, or remove {folder}") from None


def _difference(kept: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """How what a folder keeps differs from what is given, "" if it doesn't."""
    settings = sorted({*kept["settings"], *given["settings"]})
    for name in sorted(settings, key="class".__ne__):  # another class has other settings
        own, other = (of["settings"].get(name) for of in (kept, given))
        if own != other:
            return f"with {name}={own!r}, this one has {other!r}"
    for name in sorted({*kept["data"], *given["data"]}):
        if kept["data"].get(name) != given["data"].get(name):
            return f"on other {name}"
    return ""
