"""`xmc train`."""

import gzip
import json
import shutil
import signal
import time
from dataclasses import fields
from types import SimpleNamespace

import cli_tools as cli
import folders
import numpy as np
import pytest
import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier, load
from xmc.params import LabelTreeParams, OneVsAllParams

FOLDERS = "model", "expected"
ROWS = ("0 0:1 1:2", "1 1:1 2:1", "0,1 3:1")


def xmc_file(tmp_path, *lines, header="3 4 2"):
    return cli.write_lines(tmp_path / "train.txt", header, *lines)


def train(tmp_path, *args):
    """Facts that training tells as JSON; the model is the folder `model`."""
    return json.loads(
        cli.done("train", *args, "--model", tmp_path / "model", "--quiet", "--json", "-").stdout
    )


def test_rows_have_weights_from_a_file(tmp_path):
    """A row of weight 0 is left out."""
    rows = cli.save_dense(tmp_path / "X.npz", np.eye(6).tolist())
    labels = cli.save_dense(tmp_path / "Y.npz", np.tile(np.eye(3), (2, 1)).tolist())
    weights = cli.write_lines(tmp_path / "weights.txt", "1", "2.5", " 1e-3", "0", "1", "1")
    settings = "--one-vs-all", "--weight-threshold", 0
    train(tmp_path, rows, labels, *settings, "--row-weights", weights)
    model = OneVsAllClassifier(weight_threshold=0.0, random_state=0)
    model.fit(sp.load_npz(rows), sp.load_npz(labels), sample_weight=[1, 2.5, 1e-3, 0, 1, 1])
    model.save(tmp_path / "expected")
    folders = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in FOLDERS]
    assert folders[0] == folders[1] and load(tmp_path / "model").model_.n_rows == 5
    train(tmp_path, rows, labels, "--valid", 0.3, "--row-weights", weights, "--overwrite")
    assert load(tmp_path / "model").model_.n_rows in (3, 4)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1", "x", "1"], "{}:2: expected a number, got 'x'"),
        (["1", "", "1"], "{}:2: expected a number, got ''"),
        (["1", "1"], "{}: expected a number for each of 3 rows as weights, got 2"),
        (["0", "0", "0"], "{}: expected weights of rows that are not all zero"),
        (
            ["1", "-1", "1"],
            "{}: expected weights of rows that are 0 or from 1e-09 to 1e+09, got -1 in row 1 "
            "(counted from 0)",
        ),
    ],
)
def test_wrong_weights_of_rows_are_refused(tmp_path, lines, said):
    weights = cli.write_lines(tmp_path / "weights.txt", *lines)
    source = xmc_file(tmp_path, *ROWS)
    line = cli.refusal(
        tmp_path, "train", source, "--model", tmp_path / "model", "--row-weights", weights
    )
    assert line == said.format(weights)


def test_a_model_of_matrices_is_saved_with_its_sizes(tmp_path):
    facts = train(tmp_path, cli.home() / "X.npz", cli.home() / "Y.npz")
    X, Y = sp.load_npz(cli.home() / "X.npz"), sp.load_npz(cli.home() / "Y.npz")
    assert (facts["n_rows"], facts["n_features"], facts["n_labels"]) == (*X.shape, Y.shape[1])
    assert load(tmp_path / "model").n_features_in_ == X.shape[1]


