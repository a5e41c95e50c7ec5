"""Compile the kernels of models before they are needed; the disk cache makes this short."""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.sparse as sp

from .inputs import as_rows, as_targets
from .params import LabelTreeParams
from .progress import Progress
from .ranking.ranker import Ranker
from .ranking.search import probability_at_0, search_of
from .ranking.tail import Tail, tail_embeddings
from .ranking.trees import Trees
from .training.grow import grow_trees
from .training.member import train_member
from .training.problem import MemberProblem, transposed


@cache
def compile_kernels(weights: str, costs: bool = False) -> None:
    """Train and ask both kinds of tree on eight rows, so that no later call stops to compile.

    weights: how they are stored; costs: whether some errors cost more than others.
    """
    eye = sp.eye(8, format="csr", dtype=np.float32)
    X, Y = as_rows(eye, normalize=True), as_targets(eye, eye.data if costs else None)
    rows_of_label = transposed(Y, 8)
    members = []
    for shape, negatives in (("balanced", "tfn"), ("shallow", "tfn+man")):
        params = LabelTreeParams(
            tree=shape, arity=2, max_leaf_size=2, negatives=negatives, max_iter=1, weights=weights
        )
        with Progress(0) as silent:
            (tree,) = grow_trees(X, rows_of_label, params, 0, silent)
            members.append(train_member(MemberProblem(X, Y, tree, (0,)), params, silent, "")[0])
    search = search_of(params)
    tail = Tail(tail_embeddings(X, rows_of_label, 1), 1.0, 0.5)
    for how in (search, search._replace(tail=tail)):
        Trees(tuple(members)).rank(X, how, 1)
    probability_at_0(search.transform)
    Ranker("warmup", Trees(tuple(members[:1])), search, 8, 8, True)(eye[0], 1)
