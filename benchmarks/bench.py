"""What both benchmarks share: data sets, processes run in turn, judging, and tables."""

import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from configurations import N_QUERIES, K

import xmc
from xmc.datasets import read_split
from xmc.errors import DataError
from xmc.io import read_matrix, write_matrix
from xmc.metrics import propensities, report
from xmc.params import TextParams
from xmc.topk import TopK

HERE = Path(__file__).resolve().parent
NAMES = ("X.trn", "Y.trn", "X.tst", "Y.tst")
JUDGED = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5")
POOLS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")
PROPENSITY = {
    "amazon-": (0.6, 2.6),
    "wikilshtc": (0.5, 0.4),
}  # by the beginning of the data set's name
DISTRIBUTIONS = {"xmc": "xmc-trees", "pecos": "libpecos", "liblinear": "liblinear-official"}
DISTRIBUTIONS |= {name: name for name in ("omikuji", "napkinxc", "libmultilabel")}
TELL_VERSIONS = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"


def add_arguments(parser, repeats):
    """The arguments of both benchmarks."""
    parser.add_argument("data", type=Path, help="folder that holds a folder per data set")
    parser.add_argument(
        "--sets", nargs="*", metavar="NAME", help="data sets; all that the folder holds"
    )
    parser.add_argument(
        "--only", nargs="*", metavar="WORD", help="configurations of these names; all of them"
    )
    parser.add_argument("--repeats", type=int, default=repeats, help=f"turns ({repeats})")
    parser.add_argument(
        "--limit", type=float, default=7200, help="seconds that a run may take (7200)"
    )
    home = HERE.parent
    peers = Path(os.environ.get("XMC_PEERS") or home / ".venv" / "peers")
    parser.add_argument(
        "--peers", type=Path, default=peers, help="environments that make peers built"
    )
    parser.add_argument(
        "--work", type=Path, default=home / ".run" / "bench", help="folder for everything written"
    )
    parser.add_argument("--json", type=Path, help="where to write the results (in the work folder)")


def data_sets(args):
    """Names of the data sets to measure on. Exits if one isn't there."""
    found = sorted(
        {
            path.parent.name
            for kind in ("X.trn.npz", "train.tsv.gz")
            for path in args.data.glob(f"*/{kind}")
        }
    )
    missing = [name for name in args.sets or [] if name not in found]
    if missing or not found:
        expected = " ".join(missing) or "folders with X.trn.npz or train.tsv.gz"
        sys.exit(f"{args.data}: expected {expected}, found {' '.join(found) or 'none'}")
    return args.sets or found


class Failed(Exception):
    """A run that gave no result, and why."""


class Data:
    """A data set as matrices on disk, and the judge of predictions for it."""

    def __init__(self, args, name):
        self.name, self.work = name, args.work / name
        self.work.mkdir(parents=True, exist_ok=True)
        self.folder = args.data / name
        if not (self.folder / "X.trn.npz").exists():
            self.folder = self._from_texts()
        self.Y, self.Y_test = (
            read_matrix(self.folder / f"{part}.npz") for part in ("Y.trn", "Y.tst")
        )
        self.n_labels = np.count_nonzero(np.bincount(self.Y.indices, minlength=self.Y.shape[1]))
        a, b = next((ab for start, ab in PROPENSITY.items() if name.startswith(start)), (0.55, 1.5))
        # Test rows may have labels without a training row.
        self.Y.resize(self.Y.shape[0], max(self.Y.shape[1], self.Y_test.shape[1]))
        self.propensity = propensities(self.Y, a, b)
        self.Y_test.resize(self.Y_test.shape[0], self.Y.shape[1])

    def _from_texts(self):
        """TF-IDF rows of the texts by our default vectoriser; made again only if either changes."""
        made, note = self.work / "matrices", self.work / "matrices.json"
        files = [(self.folder / f"{part}.tsv.gz").stat() for part in ("train", "test")]
        facts = {
            "files": [(file.st_size, file.st_mtime_ns) for file in files],
            "settings": asdict(TextParams()),
        }
        text = json.dumps(facts, default=str)
        if not note.exists() or note.read_text() != text:
            made.mkdir(exist_ok=True)
            for part, M in zip(NAMES, read_split(self.folder), strict=True):
                write_matrix(made / f"{part}.npz", M, overwrite=True)
            note.write_text(text)
        return made

    def judge(self, predictions):
        """P@k and PSP@k, in percent, of predictions that a worker saved.

        Raises Failed if the file holds no predictions.
        """
        with np.load(predictions) as found:
            top = TopK(found["labels"], found["scores"])
        try:
            figures = report(self.Y_test, top, propensity=self.propensity)
        except DataError as error:
            raise Failed(str(error)) from None
        return {key: figures[key] for key in JUDGED}


