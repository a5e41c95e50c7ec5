"""Slow twins of the kernels that read rows: TF-IDF weights and products of features, densely."""

from itertools import combinations

import numpy as np


def codes(dense):
    """The code of every two features of each row, in order."""
    n = dense.shape[1]
    rows = (np.flatnonzero(row) for row in dense)
    return [int(a * n + b) for row in rows for a, b in combinations(row, 2)]


def read(dense, place, idf, known, length, unit):
    """Each row as a dict of columns and values.

    place: the model's number of each feature, -1 where it has none. idf: by these numbers, the last
    for -1; or None. known: codes of pairs of these numbers, ascending.
    """
    n = max(place, default=-1) + 1
    return [_read(row, place, n, idf, [*known], length, unit) for row in dense]


def _read(row, place, n, idf, known, length, unit):
    values = {a: row[a] * (1 if idf is None else idf[place[a]]) for a in np.flatnonzero(row)}
    products = {(a, b): values[a] * values[b] for a, b in combinations(values, 2)}
    own, of_products = (np.linalg.norm([*part.values()]) for part in (values, products))
    if not length or not of_products:
        products, scale = {}, 0
    else:
        scale = length * own / of_products
    whole = np.hypot(own, scale * of_products) if unit and own else 1
    found = {place[a]: value / whole for a, value in values.items() if place[a] >= 0}
    for (a, b), product in products.items():
        code = place[a] * n + place[b]
        if min(place[a], place[b]) >= 0 and code in known:
            found[n + known.index(code)] = product * scale / whole
    return found
