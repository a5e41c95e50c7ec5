import hashlib
import json
import os
import pickle

import numpy as np
import pytest
from folders import content, edit, mapped, replace_array

from xmc.errors import ModelError
from xmc.io.folder import ARRAYS as ARRAYS_FILE
from xmc.io.folder import (
    FORMAT,
    OLDEST,
    npy_array,
    pack_strings,
    plain_values,
    read_folder,
    read_meta,
    unpack_strings,
    verify_folder,
    write_folder,
)

FILE = "thing.json"
META = {"name": "zw\u00f6lf", "sizes": [1, 2], "nothing": None}
ARRAYS = {
    "ids": np.arange(5, dtype=np.int32),
    "level0.weight": np.float32([0.5, -1e-30]),
    "none": np.empty(0, np.int64),
    "table": np.arange(6).reshape(2, 3),
    "marks": np.array([True, False]),
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "thing"
    write_folder(path, FILE, META, ARRAYS, overwrite=False)
    return path


def test_what_is_written_is_read(folder):
    meta, arrays = read_folder(folder, FILE)
    assert {name: meta[name] for name in META} == META
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_a_folder_is_one_json_and_one_file_of_arrays(folder):
    assert content(folder).keys() == {FILE, ARRAYS_FILE}


def test_the_json_is_laid_out_for_people_and_its_checksum_is_that_of_its_content(tmp_path):
    write_folder(tmp_path / "a", FILE, {"b": "zw\u00f6lf", "a": [1]}, {}, overwrite=False)
    compact = f'{{"a":[1],"arrays":{{}},"b":"zw\u00f6lf","format":{FORMAT}}}'
    expected = f"""{{
 "a": [
  1
 ],
 "arrays": {{}},
 "b": "zw\u00f6lf",
 "format": {FORMAT},
 "sha256": "{hashlib.sha256(compact.encode()).hexdigest()}"
}}
"""
    assert (tmp_path / "a" / FILE).read_bytes() == expected.encode()


def test_values_become_those_of_json():
    values = {"a": np.int64(3), "b": np.float32(0.5), "c": (np.bool_(True), None), "d": "x"}
    found = plain_values(values)
    assert json.loads(json.dumps(found)) == {"a": 3, "b": 0.5, "c": [True, None], "d": "x"}


def test_arrays_are_mapped_and_read_only(folder):
    _, arrays = read_folder(folder, FILE)
    assert not any(array.flags.writeable for array in arrays.values())
    assert all(map(mapped, arrays.values()))


def test_a_folder_holds_one_file_descriptor_however_many_arrays(tmp_path):
    many = {f"a{n}": np.arange(n) for n in range(300)}
    write_folder(tmp_path / "many", FILE, {}, many, overwrite=False)
    before = len(os.listdir("/proc/self/fd"))
    _, arrays = read_folder(tmp_path / "many", FILE)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert all(np.array_equal(arrays[name], array) for name, array in many.items())


def test_the_same_content_gives_the_same_bytes(folder, tmp_path):
    write_folder(tmp_path / "again", FILE, dict(reversed(META.items())), ARRAYS, overwrite=False)
    assert content(tmp_path / "again") == content(folder)


def test_the_json_alone_can_be_read(folder):
    (folder / ARRAYS_FILE).unlink()
    assert read_meta(folder, FILE)["sizes"] == [1, 2]


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="bad: expected an array of numbers, got object"):
        write_folder(tmp_path / "thing", FILE, META, {"bad": np.array([{}])}, overwrite=False)
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_is_kept_without_overwrite(folder):
    before = content(folder)
    with pytest.raises(ModelError) as error:
        write_folder(folder, FILE, {}, {}, overwrite=False)
    assert str(error.value) == f"{folder}: exists already; overwrite replaces it"
    assert content(folder) == before


def test_overwrite_replaces_the_whole_folder(folder):
    (folder / "stale.npy").write_bytes(b"")
    write_folder(folder, FILE, {}, {"one": np.ones(1)}, overwrite=True)
    assert content(folder).keys() == {FILE, ARRAYS_FILE}
    assert read_folder(folder, FILE)[1].keys() == {"one"}
    assert os.listdir(folder.parent) == [folder.name]


