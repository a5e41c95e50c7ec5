import naive_parse as naive
import numpy as np
import pytest

from xmc.kernels import parse


def as_text(text):
    array = np.frombuffer(text.encode(), np.uint8)
    array.flags.writeable = False
    return array


def parse_rows(text, base=0, n_labels=1000, n_features=1000, comment="\n", n_doubts=1000):
    data = as_text(text)
    lines, colons, commas = parse.count_marks(data)
    labels, label_ptr = np.full(lines + commas, -1, np.int32), np.zeros(lines + 1, np.int64)
    features, feature_ptr = np.full(colons, -1, np.int32), np.zeros(lines + 1, np.int64)
    values, doubts = np.zeros(colons, np.float32), np.zeros((n_doubts, 2), np.int64)
    arrays = labels, label_ptr, features, values, feature_ptr, doubts
    fault, place, n_rows, doubtful = parse.parse_rows(
        data, 0, base, n_labels, n_features, ord(comment), *arrays
    )
    for entry, at in doubts[: min(doubtful, n_doubts)]:
        token = text[at:].split()[0]
        values[entry] = naive.nearest_float32(token)
    rows = [
        (labels[a:b].tolist(), features[c:d].tolist(), values[c:d].tolist())
        for a, b, c, d in zip(label_ptr, label_ptr[1:], feature_ptr, feature_ptr[1:], strict=False)
    ]
    return fault, place, rows[:n_rows], doubtful


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
    assert parse.count_marks(as_text("1,2 3:4\n5,6,7 8:9 1:1\n")) == (2, 3, 3)
    assert parse.count_marks(as_text("")) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("base", [0, 1])
def test_rows_agree_with_the_slow_twin(seed, base):
    lines = random_rows(np.random.default_rng(seed), 40, base)
    fault, _, rows, _ = parse_rows("\n".join(lines) + "\n", base)
    assert fault == parse.FINE
    assert rows == naive.parse_rows(lines, base)


@pytest.mark.parametrize(
    "line", ["", " ", "3", "3,4", "1:2", " 1:2", "3 1:2", "3,4\t1:2\t5:6 ", "3 1:2\r"]
)
def test_one_row_agrees_with_the_slow_twin(line):
    fault, _, rows, _ = parse_rows(line + "\n")
    assert fault == parse.FINE
    assert rows == naive.parse_rows([line], 0)


def test_no_text_is_no_row():
    assert parse_rows("") == (parse.FINE, 0, [], 0)


def test_a_line_of_comment_alone_is_no_row():
    text = "# head\n1 2:3 # tail 4:5, six\n  # inside\n7#8\n9 1:2#3\n\n"
    fault, _, rows, _ = parse_rows(text, comment="#")
    assert fault == parse.FINE
    assert rows == [([1], [2], [3.0]), ([7], [], []), ([9], [1], [2.0]), ([], [], [])]


@pytest.mark.parametrize(
    ("text", "fault", "token"),
    [
        ("1 2:3\n4 7\n", parse.BAD_FEATURE, "7\n"),
        ("1 2:3 x\n", parse.BAD_FEATURE, "x"),
        ("1 2:3 -1:2\n", parse.BAD_FEATURE, "-1:2"),
        ("1 2:3 :2\n", parse.BAD_FEATURE, ":2"),
        ("1 2:3 # 4\n", parse.BAD_FEATURE, "# 4"),
        ("1,,2 3:4\n", parse.BAD_LABEL, "1,,2"),
        ("1,2, 3:4\n", parse.BAD_LABEL, "1,2, "),
        ("1,2:3\n", parse.BAD_LABEL, "1,2:3"),
        ("-1\n", parse.BAD_LABEL, "-1"),
        (":1\n", parse.BAD_LABEL, ":1"),
        ("1.5 3:4\n", parse.BAD_LABEL, "1.5"),
        ("1,1000 3:4\n", parse.LABEL_RANGE, "1000 3"),
        ("99999999999999999999 3:4\n", parse.LABEL_RANGE, "9999999"),
        ("1 1000:4\n", parse.FEATURE_RANGE, "1000:4"),
        ("1 99999999999999999999:4\n", parse.FEATURE_RANGE, "9999999"),
        ("1 2:\n", parse.BAD_VALUE, "2:"),
        ("1 2:.\n", parse.BAD_VALUE, "2:."),
        ("1 2:-\n", parse.BAD_VALUE, "2:-"),
        ("1 2:e5\n", parse.BAD_VALUE, "2:e5"),
        ("1 2:1e\n", parse.BAD_VALUE, "2:1e"),
        ("1 2:1e+\n", parse.BAD_VALUE, "2:1e+"),
        ("1 2:1.2.3\n", parse.BAD_VALUE, "2:1.2.3"),
        ("1 2:0x1\n", parse.BAD_VALUE, "2:0x1"),
        ("1 2:nan\n", parse.BAD_VALUE, "2:nan"),
        ("1 2:-inf\n", parse.BAD_VALUE, "2:-inf"),
        ("1 2:1e39\n", parse.BAD_VALUE, "2:1e39"),
        ("1 2:1e999999999999999\n", parse.BAD_VALUE, "2:1e9"),
        ("1 2:3:4\n", parse.BAD_VALUE, "2:3:4"),
    ],
)
def test_a_fault_is_placed_where_its_token_begins(text, fault, token):
    got, place, _, _ = parse_rows(text)
    assert got == fault
    assert text[place:].startswith(token)


def test_ids_below_the_base_are_out_of_range():
    assert parse_rows("0 1:2\n", base=1)[0] == parse.LABEL_RANGE
    assert parse_rows("1 0:2\n", base=1)[0] == parse.FEATURE_RANGE
    assert parse_rows("1000 1000:2\n", base=1)[0] == parse.FINE


@pytest.mark.parametrize("seed", range(3))
def test_sure_values_are_the_nearest_float32(seed):
    rng = np.random.default_rng(seed)
    tokens = [random_token(rng) for _ in range(300)]
    for token in tokens:
        value, end, sure = parse.read_value(as_text(token + "\n"), 0)
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
    got, _, sure = parse.read_value(as_text(token + "\n"), 0)
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
    assert parse_rows(text)[3] == 4


def test_doubts_without_room_are_still_counted():
    assert parse_rows("1:16777217.0 2:16777219.0 3:16777221.0\n", n_doubts=1)[3] == 3
