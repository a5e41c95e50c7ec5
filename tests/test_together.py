from copy import copy

import naive_together as naive
import numpy as np
import pytest
import scipy.sparse as sp
from planted import MODELS, X_TEST, row_sets, same_answer, uncertain
from sklearn.metrics import f1_score

from xmc import (
    LabelTreeClassifier,
    LowRankClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
    load,
    text_classifier,
)
from xmc.errors import ParameterError
from xmc.metrics import coverage_at_k, f1_at_k, recall_at_k
from xmc.params import TARGETS
from xmc.ranking import together
from xmc.ranking.together import Target, best_together
from xmc.topk import TopK


def f1_of_all(Y, top, k):
    """Macro-F1 as the mean over all labels, by scikit-learn."""
    named = TopK(top.labels[:, :k], top.scores[:, :k]).to_csr(Y.shape[1]) > 0
    return f1_score(Y != 0, named, average="macro", zero_division=0)


def uneven(n_rows, seed):
    """Uncertain rows of which most lack their first labels, whatever the features say."""
    X, Y = uncertain(n_rows, seed)
    recorded = np.linspace(0.1, 1, Y.shape[1])[Y.indices]
    kept = np.random.default_rng(seed).random(Y.nnz) < recorded
    Y.data[~kept] = 0
    Y.eliminate_zeros()
    return X, Y


X, Y = uneven(1500, 0)
ASKED, TRUE = uneven(400, 1)
METRICS = {
    "macro_f1": f1_of_all,
    "macro_f1_named": f1_at_k,
    "macro_recall": lambda *what: recall_at_k(*what, average="macro"),
    "coverage": coverage_at_k,
}


@pytest.fixture(scope="module")
def calibrated():
    return OneVsAllClassifier(calibration="isotonic", random_state=0).fit(X, Y)


def unequal(rng, n_rows=60, n_labels=30, width=12):
    """Candidates of labels of which few are frequent."""
    P = rng.random((n_rows, n_labels)) ** 2 * np.linspace(0.05, 1, n_labels)
    return TopK.from_csr(sp.csr_matrix(P.astype(np.float32)), width)


def as_dense(found, top, n_labels=30):
    P = found.to_csr(n_labels).toarray().astype(np.float64)
    return P, top.to_csr(n_labels).toarray() > 0


def target_of(name, share=1.0):
    return Target(together.KINDS[name], share)


@pytest.mark.parametrize("name", TARGETS)
def test_no_row_can_do_better_by_itself(rng, monkeypatch, name):
    monkeypatch.setattr(together, "LEAST_GAIN", 1e-12)
    found = unequal(rng)
    P, named = as_dense(found, best_together(found, 3, target_of(name)))
    assert (named.sum(axis=1) == 3).all()
    for row in range(len(P)):
        gains = naive.gains(P, named, row, name, 1.0, 0.0)[P[row] > 0]
        assert np.sort(gains)[-3:].sum() == pytest.approx(
            naive.gains(P, named, row, name, 1.0, 0.0)[named[row]].sum(), abs=1e-9
        )


@pytest.mark.parametrize("name", TARGETS)
def test_a_share_goes_from_the_most_probable_labels_to_the_target(rng, name):
    found = unequal(rng)
    tops = [best_together(found, 3, target_of(name, share)) for share in (0.0, 0.5, 1.0)]
    np.testing.assert_array_equal(tops[0].labels, found.labels[:, :3])
    P = as_dense(found, tops[0])[0]
    values = [naive.value(P, as_dense(found, top)[1], name) for top in tops]
    precision = [top.scores.sum() for top in tops]
    assert values[0] < values[1] < values[2]
    assert precision[0] > precision[1] > precision[2]


@pytest.mark.parametrize("name", TARGETS)
def test_a_row_alone_has_its_most_probable_labels(rng, name):
    certain = TopK(np.int32([[4, 1, 0, 2]]), np.float32([[1, 1, 0.5, 0.25]]))
    for found in [certain, *(TopK(*(column[[n]] for column in unequal(rng))) for n in range(5))]:
        top = best_together(found, 2, target_of(name))
        np.testing.assert_array_equal(top.labels, found.labels[:, :2])
        np.testing.assert_array_equal(top.scores, found.scores[:, :2])


def test_two_rows_name_two_labels_where_one_is_more_probable_in_both():
    found = TopK(np.int32([[0, 1], [0, 1]]), np.float32([[0.9, 0.05], [0.8, 0.6]]))
    for name in TARGETS:
        assert best_together(found, 1, target_of(name)).labels.tolist() == [[0], [1]], name


