"""How long models of low rank take and how good they are, beside one tree and as evidence.

    python benchmarks/low_rank.py ../shared/data/eurlex57k tree closed-100 closed-500 als-100
    python benchmarks/low_rank.py ../shared/data/eurlex57k stage stage-closed-100
    python benchmarks/low_rank.py ../shared/data/eurlex57k closed-100 --valid --set ridge=1

Each run is a line: seconds of training and of ranking all rows, size of the model, and metrics in
percent, on the test rows. A number behind a name is the rank. A stage weighs a tree, what it knows
itself, and the model behind its name. --valid: train without a tenth of the training rows and
measure on it; settings are chosen so, and given by --set NAME=VALUE.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from ast import literal_eval
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc import LabelTreeClassifier, LowRankClassifier, RerankedClassifier
from xmc.metrics import precision_at_k, propensities, psp_at_k
from xmc.params import names

RUN = {"random_state": 0, "n_jobs": 2}


def model_named(name: str, settings: dict[str, Any]) -> Any:
    """The estimator that a run is named after."""
    if name.startswith("stage"):
        below = name.partition("-")[2]
        bases = [model_named("tree", {}), *([model_named(below, settings)] if below else [])]
        return RerankedClassifier(tuple(bases), **RUN)
    if name == "tree":
        return LabelTreeClassifier(tree="shallow", **RUN)
    how, _, rank = name.partition("-")
    return LowRankClassifier(rank=int(rank), factorization=how, **settings, **RUN)


def rows_of(folder: Path, valid: bool) -> list[sp.csr_matrix]:
    """X and Y of the rows to train on and of those to measure on."""
    X, Y, *test = (sp.load_npz(folder / f"{n}.{part}.npz") for part in ("trn", "tst") for n in "XY")
    if not valid:
        return [X, Y, *test]
    held = np.random.default_rng(0).permutation(X.shape[0])[: X.shape[0] // 10]
    is_held = np.isin(np.arange(X.shape[0]), held)
    return [X[~is_held], Y[~is_held], X[is_held], Y[is_held]]


def measure(model: Any, rows: list[sp.csr_matrix]) -> dict[str, float]:
    X, Y, X_test, Y_test = rows
    start = time.perf_counter()
    model.fit(X, Y)
    trained = time.perf_counter()
    top = model.predict_topk(X_test, 5)
    found = {"train s": trained - start, "rank s": time.perf_counter() - trained}
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model")
        files = Path(folder, "model").iterdir()
        found["model MB"] = sum(file.stat().st_size for file in files) / 1e6
    p = propensities(Y)
    found |= {f"P@{k}": 100 * precision_at_k(Y_test, top, k) for k in (1, 3, 5)}
    return found | {f"PSP@{k}": 100 * psp_at_k(Y_test, top, k, propensity=p) for k in (1, 5)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure models of low rank.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--valid", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    wanted = parser.parse_args()
    settings = {name: literal_eval(value) for name, value in (s.split("=") for s in wanted.set)}
    if unknown := settings.keys() - set(names(LowRankClassifier)):
        parser.error(f"no parameter of LowRankClassifier: {', '.join(unknown)}")
    rows = rows_of(wanted.folder, wanted.valid)
    for kind in (LowRankClassifier, RerankedClassifier):  # what is compiled isn't measured
        kind().fit(rows[0][:500], rows[1][:500]).predict_topk(rows[2][:5], 5)
    for name in wanted.runs:
        found = measure(model_named(name, settings), rows)
        told = "  ".join(f"{key} {value:.2f}" for key, value in found.items())
        print(f"{name}  {told}", flush=True)


if __name__ == "__main__":
    main()
