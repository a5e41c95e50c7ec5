"""P@k and PSP@k of this package's settings on real data sets, one line each.

    python benchmarks/accuracy.py FOLDER [NAME ...] [--json PATH]

FOLDER holds a folder per data set: X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz, or train.tsv.gz and test.tsv.gz.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.io import align_labels, read, read_matrix
from xmc.metrics import propensities, report
from xmc.text import fit_texts, make_vectorizer

COMMON = {"random_state": 0, "n_jobs": 2}
SHALLOW = LabelTreeClassifier(tree="shallow", **COMMON)
BALANCED = LabelTreeClassifier(tree="balanced", arity=16, max_leaf_size=100, **COMMON)
THREE_SHALLOW = LabelTreeClassifier(tree="shallow", n_trees=3, **COMMON)
ONE_VS_ALL = OneVsAllClassifier(**COMMON)

SETTINGS = [
    ("bibtex", "one-vs-all", ONE_VS_ALL),
    ("delicious", "one-vs-all", ONE_VS_ALL),
    ("eurlex57k", "one shallow tree", SHALLOW),
    ("eurlex57k", "one balanced tree", BALANCED),
    ("eurlex57k", "three shallow trees", THREE_SHALLOW),
    ("eurlex57k", "one-vs-all", ONE_VS_ALL),
    ("tibkat-gnd", "three shallow trees", THREE_SHALLOW),
]


def matrices(folder):
    """(X, Y, X_test, Y_test), from text where there are no matrices."""
    if (folder / "X.trn.npz").exists():
        return [read_matrix(folder / f"{name}.npz") for name in ("X.trn", "Y.trn", "X.tst", "Y.tst")]
    train, test = read(folder / "train.tsv.gz"), read(folder / "test.tsv.gz")
    vectorizer = make_vectorizer()
    X = fit_texts(vectorizer, train.texts)
    Y_test, _ = align_labels(test.Y, test.label_ids, train.label_ids)
    return X, train.Y, vectorizer.transform(test.texts), Y_test


def measure(model, X, Y, X_test, Y_test):
    """Metrics in percent, with seconds of training, milliseconds a row of prediction and the process's peak memory."""
    start = time.perf_counter()
    model.fit(X, Y)
    trained = time.perf_counter()
    top = model.predict_topk(X_test, 5)
    done = time.perf_counter()
    p = propensities(Y)
    p = np.concatenate([p, np.full(Y_test.shape[1] - len(p), p.min())])
    figures = report(Y_test, top, propensity=p)
    figures |= {"train s": trained - start, "predict ms/row": (done - trained) / X_test.shape[0] * 1e3}
    return figures | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    shown = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "train s", "predict ms/row", "peak MB")
    results, loaded = [], {}
    for name, setting, model in SETTINGS:
        if args.names and name not in args.names:
            continue
        if name not in loaded:
            loaded = {name: matrices(args.folder / name)}
        figures = measure(model, *loaded[name])
        results.append({"data": name, "setting": setting, **figures})
        print(f"{name:12} {setting:20}", *(f"{key} {figures[key]:.2f}" for key in shown), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
