"""`xmc predict`."""

import gzip
import json
import re
import shutil

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp
from folders import replace_array

from xmc import LabelTreeClassifier, OneVsAllClassifier, load
from xmc.io import blocks, read_label_names, read_predictions


def test_the_file_holds_what_the_model_says(tmp_path):
    cli.done(
        "predict", cli.model(), cli.home() / "X.tst.npz", "--out", tmp_path / "pred.npz", "-k", 3
    )
    top = load(cli.model()).predict_topk(sp.load_npz(cli.home() / "X.tst.npz"), 3)
    P = read_predictions(tmp_path / "pred.npz").P
    assert P.shape == (cli.N_TEST, load(cli.model()).n_labels_)
    np.testing.assert_array_equal(P.indices, top.labels[top.labels >= 0])
    np.testing.assert_array_equal(P.data, top.scores[top.labels >= 0])


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_all_formats_hold_the_same(suffix):
    expected, found = (
        read_predictions(cli.predictions("npz")),
        read_predictions(cli.predictions(suffix)),
    )
    ids, _ = read_label_names(cli.home() / "labels.txt")
    np.testing.assert_array_equal(expected.P.data, found.P.data)
    assert [ids[label] for label in expected.P.indices] == [
        found.label_ids[label] for label in found.P.indices
    ]


def test_jsonl_has_names():
    first = json.loads(cli.predictions("jsonl").read_text().splitlines()[0])["labels"][0]
    assert first["name"] == f"the {first['id'].partition('::')[2]} tag"


def test_without_out_stdout_has_tsv_lines():
    shown = cli.done("predict", cli.named_model(), cli.home() / "X.tst.npz", "--quiet").stdout
    assert shown == cli.predictions("tsv").read_text()


def test_a_typed_text_is_answered_with_names():
    shown = cli.done(
        "predict", cli.text_model(), "--text", "a game\nfor X11", "-k", 2, "--quiet"
    ).stdout
    text, first, _ = shown.splitlines()
    assert text == "a game for X11"
    assert re.fullmatch(r"  \d\.\d{3}  the \S+ tag  \S+::\S+", first)


def test_a_terminal_gets_names_for_files_too(monkeypatch):
    monkeypatch.setattr("xmc.cli.predict.on_terminal", lambda: True)
    shown = cli.done(
        "predict", cli.text_model(), cli.home() / "test.tsv", "-k", 1, "--quiet"
    ).stdout
    assert re.fullmatch(r"  \d\.\d{3}  the \S+ tag  \S+::\S+", shown.splitlines()[1])


def test_a_terminal_gets_row_numbers_and_label_numbers_where_there_is_no_more(monkeypatch):
    monkeypatch.setattr("xmc.cli.predict.on_terminal", lambda: True)
    shown = cli.done("predict", cli.model(), cli.home() / "X.tst.npz", "-k", 1, "--quiet").stdout
    assert re.match(r"row 0\n  \d\.\d{3}  \d+\nrow 1\n", shown)


@pytest.mark.parametrize("format", ["xmc", "svmlight"])
def test_matrices_in_text_give_the_same(tmp_path, format):
    rows = tmp_path / "rows.gz"
    cli.done("convert", cli.home() / "X.tst.npz", rows, "--out-format", format, "--quiet")
    shown = cli.done("predict", cli.named_model(), rows, "--format", format, "--quiet").stdout
    assert shown == cli.predictions("tsv").read_text()


def test_a_sparse_text_gives_the_same(tmp_path):
    rows = tmp_path / "tst_X_Xf.txt"
    cli.done("convert", cli.home() / "X.tst.npz", rows, "--out-format", "sparse", "--quiet")
    shown = cli.done("predict", cli.named_model(), rows, "--quiet").stdout
    assert shown == cli.predictions("tsv").read_text()


def test_plain_text_that_begins_with_two_numbers_is_told_how_to_be_read(tmp_path):
    notes = cli.write_lines(tmp_path / "notes.txt", "20 21", "a web browser")
    line = cli.refusal(tmp_path, "predict", cli.text_model(), notes)
    hint = "--format text reads it as plain text"
    assert line == f"{notes}:2: expected column:value, got 'a'; {hint}"
    shown = cli.done("predict", cli.text_model(), notes, "--format", "text").stdout
    assert len(shown.splitlines()) == 2


