"""Files of arrays: what is written is read, here and by others, and nothing else is."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from xmc.io import tensors

ARRAYS = {
    "a": np.arange(5, dtype=np.int32),
    "b.c": np.float64([0.5, np.nan]),
    "d": np.empty((0, 2), np.uint32),
    "e": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "\u00fc": np.array([True, False, True]),
    "f": np.float16([1.5]),
    "g": np.array(3, np.int64),
}


@pytest.fixture
def path(tmp_path):
    tensors.write(tmp_path / "file", ARRAYS)
    return tmp_path / "file"


def same(found, expected):
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name], equal_nan=expected[name].dtype.kind == "f")
        and found[name].dtype == expected[name].dtype
        for name in expected
    )


def test_what_is_written_is_read(path):
    found = tensors.read(path)
    assert same(found, ARRAYS)
    assert all(array.flags.aligned and not array.flags.writeable for array in found.values())


def test_others_read_what_we_write(path):
    assert same(load_file(path), ARRAYS)


def test_we_read_what_others_write(tmp_path):
    own = {name: array for name, array in ARRAYS.items() if array.ndim}
    save_file(own, tmp_path / "theirs", metadata={"format": "np"})
    assert same(tensors.read(tmp_path / "theirs"), own)


def test_no_array_at_all_is_a_file(tmp_path):
    tensors.write(tmp_path / "none", {})
    assert tensors.read(tmp_path / "none") == {}


def header(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_raw(path, text, data):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    "change",
    [
        {"a": {"dtype": "I32", "shape": [6], "data_offsets": [0, 24]}},
        {"a": {"dtype": "I32", "shape": [5], "data_offsets": [4, 24]}},
        {"a": {"dtype": "I32", "shape": [-5], "data_offsets": [0, -20]}},
        {"a": {"dtype": "I32", "shape": [1 << 60, 1 << 60], "data_offsets": [0, 0]}},
        {"a": {"dtype": "I32", "shape": [5.0], "data_offsets": [0, 20]}},
        {"a": {"dtype": "I32", "shape": [True], "data_offsets": [0, 4]}},
        {"a": {"dtype": "O", "shape": [5], "data_offsets": [0, 20]}},
        {"a": {"dtype": "I32", "shape": [5]}},
        {"a": []},
        {"a": 7},
        {"z": {"dtype": "I32", "shape": [1], "data_offsets": [0, 4]}},
        {"z": {"dtype": "U8", "shape": [1], "data_offsets": [10**9, 10**9 + 1]}},
        {"z": {"dtype": "U8", "shape": [0, 1 << 40], "data_offsets": [0, 0]}},
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_is_refused(path, change):
    listed, data = header(path)
    write_raw(path, listed | change, data)
    try:
        found = tensors.read(path)
    except (ValueError, KeyError, TypeError):
        return
    assert same({name: found[name] for name in ARRAYS}, ARRAYS) and found["z"].size == 0


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"[" * 10**5, b"null", b"\xff", b"{}"])
def test_a_header_that_is_none_is_refused(path, text):
    write_raw(path, text, b"1234")
    with pytest.raises((ValueError, TypeError)):
        tensors.read(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**6])
def test_a_header_longer_than_the_file_is_refused(path, length):
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(ValueError, match="expected a header of the"):
        tensors.read(path)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ""):
        with pytest.raises(OSError, match="expected a regular file"):
            tensors.read(tmp_path / name)


@settings(deadline=None, database=None)
@given(st.binary(max_size=300), st.integers(0, 200))
def test_no_bytes_lead_astray(tmp_path_factory, noise, at):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.unlink(missing_ok=True)
    tensors.write(path, ARRAYS)
    content = bytearray(path.read_bytes())
    content[at : at + len(noise)] = noise
    path.write_bytes(content)
    try:
        found = tensors.read(path)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    assert sum(array.nbytes for array in found.values()) <= len(content)
