"""`xmc evaluate`."""

import contextlib
import io
import json
import math

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

from xmc.cli import output
from xmc.io import read_predictions, write_predictions
from xmc.metrics import propensities, reliability, report
from xmc.topk import TopK


def evaluate(*args):
    """The metrics as JSON."""
    return json.loads(cli.done("evaluate", *args, "--json", "-", "--quiet").stdout)


def expected(ks=(1, 3, 5), **how):
    return report(
        sp.load_npz(cli.home() / "Y.tst.npz"), read_predictions(cli.predictions("npz")).P, ks, **how
    )


def test_metrics_are_those_of_the_library_in_percent():
    found = evaluate(cli.predictions("npz"), cli.home() / "Y.tst.npz")
    assert found == expected()
    assert 50 < found["P@1"] <= 100


def test_train_labels_bring_the_propensity_scored_metrics():
    files = (
        cli.predictions("npz"),
        cli.home() / "Y.tst.npz",
        "--train-labels",
        cli.home() / "Y.npz",
    )
    Y = sp.load_npz(cli.home() / "Y.npz")
    assert evaluate(*files) == expected(propensity=propensities(Y))
    found = evaluate(*files, "--propensity-a", 0.5, "--propensity-b", 0.4)
    assert found == expected(propensity=propensities(Y, 0.5, 0.4))
    assert {"PSP@1", "PSnDCG@5"} <= found.keys()


def test_score_files_and_label_files_of_two_number_headers_measure_the_same(tmp_path):
    for name in ("Y", "Y.tst"):
        target = (tmp_path / f"{name}.txt", "--out-format", "sparse")
        cli.done("convert", cli.home() / f"{name}.npz", *target, "--quiet")
    found = evaluate(
        cli.predictions("txt"), tmp_path / "Y.tst.txt", "--train-labels", tmp_path / "Y.txt"
    )
    assert found == expected(propensity=propensities(sp.load_npz(cli.home() / "Y.npz")))


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_predictions_in_text_measure_the_same(suffix):
    names = ("--label-names", cli.home() / "labels.txt", "--train-labels", cli.home() / "Y.npz")
    found = evaluate(cli.predictions(suffix), cli.home() / "Y.tst.npz", *names)
    assert found == evaluate(cli.predictions("npz"), cli.home() / "Y.tst.npz", *names)


@pytest.mark.parametrize("suffix", ["npz", "tsv", "jsonl"])
def test_truth_with_ids_measures_the_same(suffix):
    names = ("--label-names", cli.home() / "labels.txt", "--train-labels", cli.home() / "train.tsv")
    assert same_scores(
        evaluate(cli.predictions(suffix), cli.home() / "test.tsv", *names),
        evaluate(
            cli.predictions("npz"), cli.home() / "Y.tst.npz", "--train-labels", cli.home() / "Y.npz"
        ),
    )


def same_scores(found, other):
    """Equal but for how many labels without rows there are, and for the order of sums."""
    scores = {name for name in found if "@" in name}
    return (
        all(found[name] == pytest.approx(other[name], rel=1e-12) for name in scores)
        and scores <= other.keys()
    )


def test_training_texts_tell_the_ids_of_predictions_in_columns():
    found = evaluate(
        cli.predictions("npz"), cli.home() / "test.tsv", "--train-labels", cli.home() / "train.tsv"
    )
    assert same_scores(found, expected(propensity=propensities(sp.load_npz(cli.home() / "Y.npz"))))


@pytest.mark.parametrize("name", ["truth.txt.gz", "truth.svm"])
def test_truth_may_be_a_file_of_rows(tmp_path, name):
    cli.done(
        "convert", cli.home() / "X.tst.npz", cli.home() / "Y.tst.npz", tmp_path / name, "--quiet"
    )
    assert evaluate(cli.predictions("npz"), tmp_path / name) == expected()


def test_predictions_without_ids_name_columns(tmp_path):
    cli.done(
        "predict", cli.model(), cli.home() / "X.tst.npz", "--out", tmp_path / "pred.tsv", "--quiet"
    )
    assert evaluate(tmp_path / "pred.tsv", cli.home() / "Y.tst.npz") == expected()


