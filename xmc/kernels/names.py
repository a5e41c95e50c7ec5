"""Names of labels in texts: which terms a text has, and how much of a name is among them.

Terms are n-grams of 4 and 5 characters inside words, which have a blank at each end; whole words;
and, where a script has no blanks between words, single characters, which count as n-grams and as
words, and pairs of characters. A term is known by a hash of 64 bits, whose first bit tells words
from n-grams. Terms are numbered from 0 on: first the n-grams, then the words, those of many names
before those of few. So what texts use often lies together.

    name          dtype    shape        what
    codes         uint32   characters   the code points of all texts, laid end to end
    offsets       int64    texts + 1    where each text begins and ends
    kinds         uint8    code points  OTHER, LETTER or UNSPACED; what lies beyond is OTHER
    hashes        uint64   terms        of the terms that names have, ascending
    ids           int32    terms        the number of the term of each hash
    buckets       int32    2^n + 1      where hashes with these first n bits begin, and the end
    idf           float32  terms        a term's weight in names, the more the rarer there
    text_idf      float32  terms        a term's weight in texts, the more the rarer there
    name_indptr   int64    names + 1    where each name's terms begin and end
    name_terms    int32    entries      ascending in each name, each once
    norms         float32  (names, 2)   the lengths of its n-grams and of its words; 0 without any
    key_indptr    int64    terms + 1    where each term's names begin and end
    key_names     int32    entries      names that are found by the term, ascending in each term
    n_keys        uint8    names        the number of terms by which each is found
    label_indptr  int64    labels + 1   where each label's names begin and end
    name_labels   int32    names        the label of each name, ascending
    indptr        int64    texts + 1    where each text's mentions begin and end
    terms         int32    mentions     each once in a text, by first appearance
    counts        float32  mentions     how often the term occurs in the text
    firsts        int32    mentions     the number of the word where it first occurs, from 0 on
"""

from typing import NamedTuple

import numpy as np
from numba import config

from . import kernel
from .heap import Best, offer, put_in_order
from .lanes import prefetch

OTHER, LETTER, UNSPACED = 0, 1, 2
BLANK = np.uint32(32)
SHORT, LONG = 4, 5  # characters of an n-gram
# More terms than this a character doesn't have: UNSPACED ones have three, others two.
MOST_TERMS = 3
FACTOR = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)
OF_GRAMS, OF_WORDS = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344)
WORD = np.uint64(1 << 63)

# A tally of 16 bits is a number of keys, 15 at most, and a sum of products in steps, 255 each at
# most.
SUM_BITS, STEPS, MOST_KEYS = 12, 255, 15
LINE = 16  # int32 in a line of the cache

GRAM_COSINE, WORD_COSINE, GRAM_SHARE, WORD_SHARE, POSITION, N_WORDS, N_GRAMS = range(7)
N_FIGURES = 7


class Names(NamedTuple):
    """What is known of names, see above."""

    idf: np.ndarray
    text_idf: np.ndarray
    n_grams: int  # how many terms are n-grams
    name_indptr: np.ndarray
    name_terms: np.ndarray
    norms: np.ndarray


class Keys(NamedTuple):
    """By which terms names are found, see key_indptr, key_names and n_keys."""

    indptr: np.ndarray
    names: np.ndarray
    n_keys: np.ndarray


class Text(NamedTuple):
    """The mentions of one text; the first slot is that of terms that it lacks, and holds 0."""

    place: np.ndarray  # int32, (terms,), the slot of each term
    product: np.ndarray  # float32, what it adds to n-grams' or words' product with a name
    mass: np.ndarray  # float32, idf^2
    first: np.ndarray  # int32, see firsts


@kernel(inline="always")
def _step(hash, code):
    """The hash of a sequence with one more character."""
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
        n = hash_text(own, kinds, out[indptr[i] :], number[indptr[i] :])
        indptr[i + 1] = indptr[i] + n
    return indptr, out[: indptr[-1]].copy()


