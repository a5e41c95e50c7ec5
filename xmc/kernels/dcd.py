"""Block dual coordinate descent: 16 one-vs-rest problems over the same rows, one SIMD lane each."""

import numpy as np

from . import kernel
from .lanes import (
    N_LANES,
    absolute,
    copysign,
    fill,
    fma,
    largest,
    load,
    maximum,
    minimum,
    prefetch,
    store,
)

LONGEST_REST = 7  # passes
AHEAD = 4  # rows: how early the next ones are fetched, which memory would otherwise be waited for
EARLIER = 12  # rows: how early it is fetched where they lie
LINE = 16  # indices or values in a cache line


@kernel
def solve_lanes(
    indptr, indices, data, norms, bias, diagonal, upper, tol, max_iter, seed, ease, A, W
):
    """Train 16 linear classifiers on the rows, in a new random order in each pass; returns the
    number of passes.

    Per lane, with y in {-1, +1} (Hsieh et al., ICML 2008):
        min_w  1/2 |w|^2 + sum_i c_i loss(y_i w.x_i)
        dual:  min_a  1/2 a'Qa - 1'a,  0 <= a_i <= c_i upper,  Q_ij = y_i y_j x_i.x_j + [i = j]
        diagonal / c_i
        row i: g = y_i w.x_i - 1 + a_i diagonal / c_i;  a_i <- clip(a_i - g / Q_ii);  w += (change
        of y_i a_i) x_i
    squared hinge: diagonal 1/(2C), upper infinite; hinge: diagonal 0, upper C.
    ease: flat (rows x 16), 1/c_i of each lane; None if all are 1.

    A row that moved no lane by more than tol / 2 rests for 1, then 3, then 7 passes, which saves
    most of the work; the solver is done when no row that was due moved any lane by more than tol.

    A: flat (rows x 16) signed dual variables y_i a_i; the sign of a zero holds y_i. Starts at +0.0
    and -0.0.
    W: flat ((features + 1) x 16) weights, the bias's last. Starts at 0. Both are changed in place.
    """
    zero, one, ceiling = fill(np.float32(0)), fill(np.float32(1)), fill(np.float32(upper))
    bias_at = np.int64(W.shape[0] - N_LANES)
    n_rows = indptr.shape[0] - 1
    due = np.zeros(n_rows + EARLIER, np.int32)
    rest = np.zeros(n_rows, np.int8)
    resting = np.zeros(n_rows, np.int8)
    for n_pass in range(max_iter):
        violation = np.float32(0)
        n_due = _due(resting, due)
        seed = _shuffle(due[:n_due], seed)
        for t in range(n_due):
            i, soon = due[t], due[t + AHEAD]
            prefetch(indptr, np.int64(due[t + EARLIER]))
            prefetch(norms, np.int64(soon))
            prefetch(A, np.int64(soon) * N_LANES)
            for p in range(indptr[soon], indptr[soon + 1], LINE):
                prefetch(indices, p)
                prefetch(data, p)

            start, end = (
                np.uint64(indptr[i]),
                np.uint64(indptr[i + 1]),
            )  # unsigned: no test for counting from the end
            half = (end - start) // np.uint64(2)
            first, second = (
                fma(bias, load(W, bias_at), zero),
                zero,
            )  # two sums, so that additions overlap
            for p in range(start, start + half):
                first = fma(data[p], load(W, np.int64(indices[p]) * N_LANES), first)
                second = fma(data[p + half], load(W, np.int64(indices[p + half]) * N_LANES), second)
            if start + half + half < end:
                p = end - np.uint64(1)
                first = fma(data[p], load(W, np.int64(indices[p]) * N_LANES), first)

            signed = load(A, np.int64(i) * N_LANES)
            a = absolute(signed)
            short = copysign(one, signed) * (first + second) - one
            if ease is None:
                curvature = norms[i] + bias * bias + diagonal
                stepped = (
                    fma(np.float32(-1) / curvature, fma(diagonal, a, short), a)
                    if curvature > 0
                    else ceiling
                )
                stepped = copysign(maximum(zero, minimum(stepped, ceiling)), signed)
                change = stepped - signed
                step = curvature * largest(absolute(change))
            else:
                eased = load(ease, np.int64(i) * N_LANES)
                own = fma(diagonal, eased, zero)
                curvatures = own + fill(
                    norms[i] + bias * bias
                )  # where it is 0, the step is infinite, and clipped
                stepped = a - (own * a + short) / curvatures
                stepped = copysign(maximum(zero, minimum(stepped, ceiling / eased)), signed)
                change = stepped - signed
                step = largest(curvatures * absolute(change))
            rest[i] = min(2 * rest[i] + 1, LONGEST_REST) if 2 * step <= tol else 0
            resting[i] = rest[i]
            if step > 0:
                violation = max(violation, step)
                store(A, np.int64(i) * N_LANES, stepped)
                store(W, bias_at, fma(bias, change, load(W, bias_at)))
                for p in range(start, end):
                    offset = np.int64(indices[p]) * N_LANES
                    store(W, offset, fma(data[p], change, load(W, offset)))
        if violation <= tol:
            return n_pass + 1
    return max_iter


