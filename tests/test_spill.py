import errno
import gc
import os
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from folders import content, mapped
from sklearn.base import clone

from xmc import DataError, LabelTreeClassifier, OneVsAllClassifier, ParameterError, spill
from xmc.embedding import label_embeddings
from xmc.inputs import as_rows, as_targets
from xmc.label_tree import one_vs_all
from xmc.layer import Page, kept_pages
from xmc.parallel import run
from xmc.params import LabelTreeParams
from xmc.spill import IN_MEMORY, SMALL, Spill, SpillFiles
from xmc.training import grow, level
from xmc.training.level import train_layers
from xmc.training.problem import MemberProblem, level_problems

SMALLER = {"arity": 3, "max_leaf_size": 4, "random_state": 0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for temporary files, which counts as one on a disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spill, "IN_MEMORY_TYPES", ())
    return tmp_path


@pytest.fixture(params=[Spill, SpillFiles], ids=["memory", "files"])
def place(request, folder):
    return request.param()


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.uint8])
@pytest.mark.parametrize("sizes", [[], [0], [3, 0, 5000, 1]], ids=str)
def test_what_grew_is_its_parts_end_to_end(place, rng, dtype, sizes):
    parts = [rng.integers(0, 99, size).astype(dtype) for size in sizes]
    growing = place.growing(dtype)
    for part in parts:
        growing.append(part)
    whole = growing.whole()
    assert whole.dtype == dtype and not whole.flags.writeable
    assert whole.tolist() == [value for part in parts for value in part.tolist()]


def test_arrays_are_kept_as_they_are_by_threads_and_across_files(place, rng, monkeypatch):
    monkeypatch.setattr(spill, "SEGMENT", 5 * SMALL)
    arrays = [rng.integers(0, 99, (n, 2)).astype(np.uint32) for n in rng.integers(0, 3000, 50)]
    kept = run(place.kept, [(array,) for array in arrays], 4)
    for own, array in zip(kept, arrays, strict=True):
        assert own.dtype == array.dtype and np.array_equal(own, array)


def test_large_arrays_lie_in_files_and_small_ones_in_memory(folder):
    files = SpillFiles()
    assert mapped(files.kept(np.zeros(SMALL, np.uint8)))
    assert not mapped(files.kept(np.zeros(SMALL - 1, np.uint8)))
    assert not mapped(IN_MEMORY.kept(np.zeros(SMALL, np.uint8)))


def test_all_large_parts_of_a_page_lie_in_files():
    parts = [np.arange(SMALL, dtype=np.uint8) + np.uint8(n) for n in range(5)]
    (page,) = kept_pages([Page(3, 0.5, *parts)], SpillFiles())
    assert page[:2] == (3, 0.5) and all(map(mapped, page[2:]))
    assert all(np.array_equal(own, part) for own, part in zip(page[2:], parts, strict=True))


