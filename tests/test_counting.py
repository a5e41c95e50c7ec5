"""Vectorisers fitted by counting are those that scikit-learn fits, to the last bit."""

import numpy as np
import pytest

from xmc.analyzers import part
from xmc.counting import fit_counting
from xmc.errors import DataError
from xmc.params import TextParams
from xmc.text import fit_only, fit_texts, is_fitted, make_vectorizer, pack

WORDS = "red green blue fruit sky grass Apple cherry lime plum der die das und the of in".split()


def some_texts(rng, n=200):
    """Texts of words, some often, some once, some none."""
    return [" ".join(rng.choice(WORDS, rng.integers(0, 25))) for _ in range(n)] + ["once only"]


def same(one, other):
    settings, arrays = pack(one)
    others, own = pack(other)
    return settings == others and all(
        np.array_equal(arrays[name], own[name]) and arrays[name].dtype == own[name].dtype
        for name in arrays.keys() | own.keys()
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"min_df": 1, "max_ngram": 3},
        {"min_df": 30, "lowercase": False},
        {"max_features": 7, "max_ngram": 2},
        {"max_features": 10_000, "sublinear_tf": False},
    ],
)
def test_a_part_learns_what_scikit_learn_learns(rng, settings):
    texts, params = some_texts(rng), TextParams(**settings)
    judge, own = (part("words", params, texts) for _ in range(2))
    X = judge.fit_transform(texts)
    fit_counting(own, iter(texts))
    assert same(own, judge)
    assert (own.transform(texts) != X).nnz == 0


@pytest.mark.parametrize("opening", [0, 3, 1000])
@pytest.mark.parametrize("analyzer", ["words", "stems+chars"])
def test_a_vectoriser_is_the_same_without_keeping_counts(rng, analyzer, opening):
    texts = some_texts(rng)
    params = TextParams(analyzer=analyzer, opening=opening, language="auto")
    whole, own = make_vectorizer(params), make_vectorizer(params)
    X = fit_texts(whole, texts)
    assert not is_fitted(own)
    assert is_fitted(fit_only(own, tuple(texts)))
    assert same(own, whole)
    assert (own.transform(texts) != X).nnz == 0


@pytest.mark.parametrize("opening", [0, 16])
@pytest.mark.parametrize("texts", [["", ""], ["one two"], ["a", "b"]])
def test_where_no_feature_is_left_both_say_so(texts, opening):
    for fit in (fit_texts, fit_only):
        with pytest.raises(DataError, match="that 2 texts or more have .min_df., found none in"):
            fit(make_vectorizer(TextParams(opening=opening)), texts)