def run(args, data, mode, configuration, threads, settings=None, seed=0):
    """Let a peer's Python do a run; gives what it measured. Raises Failed.

    mode: "train" leaves the model in `model_of`, "predict" reads it from there.
    settings: on top of the configuration's.
    """
    python = python_of(args, configuration.peer)
    if not python.exists():
        raise Failed(f"not installed: make peers PEERS={configuration.peer}")
    scratch, model = data.work / "scratch", model_of(data, configuration)
    log = data.work / "logs" / f"{configuration.name}, {mode}.txt"
    log.parent.mkdir(exist_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    if mode == "train":
        shutil.rmtree(model, ignore_errors=True)
        stamp_of(data, configuration).unlink(missing_ok=True)
        model.parent.mkdir(exist_ok=True)
    result, predictions = scratch / "result.json", scratch / "predictions.npz"
    job = {
        "mode": mode,
        "peer": configuration.peer,
        "settings": configuration.settings | (settings or {}),
    }
    job |= {"threads": threads, "seed": seed, "k": K, "n_queries": N_QUERIES}
    paths = {
        "data": data.folder,
        "scratch": scratch,
        "model": model,
        "predictions": predictions,
        "result": result,
    }
    (scratch / "job.json").write_text(
        json.dumps(job | {name: str(path.resolve()) for name, path in paths.items()})
    )
    _start([python, HERE / "worker.py", scratch / "job.json"], threads, args.limit, log)
    found = json.loads(result.read_text())
    if mode == "train":
        stamp_of(data, configuration).write_text(stamp(data, configuration))
    return found | (data.judge(predictions) if predictions.exists() else {})


def python_of(args, peer):
    """The interpreter of a peer's environment; for ours, the one that runs this."""
    return Path(sys.executable) if peer == "xmc" else args.peers / peer / "bin" / "python"


def model_of(data, configuration):
    """Where a trained model is kept."""
    return data.work / "models" / configuration.name


def stamp_of(data, configuration):
    """The file that says what a kept model was trained on and by."""
    return data.work / "models" / f"{configuration.name}.json"


def stamp(data, configuration):
    """What a model depends on: settings, data, and for ours the source of the package."""
    file = (data.folder / "X.trn.npz").stat()
    facts = {"settings": configuration.settings, "data": [file.st_size, file.st_mtime_ns]}
    if configuration.peer == "xmc":
        sources = b"".join(
            path.read_bytes() for path in sorted(Path(xmc.__file__).parent.rglob("*.py"))
        )
        facts["source"] = hashlib.sha256(sources).hexdigest()
    return json.dumps(facts, sort_keys=True)


def is_trained(data, configuration):
    """Whether the kept model is the one that training again would give."""
    kept = stamp_of(data, configuration)
    return kept.exists() and kept.read_text() == stamp(data, configuration)


def _start(command, threads, limit, log):
    """Run to the end, thread pools bounded. Raises Failed with the last line of the log."""
    bounded = {f"{pool}_NUM_THREADS": str(threads) for pool in POOLS}
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env=os.environ | bounded, start_new_session=True
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {limit:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
    if code < 0:
        raise Failed(f"killed by signal {-code}" + (", out of memory?" if code == -9 else ""))
    if code:
        lines = log.read_text(errors="replace").split("\n")
        raise Failed(
            next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")[
                :160
            ]
        )


def in_turn(args, data, tasks, task):
    """The results of task(one) for every one of the tasks, {one: [result]}, in turns: A B A B.

    A task that failed is not tried again: its result is the reason, a string. Every result is also
    a line of runs.jsonl.
    """
    results: dict[str, Any] = {one: [] for one in tasks}
    for turn in range(args.repeats):
        for one in tasks:
            if isinstance(results[one], str):
                continue
            started, load = time.monotonic(), os.getloadavg()[0]
            try:
                found = task(one) | {"load_before": load}
                results[one].append(found)
                outcome = f"done in {time.monotonic() - started:.0f} s"
            except Failed as error:
                results[one] = outcome = str(error)
                found = {"failed": outcome}
            with open(args.work / "runs.jsonl", "a") as log:
                log.write(json.dumps({"data": data.name, "run": one, "turn": turn, **found}) + "\n")
            say(f"{data.name}, turn {turn + 1} of {args.repeats}, {one}: {outcome}")
    return results


def medians(runs):
    """The median of everything measured."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def versions(args, peers):
    """Versions of the peers' packages that are installed, and of numpy and scipy beside them."""
    found = {}
    for peer in peers:
        try:
            names = (DISTRIBUTIONS[peer], "numpy", "scipy")
            lines = subprocess.check_output(
                [python_of(args, peer), "-c", TELL_VERSIONS, *names], text=True
            ).split()
            found[peer] = dict(zip(names, lines, strict=True))
        except (OSError, subprocess.CalledProcessError):
            pass
    return found


def machine():
    """What the numbers depend on besides the code."""
    with open("/proc/cpuinfo") as file:
        model = next(
            (line.split(":")[1].strip() for line in file if line.startswith("model name")),
            "unknown",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "python": platform.python_version(),
    }


def write(args, name, results):
    """Write all that was found so far as JSON."""
    path = args.json or args.work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def table(title, heads, rows):
    """Print a table: the first column to the left, numbers to the right.

    A row with fewer cells than the head ends with text.
    """
    texts = [
        [row[0], *(cell if isinstance(cell, str) else number(cell) for cell in row[1:])]
        for row in rows
    ]
    whole = [row for row in [heads, *texts] if len(row) == len(heads)]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    widths[0] = max(len(row[0]) for row in [heads, *texts])
    print(f"\n{title}")
    for row in [heads, *texts]:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
        print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    sys.stdout.flush()


def number(value):
    """Three digits or so: 1,234  123  12.3  1.23  0.012."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return (
        f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
        if abs(value) >= 1
        else f"{value:.3f}"
    )


def say(line):
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)
