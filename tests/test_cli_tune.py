import json
import re
import shlex

import numpy as np
import pytest
import scipy.sparse as sp
from cli_tools import content, done, home, misuse, refusal, run, save_dense, write_lines

from xmc.cli.tune import flag
from xmc.tuning import search
from xmc.tuning.halving import Halving
from xmc.tuning.space import METHODS_TRIED

MATRICES = home() / "X.npz", home() / "Y.npz"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """(folder, what was told as JSON) of a search on matrices."""
    folder = tmp_path_factory.mktemp("tune")
    result = done(
        *("tune", *MATRICES, "--out", folder / "t", "--trials", 6, "--seed", 3, "--json", "-")
    )
    return folder / "t", json.loads(result.stdout)


def test_the_command_at_the_end_trains_the_model_of_the_best_trial(tuned, tmp_path):
    folder, told = tuned
    words = shlex.split(told["command"])
    assert words[:4] == ["xmc", "train", *map(str, MATRICES)]
    assert words[words.index("--model") + 1] == str(folder / "model")
    words[words.index("--model") + 1] = tmp_path / "model"
    facts = json.loads(done(*words[1:], "--valid", 0.1, "--json", "-").stdout)
    first = [t for t in told["trials"] if t["settings"] == told["best"]["settings"]][0]
    assert first["parts"] == [0]
    assert {name: facts["valid"][name] for name in first["figures"]} == first["figures"]
    sizes = [len(own) for own in content(tmp_path / "model").values() if own is not None]
    assert sum(sizes) == told["best"]["n_bytes"]


def test_the_same_command_goes_on_and_tells_the_same(tuned):
    folder, told = tuned
    before = (folder / "trials.jsonl").read_bytes()
    again = done(
        *("tune", *MATRICES, "--out", folder, "--trials", 6, "--seed", 3, "--json", "-"),
    )
    forecast = {"waiting": None}  # which takes the seconds of a short measurement
    assert json.loads(again.stdout) | forecast == told | forecast
    assert f"tune: goes on after 6 trials in {folder}" in again.stderr
    assert (folder / "trials.jsonl").read_bytes() == before


def test_a_table_shows_the_best_first_and_the_command_last(tuned):
    folder, told = tuned
    shown = done("tune", *MATRICES, "--out", folder, "--trials", 6, "--seed", 3, "--quiet")
    lines = shown.stdout.splitlines()
    head = "P@5 P@1 nDCG@5 PSP@5 train s MB rows held out settings".split()
    assert lines[0].split() == head
    assert lines[1].split()[0] == f"{told['best']['figures']['P@5']:.2f}"
    assert sum("(the defaults)" in line for line in lines) == 1
    assert "6 trials; figures are those of the rows held out" in lines
    assert lines[-1] == told["command"]


def test_typed_flags_stay_and_stand_in_the_command(tmp_path):
    fixed = "--one-vs-all", "--C", "0.3", "--loss", "hinge"
    result = done(*("tune", *MATRICES, "--out", tmp_path / "my t"), *fixed, "--trials", 3)
    trials = [json.loads(line) for line in open(tmp_path / "my t" / "trials.jsonl")]
    wanted = {"method": "one-vs-all", "C": 0.3, "loss": "hinge"}
    assert all(trial["settings"].items() >= wanted.items() for trial in trials)
    words = shlex.split(result.stdout.splitlines()[-1])
    assert words[words.index("--C") + 1] == "0.3"
    assert words[words.index("--method") + 1] == "one-vs-all"
    assert words[words.index("--model") + 1] == str(tmp_path / "my t" / "model")


def test_a_file_whose_name_begins_like_a_flag_stands_behind_two_dashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    some = (home() / "train.tsv").read_text(encoding="utf-8").splitlines()[:300]
    write_lines(tmp_path / "-x.tsv", *some)
    flags = "--out", "t", "--trials", 1, "--no-rerank", "--quiet"
    words = shlex.split(done("tune", *flags, "--", "-x.tsv").stdout.splitlines()[-1])
    assert words[-2:] == ["--", "-x.tsv"]
    done(*words[1:-2], "--quiet", *words[-2:])


def test_texts_with_a_vocabulary_are_searched(tmp_path, few_trees):
    source, names = home() / "train.tsv", tmp_path / "names.tsv"
    known = [line.split("\t")[0] for line in open(home() / "labels.txt")]
    write_lines(names, *(f"{label}\tcalled {label}" for label in ["0", *known]))
    args = "tune", source, "--out", tmp_path / "t", "--vocabulary", names, "--trials", 1
    told = json.loads(done(*args, "--json", "-").stdout)
    words = shlex.split(told["command"])
    assert words[words.index("--vocabulary") + 1] == str(names)
    # Its concepts are labels, too: the first column isn't the first of the rows' labels.
    facts = json.loads(done(*words[1:], "--valid", 0.1, "--json", "-").stdout)
    assert facts["n_labels"] == len(known) + 1
    assert facts["valid"]["P@5"] == told["best"]["figures"]["P@5"] > 20


