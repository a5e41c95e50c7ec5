"""Folders of models and of other things, looked into and changed, as chance or an enemy would."""

import json
import mmap

import numpy as np

from xmc.io import tensors
from xmc.io.folder import ARRAYS


def content(folder):
    """Every file by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def arrays_of(folder):
    """The arrays by name, in memory."""
    return {name: array.copy() for name, array in tensors.read(folder / ARRAYS).items()}


def edit(folder, file, **changes):
    """Other values in the JSON, whose checksum stays as it was."""
    meta = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(meta | changes))


def put(folder, file, arrays):
    """Other arrays, or arrays of other sizes, listed as such; those that are None are left out."""
    kept = {name: array for name, array in arrays.items() if array is not None}
    (folder / ARRAYS).unlink()
    tensors.write(folder / ARRAYS, kept)
    listed = json.loads((folder / file).read_text())["arrays"]
    own = {
        name: listed.get(name, {}) | {"dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in kept.items()
    }
    edit(folder, file, arrays=own)


def replace_array(folder, file, name, array):
    """Another array of that name, or none."""
    put(folder, file, arrays_of(folder) | {name: array})


def mapped(array):
    """Whether the array's memory is a mapped file."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(getattr(array, "obj", array), mmap.mmap)
