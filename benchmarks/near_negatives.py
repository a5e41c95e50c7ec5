"""What Slice's negatives bring: rows near a label's centroid train its siblings, too.

    python benchmarks/near_negatives.py ../shared/data/eurlex57k
    python benchmarks/near_negatives.py ../shared/data/eurlex57k --tree balanced --near 10 30

Each row has its nearest labels by the cosine with their centroids, found exactly, and trains the
chunks of these beside its own (Jain et al., "Slice: Scalable Linear Extreme Classifiers trained on
100 Million Labels", WSDM 2019). A line each: metrics in percent on training rows that were held
out, how many chunks a row has more, seconds of training.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from low_rank import rows_of

from xmc import LabelTreeClassifier
from xmc.embedding import label_embeddings
from xmc.evidence.nearest import inverted, nearest
from xmc.inputs import as_rows, as_targets
from xmc.metrics import precision_at_k, propensities, psp_at_k
from xmc.training.problem import transposed

RUN = {"random_state": 0, "n_jobs": 2}


def nearest_labels(X: sp.csr_matrix, Y: sp.csr_matrix, n: int) -> np.ndarray:
    """int32, (rows, n): the columns of the labels nearest to each row, -1 where there are fewer."""
    rows, of_label = as_rows(X, normalize=True), transposed(as_targets(Y), Y.shape[1])
    labels = np.flatnonzero(np.diff(of_label.indptr)).astype(np.int32)
    Z = label_embeddings(rows, of_label, labels, 1024, RUN["n_jobs"])
    found = nearest(inverted(Z), rows, n, 0.0)[0]
    return np.where(found >= 0, labels[found], -1)


def chunks_near(tree: Any, near: np.ndarray, n_labels: int) -> sp.csr_matrix:
    """The nodes above the leaves of each row's nearest labels, a 1 for each."""
    leaf_of = np.empty(n_labels, np.int64)
    leaf_of[tree.labels] = np.arange(len(tree.labels))
    row, place = np.nonzero(near >= 0)
    chunk = tree.parents(tree.depth - 1)[leaf_of[near[row, place]]]
    shape = len(near), len(tree.chunks[-1]) - 1
    found = sp.csr_matrix((np.ones(len(row), np.float32), (row, chunk)), shape)
    found.data[:] = 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure negatives near the centroids of labels.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tree", choices=("shallow", "balanced"), default="shallow")
    parser.add_argument("--near", type=int, nargs="+", default=[10, 30, 100], metavar="LABELS")
    wanted = parser.parse_args()
    X, Y, X_held, Y_held = rows_of(wanted.folder, valid=True)
    p = propensities(Y)

    def show(name: str, tree: Any, negatives: str, chunks: sp.csr_matrix | None = None) -> Any:
        start = time.perf_counter()
        model = LabelTreeClassifier(tree=tree, negatives=negatives, **RUN)
        of_user = None if chunks is None else [*[None] * (tree.depth - 1), chunks]
        model.fit(X, Y, user_negatives=of_user)
        seconds, top = time.perf_counter() - start, model.predict_topk(X_held, 5)
        told = [f"P@{k} {100 * precision_at_k(Y_held, top, k):.2f}" for k in (1, 3, 5)]
        told += [f"PSP@{k} {100 * psp_at_k(Y_held, top, k, propensity=p):.2f}" for k in (1, 5)]
        more = "" if chunks is None else f", {chunks.nnz / len(Y.indptr):.1f} chunks more"
        print(f"{name:12}", *told, f"{seconds:.1f} s{more}", flush=True)
        return model.members_[0].tree

    tree = show("tfn", wanted.tree, "tfn")
    show("tfn+man", tree, "tfn+man")
    start = time.perf_counter()
    near = nearest_labels(X, Y, max(wanted.near))
    print(
        f"{near.shape[1]} nearest labels of {len(near):,} rows: {time.perf_counter() - start:.1f} s"
    )
    for n in wanted.near:
        show(f"tfn+near {n}", tree, "tfn", chunks_near(tree, near[:, :n], Y.shape[1]))


if __name__ == "__main__":
    main()
