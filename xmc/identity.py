"""What tells one training from another: its settings, and checksums of its data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from .checkpoint import Identity
from .checksums import checksum
from .encoders import name_of
from .model_files import versions
from .params import RunParams, names, plain


def identity_of(estimator: Any, data: dict[str, Any]) -> Identity:
    """The identity of the training of an estimator.

    data: what it is given, by what people call it; what is None isn't given.
    """
    sums = {name: checksum(value) for name, value in data.items() if value is not None}
    return Identity(settings=versions() | dict(_settings(estimator, "")), data=sums)


def _settings(estimator: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The hyper-parameters by name, those of the estimators below it, too."""
    yield f"{prefix}class", type(estimator).__name__
    own = (f.name for f in fields(estimator) if "folder" not in f.metadata)
    for name in (name for name in own if name not in names(RunParams)):
        value = getattr(estimator, name)
        below = value if isinstance(value, (tuple, list)) else [value]
        if any(hasattr(one, "predictor_type") for one in below):
            for n, one in enumerate(below):
                yield from _settings(one, f"{prefix}{name}{n}.")
        else:
            yield f"{prefix}{name}", _shown(value)


def _shown(value: Any) -> Any:
    """A hyper-parameter as JSON holds it: a tree, a matrix or a vocabulary as its checksum, an
    encoder by its name.
    """
    if callable(value):
        return name_of(value)
    if isinstance(value, np.random.RandomState):
        value = value.get_state()
    elif hasattr(value, "to_arrays"):
        value = value.to_arrays()
    is_plain = value is None or isinstance(value, (str, int, float, bool, np.generic))
    is_levels = isinstance(value, (tuple, list)) and all(np.isscalar(own) for own in value)
    return plain(value) if is_plain or is_levels else checksum(value)