def test_headerless_rows_are_padded_to_the_width_of_the_model(tmp_path):
    narrow = cli.write_lines(tmp_path / "rows.svm", " 0:1 1:1")
    cli.done("predict", cli.model(), narrow)


def test_typed_texts_files_and_stdin_give_the_same(tmp_path):
    texts = ["a web browser", "a game"]
    typed = cli.done(
        "predict", cli.text_model(), "--text", texts[0], "--text", texts[1], "--json", "-"
    )
    first = json.loads(typed.stdout)["predictions"][0]["labels"][0]
    notes = cli.write_lines(tmp_path / "notes.txt", *texts)
    expected = cli.done("predict", cli.text_model(), notes).stdout
    assert expected.startswith(f"{first['id']}\t")
    packed = tmp_path / "notes.txt.gz"
    packed.write_bytes(gzip.compress(notes.read_bytes()))
    documents = cli.write_lines(tmp_path / "notes.tsv", *[f"x,y\t{text}" for text in texts])
    for path in (packed, documents):
        assert cli.done("predict", cli.text_model(), path).stdout == expected
    assert (
        cli.done(
            "predict", cli.text_model(), "-", "--format", "text", stdin="\n".join(texts)
        ).stdout
        == expected
    )


def test_json_holds_counts_and_without_out_the_predictions():
    facts = json.loads(
        cli.done("predict", cli.text_model(), "--text", "zzzzzz", "--json", "-", "-k", 1).stdout
    )
    assert (facts["n_rows"], facts["n_rows_without_features"], facts["k"]) == (1, 1, 1)
    ((label,),) = [row["labels"] for row in facts["predictions"]]
    assert label.keys() == {"id", "name", "score"}


@pytest.mark.parametrize("model", ["model", "named_model", "text_model"])
def test_json_and_jsonl_hold_the_same_predictions(model):
    """Without label ids, with them, and with names; ids of the same type, scores as short."""
    folder = getattr(cli, model)()
    rows = [cli.home() / "X.tst.npz"] if model != "text_model" else ["--text", "a web browser"]
    facts = json.loads(cli.done("predict", folder, *rows, "--json", "-").stdout)
    lines = cli.done("predict", folder, *rows, "--out", "-", "--out-format", "jsonl").stdout
    assert facts["predictions"] == [json.loads(line) for line in lines.splitlines()]
    first = facts["predictions"][0]["labels"][0]
    assert type(first["id"]) is (int if model == "model" else str)
    assert len(repr(first["score"])) <= len("0.123456789")


def test_json_beside_out_holds_counts_only(tmp_path):
    files = ("--out", tmp_path / "pred.npz", "--json", "-")
    facts = json.loads(cli.done("predict", cli.model(), cli.home() / "X.tst.npz", *files).stdout)
    assert facts.keys() == {"n_rows", "n_rows_without_features", "n_labels", "k", "seconds"}


def test_rows_without_features_are_told():
    result = cli.done("predict", cli.text_model(), "--text", "zzzzzz", "--text", "game")
    assert (
        result.stderr
        == "predict: rows without features: 1 of 2; only the bias ranks their labels\n"
    )


def test_out_to_stdout_in_a_format():
    files = (cli.home() / "X.tst.npz", "--out", "-", "--out-format", "jsonl", "--quiet")
    assert (
        cli.done("predict", cli.named_model(), *files).stdout
        == cli.predictions("jsonl").read_text()
    )


def test_classes_of_a_model_with_one_label_per_row_are_its_ids(tmp_path):
    LabelTreeClassifier(random_state=0).fit(np.eye(3), ["red", "green", "blue"]).save(
        tmp_path / "model"
    )
    rows = cli.write_lines(tmp_path / "rows.svm", " 1:1")
    shown = cli.done("predict", tmp_path / "model", rows, "-k", 3).stdout
    assert set(shown.split("\t")[::2]) == {"red", "green", "blue"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "expected either FILE or --text"),
        (["X.npz", "--text", "a"], "expected either FILE or --text"),
        (["-"], "stdin needs --format"),
        (["X.npz", "-k", "0"], "Invalid value for '-k': 0 is not in the range x>=1."),
        (["X.npz", "--out-format", "npz"], "--out-format goes with --out"),
        (
            ["X.npz", "--out", "-", "--out-format", "tsv", "--json", "-"],
            "--out and --json can't both be stdout",
        ),
    ],
)
def test_misuse(args, message):
    assert cli.misuse("predict", "model", *args) == f"Error: {message}"


