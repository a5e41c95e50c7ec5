"""What parts of a training need, and what a budget allows them."""

import naive
import numpy as np
import pytest

from xmc import LabelTreeClassifier, ParameterError
from xmc.datasets import load_sample
from xmc.embedding import label_embeddings
from xmc.training.grow import EMBEDDING_FEATURES, balanced, with_rows
from xmc.training.needs import Needs, _below_root, growing_needs, within


@pytest.mark.parametrize(
    ("memory", "allowed"),
    [
        (1700, (2, False)),
        (1699, (2, True)),
        (1200, (2, True)),
        (1199, (1, True)),
        (1100, (1, True)),
    ],
)
def test_large_arrays_go_to_files_before_threads_are_fewer(memory, allowed):
    assert within([Needs(1000, 500, 100), Needs(10, 0, 10)], memory, 2) == allowed


def test_a_budget_below_what_is_left_without_large_arrays_is_refused_with_that():
    with pytest.raises(ParameterError, match=r"^memory: training needs about 3\.00 GiB, got 1\."):
        within([Needs(2 << 30, 9 << 30, 1 << 30)], 1 << 30, 2)


@pytest.mark.parametrize("tree", ["balanced", "shallow"])
def test_embeddings_are_forecast_by_some_of_them(tree, monkeypatch):
    model = LabelTreeClassifier(tree=tree)
    sample = load_sample()
    data = model._training_data(sample.X[:4000], sample.Y[:4000])
    what = data.X, data.rows_of_label
    Z = label_embeddings(*what, with_rows(what[1]), EMBEDDING_FEATURES[tree], 1)
    assert growing_needs(*what, model._params()).large_bytes == 8 * len(Z.indices)
    monkeypatch.setattr("xmc.training.needs.SAMPLED", 100)
    few = growing_needs(*what, model._params()).large_bytes
    assert few == pytest.approx(8 * len(Z.indices), rel=0.3)


@pytest.mark.parametrize("n_labels", [1, 100, 101, 1700, 28_000])
def test_nodes_below_the_root_are_counted_as_they_are_grown(n_labels):
    params = LabelTreeClassifier(tree="balanced", max_leaf_size=10, arity=4)._params()
    Z = naive.as_rows(np.eye(1)[np.zeros(n_labels, int)])
    tree = balanced(Z, np.arange(n_labels, dtype=np.int32), 4, 10, None, (0, 0), 1)
    assert _below_root(n_labels, params) == (tree.chunks[0][-1] if tree.depth > 1 else 1)
