"""Folders of rows: what is written in blocks is read as a whole, and nothing else is read."""

import json
import os
import re

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from folders import content, edit

from xmc import open_rows
from xmc.errors import DataError
from xmc.io import Dataset, read, read_blocks, stored, write
from xmc.io.folder import write_folder
from xmc.io.rows_writer import writing
from xmc.stored_rows import write_rows

TEXTS = [f"text {n} \u00fc" if n % 7 else "" for n in range(planted.X.shape[0])]
IDS = [f"id{(7 * n) % planted.N_LABELS:02}" for n in range(planted.N_LABELS)]  # not in order
WHOLE = Dataset(planted.X, planted.Y, TEXTS, IDS)


def blocks(dataset, n):
    """The rows in blocks, each with the ids of the labels that it has, in any order."""
    for start in range(0, dataset.X.shape[0], n):
        X, Y = dataset.X[start : start + n], sp.csc_matrix(dataset.Y[start : start + n])
        own = np.flatnonzero(np.diff(Y.indptr))[::-1]
        ids = None if dataset.label_ids is None else [dataset.label_ids[label] for label in own]
        texts = None if dataset.texts is None else dataset.texts[start : start + n]
        yield Dataset(X, sp.csr_matrix(Y if ids is None else Y[:, own]), texts, ids)


@pytest.fixture
def path(tmp_path):
    write_rows(tmp_path / "a.rows", blocks(WHOLE, 60))
    return tmp_path / "a.rows"


def equal(M, N):
    """Whether two CSR matrices are the same, array by array."""
    arrays = zip((M.data, M.indices, M.indptr), (N.data, N.indices, N.indptr), strict=True)
    return M.shape == N.shape and all(np.array_equal(a, b) for a, b in arrays)


def by_id(Y, ids):
    order = np.argsort(ids)
    M = sp.csr_matrix(Y[:, order])
    M.sort_indices()
    return M


def test_rows_in_blocks_are_read_as_a_whole(path):
    rows = open_rows(path)
    assert equal(rows.X, planted.X)
    assert equal(rows.Y, by_id(planted.Y, IDS))
    assert rows.label_ids == sorted(IDS)
    assert [*rows.texts] == TEXTS
    assert repr(rows) == f"<StoredRows {path}: 300 rows, 78 features, 40 labels, with texts>"


def test_the_folder_is_the_same_for_blocks_of_any_size(path, tmp_path):
    for n in (1, 299, 300):
        write_rows(tmp_path / f"{n}.rows", blocks(WHOLE, n))
        assert content(tmp_path / f"{n}.rows") == content(path)


def test_labels_that_are_known_come_first(tmp_path):
    known = ["zz", "id39", "id03"]
    rows = write_rows(tmp_path / "a.rows", blocks(WHOLE, 60), known_ids=known)
    assert rows.label_ids == [*known, *sorted(set(IDS) - set(known))]
    column = rows.label_ids.index("id05")
    expected = planted.Y[:, IDS.index("id05")].toarray()
    assert np.array_equal(rows.Y[:, column].toarray(), expected)


def test_labels_without_ids_keep_their_columns(tmp_path):
    rows = write_rows(tmp_path / "a.rows", blocks(Dataset(planted.X, planted.Y), 70))
    assert equal(rows.Y, planted.Y)
    assert (rows.label_ids, rows.texts) == (None, None)
    assert repr(rows) == f"<StoredRows {tmp_path / 'a.rows'}: 300 rows, 78 features, 40 labels>"


def test_features_may_come_without_labels_or_apart_from_them(tmp_path):
    rows = write_rows(tmp_path / "a.rows", [Dataset(planted.X)])
    assert (rows.Y, rows.n_labels, rows.shape) == (None, 0, planted.X.shape)
    assert repr(rows) == f"<StoredRows {tmp_path / 'a.rows'}: 300 rows, 78 features>"
    parts = [Dataset(X=planted.X), Dataset(Y=planted.Y[:100]), Dataset(Y=planted.Y[100:])]
    assert equal(write_rows(tmp_path / "b.rows", parts).Y, planted.Y)


def test_duplicates_are_summed_and_zeros_left_out(tmp_path):
    X = sp.csr_matrix((np.float32([1, 2, 0, 3]), [2, 2, 0, 1], [0, 3, 4]), shape=(2, 3))
    rows = write_rows(tmp_path / "a.rows", [Dataset(X)])
    assert rows.X.nnz == 2 and rows.X.toarray().tolist() == [[0, 0, 3], [0, 3, 0]]


