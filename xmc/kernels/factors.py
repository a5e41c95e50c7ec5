"""Low rank: few numbers stand for each row and each label, and their product is the margin.

Arrays:
    indptr, indices, data   int64, int32, float: a sparse matrix
    dense, out              float, (any, rank)
    rows, labels            float, (n_rows, rank) and (n_labels, rank), the factors
    chosen                  int64, the rows that are meant
    margin                  float32, (chosen, labels)
    size, ids, score, best_margin   see heap.py
"""

import numpy as np

from . import kernel
from .heap import Best, offer, put_in_order

COLUMNS = 128  # of a dense matrix at a time: what rows share stays in the cache
ROWS = 32  # at a time, for the same reason


@kernel
def times(indptr, indices, data, dense, out):
    """Write a sparse matrix times a dense one; the first pointer needn't be 0."""
    for first in range(0, dense.shape[1], COLUMNS):
        last = min(first + COLUMNS, dense.shape[1])
        for i in range(out.shape[0]):
            out[i, first:last] = 0
            for p in range(indptr[i], indptr[i + 1]):
                row, value = indices[p], data[p]
                for c in range(first, last):
                    out[i, c] += value * dense[row, c]


@kernel(fastmath={"reassoc", "contract"})
def margins(rows, chosen, labels, margin):
    """Write the product of each chosen row with each label.

    Four labels at a time, or the last one again: the sum of a pair never depends on the others.
    """
    last = labels.shape[0] - 1
    for start in range(0, chosen.shape[0], ROWS):
        for a in range(0, last + 1, 4):
            b, c, d = min(a + 1, last), min(a + 2, last), min(a + 3, last)
            for n in range(start, min(start + ROWS, chosen.shape[0])):
                i = chosen[n]
                of_a, of_b = np.float32(0), np.float32(0)
                of_c, of_d = np.float32(0), np.float32(0)
                for t in range(rows.shape[1]):
                    value = rows[i, t]
                    of_a += value * labels[a, t]
                    of_b += value * labels[b, t]
                    of_c += value * labels[c, t]
                    of_d += value * labels[d, t]
                margin[n, a], margin[n, b], margin[n, c], margin[n, d] = of_a, of_b, of_c, of_d


@kernel
def offer_margins(margin, chosen, label_ids, size, ids, score, best_margin):
    """Offer the chosen rows these labels; scores are margins, those below 0 and above 1 cut off."""
    kept = Best(size, ids, score, best_margin)
    for n in range(chosen.shape[0]):
        i = chosen[n]
        for j in range(label_ids.shape[0]):
            own = margin[n, j]
            cut = min(np.float32(1), max(np.float32(0), own))
            offer(cut, own, label_ids[j], kept, i)


@kernel
def in_order(size, ids, score, best_margin):
    """Put what was offered in order, best first."""
    kept = Best(size, ids, score, best_margin)
    for i in range(ids.shape[0]):
        put_in_order(kept, i)


@kernel
def add_positives(indptr, label_ids, rows, labels, weight, out):
    """Add to each row of `out` the labels that the row has, times their products with the row and
    the weight.
    """
    rank = rows.shape[1]
    for i in range(out.shape[0]):
        for p in range(indptr[i], indptr[i + 1]):
            label, product = label_ids[p], 0.0
            for t in range(rank):
                product += rows[i, t] * labels[label, t]
            for t in range(rank):
                out[i, t] += weight * product * labels[label, t]


@kernel
def positive_errors(indptr, label_ids, values, rows, labels, weight):
    """Sum of (value - product)^2 - weight * product^2 over the labels that rows have: float64."""
    total = 0.0
    for i in range(rows.shape[0]):
        for p in range(indptr[i], indptr[i + 1]):
            product = 0.0
            for t in range(rows.shape[1]):
                product += float(rows[i, t]) * labels[label_ids[p], t]
            total += (values[p] - product) ** 2 - weight * product**2
    return total
