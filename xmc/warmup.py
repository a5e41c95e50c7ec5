"""Compile the kernels before they are needed; the disk cache makes this short."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse as sp

from .io import Dataset, read, write
from .kernels.gather import transpose
from .matrix import as_label_rows, as_rows, frozen
from .metrics import report
from .params import LabelTreeParams
from .progress import Progress
from .topk import TopK
from .train import grow_trees, search_of, train_member
from .walk import rank


@cache
def compile_kernels(weights: str) -> None:
    """Train and ask both kinds of tree with such weights on eight rows, so that no later call stops to compile."""
    eye = sp.eye(8, format="csr", dtype=np.float32)
    X, Y = as_rows(eye, normalize=True), as_label_rows(eye)
    rows_of_label = tuple(map(frozen, transpose(*Y, 8)))
    members = []
    for shape, negatives in (("balanced", "tfn"), ("shallow", "tfn+man")):
        settings = {"tree": shape, "arity": 2, "max_leaf_size": 2, "negatives": negatives}
        params = LabelTreeParams(**settings, max_iter=1, weights=weights)
        with Progress(0) as silent:
            (tree,) = grow_trees(X, rows_of_label, params, 0, silent)
            members.append(train_member(X, Y, tree, params, (0,), silent, "")[0])
    for asked in (members, members[:1]):
        rank(X, tuple(asked), search_of(params), 1)


def compile_all() -> None:
    """Everything that is compiled: training, ranking with weights of any kind, metrics, text formats."""
    for weights in LabelTreeParams.__dataclass_fields__["weights"].metadata["among"]:
        compile_kernels(weights)
    eye = sp.eye(3, format="csr", dtype=np.float32)
    report(eye, TopK(np.zeros((3, 1), np.int32), np.ones((3, 1), np.float32)), (1,), np.ones(3))
    with TemporaryDirectory() as folder:
        for format in ("xmc", "svmlight"):
            write(Path(folder) / format, Dataset(X=eye, Y=eye), format=format)
            read(Path(folder) / format, format=format)
