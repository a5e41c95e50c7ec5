import json
import os
import pickle

import numpy as np
import pytest

from xmc.errors import ModelError
from xmc.io.folder import (
    FORMAT,
    OLDEST,
    pack_strings,
    read_folder,
    read_meta,
    unpack_strings,
    write_folder,
)

FILE = "thing.json"
META = {"name": "zw\u00f6lf", "sizes": [1, 2], "nothing": None}
ARRAYS = {
    "ids": np.arange(5, dtype=np.int32),
    "level0.weight": np.float32([0.5, -1e-30]),
    "none": np.empty(0, np.int64),
    "table": np.arange(6).reshape(2, 3),
    "words": np.array(["a", "bc"]),
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "thing"
    write_folder(path, FILE, META, ARRAYS, overwrite=False)
    return path


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit(folder, **changes):
    meta = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(meta | changes))


def mapped(array):
    """Whether the array's memory is a mapped file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_what_is_written_is_read(folder):
    meta, arrays = read_folder(folder, FILE)
    assert {name: meta[name] for name in META} == META
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_a_folder_is_one_json_and_one_npy_per_array(folder):
    assert content(folder).keys() == {FILE, *(f"{name}.npy" for name in ARRAYS)}


def test_arrays_are_mapped_and_read_only(folder):
    _, arrays = read_folder(folder, FILE)
    assert not any(array.flags.writeable for array in arrays.values())
    assert [name for name, array in arrays.items() if not mapped(array)] == ["none"], (
        "an empty file can't be mapped"
    )


def test_the_same_content_gives_the_same_bytes(folder, tmp_path):
    write_folder(tmp_path / "again", FILE, dict(reversed(META.items())), ARRAYS, overwrite=False)
    assert content(tmp_path / "again") == content(folder)


def test_the_json_alone_can_be_read(folder):
    for name in ARRAYS:
        (folder / f"{name}.npy").unlink()
    assert read_meta(folder, FILE)["sizes"] == [1, 2]


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
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
    assert content(folder).keys() == {FILE, "one.npy"}
    assert os.listdir(folder.parent) == [folder.name]


@pytest.mark.parametrize("file", [None, "notes.txt", "model.json"])
def test_overwrite_refuses_a_folder_of_another_kind(tmp_path, file):
    target = tmp_path / "other"
    target.mkdir()
    if file:
        (target / file).write_text("precious")
    before = content(target)
    with pytest.raises(ModelError) as error:
        write_folder(target, FILE, {}, {}, overwrite=True)
    assert (
        str(error.value)
        == f"{target}: expected a folder with a {FILE} to replace, got something else"
    )
    assert content(target) == before


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
    monkeypatch.setattr(np, "save", failing_after(2, np.save, failure))
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
    monkeypatch.setattr(
        np, "save", failing_after(0, np.save, OSError(28, "No space left on device"))
    )
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
    edit(folder, format=format)
    with pytest.raises(ModelError) as error:
        read_meta(folder, FILE)
    expected = f"{folder}: expected format {FORMAT} at most, got {format}; a newer xmc can read it"
    assert str(error.value) == expected


def test_an_older_format_is_refused(folder):
    edit(folder, format=OLDEST - 1)
    with pytest.raises(
        ModelError, match=f"expected format {OLDEST} at least, got {OLDEST - 1}; make it again"
    ):
        read_folder(folder, FILE)


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null", "{}", '{"format": 2}', b"\xff{}"])
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
        {"ids": ["<i4"]},
        {"ids": ["nothing", [5]]},
        {"ids": ["<i4", ["x"]]},
        {"ids": "??"},
    ],
)
def test_a_damaged_list_of_arrays_is_one_line(folder, arrays):
    edit(folder, arrays=arrays)
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert str(error.value).startswith(f"{folder}: {FILE} can't be read: ")
    assert "\n" not in str(error.value)


def test_a_missing_array_is_named(folder):
    (folder / "ids.npy").unlink()
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert str(error.value) == f"{folder}: expected an array ids.npy, it is missing"


@pytest.mark.parametrize("left", [0, 5, 100, -1])
@pytest.mark.parametrize("name", ["ids", "none"])
def test_a_truncated_array_is_named(folder, name, left):
    path = folder / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert str(error.value).startswith(f"{path}: damaged or truncated: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "array", [np.arange(4, dtype=np.int32), np.arange(5), np.arange(5, dtype=">i4")]
)
def test_an_array_of_another_type_or_shape_is_named(folder, array):
    np.save(folder / "ids.npy", array)
    with pytest.raises(ModelError) as error:
        read_folder(folder, FILE)
    assert (
        str(error.value)
        == f"{folder / 'ids.npy'}: expected int32 (5,), got {array.dtype} {array.shape}"
    )


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("listed", [["<i4", [5]], ["|O", [1]], ["|O", [0]]])
@pytest.mark.parametrize(
    "write", [pickle.dump, lambda value, file: np.save(file, np.array([value], object))]
)
def test_a_pickle_is_refused_and_not_run(folder, monkeypatch, write, listed):
    monkeypatch.chdir(folder)
    with open(folder / "ids.npy", "wb") as file:
        write(Bomb(), file)
    edit(folder, arrays={"ids": listed})
    with pytest.raises(ModelError, match="damaged or truncated: "):
        read_folder(folder, FILE)
    assert not os.path.exists("exploded")


def test_an_archive_in_place_of_an_array_is_refused(folder):
    with open(folder / "ids.npy", "wb") as file:
        np.savez(file, ids=ARRAYS["ids"])
    with pytest.raises(ModelError, match="expected an array, got an archive of arrays$"):
        read_folder(folder, FILE)


@pytest.mark.parametrize(
    "strings", [[], [""], ["a", "", "zw\u00f6lf", "\U0001f600", "nul\0", "new\nline"]]
)
def test_strings_survive_packing(strings):
    data, offsets = pack_strings(strings)
    assert (data.dtype, offsets.dtype, len(offsets)) == (np.uint8, np.int64, len(strings) + 1)
    assert unpack_strings(data, offsets) == strings


@pytest.mark.parametrize(
    ("data", "offsets"), [([97], []), ([97], [0, 2]), ([97, 98], [0, 1]), ([0xFF], [0, 1])]
)
def test_damaged_strings_are_an_error(data, offsets):
    with pytest.raises(ValueError):
        unpack_strings(np.array(data, np.uint8), np.array(offsets, np.int64))
