import multiprocessing
import os
from typing import NamedTuple

import numpy as np
import planted
import pytest
from folders import content
from sklearn.base import clone

from xmc import LabelTreeClassifier, ModelError, OneVsAllClassifier, TextClassifier
from xmc import checkpoint as room
from xmc.checkpoint import (
    NOTHING_KEPT,
    Checkpoint,
    Identity,
    KeptInFolder,
    check_checkpoint,
    is_begun,
    opened,
    remove,
)
from xmc.datasets import load_sample, sample_texts
from xmc.io.files import remove_folder
from xmc.io.folder import write_folder
from xmc.parallel import Executor, Threads
from xmc.training import level

IDENTITY = Identity(settings={"C": 1.0}, data={"rows": "abc"})


class Found(NamedTuple):
    squares: np.ndarray
    n: int


class Worker:
    """A job that counts how often it is done."""

    def __init__(self):
        self.done = []

    def __call__(self, n):
        self.done.append(n)
        if n == 13:
            raise RuntimeError("a job that fails")
        return Found(np.arange(n) ** 2, n)


def found(checkpoint, worker, numbers, **settings):
    got = checkpoint.run("squares", Found, worker, [(n,) for n in numbers], **settings)
    return [(own.squares.tolist(), own.n) for own in got]


def expected(numbers):
    return [([i * i for i in range(n)], n) for n in numbers]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_finished_jobs_are_not_done_again(tmp_path, n_jobs):
    first, second = Worker(), Worker()
    assert found(KeptInFolder(tmp_path), first, [3, 1, 2], n_jobs=n_jobs) == expected([3, 1, 2])
    assert found(KeptInFolder(tmp_path), second, [3, 1, 2], n_jobs=n_jobs) == expected([3, 1, 2])
    assert (sorted(first.done), second.done) == ([1, 2, 3], [])


def test_jobs_finished_before_a_failure_are_kept(tmp_path):
    with pytest.raises(RuntimeError, match="a job that fails"):
        found(KeptInFolder(tmp_path), Worker(), [3, 1, 13, 2], n_jobs=1)
    second = Worker()
    assert found(KeptInFolder(tmp_path), second, [3, 1, 5, 2], n_jobs=1) == expected([3, 1, 5, 2])
    assert second.done == [5, 2]


def test_progress_counts_jobs_that_are_kept(tmp_path):
    found(KeptInFolder(tmp_path), Worker(), [3, 1])
    told = []
    found(KeptInFolder(tmp_path), Worker(), [3, 1, 2], done=told.append)
    assert sorted(told) == [0, 1, 2]


def test_parts_keep_their_jobs_apart(tmp_path):
    whole = KeptInFolder(tmp_path)
    found(whole.part("tree1"), Worker(), [3])
    other = Worker()
    found(whole.part("tree11"), other, [3])
    assert other.done == [3]
    assert sorted(os.listdir(tmp_path)) == ["tree1.squares-0", "tree11.squares-0"]


def test_a_stage_may_have_a_dash_in_its_name(tmp_path):
    for done in ([3], []):
        worker = Worker()
        found(KeptInFolder(tmp_path).part("tree-1"), worker, [3])
        assert worker.done == done


def test_without_a_folder_all_jobs_are_done():
    worker = Worker()
    for _ in range(2):
        assert found(NOTHING_KEPT.part("tree0"), worker, [2]) == expected([2])
    assert worker.done == [2, 2]


def test_without_a_folder_jobs_are_told_and_run_as_parallel_runs_them(monkeypatch):
    told = []
    found(NOTHING_KEPT, Worker(), [3, 1], n_jobs=1, done=told.append)
    assert sorted(told) == [0, 1]
    monkeypatch.setattr(room, "run", lambda *given: given)
    given = print, [(1,), (2,)], 2, told.append, str
    assert NOTHING_KEPT.run("squares", Found, *given) == given


def test_what_one_job_gives_is_kept_as_others_are(tmp_path):
    for done in ([5], []):
        worker = Worker()
        result = KeptInFolder(tmp_path).once("square", Found, lambda own=worker: own(5))
        assert (result.n, result.squares.tolist()) == (5, [0, 1, 4, 9, 16])
        assert worker.done == done


