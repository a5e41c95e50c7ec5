"""The battery that every model must pass, on data whose right answer is known by construction."""

import re
import subprocess
import sys
from copy import copy

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.svm import LinearSVC

from xmc import DataError, LabelTree, LabelTreeClassifier, OneVsAllClassifier, ParameterError
from xmc.metrics import propensities
from xmc.ranking import search
from xmc.training.grow import SHALLOW_FOR

N_TOPICS, PER_TOPIC, N_NOISE = 8, 5, 30
N_LABELS = N_TOPICS * PER_TOPIC
BY_TOPIC = LabelTree(
    (np.array([0, N_TOPICS]), np.arange(0, N_LABELS + 1, PER_TOPIC)),
    np.arange(N_LABELS, dtype=np.int32),
)
SMALL = {"max_leaf_size": PER_TOPIC, "arity": 3, "random_state": 0}
MODELS = {
    "balanced": LabelTreeClassifier(tree="balanced", **SMALL),
    "shallow": LabelTreeClassifier(tree="shallow", arity=4, random_state=0),
    "given": LabelTreeClassifier(tree=BY_TOPIC, random_state=0),
    "ensemble": LabelTreeClassifier(n_trees=3, **SMALL),
    "man": LabelTreeClassifier(negatives="man", beam_size=3, **SMALL),
    "tfn+man": LabelTreeClassifier(negatives="tfn+man", **SMALL),
    "folds": LabelTreeClassifier(negatives="man", negative_folds=3, beam_size=3, **SMALL),
    "costs": LabelTreeClassifier(costs="propensity", C=(2.0, 1.0), **SMALL),
    "hinge": LabelTreeClassifier(loss="hinge", score_transform="log_sigmoid", **SMALL),
    "one-vs-all": OneVsAllClassifier(random_state=0),
}
TREES = [name for name in MODELS if name != "one-vs-all"]


def planted(n_rows, seed):
    """(X, Y): each row has a topic and one to three of its labels; features are the labels, the
    topic, and noise.
    """
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, N_TOPICS, n_rows)
    Y = np.zeros((n_rows, N_LABELS), np.float32)
    for row, n_own in enumerate(rng.integers(1, 4, n_rows)):
        Y[row, topic[row] * PER_TOPIC + rng.choice(PER_TOPIC, n_own, replace=False)] = 1
    noise = (rng.random((n_rows, N_NOISE)) < 0.1) * rng.uniform(0, 0.3, (n_rows, N_NOISE))
    X = np.hstack([Y * rng.uniform(1, 1.5, Y.shape), np.eye(N_TOPICS)[topic], noise])
    return sp.csr_matrix(X.astype(np.float32)), sp.csr_matrix(Y)


X, Y = planted(300, 0)
X_TEST, Y_TEST = planted(60, 1)


@pytest.fixture(scope="module", params=MODELS)
def fitted(request):
    return clone(MODELS[request.param]).fit(X, Y)


@pytest.fixture(params=MODELS)
def model(request):
    return clone(MODELS[request.param])


@pytest.fixture(params=TREES)
def tree_model(request):
    return clone(MODELS[request.param])


def arrays(model):
    """All that a model has learnt."""
    trees = [
        array for member in model.members_ for array in (*member.tree.chunks, member.tree.labels)
    ]
    return trees + [
        array for member in model.members_ for layer in member.layers for array in layer
    ]


def same_model(a, b):
    ours, theirs = arrays(a), arrays(b)
    return len(ours) == len(theirs) and all(
        np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True)
    )


def same_answer(a, b):
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(a, b, strict=True))


def row_sets(M):
    """The labels of each row, as sets."""
    return [set(M.indices[a:b].tolist()) for a, b in zip(M.indptr, M.indptr[1:], strict=False)]


def dense(top, n_labels=N_LABELS):
    """The scores of a TopK as a matrix, 0 where there is none."""
    scores = np.zeros((len(top.labels), n_labels), np.float32)
    rows = np.repeat(np.arange(len(top.labels)), (top.labels >= 0).sum(axis=1))
    scores[rows, top.labels[top.labels >= 0]] = top.scores[top.labels >= 0]
    return scores


# What is right.


def test_the_planted_labels_come_first(fitted):
    labels, _ = fitted.predict_topk(X_TEST, 3)
    assert [
        set(row[: len(true)].tolist()) for row, true in zip(labels, row_sets(Y_TEST), strict=True)
    ] == row_sets(Y_TEST)