def test_k_larger_than_the_number_of_labels_is_refused(tmp_path):
    n_labels = load(cli.model()).n_labels_
    line = cli.refusal(
        tmp_path,
        "predict",
        cli.model(),
        "X.npz",
        "-k",
        n_labels + 1,
        "--out",
        tmp_path / "pred.npz",
    )
    wanted = f"k must be an int from 1 to {n_labels}, the number of labels"
    assert line == f"predict: {wanted}, got {n_labels + 1}"


def test_rows_of_another_width_are_refused(tmp_path):
    X = tmp_path / "X.npz"
    sp.save_npz(X, sp.csr_matrix(np.ones((2, 15_000), np.float32)))
    line = cli.refusal(tmp_path, "predict", cli.model(), X, "--out", tmp_path / "pred.npz")
    assert line == "predict: model was trained on 14,248 features, rows have 15,000"


def test_features_of_headerless_rows_that_training_lacks_are_ignored(tmp_path):
    """As a vectoriser does: what is left is scaled to length 1."""
    known = cli.write_lines(tmp_path / "known.svm", " 0:1 5:2", " 7:1")
    rows = cli.write_lines(tmp_path / "rows.svm", " 0:1 5:2 14248:9 15000:1", " 7:1 15000:1")
    expected = cli.done("predict", cli.model(), known)
    found = cli.done("predict", cli.model(), rows)
    assert found.stdout == expected.stdout
    assert expected.stderr == ""
    assert found.stderr == ("predict: features that training lacks: 2 of 5; they are ignored\n")


def test_a_header_of_another_width_is_refused(tmp_path):
    rows = cli.write_lines(tmp_path / "rows.txt", "1 5 2", "0 0:1")
    line = cli.refusal(tmp_path, "predict", cli.model(), rows)
    assert line == "predict: model was trained on 14,248 features, rows have 5"


def test_texts_need_a_vectoriser(tmp_path):
    line = cli.refusal(tmp_path, "predict", cli.model(), "--text", "a game")
    assert (
        line == "predict: expected rows of features, got texts; the model was not trained on texts"
    )


def test_bad_rows_are_refused_with_their_line(tmp_path):
    rows = cli.write_lines(tmp_path / "rows.txt", "2 5 2", "0 0:1", "1 7")
    line = cli.refusal(tmp_path, "predict", cli.model(), rows, "--out", tmp_path / "pred.npz")
    assert line == f"{rows}:3: expected feature:value, got '7'"


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("pred.csv", "expected a name that ends in .npz, .tsv, .jsonl or .txt, got '{}'"),
        ("pred.npz.gz", "expected a plain file for npz, got gzip"),
        ("no/pred.npz", "expected an existing folder to write into, got '{.parent}'"),
    ],
)
def test_an_output_that_can_not_be_is_refused_before_anything_is_read(
    tmp_path, monkeypatch, out, message
):
    monkeypatch.chdir(tmp_path)
    line = cli.refusal(tmp_path, "predict", "no-such-model", "X.npz", "--out", out)
    assert line == f"{out}: {message.format(cli.Path(out))}"


def test_an_existing_output_is_refused_before_anything_is_read_unless_overwrite(tmp_path):
    out = cli.write_lines(tmp_path / "pred.tsv", "mine")
    line = cli.refusal(tmp_path, "predict", "no-such-model", "X.npz", "--out", out)
    assert line == f"{out}: exists already; overwrite replaces it"
    cli.done(
        "predict",
        cli.named_model(),
        cli.home() / "X.tst.npz",
        "--out",
        out,
        "--overwrite",
        "--quiet",
    )
    assert out.read_text() == cli.predictions("tsv").read_text()


def test_a_missing_model_is_refused(tmp_path):
    line = cli.refusal(tmp_path, "predict", tmp_path / "model", "X.npz")
    assert line == f"{tmp_path / 'model'}: expected a folder with a model.json, got nothing there"


@pytest.fixture
def damaged(tmp_path):
    """A copy of a model, to damage."""
    return shutil.copytree(cli.model(), tmp_path / "model")


def test_a_model_of_a_newer_format_is_refused(tmp_path, damaged):
    meta = json.loads((damaged / "model.json").read_text())
    (damaged / "model.json").write_text(json.dumps(meta | {"format": meta["format"] + 1}))
    line = cli.refusal(tmp_path, "predict", damaged, cli.home() / "X.tst.npz")
    assert line == f"{damaged}: expected format 3 at most, got 4; a newer xmc can read it"


