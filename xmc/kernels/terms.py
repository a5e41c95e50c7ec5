"""Terms of texts: n-grams and words as hashes, and those that names have.

Terms are n-grams of 4 and 5 characters inside words, which have a blank at each end; whole words;
and, where a script has no blanks between words, single characters, which count as n-grams and as
words, and pairs of characters. A word that is shorter than an n-gram is one itself.

A term is known by a hash of 64 bits, whose first bit tells words from n-grams: among a million
terms, two have the same once in ten million vocabularies. Terms are numbered from 0 on: first the
n-grams, then the words, those of many texts before those of few. So what is used often lies
together.

    name      dtype    shape        what
    codes     uint32   characters   the code points of all texts, laid end to end
    offsets   int64    texts + 1    where each text begins and ends
    kinds     uint8    code points  OTHER, LETTER or UNSPACED; Chinese may lie beyond
    hashes    uint64   terms        of the terms that names have, ascending
    ids       int32    terms        the number of the term of each hash
    buckets   int32    2^n + 1      where the hashes with the same first n bits begin, and the end
    shift     uint64                64 - n
    indptr    int64    texts + 1    where each text's terms begin and end
    terms     int32    mentions     each once in a text, by first appearance
    counts    float32  mentions     how often the term occurs in the text
    firsts    int32    mentions     the number of the word where it first occurs, from 0 on
"""

import numpy as np
from numba import config

from . import inner, kernel
from .lanes import prefetch

OTHER, LETTER, UNSPACED = 0, 1, 2
LAST_CHINESE = 0x40000  # the end of two planes that hold nothing else
SHORT, LONG = 4, 5  # characters of an n-gram
# More terms than this a character doesn't have: UNSPACED ones have three, others two.
MOST_TERMS = 3
EARLIER = 8  # where a term is looked for is fetched so many terms before
BLANK = np.uint64(32)
FACTOR = np.uint64(0x9E3779B97F4A7C15)
SHIFT, WIDTH = np.uint64(29), np.uint64(16)
OF_GRAMS, OF_WORDS, OF_UNSPACED = (
    np.uint64(0x243F6A8885A308D3),
    np.uint64(0x13198A2E03707344),
    np.uint64(0xA4093822299F31D0),
)
WORD = np.uint64(1 << 63)


@kernel(inline="always")
def _step(hash, code):
    """The hash of a sequence with one more character. Other characters give other hashes."""
    hash = (hash ^ np.uint64(code)) * FACTOR
    return hash ^ (hash >> SHIFT)


if config.DISABLE_JIT:

    def _step(hash, code):
        hash = (int(hash) ^ int(code)) * int(FACTOR) % (1 << 64)
        return np.uint64(hash ^ (hash >> int(SHIFT)))


@kernel
def hash_texts(codes, offsets, kinds):
    """(indptr, hashes): the hashes of each text's terms, as often as they occur."""
    indptr = np.zeros(offsets.shape[0], np.int64)
    out = np.empty(MOST_TERMS * codes.shape[0], np.uint64)
    number = np.empty(MOST_TERMS * codes.shape[0], np.int32)
    for i in range(offsets.shape[0] - 1):
        own = codes[offsets[i] : offsets[i + 1]]
        n = _hash_text(own, kinds, out[indptr[i] :], number[indptr[i] :])
        indptr[i + 1] = indptr[i] + n
    return indptr, out[: indptr[-1]].copy()


@inner
def _hash_text(codes, kinds, out, number):
    """How many terms a text has, which are written to `out` with the number of the word of each."""
    n, word, start = 0, 0, 0
    while start < codes.shape[0]:
        kind = _kind(codes[start], kinds)
        end = start + 1
        while end < codes.shape[0] and _kind(codes[end], kinds) == kind:
            end += 1
        if kind == LETTER:
            last = _hash_word(codes[start:end], n, out)
            number[n:last] = word
            n, word = last, word + 1
        elif kind == UNSPACED:
            n = _hash_unspaced(codes[start:end], word, n, out, number)
            word += end - start
        start = end
    return n


@inner
def _kind(code, kinds):
    if code < kinds.shape[0]:
        return np.int64(kinds[code])
    return UNSPACED if code < LAST_CHINESE else OTHER