def test_predict_gives_the_planted_labels_and_few_others(fitted):
    Y_hat = fitted.predict(X_TEST)
    assert Y_hat.multiply(Y_TEST).nnz == Y_TEST.nnz
    assert Y_hat.nnz <= 1.25 * Y_TEST.nnz


def test_the_reference_solver_finds_the_planted_labels():
    pytest.importorskip("liblinear")
    model = LabelTreeClassifier(solver="liblinear", **SMALL).fit(X, Y)
    assert model.score(X_TEST, Y_TEST) == 1


def test_the_reference_solver_gives_the_same_model_for_the_same_seed():
    pytest.importorskip("liblinear")
    first, second = (
        OneVsAllClassifier(solver="liblinear", random_state=0).fit(X, Y) for _ in range(2)
    )
    assert same_model(first, second)


def svm(X, y, C=1.0):
    """Margins of a classifier with the same objective, solved by scikit-learn, as a function of
    rows.
    """
    solved = LinearSVC(
        C=C, loss="squared_hinge", dual=True, tol=1e-6, max_iter=100_000, random_state=0
    ).fit(X, y)
    return solved.decision_function


def log_p(margin):
    return -(np.maximum(0, 1 - margin) ** 3)


def unit(M):
    return sp.csr_matrix(M.multiply(1 / np.sqrt(M.multiply(M).sum(axis=1))))


EXACT = {"tol": 1e-5, "max_iter": 5000, "weight_threshold": 0.0, "random_state": 0}


def test_one_vs_all_is_one_linear_svm_per_label():
    model = OneVsAllClassifier(C=2.0, **EXACT).fit(X, Y)
    y, rows = Y.toarray(), unit(X_TEST)
    margin = np.stack([svm(unit(X), y[:, label], 2.0)(rows) for label in range(N_LABELS)], axis=1)
    np.testing.assert_allclose(
        dense(model.predict_topk(X_TEST, N_LABELS)), np.exp(log_p(margin)), atol=2e-3
    )
    assert np.array_equal(model.predict(X_TEST).toarray() > 0, margin > 0)


def test_a_tree_multiplies_the_probabilities_along_the_path():
    model = LabelTreeClassifier(tree=BY_TOPIC, beam_size=N_TOPICS, **EXACT).fit(X, Y)
    y, rows = Y.toarray(), unit(X_TEST)
    topics = y.reshape(-1, N_TOPICS, PER_TOPIC).max(axis=2)
    expected, margins = (
        np.empty((len(rows.indptr) - 1, N_LABELS)),
        np.empty((len(rows.indptr) - 1, N_LABELS)),
    )
    for label in range(N_LABELS):
        topic = label // PER_TOPIC
        own = topics[:, topic] > 0
        margins[:, label] = svm(unit(X)[own], y[own, label])(rows)
        expected[:, label] = np.exp(
            log_p(svm(unit(X), topics[:, topic])(rows)) + log_p(margins[:, label])
        )
    np.testing.assert_allclose(dense(model.predict_topk(X_TEST, N_LABELS)), expected, atol=2e-3)
    assert np.array_equal(model.predict(X_TEST).toarray() > 0, margins > 0)


def test_a_tree_of_height_one_is_one_vs_all():
    tree = LabelTreeClassifier(tree="balanced", max_leaf_size=N_LABELS, random_state=0).fit(X, Y)
    assert same_model(tree, OneVsAllClassifier(random_state=0).fit(X, Y))


def test_an_ensemble_averages_its_members_and_a_label_that_one_missed_counts_0():
    model = LabelTreeClassifier(n_trees=3, beam_size=2, **SMALL).fit(X, Y)
    members = model.members_
    alone = []
    for member in members:
        model.members_ = (member,)
        alone.append(model.predict_proba(X_TEST).toarray())
    model.members_ = members
    together = model.predict_proba(X_TEST)
    found = np.stack(alone) > 0
    assert (found.any(axis=0) & ~found.all(axis=0)).any(), (
        "no label is missed by one member and found by another"
    )
    np.testing.assert_allclose(together.toarray(), np.mean(alone, axis=0), rtol=1e-6)


def test_auto_chooses_the_tree_by_the_number_of_labels():
    many = sp.eye(SHALLOW_FOR[0], format="csr", dtype=np.float32)
    settings = {"max_iter": 1, "arity": 30, "random_state": 0}
    for data, shape in (((X, Y), "balanced"), ((many, many), "shallow")):
        auto, named = (
            LabelTreeClassifier(tree=tree, **settings).fit(*data) for tree in ("auto", shape)
        )
        assert same_model(auto, named)


