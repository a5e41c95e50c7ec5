"""Pages: what they show runs and prints what they say; their figures are kept ones."""

import csv
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_tools import done

from xmc.datasets.recipes import read_recipe, recipe_names

TOP = Path(__file__).resolve().parent.parent
DOCS = TOP / "docs"
BIN = Path(sys.executable).parent
BLOCK = re.compile(r"^```(python|sh|output)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"serving.md", "reports.md"}  # test_docs.py and those of the service hold them
BLOCKS = {
    path.name: found
    for path in sorted(DOCS.glob("*.md"))
    if path.name not in ELSEWHERE and (found := BLOCK.findall(path.read_text(encoding="utf-8")))
}


def output_of(commands):
    """What the lines print; a line of `xmc` alone runs in this process, which saves its imports."""
    lines = commands.replace("\\\n", " ").splitlines()
    if all(re.match(r"xmc [^|;<>$]*$", line) for line in lines):
        return "".join(done(*shlex.split(line)[1:]).stdout for line in lines)
    script = f"set -euo pipefail; PATH={BIN}:$PATH\n{commands}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, f"{commands}\n{ended.stderr}"
    return ended.stdout


@pytest.mark.parametrize("page", BLOCKS)
def test_what_a_page_shows_runs_in_order_and_prints_what_it_says(
    page, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    known, printed = {"__name__": page}, ""
    for language, text in BLOCKS[page]:
        if language == "sh":
            printed = output_of(text)
        elif language == "python":
            exec(compile(text, page, "exec"), known)
            printed = capsys.readouterr().out
        else:
            assert printed == text


def rows_of(page):
    """The cells of each table's rows."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*", text, re.M)
    ]


def test_expected_figures_are_those_of_the_recipes():
    shown = {tuple(row) for row in rows_of("reproduction.md")}
    for name in recipe_names():
        for run in read_recipe(name).runs:
            if run.expected:
                figures = [f"{value:.2f}" for value in run.expected.values()]
                assert (run.name, *figures, f"({run.tolerance})") in shown


def test_published_figures_are_those_that_are_kept():
    with open(TOP / "datasets" / "published.csv", encoding="utf-8", newline="") as file:
        kept = [list(row.values()) for row in csv.DictReader(file)]
    kept = {(row[0], row[2], *row[4:]) for row in kept}
    shown = {tuple(row) for row in rows_of("reproduction.md") if row[0][0].isupper() and row[-1]}
    assert len(shown) > 10
    assert shown <= kept


@pytest.fixture(scope="module")
def docstrings():
    return runpy.run_path(str(DOCS / "docstrings.py"))


def test_a_name_that_a_docstring_explains_becomes_an_item(docstrings):
    lines = ["What comes out.", "", "kind: one of two,", "    as told.", "Raises DataError.", ""]
    assert docstrings["as_rst"](lines)[2:8] == [
        "",
        "* ``kind``: one of two,",
        "  as told.",
        "",
        "Raises DataError.",
        "",
    ]


def test_a_name_within_a_sentence_stays_there(docstrings):
    lines = ["A label belongs if it reaches the", "threshold: without one, another."]
    assert docstrings["as_rst"](lines)[:2] == lines


def test_signs_of_a_docstring_dont_act(docstrings):
    assert docstrings["escaped"]("label_ids_ of `k` * 2") == r"label\_ids\_ of ``k`` \* 2"


def test_a_field_is_told_by_the_comment_behind_it(docstrings):
    assert docstrings["field_of"]("xmc.topk.TopK.labels") == ["(n\\_rows, k) int32", ""]
    assert docstrings["field_of"]("xmc.text_classifier.Suggestion.id") == ["", ""]
