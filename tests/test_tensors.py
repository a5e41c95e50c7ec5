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


def entry(dtype, shape, start, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"z": entry("I32", [2], 0, 4)}, "z: expected 8 bytes, got 4"),
        ({"z": entry("I16", [2, 1], 1, 6)}, "z: expected 4 bytes, got 5"),
        ({"z": entry("U8", [1, 1, 4], 0, 4)}, "z: expected 2 dimensions at most, got 3"),
        (
            {"z": entry("U8", [-4], 0, 4)},
            "z: expected a shape and offsets that are sizes, got [0, 4, -4]",
        ),
        (
            {"z": entry("U8", [0, 1 << 48], 0, 0)},
            "z: expected a shape and offsets that are sizes, got [0, 0, 0, 281474976710656]",
        ),
        ({"z": entry("U8", [3], 1, 4)}, "z: expected arrays that lie end to end in the file"),
        ({"z": entry("U8", [5], 0, 5)}, "z: expected arrays that lie end to end in the file"),
        (
            {"y": entry("U8", [3], 0, 3), "z": entry("U8", [2], 2, 4)},
            "z: expected arrays that lie end to end in the file",
        ),
        (
            {"y": entry("U8", [2], 0, 2), "z": entry("I16", [1], 2, 4)},
            "z: expected an array at a multiple of 2 bytes",
        ),
        ({"z": entry("U8", [3], 0, 3)}, "expected 3 bytes of arrays, got 4"),
        ({}, "expected 0 bytes of arrays, got 4"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_header_is_said(tmp_path, entries, message):
    text = json.dumps(entries).encode()
    write_raw(tmp_path / "file", text + b" " * (1 - len(text) % 2), b"1234")  # an odd length
    with pytest.raises(ValueError) as error:
        tensors.read(tmp_path / "file")
    assert str(error.value) == message


def test_arrays_may_stand_in_any_order_of_the_header_and_be_empty(tmp_path):
    entries = {
        "end": entry("F32", [0], 4, 4),
        "b": entry("U8", [2], 2, 4),
        "none": entry("F64", [0, (1 << 48) - 1], 0, 0),
        "a": entry("U8", [1, 2], 0, 2),
    }
    text = json.dumps(entries).encode()
    write_raw(tmp_path / "file", text + b" " * (-len(text) % 8), b"1234")
    found = tensors.read(tmp_path / "file")
    assert (found["a"].tolist(), found["b"].tolist()) == ([[49, 50]], [51, 52])
    assert found["none"].shape == (0, (1 << 48) - 1)


def test_an_array_is_aligned_by_where_it_stands_in_the_file(tmp_path):
    entries = {"y": entry("U8", [1], 0, 1), "z": entry("I32", [1], 1, 5)}
    text = json.dumps(entries).encode()
    write_raw(tmp_path / "file", text + b" " * ((3 - len(text)) % 4), b"1\2\0\0\0")
    assert tensors.read(tmp_path / "file")["z"].tolist() == [2]


def test_large_numbers_come_first_then_names_and_the_data_begin_at_a_line_of_the_cache(path):
    entries, data = header(path)
    assert list(entries) == ["b.c", "g", "a", "d", "f", "e", "\u00fc"]
    assert "\u00fc".encode() in path.read_bytes()
    assert (path.stat().st_size - len(data)) % tensors.ALIGNED == 0
    assert path.stat().st_size - len(data) < 8 + tensors.ALIGNED + len(
        json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    )


def test_a_file_that_exists_is_not_overwritten(path):
    with pytest.raises(FileExistsError):
        tensors.write(path, {})
    assert same(tensors.read(path), ARRAYS)


def test_arrays_of_columns_are_written_row_by_row(tmp_path):
    turned = np.arange(6, dtype=np.int32).reshape(2, 3).T
    tensors.write(tmp_path / "file", {"turned": turned})
    assert same(tensors.read(tmp_path / "file"), {"turned": turned})


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([None]), "expected an array of numbers, got object"),
        (np.array(["a"]), "expected an array of numbers, got <U1"),
        (np.ones((1, 2, 3)), "expected 2 dimensions at most, got 3"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, array, message):
    with pytest.raises(ValueError) as error:
        tensors.write(tmp_path / "file", {"a": np.ones(2), "b": array})
    assert str(error.value) == f"b: {message}"
    assert not (tmp_path / "file").exists()


def test_a_file_is_found_by_its_folder(path):
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        assert same(tensors.read("file", folder), ARRAYS)
    finally:
        os.close(folder)


@pytest.mark.parametrize("content", [b"", b"1234567"])
def test_a_file_without_a_length_is_none_of_arrays(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=f"^expected a file of arrays, got {len(content)} bytes$"):
        tensors.read(tmp_path / "file")


def test_a_file_of_a_length_alone_has_no_header(tmp_path):
    (tmp_path / "file").write_bytes(bytes(8))
    with pytest.raises(ValueError, match="^Expecting value"):
        tensors.read(tmp_path / "file")


def test_a_header_of_one_byte_more_than_the_file_has_is_refused(tmp_path):
    (tmp_path / "file").write_bytes((3).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="^expected a header of the 10 bytes, got one of 3$"):
        tensors.read(tmp_path / "file")


def test_a_file_is_opened_to_be_read_as_bytes(path):
    with tensors.open_regular(path) as file:
        assert file.read() == path.read_bytes()


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(OSError) as error:
        tensors.open_regular(tmp_path)
    found = error.value
    assert (type(found), found.errno) == (OSError, 0)
    assert (found.strerror, found.filename) == ("expected a regular file", str(tmp_path))


def test_a_header_nested_too_deeply_is_said_to_be(path):
    write_raw(path, b"[" * 10**5, b"")
    with pytest.raises(ValueError, match="^the header is nested too deeply$"):
        tensors.read(path)


@pytest.mark.parametrize(("longest", "fits"), [(2, True), (1, False)])
def test_a_header_is_only_so_long(path, monkeypatch, longest, fits):
    monkeypatch.setattr(tensors, "LONGEST", longest)
    write_raw(path, b"{}", b"")
    if fits:
        assert tensors.read(path) == {}
    else:
        with pytest.raises(ValueError, match="^expected a header of the 10 bytes, got one of 2$"):
            tensors.read(path)


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