@pytest.mark.parametrize("limit", [1, 5, 7, 39, N_LABELS])
def test_leaves_of_a_balanced_tree_hold_that_many_labels_at_most(limit):
    model = LabelTreeClassifier(tree="balanced", arity=2, max_leaf_size=limit, random_state=0).fit(
        X, Y
    )
    assert np.diff(model.members_[0].tree.chunks[-1]).max() <= limit


@pytest.mark.parametrize("tree", ["balanced", "shallow"])
@pytest.mark.parametrize("depth", [1, 2])
def test_max_depth_bounds_the_levels(tree, depth):
    model = LabelTreeClassifier(
        tree=tree, arity=2, max_leaf_size=2, max_depth=depth, random_state=0
    ).fit(X, Y)
    assert model.members_[0].tree.depth == depth


def test_negatives_are_different_rows():
    settings = {"beam_size": 2, **SMALL}
    models = [
        LabelTreeClassifier(negatives=name, **settings).fit(X, Y)
        for name in ("tfn", "man", "tfn+man")
    ]
    assert not any(same_model(a, b) for a, b in zip(models, models[1:] + models[:1], strict=True))


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
        model.set_params(bias=0).fit(X, Y).predict_topk(nothing, N_LABELS)
    )  # every margin is 0
    tied = [labels[scores == score] for score in set(scores[labels >= 0].tolist())]
    assert max(map(len, tied)) > 1
    assert all((equal == np.sort(equal)).all() for equal in tied)


