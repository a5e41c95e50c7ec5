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
    M = sp.csr_matrix(np.array([[0, 2, 0, 0], [1, 0, 3, 0], [0, 0, 0, 0]], np.float32))
    back = there_and_back(sp.csr_matrix, M)
    assert back.shape == M.shape
    assert (back != M).nnz == 0
    assert (back.data.dtype, back.indices.dtype) == (np.float32, M.indices.dtype)


def test_arrays_come_back_read_only():
    back = there_and_back(list[np.ndarray], [np.arange(3)])
    with pytest.raises(ValueError, match="read-only"):
        back[0][0] = 1


def test_numbers_of_numpy_become_plain():
    plan, _ = pack_value([np.float64(0.5), np.int32(3), None, "text"])
    assert plan == [0.5, 3, None, "text"]
    assert [type(own) for own in plan] == [float, int, type(None), str]


def test_tuples_and_lists_of_any_length_keep_their_kind():
    for kind, value in ((tuple[int, ...], (1, 2, 3)), (list[int], [1, 2]), (tuple[int, ...], ())):
        back = there_and_back(kind, value)
        assert (type(back), back) == (type(value), value)


def test_tuples_of_mixed_types_have_each_its_own():
    kind = tuple[int, np.ndarray, list[float]]
    n, array, numbers = there_and_back(kind, (3, np.arange(2), [0.5]))
    assert (n, array.tolist(), numbers) == (3, [0, 1], [0.5])


@pytest.mark.parametrize("kind", [Page, tuple[int, np.ndarray]])
@pytest.mark.parametrize("plan", [[3], [3, ["f4", 1], 7]])
def test_a_plan_of_another_length_is_refused(kind, plan):
    with pytest.raises(ValueError, match="zip"):
        unpack_value(kind, plan, {"f4": np.ones(1, np.float32)})


def test_a_plan_that_takes_more_than_there_is_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        unpack_value(list[np.ndarray], [["f4", 2], ["f4", 2]], {"f4": np.ones(3, np.float32)})


def test_parts_of_a_dict_lie_in_the_order_of_their_names():
    plan, arrays = pack_value({"b": np.ones(1), "a": np.zeros(2)})
    assert (list(plan), arrays["f8"].tolist()) == (["a", "b"], [0, 0, 1])


def test_what_comes_back_is_a_part_of_what_was_packed():
    M = sp.csr_matrix(np.float32([[0, 2], [1, 0]]))
    plan, arrays = pack_value((M, np.arange(3, dtype=np.int8)))
    back, own = unpack_value(tuple[sp.csr_matrix, np.ndarray], plan, arrays)
    assert np.shares_memory(back.data, arrays["f4"])
    assert np.shares_memory(own, arrays["i1"])


def test_an_array_of_any_layout_is_packed_row_by_row():
    turned = np.arange(6).reshape(2, 3).T
    assert there_and_back(np.ndarray, turned).tolist() == turned.tolist()
    assert there_and_back(np.ndarray, np.array(7)).shape == ()
