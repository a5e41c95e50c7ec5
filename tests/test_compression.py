"""Compressed files of every kind."""

import builtins

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import DataError
from xmc.formats import COMPRESSIONS, compression_suffix, prediction_format, suffix_of
from xmc.io import format_of, read, read_matrix, write_matrix
from xmc.io.blocks import read_bytes
from xmc.io.compression import CODECS
from xmc.io.files import create_file, open_bytes, read_lines
from xmc.io.npz import write_npz

TEXT = b"".join(b"line %d\n" % i for i in range(5000))


def packed(path, content=TEXT):
    with create_file(path, overwrite=True) as file:
        file.write(content)
    return path


def test_every_suffix_has_a_codec():
    assert tuple(CODECS) == COMPRESSIONS


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_what_is_written_is_smaller_the_same_bytes_each_time_and_reads_back(tmp_path, suffix):
    first, second = (packed(tmp_path / f"{name}.txt{suffix}").read_bytes() for name in "ab")
    assert first == second
    assert len(first) < len(TEXT) / 2
    assert read_lines(tmp_path / f"a.txt{suffix}")[4999] == "line 4999"


@pytest.mark.parametrize("suffix", [*COMPRESSIONS, ".GZ", ".ZST"])
def test_a_format_is_told_by_what_stands_before_the_compression(tmp_path, suffix):
    assert (suffix_of(f"a.TSV{suffix}"), compression_suffix(f"a.tsv{suffix}")) == (
        ".tsv",
        suffix.lower(),
    )
    assert prediction_format(f"a.jsonl{suffix}") == "jsonl"
    packed(tmp_path / f"a.txt{suffix}", b"1 2\n0:1\n")
    assert format_of(tmp_path / f"a.txt{suffix}") == "sparse"
    assert read(tmp_path / f"a.txt{suffix}").X.toarray().tolist() == [[1, 0]]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_npz_is_read_but_not_written(tmp_path, suffix):
    M = sp.csr_matrix(np.eye(3, dtype=np.float32))
    write_matrix(tmp_path / "M.npz", M)
    packed(tmp_path / f"M.npz{suffix}", (tmp_path / "M.npz").read_bytes())
    assert (read_matrix(tmp_path / f"M.npz{suffix}") != M).nnz == 0
    expected = f"expected a plain file for npz, got {CODECS[suffix].name}"
    with pytest.raises(DataError, match=expected):
        write_npz(tmp_path / f"N.npz{suffix}", M)


def cut(content):
    return content[: len(content) // 2]


def without_its_end(content):
    return content[:-3]


def broken(content):
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 40])


def plain(content):
    return b"nothing compressed"


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("damage", [cut, without_its_end, broken, plain])
def test_a_damaged_file_is_one_line(tmp_path, suffix, damage):
    path = packed(tmp_path / f"a.txt{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        read_bytes(path)
    name = CODECS[suffix].name
    assert str(caught.value) == f"{path}: expected a {name} file, got a damaged or truncated one"


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_missing_file_is_not_taken_for_a_damaged_one(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    with pytest.raises(DataError) as caught:
        read_lines(path)
    assert str(caught.value) == f"{path}: can't be read: No such file or directory"


def test_an_error_in_what_uses_the_file_stays_what_it_is(tmp_path):
    path = packed(tmp_path / "a.txt.xz")
    with pytest.raises(ZeroDivisionError), open_bytes(path):
        1 / 0  # noqa: B018


@pytest.mark.parametrize("use", [read_lines, packed])
def test_zst_without_its_package_says_what_to_install(tmp_path, monkeypatch, use):
    path = packed(tmp_path / "a.txt.zst")
    known = builtins.__import__

    def lacking(name, *args):
        if name in ("compression", "backports"):
            raise ImportError(name)
        return known(name, *args)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(DataError) as caught:
        use(path)
    assert str(caught.value) == (
        "zstd: expected Python 3.14 or the package backports.zstd, got neither; "
        "pip install 'xmc-trees[zstd]'"
    )
