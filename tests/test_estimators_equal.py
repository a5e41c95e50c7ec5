"""What makes no difference: threads, batches, the writing of a matrix, seeds."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from planted import N_LABELS, X_TEST, Y_TEST, X, Y, same_answer, same_model, with_settings
from sklearn.base import clone

from xmc import LowRankClassifier, OneVsAllClassifier
from xmc.ranking import search

pytestmark = pytest.mark.usefixtures("few_trees")


@pytest.mark.parametrize("n_jobs", [2, 4])
def test_the_number_of_threads_makes_no_difference(model, n_jobs):
    one, many = (
        clone(model).set_params(n_jobs=1).fit(X, Y),
        clone(model).set_params(n_jobs=n_jobs).fit(X, Y),
    )
    assert same_model(one, many)
    many_rows = sp.vstack([X_TEST] * 150, format="csr")
    assert same_answer(one.predict_topk(many_rows, 5), many.predict_topk(many_rows, 5))


def test_the_order_of_rows_makes_no_difference(fitted, rng):
    order = rng.permutation(60)
    shuffled = fitted.predict_topk(X_TEST[order], N_LABELS)
    assert same_answer(
        shuffled, [column[order] for column in fitted.predict_topk(X_TEST, N_LABELS)]
    )


def test_the_number_of_rows_at_a_time_makes_no_difference(fitted):
    together = fitted.predict_topk(X_TEST, N_LABELS)
    for size in (1, 7):
        parts = [
            fitted.predict_topk(X_TEST[start : start + size], N_LABELS)
            for start in range(0, 60, size)
        ]
        assert same_answer(
            together, [np.concatenate(column) for column in zip(*parts, strict=True)]
        )


def test_more_rows_than_a_block_make_no_difference(fitted, monkeypatch):
    monkeypatch.setattr(search, "MOST_ROWS", 70)
    many = fitted.predict_topk(sp.vstack([X_TEST] * 3, format="csr"), 5)
    assert same_answer(many, [np.tile(column, (3, 1)) for column in fitted.predict_topk(X_TEST, 5)])


def test_one_row_is_answered_alike_by_all_methods(fitted):
    row = X_TEST[3]
    assert np.array_equal(
        fitted.predict_proba(row).toarray()[0], fitted.predict_proba(X_TEST).toarray()[3]
    )
    assert np.array_equal(fitted.predict(row).toarray()[0], fitted.predict(X_TEST).toarray()[3])


def test_a_second_fit_gives_the_same_model(model):
    assert same_model(clone(model).fit(X, Y), clone(model).fit(X_TEST, Y_TEST).fit(X, Y))


def test_another_seed_gives_another_model(learner):
    if isinstance(learner, LowRankClassifier):
        pytest.skip("of small data the seed makes no difference")
    assert not same_model(
        clone(learner).fit(X, Y), with_settings(learner, random_state=1).fit(X, Y)
    )


def test_a_random_state_draws_the_seed():
    first, second = (
        OneVsAllClassifier(random_state=np.random.RandomState(5)).fit(X, Y) for _ in range(2)
    )
    assert same_model(first, second)


def variants(M):
    """The same matrix, written in other ways."""
    canonical = sp.csr_matrix(M)
    half = canonical.copy()
    half.data = half.data / 2
    twice = sp.csr_matrix(
        canonical.shape, dtype=np.float32
    )  # every entry in two halves, in descending order
    twice.data, twice.indices = half.data[::-1].repeat(2), canonical.indices[::-1].repeat(2)
    twice.indptr = 2 * (canonical.nnz - canonical.indptr[::-1])
    twice = twice[::-1]
    wide = canonical.astype(np.float64)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    return {
        "dense": M.toarray(),
        "float64, int64": wide,
        "duplicates": twice,
        "csc": M.tocsc(),
        "array": sp.csr_array(M),
        "stored zeros": with_zeros(M),
        "lists": M.toarray().tolist(),
    }


def with_zeros(M):
    coo = M.tocoo()
    row, col = (
        np.append(coo.row, 0),
        np.append(coo.col, (set(range(M.shape[1])) - set(M[0].indices)).pop()),
    )
    return sp.csr_matrix((np.append(coo.data, np.float32(0)), (row, col)), shape=M.shape)


@pytest.mark.parametrize("name", variants(X))
def test_the_writing_of_a_matrix_makes_no_difference(model, name):
    expected = clone(model).fit(X, Y)
    got = model.fit(variants(X)[name], variants(Y)[name])
    assert same_model(got, expected)
    assert same_answer(
        got.predict_topk(variants(X_TEST)[name], 5), expected.predict_topk(X_TEST, 5)
    )


def test_values_of_y_make_no_difference(model):
    assert same_model(clone(model).fit(X, Y * 0.5), clone(model).fit(X, Y))


def test_read_only_and_mapped_matrices_are_read(model, tmp_path):
    matrices = []
    for n, M in enumerate((X, Y)):
        mapped = sp.csr_matrix(M.shape, dtype=M.dtype)
        for name in ("data", "indices", "indptr"):
            np.save(tmp_path / f"{n}{name}.npy", getattr(M, name))
            setattr(mapped, name, np.load(tmp_path / f"{n}{name}.npy", mmap_mode="r"))
        matrices.append(mapped)
    got = clone(model).fit(*matrices)
    assert same_model(got, clone(model).fit(X, Y))
    assert same_answer(got.predict_topk(matrices[0], 5), got.predict_topk(X, 5))


def test_what_is_passed_in_is_not_changed(model):
    ours = [sp.csr_matrix(M.toarray()[::-1]) for M in (X, Y)]
    for M in ours:  # unsorted
        M.indices, M.data = M.indices[::-1].copy(), M.data[::-1].copy()
        M.indptr = M.nnz - M.indptr[::-1]
    before = [array.copy() for M in ours for array in (M.data, M.indices, M.indptr)]
    model.fit(*ours).predict_topk(ours[0], 5)
    after = [array for M in ours for array in (M.data, M.indices, M.indptr)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


COMPILED = """
import importlib, pkgutil
import numpy as np, scipy.sparse as sp, xmc.kernels
from numba.core.dispatcher import Dispatcher
from xmc import LabelTreeClassifier, LowRankClassifier, OneVsAllClassifier

def versions():
    found = {}
    for info in pkgutil.iter_modules(xmc.kernels.__path__):
        for key, kernel in vars(importlib.import_module(f"xmc.kernels.{info.name}")).items():
            if isinstance(kernel, Dispatcher):
                found[info.name, key] = len(kernel.signatures)
    return found

def use(n_rows):
    X = sp.eye(n_rows, format="csr", dtype=np.float32)
    model.fit(X, X).predict_topk(X[0], 2)
    model.predict(X)

model = MODEL
use(3)
before = versions()
use(300)
print(sorted(name for (_, name), n in versions().items() if n > before.get((_, name), 0)))
"""


@pytest.mark.parametrize(
    "model",
    [
        "OneVsAllClassifier()",
        "LabelTreeClassifier(tree='shallow', n_trees=2)",
        "OneVsAllClassifier(costs='relevance')",
        "LowRankClassifier(factorization='als', max_sweeps=1)",
    ],
)
def test_a_fit_on_few_rows_compiles_every_kernel_that_a_large_one_uses(model):
    code = COMPILED.replace("MODEL", model)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
