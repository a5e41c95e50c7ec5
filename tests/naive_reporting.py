"""Slow twins of `xmc.reporting`: resamples drawn one by one, errors counted row by row.

`truth` is a list of sets of labels, `best` a list of lists of labels, best first.
"""

import math
from collections import Counter

import numpy as np

BINS = [(0, 0), (1, 1), (2, 4), (5, 9), (10, 99), (100, math.inf)]


def ratio(part, whole, rows):
    below = sum(whole[row] for row in rows)
    return sum(part[row] for row in rows) / below if below > 0 else math.nan


def samples(part, whole, seed, n_samples):
    """The ratio of sums over rows that are drawn with replacement, for each sample."""
    rng, n = np.random.default_rng(seed), len(part)
    return [ratio(part, whole, rng.integers(n, size=n).tolist()) for _ in range(n_samples)]


def ends(values):
    """What 2.5% of the values are below, and what 2.5% are above; between two, in proportion."""
    known = sorted(value for value in values if value == value)

    def at(share):
        place = share * (len(known) - 1)
        low = math.floor(place)
        high = min(low + 1, len(known) - 1)
        return known[low] + (place - low) * (known[high] - known[low])

    return at(0.025), at(0.975)


def bin_of(count):
    return next(n for n, (low, high) in enumerate(BINS) if low <= count <= high)


def fates(truth, best, candidates, counts):
    """By bin: true labels found, ranked too low, without training rows, not reached."""
    found = [[0] * 4 for _ in BINS]
    for true, row, reached in zip(truth, best, candidates, strict=True):
        for label in true:
            if label in row:
                fate = 0
            elif label in reached:
                fate = 1
            else:
                fate = 2 if counts[label] == 0 else 3
            found[bin_of(counts[label])][fate] += 1
    return found


def label_counts(truth, best):
    """By label: rows it is true for, rows it is suggested for, rows with both."""
    found = {}
    for true, row in zip(truth, best, strict=True):
        for label in {*true, *row} - {-1}:
            own = found.setdefault(label, [0, 0, 0])
            own[0] += label in true
            own[1] += label in row
            own[2] += label in true and label in row
    return found


def confusions(truth, best):
    """Rows by pair of a label suggested wrongly and one missed, the most frequent pair first."""
    pairs = Counter(
        (wrong, missed)
        for true, row in zip(truth, best, strict=True)
        for wrong in set(row) - true - {-1}
        for missed in true - set(row)
    )
    return sorted(((*pair, n) for pair, n in pairs.items()), key=lambda own: (-own[2], own[:2]))


def found_only_by(truth, best, others):
    """By label: rows for which it is true, is among the best, and isn't among the others' best."""
    return Counter(
        label
        for true, row, other in zip(truth, best, others, strict=True)
        for label in true & set(row) - set(other)
    )
