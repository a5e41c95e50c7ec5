import threading
import time

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from folders import content

from xmc import LabelTreeClassifier
from xmc.parallel import run

MANY = [None, 1, 2, 4, -1]


def written_by_jobs(n_jobs=2):
    """An array of 0 to 7, each number written by a job of its own."""
    out = np.full(8, -1)

    def write(n):
        out[n] = n

    run(write, [(n,) for n in range(8)], n_jobs)
    return out


def bits(model, folder):
    """Everything that a model holds, as it is saved."""
    model.save(folder)
    return content(folder)


@pytest.mark.parametrize("n_jobs", MANY)
def test_results_stand_in_the_order_of_the_jobs(n_jobs):
    def function(n, pause):
        time.sleep(pause)
        return n

    jobs = [(n, pause) for n, pause in enumerate([0.03, 0.02, 0.01, 0, 0, 0])]
    assert run(function, jobs, n_jobs) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("n_jobs", MANY)
def test_the_jobs_done_are_told_one_by_one(n_jobs):
    told = []
    run(lambda n: n, [(n,) for n in range(5)], n_jobs, told.append)
    assert sorted(told) == [0, 1, 2, 3, 4]


def test_a_job_is_told_when_it_is_finished_not_when_it_is_its_turn():
    told = []
    run(lambda n: time.sleep(0.3 if n == 0 else 0), [(n,) for n in range(3)], 2, told.append)
    assert told == [1, 2, 0]


def test_jobs_run_side_by_side():
    barrier = threading.Barrier(2, timeout=20)
    run(lambda n: barrier.wait(), [(0,), (1,)], 2)


@pytest.mark.parametrize(("jobs", "n_jobs"), [([(0,)], 4), ([(0,), (1,)], 1), ([(0,), (1,)], None)])
def test_a_single_job_or_thread_stays_in_the_callers_thread(jobs, n_jobs):
    assert set(run(lambda n: threading.get_ident(), jobs, n_jobs)) == {threading.get_ident()}


def test_threads_share_arrays_instead_of_copying():
    assert written_by_jobs().tolist() == list(range(8))


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_jobs_write_into_shared_arrays_whatever_backend_joblib_is_set_to(backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert written_by_jobs().tolist() == list(range(8))
        assert written_by_jobs(n_jobs=None).tolist() == list(range(8))


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_shallow_tree_is_trained_alike_under_a_backend_of_processes(rng, backend, tmp_path):
    X, Y = sp.csr_matrix(rng.random((400, 30))), sp.csr_matrix(rng.random((400, 300)) < 0.02)
    settings = {"tree": "shallow", "arity": 20, "negatives": "tfn+man", "random_state": 0}
    expected = LabelTreeClassifier(**settings, n_jobs=2).fit(X, Y)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = LabelTreeClassifier(**settings).fit(X, Y)
    assert bits(found, tmp_path / "found") == bits(expected, tmp_path / "expected")


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblibs_context_sets_the_number_of_threads_of_any_backend(backend):
    barrier = threading.Barrier(2, timeout=20)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        run(lambda n: barrier.wait(), [(0,), (1,)])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_no_jobs_give_no_results(n_jobs):
    assert run(lambda n: n, [], n_jobs) == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_error_of_a_job_reaches_the_caller(n_jobs):
    def function(n):
        if n == 2:
            raise KeyError("job two")
        return n

    with pytest.raises(KeyError, match="job two"):
        run(function, [(n,) for n in range(6)], n_jobs)
