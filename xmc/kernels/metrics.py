"""Compiled passes over predictions and true labels. A place is one of the first k of a row.

name       dtype    shape       what
indptr     int64    n_rows + 1  where each row's true labels start
indices    int32    entries     true labels, each once in a row, in any order
starts     int64    n_rows + 1  where each row's predictions start
named      int32    predictions predicted labels, row by row; negative in empty places
labels     int32    n_rows x k  predicted labels, best first; negative in empty places
hits       bool     n_rows x k  whether the label in a place is true
discounts  float64  at most k   what a hit in each place counts
weights    float64  n_labels    what a hit of each label counts
gains      float64  k           written: what is there already, and what the rows add to it
"""

import numpy as np

from . import kernel


@kernel
def find_hits(indptr, indices, starts, named, n_labels):
    """bool, whether each of `named` is true, and the first row that names a label twice, or -1."""
    # These hold the last row that had a label, so that nothing has to be cleared between rows.
    hits = np.zeros(named.shape[0], np.bool_)
    true_in = np.full(n_labels, -1, np.int64)
    named_in = np.full(n_labels, -1, np.int64)
    repeated = -1
    for row in range(starts.shape[0] - 1):
        for j in range(indptr[row], indptr[row + 1]):
            true_in[indices[j]] = row
        for j in range(starts[row], starts[row + 1]):
            label = named[j]
            if label < 0:
                continue
            if named_in[label] == row and repeated < 0:
                repeated = row
            named_in[label] = row
            hits[j] = true_in[label] == row
    return hits, repeated


@kernel
def row_gains(hits, discounts):
    """(n_rows,) float64, the sum of the discounts of the places that hit.

    Places beyond `discounts` don't count.
    """
    gains = np.zeros(hits.shape[0], np.float64)
    for row in range(hits.shape[0]):
        for place in range(discounts.shape[0]):
            if hits[row, place]:
                gains[row] += discounts[place]
    return gains


@kernel
def add_place_gains(labels, hits, weights, gains):
    """Add to the gains of each place, row by row, the weights of the labels that hit there."""
    for row in range(hits.shape[0]):
        for place in range(hits.shape[1]):
            if hits[row, place]:
                gains[place] += weights[labels[row, place]]


@kernel
def add_best_place_gains(indptr, indices, weights, gains):
    """As `add_place_gains`, of the best predictions there can be: they name a row's true labels,
    the heaviest first.
    """
    for row in range(indptr.shape[0] - 1):
        ascending = np.sort(weights[indices[indptr[row] : indptr[row + 1]]])
        n_true = ascending.shape[0]
        for place in range(min(gains.shape[0], n_true)):
            gains[place] += ascending[n_true - 1 - place]


@kernel
def count_labels(indptr, labels, hits, k, n_labels):
    """Two (n_labels,) int64: rows that name a label in the first k places, and those where it hits.

    Rows without true labels are left out.
    """
    named, hit = np.zeros(n_labels, np.int64), np.zeros(n_labels, np.int64)
    for row in range(labels.shape[0]):
        if indptr[row] == indptr[row + 1]:
            continue
        for place in range(k):
            label = labels[row, place]
            if label >= 0:
                named[label] += 1
                hit[label] += hits[row, place]
    return named, hit
