import json

import numpy as np
import pytest

from xmc.errors import DataError, ParameterError
from xmc.formats import PREDICTION_FORMATS, prediction_format
from xmc.io.predictions import (
    prediction_rows,
    read_predictions,
    write_predictions,
)
from xmc.topk import TopK

TOP = TopK(
    np.int32([[2, 0, 1], [1, -1, -1], [-1, -1, -1], [0, 2, -1]]),
    np.float32([[0.5, 0.1, 0.1], [1e-7, -np.inf, -np.inf], [-np.inf] * 3, [0.25, 0, -np.inf]]),
)
IDS = ["z", "10", "\u00e4"]


def entries(P, ids):
    rows = zip(P.indptr, P.indptr[1:], strict=False)
    return [
        [(str(ids[c]), s) for c, s in zip(P.indices[a:b], P.data[a:b].tolist(), strict=True)]
        for a, b in rows
    ]


@pytest.mark.parametrize("name", ["p.npz", "p.txt", "p.tsv", "p.jsonl", "p.tsv.gz", "p.jsonl.gz"])
@pytest.mark.parametrize("ids", [IDS, None], ids=["ids", "no ids"])
def test_predictions_come_back_best_first(tmp_path, name, ids):
    write_predictions(tmp_path / name, TOP, 3, label_ids=ids)
    P, back = read_predictions(tmp_path / name)
    if name in ("p.npz", "p.txt"):
        assert (back, P.shape) == (None, (4, 3))
        back = ids or range(3)
    else:
        assert back == sorted(ids or ["0", "1", "2"])
    assert entries(P, back) == entries(TOP.to_csr(3), ids or range(3))


def test_text_predictions_read_as_documented(tmp_path):
    write_predictions(tmp_path / "p.tsv", TOP, 3, label_ids=IDS)
    expected = "\u00e4\t0.5\tz\t0.1\t10\t0.1\n10\t1e-7\n\nz\t0.25\t\u00e4\t0\n"
    assert (tmp_path / "p.tsv").read_text(encoding="utf-8") == expected


def test_json_predictions_carry_names(tmp_path):
    write_predictions(
        tmp_path / "p.jsonl", TOP, 3, label_ids=IDS, label_names=["last", 'te"n', "umlaut"]
    )
    rows = [
        json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert rows[1] == {"labels": [{"id": "10", "name": 'te"n', "score": 1e-7}]}
    assert rows[2] == {"labels": []}


def test_json_predictions_without_ids_carry_column_numbers(tmp_path):
    write_predictions(tmp_path / "p.jsonl", TOP, 3)
    first = (tmp_path / "p.jsonl").read_text().splitlines()[1]
    assert first == '{"labels": [{"id": 1, "score": 1e-7}]}'


@pytest.mark.parametrize("ids", [None, IDS])
@pytest.mark.parametrize("names", [None, ["last", 'te"n', "umlaut"]])
def test_rows_in_memory_are_those_of_the_lines(tmp_path, ids, names):
    write_predictions(tmp_path / "p.jsonl", TOP, 3, label_ids=ids, label_names=names)
    lines = (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()
    rows = prediction_rows(TOP, 3, ids, names)
    assert rows == [json.loads(line) for line in lines]
    assert rows[1]["labels"][0].items() >= {"id": ids[1] if ids else 1, "score": 1e-7}.items()


def test_a_label_that_is_no_column_is_refused(tmp_path):
    top = TopK(np.int32([[0, 3]]), np.float32([[2, 1]]))
    with pytest.raises(DataError, match="^TopK: expected labels from 0 to 2, got 3$"):
        write_predictions(tmp_path / "p.tsv", top, 3)


def test_predictions_stream_to_standard_output(capsysbinary):
    write_predictions("-", TOP, 3, format="tsv")
    assert capsysbinary.readouterr().out.startswith(b"2\t0.5\t0\t0.1")


@pytest.mark.parametrize("format", PREDICTION_FORMATS)
def test_a_format_that_is_given_wins(format):
    assert prediction_format("p.tsv", format) == format


def test_an_unknown_format_is_refused():
    with pytest.raises(
        ParameterError, match="format must be one of 'npz', 'tsv', 'jsonl', 'sparse', got 'csv'"
    ):
        prediction_format("p.tsv", "csv")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("p.csv", "p.csv: expected a name that ends in .npz, .tsv, .jsonl or .txt, got 'p.csv'"),
        (
            "-",
            "-: expected a name that ends in .npz, .tsv, .jsonl or .txt, "
            "got stdin or stdout without a format",
        ),
    ],
)
def test_a_path_that_does_not_tell_its_format_is_refused(path, message):
    with pytest.raises(DataError) as caught:
        prediction_format(path)
    assert str(caught.value) == message


