"""Forecasts: against what training then really did."""

import numpy as np
import pytest
import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier, ParameterError
from xmc.datasets import load_sample
from xmc.training.forecast import Forecast

SMALL = {"tree": "shallow", "arity": 8, "random_state": 0}


@pytest.fixture(scope="module")
def sample():
    whole = load_sample()
    return whole.X[:4000], whole.Y[:4000]


def plan(shared, thread):
    return Forecast(10, 10, 10, 1, ((10, 1),), 1.0, shared, thread, 0)


def test_the_forecast_tells_the_shape_of_the_tree(sample):
    X, Y = sample
    needs = LabelTreeClassifier(**SMALL, n_trees=2).forecast(X, Y)
    tree = LabelTreeClassifier(**SMALL).fit(X, Y).members_[0].tree
    assert needs.levels == tuple((int(chunk[-1]), len(chunk) - 1) for chunk in tree.chunks)
    assert (needs.n_rows, needs.n_features, needs.n_trees) == (*X.shape, 2)
    assert needs.n_labels == np.count_nonzero(Y.sum(axis=0))


@pytest.mark.parametrize(
    "model", [LabelTreeClassifier(**SMALL), OneVsAllClassifier(random_state=0)]
)
def test_the_model_size_is_forecast_within_a_factor_of_two(model, sample, tmp_path):
    forecast = model.forecast(*sample).model_bytes
    model.fit(*sample).save(tmp_path / "model")
    size = sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert size / 2 < forecast < size * 2


def test_a_forecast_leaves_the_model_unfitted(sample):
    model = LabelTreeClassifier(**SMALL)
    model.forecast(*sample)
    assert not hasattr(model, "members_")


def test_memory_grows_with_the_threads():
    assert plan(1000, 100).memory(3) == 1300


@pytest.mark.parametrize(("memory", "threads"), [(1100, 1), (1299, 2), (1300, 3), (9999, 4)])
def test_a_budget_allows_as_many_threads_as_fit(memory, threads):
    assert plan(1000, 100).threads_within(memory, 4) == threads


def test_a_budget_that_not_one_thread_fits_is_refused_with_the_need():
    with pytest.raises(
        ParameterError, match=r"^memory: training needs about 3\.00 GiB, got 1\.00 GiB$"
    ):
        plan(2 << 30, 1 << 30).threads_within(1 << 30, 2)


def test_a_fit_beyond_its_memory_is_refused_before_training():
    X = sp.eye(20, format="csr", dtype=np.float32)
    model = LabelTreeClassifier(memory=1 << 20)
    with pytest.raises(
        ParameterError, match=r"^memory: training needs about \d+\.\d\d GiB, got 0\.00 GiB$"
    ):
        model.fit(X, X)


def test_a_budget_changes_no_model(sample):
    models = [
        LabelTreeClassifier(**SMALL, memory=memory, n_jobs=2).fit(*sample)
        for memory in (None, 64 << 30)
    ]
    a, b = (model.members_[0].layers[-1].weight for model in models)
    assert a.tobytes() == b.tobytes()