def test_score_is_the_share_of_rows_whose_best_label_is_true(fitted):
    truth = sp.vstack([Y_TEST[:40], Y_TEST[:20]], format="csr")  # of other rows, the last 20
    hits = truth.toarray()[np.arange(60), fitted.predict_topk(X_TEST, 1).labels[:, 0]]
    weight = np.linspace(0, 1, 60)
    assert 0.5 < hits.mean() < 1
    assert fitted.score(X_TEST, truth) == pytest.approx(hits.mean())
    assert fitted.score(X_TEST, truth, weight) == pytest.approx(
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
def test_one_label_per_row_comes_back_as_a_class(model, names):
    y = names[Y_ONE]
    model.fit(X_ONE, y)
    y_hat = model.predict(X_ONE)
    assert (y_hat.shape, y_hat.dtype) == (y.shape, model.classes_.dtype)
    assert np.array_equal(model.classes_, np.unique(y))
    assert (y_hat == y).mean() == model.score(X_ONE, y) > 0.95


def test_one_label_per_row_trains_what_a_one_hot_matrix_trains(model):
    one_hot = sp.csr_matrix(np.eye(N_LABELS)[Y_ONE])
    assert same_model(clone(model).fit(X_ONE, Y_ONE), clone(model).fit(X_ONE, one_hot))


def test_probabilities_of_one_label_per_row_are_dense_and_sum_to_1(model):
    P = model.fit(X_ONE, Y_ONE).predict_proba(X_TEST)
    assert P.shape == (60, len(model.classes_))
    np.testing.assert_allclose(P.sum(axis=1), 1)


# What makes no difference.


@pytest.mark.parametrize("n_jobs", [2, 4])
def test_the_number_of_threads_makes_no_difference(model, n_jobs):
    one, many = (
        clone(model).set_params(n_jobs=1).fit(X, Y),
        clone(model).set_params(n_jobs=n_jobs).fit(X, Y),
    )
    assert same_model(one, many)
    many_rows = sp.vstack([X_TEST] * 150, format="csr")
    assert same_answer(one.predict_topk(many_rows, 5), many.predict_topk(many_rows, 5))


def test_the_order_of_rows_makes_no_difference(fitted, rng):
    order = rng.permutation(60)
    shuffled = fitted.predict_topk(X_TEST[order], N_LABELS)
    assert same_answer(
        shuffled, [column[order] for column in fitted.predict_topk(X_TEST, N_LABELS)]
    )


def test_the_number_of_rows_at_a_time_makes_no_difference(fitted):
    together = fitted.predict_topk(X_TEST, N_LABELS)
    for size in (1, 7):
        parts = [
            fitted.predict_topk(X_TEST[start : start + size], N_LABELS)
            for start in range(0, 60, size)
        ]
        assert same_answer(
            together, [np.concatenate(column) for column in zip(*parts, strict=True)]
        )


def test_more_rows_than_a_block_make_no_difference(fitted, monkeypatch):
    monkeypatch.setattr(search, "MOST_ROWS", 70)
    many = fitted.predict_topk(sp.vstack([X_TEST] * 3, format="csr"), 5)
    assert same_answer(many, [np.tile(column, (3, 1)) for column in fitted.predict_topk(X_TEST, 5)])


def test_one_row_is_answered_alike_by_all_methods(fitted):
    row = X_TEST[3]
    assert np.array_equal(
        fitted.predict_proba(row).toarray()[0], fitted.predict_proba(X_TEST).toarray()[3]
    )
    assert np.array_equal(fitted.predict(row).toarray()[0], fitted.predict(X_TEST).toarray()[3])


def test_a_second_fit_gives_the_same_model(model):
    assert same_model(clone(model).fit(X, Y), clone(model).fit(X_TEST, Y_TEST).fit(X, Y))


def test_another_seed_gives_another_model(model):
    assert not same_model(clone(model).fit(X, Y), clone(model).set_params(random_state=1).fit(X, Y))


def test_a_random_state_draws_the_seed():
    first, second = (
        OneVsAllClassifier(random_state=np.random.RandomState(5)).fit(X, Y) for _ in range(2)
    )
    assert same_model(first, second)


def variants(M):
    """The same matrix, written in other ways."""
    canonical = sp.csr_matrix(M)
    half = canonical.copy()
    half.data = half.data / 2
    twice = sp.csr_matrix(
        canonical.shape, dtype=np.float32
    )  # every entry in two halves, in descending order
    twice.data, twice.indices = half.data[::-1].repeat(2), canonical.indices[::-1].repeat(2)
    twice.indptr = 2 * (canonical.nnz - canonical.indptr[::-1])
    twice = twice[::-1]
    wide = canonical.astype(np.float64)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    return {
        "dense": M.toarray(),
        "float64, int64": wide,
        "duplicates": twice,
        "csc": M.tocsc(),
        "array": sp.csr_array(M),
        "stored zeros": with_zeros(M),
        "lists": M.toarray().tolist(),
    }


def with_zeros(M):
    coo = M.tocoo()
    row, col = (
        np.append(coo.row, 0),
        np.append(coo.col, (set(range(M.shape[1])) - set(M[0].indices)).pop()),
    )
    return sp.csr_matrix((np.append(coo.data, np.float32(0)), (row, col)), shape=M.shape)


@pytest.mark.parametrize("name", variants(X))
def test_the_writing_of_a_matrix_makes_no_difference(model, name):
    expected = clone(model).fit(X, Y)
    got = model.fit(variants(X)[name], variants(Y)[name])
    assert same_model(got, expected)
    assert same_answer(
        got.predict_topk(variants(X_TEST)[name], 5), expected.predict_topk(X_TEST, 5)
    )


def test_values_of_y_make_no_difference(model):
    assert same_model(clone(model).fit(X, Y * 0.5), clone(model).fit(X, Y))


def test_read_only_and_mapped_matrices_are_read(model, tmp_path):
    matrices = []
    for n, M in enumerate((X, Y)):
        mapped = sp.csr_matrix(M.shape, dtype=M.dtype)
        for name in ("data", "indices", "indptr"):
            np.save(tmp_path / f"{n}{name}.npy", getattr(M, name))
            setattr(mapped, name, np.load(tmp_path / f"{n}{name}.npy", mmap_mode="r"))
        matrices.append(mapped)
    got = clone(model).fit(*matrices)
    assert same_model(got, clone(model).fit(X, Y))
    assert same_answer(got.predict_topk(matrices[0], 5), got.predict_topk(X, 5))


def test_what_is_passed_in_is_not_changed(model):
    ours = [sp.csr_matrix(M.toarray()[::-1]) for M in (X, Y)]
    for M in ours:  # unsorted
        M.indices, M.data = M.indices[::-1].copy(), M.data[::-1].copy()
        M.indptr = M.nnz - M.indptr[::-1]
    before = [array.copy() for M in ours for array in (M.data, M.indices, M.indptr)]
    model.fit(*ours).predict_topk(ours[0], 5)
    after = [array for M in ours for array in (M.data, M.indices, M.indptr)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


COMPILED = """
import importlib, pkgutil
import numpy as np, scipy.sparse as sp, xmc.kernels
from numba.core.dispatcher import Dispatcher
from xmc import LabelTreeClassifier, OneVsAllClassifier

def versions():
    names = [f"xmc.kernels.{info.name}" for info in pkgutil.iter_modules(xmc.kernels.__path__)]
    kernels = [(name, kernel) for name in names for kernel in vars(importlib.import_module(name)).items()]
    return {(name, key): len(k.signatures) for name, (key, k) in kernels if isinstance(k, Dispatcher)}

def use(n_rows):
    X = sp.eye(n_rows, format="csr", dtype=np.float32)
    model.fit(X, X).predict_topk(X[0], 2)
    model.predict(X)

model = MODEL
use(3)
before = versions()
use(300)
print(sorted(name for (_, name), n in versions().items() if n > before.get((_, name), 0)))
"""


@pytest.mark.parametrize(
    "model",
    [
        "OneVsAllClassifier()",
        "LabelTreeClassifier(tree='shallow', n_trees=2)",
        "OneVsAllClassifier(costs='relevance')",
    ],
)
def test_a_fit_on_few_rows_compiles_every_kernel_that_a_large_one_uses(model):
    code = COMPILED.replace("MODEL", model)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# What is legal.


@pytest.fixture(scope="module")
def sparse_labels():
    """Y with a label of one row, and without rows for the first label, the last and two others."""
    few = Y.toarray()
    few[:, [0, 7, 8, N_LABELS - 1]] = 0
    few[1:, 3] *= np.cumsum(few[1:, 3]) < 1
    few[0, 3] = 1
    return sp.csr_matrix(few)


def test_labels_without_a_row_are_never_predicted(model, sparse_labels):
    model.fit(X, sparse_labels)
    labels, _ = model.predict_topk(X_TEST, N_LABELS)
    absent = {0, 7, 8, N_LABELS - 1}
    assert not absent & set(labels.ravel().tolist())
    assert not absent & set(model.predict(X_TEST).indices.tolist())
    assert model.n_labels_ == N_LABELS
    assert model.predict_proba(X_TEST).shape == (60, N_LABELS)


def test_a_label_of_one_row_is_learnt(model, sparse_labels):
    assert sparse_labels[:, 3].sum() == 1
    assert 3 in model.fit(X, sparse_labels).predict_topk(X[:1], 3).labels


def test_rows_without_features_all_get_the_same_answer(fitted):
    with_empty = sp.vstack([X_TEST[:2], sp.csr_matrix((3, X.shape[1])), X_TEST[2:4]], format="csr")
    top = fitted.predict_topk(with_empty, 5)
    assert (top.labels[0, 0], top.labels[5, 0]) == tuple(
        fitted.predict_topk(X_TEST[[0, 2]], 1).labels.ravel()
    )
    assert all((column[2:5] == column[2]).all() for column in top)
    assert same_answer(fitted.predict_topk(with_empty[2], 5), [column[2:3] for column in top])


def test_rows_without_features_are_ranked_by_how_frequent_labels_are(model):
    often = Y.toarray()
    often[:, 12] = 1
    nothing = sp.csr_matrix((1, X.shape[1]), dtype=np.float32)
    assert model.fit(X, sp.csr_matrix(often)).predict_topk(nothing, 1).labels.item() == 12


def test_training_rows_without_features_are_legal(model):
    blank = sp.vstack([X, sp.csr_matrix((20, X.shape[1]))], format="csr")
    assert model.fit(blank, sp.vstack([Y, Y[:20]], format="csr")).score(X_TEST, Y_TEST) > 0.9


def test_training_rows_without_labels_are_negatives(model):
    unlabelled = sp.vstack([Y, sp.csr_matrix((60, N_LABELS))], format="csr")
    more = clone(model).fit(sp.vstack([X, X_TEST], format="csr"), unlabelled)
    before = clone(model).fit(X, Y)
    assert more.predict_proba(X_TEST).sum() < before.predict_proba(X_TEST).sum()


def test_a_single_label_is_legal(model):
    if isinstance(model.get_params().get("tree"), LabelTree):
        model.set_params(
            tree=LabelTree((np.array([0, 1]), np.array([0, 1])), np.array([0], np.int32))
        )
    top = model.fit(X, Y[:, :1]).predict_topk(X_TEST, 1)
    assert (top.labels == 0).all()


def test_a_single_row_is_legal(model):
    assert model.fit(X[0], Y[0]).predict_topk(X[0], 2).labels[0, 0] in row_sets(Y)[0]


def test_labels_of_a_given_tree_only_are_predicted():
    tree = LabelTree((np.array([0, 2]), np.array([0, 2, 4])), np.array([9, 3, 21, 14], np.int32))
    labels, _ = LabelTreeClassifier(tree=tree, random_state=0).fit(X, Y).predict_topk(X_TEST, 10)
    assert set(labels.ravel().tolist()) == {-1, 3, 9, 14, 21}


def test_the_beam_can_be_widened_after_training(tree_model):
    narrow = tree_model.set_params(beam_size=1).fit(X, Y).predict_proba(X_TEST).nnz
    assert (
        tree_model.set_params(beam_size=N_LABELS).predict_proba(X_TEST).nnz
        == 60 * N_LABELS
        > narrow
    )


def test_progress_is_lines_on_stderr_only_if_asked_for(model, capfd):
    model.fit(X, Y)
    assert capfd.readouterr() == ("", "")
    model.set_params(verbose=1).fit(X, Y)
    out, err = capfd.readouterr()
    n_levels = sum(member.tree.depth for member in model.members_)
    assert out == ""
    trained = [line for line in err.splitlines() if ", level " in line and "left out" not in line]
    assert len(trained) == n_levels
    assert all(": done in " in line for line in err.splitlines())


def test_ranking_reports_progress_if_threads_have_several_blocks_each(fitted, monkeypatch, capfd):
    quiet = fitted.verbose
    fitted.set_params(verbose=1).predict_topk(X_TEST, 3)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(search, "MOST_ROWS", 7)
    fitted.predict_topk(X_TEST, 3)
    fitted.set_params(verbose=quiet)
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"ranking rows: done in \d+\.\d s\n", err)


# What is refused.


@pytest.mark.parametrize("k", [0, -1, N_LABELS + 1, 2.0, "3", None])
def test_k_outside_the_labels_is_refused(fitted, k):
    with pytest.raises(ParameterError) as error:
        fitted.predict_topk(X_TEST, k)
    expected = (
        f"predict_topk: k must be an int from 1 to {N_LABELS}, the number of labels, got {k!r}"
    )
    assert str(error.value) == expected


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.predict_proba(X),
        lambda model: model.predict_topk(X, 0),
        lambda model: model.predict_topk(["text"]),
        lambda model: model.score(X, Y),
        lambda model: model.save("never"),
    ],
)
def test_a_model_that_is_not_fitted_says_so(model, use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFittedError):
        use(model)


