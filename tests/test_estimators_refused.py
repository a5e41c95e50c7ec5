"""What is refused, and in which words."""

import numpy as np
import pytest
import scipy.sparse as sp
from planted import N_LABELS, X_TEST, Y_TEST, X, Y
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from xmc import DataError, LabelTree, LabelTreeClassifier, OneVsAllClassifier, ParameterError


@pytest.mark.parametrize("k", [0, -1, N_LABELS + 1, 2.0, "3", None])
def test_k_outside_the_labels_is_refused(fitted, k):
    with pytest.raises(ParameterError) as error:
        fitted.predict_topk(X_TEST, k)
    expected = (
        f"predict_topk: k must be an int from 1 to {N_LABELS}, the number of labels, got {k!r}"
    )
    assert str(error.value) == expected


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.predict_proba(X),
        lambda model: model.predict_topk(X, 0),
        lambda model: model.predict_topk(["text"]),
        lambda model: model.score(X, Y),
        lambda model: model.save("never"),
    ],
)
def test_a_model_that_is_not_fitted_says_so(model, use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFittedError):
        use(model)


def test_a_fit_that_fails_leaves_no_model_behind(model):
    model.fit(X, Y)
    with pytest.raises(DataError):
        model.fit(X[:, :5], Y[:10])
    with pytest.raises(NotFittedError):
        model.predict(X[:, :5])


def test_settings_that_are_changed_after_training_are_checked(fitted):
    before = fitted.get_params()["optimize"]
    fitted.set_params(optimize="everything")
    with pytest.raises(ParameterError, match="optimize must be one of"):
        fitted.predict_topk(X_TEST, 3)
    fitted.set_params(optimize=before)


@pytest.mark.parametrize("kind", [sp.csr_matrix, np.asarray])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf")])
def test_the_first_feature_that_is_not_finite_is_named_with_its_place(model, kind, value, word):
    wrong = X.toarray()
    wrong[7, 5] = value
    message = (
        f"^{type(model).__name__}: expected finite values in X, got {word} in row 7, column 5 "
    )
    with pytest.raises(DataError, match=message):
        clone(model).fit(kind(wrong), Y)
    with pytest.raises(DataError, match=message):
        model.fit(X, Y).predict(kind(wrong))


BAD = [
    (X, Y[:10], "expected as many rows in X as in Y, got 300 and 10"),
    (X, -Y, "expected no negative values in Y, got -1.0"),
    (X, Y * 0, "expected at least one row with a label, got 300 rows without"),
    (X, sp.csr_matrix((300, 0)), "expected at least one label, Y has no columns"),
    (X, Y * np.nan, "expected finite values in Y, got NaN in row 0, column "),
    (
        sp.csr_matrix((0, 3)),
        sp.csr_matrix((0, 2)),
        "expected at least one row and one column in X, got shape \\(0, 3\\)",
    ),
    (
        sp.csr_matrix((3, 0)),
        sp.csr_matrix((3, 2)),
        "expected at least one row and one column in X, got shape \\(3, 0\\)",
    ),
    (X * 1j, Y, "Complex data not supported in X"),
    (X, [[1]] * 299 + [[1, 2]], "expected a matrix as y, got lists of labels; .*Binarizer"),
    (
        X,
        [b"a", b"b"] * 150,
        "y can't be read: Support for labels represented as bytes is not supported",
    ),
    (X, np.linspace(0, 1, 300), "y can't be read: Unknown label type: continuous"),
    (X, np.array(["a", 1] * 150, object), "y can't be read: "),
    (X, np.zeros((300, 2, 2)), "y can't be read: "),
    (X, sp.coo_array(np.ones(300)), "expected Y to be a 2-D numeric matrix, got 1-D float64"),
]


@pytest.mark.parametrize(("X", "y", "message"), BAD, ids=[message[:40] for *_, message in BAD])
@pytest.mark.parametrize("model", [LabelTreeClassifier(), OneVsAllClassifier()])
def test_data_that_say_nothing_are_refused(model, X, y, message):
    with pytest.raises(DataError, match=f"^{type(model).__name__}: {message}") as error:
        clone(model).fit(X, y)
    assert "\n" not in str(error.value)


def test_missing_labels_are_refused(model):
    with pytest.raises(DataError, match="requires y to be passed, but the target y is None$"):
        model.fit(X, None)


@pytest.mark.parametrize("kind", [sp.csr_matrix, np.asarray])
def test_rows_of_another_width_are_refused(fitted, kind):
    wrong = kind(X_TEST[:, :5].toarray())
    with pytest.raises(
        DataError, match=f"^X has 5 features, but {type(fitted).__name__} is expecting 78 features"
    ):
        fitted.predict_topk(wrong, 3)


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (Y_TEST[:, :5], "expected 40 labels in Y, got 5"),
        (Y_TEST[:5], "expected as many rows in X as in Y, got 60 and 5"),
        (None, "expected Y to be a 2-D numeric matrix, got 0-D object"),
    ],
)
def test_truth_of_another_shape_is_refused(fitted, Y, message):
    with pytest.raises(DataError, match=f"^{type(fitted).__name__}: {message}$"):
        fitted.score(X_TEST, Y)


def test_truth_with_labels_that_the_model_does_not_know_counts_them_as_missed(fitted):
    wider = sp.hstack([Y_TEST, Y_TEST], format="csr")
    assert fitted.score(X_TEST, wider) == fitted.score(X_TEST, Y_TEST)


@pytest.mark.parametrize(
    ("chunks", "labels", "message"),
    [
        (
            [[0, 2], [0, 1]],
            [0, 1],
            "expected 3 ascending pointers from 0 on in level 1 of the tree",
        ),
        (
            [[0, 2], [0, 2, 1]],
            [0],
            "expected 3 ascending pointers from 0 on in level 1 of the tree",
        ),
        ([[1, 2]], [0, 1], "expected 2 ascending pointers from 0 on in level 0 of the tree"),
        ([[0, 2]], [0, 0], "expected the tree to hold 2 different labels, one per leaf"),
        ([[0, 2]], [0], "expected the tree to hold 2 different labels, one per leaf"),
        ([[0, 2]], [0, 40], "expected labels 0 to 39 in the tree, got 0 to 40"),
        ([[0, 2]], [-1, 0], "expected labels 0 to 39 in the tree, got -1 to 0"),
    ],
)
def test_a_tree_that_is_none_is_refused(chunks, labels, message):
    tree = LabelTree(tuple(np.array(chunk) for chunk in chunks), np.array(labels, np.int32))
    with pytest.raises(DataError, match=f"^LabelTreeClassifier: {message}$"):
        LabelTreeClassifier(tree=tree).fit(X, Y)


def test_a_tree_whose_labels_have_no_rows_is_refused(sparse_labels):
    tree = LabelTree((np.array([0, 2]),), np.array([7, 8], np.int32))
    with pytest.raises(
        DataError, match="expected a tree that holds a label with rows, got one that holds none$"
    ):
        LabelTreeClassifier(tree=tree).fit(X, sparse_labels)