def test_a_model_with_a_missing_array_is_refused(tmp_path, damaged):
    replace_array(damaged, "model.json", "tree0.labels", None)
    line = cli.refusal(tmp_path, "predict", damaged, cli.home() / "X.tst.npz")
    assert line == f"{damaged}: model.json can't be read: no 'tree0.labels'"


def test_a_model_with_truncated_arrays_is_refused(tmp_path, damaged):
    path = damaged / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    line = cli.refusal(tmp_path, "predict", damaged, cli.home() / "X.tst.npz")
    assert line.startswith(f"{damaged}: arrays.safetensors can't be read: ")


def sets_of(*flags):
    """The predictions of the model on the test rows as JSON: (id, score) by row."""
    found = cli.done("predict", cli.model(), cli.home() / "X.tst.npz", *flags, "--json", "-")
    rows = json.loads(found.stdout)["predictions"]
    return [[(label["id"], label["score"]) for label in row["labels"]] for row in rows]


@pytest.mark.parametrize(("flags", "threshold"), [(("--threshold", 0.2), 0.2), (("--sets",), None)])
def test_sets_are_those_of_the_model_best_first_and_of_any_size(flags, threshold):
    X = sp.load_npz(cli.home() / "X.tst.npz")
    expected = load(cli.model()).predict(X, threshold)
    found = sets_of(*flags)
    assert [sorted(label for label, _ in row) for row in found] == [
        row.indices.tolist() for row in expected
    ]
    sizes = [len(row) for row in found]
    assert min(sizes) < 5 < max(sizes), "k bounds the sets, or they are all alike"
    assert all(row == sorted(row, key=lambda pair: -pair[1]) for row in found)
    assert all(score >= np.float32(threshold or np.exp(-1)) for row in found for _, score in row)


def test_a_typed_k_bounds_sets():
    whole, cut = sets_of("--threshold", 0.05), sets_of("--threshold", 0.05, "-k", 2)
    assert [row[:2] for row in whole] == cut


def test_a_set_may_be_empty():
    found = cli.done("predict", cli.text_model(), "--text", "zzz", "--threshold", 1).stdout
    assert found == "zzz\n"


def test_an_untyped_k_is_lowered_to_the_labels_that_there_are(tmp_path):
    model = LabelTreeClassifier(random_state=0).fit(np.eye(3), np.eye(3))
    model.save(tmp_path / "model")
    cli.save_dense(tmp_path / "X.npz", np.eye(3).tolist())
    found = cli.done("predict", tmp_path / "model", tmp_path / "X.npz", "--json", "-").stdout
    assert json.loads(found)["k"] == 3
    line = cli.refusal(tmp_path, "predict", tmp_path / "model", tmp_path / "X.npz", "-k", 4)
    assert line == "predict: k must be an int from 1 to 3, the number of labels, got 4"
    sets = cli.done("predict", tmp_path / "model", tmp_path / "X.npz", "--sets", "--json", "-")
    assert json.loads(sets.stdout)["k"] == 1


def test_sets_of_a_model_of_one_label_per_row_are_refused(tmp_path):
    OneVsAllClassifier(random_state=0).fit(np.eye(3), ["a", "b", "c"]).save(tmp_path / "model")
    cli.save_dense(tmp_path / "X.npz", np.eye(3).tolist())
    line = cli.refusal(tmp_path, "predict", tmp_path / "model", tmp_path / "X.npz", "--sets")
    assert line == "OneVsAllClassifier: sets must be False with one label per row"


def test_names_and_texts_do_not_act_on_the_terminal_and_stay_themselves_in_files(tmp_path):
    rows = [f"a\x1b[31m\t{word} x" for word in ("game", "games")] + [
        "b\u202e\tweb",
        "b\u202e\tpage",
    ]
    train = cli.write_lines(tmp_path / "train.tsv", *rows)
    names = cli.write_lines(tmp_path / "names.txt", "a\x1b[31m\tA\x9b", "b\u202e\tB\x07")
    kind = ("--one-vs-all", "--no-rerank", "--label-names", names, "--quiet")
    cli.done("train", train, "--model", tmp_path / "m", *kind)
    asked = ("predict", tmp_path / "m", "--text", "game \x1b]0;x\x07", "-k", 2, "--quiet")
    shown = cli.done(*asked).stdout
    assert (
        r"game \x1b]0;x\x07" in shown
        and r"A\x9b  a\x1b[31m" in shown
        and r"B\x07  b\u202e" in shown
    )
    found = json.loads(cli.done(*asked, "--json", "-").stdout)["predictions"][0]["labels"]
    assert {(label["id"], label["name"]) for label in found} == {
        ("a\x1b[31m", "A\x9b"),
        ("b\u202e", "B\x07"),
    }
    cli.done(*asked, "--out", tmp_path / "p.tsv")
    assert set(read_predictions(tmp_path / "p.tsv").label_ids) == {"a\x1b[31m", "b\u202e"}


