"""TextClassifier: the door for texts, labels by id, and answers with names."""

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    ParameterError,
    TextClassifier,
    load,
)
from xmc.datasets import load_sample, sample_texts
from xmc.io import read

TEXTS = ["a red apple", "a red cherry", "green grass", "a green lime", "a blue plum", "blue sky"]
IDS = [
    ["red", "fruit"],
    ["fruit", "red"],
    ["green"],
    ["green", "fruit"],
    ["blue", "fruit"],
    ["blue"],
]
NAMES = {"red": "Rot", "green": "Grün", "blue": "Blau"}


@pytest.fixture
def model():
    return TextClassifier(OneVsAllClassifier(random_state=0), min_df=1).fit(
        TEXTS, IDS, label_names=NAMES
    )


@pytest.fixture(scope="module")
def corpus():
    """Texts of packages, and the tags of each."""
    sample = load_sample()
    X, Y = sample.X[:1500], sample.Y[:1500]
    texts = sample_texts(X, sample.features)
    return texts, [[sample.label_names[label] for label in row.indices] for row in Y], sample, Y


def answers(model, texts=("a red plum", "grass")):
    return [[(s.id, s.score) for s in row] for row in model.suggest(list(texts), 3)]


def test_labels_have_the_ids_that_occur_in_order(model):
    assert model.label_ids_ == ["blue", "fruit", "green", "red"]
    assert model.label_names_ == ["Blau", "fruit", "Grün", "Rot"]
    assert model.label_counts_.tolist() == [2, 4, 2, 2]


def test_texts_get_their_labels_back(model):
    top = model.predict_topk(TEXTS, 2)
    found = [
        {model.label_ids_[label] for label in row[: len(own)]}
        for row, own in zip(top.labels, IDS, strict=True)
    ]
    assert found == [set(own) for own in IDS]
    assert model.score(TEXTS, IDS) == 1
    assert model.score(TEXTS, [["nothing"]] * 6) == 0


def test_suggestions_have_ids_names_and_scores_best_first(model):
    top = model.predict_topk(["a green lime"], 4)
    (found,) = model.suggest(["a green lime"], 4)
    assert [s.id for s in found] == [model.label_ids_[label] for label in top.labels[0]]
    assert [s.score for s in found] == top.scores[0].tolist()
    assert {s.id: s.name for s in found} == {"fruit": "fruit"} | NAMES
    assert model.suggest("a green lime", 4) == found


def test_lists_of_ids_train_what_their_matrix_trains(corpus):
    texts, ids, sample, Y = corpus
    classifier = LabelTreeClassifier(random_state=0)
    by_id = TextClassifier(classifier).fit(texts, ids)
    by_matrix = TextClassifier(classifier).fit(texts, Y, label_ids=sample.label_names)
    assert by_matrix.label_ids_ == sample.label_names
    assert set(by_id.label_ids_) == {label for row in ids for label in row}
    ours, theirs = answers(by_id, texts[:40]), answers(by_matrix, texts[:40])
    assert [[label for label, _ in row] for row in ours] == [
        [label for label, _ in row] for row in theirs
    ]


def test_given_ids_are_the_columns_with_or_without_rows():
    ids = ["zebra", "red", "fruit", "green", "blue"]
    model = TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, IDS, label_ids=ids)
    assert model.label_ids_ == ids
    assert model.label_counts_.tolist() == [0, 2, 4, 2, 2]
    assert all(s.id != "zebra" for row in model.suggest(TEXTS, 5) for s in row)


def test_one_label_per_text_comes_back_as_a_class():
    colours = [own[0] if own[0] != "fruit" else own[1] for own in IDS]
    model = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1).fit(TEXTS, colours)
    assert model.predict(TEXTS).tolist() == colours
    assert model.classes_.tolist() == ["blue", "green", "red"]
    assert model.suggest("a red cherry", 1)[0].id == "red"


