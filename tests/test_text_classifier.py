"""TextClassifier: the door for texts, labels by id, and answers with names."""

import pickle

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp
from folders import arrays_of, content
from planted_names import IDS, N_CONCEPTS, NAMES, UNTRAINED, VOCABULARY, matrix_of, named_texts
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    ParameterError,
    RerankedClassifier,
    TextClassifier,
    Vocabulary,
    load,
    reranked_classifier,
    stage,
)
from xmc.datasets import load_sample, sample_texts
from xmc.evidence.names import mentions
from xmc.io import read
from xmc.metrics import ece_at_k
from xmc.text_classifier import names_of_labels

TEXTS = ["a red apple", "a red cherry", "green grass", "a green lime", "a blue plum", "blue sky"]
IDS_OF_TEXTS = [
    ["red", "fruit"],
    ["fruit", "red"],
    ["green"],
    ["green", "fruit"],
    ["blue", "fruit"],
    ["blue"],
]
SOME_NAMES = {"red": "Rot", "green": "Grün", "blue": "Blau"}


@pytest.fixture
def model():
    return TextClassifier(OneVsAllClassifier(random_state=0), min_df=1).fit(
        TEXTS, IDS_OF_TEXTS, label_names=SOME_NAMES
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
        for row, own in zip(top.labels, IDS_OF_TEXTS, strict=True)
    ]
    assert found == [set(own) for own in IDS_OF_TEXTS]
    assert model.score(TEXTS, IDS_OF_TEXTS) == 1
    assert model.score(TEXTS, [["nothing"]] * 6) == 0


def test_suggestions_have_ids_names_and_scores_best_first(model):
    top = model.predict_topk(["a green lime"], 4)
    (found,) = model.suggest(["a green lime"], 4)
    assert [s.id for s in found] == [model.label_ids_[label] for label in top.labels[0]]
    assert [s.score for s in found] == top.scores[0].tolist()
    assert {s.id: s.name for s in found} == {"fruit": "fruit"} | SOME_NAMES
    assert model.suggest("a green lime", 4) == found


@pytest.mark.usefixtures("few_trees")
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
    model = TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, IDS_OF_TEXTS, label_ids=ids)
    assert model.label_ids_ == ids
    assert model.label_counts_.tolist() == [0, 2, 4, 2, 2]
    assert all(s.id != "zebra" for row in model.suggest(TEXTS, 5) for s in row)


def test_one_label_per_text_comes_back_as_a_class():
    colours = [own[0] if own[0] != "fruit" else own[1] for own in IDS_OF_TEXTS]
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
    assert answers(clone(model).fit(texts, IDS_OF_TEXTS), TEXTS) == expected


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
        lambda: clone(model).fit(texts, IDS_OF_TEXTS),
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
        (sp.eye(6, format="csr"), {"label_names": SOME_NAMES}, "label_names by id needs label_ids"),
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
    by_array.fit(TEXTS, [np.array(own) for own in IDS_OF_TEXTS])
    assert by_array.label_ids_ == ["blue", "fruit", "green", "red"]
    by_matrix = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1)
    by_matrix.fit(
        TEXTS, [[int(label in own) for label in by_array.label_ids_] for own in IDS_OF_TEXTS]
    )
    assert (
        by_matrix.label_ids_ is None and answers(by_matrix)[0][0][1] == answers(by_array)[0][0][1]
    )


@pytest.mark.parametrize("given", [{"label_ids": 4}, {"label_ids": "abcd"}, {"label_names": 4}])
def test_ids_and_names_that_are_no_list_are_refused(given):
    with pytest.raises(DataError, match="expected a list as label_(ids|names), got (int|str)$"):
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, IDS_OF_TEXTS, **given)


def test_missing_names_are_refused():
    names = ["Blau", None, "Grün", "Rot"]
    with pytest.raises(DataError, match="expected a str for each of label_names, got None$"):
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, IDS_OF_TEXTS, label_names=names)


@pytest.mark.parametrize("weight", [[1.0], np.zeros(6), "abc"])
def test_weights_of_a_score_must_fit(model, weight):
    for labels in (IDS_OF_TEXTS, np.eye(6, 4)):
        with pytest.raises(DataError, match="expected a weight for each of 6 rows, not all 0$"):
            model.score(TEXTS, labels, weight)


