"""Damaged files are refused, or read as they stand: see fuzz_parsers.py."""

import pytest
from fuzz_parsers import fuzz
from mutations import corpus
from parsers import PARSERS, outcome

KEPT = [(name, file) for name in PARSERS for file in corpus(name)]


@pytest.mark.parametrize(("name", "file"), KEPT, ids=["/".join(pair) for pair in KEPT])
def test_what_is_kept_is_read_or_refused_as_its_name_says(tmp_path, name, file):
    path = tmp_path / f"input{PARSERS[name].suffix}"
    path.write_bytes(corpus(name)[file])
    assert outcome(name, str(path)) == ("refused" if file.startswith("bad-") else "read")


def test_no_damage_of_a_file_is_more_than_one_line_or_a_value(tmp_path):
    said = []
    counts = fuzz(2000, seed=0, found=tmp_path, say=lambda *line: said.append(line))
    assert {what for _, what in counts} == {"read", "refused"}, said
    assert counts.total() == 2000
    assert {name for name, what in counts if what == "read"} == PARSERS.keys()
