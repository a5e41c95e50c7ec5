"""Trainings whose jobs run in processes, on a Dask and on a Ray cluster of this machine."""

import json
import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse as sp
from folders import content
from joblib.externals.loky import process_executor

from xmc import LabelTreeClassifier, OneVsAllClassifier, open_rows
from xmc.arrays import Rows
from xmc.checkpoint import KeptInFolder
from xmc.errors import DataError, ParameterError, WorkerError
from xmc.executors import Dask, Processes, Ray, remote
from xmc.executors.remote import Bundle, answer
from xmc.executors.shelf import OnFile, Pile, Shelf, from_pile, unpacked
from xmc.io import Dataset, read
from xmc.parallel import run
from xmc.params import LabelTreeParams
from xmc.stored_rows import write_rows
from xmc.training import level

WATCH = "_USE_PSUTIL"  # of loky: whether it looks for leaks
KINDS = ["processes", "dask", "ray"]
TREE = {"negatives": "tfn+man", "max_leaf_size": 20, "random_state": 0, "n_jobs": 2}


@pytest.fixture(scope="module")
def data():
    """More rows than narrow chunks have, and labels enough for a tree of three levels."""
    X = sp.random(900, 400, 0.05, "csr", np.float32, random_state=0)
    Y = sp.random(900, 300, 0.01, "csr", np.float32, random_state=1)
    Y.data[:] = 1
    return X, Y


@pytest.fixture(scope="module")
def dask_cluster():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ray_cluster():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture
def start(request):
    """A function that gives an executor of a kind with two workers."""
    opened = []

    def start(kind, folder):
        if kind == "dask":
            own = Dask(request.getfixturevalue("dask_cluster").scheduler_address, folder)
        elif kind == "ray":
            request.getfixturevalue("ray_cluster")
            own = Ray(folder=folder)
        else:
            own = Processes(2, folder)
        opened.append(own)
        return own

    yield start
    for executor in opened:
        executor.close()


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    """The bytes of the models that threads train."""
    models = {
        "tree": LabelTreeClassifier(**TREE),
        "one-vs-all": OneVsAllClassifier(random_state=0, n_jobs=2),
    }
    return {name: (own, bits(own.fit(*data), tmp_path_factory)) for name, own in models.items()}


def bits(model, factory):
    """Everything that a model holds, as it is saved."""
    folder = factory.mktemp("models") / "model"
    model.save(folder)
    return content(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["tree", "one-vs-all"])
def test_the_model_is_that_of_threads(
    start, kind, name, data, expected, tmp_path, tmp_path_factory, monkeypatch
):
    model, own = expected[name]
    if name == "tree":
        monkeypatch.setattr(level, "WIDE", 1)  # every group is a job of its own
    model.fit(*data, executor=start(kind, tmp_path))
    assert bits(model, tmp_path_factory) == own


def workers_of(kind, executor):
    """The processes in which jobs run."""
    psutil = pytest.importorskip("psutil")
    children = psutil.Process().children(recursive=True)
    if kind == "ray":
        return [own for own in children if own.name() in ("ray::answer", "ray::IDLE")]
    if kind == "dask":
        return [psutil.Process(pid) for pid in executor.client.run(os.getpid).values()]
    return [own for own in children if "popen_loky" in " ".join(own.cmdline())]


def killing(executor, kind):
    """The executor, one of whose workers is killed when the first answer is there."""
    answers, killed = executor._answers, []

    def with_a_kill(bundles):
        for item in answers(bundles):
            if not killed:
                killed.append(workers_of(kind, executor)[0])
                killed[0].send_signal(signal.SIGKILL)
            yield item

    executor._answers = with_a_kill
    return killed


