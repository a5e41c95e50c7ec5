"""Figures by training rows of the label, and by what is known of rows."""

import numpy as np
import planted
import pytest
import scipy.sparse as sp

from xmc.metrics import propensities, report
from xmc.reporting.bootstrap import interval
from xmc.reporting.groups import (
    METRICS,
    MOST_GROUPS,
    OTHERS,
    by_frequency,
    by_values,
    overall,
)
from xmc.reporting.ratios import ratios
from xmc.reporting.training_rows import TrainingRows
from xmc.topk import TopK

KS = (1, 3)
COUNTS = np.random.default_rng(5).choice([0, 1, 3, 7, 50, 300], planted.N_LABELS)
P = propensities(planted.Y)


def trained(counts):
    return TrainingRows(np.arange(len(counts), dtype=np.int32), counts, 300)


@pytest.fixture(scope="module")
def top():
    rng = np.random.default_rng(2)
    noise = rng.random(planted.Y_TEST.shape)
    return TopK.from_csr(sp.csr_matrix(planted.Y_TEST.toarray() * 0.4 + noise), 3)


@pytest.fixture(scope="module")
def by_bin(top):
    return by_frequency(planted.Y_TEST, top, KS, P, trained(COUNTS), 0)


def test_a_bin_has_the_metrics_of_its_labels_alone(by_bin, top):
    for group, count in zip(by_bin.groups, (0, 1, 3, 7, 50, 300), strict=True):
        own = planted.Y_TEST.toarray() * (count == COUNTS)
        metrics = report(own, top, KS, P)
        found = dict(zip(by_bin.names, group.figures.value, strict=True))
        assert found == pytest.approx({name: metrics[name] for name in by_bin.names})
        assert group.n_true == own.sum()
        assert group.n_labels == own.any(axis=0).sum()
        assert group.n_rows == own.any(axis=1).sum()


def test_the_precision_of_all_bins_adds_up(by_bin, top):
    for n, k in enumerate(KS):
        parts = [group.figures.value[n] for group in by_bin.groups]
        assert sum(parts) == pytest.approx(report(planted.Y_TEST, top, KS)[f"P@{k}"])


def test_a_bin_has_the_interval_that_it_would_have_alone(by_bin, top):
    own = sp.csr_matrix(planted.Y_TEST.toarray() * (COUNTS == 50))
    alone = interval(ratios(own, top, KS, P, METRICS), 0)
    assert np.array(by_bin.groups[4].figures) == pytest.approx(np.array(alone))


def test_a_bin_without_true_labels_has_no_recall(top):
    table = by_frequency(planted.Y_TEST, top, KS, P, trained(np.full(planted.N_LABELS, 7)), 0)
    empty = dict(zip(table.names, table.groups[0].figures.value, strict=True))
    assert (empty["P@1"], table.groups[0].n_true) == (0, 0)
    assert np.isnan([empty["R@1"], empty["PSP@3"]]).all()


def test_rows_of_a_value_have_the_metrics_of_these_rows(top):
    values = ["b", "a", "b"] * 20
    figures = ratios(planted.Y_TEST, top, KS, P, METRICS)
    table = by_values("kind", values, figures, planted.Y_TEST, 0)
    assert [group.name for group in table.groups] == ["b", "a"]  # the frequent one first
    rows = np.array(values) == "a"
    metrics = report(planted.Y_TEST[rows], TopK(*(part[rows] for part in top)), KS, P)
    found = dict(zip(table.names, table.groups[1].figures.value, strict=True))
    assert found == pytest.approx({name: metrics[name] for name in table.names})


def test_rare_values_are_one_group(top):
    values = [str(min(row, MOST_GROUPS + 7)) for row in range(60)]
    figures = ratios(planted.Y_TEST, top, KS, P, METRICS)
    table = by_values("row", values, figures, planted.Y_TEST, 0)
    assert len(table.groups) == MOST_GROUPS + 1
    assert table.groups[-1].name == OTHERS and table.groups[0].name == str(MOST_GROUPS + 7)
    assert sum(group.n_true for group in table.groups) == planted.Y_TEST.nnz


def test_as_many_values_as_fit_have_no_others(top):
    values = [str(row % MOST_GROUPS) for row in range(60)]
    figures = ratios(planted.Y_TEST, top, KS, P, METRICS)
    table = by_values("row", values, figures, planted.Y_TEST, 0)
    assert sorted(map(int, (group.name for group in table.groups))) == list(range(MOST_GROUPS))
    assert (table.title, table.names) == ("row", figures.names)


def test_a_group_has_the_interval_of_its_rows_alone(top):
    values, figures = ["b", "a", "b"] * 20, ratios(planted.Y_TEST, top, KS, P, METRICS)
    table = by_values("kind", values, figures, planted.Y_TEST, 7)
    alone = interval(figures.of(np.array(values) == "a"), 7)
    assert np.array_equal(np.array(table.groups[1].figures), np.array(alone))


def test_all_rows_are_one_group(top):
    figures = ratios(planted.Y_TEST, top, KS, P, METRICS)
    (group,) = overall(figures, planted.Y_TEST, 0).groups
    assert np.array_equal(np.array(group.figures), np.array(interval(figures, 0)))
    assert (group.n_rows, group.n_true) == (60, planted.Y_TEST.nnz)
    assert group.figures.value.tolist() == figures.values().tolist()