def test_a_fit_that_fails_leaves_no_model_behind(model):
    model.fit(X, Y)
    with pytest.raises(DataError):
        model.fit(X[:, :5], Y[:10])
    with pytest.raises(NotFittedError):
        model.predict(X[:, :5])


def test_settings_that_are_changed_after_training_are_checked(fitted):
    broken = fitted.get_params()["score_transform"]
    fitted.set_params(score_transform="cubed")
    with pytest.raises(ParameterError, match="score_transform must be one of"):
        fitted.predict_topk(X_TEST, 3)
    fitted.set_params(score_transform=broken)


@pytest.mark.parametrize("kind", [sp.csr_matrix, np.asarray])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf")])
def test_the_first_feature_that_is_not_finite_is_named_with_its_place(model, kind, value, word):
    wrong = X.toarray()
    wrong[7, 5] = value
    message = (
        f"^{type(model).__name__}: expected finite values in X, got {word} in row 7, column 5 "
    )
    with pytest.raises(DataError, match=message):
        clone(model).fit(kind(wrong), Y)
    with pytest.raises(DataError, match=message):
        model.fit(X, Y).predict(kind(wrong))


BAD = [
    (X, Y[:10], "expected as many rows in X as in Y, got 300 and 10"),
    (X, -Y, "expected no negative values in Y, got -1.0"),
    (X, Y * 0, "expected at least one row with a label, got 300 rows without"),
    (X, sp.csr_matrix((300, 0)), "expected at least one label, Y has no columns"),
    (X, Y * np.nan, "expected finite values in Y, got NaN in row 0, column "),
    (
        sp.csr_matrix((0, 3)),
        sp.csr_matrix((0, 2)),
        "expected at least one row and one column in X, got shape \\(0, 3\\)",
    ),
    (
        sp.csr_matrix((3, 0)),
        sp.csr_matrix((3, 2)),
        "expected at least one row and one column in X, got shape \\(3, 0\\)",
    ),
    (X * 1j, Y, "Complex data not supported in X"),
    (X, [[1]] * 299 + [[1, 2]], "y can't be read: .*inhomogeneous"),
    (
        X,
        [b"a", b"b"] * 150,
        "y can't be read: Support for labels represented as bytes is not supported",
    ),
    (X, np.linspace(0, 1, 300), "y can't be read: Unknown label type: continuous"),
    (X, np.array(["a", 1] * 150, object), "y can't be read: "),
    (X, np.zeros((300, 2, 2)), "y can't be read: "),
    (X, sp.coo_array(np.ones(300)), "expected Y to be a 2-D numeric matrix, got 1-D float64"),
]


