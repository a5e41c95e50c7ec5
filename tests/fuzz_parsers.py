"""Damage files at random, and read them with every public reader.

    python tests/fuzz_parsers.py 1000000 [--seed 0] [--seconds 600] [--only NAME]

Each input is one of a kept corpus with bytes, tokens, lines, or the arrays of an npz file changed.
It must be refused in one line without control characters, or give what the reader's docstring
promises, which can be written and read again. Whatever comes, no reader may crash, hang, or take
much memory. What breaks one is kept in a file, whose path is printed.

Inputs are read in child processes, many in each; what kills one is found by its seed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from mutations import bases, mutated
from parsers import PARSERS, outcome

PER_CHILD = 5_000
SECONDS = 10  # of the processor, for one input
SPACE, GROWTH = 1 << 30, 400_000  # bytes that a child may ask for, kB that an input may take
MEMORY = "/dev/shm"  # files in memory, where there are any
FOUND = Path(".run") / "fuzz"


class Cases:
    """Inputs by seed, for the readers of these names."""

    def __init__(self, names: Sequence[str], folder: str):
        self.folder = folder
        self.turns = [name for name in names for _ in range(1 if PARSERS[name].slow else 4)]
        self.kept = {name: bases(name) for name in names}

    def make(self, seed: int) -> tuple[str, str, bytes]:
        """The name of a reader, where the input lies for it, and the input."""
        name, rng = self.turns[seed % len(self.turns)], Random(seed)
        content, packed = mutated(rng, name, self.kept[name])
        return name, f"{self.folder}/input{PARSERS[name].suffix}{packed}", content

    def try_one(self, seed: int) -> tuple[str, str]:
        """The name of the reader and the outcome."""
        name, path, content = self.make(seed)
        with open(path, "wb") as file:
            file.write(content)
        return name, outcome(name, path)


def run_cases(cases: Cases, seeds: range, until: float, now: Any, out: Any) -> None:
    """Each case in this process; `now` is always the seed that it is at."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + SPACE, taken + SPACE))
    warnings.simplefilter("ignore")  # scipy's over odd shapes
    counts: Counter = Counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        now.value = seed
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # whose signal ends the process
        name, what = cases.try_one(seed)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        peak += grown
        if grown > GROWTH:
            what = f"BAD took {grown:,} kB more"
        counts[name, what.split(":")[0]] += 1
        if what.startswith("BAD"):
            out.send((seed, what))
        if time.monotonic() > until:
            break
    signal.setitimer(signal.ITIMER_PROF, 0)
    out.send(counts)


def fuzz(
    n: int,
    seed: int,
    *,
    only: str = "",
    seconds: float = float("inf"),
    found: Path = FOUND,
    say: Callable[..., None] = print,
) -> Counter:
    """How often each outcome came out at each reader; says what is bad, and keeps it."""
    names = [name for name in PARSERS if only in name]
    start, counts, place, end = time.monotonic(), Counter(), seed, seed + n
    with TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as folder:
        cases = Cases(names, folder)
        for first in range(len(cases.turns)):  # compiles what readers need, once for all children
            cases.try_one(first)
        while place < end and time.monotonic() < start + seconds:
            seeds = range(place, min(place + PER_CHILD, end))
            place, counted, bad = _in_a_child(cases, seeds, start + seconds)
            counts += counted
            for at, what in bad:
                say(at, *_keep(cases, at, found), what)
            say(f"{counts.total():,} inputs, {counts.total() / _spent():,.0f} a second of a core")
    return counts


def _in_a_child(cases: Cases, seeds: range, until: float) -> tuple[int, Counter, list]:
    """The next seed, the counts and what was bad; the death of a child is bad."""
    context = multiprocessing.get_context("fork")
    now = context.RawValue("q", seeds.start)
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=run_cases, args=(cases, seeds, until, now, theirs))
    child.start()
    theirs.close()
    said: list = []
    try:
        while True:
            said.append(ours.recv())
    except EOFError:
        child.join()
    if said and isinstance(said[-1], Counter):
        return now.value + 1, said[-1], said[:-1]
    died = "BAD died"
    counted = Counter({(cases.make(now.value)[0], died): 1})
    return now.value + 1, counted, [*said, (now.value, f"{died} of {child.exitcode}")]


def _spent() -> float:
    """The seconds of the processor that all children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _keep(cases: Cases, seed: int, found: Path) -> tuple[str, Path]:
    """The name of the reader, and where a bad input lies."""
    name, path, content = cases.make(seed)
    found.mkdir(parents=True, exist_ok=True)
    kept = found / f"{name}-{seed}{Path(path).name.removeprefix('input')}"
    kept.write_bytes(content)
    return name, kept


def print_counts(counts: Counter) -> None:
    """A line for each reader."""
    for name in sorted({name for name, _ in counts}):
        own = {what: n for (of, what), n in counts.items() if of == name}
        print(f"{name:20}", ", ".join(f"{n:,} {what}" for what, n in sorted(own.items())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only", default="", help="part of the names of readers", metavar="NAME")
    wanted = parser.parse_args()
    found = fuzz(wanted.n, wanted.seed, only=wanted.only, seconds=wanted.seconds)
    print_counts(found)
    sys.exit(any(what.startswith("BAD") for _, what in found))
