"""How time, memory and bytes moved grow with the data, and what that means for far larger data.

python benchmarks/scaling.py sets --json benchmarks/scaling.json

It trains a balanced tree on synthetic data in the shape of amazon-670k: at several scales, with
half of the rows, of the labels and of the nonzeros, on one thread and on two. Each training has a
process of its own; what is in the JSON file already isn't measured again. From all but the largest
it makes a model of cost, predicts the largest, and tells what 10 and 100 million labels would take.

The model: each stage of a training costs seconds in proportion to a power of one number, its
driver. Drivers are known from the shape of the data, as entries of a row and weights of a label
grow with the logarithm of the labels. Jobs share threads, each of which is slower beside others by
what two of them show; what is no job is done once.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.optimize import nnls

from xmc import LabelTreeClassifier
from xmc.datasets.synthetic import synthesize
from xmc.embedding import label_embeddings
from xmc.executors import Processes, remote, shelf
from xmc.inputs import as_rows, as_targets
from xmc.memory import held_bytes
from xmc.parallel import Threads
from xmc.training.grow import EMBEDDING_FEATURES, SAMPLE, with_rows
from xmc.training.level import work
from xmc.training.needs import chunk_bytes
from xmc.training.problem import MemberProblem, level_problems, transposed

GIB, EVERY = 2**30, 0.01  # seconds between two looks
LIKE, SCALES, LARGEST = "amazon-670k", (0.05, 0.1, 0.25, 0.5), 1.0
SHAPE = "balanced"  # of the tree at every scale, as very many labels have it
HALVED = ("rows", "labels", "nonzeros")  # each on its own, at this scale:
HALVED_AT = 0.25
# The stage of a training that a job belongs to, by the name of its function. What is no job is
# "home": checks, transposes, pointers.
STAGE_OF = {
    "embed_part": "embedding",
    "_halved": "growing",
    "_split": "growing",
    "train": "solving",
    "_packed": "assembling",
    "_copy": "assembling",
}
NESTED = {"grow", "job"}  # jobs that run jobs of their own
# What the seconds of a stage grow with.
DRIVER_OF = {
    "home": "entries",
    "embedding": "gathered",
    "growing": "halved",
    "solving": "multiplied",
    "assembling": "weights",
}
DRIVERS = {
    "entries": "of X and of Y",
    "gathered": "entries of X that embeddings sum up",
    "halved": "entries of embeddings that 2-means passes over, on all levels of halves",
    "multiplied": "multiplications of one pass of the solver over all chunks",
    "weights": "of the model",
}
LEAF, PASSES = 100, 10  # labels of a leaf, and of 2-means until its gain is small: about so many
PAPER_LABELS, PAPER_CORES = (10_000_000, 100_000_000), (16, 64, 256)
CORES_OF_WORKER = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, help="folder for the data")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--largest", type=float, default=LARGEST, help="scale that is predicted")
    parser.add_argument("--run", help=argparse.SUPPRESS)  # this one, in this process
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measured(args.sets, *args.run.split())))
        return
    found = json.loads(args.json.read_text()) if args.json.exists() else {}
    for scale in (*SCALES, args.largest):
        if not (folder := set_of(args.sets, scale)).is_dir():
            synthesize(LIKE, folder, scale)
    wanted = [f"{scale} all {n}" for n in (1, 2) for scale in SCALES]
    wanted += [f"{HALVED_AT} {half} {n}" for n in (1, 2) for half in HALVED]
    wanted += [f"{scale} all processes" for scale in SCALES[:3]]
    wanted.append(largest := f"{args.largest} all 2")
    for run in wanted:
        if run not in found:
            own = [sys.executable, __file__, str(args.sets), "--json", str(args.json), "--run", run]
            done = subprocess.run(own, stdout=subprocess.PIPE, text=True, check=True)
            found[run] = json.loads(done.stdout.splitlines()[-1])
            args.json.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{run}: {found[run]['seconds']:.1f} s, {found[run]['peak'] / GIB:.2f} GiB")
    tell(found, largest)


def set_of(sets, scale):
    return sets / f"{LIKE}-{scale:g}"


# ---- one training


class Watch:
    """The peak of what the process holds, the seconds of each stage, and the bytes that jobs move
    to other processes and back, while `fit` runs.
    """

    def __init__(self):
        self.peak, self.stages, self.moved, self.stopped = 0, Counter(), Counter(), False
        outcomes, write, unpack = Threads.outcomes, shelf.Shelf._write, remote.from_pile

        def timed(own, function, jobs):
            name, start = getattr(function, "__name__", ""), time.perf_counter()
            yield from outcomes(own, function, jobs)
            if name not in NESTED:
                self.stages[STAGE_OF.get(name, "home")] += time.perf_counter() - start

        def written(own, array):
            self.moved["out"] += array.nbytes
            return write(own, array)

        def read(value, path):
            self.moved["home"] += Path(path).stat().st_size if path else 0
            return unpack(value, path)

        Threads.outcomes, shelf.Shelf._write, remote.from_pile = timed, written, read
        threading.Thread(target=self.look, daemon=True).start()

    def look(self):
        while not self.stopped:
            self.peak = max(self.peak, held_bytes())
            time.sleep(EVERY)


def measured(sets, scale, half, how):
    """What a training takes, and its drivers."""
    X, Y = (sp.load_npz(set_of(sets, float(scale)) / f"{name}.trn.npz") for name in "XY")
    X, Y = halved(X, Y, half)
    threads = 2 if how == "processes" else int(how)
    model = LabelTreeClassifier(tree=SHAPE, n_jobs=threads, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        executor = Processes(threads, folder) if how == "processes" else None
        model.fit(X[:600], Y[:600], executor=executor)  # compiles
        before, watch, start = held_bytes(), Watch(), time.perf_counter()
        model.fit(X, Y, executor=executor)
        seconds, watch.stopped = time.perf_counter() - start, True
        if executor is not None:
            executor.close()
    stages = dict(watch.stages)
    stages["home"] = seconds - sum(stages.values()) + stages.get("home", 0)
    found = {"seconds": seconds, "stages": stages, "peak": watch.peak, "before": before}
    return found | {"moved": dict(watch.moved)} | numbers(X, Y, model)


def halved(X, Y, what):
    """The data with half of their rows, labels or nonzeros."""
    if what == "rows":
        X, Y = X[::2], Y[::2]
    elif what == "labels":
        Y = sp.csr_matrix(Y[:, ::2])
    elif what == "nonzeros":
        kept = np.arange(X.nnz) % 2 == 0
        X = sp.csr_matrix((X.data * kept, X.indices, X.indptr), X.shape)
        X.eliminate_zeros()
    some = np.diff(Y.indptr) > 0
    return sp.csr_matrix(X[some]), sp.csr_matrix(Y[some])


def numbers(X, Y, model):
    """The shape of the data, and what the drivers are made of."""
    rows, targets = as_rows(X, normalize=True), as_targets(Y)
    (member,) = model.members_
    problems = [*level_problems(MemberProblem(rows, targets, member.tree, (0, 0)))]
    rows_of_label = transposed(targets, Y.shape[1])
    labels = with_rows(rows_of_label)
    sample = labels[:: math.ceil(len(labels) / 4096)]
    kept = EMBEDDING_FEATURES[SHAPE]
    embedded = label_embeddings(rows, rows_of_label, sample, kept, 1)
    longest = [sum(part[work(own).argmax()] for part in chunk_bytes(own)) for own in problems]
    return {
        "rows": X.shape[0],
        "features": X.shape[1],
        "labels": len(labels),
        "x_entries": X.nnz,
        "y_entries": Y.nnz,
        "gathered": int(np.diff(Y.indptr).astype(np.int64) @ np.diff(X.indptr)),
        "z_entries": int(len(embedded.indices) / len(sample) * len(labels)),
        "multiplied": int(sum(work(own).sum() for own in problems)),
        "longest": int(max(work(own).max() for own in problems)),
        "thread_bytes": int(max(longest)),
        "weights": int(sum(len(layer.child) for layer in member.layers)),
        "model_bytes": int(sum(part.nbytes for layer in member.layers for part in layer)),
    }


# ---- the model of cost


def drivers_of(run):
    """What the seconds of each stage grow with, see DRIVERS."""
    return {
        "entries": run["x_entries"] + run["y_entries"],
        "gathered": run["gathered"],
        "halved": run["z_entries"] * passes(run["labels"]),
        "multiplied": run["multiplied"],
        "weights": run["weights"],
    }


def passes(labels):
    """How often 2-means passes over an embedding, on all levels of halves; over a sample of many
    labels, and then over all of them once.
    """
    sizes = [labels / 2**level for level in range(math.ceil(math.log2(labels / LEAF)))]
    return sum(PASSES * min(1.0, SAMPLE / size) + (size > SAMPLE) for size in sizes)


class Shapes:
    """What data of any size would have, from measured ones of the same kind."""

    PER = {
        "x_entries": "rows",
        "y_entries": "rows",
        "gathered": "rows",
        "multiplied": "rows",
        "z_entries": "labels",
        "weights": "labels",
        "model_bytes": "weights",
    }

    def __init__(self, runs):
        runs = sorted(runs, key=lambda run: run["labels"])
        self.last = runs[-1]
        logs = np.log([run["labels"] for run in runs])
        self.lines = {
            name: np.polyfit(logs, [run[name] / run[per] for run in runs], 1)
            for name, per in self.PER.items()
        }

    def of(self, labels):
        """The numbers of data with so many labels."""
        size = labels / self.last["labels"]
        found = {"labels": labels, "rows": self.last["rows"] * size}
        for name, per in self.PER.items():
            found[name] = max(0.0, np.polyval(self.lines[name], math.log(labels))) * found[per]
        # The longest job is the root's: a group of siblings on all rows.
        return found | {"longest": self.last["longest"] * size}


class Costs:
    """Seconds of each stage on any number of threads, or workers of one; bytes.

    lines: of each stage, the power of its driver, and the logarithm of the rest.
    taxes: how much longer a thread takes beside another one.
    """

    def __init__(self, found):
        runs = {name: run for name, run in found.items() if not name.endswith("processes")}
        on_two = [name.endswith(" 2") for name in runs]
        self.lines, self.taxes = {}, {}
        for stage, driver in DRIVER_OF.items():
            x = np.log([drivers_of(run)[driver] for run in runs.values()])
            y = np.log([run["stages"][stage] for run in runs.values()])
            known = np.column_stack([x, np.ones_like(x), on_two])
            *self.lines[stage], two = np.linalg.lstsq(known, y)[0]
            self.taxes[stage] = max(1.0, 2 * math.exp(two))
        parts = [self.memory_parts(run) for run in runs.values()]
        peaks = [run["peak"] - run["before"] for run in runs.values()]
        self.before = float(np.median([run["before"] - given_bytes(run) for run in runs.values()]))
        self.memory_weights, _ = nnls(np.array(parts, float), np.array(peaks, float))

    @staticmethod
    def memory_parts(run):
        """What memory grows with: data, embeddings, model."""
        return [given_bytes(run), 8 * run["z_entries"], run["model_bytes"]]

    def stages(self, run, threads):
        """Seconds of each stage."""
        own = drivers_of(run)
        found = {stage: self.alone(stage, own[driver]) for stage, driver in DRIVER_OF.items()}
        longest = self.longest(run)
        if threads > 1:
            for stage in DRIVER_OF.keys() - {"home"}:
                found[stage] *= self.taxes[stage] / threads
        # Nobody is done before the longest job is.
        return found | {"solving": max(found["solving"], longest)}

    def alone(self, stage, driver):
        """Seconds on one thread."""
        return math.exp(np.polyval(self.lines[stage], math.log(driver)))

    def longest(self, run):
        """Seconds of the longest job."""
        return self.alone("solving", run["multiplied"]) * run["longest"] / run["multiplied"]

    def memory(self, run):
        """Bytes at the peak, all in memory."""
        used = float(np.dot(self.memory_weights, self.memory_parts(run)))
        return self.before + given_bytes(run) + used


def given_bytes(run):
    """What X and Y take."""
    return 8 * (run["x_entries"] + run["y_entries"]) + 16 * run["rows"]


# ---- what is told


def tell(found, largest):
    learned = {name: run for name, run in found.items() if name != largest}
    costs = Costs(learned)
    shapes = Shapes([run for name, run in learned.items() if name.endswith("all 1")])
    print("\n| training | rows | labels | seconds | GiB |" + " | ".join(DRIVER_OF) + " |")
    print("|---" + "|--:" * (4 + len(DRIVER_OF)) + "|")
    for name, run in found.items():
        cells = [f"{run['stages'].get(stage, 0):.2f}" for stage in DRIVER_OF]
        sizes = f"{run['rows']:,} | {run['labels']:,} | {run['seconds']:.1f}"
        print(f"| {name} | {sizes} | {run['peak'] / GIB:.2f} | {' | '.join(cells)} |")
    print("\n| stage | driver | seconds ~ driver to the power of | a thread beside another |")
    print("|---|---|--:|--:|")
    for stage, driver in DRIVER_OF.items():
        tax = "once" if stage == "home" else f"{costs.taxes[stage]:.2f} times as long"
        power = costs.lines[stage][0]
        print(f"| {stage} | {driver}: {DRIVERS[driver]} | {power:.2f} | {tax} |")
    run = found[largest]
    expected = shapes.of(run["labels"])
    seconds, memory = sum(costs.stages(expected, 2).values()), costs.memory(expected)
    print(f"\n{largest}: predicted {seconds:.1f} s, taken {run['seconds']:.1f} s", end="; ")
    print(f"predicted {memory / GIB:.2f} GiB, taken {run['peak'] / GIB:.2f} GiB")
    print("\n| bytes moved, two processes | out | home | of X, embeddings and model |")
    print("|---|--:|--:|--:|")
    for name, run in found.items():
        if run["moved"]:
            whole = given_bytes(run) + 8 * run["z_entries"] + run["model_bytes"]
            out, home = run["moved"]["out"], run["moved"]["home"]
            share = (out + home) / whole
            print(f"| {name} | {out / GIB:.2f} GiB | {home / GIB:.2f} GiB | {share:.0%} |")
    tell_paper(found, costs, shapes, run)


def tell_paper(found, costs, shapes, largest):
    """What far larger data would take."""
    columns = (
        "labels | rows | cores | hours | of them: the longest job | GiB of a worker | GiB moved"
    )
    print(f"\n| {columns} | model, GiB |")
    print("|--:" * 8 + "|")
    for labels in PAPER_LABELS:
        run = shapes.of(labels)
        for cores in PAPER_CORES:
            hours = sum(costs.stages(run, cores).values()) / 3600
            size = labels / largest["labels"]
            worker = CORES_OF_WORKER * largest["thread_bytes"] * size
            shared = given_bytes(run) + 8 * run["z_entries"]
            moved = shared * cores / CORES_OF_WORKER + run["model_bytes"]
            cells = [f"{labels:,}", f"{run['rows']:,.0f}", str(cores)]
            cells += [f"{hours:.2f}", f"{costs.longest(run) / 3600:.2f}"]
            cells += [f"{n / GIB:,.0f}" for n in (worker, moved, run["model_bytes"])]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
