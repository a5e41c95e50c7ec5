"""What the tests of the command line share: a small data set, trained models, and commands run in
this process.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse as sp
from click.testing import CliRunner, Result

from xmc.cli.main import xmc
from xmc.datasets import load_sample, sample_texts
from xmc.io import Dataset, write, write_matrix

MIX = (
    {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
)  # click before 8.2
MAIN = "from xmc.cli.main import main; main()"
N_ROWS, N_TEST = 1200, 150
NO_MATRIX = "expected .npz, or .txt that begins with 'rows columns'; two paths are always X and Y"

_folder = TemporaryDirectory(prefix="xmc-test-cli-")


def run(*args: object, stdin: str | bytes | None = None) -> Result:
    """The command in this process; a bug in it fails the test."""
    result = CliRunner(**MIX).invoke(xmc, [str(arg) for arg in args], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def done(*args: object, stdin: str | bytes | None = None) -> Result:
    """The command, which must succeed."""
    result = run(*args, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return result


def refusal(folder: Path, *args: object) -> str:
    """The one line on stderr with which the command refuses; nothing may appear in or vanish from
    `folder`.
    """
    before = content(folder)
    result = run(*args, "--quiet")
    assert result.exit_code == 1, result.stderr
    assert result.stdout == ""
    assert content(folder) == before
    (line,) = result.stderr.splitlines()
    return line


def misuse(*args: object) -> str:
    """The last line of the usage error that the command gives."""
    result = run(*args)
    assert result.exit_code == 2, result.stderr
    return result.stderr.splitlines()[-1]


def content(folder: Path) -> dict[str, bytes | None]:
    """All files below a folder."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def start(*args: object, cwd: Path, **how) -> subprocess.Popen:
    """The command as a process of its own."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    return subprocess.Popen([sys.executable, "-c", MAIN, *map(str, args)], cwd=cwd, **how)


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def save_dense(path: Path, rows: list[list[float]]) -> Path:
    sp.save_npz(path, sp.csr_matrix(np.array(rows, np.float32)))
    return path


@cache
def home() -> Path:
    """A folder with a slice of the sample: X.npz, Y.npz, X.tst.npz, Y.tst.npz, train.tsv, test.tsv,
    labels.txt.
    """
    folder, sample = Path(_folder.name), load_sample()
    frequent = np.flatnonzero(sample.Y[:N_ROWS].getnnz(axis=0) >= 5)
    ids = [sample.label_names[label] for label in frequent]
    parts = [
        (sample.X[:N_ROWS], sample.Y[:N_ROWS, frequent]),
        (sample.X_test[:N_TEST], sample.Y_test[:N_TEST, frequent]),
    ]
    for (X, Y), split, texts in zip(parts, ("", ".tst"), ("train.tsv", "test.tsv"), strict=True):
        write_matrix(folder / f"X{split}.npz", X)
        write_matrix(folder / f"Y{split}.npz", Y)
        write(folder / texts, Dataset(Y=Y, texts=sample_texts(X, sample.features), label_ids=ids))
    write_lines(
        folder / "labels.txt", *[f"{label}\tthe {label.partition('::')[2]} tag" for label in ids]
    )
    return folder


@cache
def model() -> Path:
    """A model of the matrices, whose labels have no ids."""
    done("train", home() / "X.npz", home() / "Y.npz", "--model", home() / "model", "--quiet")
    return home() / "model"


@cache
def named_model() -> Path:
    """A model of the matrices with ids and names of the labels."""
    names = ("--label-names", home() / "labels.txt")
    done(
        "train", home() / "X.npz", home() / "Y.npz", "--model", home() / "named", *names, "--quiet"
    )
    return home() / "named"


@cache
def text_model() -> Path:
    """A model of the texts, with names of the labels."""
    names = ("--label-names", home() / "labels.txt")
    done("train", home() / "train.tsv", "--model", home() / "texts", *names, "--quiet")
    return home() / "texts"


@cache
def predictions(suffix: str) -> Path:
    """What the model with names predicts for the test rows, in one of the formats."""
    done(
        "predict",
        named_model(),
        home() / "X.tst.npz",
        "--out",
        home() / f"pred.{suffix}",
        "--quiet",
    )
    return home() / f"pred.{suffix}"
