"""Data from the files that a command line names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import click

from xmc.cli.output import Notices
from xmc.errors import DataError, ModelError, quoted
from xmc.formats import MATRIX_FORMATS

USUAL_KS = (1, 3, 5)


class Source(NamedTuple):
    """How files are read, as the flags say."""

    format: str | None = None
    zero_based: bool = True
    tsv_columns: str | None = None

    def format_of(self, path: str) -> str:
        """The format of a file."""
        from xmc.io import format_of

        return format_of(path, self.format)

    def read(self, path: str) -> Any:
        """The Dataset in a file."""
        from xmc.io import read

        return read(path, **self._asdict())

    def read_blocks(self, path: str, as_it_comes: bool = False) -> Any:
        """The rows of a file, block by block; as_it_comes: those of a pipe that have come."""
        from xmc.io import blocks, read_blocks
        from xmc.io.files import can_be_read_again

        n_bytes, comes = blocks.BLOCK_BYTES, as_it_comes and not can_be_read_again(path)
        return read_blocks(path, **self._asdict(), block_bytes=n_bytes, as_it_comes=comes)

    def count_rows(self, path: str) -> int:
        """How many rows a file has."""
        from xmc.io import count_rows

        return count_rows(path, **self._asdict())

    def is_headerless(self, path: str) -> bool:
        """Whether the file has no header, so that its largest ids give the widths of its
        matrices.
        """
        return self.format_of(path) == "svmlight"

    def check_stdin(self, path: str | None) -> None:
        """Raise a usage error if stdin is the input and its format isn't given."""
        if path == "-" and self.format is None:
            raise click.UsageError("stdin needs --format")


class TextEncoder(NamedTuple):
    """The user's encoder of texts, as the flags name it.

    name: module and name of a callable; None for no encoder.
    cache: the folder that keeps what it gives; None keeps nothing.
    """

    name: str | None = None
    cache: str | None = None

    def imported(self) -> Any:
        """The callable; None for no encoder."""
        from xmc.encoders import encoder_named

        return None if self.name is None else encoder_named(self.name)


NO_ENCODER = TextEncoder()


def read_labelled(paths: Sequence[str], source: Source) -> Any:
    """Rows with their labels as a Dataset, from two matrices X and Y or from one file."""
    if len(paths) > 2:
        raise click.UsageError(f"expected X.npz Y.npz or one file, got {len(paths)} paths")
    source.check_stdin(paths[0])
    if len(paths) == 2:
        return _read_pair(paths[0], paths[1], source)
    return _read_file(paths[0], source)


def _read_pair(x_path: str, y_path: str, source: Source) -> Any:
    from xmc.io import Dataset

    _check_pair((x_path, y_path), source)
    X, Y = (source.read(path).X for path in (x_path, y_path))
    if X.shape[0] != Y.shape[0]:
        raise DataError(
            f"{y_path}: expected {X.shape[0]:,} rows as in {x_path}, got {Y.shape[0]:,}"
        )
    return Dataset(X=X, Y=Y)


def read_blocks(paths: Sequence[str], source: Source) -> Iterator[Any]:
    """Rows as Datasets, of which one is in memory at a time; of two matrices X, then Y."""
    from xmc import io

    if len(paths) == 1:
        yield from io.read_blocks(paths[0], **source._asdict())
        return
    _check_pair(paths, source)
    for path, part in zip(paths, ("X", "Y"), strict=True):
        for block in io.read_blocks(path, **source._asdict()):
            yield io.Dataset(**{part: block.X})


def _check_pair(paths: Sequence[str], source: Source) -> None:
    for path in paths:
        if source.format_of(path) not in MATRIX_FORMATS:
            raise not_of_a_pair(path)


def not_of_a_pair(path: str) -> DataError:
    """The error of a path beside another one that isn't that of a matrix."""
    matrices = ".npz, or .txt that begins with 'rows columns'"
    return DataError(f"{path}: expected {matrices}; two paths are always X and Y")


