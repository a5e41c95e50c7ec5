"""A search for settings: which are tried on how many rows, and what held-out rows say of each."""

from __future__ import annotations

from .search import Tuning, tune
from .trials import Trial

__all__ = ["Trial", "Tuning", "tune"]
