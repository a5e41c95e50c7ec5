"""Data to try and to measure with: a sample, synthetic sets, cards of public ones, recipes."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Card": "registry",
    "PUBLIC": "registry",
    "Published": "figures",
    "Recipe": "recipes",
    "Run": "recipes",
    "SHAPES": "registry",
    "Sample": "debtags",
    "Shape": "registry",
    "Split": "splits",
    "TextSplit": "splits",
    "cards": "registry",
    "differences": "registry",
    "load_sample": "debtags",
    "published": "figures",
    "read_recipe": "recipes",
    "read_split": "splits",
    "read_texts": "splits",
    "recipe_names": "recipes",
    "sample_texts": "debtags",
    "synthesize": "synthetic",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: the registry needs no numpy or Numba."""
    if name not in _HOMES:
        raise AttributeError(f"module 'xmc.datasets' has no attribute {name!r}")
    return getattr(import_module(f"xmc.datasets.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