def test_every_parameter_is_a_flag_and_reaches_the_model(tmp_path):
    settings = {
        "n_trees": 2,
        "tree": "balanced",
        "arity": 4,
        "max_leaf_size": 20,
        "max_depth": 3,
        "negatives": "tfn+man",
        "beam_size": 7,
        "loss": "hinge",
        "C": 0.5,
        "tol": 0.2,
        "max_iter": 9,
        "solver": "block",
        "bias": 2.0,
        "weight_threshold": 0.2,
        "score_transform": "log_sigmoid",
        "normalize": False,
        "weights": "float16",
        "optimize": "psp",
        "macro_share": 0.5,
        "propensity_a": 0.6,
        "propensity_b": 2.6,
        "costs": "propensity",
        "negative_folds": 2,
        "tail_share": 0.2,
        "tail_gamma": 9.0,
        "threshold_for": "macro",
        "keep_rows": True,
        "tfidf": True,
        "pairs": 0.5,
    }
    declared = {f.name for f in fields(LabelTreeParams)} - {
        "n_jobs",
        "random_state",
        "verbose",
        "memory",
        "calibration",  # doesn't go with tail_share
    }
    assert settings.keys() == declared
    flags = [
        [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
        for name, value in settings.items()
        if name != "normalize"
    ]
    files = (cli.home() / "X.npz", cli.home() / "Y.npz")
    train(tmp_path, *files, *sum(flags, []), "--no-normalize", "--seed", 3, "--threads", 1)
    model = load(tmp_path / "model")
    assert {name: getattr(model, name) for name in settings} == settings
    assert model.random_state == 3


def test_a_calibration_is_a_flag_and_gives_probabilities_and_a_threshold(tmp_path):
    files = (cli.home() / "X.npz", cli.home() / "Y.npz")
    train(tmp_path, *files, "--calibration", "platt", "--threshold-for", "samples", "--seed", 3)
    model = load(tmp_path / "model")
    assert (model.calibration, model.threshold_for) == ("platt", "samples")
    same = LabelTreeClassifier(calibration="platt", threshold_for="samples", random_state=3)
    same.fit(*(sp.load_npz(file) for file in files))
    assert model.model_.threshold == same.model_.threshold
    np.testing.assert_array_equal(
        model.model_.calibration.probability, same.model_.calibration.probability
    )


def test_flags_that_are_not_given_are_the_defaults_and_the_seed_is_0():
    model = load(cli.model())
    unsaid = {
        f.name: f.default
        for f in fields(LabelTreeParams)
        if f.name not in ("n_jobs", "random_state", "verbose")
    }
    assert {name: getattr(model, name) for name in unsaid} == unsaid
    assert model.random_state == 0


def test_one_vs_all_is_the_other_class_and_takes_its_own_flags(tmp_path):
    train(
        tmp_path,
        cli.home() / "X.npz",
        cli.home() / "Y.npz",
        "--one-vs-all",
        "--C",
        0.5,
        "--max-iter",
        5,
    )
    model = load(tmp_path / "model")
    assert (type(model).__name__, model.C, model.max_iter) == ("OneVsAllClassifier", 0.5, 5)


def test_one_vs_all_refuses_every_flag_of_trees():
    flags = {f.name for f in fields(LabelTreeParams)} - {f.name for f in fields(OneVsAllParams)}
    for name in flags:
        flag, value = (
            f"--{name.replace('_', '-')}",
            {"tree": "shallow", "negatives": "man"}.get(name, "2"),
        )
        message = cli.misuse("train", "X.npz", "Y.npz", "--model", "m", "--one-vs-all", flag, value)
        assert message == f"Error: {flag} doesn't go with --method one-vs-all"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n-trees", "0"], "Invalid value for '--n-trees': 0 is not in the range 1<=x<=100."),
        (["--C", "0"], "Invalid value for '--C': 0.0 is not in the range 1e-09<=x<=1000000000."),
        (["--threads", "0"], "Invalid value for '--threads': 0 is not in the range x>=1."),
        (["--valid", "1"], "Invalid value for '--valid': 1.0 is not in the range 0<x<1."),
        (["third.npz"], "expected X.npz Y.npz or one file, got 3 paths"),
    ],
)
def test_flags_out_of_range_are_usage_errors(flags, message):
    assert cli.misuse("train", "X.npz", "Y.npz", "--model", "m", *flags) == f"Error: {message}"


def test_what_a_range_can_not_say_is_refused_before_anything_is_read(tmp_path):
    line = cli.refusal(
        tmp_path, "train", "no-such-file.txt", "--model", tmp_path / "model", "--C", "nan"
    )
    wanted = (
        "C must be a finite number >= 1e-09 and <= 1000000000, or a tuple of such, one per level"
    )
    assert line == f"LabelTreeClassifier: {wanted}, got nan"


def test_stdin_needs_a_format():
    assert cli.misuse("train", "-", "--model", "m") == "Error: stdin needs --format"


def test_text_flags_go_with_texts_only(tmp_path):
    files = (cli.home() / "X.npz", cli.home() / "Y.npz")
    message = cli.misuse("train", *files, "--model", tmp_path / "m", "--min-df", "3")
    assert message == "Error: --min-df goes with texts only, the rows have features already"


@pytest.mark.parametrize("command", ["train", "tune"])
@pytest.mark.parametrize("flags", [["--tfidf"], ["--pairs", "0.5"]])
def test_flags_of_a_matrixs_features_go_with_matrices_only(tmp_path, command, flags):
    where = "--model" if command == "train" else "--out"
    message = cli.misuse(command, cli.home() / "train.tsv", where, tmp_path / "m", *flags)
    why = "goes with matrices only, features of texts are TF-IDF weights already"
    assert message == f"Error: {flags[0]} {why}"


