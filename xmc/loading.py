"""From a model folder to the fitted estimator that was saved."""

from __future__ import annotations

from typing import Any

from . import model_files
from .io.folder import PathName, as_model_error
from .methods import method_of
from .model_files import FILE, read
from .text_classifier import TextClassifier


def load(path: PathName, verify: bool = False) -> Any:
    """The model in a folder, its arrays memory-mapped; a TextClassifier if it was trained on texts.

    What is damaged so that it could lead out of an array is always found. verify: read all of it
    and compare its checksums, so that nothing else can have changed either.

    Raises ModelError if the folder is damaged or of a newer format.
    """
    if verify:
        model_files.verify(path)
    saved = read(path)
    with as_model_error(path, FILE):
        estimator = method_of(saved.estimator).load().restored(saved)
        return estimator if saved.vectorizer is None else TextClassifier.restored(saved, estimator)