@kernel
def _due(resting, due):
    """List the rows that don't rest in this pass and count the others' rest down; gives their
    number.
    """
    n = 0
    for i in range(resting.shape[0]):
        if resting[i] > 0:
            resting[i] -= 1
        else:
            due[n] = i
            n += 1
    return n


@kernel
def _shuffle(order, seed):
    """Fisher and Yates' shuffle driven by a 64-bit linear congruential generator; gives its new
    state.
    """
    for i in range(order.shape[0] - 1, 0, -1):
        seed = seed * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        j = np.int64(
            ((seed >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32)
        )  # a remainder would be slower
        order[i], order[j] = order[j], order[i]
    return seed


@kernel
def signs(place, column, lane_of_column, n_rows):
    """Dual variables to start from: flat (rows x 16), +0.0 where the row has the lane's label, else
    -0.0.
    """
    A = np.full(n_rows * N_LANES, np.float32(-0.0))
    for t in range(place.shape[0]):
        lane = lane_of_column[column[t]]
        if lane >= 0:
            A[np.int64(place[t]) * N_LANES + lane] = np.float32(0.0)
    return A


@kernel
def eases(place, column, cost, lane_of_column, n_rows):
    """1 / cost of an error, flat (rows x 16): 1 where the row doesn't have the lane's label."""
    ease = np.ones(n_rows * N_LANES, np.float32)
    for t in range(place.shape[0]):
        lane = lane_of_column[column[t]]
        if lane >= 0:
            ease[np.int64(place[t]) * N_LANES + lane] = np.float32(1) / cost[t]
    return ease


@kernel
def prune(W, n_lanes, threshold):
    """Entries of W of at least `threshold` (bias aside), in feature order: (feature, lane, weight)."""
    n_features = W.shape[0] // N_LANES - 1
    kept = np.empty(n_features, np.int32)  # features that may have one
    n_kept, total = 0, 0
    for j in range(n_features):
        most = largest(absolute(load(W, np.int64(j) * N_LANES)))
        if most >= threshold and most > 0:
            kept[n_kept] = j
            n_kept += 1
            for b in range(n_lanes):
                w = W[j * N_LANES + b]
                total += w != 0 and abs(w) >= threshold
    feature = np.empty(total, np.int32)
    lane = np.empty(total, np.int32)
    weight = np.empty(total, np.float32)
    t = 0
    for j in kept[:n_kept]:
        for b in range(n_lanes):
            w = W[np.int64(j) * N_LANES + b]
            if w != 0 and abs(w) >= threshold:
                feature[t] = j
                lane[t] = b
                weight[t] = w
                t += 1
    return feature, lane, weight
