"""The metrics written out with sets and dicts, and slow twins of `xmc.kernels.metrics`.

`truth` is a list of sets of labels; `best` a list of lists of labels, best first, -1 in empty
places.
"""

import math
from fractions import Fraction

import numpy as np


def precision(truth, best, k):
    return sum(hits(true, row[:k]) / k for true, row in zip(truth, best, strict=True)) / len(truth)


def recall(truth, best, k):
    shares = [
        hits(true, row[:k]) / len(true) for true, row in zip(truth, best, strict=True) if true
    ]
    return sum(shares) / len(shares) if shares else 0.0


def macro_recall(truth, best, k):
    shares = []
    for label in set().union(*truth):
        rows = [row[:k] for true, row in zip(truth, best, strict=True) if label in true]
        shares.append(sum(label in row for row in rows) / len(rows))
    return sum(shares) / len(shares) if shares else 0.0


def ndcg(truth, best, k):
    total = 0.0
    for true, row in zip(truth, best, strict=True):
        if true:
            total += dcg(row[:k], dict.fromkeys(true, 1.0)) / dcg(
                list(true)[:k], dict.fromkeys(true, 1.0)
            )
    return total / len(truth)


def psp(truth, best, k, propensity):
    reached = attainable = 0.0
    for true, row in zip(truth, best, strict=True):
        reached += sum(1 / propensity[label] for label in set(row[:k]) & true)
        attainable += sum(sorted((1 / propensity[label] for label in true), reverse=True)[:k])
    return reached / attainable if attainable else 0.0


def psndcg(truth, best, k, propensity):
    reached = attainable = 0.0
    for true, row in zip(truth, best, strict=True):
        gain = {label: 1 / propensity[label] for label in true}
        reached += dcg(row[:k], gain)
        attainable += dcg(sorted(true, key=lambda label: propensity[label])[:k], gain)
    return reached / attainable if attainable else 0.0


def coverage(truth, best, k):
    hit = set().union(*(true & set(row[:k]) for true, row in zip(truth, best, strict=True)))
    having = set().union(*truth)
    return len(hit) / len(having) if having else 0.0


def f1_of_rows(truth, best, k):
    pairs = [(true, set(row[:k]) - {-1}) for true, row in zip(truth, best, strict=True) if true]
    scores = [2 * len(true & named) / (len(true) + len(named)) for true, named in pairs]
    return sum(scores) / len(scores) if scores else 0.0


def f1(truth, best, k, average):
    if average == "samples":
        return f1_of_rows(truth, best, k)
    pairs = [(true, set(row[:k]) - {-1}) for true, row in zip(truth, best, strict=True) if true]
    labels = set().union(*(true | named for true, named in pairs))
    scores = {}
    both_of_all = either_of_all = 0
    for label in labels:
        both = sum(label in true and label in named for true, named in pairs)
        either = sum((label in true) + (label in named) for true, named in pairs)
        scores[label] = 2 * both / either
        both_of_all, either_of_all = both_of_all + both, either_of_all + either
    if not labels:
        return 0.0
    return (
        sum(scores.values()) / len(labels)
        if average == "macro"
        else 2 * both_of_all / either_of_all
    )


def reliability(truth, best, scores, k, n_bins):
    """A list per bin of pairs: the score, and whether it hit."""
    bins = [[] for _ in range(n_bins)]
    for true, row, values in zip(truth, best, scores, strict=True):
        for label, score in list(zip(row, values, strict=True))[:k]:
            if label >= 0:
                above = [b for b in range(n_bins) if score <= np.linspace(0, 1, n_bins + 1)[b + 1]]
                bins[above[0]].append((float(score), label in true))
    return bins


def ece(truth, best, scores, k):
    bins = [pairs for pairs in reliability(truth, best, scores, k, 15) if pairs]
    total = sum(len(pairs) for pairs in bins)
    gap = 0.0
    for pairs in bins:
        confidence = sum(score for score, _ in pairs) / len(pairs)
        gap += len(pairs) / total * abs(confidence - sum(hit for _, hit in pairs) / len(pairs))
    return gap


def micro_f1(scores, is_true, n_true, threshold):
    kept = [hit for score, hit in zip(scores, is_true, strict=True) if score >= threshold]
    return Fraction(2 * sum(kept), len(kept) + n_true) if len(kept) + n_true else Fraction(0)


def best_threshold(scores, is_true, n_true):
    """Every threshold is tried; of equally good ones the highest wins."""
    tried = [math.inf, *sorted({float(score) for score in scores}, reverse=True)]
    return max(tried, key=lambda threshold: micro_f1(scores, is_true, n_true, threshold))


def propensities(truth, n_labels, a, b):
    C = (math.log(len(truth)) - 1) * (b + 1) ** a
    frequency = [sum(label in true for true in truth) for label in range(n_labels)]
    return [1 / (1 + C * math.exp(-a * math.log(count + b))) for count in frequency]


def hits(true, row):
    return len(true & set(row))


def dcg(row, gain):
    return sum(gain.get(label, 0.0) / math.log2(place + 2) for place, label in enumerate(row))


def find_hits(indptr, indices, starts, named):
    rows = range(len(indptr) - 1)
    true = [set(indices[indptr[i] : indptr[i + 1]]) for i in rows]
    of_row = [list(named[starts[i] : starts[i + 1]]) for i in rows]
    hits = [label in true[i] for i in rows for label in of_row[i]]
    filled = [[label for label in row if label >= 0] for row in of_row]
    return hits, next((i for i, row in enumerate(filled) if len(set(row)) < len(row)), -1)


def row_gains(hits, discounts):
    return [sum(float(d) for hit, d in zip(row, discounts, strict=False) if hit) for row in hits]


def place_gains(labels, hits, weights):
    places = range(hits.shape[1])
    return [
        sum(weights[label] for label, hit in zip(labels[:, j], hits[:, j], strict=True) if hit)
        for j in places
    ]


def best_place_gains(indptr, indices, weights, k):
    rows = [indices[start:end] for start, end in zip(indptr[:-1], indptr[1:], strict=True)]
    best = [sorted((weights[label] for label in row), reverse=True)[:k] for row in rows]
    return [sum(row[j] for row in best if j < len(row)) for j in range(k)]


def count_labels(indptr, labels, hits, k, n_labels):
    named, hit = [0] * n_labels, [0] * n_labels
    for i in range(len(labels)):
        for j in range(k):
            if indptr[i + 1] > indptr[i] and labels[i, j] >= 0:
                named[labels[i, j]] += 1
                hit[labels[i, j]] += int(hits[i, j])
    return named, hit
