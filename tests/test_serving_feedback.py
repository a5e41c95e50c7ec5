"""Feedback is appended in whole lines, whoever else writes."""

import errno
import json
import multiprocessing
import os

import pytest

from xmc import DataError
from xmc.serving.feedback import check, default_path, keep


def kept(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_record_is_a_line_with_the_time(tmp_path):
    keep(str(tmp_path / "said"), [{"text": "a\nb"}, {"text": "ü"}])
    keep(str(tmp_path / "said"), [{"text": "c"}])
    records = kept(tmp_path / "said")
    assert [record["text"] for record in records] == ["a\nb", "ü", "c"]
    assert all(record["time"].endswith("+00:00") for record in records)


def test_a_last_line_without_an_end_keeps_a_line_of_its_own(tmp_path):
    (tmp_path / "said").write_text('{"text": "by hand"}')
    keep(str(tmp_path / "said"), [{"text": "a"}])
    assert [record["text"] for record in kept(tmp_path / "said")] == ["by hand", "a"]


def append_many(path, writer):
    for n in range(100):
        keep(path, [{"text": f"{writer} {n} " + "x" * 5000}] * 2)


def test_lines_of_several_processes_don_t_mix(tmp_path):
    path = tmp_path / "said"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(str(path), n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    texts = [record["text"] for record in kept(path)]
    assert len(texts) == 800
    assert texts[::2] == texts[1::2]  # what was kept at once stands together


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "said"
    keep(str(path), [{"text": "a"}])
    before, write = path.read_bytes(), os.write

    def failing(file, content):
        if len(content) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, content[:-10])

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(OSError, match="No space left"):
        keep(str(path), [{"text": "b"}])
    assert path.read_bytes() == before


def test_a_file_that_can_t_be_written_to_is_refused_beforehand(tmp_path):
    for path in (tmp_path / "nowhere" / "said", tmp_path):
        with pytest.raises(DataError, match=f"^{path}: expected a file that can be written to$"):
            check(str(path))
    check(str(tmp_path / "said"))
    assert list(tmp_path.iterdir()) == []


def test_it_lies_beside_the_folder_of_the_model():
    assert default_path("models/gnd/") == "models/gnd.feedback.jsonl"
