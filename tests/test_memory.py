import sys

import numpy as np
import pytest

from xmc.memory import LARGE, resident_bytes, return_freed_arrays


def test_memory_in_use_is_counted_in_bytes():
    before = resident_bytes()
    array = np.ones(1 << 23)
    assert resident_bytes() - before == pytest.approx(array.nbytes, rel=0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_large_arrays_go_back_when_they_are_freed():
    """After a freed array of 30 MiB, which would teach glibc to keep smaller ones."""
    return_freed_arrays()
    np.ones(30 << 17)
    before = resident_bytes()
    kept = [np.ones(2 * LARGE // 8) for _ in range(10)]
    top = np.ones(1 << 10)  # stands above them, had they been cut from the heap
    kept.clear()
    assert resident_bytes() - before < LARGE
    assert top.all()