def test_jobs_that_are_kept_are_run_by_as_many_threads_as_others(tmp_path, monkeypatch):
    asked = []

    def outcomes(function, jobs, n_jobs):
        asked.append(n_jobs)
        return enumerate(map(function, *zip(*jobs, strict=True)))

    monkeypatch.setattr(room, "outcomes", outcomes)
    found(KeptInFolder(tmp_path), Worker(), [3, 1], n_jobs=2)
    assert asked == [2]


def test_jobs_are_written_down_every_few_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "EVERY", 0)
    found(KeptInFolder(tmp_path), Worker(), [3, 1, 2], n_jobs=1)
    assert len(os.listdir(tmp_path)) == 3


def test_a_damaged_result_is_refused_and_says_what_to_do(tmp_path):
    found(KeptInFolder(tmp_path), Worker(), [3, 1])
    arrays = tmp_path / "squares-0" / "arrays.safetensors"
    raw = bytearray(arrays.read_bytes())
    raw[-1] ^= 1
    arrays.write_bytes(raw)
    with pytest.raises(ModelError, match=r"checksum differs; remove .*squares-0, and its part is"):
        found(KeptInFolder(tmp_path), Worker(), [3, 1])


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({"jobs": [0, 1], "plan": [[["i8", 1], 1]]}, "zip"),
        ({"jobs": [0], "plan": [[["i8", 1], 1], [["i8", 1], 1]]}, "zip"),
        ({"jobs": [0], "plan": [[["f4", 1], 1]]}, "no 'f4'"),
        ({"plan": [[["i8", 1], 1]]}, "no 'jobs'"),
    ],
)
def test_results_that_do_not_fit_their_jobs_are_refused(tmp_path, meta, reason):
    kept = tmp_path / "squares-0"
    write_folder(kept, room.FILE, meta, {"i8": np.arange(2)}, overwrite=False)
    with pytest.raises(ModelError) as error:
        found(KeptInFolder(tmp_path), Worker(), [1, 2])
    assert str(error.value).startswith(f"{kept}: jobs.json can't be read: {reason}")
    assert str(error.value).endswith(f"; remove {kept}, and its part is trained again")


@pytest.mark.parametrize(
    "meta",
    [{}, {"settings": 5, "data": {}}, {"settings": {"C": 1.0}, "data": None}, {"jobs": [0]}],
    ids=str,
)
def test_what_does_not_say_what_is_trained_is_refused_and_says_what_to_do(tmp_path, meta):
    folder = tmp_path / "kept"
    folder.mkdir()
    write_folder(folder / room.IDENTITY, room.FILE, meta, {}, overwrite=False)
    with pytest.raises(ModelError) as caught, opened(folder, lambda: IDENTITY):
        pass
    line = str(caught.value)
    assert line.startswith(f"{folder / room.IDENTITY}: jobs.json can't be read: ")
    assert line.endswith(f"; give another folder, or remove {folder}")


def test_a_checkpoint_has_begun_once_it_says_what_is_trained(tmp_path):
    assert not is_begun(tmp_path / "kept")
    with opened(tmp_path / "kept", lambda: IDENTITY):
        pass
    assert is_begun(tmp_path / "kept")
    assert not is_begun(tmp_path)


def test_what_says_what_a_checkpoint_is_goes_last(tmp_path, monkeypatch):
    with opened(tmp_path / "kept", lambda: IDENTITY) as checkpoint:
        for part in ("a", "z"):
            found(checkpoint.part(part), Worker(), [3])
    removed = []
    monkeypatch.setattr(room, "remove_folder", lambda path: removed.append(path.name))
    with pytest.raises(OSError, match="not empty"):
        remove(tmp_path / "kept")
    assert removed[-1] == room.IDENTITY
    assert sorted(removed) == ["a.squares-0", "training", "z.squares-0"]


