"""Hold what trainings take against what `xmc train --dry-run` says of them before.

    python benchmarks/forecasts.py ../shared/data --methods tree one-vs-all

Each training has a process of its own: the forecast, then the training, from matrices in memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import scipy.sparse as sp
from bench import Data, data_sets
from inputs import small_set
from memory import GIB, Watch

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.io.folder import ARRAYS
from xmc.parallel import n_threads

METHODS = {"tree": LabelTreeClassifier, "one-vs-all": OneVsAllClassifier}


def measure(folder: Path, method: str, threads: int) -> dict[str, tuple[float, float]]:
    """Seconds, bytes of memory at the peak, and bytes of the model: forecast, and taken."""
    X, Y = (sp.load_npz(folder / f"{name}.trn.npz") for name in "XY")
    model = METHODS[method](n_jobs=threads, random_state=0)
    model.fit(*small_set())  # compiles
    model.forecast(*small_set())
    start = time.perf_counter()
    expected = model.forecast(X, Y)
    asked, watch, start = time.perf_counter() - start, Watch(), time.perf_counter()
    model.fit(X, Y)
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as saved:
        model.save(Path(saved) / "model")
        size = (Path(saved) / "model" / ARRAYS).stat().st_size
    return {
        "asked": (asked, asked),
        "seconds": (expected.seconds, seconds),
        "memory": (expected.memory(n_threads(threads)), max(watch.peaks.values())),
        "model": (expected.model_bytes, size),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with a folder for each data set")
    parser.add_argument("sets", nargs="*", help="names of data sets; all unless given")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(".run/bench"))
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # this one, in this process
    args = parser.parse_args()
    if args.run:
        folder, method = args.run
        print(json.dumps(measure(Path(folder), method, args.threads)))
        return
    print("| data | method | forecast took | seconds | taken | peak, GiB | taken | MB | taken |")
    print("|---|---|" + "--:|" * 7)
    for name in data_sets(args):
        data = Data(args, name)
        for method in args.methods:
            own = [str(args.data), "--threads", str(args.threads), "--run", str(data.folder)]
            command = [sys.executable, __file__, *own, method]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            cells = [name, method, f"{found['asked'][0]:.1f}"]
            for what, unit in (("seconds", 1), ("memory", GIB), ("model", 1e6)):
                before, taken = (value / unit for value in found[what])
                cells += [f"{before:.1f} ({before / taken:.2f})", f"{taken:.1f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
