"""Names as evidence: which labels a text names, and how well the names of a label fit it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..arrays import frozen, lists_fit, pointers, within
from ..kernels import names as kernels
from ..kernels import terms
from ..scratch import zeros
from ..topk import TopK

COLUMNS = (
    "name_cosine",  # of the n-grams of text and name
    "name_word_cosine",  # of their words
    "name_share",  # of the n-grams that the text has, as they weigh
    "name_word_share",  # of the words
    "name_position",  # the number of the word at which the text has all n-grams; NaN if never
    "name_words",  # how many different words the name has
    "name_grams",  # how many different n-grams, about twice as many as characters
    "opening_cosine",  # as name_cosine, of the first words of the text, which often are a title
    "opening_word_cosine",
    "opening_share",
    "opening_word_share",
)
BLOCK = 256  # texts that are read at a time
# A name is found by its rarest n-grams: by most of them, unless texts then have more of all names'
# than so many on average, as long texts have; by the usual number if no texts are known.
MOST_KEYS, USUAL_KEYS, LEAST_KEYS, KEYS_OF_A_TEXT = 15, 6, 4, 3000
N_COMPARED = 128  # names that are compared with a text
N_CODES = 0x20000  # two planes: what lies beyond is Chinese, or no letter
# As in xmc/analyzers.py.
SIGNS = (0x300, 0x370), (0x591, 0x5BE), (0x64B, 0x653), (0x900, 0x964), (0x966, 0xD80)
UNSPACED = (0x3005, 0x3006), (0x3040, 0x3100), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00)


class NameIndex(NamedTuple):
    """The names of labels, by term, as in xmc/kernels/terms.py; all arrays read-only."""

    hashes: np.ndarray  # uint64, of each term, ascending
    ids: np.ndarray  # int32, the number of each of these terms
    buckets: np.ndarray  # int32, where the hashes with the same first bits begin
    idf: np.ndarray  # float32, the weight of each term in names
    text_idf: np.ndarray  # float32, its weight in texts
    name_indptr: np.ndarray  # int64, where each name's terms begin
    name_terms: np.ndarray  # int32, ascending in each name
    norms: np.ndarray  # float32, (n_names, 2), the lengths of its n-grams and of its words
    key_indptr: np.ndarray  # int64, where the names begin that are found by each term
    key_names: np.ndarray  # int32, ascending in each term
    n_keys: np.ndarray  # uint8, by how many terms each name is found
    label_indptr: np.ndarray  # int64, where the names of each label begin
    name_labels: np.ndarray  # int32, the label of each name, ascending

    @property
    def n_labels(self) -> int:
        return len(self.label_indptr) - 1

    @property
    def n_grams(self) -> int:
        """How many terms are n-grams: they come before words."""
        return int(np.searchsorted(self.hashes, terms.WORD))

    def fits(self, n_labels: int) -> bool:
        """Whether the arrays, read from a folder, fit each other and so many labels."""
        n_terms, n_names = len(self.hashes), len(self.name_labels)
        of_terms = self.ids, self.idf, self.text_idf, self.key_indptr[1:]
        of_names = self.name_indptr[1:], self.norms, self.n_keys
        return (
            all(len(array) == n_terms for array in of_terms)
            and all(len(array) == n_names for array in of_names)
            and len(self.buckets) == 2 ** (n_terms.bit_length() + 1) + 1
            and lists_fit(self.buckets, self.hashes)
            and within(self.ids, n_terms)
            and lists_fit(self.name_indptr, self.name_terms)
            and within(self.name_terms, n_terms)
            and self.norms.shape[1:] == (2,)
            and lists_fit(self.key_indptr, self.key_names)
            and within(self.key_names, n_names)
            and self.n_labels == n_labels
            and lists_fit(self.label_indptr, self.name_labels)
            and within(self.name_labels, n_labels)
            and np.array_equal(np.bincount(self.key_names, minlength=n_names), self.n_keys)
            and self._has_lengths()
        )

    def _has_lengths(self) -> bool:
        """Whether the names that are found by a term have n-grams and words of some length."""
        found = self.norms[self.n_keys > 0]
        return bool((self.norms >= 0).all() and (found > 0).all())

    @property
    def table(self) -> tuple:
        """What finds a term by its hash."""
        return self.hashes, self.ids, self.buckets, _shift(self.buckets)


class Mentions(NamedTuple):
    """The terms of texts that names have, in the order in which a text first has them."""

    indptr: np.ndarray  # int64, where each text's terms begin
    terms: np.ndarray  # int32, each once in a text
    counts: np.ndarray  # float32, how often the text has it
    firsts: np.ndarray  # int32, the number of the word where the text has it first, from 0 on

    def part(self, start: int, end: int) -> Mentions:
        """Those of texts start..end-1, without copying them."""
        first, last = self.indptr[start], self.indptr[end]
        own = (array[first:last] for array in self[1:])
        return Mentions(frozen(self.indptr[start : end + 1] - first), *own)


def name_index(
    names: Sequence[str],
    labels: np.ndarray,
    n_labels: int,
    texts: Sequence[str] = (),
    like: NameIndex | None = None,
) -> NameIndex:
    """The index of these names; labels: int32, the label of each name, ascending.

    texts: some of those in which names will be looked for, thousands if there are so many. They
    show which terms are frequent there and tell little; without them it is as in names.
    like: an index that knows how frequent terms are in texts, in place of them.
    """
    indptr, wanted = terms.hash_texts(*_codes(names), kinds())
    hashes = np.unique(wanted)
    table = _table(hashes, np.arange(len(hashes), dtype=np.int32))
    indptr, found = kernels.distinct(indptr, terms.find_all(wanted, *table))
    in_names = np.bincount(found, minlength=len(hashes))
    if like is None:
        n_texts = len(texts)
        in_texts = np.bincount(_mentions(table, texts).terms, minlength=len(hashes))
    else:
        n_texts, in_texts = _frequencies(like, hashes)
    n_grams = np.searchsorted(hashes, terms.WORD)
    order = np.lexsort((-in_names, -in_texts, np.arange(len(hashes)) >= n_grams))
    ids = np.empty(len(order), np.int32)
    ids[order] = np.arange(len(order), dtype=np.int32)
    name_indptr, name_terms = kernels.distinct(indptr, ids[found])
    idf = _idf(in_names[order], len(names)) + np.float32(1)
    return NameIndex._make(
        frozen(array)
        for array in (
            hashes,
            ids,
            table[2],
            idf,
            _idf(in_texts[order], n_texts) if n_texts else idf,
            name_indptr,
            name_terms,
            kernels.norms_of(idf, n_grams, name_indptr, name_terms),
            *_keys(in_texts[order] / max(1, n_texts), n_grams, name_indptr, name_terms),
            pointers(np.bincount(labels, minlength=n_labels)),
            np.asarray(labels, np.int32),
        )
    )


def _keys(in_a_text: np.ndarray, *lists: Any) -> tuple[np.ndarray, ...]:
    """Names by their keys, as many as is fast; in_a_text: how often a text has each term."""
    if not in_a_text.any():
        return kernels.keys(len(in_a_text), *lists, USUAL_KEYS)
    for most in range(MOST_KEYS, LEAST_KEYS - 1, -1):
        found = kernels.keys(len(in_a_text), *lists, most)
        if in_a_text @ np.diff(found[0]) <= KEYS_OF_A_TEXT:
            break
    return found


def _idf(frequency: np.ndarray, n: int) -> np.ndarray:
    """float32, log((1 + n) / (1 + frequency)), the fewer of n have a term the more; 0 for all."""
    return np.log((1 + n) / (1 + frequency)).astype(np.float32)


def _frequencies(index: NameIndex, hashes: np.ndarray) -> tuple[int, np.ndarray]:
    """How many texts an index has seen, and how often they had each term, by what these weigh: the
    heaviest is one that none had. 0 where it has seen none.
    """
    found = np.zeros(len(hashes), np.int64)
    if np.array_equal(index.text_idf, index.idf):
        return 0, found
    n_texts = round(np.exp(np.float64(index.text_idf.max()))) - 1
    known = np.minimum(np.searchsorted(index.hashes, hashes), len(index.hashes) - 1)
    there = index.hashes[known] == hashes
    weight = index.text_idf[index.ids[known[there]]].astype(np.float64)
    found[there] = np.rint((1 + n_texts) * np.exp(-weight) - 1)
    return n_texts, found


def without_names(index: NameIndex, labels: np.ndarray) -> NameIndex:
    """The index without the names of some labels."""
    stay = ~np.isin(index.name_labels, labels)
    number = np.cumsum(stay) - 1
    sizes, of_name = np.diff(index.name_indptr), np.repeat(stay, np.diff(index.name_indptr))
    of_key, n_terms = stay[index.key_names], len(index.idf)
    term = np.repeat(np.arange(n_terms), np.diff(index.key_indptr))[of_key]
    own = index.name_labels[stay]
    return index._replace(
        name_indptr=pointers(sizes[stay]),
        name_terms=frozen(index.name_terms[of_name]),
        norms=frozen(index.norms[stay]),
        key_indptr=pointers(np.bincount(term, minlength=n_terms)),
        key_names=frozen(number[index.key_names[of_key]].astype(np.int32)),
        n_keys=frozen(index.n_keys[stay]),
        label_indptr=pointers(np.bincount(own, minlength=index.n_labels)),
        name_labels=frozen(own),
    )


def mentions(index: NameIndex, texts: Sequence[str]) -> Mentions:
    """What these texts have of the names."""
    return _mentions(index.table, texts)


def best_names(index: NameIndex, found: Mentions, k: int) -> TopK:
    """The k labels of each text whose names fit it best; texts may have fewer."""
    shape = len(found.indptr) - 1, k
    top = TopK(np.empty(shape, np.int32), np.empty(shape, np.float32))
    kernels.best_labels(
        *_names(index),
        index.name_labels,
        index.key_indptr,
        index.key_names,
        index.n_keys,
        *found,
        max(N_COMPARED, 2 * k),
        zeros("place", len(index.idf), np.int32),
        zeros("tally", len(index.n_keys), np.uint16),
        zeros("best", index.n_labels, np.float32),
        *top,
    )
    return top


def evidence_of(
    index: NameIndex, found: Mentions, cand_indptr: np.ndarray, cand_ids: np.ndarray
) -> np.ndarray:
    """float32, (n_candidates, len(COLUMNS)): how well the best name of each label fits its text.

    The best is the one that `best_names` would choose. NaN is what no name tells.
    cand_indptr: int64, where each text's candidates begin; cand_ids: int32, their labels.
    """
    place = zeros("place", len(index.idf), np.int32)
    return kernels.figures(*_names(index), index.label_indptr, *found, cand_indptr, cand_ids, place)


def best_name(index: NameIndex, found: Mentions, label: int) -> int:
    """The name of the label that `evidence_of` compares with the only text; -1 if it has none."""
    place = zeros("place", len(index.idf), np.int32)
    return int(kernels.best_name(*_names(index), index.label_indptr, *found, label, place))


def shares_of_name(index: NameIndex, name: int, words: Sequence[str]) -> np.ndarray:
    """float64, the part of a name's n-grams, as they weigh, that each of these words has."""
    of_words = mentions(index, words)
    own = index.name_terms[index.name_indptr[name] : index.name_indptr[name + 1]]
    kept = np.isin(of_words.terms, own[own < index.n_grams])
    word = np.repeat(np.arange(len(words)), np.diff(of_words.indptr))[kept]
    mass = np.bincount(word, index.idf[of_words.terms[kept]] ** 2.0, len(words))
    norm = float(index.norms[name, 0])
    return mass / (norm * norm or 1.0)


