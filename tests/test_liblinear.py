import sys

import pytest
import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier, ParameterError
from xmc.training import grow, solver

MODELS = [LabelTreeClassifier, OneVsAllClassifier]
X = sp.eye(8, format="csr")


@pytest.fixture
def without_liblinear(monkeypatch):
    """As on a machine where the extra isn't installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "liblinear"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "liblinear", None)


def message(model):
    return (
        rf"^{model.__name__}: solver='liblinear' needs LIBLINEAR: "
        r"pip install xmc-trees\[liblinear\]$"
    )


@pytest.mark.parametrize("model", MODELS)
def test_without_the_extra_the_solver_is_refused_with_the_command_that_installs_it(
    without_liblinear, model
):
    with pytest.raises(ParameterError, match=message(model)):
        model(solver="liblinear").fit(X, X)
    with pytest.raises(ParameterError, match=message(model)):
        model(solver="liblinear").forecast(X, X)


def test_the_refusal_comes_before_any_work(without_liblinear, monkeypatch):
    def fail(*arguments):
        raise AssertionError("work was begun")

    monkeypatch.setattr(grow, "label_embeddings", fail)
    monkeypatch.setattr(solver, "solve_lanes", fail)
    with pytest.raises(ParameterError):
        LabelTreeClassifier(solver="liblinear").fit(X, X)


@pytest.mark.parametrize("model", MODELS)
def test_our_solver_does_without_the_extra(without_liblinear, model):
    assert model(random_state=0).fit(X, X).predict_topk(X, 1).labels.shape == (8, 1)
