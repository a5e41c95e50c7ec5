import sys
from unittest.mock import Mock, call

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

import xmc.memory
from xmc import LabelTreeClassifier
from xmc.memory import LARGE, MMAP_THRESHOLD, held_bytes, return_freed_arrays


def test_memory_in_use_is_counted_in_bytes():
    before = held_bytes()
    array = np.ones(1 << 23)
    assert held_bytes() - before == pytest.approx(array.nbytes, rel=0.1)


def test_where_the_system_does_not_tell_it_is_the_peak_in_bytes(monkeypatch):
    before = held_bytes()
    monkeypatch.setattr("builtins.open", Mock(side_effect=FileNotFoundError))
    peak = held_bytes()
    monkeypatch.undo()
    assert 0.9 * before < peak < 100 * before


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_large_arrays_go_back_when_they_are_freed():
    """After a freed array of 30 MiB, which would teach glibc to keep smaller ones."""
    return_freed_arrays()
    np.ones(30 << 17)
    before = held_bytes()
    kept = [np.ones(2 * LARGE // 8) for _ in range(10)]
    top = np.ones(1 << 10)  # stands above them, had they been cut from the heap
    kept.clear()
    assert held_bytes() - before < LARGE
    assert top.all()


@pytest.fixture
def calls(monkeypatch):
    """How often malloc was set."""
    libc = Mock()
    monkeypatch.setattr(xmc.memory, "ctypes", Mock(CDLL=Mock(return_value=libc)))
    monkeypatch.setattr(sys, "platform", "linux")
    return libc.mallopt.call_args_list


def test_a_fit_in_python_leaves_malloc_alone(calls):
    X = sp.eye(8, format="csr")
    LabelTreeClassifier(random_state=0).fit(X, X)
    assert calls == []
    return_freed_arrays()
    assert calls == [call(MMAP_THRESHOLD, LARGE)]


def test_a_training_by_the_command_line_sets_malloc(calls, tmp_path):
    cli.done("train", cli.home() / "X.npz", cli.home() / "Y.npz", "--model", tmp_path / "model")
    assert calls == [call(MMAP_THRESHOLD, LARGE)]
