import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from folders import replace_array
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from snowballstemmer import stemmer

from xmc.analyzers import opening_of
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
WORDS = TextParams(opening=0)
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


def test_words_alone_are_those_that_come_twice():
    vectorizer = make_vectorizer(WORDS)
    fit_texts(vectorizer, TEXTS)
    assert vectorizer.get_feature_names_out().tolist() == [
        "and",
        "dog",
        "fox",
        "lazy",
        "quick",
        "the",
    ]


def test_the_weights_of_words_are_sublinear_unit_rows_of_float32():
    X = fit_texts(make_vectorizer(WORDS), TEXTS)
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
    X = fit_texts(make_vectorizer(replace(WORDS, **settings)), TEXTS)
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
    for params in (TextParams(), WORDS):
        with pytest.raises(DataError) as error:
            fit_texts(make_vectorizer(params), texts)
        assert str(error.value) == (
            "text: expected features that 2 texts or more have (min_df), found none in 2; "
            "are they empty, or too few?"
        )


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


@pytest.mark.filterwarnings("error")
def test_letters_that_have_no_lower_case_are_read_without_a_warning(tmp_path):
    texts = ["\u03d2\u03d2 particles", "\u03d2\u03d2 mesons"]
    vectorizer = TfidfVectorizer(dtype=np.float32).fit(texts)
    back = again(vectorizer, tmp_path)
    assert back.lowercase and same(back.transform(texts), vectorizer.transform(texts))


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
    [
        {"ngram_range": 3},
        {"ngram_range": [1, 3.5]},
        {"ngram_range": [-(10**9), 1]},
        {"ngram_range": [1, 10**30]},
        {"analyzer": {"stems": {"languages": ["en"], "detect": False, "max_ngram": 2.5}}},
        {"analyzer": {"stems": {"languages": ["xx"], "detect": False}}},
        {"analyzer": {"stems": {"languages": [], "detect": False}}},
        {"analyzer": {"chars": {"shortest": -(10**9), "longest": 2}}},
        {"analyzer": {"chars": {"shortest": 3, "longest": 2}}},
        {"dtype": "nothing"},
        {"dtype": None, "ngram_range": None},
    ],
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
    replace_array(tmp_path / "vectorizer", FILE, "idf", np.ones(2))
    with pytest.raises(ModelError, match="can't be read: "):
        load_vectorizer(tmp_path / "vectorizer")


def long_texts(n_words):
    """Titles, each with an abstract that makes it longer than an opening of n_words."""
    abstract = " ".join(["some words of any abstract"] * n_words)
    return [f"{title} {' '.join(abstract.split()[:n])}" for n, title in enumerate(TEXTS, n_words)]


def test_the_opening_is_words_pairs_and_4_grams_beside_the_words_of_all(tmp_path):
    texts = long_texts(5)
    vectorizer = make_vectorizer(TextParams(opening=5))
    X = fit_texts(vectorizer, texts)
    first = [" ".join(text.split()[:5]) for text in texts]
    how = {"min_df": 2, "sublinear_tf": True, "dtype": np.float32}
    whole = TfidfVectorizer(**how).fit(texts)
    words = TfidfVectorizer(ngram_range=(1, 2), **how).fit(first)
    chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), **how)
    runs = [text.replace(",", "") for text in first]  # scikit-learn's run on over commas
    chars.fit(runs)
    assert vectorizer.get_feature_names_out().tolist() == [
        *(f"words:{name}" for name in whole.get_feature_names_out()),
        *(f"opening_words:{name}" for name in words.get_feature_names_out()),
        *(f"opening_chars:{name}" for name in chars.get_feature_names_out()),
    ]
    parts = [whole.transform(texts), words.transform(first), chars.transform(runs)]
    length = np.sqrt(1 + 0.7**2)  # the opening is 0.7 long where the whole is 1
    scaled = [1 / length, 0.7 / length / np.sqrt(2), 0.7 / length / np.sqrt(2)]
    expected = sp.hstack([part * scale for part, scale in zip(parts, scaled, strict=True)])
    assert abs(X - expected).max() < 1e-6
    assert same(again(vectorizer, tmp_path).transform(UNSEEN), vectorizer.transform(UNSEEN))


