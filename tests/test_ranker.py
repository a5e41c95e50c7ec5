from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    ParameterError,
    TextClassifier,
)
from xmc.datasets import load_sample, sample_texts
from xmc.inputs import canonical


@pytest.fixture(scope="module")
def sample():
    return load_sample()


@pytest.fixture(
    scope="module",
    params=[{}, {"n_trees": 2}, {"normalize": False}, {"tree": "balanced", "bias": 0}],
)
def model(request, sample):
    return LabelTreeClassifier(arity=8, random_state=0, **request.param).fit(
        sample.X[:1000], sample.Y[:1000]
    )


def same(a, b):
    return all(x.tobytes() == y.tobytes() and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("k", [1, 5, 60])
def test_one_row_at_a_time_gives_the_bits_of_all_rows(model, sample, k):
    X = sample.X_test[:50] * np.float32(1.5)
    together, rank = model.predict_topk(X, k), model.ranker()
    for i in range(50):
        assert same(rank(X[i], k), [part[i : i + 1] for part in together])
        assert same(model.predict_topk(X[i], k), [part[i : i + 1] for part in together])


def odd_forms(x):
    """The same row, as matrices that need more than a look."""
    shuffled = sp.csr_matrix((x.data[::-1], x.indices[::-1], x.indptr), shape=x.shape)
    padded = np.append(x.indices, np.int32(x.shape[1] - 1)), np.append(x.data, np.float32(0))
    twice = sp.csr_matrix(
        (np.repeat(x.data / 2, 2), np.repeat(x.indices, 2), [0, 2 * x.nnz]), shape=x.shape
    )
    yield from (
        shuffled,
        twice,
        sp.csr_matrix((padded[1], padded[0], [0, x.nnz + 1]), shape=x.shape),
    )
    yield from (x.astype(np.float64), x.tocsc(), x.tocoo(), sp.csr_array(x))


def test_rows_in_any_form_are_ranked_alike(model, sample):
    x = sample.X_test[3]
    assert x.nnz > 2 and x.indices.max() < x.shape[1] - 1
    rank = model.ranker()
    expected = rank(x)
    assert all(same(rank(form), expected) for form in odd_forms(x))


def changed(x, **arrays):
    """A copy of the row, with some of its arrays as given."""
    row = x.copy()
    for name, array in arrays.items():
        setattr(row, name, array)
    return row


def test_only_rows_that_are_not_plain_are_copied(model, sample, monkeypatch):
    x, copied = sample.X_test[3], []

    def copy(row, who, name):
        copied.append(row)
        return canonical(row, who, name)

    monkeypatch.setattr("xmc.ranking.ranker.canonical", copy)
    rank = model.ranker()
    expected = rank(x)
    plain = x.copy(), sp.csr_array(x), changed(x, indptr=x.indptr.astype(np.int64))
    assert all(same(rank(row), expected) for row in plain) and copied == []
    others = (
        x.tocsc(),
        changed(x, data=x.data.astype(np.float64)),
        changed(x, indices=x.indices.astype(np.int64)),
        changed(x, data=np.repeat(x.data, 2)[::2]),
        changed(x, indices=np.repeat(x.indices, 2)[::2]),
        changed(x, data=x.data[::-1].copy(), indices=x.indices[::-1].copy()),
        changed(x, indptr=x.indptr.astype(np.uint32)),
    )
    for number, row in enumerate(others, 1):
        assert same(rank(row), expected), number
        assert len(copied) == number and copied[-1] is row


def test_a_row_without_features_is_ranked(model, sample):
    empty = sp.csr_matrix((1, sample.X.shape[1]), dtype=np.float32)
    assert same(model.ranker()(empty), model.predict_topk(sp.vstack([empty, empty]).tocsr()[:1]))
    assert (model.ranker()(empty).labels >= 0).any()


def test_the_row_itself_is_left_alone(model, sample):
    x = sample.X_test[0] * np.float32(3)
    before = x.copy()
    model.ranker()(x)
    assert (x != before).nnz == 0


def test_many_threads_may_share_a_ranker(model, sample):
    rank, rows = model.ranker(), [sample.X_test[i] for i in range(60)]
    alone = [rank(x) for x in rows]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(rank, rows * 5))
    assert all(same(a, b) for a, b in zip(alone * 5, together, strict=True))


def test_a_ranker_keeps_the_parameters_it_was_made_with(sample):
    model = LabelTreeClassifier(arity=8, random_state=0).fit(sample.X[:500], sample.Y[:500])
    rank, x = model.ranker(), sample.X_test[0]
    before = rank(x)
    model.set_params(score_transform="log_sigmoid")
    assert same(rank(x), before)
    assert not same(model.predict_topk(x), before)


