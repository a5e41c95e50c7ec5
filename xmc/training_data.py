"""What a fit is given, past the door: rows, labels, what errors cost, negatives and a seed."""

from __future__ import annotations

import numbers
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from .arrays import Lists, Rows, Targets, frozen
from .checkpoint import NOTHING_KEPT, Checkpoint
from .errors import DataError, ParameterError
from .evidence.names import NameIndex
from .evidence.sources import Beside
from .features import Reading
from .frames import check_no_missing, columns_of, is_frame
from .inputs import as_targets, canonical, selected
from .io.stored import StoredRows
from .kernels.gather import UNIT, squared_norms, transpose
from .label_lists import are_lists, is_number, listed
from .label_tree import LabelTree
from .propensity import propensities_of
from .training.problem import EQUAL, UserNegatives

MOST_COSTS = 1e9  # the largest of Y's values over the smallest, as costs
WEIGHTS = 1e-9, 1e9  # of rows, besides 0: what float32 computes with


class DescribedRows(NamedTuple):
    """Rows of features with the texts that they come from.

    names: of the labels; where None, the trained model knows them.
    related: which labels are broader and narrower, where a vocabulary says so; likewise.
    """

    X: Any
    texts: Sequence[str]
    names: NameIndex | None = None
    related: Beside | None = None

    def of(self, kept: np.ndarray) -> DescribedRows:
        """The same with the texts of the rows where `kept` is True."""
        return self._replace(texts=[self.texts[row] for row in np.flatnonzero(kept).tolist()])


def stored_in(X: Any) -> StoredRows | None:
    """The folder of rows that X is, or whose texts it describes; None if it is none."""
    X = X.X if isinstance(X, DescribedRows) else X
    return X if isinstance(X, StoredRows) else None


def labels_of(X: Any, y: Any) -> Any:
    """y, or without it the labels in the folder of rows that X is.

    Raises DataError if it has none.
    """
    stored = stored_in(X)
    if y is not None or stored is None:
        return y
    if stored.Y is None:
        raise DataError(f"{stored.path}: expected labels to learn, the rows have none")
    return stored.Y


class Widths(NamedTuple):
    """How wide X and Y are as the user has them, and which columns a fit has numbered anew.

    kept_features, kept_labels: int32, the old numbers of those that occur, ascending; None where
        all keep theirs.
    """

    n_features: int
    n_labels: int
    kept_features: np.ndarray | None = None
    kept_labels: np.ndarray | None = None


class TrainingData(NamedTuple):
    """Data and seed of a fit. Features and labels are numbered as `widths` says."""

    X: Rows
    Y: Targets
    rows_of_label: Lists
    classes: np.ndarray | None  # of a 1-D y, else None
    user_negatives: Sequence[Any] | None  # as the user gave them: checked once there is a tree
    seed: int
    widths: Widths
    described: DescribedRows | None = None  # the same rows with their texts, where they have texts
    row_weights: np.ndarray = EQUAL  # float32, of errors on each row; empty if all are 1
    checkpoint: Checkpoint = NOTHING_KEPT  # keeps finished jobs
    reading: Reading | None = None  # how the rows were read, if by more than their length

    def given(self) -> dict[str, Any]:
        """What the fit was given, by what people call it."""
        return {
            "X": (self.X, self.widths.n_features, self.widths.kept_features),
            "y": (self.Y, self.widths.n_labels, self.widths.kept_labels, self.classes),
            "user_negatives": self.user_negatives,
            "sample_weight": self.row_weights,
        }

    @property
    def label_counts(self) -> np.ndarray:
        """Training rows of each label."""
        return np.diff(self.rows_of_label.indptr)

    def of(self, kept: np.ndarray) -> TrainingData:
        """The rows where `kept` is True, without texts and the user's negatives."""
        costs = self.Y.costs if len(self.Y.costs) else np.ones(len(self.Y.ids), np.float32)
        Y = sp.csr_matrix((costs, *self.Y[1::-1]), (self.X.n_rows, len(self.label_counts)))[kept]
        ends = frozen(Y.indptr.astype(np.int64))
        ids = frozen(Y.indices.astype(np.int32))
        return self._replace(
            X=selected(self.X, kept),
            Y=Targets(ends, ids, frozen(Y.data) if len(self.Y.costs) else self.Y.costs),
            rows_of_label=Lists(*map(frozen, transpose(ends, ids, Y.shape[1]))),
            row_weights=frozen(self.row_weights[kept]) if len(self.row_weights) else EQUAL,
            user_negatives=None,
            described=None,
        )

    def truth(self, known: np.ndarray) -> sp.csr_matrix:
        """The labels of the rows, those where `known`, bool (n_labels,), is True."""
        ids, indptr, shape = self.Y.ids, self.Y.indptr, (self.X.n_rows, len(known))
        Y = sp.csr_matrix((known[ids].astype(np.float32), ids, indptr), shape, copy=True)
        Y.eliminate_zeros()
        return Y