@pytest.mark.parametrize("kind", ["list", "tuple", "object", "str", "series", "column"])
def test_any_sequence_of_texts_is_read(model, kind):
    expected = answers(model, TEXTS)
    if kind in ("series", "column"):
        pandas = pytest.importorskip("pandas")
        texts = pandas.Series(TEXTS, index=range(10, 16))
        texts = texts if kind == "series" else pandas.DataFrame({"text": texts})["text"]
    else:
        make = {
            "list": list,
            "tuple": tuple,
            "object": lambda t: np.array(t, object),
            "str": np.array,
        }
        texts = make[kind](TEXTS)
    found = [[(s.id, s.score) for s in row] for row in model.suggest(texts, 3)]
    assert found == expected
    assert answers(clone(model).fit(texts, IDS), TEXTS) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "expected a sequence of texts, got one str; put it in a list"),
        (b"bytes", "expected a sequence of texts, got one bytes; put it in a list"),
        (None, "expected a sequence of texts, got NoneType"),
        ([], "expected at least one text, got none"),
        (["a", None], "expected a str in each row of the texts, got None in row 1"),
        (["a", float("nan")], "expected a str in each row of the texts, got nan in row 1"),
        (["a", b"b"], "expected a str in each row of the texts, got b'b' in row 1"),
        (["a", ["b"]], "expected a str in each row of the texts, got ['b'] in row 1"),
        (np.array([["a", "b"]]), "expected one column of texts, got ndarray of shape (1, 2)"),
        (sp.eye(2, format="csr"), "expected a sequence of texts, got csr_matrix"),
        ({"a": 1}, "expected one column of texts, got dict"),
    ],
    ids=repr,
)
def test_what_is_no_sequence_of_texts_is_refused_in_one_line(model, texts, message):
    uses = [
        lambda: model.predict_topk(texts, 1),
        lambda: model.predict(texts),
        lambda: clone(model).fit(texts, IDS),
    ]
    for use in uses:
        with pytest.raises(DataError) as error:
            use()
        assert str(error.value) == f"TextClassifier: {message}"


def test_missing_values_of_a_column_are_named_with_their_row(model):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match=r"got (<NA>|nan|None) in row 1$"):
        model.predict_topk(pandas.Series(["a", None, "b"]), 1)


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        ([["red"]] * 5, {}, "expected labels for 6 texts, got 5"),
        ([["red"]] * 6, {"label_ids": ["blue"]}, "expected labels among label_ids, got 'red'"),
        ([["red"], ["red", 1], *[["red"]] * 4], {}, "expected label ids as str, got 1 in row 1"),
        (sp.eye(6, format="csr"), {"label_names": NAMES}, "label_names by id needs label_ids, or "),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(labels, given, message):
    with pytest.raises(DataError) as error:
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, labels, **given)
    assert str(error.value).startswith(f"TextClassifier: {message}")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a"], [1]] * 3, "expected label ids as str, got 1 in row 1"),
        ([[7, 9], [9, 3]] * 3, "expected label ids as str, got 7 in row 0"),
        ([[7], [9, 3]] * 3, "expected label ids as str, got 7 in row 0"),
        ([None, ["b"]] * 3, "expected a list of label ids in row 0, got None"),
    ],
)
def test_label_lists_of_another_kind_are_no_other_kind_of_model(labels, message):
    with pytest.raises(DataError) as error:
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, labels)
    assert str(error.value) == f"TextClassifier: {message}"


def test_arrays_of_ids_are_lists_of_ids_and_lists_of_0_and_1_a_matrix():
    by_array = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1)
    by_array.fit(TEXTS, [np.array(own) for own in IDS])
    assert by_array.label_ids_ == ["blue", "fruit", "green", "red"]
    by_matrix = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1)
    by_matrix.fit(TEXTS, [[int(label in own) for label in by_array.label_ids_] for own in IDS])
    assert (
        by_matrix.label_ids_ is None and answers(by_matrix)[0][0][1] == answers(by_array)[0][0][1]
    )


