import naive
import numpy as np
import pytest
import scipy.sparse as sp

from xmc.kernels.factors import (
    add_positives,
    in_order,
    margins,
    offer_margins,
    positive_errors,
    times,
)

SIZES = [(40, 30, 7), (5, 8, 3), (1, 30, 7), (33, 1, 1), (5, 3, 300), (0, 4, 3), (4, 5, 0)]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def sparse(rng, n_rows, n_columns):
    M = sp.random(n_rows, n_columns, 0.3, "csr", np.float32, rng)
    return M.indptr.astype(np.int64), M.indices.astype(np.int32), M.data, M.toarray()


def dense(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def products(rows, chosen, labels):
    """As the kernel, entry by entry."""
    found = [[sum(map(float, rows[i] * label)) for label in labels] for i in chosen]
    return np.array(found).reshape(len(chosen), len(labels))


@pytest.mark.parametrize(("n_rows", "n_columns", "rank"), SIZES)
def test_a_sparse_matrix_times_a_dense_one_agrees_with_numpy(rng, n_rows, n_columns, rank):
    *M, whole = sparse(rng, n_rows, n_columns)
    factors, out = dense(rng, n_columns, rank), dense(rng, n_rows, rank)
    times(*M, factors, out)
    np.testing.assert_allclose(out, whole @ factors, **CLOSE)


@pytest.mark.parametrize(("n_rows", "n_labels", "rank"), SIZES)
def test_margins_agree_with_sums_entry_by_entry(rng, n_rows, n_labels, rank):
    rows, labels = dense(rng, n_rows, rank), dense(rng, n_labels, rank)
    chosen = np.flatnonzero(rng.random(n_rows) < 0.7)
    out = dense(rng, len(chosen), n_labels)
    margins(rows, chosen, labels, out)
    np.testing.assert_allclose(out, products(rows, chosen, labels), **CLOSE)


def test_the_margin_of_a_pair_has_the_same_bits_among_any_others(rng):
    rows, labels = dense(rng, 70, 33), dense(rng, 11, 33)
    everything = np.arange(70)
    together, alone = dense(rng, 70, 11), dense(rng, 1, 11)
    margins(rows, everything, labels, together)
    for i in (0, 31, 69):
        margins(rows, everything[i : i + 1], labels, alone)
        assert np.array_equal(alone[0], together[i])


@pytest.mark.parametrize("k", [1, 3, 30])
def test_offered_margins_are_cut_off_and_ordered_by_margin_then_label(rng, k):
    label_ids = rng.permutation(20).astype(np.int32)
    margin = rng.integers(-2, 5, (6, 20)).astype(np.float32) / 2
    kept = (
        np.zeros(6, np.int64),
        *(np.empty((6, k), kind) for kind in (np.int32, np.float32, np.float32)),
    )
    for part in (slice(0, 13), slice(13, 20)):
        block = np.ascontiguousarray(margin[:, part])
        offer_margins(block, np.arange(6), label_ids[part], *kept)
    in_order(*kept)
    cut = np.clip(margin, 0, 1)
    expected = [
        naive.best(list(zip(score, own, label_ids, strict=True)), k)
        for score, own in zip(cut.tolist(), margin.tolist(), strict=True)
    ]
    assert naive.filled(*kept) == expected


@pytest.mark.parametrize(("n_rows", "n_labels", "rank"), SIZES)
def test_what_positives_add_agrees_with_dense_sums(rng, n_rows, n_labels, rank):
    indptr, ids, values, Y = sparse(rng, n_rows, n_labels)
    rows, labels = dense(rng, n_rows, rank), dense(rng, n_labels, rank)
    out = dense(rng, n_rows, rank)
    there, product = Y != 0, rows.astype(float) @ labels.T
    expected = out + 0.7 * (there * product) @ labels
    add_positives(indptr, ids, rows, labels, 0.7, out)
    np.testing.assert_allclose(out, expected, **CLOSE)
    errors = positive_errors(indptr, ids, values, rows, labels, 0.3)
    wanted = (((Y - product) ** 2 - 0.3 * product**2) * there).sum()
    assert errors == pytest.approx(wanted, rel=1e-4, abs=1e-5)
