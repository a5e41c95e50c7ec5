"""The memory that parts of a training need, and how they keep to a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Lists, Rows, Targets
from ..embedding import PART, label_embeddings
from ..errors import ParameterError
from ..kernels.gather import entries_of
from ..kernels.lanes import N_LANES
from ..memory import held_bytes
from ..params import LabelTreeParams
from .grow import (
    BALANCED_ARITY,
    COPIED,
    EMBEDDING_FEATURES,
    balanced_shape,
    shallow_arity,
    shape_of,
    with_rows,
)
from .problem import NARROW, LevelProblem

SAMPLED = 1024  # labels that are embedded to see how large embeddings are
ENTRY = 8  # bytes of a feature and its value
POINT = 32  # bytes of a label while 2-means sorts


class Needs(NamedTuple):
    """The memory of a part of a training; the whole needs as much as its largest part.

    held_bytes: of the process, whatever happens, but for what each thread works on.
    large_bytes: of arrays that may lie in files.
    thread_bytes: what each thread works on.
    """

    held_bytes: int
    large_bytes: int
    thread_bytes: int

    def memory(self, threads: int, spilled: bool = False) -> int:
        """Bytes with that many threads, and with large arrays in files or not."""
        shared = self.held_bytes + (0 if spilled else self.large_bytes)
        return shared + threads * self.thread_bytes

    def with_more(self, n_bytes: int) -> Needs:
        """The same where so many bytes more are held."""
        return self._replace(held_bytes=self.held_bytes + n_bytes)


def most_memory(parts: Sequence[Needs], threads: int, spilled: bool = False) -> int:
    """What the largest part needs."""
    return max(part.memory(threads, spilled) for part in parts)


def within(parts: Sequence[Needs], memory: int, wanted: int) -> tuple[int, bool]:
    """How many of the wanted threads a budget allows, and whether large arrays must lie in files
    for that: fewer threads would take longer.

    Raises ParameterError if it doesn't allow one thread.
    """
    if most_memory(parts, wanted) <= memory:
        return wanted, False
    least = most_memory(parts, 1, spilled=True)
    if memory < least:
        raise ParameterError(f"memory: training needs about {_size(least)}, got {_size(memory)}")
    allowed = [(memory - part.held_bytes) // max(1, part.thread_bytes) for part in parts]
    return min(wanted, *allowed), any(part.large_bytes for part in parts)


def growing_needs(X: Rows, rows_of_label: Lists, params: LabelTreeParams) -> Needs:
    """What growing label trees needs: some labels are embedded to see how large embeddings are."""
    labels = with_rows(rows_of_label)
    shape = shape_of(params.tree, len(labels))
    sample = labels[:: math.ceil(len(labels) / SAMPLED)]
    found = label_embeddings(X, rows_of_label, sample, EMBEDDING_FEATURES[shape], 1)
    label_bytes = ENTRY * len(found.indices) / len(sample)
    embedding_bytes = int(label_bytes * len(labels))
    held = held_bytes() + POINT * len(labels)
    thread = int(2 * label_bytes * min(PART, len(labels)))  # a part of the embeddings, and a copy
    if shape == "balanced":
        if embedding_bytes <= ENTRY * COPIED:  # the root copies them all
            return Needs(held + embedding_bytes, embedding_bytes, thread)
        copied = min(ENTRY * COPIED, embedding_bytes // _below_root(len(labels), params))
        return Needs(held, embedding_bytes, max(thread, copied))
    groups = math.ceil((params.arity or shallow_arity(len(labels))) / N_LANES)
    centroid_bytes = 4 * N_LANES * groups * X.n_features
    return Needs(held + embedding_bytes + centroid_bytes, embedding_bytes, thread)


def _below_root(n_labels: int, params: LabelTreeParams) -> int:
    """Nodes below the root of a balanced tree."""
    arity = params.arity or BALANCED_ARITY
    n_leaves, n_inner = balanced_shape(n_labels, arity, params.max_leaf_size, params.max_depth)
    return math.ceil(n_leaves / arity ** max(0, n_inner - 1))


def target_bytes(Y: Targets, beam_size: int) -> int:
    """What is held to know which rows train which nodes: the nodes of each row on two levels, the
    rows of each, and a level that is in the making.

    beam_size: nodes that matchers bring to each row, which are united with its own; 0 for none.
    """
    per_label = 32 if len(Y.costs) else 16
    brought = beam_size * (len(Y.indptr) - 1)
    united = 12 * (len(Y.ids) + brought) if beam_size else 0
    return per_label * len(Y.ids) + 5 * Y.indptr.nbytes + united


def chunk_bytes(problem: LevelProblem) -> tuple[np.ndarray, np.ndarray]:
    """What is held while each chunk is trained: its rows; dual variables and weights of a group."""
    n_features, n_rows = problem.X.n_features, np.diff(problem.chunk_rows.indptr)
    entries = entries_of(*problem.chunk_rows, problem.X.indptr)
    features = np.minimum(entries, n_features)
    weighted = len(problem.nodes.costs) or len(problem.row_weights)
    per_row = 4 * N_LANES * (2 if weighted else 1) + 40
    copied = (n_rows < problem.X.n_rows) | (np.diff(problem.chunk_ptr) > NARROW)
    rows = 8 * entries * copied + 8 * features + 4 * n_features
    return rows, per_row * n_rows + 4 * N_LANES * features


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
