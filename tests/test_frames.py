import numpy as np
import pytest
import scipy.sparse as sp

from xmc import DataError, LabelTreeClassifier, metrics
from xmc.soundness import sound

pd = pytest.importorskip("pandas")

DENSE = np.array([[0.0, 2, 1], [0, 0, 0], [3, 0, 1], [1, 1, 0]])
Y = sp.csr_matrix(np.eye(4, 3, dtype=np.float32))


def sparse_frame(dense=DENSE, fill=0.0):
    columns = {
        f"f{j}": pd.arrays.SparseArray(dense[:, j], fill_value=fill) for j in range(dense.shape[1])
    }
    return pd.DataFrame(columns)


def nullable_frame(missing=False):
    """Columns of every nullable kind."""
    b = [True, False, None if missing else True, False]
    return pd.DataFrame(
        {
            "a": pd.array([0, 1, 2, 3], dtype="Int64"),
            "b": pd.array(b, dtype="boolean"),
            "c": pd.array([0.5, 0, 0, 1], dtype="Float64"),
        }
    )


def test_a_frame_with_sparse_columns_stays_sparse():
    M = sound(sparse_frame(), "who", "X")
    assert sp.issparse(M)
    assert M.nnz == np.count_nonzero(DENSE)
    assert np.array_equal(M.toarray(), DENSE)


@pytest.mark.parametrize("kind", ["integer", "block"])
def test_both_kinds_of_sparse_columns_are_read(kind):
    column = pd.arrays.SparseArray(DENSE[:, 0], fill_value=0.0, kind=kind)
    M = sound(pd.DataFrame({"a": column}), "who", "X")
    assert np.array_equal(M.toarray(), DENSE[:, :1])


def test_sparse_and_dense_columns_stand_side_by_side():
    frame = sparse_frame()
    frame.insert(1, "dense", [0, 7, 0, 8])
    frame["flag"] = [True, False, False, True]
    expected = np.column_stack([DENSE[:, 0], [0, 7, 0, 8], DENSE[:, 1:], [1, 0, 0, 1]])
    assert np.array_equal(sound(frame, "who", "X").toarray(), expected)


def test_a_column_filled_with_something_else_is_read_whole():
    frame = sparse_frame(DENSE + 1, fill=1.0)
    assert np.array_equal(sound(frame, "who", "X"), DENSE + 1)


def test_nullable_columns_are_numbers():
    expected = [[0, 1, 0.5], [1, 0, 0], [2, 1, 0], [3, 0, 1]]
    assert sound(nullable_frame(), "who", "X").tolist() == expected


def test_columns_of_several_types_are_numbers():
    frame = pd.DataFrame({"a": [1, 2], "b": [True, False], "c": [0.5, 1]})
    assert sound(frame, "who", "X").tolist() == [[1, 1, 0.5], [2, 0, 1]]


def test_a_frame_without_columns_has_no_columns():
    assert sound(pd.DataFrame(index=range(3)), "who", "X").shape == (3, 0)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            nullable_frame(missing=True),
            "expected finite values in column 'b' of X, got a missing one in row 2",
        ),
        (
            sparse_frame(np.where(DENSE == 3, np.nan, DENSE), fill=np.nan),
            "expected finite values in column 'f0' of X, got a missing one in row 2",
        ),
        (
            pd.DataFrame({"a": [1, 2], "city": ["Bonn", "Ulm"]}),
            "expected numbers in column 'city' of X, got ",
        ),
        (
            pd.DataFrame({"day": pd.to_datetime(["2020-01-01"])}),
            "expected X to be a 2-D numeric matrix, got 2-D datetime64",
        ),
        (pd.DataFrame({"z": [1j]}), "Complex data not supported in X"),
    ],
)
def test_what_is_no_number_is_named(frame, message):
    with pytest.raises(DataError) as caught:
        sound(frame, "fit", "X")
    assert str(caught.value).startswith(f"fit: {message}")


@pytest.mark.parametrize("damage", ["NaN", "missing"])
def test_a_model_names_the_place_of_a_value_that_is_missing(damage):
    frame = (
        sparse_frame(np.where(DENSE == 3, np.nan, DENSE))
        if damage == "NaN"
        else nullable_frame(True)
    )
    place = "row 2, column 0" if damage == "NaN" else "column 'b' of X, got a missing one in row 2"
    with pytest.raises(DataError, match=place):
        LabelTreeClassifier().fit(frame, Y)


def test_a_model_ranks_frames_as_it_ranks_the_same_matrix():
    expected = LabelTreeClassifier(random_state=0).fit(DENSE, Y).predict_topk(DENSE, 2)
    for frame in (sparse_frame(), pd.DataFrame(DENSE, columns=["f0", "f1", "f2"])):
        model = LabelTreeClassifier(random_state=0).fit(frame, sparse_frame(Y.toarray()))
        assert model.feature_names_in_.tolist() == ["f0", "f1", "f2"]
        for X in (frame, sparse_frame()):
            got = model.predict_topk(X, 2)
            assert np.array_equal(got.labels, expected.labels)
            assert np.array_equal(got.scores, expected.scores)
        assert model.score(frame, sparse_frame(Y.toarray())) == model.score(frame, Y)


def test_a_model_refuses_frames_with_other_columns():
    model = LabelTreeClassifier().fit(sparse_frame(), Y)
    with pytest.raises(DataError, match="feature names should match"):
        model.predict_topk(sparse_frame().rename(columns={"f0": "other"}), 2)
    with pytest.raises(DataError, match="seen at fit time, yet now missing: - f2"):
        model.predict_topk(sparse_frame(DENSE[:, :2]), 2)


def test_a_nullable_column_of_labels_is_one_label_per_row():
    y = pd.Series([7, 8, 7, 9], dtype="Int64")
    model = LabelTreeClassifier().fit(DENSE, y)
    assert model.classes_.tolist() == [7, 8, 9]


@pytest.mark.parametrize("dtype", ["Int64", "string", "object"])
def test_a_missing_label_is_named_with_its_row(dtype):
    y = pd.Series([7, 8, None, 9], dtype=dtype)
    message = "^LabelTreeClassifier: expected a value in each row of y, got a missing one in row 2$"
    with pytest.raises(DataError, match=message):
        LabelTreeClassifier().fit(DENSE, y)


def test_metrics_take_frames():
    P = sp.csr_matrix(DENSE)
    assert metrics.report(sparse_frame(Y.toarray()), P, (1, 3)) == metrics.report(Y, P, (1, 3))


def test_frames_of_polars_are_read():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1, 2], "b": [True, False], "c": [0.5, 1]})
    assert sound(frame, "who", "X").tolist() == [[1, 1, 0.5], [2, 0, 1]]
    labels = pl.DataFrame({"a": [1, 0], "b": [0, 1]})
    model = LabelTreeClassifier().fit(frame, labels)
    assert (model.n_features_in_, model.n_labels_) == (3, 2)


@pytest.mark.parametrize("values", [[True, None], [1, None], [0.5, None]])
def test_missing_values_of_polars_are_named(values):
    pl = pytest.importorskip("polars")
    with pytest.raises(
        DataError, match="^fit: expected finite values in column 'b' of X, .* row 1$"
    ):
        sound(pl.DataFrame({"a": [1, 2], "b": values}), "fit", "X")
    with pytest.raises(DataError, match="a value in each row of y, got a missing one in row 1$"):
        LabelTreeClassifier().fit(DENSE[:2], pl.Series(values))
