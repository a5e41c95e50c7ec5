"""How good predictions are: P@k, R@k, nDCG@k, PSP@k, PSnDCG@k, coverage@k and F1@k.

Every metric takes `(Y_true, predictions, k)` and returns a float in [0, 1].

`Y_true` is a sparse or dense matrix, rows x labels; what is not zero is a true label. `predictions`
is a TopK, taken in the order it stands, or a sparse matrix of scores: its stored entries, best
first, equal scores in stored order. It may
know fewer labels than `Y_true`: true labels that it doesn't know count as misses. An empty place
counts as a miss.

In the formulas, n is the number of rows, Y_i the true labels of row i and l_i1 ... l_ik its best k
predictions; hit_ij is 1 if l_ij is in Y_i, else 0.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .errors import DataError, ParameterError
from .kernels.metrics import best_place_gains, count_labels, find_hits, place_gains, row_gains
from .propensity import propensities_of
from .topk import TopK

Matrix = sp.spmatrix | sp.sparray | np.ndarray
Predictions = TopK | sp.spmatrix | sp.sparray


def precision_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """P@k, the share of the k places that hit: sum_ij hit_ij / (n k).

    Rows without true labels count 0, rows with fewer than k predictions are divided by k all the
    same.
    """
    return _precision(_judge("precision_at_k", Y_true, predictions, (k,)), k)


def recall_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """R@k, the mean share of a row's true labels that hit: mean_i sum_j hit_ij / |Y_i|.

    Rows without true labels are left out; 0 if there are no others.
    """
    return _recall(_judge("recall_at_k", Y_true, predictions, (k,)), k)


def ndcg_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """nDCG@k: 1/n sum_i [sum_j hit_ij / log2(j + 1)] / [sum_{j <= min(k, |Y_i|)} 1 / log2(j + 1)].

    Rows without true labels count 0.
    """
    return _ndcg(_judge("ndcg_at_k", Y_true, predictions, (k,)), k)


def psp_at_k(Y_true: Matrix, predictions: Predictions, k: int, *, propensity: np.ndarray) -> float:
    """PSP@k, propensity-scored precision: sum_ij hit_ij / p(l_ij) over the most that any
    predictions could reach.

    A ratio of two sums over all rows, not a mean of ratios; the most is reached by each row's k
    true labels of smallest p. `propensity` holds p of every column of `Y_true`, see `propensities`.
    Jain et al., KDD 2016.
    """
    judged = _judge("psp_at_k", Y_true, predictions, (k,))
    return _psp(_gains("psp_at_k", judged, propensity), k)


def psndcg_at_k(
    Y_true: Matrix, predictions: Predictions, k: int, *, propensity: np.ndarray
) -> float:
    """PSnDCG@k: sum_ij hit_ij / (p(l_ij) log2(j + 1)) over the most that any predictions could
    reach.

    PSDCG@k of Jain et al., KDD 2016, as a share of its maximum: a ratio of two sums over all rows,
    as in `psp_at_k`. The most is reached by each row's k true labels of smallest p, in that order.
    The paper divides PSDCG@k by sum_{j <= k} 1 / log2(j + 1), which is the same for all rows and
    cancels here. pyxclib divides each row by its own ideal DCG over min(k, |Y_i|) places before it
    sums, so its numbers differ.
    """
    judged = _judge("psndcg_at_k", Y_true, predictions, (k,))
    return _psndcg(_gains("psndcg_at_k", judged, propensity), k)


def coverage_at_k(Y_true: Matrix, predictions: Predictions, k: int) -> float:
    """coverage@k, labels that hit in at least one row over labels with at least one true row; 0
    without true labels.
    """
    return _coverage(_judge("coverage_at_k", Y_true, predictions, (k,)), k)


def f1_at_k(Y_true: Matrix, predictions: Predictions, k: int, *, average: str = "macro") -> float:
    """F1@k when a row's best k predictions are taken as its labels; rows without true labels are
    left out.

    For label l, t_l rows have it, s_l rows name it in their k places, h_l rows do both.
    macro: mean of 2 h_l / (t_l + s_l) over the labels with t_l + s_l > 0.  micro: 2 sum h_l / (sum
    t_l + sum s_l). Empty places are not named labels. 0 if no row has true labels.
    """
    if average not in ("macro", "micro"):
        raise ParameterError(f"f1_at_k: average must be 'macro' or 'micro', got {average!r}")
    return _f1(_judge("f1_at_k", Y_true, predictions, (k,)), k)[average]


def propensities(Y_train: Matrix, a: float = 0.55, b: float = 1.5) -> np.ndarray:
    """(n_labels,) float64, the chance p_l that a true label is recorded, from its number of
    training rows N_l.

    p_l = 1 / (1 + C (N_l + b)^-a),  C = max(0, log N - 1) (b + 1)^a,  N training rows.  Jain et
    al., KDD 2016. The paper's C is negative for N <= 2, where p would leave (0, 1]; with the
    maximum, p is 1 there. Wikipedia-like sets use (0.5, 0.4), Amazon-like (0.6, 2.6).
    """
    if not (_is_real(a) and 0 <= a < np.inf):
        raise ParameterError(f"propensities: a must be a number >= 0, got {a!r}")
    if not (_is_real(b) and 0 < b < np.inf):
        raise ParameterError(f"propensities: b must be a number > 0, got {b!r}")
    Y = _truth("propensities", Y_train, "Y_train")
    return propensities_of(np.bincount(Y.indices, minlength=Y.shape[1]), Y.shape[0], a, b)


def report(
    Y_true: Matrix,
    predictions: Predictions,
    ks: Sequence[int] = (1, 3, 5),
    propensity: np.ndarray | None = None,
) -> dict[str, float | int]:
    """Every metric at every k in percent, `P@1` to `micro-F1@5`, and the counts they rest on,
    `n_rows` and so on.

    Keys go by metric, then by k: P, nDCG, R, PSP and PSnDCG (with `propensity` only), coverage,
    macro-F1, micro-F1.
    """
    if not np.iterable(ks) or not len(ks):
        raise ParameterError(f"report: ks must be a sequence of ints, got {ks!r}")
    judged = _judge("report", Y_true, predictions, ks)
    columns = {"P": _precision, "nDCG": _ndcg, "R": _recall}
    found = {f"{name}@{k}": metric(judged, k) for name, metric in columns.items() for k in ks}
    if propensity is not None:
        gains = _gains("report", judged, propensity)
        found |= {
            f"{name}@{k}": metric(gains, k)
            for name, metric in (("PSP", _psp), ("PSnDCG", _psndcg))
            for k in ks
        }
    f1 = {k: _f1(judged, k) for k in ks}
    found |= {f"coverage@{k}": _coverage(judged, k) for k in ks}
    found |= {f"{average}-F1@{k}": f1[k][average] for average in ("macro", "micro") for k in ks}
    return {name: 100 * value for name, value in found.items()} | _counts(judged)


class _Judged(NamedTuple):
    """Predictions held against the truth."""

    labels: np.ndarray  # (n_rows, k) int32, -1 in empty places
    hits: np.ndarray  # (n_rows, k) bool
    indptr: np.ndarray  # (n_rows + 1,) int64, into indices
    indices: np.ndarray  # int32, the true labels, row by row
    n_labels: int

    @property
    def n_true(self) -> np.ndarray:
        return np.diff(self.indptr)

    @property
    def n_rows_by_label(self) -> np.ndarray:
        return np.bincount(self.indices, minlength=self.n_labels)


class _Gains(NamedTuple):
    """Sums over rows of 1 / p, by place."""

    reached: np.ndarray
    best: np.ndarray


def _precision(judged: _Judged, k: int) -> float:
    return float(judged.hits[:, :k].mean())


def _recall(judged: _Judged, k: int) -> float:
    n_hits, n_true = row_gains(judged.hits, np.ones(k)), judged.n_true
    has = n_true > 0
    return float(np.mean(n_hits[has] / n_true[has])) if has.any() else 0.0


def _ndcg(judged: _Judged, k: int) -> float:
    best = np.concatenate([[0.0], np.cumsum(_discounts(k))])[np.minimum(judged.n_true, k)]
    gains = row_gains(judged.hits, _discounts(k))
    return min(1.0, float(np.divide(gains, best, out=np.zeros_like(best), where=best > 0).mean()))


def _psp(gains: _Gains, k: int) -> float:
    return _share(gains.reached[:k].sum(), gains.best[:k].sum())


def _psndcg(gains: _Gains, k: int) -> float:
    return _share(gains.reached[:k] @ _discounts(k), gains.best[:k] @ _discounts(k))


def _coverage(judged: _Judged, k: int) -> float:
    _, hit = _named_and_hit(judged, k)
    return _share(np.count_nonzero(hit), np.count_nonzero(judged.n_rows_by_label))


def _f1(judged: _Judged, k: int) -> dict[str, float]:
    named, hit = _named_and_hit(judged, k)
    total = judged.n_rows_by_label + named
    seen = total > 0
    macro = float(np.mean(2 * hit[seen] / total[seen])) if seen.any() else 0.0
    return {"macro": macro, "micro": _share(2 * hit.sum(), total.sum())}


def _named_and_hit(judged: _Judged, k: int) -> tuple[np.ndarray, np.ndarray]:
    return count_labels(judged.indptr, judged.labels, judged.hits, int(k), judged.n_labels)


def _counts(judged: _Judged) -> dict[str, int]:
    return {
        "n_rows": len(judged.labels),
        "n_rows_without_labels": int(np.count_nonzero(judged.n_true == 0)),
        "n_rows_without_predictions": int(np.count_nonzero((judged.labels < 0).all(axis=1))),
        "n_labels": judged.n_labels,
        "n_labels_with_rows": int(np.count_nonzero(judged.n_rows_by_label)),
    }


def _discounts(k: int) -> np.ndarray:
    return 1 / np.log2(np.arange(2, k + 2))


def _share(part: float, whole: float) -> float:
    """Rounding may lift a sum in another order above the whole."""
    return min(1.0, float(part / whole)) if whole > 0 else 0.0


def _gains(who: str, judged: _Judged, propensity: np.ndarray) -> _Gains:
    weights = 1 / _checked_propensity(who, propensity, judged.n_labels)
    best = best_place_gains(judged.indptr, judged.indices, weights, judged.labels.shape[1])
    return _Gains(place_gains(judged.labels, judged.hits, weights), best)


def _judge(who: str, Y_true: Matrix, predictions: Predictions, ks: Sequence[int]) -> _Judged:
    """The best max(ks) labels of each row and whether they hit; everything is checked here."""
    Y = _truth(who, Y_true, "Y_true")
    for k in ks:
        _check_k(who, k, Y.shape[1])
    labels = _best_labels(who, predictions, int(max(ks)), *Y.shape)
    indptr, indices = Y.indptr.astype(np.int64), Y.indices.astype(np.int32)
    hits, repeated = find_hits(indptr, indices, labels, Y.shape[1])
    if repeated >= 0:
        raise DataError(
            f"{who}: expected each label once per row, row {repeated} of predictions has one twice"
        )
    return _Judged(labels, hits, indptr, indices, Y.shape[1])


def _truth(who: str, Y: Any, name: str) -> sp.csr_matrix:
    """Y as bool CSR without zeros and duplicates."""
    Y = Y if sp.issparse(Y) else _array(who, Y, name)
    if Y.ndim != 2 or Y.dtype.kind not in "biuf":
        raise DataError(
            f"{who}: {name} must be a 2-D matrix of numbers, got {Y.ndim}-D of {Y.dtype}"
        )
    if not Y.shape[0]:
        raise DataError(f"{who}: {name} must have rows, got none")
    Y = sp.coo_matrix(Y)
    if np.isnan(Y.data).any():
        raise DataError(f"{who}: {name} must not hold NaN")
    true = Y.data != 0
    return sp.csr_matrix((true[true], (Y.row[true], Y.col[true])), shape=Y.shape)


def _best_labels(who: str, predictions: Any, k: int, n_rows: int, n_labels: int) -> np.ndarray:
    """(n_rows, k) int32, contiguous and writable, so that the kernels compile for one kind of
    array.
    """
    if not isinstance(predictions, TopK):
        return _best_of_sparse(who, predictions, k, n_rows, n_labels).labels
    labels, scores = (
        _array(who, predictions.labels, "labels"),
        _array(who, predictions.scores, "scores"),
    )
    _check_topk(who, labels, scores)
    _check_rows(who, len(labels), n_rows)
    if labels.shape[1] < k:
        raise DataError(
            f"{who}: expected {k} places per row, got predictions with {labels.shape[1]}; predict with k={k}"
        )
    labels = labels[:, :k]
    if labels.min() < -1 or labels.max() >= n_labels:
        wrong = labels.min() if labels.min() < -1 else labels.max()
        raise DataError(f"{who}: Y_true has {n_labels:,} labels, predictions name label {wrong:,}")
    return np.array(labels, np.int32, order="C")


def _best_of_sparse(who: str, predictions: Any, k: int, n_rows: int, n_labels: int) -> TopK:
    if not sp.issparse(predictions) or predictions.ndim != 2:
        raise DataError(
            f"{who}: predictions must be a TopK or a sparse matrix, got {type(predictions).__name__}"
        )
    if predictions.dtype.kind not in "biuf":
        raise DataError(f"{who}: scores must be numbers, got {predictions.dtype}")
    _check_rows(who, predictions.shape[0], n_rows)
    if predictions.shape[1] > n_labels:
        raise DataError(
            f"{who}: Y_true has {n_labels:,} labels, predictions have {predictions.shape[1]:,}"
        )
    P = predictions.tocsr()
    _check_scores(who, P.data)
    scores = P.data.astype(np.float64)  # bool and unsigned have no negative to sort by
    return TopK.from_csr(sp.csr_matrix((scores, P.indices, P.indptr), shape=P.shape), k)


def _array(who: str, values: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"{who}: {name} must be an array of numbers, got {type(values).__name__}"
        ) from error


def _checked_propensity(who: str, propensity: Any, n_labels: int) -> np.ndarray:
    p = _array(who, propensity, "propensity")
    if p.ndim != 1 or p.dtype.kind not in "iuf":
        raise DataError(
            f"{who}: propensity must be a vector of numbers, got {p.ndim}-D of {p.dtype}"
        )
    if len(p) != n_labels:
        raise DataError(f"{who}: Y_true has {n_labels:,} labels, propensity has {len(p):,}")
    if not ((p > 0) & (p <= 1)).all():
        raise DataError(
            f"{who}: propensity must be above 0 and at most 1, got {p[~((p > 0) & (p <= 1))][0]}"
        )
    return p.astype(np.float64)


def _check_k(who: str, k: Any, n_labels: int) -> None:
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 1 <= k <= n_labels:
        raise ParameterError(
            f"{who}: k must be an int from 1 to {n_labels:,}, the number of labels, got {k!r}"
        )


def _check_topk(who: str, labels: np.ndarray, scores: np.ndarray) -> None:
    if labels.ndim != 2 or labels.shape != scores.shape:
        raise DataError(
            f"{who}: labels and scores must be 2-D and alike, got {labels.shape} and {scores.shape}"
        )
    if labels.dtype.kind not in "iu" or scores.dtype.kind not in "iuf":
        raise DataError(
            f"{who}: labels must be ints and scores numbers, got {labels.dtype} and {scores.dtype}"
        )
    _check_scores(who, scores)


def _check_scores(who: str, scores: np.ndarray) -> None:
    if np.isnan(scores).any():
        raise DataError(f"{who}: scores of predictions must not be NaN")


def _check_rows(who: str, got: int, n_rows: int) -> None:
    if got != n_rows:
        raise DataError(f"{who}: Y_true has {n_rows:,} rows, predictions have {got:,}")


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