@pytest.mark.parametrize("given", [{"label_ids": 4}, {"label_ids": "abcd"}, {"label_names": 4}])
def test_ids_and_names_that_are_no_list_are_refused(given):
    with pytest.raises(DataError, match="expected a list as label_(ids|names), got (int|str)$"):
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, IDS, **given)


def test_missing_names_are_refused():
    names = ["Blau", None, "Grün", "Rot"]
    with pytest.raises(DataError, match="expected a str for each of label_names, got None$"):
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, IDS, label_names=names)


@pytest.mark.parametrize("weight", [[1.0], np.zeros(6), "abc"])
def test_weights_of_a_score_must_fit(model, weight):
    for labels in (IDS, np.eye(6, 4)):
        with pytest.raises(DataError, match="expected a weight for each of 6 rows, not all 0$"):
            model.score(TEXTS, labels, weight)


def test_sets_of_texts_come_best_first(model):
    top = model.predict_topk(TEXTS, None, sets=True, threshold=0.3)
    sets = model.predict(TEXTS, 0.3)
    assert [sorted(row[row >= 0].tolist()) for row in top.labels] == [
        row.indices.tolist() for row in sets
    ]


@pytest.mark.parametrize("labels", [None, (own for own in IDS), 3])
def test_labels_of_unknown_number_are_refused(labels):
    with pytest.raises(DataError, match="^TextClassifier: expected labels for each text, got "):
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, labels)


def test_an_id_that_is_given_twice_is_refused():
    ids = ["red", "red", "fruit", "green", "blue"]
    for labels in (IDS, np.eye(6, 5)):
        with pytest.raises(DataError, match="^TextClassifier: expected each of label_ids once"):
            TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, labels, label_ids=ids)


@pytest.mark.parametrize("k", [0, -1, True, "3", None, 1.5])
def test_a_number_of_suggestions_that_is_none_is_refused(model, k):
    with pytest.raises(ParameterError, match=f"got {k!r}$"):
        model.suggest("a red plum", k)


def test_an_estimator_of_matrices_points_to_the_one_of_texts():
    for texts in (TEXTS, np.array(TEXTS), "one text"):
        with pytest.raises(DataError, match="got texts; a TextClassifier takes those$"):
            OneVsAllClassifier().fit(texts, np.eye(6))


def test_texts_without_a_common_word_are_refused():
    with pytest.raises(DataError, match="^text: "):
        TextClassifier(min_df=3).fit(["a", "b", "c"], [["x"], ["y"], ["z"]])


@pytest.mark.parametrize("classifier", [3, "tree", TextClassifier(), OneVsAllClassifier])
def test_a_classifier_that_takes_no_matrix_is_refused(classifier):
    with pytest.raises(
        ParameterError, match="classifier must be one of xmc's estimators of matrices"
    ):
        TextClassifier(classifier).fit(TEXTS, IDS)


def test_settings_of_the_vectoriser_are_checked():
    with pytest.raises(
        ParameterError, match="^TextClassifier: max_ngram must be an int >= 1, got 0$"
    ):
        TextClassifier(max_ngram=0).fit(TEXTS, IDS)


def test_a_model_that_is_not_fitted_says_so(tmp_path):
    model = TextClassifier()
    for use in (model.predict_topk, model.predict, model.suggest, model.predict_proba):
        with pytest.raises(NotFittedError):
            use(TEXTS)
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model")


def test_fit_leaves_the_given_classifier_alone():
    classifier = OneVsAllClassifier(random_state=0)
    model = TextClassifier(classifier, min_df=1).fit(TEXTS, IDS)
    assert model.classifier is classifier and not hasattr(classifier, "model_")


