"""Regression of low rank: the factors that rows and labels have, in closed form or by turns.

All minimise, over P (n_features x rank) and Q (n_labels x rank),

    sum over rows i and labels j of w_ij (y_ij - x_i P q_j)^2, and a ridge.

Closed form. All w_ij are 1 and the ridge is r |P Q'|^2, so that W = P Q' is the best matrix of that
rank. With X = U S V' and D = (S^2 + r)^-1/2, the weights of the ridge regression without a bound on
the rank are R = V D (D S U'Y), and what any other W costs more is

    |X (W - R)|^2 + r |W - R|^2 = |D^-1 V' (W - R)|^2 = |D^-1 V' W - T|^2,  T = D S U'Y,

for W = V V'W; a part of W beside V only adds to the ridge. The best D^-1 V' W of rank k is T cut
off after its k largest singular values, A A'T with A its first k left singular vectors. So it is
P = V D A and Q = T'A. Without a ridge that is V S^-1 (U'Y)_k (Izenman, 1975; Yu et al., ICML 2014).
T has a column for each of maybe millions of labels, but A are the eigenvectors of T T' as well,
which is small. U, S and V hold the largest directions of X only (Halko et al., 2011).

By turns. w_ij is 1 where row i has label j and c elsewhere (Hu et al., ICDM 2008), and the ridge is
r (|P|^2 + |Q|^2) (Yu et al., LEML, ICML 2014). With Z = X P, each q_j solves a system of its own,

    (c Z'Z + (1 - c) sum of z_i z_i' over its rows + r I) q_j = sum of y_ij z_i over its rows,

whose first sum all labels share. P follows by conjugate gradients, whose every step multiplies by

    X' (c X P Q'Q + (1 - c) sum of (z_i . q_j) q_j over the labels of each row) + r P.

So zeros cost nothing, however many they are.

A weight of a row multiplies its w_ij: here its features and y_ij are multiplied by the root of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from .arrays import Lists, Rows, Targets, frozen
from .inputs import as_matrix, as_rows, as_targets
from .kernels.factors import add_positives, positive_errors, times
from .parallel import run
from .ranking.factors import with_constant
from .ranking.search import row_blocks
from .training.problem import transposed

ROWS_PER_JOB, LABELS_PER_JOB = 512, 64
DOUBLE = 1 << 23  # numbers in U and V up to which they are float64
POWERS = 4  # times that X'X sharpens the directions that are looked at
STEPS = 5  # of conjugate gradients in a sweep


class Pair(NamedTuple):
    """The factors of features and of labels."""

    features: np.ndarray  # (n_features, rank), P
    labels: np.ndarray  # (n_labels, rank), Q


class Swept(NamedTuple):
    """What alternating gives: the factors, and the objective before it and after each sweep."""

    pair: Pair
    objectives: np.ndarray


class Problem(NamedTuple):
    """Rows and labels as regressions take them, multiplied by the roots of their weights.

    X: rows with the constant feature; features: the same, transposed.
    Y: the labels of each row; labels: the rows of each label, values of both.
    """

    X: Rows
    features: Rows
    Y: Rows
    labels: Rows
    n_jobs: int | None

    @property
    def dtype(self) -> np.dtype:
        return self.X.data.dtype


def problem_of(
    X: Rows,
    Y: Targets,
    rows_of_label: Lists,
    row_weights: np.ndarray,
    bias: float,
    dtype: Any,
    n_jobs: int | None,
) -> Problem:
    """The problem in numbers of a type; row_weights: nothing if all are 1."""
    n_rows, n_labels = X.n_rows, len(rows_of_label.indptr) - 1
    root = np.sqrt(row_weights) if len(row_weights) else np.ones(n_rows)
    root = root.astype(dtype)
    of_entry = np.repeat(root, np.diff(X.indptr))
    weighted = with_constant(X._replace(data=frozen(X.data * of_entry)), bias * root)
    true = frozen(np.repeat(root, np.diff(Y.indptr)))
    return Problem(
        weighted,
        _features(weighted),
        Rows(Y.indptr, Y.ids, true, n_labels),
        Rows(rows_of_label.indptr, rows_of_label.ids, frozen(root[rows_of_label.ids]), n_rows),
        n_jobs,
    )


@cache
def compile_kernels() -> None:
    """Solve four rows in both types of numbers, so that no later call stops to compile."""
    eye = sp.eye(4, format="csr", dtype=np.float32)
    X, Y = as_rows(eye, normalize=False), as_targets(eye)
    rows_of_label = transposed(Y, 4)
    for dtype in (np.float32, np.float64):
        problem = problem_of(X, Y, rows_of_label, np.empty(0), 1.0, dtype, 1)
        alternate(problem, closed(problem, 2, 4, 1.0, 0), 1.0, 0.5, 1, 0.0)


def _features(X: Rows) -> Rows:
    """The features as rows."""
    csr = sp.csr_matrix(as_matrix(X).T)
    indptr, indices = csr.indptr.astype(np.int64), csr.indices.astype(np.int32)
    return Rows(frozen(indptr), frozen(indices), frozen(csr.data), X.n_rows)


def product(M: Rows, dense: np.ndarray, n_jobs: int | None) -> np.ndarray:
    """A sparse matrix times a dense one, the same bits for any number of threads."""
    dense = frozen(np.ascontiguousarray(dense, M.data.dtype))
    out = np.empty((M.n_rows, dense.shape[1]), M.data.dtype)

    def part(start: int, end: int) -> None:
        times(M.indptr[start : end + 1], M.indices, M.data, dense, out[start:end])

    run(part, row_blocks(M.n_rows, ROWS_PER_JOB), n_jobs)
    return out


def closed(problem: Problem, rank: int, n_components: int, ridge: float, seed: int) -> Pair:
    """The factors in closed form; fewer than `rank` if the data have no more."""
    with threadpool_limits(1, "blas"):  # with more threads it sums in another order
        U, S, Vt = directions(problem, n_components, seed)
        D = 1 / np.sqrt(S**2 + ridge)
        half = U * (S * D)
        vectors = _best_vectors(problem, half, rank)
        features = Vt.T @ (D[:, None] * vectors).astype(problem.dtype)
        fitted = half @ vectors.astype(problem.dtype)
    return Pair(features, product(problem.labels, fitted, problem.n_jobs))


def directions(
    problem: Problem, n_components: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U, S and V' of the largest directions of X, those that are none left out."""
    n = min(n_components, *problem.X.shape)
    U, S, Vt = randomized_svd(as_matrix(problem.X), n, n_iter=POWERS, random_state=seed)
    kept = S > S.max(initial=0) * n * np.finfo(problem.dtype).eps
    return U[:, kept], S[kept], Vt[kept]


