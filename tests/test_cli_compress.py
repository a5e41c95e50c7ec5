import json

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

from xmc import load
from xmc.io import read


@pytest.fixture
def rows():
    return cli.home() / "X.tst.npz", cli.home() / "Y.tst.npz"


def compressed(tmp_path, *args, model=None):
    """The result of a compression, as JSON has it."""
    source = model or cli.model()
    result = cli.done("compress", source, tmp_path / "small", *args, "--json", "-", "--quiet")
    return json.loads(result.stdout)


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_the_smaller_model_is_what_python_makes(tmp_path, weights):
    compressed(tmp_path, "--weights", weights, "--threshold", 0.3)
    load(cli.model()).compress(weights, 0.3).save(tmp_path / "expected")
    small, expected = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}
        for name in ("small", "expected")
    )
    assert small == expected


@pytest.mark.parametrize("threshold", [(), ("--threshold", 0.15)])
@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_compressing_twice_is_compressing_once(tmp_path, weights, threshold):
    folders = [cli.model(), *(tmp_path / name for name in ("once", "twice", "lower"))]
    settings = [threshold, threshold, ("--threshold", 0.05)]
    for source, target, more in zip(folders, folders[1:], settings, strict=False):
        cli.done("compress", source, target, "--weights", weights, *more, "--quiet")
    once, twice, lower = ({p.name: p.read_bytes() for p in f.iterdir()} for f in folders[1:])
    assert once == twice == lower


def test_both_models_are_described(tmp_path):
    result = compressed(tmp_path, "--threshold", 0.2)
    before, after = result["before"], result["after"]
    assert (before["weights"], before["weight_threshold"]) == ("float32", 0.1)
    assert (after["weights"], after["weight_threshold"], after["model"]) == (
        "int8",
        0.2,
        str(tmp_path / "small"),
    )
    for facts, model in ((before, load(cli.model())), (after, load(tmp_path / "small"))):
        assert facts["n_weights"] == sum(len(layer.weight) for layer in model.members_[0].layers)
    assert after["n_weights"] < before["n_weights"] and after["n_bytes"] < before["n_bytes"]
    assert not any("@" in name for name in before)


def test_what_it_costs_is_what_evaluate_says(tmp_path, rows):
    train = "--train-labels", cli.home() / "Y.npz"
    result = compressed(tmp_path, *rows, *train, "--weights", "int8")
    for facts, model in ((result["before"], cli.model()), (result["after"], tmp_path / "small")):
        cli.done(
            "predict", model, rows[0], "--out", tmp_path / "pred.npz", "--overwrite", "--quiet"
        )
        shown = cli.done(
            "evaluate", tmp_path / "pred.npz", rows[1], *train, "--json", "-", "--quiet"
        ).stdout
        expected = {k: v for k, v in json.loads(shown).items() if k.startswith(("P@", "PSP@"))}
        assert {k: facts[k] for k in expected} == pytest.approx(expected) and len(expected) == 6


def test_rows_with_texts_and_ids_are_matched_by_id(tmp_path):
    result = compressed(tmp_path, cli.home() / "test.tsv", model=cli.text_model())
    pred = tmp_path / "pred.tsv"
    cli.done("predict", cli.text_model(), cli.home() / "test.tsv", "--out", pred, "--quiet")
    shown = json.loads(
        cli.done("evaluate", pred, cli.home() / "test.tsv", "--json", "-", "--quiet").stdout
    )
    assert result["before"]["P@1"] == pytest.approx(shown["P@1"]) and result["before"]["P@1"] > 20


def test_people_see_a_table(tmp_path, rows):
    shown = cli.done("compress", cli.model(), tmp_path / "small", *rows).stdout.splitlines()
    assert shown[0].split() == [
        "model",
        "weights",
        "threshold",
        "number",
        "size",
        "P@1",
        "P@3",
        "P@5",
    ]
    assert shown[1].split()[:3] == [str(cli.model()), "float32", "0.1"]
    assert shown[2].split()[:3] == [str(tmp_path / "small"), "int8", "0.1"]


def test_the_model_itself_is_left_alone(tmp_path):
    before = cli.content(cli.model())
    compressed(tmp_path)
    assert cli.content(cli.model()) == before


def test_a_model_that_exists_is_not_replaced_unless_asked(tmp_path):
    compressed(tmp_path)
    line = cli.refusal(tmp_path, "compress", cli.model(), tmp_path / "small")
    assert line == f"{tmp_path / 'small'}: exists already; overwrite replaces it"
    compressed(tmp_path, "--overwrite", "--threshold", 1)
    assert load(tmp_path / "small").weight_threshold == 1


def test_a_model_may_be_compressed_in_place(tmp_path):
    compressed(tmp_path, "--weights", "float16")
    cli.done("compress", tmp_path / "small", tmp_path / "small", "--overwrite", "--quiet")
    assert load(tmp_path / "small").weights == "int8"


def test_what_is_no_model_is_refused(tmp_path):
    line = cli.refusal(tmp_path, "compress", tmp_path / "none", tmp_path / "small")
    assert line == f"{tmp_path / 'none'}: expected a folder with a model.json, got nothing there"


def test_rows_with_fewer_labels_or_features_are_refused(tmp_path, rows):
    narrow = cli.save_dense(tmp_path / "Y.npz", np.ones((150, 3)).tolist())
    line = cli.refusal(tmp_path, "compress", cli.model(), tmp_path / "small", rows[0], narrow)
    assert line.startswith(f"{narrow}: expected ") and line.endswith(
        " labels as the model has, got 3"
    )
    line = cli.refusal(tmp_path, "compress", cli.model(), tmp_path / "small", narrow, rows[1])
    assert "features" in line


def test_training_labels_of_more_labels_are_refused(tmp_path, rows):
    wide = cli.save_dense(tmp_path / "Y.npz", np.ones((2, 999)).tolist())
    more = (*rows, "--train-labels", wide)
    line = cli.refusal(tmp_path, "compress", cli.model(), tmp_path / "small", *more)
    n_labels = load(cli.model()).n_labels_
    assert line == f"{wide}: expected {n_labels:,} labels at most, got 999"


def test_headerless_rows_are_measured_as_their_matrices(tmp_path, rows):
    """The largest ids in SVMlight give widths that may be less than the model's."""
    X, Y = map(sp.load_npz, rows)
    few, chosen = (tmp_path / "X.few.npz", tmp_path / "Y.few.npz"), Y[:, -1].toarray()[:, 0] == 0
    for path, whole in zip(few, (X, Y), strict=True):
        sp.save_npz(path, whole[np.flatnonzero(chosen)[:20]])
    cli.done("convert", *few, tmp_path / "few.svm", "--quiet")
    assert read(tmp_path / "few.svm").Y.shape[1] < load(cli.model()).n_labels_
    scores = [
        {name: value for name, value in result["before"].items() if "@" in name}
        for result in (
            compressed(tmp_path, *few),
            compressed(tmp_path, tmp_path / "few.svm", "--overwrite"),
        )
    ]
    assert scores[0] == scores[1] and scores[0]["P@1"] > 0


def test_training_labels_go_with_rows():
    said = cli.misuse("compress", "a", "b", "--train-labels", "Y.npz")
    assert said == "Error: --train-labels goes with rows to measure on"


def test_warmup_compiles_everything_once(tmp_path):
    cli.done("warmup", "--json", tmp_path / "said.json", "--quiet")
    assert json.loads((tmp_path / "said.json").read_text())["seconds"] > 0
