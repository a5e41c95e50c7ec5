"""The report of a model, and its page."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier
from xmc.errors import DataError, ParameterError
from xmc.metrics import ece_at_k, propensities
from xmc.metrics import report as metrics_report
from xmc.propensity import propensities_of
from xmc.reporting.labels import Labels
from xmc.reporting.misses import FATES, LabelCount
from xmc.reporting.page import POLICY, page
from xmc.reporting.report import as_json, report

KS = (1, 3)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&\u202e\x1b[31m"
VOID = {"meta", "img", "br", "link", "rect", "polyline", "polygon", "circle"}


@pytest.fixture(scope="module")
def model(sparse_labels):
    names = [f"{HOSTILE}{n}" for n in range(planted.N_LABELS)]
    ids = [f"id{n}" for n in range(planted.N_LABELS)]
    tree = LabelTreeClassifier(beam_size=2, **planted.SMALL)
    return tree.fit(planted.X, sparse_labels, label_ids=ids, label_names=names)


@pytest.fixture(scope="module")
def columns():
    return {HOSTILE: [HOSTILE, "b", "b"] * 20, "other": ["x"] * 60}


@pytest.fixture(scope="module")
def found(model, columns):
    rows = planted.X_TEST, planted.Y_TEST
    return report(model, *rows, ks=KS, columns=columns, name=HOSTILE, n_bytes=1234567)


@pytest.fixture(scope="module")
def html(found):
    return page(found)


class Reader(HTMLParser):
    """What a browser finds in a page: tags, attributes, words; unclosed tags are an error."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def read(html):
    return Reader(html)


def test_metrics_are_those_of_evaluate_with_propensities_of_the_training_rows(found, model):
    top = model.predict_topk(planted.X_TEST, 3)
    p = propensities_of(model.label_counts_, 300, 0.55, 1.5)
    assert found.metrics == metrics_report(planted.Y_TEST, top, KS, p)
    assert dict(
        zip(found.overall.names, found.overall.groups[0].figures.value, strict=True)
    ) == pytest.approx({name: found.metrics[name] for name in found.overall.names})


def test_propensities_are_those_of_the_parameters_of_the_model():
    model = OneVsAllClassifier(propensity_a=0.6, propensity_b=2.6, random_state=0)
    found = report(model.fit(planted.X, planted.Y), planted.X_TEST, planted.Y_TEST, ks=(1,))
    top, p = model.predict_topk(planted.X_TEST, 1), propensities(planted.Y, 0.6, 2.6)
    assert found.metrics == metrics_report(planted.Y_TEST, top, (1,), p)


def test_the_calibration_is_that_of_ece(found, model):
    bins = found.calibration
    gaps = np.abs(bins.mean_scores - bins.true_shares)
    ece = np.nansum(gaps * bins.counts) / bins.counts.sum()
    assert ece == pytest.approx(ece_at_k(planted.Y_TEST, model.predict_topk(planted.X_TEST, 3), 3))


def test_the_facts_are_those_of_the_model(found, model):
    facts = found.facts
    assert (facts.kind, facts.n_labels) == ("LabelTreeClassifier", planted.N_LABELS)
    layers = [layer for member in model.members_ for layer in member.layers]
    assert facts.n_weights == sum(len(layer.weight) for layer in layers)
    assert facts.seconds_per_row > 0
    flat = clone(planted.MODELS["low-rank"]).fit(planted.X, planted.Y)
    factors = flat.model_.predictor
    told = report(flat, planted.X_TEST, planted.Y_TEST).facts.n_weights
    assert told == factors.feature_factors.size + factors.label_factors.size > 0


def test_every_kind_of_model_has_a_report_and_a_page(fitted):
    found = report(fitted, planted.X_TEST, planted.Y_TEST)
    assert found.ks == (1, 3, 5)
    assert "The trees" in page(found) if found.outlines else "The trees" not in page(found)
    json.dumps(as_json(found), allow_nan=False)


def test_labels_that_the_model_lacks_are_missed_and_have_no_training_row(model):
    more = sp.hstack([planted.Y_TEST, np.ones((60, 1))], format="csr")
    labels = Labels([*model.label_ids_, "new"], None)
    found = report(model, planted.X_TEST, more, ks=KS, labels=labels)
    without = report(model, planted.X_TEST, planted.Y_TEST, ks=KS)
    added = found.fates.counts - without.fates.counts
    assert added.sum() == 60 and added[0, 2] == 60
    assert '<td class="n">60</td>' in page(found) and "new" in page(found)


def test_a_model_of_texts_takes_texts_and_tells_their_words():
    texts = ["a red apple", "green grass", "a blue plum", "blue sky"] * 5
    labels = [["red"], ["green"], ["blue"], ["blue"]] * 5
    model = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1, rerank=False)
    model.fit(texts, labels)
    Y = sp.csr_matrix(np.tile([[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]], (5, 1)))
    found = report(model, texts, Y, ks=(1,))
    assert found.metrics["P@1"] == 100
    assert "apple" in page(found)
    again = report(model, model.vectorizer_.transform(texts), Y, ks=(1,))
    assert again.metrics == found.metrics


