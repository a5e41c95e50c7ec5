"""Ratios of sums over rows, and their intervals."""

import naive_reporting as naive
import numpy as np
import planted
import pytest
import scipy.sparse as sp

from xmc.metrics import propensities, report
from xmc.reporting import bootstrap
from xmc.reporting.bootstrap import ends, interval, samples
from xmc.reporting.ratios import Ratios, apart, beside, ratios
from xmc.topk import TopK

KS = (1, 3)


@pytest.fixture(scope="module")
def predicted():
    """Predictions of which some hit, some rows being empty or without true labels."""
    rng = np.random.default_rng(3)
    Y = planted.Y_TEST.toarray()
    Y[:4] = 0
    P = sp.csr_matrix((0.3 * Y + rng.random(Y.shape)) * (rng.random(Y.shape) < 0.4))
    return sp.csr_matrix(Y), TopK.from_csr(P, 3)


@pytest.fixture
def few(monkeypatch):
    """So few samples that the slow twin has them at once; drawn in several turns."""
    monkeypatch.setattr(bootstrap, "N_SAMPLES", 40)
    monkeypatch.setattr(bootstrap, "MOST_DRAWN", 7 * 60)


def test_each_ratio_is_the_metric_of_its_name(predicted):
    Y, top = predicted
    p = propensities(planted.Y)
    found, metrics = ratios(Y, top, KS, p), report(Y, top, KS, p)
    assert set(found.names) == {
        f"{name}@{k}" for name in ("P", "nDCG", "R", "F1", "PSP", "PSnDCG") for k in KS
    }
    assert dict(zip(found.names, found.values(), strict=True)) == pytest.approx(
        {name: metrics[name] for name in found.names}
    )


def test_ratios_come_in_the_order_in_which_they_are_named(predicted):
    assert ratios(*predicted, KS, None, ("R", "PSP", "P")).names == ("R@1", "R@3", "P@1", "P@3")


def test_a_part_of_the_rows_has_the_metric_of_these_rows(predicted):
    Y, top = predicted
    rows = np.arange(5, 25)
    part = ratios(Y, top, KS).of(rows)
    metrics = report(Y[rows], TopK(top.labels[rows], top.scores[rows]), KS)
    assert part.values() == pytest.approx([metrics[name] for name in part.names])


def test_samples_are_those_of_rows_drawn_one_by_one(predicted, few):
    found = ratios(*predicted, KS, propensities(planted.Y))
    got = samples(found, 5)
    for n in range(len(found.names)):
        part, whole = found.part[:, n].tolist(), found.whole[:, n].tolist()
        assert got[:, n] == pytest.approx(naive.samples(part, whole, 5, 40), rel=1e-12)


def test_95_percent_of_the_samples_lie_within_the_interval(predicted, few):
    found = ratios(*predicted, KS)
    value, low, high = interval(found, 1)
    sampled = samples(found, 1)
    for n in range(len(found.names)):
        assert (low[n], high[n]) == pytest.approx(naive.ends(sampled[:, n].tolist()))
    assert (low < value).all() and (value < high).all()


def test_the_interval_of_a_share_is_about_that_of_the_binomial_distribution():
    hits = np.repeat([0.0, 100.0], [300, 700])[:, None]
    _, low, high = interval(Ratios(("P@1",), hits, np.ones_like(hits)), 0)
    spread = 100 * 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert (low[0], high[0]) == pytest.approx((70 - spread, 70 + spread), abs=0.4)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another_one(predicted):
    found = ratios(*predicted, KS)
    a, b, c = (np.array(interval(found, seed)) for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_one_row_has_an_interval_without_width():
    one = Ratios(("P@1",), np.array([[50.0]]), np.ones((1, 1)))
    assert np.array(interval(one, 0)).tolist() == [[50.0]] * 3


def test_where_no_row_counts_there_is_neither_figure_nor_interval():
    none = Ratios(("R@1",), np.zeros((3, 1)), np.zeros((3, 1)))
    assert np.isnan(np.array(interval(none, 0))).all()


def test_a_figure_without_rows_leaves_the_others_alone():
    part, whole = np.array([[0.0, 50.0]] * 3), np.array([[0.0, 1.0]] * 3)
    value, low, high = interval(Ratios(("R@1", "P@1"), part, whole), 0)
    assert np.isnan([value[0], low[0], high[0]]).all()
    assert (value[1], low[1], high[1]) == (50, 50, 50)


def test_samples_without_a_row_that_counts_are_left_out():
    sampled = np.array([[np.nan], [1.0], [3.0]])
    assert ends(sampled)[:, 0] == pytest.approx([1.05, 2.95])


def test_what_is_resampled_together_comes_apart_again(predicted):
    """Of whole numbers, whose sums are exact; others round by how many BLAS adds side by side."""
    a, b = (
        found._replace(part=np.rint(found.part), whole=np.rint(found.whole))
        for found in (ratios(*predicted, (1,)), ratios(*predicted, KS))
    )
    assert beside([a, b]).names == a.names + b.names
    one, other = apart(samples(beside([a, b]), 2), [a, b])
    assert np.array_equal(one, samples(a, 2)) and np.array_equal(other, samples(b, 2))
