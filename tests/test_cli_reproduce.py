import gzip
import json
import os
import shutil

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

from xmc import (
    LabelTreeClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
    Vocabulary,
    preset,
)
from xmc.cli import reproduce
from xmc.cli.reproducing import MORE, Measuring, identity_of
from xmc.datasets import read_recipe, read_split, read_texts, recipe_names
from xmc.datasets.figures import METRICS
from xmc.io import align_labels
from xmc.metrics import propensities, report
from xmc.params import TextParams

N_ROWS, N_TEST = 300, 60
HEAD = ('title = "packages"', 'data = "tiny"', 'source = "a place"')
ONE = ("[[run]]", 'name = "one"', 'settings = { tree = "balanced", arity = 4, max_leaf_size = 10 }')
TWO = ("[[run]]", 'name = "two"', 'preset = "dismec"')
WRONG = ('expected = { "P@1" = 1.5, "PSP@5" = 2 }', "tolerance = 0.3")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the set `tiny`: a few rows as matrices and as texts; the test rows have one
    label more.
    """
    folder = tmp_path_factory.mktemp("data")
    tiny = folder / "tiny"
    tiny.mkdir()
    for name, source, n_rows in (("trn", "", N_ROWS), ("tst", ".tst", N_TEST)):
        X, Y = (sp.load_npz(cli.home() / f"{matrix}{source}.npz")[:n_rows] for matrix in "XY")
        if name == "tst":
            more = sp.csr_matrix(np.arange(n_rows)[:, None] % 10 == 0, dtype=np.float32)
            Y = sp.hstack([Y, more], format="csr")
        sp.save_npz(tiny / f"X.{name}.npz", X)
        sp.save_npz(tiny / f"Y.{name}.npz", Y)
    for name, n_rows in (("train.tsv", N_ROWS), ("test.tsv", N_TEST)):
        lines = (cli.home() / name).read_bytes().splitlines(keepends=True)
        (tiny / f"{name}.gz").write_bytes(gzip.compress(b"".join(lines[:n_rows])))
    names = (cli.home() / "labels.txt").read_text(encoding="utf-8")
    (tiny / "names.tsv").write_text(f"{names}zoo::none\ta concept without rows\n", encoding="utf-8")
    return folder


@pytest.fixture
def recipe(tmp_path):
    """recipe(lines): a file with the head of a recipe and these lines."""
    return lambda *lines: cli.write_lines(tmp_path / "mine.toml", *HEAD, *lines)


def reproduced(path, data, *flags):
    """The JSON of a command that must succeed."""
    return json.loads(
        cli.done("reproduce", path, "--data", data, "--json", "-", "--quiet", *flags).stdout
    )


def by_hand(model, split, a=0.55, b=1.5):
    """METRICS of a model trained on a split."""
    X, Y, X_test, Y_test = split
    wide = sp.csr_matrix((Y.data, Y.indices, Y.indptr), shape=(Y.shape[0], Y_test.shape[1]))
    found = report(
        Y_test, model.fit(X, Y).predict_topk(X_test, 5), propensity=propensities(wide, a, b)
    )
    return {key: found[key] for key in METRICS}


def test_what_is_measured_is_what_report_says_of_the_same_model(recipe, data):
    found = reproduced(recipe("propensity = [0.6, 2.6]", *ONE, "seeds = [0, 3]"), data)
    (run,) = found["runs"]
    how = {"tree": "balanced", "arity": 4, "max_leaf_size": 10}
    split = read_split(data / "tiny")
    assert split.Y_test.shape[1] == split.Y.shape[1] + 1
    expected = [
        by_hand(LabelTreeClassifier(**how, random_state=seed), split, 0.6, 2.6) for seed in (0, 3)
    ]
    assert [one["seed"] for one in run["measured"]] == [0, 3]
    for got, one in zip(run["measured"], expected, strict=True):
        assert {key: got[key] for key in METRICS} == pytest.approx(one)
    assert run["mean"]["P@1"] == pytest.approx((expected[0]["P@1"] + expected[1]["P@1"]) / 2)
    assert all(one["seconds"] > 0 for one in run["measured"])


def test_presets_and_texts_are_what_they_are_in_python(recipe, data):
    texts = ("[[run]]", 'name = "texts"', "text = { min_df = 3 }")
    two, three = reproduced(recipe(*TWO, *texts), data)["runs"]
    assert (
        two["mean"] | by_hand(preset("dismec", random_state=0), read_split(data / "tiny"))
        == two["mean"]
    )
    split = read_split(data / "tiny", TextParams(min_df=3))
    assert three["mean"] | by_hand(LabelTreeClassifier(random_state=0), split) == three["mean"]


@pytest.mark.usefixtures("few_trees")
def test_a_stage_is_trained_over_matrices_and_over_texts_with_names(recipe, data):
    runs = (
        *("[[run]]", 'name = "matrices"', 'method = "reranked"'),
        *("[[run]]", 'name = "texts"', 'method = "reranked"', 'vocabulary = "names.tsv"'),
    )
    matrices, texts = reproduced(recipe(*runs), data)["runs"]
    split = read_split(data / "tiny")
    assert matrices["mean"] | by_hand(RerankedClassifier(random_state=0), split) == matrices["mean"]
    own = read_texts(data / "tiny")
    names = Vocabulary.read(data / "tiny" / "names.tsv")
    model = TextClassifier(RerankedClassifier(random_state=0), vocabulary=names)
    model.fit(own.texts, own.Y, label_ids=own.ids)
    Y_test, ids = align_labels(own.Y_test, own.test_ids, model.label_ids_)
    p = propensities(align_labels(own.Y, own.ids, ids)[0])
    expected = report(Y_test, model.predict_topk(own.test_texts, 5), (1, 3, 5), p)
    assert texts["mean"] | {key: expected[key] for key in METRICS} == texts["mean"]
    assert model.n_labels_ > len(own.ids)


def test_a_stage_has_the_base_models_that_a_run_names(recipe, data):
    bases = '{ method = "one-vs-all", settings = { C = 2.0 } }, { preset = "parabel" }'
    run = "[[run]]", 'name = "own"', 'method = "reranked"', f"bases = [{bases}]"
    (found,) = reproduced(recipe(*run), data)["runs"]
    below = OneVsAllClassifier(C=2.0), preset("parabel")
    model = RerankedClassifier(below, random_state=0)
    expected = by_hand(model, read_split(data / "tiny"))
    assert found["mean"] | expected == found["mean"]


def test_what_is_expected_comes_out(recipe, data, tmp_path):
    mean = reproduced(recipe(*ONE), data)["runs"][0]["mean"]
    path = recipe(*ONE, f'expected = {{ "P@1" = {mean["P@1"] + 0.2:.2f} }}', "tolerance = 0.3")
    result = cli.done("reproduce", path, "--data", data, "--json", tmp_path / "found.json")
    head, _, columns, measured, expected = result.stdout.splitlines()
    assert head == "mine: packages"
    assert columns.split() == ["%", *METRICS, "train", "s", "verdict"]
    assert measured.startswith("one ") and measured.endswith("  as expected")
    assert expected.split() == ["expected", f"{mean['P@1'] + 0.2:.2f}", "+-", "0.3"]
    (run,) = json.loads((tmp_path / "found.json").read_text())["runs"]
    assert (run["within"], run["tolerance"]) == (True, 0.3)
    assert "reproduce: one, seed 0: trained in" in result.stderr


def test_a_figure_out_of_tolerance_is_one_line_and_all_results_are_there(recipe, data, tmp_path):
    result = cli.run(
        "reproduce",
        recipe(*ONE, *WRONG),
        "--data",
        data,
        "--json",
        tmp_path / "found.json",
        "--quiet",
    )
    (run,) = json.loads((tmp_path / "found.json").read_text())["runs"]
    assert run["within"] is False
    p, psp = (f"{run['mean'][key]:.2f}" for key in ("P@1", "PSP@5"))
    assert result.exit_code == 1
    assert result.stderr == (
        f"mine: out of tolerance: one P@1 {p}, expected 1.50 +- 0.3; "
        f"one PSP@5 {psp}, expected 2.00 +- 0.3\n"
    )
    assert "differs" in result.stdout and p in result.stdout


def test_a_run_without_expectation_gets_no_verdict(recipe, data):
    result = cli.done(
        "reproduce", recipe(*ONE, 'note = "four at a time"'), "--data", data, "--quiet"
    )
    assert result.stderr == ""
    assert "nothing expected" in result.stdout and "as expected" not in result.stdout
    assert "one: four at a time" in result.stdout
    assert reproduced(recipe(*ONE), data)["runs"][0]["within"] is None


def test_published_figures_stand_beside_and_below_with_their_sources(recipe, data):
    path = recipe('published = ["EURLex-57K"]', *ONE, 'beside = ["LibMultiLabel linear tree"]')
    lines = cli.done("reproduce", path, "--data", data, "--quiet").stdout.splitlines()
    figures = "90.77  80.81  67.82"
    assert [line.split("  ")[1] for line in lines if figures in line and "published" in line] == [
        "LibMultiLabel linear tree [1]"
    ]
    assert sum(figures in line for line in lines) == 2
    assert lines[-1] == "[1] LibMultiLabel documentation"
    methods = [row["method"] for row in reproduced(path, data)["published"]]
    assert methods == ["LibMultiLabel linear tree"] + [
        f"LibMultiLabel linear tree, {n} trees" for n in (15, 3)
    ]


def test_only_the_runs_that_are_named_are_trained(recipe, data):
    found = reproduced(recipe(*ONE, *TWO), data, "--only", "two")
    assert [run["name"] for run in found["runs"]] == ["two"]


def test_a_run_that_is_not_in_the_recipe_is_refused(recipe, data, tmp_path):
    path = recipe(*ONE, *TWO)
    line = cli.refusal(tmp_path, "reproduce", path, "--data", data, "--only", "three")
    assert line == "mine: no such run as 'three'; there are one, two"


def test_data_that_are_missing_are_told_with_the_place_to_get_them(recipe, tmp_path):
    line = cli.refusal(tmp_path, "reproduce", recipe(*ONE), "--data", tmp_path)
    assert line.startswith(f"{tmp_path}/tiny: expected X.trn.npz, ")
    assert line.endswith(", got none; to be had from a place")


def test_test_rows_without_labels_are_refused_before_any_training(recipe, data, tmp_path):
    shutil.copytree(data / "tiny", tmp_path / "sets" / "tiny")
    sp.save_npz(tmp_path / "sets" / "tiny" / "Y.tst.npz", sp.csr_matrix((N_TEST, 3), dtype="f4"))
    line = cli.refusal(tmp_path, "reproduce", recipe(*ONE), "--data", tmp_path / "sets")
    told = "expected test rows with labels, no row has one"
    assert line == f"{tmp_path / 'sets' / 'tiny'}: {told}"


def test_a_folder_in_place_of_a_file_is_refused(recipe, data, tmp_path):
    shutil.copytree(data / "tiny", tmp_path / "sets" / "tiny")
    place = tmp_path / "sets" / "tiny" / "Y.tst.npz"
    place.unlink()
    place.mkdir()
    line = cli.refusal(tmp_path, "reproduce", recipe(*ONE), "--data", tmp_path / "sets")
    assert line == f"{place}: expected a file, got something else"


def test_a_folder_must_be_given_unless_the_data_come_along(recipe):
    usage = cli.misuse("reproduce", recipe(*ONE))
    assert usage.endswith("needs --data DIR that holds a folder tiny; source: a place")


def test_a_later_failure_leaves_the_results_before_it_and_no_json(recipe, data, tmp_path):
    later = ("[[run]]", 'name = "two"', "text = { min_df = 100000 }")
    path, found = recipe(*ONE, *later), tmp_path / "found.json"
    result = cli.run("reproduce", path, "--data", data, "--json", found, "--quiet")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("text: ")
    assert "\none  " in result.stdout and "two" not in result.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["mine.toml"]


def test_an_interruption_leaves_the_results_before_it(recipe, data, monkeypatch):
    interrupt_at("two", monkeypatch)
    result = cli.run("reproduce", recipe(*ONE, *TWO), "--data", data, "--quiet")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")
    assert "\none  " in result.stdout


def interrupt_at(name, monkeypatch):
    """Have the run of that name interrupted before it is trained."""
    measured = Measuring.measured

    def interrupted(own, run, *rest):
        if run.name == name:
            raise KeyboardInterrupt
        return measured(own, run, *rest)

    monkeypatch.setattr(Measuring, "measured", interrupted)


def test_finished_runs_are_kept_and_not_trained_again(recipe, data, tmp_path, monkeypatch):
    path, kept = recipe(*ONE, *TWO), tmp_path / "kept"
    begun = "reproduce", path, "--data", data, "--checkpoint", kept, "--quiet", "--json"
    with monkeypatch.context() as patch:
        interrupt_at("two", patch)
        assert cli.run(*begun, "-").exit_code == 130
    interrupt_at("one", monkeypatch)
    found = json.loads(cli.done(*begun, "-").stdout)
    assert [run["name"] for run in found["runs"]] == ["one", "two"]
    split = read_split(data / "tiny")
    for run, model in zip(
        found["runs"],
        (
            LabelTreeClassifier(tree="balanced", arity=4, max_leaf_size=10, random_state=0),
            preset("dismec", random_state=0),
        ),
        strict=True,
    ):
        assert run["mean"] | by_hand(model, split) == run["mean"]
    interrupt_at("two", monkeypatch)
    assert json.loads(cli.done(*begun, "-").stdout) == found


def test_only_the_run_that_was_edited_is_trained_again(recipe, data, tmp_path, monkeypatch):
    run = "reproduce", recipe(*ONE, *TWO), "--data", data, "--checkpoint", tmp_path / "kept"
    cli.done(*run)
    recipe(*ONE, *TWO, "settings = { C = 3.0 }")
    trained = []
    measured = Measuring.measured
    monkeypatch.setattr(
        Measuring,
        "measured",
        lambda own, run, *rest: trained.append(run.name) or measured(own, run, *rest),
    )
    edited = cli.done(*run).stdout
    recipe(*TWO, "settings = { C = 3.0 }", *ONE)
    assert "two" in edited and cli.done(*run).stdout.startswith("mine")
    assert trained == ["two"]


def test_figures_that_are_kept_of_something_else_are_refused(recipe, data, tmp_path):
    kept, own = tmp_path / "kept", tmp_path / "own"
    shutil.copytree(data, own)
    run = "reproduce", recipe(*ONE), "--data", own, "--checkpoint", kept
    cli.done(*run)
    times = (own / "tiny" / "Y.trn.npz").stat()
    os.utime(own / "tiny" / "Y.trn.npz", ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    line = cli.refusal(tmp_path, *run)
    assert line.startswith(f"{kept}/mine: keeps a training on other Y.trn.npz; ")


def test_a_checkpoint_that_cannot_be_made_is_one_line(recipe, data, tmp_path):
    run = "reproduce", recipe(*ONE), "--data", data, "--checkpoint"
    line = cli.refusal(tmp_path, *run, tmp_path / "a" / "b")
    assert line == f"{tmp_path}/a/b: can't be made: No such file or directory"


@pytest.fixture
def all_recipes(tmp_path, monkeypatch):
    """Two recipes instead of ours, the data of the second of which aren't there."""
    own = cli.write_lines(tmp_path / "mine.toml", *HEAD, *ONE, *TWO)
    head = HEAD[0], 'data = "absent"', HEAD[2], 'published = ["Bibtex"]'
    paths = [str(own), str(cli.write_lines(tmp_path / "other.toml", *head, *ONE))]
    monkeypatch.setattr(reproduce, "recipe_names", lambda: paths)
    return paths