def _best_vectors(problem: Problem, half: np.ndarray, rank: int) -> np.ndarray:
    """The first left singular vectors of T = half'Y, as columns, those of the largest last.

    They are the eigenvectors of T T', which is summed over blocks of labels.
    """
    n, labels = half.shape[1], problem.labels
    gram = np.zeros((n, n))
    for start, end in row_blocks(labels.n_rows, 8 * ROWS_PER_JOB):
        own = product(labels.part(start, end), half, problem.n_jobs).astype(np.float64)
        gram += own.T @ own
    values, vectors = np.linalg.eigh(gram)
    rounding = max(n * np.finfo(float).eps, (n * np.finfo(problem.dtype).eps) ** 2)
    n_real = int(np.count_nonzero(values > values.max(initial=0) * rounding))
    return vectors[:, n - min(rank, n_real) :]


def alternate(
    problem: Problem,
    start: Pair,
    ridge: float,
    implicit_weight: float,
    max_sweeps: int,
    tol: float,
    swept: Callable[[], None] = lambda: None,
) -> Swept:
    """The factors after sweeps that begin with those of `start`.

    swept: called after each sweep. The objective never rises: a sweep that rounding keeps from
    lowering it is the last one, and is not kept.
    """
    turns = Turns(problem, ridge, implicit_weight)
    with threadpool_limits(1, "blas"), np.errstate(over="ignore", invalid="ignore"):
        pair = turns.labels(balanced(start).features)
        objectives = [turns.objective(pair)]
        for _ in range(max_sweeps):
            new = turns.labels(turns.features(pair))
            objective = turns.objective(new)
            swept()
            if not objective < objectives[-1]:  # it may be no number, where numbers are too large
                break
            gained = objectives[-1] - objective
            pair = new
            objectives.append(objective)
            if gained < tol * objective:
                break
    return Swept(pair, np.array(objectives))