def test_labels_are_matched_by_id_and_unknown_ones_count_as_misses(tmp_path):
    pred = cli.write_lines(tmp_path / "pred.tsv", "b\t0.9\ta\t0.5", "z\t0.9")
    truth = cli.write_lines(tmp_path / "truth.tsv", "a,new\tsome text", "b\tmore")
    found = evaluate(pred, truth, "-k", "1,2")
    assert (found["P@1"], found["P@2"], found["R@2"]) == (0, 25, 25)


# What the model ranks for three rows, and what is true. The model doesn't know z, which is all that
# row 1 has.
RANKED = ("a\t0.9\tb\t0.5", "b\t0.9\tc\t0.25", "c\t0.75\ta\t0.5")
GOLD = ("a,b,z\tfirst\tde", "z\tsecond\ten", "a\tthird\tde")


def ranked(folder, suffix):
    """RANKED in one of the formats; and what tells the ids of npz."""
    names = cli.write_lines(folder / "labels.txt", "a", "b", "c", "d")
    pred = cli.write_lines(folder / "pred.tsv", *RANKED)
    if suffix == "tsv":
        return [pred]
    P, ids = read_predictions(pred)
    P = sp.csr_matrix((P.data, P.indices, P.indptr), shape=(3, 4))
    how = {"label_ids": [*ids, "d"]} if suffix == "jsonl" else {}
    write_predictions(folder / f"pred.{suffix}", TopK.from_csr(P, 2), 4, **how)
    return [folder / f"pred.{suffix}", *(["--label-names", names] if suffix == "npz" else [])]


@pytest.mark.parametrize("suffix", ["npz", "tsv", "jsonl"])
def test_full_gold_by_hand(tmp_path, suffix):
    pred, *names = ranked(tmp_path, suffix)
    truth = cli.write_lines(tmp_path / "gold.tsv", *GOLD)
    found = evaluate(pred, truth, *names, "-k", "1,2")
    second = 1 / math.log2(3)
    assert found["P@2"] == pytest.approx(100 * (2 + 0 + 1) / 6)
    assert found["R@2"] == pytest.approx(100 * (2 / 3 + 0 + 1) / 3)
    assert found["F1@2"] == pytest.approx(100 * (2 * 2 / (2 + 3) + 0 + 2 * 1 / (2 + 1)) / 3)
    assert found["nDCG@2"] == pytest.approx(100 * (1 + 0 + second) / 3)
    assert (found["nDCG@1"], found["R@1"]) == pytest.approx((100 / 3, 100 / 9))
    # at 1: 0.9 hits once in two, 0.75 doesn't hit
    assert found["ECE@1"] == pytest.approx(2 / 3 * (0.9 - 0.5) + 1 / 3 * 0.75)
    assert found["n_labels_with_rows"] == 3


@pytest.mark.parametrize("suffix", ["npz", "tsv", "jsonl"])
def test_propensity_of_a_true_label_without_training_rows_follows_from_zero(tmp_path, suffix):
    pred, *names = ranked(tmp_path, suffix)
    truth = cli.write_lines(tmp_path / "gold.tsv", *GOLD)
    train = cli.write_lines(
        tmp_path / "train.tsv", *["a\tx", "a,b\ty", "c,d\tz"] * 10, "only-here\tx"
    )
    found = evaluate(pred, truth, *names, "--train-labels", train, "-k", "2")
    C = (math.log(31) - 1) * 2.5**0.55
    gain = {label: 1 + C * (n + 1.5) ** -0.55 for label, n in (("a", 20), ("b", 10), ("z", 0))}
    reached, best = 2 * gain["a"] + gain["b"], gain["z"] + gain["b"] + gain["z"] + gain["a"]
    assert found["PSP@2"] == pytest.approx(100 * reached / best)


def test_a_truth_of_unknown_labels_only_is_missed(tmp_path):
    pred, *_ = ranked(tmp_path, "tsv")
    truth = cli.write_lines(tmp_path / "gold.tsv", "x\t1", "y\t2", "x,z\t3")
    train = cli.write_lines(tmp_path / "train.tsv", "a\tx", "b\ty", "c\tz")
    found = evaluate(pred, truth, "--train-labels", train, "-k", "1,2")
    scores = {value for name, value in found.items() if "@" in name and name[:3] != "ECE"}
    assert scores == {0.0}
    assert found["ECE@1"] == pytest.approx((0.9 + 0.9 + 0.75) / 3)