def test_of_short_texts_all_is_opening(tmp_path):
    vectorizer = make_vectorizer(TextParams(opening=16))
    X = fit_texts(vectorizer, TEXTS)
    kinds = {name.partition(":")[0] for name in vectorizer.get_feature_names_out()}
    assert kinds == {"opening_words", "opening_chars"}
    longer = [text + " or" * 20 + " dog" for text in TEXTS]
    last = vectorizer.get_feature_names_out().tolist().index("opening_words:dog")
    assert vectorizer.transform(longer)[1, last] > 0  # what comes later counts, too
    assert sp.linalg.norm(X, axis=1).tolist() == pytest.approx([1, 1, 0, 1, 0])
    assert same(again(vectorizer, tmp_path).transform(longer), vectorizer.transform(longer))


def test_a_kind_without_a_feature_that_comes_twice_is_left_out(tmp_path):
    texts = [f"{first} and some more words of the same" for first in ("one two", "three four")]
    vectorizer = make_vectorizer(TextParams(opening=2))
    X = fit_texts(vectorizer, texts)
    assert list(vectorizer.parts_) == ["words"]
    assert same(X, fit_texts(make_vectorizer(WORDS), texts))
    assert same(again(vectorizer, tmp_path).transform(UNSEEN), vectorizer.transform(UNSEEN))


def test_an_opening_ends_in_texts_without_blanks_too():
    assert opening_of("one  two\nthree four", 3) == "one two three"
    assert opening_of("one", 3) == "one"
    assert len(opening_of("\u56fe" * 1000, 3)) == 36  # three long words


GERMAN = [
    "Die Häuser der Stadt und das Leben in einem Dorf",
    "Das Haus des Lebens",
    "Ein Dorf ist auch eine Stadt",
]
ENGLISH = [
    "The houses of the towns and the life of libraries",
    "A library is a house that is in the town",
    "Towns and houses",
]
CHINESE = ["\u56fe\u4e66\u9986\u5b66\u7814\u7a76", "\u56fe\u4e66\u9986"]  # library science, library
MANY = GERMAN + ENGLISH + CHINESE + [""]
ANALYZERS = ["words", "stems", "chars", "words+chars", "stems+chars"]


def of(analyzer, language="auto", **settings):
    settings = {"min_df": 1, "opening": 0, "analyzer": analyzer, "language": language, **settings}
    return make_vectorizer(TextParams(**settings))


def features(vectorizer, text):
    """The names of the features that a text has."""
    return set(vectorizer.get_feature_names_out()[vectorizer.transform([text]).indices])


def test_stems_are_snowballs():
    vectorizer = of("stems", "de").fit(GERMAN)
    snowball = stemmer("german")
    expected = {snowball.stemWord(word) for word in "die häuser der stadt".split()}
    assert features(vectorizer, "Die Häuser der Stadt") == expected
    assert "haus" in expected
    assert features(vectorizer, "Hauses") == features(vectorizer, "Häuser") == {"haus"}


def test_stems_of_no_change_are_words():
    texts = ["cat dog, fox", "the dog x"]
    assert same(of("stems", "en").fit_transform(texts), of("words").fit_transform(texts))


def test_sequences_are_of_stems():
    vectorizer = of("stems", "en", max_ngram=3).fit(ENGLISH)
    names = {"town", "and", "hous", "town and", "and hous", "town and hous"}
    assert features(vectorizer, "Towns and houses") == names


def test_auto_stems_each_text_in_its_own_language():
    vectorizer = of("stems").fit(MANY)
    assert vectorizer.parts_["stems"].analyzer.languages == ("de", "en")
    assert "haus" in features(vectorizer, "die Häuser der Stadt")
    assert "librari" in features(vectorizer, "the libraries of the town")


def test_auto_keeps_the_words_of_a_text_whose_language_does_not_show():
    vectorizer = of("stems").fit([*MANY, "Häuser"])
    assert features(vectorizer, "Häuser") == {"häuser"}


def test_signs_inside_words_do_not_split_them():
    text = "\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e"
    expected = {stemmer("hindi").stemWord(word) for word in text.split()}
    assert features(of("stems", "hi").fit([text]), text) == expected


def test_chars_are_scikit_learns_inside_words():
    texts = ["The lazy dog", "a quick fox jumps", "\u00fcber den Deich"]
    theirs = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32
    )
    ours = of("chars")
    assert same(ours.fit_transform(texts), theirs.fit_transform(texts))
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()


def test_chinese_and_japanese_have_single_characters_pairs_and_triples():
    vectorizer = of("chars").fit([*CHINESE, "\u65e5\u672cGDP"])
    a, b, c = CHINESE[1]
    assert features(vectorizer, CHINESE[1]) == {a, b, c, a + b, b + c, a + b + c}
    assert {"\u65e5", "\u65e5\u672c", " gd"} <= features(vectorizer, "\u65e5\u672cGDP")
    assert features(of("stems+chars").fit([*GERMAN, *CHINESE]), CHINESE[1]) > {f"chars:{a}"}


