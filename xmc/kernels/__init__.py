"""Compiled loops over flat arrays; `kernel` compiles each of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """The function compiled: it releases the GIL and is cached on disk.

    `@kernel` or `@kernel(inline="always")`: options are those of numba.njit.
    """
    if function is None:
        return functools.partial(kernel, **options)
    return njit(nogil=True, cache=True, **options)(function)
