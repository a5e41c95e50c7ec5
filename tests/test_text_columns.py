"""Columns of pandas and polars as texts, labels and weights, and numeric frames beside them."""

import numpy as np
import pytest
from planted import same_answer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from xmc import DataError, OneVsAllClassifier, TextClassifier
from xmc.metrics import scorer

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

TEXTS = [
    "a red apple", "a red cherry", "green grass", "a green lime", "a blue plum", "blue sky"
] * 3  # fmt: skip
LABELS = [
    ["fruit", "red"], ["fruit", "red"], ["green"], ["fruit", "green"], ["blue", "fruit"], ["blue"]
] * 3  # fmt: skip
ROWS = range(700, 700 + len(TEXTS))  # ids of pandas' rows, which are no positions
SHUFFLED = [*reversed(ROWS)]
TEXT_COLUMNS = {
    "pandas": pd.Series(TEXTS, index=ROWS),
    "object": pd.Series(TEXTS, index=ROWS, dtype=object),
    "string": pd.Series(TEXTS, index=ROWS, dtype="string"),
    "category": pd.Series(TEXTS, index=ROWS, dtype="category"),
    "pandas frame": pd.DataFrame({"text": TEXTS, "n": 1}, index=SHUFFLED)["text"],
    "index": pd.Index(TEXTS),
    "polars": pl.Series(TEXTS),
    "polars category": pl.Series(TEXTS, dtype=pl.Categorical),
    "polars frame": pl.DataFrame({"text": TEXTS, "n": 1})["text"],
}
LABEL_COLUMNS = {
    "pandas": pd.Series(LABELS, index=ROWS),
    "pandas frame": pd.DataFrame({"labels": LABELS}, index=SHUFFLED)["labels"],
    "pandas arrays": pd.Series([np.array(own, object) for own in LABELS]),
    "polars": pl.Series(LABELS),
    "polars frame": pl.DataFrame({"labels": LABELS})["labels"],
    "polars category": pl.Series(LABELS, dtype=pl.List(pl.Categorical)),
}
SERIES = {"pandas": pd.Series, "polars": pl.Series}


def unfitted():
    return TextClassifier(OneVsAllClassifier(random_state=0), min_df=1)


@pytest.fixture(scope="module")
def model():
    return unfitted().fit(TEXTS, LABELS)


@pytest.mark.parametrize("name", TEXT_COLUMNS)
def test_a_column_of_texts_trains_and_is_ranked_as_a_list_is(name, model):
    column = TEXT_COLUMNS[name]
    trained = unfitted().fit(column, LABELS)
    assert same_answer(trained.predict_topk(column, 4), model.predict_topk(TEXTS, 4))
    assert abs(trained.predict(column) - model.predict(TEXTS)).nnz == 0
    assert trained.suggest(column, 2) == model.suggest(TEXTS, 2)
    assert trained.score(column, LABELS) == model.score(TEXTS, LABELS) == 1


@pytest.mark.parametrize("name", LABEL_COLUMNS)
def test_a_column_of_lists_is_the_labels_of_each_text(name, model):
    column = LABEL_COLUMNS[name]
    trained = unfitted().fit(TEXTS, column)
    assert trained.label_ids_ == ["blue", "fruit", "green", "red"]
    assert same_answer(trained.predict_topk(TEXTS, 4), model.predict_topk(TEXTS, 4))
    assert model.score(TEXTS, column) == scorer("P@1")(model, TEXTS, column) == 1
    assert unfitted().forecast(TEXTS, column).n_features == model.classifier_.n_features_in_


@pytest.mark.parametrize("library", SERIES)
def test_rows_go_by_position_whatever_they_are_called(library, model):
    """Texts, labels and weights belong together by position; pandas would join them by id."""
    series = SERIES[library]
    texts, labels, weights = series(TEXTS), series(LABELS), series(np.arange(len(TEXTS)) % 4)
    if library == "pandas":
        labels.index, weights.index = SHUFFLED, ROWS
    trained = unfitted().fit(texts, labels, sample_weight=weights)
    expected = unfitted().fit(TEXTS, LABELS, sample_weight=np.arange(len(TEXTS)) % 4)
    assert same_answer(trained.predict_topk(texts, 4), expected.predict_topk(TEXTS, 4))
    if library == "pandas":
        assert [*labels.index] == SHUFFLED


