"""The best k candidates of each row: a heap with the worst on top while candidates come, then in
order.

Arrays of Best, one slot per candidate kept; the slots of a row from `size` on are empty:
    size       int64, (rows,)       candidates that a row has so far
    ids        int32, (rows, k)     -1 in empty slots once the row is in order
    score      float32, (rows, k)   -inf there
    margin     float32, (rows, k)   anything there
"""

from typing import NamedTuple

import numpy as np

from . import inner, kernel
from .score import before


class Best(NamedTuple):
    """The best candidates of all rows."""

    size: np.ndarray
    ids: np.ndarray
    score: np.ndarray
    margin: np.ndarray


@kernel
def best(indptr, candidate_ids, candidate_score, candidate_margin, size, ids, score, margin):
    """Write each row's best k candidates, best first.

    indptr: int64, (rows + 1,), where each row's candidates start; they stand in any order.
    size, ids, score, margin: the result, see Best.
    """
    kept = Best(size, ids, score, margin)
    size[:] = 0
    for i in range(ids.shape[0]):
        for c in range(indptr[i], indptr[i + 1]):
            offer(candidate_score[c], candidate_margin[c], candidate_ids[c], kept, i)
        put_in_order(kept, i)


@inner
def offer(new_score, new_margin, new_id, kept, i):
    """Whether row i keeps a candidate: it has room, or the worst that it has gives way."""
    ids, score, margin = kept.ids[i], kept.score[i], kept.margin[i]
    slot = kept.size[i]
    if slot == ids.shape[0]:
        if new_score < score[0] or not before(
            new_score, new_margin, new_id, score[0], margin[0], ids[0]
        ):
            return False
        _sink(new_score, new_margin, new_id, slot, ids, score, margin)
        return True
    kept.size[i] += 1
    while slot > 0:  # rise above all that are better
        above = (slot - 1) // 2
        if not before(score[above], margin[above], ids[above], new_score, new_margin, new_id):
            break
        score[slot], margin[slot], ids[slot] = score[above], margin[above], ids[above]
        slot = above
    score[slot], margin[slot], ids[slot] = new_score, new_margin, new_id
    return True


@inner
def _sink(new_score, new_margin, new_id, size, ids, score, margin):
    """Replace the top of one row's heap."""
    slot = 0
    while 2 * slot + 1 < size:
        below = 2 * slot + 1
        if below + 1 < size and before(
            score[below], margin[below], ids[below],
            score[below + 1], margin[below + 1], ids[below + 1],
        ):  # fmt: skip
            below += 1
        if not before(new_score, new_margin, new_id, score[below], margin[below], ids[below]):
            break
        score[slot], margin[slot], ids[slot] = score[below], margin[below], ids[below]
        slot = below
    score[slot], margin[slot], ids[slot] = new_score, new_margin, new_id


@inner
def put_in_order(kept, i):
    """Put row i's heap in order, best first, and mark the slots after it as empty."""
    ids, score, margin = kept.ids[i], kept.score[i], kept.margin[i]
    size = kept.size[i]
    ids[size:] = -1
    score[size:] = -np.inf
    for last in range(size - 1, 0, -1):
        last_score, last_margin, last_id = score[last], margin[last], ids[last]
        score[last], margin[last], ids[last] = score[0], margin[0], ids[0]
        _sink(last_score, last_margin, last_id, last, ids, score, margin)
