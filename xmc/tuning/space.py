"""Which settings a search tries: values, what to begin with, and small steps from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from ..methods import method_named
from ..params import LabelTreeParams, LowRankParams, RerankParams, TextParams, names
from ..training.grow import shape_of

# What is known of settings before any row is seen, see docs/settings.md. The values of a setting
# ascend, as a step leads from one to the next.
LINEAR: dict[str, tuple[Any, ...]] = {
    "C": (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0),
    "costs": ("equal", "propensity"),
    "weight_threshold": (0.01, 0.03, 0.1, 0.2),
    "tail_share": (0.0, 0.05, 0.1, 0.2, 0.3),
}
TREES: dict[str, tuple[Any, ...]] = {
    "n_trees": (1, 3, 5),
    "arity": (None, 16, 32, 64, 128, 256),
    "max_leaf_size": (50, 100, 200, 400),
    "beam_size": (5, 10, 20, 40),
    "negatives": ("tfn", "tfn+man"),
    "score_transform": ("l2_hinge", "l3_hinge"),
}
LOW_RANK: dict[str, tuple[Any, ...]] = {
    "rank": (None, 25, 50, 200, 400),
    "ridge": (0.01, 0.1, 1.0, 10.0),
    "factorization": ("closed", "als"),
    "implicit_weight": (0.03, 0.1, 0.3, 1.0),
}
TEXTS: dict[str, tuple[Any, ...]] = {
    "opening": (0, 8, 16, 32),
    "max_ngram": (1, 2, 3),
    "min_df": (1, 2, 5, 10),
    "neighbors": (True, False),
}
FEATURES: dict[str, tuple[Any, ...]] = {
    "tfidf": (False, True),
    "pairs": (0.0, 0.35, 0.7, 1.0),
}
FEW_FEATURES = 1000  # so few can be told in pairs within the time of a search
METHODS_TRIED = ("tree", "one-vs-all", "reranked")  # others if they are asked for
WITHOUT_LANGUAGE, OF_LANGUAGE = ("words", "words+chars"), ("stems", "stems+chars")
SPARSE = {"costs": "propensity", "weight_threshold": 0.01}  # for one-vs-all
PAIRS = {"max_ngram": 2, "min_df": 5}
FIRST_OF_MATRICES: tuple[dict[str, Any], ...] = (
    {},
    {"method": "one-vs-all", **SPARSE},
    {"method": "one-vs-all", "weight_threshold": 0.01, "pairs": 0.7},
    {"n_trees": 3},
    {"method": "one-vs-all", **SPARSE, "C": 0.5},
    {"method": "one-vs-all", **SPARSE, "C": 0.5, "tfidf": True},
    {"method": "reranked"},
    {"n_trees": 3, "negatives": "tfn+man"},
)
FIRST_OF_TEXTS: tuple[dict[str, Any], ...] = (
    {},
    {"opening": 0, **PAIRS},
    {"method": "one-vs-all", "rerank": False, **SPARSE},
    {"max_ngram": 2, "weight_threshold": 0.03},
    {"method": "one-vs-all", "rerank": False, **SPARSE, **PAIRS, "opening": 0, "C": 2.0},
    {"rerank": False, "n_trees": 3},
    {"analyzer": "words+chars"},
)
DECLARED = LabelTreeParams, LowRankParams, TextParams, RerankParams
DEFAULTS = {f.name: f.default for of in DECLARED for f in fields(of)}


class Choice(NamedTuple):
    """A setting and the values that are tried."""

    name: str
    values: tuple[Any, ...]


class Space:
    """The settings that are tried for some data.

    n_features, n_labels: of the data; n_features is None where rows are texts.
    metric: by which settings are chosen.
    fixed: settings that all trials have.
    """

    def __init__(
        self, n_features: int | None, n_labels: int, metric: str, fixed: Mapping[str, Any]
    ):
        self.n_features, self.n_labels, self.fixed = n_features, n_labels, dict(fixed)
        self.of_texts = n_features is None
        self.methods = [name for name in METHODS_TRIED if self._fits(name)]
        if not self.of_texts and self.methods and "tree" not in self.methods:
            self.fixed.setdefault("method", self.methods[0])  # as only that has what is fixed
        tried = LINEAR | TREES | LOW_RANK | self._kinds() | self._shapes()
        for name in ("arity", "rank"):
            tried[name] = tuple(own for own in tried[name] if own is None or own < n_labels)
        if self.of_texts:
            stems = OF_LANGUAGE if "language" in fixed else ()
            tried |= TEXTS | {"analyzer": WITHOUT_LANGUAGE + stems}
        else:
            tried |= {name: FEATURES[name] for name in FEATURES if self._suits(name)}
        if metric.startswith("PS"):
            tried["optimize"] = ("p", "psp")
        free = [Choice(*item) for item in tried.items() if item[0] not in self.fixed]
        self.choices = [choice for choice in free if len(choice.values) > 1]

    def _fits(self, method: str) -> bool:
        """Whether a kind of model has all the settings that are fixed."""
        own = settings_of(method, self.of_texts)
        return self.fixed.keys() <= own and self.fixed.get("method", method) == method

    def _suits(self, name: str) -> bool:
        """Whether a setting may be tried on rows of so many features."""
        few = self.n_features is not None and self.n_features <= FEW_FEATURES
        return name != "pairs" or few

    def _kinds(self) -> dict[str, tuple[Any, ...]]:
        if self.of_texts:  # what a last stage stands above is another choice
            methods = (None, *(name for name in self.methods if name != "reranked"))
            return {"method": methods, "rerank": ("auto", False)}
        return {"method": tuple(self.methods)}

    def _shapes(self) -> dict[str, tuple[str, str]]:
        """A tree as it is by itself, and the other one."""
        own = shape_of("auto", self.n_labels)
        return {"tree": ("auto", "balanced" if own == "shallow" else "shallow")}

    def first(self) -> list[dict[str, Any]]:
        """What is tried first: the defaults, then settings that were best on other data."""
        given = FIRST_OF_TEXTS if self.of_texts else FIRST_OF_MATRICES
        fitting = [own for own in given if self._allows(own)]
        found = [self.plain(self.fixed | own) for own in ({}, *fitting)]
        return [own for n, own in enumerate(found) if own not in found[:n]]

    def _allows(self, settings: Mapping[str, Any]) -> bool:
        """Whether settings don't contradict those that are fixed."""
        method = settings.get("method") or "tree"
        return ("method" in self.fixed or method in self.methods) and all(
            self.fixed.get(name, value) == value and self._suits(name)
            for name, value in settings.items()
        )

    def plain(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings without those that are defaults or change nothing, but with fixed ones."""
        own = {
            name: value
            for name, value in settings.items()
            if name in self.fixed
            or (self._has(name, settings) and value != self._default(name, settings))
        }
        if (
            own.get("rerank") is False
            and own.get("method") == "tree"
            and "method" not in self.fixed
        ):
            del own["method"]  # what stands alone is a tree, unless another one is named
        return dict(sorted(own.items()))

    def stepped(self, settings: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """Settings of which one or two have gone to the value beside theirs."""
        own = dict(settings)
        there = [choice for choice in self.choices if self._has(choice.name, own)]
        for n in rng.permutation(len(there))[: rng.integers(1, 3)]:
            name, values = there[n]
            at = own.get(name, self._default(name, own))
            own[name] = _beside(at, values, rng)
        return self.plain(own)

    def _has(self, name: str, settings: Mapping[str, Any]) -> bool:
        """Whether a setting changes anything beside these."""
        method = settings.get("method") or "tree"
        stage = method == "reranked" or (self.of_texts and settings.get("rerank") is not False)
        if name == "rerank":
            return self.of_texts and method != "reranked"
        if name == "method":
            return True
        if name in names(RerankParams):
            return stage
        if name == "tail_share" and (stage or settings.get("calibration")):
            return False  # they don't go together
        if name == "costs" and settings.get("solver") == "liblinear":
            return False
        if name == "implicit_weight" and settings.get("factorization") != "als":
            return False
        if name == "max_leaf_size":
            shape = shape_of(settings.get("tree", "auto"), self.n_labels)
            return method == "tree" and shape == "balanced"
        if self.of_texts and name in names(TextParams):
            return True
        return name in names(method_named(method).params)

    def _default(self, name: str, settings: Mapping[str, Any]) -> Any:
        if name == "method":
            return None if self.of_texts else "tree"
        if name == "costs" and self._has_pair(settings):
            return None  # of a tree equal, and of one-vs-all by propensity
        return DEFAULTS[name]

    def _has_pair(self, settings: Mapping[str, Any]) -> bool:
        """Whether a tree and one-vs-all stand below a last stage."""
        named = settings.get("method") is not None
        return self.of_texts and not named and settings.get("rerank") is not False


def settings_of(method: str, of_texts: bool) -> set[str]:
    """The names of all settings that a kind of model has."""
    of_rows = {*names(TextParams), *names(RerankParams)} if of_texts else set()
    return {"method", "rerank", *names(method_named(method).params), *of_rows}


def _beside(value: Any, values: tuple[Any, ...], rng: np.random.Generator) -> Any:
    """A value next to this one; any other where this is none of them, or none has an order."""
    ordered = all(type(own) in (int, float) for own in values)
    if not ordered or value not in values:
        others = [own for own in values if own != value]
        return others[rng.integers(len(others))]
    at = values.index(value)
    near = [n for n in (at - 1, at + 1) if 0 <= n < len(values)]
    return values[near[rng.integers(len(near))]]