TSV, JSON = "label<TAB>score<TAB>...", '{"labels": [{"id": ..., "score": ...}]}'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.tsv", "a\t1\nb\n", f"p.tsv:2: expected {TSV}, got 'b'"),
        ("p.tsv", "a\t1\tb\n", f"p.tsv:1: expected {TSV}, got 'a\\t1\\tb'"),
        ("p.tsv", "a\tx\n", f"p.tsv:1: expected {TSV}, got 'a\\tx'"),
        ("p.tsv", "\t1\n", f"p.tsv:1: expected {TSV}, got '\\t1'"),
        ("p.tsv", "a \t1\n", f"p.tsv:1: expected {TSV}, got 'a \\t1'"),
        ("p.tsv", "a\t1_0\n", f"p.tsv:1: expected {TSV}, got 'a\\t1_0'"),
        ("p.tsv", "a\t\u0661\n", f"p.tsv:1: expected {TSV}, got 'a\\t\u0661'"),
        ("p.tsv", "a\t1\n\nb\t1\tc\tnan\n", "p.tsv:3: expected a finite float32 number, got 'nan'"),
        ("p.tsv", "a\t1e39\n", "p.tsv:1: expected a finite float32 number, got '1e39'"),
        ("p.tsv", "", "p.tsv: expected at least one row, got an empty file"),
        ("p.jsonl", "{\n", f"p.jsonl:1: expected {JSON}, got '{{'"),
        ("p.jsonl", "[]\n", f"p.jsonl:1: expected {JSON}, got '[]'"),
        ("p.jsonl", '{"labels": 1}\n', f"p.jsonl:1: expected {JSON}, got '{{\"labels\": 1}}'"),
        ("p.jsonl", '{"labels": [{"id": "a"}]}', f"p.jsonl:1: expected {JSON}, got "),
        ("p.jsonl", '{"labels": [{"score": 1}]}', f"p.jsonl:1: expected {JSON}, got "),
        (
            "p.jsonl",
            '{"labels": [{"id": "a", "score": true}]}',
            f"p.jsonl:1: expected {JSON}, got ",
        ),
        ("p.jsonl", '{"labels": [{"id": "a", "score": "x"}]}', f"p.jsonl:1: expected {JSON}, got "),
        (
            "p.jsonl",
            '{"labels": [{"id": "a", "score": NaN}]}',
            "p.jsonl:1: expected a finite float32 number, got 'nan'",
        ),
        ("p.jsonl", '{"labels": [{"id": "a", "score": "1"}]}', f"p.jsonl:1: expected {JSON}, got "),
        ("p.jsonl", '{"labels": [{"id": "", "score": 1}]}', f"p.jsonl:1: expected {JSON}, got "),
        (
            "p.jsonl",
            '{"labels": [{"id": "\\ud800", "score": 1}]}',
            f"p.jsonl:1: expected {JSON}, got ",
        ),
        ("p.jsonl", "[" * 100000, f"p.jsonl:1: expected {JSON}, got "),
    ],
)
def test_faults_in_predictions_have_a_line(tmp_path, monkeypatch, name, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read_predictions(name)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("ids", "names", "message"),
    [
        (IDS[:2], None, "p.tsv: expected 3 label ids, got 2"),
        (IDS, IDS[:2], "p.tsv: expected 3 label names, got 2"),
        (
            ["a", "b\tc", "d"],
            None,
            r"p.tsv: expected label ids without tab or line break .*, got 'b\\tc'",
        ),
    ],
)
def test_ids_that_do_not_fit_are_not_written(tmp_path, monkeypatch, ids, names, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        write_predictions("p.tsv", TOP, 3, label_ids=ids, label_names=names)
    assert list(tmp_path.iterdir()) == []


def test_commas_may_stand_in_the_ids_of_predictions(tmp_path):
    write_predictions(tmp_path / "p.tsv", TOP, 3, label_ids=["a,b", "c", "d"])
    assert read_predictions(tmp_path / "p.tsv").label_ids == ["a,b", "c", "d"]


def test_scores_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(
        DataError, match="expected finite values in the matrix, got NaN in row 0, column 1"
    ):
        write_predictions(tmp_path / "p.tsv", TopK(np.int32([[1]]), np.float32([[np.nan]])), 3)
