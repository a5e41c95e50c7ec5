import json
import math

import numpy as np
import pytest
import scipy.sparse as sp
from adding_up import CLOSE, differences
from planted_names import IDS, NAMES, VOCABULARY, named_texts

from xmc import (
    DataError,
    LabelTreeClassifier,
    LowRankClassifier,
    OneVsAllClassifier,
    TextClassifier,
    load,
)
from xmc.datasets import load_sample
from xmc.errors import ParameterError

TEXTS, LABELS = named_texts(1200, 0)
ASKED, TRUE = named_texts(40, 1)


def fitted(classifier, **settings):
    return TextClassifier(classifier, **settings).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def trees():
    return fitted(
        LabelTreeClassifier(n_trees=2, arity=4, max_leaf_size=6, beam_size=3, random_state=0),
        rerank=False,
    )


@pytest.fixture(scope="module")
def one_vs_all():
    return fitted(OneVsAllClassifier(random_state=0), rerank=False, analyzer="words+chars")


@pytest.fixture(scope="module")
def low_rank():
    return fitted(LowRankClassifier(random_state=0), rerank=False)


@pytest.fixture(scope="module")
def reranked():
    bases = LabelTreeClassifier(random_state=0), OneVsAllClassifier(random_state=0)
    return fitted(bases, rerank=True, vocabulary=VOCABULARY)


@pytest.fixture(params=["trees", "one_vs_all", "low_rank", "reranked"])
def model(request):
    return request.getfixturevalue(request.param)


