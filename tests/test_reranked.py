"""Reranked: candidates of all sources, their evidence, and the probabilities that follow."""

import warnings
from dataclasses import replace

import naive_evidence
import numpy as np
import pytest
from planted import SMALL, X_TEST, X, Y, same_answer
from planted_names import described_labels
from sklearn.base import clone

from xmc import LabelTreeClassifier, OneVsAllClassifier, RerankedClassifier
from xmc.evidence import reranked
from xmc.evidence.boosted import contributions, log_odds
from xmc.evidence.names import mentions, name_index
from xmc.evidence.reranked import collect, columns_of, together
from xmc.evidence.sources import N_COMPANY, Question, fill, hear
from xmc.inputs import as_rows

BASES = LabelTreeClassifier(beam_size=2, **SMALL), OneVsAllClassifier(random_state=0)


@pytest.fixture(scope="module")
def model():
    return RerankedClassifier(BASES).fit(X, Y)


@pytest.fixture(scope="module")
def predictor(model):
    return model.model_.predictor


@pytest.fixture(scope="module")
def question():
    return Question(as_rows(X_TEST, normalize=True))


@pytest.fixture
def found(predictor, question):
    return collect(predictor.bases, predictor.sources, question)


def tops(predictor, question):
    """What each base model ranks best."""
    return [
        base.predictor.rank(question.rows, base.search, reranked.N_BEST) for base in predictor.bases
    ]


def test_candidates_are_the_labels_that_any_source_finds(predictor, question, found, monkeypatch):
    monkeypatch.setattr(reranked, "N_BEST", 4)  # else a base model names all labels
    few = collect(predictor.bases, predictor.sources, question)
    of_sources = hear(predictor.sources, question, tops(predictor, question)[0]).tops
    places = np.hstack([*(top.labels for top in tops(predictor, question)), *of_sources])
    expected = naive_evidence.union(places)
    got = [own.tolist() for own in np.split(few.ids, few.indptr[1:-1])]
    assert got == expected
    assert len(few.ids) < len(found.ids)


def test_each_base_model_says_what_it_says_alone(predictor, question, found):
    lists = np.split(found.ids, found.indptr[1:-1])
    for n, top in enumerate(tops(predictor, question)):
        expected = naive_evidence.base_evidence(lists, *top)
        first = columns_of(predictor.bases, predictor.sources).index(f"base{n}_log_score")
        got = found.values[:, first : first + 3]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(found.values[:, 0]).any(), "the tree finds all labels here"


def test_what_the_sources_say_comes_next(predictor, question, found):
    heard = hear(predictor.sources, question, tops(predictor, question)[0])
    known = fill(predictor.sources, question, heard, *found[:2])
    width = sum(part.shape[1] for part in known)
    names = columns_of(predictor.bases, predictor.sources)
    first = 2 * len(reranked.BASE_COLUMNS)
    own = found.values[:, first : first + width]
    assert np.array_equal(own, np.hstack(known), equal_nan=True)
    assert names[first : first + width] == predictor.sources.columns()


def test_labels_that_share_rows_with_the_best_are_expected(predictor, question, found):
    lists, share = np.split(found.ids, found.indptr[1:-1]), np.zeros((40, 40))
    indptr, ids, values = predictor.sources.beside
    share[np.repeat(np.arange(40), np.diff(indptr)), ids] = values
    names = columns_of(predictor.bases, predictor.sources)
    for n, top in enumerate(tops(predictor, question)):
        best = (column[:, :N_COMPANY] for column in top)
        expected = naive_evidence.company(lists, *best, share)
        got = found.values[:, names.index(f"base{n}_company")]
        assert got == pytest.approx(expected, abs=1e-5)
        assert got.max() > 0.1


def test_differences_to_the_best_candidate_of_the_row_come_last(predictor, found):
    names = columns_of(predictor.bases, predictor.sources)
    assert "neighbor_votes_less_best" in names
    for name in names:
        source = name.removesuffix("_less_best")
        if source in reranked.COMPARED and source != name:
            expected = naive_evidence.less_the_best(
                np.diff(found.indptr), found.values[:, names.index(source)]
            )
            np.testing.assert_allclose(found.values[:, names.index(name)], expected, atol=1e-6)


def test_every_column_has_one_name(predictor, found):
    names = columns_of(predictor.bases, predictor.sources)
    assert len(names) == len(set(names)) == found.values.shape[1]
    assert found.values.dtype == np.float32


def test_a_row_has_the_evidence_alone_that_it_has_among_others(predictor, question, found):
    parts = [
        collect(predictor.bases, predictor.sources, question.part(row, row + 1))
        for row in range(question.n_rows)
    ]
    for ours, theirs in zip(together(parts), found, strict=True):
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs, equal_nan=True)


def test_probabilities_are_those_of_the_log_odds_of_the_evidence(model, predictor, found):
    expected = 1 / (1 + np.exp(-log_odds(predictor.trees, found.values)))
    P = model.predict_proba(X_TEST)
    assert np.array_equal(P.indices, found.ids) and np.array_equal(P.indptr, found.indptr)
    assert P.data == pytest.approx(expected, abs=1e-6)


def test_shares_of_the_evidence_sum_to_the_log_odds(model, predictor, found):
    shares = contributions(predictor.trees, found.values[:300].copy())
    assert shares.sum(axis=1) == pytest.approx(log_odds(predictor.trees, found.values[:300].copy()))
    assert shares.shape[1] == len(model.evidence_names_) + 1


