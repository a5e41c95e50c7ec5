"""Compiled loops over flat arrays; `kernel` compiles each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Any:
    """The function compiled: it releases the GIL and is cached on disk."""
    return njit(nogil=True, cache=True)(function)
