"""Answers are the same whoever asks beside, and from wherever."""

import copy
import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pkgutil import iter_modules

import joblib
import planted
import pytest
from planted import X_TEST, X, Y
from sklearn.base import clone

import xmc.kernels
from xmc import (
    LabelTreeClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
)

TREES = LabelTreeClassifier(**planted.SMALL, n_trees=2, n_jobs=2)
TEXTS = [" ".join(f"word{n}" for n in row.indices) for row in X]
LABELS = [[f"label{n}" for n in row.indices] for row in Y]


def bits(top):
    return top.labels.tobytes() + top.scores.tobytes()


def answer(model):
    return bits(model.predict_topk(X_TEST, 5))


def trained(C):
    return answer(clone(TREES).set_params(C=C).fit(X, Y))


def asked_while_fitted(model, fits, ask, n_fits=12):
    """All answers to somebody who asks while the model is fitted again and again."""
    done, answers, faults = threading.Event(), set(), []

    def asking():
        while not done.is_set():
            try:
                answers.add(ask(model))
            except Exception as error:
                faults.append(error)

    other = threading.Thread(target=asking)
    other.start()
    try:
        for n in range(n_fits):
            fits[n % 2](model)
    finally:
        done.set()
        other.join()
    assert faults == []
    return answers


@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 9)], ids=["one row", "some"])
def test_a_model_that_is_fitted_again_answers_as_before_until_it_has_learned(rows):
    model, narrow = clone(TREES).fit(X, Y), clone(TREES).fit(X, Y[:, ::-1])

    def ask(model):
        return bits(model.predict_topk(X_TEST[rows], 5))

    fits = [lambda m: m.fit(X, Y[:, ::-1]), lambda m: m.fit(X, Y)]
    expected = {ask(model), ask(narrow)}
    assert asked_while_fitted(model, fits, ask) <= expected


def test_a_model_of_texts_that_is_fitted_again_never_mixes_old_and_new():
    base = OneVsAllClassifier(random_state=0, n_jobs=1)
    models = [
        TextClassifier(base, rerank=False, opening=0, min_df=1).fit(TEXTS[:n], LABELS[:n])
        for n in (100, 200)
    ]

    def ask(model):
        return str(model.suggest(TEXTS[:3], 3))

    fits = [lambda m, n=n: m.fit(TEXTS[:n], LABELS[:n]) for n in (200, 100)]
    expected = {ask(model) for model in models}
    assert asked_while_fitted(models[0], fits, ask, 6) <= expected


def test_a_fit_does_not_undo_settings_made_meanwhile(monkeypatch):
    model = clone(TREES)
    original = type(model)._train

    def slow(self, data, progress):
        model.set_params(beam_size=3)
        return original(self, data, progress)

    monkeypatch.setattr(type(model), "_train", slow)
    assert model.fit(X, Y).beam_size == 3


def test_sixteen_threads_get_what_one_gets():
    model = clone(TREES).fit(X, Y)
    parts = [slice(n, n + size) for n in range(40) for size in (1, 7, 20)] * 4
    expected = [bits(model.predict_topk(X_TEST[part], 5)) for part in parts]
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda part: bits(model.predict_topk(X_TEST[part], 5)), parts))
    assert found == expected


def test_two_trainings_in_one_process_don_t_meet():
    expected = [trained(C) for C in (1.0, 3.0)]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(trained, (1.0, 3.0))) == expected


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib_s_workers_train_and_ask(backend):
    expected, model = [trained(C) for C in (1.0, 3.0)], clone(TREES).fit(X, Y)
    workers = joblib.Parallel(2, backend=backend)
    assert workers(joblib.delayed(trained)(C) for C in (1.0, 3.0)) == expected
    assert set(workers(joblib.delayed(answer)(model) for _ in range(3))) == {answer(model)}
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert trained(1.0) == expected[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_train_and_ask(method):
    model = clone(TREES).fit(X, Y)
    expected = [trained(1.0), answer(model)]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert [pool.apply(trained, (1.0,)), pool.apply(answer, (model,))] == expected


def test_loky_inside_threads_is_as_good():
    model = clone(TREES).fit(X, Y)

    def ask(_):
        return joblib.Parallel(2, backend="loky")([joblib.delayed(answer)(model)])

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(ask, range(2))) == [[answer(model)]] * 2


def n_compiled():
    """How many kernels there are, each for the types of its arguments."""
    modules = [
        import_module(f"xmc.kernels.{found.name}") for found in iter_modules(xmc.kernels.__path__)
    ]
    kernels = {id(own): own for module in modules for own in vars(module).values()}
    return sum(len(getattr(own, "signatures", ())) for own in kernels.values())


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
@pytest.mark.parametrize("name", ["trees", "reranked"])
def test_a_copied_or_pickled_model_answers_the_same_with_the_same_kernels(name, copied):
    bases = (clone(TREES), OneVsAllClassifier(random_state=0))
    model = {"trees": TREES, "reranked": RerankedClassifier(bases, random_state=0)}[name]
    model = clone(model).fit(X, Y)
    expected, before = (answer(model), bits(model.predict_topk(X_TEST[:1], 5))), n_compiled()
    other = copied(model)
    assert (answer(other), bits(other.predict_topk(X_TEST[:1], 5))) == expected
    assert n_compiled() == before
