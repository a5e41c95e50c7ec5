import re

import naive_parse as naive
import numpy as np
import pytest

from xmc.kernels import parse as kernels


def as_text(text):
    array = np.frombuffer(text.encode(), np.uint8)
    array.flags.writeable = False
    return array


def parse(text, base=0, n_labels=1000, n_features=1000, comment="\n", n_doubts=1000, weighted=0):
    """(fault, place, rows of labels, weights, features and values, number of doubts)."""
    data = as_text(text)
    lines, colons, commas = kernels.count_marks(data)
    labels, label_ptr = np.full(lines + commas, -1, np.int32), np.zeros(lines + 1, np.int64)
    features, feature_ptr = np.full(colons, -1, np.int32), np.zeros(lines + 1, np.int64)
    weights, values = np.zeros(lines + commas, np.float32), np.zeros(colons, np.float32)
    doubts = np.zeros((n_doubts, 2), np.int64)
    arrays = labels, weights, label_ptr, features, values, feature_ptr, doubts
    fault, place, n_rows, doubtful = kernels.parse_rows(
        data, 0, base, n_labels, n_features, ord(comment), weighted, *arrays
    )
    for entry, at in doubts[: min(doubtful, n_doubts)]:
        exact = naive.nearest_float32(re.split(r"[\s,]", text[at:])[0])
        into, place_of = (values, entry) if entry >= 0 else (weights, -1 - entry)
        into[place_of] = exact
    parts = (
        (label_ptr, labels),
        (label_ptr, weights),
        (feature_ptr, features),
        (feature_ptr, values),
    )
    rows = [tuple(a[ptr[i] : ptr[i + 1]].tolist() for ptr, a in parts) for i in range(n_rows)]
    return fault, place, rows, doubtful


def random_token(rng):
    digits = "".join(rng.choice(list("0123456789"), rng.integers(1, 25)))
    at = rng.integers(0, len(digits) + 1)
    point = digits[:at] + "." + digits[at:] if rng.random() < 0.7 else digits
    exponent = f"{rng.choice(['e', 'E'])}{rng.choice(['', '+', '-'])}{rng.integers(0, 45)}"
    return rng.choice(["", "-", "+"]) + point + (exponent if rng.random() < 0.6 else "")


def random_rows(rng, n_rows, base):
    lines = []
    for _ in range(n_rows):
        labels = ",".join(str(label + base) for label in rng.integers(0, 900, rng.integers(0, 4)))
        pairs = [
            f"{f + base}:{np.float32(rng.normal())}"
            for f in rng.integers(0, 900, rng.integers(0, 6))
        ]
        lines.append(labels + "".join(f"{rng.choice([' ', '  ', chr(9)])}{pair}" for pair in pairs))
    return lines


def test_marks_are_counted():
    assert kernels.count_marks(as_text("1,2 3:4\n5,6,7 8:9 1:1\n")) == (2, 3, 3)
    assert kernels.count_marks(as_text("")) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("base", [0, 1])
def test_rows_agree_with_the_slow_twin(seed, base):
    lines = random_rows(np.random.default_rng(seed), 40, base)
    fault, _, rows, _ = parse("\n".join(lines) + "\n", base)
    assert fault == kernels.FINE
    assert rows == naive.parse_rows(lines, base)


@pytest.mark.parametrize(
    "line", ["", " ", "3", "3,4", "1:2", " 1:2", "3 1:2", "3,4\t1:2\t5:6 ", "3 1:2\r"]
)
def test_one_row_agrees_with_the_slow_twin(line):
    fault, _, rows, _ = parse(line + "\n")
    assert fault == kernels.FINE
    assert rows == naive.parse_rows([line], 0)


def test_no_text_is_no_row():
    assert parse("") == (kernels.FINE, 0, [], 0)


def test_a_line_of_comment_alone_is_no_row():
    text = "# head\n1 2:3 # tail 4:5, six\n  # inside\n7#8\n9 1:2#3\n\n"
    fault, _, rows, _ = parse(text, comment="#")
    assert fault == kernels.FINE
    expected = [([1], [2], [3.0]), ([7], [], []), ([9], [1], [2.0]), ([], [], [])]
    assert [(labels, *pairs) for labels, _, *pairs in rows] == expected