def test_all_recipes_whose_data_are_there_make_one_table(all_recipes, data, tmp_path):
    files = "--out", tmp_path / "table.md", "--json", tmp_path / "found.json"
    result = cli.done("reproduce", "--all", "--data", data, "--quiet", *files)
    (found,) = json.loads((tmp_path / "found.json").read_text())
    one, two = found["runs"]
    head, first, second, title = result.stdout.splitlines()
    assert head.split("  ")[0] == "data" and title == "mine: packages"
    names = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "nDCG@5", "coverage@5")
    assert first.split()[:10] == ["mine", "one", *(f"{one['mean'][name]:.2f}" for name in names)]
    model = preset("dismec", random_state=0)
    split = read_split(data / "tiny")
    model.fit(split.X, split.Y).save(tmp_path / "model")
    expected = report(split.Y_test, model.predict_topk(split.X_test, 5))
    assert {name: two["mean"][name] for name in MORE} == pytest.approx(
        {name: expected[name] for name in MORE}
    )
    size = sum(file.stat().st_size for file in (tmp_path / "model").iterdir())
    # Of two settings of the models' JSON the digits may differ, as threads are asked for by number.
    assert two["mean"]["n_bytes"] == pytest.approx(size, abs=4)
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (tmp_path / "table.md")
        .read_text()
        .removesuffix("\n")
        .replace("|\n", "\n")
        .split("\n")
    ]
    assert table[0][:3] == ["data", "run", "P@1"] and table[1][:3] == ["---", "---", "--:"]
    assert table[2] == first.split() and table[3] == second.split()


