"""Labels that are chosen for all test rows together, beside what xcolumns chooses from the same
probabilities.

    python benchmarks/install.py .venv/peers xcolumns
    python benchmarks/macro.py ../shared/data eurlex57k tibkat-gnd --xcolumns .venv/peers/xcolumns

A model is trained with calibration and kept in --work. Each line is a way to choose k labels of
each row: P@k, macro-F1@k, macro-recall@k and coverage@k in percent; macro-F1@k over all columns, as
xcolumns counts it; and the seconds that choosing took. With --valid a tenth of the training rows
stands for the test rows, on which candidates and passes can be tried.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from calibration import rows_of

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier, TopK, load
from xmc.metrics import coverage_at_k, f1_at_k, precision_at_k, recall_at_k
from xmc.params import TARGETS
from xmc.ranking import together

KINDS = {"tree": LabelTreeClassifier, "one-vs-all": OneVsAllClassifier}
WAYS = [("p", 1.0), *((target, 1.0) for target in TARGETS), ("macro_f1", 0.5), ("coverage", 0.5)]


class Asked(NamedTuple):
    """Candidates of the rows with their probabilities, and the true labels."""

    found: TopK
    Y: sp.csr_matrix


def asked_of(folder: Path, kind: str, valid: bool, work: Path, n_candidates: int) -> Asked:
    """What a model, trained unless it is kept, says of the test rows."""
    X, Y, X_test, Y_test, ids = rows_of(folder)
    if valid:
        held = np.random.default_rng(1).permutation(Y.shape[0])[: Y.shape[0] // 10]
        kept = np.setdiff1d(np.arange(Y.shape[0]), held)
        X_test, X = (
            [X[i] for i in rows] if isinstance(X, list) else X[rows] for rows in (held, kept)
        )
        Y_test, Y = Y[held], Y[kept]
    path = work / "-".join([folder.name, kind, "valid" if valid else "test"])
    if not path.exists():
        model: Any = KINDS[kind](calibration="isotonic", random_state=0, n_jobs=-1)
        if ids is None:
            model.fit(X, Y)
        else:
            model = TextClassifier(model, rerank=False).fit(X, Y, label_ids=ids)
        model.save(path)
    return Asked(load(path).predict_topk(X_test, n_candidates), sp.csr_matrix(Y_test != 0))


def chosen(asked: Asked, k: int, optimize: str, share: float) -> tuple[TopK, float]:
    """Our labels, and the seconds that they took."""
    if optimize == "p":
        return TopK(asked.found.labels[:, :k], asked.found.scores[:, :k]), 0.0
    target = together.Target(together.KINDS[optimize], share)
    together.best_together(TopK(*(column[:8] for column in asked.found)), k, target)  # compiles
    started = time.perf_counter()
    top = together.best_together(asked.found, k, target)
    return top, time.perf_counter() - started


def figures(Y: Any, top: Any, k: int) -> dict[str, float]:
    """The metrics at k, in percent."""
    found = {
        "P": precision_at_k(Y, top, k),
        "macro-F1": f1_at_k(Y, top, k),
        "macro-R": recall_at_k(Y, top, k, average="macro"),
        "coverage": coverage_at_k(Y, top, k),
    }
    return {f"{name}@{k}": 100 * value for name, value in found.items()}


def as_ones(top: TopK, n_labels: int) -> sp.csr_matrix:
    """The labels as 0/1, sorted."""
    M = top.to_csr(n_labels)
    M.data[:] = 1
    M.sort_indices()
    return M


def beside(
    python: Path, work: Path, asked: Asked, ours: TopK, k: int, optimize: str, share: float
) -> tuple[Any, dict[str, float]]:
    """What xcolumns chooses, its seconds, and its own macro-F1 of both; only that of ours where it
    has no such target.
    """
    n_labels = asked.Y.shape[1]
    P = asked.found.to_csr(n_labels)
    P.sort_indices()
    for name, M in (("P", P), ("Y", asked.Y.astype(float)), ("ours", as_ones(ours, n_labels))):
        sp.save_npz(work / f"{name}.npz", M)
    script = Path(__file__).parent / "xcolumns_choose.py"
    command = [python / "bin" / "python", script, work, str(k), optimize, str(share)]
    subprocess.run(list(map(str, command)), check=True)
    told = json.loads((work / "theirs.json").read_text())
    return sp.load_npz(work / "theirs.npz") if "theirs" in told else None, told


def lines(asked: Asked, k: int, xcolumns: Path | None, work: Path) -> Iterator[list[str]]:
    for optimize, share in WAYS:
        top, seconds = chosen(asked, k, optimize, share)
        name = optimize if share == 1 else f"{optimize}, share {share:g}"
        own, theirs = "", None
        if xcolumns is not None:
            theirs, told = beside(xcolumns, work, asked, top, k, optimize, share)
            own = f"{told['ours']:.2f}"
        yield line(name, figures(asked.Y, top, k), own, seconds)
        if theirs is not None:
            found = figures(asked.Y, theirs, k)
            yield line("xcolumns", found, f"{told['theirs']:.2f}", told["seconds"])


def line(name: str, found: dict[str, float], own: str, seconds: float) -> list[str]:
    return [name, *(f"{value:.2f}" for value in found.values()), own, f"{seconds:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder per data set")
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--kind", default="tree", choices=list(KINDS))
    parser.add_argument("-k", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--valid", action="store_true", help="a tenth of the training rows")
    parser.add_argument("--candidates", type=int, default=together.FEWEST)
    parser.add_argument("--xcolumns", type=Path, help="the environment that has it")
    parser.add_argument("--work", type=Path, default=Path(".run/macro"))
    wanted = parser.parse_args()
    wanted.work.mkdir(parents=True, exist_ok=True)
    for name in wanted.sets:
        if not (wanted.data / name).is_dir():
            sys.exit(f"{wanted.data / name}: expected a folder with the data set, found none")
        how = wanted.kind, wanted.valid, wanted.work, wanted.candidates
        asked = asked_of(wanted.data / name, *how)
        print(f"\n{name}, {wanted.kind}, {len(asked.found.labels):,} rows")
        for k in wanted.k:
            heads = [f"@{k}", "P", "macro-F1", "macro-R", "coverage", "xcolumns' F1", "s"]
            print(f"\n| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 1)}")
            for cells in lines(asked, k, wanted.xcolumns, wanted.work):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