def test_features_are_made_of_a_matrix_for_every_command(tmp_path):
    """What a model is told at its training, forecasts and predictions know."""
    files, flags = (cli.home() / "X.npz", cli.home() / "Y.npz"), ("--one-vs-all", "--tfidf")
    shown = cli.done("train", *files, *flags, "--dry-run", "--model", tmp_path / "m").stdout
    n_features = sp.load_npz(files[0]).shape[1]
    assert f"with {n_features:,} features" in shown
    train(tmp_path, *files, *flags)
    cli.done("predict", tmp_path / "model", files[0], "--out", tmp_path / "pred.npz", "-k", 3)
    model = OneVsAllClassifier(tfidf=True, random_state=0).fit(*map(sp.load_npz, files))
    model.save(tmp_path / "expected")
    folders = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in FOLDERS]
    assert folders[0] == folders[1]
    top = model.predict_topk(sp.load_npz(files[0]), 3)
    assert np.array_equal(sp.load_npz(tmp_path / "pred.npz").indices, top.labels.ravel())


def test_texts_are_vectorised_as_the_flags_say_and_ids_and_names_kept(tmp_path):
    names = ("--label-names", cli.home() / "labels.txt")
    train(
        tmp_path,
        cli.home() / "train.tsv",
        *names,
        "--max-ngram",
        2,
        "--min-df",
        3,
        "--no-sublinear-tf",
        "--opening",
        0,
        "--no-rerank",
    )
    model = load(tmp_path / "model")
    assert model.vectorizer_.ngram_range == (1, 2)
    assert not model.vectorizer_.sublinear_tf
    assert model.label_ids_ == sorted(model.label_ids_)
    first = model.label_ids_[0]
    assert model.label_names_[0] == f"the {first.partition('::')[2]} tag"


def test_names_of_matrix_columns_go_by_line():
    lines = [line.split("\t") for line in (cli.home() / "labels.txt").read_text().splitlines()]
    model = load(cli.named_model())
    assert list(zip(model.label_ids_, model.label_names_, strict=True)) == [
        tuple(line) for line in lines
    ]


def test_a_vocabulary_names_labels_by_id(tmp_path):
    rows = cli.write_lines(tmp_path / "train.tsv", "a\tone apple", "b,c\ttwo apples")
    lines = ("c\tde\tZeh", "c\tde\tCe", "a\ten\tay", "a\tde\tAh (Laut)", "x\tde\tIx")
    names = cli.write_lines(tmp_path / "v.tsv", *lines)
    model = tmp_path / "model"
    flags = ("--min-df", 1, "--vocabulary", names, "--model", model)
    notices = cli.done("train", rows, *flags).stderr.splitlines()
    assert load(model).label_names_ == ["Ah (Laut)", "b", "Zeh", "Ix"]
    assert load(model).label_counts_.tolist() == [1, 1, 1, 0]
    assert (
        "train: labels that the vocabulary lacks: 1 of 3; they keep their names or ids" in notices
    )


def test_a_vocabulary_comes_before_label_names(tmp_path):
    names = cli.write_lines(tmp_path / "labels.txt", "a\tA", "b\tB")
    words = cli.write_lines(tmp_path / "v.tsv", "b\tBe", "b\tBee")
    rows, model = xmc_file(tmp_path, *ROWS), tmp_path / "model"
    flags = ("--label-names", names, "--vocabulary", words, "--model", model)
    notices = cli.done("train", rows, *flags).stderr
    assert load(model).label_names_ == ["A", "Be"]
    assert f"train: {words}: names after the preferred one of their language: 1" in notices


def test_a_vocabulary_needs_label_ids(tmp_path):
    names = cli.write_lines(tmp_path / "v.tsv", "a\tA")
    rows = xmc_file(tmp_path, *ROWS)
    message = cli.misuse("train", rows, "--vocabulary", names, "--model", tmp_path / "m")
    hint = "--label-names FILE"
    assert message == f"Error: --vocabulary needs ids of a matrix's columns: {hint}"