@pytest.fixture
def none_trained(monkeypatch):
    def measured(*given):
        raise AssertionError("trained before what can be refused was refused")

    monkeypatch.setattr(Measuring, "measured", measured)


@pytest.mark.usefixtures("none_trained")
def test_a_folder_of_data_that_is_not_there_is_refused(all_recipes, tmp_path):
    line = cli.refusal(tmp_path, "reproduce", "--all", "--data", tmp_path / "sets")
    told = "expected a folder that holds a folder per data set, got none"
    assert line == f"{tmp_path / 'sets'}: {told}"


@pytest.mark.usefixtures("none_trained")
@pytest.mark.parametrize("lost", ["X.trn.npz", "Y.tst.npz", "test.tsv.gz", "names.tsv"])
def test_files_of_later_recipes_that_are_missing_are_told_before_any_training(
    recipe, all_recipes, data, tmp_path, lost
):
    run = "[[run]]", 'name = "texts"', 'method = "reranked"', 'vocabulary = "names.tsv"'
    head = HEAD[0], 'data = "absent"', HEAD[2]
    cli.write_lines(tmp_path / "other.toml", *head, *ONE, *run)
    absent = tmp_path / "sets" / "absent"
    for name in ("tiny", "absent"):
        shutil.copytree(data / "tiny", tmp_path / "sets" / name)
    (absent / lost).unlink()
    if lost == "X.trn.npz":
        (absent / "train.tsv.gz").unlink()
    given = "--checkpoint", tmp_path / "kept", "--out", tmp_path / "table.md"
    line = cli.refusal(tmp_path, "reproduce", "--all", "--data", tmp_path / "sets", *given)
    place = absent if lost == "X.trn.npz" else absent / lost
    assert line.startswith(f"{place}: ")


