"""Fit a vectoriser of one kind of features in memory that goes by features, not by texts.

scikit-learn's `fit` keeps the counts of every text until it has seen all of them. What it learns
needs only how many texts have each feature.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer


def fit_counting(vectorizer: TfidfVectorizer, texts: Iterable[str]) -> TfidfVectorizer:
    """The vectoriser, fitted: the same features and weights as its own `fit` finds, to the bit.

    Its settings are those of `analyzers.part`: min_df counts texts, and nothing bounds how many may
    have a feature. Raises ValueError if no feature is left.
    """
    features, frequency, totals, n_texts = _counted(vectorizer, texts)
    names = [name for name, column in features.items() if frequency[column] >= vectorizer.min_df]
    names.sort()
    columns = np.array([features[name] for name in names], np.int64)
    if vectorizer.max_features is not None and len(names) > vectorizer.max_features:
        # As scikit-learn chooses among equals.
        best = np.sort((-totals[columns]).argsort()[: vectorizer.max_features])
        names, columns = [names[n] for n in best], columns[best]
    if not names:
        raise ValueError("expected features, found none")
    vectorizer.vocabulary_ = {name: column for column, name in enumerate(names)}
    vectorizer.idf_ = _weights(frequency[columns], n_texts)
    return vectorizer


def _counted(
    vectorizer: TfidfVectorizer, texts: Iterable[str]
) -> tuple[dict[str, int], np.ndarray, np.ndarray, int]:
    """The number of each feature as they came, how many texts have it, how often it comes, and how
    many texts there are.
    """
    analyze, features = vectorizer.build_analyzer(), dict[str, int]()
    frequency, totals, n_texts = array("q"), array("f"), 0
    for text in texts:
        n_texts += 1
        for name, count in Counter(analyze(text)).items():
            column = features.setdefault(name, len(features))
            if column == len(frequency):
                frequency.append(0)
                totals.append(0)
            frequency[column] += 1
            totals[column] += count
    return features, np.array(frequency), np.array(totals), n_texts


def _weights(frequency: np.ndarray, n_texts: int) -> np.ndarray:
    """float32, the idf of features that so many texts have, rounded step by step as scikit-learn
    does: log((n + 1) / (df + 1)) + 1.
    """
    df = frequency.astype(np.float32)
    df += 1.0
    idf = np.full_like(df, n_texts + 1)
    idf /= df
    np.log(idf, out=idf)
    idf += 1.0
    return idf
