import csv
import subprocess
import sys

import cli_tools as cli
import pytest

from xmc.datasets import PUBLIC, Recipe, figures, published, read_recipe, recipe_names
from xmc.errors import DataError
from xmc.presets import PRESETS

HEAD = ('title = "a set"', 'data = "tiny"', 'source = "a place"')
RUN = ("[[run]]", 'name = "one"')
MINIMAL = (*HEAD, *RUN)


@pytest.fixture
def wrong(tmp_path):
    """wrong(lines): what reading a recipe of these lines says, the file's name left out."""

    def message(*lines):
        path = cli.write_lines(tmp_path / "wrong.toml", *lines)
        with pytest.raises(DataError) as raised:
            read_recipe(path)
        assert str(raised.value).startswith(f"{path}: ")
        return str(raised.value).removeprefix(f"{path}: ")

    return message


def test_what_a_recipe_leaves_open_has_a_default(tmp_path):
    recipe = read_recipe(cli.write_lines(tmp_path / "mine.toml", *MINIMAL))
    assert recipe[:-1] == Recipe("mine", "a set", "tiny", "a place", [], (0.55, 1.5), ())[:-1]
    (run,) = recipe.runs
    assert run == ("one", None, "tree", {}, None, None, None, (0,), None, None, (), None)


def test_what_a_recipe_says_is_kept(tmp_path):
    lines = (
        *HEAD,
        'published = ["Bibtex"]',
        "propensity = [0.6, 2.6]",
        *RUN,
        'preset = "parabel"',
        "settings = { n_trees = 1, C = 2.0 }",
        "text = { min_df = 3 }",
        "seeds = [1, 2]",
        'expected = { "P@1" = 64.0 }',
        "tolerance = 0.5",
        'beside = ["Parabel"]',
        'note = "one tree"',
    )
    recipe = read_recipe(cli.write_lines(tmp_path / "mine.toml", *lines))
    assert (recipe.propensity, recipe.published) == ((0.6, 2.6), published(["Bibtex"]))
    settings = PRESETS["parabel"].settings | {"n_trees": 1, "C": 2.0}
    assert recipe.runs == (
        (
            "one",
            "parabel",
            "tree",
            settings,
            None,
            {"min_df": 3},
            None,
            (1, 2),
            {"P@1": 64.0},
            0.5,
            ("Parabel",),
            "one tree",
        ),
    )


def test_a_preset_decides_whether_it_is_one_vs_all(tmp_path):
    recipe = read_recipe(cli.write_lines(tmp_path / "mine.toml", *MINIMAL, 'preset = "dismec"'))
    assert recipe.runs[0].method == "one-vs-all"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_comes_along_is_right(name):
    recipe = read_recipe(name)
    assert recipe.name == name and recipe.runs
    assert all(run.preset is None or run.preset == run.name for run in recipe.runs)


def test_every_public_set_has_a_recipe_of_its_name():
    assert {card.name for card in PUBLIC} <= set(recipe_names())
    assert all(read_recipe(card.name).data == card.name for card in PUBLIC)


@pytest.mark.parametrize("name", ["bibtex", "delicious", "eurlex57k", "tibkat-gnd"])
def test_measured_sets_have_every_preset_and_one_vs_all(name):
    assert {run.name for run in read_recipe(name).runs} >= {*PRESETS, "one-vs-all", "best"}


@pytest.mark.parametrize("name", ["bibtex", "debtags", "delicious", "eurlex57k", "tibkat-gnd"])
def test_measured_sets_have_expectations_of_every_figure(name):
    assert all(
        run.expected.keys() == set(figures.METRICS) and run.tolerance >= 0.2
        for run in read_recipe(name).runs
    )


