"""Forecasts: against what training then really did."""

import numpy as np
import pytest
import scipy.sparse as sp
from folders import arrays_of
from sklearn.base import clone

from xmc import LabelTreeClassifier, OneVsAllClassifier, ParameterError
from xmc.arrays import pointers
from xmc.datasets import load_sample
from xmc.kernels.bytes import N_BYTES
from xmc.layer import assemble, pack
from xmc.training.forecast import Forecast, bytes_of_parts
from xmc.training.needs import Needs

SMALL = {"tree": "shallow", "arity": 8, "random_state": 0}


@pytest.fixture(scope="module")
def sample():
    whole = load_sample()
    return whole.X[:4000], whole.Y[:4000]


def plan(*parts):
    return Forecast(10, 10, 10, 1, ((10, 1),), 1.0, tuple(Needs(*part) for part in parts), 0)


def test_the_forecast_tells_the_shape_of_the_tree(sample):
    X, Y = sample
    needs = LabelTreeClassifier(**SMALL, n_trees=2).forecast(X, Y)
    tree = LabelTreeClassifier(**SMALL).fit(X, Y).members_[0].tree
    assert needs.levels == tuple((int(chunk[-1]), len(chunk) - 1) for chunk in tree.chunks)
    assert (needs.n_rows, needs.n_features, needs.n_trees) == (*X.shape, 2)
    assert needs.n_labels == np.count_nonzero(Y.sum(axis=0))


def array_bytes(folder):
    """Size of the model's arrays in a folder, without the header of their file."""
    return sum(array.nbytes for array in arrays_of(folder).values())


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
@pytest.mark.parametrize(
    "model",
    [
        LabelTreeClassifier(**SMALL),
        LabelTreeClassifier(tree="balanced", arity=4, max_leaf_size=10, random_state=0),
        OneVsAllClassifier(random_state=0),
    ],
    ids=["shallow", "balanced", "one-vs-all"],
)
def test_the_model_size_is_forecast_within_30_percent(model, weights, sample, tmp_path):
    model = clone(model).set_params(weights=weights)
    forecast = model.forecast(*sample).model_bytes
    model.fit(*sample).save(tmp_path / "model")
    assert forecast == pytest.approx(array_bytes(tmp_path / "model"), rel=0.3)


def test_the_trees_of_an_ensemble_are_forecast_alike(sample):
    one, three = (
        LabelTreeClassifier(**SMALL, n_trees=n).forecast(*sample).model_bytes for n in (1, 3)
    )
    assert three == pytest.approx(3 * one, abs=3)


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_every_array_of_a_layer_is_counted(rng, weights):
    feature, child = np.divmod(rng.choice(100 * 600, 5000, replace=False).astype(np.int32), 600)
    pages = pack(feature, child, rng.normal(size=5000).astype(np.float32), 600, 100, weights)
    layer = assemble(pointers([600]), pages, np.zeros(600, np.float32))
    counts = {
        "entry": len(layer.child),
        "feature": layer.feature_ptr[-1],
        "bucket": len(layer.bucket),
        "page": len(layer.shift),
        "chunk": len(layer.chunk_ptr) - 1,
        "node": len(layer.bias_weight),
    }
    counted = sum(counts[part] * size for part, size in bytes_of_parts(weights).items())
    # Pointers end with one element more; the features' arrays end with padding.
    n_more = sum(array.dtype == np.int64 for array in layer) * 8 + 2 * N_BYTES
    assert counted + n_more == sum(array.nbytes for array in layer)


def test_a_forecast_leaves_the_model_unfitted(sample):
    model = LabelTreeClassifier(**SMALL)
    model.forecast(*sample)
    assert not hasattr(model, "members_")


@pytest.mark.parametrize("model", [LabelTreeClassifier(tree="balanced"), OneVsAllClassifier()])
def test_growing_is_a_part_of_the_forecast_and_each_level_three(model, sample):
    """In the last one of a level, its layer is held twice."""
    found = model.set_params(random_state=0).forecast(*sample)
    assert len(found.parts) == 1 + 3 * len(found.levels)
    assert found.parts[-1].large_bytes <= 2 * found.model_bytes
    assert found.parts[-1].large_bytes > found.model_bytes


def test_memory_grows_with_the_threads():
    assert plan((1000, 0, 100)).memory(3) == 1300


@pytest.mark.parametrize(("memory", "threads"), [(1100, 1), (1299, 2), (1300, 3), (9999, 4)])
def test_a_budget_allows_as_many_threads_as_fit(memory, threads):
    assert plan((1000, 0, 100)).threads_within(memory, 4) == threads


def test_the_part_that_needs_most_counts():
    assert plan((1000, 0, 100), (900, 0, 300)).memory(1) == 1200


def test_a_budget_that_not_one_thread_fits_is_refused_with_the_need():
    with pytest.raises(
        ParameterError, match=r"^memory: training needs about 3\.00 GiB, got 1\.00 GiB$"
    ):
        plan((2 << 30, 0, 1 << 30)).threads_within(1 << 30, 2)


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


def test_a_forecast_leaves_a_trained_model_as_it_is():
    sample = load_sample()
    X, Y = sample.X[:300], sample.Y[:300]
    model = LabelTreeClassifier(**SMALL).fit(X, Y)
    before = model.predict_topk(X[:5], 3)
    model.forecast(X[:50, :10], Y[:50])
    assert np.array_equal(model.predict_topk(X[:5], 3).scores, before.scores)
