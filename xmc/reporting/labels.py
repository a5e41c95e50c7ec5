"""What labels are called on a page, in a table and in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Labels(NamedTuple):
    """Ids and names by number; without ids a label is its number, without a name its id."""

    ids: Sequence[str] | None
    names: Sequence[str] | None

    def id(self, label: int) -> str:
        known = self.ids is not None and label < len(self.ids)
        return self.ids[label] if known and self.ids is not None else str(label)

    def name(self, label: int) -> str:
        if self.names is not None and label < len(self.names):
            return self.names[label]
        return self.id(label)

    def record(self, label: int) -> dict[str, str]:
        """Id and name, as predictions in JSON have them: no name where it is the id."""
        named = {"id": self.id(label)}
        return named if self.name(label) == named["id"] else named | {"name": self.name(label)}


def labels_of(model: Any) -> Labels:
    """What a trained model calls its labels; they are its classes if each row had one label."""
    if model.model_.classes is not None and model.label_ids_ is None:
        return Labels([str(label) for label in model.classes_], None)
    return Labels(model.label_ids_, model.label_names_)
