"""Folders of rows whose texts become features on the way, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .io.datasets import Dataset
from .io.files import FilePath
from .io.folder import as_model_error
from .io.rows_writer import writing
from .io.stored import FILE, StoredRows, as_data_error, open_rows
from .text import Vectorizer, fit_only, is_fitted, pack, unpack


def write_rows(
    path: FilePath,
    blocks: Iterable[Dataset],
    *,
    vectorizer: Vectorizer | None = None,
    known_ids: Sequence[str] = (),
    overwrite: bool = False,
) -> StoredRows:
    """Write the rows of all blocks as a folder of rows, and open it. One block is in memory at a
    time.

    vectorizer: turns texts into X. If it isn't fitted, it is fitted on all of them first, to what
        it would learn of a list of them.
    known_ids: of labels that come first, in this order; others ascend by their ids.
    Raises DataError if the path exists and overwrite is False, if it is no folder of rows, or if it
    can't be written.
    """
    with writing(path, overwrite) as writer:
        if vectorizer is None or is_fitted(vectorizer):
            for block in blocks:
                writer.append(block if vectorizer is None else _transformed(block, vectorizer))
        else:
            for block in blocks:
                writer.append(block._replace(X=None))
            texts = writer.texts()
            fit_only(vectorizer, texts)
            for some in texts.blocks():
                writer.append_features(vectorizer.transform(some))
        writer.finish(known_ids, None if vectorizer is None else pack(vectorizer))
    return open_rows(path)


def _transformed(block: Dataset, vectorizer: Any) -> Dataset:
    return block._replace(X=vectorizer.transform(block.texts))


def vectorizer_of(rows: StoredRows) -> Vectorizer | None:
    """What made the features of texts; None where rows don't come from texts.

    Raises DataError if it is damaged.
    """
    if rows.packed_vectorizer is None:
        return None
    with as_data_error(), as_model_error(rows.path, FILE):
        return unpack(*rows.packed_vectorizer)
