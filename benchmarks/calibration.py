"""How far calibrated scores are from probabilities on real test rows, and how good their sets are.

    python benchmarks/calibration.py ../shared/data eurlex57k tibkat-gnd

For each data set, a model without a last stage is trained with calibration; each line shows the
metrics of the scores as they were, and as probabilities, of the same model. Sets: the F1 at the
threshold that held-out training rows chose, and at the best one for the test rows themselves.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier
from xmc.io import read
from xmc.io.label_ids import align_labels
from xmc.metrics import best_threshold, ece_at_k, f1_at_k, precision_at_k

KINDS = {"tree": LabelTreeClassifier, "one-vs-all": OneVsAllClassifier}
AVERAGES = "micro", "samples", "macro"


def rows_of(folder: Path) -> tuple[Any, Any, Any, Any, list[str] | None]:
    """Training rows and test rows: matrices, or texts, with their labels."""
    if (folder / "X.trn.npz").exists():
        return *(
            sp.load_npz(folder / f"{name}.{part}.npz") for part in ("trn", "tst") for name in "XY"
        ), None
    train, test = (read(folder / f"{part}.tsv.gz") for part in ("train", "test"))
    Y, _ = align_labels(test.Y, test.label_ids, train.label_ids)
    return train.texts, train.Y, test.texts, Y, train.label_ids


def measure(folder: Path, kind: str) -> dict[str, float]:
    X, Y, X_test, Y_test, ids = rows_of(folder)
    model: Any = KINDS[kind](calibration="isotonic", random_state=0, n_jobs=-1)
    start = time.perf_counter()
    if ids is None:
        model.fit(X, Y)
    else:
        model = TextClassifier(model, rerank=False).fit(X, Y, label_ids=ids)
        X_test = model.rows(X_test)
        model = model.classifier_
    found = {"seconds": time.perf_counter() - start}
    curve = model.model_.calibration
    tops = {"calibrated": model.predict_topk(X_test, 100)}
    model.model_ = model.model_._replace(calibration=None)
    tops["raw"] = model.predict_topk(X_test, 100)
    for name, top in tops.items():
        found |= {f"{name} ECE@{k}": ece_at_k(Y_test, top, k) for k in (1, 3, 5)}
        found |= {f"{name} P@{k}": 100 * precision_at_k(Y_test, top, k) for k in (1, 3, 5)}
    for average in AVERAGES:
        best = best_threshold(Y_test, tops["calibrated"], average)
        found[f"{average}-F1 at best for test"] = set_f1(Y_test, tops["calibrated"], best, average)
    threshold = model.model_.threshold
    found["micro-F1"] = set_f1(Y_test, tops["calibrated"], threshold, "micro")
    return found | {"points": len(curve.score), "threshold": threshold}


def set_f1(Y: Any, top: Any, threshold: float, average: str) -> float:
    """The F1 of the labels that reach the threshold, in percent."""
    kept = top.to_csr(Y.shape[1])
    kept.data[kept.data < threshold] = 0
    kept.eliminate_zeros()
    k = max(1, int(kept.getnnz(axis=1).max()))
    return 100 * f1_at_k(Y, kept, k, average=average)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure calibrated scores on real test rows.")
    parser.add_argument("data", type=Path, help="a folder per data set")
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    wanted = parser.parse_args()
    for name in wanted.sets:
        if not (wanted.data / name).is_dir():
            sys.exit(f"{wanted.data / name}: expected a folder with the data set, found none")
        for kind in wanted.kinds:
            for what, value in measure(wanted.data / name, kind).items():
                print(f"{name}  {kind}  {what:28} {value:.4f}", flush=True)


if __name__ == "__main__":
    main()
