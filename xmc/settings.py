"""A model from its settings: hyper-parameters by name, as commands and searches have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .methods import method_named
from .params import EncoderParams, RerankParams, TextParams, check, names


def model_of(
    settings: Mapping[str, Any],
    run: Mapping[str, Any],
    of_texts: bool = False,
    vocabulary: Any = None,
) -> Any:
    """The estimator that settings describe, not fitted.

    settings: those that differ from the defaults. `method` names the kind of model. Texts have a
        tree and one-vs-all below a last stage if none is named, and the tree alone with
        rerank=False.
    run: n_jobs, random_state and verbose.
    Raises ParameterError at a value that breaks its rule.
    """
    named = settings.get("method")
    first = _of_matrices(named or "tree", settings, run)
    if not of_texts:
        return first
    from .text_classifier import TextClassifier

    below: Any = first
    if named is None and settings.get("rerank") is not False:
        below = first, _of_matrices("one-vs-all", {"costs": "propensity", **settings}, run)
    own = {*names(TextParams), *names(EncoderParams), *names(RerankParams)}
    given = {name: value for name, value in settings.items() if name in own}
    model = TextClassifier(below, vocabulary=vocabulary, **given)
    check(model)
    return model


def _of_matrices(method: str, settings: Mapping[str, Any], run: Mapping[str, Any]) -> Any:
    """The estimator of a method with the settings that it has."""
    kind = method_named(method)
    own = {name: settings[name] for name in names(kind.params) if name in settings}
    estimator = kind.load()(**own, **run)
    check(estimator)
    return estimator
