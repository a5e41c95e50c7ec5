"""From a model folder to the fitted estimator that was saved."""

from __future__ import annotations

from typing import Any

from .io.folder import PathName, as_model_error
from .methods import method_of
from .model_files import FILE, read
from .text_classifier import TextClassifier


def load(path: PathName) -> Any:
    """The model in a folder, its arrays memory-mapped; a TextClassifier if it was trained on texts.

    Raises ModelError if the folder is damaged or of a newer format.
    """
    saved = read(path)
    with as_model_error(path, FILE):
        estimator = method_of(saved.estimator).load().restored(saved)
        return estimator if saved.vectorizer is None else TextClassifier.restored(saved, estimator)
