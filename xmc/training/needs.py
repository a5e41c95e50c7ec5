"""The memory that parts of a training need, and how they keep to a budget."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..arrays import Lists, Rows
from ..embedding import PART, label_embeddings
from ..errors import ParameterError
from ..kernels.lanes import N_LANES
from ..memory import held_bytes
from ..params import LabelTreeParams
from ..spill import IN_MEMORY, Spill, SpillFiles, free_bytes
from .grow import BALANCED_ARITY, EMBEDDING_FEATURES, shallow_arity, shape_of, with_rows

SAMPLED = 1024  # labels that are embedded to see how large embeddings are
ENTRY = 8  # bytes of a feature and its value
POINT = 32  # bytes of a label while 2-means sorts


class Needs(NamedTuple):
    """The memory of a part of a training.

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

    def within(self, memory: int, wanted: int) -> tuple[int, Spill]:
        """How many of the wanted threads a budget allows, and where it lets large arrays be: in
        files sooner than fewer threads, which takes longer.

        Raises ParameterError if it doesn't allow one thread, or if the files have no room.
        """
        if self.memory(wanted) <= memory:
            return wanted, IN_MEMORY
        least = self.memory(1, spilled=True)
        if memory < least:
            raise ParameterError(f"memory: training needs about {size(least)}, got {size(memory)}")
        threads = min(wanted, (memory - self.held_bytes) // max(1, self.thread_bytes))
        if not self.large_bytes:
            return threads, IN_MEMORY
        spill = SpillFiles()
        if self.large_bytes > free_bytes():
            raise ParameterError(
                f"memory: training needs {size(self.large_bytes)} of files in {spill.folder}, "
                f"which has {size(free_bytes())}: set TMPDIR to a folder with more room"
            )
        return threads, spill

    def with_more(self, n_bytes: int) -> Needs:
        """The same where so many bytes more are held."""
        return self._replace(held_bytes=self.held_bytes + n_bytes)


NOTHING = Needs(0, 0, 0)


def growing_needs(X: Rows, rows_of_label: Lists, params: LabelTreeParams) -> Needs:
    """What growing label trees takes: some labels are embedded to see how large embeddings are."""
    labels = with_rows(rows_of_label)
    shape = shape_of(params.tree, len(labels))
    sample = labels[:: math.ceil(len(labels) / SAMPLED)]
    found = label_embeddings(X, rows_of_label, sample, EMBEDDING_FEATURES[shape], 1)
    label_bytes = ENTRY * len(found.indices) / len(sample)
    embedding_bytes = int(label_bytes * len(labels))
    held = held_bytes() + POINT * len(labels)
    thread = int(2 * label_bytes * min(PART, len(labels)))  # a part of the embeddings, and a copy
    if shape == "balanced":  # each thread copies the labels of a node below the root
        arity = params.arity or BALANCED_ARITY
        return Needs(held, embedding_bytes, max(thread, embedding_bytes // arity))
    groups = math.ceil((params.arity or shallow_arity(len(labels))) / N_LANES)
    centroid_bytes = 4 * N_LANES * groups * X.n_features
    return Needs(held + embedding_bytes + centroid_bytes, embedding_bytes, thread)


def size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
