"""From a model folder to the fitted estimator that was saved."""

from __future__ import annotations

import os
from typing import Any

from . import model_files
from .encoders import EncodedVectorizer, Encoder
from .errors import ParameterError
from .io.folder import PathName, as_model_error
from .methods import method_of
from .model_files import FILE, read
from .text_classifier import TextClassifier


def load(path: PathName, verify: bool = False, encoder: Encoder | None = None) -> Any:
    """The model in a folder, its arrays memory-mapped; a TextClassifier if it was trained on texts.

    What is damaged so that it could lead out of an array is always found. verify: read all of it
    and compare its checksums, so that nothing else can have changed either.

    encoder: of a model of texts that was trained with one; without it the model can't read texts.

    Raises ModelError if the folder is damaged or of a newer format, DataError if the encoder isn't
    the one of the training, ParameterError if there was none.
    """
    if verify:
        model_files.verify(path)
    saved = read(path)
    with as_model_error(path, FILE):
        estimator = method_of(saved.estimator).load().restored(saved)
        if saved.vectorizer is not None:
            estimator = TextClassifier.restored(saved, estimator)
    if encoder is not None:
        _give(encoder, estimator, path)
    return estimator


def _give(encoder: Encoder, model: Any, path: PathName) -> None:
    """Let a model read texts with its encoder."""
    if not callable(encoder):
        raise ParameterError(f"encoder: expected a callable, got {encoder!r}")
    vectorizer = getattr(model, "vectorizer_", None)
    if not isinstance(vectorizer, EncodedVectorizer):
        raise ParameterError(f"{os.fspath(path)}: the model was trained without an encoder")
    vectorizer.use(encoder)
    model.encoder = encoder