def test_a_checkpoint_goes_on_only_with_the_same_training(tmp_path):
    folder = tmp_path / "kept"
    with opened(folder, lambda: IDENTITY):
        pass
    with opened(folder, lambda: IDENTITY) as again:
        assert again == KeptInFolder(folder)
    for other, how in (
        ({"settings": {"C": 2.0}}, "with C=1.0, this one has 2.0"),
        ({"settings": {"C": 1.0, "bias": 0}}, "with bias=None, this one has 0"),
        ({"data": {"rows": "abd"}}, "on other rows"),
        ({"data": {"rows": "abc", "names": "x"}}, "on other names"),
    ):
        with pytest.raises(ModelError) as caught, opened(folder, lambda own=other: IDENTITY | own):
            pass
        advice = "give another folder, or remove this one"
        assert str(caught.value) == f"{folder}: keeps a training {how}; {advice}"


def test_an_open_checkpoint_is_taken_as_it_is(tmp_path):
    for given, taken in ((None, NOTHING_KEPT), (KeptInFolder(tmp_path), KeptInFolder(tmp_path))):
        with opened(given, lambda: 1 / 0) as checkpoint:
            assert checkpoint == taken
            assert isinstance(checkpoint, Checkpoint)
    assert os.listdir(tmp_path) == []


def test_two_trainings_do_not_share_a_checkpoint(tmp_path):
    def says(queue):
        try:
            with opened(tmp_path / "kept", lambda: IDENTITY):
                queue.put("opened")
        except ModelError as error:
            queue.put(str(error))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    for own in ("taken", "free"):
        child = context.Process(target=says, args=(queue,))
        if own == "free":
            child.start()
        else:
            with opened(tmp_path / "kept", lambda: IDENTITY):
                child.start()
                child.join()
        child.join()
    told = [queue.get(timeout=60), queue.get(timeout=60)]
    assert told == [f"{tmp_path / 'kept'}: another training uses this checkpoint", "opened"]


def test_only_a_checkpoint_or_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "mine").mkdir()
    check_checkpoint(tmp_path / "mine")
    check_checkpoint(tmp_path / "new")
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for path, what in (
        (tmp_path / "mine", "a checkpoint or an empty folder, got another one"),
        (tmp_path / "mine" / "letter.txt", "a folder, got a file"),
        (tmp_path / "no" / "such", "an existing folder to write into"),
    ):
        with pytest.raises(ModelError) as caught:
            check_checkpoint(path)
        assert str(caught.value) == f"{path}: expected {what}"
    with pytest.raises(ModelError):
        remove(tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_a_removal_that_was_killed_can_go_on(tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    with opened(folder, lambda: IDENTITY) as checkpoint:
        found(checkpoint, Worker(), [3])
        found(checkpoint.part("z"), Worker(), [3])
    removed = []

    def only_one(path):
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        remove_folder(path)

    monkeypatch.setattr(room, "remove_folder", only_one)
    with pytest.raises(KeyboardInterrupt):
        remove(folder)
    monkeypatch.undo()
    with opened(folder, lambda: IDENTITY):
        pass
    remove(folder)
    assert os.listdir(tmp_path) == []


def sample():
    found = load_sample()
    return found, found.X[:300], found.Y[:300][:, :60]


def of_matrices(**settings):
    def fit(estimator, **kept):
        return clone(estimator).set_params(**settings).fit(planted.X, planted.Y, **kept)

    return fit


def of_texts(estimator, **kept):
    found, X, Y = sample()
    known = {"label_ids": [f"id{n}" for n in range(60)], "label_names": found.label_names[:60]}
    return clone(estimator).fit(sample_texts(X, found.features), Y, **known, **kept)


TREE = LabelTreeClassifier(**planted.SMALL, n_trees=2, negatives="tfn+man", negative_folds=2)
BASES = (
    LabelTreeClassifier(**planted.SMALL),
    OneVsAllClassifier(random_state=np.random.RandomState(1)),
)
TRAININGS = {
    "trees": (TREE, of_matrices()),
    "one-vs-all": (OneVsAllClassifier(random_state=0), of_matrices(n_jobs=2)),
    "texts with evidence": (TextClassifier(BASES, rerank=True), of_texts),
}


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_that_ends_anywhere_goes_on_to_the_same_model(tmp_path, monkeypatch, name):
    monkeypatch.setattr(room, "EVERY", 0)
    monkeypatch.setattr(level, "WIDE", 1 << 12)  # some chunks are wide
    estimator, fit = TRAININGS[name]
    fit(estimator).save(tmp_path / "expected")
    left, original = 0, room.write_folder

    def writing(*args, **settings):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        original(*args, **settings)

    monkeypatch.setattr(room, "write_folder", writing)
    n_ended = 0
    for step in (1, 1, 2, 5, 9, 10**6):  # a different moment each time, later and later
        left = step
        try:
            fit(estimator, checkpoint=tmp_path / "kept").save(tmp_path / "found")
            break
        except KeyboardInterrupt:
            n_ended += 1
    assert n_ended >= 2
    assert content(tmp_path / "found") == content(tmp_path / "expected")
    fit(estimator, checkpoint=tmp_path / "kept").save(tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "expected")


def test_a_seed_that_was_drawn_is_kept(tmp_path):
    estimator, fit = LabelTreeClassifier(**planted.SMALL | {"random_state": None}), of_matrices()
    for name in ("a", "b"):
        fit(estimator, checkpoint=tmp_path / "kept").save(tmp_path / name)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_threads_may_differ_when_a_training_goes_on(tmp_path):
    for n_jobs in (1, 2):
        of_matrices(n_jobs=n_jobs)(TREE, checkpoint=tmp_path / "kept").save(tmp_path / str(n_jobs))
    assert content(tmp_path / "1") == content(tmp_path / "2")


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({"C": 2.0}, "with C=1.0, this one has 2.0"),
        ({"normalize": False}, "with normalize=True, this one has False"),
    ],
)
def test_other_settings_are_named(tmp_path, change, how):
    of_matrices()(TREE, checkpoint=tmp_path / "kept")
    with pytest.raises(ModelError, match=how):
        of_matrices(**change)(TREE, checkpoint=tmp_path / "kept")