def test_a_vocabulary_of_other_ids_is_refused(tmp_path):
    rows = cli.write_lines(tmp_path / "train.tsv", "a\tone apple", "b,c\ttwo apples")
    names = cli.write_lines(tmp_path / "v.tsv", "gnd:2\tA", "gnd:1\tB")
    flags = ("--vocabulary", names, "--model", tmp_path / "model")
    line = cli.refusal(tmp_path, "train", rows, *flags)
    assert line == f"{names}: expected ids of the labels, such as 'a', got 'gnd:1'"


def test_names_widen_headerless_labels(tmp_path):
    rows = cli.write_lines(tmp_path / "train.svm", *ROWS)
    names = cli.write_lines(tmp_path / "labels.txt", "a\tA", "b\tB", "c\tC")
    facts = train(tmp_path, rows, "--label-names", names)
    assert (facts["n_labels"], facts["n_labels_without_rows"]) == (3, 1)


def test_npz_text_and_gzip_give_the_same_model(tmp_path):
    rows = tmp_path / "train.txt.gz"
    cli.done("convert", cli.home() / "X.npz", cli.home() / "Y.npz", rows, "--quiet")
    train(tmp_path, rows)
    assert _folder(tmp_path / "model") == _folder(cli.model())


def test_threads_do_not_change_the_model(tmp_path):
    train(tmp_path, cli.home() / "X.npz", cli.home() / "Y.npz", "--threads", 2)
    assert _folder(tmp_path / "model") == _folder(cli.model())


