"""What comes out: ranked labels, sets, probabilities, classes."""

import numpy as np
import pytest
import scipy.sparse as sp
from planted import (
    N_LABELS,
    SMALL,
    X_TEST,
    Y_TEST,
    X,
    Y,
    dense,
    planted,
    row_sets,
    same_answer,
    same_model,
    with_settings,
)
from sklearn.base import clone

from xmc import (
    LabelTree,
    LabelTreeClassifier,
    LowRankClassifier,
    OneVsAllClassifier,
    ParameterError,
)
from xmc.datasets import load_sample
from xmc.params import BeamParams, DataParams, LabelTreeParams, names


# What comes out.
@pytest.mark.parametrize("k", [1, 3, N_LABELS])
def test_topk_has_its_shape_and_types_and_stands_best_first(fitted, k):
    labels, scores = fitted.predict_topk(X_TEST, k)
    assert labels.shape == scores.shape == (60, k)
    assert (labels.dtype, scores.dtype) == (np.int32, np.float32)
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    assert ((scores >= 0) & (scores <= 1) | (labels < 0)).all()


def test_a_label_comes_once_per_row(fitted):
    labels, _ = fitted.predict_topk(X_TEST, N_LABELS)
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in labels)


def test_places_that_the_beam_leaves_empty_come_last(tree_model):
    labels, scores = (
        tree_model.set_params(beam_size=1, n_trees=1).fit(X, Y).predict_topk(X_TEST, N_LABELS)
    )
    empty = labels < 0
    assert empty.any(axis=1).all()
    assert (labels[empty] == -1).all() and np.isneginf(scores[empty]).all()
    assert (empty[:, 1:] >= empty[:, :-1]).all()


def test_a_smaller_k_cuts_the_same_ranking(fitted):
    everything = fitted.predict_topk(X_TEST, N_LABELS)
    assert same_answer(fitted.predict_topk(X_TEST, 4), [column[:, :4] for column in everything])


def test_predict_proba_holds_the_scores_of_predict_topk(fitted):
    P = fitted.predict_proba(X_TEST)
    top = fitted.predict_topk(X_TEST, N_LABELS)
    assert P.shape == Y_TEST.shape
    assert P.nnz == (top.labels >= 0).sum()
    assert np.array_equal(P.toarray(), dense(top))


def test_csr_comes_back_sorted(fitted):
    for M in (fitted.predict(X_TEST), fitted.predict_proba(X_TEST)):
        assert isinstance(M, sp.csr_matrix)
        assert M.has_canonical_format
        assert M.dtype == np.float32


def test_predict_gives_ones_among_the_labels_that_the_beam_reached(fitted):
    Y_hat, P = fitted.predict(X_TEST), fitted.predict_proba(X_TEST)
    assert (Y_hat.data == 1).all()
    assert all(
        chosen <= reached for chosen, reached in zip(row_sets(Y_hat), row_sets(P), strict=True)
    )


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 1.0])
def test_predict_gives_the_labels_whose_probability_reaches_the_threshold(fitted, threshold):
    P = fitted.predict_proba(X_TEST)
    P.data[:] = (P.data >= np.float32(threshold)).astype(np.float32)
    P.eliminate_zeros()
    assert (fitted.predict(X_TEST, threshold) != P).nnz == 0


def test_without_a_threshold_predict_takes_what_a_margin_of_0_gives_on_one_level(fitted):
    threshold = fitted.model_.threshold  # a last stage has learned its own
    if isinstance(fitted, LowRankClassifier):
        threshold = 0.5  # a label is rather true than not
    elif threshold is None:
        threshold = 0.5 if fitted.score_transform == "log_sigmoid" else np.exp(np.float32(-1))
    assert (fitted.predict(X_TEST) != fitted.predict(X_TEST, threshold)).nnz == 0


def test_sets_of_trees_on_real_data_are_as_good_as_those_of_one_vs_all():
    """Micro-F1 of what `predict` gives."""
    sample = load_sample()
    true, found = sample.Y_test != 0, []
    for model in (
        OneVsAllClassifier(random_state=0),
        LabelTreeClassifier(tree="balanced", random_state=0),
        LabelTreeClassifier(tree="shallow", n_trees=2, random_state=0),
    ):
        sets = model.fit(sample.X[:8000], sample.Y[:8000]).predict(sample.X_test) != 0
        found.append(2 * true.multiply(sets).nnz / (true.nnz + sets.nnz))
    one_vs_all, *trees = found
    assert one_vs_all > 0.55
    assert min(trees) > one_vs_all - 0.02


