"""`xmc inspect` and `xmc datasets`."""

import json
import re
import shutil

import cli_tools as cli
import planted
import pytest
import scipy.sparse as sp
from folders import edit

from xmc import (
    LabelTreeClassifier,
    OneVsAllClassifier,
    TextClassifier,
    Vocabulary,
    load,
)
from xmc.cli.inspect import size_text
from xmc.datasets import load_sample, sample_texts
from xmc.io import read


def inspected(folder):
    return json.loads(cli.done("inspect", folder, "--json", "-").stdout)


def test_inspect_tells_class_parameters_and_sizes():
    facts, model = inspected(cli.model()), load(cli.model())
    assert (facts["format"], facts["class"]) == (3, "LabelTreeClassifier")
    assert facts["parameters"]["beam_size"] == model.beam_size
    assert (facts["n_features"], facts["n_labels"]) == (model.n_features_in_, model.n_labels_)
    assert facts["n_bytes"] == sum(path.stat().st_size for path in cli.model().iterdir())
    assert (facts["label_ids"], facts["vectorizer"]) == (False, None)


def test_inspect_verifies_the_checksums(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(cli.model(), folder)
    done = cli.done("inspect", folder, "--verify", "--json", "-")
    assert done.stderr == f"inspect: {folder}: all checksums are right\n"
    edit(folder, "model.json", parameters=inspected(folder)["parameters"] | {"bias": 3.0})
    assert inspected(folder)["parameters"]["bias"] == 3
    line = cli.refusal(tmp_path, "inspect", folder, "--verify")
    assert line == f"{folder}: model.json is not what was written: its checksum differs"


def test_inspect_tells_the_levels_of_each_tree():
    ((*inner, last),), (member,) = inspected(cli.model())["trees"], load(cli.model()).members_
    assert last["n_nodes"] == len(member.tree.labels)
    assert [level["n_chunks"] for level in (*inner, last)] == [
        len(chunk) - 1 for chunk in member.tree.chunks
    ]
    assert last["width_min"] <= last["width_median"] <= last["width_max"]
    assert last["n_weights"] == len(member.layers[-1].weight)


def test_inspect_tells_the_vectoriser():
    facts = inspected(cli.text_model())
    assert facts["vectorizer"]["parameters"]["sublinear_tf"] is True
    assert set(facts["vectorizer"]["parts"]) == {"opening_words", "opening_chars"}  # short texts
    assert (facts["label_ids"], facts["label_names"]) == (True, True)


def test_inspect_prints_it_for_people():
    shown = cli.done("inspect", cli.text_model()).stdout
    assert shown.startswith("RerankedClassifier below a TextClassifier, model format 3\nfeatures ")
    assert "with ids and names" in shown
    assert "; parts opening_chars, opening_words" in " ".join(shown.split())
    assert "\ntree 1 of " in shown


def test_inspect_refuses_another_folder(tmp_path):
    line = cli.refusal(tmp_path, "inspect", tmp_path)
    assert line == f"{tmp_path}: expected a folder with a model.json, got a folder without"


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (2_500_000, "2.5 MB"),
        (10**13, "10,000.0 GB"),
    ],
)
def test_sizes_are_told_in_the_unit_that_suits_them(n_bytes, text):
    assert size_text(n_bytes) == text


def test_datasets_lists_the_sample_first():
    shown = cli.done("datasets", "list").stdout.splitlines()
    assert shown[1].split()[:2] == ["debtags", "26,795"]
    assert json.loads(cli.done("datasets", "list", "--json", "-").stdout)[0]["labels"] == 569


def test_the_sample_is_exported_as_matrices_and_texts(tmp_path):
    facts = json.loads(
        cli.done("datasets", "export", "debtags", tmp_path / "sample", "--json", "-").stdout
    )
    assert {path.name for path in (tmp_path / "sample").iterdir()} == set(facts["files"])
    sample, test = load_sample(), read(tmp_path / "sample" / "test.tsv")
    assert (sp.load_npz(tmp_path / "sample" / "X.trn.npz") != sample.X).nnz == 0
    assert test.texts == sample_texts(sample.X_test, sample.features)
    assert test.Y.nnz == sample.Y_test.nnz


def test_an_export_replaces_an_earlier_one_only(tmp_path):
    cli.done("datasets", "export", "debtags", tmp_path / "sample", "--quiet")
    line = cli.refusal(tmp_path, "datasets", "export", "debtags", tmp_path / "sample")
    assert line == f"{tmp_path / 'sample'}: exists already; overwrite replaces it"
    cli.done("datasets", "export", "debtags", tmp_path / "sample", "--quiet", "--overwrite")
    cli.write_lines(tmp_path / "sample" / "thesis.txt", "mine")
    line = cli.refusal(
        tmp_path, "datasets", "export", "debtags", tmp_path / "sample", "--overwrite"
    )
    got = "got 'thesis.txt'; choose a new folder"
    assert line == f"{tmp_path / 'sample'}: expected an earlier export to replace, {got}"


def test_an_unknown_data_set_is_a_usage_error(tmp_path):
    assert "'imdb' is not " in cli.misuse("datasets", "export", "imdb", tmp_path / "sample")


