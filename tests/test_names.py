import unicodedata

import naive_names as naive
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from xmc.evidence import names as door
from xmc.evidence.names import (
    COLUMNS,
    best_name,
    best_names,
    evidence_of,
    mentions,
    name_index,
    shares_of_name,
    without_names,
)
from xmc.kernels import terms

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


def test_what_a_name_index_knows_fits():
    for index in (index_of(NAMES), index_of(NAMES, TEXTS), name_index(["+"], np.int32([1]), 3)):
        n_labels = index.n_labels
        assert index.fits(n_labels)
        assert not index.fits(n_labels + 1) and not index.fits(n_labels - 1)


def changed(array, place, by):
    array = array.copy()
    array[place] += by
    return array


TERMS = "hashes", "ids", "idf", "text_idf", "name_terms"
OF_NAMES = "norms", "key_names", "n_keys", "name_labels"
POINTERS = "buckets", "name_indptr", "key_indptr", "label_indptr"
DAMAGE = [
    *[(name, lambda a: a[:-1]) for name in (*TERMS, *OF_NAMES, *POINTERS)],
    *[(name, lambda a: np.append(a, a[-1:], axis=0)) for name in (*TERMS, *OF_NAMES, *POINTERS)],
    *[(name, lambda a: changed(a, 0, 1)) for name in (*POINTERS, "n_keys", "label_indptr")],
    *[(name, lambda a: changed(a, -1, 1)) for name in POINTERS],
    *[(name, lambda a: changed(a, 2, 1000)) for name in POINTERS],
    *[(name, lambda a: changed(a, 0, -1000)) for name in ("ids", "name_terms", "key_names")],
    *[(name, lambda a: changed(a, 0, 1000)) for name in ("ids", "name_terms", "key_names")],
    ("name_labels", lambda a: changed(a, 0, -1)),
    ("name_labels", lambda a: changed(a, -1, 1)),
    ("norms", lambda a: a[:, :1]),
    ("norms", lambda a: np.stack([a, a], axis=2)),
    ("norms", lambda a: np.concatenate([a, a[:, :1]], axis=1)),
    ("norms", lambda a: -a),
    ("norms", lambda a: a * [1, 0]),
    ("norms", lambda a: a * [0, 1]),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE)
def test_an_array_that_does_not_fit_the_others_is_seen(name, damage):
    index = index_of(NAMES, TEXTS)
    assert not index._replace(**{name: damage(getattr(index, name))}).fits(len(NAMES))


def test_only_names_that_are_found_must_have_a_length():
    index = name_index(["Bank", "+++"], np.int32([0, 1]), 2)
    assert index.norms[1].tolist() == [0, 0] and index.n_keys[1] == 0 and index.fits(2)
    one = index_of(["Bank", "a"])
    assert one.n_keys.tolist()[1] == 1 and one.fits(2)
    assert not one._replace(norms=one.norms * [[1], [0]]).fits(2)
    assert one._replace(norms=one.norms * np.float32(1e-3)).fits(2)


def test_mentions_of_some_texts_are_those_of_these_alone():
    index = index_of(NAMES, TEXTS)
    whole = mentions(index, TEXTS)
    for start, end in ((0, 2), (1, 4), (2, 2), (3, 5)):
        part, alone = whole.part(start, end), mentions(index, TEXTS[start:end])
        assert [a.tolist() for a in part] == [a.tolist() for a in alone]
        assert not part.indptr.flags.writeable


def test_names_of_other_labels_stay_as_they_are():
    names = [*NAMES, "Kunst", "+"]
    index = name_index(names, np.int32([0, 0, 1, 2, 3, 3, 4, 5, 5]), 7, TEXTS)
    fewer = without_names(index, np.array([1, 3]))
    stay = [0, 1, 3, 6, 7, 8]
    assert fewer.fits(7) and fewer.name_labels.tolist() == [0, 0, 2, 4, 5, 5]
    assert fewer.label_indptr.tolist() == [0, 2, 2, 3, 3, 4, 6, 6]
    for number, name in enumerate(stay):
        was, now = (
            i.name_terms[slice(*i.name_indptr[n : n + 2])]
            for i, n in ((index, name), (fewer, number))
        )
        assert was.tolist() == now.tolist()
    assert np.array_equal(fewer.norms, index.norms[stay])
    assert np.array_equal(fewer.n_keys, index.n_keys[stay])
    for term in range(len(index.idf)):
        was, now = (i.key_names[slice(*i.key_indptr[term : term + 2])] for i in (index, fewer))
        assert [stay.index(name) for name in was if name in stay] == now.tolist()
    assert [a.dtype for a in fewer] == [a.dtype for a in index]
    assert not any(a.flags.writeable for a in fewer)
    found = all_pairs(index, TEXTS), all_pairs(fewer, TEXTS)
    assert np.array_equal(*(own[:, [0, 2, 4, 5]] for own in found), equal_nan=True)
    assert np.isnan(found[1][:, [1, 3, 6]]).all()


def test_the_name_that_counts_is_the_one_that_fits_best():
    index = name_index(["Kredit", "Bank", "Geschichte"], np.int32([0, 0, 2]), 3)
    for text, label, name in (("Bank", 0, 1), ("Kredit", 0, 0), ("Bank", 2, 2), ("Bank", 1, -1)):
        assert best_name(index, mentions(index, [text]), label) == name


