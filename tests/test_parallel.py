import threading
import time

import joblib
import numpy as np
import pytest

from xmc.parallel import run

MANY = [None, 1, 2, 4, -1]


@pytest.mark.parametrize("n_jobs", MANY)
def test_results_stand_in_the_order_of_the_jobs(n_jobs):
    def task(n, pause):
        time.sleep(pause)
        return n

    jobs = [(n, pause) for n, pause in enumerate([0.03, 0.02, 0.01, 0, 0, 0])]
    assert run(task, jobs, n_jobs) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("n_jobs", MANY)
def test_the_jobs_done_are_told_one_by_one(n_jobs):
    told = []
    run(lambda n: n, [(n,) for n in range(5)], n_jobs, told.append)
    assert told == [0, 1, 2, 3, 4]


def test_jobs_run_side_by_side():
    barrier = threading.Barrier(2, timeout=20)
    run(lambda n: barrier.wait(), [(0,), (1,)], 2)


@pytest.mark.parametrize(("jobs", "n_jobs"), [([(0,)], 4), ([(0,), (1,)], 1), ([(0,), (1,)], None)])
def test_a_single_job_or_thread_stays_in_the_callers_thread(jobs, n_jobs):
    assert set(run(lambda n: threading.get_ident(), jobs, n_jobs)) == {threading.get_ident()}


def test_threads_share_arrays_instead_of_copying():
    out = np.zeros(8)

    def task(n):
        out[n] = n

    run(task, [(n,) for n in range(8)], 2)
    assert out.tolist() == list(range(8))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_no_jobs_give_no_results(n_jobs):
    assert run(lambda n: n, [], n_jobs) == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_error_of_a_job_reaches_the_caller(n_jobs):
    def task(n):
        if n == 2:
            raise KeyError("job two")
        return n

    with pytest.raises(KeyError, match="job two"):
        run(task, [(n,) for n in range(6)], n_jobs)


def test_joblibs_context_sets_the_number_of_threads():
    barrier = threading.Barrier(2, timeout=20)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        run(lambda n: barrier.wait(), [(0,), (1,)])
