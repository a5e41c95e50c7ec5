"""Spherical k-means over sparse unit rows: k clusters of any size, or two of given sizes.

name        dtype    shape                         what
indptr      int64    n_rows + 1                    where each row's entries start
indices     int32    entries                       features, each once in a row, in any order
data        float32  entries                       values; rows have length 1, or 0
x_...                                              the same of the training rows
y_indptr    int64    n_labels + 1                  where each label's rows start
rows        int32    positives                     the training rows of each label
labels      int32    any                           the labels that are embedded
points      int32    n_points                      the rows that are split
cluster     int32    n_rows                        the cluster of each row; -1 for none
similarity  float32  n_rows                        with the centroid of its cluster
centroids   float32  n_groups x n_features x 16    flat; a group is 16 clusters, one per lane
left        bool     n_points                      whether a point is in the first of two clusters
direction   float32  n_features                    left centroid - right centroid
sums        float32  (2, n_features)               the rows of the left and of the right cluster
features    int32    any                           those of the points, in order of appearance
seeds       int64    2                             the points to start from, left and right
"""

import numpy as np

from . import kernel
from .lanes import N_LANES, fill, fma, load, store


@kernel
def embed(y_indptr, rows, x_indptr, x_indices, x_data, labels, n_kept, total, mark):
    """(indptr, indices, data): the embedding of each label, the direction of the sum of its rows.

    Of each sum, the n_kept largest features are kept and then scaled to length 1. total, mark: one
    float32 and one bool per feature, scratch: all 0, and all 0 again afterwards.
    """
    out_indptr = np.zeros(labels.shape[0] + 1, np.int64)
    out_indices = np.empty(labels.shape[0] * n_kept, np.int32)
    out_data = np.empty(labels.shape[0] * n_kept, np.float32)
    seen = np.empty(total.shape[0], np.int32)
    t = 0
    for n in range(labels.shape[0]):
        n_seen = 0
        for q in range(y_indptr[labels[n]], y_indptr[labels[n] + 1]):
            for p in range(x_indptr[rows[q]], x_indptr[rows[q] + 1]):
                j = x_indices[p]
                if not mark[j]:
                    mark[j] = True
                    seen[n_seen] = j
                    n_seen += 1
                total[j] += x_data[p]
        least, ties = np.float32(-1), 0
        if n_seen > n_kept:
            sizes = np.abs(total[seen[:n_seen]])
            sizes.sort()  # np.partition would do, but takes ten seconds to compile
            least = sizes[n_seen - n_kept]
            ties = n_kept - (sizes > least).sum()
        start, square = t, 0.0
        for s in range(n_seen):
            size = abs(total[seen[s]])
            ties -= size == least
            if size > least or (size == least and ties >= 0):
                out_indices[t] = seen[s]
                out_data[t] = total[seen[s]]
                square += np.float64(out_data[t]) ** 2
                t += 1
        for s in range(n_seen):
            total[seen[s]] = 0
            mark[seen[s]] = False
        if square > 0:
            out_data[start:t] *= np.float32(1 / np.sqrt(square))
        out_indptr[n + 1] = t
    return out_indptr, out_indices[:t].copy(), out_data[:t].copy()


@kernel
def nearest(indptr, indices, data, first, last, centroids, n_clusters, cluster, similarity):
    """Write `cluster` and `similarity` of rows first to last - 1: those of the nearest centroid.

    Of equally near centroids, the first one counts. All rows meet one group of centroids before the
    next one, so that a group stays in the processor's cache.
    """
    n_groups = (n_clusters + N_LANES - 1) // N_LANES
    group_size = centroids.shape[0] // n_groups
    lanes = np.empty(N_LANES, np.float32)
    for group in range(n_groups):
        at = np.int64(group) * group_size
        for i in range(first, last):
            total = fill(np.float32(0))
            for p in range(np.uint64(indptr[i]), np.uint64(indptr[i + 1])):
                total = fma(data[p], load(centroids, at + np.int64(indices[p]) * N_LANES), total)
            store(lanes, np.int64(0), total)
            for c in range(min(N_LANES, n_clusters - group * N_LANES)):
                if (group == 0 and c == 0) or lanes[c] > similarity[i]:
                    cluster[i] = group * N_LANES + c
                    similarity[i] = lanes[c]


