"""What the README shows runs, and names every file."""

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import cli_tools as cli
import pytest
from planted_names import named_texts

from xmc import load
from xmc.datasets import demo

TOP = Path(__file__).resolve().parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def block(language, number=0):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)[number]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """What is shown writes here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")


def printed(code):
    """The lines that an example in Python prints."""
    with redirect_stdout(io.StringIO()) as out:
        exec(code, {"__name__": "__main__"})
    return out.getvalue().splitlines()


def said(command):
    """What a command prints. Where there is no pipe it runs in this process, which is quicker."""
    if "|" in command:
        script = f"set -euo pipefail; {command}"
        return subprocess.check_output(["bash", "-c", script], text=True)
    name, *arguments = shlex.split(command)
    assert name == "xmc"
    return cli.done(*arguments).stdout


def test_what_comes_first_runs():
    texts, labels = named_texts(300, 0)
    exec(block("python"), known := {"texts": texts, "labels": labels})
    assert load("model").label_ids_ == known["model"].label_ids_


def test_the_table_is_that_of_the_pages():
    rows = re.findall(r"^\| .*[0-9] s \|.*\|$", README.partition("## Try it")[0], re.MULTILINE)
    assert len(rows) == 5
    pages = (TOP / "docs" / "index.md").read_text(encoding="utf-8")
    assert [row for row in rows if row not in pages] == []


def test_the_python_example_runs():
    precision, psp, tags, tags_of_small = printed(block("python", 1))
    assert float(precision) > 0.88
    assert float(psp) > 0.69
    assert "::" in tags and tags_of_small == tags


def test_the_example_of_texts_runs():
    lines = printed(block("python", 2))
    assert {line.rpartition(" ")[0] for line in lines} == {"red Red", "fruit fruit"}


def test_the_commands_run():
    """On fewer rows than they show, but enough for a last stage."""
    export, *others = block("sh").splitlines()
    said(export)
    train = Path("sample", "train.tsv")
    cli.write_lines(train, *train.read_text(encoding="utf-8").splitlines()[:1200])
    assert any("|" in command for command in others)
    assert "role::program" in "".join(map(said, others))


def test_make_run_types_what_is_shown(monkeypatch):
    typed = []
    monkeypatch.setattr(
        demo, "xmc", lambda *arguments: typed.append(f"$ xmc {shlex.join(arguments)}")
    )
    monkeypatch.setattr(demo, "show_examples", lambda *paths: None)
    demo.main(".run")
    assert re.findall(r"^\$ xmc .*", README, re.MULTILINE) == typed


@pytest.mark.parametrize(
    "folder",
    [
        "xmc",
        "xmc/kernels",
        "xmc/io",
        "xmc/ranking",
        "xmc/training",
        "xmc/evidence",
        "xmc/explaining",
        "xmc/reporting",
        "xmc/serving",
    ],
)
def test_the_layout_names_every_module(folder):
    layout = README.partition("## Layout")[2]
    missing = {path.name for path in (TOP / folder).glob("[!_]*.py") if path.name not in layout}
    assert not missing, "a new file needs its line in the README's layout"
