import naive_parse as naive
import numpy as np
import pytest

from xmc.kernels import format as fmt

SPECIAL = [
    0,
    1,
    2,
    9,
    0x7FFFFF,
    0x800000,
    0x800001,
    0x7F7FFFFF,
    0x3F800000,
    0x4B800000,
    0x4B800001,
    0x33800000,
]


def frozen(values, dtype):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def texts(bits):
    out = np.zeros(len(bits) * (fmt.VALUE_BYTES + 1), np.uint8)
    used = fmt.format_values(frozen(bits, np.uint32).view(np.int32), out)
    return out[:used].tobytes().decode().split("\n")[:-1]


def finite_bits(rng, count):
    bits = rng.integers(0, 2**32, count, dtype=np.uint32)
    return bits[np.isfinite(bits.view(np.float32))]


def both_signs(bits):
    bits = np.asarray(bits, np.uint32)
    return np.concatenate([bits, bits | np.uint32(0x80000000)])


@pytest.mark.parametrize(
    "bits",
    [
        pytest.param(finite_bits(np.random.default_rng(0), 1000), id="any"),
        pytest.param(both_signs(np.arange(255) << 23), id="powers of two"),
        pytest.param(both_signs((np.arange(1, 256) << 23) - 1), id="before powers of two"),
        pytest.param(both_signs(np.random.default_rng(1).integers(0, 2**23, 300)), id="subnormal"),
        pytest.param(
            both_signs(np.random.default_rng(2).integers(0x38000000, 0x3F800000, 300)), id="tf-idf"
        ),
        pytest.param(np.arange(1, 2000, 7, dtype=np.float32).view(np.uint32), id="counts"),
        pytest.param(both_signs(SPECIAL), id="special"),
        pytest.param(
            np.array([f"1e{e}" for e in range(-45, 39)], np.float32).view(np.uint32),
            id="powers of ten",
        ),
    ],
)
def test_numbers_agree_with_numpys_shortest(bits):
    assert texts(bits) == [naive.shortest(value) for value in bits.view(np.float32)]


def test_numbers_read_back_to_the_same_bits():
    bits = finite_bits(np.random.default_rng(3), 1000)
    back = np.array([naive.nearest_float32(text) for text in texts(bits)])
    assert np.array_equal(back.view(np.uint32), bits)


def test_no_number_is_longer_than_the_room_for_it():
    longest = np.array(
        ["-1.2345679e-38", "-0.00012345678", "-1234567900000000", "1.1754944e-38"], np.float32
    )
    assert max(map(len, texts(longest.view(np.uint32)))) == fmt.VALUE_BYTES


def format_rows(rows, base, first=0, last=None):
    labels, features, values = (
        frozen(sum((row[i] for row in rows), []), t) for i, t in enumerate("iif")
    )
    label_ptr, feature_ptr = (
        frozen(np.cumsum([0] + [len(row[i]) for row in rows]), np.int64) for i in (0, 1)
    )
    out = np.zeros(
        len(rows) + len(labels) * fmt.LABEL_BYTES + len(features) * fmt.FEATURE_BYTES, np.uint8
    )
    last = len(rows) if last is None else last
    bits = values.view(np.int32)
    bits.flags.writeable = False
    used = fmt.format_rows(first, last, base, labels, label_ptr, features, bits, feature_ptr, out)
    return out[:used].tobytes().decode()


def random_rows(rng, n_rows):
    return [
        (
            rng.integers(0, 2**31 - 1, rng.integers(0, 4)).tolist(),
            (f := rng.integers(0, 2**31 - 1, rng.integers(0, 4)).tolist()),
            [np.float32(v) for v in rng.normal(size=len(f))],
        )
        for _ in range(n_rows)
    ]


@pytest.mark.parametrize("base", [0, 1])
def test_rows_agree_with_the_slow_twin(base):
    rows = random_rows(np.random.default_rng(4), 50)
    assert format_rows(rows, base) == "".join(naive.format_rows(rows, base))


@pytest.mark.parametrize(
    "row", [([], [], []), ([3], [], []), ([], [0], [1.5]), ([0, 7], [1, 2], [-0.0, 1e-9])]
)
def test_one_row_agrees_with_the_slow_twin(row):
    row = (*row[:2], [np.float32(v) for v in row[2]])
    assert format_rows([row], 0) == naive.format_rows([row], 0)[0]


def test_no_rows_are_no_text():
    assert format_rows([], 0) == ""


def test_a_range_of_rows_is_written():
    rows = random_rows(np.random.default_rng(5), 5)
    assert format_rows(rows, 0, 2, 4) == "".join(naive.format_rows(rows[2:4], 0))


def test_rows_of_the_widest_numbers_fit_their_room():
    row = ([2**31 - 2] * 3, [2**31 - 2] * 3, [np.float32("-1.2345679e15")] * 3)
    assert format_rows([row], 1) == naive.format_rows([row], 1)[0]