def test_truth_in_the_place_of_predictions_is_noticed(tmp_path):
    truth = cli.write_lines(tmp_path / "truth.tsv", "a\t1\tb\t1", "c\t1\ta\t1")
    pred = cli.write_lines(tmp_path / "pred.tsv", "a\ttext", "c\ttext")
    result = cli.done("evaluate", truth, pred)
    assert result.stderr == (
        f"evaluate: {truth}: all scores are alike, so labels rank by their numbers; are these true "
        "labels? Predictions come first, then the truth\n"
    )
    for lines in ["a\t1\tb\t1", "c\t1\ta\t0.5"], ["a\t1", "c\t1"]:  # an order, or none needed
        assert not cli.done("evaluate", cli.write_lines(truth, *lines), pred).stderr


def test_margins_have_no_calibration_error_and_are_measured_all_the_same(tmp_path):
    pred = cli.write_lines(tmp_path / "pred.tsv", "a\t1.5\tb\t-0.5")
    truth = cli.write_lines(tmp_path / "gold.tsv", "a\ttext")
    result = cli.done("evaluate", pred, truth, "--json", tmp_path / "found.json")
    assert result.stderr == "evaluate: scores are not all from 0 to 1; ECE is left out\n"
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["P@1"] == 100
    assert not [name for name in found if name.startswith("ECE")]


def test_predictions_and_truth_without_any_label_in_common(tmp_path):
    pred = cli.write_lines(tmp_path / "pred.tsv", "", "")
    truth = cli.write_lines(tmp_path / "truth.tsv", "a\tsome text", "\tmore")
    found = evaluate(pred, truth)
    assert (found["P@1"], found["n_rows_without_labels"], found["n_rows_without_predictions"]) == (
        0,
        1,
        2,
    )


@pytest.mark.parametrize("flags", [["-k", "4,2"], ["-k", "2", "-k", "4"], ["-k", "2,4", "-k", 2]])
def test_k_as_a_list_or_repeated(flags):
    assert evaluate(cli.predictions("npz"), cli.home() / "Y.tst.npz", *flags) == expected((2, 4))


def test_the_usual_ks_stop_at_what_is_there(tmp_path):
    files = (cli.home() / "X.tst.npz", "--out", tmp_path / "pred.npz", "-k", 3, "--quiet")
    cli.done("predict", cli.model(), *files)
    found = evaluate(tmp_path / "pred.npz", cli.home() / "Y.tst.npz")
    assert [name for name in found if name.startswith("P@")] == ["P@1", "P@3"]
    result = cli.done("evaluate", tmp_path / "pred.npz", cli.home() / "Y.tst.npz", "-k", 5)
    assert (
        result.stderr
        == "evaluate: rows have at most 3 predictions; the missing ones count as misses\n"
    )


def test_the_table_has_a_line_per_metric():
    shown = cli.done(
        "evaluate", cli.predictions("npz"), cli.home() / "Y.tst.npz"
    ).stdout.splitlines()
    assert shown[0].split() == ["%", "@1", "@3", "@5"]
    assert shown[1].split() == ["P", *(f"{expected()[f'P@{k}']:.2f}" for k in (1, 3, 5))]
    assert shown[-1].startswith(f"{cli.N_TEST} rows")


@pytest.mark.parametrize("terminal", [False, True])
def test_the_table_says_that_ece_is_no_percentage_and_fits_a_terminal(monkeypatch, terminal):
    ks = list(range(1, 11))
    found = {f"{name}@{k}": 100.0 for name in ("P", "macro-F1") for k in ks}
    found |= {f"ECE@{k}": k / 64 for k in ks}
    counts = {"n_rows": 3, "n_rows_without_labels": 0, "n_labels": 9, "n_labels_with_rows": 9}
    monkeypatch.setattr(output, "on_terminal", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(lambda: output.print_metrics(found | counts))
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.strip()]
    assert [row for row in rows if row[0] == "%"] == [
        ["%", *(f"@{k}" for k in part)] for part in (ks[:7], ks[7:])
    ]
    assert [row[4:] for row in rows if row[0] == "ECE,"] == [
        [f"{k / 64:.3f}" for k in part] for part in (ks[:7], ks[7:])
    ]
    assert rows.count(["P", *["100.00"] * 7]) == 1