def test_opening_reads_nothing_and_copies_nothing(path):
    rows = open_rows(path)
    arrays = rows.rows()
    assert np.shares_memory(rows.X.data, arrays.data)
    assert np.shares_memory(rows.X.indices, arrays.indices)
    assert not any(array.flags.writeable for array in (*arrays[:3], rows.Y.data))
    assert (arrays.indptr.dtype, arrays.indices.dtype) == (np.int64, np.int32)


def test_more_entries_than_int32_counts_keep_their_narrow_ids(path, monkeypatch):
    monkeypatch.setattr(stored, "INT32_MAX", 1000)
    X = open_rows(path).X
    assert (X.indptr.dtype, X.indices.dtype) == (np.int64, np.int32)
    assert equal(X[10:20], planted.X[10:20])


def test_texts_are_a_sequence(path, monkeypatch):
    monkeypatch.setattr(stored, "TEXT_BYTES", 50)
    texts = open_rows(path).texts
    assert len(texts) == len(TEXTS) and [*texts] == TEXTS
    assert (texts[-1], texts[3:9:2], texts[5:2]) == (TEXTS[-1], TEXTS[3:9:2], [])
    chosen = texts.taken(np.array([8, 7, 200]))
    assert [*chosen] == [TEXTS[8], TEXTS[7], TEXTS[200]]
    assert [*chosen.taken(np.array([2]))] == [TEXTS[200]]
    with pytest.raises(IndexError):
        texts[len(TEXTS)]


def test_many_chosen_texts_come_each_once(path):
    numbers = np.random.default_rng(0).integers(0, len(TEXTS), 2100)
    chosen = open_rows(path).texts.taken(numbers)
    assert [*chosen] == [TEXTS[n] for n in numbers]


def test_rows_are_taken_by_number(path):
    chosen = np.array([5, 299, 17])
    rows = open_rows(path).taken(chosen)
    assert equal(rows.X, planted.X[chosen])
    assert equal(rows.Y, by_id(planted.Y, IDS)[chosen])
    assert [*rows.texts] == [TEXTS[row] for row in chosen]
    assert rows.label_ids == sorted(IDS)


def test_texts_that_are_no_utf8_are_told(path):
    content = bytearray((path / "texts.npy").read_bytes())
    content[-1] = 0xFF
    (path / "texts.npy").write_bytes(content)
    with pytest.raises(DataError) as error:
        [*open_rows(path).texts]
    assert str(error.value) == "texts.npy is damaged: expected UTF-8"


def test_features_that_others_make_of_texts_must_be_finite(path):
    rows = open_rows(path).transformed(
        lambda texts: sp.csr_matrix(np.full((len(texts), 2), np.nan))
    )
    with pytest.raises(DataError, match=f"^{path}: expected finite values in X, got NaN in"):
        next(rows.parts())


def test_features_that_others_make_come_in_the_same_parts_as_they_are(path, monkeypatch):
    monkeypatch.setattr(stored, "ROWS_PER_PART", 64)
    asked = open_rows(path).transformed(
        lambda texts: sp.csr_matrix([[len(text), 3.0] for text in texts], dtype=np.float32)
    )
    parts, plain = [*asked.parts()], [*open_rows(path).parts()]
    assert [part[:2] for part in parts] == [part[:2] for part in plain]
    assert [part.texts for part in parts] == [part.texts for part in plain]
    for part in parts:
        expected = [value for text in part.texts for value in (len(text), 3.0) if value]
        assert part.rows.data.tolist() == expected


def test_all_rows_are_looked_at_once(path, monkeypatch):
    rows, looked = open_rows(path), []
    monkeypatch.setattr(stored, "_check_sound", lambda *given: looked.append(given))
    assert rows.rows() is rows.rows()
    ((own, who),) = looked
    assert own is rows.rows() and str(who) == str(path)


def test_a_folder_of_rows_is_one_with_its_json(path, monkeypatch):
    monkeypatch.chdir(path)
    assert stored.is_stored(path) and not stored.is_stored(path.parent)


