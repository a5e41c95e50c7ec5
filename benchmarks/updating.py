"""What it costs to learn labels later, and what it gives, beside learning all of them at once.

    python benchmarks/updating.py ../shared/data/eurlex57k

A share of the labels, chosen by seed, is taken away from all training rows; a model learns the
rest, is saved and loaded, and then is given the rows that have these labels, with all their labels.
Both models answer the test rows. Columns: labels added, P@k of the model that learned all at once
and of the one that learned later, seconds of both trainings and of the update, and whether all
other columns kept their bytes. `--texts` measures the default model of train.tsv.gz, last stage and
all; else it is one label tree and one-vs-all on the matrices.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc import (
    LabelTreeClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
    load,
)
from xmc.io import read
from xmc.io.label_ids import align_labels
from xmc.layer import weights_of
from xmc.metrics import precision_at_k

SHARES = 0.1, 0.01


def timed(function: Callable[..., Any], *args: Any, **named: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    found = function(*args, **named)
    return time.perf_counter() - start, found


def precision(model: Any, X: Any, Y: Any) -> list[float]:
    top = model.predict_topk(X, 5)
    return [100 * precision_at_k(Y, top, k) for k in (1, 3, 5)]


def same_columns(before: Any, after: Any, labels: np.ndarray) -> bool:
    """Whether the scorers of these labels have the same weights in both models, bit by bit."""
    n_features = before.model_.n_kept_features
    for old, new in zip(members_of(before), members_of(after), strict=True):
        for label in labels.tolist():
            leaves = [np.flatnonzero(member.tree.labels == label) for member in (old, new)]
            if not len(leaves[0]):
                continue
            own, other = (
                weights_of(member.layers[-1], int(leaf[0]), n_features)
                for member, leaf in zip((old, new), leaves, strict=True)
            )
            if any(a.tobytes() != b.tobytes() for a, b in zip(own, other, strict=True)):
                return False
    return True


def members_of(model: Any) -> tuple[Any, ...]:
    predictor = model.model_.predictor
    bases = getattr(predictor, "bases", None)
    return predictor.members if bases is None else sum((b.predictor.members for b in bases), ())


def measure(new: Callable[[], Any], rows: Any, share: float, repeat: int) -> dict[str, Any]:
    """One line of the table; rows: training X and Y, test X and Y, ids of labels or None."""
    X, Y, X_test, Y_test, ids = rows
    trained = np.flatnonzero(Y.getnnz(axis=0))
    held = np.random.default_rng(0).choice(trained, round(share * len(trained)), replace=False)
    order = np.concatenate([np.setdiff1d(np.arange(Y.shape[1]), held), np.sort(held)])
    Y, Y_test, n_old = Y[:, order].tocsr(), Y_test[:, order].tocsr(), len(order) - len(held)
    names: dict[str, Any] = {} if ids is None else {"label_ids": [ids[n] for n in order]}
    few = {name: own[:n_old] for name, own in names.items()}
    chosen = np.flatnonzero(Y[:, n_old:].getnnz(axis=1))
    news = ([X[n] for n in chosen] if ids else X[chosen]), Y[chosen]
    seconds: dict[str, list[float]] = {"full": [], "update": []}
    for _ in range(repeat):
        took, full = timed(new().fit, X, Y, **names)
        seconds["full"].append(took)
    before = new().fit(X, Y[:, :n_old], **few)
    with tempfile.TemporaryDirectory() as folder:
        before.save(f"{folder}/model")
        for _ in range(repeat):
            later = load(f"{folder}/model")
            getattr(later, "classifier_", later).set_params(n_jobs=-1)
            took, _ = timed(later.add, *news, **names)
            seconds["update"].append(took)
        same = before.label_counts_ == later.label_counts_[:n_old]  # equal rows may gain others
        untouched = np.flatnonzero(same)
        return {
            "labels": len(held),
            "full": precision(full, X_test, Y_test),
            "later": precision(later, X_test, Y_test),
            "untouched": same_columns(before, later, untouched),
            **{f"{name}_seconds": statistics.median(own) for name, own in seconds.items()},
        }


def print_line(name: str, found: dict[str, Any]) -> None:
    figures = ["/".join(f"{value:.2f}" for value in found[which]) for which in ("full", "later")]
    cost = f"{found['full_seconds']:.1f} s | {found['update_seconds']:.1f} s"
    ratio = f"{100 * found['update_seconds'] / found['full_seconds']:.1f}%"
    kept = "yes" if found["untouched"] else "NO"
    print(f"| {name} | {found['labels']:,} | {' | '.join(figures)} | {cost} | {ratio} | {kept} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--share", type=float, action="append")
    args = parser.parse_args()
    kinds: dict[str, Callable[[], Any]]
    if args.texts:
        train, test = (read(args.folder / f"{part}.tsv.gz") for part in ("train", "test"))
        assert train.label_ids is not None and test.label_ids is not None
        Y_test, _ = align_labels(test.Y, test.label_ids, train.label_ids)
        Y_test = Y_test[:, : train.Y.shape[1]]
        rows = train.texts, train.Y, test.texts, Y_test, train.label_ids
        kinds = {"texts": lambda: TextClassifier(RerankedClassifier(n_jobs=-1))}
    else:
        files = [f"{name}.{part}.npz" for part in ("trn", "tst") for name in "XY"]
        rows = *(sp.load_npz(args.folder / file) for file in files), None
        settings: dict[str, Any] = {"keep_rows": True, "random_state": 0, "n_jobs": -1}
        kinds = {
            "tree": lambda: LabelTreeClassifier(**settings),
            "one-vs-all": lambda: OneVsAllClassifier(**settings),
        }
    print("| model | labels added | P@1/3/5 at once | later | training | update | share | kept |")
    print("|---|--:|--:|--:|--:|--:|--:|---|")
    for name, new in kinds.items():
        for share in args.share or SHARES:
            print_line(name, measure(new, rows, share, args.repeat))


if __name__ == "__main__":
    main()