@kernel
def means(indptr, indices, data, cluster, group, n_features, centroids):
    """Write one group of centroids: the means of the clusters' rows, scaled to length 1.

    The centroid of an empty cluster is 0.
    """
    first = group * N_LANES
    lanes = centroids[first * n_features : (first + N_LANES) * n_features]
    lanes[:] = 0
    square = np.zeros(N_LANES, np.float64)
    for i in range(indptr.shape[0] - 1):
        if not 0 <= cluster[i] - first < N_LANES:
            continue
        for p in range(indptr[i], indptr[i + 1]):
            lanes[np.int64(indices[p]) * N_LANES + cluster[i] - first] += data[p]
    for t in range(lanes.shape[0]):
        square[t % N_LANES] += np.float64(lanes[t]) ** 2
    scale = np.zeros(N_LANES, np.float32)
    for c in range(N_LANES):
        if square[c] > 0:
            scale[c] = 1 / np.sqrt(square[c])
    for t in range(lanes.shape[0]):
        lanes[t] *= scale[t % N_LANES]


@kernel
def bisect(indptr, indices, data, n_features, points, n_left, seeds, tol, max_iter):
    """(left, direction) of 2-means of the points, whose left cluster has n_left of them.

    It stops when the summed similarity grows by a share of `tol` or less, or after max_iter passes.
    Rows are read where they are: a copy of the points' rows would take as much memory again.
    """
    features = _used_features(indptr, indices, n_features, points)
    direction = np.zeros(n_features, np.float32)
    for side in range(2):
        seed = points[seeds[side]]
        for p in range(indptr[seed], indptr[seed + 1]):
            direction[indices[p]] += data[p] if side == 0 else -data[p]
    sums = np.zeros((2, n_features), np.float32)
    left = np.zeros(points.shape[0], np.bool_)
    before = -np.inf
    for _ in range(max_iter):
        left = split_along(indptr, indices, data, points, n_left, direction)
        _add_sides(indptr, indices, data, points, left, features, sums)
        together = _turn(features, sums, direction)
        if together <= before * (1 + tol):
            break
        before = together
    return left, direction


@kernel
def split_along(indptr, indices, data, points, n_left, direction):
    """`left` for the n_left points that lie farthest in the direction, of equal ones the first."""
    similarity = np.empty(points.shape[0], np.float32)
    for i in range(points.shape[0]):
        total = np.float32(0)
        for p in range(indptr[points[i]], indptr[points[i] + 1]):
            total += data[p] * direction[indices[p]]
        similarity[i] = total
    return choose_left(similarity, n_left)


@kernel
def choose_left(similarity, n_left):
    """True where one of the n_left most similar points is, of equal ones the first."""
    left = np.zeros(similarity.shape[0], np.bool_)
    if n_left == 0:
        return left
    least = -np.partition(-similarity, n_left - 1)[n_left - 1]
    n_equal = n_left
    for i in range(similarity.shape[0]):
        left[i] = similarity[i] > least
        n_equal -= left[i]
    for i in range(similarity.shape[0]):
        if n_equal == 0:
            break
        if similarity[i] == least:
            left[i] = True
            n_equal -= 1
    return left


@kernel
def _used_features(indptr, indices, n_features, points):
    """The features of the points in the order in which they come: sums that run over them in it
    don't depend on how features are numbered, nor on features of other rows.
    """
    seen = np.zeros(n_features, np.bool_)
    features = np.empty(n_features, np.int32)
    n = 0
    for i in points:
        for p in range(indptr[i], indptr[i + 1]):
            if not seen[indices[p]]:
                seen[indices[p]] = True
                features[n] = indices[p]
                n += 1
    return features[:n].copy()


@kernel
def _add_sides(indptr, indices, data, points, left, features, sums):
    """Write the sums of the points on either side."""
    for j in features:
        sums[0, j] = 0
        sums[1, j] = 0
    for i in range(points.shape[0]):
        side = 0 if left[i] else 1
        for p in range(indptr[points[i]], indptr[points[i] + 1]):
            sums[side, indices[p]] += data[p]


@kernel
def _turn(features, sums, direction):
    """Write the direction between the centroids of length 1.

    Returns the summed similarity of all points with the centroids of their own clusters.
    """
    length = np.zeros(2)
    for side in range(2):
        for j in features:
            length[side] += np.float64(sums[side, j]) ** 2
        length[side] = np.sqrt(length[side])
    scale_left = np.float32(1 / length[0]) if length[0] > 0 else np.float32(0)
    scale_right = np.float32(1 / length[1]) if length[1] > 0 else np.float32(0)
    for j in features:
        direction[j] = sums[0, j] * scale_left - sums[1, j] * scale_right
    return length[0] + length[1]