@pytest.mark.parametrize(
    ("text", "fault", "token"),
    [
        ("1 2:3\n4 7\n", kernels.BAD_FEATURE, "7\n"),
        ("1 2:3 x\n", kernels.BAD_FEATURE, "x"),
        ("1 2:3 -1:2\n", kernels.BAD_FEATURE, "-1:2"),
        ("1 2:3 :2\n", kernels.BAD_FEATURE, ":2"),
        ("1 2:3 # 4\n", kernels.BAD_FEATURE, "# 4"),
        ("1,,2 3:4\n", kernels.BAD_LABEL, "1,,2"),
        ("1,2, 3:4\n", kernels.BAD_LABEL, "1,2, "),
        ("1,2:3\n", kernels.WEIGHTS, "2:3"),
        ("1:2,3 4:5\n", kernels.WEIGHTS, "1:2,3"),
        (" 1:2,3 4:5\n", kernels.WEIGHTS, "1:2,3"),
        ("1:2, 3 4:5\n", kernels.WEIGHTS, "1:2, 3"),
        ("1, 2, 3:4\n", kernels.BAD_LABEL, "1, 2, "),
        ("1, \n", kernels.BAD_LABEL, "1, \n"),
        ("1, x 3:4\n", kernels.BAD_LABEL, "1, x"),
        ("1 , 2 3:4\n", kernels.BAD_FEATURE, ", 2"),
        ("-1\n", kernels.BAD_LABEL, "-1"),
        (":1\n", kernels.BAD_LABEL, ":1"),
        ("1.5 3:4\n", kernels.BAD_LABEL, "1.5"),
        ("1,1000 3:4\n", kernels.LABEL_RANGE, "1000 3"),
        ("99999999999999999999 3:4\n", kernels.LABEL_RANGE, "9999999"),
        ("1 1000:4\n", kernels.FEATURE_RANGE, "1000:4"),
        ("1 99999999999999999999:4\n", kernels.FEATURE_RANGE, "9999999"),
        ("1 2:\n", kernels.BAD_VALUE, "2:"),
        ("1 2:.\n", kernels.BAD_VALUE, "2:."),
        ("1 2:-\n", kernels.BAD_VALUE, "2:-"),
        ("1 2:e5\n", kernels.BAD_VALUE, "2:e5"),
        ("1 2:1e\n", kernels.BAD_VALUE, "2:1e"),
        ("1 2:1e+\n", kernels.BAD_VALUE, "2:1e+"),
        ("1 2:1.2.3\n", kernels.BAD_VALUE, "2:1.2.3"),
        ("1 2:0x1\n", kernels.BAD_VALUE, "2:0x1"),
        ("1 2:nan\n", kernels.BAD_VALUE, "2:nan"),
        ("1 2:-inf\n", kernels.BAD_VALUE, "2:-inf"),
        ("1 2:1e39\n", kernels.BAD_VALUE, "2:1e39"),
        ("1 2:1e999999999999999\n", kernels.BAD_VALUE, "2:1e9"),
        ("1 2:3:4\n", kernels.BAD_VALUE, "2:3:4"),
    ],
)
def test_a_fault_is_placed_where_its_token_begins(text, fault, token):
    got, place, _, _ = parse(text)
    assert got == fault
    assert text[place:].startswith(token)


@pytest.mark.parametrize(
    ("text", "fault", "token"),
    [
        ("1:0,2 3:4\n", kernels.BAD_WEIGHT, "1:0,"),
        ("1:1,2:-0.5 3:4\n", kernels.BAD_WEIGHT, "2:-0.5"),
        ("1:1,2:1e39\n", kernels.BAD_WEIGHT, "2:1e39"),
        ("1:1,2:1e-60\n", kernels.BAD_WEIGHT, "2:1e-60"),
        ("1:nan,2\n", kernels.BAD_WEIGHT, "1:nan"),
        ("1:,2\n", kernels.BAD_WEIGHT, "1:,"),
        ("1:0.5:2,2\n", kernels.BAD_WEIGHT, "1:0.5:2"),
        ("3:0 1:2\n", kernels.BAD_WEIGHT, "3:0"),
        ("1:0.5,1000:2 3:4\n", kernels.LABEL_RANGE, "1000:2"),
        ("1:0.5,,2 3:4\n", kernels.BAD_LABEL, "1:0.5,,"),
        ("1:0.5, 3\n 1:2,x\n", kernels.BAD_LABEL, "1:2,x"),
    ],
)
def test_faults_among_labels_with_weights(text, fault, token):
    got, place, _, _ = parse(text, weighted=1)
    assert got == fault
    assert text[place:].startswith(token)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("base", [0, 1])