def _folder(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_rows_and_labels_worth_a_word_are_counted_and_told(tmp_path):
    rows = xmc_file(tmp_path, "0 0:1 1:2", "2 ", " 1:1", "2 3:1", header="4 4 3")
    result = cli.done(
        "train", rows, "--model", tmp_path / "model", "--json", tmp_path / "facts.json"
    )
    assert result.stderr.splitlines()[:3] == [
        "train: rows without features: 1 of 4; only the bias learns from them",
        "train: rows without labels: 1 of 4; they only serve as negatives",
        "train: labels without a training row: 1 of 3; they are never predicted",
    ]
    facts = json.loads((tmp_path / "facts.json").read_text())
    counts = ("n_rows_without_features", "n_rows_without_labels", "n_labels_without_rows")
    assert [facts[name] for name in counts] == [1, 1, 1]


def test_quiet_says_nothing(tmp_path):
    result = cli.done("train", xmc_file(tmp_path, *ROWS), "--model", tmp_path / "model", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")


def test_one_based_files_count_from_1(tmp_path):
    rows = xmc_file(tmp_path, "1 1:1 2:2", "2 2:1 3:1", "1,2 4:1")
    train(tmp_path, rows, "--one-based")
    assert cli.refusal(tmp_path, "train", rows, "--model", tmp_path / "m").startswith(
        f"{rows}:3: expected a label id"
    )


def test_valid_holds_rows_out_by_seed_and_reports_on_them(tmp_path):
    files = (cli.home() / "train.tsv", "--valid", "0.1", "--no-rerank")
    facts, again = train(tmp_path, *files), train(tmp_path, *files, "--overwrite")
    assert (facts["n_rows"], facts["valid"]["n_rows"]) == (cli.N_ROWS * 9 // 10, cli.N_ROWS // 10)
    assert facts["valid"] == again["valid"]
    assert 0 < facts["valid"]["P@1"] <= 100
    assert facts["valid"].keys() >= {"nDCG@5", "R@3", "PSP@1", "PSnDCG@5"}
    assert train(tmp_path, *files, "--overwrite", "--seed", 1)["valid"] != facts["valid"]


def test_valid_prints_a_table(tmp_path):
    shown = cli.done(
        "train", cli.home() / "train.tsv", "--model", tmp_path / "model", "--valid", "0.1"
    ).stdout
    assert shown.splitlines()[0].split() == ["%", "@1", "@3", "@5"]


BAD = {
    "seven": (("0 0:1", "1 7", "0 1:1"), "train.txt:3: expected feature:value, got '7'"),
    "feature range": (
        ("0 0:1", "1 4:1", "0 1:1"),
        "train.txt:3: expected a feature id from 0 to 3, got '4:1'",
    ),
    "label range": (
        ("0 0:1", "2 3:1", "0 1:1"),
        "train.txt:3: expected a label id from 0 to 1, got '2'",
    ),
    "nan": (
        ("0 0:nan", "1 3:1", "0 1:1"),
        "train.txt:2: expected a finite float32 number, got '0:nan'",
    ),
    "inf": (
        ("0 0:inf", "1 3:1", "0 1:1"),
        "train.txt:2: expected a finite float32 number, got '0:inf'",
    ),
    "negative label": (("-1 0:1", "1 3:1", "0 1:1"), "train.txt:2: expected label,label, got '-1'"),
    "negative feature": (
        ("1 -2:1", "1 3:1", "0 1:1"),
        "train.txt:2: expected feature:value, got '-2:1'",
    ),
    "too few rows": (("0 0:1", "1 3:1"), "train.txt:1: expected 3 rows as the header says, got 2"),
    "too many rows": (("0 0:1",) * 4, "train.txt:1: expected 3 rows as the header says, got 4"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_text_file_is_refused_with_its_line(tmp_path, case):
    lines, message = BAD[case]
    line = cli.refusal(tmp_path, "train", xmc_file(tmp_path, *lines), "--model", tmp_path / "model")
    assert line == f"{tmp_path}/{message}"


@pytest.mark.parametrize("name", ["train.txt", "train.tsv", "train.svm", "train.txt.gz"])
def test_a_missing_file_is_refused(tmp_path, name):
    line = cli.refusal(tmp_path, "train", tmp_path / name, "--model", tmp_path / "model")
    assert line == f"{tmp_path / name}: can't be read: No such file or directory"


def test_a_missing_matrix_is_refused(tmp_path):
    line = cli.refusal(
        tmp_path, "train", tmp_path / "X.npz", cli.home() / "Y.npz", "--model", tmp_path / "model"
    )
    assert line == f"{tmp_path / 'X.npz'}: can't be read: No such file or directory"


def test_a_truncated_gzip_is_refused(tmp_path):
    path = tmp_path / "train.tsv.gz"
    path.write_bytes(gzip.compress((cli.home() / "train.tsv").read_bytes())[:2000])
    line = cli.refusal(tmp_path, "train", path, "--model", tmp_path / "model")
    assert line == f"{path}: expected a gzip file, got a damaged or truncated one"


def test_a_truncated_matrix_is_refused(tmp_path):
    path = tmp_path / "X.npz"
    path.write_bytes((cli.home() / "X.npz").read_bytes()[:2000])
    line = cli.refusal(tmp_path, "train", path, cli.home() / "Y.npz", "--model", tmp_path / "model")
    assert line == f"{path}: expected a sound .npz file, got a damaged or truncated one"


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "inf")])
def test_a_matrix_with_nan_or_inf_is_refused(tmp_path, value, name):
    X, Y = (
        cli.save_dense(tmp_path / "X.npz", [[1, value], [1, 1]]),
        cli.save_dense(tmp_path / "Y.npz", [[1], [1]]),
    )
    line = cli.refusal(tmp_path, "train", X, Y, "--model", tmp_path / "model")
    assert line.startswith(
        f"{X}: expected finite values in the matrix, got {name} in row 0, column 1 (counted from 0"
    )


def test_matrices_of_different_row_counts_are_refused(tmp_path):
    X, Y = (
        cli.save_dense(tmp_path / "X.npz", [[1, 2]]),
        cli.save_dense(tmp_path / "Y.npz", [[1], [1]]),
    )
    line = cli.refusal(tmp_path, "train", X, Y, "--model", tmp_path / "model")
    assert line == f"{Y}: expected 1 rows as in {X}, got 2"


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_an_empty_matrix_is_refused(tmp_path, shape):
    X, Y = tmp_path / "X.npz", cli.save_dense(tmp_path / "Y.npz", [[1]] * 3)
    sp.save_npz(X, sp.csr_matrix(shape))
    line = cli.refusal(tmp_path, "train", X, Y, "--model", tmp_path / "model")
    assert line == f"{X}: expected at least one row and one column in the matrix, got shape {shape}"


def test_an_empty_file_is_refused(tmp_path):
    path = cli.write_lines(tmp_path / "train.tsv")
    line = cli.refusal(tmp_path, "train", path, "--model", tmp_path / "model")
    assert line == f"{path}: expected at least one row, got an empty file"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("X.npz", "expected features and labels, an .npz file holds one of them; give X.npz Y.npz"),
        (
            "notes.txt",
            "expected rows with labels, got plain text; a .tsv file has lines id,id<TAB>text",
        ),
    ],
)
def test_a_file_without_labels_is_refused(tmp_path, name, message):
    path = cli.write_lines(tmp_path / name, "some text")
    assert (
        cli.refusal(tmp_path, "train", path, "--model", tmp_path / "model") == f"{path}: {message}"
    )