def test_a_saved_model_comes_back_with_its_settings(model, tmp_path):
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is TextClassifier
    assert answers(again) == answers(model)
    ours, theirs = model.get_params(), again.get_params()
    for params in (ours, theirs):
        params.pop("classifier")
    assert ours == theirs
    assert again.min_df == 1
    again.save(tmp_path / "again")
    assert all(
        (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
        for file in (tmp_path / "model").iterdir()
    )


def test_a_folder_without_the_settings_of_texts_tells_them_by_its_vectoriser(model, tmp_path):
    model.set_params(max_ngram=2, sublinear_tf=False).fit(TEXTS, IDS).save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    import json

    meta = json.loads(path.read_text())
    del meta["text_parameters"]
    path.write_text(json.dumps(meta))
    again = load(tmp_path / "model")
    assert (again.max_ngram, again.sublinear_tf, again.lowercase) == (2, False, True)
    assert answers(again) == answers(model)


def test_one_text_at_a_time_is_ranked_alike(model):
    rank = model.ranker()
    for text in TEXTS:
        one, many = rank(text, 3), model.predict_topk([text], 3)
        assert np.array_equal(one.labels, many.labels) and np.array_equal(one.scores, many.scores)


def test_compressing_changes_the_classifier_only(model):
    small = model.compress("int8")
    assert small.classifier_.model_.predictor.members[0].layers[0].weight.dtype == np.int8
    assert model.classifier_.model_.predictor.members[0].layers[0].weight.dtype == np.float32
    assert small.vectorizer_ is model.vectorizer_
    assert (small.classifier.weights, model.classifier.weights) == ("int8", "float32")
    assert [s.id for s in small.suggest("a red cherry", 2)] == [
        s.id for s in model.suggest("a red cherry", 2)
    ]


def test_a_grid_search_reaches_the_classifier_below(corpus):
    texts, _, _, Y = corpus
    search = GridSearchCV(
        TextClassifier(OneVsAllClassifier(random_state=0)),
        {"classifier__bias": [1.0, 1000.0], "min_df": [2]}, cv=2,
    )  # fmt: skip
    search.fit(texts[:600], Y[:600])
    assert search.best_params_ == {"classifier__bias": 1.0, "min_df": 2}
    assert search.best_score_ > 0.6


def test_the_command_line_trains_the_same_model_from_texts(tmp_path):
    data = read(cli.home() / "train.tsv")
    classifier = LabelTreeClassifier(random_state=0, n_jobs=1)
    ours = TextClassifier(classifier).fit(data.texts, data.Y, label_ids=data.label_ids)
    ours.save(tmp_path / "ours")
    cli.done("train", cli.home() / "train.tsv", "--model", tmp_path / "theirs", "--quiet")
    ours, theirs = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("ours", "theirs")
    )
    assert ours == theirs


def test_sets_of_texts_reach_the_threshold(model):
    P = model.predict_proba(TEXTS)
    assert np.array_equal(model.predict(TEXTS, 0.3).toarray() > 0, P.toarray() >= np.float32(0.3))


@pytest.mark.parametrize("analyzer", ["stems", "chars", "words+chars", "stems+chars"])
def test_a_model_of_any_analyzer_answers_alike_when_loaded(tmp_path, analyzer):
    model = TextClassifier(
        OneVsAllClassifier(random_state=0), min_df=1, analyzer=analyzer, language="auto"
    ).fit(TEXTS, IDS)
    model.save(tmp_path / "model")
    back = load(tmp_path / "model")
    assert (back.analyzer, back.language) == (analyzer, "auto")
    assert answers(back) == answers(model)
    alone = back.ranker()(TEXTS[0], k=2).labels[0]
    assert alone.tolist() == model.predict_topk(TEXTS[:1], 2).labels[0].tolist()


def test_stems_without_a_language_are_refused():
    for call in (TextClassifier.fit, TextClassifier.forecast):
        with pytest.raises(ParameterError, match="^TextClassifier: analyzer 'stems' needs a lang"):
            call(TextClassifier(analyzer="stems"), TEXTS, IDS)
