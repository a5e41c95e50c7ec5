"""`xmc evaluate` on files that come in blocks."""

import json
from contextlib import contextmanager

import cli_tools as cli
import pytest

from xmc.io import blocks

TRUTHS = ["Y.tst.npz", "Y.txt", "test.tsv", "rows.svm"]


@contextmanager
def block_bytes(monkeypatch, n_bytes):
    with monkeypatch.context() as patched:
        patched.setattr(blocks, "BLOCK_BYTES", n_bytes)
        yield


def evaluate(*args):
    """The metrics as JSON."""
    return json.loads(cli.done("evaluate", *args, "--json", "-", "--quiet").stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The true labels in more formats."""
    made = tmp_path_factory.mktemp("truth")
    for name in ("Y.tst.npz", "test.tsv"):
        (made / name).symlink_to(cli.home() / name)
    cli.done("convert", cli.home() / "Y.tst.npz", made / "Y.txt", "--out-format", "sparse")
    cli.done("convert", cli.home() / "X.tst.npz", cli.home() / "Y.tst.npz", made / "rows.svm")
    return made


@pytest.mark.parametrize("suffix", ["npz", "tsv", "jsonl", "txt"])
@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("n_bytes", [1, 5000])
def test_blocks_give_the_same_figures(monkeypatch, folder, suffix, truth, n_bytes):
    ids = truth == "test.tsv" or suffix in ("tsv", "jsonl")
    asked = [cli.predictions(suffix), folder / truth]
    asked += ["--train-labels", cli.home() / ("train.tsv" if truth == "test.tsv" else "Y.npz")]
    asked += ["--label-names", cli.home() / "labels.txt"] if ids else []
    expected = evaluate(*asked)
    with block_bytes(monkeypatch, n_bytes):
        assert evaluate(*asked) == expected
    assert expected["n_rows"] == cli.N_TEST and expected["PSP@1"] > 30


def test_a_file_that_is_too_short_is_found_at_its_end(tmp_path, monkeypatch):
    lines = cli.predictions("tsv").read_text().splitlines()
    short = cli.write_lines(tmp_path / "pred.tsv", *lines[:-20])
    expected = f"expected {cli.N_TEST} rows as in {cli.home() / 'test.tsv'}, got {cli.N_TEST - 20}"
    for n_bytes in (100, 1 << 22):
        with block_bytes(monkeypatch, n_bytes):
            line = cli.refusal(tmp_path, "evaluate", short, cli.home() / "test.tsv")
            assert line == f"{short}: {expected}"


def test_scores_that_are_no_probabilities_anywhere_leave_ece_out(tmp_path, monkeypatch):
    lines = cli.predictions("tsv").read_text().splitlines()
    lines[-1] = "a\t2.5"
    pred = cli.write_lines(tmp_path / "pred.tsv", *lines)
    with block_bytes(monkeypatch, 100):
        result = cli.done("evaluate", pred, cli.home() / "test.tsv", "--json", "-")
    assert not [key for key in json.loads(result.stdout) if key.startswith("ECE")]
    assert result.stderr == "evaluate: scores are not all from 0 to 1; ECE is left out\n"


def test_a_label_that_comes_twice_is_told_with_its_row(tmp_path, monkeypatch):
    lines = cli.predictions("tsv").read_text().splitlines()
    lines[-1] = "a\t0.5\ta\t0.25"
    pred = cli.write_lines(tmp_path / "pred.tsv", *lines)
    with block_bytes(monkeypatch, 100):
        line = cli.refusal(tmp_path, "evaluate", pred, cli.home() / "test.tsv")
    expected = "report: expected each label once per row"
    assert line == f"{expected}, row {cli.N_TEST - 1} of predictions has one twice"


def test_a_score_that_is_too_large_is_told_with_its_line(tmp_path, monkeypatch):
    pred = cli.write_lines(tmp_path / "pred.tsv", "a\t1", "a\t2\tb\t1", "a\t1\tb\t1e60")
    with block_bytes(monkeypatch, 1):
        line = cli.refusal(tmp_path, "evaluate", pred, cli.home() / "test.tsv")
    assert line == f"{pred}:3: expected a finite float32 number, got '1e60'"


def test_the_widest_block_tells_how_many_labels_a_headerless_file_has(tmp_path, monkeypatch):
    truth = cli.write_lines(tmp_path / "rows.svm", "0 1:1", "6 1:1", "1 1:1")
    pred = cli.write_lines(tmp_path / "pred.tsv", "0\t0.5", "6\t0.5", "2\t0.5")
    with block_bytes(monkeypatch, 1):
        found = evaluate(pred, truth)
    assert (found["n_labels"], found["P@1"]) == (7, pytest.approx(200 / 3))
    narrow = cli.save_dense(tmp_path / "Y.npz", [[1, 0, 0]])
    line = cli.refusal(tmp_path, "evaluate", pred, truth, "--train-labels", narrow)
    assert line == f"{narrow}: expected 7 labels as in {truth}, got 3"
