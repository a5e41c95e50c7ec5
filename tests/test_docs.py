"""The documents name what exists, and their figures show what the package does."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

TOP = Path(__file__).resolve().parent.parent
DOCS = TOP / "docs"
PAGES = ["CONTRIBUTING.md", "docs/how-it-works.md"]


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


@pytest.mark.parametrize("page", PAGES)
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
