import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

from xmc import ParameterError
from xmc.features import make_features
from xmc.params import FeatureParams

X = sp.csr_matrix(np.float32([[1, 2, 0, 0], [0, 1, 1, 1], [0, 0, 0, 3], [0, 0, 0, 0]]))


def made(**params):
    return make_features(FeatureParams(**params)).fit_transform(X)


def test_without_parameters_nothing_changes():
    assert (made() != X).nnz == 0


def test_tfidf_is_scikit_learns_and_fitted_on_the_training_rows():
    features = make_features(FeatureParams(tfidf=True)).fit(X[:2])
    assert (features.transform(X) != TfidfTransformer().fit(X[:2]).transform(X)).nnz == 0


def test_pairs_are_the_products_of_every_two_features_of_a_row():
    """Both parts of a row have unit length, the products then that of `pairs`; rows without two
    features have none.
    """
    got = made(pairs=0.5).toarray()
    dense = X.toarray()
    products = np.array(
        [[row[i] * row[j] for i in range(4) for j in range(i + 1, 4)] for row in dense]
    )
    lengths = [
        np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (dense, products)
    ]
    assert got == pytest.approx(
        np.hstack([dense / lengths[0], 0.5 * products / lengths[1]]), abs=1e-6
    )
    assert not got[2:, 4:].any()


def test_pairs_are_made_of_tfidf_weights_if_both_are_asked_for():
    weights = sp.csr_matrix(TfidfTransformer().fit_transform(X))
    both = made(tfidf=True, pairs=1.0)
    assert both[:, :4].toarray() == pytest.approx(weights.toarray(), abs=1e-6)
    assert both.shape == (4, 10)


def test_matrices_stay_sparse():
    assert all(sp.issparse(made(**params)) for params in ({}, {"tfidf": True}, {"pairs": 1.0}))


def test_a_wrong_parameter_is_refused():
    with pytest.raises(
        ParameterError, match=r"^FeatureParams: pairs must be a finite number >= 0, got -1$"
    ):
        made(pairs=-1)
