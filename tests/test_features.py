"""TF-IDF weights and products of features: what models of matrices make of their rows."""

import json
from dataclasses import fields

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from adding_up import CLOSE, differences
from planted import N_LABELS, X_TEST, Y_TEST, X, Y, same_answer, same_model
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import Normalizer, PolynomialFeatures

from xmc import (
    DataError,
    LabelTreeClassifier,
    LowRankClassifier,
    ModelError,
    OneVsAllClassifier,
    ParameterError,
    RerankedClassifier,
    TextClassifier,
    base,
    features,
    load,
    open_rows,
)
from xmc.features import learned, read
from xmc.inputs import as_matrix, as_rows, canonical
from xmc.io import Dataset, write
from xmc.params import LabelTreeParams, LowRankParams, OneVsAllParams, TextParams
from xmc.reporting.words import Words
from xmc.stored_rows import write_rows
from xmc.text import make_vectorizer

WHO = "test"
BOTH = {"tfidf": True, "pairs": 0.7}
WAYS = {"tfidf": {"tfidf": True}, "pairs": {"pairs": 0.7}, "both": BOTH}


def rows_of(M):
    return as_rows(canonical(M, WHO, "X"), normalize=False)


def reading_of(M, **params):
    return learned(rows_of(M), LabelTreeParams(**params), None, WHO)


def by_scikit_learn(train, M, tfidf=False, pairs=0.0):
    """The rows of M with all their products, of unit length; and which columns some row of `train`
    has.
    """
    if tfidf:
        train, M = (TfidfTransformer().fit(train).transform(own) for own in (train, M))
    if not pairs:
        return sp.csr_matrix(M), np.ones(M.shape[1], bool)
    products = PolynomialFeatures((2, 2), interaction_only=True, include_bias=False)
    two, there = (sp.csr_matrix(products.fit_transform(own)) for own in (M, train))
    kept = np.concatenate([np.ones(M.shape[1], bool), there.getnnz(axis=0) > 0])
    parts = [Normalizer().transform(M), pairs * Normalizer().transform(two)]
    return Normalizer().transform(sp.hstack(parts, "csr")), kept