def test_two_kinds_stand_side_by_side_and_weigh_the_same():
    vectorizer = of("stems+chars", "de")
    X = vectorizer.fit_transform(GERMAN).toarray()
    stems, chars = (of(kind, "de").fit_transform(GERMAN).toarray() for kind in ("stems", "chars"))
    np.testing.assert_allclose(X, np.hstack([stems, chars]) / np.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-6)


def test_names_tell_the_kind_where_there_are_two():
    names = of("words+chars").fit(["abc abc"]).get_feature_names_out().tolist()
    assert names == ["words:abc", "chars: ab", "chars: abc", "chars: abc ", "chars:abc", *names[5:]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("analyzer", ANALYZERS)
@pytest.mark.parametrize("language", ["auto", "de"])
@pytest.mark.parametrize("settings", [{}, {"lowercase": False, "max_ngram": 2, "max_features": 20}])
def test_every_analyzer_survives_its_folder(tmp_path, analyzer, language, settings):
    vectorizer = of(analyzer, language, **settings).fit(MANY)
    back = again(vectorizer, tmp_path)
    assert type(back) is type(vectorizer)
    assert same(back.transform(MANY + UNSEEN), vectorizer.transform(MANY + UNSEEN))
    assert back.get_feature_names_out().tolist() == vectorizer.get_feature_names_out().tolist()
    assert back.transform([""]).nnz == 0


def test_fit_and_fit_transform_agree_on_rows_of_float32():
    X = of("stems+chars").fit_transform(MANY)
    assert X.dtype == np.float32
    again = of("stems+chars").fit(MANY).transform(MANY)
    assert again.has_sorted_indices
    np.testing.assert_allclose(X.toarray(), again.toarray(), rtol=1e-6)


@pytest.mark.parametrize("analyzer", ["stems", "stems+chars"])
def test_stems_need_a_language(analyzer):
    with pytest.raises(ParameterError) as error:
        of(analyzer, None)
    expected = f"TextParams: analyzer '{analyzer}' needs a language, 'auto' or one of ar, ca, cs, "
    assert str(error.value).startswith(expected)
    assert str(error.value).endswith(", got None")


def test_an_unknown_language_is_refused():
    with pytest.raises(ParameterError, match=r"language must be one of 'auto', 'ar', .* got 'xx'$"):
        of("stems", "xx")


def test_an_analyzer_of_another_name_is_refused_in_a_folder(tmp_path):
    again(of("chars").fit(MANY), tmp_path)
    meta = json.loads((tmp_path / "vectorizer" / FILE).read_text())
    meta["settings"]["parts"]["chars"]["analyzer"] = {"syllables": {}}
    (tmp_path / "vectorizer" / FILE).write_text(json.dumps(meta))
    with pytest.raises(ModelError, match="can't be read: no 'syllables'"):
        load_vectorizer(tmp_path / "vectorizer")


def test_a_vectoriser_of_ours_that_is_not_fitted_is_refused(tmp_path):
    with pytest.raises(NotFittedError, match="^TextVectorizer: expected a vectoriser that is fitt"):
        save_vectorizer(of("chars"), tmp_path / "vectorizer")


@pytest.mark.parametrize("sublinear_tf", [True, False])
@pytest.mark.parametrize("analyzer", ["words", "chars", "words+chars", "stems+chars"])
def test_rows_of_several_parts_are_those_of_scikit_learns_side_by_side(analyzer, sublinear_tf):
    params = TextParams(
        analyzer=analyzer, opening=3, language="en", min_df=1, sublinear_tf=sublinear_tf
    )
    vectorizer = make_vectorizer(params)
    at_once = fit_texts(vectorizer, TEXTS)
    texts = TEXTS + UNSEEN
    X = vectorizer.transform(texts)
    parts = []
    for name, own in vectorizer.parts_.items():
        opens = name.startswith("opening_")
        part = own.transform([opening_of(text, 3) for text in texts] if opens else texts)
        n_kinds = sum(other.startswith("opening_") == opens for other in vectorizer.parts_)
        parts.append(part * ((0.7 if opens else 1) / np.sqrt(1.49 * n_kinds)))
    expected = sp.hstack(parts, format="csr")
    assert X.has_sorted_indices and (X.indptr == expected.indptr).all()
    assert (X.indices == expected.indices).all()
    assert X.data == pytest.approx(expected.data, rel=1e-6)
    assert (X[: len(TEXTS)] != at_once).nnz == 0
    assert vectorizer.transform([""]).nnz == 0
