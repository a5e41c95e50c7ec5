import naive
import numpy as np
import pytest

from xmc.kernels.candidates import products

N_FEATURES, N_LABELS = 20, 9


@pytest.fixture
def labels(rng):
    """Rows, embeddings of labels, pointers and ids of some candidates of each row."""
    X, embeddings = (
        naive.random_rows(rng, 15, N_FEATURES),
        naive.random_rows(rng, N_LABELS, N_FEATURES),
    )
    return X, embeddings, *naive.random_lists(rng, 15, N_LABELS, density=0.5)


def test_products_agree_with_numpy(labels):
    X, embeddings, indptr, ids = labels
    got = products(X.indptr, X.indices, X.data, N_FEATURES, indptr, ids, *embeddings[:3])
    dense = naive.to_dense(*X) @ naive.to_dense(*embeddings).T
    assert got.dtype == np.float32
    assert got == pytest.approx(dense[np.repeat(np.arange(15), np.diff(indptr)), ids], abs=1e-5)


def test_products_of_nothing_are_none(labels):
    X, embeddings, *_ = labels
    nothing = np.zeros(16, np.int64), np.empty(0, np.int32)
    assert (
        products(X.indptr, X.indices, X.data, N_FEATURES, *nothing, *embeddings[:3]).tolist() == []
    )