def test_sets_of_texts_come_best_first(model):
    top = model.predict_topk(TEXTS, None, sets=True, threshold=0.3)
    sets = model.predict(TEXTS, 0.3)
    assert [sorted(row[row >= 0].tolist()) for row in top.labels] == [
        row.indices.tolist() for row in sets
    ]


@pytest.mark.parametrize("labels", [None, (own for own in IDS_OF_TEXTS), 3])
def test_labels_of_unknown_number_are_refused(labels):
    with pytest.raises(DataError, match="^TextClassifier: expected labels for each text, got "):
        TextClassifier(OneVsAllClassifier(), min_df=1).fit(TEXTS, labels)


def test_an_id_that_is_given_twice_is_refused():
    ids = ["red", "red", "fruit", "green", "blue"]
    for labels in (IDS_OF_TEXTS, np.eye(6, 5)):
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
        TextClassifier(classifier).fit(TEXTS, IDS_OF_TEXTS)


def test_settings_of_the_vectoriser_are_checked():
    with pytest.raises(
        ParameterError, match="^TextClassifier: max_ngram must be an int >= 1, got 0$"
    ):
        TextClassifier(max_ngram=0).fit(TEXTS, IDS_OF_TEXTS)


def test_a_model_that_is_not_fitted_says_so(tmp_path):
    model = TextClassifier()
    for use in (model.predict_topk, model.predict, model.suggest, model.predict_proba):
        with pytest.raises(NotFittedError):
            use(TEXTS)
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model")


def test_fit_leaves_the_given_classifier_alone():
    classifier = OneVsAllClassifier(random_state=0)
    model = TextClassifier(classifier, min_df=1).fit(TEXTS, IDS_OF_TEXTS)
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
    model.set_params(opening=0, max_ngram=2, sublinear_tf=False).fit(TEXTS, IDS_OF_TEXTS).save(
        tmp_path / "model"
    )
    path = tmp_path / "model" / "model.json"
    import json

    meta = json.loads(path.read_text())
    del meta["text_parameters"]
    path.write_text(json.dumps(meta))
    again = load(tmp_path / "model")
    settings = again.opening, again.max_ngram, again.sublinear_tf, again.lowercase
    assert settings == (0, 2, False, True)
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
        {"classifier__bias": [1.0, 100.0], "min_df": [2]}, cv=2,
    )  # fmt: skip
    search.fit(texts[:600], Y[:600])
    assert search.best_params_ == {"classifier__bias": 1.0, "min_df": 2}
    assert search.best_score_ > 0.6


@pytest.mark.usefixtures("few_trees")
def test_the_command_line_trains_the_same_model_from_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(reranked_classifier, "WORTH", -1e9)  # both base models are kept
    data = read(cli.home() / "train.tsv")
    one_vs_all = OneVsAllClassifier(costs="propensity", random_state=0, n_jobs=1)
    below = LabelTreeClassifier(random_state=0, n_jobs=1), one_vs_all
    ours = TextClassifier(below).fit(data.texts, data.Y, label_ids=data.label_ids)
    ours.save(tmp_path / "ours")
    cli.done("train", cli.home() / "train.tsv", "--model", tmp_path / "theirs", "--quiet")
    assert content(tmp_path / "ours") == content(tmp_path / "theirs")


def test_sets_of_texts_reach_the_threshold(model):
    P = model.predict_proba(TEXTS)
    assert np.array_equal(model.predict(TEXTS, 0.3).toarray() > 0, P.toarray() >= np.float32(0.3))


@pytest.mark.parametrize("analyzer", ["stems", "chars", "words+chars", "stems+chars"])
def test_a_model_of_any_analyzer_answers_alike_when_loaded(tmp_path, analyzer):
    model = TextClassifier(
        OneVsAllClassifier(random_state=0), min_df=1, analyzer=analyzer, language="auto"
    ).fit(TEXTS, IDS_OF_TEXTS)
    model.save(tmp_path / "model")
    back = load(tmp_path / "model")
    assert (back.analyzer, back.language) == (analyzer, "auto")
    assert answers(back) == answers(model)
    alone = back.ranker()(TEXTS[0], k=2).labels[0]
    assert alone.tolist() == model.predict_topk(TEXTS[:1], 2).labels[0].tolist()


