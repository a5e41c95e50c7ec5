"""The registry of methods: which kinds of model there are, and where their estimators live.

The command line, presets, recipes and model folders look methods up here, by name. Nothing heavy is
imported before a method is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from .errors import ParameterError
from .params import LabelTreeParams, LowRankParams, OneVsAllParams, RerankedParams


class Method(NamedTuple):
    """A kind of model."""

    name: str  # what --method calls it
    module: str  # where its estimator is
    estimator: str  # the estimator's class, by which model folders name the method
    params: type  # the declaration of its hyper-parameters
    summary: str  # what it is, in half a line of help

    def load(self) -> Any:
        """The estimator's class."""
        return getattr(import_module(self.module), self.estimator)


METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Add a method; one of the same name is replaced."""
    METHODS[method.name] = method


def method_named(name: str) -> Method:
    """The method of that name. Raises ParameterError if there is none."""
    if name not in METHODS:
        raise ParameterError(f"method must be one of {', '.join(map(repr, METHODS))}, got {name!r}")
    return METHODS[name]


def method_of(estimator: str) -> Method:
    """The method whose estimator has that class name. Raises ValueError if there is none."""
    for method in METHODS.values():
        if method.estimator == estimator:
            return method
    known = ", ".join(method.estimator for method in METHODS.values())
    raise ValueError(f"expected one of the classes {known}, got {estimator!r}")


ESTIMATORS = "xmc.estimators"
register(
    Method("tree", ESTIMATORS, "LabelTreeClassifier", LabelTreeParams, "a label tree, or several")
)
register(
    Method("one-vs-all", ESTIMATORS, "OneVsAllClassifier", OneVsAllParams, "one scorer per label")
)
register(
    Method(
        "low-rank",
        "xmc.low_rank_classifier",
        "LowRankClassifier",
        LowRankParams,
        "one regression of low rank for all labels",
    )
)
register(
    Method(
        "reranked",
        "xmc.reranked_classifier",
        "RerankedClassifier",
        RerankedParams,
        "base models and a stage that weighs all evidence",
    )
)
