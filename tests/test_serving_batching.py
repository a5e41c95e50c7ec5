"""Batches are made of what waits, and answers go to who asked."""

import asyncio
import threading

import pytest

from xmc.serving.batching import MOST_TOGETHER, Batcher


class Model:
    """Answers each item with itself and k; holds each call until it may go on."""

    def __init__(self, held=False):
        self.calls, self.may_go_on = [], threading.Event()
        if not held:
            self.may_go_on.set()

    def answers(self, items, k):
        self.calls.append(list(items))
        self.may_go_on.wait(10)
        if "bad" in items:
            raise ValueError("bad")
        return [(item, k) for item in items]


async def together(model, *questions, released_after=0.05):
    """The answers to questions that are asked while the first is being answered."""
    batcher = Batcher(lambda size: None)
    tasks = []
    for question in questions:
        tasks.append(asyncio.create_task(batcher.ask(*question)))
        await asyncio.sleep(released_after if len(tasks) == 1 else 0)
    await asyncio.sleep(0)
    model.may_go_on.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_comes_during_a_call_is_the_next_call_together():
    model = Model(held=True)
    answers = asyncio.run(together(model, *((model, [n], 3) for n in range(5))))
    assert answers == [[(n, 3)] for n in range(5)]
    assert model.calls == [[0], [1, 2, 3, 4]]


def test_a_lone_question_is_asked_at_once():
    model = Model()
    assert asyncio.run(Batcher(lambda size: None).ask(model, ["a"], 1)) == [("a", 1)]
    assert model.calls == [["a"]]


def test_each_k_has_its_own_call():
    model = Model(held=True)
    questions = [(model, [n], k) for n, k in enumerate((1, 1, 2, 1, 2))]
    answers = asyncio.run(together(model, *questions))
    assert answers == [[(n, k)] for n, k in enumerate((1, 1, 2, 1, 2))]
    assert model.calls == [[0], [1, 3], [2, 4]]


def test_each_is_answered_by_the_model_that_was_there_when_it_came():
    old, new = Model(held=True), Model()
    answers = asyncio.run(together(old, (old, ["a"], 1), (old, ["b"], 1), (new, ["c"], 1)))
    assert answers == [[("a", 1)], [("b", 1)], [("c", 1)]]
    assert (old.calls, new.calls) == ([["a"], ["b"]], [["c"]])


def test_a_long_list_lets_others_in_between_its_parts():
    model = Model(held=True)
    long = list(range(2 * MOST_TOGETHER + 1))
    first, second = asyncio.run(together(model, (model, long, 1), (model, ["a"], 1)))
    assert first == [(n, 1) for n in long] and second == [("a", 1)]
    assert model.calls[1] == ["a"]
    assert max(map(len, model.calls)) <= MOST_TOGETHER


def test_the_error_of_one_is_not_that_of_others():
    model = Model(held=True)
    questions = [(model, [item], 1) for item in ("a", "b", "bad", "c")]
    a, b, bad, c = asyncio.run(together(model, *questions))
    assert (a, b, c) == ([("a", 1)], [("b", 1)], [("c", 1)])
    with pytest.raises(ValueError, match="bad"):
        raise bad


def test_who_is_gone_is_not_asked_for():
    model = Model(held=True)

    async def leaving():
        batcher = Batcher(lambda size: None)
        first = asyncio.create_task(batcher.ask(model, ["a"], 1))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(batcher.ask(model, ["b"], 1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        model.may_go_on.set()
        return await first, await batcher.ask(model, ["c"], 1)

    assert asyncio.run(leaving()) == ([("a", 1)], [("c", 1)])
    assert model.calls == [["a"], ["c"]]


def test_the_size_of_each_batch_is_counted():
    model, sizes = Model(), []
    asyncio.run(Batcher(sizes.append).ask(model, ["a"] * (MOST_TOGETHER + 3), 1))
    assert sizes == [MOST_TOGETHER, 3]
