import numpy as np
import planted
import pytest
import scipy.sparse as sp
from folders import content
from planted_names import IDS, NAMES, NOISE, UNTRAINED, VOCABULARY, described_labels, named_texts
from sklearn.base import clone

from xmc import (
    LabelTreeClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
    Vocabulary,
    load,
)
from xmc.errors import DataError, ParameterError
from xmc.layer import weights_of
from xmc.metrics import precision_at_k

LATER = np.arange(4, planted.N_LABELS, planted.PER_TOPIC)  # a label of each topic
ORDER = np.concatenate([np.setdiff1d(np.arange(planted.N_LABELS), LATER), LATER])
Y, Y_TEST = planted.Y[:, ORDER].tocsr(), planted.Y_TEST[:, ORDER].tocsr()
N_OLD = planted.N_LABELS - len(LATER)
Y_OLD = Y[:, :N_OLD]
WITH_NEW = np.flatnonzero(Y[:, N_OLD:].getnnz(axis=1))
NEWS = planted.X[WITH_NEW], Y[WITH_NEW]
# The given tree is one of all labels, and low rank is learned from all rows.
TREES = [name for name in planted.LEARNERS if name not in ("given", *planted.LOW_RANK)]


def wide(Y):
    """The old labels with empty columns for the new ones."""
    return sp.csr_matrix((Y.data, Y.indices, Y.indptr), (Y.shape[0], planted.N_LABELS))


ROWS = planted.X, wide(Y_OLD)


def before(name, **settings):
    """A model that doesn't know the new labels."""
    model = planted.with_settings(planted.MODELS[name], **settings)
    return model.fit(planted.X, Y_OLD)


def p_at_1(model):
    return precision_at_k(Y_TEST, model.predict_topk(planted.X_TEST, 1), 1)


def found_of_the_new(model):
    """The share of the new labels that are among the best three of their rows."""
    best = model.predict_topk(planted.X_TEST, 3).labels
    rows, new = Y_TEST[:, N_OLD:].nonzero()
    return np.mean([label + N_OLD in best[row] for row, label in zip(rows, new, strict=True)])


@pytest.mark.parametrize("name", TREES)
def test_new_labels_are_predicted_as_if_all_had_been_learned_together(name):
    model = before(name)
    assert found_of_the_new(model) == 0
    assert model.add(*NEWS, rows=ROWS) is model
    together = clone(planted.MODELS[name]).fit(planted.X, Y)
    assert p_at_1(model) >= p_at_1(together) - 0.02
    assert found_of_the_new(model) >= found_of_the_new(together) - 0.05 >= 0.8
    assert model.n_labels_ == planted.N_LABELS
    assert model.label_counts_.tolist() == together.label_counts_.tolist()


@pytest.mark.parametrize("name", ["balanced", "one-vs-all", "ensemble"])
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_columns_of_labels_that_gain_no_row_keep_their_bits(name, weights):
    model = before(name, weights=weights)
    members = model.members_
    model.add(*NEWS, rows=ROWS)
    for old, new in zip(members, model.members_, strict=True):
        assert all(a is b for a, b in zip(old.layers[:-1], new.layers[:-1], strict=True))
        for label in range(N_OLD):
            (leaf,), (now,) = (np.flatnonzero(m.tree.labels == label) for m in (old, new))
            n_features = model.n_features_in_
            found = weights_of(new.layers[-1], now, n_features)
            own = weights_of(old.layers[-1], leaf, n_features)
            np.testing.assert_array_equal(found, own)
            assert new.layers[-1].bias_weight[now] == old.layers[-1].bias_weight[leaf]


@pytest.mark.parametrize("name", ["balanced", "one-vs-all"])
def test_a_model_that_keeps_its_rows_needs_no_others(name, tmp_path):
    model = before(name, keep_rows=True)
    assert model.has_rows_
    model.save(tmp_path / "kept")
    loaded = load(tmp_path / "kept").add(*NEWS)
    given = before(name).add(*NEWS, rows=ROWS)
    assert planted.same_model(loaded, given)
    loaded.save(tmp_path / "later")
    again = load(tmp_path / "later", verify=True).add(planted.X[:5], Y[:5])
    assert again.model_.n_rows == planted.X.shape[0]
    assert planted.same_model(again, loaded)