@pytest.mark.usefixtures("none_trained")
def test_a_checkpoint_of_a_later_recipe_is_refused_before_any_training(all_recipes, data, tmp_path):
    for name in ("tiny", "absent"):
        shutil.copytree(data / "tiny", tmp_path / "sets" / name)
    (tmp_path / "kept" / "other").mkdir(parents=True)
    other = cli.write_lines(tmp_path / "kept" / "other" / "notes.txt", "mine").parent
    run = "reproduce", "--all", "--data", tmp_path / "sets", "--checkpoint", tmp_path / "kept"
    result = cli.run(*run, "--quiet")
    told = "expected a checkpoint or an empty folder, got another one"
    assert (result.exit_code, result.stderr) == (1, f"{other}: {told}\n")


@pytest.mark.usefixtures("none_trained")
def test_a_table_where_the_checkpoint_goes_is_refused_before_any_training(recipe, data, tmp_path):
    kept = tmp_path / "kept"
    run = "reproduce", recipe(*ONE), "--data", data, "--checkpoint", kept, "--quiet"
    for path in (kept, kept / "mine"):
        result = cli.run(*run, "--out", path)
        assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    assert result.stderr == f"{path}: expected a file, got a folder\n"


def test_figures_of_the_embedded_sample_depend_on_no_folder(tmp_path):
    sample = read_recipe("debtags")
    (tmp_path / "X.trn.npz").write_text("another")
    assert identity_of(sample, tmp_path) == identity_of(sample, tmp_path / "none")