def test_a_sparse_text_alone_is_refused(tmp_path):
    path = cli.write_lines(tmp_path / "X.txt", "1 2", "0:1")
    line = cli.refusal(tmp_path, "train", path, "--model", tmp_path / "model")
    hint = "a sparse matrix is one of them; give X.txt Y.txt"
    assert line == f"{path}: expected features and labels, {hint}"


@pytest.mark.parametrize("names", [("X.txt", "Y.txt"), ("X.txt", "Y.npz"), ("X.npz", "Y.txt.gz")])
def test_two_number_headers_are_pairs_and_give_the_same_model(tmp_path, names):
    for name in names:
        matrix = cli.home() / f"{name[0]}.npz"
        form = "npz" if name.endswith(".npz") else "sparse"
        cli.done("convert", matrix, tmp_path / name, "--out-format", form)
    train(tmp_path, *(tmp_path / name for name in names))
    found, expected = (cli.content(folder) for folder in (tmp_path / "model", cli.model()))
    assert list(found.values()) == list(expected.values())


def test_a_pair_may_count_from_one(tmp_path):
    X = cli.write_lines(tmp_path / "X.txt", "3 4", "1:1 2:2", "2:1 3:1", "4:1")
    Y = cli.write_lines(tmp_path / "Y.txt", "3 2", "1:1", "2:1", "1:1 2:1")
    train(tmp_path, X, Y, "--one-based")
    assert load(tmp_path / "model").model_.n_features == 4


def test_two_files_must_be_matrices(tmp_path):
    line = cli.refusal(
        tmp_path, "train", cli.home() / "train.tsv", "Y.npz", "--model", tmp_path / "model"
    )
    assert line == f"{cli.home() / 'train.tsv'}: {cli.NO_MATRIX}"


def test_label_names_must_fit_the_matrix(tmp_path):
    names = cli.write_lines(tmp_path / "labels.txt", "a", "b", "c")
    line = cli.refusal(
        tmp_path,
        "train",
        xmc_file(tmp_path, *ROWS),
        "--model",
        tmp_path / "m",
        "--label-names",
        names,
    )
    assert line == f"{names}: expected 2 lines, one per label, got 3"


def test_valid_must_leave_rows_to_train_on(tmp_path):
    rows = xmc_file(tmp_path, *ROWS)
    line = cli.refusal(tmp_path, "train", rows, "--model", tmp_path / "model", "--valid", "0.9")
    assert line == "train: expected rows left to train on, --valid 0.9 holds 3 of 3 out"


def test_an_existing_model_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "model").mkdir()
    line = cli.refusal(tmp_path, "train", "no-such-file.txt", "--model", tmp_path / "model")
    assert line == f"{tmp_path / 'model'}: exists already; overwrite replaces it"


def test_overwrite_replaces_a_model_but_no_other_folder(tmp_path):
    rows = xmc_file(tmp_path, *ROWS)
    train(tmp_path, rows)
    train(tmp_path, rows, "--overwrite", "--one-vs-all")
    assert type(load(tmp_path / "model")).__name__ == "OneVsAllClassifier"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "sea.jpg").touch()
    line = cli.refusal(tmp_path, "train", rows, "--model", tmp_path / "photos", "--overwrite")
    reason = "expected a folder with a model.json to replace, got something else"
    assert line == f"{tmp_path / 'photos'}: {reason}"


def test_the_folder_around_the_model_must_exist(tmp_path):
    line = cli.refusal(tmp_path, "train", "no-such-file.txt", "--model", tmp_path / "no" / "model")
    assert line.startswith(
        f"{tmp_path / 'no' / 'model'}: expected an existing folder to write into"
    )


def test_a_training_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    line = cli.refusal(tmp_path, "train", xmc_file(tmp_path, *ROWS), "--model", tmp_path / "model")
    assert line == f"{tmp_path / 'model'}: can't be written: No space left on device"


def test_a_dry_run_tells_the_needs_and_trains_nothing(tmp_path):
    files = (cli.home() / "X.npz", cli.home() / "Y.npz")
    told = json.loads(
        cli.done("train", *files, "--model", tmp_path / "model", "--dry-run", "--json", "-").stdout
    )
    assert told["n_rows"] == sp.load_npz(files[0]).shape[0]
    assert told["memory_bytes"] > told["model_bytes"] > 0
    assert told["memory_bytes"] >= told["least_memory_bytes"] > 0
    assert told["free_bytes"] > 0
    assert not (tmp_path / "model").exists()