@pytest.mark.parametrize("way", WAYS)
def test_rows_are_read_as_scikit_learn_would_make_them(way, rng):
    """Features and pairs that training rows lack count in the length, and are then left out."""
    train, asked = (sp.random(40, 12, own, "csr", random_state=rng) for own in (0.2, 0.4))
    train = canonical(train.multiply(np.arange(12) != 5), WHO, "X")  # one is never there
    reading = reading_of(train, **WAYS[way])
    got = as_matrix(read(rows_of(asked), True, reading))
    expected, kept = by_scikit_learn(train, asked, **WAYS[way])
    assert got.shape == (40, kept.sum()) and (way == "tfidf" or not kept.all())
    assert got.toarray() == pytest.approx(expected[:, kept].toarray(), abs=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_rows_that_are_not_scaled_keep_their_length(way):
    """Products are then `pairs` times as long as the row itself."""
    asked = sp.csr_matrix(X_TEST * np.float32(3))
    reading = reading_of(X_TEST, **WAYS[way])
    got = as_matrix(read(rows_of(asked), False, reading)).toarray()
    single, products = got[:, : X.shape[1]], got[:, X.shape[1] :]
    idf = 1 if reading.idf is None else reading.idf[:-1]
    assert single == pytest.approx(asked.toarray() * idf, rel=1e-6)
    length = np.linalg.norm(single, axis=1)
    expected = 0.7 * length if reading.pairs else 0 * length
    several = np.diff(asked.indptr) > 1
    assert several.any()
    assert np.linalg.norm(products, axis=1)[several] == pytest.approx(expected[several], rel=1e-5)


def test_without_settings_nothing_is_made():
    assert reading_of(X) is None


@pytest.mark.parametrize("way", WAYS)
def test_rows_are_read_by_blocks_as_at_once(way, monkeypatch):
    whole = reading_of(X, **WAYS[way])
    expected = read(rows_of(X), True, whole)
    monkeypatch.setattr(features, "BLOCK", 50)
    reading = reading_of(X, **WAYS[way])
    for got, wanted in ((reading, whole), (read(rows_of(X), True, reading), expected)):
        assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_only_features_that_a_model_keeps_are_read(way):
    """They have the numbers that the model gives them; others count in the length."""
    kept = np.arange(0, X.shape[1], 2, dtype=np.int32)
    own, others = X[:, kept], np.setdiff1d(np.arange(X.shape[1]), kept)
    reading = reading_of(own, **WAYS[way])
    got = as_matrix(read(rows_of(X_TEST), True, reading, kept))
    order = np.concatenate([kept, others])  # as if the others had come last
    wide = sp.hstack([own, sp.csr_matrix((own.shape[0], len(others)))], "csr")
    expected, there = by_scikit_learn(wide, X_TEST[:, order], **WAYS[way])
    there[len(kept) : X.shape[1]] = False
    assert got.toarray() == pytest.approx(expected[:, there].toarray(), abs=1e-6)


def test_every_kind_of_linear_model_has_the_settings():
    for params in (LabelTreeParams, OneVsAllParams, LowRankParams):
        assert {"tfidf", "pairs"} <= {f.name for f in fields(params)}


def test_a_wrong_setting_is_refused():
    with pytest.raises(
        ParameterError,
        match=r"^OneVsAllClassifier: pairs must be a finite number >= 0 and <= 1000, got -1$",
    ):
        OneVsAllClassifier(pairs=-1).fit(X, Y)
    with pytest.raises(ParameterError, match="tfidf must be True or False, got 1"):
        OneVsAllClassifier(tfidf=1).fit(X, Y)


def by_hand(way, model):
    """The model without the settings, on rows that scikit-learn made; and the test rows."""
    made, asked = (by_scikit_learn(X, M, **WAYS[way])[0] for M in (X, X_TEST))
    return clone(model).fit(made, Y), asked


TRAINED = {
    "tree": LabelTreeClassifier(**planted.SMALL),
    "one-vs-all": OneVsAllClassifier(tail_share=0.1, random_state=0),
    "low-rank": LowRankClassifier(random_state=0),
}


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("way", WAYS)
def test_a_model_ranks_as_one_of_rows_that_scikit_learn_made(name, way):
    model = clone(TRAINED[name]).set_params(**WAYS[way]).fit(X, Y)
    expected, asked = by_hand(way, TRAINED[name])
    got, wanted = model.predict_topk(X_TEST, 5), expected.predict_topk(asked, 5)
    ours, theirs = (planted.dense(top) for top in (got, wanted))
    assert (got.labels == wanted.labels).mean() > 0.99
    both = (ours > 0) & (theirs > 0)
    assert ours[both] == pytest.approx(theirs[both], abs=2e-4)
    assert model.n_features_in_ == X.shape[1]


@pytest.fixture(scope="module")
def model():
    return LabelTreeClassifier(keep_rows=True, tail_share=0.1, **BOTH, **planted.SMALL).fit(X, Y)


def test_a_saved_model_comes_back(model, tmp_path):
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", verify=True)
    assert (again.tfidf, again.pairs) == (True, 0.7)
    assert same_model(again, model)
    for ours, theirs in zip(again.model_.reading, model.model_.reading, strict=True):
        assert np.array_equal(ours, theirs)
    assert same_answer(again.predict_topk(X_TEST, 5), model.predict_topk(X_TEST, 5))


def test_an_ordinary_model_stores_nothing_of_it(tmp_path):
    OneVsAllClassifier().fit(X, Y).save(tmp_path / "model")
    meta = json.loads((tmp_path / "model" / "model.json").read_text())
    assert "reading" not in meta and not any("reading" in name for name in meta["arrays"])


def test_single_rows_are_ranked_bit_by_bit_as_many(model, monkeypatch):
    expected, rank = model.predict_topk(X_TEST, 5), model.ranker()
    for row in range(20):
        wanted = [part[row : row + 1] for part in expected]
        assert same_answer(rank(X_TEST[row], 5), wanted)
        assert same_answer(model.predict_topk(X_TEST[row], 5), wanted)
        assert same_answer(model.predict_topk(X_TEST[row].toarray(), 5), wanted)
    monkeypatch.setattr(base, "BLOCK", 100)  # fewer than all rows with their products
    assert same_answer(model.predict_topk(X_TEST, 5), expected)


def test_folders_of_rows_train_and_ask_the_same_model(model, tmp_path, monkeypatch):
    write(tmp_path / "a.rows", Dataset(X, Y))
    write(tmp_path / "b.rows", Dataset(X_TEST, Y_TEST))
    monkeypatch.setattr(features, "BLOCK", 500)
    stored = clone(model).fit(open_rows(tmp_path / "a.rows"), Y)
    assert same_model(stored, model)
    asked = open_rows(tmp_path / "b.rows")
    assert same_answer(stored.predict_topk(asked, 5), model.predict_topk(X_TEST, 5))


def test_folders_of_rows_may_have_texts_beside(model, tmp_path, monkeypatch):
    """Which a model of pairs doesn't read, but a folder's parts come with theirs."""
    expected, texts = model.predict_topk(X_TEST, 5), ["text"] * X_TEST.shape[0]
    write(tmp_path / "b.rows", Dataset(X_TEST, Y_TEST, texts))
    asked = open_rows(tmp_path / "b.rows")
    assert same_answer(model.predict_topk(asked, 5), expected)
    monkeypatch.setattr(base, "BLOCK", 100)  # fewer than all rows with their products
    assert same_answer(model.predict_topk(asked, 5), expected)


def test_explanations_add_up_and_name_both_features_of_a_pair(model):
    told, scores = model.explain(X_TEST[0]), model.predict_topk(X_TEST[0], 3).scores[0]
    found = [differences(*both) for both in zip(told, scores, strict=True)]
    assert np.abs(found).max() < CLOSE
    nodes = [node for one in told for node in one.models[0].members[0].nodes]
    names = {feature.feature for node in nodes for feature in node.features}
    own = {str(n) for n in X_TEST[0].indices}
    pairs = {name for name in names if " × " in name}
    assert pairs and names - pairs <= own
    assert all(set(name.split(" × ")) <= own for name in pairs)


def test_reports_name_both_features_of_a_pair(model):
    reading, n = model.model_.reading, X.shape[1]
    a, b = reading.pair(3)
    assert Words(model).of(np.array([2, n + 3], np.int32)) == [
        "feature 2",
        f"feature {a} × feature {b}",
    ]
    assert a < b < n


def test_new_rows_are_read_as_those_of_the_training(model):
    """Their labels come up, beside rows that the model has kept."""
    learner = clone(model).fit(X, Y)
    Y_new = sp.csr_matrix((np.ones(20), (range(20), [N_LABELS] * 20)), (20, N_LABELS + 1))
    new = sp.csr_matrix(X_TEST[:20] * 0 + sp.csr_matrix(np.eye(X.shape[1])[[0, -1] * 10]))
    learner.add(new, Y_new)
    assert (learner.predict_topk(new[:2], 1).labels == N_LABELS).all()
    assert np.array_equal(learner.model_.reading.codes, model.model_.reading.codes)


def test_a_smaller_copy_reads_rows_as_well(model):
    smaller = model.compress("int8")
    assert (smaller.predict_topk(X_TEST, 1).labels == model.predict_topk(X_TEST, 1).labels).all()


# A last stage.
BASES = {
    "tfidf": LabelTreeClassifier(tfidf=True, **planted.SMALL),
    "pairs": LabelTreeClassifier(pairs=0.7, **planted.SMALL),
}


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("way", BASES)
def test_a_last_stage_reads_rows_once_for_all_its_base_models(way, tmp_path):
    bases = BASES[way], OneVsAllClassifier(random_state=0, **WAYS[way])
    staged = RerankedClassifier(bases, random_state=0).fit(X, Y)
    plain = RerankedClassifier(
        tuple(clone(own).set_params(tfidf=False, pairs=0.0) for own in bases), random_state=0
    )
    made = as_matrix(read(rows_of(X), True, staged.model_.reading))
    asked = as_matrix(read(rows_of(X_TEST), True, staged.model_.reading))
    expected = plain.fit(made, Y).predict_topk(asked, 5)
    assert same_answer(staged.predict_topk(X_TEST, 5), expected)
    staged.compress("float16").save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.predict_topk(X_TEST, 1).labels == expected.labels[:, :1]).mean() > 0.95
    assert getattr(again, way) == WAYS[way][way]


