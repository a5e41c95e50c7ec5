import json

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from xmc.errors import DataError, ModelError, ParameterError
from xmc.params import TextParams
from xmc.text import FILE, fit_texts, load_vectorizer, make_vectorizer, save_vectorizer

TEXTS = [
    "The quick brown fox, the lazy dog",
    "A quick reply and a lazy afternoon",
    "Zw\u00f6lf Boxk\u00e4mpfer jagen Viktor \u00fcber den Sylter Deich",
    "the dog and the fox",
    "",
]
UNSEEN = ["the quick Sylter fox", "nothing known", "", "Viktor und der Deich, und der dog"]


def same(A, B):
    return (
        A.shape == B.shape
        and A.dtype == B.dtype
        and all(
            np.array_equal(a, b)
            for a, b in ((A.indptr, B.indptr), (A.indices, B.indices), (A.data, B.data))
        )
    )


def again(vectorizer, folder):
    """The vectoriser, written and read."""
    save_vectorizer(vectorizer, folder / "vectorizer")
    return load_vectorizer(folder / "vectorizer")


def edit(folder, **changes):
    meta = json.loads((folder / FILE).read_text())
    meta["settings"] |= changes
    (folder / FILE).write_text(json.dumps(meta))


def test_the_default_is_tfidf_of_words_that_come_twice():
    vectorizer = make_vectorizer()
    fit_texts(vectorizer, TEXTS)
    assert vectorizer.get_feature_names_out().tolist() == [
        "and",
        "dog",
        "fox",
        "lazy",
        "quick",
        "the",
    ]


def test_the_default_weights_are_sublinear_unit_rows_of_float32():
    X = fit_texts(make_vectorizer(), TEXTS)
    expected = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32).fit_transform(TEXTS)
    assert X.dtype == np.float32
    assert same(X, expected)


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({"max_ngram": 2}, {"ngram_range": (1, 2)}),
        ({"min_df": 1}, {"min_df": 1}),
        ({"max_features": 3}, {"max_features": 3}),
        ({"sublinear_tf": False}, {"sublinear_tf": False}),
        ({"lowercase": False}, {"lowercase": False}),
    ],
)
def test_every_setting_is_scikit_learns(settings, theirs):
    X = fit_texts(make_vectorizer(TextParams(**settings)), TEXTS)
    assert same(
        X,
        TfidfVectorizer(
            **{"min_df": 2, "sublinear_tf": True, "dtype": np.float32, **theirs}
        ).fit_transform(TEXTS),
    )


def test_settings_are_held_against_their_declaration():
    with pytest.raises(ParameterError, match="^TextParams: min_df must be an int >= 1, got 0$"):
        make_vectorizer(TextParams(min_df=0))


@pytest.mark.parametrize("texts", [["", "  "], ["one", "two"]])
def test_texts_without_a_feature_are_told_in_one_line(texts):
    with pytest.raises(DataError, match=r"^text: [^\n]+$"):
        fit_texts(make_vectorizer(), texts)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ngram_range": (1, 3), "min_df": 1},
        {"ngram_range": (np.int64(2), np.int64(2))},
        {"analyzer": "char_wb", "ngram_range": (2, 4)},
        {"stop_words": ["the", "and"]},
        {"stop_words": "english"},
        {"strip_accents": "unicode", "lowercase": False},
        {"token_pattern": r"(?u)\b\w+\b", "binary": True, "norm": None},
        {"use_idf": False, "sublinear_tf": True},
        {"smooth_idf": False, "norm": "l1"},
        {"max_features": 4, "dtype": np.float64},
        {"vocabulary": ["fox", "dog", "\u00fcber"]},
    ],
    ids=str,
)
def test_a_vectoriser_survives_its_folder(tmp_path, settings):
    vectorizer = TfidfVectorizer(**{"dtype": np.float32, **settings}).fit(TEXTS)
    back = again(vectorizer, tmp_path)
    assert same(back.transform(TEXTS + UNSEEN), vectorizer.transform(TEXTS + UNSEEN))
    assert back.get_feature_names_out().tolist() == vectorizer.get_feature_names_out().tolist()