def test_rows_of_weighted_labels_agree_with_the_slow_twin(seed, base):
    rng = np.random.default_rng(seed)
    lines = [*random_rows(rng, 40, base), "1:0.5,2 3:4"]
    for i in range(0, 40, 2):
        labels, rest = re.fullmatch(r"([\d,]*)(.*)", lines[i]).groups()
        weights = rng.choice(["", ":1", ":0.25", ":3e-5"], labels.count(",") + 1)
        pairs = zip(labels.split(",") if labels else [], weights, strict=False)
        lines[i] = rng.choice([",", ", "]).join(map("".join, pairs)) + rest
    fault, _, rows, _ = parse("\n".join(lines) + "\n", base, weighted=1)
    assert fault == kernels.FINE
    assert rows == naive.parse_rows(lines, base)


def test_a_blank_may_follow_a_comma_between_labels():
    assert parse("545, 32 8:1\n1,\t2\n")[2] == [
        ([545, 32], [1, 1], [8], [1]),
        ([1, 2], [1, 1], [], []),
    ]


def test_doubtful_weights_are_told_from_doubtful_values():
    text = "1:16777217.0,2:1 5:16777219.0\n"
    fault, _, rows, doubtful = parse(text, weighted=1)
    assert (fault, doubtful) == (kernels.FINE, 2)
    assert rows == [([1, 2], [16777216, 1], [5], [16777220])]


def test_ids_below_the_base_are_out_of_range():
    assert parse("0 1:2\n", base=1)[0] == kernels.LABEL_RANGE
    assert parse("1 0:2\n", base=1)[0] == kernels.FEATURE_RANGE
    assert parse("1000 1000:2\n", base=1)[0] == kernels.FINE


@pytest.mark.parametrize("seed", range(3))
def test_sure_values_are_the_nearest_float32(seed):
    rng = np.random.default_rng(seed)
    tokens = [random_token(rng) for _ in range(300)]
    for token in tokens:
        value, end, sure = kernels.read_value(as_text(token + "\n"), 0)
        expected = naive.nearest_float32(token)
        assert end == len(token)
        assert not sure or (value == expected and np.signbit(value) == np.signbit(expected)), token


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("0", 0.0),
        ("-0.000", -0.0),
        ("0e99", 0.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1E+2", 100.0),
        ("000000000000000000000000000000000000000012", 12.0),
        ("1" + "0" * 30, 1e30),
        ("0." + "0" * 30 + "1", 1e-31),
        ("1e-46", 0.0),
        ("1e-45", 1e-45),
        ("1e-999999999999", 0.0),
        ("16777217", 16777216.0),
        ("16777219", 16777220.0),
        ("3.4028235e38", 3.4028235e38),
        ("1.17549435e-38", 1.17549435e-38),
    ],
)
def test_odd_spellings_are_read(token, value):
    got, _, sure = kernels.read_value(as_text(token + "\n"), 0)
    assert sure
    assert np.float32(got).tobytes() == np.float32(value).tobytes()


@pytest.mark.filterwarnings(
    "ignore:overflow"
)  # numpy warns where the compiled kernel just gets infinity
def test_values_near_the_middle_of_two_float32s_are_left_to_exact_arithmetic():
    tokens = [
        "1.000000059604644775390625",
        "1.00000005960464477539062500001",
        "16777217.0",
        "3.4028235677973366e38",
    ]
    text = " ".join(f"{i}:{token}" for i, token in enumerate(tokens)) + "\n"
    assert parse(text)[3] == 4


def test_doubts_without_room_are_still_counted():
    assert parse("1:16777217.0 2:16777219.0 3:16777221.0\n", n_doubts=1)[3] == 3
