"""`xmc explain`."""

import json

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

from xmc import load


def test_the_best_labels_are_told_with_words_paths_and_rivals():
    text = "a game\nfor X11"
    shown = cli.done("explain", cli.text_model(), "--text", text, "-k", 2, "--quiet").stdout
    best = load(cli.text_model()).suggest(text, 2)
    heads = [line for line in shown.splitlines() if line and line[0].isdigit()]
    assert heads == [
        f"{own.score:.3f}  {own.name}  {own.id}  place {n}" for n, own in enumerate(best, 1)
    ]
    assert shown.count("\n  a game for X11\n") == 2
    assert all(f"\n  {what} " in shown for what in ("words", "rival"))


def test_json_has_the_labels_that_were_asked_for(tmp_path):
    model = load(cli.text_model())
    first, last = model.label_ids_[0], model.label_ids_[-1]
    cli.done(
        *("explain", cli.text_model(), "--text", "a game", "--text", "a web server"),
        *("--label", first, "--label", last, "--json", tmp_path / "why.json", "--quiet"),
    )
    rows = json.loads((tmp_path / "why.json").read_text())["rows"]
    assert [[own["label"] for own in row["labels"]] for row in rows] == [[first, last]] * 2
    assert rows[1]["labels"][0] == model.explain("a web server", first).to_dict()


def test_rows_of_a_matrix_are_explained_by_number(tmp_path):
    X = sp.load_npz(cli.home() / "X.tst.npz")[:2]
    sp.save_npz(tmp_path / "X.npz", X)
    out = cli.done("explain", cli.model(), tmp_path / "X.npz", "-k", 1, "--json", "-").stdout
    told = [row["labels"][0]["label"] for row in json.loads(out)["rows"]]
    assert told == load(cli.model()).predict_topk(X, 1).labels[:, 0].tolist()
    shown = cli.done("explain", cli.model(), tmp_path / "X.npz", "--label", told[1]).stdout
    assert "row 0\n" in shown and "row 1\n" in shown and "features" in shown


def test_a_model_with_a_vectoriser_explains_matrices_too(tmp_path):
    model = load(cli.text_model())
    sp.save_npz(tmp_path / "X.npz", model.vectorizer_.transform(["a game for X11"]))
    shown = cli.done("explain", cli.text_model(), tmp_path / "X.npz", "-k", 1, "--quiet").stdout
    score = model.classifier_.predict_topk(sp.load_npz(tmp_path / "X.npz"), 1).scores[0, 0]
    assert shown.startswith(f"{score:.3f}  ")


def test_an_unknown_label_names_the_closest(tmp_path):
    known = load(cli.text_model()).label_ids_[3]
    line = cli.refusal(tmp_path, "explain", cli.text_model(), "--text", "a", "--label", known + "x")
    assert line.endswith(
        f"expected a label of the model, got {known + 'x'!r}; the closest is {known!r}"
    )
    last = load(cli.model()).n_labels_ - 1
    line = cli.refusal(
        tmp_path, "explain", cli.model(), cli.home() / "X.tst.npz", "--label", last + 1
    )
    assert line.endswith(f"expected a label from 0 to {last:,}, got '{last + 1}'")


def test_wrong_options_are_named(tmp_path):
    assert "expected either FILE or --text" in cli.misuse("explain", cli.text_model())
    asked = "explain", cli.text_model(), "--text", "a"
    assert "-k goes without --label" in cli.misuse(*asked, "--label", "x", "-k", 2)
    n = load(cli.text_model()).n_labels_
    assert f"k must be an int from 1 to {n:,}" in cli.refusal(tmp_path, *asked, "-k", n + 1)
    assert "the model was not trained on texts" in cli.refusal(
        tmp_path, "explain", cli.model(), "--text", "a"
    )


@pytest.mark.parametrize("text", ["", "\x1b[31m \u202e", "word " * 20_000])
def test_odd_texts_are_explained(text):
    shown = cli.done("explain", cli.text_model(), "--text", text, "-k", 1, "--quiet").stdout
    assert "\x1b" not in shown
    assert shown[0] in "01"


def test_a_text_of_the_file_is_the_text_that_is_marked(tmp_path):
    (tmp_path / "new.tsv").write_text("x\ta game\ny\ta web server\n")
    out = cli.done("explain", cli.text_model(), tmp_path / "new.tsv", "-k", 1, "--json", "-").stdout
    rows = json.loads(out)["rows"]
    assert [row["labels"][0]["text"] for row in rows] == ["a game", "a web server"]
    for row in rows:
        for word in row["labels"][0]["words"]:
            assert row["labels"][0]["text"][word["start"] : word["end"]] == word["word"]
    assert np.isfinite([w["weight"] for row in rows for w in row["labels"][0]["words"]]).all()