def test_texts_are_ranked_where_a_vectoriser_is_held(sample):
    texts = sample_texts(sample.X[:500], sample.features)
    model = TextClassifier(LabelTreeClassifier(arity=8, random_state=0))
    model.fit(texts, sample.Y[:500])
    with pytest.raises(
        DataError, match="expected a matrix, got a text, and the model holds no vectoriser"
    ):
        model.classifier_.ranker()(texts[0])
    assert same(model.ranker()(texts[0]), model.predict_topk([texts[0]]))


@pytest.mark.parametrize("k", [0, -1, 2.5, None, 10**6])
def test_an_impossible_k_is_refused(model, sample, k):
    with pytest.raises(ParameterError, match="predict_topk: k must be an int from 1 to "):
        model.ranker()(sample.X_test[0], k)


def test_what_is_no_row_of_the_model_is_refused(model, sample):
    rank = model.ranker()
    two, narrow = sample.X_test[:2], sample.X_test[0][:, :5]
    for x, got in ((two, r"shape \(2, "), (narrow, r"shape \(1, 5\)"), (None, "NoneType")):
        expected = r"expected a sparse matrix of shape \(1, \d+\)"
        with pytest.raises(DataError, match=rf"^{type(model).__name__}: {expected}, got {got}"):
            rank(x)
    with pytest.raises(DataError, match=r"got list$"):
        rank([1.0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(model, sample, value):
    x = sample.X_test[0].copy()
    x.data[0] = value
    with pytest.raises(DataError, match="expected finite values in x, got "):
        model.ranker()(x)


def test_ids_out_of_range_are_refused(model, sample):
    for wrong in (-1, sample.X.shape[1]):
        x = sample.X_test[0].copy()
        x.indices[-1 if wrong > 0 else 0] = wrong
        said = f"^LabelTreeClassifier: expected ids 0 to .* in the indices of x, got {wrong}"
        with pytest.raises(DataError, match=said):
            model.ranker()(x)


def test_a_model_that_is_not_fitted_has_no_ranker():
    with pytest.raises(NotFittedError):
        LabelTreeClassifier().ranker()


@pytest.mark.parametrize("how", [{}, {"pairs": 0.5}, {"tfidf": True}, {"normalize": False}])
def test_rows_are_read_as_the_model_reads_them_by_its_own_numbers(sample, how):
    wide = 2 * 10**7  # features and labels whose numbers leave most out
    X, Y = (
        sp.csr_matrix((M.data, M.indices * 1000, M.indptr), (M.shape[0], wide))
        for M in (sample.X[:300], sample.Y[:300])
    )
    model = OneVsAllClassifier(random_state=0, **how).fit(X, Y)
    assert model.model_.kept_features is not None and model.model_.kept_labels is not None
    together, rank = model.predict_topk(X[:5], 4), model.ranker()
    assert together.labels.max() > 1000 and (together.labels % 1000 == 0).all()
    for row in range(5):
        assert same(rank(X[row], 4), [part[row : row + 1] for part in together])


def test_texts_are_also_held_against_names(sample):
    texts = sample_texts(sample.X[:300], sample.features)
    model = TextClassifier(OneVsAllClassifier(random_state=0), rerank=True)
    model.fit(texts, sample.Y[:300], label_names=sample.label_names)
    assert model.classifier_.model_.predictor.reads_texts
    rank = model.ranker()
    for text in texts[:3]:
        assert same(rank(text), model.predict_topk([text]))
    X = model.vectorizer_.transform(texts[:3])  # rows without texts, of which names tell nothing
    for row in range(3):
        alone = model.classifier_.ranker()(X[row])
        assert same(alone, model.classifier_.predict_topk(X[row]))
        assert not same(alone, model.predict_topk(texts[row : row + 1]))


@pytest.mark.parametrize("kind", [sp.coo_array, sp.csr_array])
def test_one_dimension_is_a_row(model, sample, kind):
    x, rank = sample.X_test[3], model.ranker()
    line = kind(x.toarray()[0])
    assert line.ndim == 1 and same(rank(line), rank(x))
    with pytest.raises(
        DataError, match=r"expected a sparse matrix of shape .*, got shape \(1, 3\)"
    ):
        rank(kind(x.toarray()[0, :3]))
    if kind is sp.csr_array:
        line.indices[0] = -1
        with pytest.raises(
            DataError, match=f"^{type(model).__name__}: .* in the indices of x, got"
        ):
            rank(line)


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.coo_matrix])
def test_values_that_only_scaling_could_mend_are_refused(sample, form):
    x = form(sample.X_test[0] * np.float32(1e20))
    for normalize in (True, False):
        model = OneVsAllClassifier(normalize=normalize, random_state=0)
        rank = model.fit(sample.X[:200], sample.Y[:200]).ranker()
        if normalize:
            assert rank(x).labels.tolist() == rank(sample.X_test[0]).labels.tolist()
            continue
        said = "^OneVsAllClassifier: expected values from .* in x with normalize=False, got "
        with pytest.raises(DataError, match=said):
            rank(x)