def test_equal_probabilities_stand_in_the_order_of_their_log_odds(predictor, question, model):
    candidates = predictor.candidates(question, model._search())
    assert np.array_equal(candidates.margin, log_odds_of(predictor, candidates, question))


def log_odds_of(predictor, candidates, question):
    values = collect(predictor.bases, predictor.sources, question).values
    return log_odds(predictor.trees, values).astype(np.float32)


def test_levels_are_those_of_all_base_models(predictor):
    of_bases = [base.predictor.levels() for base in predictor.bases]
    assert predictor.levels() == of_bases[0] + of_bases[1]


def test_trees_of_other_evidence_do_not_fit(predictor):
    predictor.check(X.shape[1], Y.shape[1])
    fewer = replace(predictor, sources=predictor.sources._replace(neighbors=None))
    with pytest.raises(ValueError, match="boosted trees: "):
        fewer.check(X.shape[1], Y.shape[1])


def test_labels_with_rows_or_names_are_found():
    X, Y, features = described_labels(150, 1, n_labels=60)
    Y = Y.toarray()
    Y[:, :10] = 0
    features = features.toarray()
    features[:4] = 0
    base = OneVsAllClassifier(random_state=0)
    plain, with_features = (
        RerankedClassifier(clone(base), label_features=given).fit(X, Y)
        for given in (None, features)
    )
    trained = (Y.sum(axis=0) > 0).sum()
    for model, n in ((plain, trained), (with_features, 60 - 4)):
        known = model.model_.predictor
        assert known.n_labels_found(model.label_counts_) == n


def test_it_reads_texts_only_if_it_knows_names(predictor):
    assert not predictor.reads_texts
    asked = predictor.asked(as_rows(X_TEST[:2], normalize=True), ["a", "b"])
    assert asked.mentions is None


def test_batches_make_no_difference(model, monkeypatch):
    whole = model.predict_topk(X_TEST, 5)
    monkeypatch.setattr(reranked, "ROWS_PER_BATCH", 7)
    assert same_answer(whole, model.predict_topk(X_TEST, 5))


@pytest.mark.parametrize("row", [0, 5])
def test_reasons_add_up_to_the_score_that_ranks(model, predictor, question, row, monkeypatch):
    monkeypatch.setattr(reranked, "N_BEST", 4)  # so that some labels are no candidates
    own, search = question.part(row, row + 1), model._search()
    top = predictor.rank(own, search, 40)
    scores = dict(zip(top.labels[0].tolist(), top.scores[0].tolist(), strict=True))
    known = collect(predictor.bases, predictor.sources, own)
    assert 0 < len(known.ids) < 40
    for label in range(40):
        told = predictor.reasons(own, search, label)
        more = collect(predictor.bases, predictor.sources, own, np.array([[label]], np.int32))
        values = more.values[more.ids == label]
        shares = contributions(predictor.trees, values.copy())[0]
        assert told.is_candidate == (label in known.ids)
        assert told.score == pytest.approx(scores.get(label, 0.0), abs=1e-6)
        assert told.columns == columns_of(predictor.bases, predictor.sources)
        assert np.array_equal(told.values, values[0], equal_nan=True)
        assert told.shares.tolist() == shares[:-1].tolist() and told.start == shares[-1]
        assert told.log_odds == pytest.approx(log_odds(predictor.trees, values.copy())[0])
        expected = [b.predictor.reasons(own.rows, b.search, label) for b in predictor.bases]
        assert list(map(repr, told.bases)) == list(map(repr, expected))


def test_labels_may_be_asked_for_beside_the_candidates(predictor, question, monkeypatch):
    monkeypatch.setattr(reranked, "N_BEST", 4)
    plain = collect(predictor.bases, predictor.sources, question)
    wanted = np.tile(np.array([[3, 39, -1]], np.int32), (question.n_rows, 1))
    more = collect(predictor.bases, predictor.sources, question, wanted)
    for few, many in zip(*(np.split(e.ids, e.indptr[1:-1]) for e in (plain, more)), strict=True):
        assert many.tolist() == sorted({*few.tolist(), 3, 39})
    assert len(plain.ids) < len(more.ids)


def test_texts_are_read_for_names(predictor):
    names = name_index(["Bank", "Kunst"], np.int32([0, 3]), 40)
    known = replace(predictor, sources=predictor.sources._replace(names=names))
    rows, texts = as_rows(X_TEST[:2], normalize=True), ["Kunst und Kunst", "Bank"]
    assert known.reads_texts
    asked = known.asked(rows, texts)
    assert asked.rows is rows
    assert [a.tolist() for a in asked.mentions] == [a.tolist() for a in mentions(names, texts)]
    assert known.asked(rows).mentions is None


def test_importance_must_have_a_number_for_each_column(predictor):
    fewer = replace(predictor, importance=predictor.importance[:-1])
    with pytest.raises(ValueError, match="^importance: expected a number for each kind of evid"):
        fewer.check(X.shape[1], Y.shape[1])


def test_probabilities_have_the_bits_that_rank(predictor, question, model):
    found = predictor.candidates(question, model._search())
    assert found.score.dtype == found.margin.dtype == np.float32
    odds = np.array([-1e4, 0.0, 1e4])
    with warnings.catch_warnings(action="error"):
        p, margin = reranked.probabilities(odds)
    assert p.tolist() == [0, 0.5, 1] and margin.tolist() == odds.tolist()