@cache
def kinds() -> np.ndarray:
    """What each character is: see xmc/kernels/names.py."""
    found = np.array([chr(code).isalnum() for code in range(N_CODES)], np.uint8)
    for first, end in SIGNS:
        found[first:end] = terms.LETTER
    for first, end in UNSPACED:
        found[first:end] *= terms.UNSPACED
    return frozen(found)


def _codes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The code points of texts, laid end to end, and where each text begins."""
    plain = [_plain(text) for text in texts]
    codes = np.frombuffer("".join(plain).encode("utf-32-le", "surrogatepass"), np.uint32)
    return frozen(codes), pointers([len(text) for text in plain])


def _plain(text: str) -> str:
    """A text in lower case, with its accents in their letters."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.lower())


def _buckets(hashes: np.ndarray) -> np.ndarray:
    """Where the hashes with the same first bits begin: two to four parts per hash."""
    bits = len(hashes).bit_length() + 1
    parts = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    return np.searchsorted(parts, np.arange(2**bits + 1)).astype(np.int32)


def _shift(buckets: np.ndarray) -> np.uint64:
    """How many bits of a hash don't count for its bucket."""
    return np.uint64(64 - (len(buckets) - 1).bit_length() + 1)


def _table(hashes: np.ndarray, ids: np.ndarray) -> tuple:
    """What finds the number of a term by its hash."""
    buckets = _buckets(hashes)
    return hashes, ids, buckets, _shift(buckets)


def _mentions(table: tuple, texts: Sequence[str]) -> Mentions:
    """What texts have of the terms in a table, a block of texts at a time."""
    blocks = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)] or [texts]
    found = [terms.mention(*_codes(block), kinds(), *table) for block in blocks]
    if len(found) == 1:
        return Mentions(*map(frozen, found[0]))
    sizes = np.concatenate([np.diff(block[0]) for block in found])
    joined = (np.concatenate(parts) for parts in list(zip(*found, strict=True))[1:])
    return Mentions(pointers(sizes), *map(frozen, joined))


def _names(index: NameIndex) -> tuple:
    return (
        index.idf,
        index.text_idf,
        index.n_grams,
        index.name_indptr,
        index.name_terms,
        index.norms,
    )