@pytest.mark.parametrize(("X", "y", "message"), BAD, ids=[message[:40] for *_, message in BAD])
@pytest.mark.parametrize("model", [LabelTreeClassifier(), OneVsAllClassifier()])
def test_data_that_say_nothing_are_refused(model, X, y, message):
    with pytest.raises(DataError, match=f"^{type(model).__name__}: {message}") as error:
        clone(model).fit(X, y)
    assert "\n" not in str(error.value)


def test_missing_labels_are_refused(model):
    with pytest.raises(DataError, match="requires y to be passed, but the target y is None$"):
        model.fit(X, None)


@pytest.mark.parametrize("kind", [sp.csr_matrix, np.asarray])
def test_rows_of_another_width_are_refused(fitted, kind):
    wrong = kind(X_TEST[:, :5].toarray())
    with pytest.raises(
        DataError, match=f"^X has 5 features, but {type(fitted).__name__} is expecting 78 features"
    ):
        fitted.predict_topk(wrong, 3)


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (Y_TEST[:, :5], "expected 40 labels in Y, got 5"),
        (Y_TEST[:5], "expected as many rows in X as in Y, got 60 and 5"),
        (None, "expected Y to be a 2-D numeric matrix, got 0-D object"),
    ],
)
def test_truth_of_another_shape_is_refused(fitted, Y, message):
    with pytest.raises(DataError, match=f"^{type(fitted).__name__}: {message}$"):
        fitted.score(X_TEST, Y)