@pytest.mark.parametrize("name", ["balanced", "one-vs-all", "reranked"])
def test_the_number_of_threads_doesn_t_matter(name, tmp_path):
    for n_jobs in (1, 3):
        model = before(name).set_params(n_jobs=n_jobs).add(*NEWS, rows=ROWS)
        model.save(tmp_path / str(n_jobs))
    assert content(tmp_path / "1") == content(tmp_path / "3")


def test_rows_that_are_new_count_and_known_ones_don_t():
    model = before("balanced", keep_rows=True)
    X, more = planted.planted(40, 5)
    model.add(sp.vstack([X, planted.X[:10]]), sp.vstack([more[:, ORDER], Y[:10]]))
    assert model.model_.n_rows == planted.X.shape[0] + 40
    assert model.model_.updates.n_rows == 40
    total = (
        np.asarray(Y_OLD.sum(axis=0)).ravel() + np.asarray(more[:, ORDER].sum(axis=0))[0, :N_OLD]
    )
    assert model.label_counts_[:N_OLD].tolist() == total.tolist()


def test_drift_is_the_share_of_labels_that_changed():
    model = before("balanced")
    assert model.drift_ == 0
    model.add(*NEWS, rows=ROWS)
    assert model.drift_ == pytest.approx(len(LATER) / planted.N_LABELS)
    model.remove([0, 1])
    assert model.drift_ == pytest.approx((len(LATER) + 2) / (planted.N_LABELS - 2))


@pytest.mark.parametrize("name", planted.LEARNERS)
def test_a_removed_label_is_never_predicted_and_others_are_as_before(name):
    model = clone(planted.MODELS[name]).fit(planted.X, planted.Y)
    gone = [3, 17, 39]
    expected = planted.Y_TEST.toarray()
    expected[:, gone] = 0
    model.remove(gone)
    assert not model.predict_proba(planted.X_TEST)[:, gone].nnz
    assert (model.label_counts_[gone] == 0).all()
    best = model.predict_topk(planted.X_TEST, 1).labels[:, 0]
    own = expected.any(axis=1)
    assert expected[own, best[own]].mean() > 0.9


@pytest.mark.parametrize("name", ["balanced", "one-vs-all", "reranked"])
def test_a_removed_label_may_come_back(name):
    model = clone(planted.MODELS[name]).fit(planted.X, planted.Y)
    reached = precision_at_k(planted.Y_TEST, model.predict_topk(planted.X_TEST, 1), 1)
    model.remove(7).add(planted.X, planted.Y, rows=(planted.X, planted.Y))
    again = precision_at_k(planted.Y_TEST, model.predict_topk(planted.X_TEST, 1), 1)
    assert model.label_counts_[7] == planted.Y[:, 7].nnz
    assert again >= reached - 0.02


def test_a_leaf_that_lost_all_labels_does_no_harm(tmp_path):
    model = LabelTreeClassifier(tree=planted.BY_TOPIC, random_state=0).fit(planted.X, planted.Y)
    model.remove(range(planted.PER_TOPIC))
    top = model.predict_topk(planted.X_TEST, 5)
    assert top.labels[top.labels >= 0].min() >= planted.PER_TOPIC
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", verify=True)
    assert planted.same_answer(loaded.predict_topk(planted.X_TEST, 5), top)
    loaded.add(planted.X, planted.Y, rows=(planted.X, planted.Y))
    assert loaded.label_counts_[0] == planted.Y[:, 0].nnz


def test_very_wide_matrices_keep_their_numbers():
    widths = 3_000_000, 2_000_000
    columns = np.sort(np.random.default_rng(0).choice(widths[1], planted.N_LABELS, replace=False))
    X = sp.csr_matrix((planted.X.data, planted.X.indices * 7, planted.X.indptr), (300, widths[0]))
    full = sp.csr_matrix((Y.data, columns[Y.indices], Y.indptr), (300, widths[1]))
    full.sort_indices()
    old = full.copy()
    old.data[~np.isin(old.indices, columns[:N_OLD])] = 0
    old.eliminate_zeros()
    model = LabelTreeClassifier(**planted.SMALL, keep_rows=True).fit(X, old)
    assert model.model_.n_kept_labels == N_OLD
    model.add(X[WITH_NEW], full[WITH_NEW])
    assert model.model_.kept_labels.tolist() == columns.tolist()
    best = model.predict_topk(X, 1).labels[:, 0]
    assert np.asarray(full[np.arange(300), best] != 0).mean() > 0.95
    model.remove(int(columns[-1]))
    assert columns[-1] not in model.predict_topk(X, 5).labels


