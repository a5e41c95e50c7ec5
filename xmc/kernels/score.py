"""From margins to scores."""

import numpy as np

from . import kernel

L3_HINGE, L2_HINGE, LOG_SIGMOID = 0, 1, 2
LEAST = np.float32(
    -104
)  # a log-probability whose float32 probability is 0: no need to tell worse ones apart


@kernel
def add_log_probabilities(margin, width, path, transform, out):
    """Write `path` + the log-probability of each child given its parent, which is at most 0 and
    rises with the margin.

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


@kernel
def average(indptr, ids, score, margin, n_members, n_ids):
    """Candidates of the same row and id become one, the first's place: score summed / n_members,
    margin averaged.

    Gives (pointers, ids, scores, margins).
    """
    out_indptr = np.zeros(indptr.shape[0], np.int64)
    out_ids = np.empty(ids.shape[0], np.int32)
    out_score = np.empty(ids.shape[0], np.float32)
    out_margin = np.empty(ids.shape[0], np.float32)
    place = np.full(n_ids, np.int64(-1))
    found = np.zeros(ids.shape[0], np.int32)
    t = 0
    for i in range(indptr.shape[0] - 1):
        start = t
        for c in range(indptr[i], indptr[i + 1]):
            at = place[ids[c]]
            if at < start:
                at = t
                place[ids[c]] = t
                out_ids[t], out_score[t], out_margin[t] = ids[c], 0, 0
                t += 1
            out_score[at] += score[c]
            out_margin[at] += margin[c]
            found[at] += 1
        for at in range(start, t):
            out_score[at] /= n_members
            out_margin[at] /= found[at]
        out_indptr[i + 1] = t
    return out_indptr, out_ids[:t].copy(), out_score[:t].copy(), out_margin[:t].copy()


@kernel
def before(score_a, margin_a, id_a, score_b, margin_b, id_b):
    if score_a != score_b:
        return score_a > score_b
    if margin_a != margin_b:
        return margin_a > margin_b
    return id_a < id_b