def test_truth_with_labels_that_the_model_does_not_know_counts_them_as_missed(fitted):
    wider = sp.hstack([Y_TEST, Y_TEST], format="csr")
    assert fitted.score(X_TEST, wider) == fitted.score(X_TEST, Y_TEST)


@pytest.mark.parametrize(
    ("chunks", "labels", "message"),
    [
        (
            [[0, 2], [0, 1]],
            [0, 1],
            "expected 3 ascending pointers from 0 on in level 1 of the tree",
        ),
        (
            [[0, 2], [0, 2, 1]],
            [0],
            "expected 3 ascending pointers from 0 on in level 1 of the tree",
        ),
        ([[1, 2]], [0, 1], "expected 2 ascending pointers from 0 on in level 0 of the tree"),
        ([[0, 2]], [0, 0], "expected the tree to hold 2 different labels, one per leaf"),
        ([[0, 2]], [0], "expected the tree to hold 2 different labels, one per leaf"),
        ([[0, 2]], [0, 40], "expected labels 0 to 39 in the tree, got 0 to 40"),
        ([[0, 2]], [-1, 0], "expected labels 0 to 39 in the tree, got -1 to 0"),
    ],
)
def test_a_tree_that_is_none_is_refused(chunks, labels, message):
    tree = LabelTree(tuple(np.array(chunk) for chunk in chunks), np.array(labels, np.int32))
    with pytest.raises(DataError, match=f"^LabelTreeClassifier: {message}$"):
        LabelTreeClassifier(tree=tree).fit(X, Y)


def test_a_tree_whose_labels_have_no_rows_is_refused(sparse_labels):
    tree = LabelTree((np.array([0, 2]),), np.array([7, 8], np.int32))
    with pytest.raises(
        DataError, match="expected a tree that holds a label with rows, got one that holds none$"
    ):
        LabelTreeClassifier(tree=tree).fit(X, sparse_labels)


# ---- compression
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_narrow_weights_rank_almost_alike(fitted, weights):
    full, narrow = fitted.predict_topk(X_TEST, 3), fitted.compress(weights).predict_topk(X_TEST, 3)
    assert (full.labels == narrow.labels).mean() > 0.9
    assert np.abs(full.scores - narrow.scores).max() < 0.1


def test_compressing_leaves_the_model_alone(fitted):
    before = [
        part.tobytes() for member in fitted.members_ for layer in member.layers for part in layer
    ]
    smaller = fitted.compress("int8", 0.5)
    assert before == [
        part.tobytes() for member in fitted.members_ for layer in member.layers for part in layer
    ]
    assert (fitted.weights, smaller.weights, smaller.weight_threshold) == ("float32", "int8", 0.5)


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_training_with_narrow_weights_is_training_and_compressing(model, weights):
    if model.get_params().get("negatives", "tfn") != "tfn":
        pytest.skip("matchers with narrow weights choose other negatives")
    narrow, full = (
        clone(model).set_params(weights=weights).fit(X, Y),
        model.fit(X, Y).compress(weights),
    )
    for one, other in zip(narrow.members_, full.members_, strict=True):
        for a, b in zip(one.layers, other.layers, strict=True):
            assert all(
                p.tobytes() == q.tobytes() and p.dtype == q.dtype for p, q in zip(a, b, strict=True)
            )


