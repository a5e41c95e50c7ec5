"""Names of labels held against texts, written out with strings, dicts and loops: slow twins of
`xmc.kernels.terms` and `xmc.kernels.names`, and random texts for them.

A term is ("gram", characters) or ("word", characters).
"""

import math
import re
import unicodedata
from collections import Counter

OPENING = 16  # words
UNSPACED = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SIGNS = "\u0300-\u036f\u0591-\u05bd\u064b-\u0652\u0900-\u0963\u0966-\u0d7f"
# Letters of one byte and of more, signs inside words, Chinese, what is no letter, a plane further.
CHARACTERS = [
    *"aaabbcde",
    "ä",
    "ß",
    "µ",
    "7",
    "क",
    "ि",
    "中",
    "文",
    "𠀀",
    "𝐀",
    " ",
    " ",
    "-",
    "_",
    "😀",
]


def random_texts(rng, n, longest=40):
    return ["".join(rng.choice(CHARACTERS, rng.integers(longest))) for _ in range(n)]


def runs(text):
    """Words, and runs of characters without blanks between words."""
    plain = unicodedata.normalize("NFC", text.lower())
    found = re.findall(rf"[{UNSPACED}]+|(?:[^\W_{UNSPACED}]|[{SIGNS}])+", plain)
    return found


def terms_of(text):
    """The terms of a text as often as they occur, with the number of their word."""
    found, word = [], 0
    for run in runs(text):
        if re.match(f"[{UNSPACED}]", run):
            for i, char in enumerate(run):
                found += [(("gram", char), word + i), (("word", char), word + i)]
                if run[i + 1 :]:
                    found.append((("gram", run[i : i + 2]), word + i))
            word += len(run)
        else:
            found += [(term, word) for term in (*ngrams(f" {run} "), ("word", run))]
            word += 1
    return found


def ngrams(word):
    """n-grams of 4 and 5 characters, in order of their end; a short word is one."""
    if len(word) < 4:
        return [("gram", word)]
    ends = range(4, len(word) + 1)
    return [("gram", word[end - n : end]) for end in ends for n in (4, 5) if end >= n]


def mentions(text, known):
    """{term: (count, number of the word of the first one)}, in order of first appearance."""
    found = {}
    for term, word in terms_of(text):
        if term in known:
            count, first = found.get(term, (0, word))
            found[term] = count + 1, first
    return found


def name_idf(names):
    """The weight of each term in names."""
    frequency = Counter(term for name in names for term in {t for t, _ in terms_of(name)})
    return {term: math.log((1 + len(names)) / (1 + n)) + 1 for term, n in frequency.items()}


def text_idf(known, texts):
    """The weight of each known term in texts."""
    frequency = Counter(term for text in texts for term in mentions(text, known))
    return {term: math.log((1 + len(texts)) / (1 + frequency[term])) for term in known}


def figures(name, text, idf, weights):
    """The figures of a name in a text, in the order of evidence.names; None if it has no terms."""
    own, found = {term for term, _ in terms_of(name)}, mentions(text, idf)
    opening = {term: at for term, at in found.items() if at[1] < OPENING}
    whole = {
        term: (1 + math.log(count) + (term in opening)) * weights[term]
        for term, (count, _) in found.items()
    }
    parts = [
        cosine_and_share({term for term in own if term[0] == kind}, told, idf)
        for told in (whole, {term: weights[term] for term in opening})
        for kind in ("gram", "word")
    ]
    if None in parts:
        return None
    (gram, gram_share), (word, word_share), (first, first_share), (other, other_share) = parts
    grams = [term for term in own if term[0] == "gram"]
    complete = all(term in found for term in grams)
    return [
        *(gram, word, gram_share, word_share),
        max(found[term][1] for term in grams) if complete else math.nan,
        *(len(own) - len(grams), len(grams)),
        *(first, other, first_share, other_share),
    ]


def cosine_and_share(terms, told, idf):
    """(cosine, share) of a name's terms of one kind and what a text tells of all; None without."""
    if not terms:
        return None
    (kind,) = {kind for kind, _ in terms}
    weight = {term: value for term, value in told.items() if term[0] == kind}
    product = sum(weight.get(term, 0) * idf[term] for term in terms)
    cosine = product / (length(weight.values()) * length(map(idf.get, terms)) or 1)
    mass = sum(idf[term] ** 2 for term in terms if term in weight)
    return cosine, mass / sum(idf[term] ** 2 for term in terms)


def length(values):
    return math.sqrt(sum(value**2 for value in values))


def score(row):
    """How well a name with these figures fits."""
    return row[0] * row[2] ** 1.5


def best_figures(names, text, idf, weights):
    """The figures of the first of the best names of a label, None if it has none."""
    rows = [figures(name, text, idf, weights) for name in names]
    return max(filter(None, rows), key=score, default=None)


def keys(name_indptr, name_terms, n_grams, most):
    """The last terms of each name that are n-grams."""
    own = [name_terms[a:b] for a, b in zip(name_indptr[:-1], name_indptr[1:], strict=True)]
    return [[t for t in terms.tolist() if t < n_grams][-most:] for terms in own]
