"""Rows as a model reads them: values by how rare their feature is, products of two features.

    name    dtype    shape           what
    indptr  int64    rows + 1        where each row's entries start
    ids     int32    entries         features, ascending in a row but for -1, one that is unknown
    values  float32  entries         their values
    idf     float32  n + 1, or none  what a value of each of n features counts, and of unknown ones
    codes   int64    pairs           the known pairs, ascending: a * n + b of features a < b
    length  float64                  of a row's products, over that of the row; 0 without products
    unit    bool                     whether rows are scaled to length 1, products included

A row's product of features a and b is the product of their values. What is unknown counts in
lengths, but is left out.
"""

import numpy as np

from . import inner, kernel


@kernel
def code_pairs(indptr, ids, n, out):
    """Write the code of every two features of each row to `out`, int64."""
    t = 0
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            for q in range(p + 1, indptr[i + 1]):
                out[t] = np.int64(ids[p]) * n + ids[q]
                t += 1


@kernel
def read_rows(indptr, ids, values, idf, n, codes, length, unit, out_ids, out_values):
    """int64, rows + 1: where each row starts in `out_ids` and `out_values`, which have room for
    all: first its features, then its pairs, whose ids are n + their place in `codes`.
    """
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    t = 0
    for i in range(indptr.shape[0] - 1):
        first, last = indptr[i], indptr[i + 1]
        single, pair = _factors(first, last, ids, values, idf, length, unit)
        for p in range(first, last):
            if ids[p] >= 0:
                out_ids[t] = ids[p]
                out_values[t] = _weighed(p, ids, values, idf) * single
                t += 1
        for p in range(first, last if length > 0 else first):
            for q in range(p + 1, last):
                if ids[p] < 0 or ids[q] < 0:
                    continue
                code = np.int64(ids[p]) * n + ids[q]
                at = np.searchsorted(codes, code)
                if at < codes.shape[0] and codes[at] == code:
                    product = _weighed(p, ids, values, idf) * _weighed(q, ids, values, idf)
                    out_ids[t] = n + at
                    out_values[t] = product * pair
                    t += 1
        out_indptr[i + 1] = t
    return out_indptr


@inner
def _factors(first, last, ids, values, idf, length, unit):
    """What the values of a row are multiplied by, and its products.

    In float64, where neither squares of float32 nor those of their products overflow or vanish.
    """
    squares, squares_of_products = 0.0, 0.0
    for p in range(first, last):
        square = _weighed(p, ids, values, idf) ** 2
        squares_of_products += square * squares
        squares += square
    if squares == 0:
        return 1.0, 0.0
    own, of_products = np.sqrt(squares), np.sqrt(squares_of_products)
    has_products = length > 0 and of_products > 0
    wanted = length * own / of_products if has_products else 0.0
    if not unit:
        return 1.0, wanted
    whole = own * np.sqrt(1 + length**2) if has_products else own
    return 1 / whole, wanted / whole


@inner
def _weighed(p, ids, values, idf):
    """A value as it counts, float64; -1 leads to the end of `idf`, to what unknown ones count."""
    weight = np.float64(idf[ids[p]]) if idf.shape[0] else 1.0
    return np.float64(values[p]) * weight
