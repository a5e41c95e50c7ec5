"""Requests that are wrong at random get an answer or one line: see fuzz_service.py."""

from fuzz_service import fuzz


def test_no_request_gets_more_than_an_answer_or_one_line(tmp_path):
    counts, bad = fuzz(1500, 0, str(tmp_path / "said"))
    assert bad == []
    assert counts.total() == 1500
    assert {"200", "400", "404", "415", "422"} <= counts.keys()