@kernel
def hash_text(codes, kinds, out, number):
    """How many terms a text has, which are written to `out` with the number of the word of each."""
    n, word, start = 0, 0, 0
    while start < codes.shape[0]:
        kind = _kind(codes[start], kinds)
        end = start + 1
        while end < codes.shape[0] and _kind(codes[end], kinds) == kind:
            end += 1
        if kind == LETTER:
            n = _hash_word(codes[start:end], word, n, out, number)
            word += 1
        elif kind == UNSPACED:
            n = _hash_unspaced(codes[start:end], word, n, out, number)
            word += end - start
        start = end
    return n


@kernel
def _kind(code, kinds):
    return kinds[code] if code < kinds.shape[0] else np.uint8(OTHER)


@kernel
def _hash_word(codes, word, n, out, number):
    """Add the hashes of a word, and of its n-grams; what is shorter than an n-gram is one."""
    length = codes.shape[0]
    hash = OF_WORDS
    for i in range(length):
        hash = _step(hash, codes[i])
    out[n], number[n] = hash | WORD, word
    n += 1
    for start in range(-1, max(0, length + 2 - SHORT)):
        hash = OF_GRAMS
        end = min(start + SHORT, length + 1)
        for i in range(start, end):
            hash = _step(hash, _with_blanks(codes, i))
        out[n], number[n] = hash & ~WORD, word
        n += 1
        if end <= length:
            out[n], number[n] = _step(hash, _with_blanks(codes, end)) & ~WORD, word
            n += 1
    return n


@kernel
def _with_blanks(codes, i):
    return codes[i] if 0 <= i < codes.shape[0] else BLANK


@kernel
def _hash_unspaced(codes, word, n, out, number):
    """Add the hashes of characters, twice each, and of pairs."""
    for i in range(codes.shape[0]):
        hash = _step(OF_GRAMS, codes[i])
        out[n], number[n] = _step(OF_WORDS, codes[i]) | WORD, word + i
        out[n + 1], number[n + 1] = hash & ~WORD, word + i
        n += 2
        if i + 1 < codes.shape[0]:
            out[n], number[n] = _step(hash, codes[i + 1]) & ~WORD, word + i
            n += 1
    return n


