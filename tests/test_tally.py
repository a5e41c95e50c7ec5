"""Sums over blocks of rows, held against those over all rows at once."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

from xmc import DataError
from xmc.judged import judge
from xmc.metrics import report
from xmc.tally import ExactMean, Tally
from xmc.topk import TopK

KS = (1, 3, 5)


def random_case(seed, n_rows=300, n_labels=40):
    """Truth, scores and propensities; some rows have neither."""
    rng = np.random.default_rng(seed)
    Y, P = (
        sp.csr_matrix(np.where(rng.random((n_rows, n_labels)) < share, scores, 0))
        for share, scores in ((0.1, 1), (0.15, rng.random((n_rows, n_labels), np.float32)))
    )
    return Y, P, rng.uniform(0.1, 1, n_labels)


@pytest.mark.parametrize("n_in_block", [1, 7, 299])
def test_blocks_give_the_figures_of_all_rows_to_the_last_bit(n_in_block):
    Y, P, p = random_case(seed=n_in_block)
    rng = np.random.default_rng(0)
    tally = Tally(KS, by_propensity=True)
    numbers = rng.permutation(Y.shape[1])  # a label may have any number, the same in all blocks
    for start in range(0, Y.shape[0], n_in_block):
        rows = slice(start, start + n_in_block)
        tally.add(judge("blocks", Y[rows], P[rows], KS), p, numbers)
    assert tally.figures(KS, Y.shape[1]) == report(Y, P, KS, p)
    assert tally.most == P.getnnz(axis=1).clip(max=5).max()


def test_each_block_may_have_labels_of_its_own():
    Y, P, _ = random_case(seed=1)
    tally = Tally(KS)
    for rows in (slice(0, 100), slice(100, 300)):
        used = np.unique(np.append(Y[rows].indices, P[rows].indices))[:-1]  # any but the last
        rest = np.setdiff1d(np.arange(Y.shape[1]), used)
        order = np.append(used, rest)
        tally.add(judge("blocks", Y[rows][:, order], P[rows][:, order], KS), None, order)
    assert tally.figures(KS, Y.shape[1]) == report(Y, P, KS)


@pytest.mark.parametrize("n_labels", [10, 1 << 24])
def test_a_label_twice_is_named_with_its_row_among_all(n_labels):
    """Label 0, too, where labels are many and get new numbers."""
    Y = sp.csr_matrix(([1.0], ([0], [5])), (3, n_labels))
    labels = np.array([[0, 5], [0, -1], [0, 0]], np.int32)
    scores = np.where(labels >= 0, 1.0, -np.inf).astype(np.float32)
    message = "^blocks: expected each label once per row, row 9 of predictions has one twice$"
    with pytest.raises(DataError, match=message):
        judge("blocks", Y, TopK(labels, scores), (2,), first_row=7)
    hits = judge("blocks", Y[:2], TopK(labels[:2], scores[:2]), (2,)).hits
    assert hits.tolist() == [[False, True], [False, False]]


def test_a_mean_is_rounded_once():
    rng = np.random.default_rng(2)
    values = rng.normal(size=1000) * 10.0 ** rng.integers(-12, 12, 1000)
    mean = ExactMean()
    for part in np.split(values, [3, 3, 500]):
        mean.add(np.append(part, np.nan))
    total = sum(map(Fraction, values.tolist()))
    assert (mean.value, mean.n) == (float(total) / 1000, 1000)
    assert ExactMean().value == 0 and not math.isnan(ExactMean().value)
