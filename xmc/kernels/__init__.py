"""Compiled loops over flat arrays; `kernel` compiles each of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from numba import config, njit


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """The function compiled: it releases the GIL, and what is compiled is kept between runs.

    `@kernel` or `@kernel(inline="always")`: options are those of numba.njit. Edits to any kernel
    file, and to the function's own, make it compile again.
    """
    if function is None:
        return functools.partial(kernel, **options)
    compiled = njit(nogil=True, **options)(function)
    if not config.DISABLE_JIT:
        _keep(compiled)
    return compiled


def inner(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """A kernel that other kernels call and that makes no array.

    It doesn't count who refers to the arrays that it is given: for a small one, that would take
    longer than what it does. Numba refuses one that makes an array after all.
    """
    return kernel(function, _nrt=False, **options)


def _keep(compiled: Any) -> None:
    """Give a kernel its cache. Without one it answers the same, but is compiled in every run."""
    try:
        from .cache import KernelCache

        compiled._cache = KernelCache(compiled.py_func)
    except (ImportError, AttributeError, TypeError, OSError) as error:
        # Numba has no public way to do this: another version may need another one.
        _say_uncached(f"{type(error).__name__}: {error}")


@functools.cache
def _say_uncached(reason: str) -> None:
    logging.getLogger("xmc.kernels").warning(f"kernels are compiled in every run, as {reason}")
