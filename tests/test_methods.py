"""The registry: a kind of model that nobody here knows goes everywhere once it is registered."""

import json

import cli_tools as cli
import numpy as np
import planted
import pytest
import scipy.sparse as sp
from planted import FrequencyClassifier

from xmc import DataError, ParameterError, TextClassifier, load
from xmc.methods import METHODS, method_named, method_of


@pytest.fixture
def trained(third_method, tmp_path):
    files = cli.home() / "X.npz", cli.home() / "Y.npz"
    cli.done("train", *files, "--model", tmp_path / "m", "--method", "frequency", "--quiet")
    return tmp_path / "m"


def test_every_method_names_a_class_that_takes_its_parameters():
    for method in METHODS.values():
        estimator = method.load()
        assert estimator.__name__ == method.estimator
        assert issubclass(estimator, method.params)
        assert method_of(method.estimator) is method_named(method.name) is method


def test_an_unknown_method_is_told_those_that_there_are():
    with pytest.raises(ParameterError) as error:
        method_named("forest")
    assert (
        str(error.value)
        == "method must be one of 'tree', 'one-vs-all', 'low-rank', 'reranked', got 'forest'"
    )
    usage = cli.misuse("train", "X.npz", "Y.npz", "--model", "m", "--method", "forest")
    assert usage.endswith(
        "expected one of 'tree', 'one-vs-all', 'low-rank', 'reranked', got 'forest'"
    )


def test_the_command_line_trains_and_asks_a_third_method(trained, tmp_path):
    assert type(load(trained)) is FrequencyClassifier
    Y = sp.load_npz(cli.home() / "Y.npz")
    frequent = np.argsort(-Y.getnnz(axis=0), kind="stable")[:3]
    out = tmp_path / "pred.npz"
    cli.done("predict", trained, cli.home() / "X.tst.npz", "-k", 3, "--out", out, "--quiet")
    P = sp.load_npz(out)
    assert P.indices.reshape(-1, 3).tolist() == [frequent.tolist()] * cli.N_TEST
    assert P.data[:3] == pytest.approx(Y.getnnz(axis=0)[frequent] / Y.shape[0])


def test_inspect_and_compress_take_a_third_method(trained, tmp_path):
    facts = json.loads(cli.done("inspect", trained, "--json", "-").stdout)
    assert (facts["class"], facts["trees"]) == ("FrequencyClassifier", [])
    assert (
        facts["n_labels"] == facts["n_labels_trained"] == sp.load_npz(cli.home() / "Y.npz").shape[1]
    )
    assert "FrequencyClassifier" in cli.done("inspect", trained).stdout
    cli.done("compress", trained, tmp_path / "small", "--quiet")
    before, after = (
        load(folder).predict_topk(planted_row(), 2) for folder in (trained, tmp_path / "small")
    )
    assert np.array_equal(before.labels, after.labels)


def planted_row():
    return sp.load_npz(cli.home() / "X.tst.npz")[:1]


def test_a_third_method_goes_below_texts(third_method, tmp_path):
    model = TextClassifier(FrequencyClassifier(random_state=0), min_df=1)
    model.fit(["a pear", "a plum", "a fig"], [["fruit", "green"], ["fruit"], ["fruit"]])
    model.save(tmp_path / "model")
    assert [s.id for s in load(tmp_path / "model").suggest("a cherry")] == ["fruit", "green"]


def test_a_method_that_can_not_be_forecast_says_so(third_method):
    model = FrequencyClassifier()
    with pytest.raises(ParameterError, match="^FrequencyClassifier: can't be forecast"):
        model.forecast(planted.X, planted.Y)


def test_one_vs_all_is_short_for_its_method(tmp_path):
    files = cli.home() / "X.npz", cli.home() / "Y.npz"
    long, short = tmp_path / "long", tmp_path / "short"
    cli.done("train", *files, "--model", long, "--method", "one-vs-all", "--quiet")
    cli.done("train", *files, "--model", short, "--one-vs-all", "--quiet")
    assert {p.name: p.read_bytes() for p in long.iterdir()} == {
        p.name: p.read_bytes() for p in short.iterdir()
    }


def test_flags_that_name_two_methods_are_refused():
    both = ("train", "X.npz", "Y.npz", "--model", "m")
    message = cli.misuse(*both, "--one-vs-all", "--method", "tree")
    assert message == "Error: --one-vs-all doesn't go with --method tree"
    message = cli.misuse(*both, "--preset", "parabel", "--method", "one-vs-all")
    assert message == "Error: --method one-vs-all doesn't go with --preset parabel, which is tree"


def test_a_model_folder_of_a_method_that_is_not_registered_is_refused(trained, monkeypatch):
    monkeypatch.delitem(METHODS, "frequency")
    line = cli.refusal(trained, "inspect", trained)
    assert line.endswith("got 'FrequencyClassifier'")


def test_ids_and_names_must_fit_the_labels():
    ids = [f"id {n}" for n in range(planted.N_LABELS)]
    model = FrequencyClassifier()
    for given, message in (
        (
            {"label_ids": ids[:3]},
            "FrequencyClassifier: expected 40 label_ids, one per label, got 3",
        ),
        (
            {"label_names": ids[:3]},
            "FrequencyClassifier: expected 40 label_names, one per label, got 3",
        ),
        (
            {"label_ids": [*ids[:-1], "id 0"]},
            "FrequencyClassifier: expected each of label_ids once, got 'id 0' twice",
        ),
    ):
        with pytest.raises(DataError) as error:
            model.fit(planted.X, planted.Y, **given)
        assert str(error.value) == message
