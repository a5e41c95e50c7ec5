"""A model that was loaded, and its answers as JSON holds them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..encoders import EncodedVectorizer, Encoder
from ..errors import ModelError, XmcError, quoted
from ..io.rows import value_texts
from ..loading import load
from ..params import TARGETS
from ..topk import TopK
from .fields import Refused, shown

TAKES = {"text": "texts, not rows", "row": "rows of features, not texts"}
TRIED_ON = {"text": "a text to try the model on", "row": ([], [])}
LONGEST = 10  # digits of a label's or feature's number


class Loaded:
    """A model as its folder was, and what it answers; may be asked from any thread.

    takes: "text" or "row". ids: what people call the labels, None where these are only numbered.
    encoder: of texts, for a model that was trained with one.
    """

    def __init__(self, path: str, n_jobs: int, encoder: Encoder | None = None):
        try:
            self.model = load(path)
        except OSError as error:
            raise ModelError(f"{path}: can't be read: {error.strerror or error}") from error
        if isinstance(getattr(self.model, "vectorizer_", None), EncodedVectorizer):
            self.model.encoder = encoder
        classifier = getattr(self.model, "classifier_", self.model)
        classifier.set_params(n_jobs=n_jobs, verbose=0)
        if classifier.optimize in TARGETS:  # requests are put together: none depends on another
            classifier.set_params(optimize="p")
        self.takes = "text" if hasattr(self.model, "vectorizer_") else "row"
        self.n_labels = self.model.n_labels_
        self.ids = _ids(self.model)
        self.names = self.model.label_names_
        self._place: dict[str, int] | None = None
        columns = self.model.model_.feature_names_in
        self._column = None if columns is None else {name: n for n, name in enumerate(columns)}
        self._try()

    def _try(self) -> None:
        """Ask for each kind of answer: a model that can't answer must count as broken, and nobody
        shall wait while kernels are compiled.
        """
        tried = TRIED_ON[self.takes]
        self.answers([tried] * 2, 1)
        self.answers([tried], 1)
        with suppress(XmcError):  # some kinds of models can't explain themselves
            self.explain(tried, None, 1)

    def read(self, field: str, items: list) -> list:
        """Texts or rows as `answers` takes them. Raises Refused if they are not what it takes."""
        if not field.startswith(self.takes):
            raise Refused(422, f"{field}: this model takes {TAKES[self.takes]}")
        return items if self.takes == "text" else [self._as_row(row) for row in items]

    def answers(self, items: list, k: int) -> list[list[dict[str, Any]]]:
        """The best labels of each item, best first: id, name and score."""
        k = min(k, self.n_labels)
        top = self.model.predict_topk(items if self.takes == "text" else self._matrix(items), k)
        return [self._labels(*row) for row in zip(top.labels, _scores(top), strict=True)]

    def explain(self, item: Any, label: str | None, k: int) -> list[dict[str, Any]]:
        """Why a label has its score for an item, or why each of the best k has.

        Raises an XmcError if there is no such label.
        """
        if label is not None and self.ids is None:
            self.place_of(label)
        asked = item if self.takes == "text" else self._matrix([item])
        told = self.model.explain(asked, label, min(k, self.n_labels))
        return [one.to_dict() for one in (told if label is None else [told])]

    def place_of(self, label: str) -> int:
        """The column of a label. Raises Refused if there is none of this id."""
        if self.ids is None:
            place = _number(label)
        else:
            self._place = self._place or {own: n for n, own in enumerate(self.ids)}
            place = self._place.get(label, -1)
        if not 0 <= place < self.n_labels:
            raise Refused(422, f"label: expected the id of a label, got {quoted(label)}")
        return place

    def _labels(self, labels: np.ndarray, scores: list[float]) -> list[dict[str, Any]]:
        found = zip(labels.tolist(), scores, strict=True)
        return [self._label(label, score) for label, score in found if label >= 0]

    def _label(self, label: int, score: float) -> dict[str, Any]:
        own = str(label) if self.ids is None else self.ids[label]
        return {"id": own, "name": self.names[label] if self.names else own, "score": score}

    def _as_row(self, row: dict[str, float]) -> tuple[list[int], list[float]]:
        """The columns of a row's features, and their values."""
        return [self._column_of(feature) for feature in row], list(row.values())

    def _column_of(self, feature: str) -> int:
        n_features = self.model.model_.n_features
        if self._column is not None:
            found = self._column.get(feature, -1)
            expected = "the name of a feature"
        else:
            found = _number(feature)
            expected = f"the number of a feature, from 0 to {n_features - 1:,}"
        if not 0 <= found < n_features:
            raise Refused(422, f"rows: expected {expected}, got {shown(feature)}")
        return found

    def _matrix(self, rows: list[tuple[list[int], list[float]]]) -> Any:
        columns = [column for own, _ in rows for column in own]
        values = [value for _, own in rows for value in own]
        indptr = np.cumsum([0, *(len(own) for own, _ in rows)])
        arrays = np.array(values, np.float32), np.array(columns, np.int32), indptr
        M = sp.csr_matrix(arrays, shape=(len(rows), self.model.model_.n_features))
        M.sort_indices()
        return M


def _ids(model: Any) -> list[str] | None:
    """What people call the labels: ids, else classes, else None."""
    if model.label_ids_ is None and model.model_.classes is not None:
        return [str(label) for label in model.classes_]
    return model.label_ids_


def _scores(top: TopK) -> list[list[float]]:
    """The scores of each row as the shortest decimals; where there is no label, whatever."""
    known = np.where(top.labels >= 0, top.scores, 0)
    values = list(map(float, value_texts(known.ravel())))
    k = known.shape[1]
    return [values[start : start + k] for start in range(0, len(values), k)]


def _number(text: str) -> int:
    """The number that a text is, as numbers are written; -1 if it is none."""
    plain = text.isdecimal() and len(text) <= LONGEST and str(int(text)) == text
    return int(text) if plain else -1