def test_places_without_candidates_stay_empty():
    found = TopK(np.int32([[3, -1], [-1, -1]]), np.float32([[0.5, -np.inf], [-np.inf, -np.inf]]))
    top = best_together(found, 3, target_of("macro_f1"))
    assert top.labels.tolist() == [[3, -1, -1], [-1, -1, -1]]
    assert top.scores.tolist() == [[0.5, -np.inf, -np.inf], [-np.inf] * 3]
    nothing = TopK(np.full((2, 1), -1, np.int32), np.full((2, 1), -np.inf, np.float32))
    assert (best_together(nothing, 1, target_of("coverage", 0.5)).labels == -1).all()


@pytest.mark.parametrize("name", ["macro_f1", "macro_recall", "coverage"])
def test_xcolumns_finds_nothing_better(rng, name):
    """It is the judge of the same problem; both climb to a top, which need not be the same one."""
    bc = pytest.importorskip("xcolumns.block_coordinate")
    judges = {
        "macro_f1": bc.predict_optimizing_macro_f1_score_using_bc,
        "macro_recall": bc.predict_optimizing_macro_recall_using_bc,
        "coverage": bc.predict_optimizing_coverage_using_bc,
    }
    found = unequal(rng)
    M = found.to_csr(30).astype(np.float64)
    M.sort_indices()
    theirs = judges[name](M, k=3, seed=0).toarray() > 0
    P, ours = as_dense(found, best_together(found, 3, target_of(name)))
    assert naive.value(P, ours, name) > 0.998 * naive.value(P, theirs, name)


# Of estimators.


@pytest.mark.parametrize("name", TARGETS)
def test_the_metric_is_better_on_other_rows_than_by_probability(calibrated, name):
    chosen = copy(calibrated).set_params(optimize=name)
    few = ASKED[:100]  # more would cover all labels
    by_p, top = (model.predict_topk(few, 1) for model in (calibrated, chosen))
    assert METRICS[name](TRUE[:100], top, 1) > METRICS[name](TRUE[:100], by_p, 1) + 0.02


def test_scores_are_probabilities_best_first(calibrated):
    chosen = copy(calibrated).set_params(optimize="macro_f1")
    top, P = chosen.predict_topk(ASKED, 3), calibrated.predict_proba(ASKED)
    assert not np.array_equal(top.labels, calibrated.predict_topk(ASKED, 3).labels)
    np.testing.assert_array_equal(top.scores, np.take_along_axis(P.toarray(), top.labels, axis=1))
    assert (np.diff(top.scores, axis=1) <= 0).all()
    assert (chosen.predict_proba(ASKED) != P).nnz == 0
    assert (chosen.predict(ASKED) != calibrated.predict(ASKED)).nnz == 0
    sets = (model.predict_topk(ASKED, 2, sets=True) for model in (calibrated, chosen))
    assert same_answer(*sets)


def test_rows_of_a_call_are_chosen_together_and_one_row_by_probability(calibrated):
    chosen = copy(calibrated).set_params(optimize="coverage")
    whole = chosen.predict_topk(ASKED, 1)
    halves = [chosen.predict_topk(half, 1).labels for half in (ASKED[:200], ASKED[200:])]
    assert not np.array_equal(whole.labels, np.concatenate(halves))
    for row in range(10):
        alone = calibrated.predict_topk(ASKED[row], 3)
        for found in (
            chosen.predict_topk(ASKED[row], 3),
            chosen.predict_topk(ASKED[[row]].toarray(), 3),
            chosen.ranker()(ASKED[row], 3),
        ):
            assert same_answer(found, alone)
    best = [told.label for told in chosen.explain(ASKED[0], k=2)]
    assert best == [told.label for told in calibrated.explain(ASKED[0], k=2)]


@pytest.mark.parametrize("name", TARGETS)
def test_threads_make_no_difference(calibrated, name):
    one, two = (copy(calibrated).set_params(optimize=name, n_jobs=n) for n in (1, 2))
    assert same_answer(one.predict_topk(ASKED, 3), two.predict_topk(ASKED, 3))


def test_labels_numbered_anew_are_chosen_as_before(calibrated):
    far = sp.csr_matrix((Y.data, Y.indices * 50_000_000, Y.indptr), (len(Y.indptr) - 1, 2**31 - 1))
    wide = OneVsAllClassifier(calibration="isotonic", random_state=0, optimize="macro_f1")
    ours = copy(calibrated).set_params(optimize="macro_f1").predict_topk(ASKED, 3)
    theirs = wide.fit(X, far).predict_topk(ASKED, 3)
    np.testing.assert_array_equal(ours.labels * 50_000_000, theirs.labels)


