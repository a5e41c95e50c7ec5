import unicodedata

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from xmc.evidence import names as door
from xmc.evidence.names import COLUMNS, best_names, evidence_of, mentions, name_index

NAMES = ["Maschinenbau", "Bank", "Philosophie der Kunst", "Öl", "Geschichte", "中国文学", "a b a"]
TEXTS = [
    "Die Maschinenbautechnik in der Geschichte, und noch einmal: Geschichte der Technik",
    "Philosophie der Kunst. Kunst der Philosophie?",
    "Ölförderung und Öl",
    "关于中国文学的历史",
    "nothing",
]


def index_of(names, texts=()):
    return name_index(names, np.arange(len(names), dtype=np.int32), len(names), texts)


def figure(name, text, names=NAMES):
    """The evidence for one of the names in a text, by column."""
    index = index_of(names)
    pair = np.int64([0, 1]), np.int32([names.index(name)])
    (row,) = evidence_of(index, mentions(index, [text]), *pair)
    return dict(zip(COLUMNS, row.tolist(), strict=True))


def all_pairs(index, texts):
    indptr = np.arange(len(texts) + 1, dtype=np.int64) * index.n_labels
    ids = np.tile(np.arange(index.n_labels, dtype=np.int32), len(texts))
    found = evidence_of(index, mentions(index, texts), indptr, ids)
    return found.reshape(len(texts), index.n_labels, len(COLUMNS))


@pytest.mark.parametrize(
    "column, how",
    [
        ("name_cosine", {"analyzer": "char_wb", "ngram_range": (4, 5)}),
        ("name_word_cosine", {"token_pattern": r"[^\W_]+"}),
    ],
)
def test_cosines_are_scikit_learns(column, how):
    names = [name for name in NAMES if name != "中国文学"]
    texts = ["".join(c if c.isalnum() else " " for c in text) for text in TEXTS[:3]]
    N = (of_names := TfidfVectorizer(**how, binary=True)).fit_transform(names)
    counts = CountVectorizer(**how, vocabulary=of_names.vocabulary_).transform(texts).astype(float)
    counts.data = 2 + np.log(counts.data)  # these texts are no longer than their opening
    T = normalize(counts @ sp.diags_array(of_names.idf_))
    got = all_pairs(index_of(names), texts)[:, :, COLUMNS.index(column)]
    assert got == pytest.approx((T @ N.T).toarray(), abs=1e-6)
    assert (got > 0.1).sum() >= 4


def test_a_compound_mentions_the_name_inside_it():
    inside, elsewhere = (figure("Maschinenbau", text) for text in (TEXTS[0], TEXTS[1]))
    assert 0.7 < inside["name_share"] < 1 and inside["name_word_share"] == 0
    assert elsewhere["name_share"] == elsewhere["name_cosine"] == 0


def test_a_whole_name_stands_where_its_last_word_first_occurs():
    found = figure("Philosophie der Kunst", "Zur Kunst und Philosophie, der alten Kunst")
    assert found["name_share"] == pytest.approx(1) and found["name_word_share"] == pytest.approx(1)
    assert found["name_position"] == 4
    assert np.isnan(figure("Philosophie der Kunst", "Kunst und Philosophie")["name_position"])


def test_lengths_count_what_differs():
    found = figure("a b a", "nothing")
    assert (found["name_words"], found["name_grams"]) == (2, 2)
    assert figure("Bank", "nothing")["name_grams"] == 5


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
def test_case_and_form_of_accents_make_no_difference(form):
    text = unicodedata.normalize(form, "ÖL")
    assert figure("Öl", text)["name_share"] == pytest.approx(1)
    assert figure("Öl", "Ol")["name_share"] == 0


def test_chinese_is_found_without_blanks():
    index = index_of(NAMES)
    best = best_names(index, mentions(index, TEXTS), 1).labels[:, 0].tolist()
    assert NAMES[best[3]] == "中国文学"
    found = figure("中国文学", TEXTS[3])
    assert found["name_share"] == pytest.approx(1) and found["name_position"] == 5


def test_a_label_counts_by_its_best_name():
    names = ["Kredit", "Bank", "Geschichte"]
    index = name_index(names, np.int32([0, 0, 1]), 2)
    found = all_pairs(index, ["Bank", "Kredit", "Geschichte"])[:, 0]
    assert found[:, COLUMNS.index("name_share")] == pytest.approx([1, 1, 0], abs=0.1)
    assert found[:2, COLUMNS.index("name_grams")].tolist() == [5, 9]


def test_without_a_name_nothing_is_known():
    index = name_index(["Bank", "+++"], np.int32([1, 2]), 4)
    found = all_pairs(index, ["Bank"])[0]
    assert np.isnan(found[[0, 2, 3]]).all() and found[1, 0] == pytest.approx(1)
    assert best_names(index, mentions(index, ["Bank +++"]), 4).labels.tolist() == [[1, -1, -1, -1]]


def test_a_term_of_every_text_tells_nothing_once_texts_are_known():
    names = ["Geschichte", "Kunst"]
    texts = ["Geschichte und Kunst", "Geschichte", "Geschichte Geschichte", "Geschichte oder"]
    plain, known = index_of(names), index_of(names, texts)
    wanted = mentions(known, texts[:1])
    assert set(best_names(plain, mentions(plain, texts[:1]), 2).labels[0]) == {0, 1}
    assert best_names(known, wanted, 2).labels.tolist() == [[1, -1]]


def test_names_are_found_by_fewer_ngrams_where_texts_have_many(monkeypatch):
    assert index_of(NAMES, TEXTS).n_keys.max() == door.MOST_KEYS
    assert index_of(NAMES).n_keys.max() == door.USUAL_KEYS
    monkeypatch.setattr(door, "KEYS_OF_A_TEXT", 7)
    some = index_of(NAMES, TEXTS)
    per_text = sum(np.diff(some.key_indptr)[mentions(some, [text]).terms].sum() for text in TEXTS)
    assert door.LEAST_KEYS < some.n_keys.max() < door.MOST_KEYS
    assert per_text <= 7 * len(TEXTS)
    monkeypatch.setattr(door, "KEYS_OF_A_TEXT", 0)
    assert index_of(NAMES, TEXTS).n_keys.max() == door.LEAST_KEYS


def test_texts_in_several_blocks_have_the_same_mentions(monkeypatch):
    index = index_of(NAMES)
    whole = mentions(index, TEXTS)
    monkeypatch.setattr(door, "BLOCK", 2)
    for a, b in zip(whole, mentions(index, TEXTS), strict=True):
        assert a.dtype == b.dtype and a.tolist() == b.tolist() and not b.flags.writeable


def test_one_text_has_the_evidence_that_it_has_among_others():
    index = index_of(NAMES, TEXTS)
    together = all_pairs(index, TEXTS)
    alone = np.concatenate([all_pairs(index, [text]) for text in TEXTS])
    assert np.array_equal(together, alone, equal_nan=True)
    top = best_names(index, mentions(index, TEXTS), 3)
    for i, text in enumerate(TEXTS):
        single = best_names(index, mentions(index, [text]), 3)
        assert single.labels[0].tolist() == top.labels[i].tolist()
        assert single.scores[0].tolist() == top.scores[i].tolist()


def test_the_index_is_read_only_arrays_and_the_same_each_time():
    one, other = index_of(NAMES, TEXTS), index_of(NAMES, TEXTS)
    for a, b in zip(one, other, strict=True):
        assert a.tobytes() == b.tobytes() and a.dtype == b.dtype and not a.flags.writeable
