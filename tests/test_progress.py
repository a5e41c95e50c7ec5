import io
import sys

import pytest

import xmc.progress
from xmc.progress import LINE_EVERY, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only as clock(seconds) says."""
    now = [100.0]
    monkeypatch.setattr(xmc.progress.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


@pytest.fixture
def terminal(monkeypatch):
    """terminal(): a terminal in place of stderr."""

    def put():
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return put


def test_nothing_is_written_without_verbose(capfd):
    with Progress(0) as progress:
        progress.stage("training", 2)(2)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_written_on_a_terminal_without_verbose(terminal):
    screen = terminal()
    with Progress(0) as progress:
        progress.stage("training", 2)(2)
    assert screen.getvalue() == ""


def test_a_finished_stage_is_one_line_on_stderr(capfd, clock):
    with Progress(1) as progress:
        advance = progress.stage("training", 2)
        advance(1)
        clock(1.25)
        advance(1)
    assert capfd.readouterr() == ("", "training: done in 1.2 s\n")


def test_a_long_stage_tells_the_share_done_and_the_time_left(capfd, clock):
    advance = Progress(1).stage("training", 8)
    clock(LINE_EVERY)
    advance(2)
    assert capfd.readouterr().err == "training: 25%, 30 s left\n"


def test_lines_are_not_written_more_often_than_they_should_be(capfd, clock):
    advance = Progress(1).stage("training", 100)
    for _ in range(99):
        clock(LINE_EVERY / 10)
        advance(1)
    assert len(capfd.readouterr().err.splitlines()) == 9


def test_a_stage_is_done_once(capfd, clock):
    advance = Progress(1).stage("training", 3)
    advance(3)
    for _ in range(5):
        clock(LINE_EVERY)
        advance(0)
    assert capfd.readouterr().err == "training: done in 0.0 s\n"


def test_shares_that_add_up_to_the_total_but_for_rounding_are_done(capfd):
    advance = Progress(1).stage("training", 1)
    for _ in range(10):
        advance(0.1)
    assert "done" in capfd.readouterr().err


def test_stages_follow_one_another(capfd, clock):
    with Progress(1) as progress:
        progress.stage("tree", 1)(1)
        progress.stage("ranker", 1)(1)
    assert capfd.readouterr().err == "tree: done in 0.0 s\nranker: done in 0.0 s\n"


def test_a_terminal_gets_a_bar(terminal):
    screen = terminal()
    with Progress(1) as progress:
        progress.stage("training", 2)(2)
    assert "training" in screen.getvalue()
    assert "100%" in screen.getvalue()
    assert "done in" not in screen.getvalue()


def test_the_bar_is_taken_down_after_an_error(terminal):
    screen = terminal()
    with pytest.raises(KeyError), Progress(1) as progress:
        progress.stage("training", 2)(1)
        raise KeyError
    hidden, shown = (screen.getvalue().rfind(code) for code in ("\x1b[?25l", "\x1b[?25h"))
    assert -1 < hidden < shown, "the cursor must be shown again"


def test_what_has_no_known_end_is_counted_in_lines(monkeypatch, clock, capsys):
    with Progress(1) as progress:
        advance = progress.count("ranking rows", "rows")
        clock(LINE_EVERY / 2)
        advance(1000)
        clock(LINE_EVERY / 2)
        advance(2000)
    assert capsys.readouterr().err == "ranking rows: 3,000 rows, 300 a second\n"


def test_what_has_no_known_end_is_counted_on_a_terminal(clock, terminal):
    screen = terminal()
    with Progress(1) as progress:
        advance = progress.count("ranking rows", "rows")
        clock(2)
        advance(1000)
    assert "ranking rows: 1,000 rows, 500 a second" in screen.getvalue()


def test_nothing_is_counted_in_silence(capfd):
    with Progress(0) as progress:
        progress.count("ranking rows", "rows")(1000)
    assert capfd.readouterr() == ("", "")