def test_what_a_last_stage_can_not_read_is_refused():
    with pytest.raises(ParameterError, match="tfidf must be the same for all base models"):
        RerankedClassifier((BASES["tfidf"], OneVsAllClassifier())).fit(X, Y)
    Z = sp.csr_matrix((N_LABELS, X.shape[1]))
    with pytest.raises(ParameterError, match="label_features must be None with tfidf or pairs"):
        RerankedClassifier(BASES["pairs"], label_features=Z).fit(X, Y)


# Nothing is weighed twice.


def test_features_of_texts_are_never_weighed_again(tmp_path):
    texts, labels = ["a red apple", "green grass"], [["red"], ["green"]]
    for own in (OneVsAllClassifier(tfidf=True), (OneVsAllClassifier(), BASES["tfidf"])):
        with pytest.raises(
            ParameterError,
            match="^TextClassifier: tfidf of the classifier is for matrices only: the vectoriser",
        ):
            TextClassifier(own, min_df=1).fit(texts, labels)
    with pytest.raises(ParameterError, match="pairs of the classifier is for matrices only"):
        TextClassifier(RerankedClassifier(BASES["pairs"])).fit(texts, labels)
    vectorizer = make_vectorizer(TextParams(min_df=1), WHO)
    blocks = [Dataset(None, sp.csr_matrix(np.eye(2)), texts)]
    rows = write_rows(tmp_path / "a.rows", blocks, vectorizer=vectorizer)
    with pytest.raises(DataError, match="expects features of no vectoriser, got those of .*a.rows"):
        OneVsAllClassifier(tfidf=True).fit(rows)


