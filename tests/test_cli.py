"""The command as a whole: help that is instant, exit codes, interruptions, closed pipes."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import cli_tools as cli
import pytest

from xmc import __version__
from xmc.cli import main as cli_main
from xmc.cli import output

HEAVY = ("numpy", "scipy", "sklearn", "numba", "rich", "joblib")
HELP = """
import sys
from xmc.cli.main import xmc
try:
    xmc(sys.argv[1:], prog_name="xmc")
except SystemExit as end:
    print(end.code, *[name for name in HEAVY if name in sys.modules])
""".replace("HEAVY", repr(HEAVY))


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["datasets", "synth", "--help"],
        *([c, "--help"] for c in cli_main.COMMANDS),
    ],
)
def test_help_imports_nothing_heavy(args, tmp_path):
    shown = subprocess.run(
        [sys.executable, "-c", HELP, *args], cwd=tmp_path, capture_output=True, text=True
    )
    assert shown.stdout.splitlines()[-1] == "0"


def test_help_lists_every_command():
    shown = cli.done("--help").stdout
    assert all(f"\n  {name} " in shown for name in cli_main.COMMANDS)


@pytest.mark.parametrize("args", [[], ["train"], ["datasets", "list"]])
def test_version_is_told_everywhere(args):
    assert cli.done(*args, "--version").stdout == f"xmc {__version__}\n"


@pytest.mark.parametrize("name", [c for c in cli_main.COMMANDS if c != "datasets"])
def test_every_command_has_the_common_flags(name):
    shown = cli.done(name, "--help").stdout
    assert all(
        f"\n  {flag} " in shown for flag in ("--json PATH", "--overwrite", "--quiet", "--version")
    )


def test_an_unknown_command_is_a_usage_error():
    assert cli.misuse("trian") == "Error: No such command 'trian'."


def raising(error):
    def fail(*args):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "xmc: No space left on device\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "model"),
            1,
            "model: Permission denied\n",
        ),
        (
            MemoryError(),
            1,
            "inspect: expected more memory than there is\n",
        ),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_what_the_user_can_mend_is_one_line(monkeypatch, error, code, line):
    monkeypatch.setattr("xmc.cli.inspect.describe", raising(error))
    result = cli.run("inspect", "model")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", line)


def test_where_memory_runs_out_it_says_for_what_and_what_helps(monkeypatch):
    wanted = "Unable to allocate 8 EiB"
    monkeypatch.setattr("xmc.cli.predict.load_model", raising(MemoryError(wanted)))
    result = cli.run("predict", "model", "X.npz")
    hint = "try fewer rows at a time, a smaller -k or fewer --threads"
    line = f"predict: expected more memory than there is ({wanted}); {hint}\n"
    assert (result.exit_code, result.stderr) == (1, line)


@pytest.mark.parametrize("command", cli_main.LESS_MEMORY)
def test_advice_on_memory_names_flags_that_the_command_has(command):
    options = {o for p in cli_main.xmc.get_command(None, command).params for o in p.opts}
    named = {word.strip(",;") for word in cli_main.LESS_MEMORY[command].split() if word[0] == "-"}
    assert named <= options


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("xmc.cli.inspect.describe", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        cli.run("inspect", "model")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_training_leaves_nothing(tmp_path, number, code):
    os.mkfifo(
        tmp_path / "train.tsv"
    )  # nobody writes to it: the command waits, well after it has started
    process = cli.start("train", "train.tsv", "--model", "model", "--quiet", cwd=tmp_path)
    pipe = opened_for(process, tmp_path / "train.tsv")
    time.sleep(0.2)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    os.close(pipe)
    assert (process.returncode, stderr) == (code, "interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["train.tsv"]


def opened_for(process, path):
    """The pipe, opened for writing as soon as the process reads it."""
    while process.poll() is None:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it yet
            time.sleep(0.01)
    raise AssertionError(process.stderr.read())


@pytest.fixture
def started(monkeypatch):
    """started(): what `main` sets up, without a command; then all is as before."""
    before = {number: signal.getsignal(number) for number in cli_main.ENDINGS}
    monkeypatch.setattr(cli_main, "xmc", lambda prog_name: None)
    with warnings.catch_warnings():
        yield cli_main.main
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_that_is_ignored_stays_ignored(started):
    """So a command that nohup started outlives its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    started()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(("typed", "seen"), [([], 0), (["default"], 1)])
def test_warnings_of_libraries_are_hidden_unless_python_is_asked_for_them(
    started, monkeypatch, typed, seen
):
    monkeypatch.setattr(sys, "warnoptions", typed)
    warnings.simplefilter("default")
    started()
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("for developers", FutureWarning, stacklevel=1)
    assert len(caught) == seen


def test_a_closed_pipe_ends_the_command_quietly(tmp_path):
    process = cli.start("predict", cli.model(), cli.home() / "X.tst.npz", "--quiet", cwd=tmp_path)
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_under_stdout_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        process = cli.start("inspect", cli.model(), cwd=tmp_path, stdout=full)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (1, "xmc: No space left on device\n")


def test_an_existing_json_is_kept_unless_overwrite(tmp_path):
    path = cli.write_lines(tmp_path / "facts.json", "mine")
    line = cli.refusal(tmp_path, "datasets", "list", "--json", path)
    assert line == f"{path}: exists already; overwrite replaces it"
    cli.done("datasets", "list", "--json", path, "--overwrite", "--quiet")
    assert json.loads(path.read_text())[0]["name"] == "debtags"


def test_tables_line_up(capsys):
    output.print_table(["name", "rows"], [["a", "1,000"], ["long name", "2"]])
    assert capsys.readouterr().out == "name        rows\na          1,000\nlong name      2\n"


def test_a_number_that_is_missing_leaves_its_column_one_of_numbers(capsys):
    output.print_table(["name", "rows"], [["a", "1,000"], ["b", ""], ["c", "2"]])
    assert capsys.readouterr().out == "name   rows\na     1,000\nb\nc         2\n"


def test_a_table_on_a_terminal_has_the_same_cells(monkeypatch, capsys):
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    output.print_table(["name", "rows"], [["[a]", "1,000"]])
    assert capsys.readouterr().out.split()[-2:] == ["[a]", "1,000"]