def test_parts_are_all_rows_in_turn(path, monkeypatch):
    monkeypatch.setattr(stored, "ROWS_PER_PART", 64)
    parts = [*open_rows(path).parts()]
    assert [(part.start, part.end) for part in parts][:2] == [(0, 64), (64, 128)]
    assert [text for part in parts for text in part.texts] == TEXTS
    assert sum(len(part.rows.data) for part in parts) == planted.X.nnz


def test_it_is_a_format_like_the_others(path, tmp_path):
    write(tmp_path / "b.rows", read(path))
    assert content(tmp_path / "b.rows") == content(path)
    found = [*read_blocks(path, block_bytes=4000)]
    assert len(found) > 3
    assert equal(sp.vstack([block.X for block in found], format="csr"), planted.X)
    assert equal(sp.vstack([block.Y for block in found], format="csr"), read(path).Y)
    assert [text for block in found for text in block.texts] == TEXTS
    named_otherwise = path.rename(tmp_path / "folder")
    assert read(named_otherwise).X.shape == planted.X.shape


@pytest.mark.parametrize("name", ["rows.svm", "rows.txt", "rows.tsv.gz", "rows.txt.xz"])
def test_every_format_becomes_one_block_by_block(tmp_path, name):
    source, target = tmp_path / name, tmp_path / "a.rows"
    write(source, WHOLE)
    expected = read(source)
    if expected.X is None:
        found = [*read_blocks(source, block_bytes=500)]
        X = iter([planted.X[at : at + 1] for at in range(300)])
        made = [block._replace(X=sp.vstack([next(X) for _ in block.texts])) for block in found]
        rows = write_rows(target, made)
        assert rows.label_ids == expected.label_ids and [*rows.texts] == expected.texts
    else:
        rows = write_rows(target, read_blocks(source, block_bytes=500))
        assert equal(rows.X, expected.X)
    assert equal(rows.Y, expected.Y)


def error_of(path, **how):
    with pytest.raises(DataError) as error:
        open_rows(path, **how).rows()
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path}")


def test_what_is_no_folder_of_rows_is_refused(path, tmp_path):
    assert error_of(tmp_path / "no") == ": expected a folder with a rows.json, got nothing there"
    expected = ": expected a folder with a rows.json, got a folder without"
    assert error_of(tmp_path) == expected
    assert error_of(path / "rows.json") == ": expected a folder with a rows.json, got a file"


def test_a_newer_format_is_refused(path):
    edit(path, "rows.json", format=2)
    assert error_of(path) == ": expected format 1 at most, got 2; a newer xmc can read it"


@pytest.mark.parametrize("change", [lambda size: size - 1, lambda size: size + 4, lambda size: 9])
@pytest.mark.parametrize("name", ["X.data", "X.indptr", "Y.indices", "texts", "label_ids_offsets"])
def test_a_file_of_another_size_is_found_at_opening(path, name, change):
    os.truncate(path / f"{name}.npy", change((path / f"{name}.npy").stat().st_size))
    assert error_of(path).startswith(f"/{name}.npy: ")


@pytest.mark.parametrize("byte", [b"{", b"\xff"])
@pytest.mark.parametrize("place", [0, 8, 20, 60, 100, 126])
def test_a_damaged_header_is_one_line(path, place, byte):
    with open(path / "X.data.npy", "r+b") as file:
        file.seek(place)
        file.write(byte)
    assert error_of(path).startswith("/X.data.npy: ")


def test_a_missing_array_is_named(path):
    (path / "Y.data.npy").unlink()
    assert error_of(path) == ": expected Y.data.npy, it is missing"


def test_a_pipe_is_no_array(path):
    (path / "X.data.npy").unlink()
    os.mkfifo(path / "X.data.npy")
    assert error_of(path) == ": X.data.npy can't be read: expected a regular file"


def listed(path, name, **facts):
    arrays = json.loads((path / "rows.json").read_text())["arrays"]
    edit(path, "rows.json", arrays=arrays | {name: facts})


@pytest.mark.parametrize("name", ["../X.data", "Z.data", "vectorizer./etc/passwd", "X.data"])
def test_arrays_of_others_are_refused(path, name):
    listed(path, name, dtype="<f8", shape=[3], sha256="")
    wanted = f"expected arrays of a folder of rows, got {name!r}"
    assert error_of(path) == f": rows.json can't be read: {wanted}"