@kernel
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
    indptr = np.zeros(offsets.shape[0], np.int64)
    longest = 0
    for i in range(offsets.shape[0] - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    found = np.empty(MOST_TERMS * longest, np.uint64)
    number = np.empty(MOST_TERMS * longest, np.int32)
    size = codes.shape[0] + MOST_TERMS * longest  # grows where texts have more terms
    terms, counts, firsts = np.empty(size, np.int32), np.empty(size, np.float32), np.empty(size, np.int32)
    for i in range(offsets.shape[0] - 1):
        start = indptr[i]
        n = hash_text(codes[offsets[i] : offsets[i + 1]], kinds, found, number)
        if start + n > terms.shape[0]:
            terms, counts, firsts = _longer(terms), _longer(counts), _longer(firsts)
        n = _count(found[:n], counts[start:], number)
        for m in range(n):
            t = find(found[m], hashes, buckets, shift)
            if t >= 0:
                ...


@kernel
def mention(codes, offsets, kinds, hashes, ids, buckets, shift):
    """(indptr, terms, counts, firsts): the terms of each text that names have."""
    longest = 0
    for i in range(offsets.shape[0] - 1):
        longest = max(longest, MOST_TERMS * (offsets[i + 1] - offsets[i]))
    slots = np.empty(_n_slots(longest), np.int32)
    own = np.empty(longest, np.uint64)
    indptr = np.zeros(offsets.shape[0], np.int64)
    # All of it is seldom touched, and what isn't takes no memory.
    terms = np.empty(MOST_TERMS * codes.shape[0], np.int32)
    counts = np.empty(terms.shape[0], np.float32)
    firsts = np.empty(terms.shape[0], np.int32)
    for i in range(offsets.shape[0] - 1):
        end = indptr[i]
        n = hash_text(codes[offsets[i] : offsets[i + 1]], kinds, own, firsts[end:])
        n = _unique(own, n, slots[: _n_slots(n)], firsts[end:], counts[end:])
        for m in range(n):
            t = find(own[m], hashes, ids, buckets, shift)
            if t >= 0:
                terms[end], counts[end] = t, counts[indptr[i] + m]
                firsts[end] = firsts[indptr[i] + m]
                end += 1
        indptr[i + 1] = end
    return indptr, terms[:end].copy(), counts[:end].copy(), firsts[:end].copy()


@kernel
def _n_slots(n):
    """A power of two that is twice as large as n, or larger."""
    size = 2
    while size < 2 * n:
        size *= 2
    return size


@kernel
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


@kernel
def distinct(indptr, ids):
    """(indptr, ids): each list in order, without what it has twice."""
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out, end = ids.copy(), 0
    for i in range(indptr.shape[0] - 1):
        own = np.sort(ids[indptr[i] : indptr[i + 1]])
        for p in range(own.shape[0]):
            if p == 0 or own[p] != own[p - 1]:
                out[end] = own[p]
                end += 1
        out_indptr[i + 1] = end
    return out_indptr, out[:end].copy()


@kernel
def norms_of(idf, n_grams, name_indptr, name_terms):
    """The lengths of each name, see norms."""
    out = np.zeros((name_indptr.shape[0] - 1, 2), np.float32)
    for i in range(out.shape[0]):
        for p in range(name_indptr[i], name_indptr[i + 1]):
            t = name_terms[p]
            out[i, np.int64(t >= n_grams)] += idf[t] * idf[t]
    return np.sqrt(out)


@kernel
def keys(n_terms, n_grams, name_indptr, name_terms, most):
    """(key_indptr, key_names, n_keys): names by their rarest n-grams, `most` at most of each."""
    n_keys = np.zeros(name_indptr.shape[0] - 1, np.uint8)
    key_indptr = np.zeros(n_terms + 1, np.int64)
    for i in range(n_keys.shape[0]):
        middle = _middle(name_indptr[i], name_indptr[i + 1], name_terms, n_grams)
        n_keys[i] = min(most, middle - name_indptr[i])
        for p in range(middle - n_keys[i], middle):
            key_indptr[name_terms[p] + 1] += 1
    for t in range(n_terms):
        key_indptr[t + 1] += key_indptr[t]
    key_names, slot = np.empty(key_indptr[-1], np.int32), key_indptr[:-1].copy()
    for i in range(n_keys.shape[0]):
        middle = _middle(name_indptr[i], name_indptr[i + 1], name_terms, n_grams)
        for p in range(middle - n_keys[i], middle):
            key_names[slot[name_terms[p]]] = i
            slot[name_terms[p]] += 1
    return key_indptr, key_names, n_keys


@kernel
def _middle(start, end, name_terms, n_grams):
    """Where the words of a name begin."""
    while end > start and name_terms[end - 1] >= n_grams:
        end -= 1
    return end


@kernel
def figures(
    idf, text_idf, n_grams, name_indptr, name_terms, norms, label_indptr,
    indptr, terms, counts, firsts, cand_indptr, cand_ids,
):  # fmt: skip
    """float32, (candidates, N_FIGURES): how well the best name of each candidate fits its text.

    cand_indptr: int64, where each text's candidates begin and end; cand_ids: int32, labels. NaN is
    what no name of a label can tell.
    """
    names = Names(idf, text_idf, n_grams, name_indptr, name_terms, norms)
    text = _empty_text(idf.shape[0], indptr)
    out = np.full((cand_ids.shape[0], N_FIGURES), np.float32(np.nan))
    for i in range(indptr.shape[0] - 1):
        start, end = indptr[i], indptr[i + 1]
        _open(terms[start:end], counts[start:end], firsts[start:end], names, text)
        for c in range(cand_indptr[i], cand_indptr[i + 1]):
            best, most = -1, np.float32(-1)
            for name in range(label_indptr[cand_ids[c]], label_indptr[cand_ids[c] + 1]):
                fit = _score(name, names, text)
                if fit > most:
                    best, most = name, fit
            if best >= 0:
                _compare(best, names, text, out[c])
        _close(terms[start:end], text)
    return out


@kernel
def _empty_text(n_terms, indptr):
    """Room for the longest of these texts."""
    most = 0
    for i in range(indptr.shape[0] - 1):
        most = max(most, indptr[i + 1] - indptr[i])
    return Text(
        np.zeros(n_terms, np.int32),
        np.zeros(most + 1, np.float32),
        np.zeros(most + 1, np.float32),
        np.zeros(most + 1, np.int32),
    )


@kernel
def _open(terms, counts, firsts, names, text):
    """Write where a text's terms are found, and what they are worth."""
    gram_square, word_square = np.float32(0), np.float32(0)
    for m in range(terms.shape[0]):
        weight = _weight(terms[m], counts[m], names)
        if terms[m] < names.n_grams:
            gram_square += weight * weight
        else:
            word_square += weight * weight
    gram_scale, word_scale = _inverse(gram_square), _inverse(word_square)
    for m in range(terms.shape[0]):
        t = terms[m]
        scale = gram_scale if t < names.n_grams else word_scale
        text.place[t] = m + 1
        text.product[m + 1] = _weight(t, counts[m], names) * scale * names.idf[t]
        text.mass[m + 1] = names.idf[t] * names.idf[t]
        text.first[m + 1] = firsts[m]


@kernel
def _weight(t, count, names):
    """What a term weighs in a text: (1 + log count) * idf."""
    if count == 1:
        return names.text_idf[t]
    return (np.float32(1) + np.log(count)) * names.text_idf[t]


@kernel
def _inverse(square):
    """1 / length, 0 of nothing."""
    return np.float32(1) / np.sqrt(square) if square > 0 else np.float32(0)


@kernel
def _close(terms, text):
    """Leave `place` as it was."""
    for t in terms:
        text.place[t] = 0


@kernel
def _score(name, names, text):
    """How well a name fits: the cosine of its n-grams * share^1.5; -1 if it has none.

    A name that is not whole in the text counts for less than its cosine says.
    """
    norm = names.norms[name, 0]
    if norm == 0:
        return np.float32(-1)
    product, mass = np.float32(0), np.float32(0)
    for p in range(names.name_indptr[name], names.name_indptr[name + 1]):
        t = names.name_terms[p]
        if t >= names.n_grams:
            break
        m = text.place[t]
        product += text.product[m]
        mass += text.mass[m]
    share = mass / (norm * norm)
    return product / norm * share * np.sqrt(share)


@kernel
def _compare(name, names, text, out):
    """Write the figures of a name that has terms."""
    start, end = names.name_indptr[name], names.name_indptr[name + 1]
    middle = _middle(start, end, names.name_terms, names.n_grams)
    norm = names.norms[name, 0]
    product, mass, last, n = _fit(start, middle, names, text)
    out[GRAM_COSINE], out[GRAM_SHARE] = product / norm, mass / (norm * norm)
    out[POSITION] = last if n == middle - start else np.nan
    norm = names.norms[name, 1]
    product, mass, last, n = _fit(middle, end, names, text)
    out[WORD_COSINE], out[WORD_SHARE] = product / norm, mass / (norm * norm)
    out[N_WORDS], out[N_GRAMS] = end - middle, middle - start


@kernel
def _fit(start, end, names, text):
    """(product, mass, last, n) of some terms of a name, see Text.

    last: the word by which the text has had all n of them that it has.
    """
    product, mass, last, n = np.float32(0), np.float32(0), 0, 0
    for p in range(start, end):
        m = text.place[names.name_terms[p]]
        product += text.product[m]
        mass += text.mass[m]
        last = max(last, text.first[m])
        n += m > 0
    return product, mass, last, n


@kernel
def best_labels(
    idf, text_idf, n_grams, name_indptr, name_terms, norms,
    name_labels, n_labels, key_indptr, key_names, n_keys,
    indptr, terms, counts, firsts, n_compared, ids, scores,
):  # fmt: skip
    """Write the labels of each text whose names fit best, best first, and their scores.

    Names are guessed by their keys, and the n_compared most likely ones are compared. ids: int32,
    (texts, k), -1 in places that stay empty; scores: float32, -inf there.
    """
    names = Names(idf, text_idf, n_grams, name_indptr, name_terms, norms)
    keys = Keys(key_indptr, key_names, n_keys)
    text = _empty_text(idf.shape[0], indptr)
    tally = np.zeros(n_keys.shape[0], np.uint16)
    likely, fit = np.empty(n_keys.shape[0], np.int32), np.empty(n_keys.shape[0], np.float32)
    best = np.zeros(n_labels, np.float32)
    kept = Best(np.zeros(ids.shape[0], np.int64), ids, scores, np.zeros_like(scores))
    for i in range(indptr.shape[0] - 1):
        own = terms[indptr[i] : indptr[i + 1]]
        _open(own, counts[indptr[i] :], firsts[indptr[i] :], names, text)
        n = _tell(own, text, keys, tally, likely)
        n = _guess(likely, fit, n, names, keys, tally)
        n = _keep(likely, fit, n, n_compared)
        _fetch(likely[:n], names)
        for name in likely[:n]:
            best[name_labels[name]] = max(best[name_labels[name]], _score(name, names, text))
        for name in likely[:n]:
            label = name_labels[name]
            if best[label] > 0:
                offer(best[label], np.float32(0), label, kept, i)
            best[label] = 0
        put_in_order(kept, i)
        _close(own, text)


@kernel
def _tell(terms, text, keys, tally, touched):
    """How many names have a key among the terms: they are touched, and their keys are told.

    tally: uint16, (names,): the number of keys of each in the upper bits, the sum of their products
    in the lower ones, in steps of the largest product; all 0. So small, it stays near.
    """
    n, most = 0, np.float32(0)
    for s in range(terms.shape[0]):
        most = max(most, text.product[s + 1])
    scale = STEPS / most if most > 0 else 0.0
    for s in range(terms.shape[0]):
        told = (1 << SUM_BITS) + np.int64(text.product[s + 1] * scale)
        for p in range(keys.indptr[terms[s]], keys.indptr[terms[s] + 1]):
            name = keys.names[p]
            touched[n] = name
            n += tally[name] == 0  # without a branch, which would often be guessed wrong
            tally[name] += told
    return n


@kernel
def _guess(touched, fit, n, names, keys, tally):
    """How many of the first n names have half of their keys: they come first. No tally is left.

    fit: what they score if all of their terms are as their keys are, in any unit.
    """
    kept = 0
    for s in range(n):
        name = touched[s]
        told, most = np.int64(tally[name]), keys.n_keys[name]
        tally[name] = 0
        touched[kept] = name
        share = np.float32(told >> SUM_BITS) / np.float32(most)
        fit[kept] = np.float32(told & ((1 << SUM_BITS) - 1)) * share * np.sqrt(share)
        kept += 2 * (told >> SUM_BITS) >= most
    for s in range(kept):
        fit[s] /= names.norms[touched[s], 0]
    return kept


@kernel
def _keep(names, fit, n, wanted):
    """How many of the first n names come first: the `wanted` fittest, and those that nearly tie.

    Fits count in steps. They are not put in order, which would take longer than all the rest.
    """
    count, most = np.zeros(STEPS + 1, np.int64), np.float32(0)
    for s in range(n):
        most = max(most, fit[s])
    scale = STEPS / most if most > 0 else 0.0
    for s in range(n):
        count[np.int64(fit[s] * scale)] += 1
    least, left = STEPS, wanted - count[STEPS]
    while least > 0 and left > 0:
        least -= 1
        left -= count[least]
    kept = 0
    for s in range(n):
        names[kept] = names[s]
        kept += np.int64(fit[s] * scale) >= least
    return kept


@kernel
def _fetch(chosen, names):
    """Ask for the terms of some names at once, as each alone would be waited for."""
    for name in chosen:
        for p in range(names.name_indptr[name], names.name_indptr[name + 1], LINE):
            prefetch(names.name_terms, p)
