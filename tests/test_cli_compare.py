"""`xmc compare`."""

import json

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

from xmc import OneVsAllClassifier, load
from xmc.io import read_predictions
from xmc.metrics import propensities
from xmc.reporting.comparison import as_json, compare
from xmc.reporting.labels import Labels

TEXTS = "test.tsv"
PAIR = "X.tst.npz", "Y.tst.npz"


def rows(*names):
    return [cli.home() / name for name in names]


def compared(*args):
    return json.loads(cli.done("compare", *args, "--json", "-", "--quiet").stdout)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another model of the same matrices."""
    X, Y = (sp.load_npz(cli.home() / name) for name in ("X.npz", "Y.npz"))
    path = tmp_path_factory.mktemp("compare") / "other"
    OneVsAllClassifier(random_state=0, max_iter=1).fit(X, Y).save(path)
    return path


@pytest.fixture(scope="module")
def worse(tmp_path_factory):
    """Predictions with ids, the best label of each row left out."""
    lines = cli.predictions("tsv").read_text(encoding="utf-8").splitlines()
    path = tmp_path_factory.mktemp("compare") / "worse.tsv"
    return cli.write_lines(path, *(line.split("\t", 2)[2] for line in lines))


def test_models_are_compared_as_the_library_does(other):
    told = compared(cli.model(), other, *rows(*PAIR), "--seed", 2)
    X, Y = (sp.load_npz(cli.home() / name) for name in PAIR)
    tops = [load(path).predict_topk(X, 5) for path in (cli.model(), other)]
    p = propensities(sp.load_npz(cli.home() / "Y.npz"))
    found = as_json(compare(Y, *tops, propensity=p, seed=2), Labels(None, None))
    assert {name: told[name] for name in found} == json.loads(json.dumps(found))
    assert (told["model_a"], told["model_b"]) == (str(cli.model()), str(other))


def test_a_model_and_its_predictions_differ_in_nothing():
    for pred in (cli.predictions("npz"), cli.predictions("jsonl"), cli.predictions("tsv")):
        names = ("--label-names", cli.home() / "labels.txt")
        told = compared(cli.named_model(), pred, *rows(*PAIR), *names)
        assert {own["difference"] for own in told["differences"].values()} == {0}
        assert told["true_labels"]["only_a"] == told["true_labels"]["only_b"] == 0


def test_predictions_need_only_the_labels(worse):
    files = cli.predictions("jsonl"), worse
    told = compared(*files, cli.home() / TEXTS, "--train-labels", cli.home() / "train.tsv")
    assert told["differences"]["P@1"]["low"] > 0
    assert told["differences"]["P@1"]["a_ahead"] == 1
    assert told["true_labels"]["only_a"] > 0 == told["true_labels"]["only_b"]
    names = ("--label-names", cli.home() / "labels.txt")
    alone = compared(*files, cli.home() / "Y.tst.npz", *names, "--train-labels", *rows("Y.npz"))
    for name, own in told["differences"].items():
        assert own == pytest.approx(alone["differences"][name], nan_ok=True)


def test_labels_are_matched_by_id(tmp_path):
    truth = cli.write_lines(tmp_path / "truth.tsv", "b,a\tone", "c\ttwo")
    a = cli.write_lines(tmp_path / "a.tsv", "b\t0.9\tonly-a\t0.5", "c\t0.9")
    b = cli.write_lines(tmp_path / "b.tsv", "only-b\t0.9\ta\t0.5", "z\t0.9")
    told = compared(a, b, truth, "-k", "2")
    assert (told["a"]["P@2"], told["b"]["P@2"]) == (50, 25)
    assert [own["id"] for own in told["only_a"]] == ["b", "c"]
    assert [own["id"] for own in told["only_b"]] == ["a"]
    example = told["examples"][0]
    assert example["row"] == 1 and example["true"] == [{"id": "c"}]
    assert [own["id"] for own in example["b"]] == ["z"]


def test_labels_have_the_names_of_a_model_or_of_a_file(worse):
    told = compared(cli.text_model(), worse, cli.home() / TEXTS)
    assert told["only_a"][0]["name"].startswith("the ")
    files = cli.predictions("jsonl"), worse, cli.home() / TEXTS
    told = compared(*files, "--label-names", cli.home() / "labels.txt")
    assert told["only_a"][0]["name"].startswith("the ")
    assert "name" not in compared(*files)["only_a"][0]


def test_propensities_are_those_of_a_model_unless_labels_are_given(other, tmp_path):
    files = cli.predictions("npz"), other, *rows(*PAIR)
    train = ("--train-labels", cli.home() / "Y.npz")
    assert compared(*files)["a"]["PSP@5"] == pytest.approx(compared(*files, *train)["a"]["PSP@5"])
    how = ("--propensity-a", 0.6, "--propensity-b", 2.6)
    assert compared(*files, *how)["a"]["PSP@5"] != compared(*files)["a"]["PSP@5"]
    pred = cli.predictions("npz")
    assert "PSP@1" not in compared(pred, pred, cli.home() / "Y.tst.npz")["a"]


def test_propensities_of_predictions_need_training_labels():
    pred = cli.predictions("npz")
    line = cli.misuse("compare", pred, pred, *rows("Y.tst.npz"), "--propensity-a", 1)
    assert line == "Error: --propensity-a goes with --train-labels or a model"


def test_people_see_figures_labels_and_rows(worse):
    shown = cli.done("compare", cli.text_model(), worse, cli.home() / TEXTS, "--quiet").stdout
    told = compared(cli.text_model(), worse, cli.home() / TEXTS)
    own = told["differences"]["P@1"]
    assert f"{own['difference']:+.2f}" in shown
    assert f"{own['low']:+.2f} to {own['high']:+.2f}" in shown
    assert "only A finds" in shown and "rows where they differ most" in shown
    assert f"A is {cli.text_model()}" in shown and " (true)" in shown


def test_svmlight_may_lack_the_last_labels(tmp_path):
    X, Y = (sp.load_npz(cli.home() / name)[:1] for name in PAIR)
    features = " ".join(f"{n}:{v}" for n, v in zip(X.indices, X.data, strict=True))
    truth = cli.write_lines(tmp_path / "truth.svm", f"{Y.indices[0]} {features}")
    told = compared(cli.model(), cli.model(), truth)
    assert told["a"]["n_rows"] == 1


@pytest.fixture
def refused(tmp_path):
    return lambda *args: cli.refusal(tmp_path, "compare", *args)


def test_predictions_of_other_rows_are_refused(tmp_path, refused):
    short = cli.write_lines(tmp_path / "short.tsv", "role::program\t0.5")
    line = refused(cli.text_model(), short, cli.home() / TEXTS)
    assert line == f"{short}: expected 150 rows as in {cli.home() / TEXTS}, got 1"


def test_a_k_above_the_number_of_labels_is_refused(refused):
    n_labels = sp.load_npz(cli.home() / "Y.tst.npz").shape[1]
    pred = cli.predictions("npz")
    line = refused(pred, pred, *rows("Y.tst.npz"), "-k", n_labels + 1)
    assert line.startswith(f"compare: k must be an int from 1 to {n_labels:,}, the number of")


def test_fewer_predictions_than_k_count_as_misses():
    pred = cli.predictions("npz")
    most = int(read_predictions(pred).P.getnnz(axis=1).max())
    done = cli.done("compare", pred, pred, *rows("Y.tst.npz"), "-k", most + 1)
    line = f"compare: {pred}: rows have at most {most} predictions; more count as misses\n"
    assert done.stderr == 2 * line


def test_a_truth_without_labels_is_refused(tmp_path, refused):
    truth = cli.write_lines(tmp_path / "truth.tsv", *["\tgame"] * 150)
    pred = cli.predictions("tsv")
    assert refused(pred, pred, truth) == f"{truth}: expected rows with labels, no row has one"


def test_a_model_needs_rows_and_not_only_labels(refused):
    (path,) = rows("Y.tst.npz")
    assert refused(cli.model(), cli.predictions("npz"), path) == (
        f"{path}: expected features and labels, an .npz file holds one of them; give X.npz Y.npz"
    )


def test_texts_for_a_model_of_matrices_are_refused(refused):
    assert refused(cli.model(), cli.text_model(), cli.home() / TEXTS) == (
        "compare: expected rows of features, got texts; the model was not trained on texts"
    )


def test_ids_on_one_side_only_are_refused(tmp_path, refused):
    truth = cli.write_lines(tmp_path / "truth.tsv", *["role::program\tgame"] * 150)
    pred = cli.predictions("npz")
    assert refused(pred, cli.predictions("tsv"), truth) == (
        f"{pred}: expected label ids, as {truth} has, got columns; "
        "--label-names FILE tells their ids"
    )


def test_three_files_of_rows_are_misuse():
    line = cli.misuse("compare", cli.model(), cli.model(), *rows(*PAIR, TEXTS))
    assert line == "Error: expected X.npz Y.npz or one file, got 3 paths"


def test_stdin_needs_a_format():
    pred = cli.predictions("tsv")
    assert cli.misuse("compare", pred, pred, "-") == "Error: stdin needs --format"


def test_an_existing_json_is_kept_unless_overwrite(tmp_path):
    path, pred = cli.write_lines(tmp_path / "c.json", "mine"), cli.predictions("npz")
    line = cli.refusal(tmp_path, "compare", pred, pred, *rows("Y.tst.npz"), "--json", path)
    assert line == f"{path}: exists already; overwrite replaces it"


def test_very_many_labels_take_memory_by_those_that_occur(tmp_path):
    def save(name, column):
        width = 2_000_000_000
        M = sp.csr_matrix((np.ones(1, np.float32), [column], [0, 1]), shape=(1, width))
        sp.save_npz(tmp_path / name, M)
        return tmp_path / name

    Y, a, b = save("Y.npz", 1_999_999_999), save("a.npz", 1_999_999_999), save("b.npz", 3)
    told = compared(a, b, Y, "--train-labels", Y)
    assert [own["id"] for own in told["only_a"]] == ["1999999999"]
    assert told["a"]["PSP@1"] == 100