def test_other_data_are_named(tmp_path):
    fit, kept = clone(TREE).fit, {"checkpoint": tmp_path / "kept"}
    fit(planted.X, planted.Y, **kept)
    with pytest.raises(ModelError, match=r"keeps a training on other X;"):
        fit(planted.X * 2 + planted.X.power(2), planted.Y, **kept)
    with pytest.raises(ModelError, match=r"keeps a training on other y;"):
        fit(planted.X, planted.Y[::-1], **kept)
    with pytest.raises(ModelError, match=r"keeps a training with class='LabelTreeClassifier'"):
        OneVsAllClassifier().fit(planted.X, planted.Y, **kept)


class Elsewhere(Executor):
    """Seven workers that say what they were asked."""

    def __init__(self):
        self.asked = []

    def outcomes(self, function, jobs):
        self.asked.append(len(jobs))
        return enumerate(function(*job) for job in jobs)

    def n_workers(self):
        return 7


def test_jobs_run_where_the_executor_says_and_else_on_threads(tmp_path):
    elsewhere = Elsewhere()
    for checkpoint in (Checkpoint(executor=elsewhere), KeptInFolder(tmp_path, executor=elsewhere)):
        assert checkpoint.n_workers() == checkpoint.n_workers(2) == 7
        assert found(checkpoint, Worker(), [3, 1], n_jobs=2) == expected([3, 1])
        assert checkpoint.anew(pow, [(2, 3), (3, 2), (1, 1)], 2) == [8, 9, 1]
        assert elsewhere.asked == [2, 3]
        elsewhere.asked.clear()
        here = checkpoint.here()
        assert here.executor == Threads(1) and here.n_workers(2) == 1
        assert here.once("square", Found, lambda: Worker()(2)).n == 2 and elsewhere.asked == []
    assert (NOTHING_KEPT.n_workers(2), NOTHING_KEPT.n_workers(3)) == (2, 3)


def test_what_takes_no_longer_than_reading_runs_on_as_many_threads(monkeypatch):
    monkeypatch.setattr(room, "run", lambda *given: given)
    assert NOTHING_KEPT.anew(print, [(1,)], 2) == (print, [(1,)], 2)


def test_what_is_held_is_kept_as_it_was(tmp_path):
    def held(own):
        return own._replace(n=-own.n)

    first = found(KeptInFolder(tmp_path), Worker(), [3, 2], held=held)
    assert [n for _, n in first] == [-3, -2]
    assert found(KeptInFolder(tmp_path), Worker(), [3, 2]) == expected([3, 2])
