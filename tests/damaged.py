"""Sparse matrices whose arrays don't fit together, in every format of scipy."""

import numpy as np
import scipy.sparse as sp

FAR = 10**8


def _copied(M, format):
    """M in that format, on arrays of its own."""
    return sp.csr_matrix(M).asformat(format).copy()


def _set(M, name, change):
    setattr(M, name, change(np.array(getattr(M, name))))
    return M


def _with(place, value):
    """Change one number of an array."""

    def change(array):
        array[place] = value
        return array

    return change


COMPRESSED = {
    "an index beyond the width": ("indices", _with(0, FAR)),
    "a negative index": ("indices", _with(0, -FAR)),
    "indices that are too few": ("indices", lambda a: a[:-1]),
    "indices that are floats": ("indices", lambda a: a + 0.5),
    "indices that are objects": ("indices", lambda a: a.astype(object)),
    "indices in two dimensions": ("indices", lambda a: a[None]),
    "values that are too few": ("data", lambda a: a[:-1]),
    "values that are objects": ("data", lambda a: a.astype(object)),
    "values in one dimension more": ("data", lambda a: a[..., None]),
    "pointers that begin late": ("indptr", _with(0, 1)),
    "pointers that begin before": ("indptr", _with(0, -FAR)),
    "pointers past the end": ("indptr", _with(-1, FAR)),
    "pointers that descend": ("indptr", _with(-1, -1)),
    "pointers that are too few": ("indptr", lambda a: a[:-1]),
    "pointers that are too many": ("indptr", lambda a: np.append(a, a[-1])),
    "no pointers": ("indptr", lambda a: a[:0]),
    "pointers that are floats": ("indptr", lambda a: a + 0.0),
    "pointers that are no array": ("indptr", lambda a: None),
}
COORDINATES = {
    "a place beyond": lambda a: _with(0, FAR)(a),
    "a negative place": lambda a: _with(0, -FAR)(a),
    "too few places": lambda a: a[:-1],
    "places that are floats": lambda a: a + 0.5,
    "places that are objects": lambda a: a.astype(object),
}


def _coo(axis, change):
    def damage(M):
        M = _copied(M, "coo")
        coords = [np.array(ids) for ids in M.coords]
        coords[axis] = change(coords[axis])
        M.coords = tuple(coords)
        return M

    return damage


def _lil(name, value):
    def damage(M):
        M = _copied(M, "lil")
        getattr(M, name)[0] = value
        return M

    return damage


def _dok(key):
    def damage(M):
        M = _copied(M, "dok")
        M._dict[key] = np.float32(1)
        return M

    return damage


def _compressed(format, name, change):
    return lambda M: _set(_copied(M, format), name, change)


CASES = {
    f"{format}: {what}": _compressed(format, name, change)
    for format in ("csr", "csc", "bsr")
    for what, (name, change) in COMPRESSED.items()
}
CASES |= {
    f"coo: {what} on axis {axis}": _coo(axis, change)
    for what, change in COORDINATES.items()
    for axis in (0, 1)
}
CASES |= {
    "coo: values that are too few": lambda M: _set(_copied(M, "coo"), "data", lambda a: a[:-1]),
    "coo: values that are objects": lambda M: _set(
        _copied(M, "coo"), "data", lambda a: a.astype(object)
    ),
    "lil: a column beyond the width": _lil("rows", [FAR]),
    "lil: a negative column": _lil("rows", [-FAR]),
    "lil: a column that is a float": _lil("rows", [0.5]),
    "lil: no list of columns": _lil("rows", None),
    "lil: more values than columns": _lil("data", [1.0] * 10**6),
    "lil: no list of values": _lil("data", None),
    "dok: a column beyond the width": _dok((0, FAR)),
    "dok: a row beyond the height": _dok((FAR, 0)),
    "dok: a negative column": _dok((0, -FAR)),
    "dok: a key that is no pair": _dok("key"),
    "dia: offsets that are too few": lambda M: _set(_copied(M, "dia"), "offsets", lambda a: a[:0]),
    "dia: offsets that are too many": lambda M: _set(
        _copied(M, "dia"), "offsets", lambda a: np.append(a, FAR)
    ),
    "dia: values in one dimension": lambda M: _set(_copied(M, "dia"), "data", np.ravel),
}