def shown(call):
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        call()
    return stream.getvalue().splitlines()


def test_json_goes_to_a_file_beside_the_table(tmp_path):
    files = (cli.predictions("npz"), cli.home() / "Y.tst.npz")
    result = cli.done("evaluate", *files, "--json", tmp_path / "metrics.json")
    assert "P" in result.stdout
    assert json.loads((tmp_path / "metrics.json").read_text()) == expected()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-k", "0"], "Invalid value for '-k': expected ints >= 1, as 1,3,5, got '0'"),
        (["-k", "1,x"], "Invalid value for '-k': expected ints >= 1, as 1,3,5, got '1,x'"),
        (["--propensity-a", "0.5"], "--propensity-a goes with --train-labels"),
    ],
)
def test_misuse(args, message):
    assert cli.misuse("evaluate", "pred.npz", "Y.npz", *args) == f"Error: {message}"


def test_stdin_needs_a_format():
    assert cli.misuse("evaluate", "pred.npz", "-") == "Error: stdin needs --format"


def test_k_larger_than_the_number_of_labels_is_refused(tmp_path):
    n_labels = sp.load_npz(cli.home() / "Y.tst.npz").shape[1]
    files = (cli.predictions("npz"), cli.home() / "Y.tst.npz")
    line = cli.refusal(tmp_path, "evaluate", *files, "-k", n_labels + 1)
    wanted = f"k must be an int from 1 to {n_labels}, the number of labels"
    assert line == f"evaluate: {wanted}, got {n_labels + 1}"


def test_other_rows_are_refused(tmp_path):
    Y = cli.save_dense(tmp_path / "Y.npz", [[1] * 200])
    line = cli.refusal(tmp_path, "evaluate", cli.predictions("npz"), Y)
    assert line == f"{cli.predictions('npz')}: expected 1 rows as in {Y}, got {cli.N_TEST}"


def test_fewer_labels_than_predicted_are_refused(tmp_path):
    Y = cli.save_dense(tmp_path / "Y.npz", [[1]] * cli.N_TEST)
    line = cli.refusal(tmp_path, "evaluate", cli.predictions("npz"), Y)
    n_labels = sp.load_npz(cli.home() / "Y.npz").shape[1]
    assert line == f"{Y}: expected {n_labels} labels as in {cli.predictions('npz')}, got 1"


def test_columns_against_ids_are_refused(tmp_path):
    line = cli.refusal(tmp_path, "evaluate", cli.predictions("npz"), cli.home() / "test.tsv")
    expected = f"expected label ids, as {cli.home() / 'test.tsv'} has, got columns"
    assert line == f"{cli.predictions('npz')}: {expected}; --label-names FILE tells their ids"


def test_ids_against_columns_are_refused(tmp_path):
    line = cli.refusal(tmp_path, "evaluate", cli.predictions("tsv"), cli.home() / "Y.tst.npz")
    assert line.startswith(f"{cli.predictions('tsv')}: expected labels from 0 to ")
    assert line.endswith("--label-names FILE tells their ids")


@pytest.mark.parametrize("number", ["007", "-1", "99", "1.0", "²"])
def test_labels_that_are_no_column_are_refused(tmp_path, number):
    pred = cli.write_lines(tmp_path / "pred.tsv", f"{number}\t0.5")
    Y = cli.save_dense(tmp_path / "Y.npz", [[1, 0, 1]])
    line = cli.refusal(tmp_path, "evaluate", pred, Y)
    assert line.startswith(
        f"{pred}: expected labels from 0 to 2, the columns of {Y}, got {number!r};"
    )


