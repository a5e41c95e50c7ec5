"""What a model's features are called: words of texts, names of columns, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..analyzers import TextVectorizer
from ..encoders import ENCODER, EncodedVectorizer

N_WORDS = 8  # of a node


class Words:
    """Names of features as the predictor numbers them.

    model: a trained one, of texts or of matrices.
    """

    def __init__(self, model: Any):
        vectorizer = getattr(model, "vectorizer_", None)
        self._model = model.model_
        self._kinds: tuple[str, ...] = ()
        self._names: Sequence[str] | None = model.model_.feature_names_in
        if vectorizer is not None:
            self._names = vectorizer.get_feature_names_out()
        if isinstance(vectorizer, EncodedVectorizer):
            vectorizer, self._kinds = vectorizer.words, (ENCODER,)
        if isinstance(vectorizer, TextVectorizer) and len(vectorizer.fitted()) > 1:
            self._kinds += tuple(vectorizer.fitted())

    @property
    def n_features(self) -> int:
        """As the predictor numbers them."""
        return self._model.n_kept_features

    def of(self, features: np.ndarray) -> list[str]:
        """The words of the features, in their order, each once, at most N_WORDS; what an encoder
        gives has none.

        Beside words an n-gram of characters stands in quotes, and only where no word has it.
        """
        found = [self._named(feature) for feature in self._model.feature_numbers(features)]
        found = [(kind, word) for kind, word in found if kind != ENCODER]
        words = [word for kind, word in found if not kind.endswith("chars")]
        told = (
            f"“{word}”" if kind.endswith("chars") else word
            for kind, word in found
            if not (kind.endswith("chars") and any(word.strip() in other for other in words))
        )
        return list(dict.fromkeys(told))[:N_WORDS]

    def _named(self, feature: int) -> tuple[str, str]:
        """The kind of a feature, "" if there is but one, and its name without that."""
        name = self._model.feature_name(feature, self._name)
        kind, _, own = name.partition(":")
        return (kind, own) if kind in self._kinds else ("", name)

    def _name(self, feature: int) -> str:
        return f"feature {feature}" if self._names is None else str(self._names[feature])