def test_weights_of_wide_chunks_wait_in_files(folder, monkeypatch, rng):
    seen: list = []
    X = as_rows(sp.random(200, 30, 0.3, "csr", np.float32, rng), normalize=True)
    Y = as_targets(sp.csr_matrix(rng.random((200, 40)) < 0.2, dtype=np.float32))
    (problem,) = level_problems(MemberProblem(X, Y, one_vs_all(np.arange(40)), (0,)))
    packed = level._packed

    def packing(solved, *how):
        seen.extend(solved)
        return packed(solved, *how)

    monkeypatch.setattr(spill, "SMALL", 1)
    monkeypatch.setattr(level, "WIDE", 1)
    monkeypatch.setattr(level, "_packed", packing)
    files = problem._replace(spill=SpillFiles())
    layers = [
        train_layers([own], [LabelTreeParams(n_jobs=2)], lambda amount: None)[0][0]
        for own in (problem, files)
    ]
    assert [mapped(own.feature) and mapped(own.weight) for own in seen] == [False] * 3 + [True] * 3
    assert all(np.array_equal(*parts) for parts in zip(*layers, strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_files_have_no_names_and_go_with_their_arrays(folder):
    def n_open():
        gc.collect()
        links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
        return sum(os.path.islink(link) and str(folder) in os.readlink(link) for link in links)

    files = SpillFiles()
    kept, growing = files.kept(np.arange(SMALL)), files.growing(np.int64)
    growing.append(np.arange(9))
    whole = growing.whole()
    assert os.listdir(folder) == [] and n_open() > 0
    assert (kept.sum(), whole.sum()) == (SMALL * (SMALL - 1) // 2, 36)
    del files, kept, growing, whole
    assert n_open() == 0


@pytest.mark.parametrize("ask", [lambda f: f.kept(np.zeros(SMALL)), lambda f: f.growing("f4")])
def test_a_folder_that_cannot_be_written_is_one_line(folder, monkeypatch, ask):
    files = SpillFiles()
    monkeypatch.setattr(
        tempfile, "TemporaryFile", lambda **_: (_ for _ in ()).throw(OSError(errno.EACCES, "no"))
    )
    with pytest.raises(DataError, match=r"arrays beyond `memory` can't be written there: no; TMP"):
        ask(files)


def test_a_full_disk_is_one_line(folder, monkeypatch):
    files = SpillFiles()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match=r"can't be written there: No space left on device"):
        files.kept(np.zeros(SMALL))


def test_a_write_that_takes_a_part_at_a_time_goes_on(folder, monkeypatch, rng):
    whole, array = os.pwrite, rng.normal(size=3000)
    monkeypatch.setattr(os, "pwrite", lambda file, data, start: whole(file, data[:777], start))
    assert np.array_equal(SpillFiles().kept(array), array)


def test_a_disk_without_the_room_is_refused_beforehand(folder):
    with pytest.raises(ParameterError, match=r"^memory: training needs about 1048576\.00 GiB of f"):
        SpillFiles(1 << 50)


def test_a_folder_that_is_held_in_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "_type_of", lambda folder: "tmpfs")
    with pytest.raises(ParameterError, match=r"is held in memory: set TMPDIR to a folder on a d"):
        SpillFiles()


def test_the_innermost_mount_says_on_what_a_folder_is(monkeypatch):
    mounts = "a / ext4 rw 0 0\nb /tmp tmpfs rw 0 0\nc /tmp/disk xfs rw 0 0\nd /tmp/disk ramfs rw\n"
    monkeypatch.setattr(Path, "read_text", lambda path: mounts)
    folders = "/", "/home", "/tmp", "/tmpx", "/tmp/a", "/tmp/disk/a"
    found = [spill._type_of(Path(folder)) for folder in folders]
    assert found == ["ext4", "ext4", "tmpfs", "ext4", "tmpfs", "ramfs"]


def test_another_process_has_arrays_in_memory(folder):
    assert type(pickle.loads(pickle.dumps(SpillFiles()))) is Spill


def test_embeddings_are_the_same_in_files(folder, monkeypatch):
    monkeypatch.setattr("xmc.embedding.PART", 3)
    X, Y = planted.X, planted.Y
    data = LabelTreeClassifier()._training_data(X, Y)
    what = data.X, data.rows_of_label, grow.with_rows(data.rows_of_label), 8, 2
    a, b = label_embeddings(*what), label_embeddings(*what, SpillFiles())
    assert [part.tolist() for part in a[:3]] == [part.tolist() for part in b[:3]]
    assert mapped(b.data) and not mapped(a.data)


@pytest.mark.parametrize(
    "model",
    [
        LabelTreeClassifier(tree="balanced", **SMALLER, n_trees=2),
        LabelTreeClassifier(tree="shallow", arity=3, random_state=0, weights="int8"),
        LabelTreeClassifier(tree="balanced", **SMALLER, negatives="tfn+man", negative_folds=2),
        OneVsAllClassifier(random_state=0, costs="propensity"),
    ],
    ids=["balanced", "shallow", "matchers", "one-vs-all"],
)
def test_a_model_whose_arrays_lay_in_files_has_the_same_bytes(
    model, folder, tmp_path_factory, monkeypatch
):
    X, Y = planted.X, planted.Y
    out = tmp_path_factory.mktemp("models")
    clone(model).fit(X, Y).save(out / "memory")
    monkeypatch.setattr("xmc.estimators.within", lambda *_: (2, True))
    monkeypatch.setattr(grow, "COPIED", 0)
    fresh = clone(model).set_params(memory=1).fit(X, Y)
    assert mapped(fresh.members_[0].layers[-1].weight)
    fresh.save(out / "files")
    assert content(out / "memory") == content(out / "files")
    assert os.listdir(folder) == []