def test_a_dry_run_tells_where_the_model_finds_no_room(tmp_path, monkeypatch):
    asked = []

    def nearly_full(folder):
        asked.append(folder)
        return shutil.disk_usage("/")._replace(free=3000)

    monkeypatch.setattr("xmc.cli.train.shutil", SimpleNamespace(disk_usage=nearly_full))
    target, files = tmp_path / "model", (cli.home() / "X.npz", cli.home() / "Y.npz")
    done = cli.done("train", *files, "--model", target, "--dry-run")
    line = f"train: the model finds no room: 0 MiB are free where {target} goes"
    assert done.stderr.splitlines()[-1] == line and asked == [tmp_path]


def test_a_dry_run_is_readable_without_json(tmp_path):
    files = (cli.home() / "X.npz", cli.home() / "Y.npz")
    lines = cli.done(
        "train", *files, "--model", tmp_path / "model", "--dry-run", "--quiet"
    ).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "rows",
        "labels",
        "trees",
        "time",
        "memory",
        "model",
    ]


def test_a_dry_run_of_texts_tells_the_needs_of_their_features(tmp_path):
    flags = ("--method", "tree", "--no-rerank", "--opening", 0, "--max-features", 40)
    how = (*flags, "--model", tmp_path / "model", "--dry-run", "--json", "-", "--quiet")
    told = json.loads(cli.done("train", cli.home() / "train.tsv", *how).stdout)
    assert (told["n_rows"], told["n_features"]) == (cli.N_ROWS, 40)
    assert not (tmp_path / "model").exists()


def test_a_memory_budget_that_is_too_small_is_refused_with_the_need(tmp_path):
    files = (cli.home() / "X.npz", cli.home() / "Y.npz")
    line = cli.refusal(tmp_path, "train", *files, "--model", tmp_path / "model", "--memory", "1M")
    assert line.startswith("memory: training needs about ")


@pytest.mark.parametrize("size", ["5x", "0", "-1G", "G", ""])
def test_a_budget_is_a_size(tmp_path, size):
    said = cli.misuse("train", "X.npz", "Y.npz", "--model", tmp_path / "model", "--memory", size)
    assert "expected a size such as 500M or 4G" in said


def test_levels_are_separated_by_commas(tmp_path):
    train(
        tmp_path,
        cli.home() / "X.npz",
        cli.home() / "Y.npz",
        "--C",
        "2,0.5",
        "--negatives",
        "tfn,man",
    )
    model = load(tmp_path / "model")
    assert (tuple(model.C), tuple(model.negatives)) == ((2.0, 0.5), ("tfn", "man"))


@pytest.mark.parametrize("value", ["2,0", "2,", "1,x"])
def test_every_level_must_be_legal(tmp_path, value):
    assert "--C" in cli.misuse("train", "X.npz", "Y.npz", "--model", tmp_path / "m", "--C", value)


def test_help_lists_parameters_under_the_headings_of_their_groups():
    text = cli.done("train", "--help").stdout
    headings = [
        "Options:",
        "Label tree:",
        "Solver:",
        "Ranking:",
        "Rows and labels:",
        "Run:",
        "Texts:",
    ]
    places = [text.index(f"\n{heading}\n") for heading in headings]
    assert places == sorted(places)
    for flag, heading in (("--arity", 1), ("--C", 2), ("--beam-size", 3), ("--bias", 4)):
        assert places[heading] < text.index(f"\n  {flag} ") < [*places, len(text)][heading + 1]


