"""Other features from those in a matrix, by scikit-learn."""

from __future__ import annotations

from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, PolynomialFeatures

from .params import FeatureParams, check


def make_features(params: FeatureParams) -> Pipeline:
    """An unfitted transformer of CSR (n_rows, n_features), to be fitted on the training rows.

    With `tfidf`, values become TF-IDF weights. With `pairs`, every two features that a row has
    become one more, their product, which lets linear models tell combinations apart: rows of unit
    length, and beside them their products, scaled to the length `pairs`. So many pairs suit a few
    thousand features at most.
    """
    check(params)
    steps = [TfidfTransformer()] if params.tfidf else []
    if params.pairs:
        products = PolynomialFeatures((2, 2), interaction_only=True, include_bias=False)
        both = [("single", Normalizer()), ("pairs", make_pipeline(products, Normalizer()))]
        steps.append(FeatureUnion(both, transformer_weights={"pairs": params.pairs}))
    return make_pipeline(*(steps or [FunctionTransformer(accept_sparse=True)]))