def pairs(model, n, seed=0):
    """Texts, labels that are found for them or, one in four, any, and the scores."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        text = ASKED[rng.integers(len(ASKED))]
        P = model.predict_proba([text])
        label = rng.choice(P.indices) if rng.random() < 0.75 else rng.integers(P.shape[1])
        yield text, int(label), float(P[0, label])


def test_all_numbers_add_up(model):
    for text, label, score in pairs(model, 25):
        why = model.explain(text, model.label_ids_[label])
        assert max(map(abs, differences(why, score))) <= CLOSE
        assert why.text == text


def test_words_are_where_they_say_and_share_all_that_features_have(model):
    for text, label, _ in pairs(model, 10, seed=1):
        why = model.explain(text, model.label_ids_[label])
        assert all(text[word.start : word.end] == word.word for word in why.words)
        shares = []
        for own in why.models:
            members = [member for member in own.members if member is not None]
            nodes = [node for member in members for node in member.nodes]
            shares.append(sum(f.share for n in nodes for f in n.features) / max(1, len(members)))
        assert sum(word.weight for word in why.words) == pytest.approx(np.mean(shares), abs=1e-5)


def test_without_a_label_the_best_are_explained_in_their_order(model):
    found = model.suggest(ASKED[0], 3)
    told = model.explain(ASKED[0], k=3)
    assert [own.label for own in told] == [own.id for own in found]
    assert [own.name for own in told] == [own.name for own in found]
    assert [own.place for own in told] == [1, 2, 3]
    np.testing.assert_allclose([own.score for own in told], [own.score for own in found], 1e-6)


def test_the_rival_of_the_best_is_the_second_and_that_of_others_the_best(model):
    first, second, third = model.explain(ASKED[1], k=3)
    assert (first.runner_up.label, first.runner_up.score) == (second.label, second.score)
    assert second.runner_up.label == third.runner_up.label == first.label
    ours, theirs = ([d for d in own.runner_up.words] for own in (first, second))
    assert {d.what: d.difference for d in ours} == pytest.approx(
        {d.what: -d.difference for d in theirs}
    )


def test_what_the_rival_lacked_adds_up_to_the_difference_of_log_odds(reranked):
    first, second = reranked.explain(ASKED[2], k=2)
    total = sum(own.difference for own in first.runner_up.evidence)
    assert total == pytest.approx(first.log_odds - second.log_odds)


def test_a_planted_name_is_found_and_is_what_pulls(reranked):
    text, label = next(
        (text, own[0]) for text, own in zip(ASKED, TRUE, strict=True) if NAMES[own[0]] in text
    )
    why = reranked.explain(text, label)
    assert why.name_found.name == NAMES[label]
    whole = [word.word for word in why.name_found.words if word.weight > 0.99]
    assert whole == [NAMES[label]]
    assert max(why.evidence, key=lambda own: own.share).source == "name"


def test_neighbours_are_training_rows_and_say_whether_they_have_the_label(reranked):
    why = reranked.explain(TEXTS[5], LABELS[5][0])
    assert why.neighbors[0].row == 5
    for near in why.neighbors:
        assert near.has_label == (why.label in LABELS[near.row])


def test_a_label_may_be_given_by_its_name(reranked):
    assert reranked.explain(ASKED[0], NAMES["c001"]).label == "c001"


def test_a_label_that_is_no_candidate_is_explained_as_if_it_were(reranked):
    text = "abc def"  # nothing of it is known
    label = next(own for own in IDS if not reranked.predict_proba([text])[0, IDS.index(own)])
    why = reranked.explain(text, label)
    assert (why.score, why.place, why.is_candidate) == (0, None, False)
    assert math.isfinite(why.log_odds)


def test_a_path_that_the_beam_left_counts_nothing_and_says_where_it_was_left(trees):
    seen = 0
    for text in ASKED:
        for label in range(0, trees.n_labels_, 7):
            why = trees.explain(text, trees.label_ids_[label])
            for member in filter(None, why.models[0].members):
                held = [node.held for node in member.nodes]
                assert held == sorted(held, reverse=True)
                assert member.reached == all(held)
                seen += not member.reached
        if seen:
            return
    raise AssertionError("the beam reached everything")


def test_nodes_name_labels_below_them(trees):
    why = trees.explain(ASKED[0], trees.label_ids_[3])
    for member in filter(None, why.models[0].members):
        sizes = [node.n_labels for node in member.nodes]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == 1 and member.nodes[-1].labels == [why.name]


def test_an_explanation_is_the_same_after_saving_and_loading(model, tmp_path):
    model.save(tmp_path / "model")
    again = load(tmp_path / "model").explain(ASKED[3], k=2)
    assert [own.to_dict() for own in again] == [
        own.to_dict() for own in model.explain(ASKED[3], k=2)
    ]


def test_json_holds_all_of_it(reranked):
    (why,) = reranked.explain(ASKED[0], k=1)
    told = json.loads(json.dumps(why.to_dict()))
    assert told["label"] == why.label
    assert told["evidence"][0]["columns"][0]["name"] == why.evidence[0].columns[0].name
    assert told["models"][0]["members"][0]["nodes"][0]["margin"] == pytest.approx(
        why.models[0].members[0].nodes[0].margin
    )


def test_matrices_are_explained_by_the_number_of_columns():
    sample = load_sample()
    own = dict(n_trees=2, random_state=0, tail_share=0.3, optimize="psp")
    model = LabelTreeClassifier(**own).fit(sample.X[:600], sample.Y[:600])
    x, P = sample.X_test[4], model.predict_proba(sample.X_test[4])
    label = int(P.indices[np.argmax(P.data)])
    why = model.explain(x, label)
    assert why.score == pytest.approx(P[0, label]) != why.models[0].probability
    assert max(map(abs, differences(why, float(P[0, label])))) <= CLOSE
    used = {f.feature for m in why.models[0].members if m for n in m.nodes for f in n.features}
    assert used <= set(map(str, x.indices.tolist()))
    assert (why.text, why.words) == (None, [])


def test_wide_ids_keep_their_numbers():
    X = sp.csr_matrix(([1.0, 1.0, 2.0], ([0, 1, 1], [5, 2_000_000_000, 5])), (2, 2_000_000_001))
    Y = sp.csr_matrix(([1.0, 1.0], ([0, 1], [7, 300_000_000])), (2, 300_000_001))
    why = LabelTreeClassifier(random_state=0).fit(X, Y).explain(X[1], 300_000_000)
    (member,) = why.models[0].members
    assert why.label == 300_000_000
    assert {own.feature for own in member.nodes[-1].features} == {"5", "2000000000"}


def test_classes_are_explained_by_what_they_are_called():
    X = np.eye(3)
    model = OneVsAllClassifier(random_state=0).fit(X, ["a", "b", "c"])
    why = model.explain(sp.csr_matrix(X[1:2]), "b")
    assert (why.label, why.place) == ("b", 1)


def test_an_unknown_label_names_the_closest(trees):
    with pytest.raises(DataError, match="got 'c001x'; the closest is 'c001'"):
        trees.explain(ASKED[0], "c001x")


def test_what_cannot_be_explained_is_refused(trees):
    with pytest.raises(DataError, match="expected one text to explain, got list"):
        trees.explain([ASKED[0]])
    with pytest.raises(DataError, match="expected one row to explain, got 2"):
        trees.classifier_.explain(trees.rows(ASKED[:2]))
    with pytest.raises(ParameterError, match="explain: k must be an int from 1 to"):
        trees.explain(ASKED[0], k=0)


def test_the_texts_of_explanations_are_escaped():
    texts = [f"<b>{own}</b> \x1b[31m word{n % 7}" for n, own in enumerate(["x & y"] * 60)]
    model = TextClassifier(OneVsAllClassifier(random_state=0), rerank=False)
    model.fit(texts, [[f"<i>{n % 7}"] for n in range(60)])
    (why,) = model.explain(texts[0], k=1)
    page = why._repr_html_()
    assert "<b>x" not in page and "&lt;b&gt;" in page and "<i>0" not in page
    assert "\x1b" not in str(why)
