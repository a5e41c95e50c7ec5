import cli_tools as cli
import pytest

from xmc.datasets import demo

TEXTS = [f"text {n}" for n in range(6)]


def test_a_few_rows_are_shown_with_what_is_true_and_what_was_missed(tmp_path, capsys):
    """Of six rows those numbered 1, 3 and 5 are shown."""
    true = ["a", "a,b", "b", "c", "a", ""]
    rows = [f"{labels}\t{text}" for labels, text in zip(true, TEXTS, strict=True)]
    test = cli.write_lines(tmp_path / "test.tsv", *rows)
    found = ["", "b:0.75,x:0.5", "", "c:1", "", "a:0.25"]
    predictions = cli.write_lines(tmp_path / "pred.jsonl", *map(as_json, found))
    demo.show_examples(str(predictions), str(test))
    heading, *blocks = capsys.readouterr().out.strip().split("\n\n")
    assert heading == "3 of 6 test packages; the words of each stand in alphabetical order"
    assert [[line.split() for line in block.splitlines()] for block in blocks] == [
        [["text", "1"], ["0.75", "b", "true"], ["0.50", "x"], ["also", "true:", "a"]],
        [["text", "3"], ["1.00", "c", "true"], ["also", "true:", "none"]],
        [["text", "5"], ["0.25", "a"], ["also", "true:", "none"]],
    ]


def as_json(labels):
    """A line of predictions: `id:score,id:score`."""
    pairs = [pair.split(":") for pair in labels.split(",") if pair]
    inner = ", ".join(f'{{"id": "{label}", "score": {score}}}' for label, score in pairs)
    return f'{{"labels": [{inner}]}}'


def test_a_command_is_shown_and_one_that_fails_ends_with_its_exit_code(capfd):
    with pytest.raises(SystemExit) as ended:
        demo.xmc("inspect", "no such folder")
    shown = capfd.readouterr()
    assert ended.value.code == 1
    assert shown.out == "\n$ xmc inspect 'no such folder'\n"
    assert shown.err == "no such folder: expected a folder with a model.json, got nothing there\n"
