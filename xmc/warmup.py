"""Compile the kernels of models before they are needed; the disk cache makes this short."""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.sparse as sp

from .arrays import frozen
from .inputs import as_rows, as_targets
from .kernels.gather import transpose
from .params import LabelTreeParams
from .progress import Progress
from .ranking.ranker import Ranker
from .ranking.search import rank, search_of
from .ranking.tail import Tail, tail_embeddings
from .training.grow import grow_trees
from .training.member import train_member


@cache
def compile_kernels(weights: str, costs: bool = False) -> None:
    """Train and ask both kinds of tree on eight rows, so that no later call stops to compile.

    weights: how they are stored; costs: whether some errors cost more than others.
    """
    eye = sp.eye(8, format="csr", dtype=np.float32)
    X, Y = as_rows(eye, normalize=True), as_targets(eye, eye.data if costs else None)
    rows_of_label = tuple(map(frozen, transpose(*Y[:2], 8)))
    members = []
    for shape, negatives in (("balanced", "tfn"), ("shallow", "tfn+man")):
        settings = {"tree": shape, "arity": 2, "max_leaf_size": 2, "negatives": negatives}
        params = LabelTreeParams(**settings, max_iter=1, weights=weights)
        with Progress(0) as silent:
            (tree,) = grow_trees(X, rows_of_label, params, 0, silent)
            members.append(train_member(X, Y, tree, params, (0,), silent, "")[0])
    rank(
        X,
        tuple(members),
        search_of(params)._replace(tail=Tail(tail_embeddings(X, rows_of_label, 1), 1.0, 0.5)),
        1,
    )
    Ranker("warmup", tuple(members[:1]), search_of(params), 8, 8, True, None)(eye[0], 1)
