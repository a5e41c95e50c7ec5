"""Names of labels held against texts: how well each fits, and which fit best.

Texts come as their mentions, and terms are numbered: terms.py says how.

    name          dtype    shape        what
    idf           float32  terms        a term's weight in names, the more the rarer there
    text_idf      float32  terms        a term's weight in texts, the more the rarer there
    name_indptr   int64    names + 1    where each name's terms begin and end
    name_terms    int32    entries      ascending in each name, each once
    norms         float32  (names, 2)   the lengths of its n-grams and of its words; 0 without any
    key_indptr    int64    terms + 1    where each term's names begin and end
    key_names     int32    entries      names that are found by the term, ascending in each term
    n_keys        uint8    names        the number of terms by which each is found, 15 at most
    label_indptr  int64    labels + 1   where each label's names begin and end
    name_labels   int32    names        the label of each name, ascending

Weights of a name are idf, those of a text (1 + log count) * text_idf, where a term of its opening,
the first words, which often are a title, has 1 more before idf; n-grams and words are scaled to
length 1 apart. Of a name, the text has a share, the sum of idf^2 over its terms in the text by that
over all of them. The score is the cosine of n-grams * share^1.5. The opening has a cosine and a
share of its own, where each term weighs its text_idf.
"""

from typing import NamedTuple

import numpy as np

from . import inner, kernel
from .heap import Best, offer, put_in_order
from .lanes import prefetch

# A tally of 16 bits is a number of keys, 15 at most, and a sum of products in steps, 255 each at
# most.
SUM_BITS, STEPS = 12, 255
FEWEST = 6  # a name is left out if the text has less than this part of its keys: a sixth
LINE = 16  # int32 in a line of the cache
EARLIER = 4  # candidates are fetched so many places before they are read
OPENING = 16  # words; 8 to 20 are nearly alike, see benchmarks/NOTES.md

N_FIGURES = 11
GRAM_COSINE, WORD_COSINE, GRAM_SHARE, WORD_SHARE, POSITION, N_WORDS, N_GRAMS = range(7)
OPENING_GRAM_COSINE, OPENING_WORD_COSINE, OPENING_GRAM_SHARE, OPENING_WORD_SHARE = range(7, 11)


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
    opening: np.ndarray  # float32, as product, for the opening alone


class Fit(NamedTuple):
    """How some terms of a name fit a text; sums over those that the text has."""

    product: np.float32
    mass: np.float32
    last: int  # the word by which the text has had all of them
    n: int  # how many they are
    opening_product: np.float32
    opening_mass: np.float32


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


@inner
def _middle(start, end, name_terms, n_grams):
    """Where the words of a name begin."""
    while end > start and name_terms[end - 1] >= n_grams:
        end -= 1
    return end


@kernel
def figures(
    idf, text_idf, n_grams, name_indptr, name_terms, norms, label_indptr,
    indptr, terms, counts, firsts, cand_indptr, cand_ids, place,
):  # fmt: skip
    """float32, (candidates, N_FIGURES): how well the best name of each candidate fits its text.

    cand_indptr: int64, where each text's candidates begin and end; cand_ids: int32, labels. NaN is
    what no name of a label can tell. place: int32, scratch, 0 per term, before and after.
    """
    names = Names(idf, text_idf, n_grams, name_indptr, name_terms, norms)
    text = _empty_text(place, indptr)
    out = np.full((cand_ids.shape[0], N_FIGURES), np.float32(np.nan))
    for i in range(indptr.shape[0] - 1):
        start, end = indptr[i], indptr[i + 1]
        _open(terms[start:end], counts[start:end], firsts[start:end], names, text)
        for c in range(cand_indptr[i], cand_indptr[i + 1]):
            _fetch_labels(c, cand_indptr[i + 1], cand_ids, label_indptr, names)
            label = cand_ids[c]
            best = _best_name(label_indptr[label], label_indptr[label + 1], names, text)
            if best >= 0:
                _compare(best, names, text, out[c])
        _close(terms[start:end], text)
    return out


@kernel
def best_name(
    idf, text_idf, n_grams, name_indptr, name_terms, norms, label_indptr,
    indptr, terms, counts, firsts, label, place,
):  # fmt: skip
    """The name of a label that fits the only text best, as `figures` compares it; -1 if it has
    none. place: as there.
    """
    names = Names(idf, text_idf, n_grams, name_indptr, name_terms, norms)
    text = _empty_text(place, indptr)
    _open(terms, counts, firsts, names, text)
    best = _best_name(label_indptr[label], label_indptr[label + 1], names, text)
    _close(terms, text)
    return best


@inner
def _best_name(first, end, names, text):
    """The name of first..end-1 that fits best, of equal ones the first; -1 if none has n-grams."""
    if end == first + 1:  # as most labels have one name
        return first if names.norms[first, 0] > 0 else -1
    best, most = -1, np.float32(-1)
    for name in range(first, end):
        fit = _score(name, names, text)
        if fit > most:
            best, most = name, fit
    return best


@kernel
def _empty_text(place, indptr):
    """Room for the longest of these texts."""
    most = 0
    for i in range(indptr.shape[0] - 1):
        most = max(most, indptr[i + 1] - indptr[i])
    return Text(
        place,
        np.zeros(most + 1, np.float32),
        np.zeros(most + 1, np.float32),
        np.zeros(most + 1, np.int32),
        np.zeros(most + 1, np.float32),
    )


