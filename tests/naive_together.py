"""Slow twin of choosing labels for all rows together: the expected value of a target, from dense
matrices, before and after every change.
"""

import numpy as np

PRICE = 0.2  # of naming a label that no row has


def value(P, named, target):
    """The target summed over labels. P: probabilities, rows x labels; named: bool, likewise."""
    true, hit, n_named = P.sum(axis=0), (P * named).sum(axis=0), named.sum(axis=0)
    if target in ("macro_f1", "macro_f1_named"):
        price = PRICE if target == "macro_f1_named" else 0
        each = zip(true, hit, n_named, strict=True)
        return sum(2 * h / (t + s) - price * np.exp(-t) for t, h, s in each if s > 0)
    if target == "coverage":
        return (1 - np.prod(1 - P * named, axis=0)).sum()
    others = true - P
    shares = np.divide(1 - np.exp(-others), others, out=np.ones_like(P), where=others > 1e-12)
    return (P * shares * named).sum()


def gains(P, named, row, target, of_target, of_precision):
    """What each label of a row adds if it is the only one that the row names."""
    without = named.copy()
    without[row] = False
    found = np.empty(P.shape[1])
    for label in range(P.shape[1]):
        more = without.copy()
        more[row, label] = True
        added = value(P, more, target) - value(P, without, target)
        found[label] = of_target * added + of_precision * P[row, label]
    return found


def choose_again(P, candidates, named, target, of_target, of_precision, order):
    """Each row, in this order, names the candidates that add most, as many as it did; and what that
    adds in all. candidates: of each row, labels; of equal ones the first are chosen.
    """
    named, added = named.copy(), 0.0
    for row in order:
        own = gains(P, named, row, target, of_target, of_precision)
        best = sorted(candidates[row], key=lambda label: -own[label])[: named[row].sum()]
        added -= own[named[row]].sum()
        named[row] = False
        named[row, best] = True
        added += own[best].sum()
    return named, added
