"""Slow twins of the kernels that find near rows and count their votes: dense numpy and sorting."""

import numpy as np


def coded(dense, step=None):
    """Dense rows as an index with these steps holds them, by itself 1/127 of a feature's largest
    value; what lies beyond 127 steps is cut.
    """
    step = np.abs(dense).max(axis=0, initial=0) / 127 if step is None else step
    size = np.floor(np.abs(dense) / np.where(step > 0, step, 1) + 0.5).clip(1, 127)
    return np.sign(dense) * size * step


def nearest(index, queries, k):
    """Of each dense query, the k rows of a dense index with products above 0: (row, product)."""
    found = []
    for products in queries @ index.T:
        order = sorted(np.flatnonzero(products > 1e-9), key=lambda row: (-products[row], row))
        found.append([(row, products[row]) for row in order[:k]])
    return found


def figures(near, similarity, labels):
    """(total, largest, count) by label, of one query; `labels` is a list for each row."""
    voters = {}
    for row, value in zip(near, similarity, strict=True):
        for label in labels[row] if row >= 0 else []:
            voters.setdefault(int(label), []).append(value)
    return {
        label: (sum(v * v for v in values), max(values), len(values))
        for label, values in voters.items()
    }