@pytest.mark.parametrize(
    "classes",
    [
        pd.Series(["r", "g"] * 9, index=ROWS),
        pd.Series(["r", "g"] * 9, dtype="category"),
        pd.DataFrame({"class": ["r", "g"] * 9})["class"],
        pl.Series(["r", "g"] * 9),
        pl.Series(["r", "g"] * 9, dtype=pl.Enum(["r", "g"])),
    ],
)
def test_a_column_of_classes_is_one_label_per_text(classes):
    texts = ["a red apple", "green grass"] * 9
    weights = np.arange(len(texts)) % 2 + 0.5
    trained = unfitted().fit(texts, classes, sample_weight=weights)
    assert trained.predict(texts[:2]).tolist() == ["r", "g"]
    assert trained.score(texts, classes) == scorer("P@1")(trained, texts, classes) == 1


MISSING = {
    "pandas": (pd.Series([*TEXTS[:3], None]), "nan|None"),
    "pandas NaN": (pd.Series([*TEXTS[:3], np.nan], dtype=object), "nan"),
    "pandas NA": (pd.Series([*TEXTS[:3], None], dtype="string"), "<NA>"),
    "pandas category": (pd.Series([*TEXTS[:3], None], dtype="category"), "nan"),
    "polars": (pl.Series([*TEXTS[:3], None]), "None"),
    "list": ([*TEXTS[:3], None], "None"),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_text_is_named_with_its_row(name, model):
    column, value = MISSING[name]
    line = f"^TextClassifier: expected a str in each row of the texts, got ({value}) in row 3$"
    for ask in (
        lambda texts: unfitted().fit(texts, LABELS[:4]),
        lambda texts: model.score(texts, LABELS[:4]),
        model.predict,
        model.predict_topk,
        model.suggest,
    ):
        with pytest.raises(DataError, match=line):
            ask(column)


@pytest.mark.parametrize("library", SERIES)
def test_missing_labels_are_named_with_their_row(library, model):
    series = SERIES[library]
    lists, inside = series([*LABELS[:3], None]), series([*LABELS[:3], ["blue", None]])
    for ask in (unfitted().fit, model.score, lambda *args: scorer("P@1")(model, *args)):
        with pytest.raises(DataError, match="a list of label ids in row 3, got None$"):
            ask(TEXTS[:4], lists)
        with pytest.raises(DataError, match="expected label ids as str, got None in row 3$"):
            ask(TEXTS[:4], inside)


@pytest.mark.parametrize("library", SERIES)
def test_a_missing_class_is_named_with_its_row(library):
    classes, X = SERIES[library](["r", "g", None, "g"]), np.eye(4)
    trained = OneVsAllClassifier().fit(X, ["r", "g", "r", "g"])
    line = "^OneVsAllClassifier: expected a value in each row of y, got a missing one in row 2$"
    for ask in (
        OneVsAllClassifier().fit,
        trained.score,
        lambda *args: scorer("P@1")(trained, *args),
    ):
        with pytest.raises(DataError, match=line):
            ask(X, classes)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_frame_is_no_column_of_texts(frame, model):
    with pytest.raises(DataError, match="expected one column of texts, got DataFrame of shape"):
        model.predict(frame({"text": TEXTS}))


@pytest.mark.parametrize("library", SERIES)
def test_model_selection_runs_on_columns(library):
    texts, labels = SERIES[library](TEXTS), SERIES[library](LABELS)
    if library == "pandas":
        texts.index = labels.index = SHUFFLED
    shuffled = KFold(3, shuffle=True, random_state=0)
    assert cross_val_score(unfitted(), texts, labels, cv=shuffled).tolist() == [1, 1, 1]
    grid = {"classifier__weight_threshold": [100.0, 0.1]}  # no weight is as large as 100
    search = GridSearchCV(unfitted(), grid, cv=shuffled, scoring=scorer("P@1")).fit(texts, labels)
    assert search.best_params_ == {"classifier__weight_threshold": 0.1}


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_numeric_frames_are_features_and_labels(frame):
    X = frame({"f0": [1, 0, 0], "f1": [0, 1, 0], "f2": [0, 0, 1]})
    Y = frame({"a": [1, 0, 1], "b": [0, 1, 1]})
    trained = OneVsAllClassifier().fit(X, Y, label_ids=Y.columns)
    assert trained.feature_names_in_.tolist() == ["f0", "f1", "f2"]
    assert trained.label_ids_ == ["a", "b"]
    assert trained.predict(X).toarray().tolist() == np.asarray(Y).tolist()
    assert trained.score(X, Y) == scorer("P@1")(trained, X, Y) == 1
    with pytest.raises(DataError, match="feature names should match"):
        trained.predict(X[["f2", "f1", "f0"]])
