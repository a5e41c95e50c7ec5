"""Every example runs, and prints what it is there to show."""

import io
import re
import runpy
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@cache
def output(name):
    """What an example prints, line by line."""
    with redirect_stdout(io.StringIO()) as out:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return out.getvalue().splitlines()


def numbers(line):
    return [float(number) for number in re.findall(r"\d+\.\d+", line)]


def table(name):
    """The numbers of each line by what it begins with."""
    lines = (re.match(r"(\S.*?)  +(\d.*)", line) for line in output(name))
    return {match[1]: numbers(match[2]) for match in lines if match}


def test_every_example_is_held_to_something_here():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    tested = Path(__file__).read_text(encoding="utf-8")
    assert len(names) > 5
    assert {name for name in names if f'("{name}")' not in tested} == set()


def test_train_and_ask_ranks_names_of_a_saved_model():
    ranked, sets, *names = output("train_and_ask")
    assert numbers(ranked)[-1] > 88
    found, true = numbers(sets)
    assert 0.5 * true < found < 1.5 * true
    assert len(names) == 3 and all("::" in name for name in names)
    scores = [numbers(name)[0] for name in names]
    assert scores == sorted(scores, reverse=True)


def test_compare_shows_that_three_trees_beat_one():
    figures = table("compare")
    assert figures.keys() == {"one-vs-all", "one tree", "three trees"}
    assert figures["three trees"][2] > figures["one tree"][2]  # PSP@5
    assert figures["one-vs-all"][0] > figures["one tree"][0] > 88  # P@1


def test_texts_gives_names_of_labels():
    lines = output("texts")
    assert {line.split("  ")[-1] for line in lines[1:3]} == {"A library (library)", "E-mail (mail)"}
    assert lines[-1] == "after loading: mail"


def test_named_labels_suggests_a_label_without_a_training_text():
    rows, *suggested = output("named_labels")
    assert rows == "amber prices: 0 of 600 training texts"
    names = [line.split("  ")[-1] for line in suggested]
    assert set(names[:2]) == {"amber prices (s006)", "paper museums (s075)"}
    assert numbers(suggested[1])[0] > 2 * numbers(suggested[2])[0]


def test_own_tree_ranks_about_as_well_as_one_that_is_grown():
    facets, given, grown = output("own_tree")
    assert facets == "31 facets above 569 tags"
    assert numbers(given)[0] == pytest.approx(numbers(grown)[0], abs=1.0)
    assert numbers(given)[0] > 88


def test_rare_labels_come_up_at_the_cost_of_precision():
    plain, costs, both = table("rare_labels").values()
    for rare in range(1, 4):  # PSP@1, PSP@5, coverage
        assert plain[rare] < costs[rare] < both[rare]
    assert both[0] < plain[0]


def test_scikit_learn_finds_the_best_of_all_settings():
    *tried, best, score = output("scikit_learn")
    assert len(tried) == 4
    winner = max(tried, key=lambda line: numbers(line)[0])
    assert best.removeprefix("best: ") == winner.partition(" ")[2]
    assert numbers(score)[0] > 80
