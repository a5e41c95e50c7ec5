"""Compile every kernel that training and prediction use, once per process; the disk cache makes this short."""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.sparse as sp

from .kernels.gather import transpose
from .matrix import as_label_rows, as_rows, frozen
from .params import LabelTreeParams
from .progress import Progress
from .train import grow_trees, search_of, train_member
from .walk import rank


@cache
def compile_kernels() -> None:
    """Train and ask both kinds of tree on eight rows, so that no later call stops to compile."""
    eye = sp.eye(8, format="csr", dtype=np.float32)
    X, Y = as_rows(eye, normalize=True), as_label_rows(eye)
    rows_of_label = tuple(map(frozen, transpose(*Y, 8)))
    members = []
    for shape in ("balanced", "shallow"):
        params = LabelTreeParams(tree=shape, arity=2, max_leaf_size=2, negatives="tfn+man", max_iter=1)
        with Progress(0) as silent:
            (tree,) = grow_trees(X, rows_of_label, params, 0, silent)
            members.append(train_member(X, Y, tree, params, (0,), silent, "")[0])
    for asked in (members, members[:1]):
        rank(X, tuple(asked), search_of(params), 1)