@pytest.mark.parametrize("file", ["notes.txt", "model.json"])
def test_overwrite_refuses_a_folder_of_another_kind(tmp_path, file):
    target = tmp_path / "other"
    target.mkdir()
    (target / file).write_text("precious")
    before = content(target)
    with pytest.raises(ModelError) as error:
        write_folder(target, FILE, {}, {}, overwrite=True)
    assert (
        str(error.value)
        == f"{target}: expected a folder with a {FILE} to replace, got something else"
    )
    assert content(target) == before


def test_overwrite_takes_the_place_of_an_empty_folder(tmp_path):
    target = tmp_path / "empty"
    target.mkdir()
    with pytest.raises(ModelError, match="exists already"):
        write_folder(target, FILE, {}, {}, overwrite=False)
    write_folder(target, FILE, {"a": 1}, {}, overwrite=True)
    assert read_folder(target, FILE)[0]["a"] == 1


def test_overwrite_refuses_a_folder_with_something_beside(folder):
    (folder / "thesis.tex").write_text("precious")
    before = content(folder)
    with pytest.raises(ModelError) as error:
        write_folder(folder, FILE, {}, {}, overwrite=True)
    expected = "expected nothing but a model to replace, there is thesis.tex"
    assert str(error.value) == f"{folder}: {expected}"
    assert content(folder) == before


def test_overwrite_refuses_a_file(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ModelError, match="to replace, got something else"):
        write_folder(tmp_path / "file", FILE, {}, {}, overwrite=True)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failing_write_leaves_what_was_there_and_no_litter(
    tmp_path, monkeypatch, failure, overwrite
):
    target = tmp_path / "thing"
    if overwrite:
        write_folder(target, FILE, META, ARRAYS, overwrite=False)
    before = content(target) if overwrite else None
    monkeypatch.setattr(os, "fsync", failing_after(0, os.fsync, failure))
    with pytest.raises(ModelError if isinstance(failure, OSError) else KeyboardInterrupt):
        write_folder(target, FILE, {}, ARRAYS, overwrite)
    assert os.listdir(tmp_path) == (["thing"] if overwrite else [])
    assert (content(target) if overwrite else None) == before


def failing_after(times, function, failure):
    """The function, which raises the failure when it is called once more."""
    calls = []

    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) > times:
            raise failure
        return function(*args, **kwargs)

    return call


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", failing_after(0, os.fsync, full))
    with pytest.raises(ModelError) as error:
        write_folder(tmp_path / "thing", FILE, META, ARRAYS, overwrite=False)
    assert str(error.value) == f"{tmp_path / 'thing'}: can't be written: No space left on device"


def test_the_parent_folder_must_exist(tmp_path):
    with pytest.raises(ModelError, match="expected an existing folder to write into"):
        write_folder(tmp_path / "no" / "thing", FILE, META, ARRAYS, overwrite=False)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda path: None, "nothing there"),
        (lambda path: path.mkdir(), "a folder without"),
        (lambda path: path.write_text("x"), "a file"),
    ],
)
def test_what_is_no_folder_of_this_kind_is_named(tmp_path, make, got):
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(ModelError) as error:
        read_folder(path, FILE)
    assert str(error.value) == f"{path}: expected a folder with a {FILE}, got {got}"


@pytest.mark.parametrize("format", [FORMAT + 1, "2", None, [1]])
def test_a_newer_format_is_refused(folder, format):
    edit(folder, FILE, format=format)
    with pytest.raises(ModelError) as error:
        read_meta(folder, FILE)
    expected = f"{folder}: expected format {FORMAT} at most, got {format}; a newer xmc can read it"
    assert str(error.value) == expected