def _read_file(path: str, source: Source) -> Any:
    format = source.format_of(path)
    if format in MATRIX_FORMATS:
        hint = "an .npz file holds one of them; give X.npz Y.npz"
        if format == "sparse":
            hint = "a sparse matrix is one of them; give X.txt Y.txt"
        raise DataError(f"{path}: expected features and labels, {hint}")
    if format == "text":
        hint = "a .tsv file has lines id,id<TAB>text"
        raise DataError(f"{path}: expected rows with labels, got plain text; {hint}")
    data = source.read(path)
    if data.Y is None:  # of a folder of rows
        raise DataError(f"{path}: expected rows with labels, these have none")
    return data


def pad_columns(M: Any, width: int) -> Any:
    """M with columns of zeros on the right, up to `width` columns."""
    import scipy.sparse as sp

    return sp.csr_matrix((M.data, M.indices, M.indptr), shape=(M.shape[0], max(width, M.shape[1])))


def name_columns(Y: Any, path: str, headerless: bool) -> tuple[Any, list[str], list[str]]:
    """Y, and ids and names of its columns; line i of a file of label names is column i."""
    from xmc.io import read_label_names

    ids, names = read_label_names(path)
    if headerless:
        Y = pad_columns(Y, len(ids))
    if len(ids) != Y.shape[1]:
        raise DataError(f"{path}: expected {Y.shape[1]:,} lines, one per label, got {len(ids):,}")
    return Y, ids, names


def names_of_ids(label_ids: Sequence[str], path: str) -> list[str]:
    """The names of the labels in a file of label names; a label without a name keeps its id."""
    from xmc.io import read_label_names

    known = dict(zip(*read_label_names(path), strict=True))
    return [known.get(label, label) for label in label_ids]


def read_vocabulary(path: str, notices: Notices) -> Any:
    """The vocabulary in a file; what reading it left out or changed is said."""
    from xmc import Vocabulary

    vocabulary = Vocabulary.read(path)
    for notice in vocabulary.notices:
        notices.say(f"{path}: {notice}")
    return vocabulary


def names_by_vocabulary(
    label_ids: Sequence[str],
    names: Sequence[str] | None,
    vocabulary: Any,
    path: str,
    notices: Notices,
) -> list[str]:
    """The labels' names in a vocabulary; one that it lacks keeps its name, or else its id."""
    check_concepts(label_ids, vocabulary, path, notices)
    found = zip(label_ids, names or label_ids, vocabulary.names_of(label_ids), strict=True)
    return [own if name == label else name for label, own, name in found]


def check_concepts(label_ids: Sequence[str], vocabulary: Any, path: str, notices: Notices) -> None:
    """Say how many labels the vocabulary lacks. Raises DataError if it lacks all."""
    lacking = sum(label not in vocabulary for label in label_ids)
    if lacking and lacking == len(label_ids):
        wanted, there = quoted(label_ids[0]), quoted(min(vocabulary.ids))
        raise DataError(f"{path}: expected ids of the labels, such as {wanted}, got {there}")
    what = "labels that the vocabulary lacks"
    notices.say_if_any(lacking, len(label_ids), what, "they keep their names or ids")


def load_model(
    path: str,
    n_threads: int | None,
    encoder: TextEncoder = NO_ENCODER,
    notices: Notices | None = None,
    **settings: Any,
) -> Any:
    """Load the model in a folder, and let it use this many threads.

    notices: of a command that reads all texts at once, which tells how far an encoder is with them.
    settings: of what ranks.
    """
    from xmc import load
    from xmc.encoders import EncodedVectorizer

    try:
        model = load(path, encoder=encoder.imported())
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror or error}") from error
    if encoder.name is not None:
        model.encoder_cache = encoder.cache
    vectorizer = getattr(model, "vectorizer_", None)
    if notices is not None and isinstance(vectorizer, EncodedVectorizer):
        vectorizer.verbose = int(not notices.quiet)
    matrix_model(model).set_params(n_jobs=n_threads or -1, verbose=0, **settings)
    return model


def matrix_model(model: Any) -> Any:
    """The estimator that takes X: the model itself, or the classifier of a model of texts."""
    return getattr(model, "classifier_", model)