def test_bytes_are_decoded_as_they_were(tmp_path):
    vectorizer = TfidfVectorizer(encoding="latin-1").fit(TEXTS)
    texts = [text.encode("latin-1") for text in TEXTS]
    assert same(again(vectorizer, tmp_path).transform(texts), vectorizer.transform(texts))


def test_saving_again_gives_the_same_bytes(tmp_path):
    vectorizer = make_vectorizer()
    fit_texts(vectorizer, TEXTS)
    back = again(vectorizer, tmp_path)
    save_vectorizer(back, tmp_path / "again")
    for path in (tmp_path / "vectorizer").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["tokenizer", "preprocessor", "analyzer", "strip_accents"])
def test_a_function_is_refused(tmp_path, name):
    settings = {name: str.split if name in ("tokenizer", "analyzer") else str.lower}
    vectorizer = TfidfVectorizer(
        **settings, **({"token_pattern": None} if name == "tokenizer" else {})
    ).fit(TEXTS)
    with pytest.raises(ModelError) as error:
        save_vectorizer(vectorizer, tmp_path / "vectorizer")
    assert (
        str(error.value)
        == f"vectoriser: expected settings that JSON can hold, got a function as {name}"
    )


class Stemming(TfidfVectorizer):
    """What a subclass does is code, which no JSON can hold."""


@pytest.mark.parametrize("kind", [CountVectorizer, Stemming])
def test_another_kind_of_vectoriser_is_refused(tmp_path, kind):
    with pytest.raises(ModelError) as error:
        save_vectorizer(kind().fit(TEXTS), tmp_path / "vectorizer")
    assert (
        str(error.value)
        == f"vectoriser: expected scikit-learn's TfidfVectorizer, got {kind.__name__}"
    )


def test_a_vectoriser_of_file_names_is_refused(tmp_path):
    (tmp_path / "text").write_text("a text")
    vectorizer = TfidfVectorizer(input="filename").fit([str(tmp_path / "text")])
    with pytest.raises(ModelError, match="^vectoriser: expected texts as input, got 'filename'$"):
        save_vectorizer(vectorizer, tmp_path / "vectorizer")


def test_a_vectoriser_that_is_not_fitted_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        save_vectorizer(make_vectorizer(), tmp_path / "vectorizer")


@pytest.mark.parametrize(
    "changes",
    [{"ngram_range": 3}, {"dtype": "nothing"}, {"dtype": None, "ngram_range": None}],
    ids=str,
)
def test_damaged_settings_are_one_line(tmp_path, changes):
    again(TfidfVectorizer().fit(TEXTS), tmp_path)
    edit(tmp_path / "vectorizer", **changes)
    with pytest.raises(ModelError) as error:
        load_vectorizer(tmp_path / "vectorizer")
    assert str(error.value).startswith(f"{tmp_path / 'vectorizer'}: {FILE} can't be read: ")


def test_settings_that_nobody_saves_are_not_read(tmp_path):
    again(TfidfVectorizer().fit(TEXTS), tmp_path)
    edit(tmp_path / "vectorizer", input="filename")
    assert load_vectorizer(tmp_path / "vectorizer").transform(["fox"]).nnz == 1


def test_an_idf_of_another_length_is_refused(tmp_path):
    again(TfidfVectorizer().fit(TEXTS), tmp_path)
    meta = json.loads((tmp_path / "vectorizer" / FILE).read_text())
    np.save(tmp_path / "vectorizer" / "idf.npy", np.ones(2))
    meta["arrays"]["idf"] = ["<f8", [2]]
    (tmp_path / "vectorizer" / FILE).write_text(json.dumps(meta))
    with pytest.raises(ModelError, match="can't be read: "):
        load_vectorizer(tmp_path / "vectorizer")
