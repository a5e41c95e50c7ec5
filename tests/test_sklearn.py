import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from xmc import (
    LabelTree,
    LabelTreeClassifier,
    LowRankClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
)

BATTERY = [
    LabelTreeClassifier(),
    LabelTreeClassifier(tree="balanced", max_leaf_size=2, arity=2, n_trees=2),
    LabelTreeClassifier(tree="shallow", arity=2, negatives="tfn+man", loss="hinge"),
    OneVsAllClassifier(),
    LowRankClassifier(),
    LowRankClassifier(factorization="als"),
    RerankedClassifier(LabelTreeClassifier()),
]
NOT_TO_THE_LAST_DIGIT = "the solver stops at tol; labels are clustered by rows, each once"
EXPECTED = {
    "check_classifier_multioutput": (
        "several labels per row come back as CSR, the check asks for a dense array"
    ),
    # As of LinearSVC; tests/test_row_weights.py holds weights against repeated rows.
    "check_sample_weight_equivalence_on_dense_data": NOT_TO_THE_LAST_DIGIT,
    "check_sample_weight_equivalence_on_sparse_data": NOT_TO_THE_LAST_DIGIT,
}
MODELS = [
    LabelTreeClassifier(random_state=0),
    OneVsAllClassifier(random_state=0),
    LowRankClassifier(random_state=0),
]
RERANKED = RerankedClassifier(OneVsAllClassifier(random_state=0))
TREE = LabelTree((np.array([0, 2]), np.array([0, 2, 5])), np.arange(5, dtype=np.int32))


@pytest.fixture(scope="module")
def data():
    """(X, Y), sparse: 90 rows of five labels, of which label i has feature i."""
    rng = np.random.default_rng(0)
    Y = (rng.random((90, 5)) < 0.3) | np.eye(5, dtype=bool)[rng.integers(0, 5, 90)]
    return sp.csr_matrix((Y + rng.uniform(0, 0.2, Y.shape)).astype(np.float32)), sp.csr_matrix(
        Y.astype(np.float32)
    )


@pytest.mark.usefixtures("few_trees")
@parametrize_with_checks(BATTERY, expected_failed_checks=lambda model: EXPECTED)
def test_scikit_learns_battery(estimator, check):
    check(estimator)


@pytest.mark.parametrize("model", [*MODELS, LabelTreeClassifier(tree=TREE, C=3), RERANKED])
def test_a_clone_has_the_same_settings_and_no_fit(model, data):
    copy = clone(model.fit(*data))
    assert repr(copy.get_params()) == repr(model.get_params())
    with pytest.raises(NotFittedError):
        copy.predict(data[0])


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_can_be_read_and_set(model):
    for name, value in model.get_params().items():
        copy = clone(model).set_params(**{name: "other"})
        assert (copy.get_params()[name], getattr(model, name)) == ("other", value)


@pytest.mark.parametrize("model", MODELS)
def test_a_wrong_name_is_no_setting(model):
    with pytest.raises(ValueError, match="Invalid parameter 'beam'"):
        clone(model).set_params(beam=3)


@pytest.mark.parametrize("model", MODELS)
def test_repr_shows_what_differs_from_the_defaults(model):
    assert repr(model) == f"{type(model).__name__}(random_state=0)"


@pytest.mark.parametrize("model", [*MODELS, RERANKED])
def test_they_are_classifiers(model):
    assert is_classifier(model)


@pytest.mark.parametrize("model", [*MODELS, RERANKED])
def test_cross_validation_scores_by_precision_at_1(model, data):
    X, Y = data  # cross_val_score itself takes no sparse Y, GridSearchCV does
    assert cross_val_score(model, X, Y.toarray(), cv=KFold(3)).tolist() == [1, 1, 1]


def test_cross_validation_runs_with_a_given_tree(data):
    X, Y = data
    assert cross_val_score(LabelTreeClassifier(tree=TREE), X, Y.toarray(), cv=3).tolist() == [
        1,
        1,
        1,
    ]


def test_a_grid_search_on_sparse_labels_finds_the_setting_that_works(data):
    grid = {"weight_threshold": [100.0, 0.1]}  # no weight is as large as 100
    search = GridSearchCV(LabelTreeClassifier(random_state=0), grid, cv=KFold(3)).fit(*data)
    assert (search.best_params_, search.best_score_) == ({"weight_threshold": 0.1}, 1)


def test_a_grid_search_runs_on_arrays_of_settings(data):
    grid = {
        "normalize": np.array([True, False]),
        "beam_size": np.array([1, 5]),
        "C": np.logspace(-1, 1, 2),
    }
    search = GridSearchCV(
        LabelTreeClassifier(random_state=0), grid, cv=KFold(2), error_score="raise"
    ).fit(*data)
    assert search.best_score_ == 1


def test_texts_go_through_a_pipeline():
    texts = ["red apple", "green apple", "red pear", "green pear"] * 3
    model = make_pipeline(TfidfVectorizer(), OneVsAllClassifier(random_state=0))
    model.fit(texts, ["red", "green"] * 6)
    assert model.predict(["a red plum", "a green plum"]).tolist() == ["red", "green"]


@pytest.mark.parametrize("model", [*MODELS, RERANKED])
def test_a_pickled_model_answers_the_same(model, data):
    model = clone(model).fit(*data)
    again = pickle.loads(pickle.dumps(model))
    for ours, theirs in zip(
        model.predict_topk(data[0], 5), again.predict_topk(data[0], 5), strict=True
    ):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("model", MODELS)
def test_a_column_of_labels_is_read_as_one_label_per_row(model, data):
    y = np.tile(["a", "b"], 45)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        column = clone(model).fit(data[0], y[:, None])
    assert (
        column.predict(data[0]).tolist() == clone(model).fit(data[0], y).predict(data[0]).tolist()
    )


def test_a_grid_search_reaches_the_base_model_of_a_stage(data):
    grid = {"classifier__weight_threshold": [100.0, 0.1], "neighbors": [False]}
    search = GridSearchCV(RERANKED, grid, cv=KFold(3), error_score="raise").fit(*data)
    assert search.best_params_["classifier__weight_threshold"] == 0.1
    assert search.best_score_ == 1
