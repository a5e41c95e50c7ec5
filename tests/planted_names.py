"""Data of which it is known what names, neighbours and a last stage can find in them."""

from itertools import product

import numpy as np
import scipy.sparse as sp

from xmc import Vocabulary

SYLLABLES = [a + b for a, b in product("bdfgklmnprst", "aeiou")]


def words(n, seed):
    """Different words of four syllables, which have next to no n-gram in common."""
    rng, found = np.random.default_rng(seed), {}
    while len(found) < n:
        found["".join(rng.choice(SYLLABLES, 4))] = None
    return list(found)


N_CONCEPTS, N_UNTRAINED = 150, 30
IDS = [f"c{n:03}" for n in range(N_CONCEPTS)]
NAMES = dict(zip(IDS, words(N_CONCEPTS, 0), strict=True))
UNTRAINED = IDS[::5]  # have no training row
NOISE = words(300, 1)
VOCABULARY = Vocabulary.of([(own, name, "preferred", None) for own, name in NAMES.items()])
HIDDEN, FALSE = 0.15, 0.3  # of the labels of a text; of the texts


def named_texts(n_rows, seed, untrained=False):
    """(texts, label ids): each text has one or two labels, few of them often. It has the name of
    each but the HIDDEN ones, and a FALSE share of the texts has a name that isn't its label.

    untrained: the last label of each row is one of UNTRAINED, which else don't occur.
    """
    rng = np.random.default_rng(seed)
    known = sorted(set(IDS) - set(UNTRAINED))
    rare = 1 / np.arange(1, len(known) + 1)
    texts, labels = [], []
    for _ in range(n_rows):
        n = int(rng.integers(1, 3))
        own = rng.choice(known, n, replace=False, p=rare / rare.sum()).tolist()
        if untrained:
            own[-1] = str(rng.choice(UNTRAINED))
        text = [NAMES[label] for label in own if rng.random() >= HIDDEN]
        text += [NAMES[str(rng.choice(IDS))]] * int(rng.random() < FALSE)
        text += rng.choice(NOISE, 6).tolist()
        texts.append(" ".join(rng.permutation(text).tolist()))
        labels.append(sorted(own))
    return texts, labels


def matrix_of(labels, ids):
    """Lists of ids as 0/1 CSR; an id that no column has is left out."""
    column = {label: n for n, label in enumerate(ids)}
    pairs = [(i, column[own]) for i, row in enumerate(labels) for own in row if own in column]
    rows, columns = zip(*pairs, strict=True)
    shape = len(labels), len(ids)
    return sp.csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), shape)


def described_labels(n_rows, seed, n_labels=150, n_features=300, n_own=4):
    """(X, Y, label_features): each label has four features of its own choice, and a row has three
    of them for each of its one or two labels, and others. Labels have few rows.
    """
    of_labels = np.random.default_rng(0).random((n_labels, n_features)).argsort(axis=1)[:, :n_own]
    rng = np.random.default_rng(seed)
    X, Y = np.zeros((n_rows, n_features), np.float32), np.zeros((n_rows, n_labels), np.float32)
    for i in range(n_rows):
        own = rng.choice(n_labels, rng.integers(1, 3), replace=False)
        Y[i, own] = 1
        for label in own:
            X[i, rng.choice(of_labels[label], n_own - 1, replace=False)] = 1
        X[i, rng.choice(n_features, 15)] = 1
    features = np.zeros((n_labels, n_features), np.float32)
    np.put_along_axis(features, of_labels, 1, axis=1)
    return sp.csr_matrix(X), sp.csr_matrix(Y), sp.csr_matrix(features)


def unrelated(n_rows, seed, n_labels=20, n_features=200):
    """(X, Y): no two rows are alike, and their two labels of 20 have nothing to do with them."""
    rng = np.random.default_rng(seed)
    X = (rng.random((n_rows, n_features)) < 0.1) * rng.uniform(0.5, 1, (n_rows, n_features))
    Y = (rng.random((n_rows, n_labels)).argsort(axis=1) < 2).astype(np.float32)
    return sp.csr_matrix(X.astype(np.float32)), sp.csr_matrix(Y)
