import sys

import pytest
from snowballstemmer import algorithms, stemmer

from xmc.languages import CODES, LANGUAGES, language_of, languages_of, stem

GERMAN = "die häuser der stadt und das leben in einem dorf".split()
ENGLISH = "the houses of the town and life in a village".split()


@pytest.mark.parametrize("code", CODES)
def test_every_language_has_a_stemmer_and_is_found_by_its_own_words(code):
    name, words = LANGUAGES[code]
    assert name in algorithms()
    assert stem("universität", code) == stemmer(name).stemWord("universität")
    if code not in ("da", "no"):  # whose common words are nearly the same
        assert language_of(words.split()) == code


def test_every_language_of_snowball_has_a_code():
    older = {"porter", "dutch_porter"}  # other rules for English and Dutch
    assert {name for name, _ in LANGUAGES.values()} == set(algorithms()) - older


def test_forms_of_a_word_have_one_stem():
    assert [stem(word, "de") for word in ("häuser", "hauses", "haus")] == ["haus"] * 3
    assert stem("libraries", "en") == stem("library", "en") == "librari"


def test_the_language_is_that_of_most_function_words():
    assert language_of(GERMAN) == "de"
    assert language_of(ENGLISH) == "en"
    assert language_of(["le", "chat", "et", "la", "souris", "dans", "une", "maison"]) == "fr"


def test_ties_and_unknown_words_have_no_language():
    assert language_of([]) is None
    assert language_of(["kubernetes", "2024"]) is None
    assert language_of(["und", "the"]) is None


def test_only_the_languages_named_are_found():
    assert language_of(GERMAN, ("en", "fr")) == "en"  # by "in"
    assert language_of(GERMAN, ()) is None


def test_languages_of_texts_are_those_that_occur_often():
    assert languages_of([GERMAN] * 60 + [ENGLISH] * 39 + [["le", "la", "et"]]) == ("de", "en")
    assert languages_of([GERMAN] * 30 + [["le", "la", "et"]]) == ("de", "fr")
    assert languages_of([["kubernetes"], []]) == ()


def test_stems_are_snowballs_own_whatever_else_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "Stemmer", object())  # PyStemmer, which snowballstemmer takes
    stem.cache_clear()
    assert stem("häuser", "de") == "haus"
