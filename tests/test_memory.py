import os
import subprocess
import sys
from unittest.mock import Mock, call

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

import xmc.memory
from xmc import LabelTreeClassifier
from xmc.executors.remote import Answer, Bundle, answer
from xmc.memory import (
    LARGE,
    MMAP_THRESHOLD,
    TOLD,
    TRIM_THRESHOLD,
    held_bytes,
    return_freed_arrays,
)

# Page faults of arrays of 2 MiB that come and go, before and after.
FAULTS = """
import resource, numpy as np
from xmc.memory import keep_freed_arrays
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
keep_freed_arrays()
print(before, faults())
"""


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


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_workers_that_were_told_to_give_freed_arrays_back_keep_them():
    own = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=os.environ | {TOLD: "65536"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    before, after = map(int, own.stdout.split())
    assert after < before / 10


@pytest.mark.parametrize("told", [True, False])
def test_a_worker_sets_malloc_where_its_environment_did(calls, monkeypatch, told):
    monkeypatch.setenv(TOLD, "65536") if told else monkeypatch.delenv(TOLD, raising=False)
    bundle = Bundle(xmc.__version__, "", abs, [(-3,)])
    assert answer(bundle) == Answer([3], None, [])
    assert [name for (name, _), _ in calls] == ([TRIM_THRESHOLD, MMAP_THRESHOLD] if told else [])


def test_a_training_by_the_command_line_sets_malloc(calls, tmp_path):
    cli.done("train", cli.home() / "X.npz", cli.home() / "Y.npz", "--model", tmp_path / "model")
    assert calls == [call(MMAP_THRESHOLD, LARGE)]