def test_what_was_published_follows_what_was_measured(all_recipes, data, tmp_path):
    shutil.copytree(data / "tiny", tmp_path / "sets" / "absent")
    run = "reproduce", "--all", "--data", tmp_path / "sets", "--quiet"
    lines = [line.split("  ") for line in cli.done(*run).stdout.splitlines()]
    assert lines[1][:2] == ["other", "one"]
    assert lines[2][:2] == ["other", "1-vs-All (sparse, published)"]


def test_of_all_recipes_only_the_runs_that_are_named_are_trained(all_recipes, data):
    run = "reproduce", "--all", "--data", data, "--quiet", "--only", "two"
    names = [line.split()[:2] for line in cli.done(*run).stdout.splitlines()]
    assert names == [["data", "run"], ["mine", "two"], ["mine:", "packages"]]
    usage = cli.run(*run, "--only", "three")
    assert usage.stderr == "mine: no such run as 'three'; there are one, two\n"


def test_json_that_exists_is_refused_before_anything_is_trained(recipe, data, tmp_path):
    found = cli.write_lines(tmp_path / "found.json", "mine")
    line = cli.refusal(tmp_path, "reproduce", recipe(*ONE), "--data", data, "--json", found)
    assert line == f"{found}: exists already; overwrite replaces it"


