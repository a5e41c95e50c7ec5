import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from planted import N_LABELS, X_TEST, Y_TEST, X, Y
from planted_names import named_texts
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier, metrics
from xmc.errors import ParameterError
from xmc.metrics import scorer

MODEL = OneVsAllClassifier(random_state=0).fit(X, Y)
TOP = MODEL.predict_topk(X_TEST, 5)
P = metrics.propensities(Y)
EXPECTED = {
    "P@3": metrics.precision_at_k(Y_TEST, TOP, 3),
    "nDCG@5": metrics.ndcg_at_k(Y_TEST, TOP, 5),
    "R@1": metrics.recall_at_k(Y_TEST, TOP, 1),
    "macro-R@2": metrics.recall_at_k(Y_TEST, TOP, 2, average="macro"),
    "PSP@3": metrics.psp_at_k(Y_TEST, TOP, 3, propensity=P),
    "PSnDCG@5": metrics.psndcg_at_k(Y_TEST, TOP, 5, propensity=P),
    "F1@2": metrics.f1_at_k(Y_TEST, TOP, 2, average="samples"),
    "macro-F1@2": metrics.f1_at_k(Y_TEST, TOP, 2, average="macro"),
    "micro-F1@2": metrics.f1_at_k(Y_TEST, TOP, 2, average="micro"),
    "coverage@4": metrics.coverage_at_k(Y_TEST, TOP, 4),
    "ECE@5": -metrics.ece_at_k(Y_TEST, TOP, 5),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scorer_gives_the_metric_of_its_name(name):
    assert scorer(name)(MODEL, X_TEST, Y_TEST) == pytest.approx(EXPECTED[name], abs=1e-12)
    assert repr(scorer(name)) == f"scorer({name!r})"


def test_every_metric_is_tested():
    assert {name.partition("@")[0] for name in EXPECTED} == set(metrics.SCORED)


def test_a_grid_search_finds_what_is_better_by_the_metric():
    grid = {"C": [1e-6, 1.0], "n_trees": [1]}
    search = GridSearchCV(LabelTreeClassifier(random_state=0), grid, scoring=scorer("P@3"), cv=2)
    search.fit(X, Y)
    assert search.best_params_["C"] == 1.0
    own = search.best_estimator_
    expected = metrics.precision_at_k(Y_TEST, own.predict_topk(X_TEST, 3), 3)
    assert search.score(X_TEST, Y_TEST) == expected


def test_folds_are_scored_as_by_hand():
    model, folds = OneVsAllClassifier(random_state=0), KFold(2)
    found = cross_val_score(model, X, Y.toarray(), scoring=scorer("PSP@1"), cv=folds)
    by_hand = []
    for kept, held in folds.split(X):
        own = clone(model).fit(X[kept], Y[kept])
        p = metrics.propensities(Y[kept])
        top = own.predict_topk(X[held], 1)
        by_hand.append(metrics.psp_at_k(Y[held], top, 1, propensity=p))
    assert found == pytest.approx(by_hand)


def test_pipelines_are_scored_by_what_they_end_in():
    pipeline = make_pipeline(TfidfTransformer(), OneVsAllClassifier(random_state=0)).fit(X, Y)
    top = pipeline[-1].predict_topk(pipeline[0].transform(X_TEST), 5)
    assert scorer("P@5")(pipeline, X_TEST, Y_TEST) == metrics.precision_at_k(Y_TEST, top, 5)


def test_texts_are_scored_by_ids_and_unknown_ones_are_misses():
    texts, labels = named_texts(300, 0)
    model = TextClassifier(OneVsAllClassifier(random_state=0), rerank=False).fit(texts, labels)
    asked, true = named_texts(50, 1)
    best = model.predict_topk(asked, 1).labels[:, 0]
    hit = [model.label_ids_[label] in own for label, own in zip(best, true, strict=True)]
    assert scorer("P@1")(model, asked, true) == pytest.approx(np.mean(hit))
    with_unknown = [[*own, "nobody knows this"] for own in true]
    assert scorer("P@1")(model, asked, with_unknown) == pytest.approx(np.mean(hit))
    recall = scorer("R@1")
    assert recall(model, asked, with_unknown) < recall(model, asked, true)


def test_classes_are_scored_too():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 3)), rng.choice(["a", "b", "c"], 90)
    model = OneVsAllClassifier(random_state=0).fit(x, y)
    assert scorer("P@1")(model, x, y) == pytest.approx(model.score(x, y))
    assert scorer("P@3")(model, x, y) == pytest.approx(1 / 3)


def test_fewer_labels_than_places_are_no_error():
    model = OneVsAllClassifier(random_state=0).fit(X, Y[:, :2])
    assert scorer("P@5")(model, X_TEST, Y_TEST[:, :2]) <= 2 / 5


def test_labels_that_training_rows_lack_are_misses():
    wide = sp.hstack([Y_TEST, sp.csr_matrix(np.ones((Y_TEST.shape[0], 1)))]).tocsr()
    assert wide.shape[1] == N_LABELS + 1
    assert scorer("P@3")(MODEL, X_TEST, wide) == EXPECTED["P@3"]
    assert scorer("PSP@3")(MODEL, X_TEST, wide) < EXPECTED["PSP@3"]


def test_a_scorer_can_be_pickled_for_workers():
    again = pickle.loads(pickle.dumps(scorer("micro-F1@2")))
    assert again(MODEL, X_TEST, Y_TEST) == EXPECTED["micro-F1@2"]


@pytest.mark.parametrize("name", ["", "P", "P@", "P@0", "P@x", "accuracy@1", "p@1", "P@-1"])
def test_another_name_is_refused(name):
    with pytest.raises(ParameterError, match="scorer: expected one of P, nDCG, R, PSP,"):
        scorer(name)
