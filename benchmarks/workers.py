"""Time a training on threads, processes, Dask and Ray workers of this machine, side by side.

xmc datasets synth --like amazon-670k --scale 0.25 --out sets/amazon-670k-0.25
python benchmarks/workers.py sets/amazon-670k-0.25 --kinds threads dask ray --workers 1 2 --rounds 3

The cluster is started before the clock, and one small training compiles. Kinds and numbers of
workers take turns; medians are told, with the efficiency of most workers against one, and the time
beside that of as many threads. Models must have the same bytes.
"""

import argparse
import hashlib
import json
import logging
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.executors import Dask, Processes, Ray
from xmc.io.folder import ARRAYS

CLASSES = {"tree": LabelTreeClassifier, "one-vs-all": OneVsAllClassifier}


@contextmanager
def executor_of(kind, n, folder):
    """An executor with n workers of one thread each; None for threads."""
    if kind == "threads":
        yield None
    elif kind == "processes":
        with Processes(n, folder) as own:
            yield own
    elif kind == "dask":
        from distributed import LocalCluster

        how = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
        with (
            LocalCluster(n_workers=n, threads_per_worker=1, **how) as cluster,
            Dask(cluster.scheduler_address, folder) as own,
        ):
            yield own
    else:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        how = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        ray.init(num_cpus=n, **how)
        try:
            with Ray(folder=folder) as own:
                yield own
        finally:
            ray.shutdown()


def train(args, kind, n, X, Y):
    """Seconds of a training, and the checksum of its model."""
    # What is no job has n threads, too, as it would on a machine of that size.
    model = CLASSES[args.method](n_jobs=n, random_state=0, **args.settings)
    with tempfile.TemporaryDirectory() as folder, executor_of(kind, n, folder) as executor:
        model.fit(X[:2000], Y[:2000], executor=executor)
        start = time.perf_counter()
        model.fit(X, Y, executor=executor)
        seconds = time.perf_counter() - start
        model.save(Path(folder) / "model")
        with open(Path(folder) / "model" / ARRAYS, "rb") as file:
            return seconds, hashlib.file_digest(file, "sha256").hexdigest()[:12]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with X.trn.npz and Y.trn.npz")
    parser.add_argument("--kinds", nargs="+", default=["threads", "processes", "dask", "ray"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", choices=CLASSES, default="tree")
    parser.add_argument("--set", action="append", default=[], help="a setting of the model, C=2")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    pairs = (pair.partition("=")[::2] for pair in args.set)
    args.settings = {name: json.loads(v) if v[:1].isdigit() else v for name, v in pairs}
    X, Y = (sp.load_npz(args.data / f"{name}.trn.npz") for name in "XY")
    runs, models = {}, set()
    for number in range(args.rounds):
        for kind in args.kinds:
            for n in args.workers:
                seconds, model = train(args, kind, n, X, Y)
                runs.setdefault((kind, n), []).append(seconds)
                models.add(model)
                print(f"round {number + 1}: {kind}, {n}: {seconds:.1f} s, {model}", flush=True)
    first, most = min(args.workers), max(args.workers)
    median = {own: statistics.median(seconds) for own, seconds in runs.items()}
    print(f"\n| | {' | '.join(f'{n} workers' for n in args.workers)} | efficiency | to threads |")
    print("|---" + "|--:" * (len(args.workers) + 2) + "|")
    for kind in args.kinds:
        cells = [f"{median[kind, n]:.1f} s" for n in args.workers]
        cells.append(f"{median[kind, first] * first / (median[kind, most] * most):.2f}")
        beside = median.get(("threads", most))
        cells.append("" if beside is None else f"{median[kind, most] / beside:.2f}")
        print(f"| {kind} | {' | '.join(cells)} |")
    print("models:", "the same bytes" if len(models) == 1 else f"DIFFERENT, {sorted(models)}")
    if args.json:
        named = {f"{kind} {n}": own for (kind, n), own in runs.items()}
        args.json.write_text(json.dumps({"data": args.data.name, "seconds": named}, indent=1))


if __name__ == "__main__":
    main()