def as_row_weights(given: Any, n_rows: int, who: str) -> np.ndarray:
    """The weight of each row, float32; nothing if all are 1. One number is the weight of each.

    Raises DataError unless they are numbers of at least 0, within bounds, and one is above 0.
    """
    if given is None:
        return EQUAL
    try:
        weights = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        weights = np.empty((0, 0))
    if weights.ndim == 0:
        weights = np.full(n_rows, weights)
    if weights.shape != (n_rows,):
        got = f"{len(weights):,}" if weights.ndim == 1 else "something else"
        raise DataError(
            f"{who}: expected a number for each of {n_rows:,} rows as weights, got {got}"
        )
    wrong = ~((weights == 0) | ((weights >= WEIGHTS[0]) & (weights <= WEIGHTS[1])))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{who}: expected weights of rows that are 0 or from {WEIGHTS[0]:g} to {WEIGHTS[1]:g}, "
            f"got {weights[row]:g} in row {row} (counted from 0)"
        )
    if not weights.any():
        raise DataError(f"{who}: expected weights of rows that are not all zero")
    return EQUAL if (weights == 1).all() else frozen(weights.astype(np.float32))


def kept_negatives(given: Any, kept: np.ndarray, who: str) -> Any:
    """The user's negatives of the rows where `kept` is True, where they have as many rows."""
    if given is None:
        return None
    found = []
    for level, M in enumerate(given):
        csr = None if M is None else canonical(M, who, f"user_negatives[{level}]")
        if csr is not None and csr.shape[0] == len(kept):  # others are refused once there is a tree
            csr = csr[kept]
        found.append(csr)
    return found


def as_label_matrix(y: Any, who: str) -> tuple[sp.csr_matrix, np.ndarray | None]:
    """y as CSR (n_rows, n_labels), and the classes if it was one label per row."""
    if y is None:
        raise DataError(f"{who} requires y to be passed, but the target y is None")
    if sp.issparse(y) or (is_frame(y) and y.shape[1] > 1):
        return _checked_matrix(y, who), None
    column = columns_of(y)[0][1] if is_frame(y) and y.shape[1] else y
    check_no_missing(column, who, "y")
    if are_lists(listed(column), is_number):
        raise DataError(
            f"{who}: expected a matrix as y, got lists of labels; scikit-learn's "
            "MultiLabelBinarizer(sparse_output=True) makes one of them"
        )
    try:
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            return _checked_matrix(y, who), None
        if y.ndim == 2:
            expected = "A column-vector y was passed when a 1d array was expected"
            warnings.warn(expected, DataConversionWarning, stacklevel=4)
        y = column_or_1d(y)
        check_classification_targets(y)
        classes, ids = np.unique(y, return_inverse=True)
    except DataError:
        raise
    except (TypeError, ValueError) as error:
        raise DataError(f"{who}: y can't be read: {' '.join(str(error).split())}") from None
    one_hot = (np.ones(len(ids), np.float32), ids.astype(np.int32), np.arange(len(ids) + 1))
    return sp.csr_matrix(one_hot, shape=(len(ids), len(classes))), classes