def test_every_published_row_belongs_to_a_recipe():
    with open(figures.HOME, newline="", encoding="utf-8") as file:
        rows = {(row["dataset"], row["features"], row["method"]) for row in csv.DictReader(file)}
    shown = {row[:3] for name in recipe_names() for row in read_recipe(name).published}
    assert shown == rows


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["title ="], "expected TOML, got something else: Invalid value (at line 1, column 8)"),
        ([*HEAD], "expected run, got none"),
        ([*HEAD[:2], *RUN], "expected source, got none"),
        (
            [*MINIMAL, 'method = "tree"', 'bases = [{ method = "tree" }]'],
            "run 'one': bases needs method = 'reranked'",
        ),
        (
            [*MINIMAL, 'method = "reranked"', 'bases = [{ method = "reranked" }]'],
            "run 'one': bases: method must be another one than 'reranked'",
        ),
        (
            [*MINIMAL, 'method = "reranked"', "bases = [{ settings = { K = 1 } }]"],
            "run 'one': bases: settings: no such parameter as 'K'; there are ",
        ),
        (
            [*MINIMAL, 'method = "reranked"', 'bases = [{ name = "tree" }]'],
            "run 'one': bases: no such key as 'name'; there are method, preset, settings",
        ),
        ([*HEAD, "run = []"], "run must be a list of tables, [[run]], got []"),
        (
            [*HEAD, "runs = 1", *RUN],
            "no such key as 'runs'; there are title, data, source, published, features, ",
        ),
        (['title = ""', *HEAD[1:], *RUN], "title must be a text, got ''"),
        ([HEAD[0], 'data = "a/b"', HEAD[2], *RUN], "data must be the name of a folder, got 'a/b'"),
        ([HEAD[0], 'data = ".."', HEAD[2], *RUN], "data must be the name of a folder, got '..'"),
        (
            [*HEAD, "propensity = [0.5]", *RUN],
            "propensity must be two numbers, A >= 0 and B > 0, got [0.5]",
        ),
        (
            [*HEAD, "propensity = [0.5, 0]", *RUN],
            "propensity must be two numbers, A >= 0 and B > 0, got [0.5, 0]",
        ),
        (
            [*HEAD, "propensity = [nan, 1]", *RUN],
            "propensity must be two numbers, A >= 0 and B > 0, got [nan, 1]",
        ),
        ([*HEAD, 'published = "Bibtex"', *RUN], "published must be a list of texts, got 'Bibtex'"),
        (
            [*HEAD, 'published = ["Bibtex", "Bibtext"]', *RUN],
            "published must be data sets of published.csv with such features, got 'Bibtext'",
        ),
        (
            [*HEAD, 'published = ["Bibtex"]', 'features = "tfidf"', *RUN],
            "published must be data sets of published.csv with such features, got 'Bibtex'",
        ),
        ([*HEAD, "[[run]]"], "run 1: expected name, got none"),
        (
            [*MINIMAL, "[[run]]", "name = 2"],
            "run 2: name must be a text that can name a file, got 2",
        ),
        (
            [*HEAD, "[[run]]", 'name = "a/b"'],
            "run 'a/b': name must be a text that can name a file, got 'a/b'",
        ),
        ([*MINIMAL, *RUN], "expected a name of its own for each run, got 'one' twice"),
        (
            [*MINIMAL, "seed = 1"],
            "run 'one': no such key as 'seed'; there are name, preset, method, settings, ",
        ),
        ([*MINIMAL, 'preset = "parable"'], "run 'one': preset must be one of 'parabel', "),
        (
            [*MINIMAL, 'preset = "parabel"', 'method = "tree"'],
            "run 'one': expected preset or method, got both",
        ),
        (
            [*MINIMAL, "method = 1"],
            "run 'one': method must be one of 'tree', 'one-vs-all', 'low-rank', 'reranked', got 1",
        ),
        ([*MINIMAL, "settings = 1"], "run 'one': settings must be a table, got 1"),
        (
            [*MINIMAL, "settings = { arty = 2 }"],
            "run 'one': settings: no such parameter as 'arty'; there are n_trees, tree, ",
        ),
        (
            [*MINIMAL, "settings = { n_jobs = 2 }"],
            "run 'one': settings: no such parameter as 'n_jobs'; ",
        ),
        (
            [*MINIMAL, "settings = { arity = 1 }"],
            "run 'one': settings: arity must be an int >= 2 or None, got 1",
        ),
        (
            [*MINIMAL, 'method = "one-vs-all"', "settings = { arity = 2 }"],
            "run 'one': settings: no such parameter as 'arity'; ",
        ),
        ([*MINIMAL, "text = { min_df = 0 }"], "run 'one': text: min_df must be an int >= 1, got 0"),
        (
            [*MINIMAL, "text = { ngram = 2 }"],
            "run 'one': text: no such parameter as 'ngram'; there are analyzer, ",
        ),
        (
            [HEAD[0], 'data = "debtags"', HEAD[2], *RUN, "text = { }"],
            "run 'one': text needs data with texts, the embedded sample has none",
        ),
        ([*MINIMAL, "seeds = []"], "run 'one': seeds must be a list of ints >= 0, got []"),
        ([*MINIMAL, "seeds = [true]"], "run 'one': seeds must be a list of ints >= 0, got [True]"),
        (
            [*MINIMAL, 'expected = { "P@2" = 1 }', "tolerance = 1"],
            "run 'one': expected: no such metric as 'P@2'; there are P@1, P@3, P@5, PSP@1, ",
        ),
        (
            [*MINIMAL, 'expected = { "P@1" = "x" }'],
            "run 'one': expected must be a table of numbers, got {'P@1': 'x'}",
        ),
        (
            [*MINIMAL, 'vocabulary = "names.tsv"'],
            "run 'one': vocabulary needs method = 'reranked', and texts",
        ),
        (
            [*MINIMAL, "text = { }", "settings = { tfidf = true }"],
            "run 'one': tfidf goes with matrices only, text makes TF-IDF weights",
        ),
        (
            [
                *MINIMAL,
                "text = { }",
                'method = "reranked"',
                "bases = [{ settings = { pairs = 1 } }]",
            ],
            "run 'one': pairs goes with matrices only, text makes TF-IDF weights",
        ),
        ([*MINIMAL, "expected = { }"], "run 'one': expected must be a table of numbers, got {}"),
        (
            [*MINIMAL, 'expected = { "P@1" = 1 }'],
            "run 'one': expected and tolerance go together, got one of them",
        ),
        (
            [*MINIMAL, "tolerance = 1"],
            "run 'one': expected and tolerance go together, got one of them",
        ),
        ([*MINIMAL, "tolerance = -1"], "run 'one': tolerance must be a number of points, got -1"),
        (
            [*MINIMAL, 'beside = ["Parabel"]'],
            "run 'one': beside: no such published method as 'Parabel'; there are none, as ",
        ),
        (
            [*HEAD, 'published = ["EURLex-57K"]', *RUN, 'beside = ["Parabel"]'],
            "run 'one': beside: no such published method as 'Parabel'; there are 'LibMulti",
        ),
    ],
)
def test_a_wrong_recipe_is_told_where(wrong, lines, said):
    message = wrong(*lines)
    assert message.startswith(said) and "\n" not in message


def test_a_name_that_is_no_recipe_is_refused():
    with pytest.raises(
        DataError, match="^eurlex: no such recipe; there are amazon-3m, .*, or give a .toml file$"
    ):
        read_recipe("eurlex")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"nothing\.toml: can't be read: No such file or directory$"
    ):
        read_recipe(tmp_path / "nothing.toml")


def test_reading_recipes_imports_nothing_heavy():
    code = (
        "import sys; from xmc.datasets import read_recipe, recipe_names; "
        "list(map(read_recipe, recipe_names())); "
        "print({'numpy', 'scipy', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
