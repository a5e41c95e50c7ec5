import numpy as np
import pytest
import scipy.sparse as sp

from xmc.checksums import checksum


@pytest.mark.parametrize(
    "values",
    [
        ([1], [1.0]),
        (["ab", "c"], ["a", "bc"]),
        (["1"], [1]),
        ([None], ["None"]),
        ([[], ["a"]], [["a"], []]),
        (np.arange(4), np.arange(4).reshape(2, 2)),
        (np.arange(4), np.arange(4, dtype=np.int32)),
        (sp.csr_matrix((2, 3)), sp.csr_matrix((3, 2))),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
    ],
)
def test_different_values_have_different_checksums(values):
    assert checksum(values[0]) != checksum(values[1])


def test_equal_values_have_equal_checksums():
    M = sp.random(5, 4, 0.5, "csr", random_state=0)
    assert checksum(M) == checksum(M.tocoo())
    assert checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1})
    assert checksum(np.array(["a", None], object)) == checksum(["a", None])
