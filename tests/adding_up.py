"""What must add up in an explanation, within rounding of float32.

    python tests/adding_up.py MODEL FILE 1000 [--seed 0]

explains so many random pairs of a row of a .tsv file and a label that is found for it, or, one time
in four, any label; prints the largest difference, and ends with 1 if one is too large.
"""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np

from xmc import load
from xmc.io import read

CLOSE = 1e-5


def differences(why, score: float) -> list[float]:
    """How far sums lie from what they must be; score: as the model predicts it."""
    found = [why.score - score]
    for model in why.models:
        reached = 0.0
        for member in filter(None, model.members):
            found += [_of_node(node) for node in member.nodes]
            path = sum(node.log_probability for node in member.nodes)
            found.append(math.exp(path) - member.probability)
            reached += member.probability * member.reached
        found.append(reached / len(model.members) - model.probability)
    if why.log_odds is not None:
        found += [sum(c.share for c in own.columns) - own.share for own in why.evidence]
        found.append(why.start + sum(own.share for own in why.evidence) - why.log_odds)
        if why.is_candidate:
            found.append(1 / (1 + math.exp(-why.log_odds)) - score)
    return found


def _of_node(node) -> float:
    """The difference of a node's margin, over its size where that is above 1."""
    total = node.bias + sum(own.share for own in node.features)
    return (total - node.margin) / max(1.0, abs(node.margin))


def main() -> None:
    parser = argparse.ArgumentParser(description="Explain random pairs of a row and a label.")
    parser.add_argument("model")
    parser.add_argument("file")
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    model, texts = load(wanted.model), read(wanted.file).texts
    rng, worst = np.random.default_rng(wanted.seed), 0.0
    for _ in range(wanted.n):
        text = texts[rng.integers(len(texts))]
        P = model.predict_proba([text])
        label = rng.choice(P.indices) if rng.random() < 0.75 else rng.integers(P.shape[1])
        why = model.explain(text, model.label_ids_[label])
        worst = max(worst, *map(abs, differences(why, float(P[0, label]))))
    print(f"{wanted.n:,} pairs: {worst:.1e} at most")
    sys.exit(worst > CLOSE)


if __name__ == "__main__":
    main()
