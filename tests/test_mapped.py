"""Arrays beside mapped ones lie in scratch files, which nobody sees and nothing leaves behind."""

import errno
import os
import tempfile

import numpy as np
import pytest

from xmc import mapped
from xmc.errors import DataError


@pytest.fixture
def array(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(1000, dtype=np.float32))
    return np.asarray(np.load(tmp_path / "a.npy", mmap_mode="r"))


def in_file(array):
    """Whether an array, or what it is a part of, is mapped."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_beside_an_array_in_memory_is_memory():
    made = mapped.beside(np.zeros(3), 5, np.int32)
    assert (made.shape, made.dtype, in_file(made)) == ((5,), np.int32, False)


def test_beside_a_mapped_array_is_a_file_without_a_name(array, tmp_path):
    before = os.statvfs(tmp_path).f_bfree
    made = mapped.beside(array[10:], 1 << 22, np.int64)
    assert in_file(made) and before > os.statvfs(tmp_path).f_bfree
    made[:] = np.arange(1 << 22)
    assert made[-1] == (1 << 22) - 1
    assert os.listdir(tmp_path) == ["a.npy"]


def test_what_is_beside_a_scratch_file_is_one_too(array):
    first = mapped.beside(array, 10, np.float32)
    assert in_file(mapped.beside(first[2:].view(), 7, np.float32))


def test_nothing_needs_no_file(array):
    assert mapped.beside(array, 0, np.int32).shape == (0,)


def test_where_the_folder_cannot_be_written_to_the_system_has_another(array, monkeypatch):
    real, asked = tempfile.TemporaryFile, []

    def refuse(dir=None):
        asked.append(dir)
        if dir is not None:
            raise PermissionError(errno.EACCES, "no")
        return real()

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert in_file(mapped.beside(array, 10, np.float32))
    assert len(asked) == 2 and asked[1] is None


def test_a_full_disk_is_one_line_and_not_a_dead_process(array, tmp_path, monkeypatch):
    def full(descriptor, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError) as error:
        mapped.beside(array, 1000, np.int64)
    reason = "8,000 bytes can't be written beside: No space left on device"
    assert str(error.value) == f"{tmp_path}: {reason}"


def test_a_released_array_is_read_again(array):
    mapped.release(array)
    assert array.sum() == 499_500
    made = mapped.beside(array, 1000, np.float32)
    made[:] = array
    mapped.release(made)
    assert np.array_equal(made, array)
    mapped.release(np.zeros(3))


def test_the_size_of_a_file_is_where_the_array_ends(array, tmp_path):
    assert mapped.file_size(array) == (tmp_path / "a.npy").stat().st_size
    assert mapped.file_size(np.zeros(3)) is None