def test_tail_classifiers_know_the_new_labels():
    model = before("balanced", tail_share=0.2).add(*NEWS, rows=ROWS)
    assert model.model_.label_embeddings.n_rows == planted.N_LABELS
    assert p_at_1(model) > 0.9


def test_ids_and_names_come_with_new_labels():
    ids = [f"l{n}" for n in range(planted.N_LABELS)]
    model = LabelTreeClassifier(**planted.SMALL).fit(planted.X, Y_OLD, label_ids=ids[:N_OLD])
    shuffled = np.random.default_rng(0).permutation(planted.N_LABELS)
    own = [ids[n] for n in shuffled]
    beside = planted.X, wide(Y_OLD)[:, shuffled]
    model.add(
        NEWS[0], NEWS[1][:, shuffled], label_ids=own, label_names={"l39": "last"}, rows=beside
    )
    assert model.label_ids_[:N_OLD] == ids[:N_OLD]
    assert sorted(model.label_ids_) == sorted(ids)
    assert model.label_names_[model.label_ids_.index("l39")] == "last"
    assert model.label_names_[3] == "l3"
    found = model.predict_topk(planted.X_TEST, 1).labels[:, 0]
    truth = Y_TEST[:, [ids.index(label) for label in model.label_ids_]]
    assert np.asarray(truth[np.arange(60), found] != 0).mean() > 0.9


def test_the_model_that_is_asked_meanwhile_is_the_old_one_until_it_has_learned(monkeypatch):
    model = before("balanced")
    expected = model.predict_topk(planted.X_TEST, 3)
    seen = []
    learn = LabelTreeClassifier._taught

    def watched(self, *args):
        seen.append(model.predict_topk(planted.X_TEST, 3))
        return learn(self, *args)

    monkeypatch.setattr(LabelTreeClassifier, "_taught", watched)
    model.add(*NEWS, rows=ROWS)
    assert planted.same_answer(seen[0], expected)
    assert not planted.same_answer(model.predict_topk(planted.X_TEST, 3), expected)


def parts(*matrices):
    return [part.tobytes() for M in matrices for part in (M.data, M.indices, M.indptr)]


@pytest.mark.parametrize("name", ["balanced", "reranked"])
def test_what_is_given_stays_as_it_was(name):
    X, Y = planted.X.copy(), planted.Y.copy()
    ids = [f"l{n}" for n in range(planted.N_LABELS)]
    model = clone(planted.MODELS[name]).fit(X, Y, label_ids=ids)
    given = parts(X, Y)
    model.remove(["l7", "l8"])
    model.add(X, Y, rows=(X, Y), label_ids=ids)
    model.add(X[:9], Y[:9], rows=(X, Y), label_ids=ids[::-1])
    assert parts(X, Y) == given


def test_a_failed_update_leaves_the_model_as_it_was():
    model = before("balanced", keep_rows=True)
    expected = model.model_
    with pytest.raises(DataError):
        model.add(NEWS[0][:3], NEWS[1])
    assert model.model_ is expected


CLASSES = [str(n % 3) for n in range(300)]


@pytest.mark.parametrize(
    ("made", "args", "kwargs", "message"),
    [
        ({}, NEWS, {}, "rows to learn new ones beside: give those of the training"),
        ({"y": CLASSES}, NEWS, {}, "a model of one label per row can't be updated: fit it again"),
        ({"keep": True}, (NEWS[0], Y_OLD[WITH_NEW][:, :5]), {}, "a column for each of 32 labels"),
        ({"keep": True}, (NEWS[0][:, :9], NEWS[1]), {}, "features"),
        ({"keep": True}, (NEWS[0], ["a"] * len(WITH_NEW)), {}, "got one label per row"),
        ({"keep": True}, (NEWS[0], NEWS[1] * 0), {}, "a label in the new rows, got none"),
        ({"keep": True}, NEWS, {"label_ids": ["x"] * 40}, "each of label_ids once, got 'x' twice"),
        ({"keep": True}, NEWS, {"label_ids": map(str, range(40))}, "a list as label_ids, got map"),
        ({"keep": True}, NEWS, {"label_names": {"a": "b"}}, "needs a model whose labels have ids"),
        ({"keep": True}, NEWS, {"label_names": ["b"]}, "40 label_names, one per label, got 1"),
        ({}, NEWS, {"rows": (ROWS[0][:9], ROWS[1][:9])}, "rows of the training, got none with lab"),
        ({}, NEWS, {"rows": (ROWS[0][:4], ROWS[1])}, "as many rows in X as in Y, got 4 and 300"),
    ],
)
def test_what_can_t_be_learned_is_refused(made, args, kwargs, message):
    settings = planted.SMALL | {"keep_rows": made.get("keep", False)}
    model = LabelTreeClassifier(**settings).fit(planted.X, made.get("y", Y_OLD))
    with pytest.raises((DataError, ParameterError), match=message):
        model.add(*args, **kwargs)


