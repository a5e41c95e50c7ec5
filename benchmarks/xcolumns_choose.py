"""What xcolumns chooses from probabilities, run by the Python of its own environment.

xcolumns_choose.py FOLDER K TARGET SHARE    # FOLDER as benchmarks/macro.py fills it

Reads P.npz (rows by labels) and Y.npz, and ours.npz, what we chose. Writes theirs.npz, and in
theirs.json the seconds and the macro-F1 at k of both, as xcolumns defines it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from xcolumns import block_coordinate as bc
from xcolumns.metrics import macro_f1_score

KNOWN = "macro_f1", "macro_recall", "coverage"
MIXED = {
    "macro_f1": bc.predict_optimizing_mixed_instance_precision_and_macro_fmeasure_using_bc,
    "macro_recall": bc.predict_optimizing_mixed_instance_precision_and_macro_recall_using_bc,
}


def choose(P, k, target, share, seed=0):
    """xcolumns' labels; it knows a seed only for targets that aren't mixed."""
    if target == "coverage":
        return bc.predict_optimizing_coverage_using_bc(P, k=k, alpha=share, seed=seed)
    if share < 1:
        return MIXED[target](P, k=k, alpha=share)
    if target == "macro_recall":
        return bc.predict_optimizing_macro_recall_using_bc(P, k=k, seed=seed)
    return bc.predict_optimizing_macro_f1_score_using_bc(P, k=k, seed=seed)


def read(path):
    """A matrix in float64, as xcolumns takes it."""
    M = sp.csr_matrix(sp.load_npz(path), dtype=np.float64)
    M.sort_indices()
    return M


def main():
    folder, k, target, share = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    P, Y, ours = (read(folder / f"{name}.npz") for name in ("P", "Y", "ours"))
    found = {"ours": 100 * float(macro_f1_score(Y, ours))}
    if target in KNOWN:
        choose(P[:50], k, target, share)  # compiles
        started = time.perf_counter()
        theirs = sp.csr_matrix(choose(P, k, target, share), dtype=np.float64)
        found["seconds"] = time.perf_counter() - started
        found["theirs"] = 100 * float(macro_f1_score(Y, theirs))
        sp.save_npz(folder / "theirs.npz", theirs)
    (folder / "theirs.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
