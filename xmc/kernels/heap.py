"""The best k of what is offered to each row: a heap, the worst on top, until it is put in order."""

import numpy as np

from . import kernel
from .score import before


@kernel
def best(indptr, candidate_ids, candidate_score, candidate_margin, size, ids, score, margin):
    """Write each row's best k candidates, best first, into (rows, k), and how many there are into
    `size`.
    """
    size[:] = 0
    for i in range(ids.shape[0]):
        for c in range(indptr[i], indptr[i + 1]):
            offer(
                candidate_score[c],
                candidate_margin[c],
                candidate_ids[c],
                size,
                ids,
                score,
                margin,
                i,
            )
        finish(size[i], ids, score, margin, i)


@kernel
def offer(new_score, new_margin, new_id, size, ids, score, margin, i):
    """Add a candidate to row i, a heap with the worst on top, or put it in the worst's place if it
    is better.
    """
    at = size[i]
    if at == ids.shape[1]:
        if new_score < score[i, 0] or not before(
            new_score, new_margin, new_id, score[i, 0], margin[i, 0], ids[i, 0]
        ):
            return
        _sink(new_score, new_margin, new_id, at, ids, score, margin, i)
        return
    size[i] += 1
    while at > 0:  # rise above all that are better
        above = (at - 1) // 2
        if not before(
            score[i, above], margin[i, above], ids[i, above], new_score, new_margin, new_id
        ):
            break
        score[i, at], margin[i, at], ids[i, at] = score[i, above], margin[i, above], ids[i, above]
        at = above
    score[i, at], margin[i, at], ids[i, at] = new_score, new_margin, new_id


@kernel
def _sink(new_score, new_margin, new_id, size, ids, score, margin, i):
    """Replace the top of row i's heap."""
    at = 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and before(
            score[i, below], margin[i, below], ids[i, below],
            score[i, below + 1], margin[i, below + 1], ids[i, below + 1],
        ):  # fmt: skip
            below += 1
        if not before(
            new_score, new_margin, new_id, score[i, below], margin[i, below], ids[i, below]
        ):
            break
        score[i, at], margin[i, at], ids[i, at] = score[i, below], margin[i, below], ids[i, below]
        at = below
    score[i, at], margin[i, at], ids[i, at] = new_score, new_margin, new_id


@kernel
def finish(size, ids, score, margin, i):
    """Put row i's heap in order, best first, and mark the places after it as empty."""
    ids[i, size:] = -1
    score[i, size:] = -np.inf
    for last in range(size - 1, 0, -1):
        last_score, last_margin, last_id = score[i, last], margin[i, last], ids[i, last]
        score[i, last], margin[i, last], ids[i, last] = score[i, 0], margin[i, 0], ids[i, 0]
        _sink(last_score, last_margin, last_id, last, ids, score, margin, i)