def test_a_recipe_that_is_wrong_is_one_line(recipe, data, tmp_path):
    path = recipe(*ONE, "seed = 1")
    assert cli.refusal(tmp_path, "reproduce", path, "--data", data).startswith(
        f"{path}: run 'one': no such key"
    )


def test_recipes_are_listed_with_their_data_and_runs():
    lines = cli.done("reproduce", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *recipe_names()]
    runs = "parabel, bonsai, xr-linear, dismec, one-vs-all, low-rank, low-rank-als"
    assert ["debtags", "debtags", runs] in [
        [cell.strip() for cell in line.split("  ") if cell] for line in lines
    ]
    facts = json.loads(cli.done("reproduce", "--list", "--json", "-").stdout)
    assert [one["name"] for one in facts] == recipe_names()
    assert facts[0].keys() == {"name", "title", "data", "source", "runs"}


@pytest.mark.parametrize("args", [[], ["debtags", "--list"], ["debtags", "--all"]])
def test_it_is_a_recipe_or_all_or_the_list(args):
    usage = cli.misuse("reproduce", *args)
    assert usage == "Error: expected the NAME of a recipe, --all, or --list"


def test_the_list_takes_no_flags_of_a_training():
    assert (
        cli.misuse("reproduce", "--list", "--only", "one") == "Error: --only doesn't go with --list"
    )
