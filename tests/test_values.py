from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.io.values import pack_value, unpack_value


class Page(NamedTuple):
    shift: int
    weight: np.ndarray


class Chunk(NamedTuple):
    pages: list[Page]
    names: dict[str, np.ndarray]
    facts: dict[str, Any]
    pair: tuple[int, float]


def there_and_back(kind, value):
    return unpack_value(kind, *pack_value(value))


def test_a_value_of_nested_parts_comes_back():
    pages = [Page(3, np.array([1.5, 2], np.float32)), Page(0, np.empty((0, 2), np.float32))]
    names = {"b": np.arange(3), "a": np.array([[1, 2], [3, 4]])}
    chunk = Chunk(pages, names, {"P@1": 0.1, "n": 2}, (1, 0.1 + 0.2))
    back = there_and_back(Chunk, chunk)
    assert isinstance(back, Chunk)
    assert back.facts == chunk.facts
    assert back.pair == chunk.pair
    for own, found in zip(pages, back.pages, strict=True):
        assert (own.shift, own.weight.tobytes()) == (found.shift, found.weight.tobytes())
        assert (own.weight.dtype, own.weight.shape) == (found.weight.dtype, found.weight.shape)
    assert all((back.names[name] == names[name]).all() for name in names)


def test_arrays_of_a_dtype_lie_in_one():
    plan, arrays = pack_value([np.arange(2), np.ones(3), np.arange(4, 6)])
    assert plan == [["i8", 2], ["f8", 3], ["i8", 2]]
    assert arrays["i8"].tolist() == [0, 1, 4, 5]


def test_a_matrix_comes_back_with_its_dtypes():
    M = sp.csr_matrix(np.array([[0, 2, 0], [1, 0, 3]], np.float32))
    back = there_and_back(sp.csr_matrix, M)
    assert back.shape == M.shape
    assert (back != M).nnz == 0
    assert (back.data.dtype, back.indices.dtype) == (np.float32, M.indices.dtype)


def test_arrays_come_back_read_only():
    back = there_and_back(list[np.ndarray], [np.arange(3)])
    with pytest.raises(ValueError, match="read-only"):
        back[0][0] = 1


def test_numbers_of_numpy_become_plain():
    assert pack_value([np.float64(0.5), np.int32(3), None, "text"])[0] == [0.5, 3, None, "text"]
