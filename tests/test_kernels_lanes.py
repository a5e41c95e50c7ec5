import operator

import numpy as np
import pytest
from numba import config, njit

from xmc.kernels import lanes
from xmc.kernels.lanes import N_LANES, fill, fma, largest, load, prefetch, reaches, store

SPECIAL = np.float32([0.0, -0.0, np.inf, -np.inf, 1.0, -1.0, 3e38, -3e38, 1e-42, -1e-42])
BINARY = {
    "add": (operator.add, np.add),
    "sub": (operator.sub, np.subtract),
    "mul": (operator.mul, np.multiply),
    "truediv": (operator.truediv, np.divide),
    "maximum": (lanes.maximum, np.maximum),
    "minimum": (lanes.minimum, np.minimum),
    "copysign": (lanes.copysign, np.copysign),
}


def values(rng):
    """16 random numbers, half of them special."""
    return rng.permutation(
        np.concatenate([rng.choice(SPECIAL, 8), rng.normal(size=8).astype(np.float32)])
    )


def same(a, b, zeros=True):
    """Whether two arrays are equal, NaN included and, if wanted, the signs of zeros."""
    signs = np.array_equal(np.signbit(a[a == 0]), np.signbit(b[a == 0])) if zeros else True
    return np.array_equal(a, b, equal_nan=True) and signs


@pytest.fixture
def checked(monkeypatch):
    """Kernels that are compiled in the test check their bounds."""
    monkeypatch.setattr(config, "BOUNDSCHECK", 1)


@pytest.mark.parametrize("name", BINARY)
def test_operation_of_two_equals_numpys(rng, name):
    ours, numpys = BINARY[name]

    @njit
    def apply(a, b, out):
        store(out, np.int64(0), ours(load(a, np.int64(0)), load(b, np.int64(0))))

    out = np.empty(N_LANES, np.float32)
    for _ in range(50):
        a, b = values(rng), values(rng)
        with np.errstate(all="ignore"):
            apply(a, b, out)
            expected = numpys(a, b)
        assert same(
            out, expected, zeros=name not in ("maximum", "minimum")
        )  # of two zeros, either may be the larger


def test_absolute_equals_numpys(rng):
    @njit
    def apply(a, out):
        store(out, np.int64(0), lanes.absolute(load(a, np.int64(0))))

    out = np.empty(N_LANES, np.float32)
    for _ in range(20):
        a = values(rng)
        apply(a, out)
        assert same(out, np.abs(a))


def test_largest_equals_numpys(rng):
    @njit
    def apply(a):
        return largest(load(a, np.int64(0)))

    for a in [values(rng) for _ in range(20)] + [
        np.full(N_LANES, -np.inf, np.float32),
        np.float32(range(-16, 0)),
    ]:
        assert apply(a) == a.max()


def test_reaches_tells_whether_one_is_as_large(rng):
    @njit
    def apply(a, least):
        return reaches(load(a, np.int64(0)), least)

    for _ in range(50):
        a = values(rng)
        for least in (*a[:3], np.float32(-np.inf), np.float32(np.inf), np.nextafter(a[3], np.inf)):
            assert apply(a, np.float32(least)) is bool((a >= least).any())
    below = np.full(N_LANES, -2, np.float32)
    for lane in range(N_LANES):
        one = below.copy()
        one[lane] = -1
        assert apply(one, np.float32(-1)) and not apply(below, np.float32(-1))


def test_fill_writes_one_value_into_every_lane():
    @njit
    def apply(value, out):
        store(out, np.int64(0), fill(value))

    out = np.empty(N_LANES, np.float32)
    for value in SPECIAL:
        apply(value, out)
        assert same(out, np.full(N_LANES, value))


def test_fma_equals_the_exact_product_and_sum_rounded(rng):
    @njit
    def apply(value, a, b, out):
        store(out, np.int64(0), fma(value, load(a, np.int64(0)), load(b, np.int64(0))))

    out = np.empty(N_LANES, np.float32)
    for _ in range(50):
        a, b = rng.normal(size=(2, N_LANES)).astype(np.float32)
        value = np.float32(rng.normal())
        apply(value, a, b, out)
        exact = np.float64(value) * a + b
        assert (np.abs(out - exact) <= 1.2e-7 * (np.abs(np.float64(value) * a) + np.abs(b))).all()


def test_fma_of_special_values_equals_numpys(rng):
    @njit
    def apply(value, a, b, out):
        store(out, np.int64(0), fma(value, load(a, np.int64(0)), load(b, np.int64(0))))

    out = np.empty(N_LANES, np.float32)
    exact = np.float32([0.0, -0.0, np.inf, -np.inf, 1, -2])  # products and sums need no rounding
    with np.errstate(all="ignore"):
        for value in exact:
            a, b = rng.choice(exact, N_LANES), rng.choice(exact, N_LANES)
            apply(value, a, b, out)
            assert same(out, value * a + b)


@pytest.mark.parametrize("offset", [0, 1, 15, 24])
def test_load_and_store_move_16_values_from_an_offset_on(rng, offset):
    @njit
    def copy(source, at, target, to):
        store(target, to, load(source, at))

    source, target = rng.normal(size=(2, 40)).astype(np.float32)
    expected = target.copy()
    expected[24 - offset : 40 - offset] = source[offset : offset + 16]
    copy(source, np.int64(offset), target, np.int64(24 - offset))
    assert same(target, expected)


def test_load_gives_values_and_no_view():
    @njit
    def swap(a):
        first, second = load(a, np.int64(0)), load(a, np.int64(N_LANES))
        store(a, np.int64(0), second)
        store(a, np.int64(N_LANES), first)

    a = np.arange(2 * N_LANES, dtype=np.float32)
    swap(a)
    assert a.tolist() == [*range(16, 32), *range(16)]


@pytest.mark.parametrize("offset", [-1, -16, -24, 25, 39, 40, 1 << 40])
def test_load_out_of_range_raises(checked, offset):
    @njit
    def read(a, at):
        return largest(load(a, at))

    with pytest.raises(IndexError):
        read(np.zeros(40, np.float32), np.int64(offset))


@pytest.mark.parametrize("offset", [-1, -16, -24, 25, 39, 40, 1 << 40])
def test_store_out_of_range_raises(checked, offset):
    @njit
    def write(a, at):
        store(a, at, fill(np.float32(1)))

    a = np.zeros(40, np.float32)
    with pytest.raises(IndexError):
        write(a, np.int64(offset))
    assert not a.any()


def test_nothing_holds_no_lanes(checked):
    @njit
    def read(a):
        return largest(load(a, np.int64(0)))

    with pytest.raises(IndexError):
        read(np.zeros(0, np.float32))


@pytest.mark.parametrize("offset", [-1, 0, 39, 40, 1 << 40])
def test_prefetch_is_safe_at_any_offset_and_changes_nothing(checked, offset):
    @njit
    def ask(a, at):
        prefetch(a, at)
        return a.sum()

    a = np.arange(40, dtype=np.float32)
    assert ask(a, np.int64(offset)) == 780
    assert ask(np.zeros(0, np.int32), np.int64(offset)) == 0
