"""Measure what narrower and fewer weights cost in accuracy, and save in size and time.

    python benchmarks/compression.py FOLDER [NAME ...] [--json PATH] [--valid]

FOLDER holds a folder per data set, as bench_train.py has it. With --valid the figures are those of
a tenth of the training rows that is held out instead of the test rows: use it to choose a setting.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import xmc
from xmc.datasets import read_split
from xmc.metrics import propensities, report

WEIGHTS = ("float32", "float16", "int8")
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
KEYS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5")
REPEATS = 3


def held_out(X, Y):
    """Nine tenths of the rows to train on, the others to measure on."""
    order = np.random.default_rng(0).permutation(X.shape[0])
    trained, measured = np.sort(order[X.shape[0] // 10 :]), np.sort(order[: X.shape[0] // 10])
    return X[trained], Y[trained], X[measured], Y[measured]


def measure(model, folder, X_test, Y_test, p):
    """Figures of a saved model, mapped from disk and asked on one thread."""
    model.save(folder)
    loaded = xmc.load(folder).set_params(n_jobs=1)
    top = loaded.predict_topk(X_test, 5)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        loaded.predict_topk(X_test, 5)
        seconds.append(time.perf_counter() - start)
    figures = report(Y_test, top, propensity=p)
    return {
        "MB": sum(file.stat().st_size for file in folder.iterdir()) / 1e6,
        "weights": count_weights(loaded),
        "ms/row": statistics.median(seconds) / X_test.shape[0] * 1e3,
        **{key: figures[key] for key in KEYS},
    }


def count_weights(model):
    """Weights that a model of trees holds."""
    return sum(
        len(layer.weight) for member in model.model_.predictor.members for layer in member.layers
    )


def curve(X, Y, X_test, Y_test):
    """(weights, threshold, figures) of every form of a model of X and Y."""
    model = xmc.LabelTreeClassifier(tree="shallow", random_state=0, n_jobs=2).fit(X, Y)
    p = propensities(Y)
    p = np.concatenate([p, np.full(Y_test.shape[1] - len(p), p.min())])
    with tempfile.TemporaryDirectory() as folder:
        for weights in WEIGHTS:
            for threshold in THRESHOLDS:
                place = Path(folder) / f"{weights}-{threshold}"
                yield (
                    weights,
                    threshold,
                    measure(model.compress(weights, threshold), place, X_test, Y_test, p),
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=["eurlex57k", "tibkat-gnd"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--valid", action="store_true")
    args = parser.parse_args()
    results = []
    for name in args.names:
        data = read_split(args.folder / name)
        print(f"\n{name}\n| weights | threshold | MB | ms/row | {' | '.join(KEYS)} |", flush=True)
        print("|---|--:|--:|--:|" + "--:|" * len(KEYS))
        for weights, threshold, figures in curve(*(held_out(*data[:2]) if args.valid else data)):
            results.append({"data": name, "weights": weights, "threshold": threshold, **figures})
            cells = " | ".join(f"{figures[key]:.2f}" for key in KEYS)
            size, speed = f"{figures['MB']:.1f}", f"{figures['ms/row']:.3f}"
            print(f"| {weights} | {threshold} | {size} | {speed} | {cells} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
