"""What a score is, from margin to order: the one place where it is written down.

    z = w . x + bias * w_bias          margin of a node or a label
    log p(z) <= 0                      of a child given its parent, one of
        -max(0, 1 - z)^3               l3_hinge
        -max(0, 1 - z)^2               l2_hinge
        -log(1 + exp(-z))              log_sigmoid
    path = sum of log p(z)             from the root down, never below LEAST;
                                       the only child of an inner node adds 0
    p = exp(path)                      probability of a label in one tree
    p = sum of p / n_members           over an ensemble; a member whose beam missed the label adds 0
    p = p^(1 - share) * t^share        with tail classifiers; ranking/tail.py says what t is
    score = boost * p                  with optimize="psp": the label's inverse propensity over the
                                       largest one; otherwise boost is 1

Labels are in order of score, then margin (averaged over the members that found the label), then
smaller id. Nodes of inner levels, which nobody sees, are in order of path, margin, id.
The descent (beam.py) computes the steps down to p for one tree, and its boost; ensemble.py the mean
over several, and ranking/search.py puts the others together.

Arrays:
    margin, score, path    float32, one per candidate
    ids                    int32, labels
    indptr                 int64, (rows + 1,), ascending: where each row's candidates start
"""

import numpy as np

from . import inner, kernel

L3_HINGE, L2_HINGE, LOG_SIGMOID = 0, 1, 2
# The float32 probability of this path is 0: no need to tell worse ones apart.
LEAST = np.float32(-104)
# What rounding may add to the difference of two paths whose probabilities are in order.
SLACK = np.float32(1e-4)
# Below the smallest normal float32, rounding may double a probability: log(2) and a bit.
NORMAL, SLACK_BELOW = np.float32(2.0**-126), np.float32(0.7)


@kernel
def add_log_probabilities(margin, width, path, transform, out):
    """Write `path` + log p of each child, which rises with its margin.

    One loop per transform, without branches: many children at a time.
    """
    if transform == LOG_SIGMOID:
        for c in range(width):
            out[c] = path + min(np.float32(0), margin[c]) - np.log1p(np.exp(-abs(margin[c])))
    elif transform == L3_HINGE:
        for c in range(width):
            short = max(np.float32(0), np.float32(1) - margin[c])
            out[c] = path - short * short * short
    else:
        for c in range(width):
            short = max(np.float32(0), np.float32(1) - margin[c])
            out[c] = path - short * short
    for c in range(width):
        out[c] = max(out[c], LEAST)


@inner
def probability(path):
    """The probability of a path."""
    return np.exp(path)


@inner
def lowest_path(score):
    """A path below this has a smaller score than the given one, whatever the boost, which is 1 at
    most. A path above it may have a smaller score, too.
    """
    if score <= 0:
        return np.float32(-np.inf)
    return np.log(score) - (SLACK if score >= NORMAL else SLACK_BELOW)


@inner
def before(score_a, margin_a, id_a, score_b, margin_b, id_b):
    """Whether candidate a ranks before candidate b."""
    if score_a != score_b:
        return score_a > score_b
    if margin_a != margin_b:
        return margin_a > margin_b
    return id_a < id_b
