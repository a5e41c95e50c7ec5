"""The pages of the site: what they show runs and prints what they say, and the site has them all."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
DOCS = TOP / "docs"
BIN = Path(sys.executable).parent
BLOCK = re.compile(r"^```(python|sh|output)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {
    path.name: found
    for path in sorted(DOCS.glob("*.md"))
    if (found := BLOCK.findall(path.read_text(encoding="utf-8")))
}


def run_commands(text):
    script = f"set -euo pipefail; PATH={BIN}:$PATH\n{text}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", BLOCKS)
def test_what_a_page_shows_runs_in_order_and_prints_what_it_says(
    page, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    known, printed = {"__name__": page}, ""
    for language, text in BLOCKS[page]:
        if language == "sh":
            printed = run_commands(text)
        elif language == "python":
            exec(compile(text, page, "exec"), known)
            printed = capsys.readouterr().out
        else:
            assert printed == text


def test_the_site_leads_to_every_page():
    home = (DOCS / "index.md").read_text(encoding="utf-8")
    named = re.search(r"^```\{toctree\}.*?^```", home, re.MULTILINE | re.DOTALL)[0].split()
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert pages <= set(named)


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
