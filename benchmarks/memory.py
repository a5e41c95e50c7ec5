"""Hold what trainings take in memory against their budget, and against what was forecast.

xmc datasets synth --like amazon-3m --scale 0.1 --out sets/amazon-3m-0.1
python benchmarks/memory.py sets/amazon-3m-0.1 --budgets none 1.5G 1G 0.8G --svg memory.svg

Each training has a process of its own, which reads the rows mapped. What counts is what it holds:
its memory, and of mapped files only as much as the libraries take (`xmc.memory.held_bytes`). The
peak of all resident pages stands beside it; those of files the system can drop. Files of large
arrays go to TMPDIR. A budget that is refused is a row, with what the training needs at least.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmc import LabelTreeClassifier, ParameterError, estimators, progress
from xmc.cli.options import Size
from xmc.inputs import as_rows
from xmc.io.folder import ARRAYS
from xmc.memory import held_bytes, return_freed_arrays
from xmc.svg import BLUE, GREEN, GREY, INK, RED, Drawing
from xmc.training.needs import most_memory

GIB, EVERY = 2**30, 0.01  # seconds between two looks
COLUMNS = {
    "budget_gib": "budget, GiB",
    "forecast_gib": "forecast",
    "peak_gib": "peak",
    "resident_gib": "resident",
    "seconds": "seconds",
    "cpu_seconds": "CPU seconds",
    "model": "model",
}


def mapped(path, folder):
    """A matrix whose arrays are mapped files in the folder, its rows scaled to length 1."""
    if not folder.is_dir():
        M = sp.load_npz(path)
        arrays = M.data, M.indices, M.indptr
        if path.name.startswith("X"):
            arrays = as_rows(M, normalize=True).data, *arrays[1:]
        folder.mkdir(parents=True)
        for name, array in zip(("data", "indices", "indptr"), arrays, strict=True):
            np.save(folder / f"{name}.npy", array)
        (folder / "shape.json").write_text(json.dumps(M.shape))
    names = ("data", "indices", "indptr")
    arrays = tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names)
    return sp.csr_matrix(arrays, tuple(json.loads((folder / "shape.json").read_text())), copy=False)


class Watch:
    """The peak of what the process holds, by stage of the training."""

    def __init__(self):
        self.stage, self.peaks = "data", {}
        start = progress.Progress.stage

        def noted(own, title, total):
            self.stage = title
            return start(own, title, total)

        progress.Progress.stage = noted
        threading.Thread(target=self.look, daemon=True).start()

    def look(self):
        while True:
            self.peaks[self.stage] = max(self.peaks.get(self.stage, 0), held_bytes())
            time.sleep(EVERY)


def resident_peak():
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


def train(args):
    """Train once; prints what it took as JSON."""
    return_freed_arrays()
    X, Y = (mapped(args.data / f"{name}.trn.npz", args.work / name) for name in "XY")
    settings = {"n_jobs": args.threads, "random_state": 0, **args.settings}
    LabelTreeClassifier(**settings).fit(sp.csr_matrix(X[:600]), sp.csr_matrix(Y[:600]))  # compiles
    model = LabelTreeClassifier(**settings, memory=bytes_of(args.run))
    found, forecasts, watch = {}, Forecasts(args.threads), Watch()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        model.fit(X, Y)
    except ParameterError as error:
        found["refused"] = str(error)
    found |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    found |= {"chosen": forecasts.chosen, "whole": forecasts.whole}
    found |= {"peak": max(watch.peaks.values()), "resident": resident_peak(), "by": watch.peaks}
    if hasattr(model, "model_"):
        model.save(args.work / "model", overwrite=True)
        with open(args.work / "model" / ARRAYS, "rb") as file:
            found["model"] = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    print(json.dumps(found))


def bytes_of(word):
    """The budget that a word says."""
    return None if word == "none" else Size().convert(word, None, None)


class Forecasts:
    """What trainings with a budget forecast: the most with what was chosen then, and with all
    threads and everything in memory.
    """

    def __init__(self, threads):
        self.chosen = self.whole = None
        decide = estimators.within

        def noted(parts, memory, wanted):
            self.whole = max(self.whole or 0, most_memory(parts, threads))
            choice = decide(parts, memory, wanted)
            self.chosen = max(self.chosen or 0, most_memory(parts, *choice))
            return choice

        estimators.within = noted


def measured(args, run):
    """What a process of its own found."""
    own = [str(args.data), "--work", str(args.work), "--threads", str(args.threads)]
    own += [word for name, value in args.settings.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, __file__, *own, "--run", run]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    for stage, peak in found["by"].items():
        print(f"{run}: {stage}: {peak / GIB:.2f} GiB", file=sys.stderr)
    return found


def row(budget, found, whole):
    """A row of the table; whole: what was forecast without a budget, if it was."""
    forecast = whole if budget is None else found["chosen"]
    own = {"budget_gib": budget and budget / GIB, "forecast_gib": forecast and forecast / GIB}
    if "refused" in found:
        return own | {"model": found["refused"]}
    sizes = {"peak_gib": found["peak"] / GIB, "resident_gib": found["resident"] / GIB}
    return own | sizes | {name: found[name] for name in ("seconds", "cpu_seconds", "model")}


def cell(value):
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def figure(rows):
    """A bar for each training: its peak, with its budget and what was forecast as lines."""
    rows = [row for row in rows if row.get("peak_gib")]
    most = max(max(row[name] or 0 for name in ("budget_gib", "peak_gib")) for row in rows)
    most = max([most, *(row["forecast_gib"] or 0 for row in rows)])
    out = Drawing(560, 60 + 34 * len(rows), title="peak of memory of trainings by their budget")
    for x, color, name in ((120, BLUE, "peak"), (190, RED, "budget"), (270, GREEN, "forecast")):
        out.box(x, 12, 12, 12, fill=color, stroke="none")
        out.text(x + 18, 22, name)
    for n, own in enumerate(rows):
        y, budget = 40 + 34 * n, own["budget_gib"]
        out.text(110, y + 15, f"{budget:.2f} GiB" if budget else "no budget", anchor="end")
        out.box(120, y, own["peak_gib"] * 240 / most, 22, fill=BLUE, stroke="none")
        out.text(376, y + 15, f"{own['peak_gib']:.2f} GiB, {own['seconds']:.0f} s", fill=INK)
        for name, color in (("forecast_gib", GREEN), ("budget_gib", RED)):
            if own[name]:
                x = 120 + own[name] * 240 / most
                out.line((x, y - 3), (x, y + 25), stroke=color, width=3)
    out.line((120, 34), (120, 40 + 34 * len(rows)), stroke=GREY)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["none"], help="such as none 2G 800M")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="a setting of the model, C=2")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "xmc-memory")
    parser.add_argument("--run", help=argparse.SUPPRESS)  # this budget, in this process
    args = parser.parse_args()
    pairs = (pair.partition("=")[::2] for pair in args.set)
    args.settings = {name: json.loads(v) if v[:1].isdigit() else v for name, v in pairs}
    if args.run:
        train(args)
        return
    runs = [measured(args, word) for word in args.budgets]
    whole = max((run["whole"] or 0 for run in runs), default=0) or None
    rows = [row(bytes_of(word), run, whole) for word, run in zip(args.budgets, runs, strict=True)]
    print("| " + " | ".join(COLUMNS.values()) + " |")
    print("|" + "--:|" * len(COLUMNS))
    for own in rows:
        print("| " + " | ".join(cell(own.get(name)) for name in COLUMNS) + " |")
    if args.svg:
        figure(rows).save(args.svg)


if __name__ == "__main__":
    main()