@kernel
def _open(terms, counts, firsts, names, text):
    """Write where a text's terms are found, and what they are worth."""
    squares, openings = np.zeros(2, np.float32), np.zeros(2, np.float32)  # of n-grams, of words
    for m in range(terms.shape[0]):
        t, kind = terms[m], np.int64(terms[m] >= names.n_grams)
        squares[kind] += _weight(t, counts[m], firsts[m], names) ** 2
        openings[kind] += names.text_idf[t] ** 2 * (firsts[m] < OPENING)
    for kind in range(2):
        squares[kind], openings[kind] = _inverse(squares[kind]), _inverse(openings[kind])
    for m in range(terms.shape[0]):
        t, kind = terms[m], np.int64(terms[m] >= names.n_grams)
        weight, idf = _weight(t, counts[m], firsts[m], names), names.idf[t]
        text.place[t] = m + 1
        text.product[m + 1] = weight * squares[kind] * idf
        text.mass[m + 1] = idf * idf
        text.first[m + 1] = firsts[m]
        text.opening[m + 1] = names.text_idf[t] * openings[kind] * idf * (firsts[m] < OPENING)


@inner
def _weight(t, count, first, names):
    """What a term weighs in a text: (1 + log count) * idf, and idf more in the opening."""
    told = np.float32(1) + np.float32(first < OPENING)
    if count > 1:
        told += np.log(count)
    return told * names.text_idf[t]


@inner
def _inverse(square):
    """1 / length, 0 of nothing."""
    return np.float32(1) / np.sqrt(square) if square > 0 else np.float32(0)


@inner
def _close(terms, text):
    """Leave `place` as it was."""
    for t in terms:
        text.place[t] = 0


@inner
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


@inner
def _compare(name, names, text, out):
    """Write the figures of a name that has terms."""
    start, end = names.name_indptr[name], names.name_indptr[name + 1]
    middle = _middle(start, end, names.name_terms, names.n_grams)
    fit, inverse = _fit(start, middle, names, text), 1 / names.norms[name, 0]
    out[GRAM_COSINE], out[GRAM_SHARE] = fit.product * inverse, fit.mass * inverse**2
    out[OPENING_GRAM_COSINE] = fit.opening_product * inverse
    out[OPENING_GRAM_SHARE] = fit.opening_mass * inverse**2
    out[POSITION] = fit.last if fit.n == middle - start else np.nan
    fit, inverse = _fit(middle, end, names, text), 1 / names.norms[name, 1]
    out[WORD_COSINE], out[WORD_SHARE] = fit.product * inverse, fit.mass * inverse**2
    out[OPENING_WORD_COSINE] = fit.opening_product * inverse
    out[OPENING_WORD_SHARE] = fit.opening_mass * inverse**2
    out[N_WORDS], out[N_GRAMS] = end - middle, middle - start


@inner
def _fit(start, end, names, text):
    """The fit of terms start..end-1 of all names, which are those of one."""
    product, mass, last, n = np.float32(0), np.float32(0), 0, 0
    opening_product, opening_mass = np.float32(0), np.float32(0)
    for p in range(start, end):
        m = text.place[names.name_terms[p]]
        product += text.product[m]
        mass += text.mass[m]
        last = max(last, text.first[m])
        n += m > 0
        opening_product += text.opening[m]
        opening_mass += text.mass[m] * (text.first[m] < OPENING)
    return Fit(product, mass, last, n, opening_product, opening_mass)


@kernel
def best_labels(
    idf, text_idf, n_grams, name_indptr, name_terms, norms,
    name_labels, key_indptr, key_names, n_keys,
    indptr, terms, counts, firsts, n_compared, place, tally, best, ids, scores,
):  # fmt: skip
    """Write the labels of each text whose names fit best, best first, and their scores.

    Names are guessed by their keys, and the n_compared most likely ones are compared. ids: int32,
    (texts, k), -1 in places that stay empty; scores: float32, -inf there.

    Scratch, 0 before and after: place, int32, per term; tally, uint16, per name; best, float32, per
    label.
    """
    names = Names(idf, text_idf, n_grams, name_indptr, name_terms, norms)
    keys = Keys(key_indptr, key_names, n_keys)
    text = _empty_text(place, indptr)
    likely = np.empty(n_keys.shape[0] + 1, np.int32)  # one slot more than ever counts
    fit = np.empty(n_keys.shape[0] + 1, np.float32)
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


@inner
def _tell(terms, text, keys, tally, touched):
    """How many names have a key among the terms: they are touched, and their keys are told.

    tally: uint16, (names,): the number of keys of each in the upper bits, the sum of their products
    in the lower ones, in steps of the largest product; all 0. So small, it stays near.
    """
    n, most = 0, np.float32(0)
    for s in range(terms.shape[0]):
        if keys.indptr[terms[s]] < keys.indptr[terms[s] + 1]:
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


@inner
def _guess(touched, fit, n, names, keys, tally):
    """How many of the first n names have keys enough: they come first. No tally is left.

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
        kept += FEWEST * (told >> SUM_BITS) >= most
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


@inner
def _fetch(chosen, names):
    """Ask for the terms of some names at once, as each alone would be waited for."""
    for name in chosen:
        for p in range(names.name_indptr[name], names.name_indptr[name + 1], LINE):
            prefetch(names.name_terms, p)


@inner
def _fetch_labels(c, end, cand_ids, label_indptr, names):
    """Ask for the names of a later candidate, in three steps."""
    if c + 3 * EARLIER < end:
        prefetch(label_indptr, cand_ids[c + 3 * EARLIER])
    if c + 2 * EARLIER < end:
        prefetch(names.name_indptr, label_indptr[cand_ids[c + 2 * EARLIER]])
    if c + EARLIER < end:
        label = cand_ids[c + EARLIER]
        first, last = label_indptr[label], label_indptr[label + 1]
        for p in range(names.name_indptr[first], names.name_indptr[last], LINE):
            prefetch(names.name_terms, p)