def test_new_labels_of_a_model_with_ids_need_ids():
    ids = list(map(str, range(N_OLD)))
    model = LabelTreeClassifier(**planted.SMALL).fit(planted.X, Y_OLD, label_ids=ids)
    with pytest.raises(DataError, match="expected label_ids, as the model's labels have ids"):
        model.add(*NEWS, rows=ROWS)
    other = before("balanced")
    with pytest.raises(DataError, match="label_ids must be None, as the model's labels have no"):
        other.add(*NEWS, rows=ROWS, label_ids=[*ids, *"abcdefgh"])


def test_unknown_labels_can_t_be_removed_nor_can_all():
    model = before("balanced")
    with pytest.raises(DataError, match="expected a label from 0 to 31, got '99'"):
        model.remove([99])
    with pytest.raises(DataError, match="expected labels that stay, all would be removed"):
        model.remove(range(N_OLD))
    ids = [f"label {n}" for n in range(N_OLD)]
    named = LabelTreeClassifier(**planted.SMALL).fit(planted.X, Y_OLD, label_ids=ids)
    with pytest.raises(DataError, match="got 'label 8x'; the closest is 'label 8'"):
        named.remove("label 8x")


def test_low_rank_can_t_learn_new_labels():
    model = clone(planted.MODELS["low-rank"]).fit(planted.X, Y_OLD)
    for rows in (ROWS, None):  # nor are those of the training asked for
        with pytest.raises(ParameterError) as error:
            model.add(*NEWS, rows=rows)
        assert (
            str(error.value)
            == "LowRankClassifier: can't learn from new rows or labels: fit it again"
        )


def test_nor_can_a_stage_above_low_rank():
    bases = planted.MODELS["balanced"], planted.MODELS["low-rank"]
    model = RerankedClassifier(bases, random_state=0).fit(planted.X, Y_OLD)
    before = model.predict_topk(planted.X_TEST, 3)
    with pytest.raises(
        ParameterError, match="^LowRankClassifier: can't learn from new rows or labels"
    ):
        model.add(*NEWS)
    assert planted.same_answer(before, model.predict_topk(planted.X_TEST, 3))


def test_a_kind_that_can_t_learn_says_so(third_method):
    model = clone(planted.MODELS["frequency"]).fit(planted.X, Y_OLD)
    with pytest.raises(ParameterError, match="can't learn from new rows or labels: fit it again"):
        model.add(*NEWS, rows=ROWS)
    with pytest.raises(ParameterError, match="can't forget labels: fit it again"):
        model.remove(3)


def test_a_stage_over_matrices_learns_from_its_neighbours_rows():
    X, Y, features = described_labels(900, 1)
    X_test, Y_test, _ = described_labels(150, 2)
    old = Y.copy().tolil()
    old[:, 100:] = 0
    old = old.tocsr()
    stage = RerankedClassifier(OneVsAllClassifier(random_state=0), random_state=0)
    model = clone(stage).fit(X, old)
    rows = np.flatnonzero(Y[:, 100:].getnnz(axis=1))
    reached = precision_at_k(Y_test, model.predict_topk(X_test, 1), 1)
    model.add(X[rows], Y[rows])
    assert model.model_.n_rows == 900
    together = precision_at_k(Y_test, clone(stage).fit(X, Y).predict_topk(X_test, 1), 1)
    now = precision_at_k(Y_test, model.predict_topk(X_test, 1), 1)
    assert now > reached + 0.1
    assert now > together - 0.05


