"""Damaged model folders are refused, or answer: see fuzz_folders.py."""

from fuzz_folders import fuzz


def test_no_damage_of_a_folder_is_more_than_one_line_or_an_answer():
    said = []
    outcomes = fuzz(280, seed=0, say=lambda *line: said.append(line))
    assert not [outcome for outcome in outcomes if outcome.startswith("BAD")], said
    assert outcomes.keys() == {"refused", "same", "other, which verify finds"}
