"""Labels as lists for each row: what reads them, what makes matrices of them, what refuses them."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from planted import same_answer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer

from xmc import DataError, LabelTreeClassifier, OneVsAllClassifier, TextClassifier
from xmc.label_lists import are_lists, is_0_or_1, is_number
from xmc.metrics import scorer

TEXTS = ["a red apple", "a red cherry", "green grass", "a green lime", "a blue plum", "blue sky"]
LABELS = [
    ["fruit", "red"],
    ["fruit", "red"],
    ["green"],
    ["fruit", "green"],
    ["blue", "fruit"],
    ["blue"],
]
TUPLES = [tuple(own) for own in LABELS]
ONE_VS_ALL = OneVsAllClassifier(random_state=0)
HINT = (
    "LabelTreeClassifier: expected a matrix as y, got lists of labels; scikit-learn's "
    "MultiLabelBinarizer(sparse_output=True) makes one of them"
)


def text_model():
    return TextClassifier(ONE_VS_ALL, min_df=1)


@pytest.fixture(params=["spmatrix", "sparray"])
def binarizer(request):
    """Gives matrices, then arrays, as scikit-learn is set."""
    if "sparse_interface" not in sklearn.get_config():
        yield MultiLabelBinarizer(sparse_output=True)
    else:
        with sklearn.config_context(sparse_interface=request.param):
            yield MultiLabelBinarizer(sparse_output=True)


def test_labels_come_back_from_a_binarizer(binarizer):
    Y = binarizer.fit_transform(LABELS)
    model = make_pipeline(TfidfVectorizer(), ONE_VS_ALL).fit(TEXTS, Y)
    predicted = model.predict(TEXTS)
    assert type(predicted) is type(Y)
    assert binarizer.inverse_transform(predicted) == TUPLES
    assert model.score(TEXTS, Y) == 1


def test_classes_of_a_binarizer_are_the_ids_of_labels(binarizer):
    Y = binarizer.fit_transform(LABELS)
    model = text_model().fit(TEXTS, Y, label_ids=binarizer.classes_)
    assert model.label_ids_ == binarizer.classes_.tolist()
    assert binarizer.inverse_transform(model.predict(TEXTS)) == TUPLES
    assert same_answer(
        model.predict_topk(TEXTS, 4), text_model().fit(TEXTS, LABELS).predict_topk(TEXTS, 4)
    )
    assert {own.id for own in model.suggest("a red cherry", 2)} == {"red", "fruit"}


def test_classes_that_are_numbers_are_ids_too():
    binarizer = MultiLabelBinarizer(sparse_output=True)
    Y = binarizer.fit_transform([[3], [3, 20], [20]])
    model = OneVsAllClassifier().fit(np.eye(3), Y, label_ids=binarizer.classes_)
    assert model.label_ids_ == ["3", "20"]
    assert binarizer.inverse_transform(model.predict(np.eye(3))) == [(3,), (3, 20), (20,)]


def as_objects(rows):
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


REFUSED = {
    "lists": LABELS[:3],
    "one label each": [["red"], ["green"], ["blue"]],
    "as many each": [["red", "fruit"], ["green", "fruit"], ["blue", "sky"]],
    "tuples": TUPLES[:3],
    "sets": [{"red"}, set(), {"red", "fruit"}],
    "numbers": [[1], [2, 3], []],
    "array": as_objects(LABELS[:3]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_estimator_of_matrices_names_what_turns_lists_into_one(name):
    with pytest.raises(DataError) as caught:
        LabelTreeClassifier().fit(np.eye(3), REFUSED[name])
    assert str(caught.value) == HINT


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("framed", [False, True])
def test_a_column_of_lists_gets_the_same_hint(library, framed):
    frames = pytest.importorskip(library)
    column = frames.Series(LABELS[:3])
    with pytest.raises(DataError) as caught:
        LabelTreeClassifier().fit(np.eye(3), frames.DataFrame({"l": column}) if framed else column)
    assert str(caught.value) == HINT


def test_lists_of_numbers_are_a_matrix():
    model = LabelTreeClassifier(costs="relevance").fit(np.eye(3), [[1, 0], [0, 2.5], [1, 1]])
    assert model.label_counts_.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("labels", "of_texts", "of_matrices"),
    [
        ([["a"], []], True, True),
        ([[0, 1], [1, 1]], False, False),
        ([[0, 1], [1, 5]], True, False),
        ([[0, 1], [1]], True, True),
        (["a", "b"], False, False),
        (sp.eye(2).tocsr(), False, False),
        (np.eye(2), False, False),
    ],
)
def test_lists_are_told_from_matrices_and_classes(labels, of_texts, of_matrices):
    assert are_lists(labels, is_0_or_1) == of_texts
    assert are_lists(labels, is_number) == of_matrices


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "expected a list of label ids in row 2, got None"),
        (float("nan"), "expected a list of label ids in row 2, got nan"),
        ("red", "expected a list of label ids in row 2, got 'red'"),
        (["red", None], "expected label ids as str, got None in row 2"),
        ([7], "expected label ids as str, got 7 in row 2"),
    ],
)
def test_what_is_no_list_of_ids_is_named_with_its_row(wrong, message):
    model, labels = text_model().fit(TEXTS, LABELS), [*LABELS[:2], wrong, *LABELS[3:]]
    for ask in (text_model().fit, model.score, lambda *args: scorer("P@1")(model, *args)):
        with pytest.raises(DataError) as caught:
            ask(TEXTS, labels)
        assert str(caught.value) == f"TextClassifier: {message}"


def test_scorers_need_ids_for_lists_of_ids():
    model = OneVsAllClassifier().fit(np.eye(3), np.eye(3))
    with pytest.raises(DataError, match="expected a matrix as y: the model has no ids of labels$"):
        scorer("P@1")(model, np.eye(3), [["a"], ["b"], []])


def test_scorers_take_lists_where_the_model_has_ids():
    model = OneVsAllClassifier().fit(np.eye(3), np.eye(3), label_ids=["a", "b", "c"])
    assert scorer("P@1")(model, np.eye(3), [["a"], ["b"], ["a"]]) == pytest.approx(2 / 3)


def test_scorers_take_a_column_of_classes_as_fits_do():
    model = OneVsAllClassifier().fit(np.eye(3), [5, 6, 7])
    assert scorer("P@1")(model, np.eye(3), np.array([[5], [6], [5]])) == pytest.approx(2 / 3)
