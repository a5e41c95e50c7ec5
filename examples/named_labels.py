"""Suggest a label that no training text has: a vocabulary says what it is called.

A last stage weighs what the base models say of a label and how well its names fit the text. It
learns that from texts that were held out, and some of their labels were rare enough to have no
other text: so it knows what a name alone is worth.
"""

from itertools import product

import numpy as np

from xmc import OneVsAllClassifier, TextClassifier, Vocabulary

MATERIALS = "amber bronze copper cotton glass leather marble paper silk timber wool".split()
CRAFTS = "auctions dyeing exports forgery guilds museums prices recycling smuggling taxes".split()
PLACES = "Antwerp Bergen Cadiz Danzig Exeter Florence Genoa Hamburg Izmir Kyoto".split()
NAMES = {f"s{n:03}": " ".join(both) for n, both in enumerate(product(MATERIALS, CRAFTS))}
vocabulary = Vocabulary.of((label, name, "preferred", "en") for label, name in NAMES.items())
UNTRAINED = "s006"  # amber prices


def generated(n_texts, rng):
    """Titles, and the one or two subjects of each; few subjects are frequent."""
    trained = [label for label in NAMES if label != UNTRAINED]
    chance = rng.permutation(1 / np.arange(1, len(trained) + 1))
    texts, labels = [], []
    for _ in range(n_texts):
        own = rng.choice(trained, rng.integers(1, 3), replace=False, p=chance / chance.sum())
        about = " and ".join(NAMES[label] for label in own)
        texts.append(f"{about} in {rng.choice(PLACES)}, {rng.integers(1600, 1900)}")
        labels.append(own.tolist())
    return texts, labels


texts, labels = generated(600, np.random.default_rng(0))
model = TextClassifier(
    OneVsAllClassifier(random_state=0), vocabulary=vocabulary, rerank=True, min_df=1
).fit(texts, labels)

column = model.label_ids_.index(UNTRAINED)
print(f"{NAMES[UNTRAINED]}: {model.label_counts_[column]} of {len(texts)} training texts")
for suggestion in model.suggest("amber prices and paper museums in Lisbon, 1755", k=3):
    print(f"  {suggestion.score:.2f}  {suggestion.name} ({suggestion.id})")
