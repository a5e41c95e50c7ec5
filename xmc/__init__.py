"""Extreme multi-label classification: rank the few right labels of a text among very many, on a
CPU.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "LabelTreeClassifier": "estimators",
    "OneVsAllClassifier": "estimators",
    "LowRankClassifier": "low_rank_classifier",
    "RerankedClassifier": "reranked_classifier",
    "TextClassifier": "text_classifier",
    "load": "loading",
    "open_rows": "io.stored",
    "preset": "presets",
    "LabelTree": "label_tree",
    "TopK": "topk",
    "Vocabulary": "vocabulary",
    "XmcError": "errors",
    "DataError": "errors",
    "ParameterError": "errors",
    "ModelError": "errors",
    "WorkerError": "errors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
