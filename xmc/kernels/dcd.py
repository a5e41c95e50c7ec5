"""Block dual coordinate descent: 16 one-vs-rest problems over the same rows, one SIMD lane each.

Rows and features are those of a chunk. Arrays of two dimensions are flat, row after row.

    name             dtype    shape                  what
    indptr           int64    n_rows + 1             where each row's entries start
    indices          int32    entries                features, each once in a row, in any order
    data             float32  entries                their values
    norms            float32  n_rows                 squared length of each row
    inverse_cost     float32  n_rows x 16            1 / cost of an error; None if all costs are 1
    A                float32  n_rows x 16            dual variables times y
    W                float32  (n_features + 1) x 16  weights; the last are those of the bias
    row_in_chunk     int32    positives              the row of each positive
    sibling          int32    positives              the sibling that it is a positive of
    cost             float32  positives              what an error on it costs
    lane_of_sibling  int32    n_siblings             lanes 0 to 15; -1 for siblings of another group
"""

import numpy as np

from . import inner, kernel
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
AHEAD = 4  # rows: how early a row's entries are prefetched
EARLIER = 12  # rows: how early its pointer is prefetched, which says where the entries lie
LINE = 16  # indices or values in a cache line


@kernel
def solve_lanes(
    indptr, indices, data, norms, bias, diagonal, upper, tol, max_iter, seed, inverse_cost, A, W
):
    """Train 16 linear classifiers and return the number of passes over the rows.

    Each pass visits the rows in a new random order. Per lane, with y in {-1, +1}:
        min_w  1/2 |w|^2 + sum_i c_i loss(y_i w.x_i)
        dual:  min_a  1/2 a'Qa - 1'a,  0 <= a_i <= c_i upper
               Q_ij = y_i y_j x_i.x_j + [i = j] diagonal / c_i
        row i: g = y_i w.x_i - 1 + a_i diagonal / c_i
               a_i <- clip(a_i - g / Q_ii);  w += (change of y_i a_i) x_i
    squared hinge: diagonal 1/(2C), upper infinite; hinge: diagonal 0, upper C.
    Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008.

    A row that moved no lane by more than tol / 2 rests for 1, then 3, then 7 passes, which saves
    most of the work. The solver is done when no row that was due moved any lane by more than tol.

    A and W are changed in place. A holds y_i a_i and starts as `signs` gives it: the sign of a zero
    holds y_i. W starts at 0.
    """
    zero, one, ceiling = fill(np.float32(0)), fill(np.float32(1)), fill(np.float32(upper))
    bias_at = np.int64(W.shape[0] - N_LANES)
    n_rows = indptr.shape[0] - 1
    # Padded on purpose: prefetching reads `due` up to EARLIER places behind the row in turn. What
    # stands there is the number of some row, and any row is safe to prefetch.
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

            # Unsigned, as Numba tests signed indices for counting from the end.
            start, end = np.uint64(indptr[i]), np.uint64(indptr[i + 1])
            half = (end - start) // np.uint64(2)
            # Two sums, so that the additions overlap.
            first, second = fma(bias, load(W, bias_at), zero), zero
            for p in range(start, start + half):
                first = fma(data[p], load(W, np.int64(indices[p]) * N_LANES), first)
                second = fma(data[p + half], load(W, np.int64(indices[p + half]) * N_LANES), second)
            if start + half + half < end:
                p = end - np.uint64(1)
                first = fma(data[p], load(W, np.int64(indices[p]) * N_LANES), first)

            signed = load(A, np.int64(i) * N_LANES)
            a = absolute(signed)
            slope = copysign(one, signed) * (first + second) - one
            if inverse_cost is None:
                curvature = norms[i] + bias * bias + diagonal
                stepped = (
                    fma(np.float32(-1) / curvature, fma(diagonal, a, slope), a)
                    if curvature > 0
                    else ceiling
                )
                stepped = copysign(maximum(zero, minimum(stepped, ceiling)), signed)
                change = stepped - signed
                step = curvature * largest(absolute(change))
            else:
                inverse = load(inverse_cost, np.int64(i) * N_LANES)
                own = fma(diagonal, inverse, zero)
                # Where the curvature is 0, the step is infinite and is clipped.
                curvatures = own + fill(norms[i] + bias * bias)
                stepped = a - (own * a + slope) / curvatures
                stepped = copysign(maximum(zero, minimum(stepped, ceiling / inverse)), signed)
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


@inner
def _due(resting, due):
    """Write the rows that don't rest in this pass to `due` and return how many they are.

    The rest of the others is counted down.
    """
    n = 0
    for i in range(resting.shape[0]):
        if resting[i] > 0:
            resting[i] -= 1
        else:
            due[n] = i
            n += 1
    return n


@inner
def _shuffle(order, seed):
    """Fisher and Yates' shuffle, in place; returns the next seed.

    The seed is the state of a 64-bit linear congruential generator.
    """
    for i in range(order.shape[0] - 1, 0, -1):
        seed = seed * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        # Scaled by a product, as a remainder would be slower.
        j = np.int64(((seed >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        order[i], order[j] = order[j], order[i]
    return seed


@kernel
def signs(row_in_chunk, sibling, lane_of_sibling, n_rows):
    """The A to start from: +0.0 where the row is a positive of the lane's sibling, else -0.0."""
    A = np.full(n_rows * N_LANES, np.float32(-0.0))
    for t in range(row_in_chunk.shape[0]):
        lane = lane_of_sibling[sibling[t]]
        if lane >= 0:
            A[np.int64(row_in_chunk[t]) * N_LANES + lane] = np.float32(0.0)
    return A


@kernel
def inverse_costs(row_in_chunk, sibling, cost, lane_of_sibling, n_rows):
    """The inverse_cost of the rows; 1 where a row is no positive of the lane's sibling."""
    inverse_cost = np.ones(n_rows * N_LANES, np.float32)
    for t in range(row_in_chunk.shape[0]):
        lane = lane_of_sibling[sibling[t]]
        if lane >= 0:
            inverse_cost[np.int64(row_in_chunk[t]) * N_LANES + lane] = np.float32(1) / cost[t]
    return inverse_cost


@kernel
def prune(W, n_lanes, threshold):
    """(feature, lane, weight) of the weights of at least `threshold`, by feature, then by lane.

    The bias is left out, and so are zeros. int32, int32, float32.
    """
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
