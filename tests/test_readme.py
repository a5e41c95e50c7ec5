"""What the README shows runs, and names every file."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from xmc.datasets import demo

TOP = Path(__file__).resolve().parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def block(language, number=0):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)[number]


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_example_runs(tmp_path):
    precision, psp, tags, tags_of_small = run(
        [sys.executable, "-c", block("python")], tmp_path
    ).splitlines()
    assert float(precision) > 0.88
    assert float(psp) > 0.69
    assert "::" in tags and tags_of_small == tags


def test_the_example_of_texts_runs(tmp_path):
    lines = run([sys.executable, "-c", block("python", 1)], tmp_path).splitlines()
    assert {line.rpartition(" ")[0] for line in lines} == {"red Red", "fruit fruit"}


def test_the_commands_run(tmp_path):
    script = f"set -euo pipefail; PATH={BIN}:$PATH\n{block('sh')}"
    assert "role::program" in run(["bash", "-c", script], tmp_path)


def test_make_run_types_what_is_shown(monkeypatch, tmp_path):
    typed = []
    monkeypatch.setattr(
        demo, "xmc", lambda *arguments: typed.append(f"$ xmc {shlex.join(arguments)}")
    )
    monkeypatch.setattr(demo, "show_examples", lambda *paths: None)
    monkeypatch.chdir(tmp_path)
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
