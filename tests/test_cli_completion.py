"""Completion, asked as shells ask for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cli_tools as cli
import pytest
from test_cli import HEAVY

from xmc.cli import main as cli_main
from xmc.datasets.recipes import recipe_names
from xmc.methods import METHODS

BIN = Path(sys.executable).parent
SHELLS = ("bash", "zsh", "fish")


def completed(line, shell="bash"):
    """What the installed command offers for the last word of a line, with the kind of each."""
    words = line.split(" ")
    number = words[-1] if shell == "fish" else str(len(words) - 1)
    asks = {"_XMC_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": number}
    done = subprocess.run(
        [BIN / "xmc"], env=os.environ | asks, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_commands_are_completed():
    assert completed("xmc ") == [f"plain,{name}" for name in cli_main.COMMANDS]
    assert completed("xmc re") == ["plain,report", "plain,reproduce"]
    assert completed("xmc datasets s") == ["plain,synth"]


def test_options_are_completed():
    assert completed("xmc train data.tsv --tail-") == ["plain,--tail-share", "plain,--tail-gamma"]
    assert {"plain,--text", "plain,--sets", "plain,--json"} <= {*completed("xmc predict model --")}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("xmc train data.tsv --loss ", ["squared_hinge", "hinge"]),
        ("xmc train data.tsv --negatives tfn", ["tfn", "tfn+man"]),
        ("xmc train data.tsv --method ", [*METHODS]),
        ("xmc train data.tsv --method one", ["one-vs-all"]),
        ("xmc reproduce ", recipe_names()),
        ("xmc completion ", [*SHELLS]),
    ],
)
def test_values_that_have_names_are_completed(line, values):
    assert completed(line) == [f"plain,{value}" for value in values]


@pytest.mark.parametrize("line", ["xmc train ", "xmc predict mod", "xmc train a.tsv --model "])
def test_where_nothing_else_is_known_files_are_completed(line):
    assert completed(line) == [f"file,{line.split(' ')[-1]}"]


def test_other_shells_get_their_own_form():
    described = cli_main.xmc.get_command(None, "report").short_help
    assert completed("xmc repo", "zsh") == ["plain", "report", described]
    assert completed("xmc repo", "fish")[0].startswith("plain,report")
    assert completed("xmc train ", "zsh")[0] == "file"


def test_completion_imports_nothing_heavy(tmp_path):
    code = (
        "import atexit, sys; from xmc.cli.main import main; "
        f"atexit.register(lambda: print([n for n in {HEAVY!r} if n in sys.modules])); main()"
    )
    for asks in (
        {"_XMC_COMPLETE": "bash_complete", "COMP_WORDS": "xmc ", "COMP_CWORD": "1"},
        {"_XMC_COMPLETE": "bash_complete", "COMP_WORDS": "xmc train --", "COMP_CWORD": "2"},
        {"_XMC_COMPLETE": "bash_complete", "COMP_WORDS": "xmc reproduce ", "COMP_CWORD": "2"},
        {},
    ):
        words = [] if asks else ["completion", "bash"]
        shown = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            env=os.environ | asks,
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_of_the_shell_for_xmc(shell):
    script = cli.done("completion", shell).stdout
    assert f"_XMC_COMPLETE={shell}_complete" in script
    assert "_xmc_completion" in script


def test_without_a_name_it_is_the_shell_that_one_logs_in_with(monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/local/bin/fish")
    assert cli.done("completion").stdout == cli.done("completion", "fish").stdout
    monkeypatch.setenv("SHELL", "/bin/csh")
    assert (
        cli.misuse("completion") == "Error: name a shell, one of bash, zsh, fish; $SHELL is 'csh'"
    )
    monkeypatch.delenv("SHELL")
    assert cli.misuse("completion") == "Error: name a shell, one of bash, zsh, fish; $SHELL is ''"


def test_the_script_goes_into_json_too(tmp_path):
    done = cli.done("completion", "zsh", "--json", "-")
    assert json.loads(done.stdout) == {
        "shell": "zsh",
        "script": cli.done("completion", "zsh").stdout,
    }


def test_help_says_how_to_install_it():
    told = cli.done("completion", "--help").stdout
    assert 'eval "$(xmc completion bash)"' in " ".join(told.split())
    assert "~/.bashrc" in told


# Readline asks the function that the script has bound to `xmc`, and takes what is in COMPREPLY.
TYPED = """
eval "$(xmc completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$(({n}))
function compopt {{ printf 'compopt %s %s\\n' "$@"; }}
$(complete -p xmc | sed 's/.*-F \\([^ ]*\\).*/\\1/') xmc
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["xmc", "comp"], ["compare", "compress", "completion"]),
        (["xmc", "train", "--beam"], ["--beam-size"]),
        (["xmc", "train", "tra"], ["compopt -o default", ""]),
    ],
)
def test_a_bash_that_has_read_the_script_completes(words, offered, tmp_path):
    script = TYPED.format(words=" ".join(words), n=len(words) - 1)
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.splitlines(), done.stderr) == (offered, "")