def test_a_checkpoint_is_gone_once_the_model_is_saved(tmp_path):
    train(tmp_path, cli.home() / "X.npz", cli.home() / "Y.npz", "--checkpoint", tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_says_how_it_goes_on(tmp_path, number, code):
    where = "--model", tmp_path / "model", "--checkpoint", tmp_path / "kept"
    command = "train", cli.home() / "X.npz", cli.home() / "Y.npz", *where, "--n-trees", 40
    process = cli.start(*command, "--quiet", cwd=tmp_path)
    while not list(tmp_path.glob("kept/tree2.*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    told = f"interrupted; the same command goes on with what {tmp_path / 'kept'} keeps\n"
    assert (process.returncode, stderr) == (code, told)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    line = cli.refusal(tmp_path, *command, "--C", 2)
    assert line.startswith(f"{tmp_path / 'kept'}: keeps a training with C=1.0, this one has 2.0;")
    assert "goes on with what" in cli.done(*command).stderr
    cli.done(*command[:3], "--model", tmp_path / "whole", "--n-trees", 40, "--quiet")
    assert folders.content(tmp_path / "model") == folders.content(tmp_path / "whole")


def test_the_checkpoint_is_looked_at_before_data_are_read(tmp_path):
    letters = tmp_path / "letters"
    letters.mkdir()
    cli.write_lines(letters / "a.txt", "dear")
    for args, told in (
        (("--checkpoint", letters), "expected a checkpoint or an empty folder, got another one"),
        (
            ("--checkpoint", tmp_path / "model"),
            "expected a path for each output, got this one twice",
        ),
    ):
        line = cli.refusal(tmp_path, "train", "no.tsv", "--model", tmp_path / "model", *args)
        assert line == f"{args[1]}: {told}"


SWAPPED = [f"a {word} tree by the river\tb{i % 2}" for i, word in enumerate("abcdefghijkl")]


def test_swapped_columns_are_refused_and_can_be_named(tmp_path):
    path = cli.write_lines(tmp_path / "train.tsv", *SWAPPED)
    line = cli.refusal(tmp_path, "train", path, "--model", tmp_path / "model")
    assert line.endswith("--tsv-columns text,labels reads them so, labels,text as they are")
    train(tmp_path, path, "--tsv-columns", "text,labels", "--one-vs-all")
    assert load(tmp_path / "model").label_ids_ == ["b0", "b1"]


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_how_columns_were_read_is_told(tmp_path, quiet):
    rows = [f"{line.partition(chr(9))[0]}\t<http://x/{i % 2}>" for i, line in enumerate(SWAPPED)]
    path = cli.write_lines(tmp_path / "train.tsv", *rows)
    flags = ("--model", tmp_path / "model", "--one-vs-all", "--no-rerank", *quiet)
    told = cli.done("train", path, *flags).stderr.splitlines()
    notice = f"train: {path}: the columns are taken for text<TAB><uri> <uri>"
    assert (notice in told) == (not quiet)
    assert load(tmp_path / "model").label_ids_ == ["http://x/0", "http://x/1"]


def test_weights_of_ids_are_costs(tmp_path):
    rows = [
        f"{'a::5' if i % 2 else 'b::0.5'}\t{line.partition(chr(9))[0]}"
        for i, line in enumerate(SWAPPED)
    ]
    path = cli.write_lines(tmp_path / "train.tsv", *rows)
    for costs in ("relevance", "equal"):
        train(tmp_path, path, "--one-vs-all", "--costs", costs, "--min-df", 1, "--overwrite")
        assert load(tmp_path / "model").label_ids_ == ["a", "b"]
        top = load(tmp_path / "model").predict_topk(["a tree by the river"], 2)
        assert (top.scores[0, 0] - top.scores[0, 1] > 0.1) == (costs == "relevance")


def test_other_schedulers_train_the_model_of_threads(tmp_path):
    X, Y = cli.home() / "X.npz", cli.home() / "Y.npz"
    for name in ("threads", "processes"):
        how = "--scheduler", name, "--threads", 2
        cli.done("train", X, Y, "--model", tmp_path / name, *how, "--quiet")
    assert folders.content(tmp_path / "threads") == folders.content(tmp_path / "processes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["processes", "threads"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--scheduler", "dask"), "--scheduler dask needs --address tcp://HOST:PORT"),
        (("--address", "tcp://x:1"), "--address goes with --scheduler dask or ray"),
        (
            ("--scheduler", "processes", "--address", "x"),
            "--address goes with --scheduler dask or ray",
        ),
        (("--shared", "."), "--shared goes with another --scheduler"),
    ],
)
def test_flags_of_schedulers_are_checked(tmp_path, flags, said):
    sources = cli.home() / "X.npz", cli.home() / "Y.npz"
    assert said in cli.misuse("train", *sources, "--model", tmp_path / "model", *flags)


def test_a_scheduler_that_is_not_there_leaves_nothing(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed")
    sources, where = (cli.home() / "X.npz", cli.home() / "Y.npz"), tmp_path / "model"
    flags = "--scheduler", "dask", "--address", "nowhere://x"
    line = cli.refusal(tmp_path, "train", *sources, "--model", where, *flags)
    assert line.startswith("dask: nowhere://x can't be used: ")
    line = cli.refusal(
        tmp_path, "train", *sources, "--model", where, *flags, "--shared", tmp_path / "none"
    )
    assert "dask: expected an existing folder, got" in line
