import errno
import gzip
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from xmc.errors import DataError, quoted
from xmc.io import files
from xmc.io.blocks import read_bytes
from xmc.io.files import check_target, create_file, open_bytes, read_lines, replacing
from xmc.io.folder import read_folder, verify_folder, write_folder

WORDS = b"".join(b"line %d of a text\n" % (i * i) for i in range(2000))


def test_a_long_token_is_shown_without_its_middle():
    assert quoted(b"x" * 1000) == repr("x" * 25 + "..." + "x" * 12)
    assert quoted("short") == "'short'"


def test_gzip_is_seen_through(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one\ntwo"))
    assert read_bytes(path) == b"one\ntwo\n"
    assert read_lines(path) == ["one", "two"]


def test_lines_end_at_line_feeds_only(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\u2028still\x0bone\r\n\ntwo".encode())
    assert read_lines(path) == ["one\u2028still\x0bone", "", "two"]


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf1 2")
    assert read_bytes(path) == b"1 2\n"


def test_standard_input_is_a_dash(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert read_lines("-") == ["one", "two"]


def cut_gzip(path):
    path.write_bytes(gzip.compress(WORDS)[:-20])


def fake_gzip(path):
    path.write_bytes(b"plain text")


def broken_gzip(path):
    content = bytearray(gzip.compress(WORDS))
    content[1000:2000] = bytes(1000)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.txt", lambda path: None, "can't be read: No such file or directory"),
        ("a.txt", lambda path: path.mkdir(), "can't be read: Is a directory"),
        ("a.txt", lambda path: path.touch(), "expected at least one row, got an empty file"),
        ("a.txt.gz", cut_gzip, "expected a gzip file, got a damaged or truncated one"),
        ("a.txt.gz", fake_gzip, "expected a gzip file, got a damaged or truncated one"),
        ("a.txt.gz", broken_gzip, "expected a gzip file, got a damaged or truncated one"),
    ],
)
@pytest.mark.parametrize("reader", [read_bytes, read_lines])
def test_unreadable_files_are_named(tmp_path, monkeypatch, name, make, message, reader):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    with pytest.raises(DataError) as caught:
        reader(name)
    assert str(caught.value) == f"{name}: {message}"


def test_bytes_that_are_not_utf8_have_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo \xff three\n")
    with pytest.raises(DataError, match=r"a\.txt:2: expected UTF-8, got byte 0xff$"):
        read_lines(path)


def listing(folder):
    return sorted(os.listdir(folder))


def test_a_replaced_file_is_whole(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with replacing(path, overwrite=True) as fresh:
        fresh.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert listing(tmp_path) == ["a"]


def test_a_replaced_folder_keeps_nothing_of_the_old(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    with replacing(path, overwrite=True) as fresh:
        fresh.mkdir()
        (fresh / "new").touch()
        assert listing(path) == ["old"]
    assert listing(path) == ["new"]
    assert listing(tmp_path) == ["a"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("folder", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, failure, folder):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(failure), replacing(path, overwrite=True) as fresh:
        if folder:
            fresh.mkdir()
            (fresh / "half").touch()
        else:
            fresh.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["a"]


def test_a_folder_that_cannot_move_in_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    rename, calls = os.rename, []

    def second_fails(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(files, "_exchange", lambda a, b: False)  # as where the system can't
    monkeypatch.setattr(os, "rename", second_fails)
    with (
        pytest.raises(DataError, match="can't be written: No space left on device"),
        replacing(path, overwrite=True) as fresh,
    ):
        fresh.mkdir()
    assert listing(path) == ["old"]
    assert listing(tmp_path) == ["a"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_replaced_at_once_or_in_steps(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(files, "_exchange", lambda a, b: False)
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    with replacing(path, overwrite=True) as fresh:
        fresh.mkdir()
        (fresh / "new").touch()
    assert (listing(path), listing(tmp_path)) == (["new"], ["a"])


def test_an_error_about_what_is_made_inside_names_the_path_that_people_know(tmp_path):
    with pytest.raises(DataError) as error, replacing(tmp_path / "a") as fresh:
        fresh.mkdir()
        raise DataError(f"{fresh / 'X.npz'}: can't be written: No space left on device")
    assert str(error.value) == f"{tmp_path / 'a'}/X.npz: can't be written: No space left on device"


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, caplog):
    dead = subprocess.Popen(["true"])
    dead.wait()
    prefix = files._own_prefix()
    own = f"{prefix}{os.getpid()}"
    theirs = [f"{own}-{files._begun(os.getpid())}-1", f"{prefix}x-1-1"]
    theirs += [f".xmc-00000000-{dead.pid}-1-1", ".xmc-12"]
    gone = [f"{prefix}{dead.pid}-1-1", f"{own}-1-1"]  # the second by one that had our id before us
    for name in [*gone, *theirs]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    with replacing(tmp_path / "a") as fresh:
        fresh.write_text("new")
    assert listing(tmp_path) == sorted([*theirs, "a"])
    assert sorted(caplog.messages) == sorted(
        f"removed {tmp_path / name}, which a killed process left" for name in gone
    )


@pytest.mark.parametrize(("make", "what"), [(True, "a folder"), (False, "nothing")])
def test_a_link_to_anything_but_a_file_is_refused(tmp_path, make, what):
    if make:
        (tmp_path / "v1").mkdir()
    (tmp_path / "link").symlink_to("v1")
    with pytest.raises(DataError) as error, replacing(tmp_path / "link", overwrite=True):
        pass
    expected = f"is a link to {what}; expected {tmp_path / 'v1'} itself"
    assert str(error.value) == f"{tmp_path / 'link'}: {expected}"


KILLED = """
import os, signal, sys, threading, time
from xmc.io.folder import write_folder
import numpy as np
threading.Timer(float(sys.argv[2]), lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
print("begun", flush=True)
while True:
    write_folder(sys.argv[1], "a.json", {}, {"x": np.arange(20_000)}, overwrite=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_folder(tmp_path, rng):
    path = tmp_path / "a"
    write_folder(path, "a.json", {}, {"x": np.arange(20_000)}, overwrite=False)
    for seconds in rng.uniform(0, 0.1, 8):
        subprocess.run([sys.executable, "-c", KILLED, path, str(seconds)], capture_output=True)
        verify_folder(path, "a.json")
        assert sum(not name.startswith(".xmc-") for name in os.listdir(tmp_path)) == 1
    write_folder(path, "a.json", {}, {"x": np.arange(3)}, overwrite=True)
    assert listing(tmp_path) == ["a"]


def test_whoever_reads_while_others_replace_finds_one_whole_folder(tmp_path):
    path = tmp_path / "a"
    for n in (1, 2):
        write_folder(path, "a.json", {"n": n}, {"x": np.full(5000, n)}, overwrite=n > 1)
    done, seen = threading.Event(), set()

    def write(n):
        while not done.is_set():
            write_folder(path, "a.json", {"n": n}, {"x": np.full(5000, n)}, overwrite=True)

    writers = [threading.Thread(target=write, args=(n,)) for n in (1, 2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(1000):
            meta, arrays = read_folder(path, "a.json")
            assert {meta["n"]} == set(arrays["x"].tolist())
            seen.add(meta["n"])
    finally:
        done.set()
        for writer in writers:
            writer.join()
    assert seen == {1, 2} and listing(tmp_path) == ["a"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with create_file(tmp_path / "link", overwrite=True) as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize(
    ("name", "overwrite", "message"),
    [
        ("there", False, "there: exists already; overwrite replaces it"),
        ("", True, "expected a path to write to, got an empty one"),
        ("missing/a", True, "missing/a: expected an existing folder to write into, got 'missing'"),
        (
            "pipe",
            True,
            "pipe: expected a file or folder to replace, got a device or pipe; - is stdout",
        ),
    ],
)
def test_targets_that_may_not_be_written_are_refused(
    tmp_path, monkeypatch, name, overwrite, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError) as caught:
        check_target(name, overwrite)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["fresh", "there"])
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.EROFS, "Read-only file system"),
        (errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_target_whose_folder_takes_no_entry_is_refused(
    tmp_path, monkeypatch, name, number, reason
):
    (tmp_path / "there").touch()

    def refuse(path, mode=0o777):
        raise OSError(number, reason, path)

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(DataError) as caught:
        check_target(tmp_path / name, overwrite=True)
    assert str(caught.value) == f"{tmp_path / name}: can't be written: {reason}"


def test_checking_a_target_leaves_nothing(tmp_path):
    check_target(tmp_path / "fresh")
    assert listing(tmp_path) == []


def test_a_file_in_place_of_the_parent_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="expected an existing folder to write into, got 'file'$"):
        check_target("file/model")


def test_a_file_does_not_replace_a_folder(tmp_path):
    with (
        pytest.raises(DataError, match="expected a file, got a folder"),
        create_file(tmp_path, overwrite=True),
    ):
        pass


def test_a_full_disk_is_one_line(tmp_path):
    with (
        pytest.raises(DataError, match="a: can't be written: No space left on device"),
        create_file(tmp_path / "a"),
    ):
        raise OSError(28, "No space left on device")
    assert listing(tmp_path) == []


def test_gzip_output_depends_on_nothing_but_the_content(tmp_path):
    for name in ("a.gz", "b.gz"):
        with create_file(tmp_path / name) as file:
            file.write(b"content")
    first, second = ((tmp_path / name).read_bytes() for name in ("a.gz", "b.gz"))
    assert first == second
    assert first[3:8] == bytes(5)
    with open_bytes(tmp_path / "a.gz") as file:
        assert file.read() == b"content"


def test_standard_output_is_a_dash(capsysbinary):
    with create_file("-") as file:
        file.write(b"content")
    assert capsysbinary.readouterr().out == b"content"


@pytest.mark.parametrize(("name", "closed"), [("stdin", "read"), ("stdout", "written")])
def test_closed_standard_streams_are_one_line(monkeypatch, name, closed):
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(DataError) as error:
        if name == "stdin":
            read_lines("-")
        else:
            with create_file("-"):
                pass
    assert str(error.value) == f"{name}: can't be {closed}: it is closed"
