import naive
import numpy as np
import pytest
import scipy.sparse as sp
from folders import arrays_of, replace_array

from xmc import LabelTreeClassifier, ModelError, OneVsAllClassifier, ParameterError, load
from xmc.datasets import load_sample
from xmc.ranking.tail import Tail, tail_embeddings, with_tail

N_FEATURES, N_LABELS = 20, 9


@pytest.fixture
def candidates(rng):
    """Rows, embeddings of labels, pointers and ids of some candidates of each row."""
    X, embeddings = (
        naive.random_rows(rng, 15, N_FEATURES),
        naive.random_rows(rng, N_LABELS, N_FEATURES),
    )
    return X, embeddings, *naive.random_lists(rng, 15, N_LABELS, density=0.5)


@pytest.fixture(scope="module")
def sample():
    data = load_sample()
    return data.X[:1500], data.Y[:1500], data.X_test[:100]


def row_and_label(indptr, ids):
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), ids


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_scores_are_a_geometric_mean_with_the_probability_by_distance(rng, candidates, share):
    X, embeddings, indptr, ids = candidates
    X, embeddings = (
        naive.as_rows(naive.unit(naive.to_dense(*rows) + 1e-3)) for rows in (X, embeddings)
    )
    score = rng.random(len(ids)).astype(np.float32)
    got = with_tail(X, indptr, ids, score, Tail(embeddings, 6.0, share))
    distance = np.linalg.norm(naive.to_dense(*X)[:, None] - naive.to_dense(*embeddings), axis=2)[
        row_and_label(indptr, ids)
    ]
    probability = 1 / (1 + np.exp(6.0 / 2 * distance**2))
    assert got == pytest.approx(score ** (1 - share) * probability**share, rel=1e-4)


def test_embeddings_point_where_the_labels_rows_point(rng):
    X, Y = naive.random_rows(rng, 40, N_FEATURES, empty=0), rng.random((40, N_LABELS)) < 0.2
    Y[:, 3] = False
    embeddings = naive.to_dense(*tail_embeddings(X, naive.as_lists(Y.T), 1))
    summed = Y.T @ naive.to_dense(*X)
    expected = np.divide(
        summed,
        np.linalg.norm(summed, axis=1, keepdims=True),
        where=Y.any(axis=0)[:, None],
        out=summed,
    )
    assert embeddings == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("model", [OneVsAllClassifier, LabelTreeClassifier])
def test_a_share_of_1_ranks_by_distance_alone(sample, model):
    X, Y, X_test = sample
    fitted = model(tail_share=1.0, tail_gamma=5.0, random_state=0).fit(X, Y)
    labels = fitted.predict_topk(X_test, 1).labels[:, 0]
    units = [
        sp.diags(1 / np.maximum(1e-9, np.sqrt(M.multiply(M).sum(axis=1).A1))) @ M
        for M in (X, X_test)
    ]
    summed = (Y.T @ units[0]).toarray()
    cosines = units[1] @ (summed / np.maximum(1e-9, np.linalg.norm(summed, axis=1))[:, None]).T
    reached = fitted.predict_proba(X_test).toarray() > 0
    best = np.where(reached, cosines, -1).max(axis=1)
    known = np.asarray(X_test.sum(axis=1)).ravel() > 0
    assert cosines[np.arange(100), labels][known] == pytest.approx(
        best[known], abs=0.02
    )  # 256 features of each mean


def test_one_row_is_ranked_as_many(sample):
    X, Y, X_test = sample
    model = LabelTreeClassifier(tail_share=0.3, optimize="psp", random_state=0).fit(X, Y)
    together = model.predict_topk(X_test, 4)
    for row in range(5):
        alone = model.ranker()(X_test[row], 4)
        assert np.array_equal(alone.labels[0], together.labels[row])
        assert np.array_equal(alone.scores[0], together.scores[row])


def test_the_tail_comes_back_from_disk(sample, tmp_path):
    X, Y, X_test = sample
    model = OneVsAllClassifier(tail_share=0.3, random_state=0).fit(X, Y)
    model.save(tmp_path / "model")
    expected, got = model.predict_topk(X_test, 5), load(tmp_path / "model").predict_topk(X_test, 5)
    assert np.array_equal(expected.labels, got.labels) and np.array_equal(
        expected.scores, got.scores
    )


def test_a_damaged_tail_is_refused(sample, tmp_path):
    X, Y, _ = sample
    OneVsAllClassifier(tail_share=0.3, random_state=0).fit(X, Y).save(tmp_path / "model")
    ids = arrays_of(tmp_path / "model")["label_means.indices"]
    replace_array(
        tmp_path / "model", "model.json", "label_means.indices", ids + np.int32(X.shape[1])
    )
    with pytest.raises(ModelError, match="label_means"):
        load(tmp_path / "model")


def test_a_share_needs_tail_classifiers(sample):
    X, Y, X_test = sample
    model = OneVsAllClassifier(random_state=0).fit(X, Y).set_params(tail_share=0.2)
    for ask in (lambda: model.predict_topk(X_test), lambda: model.predict_topk(X_test[:1])):
        with pytest.raises(
            ParameterError,
            match=r"^OneVsAllClassifier: tail_share must be 0, as it was in training$",
        ):
            ask()
