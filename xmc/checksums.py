"""Checksums of what is in memory: arrays, matrices, texts, and collections of such."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from .io.stored import Texts


def checksum(value: Any) -> str:
    """Of arrays, matrices, texts, and collections of such, as a hexadecimal number."""
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[Any]:
    """The bytes that a value is made of, each part with its kind and its size before it."""
    if sp.issparse(value):
        csr = value.tocsr()
        value = (*csr.shape, csr.data, csr.indices, csr.indptr)
    if isinstance(value, dict):
        value = [own for item in sorted(value.items()) for own in item]
    if isinstance(value, (tuple, list, Texts)):
        yield f"list {len(value)}\n".encode()
        for own in value:
            yield from _parts(own)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype.str} {value.shape}\n".encode()
        yield np.ascontiguousarray(value).data.cast("B") if value.size else b""
    elif isinstance(value, np.ndarray):
        yield from _parts(value.tolist())
    else:
        text = repr(value) if not isinstance(value, str) else value
        encoded = text.encode("utf-8", "surrogatepass")
        yield f"{type(value).__name__} {len(encoded)}\n".encode()
        yield encoded