# Other orders than the model's own.


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    rows = cli.home() / "X.npz", cli.home() / "Y.npz"
    flags = "--one-vs-all", "--calibration", "isotonic", "--optimize", "psp", "--quiet"
    cli.done("train", *rows, "--model", folder, *flags)
    return folder


def test_what_ranks_is_as_typed_or_as_the_model_has_it(calibrated, tmp_path):
    rows, model = cli.home() / "X.tst.npz", load(calibrated)
    for name, flags in {"psp": (), "p": ("--optimize", "p")}.items():
        out = tmp_path / f"{name}.npz"
        cli.done("predict", calibrated, rows, "--out", out, *flags)
        top = model.set_params(optimize=name).predict_topk(sp.load_npz(rows), 5)
        np.testing.assert_array_equal(read_predictions(out).P.indices, top.labels.ravel())
    assert load(calibrated).optimize == "psp"


@pytest.mark.parametrize("flags", [(), ("--scheduler", "processes"), ("--resume",)])
def test_labels_are_chosen_for_all_rows_of_a_file_together(
    calibrated, tmp_path, monkeypatch, flags
):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    rows, out = cli.home() / "X.tst.npz", tmp_path / "pred.npz"
    together = "--optimize", "macro_f1", "--macro-share", 0.75, "-k", 3
    cli.done("predict", calibrated, rows, "--out", out, *together, *flags)
    model = load(calibrated).set_params(optimize="macro_f1", macro_share=0.75)
    top = model.predict_topk(sp.load_npz(rows), 3)
    np.testing.assert_array_equal(read_predictions(out).P.indices, top.labels.ravel())
    assert not np.array_equal(top.labels[:10], model.predict_topk(sp.load_npz(rows)[:10], 3).labels)


def test_a_part_of_the_rows_is_not_chosen_by_itself(calibrated, tmp_path):
    rows = cli.home() / "X.tst.npz"
    asked = "predict", calibrated, rows, "--optimize", "coverage", "--shard", "1/2"
    assert cli.refusal(tmp_path, *asked) == (
        "predict: --shard answers a part of the rows, and optimize='coverage' chooses labels for "
        "all of them together"
    )


@pytest.mark.parametrize("flags", [("--sets",), ("--threshold", 0.5)])
def test_sets_are_not_chosen_for_all_rows_together(calibrated, tmp_path, flags):
    rows, out = cli.home() / "X.tst.npz", tmp_path / "sets.jsonl"
    asked = "predict", calibrated, rows, "--out", out, *flags, "--overwrite"
    assert cli.misuse(*asked, "--optimize", "coverage") == (
        "Error: --optimize coverage chooses the best k of each row; --sets and --threshold go by "
        "its probabilities alone"
    )
    cli.done(*asked, "--optimize", "p")
    expected = out.read_bytes()
    load(calibrated).set_params(optimize="coverage").save(tmp_path / "model")
    cli.done("predict", tmp_path / "model", *asked[2:])
    assert out.read_bytes() == expected


def test_scores_that_are_no_probabilities_can_be_no_target(tmp_path):
    rows, out = cli.home() / "X.tst.npz", tmp_path / "pred.npz"
    line = cli.refusal(
        tmp_path, "predict", cli.model(), rows, "--out", out, "--optimize", "macro_f1"
    )
    assert line == (
        "LabelTreeClassifier: optimize must be 'p' or 'psp' where scores are no probabilities, got "
        "'macro_f1'; train with calibration or a last stage"
    )
    asked = "train", rows, cli.home() / "Y.tst.npz", "--model", tmp_path / "model"
    assert cli.refusal(tmp_path, *asked, "--optimize", "macro_f1") == line
