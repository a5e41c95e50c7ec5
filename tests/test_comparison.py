"""Two predictions of the same rows."""

import json

import naive_reporting as naive
import numpy as np
import planted
import pytest
import scipy.sparse as sp

from xmc.errors import DataError, ParameterError
from xmc.metrics import propensities, report
from xmc.reporting import bootstrap
from xmc.reporting.comparison import as_json, compare
from xmc.reporting.labels import Labels
from xmc.reporting.ratios import ratios
from xmc.topk import TopK

KS = (1, 3)
P = propensities(planted.Y)
Y = planted.Y_TEST


def predicted(seed, weight):
    rng = np.random.default_rng(seed)
    return TopK.from_csr(sp.csr_matrix(Y.toarray() * weight + rng.random(Y.shape)), 3)


GOOD, BAD = predicted(1, 0.6), predicted(2, 0.3)


@pytest.fixture(scope="module")
def found():
    return compare(Y, GOOD, BAD, ks=KS, propensity=P, seed=4)


def test_both_have_the_metrics_of_evaluate(found):
    assert found.a == report(Y, GOOD, KS, P) and found.b == report(Y, BAD, KS, P)
    assert [own.name for own in found.differences] == [name for name in found.a if "@" in name]
    assert all(own.difference == found.a[own.name] - found.b[own.name] for own in found.differences)


def test_differences_are_of_the_same_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_SAMPLES", 50)
    found = compare(Y, GOOD, BAD, ks=KS, propensity=P, seed=4)
    both = [ratios(Y, top, KS, P) for top in (GOOD, BAD)]
    by_name = {own.name: own for own in found.differences}
    for n, name in enumerate(both[0].names):
        a, b = (naive.samples(r.part[:, n].tolist(), r.whole[:, n].tolist(), 4, 50) for r in both)
        sampled = [x - y for x, y in zip(a, b, strict=True)]
        assert by_name[name][2:4] == pytest.approx(naive.ends(sampled))
        assert by_name[name].a_ahead == pytest.approx(sum(s > 0 for s in sampled) / 50)


def test_a_paired_interval_is_narrower_than_two_apart(found):
    own = next(own for own in found.differences if own.name == "R@3")
    a, b = (bootstrap.samples(ratios(Y, top, KS), n) for n, top in ((1, GOOD), (2, GOOD)))
    column = ratios(Y, GOOD, KS).names.index("R@3")
    same = compare(Y, GOOD, GOOD, ks=KS, propensity=P)
    assert np.ptp(np.percentile((a - b)[:, column], [2.5, 97.5])) > 0 == same.differences[5].high
    assert own.low < own.difference < own.high


def test_figures_that_are_no_sums_over_rows_have_no_interval(found):
    without = {own.name.partition("@")[0] for own in found.differences if own.low != own.low}
    assert without == {"coverage", "macro-F1", "micro-F1"}


def test_equal_predictions_differ_in_nothing():
    same = compare(Y, GOOD, GOOD, ks=KS)
    assert {(own.difference, own.low, own.high, own.a_ahead) for own in same.differences[:8]} == {
        (0, 0, 0, 0)
    }
    assert (same.n_only_a, same.n_only_b, same.only_a, same.examples) == (0, 0, [], [])
    assert same.n_both == round(same.a["R@3"] and sum(map(len, hits(GOOD))))


def hits(top):
    pairs = zip(planted.row_sets(Y), top.labels.tolist(), strict=True)
    return [true & set(row) for true, row in pairs]


def test_labels_that_only_one_finds_are_those_counted_row_by_row(found):
    truth, a, b = planted.row_sets(Y), GOOD.labels.tolist(), BAD.labels.tolist()
    for own, n, expected in (
        (found.only_a, found.n_only_a, naive.found_only_by(truth, a, b)),
        (found.only_b, found.n_only_b, naive.found_only_by(truth, b, a)),
    ):
        order = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))
        assert [tuple(won) for won in own] == order[:10]
        assert n == sum(expected.values())


def test_examples_are_rows_where_one_finds_most_more(found):
    ahead = [len(a) - len(b) for a, b in zip(hits(GOOD), hits(BAD), strict=True)]
    assert [ahead[own.row] for own in found.examples[:2]] == [max(ahead), sorted(ahead)[-2]]
    assert ahead[found.examples[-2].row] == min(ahead)
    first = found.examples[0]
    assert set(first.true) == planted.row_sets(Y)[first.row]
    assert [label for label, _ in first.a] == GOOD.labels[first.row].tolist()


def test_examples_of_equal_difference_come_in_order_of_rows():
    truth = np.eye(4)[[0, 1, 2, 3, 0]]
    a = TopK(np.int32([[0], [1], [2], [0], [1]]), np.ones((5, 1), np.float32))
    b = TopK(np.int32([[3], [3], [3], [3], [1]]), np.ones((5, 1), np.float32))
    examples = compare(truth, a, b, ks=(1,)).examples
    assert [(own.row, own.true, own.a, own.b) for own in examples] == [
        (0, [0], [(0, 1.0)], [(3, 1.0)]),
        (1, [1], [(1, 1.0)], [(3, 1.0)]),
        (3, [3], [(0, 1.0)], [(3, 1.0)]),
    ]


def test_json_holds_all_of_it(found):
    told = json.loads(json.dumps(as_json(found, Labels(None, None)), allow_nan=False))
    assert (told["a"], told["b"]) == (found.a, found.b)
    assert (told["ks"], told["seed"], told["n_samples"]) == ([1, 3], 4, 1000)
    assert told["true_labels"] == {
        "both": found.n_both,
        "only_a": found.n_only_a,
        "only_b": found.n_only_b,
    }
    assert len(told["only_b"]) == len(found.only_b)
    assert told["differences"]["R@3"].keys() == {"difference", "low", "high", "a_ahead"}
    assert told["examples"][0].keys() == {"row", "true", "a", "b"}
    assert told["examples"][0]["b"][0].keys() == {"id", "score", "true"}
    assert told["differences"]["coverage@1"]["low"] is None
    assert told["only_a"][0] == {
        "id": str(found.only_a[0].label),
        "n_rows": found.only_a[0].n_rows,
    }
    example = told["examples"][0]
    true = {own["id"] for own in example["true"]}
    assert [own["true"] for own in example["a"]] == [own["id"] in true for own in example["a"]]


def test_rows_without_any_true_label_are_refused():
    with pytest.raises(DataError, match=r"^compare: expected rows with true labels, none of 2 has"):
        compare(np.zeros((2, 3)), GOOD, BAD)


def test_predictions_of_other_rows_are_refused():
    short = TopK(GOOD.labels[:5], GOOD.scores[:5])
    with pytest.raises(DataError, match="^compare: Y_true has 60 rows, predictions have 5$"):
        compare(Y, GOOD, short, ks=KS)


def test_a_k_above_the_number_of_labels_is_refused():
    with pytest.raises(ParameterError, match="^compare: k must be an int from 1 to 40"):
        compare(Y, GOOD, BAD, ks=(41,))