def _checked_matrix(y: Any, who: str) -> sp.csr_matrix:
    Y = canonical(y, who, "Y")
    if (Y.data < 0).any():
        raise DataError(f"{who}: expected no negative values in Y, got {Y.data.min()}")
    if Y.shape[1] == 0:
        raise DataError(f"{who}: expected at least one label, Y has no columns")
    return Y


def label_costs(Y: sp.csr_matrix, counts: np.ndarray, params: Any, who: str) -> np.ndarray:
    """What missing each label of each row costs; nothing if all cost the same.

    counts: training rows of each label.
    """
    if params.costs == "equal":
        return frozen(np.empty(0, np.float32))
    if params.solver != "block":
        raise ParameterError(f"{who}: costs={params.costs!r} needs solver='block'")
    if params.costs == "relevance":
        if Y.data.max() > MOST_COSTS * float(Y.data.min()):
            raise DataError(
                f"{who}: expected the largest value of Y to be at most {MOST_COSTS:g} times the "
                f"smallest with costs='relevance', got {Y.data.min():g} to {Y.data.max():g}"
            )
        return frozen(Y.data)
    p = propensities_of(counts, Y.shape[0], params.propensity_a, params.propensity_b)
    return frozen((1 / p).astype(np.float32)[Y.indices])


def middle_length(X: Rows) -> float:
    """The median length of the rows with features; exactly 1 where rows are scaled to that."""
    squares = squared_norms(X.indptr, X.data)
    squares = squares[squares > 0]
    length = float(np.sqrt(np.median(squares))) if len(squares) else 1.0
    return length if abs(length - 1) > UNIT else 1.0


def as_user_negatives(
    given: Sequence[Any], tree: LabelTree, n_rows: int, who: str
) -> UserNegatives:
    """The user's negatives by level: None, or the nodes whose children each row trains too."""
    if len(given) != tree.depth:
        raise DataError(
            f"{who}: expected a matrix or None in user_negatives per level, {tree.depth}, "
            f"got {len(given)}"
        )
    checked: list[Lists | None] = []
    for level, M in enumerate(given):
        csr = None if M is None else canonical(M, who, f"user_negatives[{level}]")
        shape = n_rows, len(tree.chunks[level]) - 1
        if csr is not None and csr.shape != shape:
            raise DataError(
                f"{who}: expected shape {shape} in user_negatives[{level}], got {csr.shape}"
            )
        checked.append(None if csr is None else Lists(*as_targets(csr)[:2]))
    return checked


def as_seed(random_state: Any) -> int:
    """An int, the same for the same random_state."""
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def as_label_texts(given: Any, n_labels: int, what: str, who: str) -> list[str] | None:
    """Ids or names of the labels as a list of str, one per column of Y; None if none are given."""
    if given is None:
        return None
    texts = as_list(given, what, who)
    for value in texts:
        if not isinstance(value, (str, numbers.Integral)):
            raise DataError(f"{who}: expected a str for each of {what}, got {value!r}")
    if len(texts) != n_labels:
        raise DataError(f"{who}: expected {n_labels:,} {what}, one per label, got {len(texts):,}")
    texts = list(map(str, texts))
    if what == "label_ids":
        check_once(texts, who)
    return texts


def as_list(given: Any, what: str, who: str) -> list[Any]:
    """A sequence as a list. Raises DataError at one str, a mapping, or what has no length."""
    if isinstance(given, (str, bytes, Mapping)) or not hasattr(given, "__len__"):
        raise DataError(f"{who}: expected a list as {what}, got {type(given).__name__}")
    return list(given)


def check_once(label_ids: Sequence[str], who: str) -> None:
    """Raise DataError if an id comes twice."""
    if len(set(label_ids)) < len(label_ids):
        twice, _ = Counter(label_ids).most_common(1)[0]
        raise DataError(f"{who}: expected each of label_ids once, got {twice!r} twice")