def test_the_page_has_no_script_and_loads_nothing(html, read):
    assert "script" not in read.tags and "img" not in read.tags
    names = {name for name, _ in read.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert names.isdisjoint({"src", "href", "srcset", "data", "action"})
    assert "url(" not in html and "@import" not in html
    assert ("content", POLICY) in read.attributes


def test_what_names_hold_is_words_on_the_page(html, read):
    shown = "".join(read.words)
    assert "<script>alert(1)</script>" in shown
    assert "<script" not in html
    assert "\x1b" not in html and "\u202e" not in html


def test_the_page_has_every_table(read, columns):
    shown = "".join(read.words)
    for title in (
        "All rows",
        "By training rows of the label",
        "By other",
        "Where errors happen",
        "Calibration",
        "Suggested too often",
        "Suggested too rarely",
        "Confusions",
        "The trees",
    ):
        assert title in shown
    assert read.tags.count("svg") == 2 * 3 + 2
    assert read.tags.count("table") == 1 + 3 + 1 + 1 + 3


def test_the_page_says_each_figure_with_its_interval(found, html):
    value, low, high = (float(part[0]) for part in found.overall.groups[0].figures)
    assert f"{value:.1f}<small>{low:.1f} to {high:.1f}</small>" in html
    assert "1.2 MB" in html


def test_pages_of_many_labels_stay_small(model, found):
    names = ["a rather long name of a label " * 9] * 5000
    X, Y = sp.random(6000, 300, 0.05, "csr", random_state=0), sp.eye(6000, 5000, format="csr")
    wide = OneVsAllClassifier(random_state=0, max_iter=1).fit(X, Y, label_names=names)
    html = page(report(wide, X[:50], Y[:50], ks=(1,)))
    assert len(html.encode()) < 2_000_000
    assert "1,500 of 5,000 nodes shown" in html


def test_memory_goes_by_the_labels_that_occur():
    def spread(Y):
        return sp.csr_matrix((Y.data, Y.indices * 50_000_000, Y.indptr), (Y.shape[0], 2 * 10**9))

    wide = LabelTreeClassifier(**planted.SMALL).fit(planted.X, spread(planted.Y))
    narrow = LabelTreeClassifier(**planted.SMALL).fit(planted.X, planted.Y)
    found = report(wide, planted.X_TEST, spread(planted.Y_TEST))
    expected = report(narrow, planted.X_TEST, planted.Y_TEST)
    same = {name for name in found.metrics if "@" in name and not name.startswith("PS")}
    assert {n: found.metrics[n] for n in same} == {n: expected.metrics[n] for n in same}
    assert found.fates.counts.tolist() == expected.fates.counts.tolist()
    assert [own[1:] for own in found.over] == [own[1:] for own in expected.over]
    assert page(found).count("<li>") == page(expected).count("<li>")


def test_margins_have_no_calibration(found):
    html = page(found._replace(calibration=None))
    assert "they are no probabilities" in html
    assert as_json(found._replace(calibration=None))["calibration"] is None


def test_json_holds_what_the_page_shows(found):
    told = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert told["metrics"] == found.metrics
    assert told.keys() >= {"model", "kind", "n_bytes", "seconds_per_row", "ks", "seed", "n_samples"}
    assert told["true_labels"][2].keys() == {"training_rows", *FATES}
    assert told["confusions"][0].keys() == {"suggested", "missed", "n_rows"}
    assert told["under_suggested"][0].keys() == {"id", "name", *LabelCount._fields}
    assert told["overall"]["figures"]["P@1"]["value"] == pytest.approx(found.metrics["P@1"])
    assert [table["by"] for table in told["tables"]] == ["training rows", HOSTILE, "other"]
    assert (
        sum(own["n_predictions"] for own in told["calibration"]) == found.calibration.counts.sum()
    )
    fates = np.array([list(own.values())[1:] for own in told["true_labels"]])
    assert fates.tolist() == found.fates.counts.tolist()
    assert told["over_suggested"][0]["name"].startswith(HOSTILE)


def test_the_same_seed_gives_the_same_report(found, model, columns):
    again = report(model, planted.X_TEST, planted.Y_TEST, ks=KS, columns=columns, name=HOSTILE)
    a, b = (re.sub(r"[\d.e-]+ ms|1\.2 MB", "", page(own)) for own in (found, again))
    assert a.replace("<div><dt>size</dt><dd></dd></div>", "") == b


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"Y_true": planted.Y_TEST * 0}, "expected rows with true labels, none of 60 has any"),
        ({"Y_true": planted.Y_TEST[:9]}, "expected true labels of 60 rows, got 9"),
        ({"Y_true": planted.Y_TEST[:, :9]}, "expected 40 labels as the model has, got 9"),
        ({"columns": {"a": ["x"]}}, "expected a value of 'a' for each of 60 rows, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(model, how, line):
    given = {"rows": planted.X_TEST, "Y_true": planted.Y_TEST} | how
    with pytest.raises(DataError, match=f"^report: {re.escape(line)}$"):
        report(model, **given)


def test_a_k_above_the_number_of_labels_is_refused(model):
    with pytest.raises(ParameterError, match="^report: k must be an int from 1 to 40"):
        report(model, planted.X_TEST, planted.Y_TEST, ks=(41,))


def test_texts_for_a_model_of_matrices_are_refused():
    model = clone(planted.MODELS["one-vs-all"]).fit(planted.X, planted.Y)
    with pytest.raises(DataError, match="^report: expected X to be a 2-D numeric matrix, got 1-D"):
        report(model, ["text"] * 60, planted.Y_TEST)
