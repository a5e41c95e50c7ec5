"""Columns numbered anew: every answer is the same, to the last bit, in all ways to ask."""

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from xmc import (
    LabelTree,
    LabelTreeClassifier,
    OneVsAllClassifier,
    TextClassifier,
    Vocabulary,
    load,
    numbering,
)
from xmc.arrays import INT32_MAX
from xmc.errors import DataError
from xmc.inputs import as_rows

WIDTH = 2000
N_FEATURES = planted.X.shape[1]
FEATURES, LABELS = (
    np.sort(np.random.default_rng(seed).choice(WIDTH - 1, n, replace=False)).astype(np.int32)
    for seed, n in ((0, N_FEATURES), (1, planted.N_LABELS))
)
UNKNOWN = int(np.setdiff1d(np.arange(WIDTH), FEATURES)[WIDTH // 2])
BY_TOPIC = planted.BY_TOPIC._replace(labels=LABELS)
SMALL = planted.SMALL
MODELS = {name: model for name, model in planted.MODELS.items() if name != "frequency"} | {
    "given": LabelTreeClassifier(tree=BY_TOPIC, random_state=0),
    "psp": LabelTreeClassifier(optimize="psp", n_trees=2, **SMALL),
    "tail": LabelTreeClassifier(tail_share=0.3, **SMALL),
    "psp and tail": OneVsAllClassifier(optimize="psp", tail_share=0.3, random_state=0),
    "liblinear": OneVsAllClassifier(solver="liblinear", random_state=0),
    "int8": OneVsAllClassifier(weights="int8", random_state=0),
}


def widened(M, columns, width):
    """M with its columns moved to these."""
    return sp.csr_matrix((M.data, columns[M.indices], M.indptr), shape=(M.shape[0], width))


X = widened(planted.X, FEATURES, WIDTH)
Y = widened(planted.Y, LABELS, WIDTH)
# Each test row has a feature that no training row has, which counts for its length only.
EXTRA = sp.csr_matrix(
    (np.full(60, 0.5, np.float32), (np.arange(60), np.full(60, UNKNOWN))), shape=(60, WIDTH)
)
X_TEST = sp.csr_matrix(widened(planted.X_TEST, FEATURES, WIDTH) + EXTRA)


@pytest.fixture
def narrow(monkeypatch):
    """The matrices of these tests are wide enough to be numbered anew."""
    monkeypatch.setattr(numbering, "NARROW", 100)


def answers(model, rows):
    """What a model says, by each way to ask it."""
    one, ranker = rows[:1], model.ranker()
    ways = [model.predict_topk(rows, 7), model.predict_topk(one, 7), ranker(rows[5], 3)]
    ways += [model.predict_topk(rows, None, sets=True), model.predict_topk(rows[:1].toarray(), 7)]
    for M in (model.predict(rows), model.predict_proba(rows), model.predict(rows, 0.5)):
        assert M.shape == (rows.shape[0], model.n_labels_)
        ways.append((M.indptr, M.indices, M.data))
    return [array for way in ways for array in way] + [model.label_counts_]


def same(ours, theirs):
    return all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True)
    )


def in_the_users_numbers(name):
    """A model that numbers nothing anew, and another one, unfitted, with the same settings."""
    return clone(MODELS[name]).fit(X, Y), clone(MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_models_of_renumbered_columns_say_the_same_in_all_ways(name, monkeypatch, tmp_path):
    plain, model = in_the_users_numbers(name)
    monkeypatch.setattr(numbering, "NARROW", 100)
    model.fit(X, Y)
    expected = answers(plain, X_TEST)
    assert same(answers(model, X_TEST), expected)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", verify=True)
    assert same(answers(again, X_TEST), expected)
    if name not in planted.LOW_RANK:  # it can't be compressed
        smaller = answers(plain.compress("int8"), X_TEST)
        assert same(answers(again.compress("int8"), X_TEST), smaller)
    assert model.score(X_TEST, widened(planted.Y_TEST, LABELS, WIDTH)) == plain.score(
        X_TEST, widened(planted.Y_TEST, LABELS, WIDTH)
    )


@pytest.mark.parametrize("name", [name for name in MODELS if name != "reranked"])
def test_a_renumbered_model_knows_what_occurs(name, narrow):
    model = clone(MODELS[name]).fit(X, Y).model_
    np.testing.assert_array_equal(model.kept_features, np.unique(X.indices))
    np.testing.assert_array_equal(model.kept_labels, np.unique(Y.indices))
    assert (model.n_features, model.n_labels) == (WIDTH, WIDTH)
    assert len(model.label_counts) == planted.N_LABELS


def test_a_last_stage_keeps_all_numbers_and_so_do_its_base_models(narrow):
    model = clone(MODELS["reranked"]).fit(X, Y).model_
    assert model.kept_features is None and model.kept_labels is None
    for base in model.predictor.bases:
        assert set(base.predictor.members[0].tree.labels) == set(LABELS)


@pytest.mark.parametrize("rerank", [False, True])
def test_texts_with_a_vocabulary_of_very_many_concepts_are_labelled_as_before(
    rerank, monkeypatch, tmp_path
):
    concepts = [(f"c{n:03}", f"name{n}", "preferred", "de") for n in range(50)]
    texts = [f"name{n} und wort{n % 3} wort{n % 5}" for n in range(40)]
    labels = [[f"c{n % 4 * 9:03}"] for n in range(40)]
    base = OneVsAllClassifier(optimize="psp", random_state=0)
    model = TextClassifier(base, rerank=rerank, vocabulary=Vocabulary.of(concepts))
    plain = clone(model).fit(texts, labels)
    monkeypatch.setattr(numbering, "NARROW", 10)
    monkeypatch.setattr(numbering, "ONE_IN", 1)
    model.fit(texts, labels).save(tmp_path / "model")
    assert (model.model_.kept_labels is None) == rerank
    for asked in (model, load(tmp_path / "model")):
        assert asked.suggest(texts, 3) == plain.suggest(texts, 3)
        assert (
            asked.ranker()(texts[0], 3).labels.tolist()
            == plain.predict_topk(texts[:1], 3)[0].tolist()
        )
        np.testing.assert_array_equal(asked.label_counts_, plain.label_counts_)


def test_the_users_tree_and_negatives_keep_their_meaning(narrow, monkeypatch, tmp_path):
    negatives = [None, sp.random(300, planted.N_TOPICS, 0.3, "csr", random_state=0)]
    model = clone(MODELS["given"]).fit(X, Y, user_negatives=negatives)
    monkeypatch.setattr(numbering, "NARROW", WIDTH)
    plain = clone(MODELS["given"]).fit(X, Y, user_negatives=negatives)
    assert same(answers(model, X_TEST), answers(plain, X_TEST))
    np.testing.assert_array_equal(model.members_[0].tree.labels, plain.members_[0].tree.labels)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.tree.labels, plain.members_[0].tree.labels)
    assert same(answers(clone(again).fit(X, Y, negatives), X_TEST), answers(plain, X_TEST))


