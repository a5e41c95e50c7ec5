"""Slow twins of the kernels that find near rows and count their votes: dense numpy and sorting."""

import naive
import numpy as np


def coded(rows):
    """The rows as an index holds them, dense: each value to 1/127 of its feature's largest."""
    dense = naive.to_dense(*rows)
    step = np.abs(dense).max(axis=0, initial=0) / 127
    size = np.maximum(1, np.floor(np.abs(dense) / np.where(step > 0, step, 1) + 0.5))
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