@inner
def _hash_word(codes, n, out):
    """Write the hashes of a word and of its n-grams from slot n on; the next free slot.

    Of 4 characters, each has 16 bits of a number, so that these n-grams have different hashes;
    what doesn't fit in 16 bits, which few scripts need, falls on the neighbour.
    """
    length = codes.shape[0]
    word, last, before = OF_WORDS, BLANK, OF_GRAMS
    for i in range(1, length + 2):  # after the first blank; the other one is at the end
        code = BLANK
        if i <= length:
            code = np.uint64(codes[i - 1])
            word = _step(word, code)
        last = (last << WIDTH) ^ code
        if i >= SHORT - 1 or i > length:
            hash = _step(OF_GRAMS, last)
            out[n] = hash & ~WORD
            n += 1
            if i >= LONG - 1:
                out[n] = _step(before, code) & ~WORD
                n += 1
            before = hash
    out[n] = word | WORD
    return n + 1


@inner
def _hash_unspaced(codes, word, n, out, number):
    """As `_hash_word`, of characters, twice each, and of pairs, with the number of each."""
    for i in range(codes.shape[0]):
        hash = _step(OF_UNSPACED, codes[i])
        out[n], number[n] = hash & ~WORD, word + i
        out[n + 1], number[n + 1] = hash | WORD, word + i
        n += 2
        if i + 1 < codes.shape[0]:
            out[n], number[n] = _step(hash, codes[i + 1]) & ~WORD, word + i
            n += 1
    return n


@inner
def find(hash, hashes, ids, buckets, shift):
    """The id of a term, -1 if no name has it. shift: 64 less the bits that number a bucket."""
    bucket = np.int64(hash >> shift)
    for t in range(buckets[bucket], buckets[bucket + 1]):
        if hashes[t] == hash:
            return ids[t]
    return np.int32(-1)


@kernel
def find_all(wanted, hashes, ids, buckets, shift):
    """The id of each term, int32; -1 where no name has it."""
    out = np.empty(wanted.shape[0], np.int32)
    for i in range(wanted.shape[0]):
        out[i] = find(wanted[i], hashes, ids, buckets, shift)
    return out


@kernel
def mention(codes, offsets, kinds, hashes, ids, buckets, shift):
    """(indptr, terms, counts, firsts): the terms of each text that names have."""
    longest = 0
    for i in range(offsets.shape[0] - 1):
        longest = max(longest, MOST_TERMS * (offsets[i + 1] - offsets[i]))
    slots = np.empty(_n_slots(longest), np.int32)
    own = np.empty(longest, np.uint64)
    indptr, end = np.zeros(offsets.shape[0], np.int64), 0
    # All of it is seldom touched, and what isn't takes no memory.
    terms = np.empty(MOST_TERMS * codes.shape[0], np.int32)
    counts = np.empty(terms.shape[0], np.float32)
    firsts = np.empty(terms.shape[0], np.int32)
    for i in range(offsets.shape[0] - 1):
        end = indptr[i]
        n = _hash_text(codes[offsets[i] : offsets[i + 1]], kinds, own, firsts[end:])
        n = _unique(own, n, slots[: _n_slots(n)], firsts[end:], counts[end:])
        for m in range(n):
            _fetch(own[m + EARLIER : n], hashes, buckets, shift)
            t = find(own[m], hashes, ids, buckets, shift)
            if t >= 0:
                terms[end], counts[end] = t, counts[indptr[i] + m]
                firsts[end] = firsts[indptr[i] + m]
                end += 1
        indptr[i + 1] = end
    return indptr, terms[:end].copy(), counts[:end].copy(), firsts[:end].copy()


@inner
def _fetch(own, hashes, buckets, shift):
    """Ask for where a later term is looked for, in two steps."""
    if own.shape[0] > EARLIER:
        prefetch(buckets, np.int64(own[EARLIER] >> shift))
    if own.shape[0] > 0:
        prefetch(hashes, buckets[np.int64(own[0] >> shift)])


@inner
def _n_slots(n):
    """A power of two that is twice as large as n, or larger."""
    size = 2
    while size < 2 * n:
        size *= 2
    return size


@inner
def _unique(own, n, slots, firsts, counts):
    """How many different hashes are among the first n, which make room for them in place.

    firsts: the number of the word of each, which makes room, too. counts: how often each occurs.
    """
    slots[:] = -1
    seen = 0
    for m in range(n):
        slot = np.int64(own[m] >> SHIFT) & (slots.shape[0] - 1)
        while slots[slot] >= 0 and own[slots[slot]] != own[m]:
            slot = (slot + 1) & (slots.shape[0] - 1)
        if slots[slot] < 0:
            slots[slot] = seen
            own[seen], firsts[seen], counts[seen] = own[m], firsts[m], 0
            seen += 1
        counts[slots[slot]] += 1
    return seen
