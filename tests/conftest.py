from pathlib import Path

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from xmc import stage
from xmc.methods import METHODS, register

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data():
    """real_data(name): the folder of a real data set beside the checkout; the test is skipped where
    there is none.
    """

    def folder(name):
        if not (SHARED / name).is_dir():
            pytest.skip(f"real data are needed: no folder {name} in ../shared/data")
        return SHARED / name

    return folder


@pytest.fixture
def few_trees(monkeypatch):
    """The last stage learns a tenth of its trees, for tests to which it doesn't matter how good it
    is.
    """
    monkeypatch.setattr(stage, "N_TREES", stage.N_TREES // 10)


@pytest.fixture(scope="module")
def third_method():
    """A method of somebody else's, registered for the time of a file's tests."""
    register(planted.FREQUENCY)
    yield planted.FREQUENCY
    del METHODS[planted.FREQUENCY.name]


@pytest.fixture(scope="module", params=planted.MODELS)
def fitted(request, third_method):
    return clone(planted.MODELS[request.param]).fit(planted.X, planted.Y)


@pytest.fixture(params=planted.MODELS)
def model(request, third_method):
    return clone(planted.MODELS[request.param])


@pytest.fixture(params=planted.TREES)
def tree_model(request):
    return clone(planted.MODELS[request.param])


@pytest.fixture(scope="module", params=planted.LEARNERS)
def learned(request):
    """A fitted model of a kind that learns from X."""
    return clone(planted.MODELS[request.param]).fit(planted.X, planted.Y)


@pytest.fixture(params=planted.LEARNERS)
def learner(request):
    return clone(planted.MODELS[request.param])


@pytest.fixture(scope="module")
def sparse_labels():
    """Y with a label of one row, and without rows for the first label, the last and two others."""
    few = planted.Y.toarray()
    few[:, [0, 7, 8, planted.N_LABELS - 1]] = 0
    few[1:, 3] *= np.cumsum(few[1:, 3]) < 1
    few[0, 3] = 1
    return sp.csr_matrix(few)