def test_stems_without_a_language_are_refused():
    for call in (TextClassifier.fit, TextClassifier.forecast):
        with pytest.raises(ParameterError, match="^TextClassifier: analyzer 'stems' needs a lang"):
            call(TextClassifier(analyzer="stems"), TEXTS, IDS_OF_TEXTS)


# The last stage.
BASE = OneVsAllClassifier(random_state=0)
NOTICE = "a last stage needs 1,000 rows to learn from, there are 999: trained without"


@pytest.fixture(scope="module")
def named():
    """(texts, labels) to train on; the same to ask; and some with labels that have no row."""
    return named_texts(1000, 0), named_texts(500, 1), named_texts(200, 2, untrained=True)


@pytest.fixture(scope="module")
def staged(named):
    """A model that knows the names."""
    return TextClassifier(BASE, vocabulary=VOCABULARY, rerank=True).fit(*named[0])


@pytest.fixture(scope="module")
def nameless(named):
    return TextClassifier(BASE, rerank=True).fit(*named[0])


def precision(model, texts, labels, k=1):
    """P@k, also where the model doesn't know all labels."""
    found = [{s.id for s in row} for row in model.suggest(texts, k)]
    return np.mean([len(own & set(true)) / k for own, true in zip(found, labels, strict=True)])


def recall(model, texts, labels, among, k=5):
    """R@k, if only these labels count."""
    own = [{s.id for s in row} for row in model.suggest(texts, k)]
    wanted = [set(row) & set(among) for row in labels]
    return sum(len(a & b) for a, b in zip(own, wanted, strict=True)) / sum(map(len, wanted))


def test_names_help_where_labels_have_few_rows(named):
    train, (texts, labels), _ = named
    few = [part[:400] for part in train]
    with_names, without = (
        TextClassifier(BASE, rerank=True, vocabulary=known).fit(*few)
        for known in (VOCABULARY, None)
    )
    rows = zip(without.label_ids_, without.label_counts_, strict=True)
    rare = [label for label, n in rows if n <= 2]
    for among, gain in ((rare, 0.3), (without.label_ids_, 0.05)):
        ours, theirs = (recall(m, texts, labels, among, 2) for m in (with_names, without))
        assert ours > theirs + gain
    assert {"name_cosine", "name_share"} <= {*with_names.classifier_.evidence_names_}
    assert not any("name" in column for column in without.classifier_.evidence_names_)


def test_a_label_without_a_row_is_found_by_its_name(named, staged, nameless):
    *_, (texts, labels) = named
    assert staged.label_ids_ == IDS
    counts = dict(zip(staged.label_ids_, staged.label_counts_, strict=True))
    assert all(counts[label] == 0 for label in UNTRAINED)
    assert recall(staged, texts, labels, UNTRAINED) > 0.5
    assert not set(UNTRAINED) & set(nameless.label_ids_)
    assert recall(nameless, texts, labels, UNTRAINED) == 0


def test_a_label_without_row_or_name_in_the_text_is_found_by_what_is_broader(
    named, staged, tmp_path
):
    """Each untrained concept stands below one that has rows; a text says nothing else of it."""
    (texts, labels), _, _ = named
    pairs = list(zip(UNTRAINED, [own for own in IDS if own not in UNTRAINED], strict=False))
    names = [(own, name, "preferred", None) for own, name in NAMES.items()]
    model = TextClassifier(BASE, vocabulary=Vocabulary.of(names, pairs), rerank=True)
    model.fit(texts, labels)
    assert "related" in model.classifier_.evidence_names_
    narrower, broader = pairs[0]
    text = [f"about {NAMES[broader]} in general"]
    assert narrower in {s.id for s in model.suggest(text, N_CONCEPTS)[0]}
    assert narrower not in {s.id for s in staged.suggest(text, N_CONCEPTS)[0]}
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.suggest(text, 30) == model.suggest(text, 30)


@pytest.mark.parametrize(
    ("language", "shown", "said"),
    [
        (None, ["eins", "zwei"], None),
        ("auto", ["eins", "zwei"], None),
        ("en", ["one", "zwei"], None),
        ("fr", ["eins", "zwei"], "no name of the vocabulary is in 'fr'; it has de, en"),
    ],
)
def test_names_are_shown_in_the_language_that_is_asked_for(language, shown, said):
    names = [("1", "eins", "de"), ("1", "one", "en"), ("2", "zwei", "de")]
    known = Vocabulary.of([(label, name, "preferred", code) for label, name, code in names])
    model = TextClassifier(BASE, vocabulary=known, language=language, min_df=1)
    model.fit(["alpha beta", "gamma delta"] * 3, [["1"], ["2"]] * 3)
    assert model.label_names_ == shown
    assert [line for line in model.notices_ if "vocabulary" in line] == ([said] if said else [])


