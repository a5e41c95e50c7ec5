"""Which k candidates of each row are best for all rows together.

A target sums up a value of each label. With the candidates that are chosen so far, a label has t
rows that are expected to have it, s rows that name it, and h rows expected to do both. If a row
where it has probability p names it, too, that adds

    macro F1      2 (h + p) / (t + s + 1) - 2 h / (t + s), as the mean over all labels; less
                  PRICE exp(-t) if s is 0, as the mean over labels that are true or named
    macro recall  p (1 - exp(-u)) / u,  u = t - p          p over all rows that have it: the mean
                                                           of p / (1 + n), n Poisson with mean u
    coverage      p * prod (1 - p_j)                       j: the other rows that name it

The price is for naming a label that no row has, which then counts in the second mean, with 0.

A row is given the k candidates that add most while all others keep theirs; that is never worse, and
is repeated. It is block-coordinate ascent on the expected metric (Schultheis et al., NeurIPS 2023).

name       dtype    shape            what
labels     int32    n_rows x width   candidates; negative behind the last one of a row
p          float32  n_rows x width   their probabilities
chosen     int32    n_rows x k       places of the chosen candidates, ascending; k <= width
order      int64    n_rows           the rows, in the order in which they choose
counts     float64  4 x n_labels     t, s, h of each label, and the logarithm of prod (1 - p_j)
"""

import numpy as np

from . import inner, kernel

MACRO_F1, MACRO_F1_NAMED, MACRO_RECALL, COVERAGE = 0, 1, 2, 3
TRUE, NAMED, HIT, MISSED = 0, 1, 2, 3  # rows of the counts
PRICE = 0.2
MOST = 1 - 2.0**-30  # what a label of probability 1 counts as, so that its logarithm is a number


@kernel
def counted(labels, p, chosen, n_labels):
    """The counts of these candidates and of those that are chosen."""
    counts = np.zeros((4, n_labels), np.float64)
    for row in range(labels.shape[0]):
        for place in range(labels.shape[1]):
            if labels[row, place] >= 0:
                counts[TRUE, labels[row, place]] += p[row, place]
        for place in chosen[row]:
            if labels[row, place] >= 0:
                _count(counts, labels[row, place], p[row, place], 1)
    return counts


@kernel
def choose_again(labels, p, counts, target, of_target, of_precision, order, chosen):
    """Let each row choose once, and give what that adds in all; `counts` follow.

    What a candidate adds is of_target times the above, plus of_precision times p.
    """
    added = 0.0
    gains = np.empty(labels.shape[1], np.float64)
    for row in order:
        n_found = labels.shape[1]
        while n_found > 0 and labels[row, n_found - 1] < 0:
            n_found -= 1
        if n_found <= chosen.shape[1]:
            continue
        for place in chosen[row]:
            _count(counts, labels[row, place], p[row, place], -1)
        for place in range(n_found):
            own = np.float64(p[row, place])
            gain = _gain(counts, labels[row, place], own, target)
            gains[place] = of_target * gain + of_precision * own
        for place in chosen[row]:
            added -= gains[place]
        _choose_best(gains[:n_found], chosen[row])
        for place in chosen[row]:
            added += gains[place]
            _count(counts, labels[row, place], p[row, place], 1)
    return added


@kernel
def _choose_best(gains, chosen):
    """Write the places of the largest gains, ascending; of equal ones the first are chosen."""
    k, size = chosen.shape[0], 0
    for place in range(gains.shape[0]):
        slot = min(size, k - 1)
        if size == k and gains[place] <= gains[chosen[slot]]:
            continue
        while slot > 0 and gains[place] > gains[chosen[slot - 1]]:
            chosen[slot] = chosen[slot - 1]
            slot -= 1
        chosen[slot] = place
        size = min(size + 1, k)
    chosen.sort()


@inner
def _count(counts, label, p, sign):
    """A row names the label, or no longer does."""
    counts[NAMED, label] += sign
    counts[HIT, label] += sign * np.float64(p)
    counts[MISSED, label] += sign * np.log1p(-min(np.float64(p), MOST))


@inner
def _gain(counts, label, p, target):
    """What it adds to the target if a row names the label."""
    if target == COVERAGE:
        return p * np.exp(counts[MISSED, label])
    if target == MACRO_RECALL:
        others = counts[TRUE, label] - p
        return p * -np.expm1(-others) / others if others > 0 else p
    true, named, hit = counts[TRUE, label], counts[NAMED, label], counts[HIT, label]
    gain = 2 * (hit + p) / (true + named + 1)
    if named > 0:
        return gain - 2 * hit / (true + named)
    return gain - PRICE * np.exp(-true) if target == MACRO_F1_NAMED else gain