# Too many pairs.


def test_pairs_that_memory_has_no_room_for_are_refused():
    with pytest.raises(
        DataError,
        match=r"^OneVsAllClassifier: pairs of features make [\d,]+ values of [\d,]+, which take "
        r"0\.00 GiB beside \d+\.\d\d GiB in use, more than there is in 0\.00 GiB: "
        r"give more memory, keep fewer features, or set pairs=0$",
    ):
        OneVsAllClassifier(pairs=0.5, memory=1000).fit(X, Y)


def test_more_columns_than_ids_can_count_are_refused(monkeypatch):
    monkeypatch.setattr(features, "INT32_MAX", 100)
    with pytest.raises(
        DataError, match="expected at most 100 features and pairs of them, got [0-9,]+: keep fewer"
    ):
        OneVsAllClassifier(pairs=0.5).fit(X, Y)


# Damaged folders.


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda own: own._replace(idf=own.idf[1:]), "reading.idf: expected 79 numbers"),
        (
            lambda own: own._replace(idf=own.idf * np.nan),
            "reading.idf: expected 79 numbers above 0",
        ),
        (lambda own: own._replace(codes=own.codes[::-1]), "ascending pairs of features"),
        (lambda own: own._replace(codes=own.codes - 78), "ascending pairs of features"),
        (lambda own: own._replace(codes=own.codes * 79), "ascending pairs of features"),
        (lambda own: own._replace(codes=own.codes[1:]), "expected"),
        (lambda own: own._replace(codes=None), "expected pairs and codes, got one of them"),
        (lambda own: own._replace(pairs=1e9), "reading: pairs must be a finite number"),
        (lambda own: own._replace(n_features=9), "expected 78 features, got 9"),
        (lambda own: own._replace(idf=own.idf.astype(float)), "reading.idf: expected float32"),
    ],
)
def test_what_does_not_fit_a_model_is_refused(change, expected, model, tmp_path):
    spoilt = clone(model)
    spoilt.__dict__.update(vars(model))
    spoilt.model_ = model.model_._replace(reading=change(model.model_.reading))
    spoilt.save(tmp_path / "model")
    with pytest.raises(ModelError, match=f"model.json can't be read: .*{expected}"):
        load(tmp_path / "model")