def test_label_features_of_removed_labels_find_nothing():
    X, Y, features = described_labels(900, 1)
    model = RerankedClassifier(
        OneVsAllClassifier(random_state=0), label_features=features, random_state=0
    ).fit(X, Y)
    best = int(model.predict_topk(X[0], 1).labels[0, 0])
    model.remove(best)
    assert best not in model.predict_topk(X, 20).labels
    wider = sp.csr_matrix((Y.data, Y.indices, Y.indptr), (900, 151)).tolil()
    wider[:30, 150] = 1
    model.add(X[:30], wider.tocsr()[:30])
    assert 150 in model.predict_topk(X[:30], 5).labels


@pytest.fixture(scope="module")
def suggester():
    """A model of texts with a last stage and a vocabulary."""
    texts, labels = named_texts(1500, 0)
    base = LabelTreeClassifier(random_state=0)
    known = [own for own in IDS if own != UNTRAINED[0]]
    vocabulary = Vocabulary.of([(own, NAMES[own], "preferred", None) for own in known])
    return TextClassifier(base, rerank=True, vocabulary=vocabulary).fit(texts, labels)


def copied(model):
    found = clone(model)
    found.__dict__.update(vars(model))
    return found


def test_a_new_concept_with_a_name_and_no_row_is_suggested(suggester, tmp_path):
    model = copied(suggester)
    new, text = UNTRAINED[0], f"on {NAMES[UNTRAINED[0]]} and others"
    assert new not in [found.id for found in model.suggest(text, 5)]
    model.add([], [], vocabulary=VOCABULARY)
    assert model.suggest(text, 1)[0].id == new
    assert model.suggest(text, 1)[0].name == NAMES[new]
    assert model.label_ids_[-1] == new
    model.save(tmp_path / "model")
    assert load(tmp_path / "model", verify=True).suggest(text, 1)[0].id == new
    assert new not in suggester.label_ids_


def test_a_name_alone_makes_a_new_label(suggester):
    model = copied(suggester)
    model.add([], [], label_ids=["zzz"], label_names=["Quincebrandy"])
    assert model.suggest("a book on quincebrandy", 1)[0].id == "zzz"


def test_texts_with_new_ids_teach_them(suggester):
    model = copied(suggester)
    few = " ".join(NOISE[:4])
    texts = [f"{few} {NOISE[n + 10]}" for n in range(30)]
    model.add(texts, [["x9"]] * 28 + [["x9", IDS[1]]] * 2)
    assert model.label_ids_[-1] == "x9"
    assert model.label_counts_[-1] == 30
    # The stage has learned that only names tell much here, and "x9" has none.
    assert "x9" in [own.id for own in model.suggest(f"{few} {NOISE[99]}", 10)]
    assert "x9" not in [own.id for own in model.suggest(NAMES[IDS[1]], 10)]
    known = suggester.label_counts_[suggester.label_ids_.index(IDS[1])]
    assert model.label_counts_[model.label_ids_.index(IDS[1])] == known + 2


def test_a_removed_concept_is_no_longer_suggested_by_its_name(suggester):
    model = copied(suggester)
    text = f"{NAMES[IDS[1]]} {NAMES[IDS[1]]}"
    assert model.suggest(text, 1)[0].id == IDS[1]
    model.remove(IDS[1])
    assert IDS[1] not in [found.id for found in model.suggest(text, 50)]
    assert model.suggest(text, 1)


def test_texts_and_labels_must_fit(suggester):
    model = copied(suggester)
    with pytest.raises(DataError, match="expected labels for 1 texts, got 2"):
        model.add(["a"], [["x"], ["y"]])
    with pytest.raises(DataError, match="or label_ids, got 1"):
        model.add(["a"], sp.csr_matrix([[1.0]]))
    texts, _ = named_texts(300, 3)
    numbered = TextClassifier(LabelTreeClassifier(), rerank=False).fit(texts, planted.Y)
    with pytest.raises(DataError, match="a matrix of labels, as the model's labels have no ids"):
        numbered.add(["a"], [["x", "y"]])


def test_texts_without_a_stage_learn_beside_the_texts_of_the_training(tmp_path):
    texts, labels = named_texts(600, 4)
    model = TextClassifier(LabelTreeClassifier(random_state=0), rerank=False).fit(texts, labels)
    new = [f"{text} ! " for text in texts[:40]]
    own = [[*row, "x9"] for row in labels[:40]]
    model.add(new, own, rows=(texts, labels))
    assert model.model_.n_rows == 600  # signs are no features
    assert model.label_counts_[-1] == 40