class Turns(NamedTuple):
    """The two halves of a sweep, and what they lower."""

    problem: Problem
    ridge: float
    weight: float  # of what isn't there

    def labels(self, features: np.ndarray) -> Pair:
        """The best factors of labels for those of features."""
        Z = product(self.problem.X, features, self.problem.n_jobs).astype(np.float64)
        shared = self.weight * (Z.T @ Z) + self.ridge * np.eye(Z.shape[1])
        labels = self.problem.labels
        out = np.empty((labels.n_rows, Z.shape[1]), self.problem.dtype)

        def part(start: int, end: int) -> None:
            for label in range(start, end):
                own = slice(labels.indptr[label], labels.indptr[label + 1])
                rows = Z[labels.indices[own]]
                system = shared + (1 - self.weight) * (rows.T @ rows)
                out[label] = _solved(system, rows.T @ labels.data[own])

        run(part, row_blocks(labels.n_rows, LABELS_PER_JOB), self.problem.n_jobs)
        return Pair(features, out)

    def features(self, pair: Pair) -> np.ndarray:
        """Better factors of features: some steps of conjugate gradients, from those that there are.

        The steps are scaled by the diagonal, all but what the labels of single rows add to it.
        """
        X, features = self.problem.X, self.problem.features
        n_jobs, Q = self.problem.n_jobs, pair.labels
        gram = (self.weight * (Q.T @ Q)).astype(self.problem.dtype)
        squares = np.bincount(X.indices, X.data.astype(np.float64) ** 2, X.n_features)
        diagonal = (np.outer(squares, np.diag(gram)) + self.ridge).astype(self.problem.dtype)

        def curved(P: np.ndarray) -> np.ndarray:
            Z = product(X, P, n_jobs)
            out = Z @ gram
            self._add_positives(Z, Q, out)
            return product(features, out, n_jobs) + self.problem.dtype.type(self.ridge) * P

        P = pair.features.astype(self.problem.dtype)
        left = product(features, product(self.problem.Y, Q, n_jobs), n_jobs) - curved(P)
        scaled = left / diagonal
        step, size = scaled, _dot(left, scaled)
        for _ in range(STEPS):
            if not size > 0:
                break
            bent = curved(step)
            curve = _dot(step, bent)
            if not curve > 0:  # by rounding
                break
            length = self.problem.dtype.type(size / curve)
            P, left = P + length * step, left - length * bent
            scaled = left / diagonal
            before, size = size, _dot(left, scaled)
            step = scaled + self.problem.dtype.type(size / before) * step
        return P

    def _add_positives(self, Z: np.ndarray, Q: np.ndarray, out: np.ndarray) -> None:
        Y = self.problem.Y

        def part(start: int, end: int) -> None:
            own = Y.indptr[start : end + 1]
            add_positives(own, Y.indices, Z[start:end], Q, 1 - self.weight, out[start:end])

        run(part, row_blocks(Y.n_rows, ROWS_PER_JOB), self.problem.n_jobs)

    def objective(self, pair: Pair) -> float:
        """The sum over all rows and labels, and the ridge."""
        P, Q = (factors.astype(np.float64) for factors in pair)
        Z = product(self.problem.X, pair.features, self.problem.n_jobs)
        wide, Y = Z.astype(np.float64), self.problem.Y
        everywhere = float(((wide.T @ wide) * (Q.T @ Q)).sum())
        there = positive_errors(*Y[:3], Z, pair.labels, self.weight)
        return there + self.weight * everywhere + self.ridge * float((P**2).sum() + (Q**2).sum())


def balanced(pair: Pair) -> Pair:
    """The same products, with factors of features and of labels that are equally long."""
    lengths = [np.sqrt((factors.astype(np.float64) ** 2).sum(axis=0)) for factors in pair]
    scale = np.sqrt(lengths[1] / lengths[0])
    return Pair(pair.features * scale, pair.labels / scale)


def _solved(system: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a system; the shortest one where rounding leaves several."""
    try:
        return np.linalg.solve(system, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(system, right)[0]


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """The sum of products of all entries, float64."""
    return float(np.einsum("ij,ij->", a, b, dtype=np.float64))
