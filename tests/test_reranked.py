"""Reranked: candidates of all sources, their evidence, and the probabilities that follow."""

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


@pytest.fixture(scope="module")
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