@pytest.mark.parametrize(
    "change",
    [
        {"n_rows": 299},
        {"n_rows": "300"},
        {"n_features": -1},
        {"n_features": None},
        {"n_labels": 3},
        {"vectorizer": {"parts": {}}, "n_labels": 2**31},
        {"arrays": {}},
        {"arrays": [1]},
    ],
)
def test_sizes_that_do_not_fit_are_refused(path, change):
    edit(path, "rows.json", **change)
    assert error_of(path).startswith(": rows.json can't be read: ")


@pytest.mark.parametrize(
    ("name", "shape", "is_ours"),
    [
        ("X.data", (3,), True),
        ("X.data", (0,), True),
        ("X.data", (3.0,), False),
        ("X.data", (True,), False),
        ("X.data", (-1,), False),
        ("X.data", (), False),
        ("X.data", (3, 1), False),
        ("vectorizer.idf", (3, 0), True),
        ("vectorizer.idf", (), False),
        ("vectorizer.idf", (3, -1), False),
        ("vectorizer.idf", (3, 2.0), False),
    ],
)
def test_shapes_are_whole_numbers_and_may_be_0(name, shape, is_ours):
    assert stored._is_ours(name, np.dtype(np.float32), shape) == is_ours


def test_rows_without_features_are_read(tmp_path):
    nothing = Dataset(sp.csr_matrix((3, 5), dtype=np.float32), sp.csr_matrix((3, 2)))
    write_rows(tmp_path / "none.rows", [nothing])
    assert open_rows(tmp_path / "none.rows").X.shape == (3, 5)


def test_no_rows_and_no_columns_fit():
    arrays = {"X.indptr": np.zeros(1, np.int64), "X.indices": np.empty(0, np.int32)}
    found = stored._csr_arrays("X", arrays | {"X.data": np.empty(0, np.float32)}, 0, 0)
    assert [len(part) for part in found[:3]] == [1, 0, 0]


def test_ids_and_texts_that_are_not_as_many_are_told(path):
    meta = json.loads((path / "rows.json").read_text())
    for name, told in (
        ("label_ids_offsets", "expected 40 label ids, got 39"),
        ("texts_offsets", "expected 300 texts, they don't fit"),
    ):
        before = (path / f"{name}.npy").read_bytes()
        np.save(path / f"{name}.npy", np.delete(np.load(path / f"{name}.npy"), 5))
        facts = meta["arrays"][name]
        listed(path, name, **facts | {"shape": [facts["shape"][0] - 1]})
        assert error_of(path) == f": rows.json can't be read: {told}"
        (path / f"{name}.npy").write_bytes(before)
        edit(path, "rows.json", arrays=meta["arrays"])
    open_rows(path)


NUMBERS = [True, -1, 0, 3.5, 2**31, 10**30]
VALUES = [None, *NUMBERS, "", "x", "|O", "<f4", [], {}, [[]], [10**9], [3, 3]]


