"""Outputs are checked before the work, by every command that has some."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cli_tools as cli
import pytest

import xmc
from xmc.cli.output import Notices, print_table

NOBODY = 65534
LIKE = ("--like", "wiki10-31k", "--scale", "0.01")
DIRECTORY = "{outputs}"

# Sources that don't exist: a command that reads before it tries its outputs complains about those.
COMMANDS = {
    "train": ("train", "X.npz", "Y.npz", "--model", "{outputs}/model"),
    "train --json": ("train", "X.npz", "Y.npz", "--model", "model", "--json", "{outputs}/j"),
    "tune --json": ("tune", "X.npz", "Y.npz", "--out", "tuning", "--json", "{outputs}/j"),
    "predict": ("predict", "no-model", "X.npz", "--out", "{outputs}/pred.npz"),
    "predict --json": ("predict", "no-model", "X.npz", "--json", "{outputs}/j"),
    "evaluate": ("evaluate", "pred.npz", "Y.npz", "--json", "{outputs}/j"),
    "inspect": ("inspect", "no-model", "--json", "{outputs}/j"),
    "compress": ("compress", "no-model", "{outputs}/small"),
    "convert": ("convert", "X.npz", "{outputs}/a.svm"),
    "convert, the second": ("convert", "a.txt", "X.npz", "{outputs}/Y.npz"),
    "convert --fit-vectorizer": (
        *("convert", "a.tsv", "X.npz", "Y.npz"),
        *("--fit-vectorizer", "{outputs}/tfidf"),
    ),
    "export": ("datasets", "export", "debtags", "{outputs}/sample"),
    "synth": ("datasets", "synth", *LIKE, "--out", "{outputs}/synth"),
    "add": ("datasets", "add", "wiki10-31k", "a.txt", "b.txt", "--out", "{outputs}/wiki"),
    "list": ("datasets", "list", "--json", "{outputs}/j"),
    "reproduce": ("reproduce", "debtags", "--json", "{outputs}/j"),
    "serve": ("serve", "no-model", "--json", "{outputs}/j"),
    "warmup": ("warmup", "--json", "{outputs}/j"),
    "completion": ("completion", "bash", "--json", "{outputs}/j"),
}


def target_of(args):
    """The output that a command has in the folder."""
    return next(arg for arg in args if DIRECTORY in arg)


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """The folder `closed`, in which nothing can be made; the working folder is another one."""
    folder, working = tmp_path / "closed", tmp_path / "working"
    folder.mkdir()
    working.mkdir()
    monkeypatch.chdir(working)
    mkdir = os.mkdir

    def refuse(path, *args, **how):
        if os.path.dirname(path) == str(folder):
            raise PermissionError(13, "Permission denied", path)
        mkdir(path, *args, **how)

    monkeypatch.setattr(os, "mkdir", refuse)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_can_not_be_made_is_refused_before_anything_is_read(name, tmp_path, closed):
    args = [arg.format(outputs=closed) for arg in COMMANDS[name]]
    line = cli.refusal(tmp_path, *args)
    assert line == f"{target_of(COMMANDS[name]).format(outputs=closed)}: can't be written: " + (
        "Permission denied"
    )


@pytest.fixture
def visible():
    """A folder that other users may look into, unlike `tmp_path`."""
    with TemporaryDirectory(prefix="xmc-test-output-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


AS_NOBODY = f"""
import os, sys
from xmc.errors import DataError
from xmc.io import check_target
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
try:
    check_target(sys.argv[1])
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process as another user")
def test_a_folder_of_another_user_is_refused(visible):
    target = visible / "model"
    command = [sys.executable, "-c", AS_NOBODY, target]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout == f"{target}: can't be written: Permission denied\n"
    assert list(visible.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        ("convert", "X.npz", "Y.npz", "a.npz", "a.npz"),
        ("convert", "a.tsv", "X.npz", "Y.npz", "--fit-vectorizer", "./X.npz"),
        ("convert", "X.npz", "a.svm", "--json", "here/../a.svm"),
        ("predict", "no-model", "X.npz", "--out", "link/p.tsv", "--json", "here/p.tsv"),
        ("train", "X.npz", "Y.npz", "--model", "a", "--json", "a"),
        ("compress", "no-model", "a", "--json", "a"),
        ("datasets", "synth", *LIKE, "--out", "a", "--json", "a"),
    ],
)
def test_two_outputs_at_one_path_are_refused_before_anything_is_read(tmp_path, monkeypatch, args):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    line = cli.refusal(tmp_path, *args, "--overwrite")
    assert line.endswith(": expected a path for each output, got this one twice")


def test_stdout_is_not_taken_for_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").mkdir()
    assert json.loads(cli.done("datasets", "list", "--json", "-").stdout)


def test_json_does_not_replace_a_folder_even_if_asked(tmp_path):
    line = cli.refusal(tmp_path, "inspect", "no-model", "--json", tmp_path, "--overwrite")
    assert line == f"{tmp_path}: expected a file, got a folder"


@pytest.mark.parametrize("args", [("datasets", "list"), ("inspect", "MODEL")])
def test_json_on_stdout_stands_alone(args):
    args = [str(cli.model()) if arg == "MODEL" else arg for arg in args]
    assert json.loads(cli.done(*args, "--json", "-").stdout)


def test_a_model_that_the_system_does_not_read_is_one_line(tmp_path, monkeypatch):
    def unreadable(path, **how):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(xmc, "load", unreadable)
    line = cli.refusal(tmp_path, "predict", "model", "--text", "a text")
    assert line == "model: can't be read: Input/output error"


def test_notices_of_a_group_begin_with_its_name(tmp_path):
    shown = cli.done("datasets", "export", "debtags", tmp_path / "sample")
    assert shown.stderr.startswith("datasets: debtags written to ")


def test_no_line_acts_on_the_terminal(capsys):
    print_table(["name"], [["a\x1b[31m"], ["b\u202e"]])
    Notices("train", False).say("c\x9b")
    said = capsys.readouterr()
    assert said.out == "name\na\\x1b[31m\nb\\u202e\n"
    assert said.err == "train: c\\x9b\n"


def test_a_file_by_a_strange_name_is_named_on_one_line(tmp_path):
    line = cli.run("inspect", tmp_path / "a\x1b[31m\nb").stderr
    assert r"a\x1b[31m\nb" in line and line.count("\n") == 1
