import numpy as np
import pytest
from numba import config, njit

from xmc.kernels.bytes import N_BYTES, count_bits, find_byte, sum_bytes


@njit
def find(a, offset, wanted):
    return find_byte(a, offset, wanted)


@njit
def total(a, offset, n):
    return sum_bytes(a, offset, n)


@njit
def n_bits(word):
    return count_bits(word)


@pytest.mark.parametrize("word", [0, 1, 0xFFFF_FFFF, 1 << 62, -1, 0x1234_5678_9ABC])
def test_bits_are_counted(word):
    assert n_bits(np.int64(word)) == bin(word % (1 << 64)).count("1")


@pytest.mark.parametrize("offset", [0, 3, 24])
def test_the_first_of_the_16_bytes_is_found(rng, offset):
    a = rng.integers(0, 20, 40).astype(np.uint8)
    for wanted in range(256):
        places = np.flatnonzero(a[offset : offset + N_BYTES] == wanted)
        assert find(a, np.int64(offset), np.uint8(wanted)) == (
            places[0] if len(places) else N_BYTES
        )


@pytest.mark.parametrize("offset", [0, 3, 24])
def test_sums_of_the_first_bytes(rng, offset):
    a = rng.integers(200, 256, 40).astype(np.uint8)
    for n in range(N_BYTES + 1):
        assert total(a, np.int64(offset), np.int64(n)) == a[offset : offset + n].sum(dtype=int)


@pytest.mark.skipif(
    not (config.BOUNDSCHECK or config.DISABLE_JIT),
    reason="compiled without bounds checks, as `make bounds` has them",
)
@pytest.mark.parametrize("offset", [-1, 25, 1 << 40])
def test_reading_past_the_end_raises(offset):
    a = np.zeros(40, np.uint8)
    with pytest.raises(IndexError):
        find(a, np.int64(offset), np.uint8(0))
    with pytest.raises(IndexError):
        total(a, np.int64(offset), np.int64(1))