def places(value, here=()):
    """Where something stands in a JSON."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, own in inside:
        yield (*here, key)
        if isinstance(own, (dict, list)):
            yield from places(own, (*here, key))


def test_whatever_the_json_says_it_is_rows_or_one_line(path, rng):
    meta = (path / "rows.json").read_text()
    every = [*places(json.loads(meta))]
    refused = 0
    for place in [every[n] for n in rng.integers(len(every), size=150)]:
        changed = inner = json.loads(meta)
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = VALUES[rng.integers(len(VALUES))]
        (path / "rows.json").write_text(json.dumps(changed))
        try:
            rows = open_rows(path)
            assert rows.rows().n_rows == 300
            assert rows.texts is None or len([*rows.texts]) == 300
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
    assert 50 < refused < 150  # checksums are not compared


def put(path, name, place, value):
    """Change one number of an array."""
    array = np.load(path / f"{name}.npy")
    array[place] = value
    np.save(path / f"{name}.npy", array)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("X.indices", 5, 78),
        ("X.indices", 5, -1),
        ("X.indices", 1, 0),
        ("X.data", 7, np.nan),
        ("X.data", 7, np.inf),
        ("X.data", 7, 0),
    ],
)
def test_features_that_were_damaged_are_found_before_they_are_read(path, name, place, value):
    put(path, name, place, value)
    found = f": {name}.npy is not what was written: it is damaged in rows 0 to 299"
    assert error_of(path) == found
    with pytest.raises(DataError, match=f"^{path}: .* is damaged in rows"):
        [*open_rows(path).parts()]


@pytest.mark.parametrize("name", ["X.indptr", "Y.indptr", "texts_offsets"])
def test_pointers_that_were_damaged_are_found_at_opening(path, name):
    put(path, name, 5, 10**6)
    with pytest.raises(DataError, match=r"rows\.json can't be read"):
        open_rows(path)


def test_labels_that_were_damaged_are_found_at_opening(path):
    put(path, "Y.indices", 3, 40)
    with pytest.raises(DataError, match="expected labels below 40"):
        open_rows(path)


def test_a_text_that_was_damaged_is_one_line(path):
    put(path, "texts", 0, 0xFF)
    with pytest.raises(DataError, match="expected UTF-8"):
        [*open_rows(path).texts]


@pytest.mark.parametrize("name", ["X.data", "Y.data", "texts", "label_ids"])
def test_any_change_is_found_by_checksums(path, name):
    open_rows(path, verify=True)
    put(path, name, 4, 65)
    assert error_of(path, verify=True) == f": {name} is not what was written: its checksum differs"


def test_a_changed_json_is_found_by_its_checksum(path):
    edit(path, "rows.json", more=1)
    assert error_of(path, verify=True).startswith(": rows.json is not what was written")


def test_a_file_that_changes_is_noticed_and_a_replaced_folder_is_not_missed(path):
    rows = open_rows(path)
    rows.check_unchanged()
    write_rows(path, [Dataset(planted.X_TEST)], overwrite=True)
    rows.check_unchanged()
    assert equal(rows.X, planted.X) and open_rows(path).n_rows == 60
    rows = open_rows(path)
    with open(path / "X.data.npy", "r+b") as file:
        file.seek(200)
        file.write(b"1234")
    os.utime(path / "X.data.npy", ns=(1, 1))
    for one in (rows, rows.taken(np.array([1])), rows.transformed(None)):
        said = "X.data.npy was changed while it was read; what was made of it is worth nothing"
        with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {said}')}$"):
            one.check_unchanged()


def test_files_are_closed_with_the_rows(path):
    def n_open():
        return len(os.listdir("/proc/self/fd"))

    before = n_open()
    rows = open_rows(path)
    assert n_open() > before
    edit(path, "rows.json", n_rows=1)
    with pytest.raises(DataError):
        open_rows(path)
    del rows
    assert n_open() == before


def failing():
    yield Dataset(planted.X)
    raise DataError("the source ends badly")


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="the source ends badly"):
        write_rows(tmp_path / "a.rows", failing())
    assert os.listdir(tmp_path) == []


def test_only_a_folder_of_rows_is_replaced(path, tmp_path):
    with pytest.raises(DataError, match="exists already; overwrite replaces it"):
        write_rows(path, [WHOLE])
    write_folder(tmp_path / "model", "model.json", {}, {}, False)
    for other in (tmp_path / "model", path / "rows.json"):
        with pytest.raises(DataError, match=r"expected a folder with a rows\.json to replace"):
            write_rows(other, [WHOLE], overwrite=True)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([Dataset(Y=planted.Y)], "expected features of the rows, got none"),
        (
            [Dataset(X=planted.X, Y=planted.Y_TEST)],
            "expected as many rows in each part, got 300 in X.indptr, 60 in Y.indptr",
        ),
        ([Dataset(X=planted.X, texts=["\ud800"])], "expected texts as UTF-8, got '\\ud800'"),
        (
            [Dataset(X=sp.csr_matrix(np.float32([[np.inf]])))],
            "expected finite values in X, got inf in row 0, column 0 (counted from 0, after "
            "conversion to float32)",
        ),
    ],
)
def test_what_is_no_rows_is_refused(tmp_path, parts, reason):
    with pytest.raises(DataError) as error:
        write_rows(tmp_path / "a.rows", parts)
    assert str(error.value) == f"{tmp_path / 'a.rows'}: {reason}"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("-", "-: expected a folder for rows, got stdout"),
        ("a.rows.gz", "a.rows.gz: expected a folder for rows, which can't be compressed"),
    ],
)
def test_a_folder_needs_a_name_of_its_own(name, reason):
    with pytest.raises(DataError) as error, writing(name):
        pass
    assert str(error.value) == reason
