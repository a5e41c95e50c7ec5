"""The documents name what exists, and their figures show what the package does."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from xmc import metrics
from xmc.cli import inspect
from xmc.cli.main import xmc
from xmc.reporting import bootstrap, groups, misses, report

TOP = Path(__file__).resolve().parent.parent
DOCS = TOP / "docs"
PAGES = ["CONTRIBUTING.md", "docs/how-it-works.md", "docs/reports.md"]
FIRST = "index tutorial settings tuning encoders vocabularies metrics"
THEN = "formats large moving reproduction limits api"
SITE = [f"docs/{name}.md" for name in f"{FIRST} {THEN}".split()]


@pytest.fixture(scope="module")
def docs():
    """The modules beside the documents, importable as from their own folder."""
    sys.path.insert(0, str(DOCS))
    yield
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def figures(docs):
    return runpy.run_path(str(DOCS / "figures.py"))


@pytest.fixture(scope="module")
def toy(docs):
    return runpy.run_path(str(DOCS / "toy.py"))


def text_of(page):
    return (TOP / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, *SITE])
def test_links_lead_somewhere(page):
    here = (TOP / page).parent
    links = re.findall(r"\]\(([^)#:]+)", text_of(page))
    assert links
    assert [link for link in links if not (here / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    code = re.findall(r"`([^`\n]+)`", text_of(page))
    named = {path for path in code if re.fullmatch(r"[\w./]+/[\w.]*|[\w/]+\.(?:py|md|cfg)", path)}
    homes = TOP, TOP / "xmc", TOP / "datasets", *(TOP / "xmc").glob("*/")
    missing = {path for path in named if not any((home / path).exists() for home in homes)}
    assert {"xmc/params.py", "xmc/layer.py"} & named
    assert missing - {"recipes/NAME.toml", "tests/test_cli_NAME.py"} == set()


def test_make_knows_every_target_that_is_named():
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    named = re.findall(r"(?:^    |`)make ([a-z -]+?)(?=$|`|  )", text_of("CONTRIBUTING.md"), re.M)
    assert {word for words in named for word in words.split()} <= targets
    assert len(named) > 5


def test_the_figures_are_those_that_the_script_draws(figures, tmp_path):
    figures["main"](tmp_path)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")}
    kept = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.svg")}
    assert drawn.keys() == kept.keys()
    old = [name for name in drawn if drawn[name] != kept[name]]
    assert old == [], "python docs/figures.py draws them anew"


def test_every_figure_is_shown(figures):
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    shown = re.findall(r"\]\((\w+)\.svg\)", pages)
    assert sorted(shown) == sorted([*figures["FIGURES"], *figures["DRAWINGS"]])


def test_the_numbers_of_the_descent_are_those_of_the_model(toy):
    model = toy["train"]()
    labels, scores = model.predict_topk([toy["ASKED"]], 9)
    upper, lower = toy["descent"](model, toy["ASKED"])
    kept = sorted(range(3), key=lambda n: -upper[n].path)[: toy["BEAM"]]
    seen = labels[0] >= 0
    assert set(labels[0][seen]) == {3 * n + c for n in kept for c in range(3)}
    paths = [lower[label].path for label in labels[0][seen]]
    assert np.exp(paths) == pytest.approx(scores[0][seen], rel=1e-5)


REPORTS = " ".join(text_of("docs/reports.md").split())


def options_of(*names):
    return {o for name in names for p in xmc.get_command(None, name).params for o in p.opts}


def test_flags_of_reports_are_those_of_the_commands():
    typed = re.findall(r"(?:^    |`)xmc (\w+) ?([^`#\n]*)", text_of("docs/reports.md"), re.M)
    assert {name for name, _ in typed} == {"report", "compare", "inspect", "evaluate"}
    for name, given in typed:
        assert set(re.findall(r"--[\w-]+", given)) <= options_of(name)
    named = set(re.findall(r"--[a-z][\w-]+", REPORTS))
    assert named - {"--vocabulary"} <= options_of("report", "compare", "inspect")


def test_the_example_of_reports_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", text_of("docs/reports.md"), re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/reports.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("P@5 ") for line in lines)
    assert names["html"].startswith("<!doctype html>")


def test_numbers_of_reports_are_those_of_the_code():
    bins = ", ".join(groups.bin_names())
    for told in (
        f"get drawn with replacement, {bootstrap.N_SAMPLES:,} times",
        f"from the {bootstrap.ENDS[0]}th to the {bootstrap.ENDS[1]}th percentile",
        f"how many training rows they have: {bins}.",
        f"The {groups.MOST_GROUPS} most frequent values",
        f"in the {metrics.N_BINS} bins of equal width",
        f"Each list has the {misses.N_SHOWN} largest",
        f"At most {report.BOUNDS.n_nodes:,} nodes are shown",
        f"`xmc inspect --tree` draws {inspect.DRAWN['n_nodes']} nodes",
    ):
        assert told in REPORTS


def test_every_fate_of_a_label_is_told():
    rows = re.findall(r"^\| ([a-z ]+) \|", text_of("docs/reports.md"), re.M)
    assert rows == ["fate", *misses.FATES]


def test_every_section_of_the_page_is_told():
    told = re.findall(r"^### (.*)", text_of("docs/reports.md"), re.M)
    source = (TOP / "xmc/reporting/page.py").read_text(encoding="utf-8")
    for title in told:
        assert f'"{title}"' in source or title == "By a column"
    assert len(told) == 7