def test_synthetic_data_are_made_from_a_seed(tmp_path):
    how = ("--like", "wiki10-31k", "--scale", "0.01")
    facts = json.loads(
        cli.done(
            "datasets", "synth", *how, "--out", tmp_path / "a", "--json", "-", "--quiet"
        ).stdout
    )
    cli.done("datasets", "synth", *how, "--out", tmp_path / "b", "--seed", 0, "--quiet")
    assert sp.load_npz(tmp_path / "a" / "Y.trn.npz").shape == (facts["rows"], facts["labels"])
    assert (tmp_path / "a" / "X.tst.npz").read_bytes() == (
        tmp_path / "b" / "X.tst.npz"
    ).read_bytes()


def test_synthetic_data_do_not_replace_anything_unasked(tmp_path):
    line = cli.refusal(tmp_path, "datasets", "synth", "--like", "wiki10-31k", "--out", tmp_path)
    assert line == f"{tmp_path}: exists already; overwrite replaces it"


def test_a_scale_out_of_range_is_refused(tmp_path):
    how = ("--like", "wiki10-31k", "--scale", "7", "--out", tmp_path / "a")
    assert (
        cli.refusal(tmp_path, "datasets", "synth", *how)
        == "synthesize: scale must be a number from 0.005 to 1, got 7.0"
    )


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """A folder with a stage over two base models, of texts, whose vocabulary has labels without a
    row; and the model.
    """
    folder = tmp_path_factory.mktemp("staged") / "model"
    colours = ["red", "green", "blue", "yellow"]
    texts = [f"a {colours[n % 4]} thing number {n}" for n in range(80)]
    names = [(colour, colour, "preferred", "en") for colour in [*colours, "black", "white"]]
    vocabulary = Vocabulary.of(names, [("red", "white")])
    bases = OneVsAllClassifier(random_state=0), LabelTreeClassifier(random_state=0)
    model = TextClassifier(bases, vocabulary=vocabulary, rerank=True)
    model.fit(texts, [[colours[n % 4]] for n in range(80)]).save(folder)
    return folder, model


def test_inspect_tells_what_a_stage_weighs_and_over_which_base_models(staged):
    folder, model = staged
    facts, stage = inspected(folder), model.classifier_
    weights = dict(zip(stage.evidence_names_, stage.evidence_weights_.tolist(), strict=True))
    assert {piece["name"]: piece["weight"] for piece in facts["evidence"]} == weights
    shown = [piece["weight"] for piece in facts["evidence"]]
    assert shown == sorted(shown, reverse=True)
    classes = [base["class"] for base in facts["base_models"]]
    assert classes == ["OneVsAllClassifier", "LabelTreeClassifier"]
    assert facts["base_models"][0]["parameters"]["random_state"] == 0
    assert facts["threshold"] == model.model_.threshold


def test_inspect_tells_the_vocabulary_and_how_many_labels_have_no_row(staged):
    facts = inspected(staged[0])
    assert (facts["n_labels"], facts["n_labels_without_rows"]) == (6, 2)
    assert facts["vocabulary"] == {
        "concepts": 6,
        "names": 6,
        "languages": ["en"],
        "broader_pairs": 1,
    }


def test_inspect_prints_a_stage_for_people(staged):
    shown = cli.done("inspect", staged[0]).stdout
    assert "6, 2 of them without training rows; with ids and names" in shown
    assert "6 concepts with 6 names in en, 1 pairs" in shown
    assert "\nbase1       LabelTreeClassifier: " in shown
    lines = shown.splitlines()
    names = staged[1].classifier_.evidence_names_
    assert sum(line.split()[:1] == [name] for line in lines for name in names) == len(names)


def test_a_model_without_a_stage_has_no_evidence_and_no_vocabulary():
    facts = inspected(cli.model())
    assert (facts["evidence"], facts["base_models"], facts["vocabulary"]) == ([], [], None)


@pytest.mark.parametrize(("name", "begins"), [("t.svg", "<svg "), ("t.dot", "digraph ")])
def test_trees_are_drawn(tmp_path, name, begins):
    done = cli.done("inspect", cli.text_model(), "--tree", tmp_path / name, "--json", "-")
    trees = json.loads(done.stdout)["trees"]
    total = sum(level["n_nodes"] for tree in trees for level in tree)
    drawn = (tmp_path / name).read_text(encoding="utf-8")
    assert drawn.startswith(begins) and "the program tag" in drawn
    line = rf"inspect: {tmp_path / name}: [\d,]+ of {total:,} nodes are drawn; those with most .*"
    assert re.fullmatch(line, done.stderr.strip())


def test_a_drawing_needs_a_name_that_says_how(tmp_path):
    path = tmp_path / "tree.png"
    line = cli.refusal(tmp_path, "inspect", cli.model(), "--tree", path)
    assert line == f"{path}: expected a path that ends in .svg or .dot"


def test_an_existing_drawing_is_kept_unless_overwrite(tmp_path):
    path = cli.write_lines(tmp_path / "tree.svg", "mine")
    line = cli.refusal(tmp_path, "inspect", cli.model(), "--tree", path)
    assert line == f"{path}: exists already; overwrite replaces it"
    cli.done("inspect", cli.model(), "--tree", path, "--overwrite", "--quiet")
    assert path.read_text(encoding="utf-8").startswith("<svg ")


def test_a_model_without_trees_can_not_be_drawn(tmp_path, third_method):
    X, Y = (sp.load_npz(cli.home() / name) for name in ("X.npz", "Y.npz"))
    planted.FrequencyClassifier().fit(X, Y).save(tmp_path / "model")
    line = cli.refusal(tmp_path, "inspect", tmp_path / "model", "--tree", tmp_path / "t.svg")
    expected = "expected a model with trees to draw, FrequencyClassifier has none"
    assert line == f"{tmp_path / 'model'}: {expected}"