def test_an_interrupted_search_keeps_what_is_finished(tmp_path, monkeypatch):
    args = "tune", *MATRICES, "--out", tmp_path / "t", "--trials", 2, "--quiet"
    make, n_made = search._Search.run, 0

    def interrupted(self, job, folder):
        nonlocal n_made
        n_made += 1
        if n_made == 2:
            raise KeyboardInterrupt
        return make(self, job, folder)

    monkeypatch.setattr(search._Search, "run", interrupted)
    result = run(*args)
    told = f"interrupted; the same command goes on with the trials in {tmp_path / 't'}"
    assert (result.exit_code, result.stderr) == (130, told + "\n")
    done(*args)
    assert n_made == 3
    assert len((tmp_path / "t" / "trials.jsonl").read_text().splitlines()) == 2


def test_what_is_left_to_try_is_told_and_how(tmp_path, monkeypatch):
    args = "tune", *MATRICES, "--out", tmp_path / "t"
    last = done(*args, "--trials", 1).stderr.splitlines()[-1]
    assert re.fullmatch(r"tune: \d more to try; the same command goes on with more --trials", last)
    monkeypatch.setattr(Halving, "next", lambda self, trials, left: None)
    last = done(*args).stderr.splitlines()[-1]
    assert re.fullmatch(
        r"tune: no time was left for \d more, from about [\d.]+ s on; the same command goes on "
        "with a larger --budget",
        last,
    )
    args += ("--json", tmp_path / "found.json")
    assert done(*args).stderr.splitlines()[-1].endswith("--budget, and --overwrite for the JSON")
    last = done(*args, "--overwrite").stderr.splitlines()[-1]
    assert last.endswith("the same command goes on with a larger --budget")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("method", "one-vs-all", ["--method", "one-vs-all"]),
        ("C", 2.0, ["--C", "2"]),
        ("C", (2.0, 0.125), ["--C", "2,0.125"]),
        ("C", 0.12345678, ["--C", "0.12345678"]),
        ("rerank", False, ["--no-rerank"]),
        ("rerank", True, ["--rerank"]),
        ("sublinear_tf", False, ["--no-sublinear-tf"]),
        ("zero_based", False, ["--one-based"]),
        ("min_df", 5, ["--min-df", "5"]),
    ],
)
def test_settings_are_written_as_they_are_typed(name, value, words):
    assert flag(name, value) == words


def test_a_budget_that_is_too_small_is_told_how_much_it_takes(tmp_path):
    (tmp_path / "t").mkdir()
    result = run("tune", *MATRICES, "--out", tmp_path / "t", "--budget", "0.001", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("tune: expected a budget for one training on 1,080 rows, about ")
    assert line.endswith(" s, got 0.001 s")


@pytest.mark.parametrize("time", ["fast", "0", "-5m", "1y", "nan", "inf"])
def test_a_budget_is_a_time(time):
    told = misuse("tune", *MATRICES, "--out", "t", "--budget", time)
    assert told.endswith(f"expected a time such as 90s, 15m or 2h, got {time!r}")


def test_a_folder_of_other_data_is_refused(tuned, tmp_path):
    folder, _ = tuned
    X = sp.load_npz(MATRICES[0])
    sp.save_npz(tmp_path / "X.npz", X[:, ::-1])
    before = content(folder)
    line = refusal(
        *(tmp_path, "tune", tmp_path / "X.npz", MATRICES[1], "--out", folder, "--seed", 3)
    )
    rest = "give another folder, or remove this one"
    assert line == f"{folder}: keeps a tuning on other rows; {rest}"
    assert content(folder) == before


def test_a_folder_of_something_else_is_refused_before_rows_are_read(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    line = refusal(tmp_path, "tune", "no.npz", "nor.npz", "--out", tmp_path)
    assert line == f"{tmp_path}: expected a checkpoint or an empty folder, got another one"


def test_too_few_rows_are_refused(tmp_path):
    save_dense(tmp_path / "M.npz", np.eye(6).tolist())
    given = tmp_path / "M.npz", tmp_path / "M.npz"
    line = refusal(tmp_path, "tune", *given, "--out", tmp_path / "t")
    assert line == "tune: expected at least 20 rows, to hold some of them out, got 6"


def test_a_folder_of_rows_is_refused(tmp_path):
    done("convert", home() / "train.tsv", tmp_path / "a.rows", "--fit-vectorizer", tmp_path / "v")
    line = refusal(tmp_path, "tune", tmp_path / "a.rows", "--out", tmp_path / "t")
    assert line == (
        f"{tmp_path / 'a.rows'}: expected rows in a file, got a folder of rows; tune on some"
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--depth", "3"], "No such option"),
        (["--one-vs-all", "--n-trees", "3"], "--n-trees doesn't go with --method one-vs-all"),
        (["--min-df", "3"], "--min-df goes with texts only, the rows have features already"),
        (["--no-rerank"], "--rerank goes with texts only, the rows have features already"),
        (["--neighbors"], "--neighbors goes with texts or --method reranked"),
        (["--valid", "1"], "is not in the range 0<x<1."),
        (["--trials", "0"], "is not in the range x>=1."),
    ],
)
def test_flags_that_do_not_go_together_are_refused(tmp_path, flags, told):
    assert told in misuse("tune", *MATRICES, "--out", tmp_path / "t", *flags)


def test_help_names_the_kinds_that_are_tried():
    *first, last = METHODS_TRIED
    told = " ".join(done("tune", "--help").stdout.split())
    assert f"[default: {', '.join(first)} and {last} are tried]" in told


def test_an_unknown_metric_is_told_those_that_there_are(tmp_path):
    line = refusal(tmp_path, "tune", *MATRICES, "--out", tmp_path / "t", "--metric", "P")
    assert line.endswith("with a k, as in 'P@5', got 'P'")