def test_every_label_can_be_asked_for(calibrated):
    chosen = copy(calibrated).set_params(optimize="macro_f1")
    top = chosen.predict_topk(ASKED[:20], Y.shape[1])
    assert row_sets(top.to_csr(Y.shape[1])) == row_sets(calibrated.predict_proba(ASKED[:20]))


def test_many_labels_are_chosen_from_ten_times_as_many():
    asked = [together.n_candidates(k, 900) for k in (1, 10, 11, 50, 100, 900)]
    assert asked == [100, 100, 110, 500, 900, 900]
    assert together.n_candidates(60, 40) == 60  # labels without rows can be asked for, not found


def test_a_saved_model_chooses_as_before(calibrated, tmp_path):
    chosen = copy(calibrated).set_params(optimize="macro_recall", macro_share=0.25)
    chosen.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.optimize, again.macro_share) == ("macro_recall", 0.25)
    assert same_answer(again.predict_topk(ASKED, 3), chosen.predict_topk(ASKED, 3))


REFUSED = (
    "^OneVsAllClassifier: optimize must be 'p' or 'psp' where scores are no probabilities, got "
    "'coverage'; train with calibration or a last stage$"
)


def test_scores_that_are_no_probabilities_are_refused():
    with pytest.raises(ParameterError, match=REFUSED):
        OneVsAllClassifier(optimize="coverage").fit(X, Y)
    with pytest.raises(ParameterError, match=REFUSED):
        OneVsAllClassifier(optimize="coverage").forecast(X, Y)
    model = OneVsAllClassifier(random_state=0).fit(X[:50], Y[:50]).set_params(optimize="coverage")
    asked = model.predict_topk, model.predict, model.predict_proba, model.explain
    for ask in asked:
        with pytest.raises(ParameterError, match=REFUSED):
            ask(ASKED[0])
    with pytest.raises(ParameterError, match=REFUSED):
        model.predict_topk(ASKED, 3)
    with pytest.raises(ParameterError, match=REFUSED):
        model.ranker()


def test_a_model_of_low_rank_chooses_as_others_do():
    model = LowRankClassifier(calibration="isotonic", macro_share=0.9, random_state=0).fit(X, Y)
    by_p = model.predict_topk(ASKED[:100], 1)
    top = model.set_params(optimize="macro_f1").predict_topk(ASKED[:100], 1)
    assert f1_of_all(TRUE[:100], top, 1) > f1_of_all(TRUE[:100], by_p, 1) + 0.02


@pytest.mark.usefixtures("few_trees")
def test_a_last_stage_gives_the_probabilities():
    first, *others = MODELS["reranked"].classifier
    bases = (copy(first).set_params(optimize="macro_f1"), *others)
    model = RerankedClassifier(bases, optimize="macro_f1", random_state=0).fit(X[:300], Y[:300])
    by_p = copy(model).set_params(optimize="p")
    top, P = model.predict_topk(ASKED, 1), by_p.predict_proba(ASKED)
    assert f1_of_all(TRUE, top, 1) > f1_of_all(TRUE, by_p.predict_topk(ASKED, 1), 1)
    np.testing.assert_array_equal(top.scores, np.take_along_axis(P.toarray(), top.labels, axis=1))
    plain = RerankedClassifier(MODELS["reranked"].classifier, random_state=0).fit(X[:300], Y[:300])
    assert same_answer(plain.predict_topk(X_TEST, 3), by_p.predict_topk(X_TEST, 3))


@pytest.mark.usefixtures("few_trees")
def test_a_stage_that_is_needed_is_not_left_out(monkeypatch):
    """Held-out rows are made to say that a base model is better."""
    better = LabelTreeClassifier(random_state=0).fit(X[:50], Y[:50])
    monkeypatch.setattr(RerankedClassifier, "best_base_", better)
    monkeypatch.setattr(text_classifier, "LEAST_ROWS", 100)
    texts = [" ".join(f"w{f}" for f in row) for row in map(sorted, row_sets(X[:200]))]
    labels = [[f"l{label}" for label in row] for row in row_sets(Y[:200])]
    models = [
        TextClassifier(LabelTreeClassifier(optimize=name, random_state=0)).fit(texts, labels)
        for name in ("p", "macro_f1")
    ]
    kinds = [type(model.classifier_) for model in models]
    assert kinds == [LabelTreeClassifier, RerankedClassifier]
    with pytest.raises(ParameterError, match="LabelTreeClassifier: optimize must be"):
        TextClassifier(LabelTreeClassifier(optimize="macro_f1")).fit(texts[:50], labels[:50])