def test_labels_of_the_vocabulary_have_its_names(staged):
    assert staged.label_names_ == [NAMES[label] for label in IDS]
    name = NAMES[UNTRAINED[0]]
    assert UNTRAINED[0] in {s.id for s in staged.suggest(f"of {name} in general", 5)}


def test_probabilities_of_a_stage_are_calibrated(named, staged):
    _, (texts, labels), _ = named
    Y = matrix_of(labels, IDS)
    top = staged.predict_topk(texts, 5)
    assert ece_at_k(Y, top, 1) < 0.08
    assert ece_at_k(Y, top, 5) < 0.05


def test_the_threshold_of_the_stage_makes_sets_and_a_given_one_wins(named, staged):
    _, (texts, labels), _ = named
    threshold = staged.model_.threshold
    sets = staged.predict(texts)
    assert (sets != staged.predict(texts, threshold)).nnz == 0
    assert staged.predict(texts, 0.01).nnz > sets.nnz > staged.predict(texts, 0.999).nnz
    Y = matrix_of(labels, IDS)
    assert 2 * sets.multiply(Y).nnz / (sets.nnz + Y.nnz) > 0.75


def test_a_saved_stage_answers_to_the_bit(named, staged, tmp_path):
    _, (texts, _), (rare, _) = named
    staged.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for asked in (texts[:100], rare[:50], texts[:1], [""]):
        ours, theirs = staged.predict_topk(asked, 20), again.predict_topk(asked, 20)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))
    assert (again.predict(texts) != staged.predict(texts)).nnz == 0
    assert again.vocabulary == VOCABULARY
    assert (again.rerank, again.neighbors) == (True, True)
    again.save(tmp_path / "again")
    assert all(
        (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
        for file in (tmp_path / "model").iterdir()
    )


def test_one_text_is_answered_as_among_others(named, staged):
    _, (texts, _), _ = named
    whole, rank = staged.predict_topk(texts[:40], 10), staged.ranker()
    for row, text in enumerate(texts[:40]):
        for alone in (staged.predict_topk([text], 10), rank(text, 10)):
            assert np.array_equal(alone.labels[0], whole.labels[row])
            assert np.array_equal(alone.scores[0], whole.scores[row])


def test_threads_and_pickling_make_no_difference(named, staged, tmp_path):
    train, (texts, _), _ = named
    two = TextClassifier(clone(BASE).set_params(n_jobs=2), vocabulary=VOCABULARY, rerank=True).fit(
        *train
    )
    for name, model in (("one", staged), ("two", two)):
        model.save(tmp_path / name)
    assert all(
        (tmp_path / "two" / file.name).read_bytes() == file.read_bytes()
        for file in (tmp_path / "one").iterdir()
    )
    again = pickle.loads(pickle.dumps(staged))
    assert answers(again, texts[:20]) == answers(staged, texts[:20])


def test_a_compressed_stage_ranks_almost_alike(named, staged):
    _, (texts, labels), _ = named
    small = staged.compress("int8")
    assert abs(precision(small, texts, labels) - precision(staged, texts, labels)) < 0.03
    (base,) = small.classifier
    assert base.weights == "int8" and staged.classifier.weights == "float32"


@pytest.mark.usefixtures("few_trees")
def test_without_neighbors_there_are_none(named, tmp_path):
    texts, labels = named[0]
    model = TextClassifier(BASE, rerank=True, neighbors=False).fit(texts, labels)
    assert not any("neighbor" in column for column in model.classifier_.evidence_names_)
    model.save(tmp_path / "model")
    assert not any("neighbors" in name for name in arrays_of(tmp_path / "model"))
    assert load(tmp_path / "model").neighbors is False


@pytest.mark.usefixtures("few_trees")
def test_few_rows_have_no_stage_unless_it_is_asked_for(named):
    texts, labels = (part[:999] for part in named[0])
    model = TextClassifier(BASE).fit(texts, labels)
    assert type(model.classifier_) is OneVsAllClassifier
    assert model.notices_ == [NOTICE]
    forced = TextClassifier(BASE, rerank=True).fit(texts[:200], labels[:200])
    assert type(forced.classifier_) is RerankedClassifier


def test_a_stage_can_be_left_out(named):
    model = TextClassifier(BASE, rerank=False, vocabulary=VOCABULARY).fit(*named[0])
    assert type(model.classifier_) is OneVsAllClassifier
    assert model.notices_ == [] and model.label_ids_ == IDS


def test_auto_has_a_stage_where_held_out_rows_say_that_it_helps(named, staged):
    model = TextClassifier(BASE, vocabulary=VOCABULARY).fit(*named[0])
    assert type(model.classifier_) is RerankedClassifier
    (notice,) = model.notices_
    assert notice.startswith("on held-out rows: OneVsAllClassifier P@1 ")
    assert "; last stage P@1 " in notice and "left out" not in notice


@pytest.mark.usefixtures("few_trees")
def test_auto_leaves_the_stage_out_where_it_does_not_help(named, monkeypatch, tmp_path):
    """Here the stage is made to look useless."""
    texts, labels = named[0]
    real = stage.quality

    def worse(truth, top):
        figures = real(truth, top)
        reranks = (top.scores[:, 0] <= 1).all() and len(calls) == 1
        calls.append(figures)
        return figures | {name: 0.0 for name in figures if reranks and name.startswith("P@")}

    calls = []
    monkeypatch.setattr(reranked_classifier, "quality", worse)
    model = TextClassifier(BASE).fit(texts, labels)
    assert type(model.classifier_) is OneVsAllClassifier
    (notice,) = model.notices_
    start = "the last stage is left out; on held-out rows: OneVsAllClassifier P@1 "
    assert notice.startswith(start)
    alone = TextClassifier(BASE, rerank=False).fit(texts, labels)
    assert answers(model, texts[:20]) == answers(alone, texts[:20])
    assert (model.predict(texts[:50]) != alone.predict(texts[:50])).nnz == 0
    assert model.label_ids_ == alone.label_ids_
    model.save(tmp_path / "model")
    assert answers(load(tmp_path / "model"), texts[:20]) == answers(alone, texts[:20])


@pytest.mark.usefixtures("few_trees")
def test_several_base_models_need_a_stage(named):
    texts, labels = named[0]
    both = LabelTreeClassifier(random_state=0), BASE
    message = "^TextClassifier: classifier must be one estimator where there is no last stage, got"
    with pytest.raises(ParameterError, match=message):
        TextClassifier(both, rerank=False).fit(texts, labels)
    few = TextClassifier(both).fit(texts[:100], labels[:100])
    assert type(few.classifier_) is LabelTreeClassifier  # the first does where a stage can't learn
    model = TextClassifier(both, rerank=True).fit(texts, labels)
    assert len(model.classifier_.model_.predictor.bases) == 2


def test_the_first_base_model_is_trained_alone_where_auto_has_too_few_rows_for_a_stage():
    several = OneVsAllClassifier(random_state=0), LabelTreeClassifier(random_state=0)
    model = TextClassifier(several).fit(TEXTS, IDS_OF_TEXTS)
    assert type(model.classifier_) is OneVsAllClassifier
    assert any("rows to learn from" in line for line in model.notices_)
    assert model.forecast(TEXTS, IDS_OF_TEXTS).n_rows == len(TEXTS)


def test_the_stage_uses_as_many_threads_as_its_first_base_model():
    base = OneVsAllClassifier(random_state=0, n_jobs=2, verbose=1)
    stage = TextClassifier((base, OneVsAllClassifier()), rerank=True)._reranked()
    assert (stage.n_jobs, stage.verbose) == (2, 1)


def test_tail_classifiers_keep_a_stage_out(named):
    texts, labels = named[0]
    tails = OneVsAllClassifier(tail_share=0.2, random_state=0)
    model = TextClassifier(tails).fit(texts, labels)
    assert type(model.classifier_) is OneVsAllClassifier
    assert model.notices_ == ["a last stage doesn't go with tail_share: trained without"]


@pytest.mark.usefixtures("few_trees")
def test_a_reranked_classifier_is_the_stage_itself(named):
    texts, labels = named[0]
    own = RerankedClassifier(BASE, neighbors=False)
    model = TextClassifier(own, vocabulary=VOCABULARY).fit(texts[:400], labels[:400])
    assert type(model.classifier_) is RerankedClassifier and model.classifier_ is not own
    columns = model.classifier_.evidence_names_
    assert "name_cosine" in columns and "neighbor_votes" not in columns
    with pytest.raises(ParameterError, match="rerank must not be False with a RerankedClassifier$"):
        TextClassifier(own, rerank=False).fit(texts, labels)


@pytest.mark.usefixtures("few_trees")
def test_order_and_propensities_of_the_base_model_are_those_of_the_stage(named):
    texts, labels = (part[:300] for part in named[0])
    base = OneVsAllClassifier(optimize="psp", propensity_a=0.3, random_state=0)
    model = TextClassifier(base, rerank=True).fit(texts, labels)
    assert (model.classifier_.optimize, model.classifier_.propensity_a) == ("psp", 0.3)
    by_p = TextClassifier(BASE, rerank=True).fit(texts, labels)
    assert answers(model, texts[:20]) != answers(by_p, texts[:20])


@pytest.mark.parametrize("rerank", [True, False, "auto"])
def test_a_forecast_needs_no_fit_and_leaves_none_behind(named, rerank):
    texts, labels = (part[:300] for part in named[0])
    model = TextClassifier(BASE, rerank=rerank)
    assert model.forecast(texts, labels).model_bytes > 0
    assert not hasattr(model, "classifier_")
    with pytest.raises(NotFittedError):
        model.predict(texts)


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("neighbors", [True, False])
def test_a_forecast_knows_names_vocabulary_and_neighbours(named, staged, neighbors, tmp_path):
    texts, labels = named[0]
    model = TextClassifier(BASE, vocabulary=VOCABULARY, rerank=True, neighbors=neighbors)
    needs = model.forecast(texts, labels)
    assert needs.n_labels == N_CONCEPTS - len(UNTRAINED)  # with rows
    model.fit(texts, labels).save(tmp_path / "model")
    arrays = arrays_of(tmp_path / "model").items()
    n_bytes = sum(array.nbytes for name, array in arrays if not name.startswith("trees."))
    assert needs.model_bytes == pytest.approx(n_bytes, rel=0.3)


# Vocabularies and names.
def test_a_vocabulary_that_knows_no_label_is_refused():
    strange = Vocabulary.of([("zebra", "Zebra", "preferred", None)])
    with pytest.raises(DataError) as error:
        TextClassifier(BASE, min_df=1, vocabulary=strange).fit(TEXTS, IDS_OF_TEXTS)
    expected = "TextClassifier: expected ids of the vocabulary, such as 'zebra', got 'blue'"
    assert str(error.value) == expected


def test_a_vocabulary_of_uris_names_labels_that_end_alike():
    known = Vocabulary.of(
        [(f"https://d-nb.info/c/{n}", name, "preferred", None) for n, name in enumerate("rbgfz")]
    )
    ends = {"red": "c:0", "blue": "c:1", "green": "c:2", "fruit": "c:3"}
    model = TextClassifier(BASE, min_df=1, vocabulary=known)
    model.fit(TEXTS, [[ends[label] for label in own] for own in IDS_OF_TEXTS])
    assert model.label_ids_ == ["c:0", "c:1", "c:2", "c:3", "c:4"]
    assert model.label_names_ == list("rbgfz")
    expected = "the vocabulary's https://d-nb.info/c/0 is taken for c:0, others likewise"
    assert expected in model.notices_
    assert model.vocabulary is known


def test_labels_without_ids_need_ids_for_a_vocabulary():
    known = Vocabulary.of([("red", "Rot", "preferred", "de")])
    for labels in (np.eye(6), ["red"] * 3 + ["blue"] * 3):
        with pytest.raises(DataError) as error:
            TextClassifier(BASE, min_df=1, vocabulary=known).fit(TEXTS, labels)
        wanted = "TextClassifier: a vocabulary needs label_ids, or labels as lists of ids"
        assert str(error.value) == wanted
    model = TextClassifier(BASE, min_df=1, vocabulary=known)
    model.fit(TEXTS, np.eye(6, 3), label_ids=["blue", "red", "green"])
    assert model.label_ids_ == ["blue", "green", "red"]
    assert model.label_counts_.tolist() == [1, 1, 1]


def test_labels_and_concepts_are_both_labels():
    known = Vocabulary.of(
        [("red", "Rot", "preferred", "de"), ("zebra", "Zebra", "preferred", "de")]
    )
    model = TextClassifier(BASE, min_df=1, vocabulary=known).fit(TEXTS, IDS_OF_TEXTS)
    assert model.label_ids_ == ["blue", "fruit", "green", "red", "zebra"]
    assert model.label_names_ == ["blue", "fruit", "green", "Rot", "Zebra"]
    assert model.label_counts_.tolist() == [2, 4, 2, 2, 0]
    assert all(s.id != "zebra" for row in model.suggest(TEXTS, 5) for s in row)


@pytest.mark.parametrize("form", [dict, list])
def test_names_that_are_given_come_before_those_of_the_vocabulary(form):
    known = Vocabulary.of([("red", "Rot", "preferred", "de"), ("fruit", "Obst", "preferred", "de")])
    given = {"red": "Rouge", "blue": "Bleu"}
    if form is list:
        given = [given.get(label, label) for label in ("blue", "fruit", "green", "red")]
    model = TextClassifier(BASE, min_df=1, vocabulary=known)
    model.fit(TEXTS, IDS_OF_TEXTS, label_names=given)
    assert model.label_names_ == ["Bleu", "Obst", "green", "Rouge"]


def test_all_names_of_a_label_are_looked_for_and_ids_are_none():
    known = Vocabulary.of(
        [("red", "Bank (Geld)", "preferred", "de"), ("red", "Kreditinstitut", "alternative", "de")]
    )
    ids, names = ["blue", "green", "red"], ["blue", "Grün (Farbe)", "Bank (Geld)"]
    index = names_of_labels(ids, names, known, [])
    assert index.name_labels.tolist() == [1, 2, 2]
    assert np.diff(index.label_indptr).tolist() == [0, 1, 2]
    assert len(mentions(index, ["kreditinstitut bank grün geld farbe"]).terms) == len(
        mentions(index, ["kreditinstitut bank grün"]).terms
    )
    assert names_of_labels(ids, ids, None, []) is None
    assert names_of_labels(ids, None, None, []) is None


@pytest.mark.usefixtures("few_trees")
def test_names_are_looked_for_without_a_vocabulary_too(named):
    texts, labels = (part[:400] for part in named[0])
    model = TextClassifier(BASE, rerank=True).fit(texts, labels, label_names=NAMES)
    assert "name_cosine" in model.classifier_.evidence_names_


@pytest.mark.parametrize("rerank", [True, False])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["Blau", None, "Grün", "Rot"], "expected a str for each of label_names, got None"),
        (["Blau"], "expected 4 label_names, one per label, got 1"),
        (4, "expected a list as label_names, got int"),
    ],
)
def test_names_that_do_not_fit_are_refused_with_and_without_a_stage(given, message, rerank):
    known = Vocabulary.of([("red", "Rot", "preferred", "de")])
    for vocabulary in (None, known):
        model = TextClassifier(BASE, min_df=1, rerank=rerank, vocabulary=vocabulary)
        with pytest.raises(DataError) as error:
            model.fit(TEXTS, IDS_OF_TEXTS, label_names=given)
        assert str(error.value) == f"TextClassifier: {message}"


@pytest.mark.parametrize("wrong", ["gnd.ttl", 3, {"red": "Rot"}])
def test_what_is_no_vocabulary_is_refused(wrong):
    with pytest.raises(ParameterError, match="vocabulary must be a Vocabulary or None, got "):
        TextClassifier(BASE, min_df=1, vocabulary=wrong).fit(TEXTS, IDS_OF_TEXTS)


def test_a_vocabulary_comes_back_without_a_stage(tmp_path):
    known = Vocabulary.of([("red", "Rot", "preferred", "de"), ("zebra", "Z", "hidden", None)])
    model = TextClassifier(BASE, min_df=1, vocabulary=known).fit(TEXTS, IDS_OF_TEXTS)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.vocabulary == known and answers(again) == answers(model)


def test_settings_as_numpys_types_are_saved(tmp_path):
    model = TextClassifier(BASE, min_df=np.int64(1), rerank=np.False_).fit(TEXTS, IDS_OF_TEXTS)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.min_df, again.rerank) == (1, False)
