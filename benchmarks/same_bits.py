"""Whether this installation trains and ranks bit for bit as another one, of an older checkout, say.

    python benchmarks/same_bits.py OTHER_PYTHON DATA [--only KIND ...] [--sets NAME ...]

OTHER_PYTHON is the Python of the other installation; DATA holds a folder per data set, as
bench_train.py has it. Each installation trains every kind of model in a process of its own. This
one then reads both folders, so it has to be the newer one if the format has changed. The exit code
is 1 if arrays differ, if scores differ by more than --tolerance, or if labels differ whose scores
are not equal.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import xmc
from xmc.datasets import read_split

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "shallow": ("LabelTreeClassifier", {"tree": "shallow"}),
    "balanced": ("LabelTreeClassifier", {"tree": "balanced"}),
    "one-vs-all": ("OneVsAllClassifier", {}),
    "int8": ("LabelTreeClassifier", {"tree": "shallow", "weights": "int8"}),
    "three": ("LabelTreeClassifier", {"tree": "shallow", "n_trees": 3}),
    "psp": ("LabelTreeClassifier", {"tree": "shallow", "optimize": "psp", "costs": "propensity"}),
    "psp-two": ("LabelTreeClassifier", {"tree": "shallow", "optimize": "psp", "n_trees": 2}),
    "tail": ("LabelTreeClassifier", {"tree": "shallow", "tail_share": 0.2}),
    "hard-negatives": ("LabelTreeClassifier", {"tree": "shallow", "negatives": "tfn+man"}),
}
EXACT = ("shallow", "balanced", "one-vs-all", "int8", "three")  # unless --only says otherwise
N_QUERIES, K = 200, 10
HEAD = (
    *("data", "kind", "arrays", "of them differ", "scores differ", "by at most", "labels differ"),
    *("seconds here", "there"),
)


def train(kind, data, out):
    """Train a model, save it and what it ranks for the test rows, in a batch and one by one."""
    split = read_split(data)
    name, settings = KINDS[kind]
    started = time.perf_counter()
    model = getattr(xmc, name)(**settings, random_state=0, n_jobs=2).fit(split.X, split.Y)
    seconds = time.perf_counter() - started
    model.save(out / "model")
    model = xmc.load(out / "model")
    rows = [split.X_test[i] for i in range(min(N_QUERIES, split.X_test.shape[0]))]
    tops = [model.predict_topk(split.X_test, K), *(model.predict_topk(row, K) for row in rows)]
    labels, scores = (np.concatenate(column) for column in zip(*tops, strict=True))
    np.savez(out / "top.npz", labels=labels, scores=scores)
    (out / "seconds.json").write_text(json.dumps(seconds))


def arrays_of(out):
    """All arrays of a model, read and written by this installation."""
    from xmc.io.folder import read_folder

    xmc.load(out / "model").save(out / "again")
    return read_folder(out / "again", "model.json")[1]


def count_moved(a, b, tolerance):
    """Count the labels that only one side ranks at their score.

    Labels of a row's last score don't count: the list ends among them, and any of them may be left.
    """
    moved = 0
    for left, right in ((a, b), (b, a)):
        for labels, scores, others, their_scores in zip(*left, *right, strict=True):
            theirs = dict(zip(others.tolist(), their_scores.tolist(), strict=True))
            inner = scores > scores[-1] + tolerance
            pairs = zip(labels[inner].tolist(), scores[inner].tolist(), strict=True)
            moved += sum(
                label not in theirs or abs(theirs[label] - score) > tolerance
                for label, score in pairs
            )
    return moved


def compare(here, there, tolerance):
    """How many arrays there are, and what differs: arrays, scores, by how much, and labels."""
    ours, theirs = arrays_of(here), arrays_of(there)
    names = ours.keys() | theirs.keys()
    different = [
        name
        for name in sorted(names)
        if name not in ours or name not in theirs or not same(ours[name], theirs[name])
    ]
    for name in different:
        print(f"  {name} differs", file=sys.stderr)
    a, b = (_top(out / "top.npz") for out in (here, there))
    apart = np.abs(a[1] - b[1])
    n_scores, moved = int((apart > tolerance).sum()), count_moved(a, b, tolerance)
    return len(names), len(different), n_scores, float(apart.max(initial=0)), moved


def _top(path):
    """Labels and scores; empty places have the score -1, so that they can be subtracted."""
    top = np.load(path)
    return top["labels"], np.where(top["labels"] < 0, -1, top["scores"])


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def both(kind, data, other, tolerance):
    """The row of the table for one kind of model on one data set."""
    with tempfile.TemporaryDirectory() as name:
        here, there = Path(name) / "here", Path(name) / "there"
        for python, out in ((sys.executable, here), (other, there)):
            out.mkdir()
            print(f"{data.name} {kind}: {out.name}", file=sys.stderr)
            job = [python, Path(__file__).resolve(), "--train", kind, data.resolve(), out]
            subprocess.run(job, check=True, cwd=name)  # in a checkout, Python would take that one
        seconds = (json.loads((out / "seconds.json").read_text()) for out in (here, there))
        return *compare(here, there, tolerance), *seconds


def main():
    if sys.argv[1:2] == ["--train"]:
        kind, data, out = sys.argv[2:]
        return train(kind, Path(data), Path(out))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", metavar="OTHER_PYTHON")
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=EXACT, metavar="KIND")
    parser.add_argument("--sets", nargs="+", default=["eurlex57k"], metavar="NAME")
    parser.add_argument("--tolerance", type=float, default=0, help="of scores (0)")
    args = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |\n|---|---|" + "--:|" * (len(HEAD) - 2), flush=True)
    different = False
    for name in args.sets:
        for kind in args.only:
            n, arrays, scores, furthest, moved, *seconds = both(
                kind, args.data / name, args.other, args.tolerance
            )
            times = " | ".join(f"{s:.1f}" for s in seconds)
            cells = f"{n} | {arrays} | {scores} | {furthest:.1e} | {moved}"
            print(f"| {name} | {kind} | {cells} | {times} |", flush=True)
            different |= bool(arrays or scores or moved)
    return int(different)


if __name__ == "__main__":
    sys.exit(main())
