"""One run in a process of its own, by a peer's Python.

worker.py JOB.json    # as `bench.run` writes it
"""

import gc
import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
from inputs import features, labels, small_set
from probes import Clock, peak_mb, reset_peak, resident_mb, size_mb

BATCHES, BATCH_SECONDS = 5, 2.0  # batches at most, and seconds after which no further one begins
WARM_QUERIES = 50


def train(peer, job):
    """Train once, keep the model, and predict the test rows with it."""
    scratch, model_folder = Path(job["scratch"]), job["model"]
    warm_up(peer, scratch)
    inputs = peer.prepare(
        *(read(job["data"] + f"/{name}.trn.npz") for name, read in READERS.items()), scratch
    )
    gc.collect()
    before = resident_mb()
    reset_peak()
    with Clock() as clock:
        model = peer.train(inputs)
    found = {
        "train_s": clock.wall / peer.share,
        "train_cpu_s": clock.cpu / peer.share,
        "share": peer.share,
    }
    found |= {"peak_mb": peak_mb(), "before_mb": before}
    peer.save(model, model_folder)
    del inputs, model
    if peer.predicts:
        found["model_mb"] = size_mb(peer.stored(model_folder))
        X = features(job["data"] + "/X.tst.npz")
        save_top(job, peer.as_top(peer.predict(peer.load(model_folder), X, job["k"]), job["k"]))
    return found


def warm_up(peer, scratch):
    """Train on a few rows, so that whatever is compiled or loaded at first use is there."""
    X, Y = small_set()
    peer.train(peer.prepare(X, Y, scratch))


def predict(peer, job):
    """Load a model, rank one row, the test rows as a batch, then rows one by one."""
    X, k = features(job["data"] + "/X.tst.npz"), job["k"]
    rows = [
        X[i] for i in np.linspace(0, X.shape[0] - 1, min(job["n_queries"], X.shape[0])).astype(int)
    ]
    gc.collect()
    before = resident_mb()
    with Clock() as load:
        model = peer.load(job["model"])
    found = {
        "load_ms": load.wall * 1e3,
        "loaded_mb": resident_mb() - before,
        "model_mb": size_mb(peer.stored(job["model"])),
    }
    with Clock() as first:
        peer.predict_one(model, rows[0], k)
    save_top(job, peer.as_top(peer.predict(model, X, k), k))
    batch = batch_seconds(peer, model, X, k)
    found |= {
        "first_ms": first.wall * 1e3,
        "batch_ms": batch / X.shape[0] * 1e3,
        "resident_mb": resident_mb() - before,
    }
    if peer.threads == 1:
        seconds = query_seconds(peer, model, rows, k)
        found |= {
            "query_us": np.median(seconds) * 1e6,
            "query_p99_us": np.percentile(seconds, 99) * 1e6,
        }
    return found


def batch_seconds(peer, model, X, k):
    """Median wall seconds of predicting all rows."""
    seconds: list[float] = []
    while len(seconds) < BATCHES and sum(seconds) < BATCH_SECONDS:
        with Clock() as clock:
            peer.predict(model, X, k)
        seconds.append(clock.wall)
    return float(np.median(seconds))


def query_seconds(peer, model, rows, k):
    """Wall seconds of each row on its own, after some rows that are not counted."""
    for row in rows[:WARM_QUERIES]:
        peer.predict_one(model, row, k)
    seconds = np.empty(len(rows))
    for i, row in enumerate(rows):
        started = time.perf_counter()
        peer.predict_one(model, row, k)
        seconds[i] = time.perf_counter() - started
    return seconds


def save_top(job, top):
    """Keep predictions for the evaluator."""
    np.savez(job["predictions"], labels=top[0], scores=top[1])


READERS = {"X": features, "Y": labels}
MODES = {"train": train, "predict": predict}


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    peer = importlib.import_module(f"peers.{job['peer']}").Adapter(
        job["settings"], job["threads"], job["seed"]
    )
    found = MODES[job["mode"]](peer, job)
    Path(job["result"]).write_text(
        json.dumps({name: float(value) for name, value in found.items()})
    )


if __name__ == "__main__":
    main()