@pytest.mark.parametrize("settings", [{"weights": "int4"}, {"weight_threshold": -1}])
def test_impossible_compression_is_refused(settings):
    model = clone(MODELS["shallow"]).fit(X, Y)
    with pytest.raises(ParameterError, match=next(iter(settings))):
        model.compress(**settings)


# ---- ranking by propensity
# -------------------------------------------------------------------------------------------


def test_psp_ranks_by_probability_over_propensity(fitted):
    """Times the smallest propensity, so that scores stay probabilities."""
    by_p = fitted.predict_proba(X_TEST).toarray()
    p = propensities(Y)
    expected = by_p * (p.min() / p)
    fitted = copy(fitted).set_params(optimize="psp")
    labels, scores = fitted.predict_topk(X_TEST, 5)
    found = np.take_along_axis(expected, labels, axis=1)
    assert scores == pytest.approx(found, rel=1e-4, abs=1e-7)
    assert found == pytest.approx(-np.sort(-expected, axis=1)[:, :5], rel=1e-4, abs=1e-7)
    for i in range(10):
        assert np.array_equal(fitted.predict_topk(X_TEST[i], 5).scores[0], scores[i])


def test_propensities_are_those_of_the_parameters(fitted):
    a, b = (
        copy(fitted).set_params(optimize="psp", **settings)
        for settings in ({}, {"propensity_a": 0.0})
    )
    assert not np.array_equal(a.predict_topk(X_TEST, 3).scores, b.predict_topk(X_TEST, 3).scores)
    assert b.predict_topk(X_TEST, 3).scores == pytest.approx(
        fitted.predict_topk(X_TEST, 3).scores, rel=1e-5
    )


def test_probabilities_stay_as_they_are(fitted):
    assert (
        fitted.predict_proba(X_TEST)
        != copy(fitted).set_params(optimize="psp").predict_proba(X_TEST)
    ).nnz == 0


# What errors cost, and what the user says about negatives.


def test_missing_a_label_costs_its_value_in_y():
    """Scaled so that the mean of all values is 1, by scikit-learn's judgement."""
    relevance = Y.copy()
    relevance.data = np.random.default_rng(0).uniform(0.5, 3, Y.nnz).astype(np.float32)
    model = OneVsAllClassifier(costs="relevance", **EXACT).fit(X, relevance)
    scores = dense(model.predict_topk(X_TEST, N_LABELS))
    weights = relevance.toarray() / relevance.data.mean()
    for label in (0, 17, 39):
        y = Y.toarray()[:, label]
        judge = LinearSVC(tol=1e-6, max_iter=100_000, random_state=0)
        judge.fit(unit(X), y, np.where(y > 0, weights[:, label], 1))
        expected = np.exp(log_p(judge.decision_function(unit(X_TEST))))
        np.testing.assert_allclose(scores[:, label], expected, atol=2e-3)


def test_costs_by_propensity_are_those_of_its_inverse():
    inverse = 1 / propensities(Y)
    by_hand = Y.copy()
    by_hand.data = inverse.astype(np.float32)[Y.indices]
    settings = {"random_state": 0, "tree": BY_TOPIC}
    models = [
        LabelTreeClassifier(costs=costs, **settings).fit(X, labels)
        for costs, labels in (("propensity", Y), ("relevance", by_hand))
    ]
    assert same_model(*models)


def test_costs_need_our_own_solver():
    with pytest.raises(
        ParameterError, match=r"^OneVsAllClassifier: costs='relevance' needs solver='block'$"
    ):
        OneVsAllClassifier(costs="relevance", solver="liblinear").fit(X, Y)


def test_named_negatives_are_trained_on():
    everyone = sp.csr_matrix(np.ones((300, N_TOPICS), np.float32))
    tree = LabelTreeClassifier(tree=BY_TOPIC, random_state=0)
    named = clone(tree).fit(X, Y, user_negatives=[None, everyone])
    wide = clone(tree).set_params(negatives="man", beam_size=N_TOPICS).fit(X, Y)
    assert same_model(named, wide)
    assert not same_model(named, tree.fit(X, Y))


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({}, [None, None], "expected a LabelTree as tree with user_negatives"),
        ({"tree": BY_TOPIC}, [None], "a matrix or None in user_negatives per level, 2, got 1"),
        (
            {"tree": BY_TOPIC},
            [None, X],
            r"shape \(300, 8\) in user_negatives\[1\], got \(300, 78\)",
        ),
    ],
)
def test_negatives_that_name_no_nodes_are_refused(settings, given, message):
    with pytest.raises(DataError, match=message):
        LabelTreeClassifier(**SMALL | settings).fit(X, Y, user_negatives=given)