@pytest.mark.parametrize("kind", KINDS)
def test_the_jobs_of_a_killed_worker_run_again(start, kind, tmp_path):
    executor, done = start(kind, tmp_path), []
    killed = killing(executor, kind)
    run(time.sleep, [(0.2,)] * 40, executor, done.append)
    assert killed
    assert sorted(done) == list(range(40))


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_kills_worker_after_worker_is_one_line(start, kind, tmp_path):
    with pytest.raises(WorkerError, match=f"^{kind}: .*(memory|lost)"):
        run(os._exit, [(1,)], start(kind, tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_the_same_if_a_worker_is_killed(
    start, kind, data, expected, tmp_path, tmp_path_factory
):
    executor = start(kind, tmp_path)
    killed = killing(executor, kind)
    model, own = expected["tree"]
    model.fit(*data, executor=executor)
    assert killed
    assert bits(model, tmp_path_factory) == own


@pytest.mark.parametrize("kind", KINDS)
def test_an_executor_leaves_nothing_in_the_folder(start, kind, data, tmp_path):
    executor = start(kind, tmp_path)
    OneVsAllClassifier(random_state=0).fit(*data, executor=executor)
    executor.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_a_job_comes_home(start, kind, tmp_path):
    executor = start(kind, tmp_path)
    with pytest.raises(DataError, match="none.tsv: can't be read: No such file"):
        run(read, [("none.tsv",)], executor)
    with pytest.raises(ZeroDivisionError):
        run(divmod, [(1, 0)], executor)


@pytest.mark.parametrize("kind", KINDS)
def test_after_an_error_amid_many_jobs_the_next_ones_run(start, kind, tmp_path):
    """Again and again, as Ray's own cancelling ends this very process now and then."""
    executor = start(kind, tmp_path)
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            run(divmod, [(1, n % 3) for n in range(64)], executor)
        assert run(divmod, [(7, 2)] * 8, executor) == [(3, 1)] * 8


@pytest.mark.parametrize("kind", KINDS)
def test_what_jobs_log_comes_home(start, kind, tmp_path, caplog):
    log = logging.getLogger("xmc.told").warning
    run(log, [("job %d", n) for n in range(3)], start(kind, tmp_path))
    assert sorted(own for own in caplog.messages if "job" in own) == ["job 0", "job 1", "job 2"]


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler of Dask and a worker, processes of their own: the former, and its address."""
    pytest.importorskip("distributed", reason="Dask is not installed")
    told, dask = tmp_path / "scheduler.json", [sys.executable, "-m", "distributed.cli.dask_"]
    own = [*dask[:2], f"{dask[2]}scheduler", "--port", "0", "--dashboard-address", ":0"]
    helper = [*dask[:2], f"{dask[2]}worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    begun = []
    for command in (own, helper):
        begun.append(subprocess.Popen([*command, "--scheduler-file", told], **quiet))
        while not told.exists():
            time.sleep(0.05)
    yield begun[0], json.loads(told.read_text())["address"]
    for process in begun:
        process.kill()
        process.wait()


def test_a_checkpoint_keeps_what_was_done_when_the_scheduler_goes(scheduler, tmp_path):
    process, address = scheduler
    executor, kept = Dask(address, tmp_path), tmp_path / "kept"
    kept.mkdir()
    answers = executor._answers

    def until_it_is_gone(bundles):
        for n, item in enumerate(answers(bundles)):
            if n == 2:
                process.kill()
            yield item

    executor._answers = until_it_is_gone
    jobs = [(0.3,)] * 64
    with pytest.raises(WorkerError, match="dask: the scheduler is gone"):
        KeptInFolder(kept, executor=executor).run("naps", type(None), time.sleep, jobs)
    told = []
    KeptInFolder(kept).run("naps", type(None), told.append, [(n,) for n in range(64)], 1)
    assert 0 < len(told) <= 64 - 2


def test_jobs_of_another_version_are_refused():
    with pytest.raises(WorkerError, match=r"a worker has xmc .*, the training began with 0\.0\.9"):
        answer(Bundle("0.0.9", ".", len, [([],)]))


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed")
    with pytest.raises(WorkerError, match="dask: nowhere://x can't be used"):
        Dask("nowhere://x", tmp_path)
    assert os.listdir(tmp_path) == []


def test_processes_are_not_replaced_for_the_files_that_they_map(tmp_path):
    with Processes(2, tmp_path) as own:
        watching = f"__import__({process_executor.__name__!r}, fromlist=['']).{WATCH}"
        assert hasattr(process_executor, WATCH)  # or joblib has another name for it by now
        assert run(eval, [(watching,)] * 4, own) == [False] * 4


@pytest.mark.parametrize("kind", [Processes, Dask, Ray])
def test_a_folder_that_is_not_there_is_refused(kind, tmp_path):
    if kind is not Processes:
        pytest.importorskip("distributed" if kind is Dask else "ray")
    with pytest.raises(ParameterError, match="expected an existing folder, got"):
        kind(folder=tmp_path / "none", **({"client": "x"} if kind is Dask else {}))


@pytest.mark.parametrize(("kind", "library"), [(Dask, "distributed"), (Ray, "ray")])
def test_without_the_library_it_says_what_to_install(monkeypatch, kind, library, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(ParameterError, match=r"isn't installed: pip install 'xmc-trees\["):
        kind("x", tmp_path)


# The shelf


def travelled(shelf, *values):
    (job,) = shelf.packed([values])
    return unpacked(job)


def test_arrays_travel_as_files_and_come_out_as_they_were(tmp_path, rng):
    rows = Rows(np.arange(1001), rng.integers(0, 9, 1000, np.int32), rng.random(1000), 9)
    small = np.arange(3, dtype=np.int16)
    params = LabelTreeParams(C=2.0)
    found = travelled(Shelf(tmp_path), rows, small, (rows.data, None), params, 7)
    assert type(found[0]) is Rows
    for own, got in zip(rows[:3], found[0][:3], strict=True):
        assert (got.dtype, got.tolist()) == (own.dtype, own.tolist())
        assert not got.flags.writeable
        assert isinstance(got.base, np.memmap) or isinstance(got.base.base, np.memmap)
    assert found[1].tolist() == [0, 1, 2]
    assert not found[1].flags.writeable
    assert found[2][0].tolist() == rows.data.tolist()
    assert (found[2][1], found[3], found[4]) == (None, params, 7)
    assert len(os.listdir(tmp_path)) == 3  # data, though it came twice, is there once


def test_a_value_of_many_jobs_is_opened_once(tmp_path, rng):
    rows = Rows(np.arange(1001), rng.integers(0, 9, 1000, np.int32), rng.random(1000), 9)
    first, second = map(unpacked, Shelf(tmp_path).packed([(rows, 1), (rows, 2)]))
    assert first[0] is second[0]


def test_an_array_that_is_mapped_already_stays_where_it_is(tmp_path):
    whole = np.arange(5000, dtype=np.int32)
    np.save(tmp_path / "whole.npy", whole)
    (tmp_path / "shelf").mkdir()
    mapped = np.load(tmp_path / "whole.npy", mmap_mode="r")
    shelf = Shelf(tmp_path / "shelf")
    for part in (mapped, mapped[1000:3000], np.asarray(mapped)[1000:][500:2500]):
        (found,) = travelled(shelf, part)
        assert found.tolist() == part.tolist()
    strided = mapped[::2]
    (found,) = travelled(shelf, strided)
    assert found.tolist() == whole[::2].tolist()
    assert len(os.listdir(tmp_path / "shelf")) == 1  # of the last, which no map of a file gives


def test_an_array_whose_file_was_replaced_travels_as_it_was_mapped(tmp_path):
    path, old = tmp_path / "own.npy", np.arange(1000)
    np.save(path, old)
    mapped = np.load(path, mmap_mode="r")
    np.save(tmp_path / "new.npy", old[::-1])
    os.replace(tmp_path / "new.npy", path)
    shelf = Shelf(tmp_path)
    assert travelled(shelf, mapped)[0].tolist() == old.tolist()
    os.unlink(path)
    again = mapped[:]
    assert travelled(shelf, again)[0].tolist() == old.tolist()


def test_rows_in_a_folder_are_not_copied_for_workers(data, expected, tmp_path, tmp_path_factory):
    X, Y = data
    X = sp.diags(1 / np.sqrt(X.multiply(X).sum(axis=1)).A1) @ X  # of length 1, they are not scaled
    write_rows(tmp_path / "own.rows", [Dataset(X.tocsr().astype(np.float32), Y)])
    rows, seen = open_rows(tmp_path / "own.rows"), []

    class Seeing(Processes):
        def _answers(self, bundles):
            seen.extend(bundles)
            return super()._answers(bundles)

    model = LabelTreeClassifier(**TREE)
    with Seeing(2, tmp_path) as executor:
        trained = bits(model.fit(rows, executor=executor), tmp_path_factory)
    assert trained == bits(model.fit(rows), tmp_path_factory)
    problem = seen[-1].jobs[0][0]
    (features,) = [part for part in problem.parts if getattr(part, "kind", None) is Rows]
    assert [os.path.basename(part.path) for part in features.parts[:3]] == [
        "X.indptr.npy",
        "X.indices.npy",
        "X.data.npy",
    ]


def test_results_come_home_in_one_file_which_goes(tmp_path, rng):
    rows = Rows(np.arange(5), np.empty(0, np.int32), rng.random(7), 9)
    given = [(rows, [np.arange(6, dtype=np.int16).reshape(2, 3)]), None, 4.5, (), np.ones((0, 2))]
    pile = Pile()
    packed = pile.packed(given)
    path = pile.write(tmp_path)
    assert os.listdir(tmp_path) == [os.path.basename(path)]
    (home, (matrix,)), *others = from_pile(packed, path)
    assert os.listdir(tmp_path) == []
    assert type(home) is Rows
    assert [part.tolist() for part in home[:3]] == [part.tolist() for part in rows[:3]]
    assert (matrix.dtype, matrix.tolist()) == (np.int16, [[0, 1, 2], [3, 4, 5]])
    assert others[:3] == [None, 4.5, ()]
    assert others[3].shape == (0, 2)


def test_a_file_goes_with_its_array(tmp_path):
    shelf, array = Shelf(tmp_path), np.arange(1000)
    shelf.packed([(array,)])
    assert len(os.listdir(tmp_path)) == 1
    del array
    assert os.listdir(tmp_path) == []


def test_a_file_that_changed_or_is_not_seen_is_one_line(tmp_path):
    array = np.arange(1000)
    ((packed,),) = Shelf(tmp_path).packed([(array,)])
    assert isinstance(packed, OnFile)
    os.truncate(packed.path, 100)
    with pytest.raises(WorkerError, match="was changed while workers read it"):
        unpacked((packed,))
    os.unlink(packed.path)
    with pytest.raises(WorkerError, match="a worker can't read it .*storage that all workers see"):
        unpacked((packed,))


def test_bundles_are_few_and_none_loses_a_job(tmp_path, monkeypatch):
    seen = []

    class Here(remote.Remote):
        name = "here"

        def n_workers(self):
            return 2

        def _answers(self, bundles):
            seen.extend(bundles)
            return ((n, answer(bundles[n])) for n in reversed(range(len(bundles))))

    with Here(tmp_path) as executor:
        assert run(divmod, [(n, 7) for n in range(100)], executor) == [
            divmod(n, 7) for n in range(100)
        ]
    assert len(seen) == 2 * remote.BUNDLES
    assert {len(bundle.jobs) for bundle in seen} == {3, 4}