@pytest.mark.parametrize("threshold", [-0.1, 1.5, np.nan, "0.5", True])
def test_a_threshold_that_is_no_probability_is_refused(fitted, threshold):
    with pytest.raises(ParameterError, match="threshold must be a number from 0 to 1 or None"):
        fitted.predict(X_TEST, threshold)


# By name and value: every parameter that can be set on a trained model, changed.
RANKING = {
    "beam_size": 1, "score_transform": "l2_hinge", "optimize": "psp", "tail_share": 0.9,
    "tail_gamma": 2.0, "normalize": False, "bias": 0.5, "propensity_a": 0.1, "propensity_b": 9.0,
}  # fmt: skip
NEEDED_BESIDE = {
    "tail_gamma": {"tail_share": 0.5},
    "propensity_a": {"optimize": "psp"},
    "propensity_b": {"optimize": "psp"},
}


def test_every_ranking_parameter_is_tried():
    assert set(RANKING) == set(names(LabelTreeParams, BeamParams, DataParams))


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize("n_trees", [1, 2])
def test_a_ranking_parameter_set_after_training_changes_one_row_and_a_batch_alike(name, n_trees):
    model = LabelTreeClassifier(n_trees=n_trees, tail_share=0.1, **SMALL).fit(X, Y)
    model.set_params(**{"tail_share": 0.0, "beam_size": 2} | NEEDED_BESIDE.get(name, {}))
    before = model.predict_topk(X_TEST, 5)
    alone = [model.predict_topk(X_TEST[i], 5) for i in range(60)]  # a ranker is kept from here on
    assert all(np.array_equal(alone[i].scores[0], before.scores[i]) for i in range(60))
    model.set_params(**{name: RANKING[name]})
    after = model.predict_topk(X_TEST, 5)
    alone = [model.predict_topk(X_TEST[i], 5) for i in range(60)]
    assert not np.array_equal(before.scores, after.scores), f"{name} makes no difference here"
    assert all(np.array_equal(alone[i].scores[0], after.scores[i]) for i in range(60))
    assert all(np.array_equal(alone[i].labels[0], after.labels[i]) for i in range(60))


@pytest.mark.parametrize(
    "settings",
    [{}, {"optimize": "psp"}, {"tail_share": 0.5}, {"optimize": "psp", "tail_share": 0.3}],
)
def test_what_ranks_is_what_is_shown(model, settings):
    settings = {"tail_share": 0.1} | settings
    known = model.get_params()  # tail classifiers don't go with a last stage
    model.set_params(**{name: settings[name] for name in settings.keys() & known.keys()}).fit(X, Y)
    top, P = model.predict_topk(X_TEST, N_LABELS), model.predict_proba(X_TEST)
    assert np.array_equal(dense(top), P.toarray())
    y = np.arange(300) % N_LABELS
    of_one = clone(model).fit(X, y)
    P, best = of_one.predict_proba(X_TEST), of_one.predict(X_TEST)
    columns = np.searchsorted(of_one.classes_, best)
    assert np.array_equal(P[np.arange(60), columns], P.max(axis=1))


@pytest.mark.parametrize("threshold", [None, 0.02, 0.6])
def test_ranked_sets_are_the_sets_in_the_order_of_the_ranking(fitted, threshold):
    sets = fitted.predict(X_TEST, threshold)
    top = fitted.predict_topk(X_TEST, None, sets=True, threshold=threshold)
    assert top.labels.shape[1] == max(1, sets.getnnz(axis=1).max())
    whole = fitted.predict_topk(X_TEST, N_LABELS)
    for row, own in enumerate(row_sets(sets)):
        expected = [label for label in whole.labels[row].tolist() if label in own]
        assert top.labels[row][: len(own)].tolist() == expected
        assert (top.labels[row][len(own) :] == -1).all()
    two = fitted.predict_topk(X_TEST, 2, sets=True, threshold=threshold)
    assert np.array_equal(two.labels[:, :2][:, : top.labels.shape[1]], top.labels[:, :2])