def test_the_shares_of_words_are_those_of_their_ngrams():
    words = ["Philosophie", "kunst", "Kunstgeschichte", "und", "der", ""]
    index = index_of(NAMES, TEXTS)
    idf = naive.name_idf(NAMES)
    for name in ("Philosophie der Kunst", "Öl", "中国文学"):
        own = {term for term, _ in naive.terms_of(name) if term[0] == "gram"}
        mass = {term: idf[term] ** 2 for term in own}
        expected = [
            sum(mass[term] for term in own & {t for t, _ in naive.terms_of(word)})
            / sum(mass.values())
            for word in words
        ]
        found = shares_of_name(index, NAMES.index(name), words)
        assert found == pytest.approx(expected, abs=1e-6) and found.dtype == np.float64
    assert shares_of_name(name_index(["+"], np.int32([0]), 1), 0, ["a", "b"]).tolist() == [0, 0]


@pytest.mark.parametrize("texts", [TEXTS, TEXTS * 3 + ["Öl", "nothing"], ()])
def test_an_index_like_another_weighs_terms_as_it_does(texts):
    like = index_of([*NAMES, "zuletzt"], texts)
    one, other = name_index(NAMES, like.name_labels[:-1], 7, like=like), index_of(NAMES, texts)
    assert [a.tolist() for a in one] == [a.tolist() for a in other]
    assert [a.dtype for a in one] == [a.dtype for a in other]


def test_halves_of_surrogate_pairs_are_no_letters():
    assert figure("Bank", "Bank\ud800")["name_share"] == pytest.approx(1)


def test_capitals_are_small_letters_also_beside_accents():
    for text in ("BANK", "BANK Ö"):
        assert figure("Bank", text)["name_share"] == pytest.approx(1)


@pytest.mark.parametrize("texts", [(), TEXTS])
def test_terms_are_numbered_from_the_most_frequent_on_ngrams_before_words(texts):
    index = index_of([*NAMES, "Bankkunst", "Kunst", "Bank der Kunst"], texts)
    n_grams = index.n_grams
    is_word = index.hashes >= terms.WORD
    assert (index.ids[is_word] >= n_grams).all() and (index.ids[~is_word] < n_grams).all()
    assert sorted(index.ids.tolist()) == [*range(len(index.ids))]
    for part in (slice(0, n_grams), slice(n_grams, None)):
        pairs = [*zip(index.text_idf[part].tolist(), index.idf[part].tolist(), strict=True)]
        assert pairs == sorted(pairs) and len(set(pairs)) > 1


def test_as_many_ngrams_find_a_name_as_the_bound_allows(monkeypatch):
    (text,) = some = TEXTS[:1]

    def found(bound):
        monkeypatch.setattr(door, "KEYS_OF_A_TEXT", bound)
        index = index_of(NAMES, some)
        return np.diff(index.key_indptr)[mentions(index, [text]).terms].sum(), index.n_keys.max()

    all_of_them, most = found(10**6)
    assert most == door.MOST_KEYS
    assert found(all_of_them) == (all_of_them, most)
    assert found(all_of_them - 1)[1] < most
    for bound in range(1, all_of_them):
        n, keys = found(bound)
        assert n <= bound or keys == door.LEAST_KEYS


def test_terms_that_an_index_does_not_know_were_in_no_text():
    texts = ["Bank", "Bank oder Kunst", "Bank Bank", "Bank und mehr"]
    like = index_of(["Bank", "Kunst", "Zebra"], texts)  # the last of them is in no text
    names = ["Bank", "Kredit", "Zinsen", "Kunst"]
    one, other = index_of(names, texts), name_index(names, np.arange(4), 4, like=like)
    assert [a.tolist() for a in one] == [a.tolist() for a in other]
    for names in ([name] for name in ("Kredit", "Zinsen", "Haus", "Öl", "Bank", "Kunst")):
        one, other = index_of(names, texts), name_index(names, np.arange(1), 1, like=like)
        assert one.text_idf.tolist() == other.text_idf.tolist()


@pytest.mark.parametrize("texts", [(), TEXTS])
def test_the_arrays_of_an_index_have_the_types_that_are_stored(texts):
    index = name_index(NAMES, np.arange(len(NAMES), dtype=np.int64), len(NAMES), texts)
    kinds = "uint64 int32 int32 float32 float32 int64 int32 float32 int64 int32 uint8 int64 int32"
    assert [array.dtype.name for array in index] == kinds.split()


def test_as_many_labels_are_found_as_are_asked_for(rng):
    names = ["".join(rng.choice([*"abcdefghijklmno"], rng.integers(5, 20))) for _ in range(300)]
    index = index_of(names)
    for k in (1, door.N_COMPARED, 200, 300):
        (labels,) = best_names(index, mentions(index, [" ".join(names)]), k).labels
        assert (labels >= 0).all() and len(set(labels.tolist())) == k


def test_letters_are_small_ones_not_capitals():
    assert 0.2 < figure("Straße", "strasse", ["Straße"])["name_share"] < 1