def test_a_tree_may_hold_labels_without_rows(narrow):
    spare = np.setdiff1d(np.arange(WIDTH, dtype=np.int32), LABELS)[:1]
    chunks = np.array([0, 2]), np.array([0, planted.N_LABELS, planted.N_LABELS + 1])
    tree = LabelTree(chunks, np.concatenate([LABELS, spare]))
    model = LabelTreeClassifier(tree=tree, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(model.members_[0].tree.labels, LABELS)


def test_a_tree_beyond_the_labels_is_refused(narrow):
    tree = BY_TOPIC._replace(labels=np.append(LABELS[:-1], WIDTH))
    with pytest.raises(DataError, match="expected labels 0 to 1,999 in the tree"):
        LabelTreeClassifier(tree=tree).fit(X, Y)


def test_the_largest_ids_there_can_be_are_learned_and_found(tmp_path):
    features, labels = (
        np.concatenate([ids[:-1], [INT32_MAX - 1]]).astype(np.int32) for ids in (FEATURES, LABELS)
    )
    dense = LabelTreeClassifier(n_trees=2, **SMALL).fit(planted.X, planted.Y)
    model = LabelTreeClassifier(n_trees=2, **SMALL)
    model.fit(widened(planted.X, features, INT32_MAX), widened(planted.Y, labels, INT32_MAX))
    model.save(tmp_path / "model")
    rows = widened(planted.X_TEST, features, INT32_MAX)
    for asked in (model, load(tmp_path / "model")):
        assert asked.n_labels_ == asked.n_features_in_ == INT32_MAX
        for some, own in ((rows, planted.X_TEST), (rows[:1], planted.X_TEST[:1])):
            found, expected = asked.predict_topk(some, 5), dense.predict_topk(own, 5)
            np.testing.assert_array_equal(found.labels, labels[expected.labels])
            np.testing.assert_array_equal(found.scores, expected.scores)
    assert INT32_MAX - 1 in found.labels or INT32_MAX - 1 in model.predict(rows).indices


def test_rows_without_any_feature_train_where_there_are_very_many_columns():
    nothing = sp.csr_matrix((3, INT32_MAX), dtype=np.float32)
    model = OneVsAllClassifier().fit(nothing, sp.csr_matrix(np.eye(3, dtype=np.float32)))
    assert model.predict_topk(nothing, 3).labels.shape == (3, 3)
    assert model.model_.n_kept_features == 1


def test_ordinary_models_store_no_numbers(tmp_path):
    OneVsAllClassifier().fit(X, Y).save(tmp_path / "model")
    assert b"kept_" not in (tmp_path / "model" / "model.json").read_bytes()


@pytest.mark.parametrize(
    ("width", "n_occurring", "renumbers"),
    [(1 << 20, 1, False), ((1 << 20) + 1, 1, True), (1 << 21, 1 << 18, True)]
    + [(1 << 21, (1 << 18) + 1, False)],
)
def test_only_few_of_very_many_columns_are_numbered_anew(width, n_occurring, renumbers):
    kept = numbering.occurring(width, np.arange(n_occurring, dtype=np.int32))
    assert (kept is not None) == renumbers


def test_numbers_there_and_back():
    kept = np.array([2, 5, 2**31 - 2], np.int32)
    ids = np.array([5, 0, 2**31 - 2, 2, 7, -1], np.int32)
    new = numbering.new_numbers(ids, kept)
    np.testing.assert_array_equal(new, [1, -1, 2, 0, -1, -1])
    np.testing.assert_array_equal(numbering.old_numbers(new, kept), [5, -1, 2**31 - 2, 2, -1, -1])
    spread = numbering.spread(np.array([7, 8]), kept[:2], 7)
    np.testing.assert_array_equal(spread, [0, 0, 7, 0, 0, 8, 0])


def test_rows_keep_the_values_of_the_features_that_are_kept():
    M = sp.csr_matrix(np.array([[1, 0, 2, 3], [0, 4, 0, 0], [0, 0, 5, 0]], np.float32))
    rows = numbering.restricted(as_rows(M, normalize=False), np.array([0, 2], np.int32))
    kept = sp.csr_matrix((rows.data, *rows[1::-1]), (3, rows.n_features))
    np.testing.assert_array_equal(kept.toarray(), [[1, 2], [0, 0], [0, 5]])
