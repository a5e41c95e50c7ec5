"""A model small enough to be drawn whole: nine labels in three topics, trained on short texts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from xmc import LabelTree, LabelTreeClassifier, TextClassifier
from xmc.kernels.score import add_log_probabilities
from xmc.layer import Layer, unpack
from xmc.ranking.search import TRANSFORMS

DOCUMENTS = """
cats: cat purrs, fur warm
cats: cat hunts mouse, fur, claws
cats: kitten plays, fur, claws
dogs: dog barks, fur, leash
dogs: puppy plays, fur, leash
dogs: dog hunts, barks
birds: bird sings, feathers, nest
birds: owl hunts mouse, feathers
birds: chicks, nest, feathers
bread: bake bread, flour, oven
bread: flour, salt, yeast, oven
bread: bread warm, bake, salt
soup: boil soup, onion, salt
soup: warm soup, bowl, onion
soup: boil water, salt, bowl
pasta: pasta, flour, egg, boil
pasta: boil pasta, salt, water
pasta: bake pasta, oven, onion
trains: train leaves station, ticket
trains: night train, rails, ticket
trains: rails, station, bridge
ships: ship leaves harbour, sea
ships: ticket, ship, sea, night
ships: sail, sea, harbour
bikes: bike, wheels, road, bridge
bikes: ride bike, wheels, road
bikes: ride, road, station
"""
LABELS, TEXTS = zip(*(line.split(": ") for line in DOCUMENTS.strip().splitlines()), strict=True)
NAMES = ["birds", "cats", "dogs", "bread", "pasta", "soup", "bikes", "ships", "trains"]
TOPICS = ["animals", "food", "travel"]
ASKED = "cat hunts mouse on night train"
BEAM = 2


class Scored(NamedTuple):
    """A node on the way of one row: its margin, log p of it given its parent, and its path."""

    margin: float
    log_p: float
    path: float


def train() -> TextClassifier:
    """The model. Its tree is given, so that nodes have names; k-means would grow one, too."""
    tree = LabelTree(
        (np.array([0, 3]), np.array([0, 3, 6, 9])), np.arange(len(NAMES), dtype=np.int32)
    )
    classifier = LabelTreeClassifier(tree=tree, beam_size=BEAM, random_state=0, n_jobs=1)
    labels = [[label] for label in LABELS]
    # Plain words, so that each feature that the figures show is one.
    model = TextClassifier(classifier, min_df=1, opening=0)
    return model.fit(TEXTS, labels, label_ids=NAMES)


def layers(model: TextClassifier) -> tuple[Layer, ...]:
    return model.model_.predictor.members[0].layers


def row_of(model: TextClassifier, text: str) -> sp.csr_matrix:
    """The features of a text."""
    return model.vectorizer_.transform([text])


def words(model: TextClassifier) -> list[str]:
    """The word that each feature counts."""
    return list(model.vectorizer_.get_feature_names_out())


def weights(model: TextClassifier, level: int) -> np.ndarray:
    """The weights of a level, (n_features, nodes); the pages' weights put side by side."""
    layer = layers(model)[level]
    W = np.zeros((len(words(model)), layer.chunk_ptr[-1]), np.float32)
    for page in range(len(layer.shift)):  # no chunk is so wide that it has two
        feature, child, weight = unpack(layer, page, len(W))
        W[feature, layer.chunk_ptr[page] + child] = weight
    return W


def descent(model: TextClassifier, text: str) -> list[list[Scored]]:
    """Every node of both levels as the text's row would see it, in or out of the beam."""
    x, found, path = row_of(model, text), [], np.zeros(1)
    for level, layer in enumerate(layers(model)):
        margin = np.asarray(x @ weights(model, level)).ravel() + layer.bias_weight
        log_p = log_probability(margin, "l3_hinge")
        path = np.repeat(path, np.diff(layer.chunk_ptr)) + log_p
        found.append([Scored(*map(float, node)) for node in zip(margin, log_p, path, strict=True)])
    return found


def log_probability(margin: np.ndarray, transform: str) -> np.ndarray:
    """What the kernel makes of margins."""
    out = np.empty(len(margin), np.float32)
    kind = TRANSFORMS[transform]
    add_log_probabilities(margin.astype(np.float32), len(margin), np.float32(0), kind, out)
    return out