def test_an_older_format_is_refused(folder):
    edit(folder, FILE, format=OLDEST - 1)
    with pytest.raises(
        ModelError, match=f"expected format {OLDEST} at least, got {OLDEST - 1}; make it again"
    ):
        read_folder(folder, FILE)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "7", "null", "{}", '{"format": 2}', b"\xff{}", "[" * 10**5]
)
def test_a_damaged_json_is_one_line(folder, text):
    (folder / FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert str(error.value).startswith(f"{folder}: {FILE} can't be read: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "arrays",
    [
        [],
        3,
        {"ids": 3},
        {"ids": {"dtype": "<i4"}},
        {"ids": {"dtype": "<i8", "shape": [5]}},
        {"ids": {"dtype": "<i4", "shape": [5]}},
        {"ids": "??"},
    ],
)
def test_a_damaged_list_of_arrays_is_one_line(folder, arrays):
    edit(folder, FILE, arrays=arrays)
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert str(error.value).startswith(f"{folder}: {FILE} can't be read: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_of_arrays_is_named(folder):
    (folder / ARRAYS_FILE).unlink()
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert str(error.value) == f"{folder}: expected {ARRAYS_FILE}, it is missing"


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_truncated_file_of_arrays_is_one_line(folder, left):
    path = folder / ARRAYS_FILE
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert str(error.value).startswith(f"{folder}: {ARRAYS_FILE} can't be read: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [FILE, ARRAYS_FILE])
def test_a_pipe_in_place_of_a_file_does_not_hang(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ModelError, match=f"{name} can't be read: expected a regular file"):
        read_folder(folder, FILE)


@pytest.mark.parametrize(
    "array", [None, np.arange(4, dtype=np.int32), np.arange(5), np.arange(5, dtype=np.uint32)]
)
def test_an_array_of_another_type_or_shape_is_named(folder, array):
    listed = json.loads((folder / FILE).read_text())["arrays"]
    replace_array(folder, FILE, "ids", array)
    edit(folder, FILE, arrays=listed)
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    expected = f"it lists other arrays than {ARRAYS_FILE} has, such as ids"
    assert str(error.value) == f"{folder}: {FILE} can't be read: {expected}"


def test_of_several_arrays_the_one_that_differs_is_named(folder):
    listed = json.loads((folder / FILE).read_text())["arrays"]
    edit(folder, FILE, arrays=listed | {"table": {**listed["table"], "shape": [3, 2]}})
    with pytest.raises(ModelError, match="has, such as table$"):
        read_folder(folder, FILE)


@pytest.mark.parametrize("name", ["sha256", "ids"])
def test_a_missing_checksum_is_named_with_its_file(folder, name):
    meta = json.loads((folder / FILE).read_text())
    del (meta if name == "sha256" else meta["arrays"][name])["sha256"]
    (folder / FILE).write_text(json.dumps(meta))
    with pytest.raises(ModelError) as error:
        verify_folder(folder, FILE)
    assert str(error.value) == f"{folder}: {FILE} can't be read: no 'sha256'"


def test_every_changed_bit_is_found_by_its_checksum(folder):
    verify_folder(folder, FILE)
    for name, before in content(folder).items():
        for n in range(len(before) * 8):
            changed = bytearray(before)
            changed[n // 8] ^= 1 << n % 8
            (folder / name).write_bytes(changed)
            try:
                verify_folder(folder, FILE)
            except ModelError as error:
                assert "\n" not in str(error)
            else:  # the blanks that end a header, or lay out a JSON
                assert name == FILE or before[n // 8 : n // 8 + 1] == b" "
                meta, arrays = read_folder(folder, FILE)
                assert {key: meta[key] for key in META} == META
                assert all(np.array_equal(arrays[key], ARRAYS[key]) for key in ARRAYS)
        (folder / name).write_bytes(before)


def test_a_changed_number_in_the_json_is_found_by_its_checksum(folder):
    edit(folder, FILE, sizes=[1, 3])
    read_folder(folder, FILE)
    with pytest.raises(ModelError) as error:
        verify_folder(folder, FILE)
    assert str(error.value) == f"{folder}: {FILE} is not what was written: its checksum differs"


# Format 2.
@pytest.fixture
def old(tmp_path):
    """A folder of format 2 with one array."""
    path = tmp_path / "old"
    path.mkdir()
    np.save(path / "ids.npy", np.arange(5, dtype=np.int32))
    meta = {"format": 2, "arrays": {"ids": ["<i4", [5]]}}
    (path / FILE).write_text(json.dumps(meta))
    return path


def test_format_2_has_an_npy_per_array_and_no_checksum(old):
    assert read_folder(old, FILE)[1]["ids"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ModelError) as error:
        verify_folder(old, FILE)
    told = "a folder of format 2 has no checksums to verify; save it again"
    assert str(error.value) == f"{old}: {told}"


def test_an_array_of_format_2_is_mapped_and_may_be_empty(old):
    assert mapped(read_folder(old, FILE)[1]["ids"])
    np.save(old / "ids.npy", np.empty((3, 0), np.int32))
    edit(old, FILE, arrays={"ids": ["<i4", [3, 0]]})
    assert read_folder(old, FILE)[1]["ids"].shape == (3, 0)


@pytest.mark.parametrize(("dtype", "shape"), [("<i8", (5,)), ("<i4", (4,))])
def test_an_array_of_format_2_is_of_its_type_and_shape(old, dtype, shape):
    with pytest.raises(ModelError) as error:
        npy_array(old, "ids", np.dtype(dtype), shape)
    expected = f"expected {np.dtype(dtype)} {shape}, got int32 (5,)"
    assert str(error.value) == f"{old / 'ids.npy'}: {expected}"


def test_a_missing_array_of_format_2_is_named(old):
    (old / "ids.npy").unlink()
    with pytest.raises(ModelError) as error:
        read_folder(old, FILE)
    assert str(error.value) == f"{old}: expected an array ids.npy, it is missing"


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_truncated_array_of_format_2_is_named(old, left):
    path = old / "ids.npy"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ModelError) as error:
        read_folder(old, FILE)
    start, reason = str(error.value).split(" truncated: ", 1)
    assert start == f"{path}: damaged or"
    assert "\n" not in reason and reason not in ("", "None") and "XX" not in reason


@pytest.mark.parametrize("name", ["../ids", "/etc/passwd", "a/ids"])
def test_no_array_of_format_2_lies_outside(old, name):
    edit(old, FILE, arrays={name: ["<i4", [5]]})
    np.save(old.parent / "ids.npy", np.arange(5, dtype=np.int32))
    with pytest.raises(ModelError, match="expected names of arrays in this folder"):
        read_folder(old, FILE)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("listed", [["<i4", [5]], ["|O", [1]], ["|O", [0]]])
@pytest.mark.parametrize(
    "write", [pickle.dump, lambda value, file: np.save(file, np.array([value], object))]
)
def test_a_pickle_is_refused_and_not_run(old, monkeypatch, write, listed):
    monkeypatch.chdir(old)
    with open(old / "ids.npy", "wb") as file:
        write(Bomb(), file)
    edit(old, FILE, arrays={"ids": listed})
    with pytest.raises(ModelError, match="damaged or truncated: "):
        read_folder(old, FILE)
    assert not os.path.exists("exploded")


def test_an_archive_in_place_of_an_array_is_refused(old):
    with open(old / "ids.npy", "wb") as file:
        np.savez(file, ids=ARRAYS["ids"])
    with pytest.raises(ModelError, match="expected an array, got an archive of arrays$"):
        read_folder(old, FILE)


@pytest.mark.parametrize(
    "strings", [[], [""], ["a", "", "zw\u00f6lf", "\U0001f600", "nul\0", "new\nline"]]
)
def test_strings_survive_packing(strings):
    data, offsets = pack_strings(strings)
    assert (data.dtype, offsets.dtype, len(offsets)) == (np.uint8, np.int64, len(strings) + 1)
    assert unpack_strings(data, offsets) == strings


@pytest.mark.parametrize("data, offsets", [([97], []), ([97], [0, 2]), ([97, 98], [0, 1])])
def test_offsets_that_do_not_fit_are_an_error(data, offsets):
    with pytest.raises(ValueError, match=f"expected the offsets of {len(data)} bytes of strings$"):
        unpack_strings(np.array(data, np.uint8), np.array(offsets, np.int64))


@pytest.mark.parametrize(
    ("data", "offsets"),
    [
        (np.array([97], np.int8), np.array([0, 1])),
        (np.array([97], np.uint8), np.array([0, 1], np.int32)),
        (np.array([[97]], np.uint8), np.array([0, 1])),
        (np.array([97], np.uint8), np.array([[0, 1]])),
    ],
)
def test_strings_of_another_type_or_shape_are_an_error(data, offsets):
    with pytest.raises(ValueError, match="expected the offsets of 1 bytes of strings$"):
        unpack_strings(data, offsets)


def test_strings_that_are_no_utf8_are_an_error():
    with pytest.raises(UnicodeDecodeError):
        unpack_strings(np.array([0xFF], np.uint8), np.array([0, 1]))
