"""`xmc report`."""

import json

import cli_tools as cli
import pytest
import scipy.sparse as sp

from xmc import load
from xmc.io import read
from xmc.io.label_ids import align_labels
from xmc.reporting.labels import Labels
from xmc.reporting.report import as_json, report

TEXTS = "test.tsv"
PAIR = "X.tst.npz", "Y.tst.npz"


def rows(*names):
    return [cli.home() / name for name in names]


def reported(*args):
    """What the command says as JSON, times left out."""
    told = json.loads(cli.done("report", *args, "--json", "-", "--quiet").stdout)
    del told["seconds_per_row"]
    return told


def test_the_report_is_that_of_the_library(tmp_path):
    told = reported(cli.model(), *rows(*PAIR), "--out", tmp_path / "r.html", "--seed", 3)
    X, Y = (sp.load_npz(cli.home() / name) for name in PAIR)
    n_bytes = sum(path.stat().st_size for path in cli.model().iterdir())
    found = as_json(report(load(cli.model()), X, Y, seed=3, name="model", n_bytes=n_bytes))
    del found["seconds_per_row"]
    assert told == json.loads(json.dumps(found))
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_texts_are_measured_with_their_labels_by_id(tmp_path):
    told = reported(cli.text_model(), *rows(TEXTS), "--out", tmp_path / "r.html", "-k", "1,2")
    model, dataset = load(cli.text_model()), read(cli.home() / TEXTS)
    Y, ids = align_labels(dataset.Y, dataset.label_ids, model.label_ids_)
    labels = Labels(ids, model.label_names_)
    found = as_json(report(model, dataset.texts, Y, ks=(1, 2), labels=labels))
    assert told["metrics"] == found["metrics"]
    assert told["confusions"] == found["confusions"]
    assert told["confusions"][0]["missed"]["name"].startswith("the ")


def test_a_page_of_a_terminal_has_tables_beside_it(tmp_path):
    shown = cli.done("report", cli.model(), *rows(*PAIR), "--out", tmp_path / "r.html")
    told = reported(cli.model(), *rows(*PAIR), "--out", tmp_path / "r2.html")
    assert f"{told['metrics']['P@1']:.2f}" in shown.stdout
    figures = told["tables"][0]["groups"][-1]["figures"]["R@5"]
    interval = "{value:.2f} ({low:.2f} to {high:.2f})".format(**figures)
    assert interval in shown.stdout
    assert "ranked too low" in shown.stdout
    assert shown.stderr.endswith(f"report: written to {tmp_path / 'r.html'}\n")


def test_the_page_may_go_to_stdout():
    shown = cli.done("report", cli.model(), *rows(*PAIR), "--out", "-", "--quiet").stdout
    assert shown.startswith("<!doctype html>") and shown.endswith("</html>\n")


def test_figures_by_a_column(tmp_path):
    lines = ["type\tlanguage", *["book\tde", "thesis\ten", "book\tfr"] * 50]
    table = cli.write_lines(tmp_path / "rows.tsv", *lines)
    how = ("--columns", table, "--by", "language", "--by", "type")
    told = reported(cli.model(), *rows(*PAIR), "--out", tmp_path / "r.html", *how)
    by = {own["by"]: [group["name"] for group in own["groups"]] for own in told["tables"][1:]}
    assert by == {"language": ["de", "en", "fr"], "type": ["book", "thesis"]}


def test_names_of_labels_may_come_from_a_file(tmp_path):
    names = ("--label-names", cli.home() / "labels.txt")
    told = reported(cli.model(), *rows(*PAIR), "--out", tmp_path / "r.html", *names)
    assert told["over_suggested"][0]["name"].startswith("the ")
    told = reported(cli.model(), *rows(*PAIR), "--out", tmp_path / "r2.html")
    assert told["over_suggested"][0].keys() == {"id", "label", "n_true", "n_suggested", "n_hits"}


def test_labels_that_the_model_lacks_are_missed(tmp_path):
    truth = cli.write_lines(tmp_path / "truth.tsv", "role::program,brand-new\tgame", "new\ttool")
    told = reported(cli.text_model(), truth, "--out", tmp_path / "r.html")
    assert told["true_labels"][0]["no training row"] == 2


@pytest.fixture
def refused(tmp_path):
    """What the command says when it refuses; it leaves nothing behind."""

    def refusal(*args):
        return cli.refusal(tmp_path, "report", *args, "--out", tmp_path / "r.html")

    return refusal


def test_an_existing_page_is_kept_unless_overwrite(tmp_path):
    path = cli.write_lines(tmp_path / "r.html", "mine")
    line = cli.refusal(tmp_path, "report", cli.model(), *rows(*PAIR), "--out", path)
    assert line == f"{path}: exists already; overwrite replaces it"
    cli.done("report", cli.model(), *rows(*PAIR), "--out", path, "--overwrite", "--quiet")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_texts_for_a_model_of_matrices_are_refused(refused):
    assert refused(cli.model(), *rows(TEXTS)) == (
        "report: expected rows of features, got texts; the model was not trained on texts"
    )


def test_a_k_above_the_number_of_labels_is_refused(refused):
    n_labels = load(cli.model()).n_labels_
    line = refused(cli.model(), *rows(*PAIR), "-k", "1,9999")
    assert line == (
        f"report: k must be an int from 1 to {n_labels:,}, the number of labels, got 9999"
    )


def test_a_truth_without_labels_is_refused(tmp_path, refused):
    truth = cli.write_lines(tmp_path / "truth.tsv", "\tgame", "\ttool")
    assert refused(cli.text_model(), truth) == (
        f"{truth}: expected rows with labels, no row has one"
    )


def test_an_empty_truth_is_refused(tmp_path, refused):
    truth = cli.write_lines(tmp_path / "truth.tsv")
    assert refused(cli.text_model(), truth) == (
        f"{truth}: expected at least one row, got an empty file"
    )


def test_a_truth_of_fewer_labels_than_the_model_has_is_refused(tmp_path, refused):
    Y = cli.save_dense(tmp_path / "Y.npz", [[1, 0]] * 150)
    n_labels = load(cli.model()).n_labels_
    assert refused(cli.model(), *rows("X.tst.npz"), Y) == (
        f"{Y}: expected {n_labels:,} labels as the model has, got 2"
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("kind", ": expected a column 'kind', there is 'type', 'language'"),
        ("type", ": expected 150 rows below the names, got 2"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path, refused, name, line):
    table = cli.write_lines(tmp_path / "rows.tsv", "type\tlanguage", "book\tde", "book\ten")
    how = ("--columns", table, "--by", name)
    assert refused(cli.model(), *rows(*PAIR), *how) == f"{table}{line}"


def test_by_and_columns_go_together(tmp_path):
    given = ("report", cli.model(), *rows(*PAIR), "--out", tmp_path / "r.html")
    line = "Error: --by and --columns go together"
    assert cli.misuse(*given, "--by", "type") == line
    assert cli.misuse(*given, "--columns", tmp_path / "rows.tsv") == line


def test_page_and_json_do_not_share_stdout():
    line = cli.misuse("report", cli.model(), *rows(*PAIR), "--out", "-", "--json", "-")
    assert line == "Error: --out and --json can't both be stdout"