def test_training_labels_of_another_width_are_refused(tmp_path):
    train = cli.save_dense(tmp_path / "Y.npz", [[1, 0, 1]])
    files = (cli.predictions("npz"), cli.home() / "Y.tst.npz", "--train-labels", train)
    n_labels = sp.load_npz(cli.home() / "Y.npz").shape[1]
    line = cli.refusal(tmp_path, "evaluate", *files)
    assert line == f"{train}: expected {n_labels} labels as in {cli.home() / 'Y.tst.npz'}, got 3"


def test_training_labels_with_ids_beside_columns_are_refused(tmp_path):
    files = (cli.model(), cli.home() / "X.tst.npz", "--out", tmp_path / "pred.tsv", "--quiet")
    cli.done("predict", *files)
    train = ("--train-labels", cli.home() / "train.tsv")
    line = cli.refusal(
        tmp_path, "evaluate", tmp_path / "pred.tsv", cli.home() / "Y.tst.npz", *train
    )
    assert line.startswith(f"{cli.home() / 'train.tsv'}: expected columns as")


def test_label_names_must_fit(tmp_path):
    names = cli.write_lines(tmp_path / "labels.txt", "a", "b")
    files = (cli.predictions("npz"), cli.home() / "Y.tst.npz", "--label-names", names)
    line = cli.refusal(tmp_path, "evaluate", *files)
    assert line.startswith(f"{cli.predictions('npz')}: expected 2 labels as there are names, got ")


@pytest.mark.parametrize("name", ["pred.npz", "pred.tsv", "pred.jsonl"])
def test_missing_predictions_are_refused(tmp_path, name):
    line = cli.refusal(tmp_path, "evaluate", tmp_path / name, cli.home() / "Y.tst.npz")
    assert line == f"{tmp_path / name}: can't be read: No such file or directory"


def test_plain_text_is_no_truth(tmp_path):
    notes = cli.write_lines(tmp_path / "notes.txt", "some text")
    line = cli.refusal(tmp_path, "evaluate", cli.predictions("npz"), notes)
    assert line == f"{notes}: expected rows with labels, got plain text"


def test_default_ks_are_lowered_to_the_labels_that_there_are(tmp_path):
    pred = cli.write_lines(tmp_path / "pred.txt", "2 2", "0:0.5 1:0.25", "1:0.5")
    truth = cli.write_lines(tmp_path / "truth.txt", "2 2", "0:1", "0:1")
    assert {name for name in evaluate(pred, truth) if name.startswith("P@")} == {"P@1"}
    line = cli.refusal(tmp_path, "evaluate", pred, truth, "-k", 3)
    assert line == "evaluate: k must be an int from 1 to 2, the number of labels, got 3"


def test_the_curve_is_drawn_where_scores_are_probabilities(tmp_path):
    from xml.etree import ElementTree

    pred, truth = cli.predictions("npz"), cli.home() / "Y.tst.npz"
    cli.done("evaluate", pred, truth, "--curve", tmp_path / "curve.svg", "--quiet")
    drawn = ElementTree.parse(tmp_path / "curve.svg").getroot()
    dots = drawn.findall(".//{*}circle")
    shown = read_predictions(pred)
    bins = reliability(sp.load_npz(truth), shown.P, 5)
    assert len(dots) == np.count_nonzero(bins.counts)
    assert "var(" not in (tmp_path / "curve.svg").read_text()
    line = cli.refusal(tmp_path, "evaluate", pred, truth, "--curve", tmp_path / "curve.svg")
    assert line.endswith("curve.svg: exists already; overwrite replaces it")
    line = cli.refusal(tmp_path, "evaluate", pred, truth, "--curve", tmp_path / "curve.png")
    assert line.endswith("curve.png: expected a file .svg for the curve")


def test_scores_that_are_no_probabilities_have_no_curve(tmp_path):
    P = read_predictions(cli.predictions("npz")).P
    P.data = P.data * 3
    sp.save_npz(tmp_path / "odd.npz", P)
    told = cli.done(
        *("evaluate", tmp_path / "odd.npz", cli.home() / "Y.tst.npz"),
        *("--curve", tmp_path / "curve.svg"),
    )
    assert "ECE and the curve are left out" in told.stderr
    assert not (tmp_path / "curve.svg").exists()