def model_labels(model: Any) -> tuple[list[str] | None, list[str] | None]:
    """Ids and names of a model's labels, None where there are none.

    The ids are the classes if the model was trained on one label per row.
    """
    if model.model_.classes is not None and model.label_ids_ is None:
        return [str(label) for label in model.classes_], None
    return model.label_ids_, model.label_names_


def read_rows(
    model: Any, path: str | None, texts: list[str], source: Source, notices: Notices
) -> tuple[Any, list[str] | None]:
    """X for the model, and the texts that it was made from, if there are any."""
    from xmc.io import Dataset

    if path is None:
        return features_for(model, Dataset(texts=texts), False, notices), texts
    dataset = source.read(path)
    return features_for(model, dataset, source.is_headerless(path), notices), dataset.texts


def rows_in(blocks: Iterable[Any], rows: range) -> Iterator[Any]:
    """The blocks with only these rows of all, counted from 0."""
    at = 0
    for block in blocks:
        start, stop = max(rows.start - at, 0), min(rows.stop - at, block.n_rows)
        at += block.n_rows
        if start < stop:
            yield block if stop - start == block.n_rows else block.part(start, stop)
        if at >= rows.stop:
            return


class Unseen:
    """The features of headerless rows, of which the model may lack some."""

    def __init__(self, model: Any):
        self.n_features = model.model_.n_features
        self.used: Any = ()  # ascending

    def left_out(self, X: Any) -> Any:
        """X with the features of the model."""
        import numpy as np

        self.used = np.union1d(self.used, X.indices)
        return pad_columns(X[:, : self.n_features], self.n_features)

    def say(self, notices: Notices) -> None:
        """Say how many features were left out."""
        unseen = sum(feature >= self.n_features for feature in self.used)
        what = "features that training lacks"
        notices.say_if_any(unseen, len(self.used), what, "they are ignored")


def features_for(
    model: Any, dataset: Any, headerless: bool, notices: Notices, unseen: Unseen | None = None
) -> Any:
    """X as the model takes it: its vectoriser reads texts; headerless rows are padded, or lose the
    features that the model doesn't know, as a vectoriser leaves out words that it doesn't know.

    unseen: remembers what of several blocks is left out; of all rows at once, that is said.
    """
    if dataset.texts is not None and (dataset.X is None or hasattr(model, "vectorizer_")):
        return _vectorized(model, dataset.texts, notices.who)
    X, n_features = dataset.X, model.model_.n_features
    if headerless:
        known = unseen or Unseen(model)
        X = known.left_out(X)
        if unseen is None:
            known.say(notices)
    if X.shape[1] != n_features:
        trained = f"model was trained on {n_features:,} features"
        raise DataError(f"{notices.who}: {trained}, rows have {X.shape[1]:,}")
    return X


def labels_for(model: Any, dataset: Any, path: str, headerless: bool) -> tuple[Any, Any]:
    """The true labels of a data set, those of the model first, and their ids if they have some.

    They are matched by id where both have ids, otherwise by column. Raises DataError if there are
    fewer columns than the model has labels.
    """
    from xmc.io import align_labels

    Y, ids = dataset.Y, model_labels(model)[0]
    if dataset.label_ids is not None and ids is not None:
        return align_labels(Y, dataset.label_ids, ids)
    if headerless:
        Y = pad_columns(Y, model.n_labels_)
    if Y.shape[1] < model.n_labels_:
        expected = f"expected {model.n_labels_:,} labels as the model has"
        raise DataError(f"{path}: {expected}, got {Y.shape[1]:,}")
    return Y, ids


def _vectorized(model: Any, texts: list[str], who: str) -> Any:
    if not hasattr(model, "vectorizer_"):
        raise DataError(
            f"{who}: expected rows of features, got texts; the model was not trained on texts"
        )
    return model.rows(texts)


def default_ks(ks: Sequence[int], most: int) -> tuple[int, ...]:
    """The ks that the user asked for, otherwise the usual ones that are at most `most`."""
    return tuple(sorted(set(ks))) or tuple(k for k in USUAL_KS if k <= most) or (1,)


def check_k(who: str, k: int, n_labels: int) -> None:
    """Raise ParameterError if there are fewer than k labels."""
    from xmc import topk

    topk.check_k(who, k, n_labels)
