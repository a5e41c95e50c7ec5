"""scikit-learn's metadata routing: weights of rows reach the fits that ask for them."""

import numpy as np
import pytest
import sklearn
from planted import SMALL, X, Y, same_model
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler

from xmc import LabelTreeClassifier, OneVsAllClassifier, RerankedClassifier, TextClassifier
from xmc.metrics import scorer

MODELS = [
    LabelTreeClassifier(**SMALL),
    OneVsAllClassifier(random_state=0),
    RerankedClassifier(OneVsAllClassifier(random_state=0)),
]
WEIGHTS = np.linspace(0.1, 3, X.shape[0])
TEXTS = ["a red apple", "green grass", "a blue plum"] * 8
COLOURS = [["red"], ["green"], ["blue"]] * 8
ONLY_RED = np.array([1, 0, 0] * 8)  # other texts are left out
TEXT_MODEL = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1)


@pytest.fixture(autouse=True)
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def asking(model):
    return clone(model).set_fit_request(sample_weight=True)


@pytest.mark.parametrize("model", MODELS)
def test_weights_go_through_a_pipeline(model):
    scaled = MaxAbsScaler().fit_transform(X)
    expected = clone(model).fit(scaled, Y, sample_weight=WEIGHTS)
    assert not same_model(clone(model).fit(scaled, Y), expected)
    pipeline = make_pipeline(MaxAbsScaler(), asking(model)).fit(X, Y, sample_weight=WEIGHTS)
    assert same_model(pipeline[-1], expected)


@pytest.mark.parametrize("model", MODELS)
def test_weights_go_through_a_grid_search(model):
    search = GridSearchCV(
        asking(model), {"random_state": [0]}, cv=KFold(2), scoring=scorer("P@1")
    ).fit(X, Y, sample_weight=WEIGHTS)
    expected = clone(model).set_params(random_state=0).fit(X, Y, sample_weight=WEIGHTS)
    assert same_model(search.best_estimator_, expected)


@pytest.mark.parametrize("model", MODELS)
def test_weights_that_nobody_asked_for_are_refused(model):
    with pytest.raises(UnsetMetadataPassedError, match="set_fit_request"):
        make_pipeline(MaxAbsScaler(), clone(model)).fit(X, Y, sample_weight=WEIGHTS)


def test_weights_go_to_fits_and_scores_of_cross_validation():
    """Without the texts that aren't red all are taken for red, and of red ones that is right."""
    fitting = asking(TEXT_MODEL).set_score_request(sample_weight=False)
    both = asking(TEXT_MODEL).set_score_request(sample_weight=True)
    scores = {
        "fit": cross_val_score(
            fitting, TEXTS, COLOURS, cv=KFold(2), params={"sample_weight": ONLY_RED}
        ),
        "both": cross_val_score(
            both, TEXTS, COLOURS, cv=KFold(2), params={"sample_weight": ONLY_RED}
        ),
        "none": cross_val_score(TEXT_MODEL, TEXTS, COLOURS, cv=KFold(2)),
    }
    assert np.allclose(scores["fit"], 1 / 3)
    assert scores["both"].tolist() == scores["none"].tolist() == [1, 1]


def test_a_scorer_counts_every_row_once():
    model = asking(TEXT_MODEL)
    how = {"cv": KFold(2), "scoring": scorer("P@1"), "params": {"sample_weight": ONLY_RED}}
    assert np.allclose(cross_val_score(model, TEXTS, COLOURS, **how), 1 / 3)


def test_texts_and_labels_are_no_metadata():
    request = TEXT_MODEL.get_metadata_routing()
    asked = {"sample_weight", "label_ids", "label_names", "checkpoint", "executor"}
    assert set(request.fit.requests) == asked
    assert set(request.score.requests) == {"sample_weight"}
    assert set(request.predict.requests) == {"threshold"}
    assert set(request.predict_proba.requests) == set()


def test_a_threshold_goes_through_a_pipeline():
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    model = make_pipeline(lower, clone(TEXT_MODEL).set_predict_request(threshold=True))
    model.fit(TEXTS, COLOURS)
    assert model.predict(TEXTS, threshold=1.0).nnz < model.predict(TEXTS, threshold=0.0).nnz


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_predictions_of_cross_validation_are_one_matrix(method):
    model = OneVsAllClassifier(random_state=0)
    P = cross_val_predict(model, X, Y.toarray(), cv=KFold(2), method=method)
    half = X.shape[0] // 2
    expected = getattr(clone(model).fit(X[:half], Y[:half]), method)(X[half:])
    assert P.shape == Y.shape
    assert abs(P[half:] - expected).nnz == 0
