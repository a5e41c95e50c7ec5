"""Data from the files that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from xmc.errors import DataError, ModelError


def read_labelled(paths: Sequence[str], format: str | None, zero_based: bool) -> Any:
    """Rows with their labels, a Dataset: from two .npz files, X and Y, or from one file of another
    format.
    """
    if len(paths) > 2:
        raise click.UsageError(f"expected X.npz Y.npz or one file, got {len(paths)} paths")
    check_stdin(paths[0], format)
    return (
        _read_pair(*paths, format) if len(paths) == 2 else _read_file(paths[0], format, zero_based)
    )


def _read_pair(x_path: str, y_path: str, format: str | None) -> Any:
    from xmc.io import Dataset, format_of, read_matrix

    for path in (x_path, y_path):
        if format_of(path, format) != "npz":
            raise DataError(f"{path}: expected .npz, two paths are always X.npz Y.npz")
    X, Y = read_matrix(x_path), read_matrix(y_path)
    if X.shape[0] != Y.shape[0]:
        raise DataError(
            f"{y_path}: expected {X.shape[0]:,} rows as in {x_path}, got {Y.shape[0]:,}"
        )
    return Dataset(X=X, Y=Y)


def _read_file(path: str, format: str | None, zero_based: bool) -> Any:
    from xmc.io import format_of, read

    format = format_of(path, format)
    if format == "npz":
        raise DataError(
            f"{path}: expected features and labels, an .npz file holds one of them; give X.npz Y.npz"
        )
    if format == "text":
        raise DataError(
            f"{path}: expected rows with labels, got plain text; a .tsv file has lines id,id<TAB>text"
        )
    return read(path, format=format, zero_based=zero_based)


def is_headerless(path: str, format: str | None) -> bool:
    """Whether the widths of the file's matrices are only those of their largest ids."""
    from xmc.io import format_of

    return format_of(path, format) == "svmlight"


def widened(M: Any, width: int) -> Any:
    """M with columns of zeros up to `width`."""
    import scipy.sparse as sp

    return sp.csr_matrix((M.data, M.indices, M.indptr), shape=(M.shape[0], max(width, M.shape[1])))


def name_columns(Y: Any, path: str, headerless: bool) -> tuple[Any, list[str], list[str]]:
    """Y, ids and names of its columns from a file of label names, line i for column i."""
    from xmc.io import read_label_names

    ids, names = read_label_names(path)
    if headerless:
        Y = widened(Y, len(ids))
    if len(ids) != Y.shape[1]:
        raise DataError(f"{path}: expected {Y.shape[1]:,} lines, one per label, got {len(ids):,}")
    return Y, ids, names


def names_of_ids(label_ids: Sequence[str], path: str) -> list[str]:
    """The names of these labels in a file of label names; the id where it has none."""
    from xmc.io import read_label_names

    known = dict(zip(*read_label_names(path), strict=True))
    return [known.get(label, label) for label in label_ids]


def load_model(path: str, n_threads: int | None) -> Any:
    """The model in a folder, set to work with so many threads."""
    from xmc.model_files import load

    try:
        model = load(path)
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror or error}") from error
    model.n_jobs = n_threads or -1
    model.verbose = 0
    return model


def model_labels(model: Any) -> tuple[list[str] | None, list[str] | None]:
    """Ids and names of a model's labels; the classes are the ids if it was trained with one label
    per row.
    """
    if model.one_label_per_row_ and model.label_ids_ is None:
        return [str(label) for label in model.classes_], None
    return model.label_ids_, model.label_names_


def features_for(model: Any, dataset: Any, headerless: bool) -> Any:
    """X of a data set as the model takes it: texts through its vectoriser, headerless rows padded
    to its width.
    """
    if dataset.texts is not None:
        return _vectorized(model, dataset.texts)
    X, n_features = dataset.X, model.n_features_in_
    if headerless and X.shape[1] < n_features:
        X = widened(X, n_features)
    if X.shape[1] != n_features:
        raise DataError(
            f"predict: model was trained on {n_features:,} features, rows have {X.shape[1]:,}"
        )
    return X


def _vectorized(model: Any, texts: list[str]) -> Any:
    if model.vectorizer_ is None:
        raise DataError(
            "predict: expected rows of features, got texts; the model was not trained on texts"
        )
    return model.vectorizer_.transform(texts)


def check_stdin(path: str | None, format: str | None) -> None:
    """Raises a usage error if stdin is to be read and its format isn't given."""
    if path == "-" and format is None:
        raise click.UsageError("stdin needs --format")


def default_ks(ks: Sequence[int], most: int) -> tuple[int, ...]:
    """1, 3 and 5 as far as there are so many, unless other ks were asked for."""
    return tuple(sorted(set(ks))) or tuple(k for k in (1, 3, 5) if k <= most) or (1,)


def check_k(who: str, k: int, n_labels: int) -> None:
    """Raises ParameterError if there aren't k labels."""
    from xmc.inputs import check_k as check

    check(who, k, n_labels)