def test_sets_of_one_label_per_row_are_refused(model):
    if isinstance(getattr(model, "tree", ""), LabelTree):
        return  # its labels are those of the planted data
    model.fit(X_TEST, np.arange(60) % 3)
    with pytest.raises(ParameterError, match="sets must be False with one label per row$"):
        model.predict_topk(X_TEST, 2, sets=True)


def test_a_row_of_which_nothing_is_known_has_an_empty_set(learned):
    """Without bias, a row without features has a margin of 0 for every label."""
    model = with_settings(learned, bias=0.0).fit(X, Y)
    assert model.predict(sp.csr_matrix((2, X.shape[1]), dtype=np.float32)).nnz == 0


def test_a_threshold_without_sets_is_refused(fitted):
    for rows in (X_TEST, X_TEST[:1]):
        with pytest.raises(ParameterError, match="threshold goes with sets=True$"):
            fitted.predict_topk(rows, 2, threshold=0.5)


def test_equal_scores_stand_in_the_order_of_their_margins():
    model = OneVsAllClassifier(C=10.0, weight_threshold=0.0, random_state=0).fit(X, Y)
    top = model.predict_topk(X, N_LABELS)
    by_margin = model.set_params(score_transform="log_sigmoid").predict_topk(X, N_LABELS)
    saturated = top.scores == 1
    assert (saturated.sum(axis=1) > 1).any(), "no row has two margins above 1"
    assert np.array_equal(top.labels[saturated], by_margin.labels[saturated])
    assert not np.array_equal(np.sort(top.labels)[saturated], top.labels[saturated])


def test_equal_scores_and_margins_stand_in_the_order_of_the_labels(model):
    nothing = sp.csr_matrix((1, X.shape[1]), dtype=np.float32)
    (labels,), (scores,) = (
        with_settings(model, bias=0).fit(X, Y).predict_topk(nothing, N_LABELS)
    )  # every margin is 0
    tied = [labels[scores == score] for score in set(scores[labels >= 0].tolist())]
    assert max(map(len, tied)) > 1
    assert all((equal == np.sort(equal)).all() for equal in tied)


def test_score_is_the_share_of_rows_whose_best_label_is_true(learned):
    truth = sp.vstack([Y_TEST[:40], Y_TEST[:20]], format="csr")  # of other rows, the last 20
    hits = truth.toarray()[np.arange(60), learned.predict_topk(X_TEST, 1).labels[:, 0]]
    weight = np.linspace(0, 1, 60)
    assert 0.5 < hits.mean() < 1
    assert learned.score(X_TEST, truth) == pytest.approx(hits.mean())
    assert learned.score(X_TEST, truth, weight) == pytest.approx(
        (hits * weight).sum() / weight.sum()
    )


# One label per row.
X_ONE, Y_ONE = planted(800, 2)
X_ONE, Y_ONE = (
    X_ONE[np.diff(Y_ONE.indptr) == 1],
    Y_ONE[np.diff(Y_ONE.indptr) == 1].indices,
)  # every label occurs


@pytest.mark.parametrize(
    "names", [np.arange(N_LABELS) * 7 - 3, np.array([f"label {n:02}" for n in range(N_LABELS)])]
)
def test_one_label_per_row_comes_back_as_a_class(learner, names):
    y = names[Y_ONE]
    learner.fit(X_ONE, y)
    y_hat = learner.predict(X_ONE)
    assert (y_hat.shape, y_hat.dtype) == (y.shape, learner.classes_.dtype)
    assert np.array_equal(learner.classes_, np.unique(y))
    assert (y_hat == y).mean() == learner.score(X_ONE, y) > 0.95


def test_one_label_per_row_trains_what_a_one_hot_matrix_trains(model):
    one_hot = sp.csr_matrix(np.eye(N_LABELS)[Y_ONE])
    assert same_model(clone(model).fit(X_ONE, Y_ONE), clone(model).fit(X_ONE, one_hot))


def test_probabilities_of_one_label_per_row_are_dense_and_sum_to_1(model):
    P = model.fit(X_ONE, Y_ONE).predict_proba(X_TEST)
    assert P.shape == (60, len(model.classes_))
    np.testing.assert_allclose(P.sum(axis=1), 1)
