import re

import naive_names
import numpy as np
import pytest

from xmc.evidence.names import _codes, _table, kinds, mentions, name_index
from xmc.kernels import terms
from xmc.kernels.terms import LAST_CHINESE, WORD, _n_slots, find_all, hash_texts

SIZES = [0, 1, 40]


@pytest.fixture(params=SIZES, ids=["nothing", "one-text", "random"])
def texts(request, rng):
    return naive_names.random_texts(rng, request.param)


def hashed(texts):
    """The hashes of each text."""
    indptr, hashes = hash_texts(*_codes(texts), kinds())
    assert len(indptr) == len(texts) + 1 and indptr[-1] == len(hashes)
    return [hashes[a:b].tolist() for a, b in zip(indptr[:-1], indptr[1:], strict=True)]


def test_each_term_of_the_twin_has_one_hash_and_each_hash_one_term(texts):
    term_of, hash_of = {}, {}
    for text, hashes in zip(texts, hashed(texts), strict=True):
        twins = [term for term, _ in naive_names.terms_of(text)]
        for term, number in zip(twins, hashes, strict=True):
            assert term_of.setdefault(number, term) == term
            assert hash_of.setdefault(term, number) == number


def test_hashes_are_those_that_models_hold(texts):
    for text, hashes in zip(texts, hashed(texts), strict=True):
        assert hashes == [hash_of(*term) for term, _ in naive_names.terms_of(text)]
    assert hashed(["ab"]) == [[0x3B27A1CC455461A3, 0xBFFACB73CE322A69]]


def hash_of(kind, term):
    """The hash of a term as the kernel's docstrings define it, of whole numbers."""
    if re.match(f"[{naive_names.UNSPACED}]", term):
        hash = stepped(terms.OF_UNSPACED, *map(ord, term))
    elif kind == "word":
        hash = stepped(terms.OF_WORDS, *map(ord, term))
    else:
        packed = 0
        for char in term[: terms.SHORT]:
            packed = packed << 16 ^ ord(char)
        hash = stepped(terms.OF_GRAMS, packed % (1 << 64), *map(ord, term[terms.SHORT :]))
    return hash | 1 << 63 if kind == "word" else hash & ~(1 << 63)


def stepped(hash, *codes):
    hash = int(hash)
    for code in codes:
        hash = (hash ^ code) * int(terms.FACTOR) % (1 << 64)
        hash ^= hash >> 29
    return hash


def test_hashes_of_words_have_the_first_bit_and_those_of_ngrams_have_not(texts):
    for text, hashes in zip(texts, hashed(texts), strict=True):
        kinds_of_terms = [term[0] for term, _ in naive_names.terms_of(text)]
        assert [("word" if h & int(WORD) else "gram") for h in hashes] == kinds_of_terms


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_find_all_agrees_with_a_dict(rng, n):
    hashes = np.unique(rng.integers(0, 2**64, n, dtype=np.uint64))
    hashes[: n // 2] = np.arange(n // 2)  # many in one bucket
    ids = rng.permutation(len(hashes)).astype(np.int32)
    wanted = np.concatenate([rng.permutation(hashes), rng.integers(0, 2**64, 50, dtype=np.uint64)])
    twin = dict(zip(hashes.tolist(), ids.tolist(), strict=True))
    found = find_all(wanted, *_table(hashes, ids))
    assert found.tolist() == [twin.get(h, -1) for h in wanted.tolist()]


@pytest.mark.parametrize("n_names", [0, 1, 30])
def test_mentions_agree_with_their_twin(rng, texts, n_names):
    names = naive_names.random_texts(rng, n_names, 12)
    index = name_index(names, np.arange(n_names, dtype=np.int32), n_names)
    indptr, found, counts, firsts = mentions(index, texts)
    assert len(indptr) == len(texts) + 1
    known = {term for name in names for term, _ in naive_names.terms_of(name)}
    id_of = ids(index, names)
    for i, text in enumerate(texts):
        own = slice(indptr[i], indptr[i + 1])
        twin = naive_names.mentions(text, known)
        assert found[own].tolist() == [id_of[term] for term in twin]
        assert counts[own].tolist() == [count for count, _ in twin.values()]
        assert firsts[own].tolist() == [first for _, first in twin.values()]


def ids(index, names):
    """The number of each term, told by its hash."""
    found = {}
    for name, hashes in zip(names, hashed(names), strict=True):
        numbers = find_all(np.array(hashes, np.uint64), *index.table).tolist()
        for (term, _), number in zip(naive_names.terms_of(name), numbers, strict=True):
            found[term] = number
    assert sorted(found.values()) == list(range(len(index.hashes)))
    return found


def test_a_long_text_has_room_for_all_of_its_terms():
    chinese = "".join(chr(0x4E00 + i) for i in range(500))
    (hashes,) = hashed([chinese])
    assert len(hashes) == 1499 and len(set(hashes)) == 1499


def test_beyond_the_table_of_kinds_only_two_planes_are_chinese():
    last, next = chr(LAST_CHINESE - 1), chr(LAST_CHINESE)
    assert len(kinds()) < LAST_CHINESE
    assert [len(hashes) for hashes in hashed([last, next, chr(0x10FFFF)])] == [2, 0, 0]


def test_a_pair_of_characters_counts_where_its_first_one_stands():
    index = name_index(["日中", "word"], np.arange(2, dtype=np.int32), 2)
    texts = ["中文日中 word 日中", "word word 文日中日中"]
    found = [dict(zip(*pair, strict=True)) for pair in mentioned(index, texts)]
    pair = ids(index, ["日中", "word"])["gram", "日中"]
    assert [firsts[pair] for firsts in found] == [2, 3]


def mentioned(index, texts):
    """The terms of each text, and where each is met first."""
    indptr, found, _, firsts = mentions(index, texts)
    return [
        (found[a:b].tolist(), firsts[a:b].tolist())
        for a, b in zip(indptr[:-1], indptr[1:], strict=True)
    ]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8, 9, 100, 1 << 20])
def test_slots_are_a_power_of_two_and_half_of_them_stay_empty(n):
    size = _n_slots(n)
    assert size & (size - 1) == 0 and 2 * n <= size < max(3, 4 * n)
