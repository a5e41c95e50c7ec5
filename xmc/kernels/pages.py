"""The pages in which a level's weights stand: 256 children at most, small enough to stay in the
cache; layer.Layer describes them.
"""

import numpy as np

from . import kernel
from .bytes import N_BYTES, as_float, count_bits, find_byte, sum_bytes
from .lanes import N_LANES, prefetch

PAGE = 256  # children
WORD = 32  # features that one word of a page's map stands for
MANY = 64  # rows from which on those with equal nodes are scored together


@kernel
def room_for(x_indptr):
    """What `add_margins` works in: one int64, int64 and float32 per feature of the longest row."""
    longest = 0
    for i in range(x_indptr.shape[0] - 1):
        longest = max(longest, x_indptr[i + 1] - x_indptr[i])
    return np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.float32)


@kernel
def room_for_page(n_rows, bucket_ptr, feature_ptr, shift):
    """Where `map_page` writes the map of any page of a layer; for few rows none is drawn."""
    n_words, n_features = 0, 0
    if n_rows >= MANY:
        for page in range(shift.shape[0]):
            n_buckets = bucket_ptr[page + 1] - bucket_ptr[page] - 1
            n_words = max(n_words, ((n_buckets << np.int64(shift[page])) + WORD - 1) // WORD)
            n_features = max(n_features, feature_ptr[page + 1] - feature_ptr[page])
    return np.empty((n_words, 2), np.uint32), np.empty(n_features + 1, np.uint32)


@kernel
def pays(n_rows, page, x_indptr, feature_ptr):
    """Whether so many rows are looked up sooner on a page if it is mapped first."""
    n_all = x_indptr.shape[0] - 1
    n_features = feature_ptr[page + 1] - feature_ptr[page]
    return n_all >= MANY and n_rows * (x_indptr[n_all] // n_all) >= n_features


@kernel
def map_page(page, bucket_ptr, feature_ptr, shift, bucket, low, more, features, before):
    """Draw a map on which many rows' features are found without comparing.

    features: for each 32 features, how many of smaller number the page has, and a bit for each that
    it has itself.
    before: entries before each of the page's features and after the last.
    """
    features[:] = 0
    f, n_entries = feature_ptr[page], 0
    first_bucket, first_feature, bits = bucket_ptr[page], f, np.int64(shift[page])
    for b in range(bucket_ptr[page + 1] - first_bucket - 1):
        last = first_feature + np.int64(bucket[first_bucket + b + 1, 0])
        while f < last:
            j = (b << bits) + np.int64(low[f])
            features[j // WORD, 1] |= np.uint32(1 << j % WORD)
            before[f - first_feature] = n_entries
            n_entries += np.int64(more[f]) + 1
            f += 1
    before[f - first_feature] = n_entries
    n_features = 0
    for w in range(features.shape[0]):
        features[w, 0] = n_features
        n_features += count_bits(np.int64(features[w, 1]))


@kernel
def add_margins(
    x_indices, x_data, page, mapped, features, before,
    bucket_ptr, feature_ptr, entry_ptr, shift, scale, bucket, low, more, child, weight,
    start, end, value, margin,
):  # fmt: skip
    """Add the weights of a row's features on a page to the margins of the page's children.

    mapped: whether `features` and `before` are the map of this page. start, end, value: what
    `room_for` gives. First all features are found and their entries asked for, then they are added
    up: so that memory is waited for once.
    """
    if mapped:
        found = _find_on_map(
            x_indices, x_data, entry_ptr[page], features, before, child, weight, start, end, value
        )
    else:
        found = _find_in_buckets(
            x_indices, x_data, page, bucket_ptr, feature_ptr, entry_ptr, shift, bucket, low, more, child, weight,
            start, end, value,
        )  # fmt: skip
    for p in range(np.uint64(found)):
        own = value[p] * scale[page]
        for e in range(np.uint64(start[p]), np.uint64(end[p])):
            margin[child[e]] += own * as_float(weight[e])


@kernel
def _find_in_buckets(
    x_indices, x_data, page, bucket_ptr, feature_ptr, entry_ptr, shift, bucket, low, more, child, weight,
    start, end, value,
):  # fmt: skip
    """Write where the entries of a row's features on a page start and end, and the features'
    values; gives how many.
    """
    first_bucket, first_feature, first_entry = bucket_ptr[page], feature_ptr[page], entry_ptr[page]
    counts = bucket.reshape(-1)
    bits = np.int64(shift[page])
    mask = (np.int64(1) << bits) - 1
    found = np.uint64(0)
    for p in range(np.uint64(x_indices.shape[0])):
        b = np.uint64(2 * (first_bucket + (np.int64(x_indices[p]) >> bits)))
        f, last = (
            first_feature + np.int64(counts[b]),
            first_feature + np.int64(counts[b + np.uint64(2)]),
        )
        e = first_entry + np.int64(counts[b + np.uint64(1)])
        wanted = np.uint8(np.int64(x_indices[p]) & mask)
        at = find_byte(low, f, wanted)
        while at == N_BYTES and f + N_BYTES < last:
            e += sum_bytes(more, f, np.int64(N_BYTES)) + N_BYTES
            f += N_BYTES
            at = find_byte(low, f, wanted)
        if f + at < last and at < N_BYTES:
            e += sum_bytes(more, f, at) + at
            start[found] = e
            end[found] = e + np.int64(more[np.uint64(f + at)]) + 1
            value[found] = x_data[p]
            _ask_for_entries(e, child, weight)
            found += np.uint64(1)
    return np.int64(found)


@kernel
def _find_on_map(
    x_indices, x_data, first_entry, features, before, child, weight, start, end, value
):
    """As `_find_in_buckets`. What isn't there is written too, and then overwritten: guessing wrong
    costs more.
    """
    found = 0
    for p in range(np.uint64(x_indices.shape[0])):
        w, bit = (
            np.uint64(x_indices[p]) // np.uint64(WORD),
            np.int64(1) << np.int64(x_indices[p]) % WORD,
        )
        word = np.int64(features[w, 1])
        start[np.uint64(found)] = np.int64(features[w, 0]) + count_bits(word & (bit - 1))
        value[np.uint64(found)] = x_data[p]
        found += np.int64((word & bit) != 0)
    for p in range(np.uint64(found)):
        f = np.uint64(start[p])
        start[p] = first_entry + np.int64(before[f])
        end[p] = first_entry + np.int64(before[f + np.uint64(1)])
        _ask_for_entries(start[p], child, weight)
    return found


@kernel
def _ask_for_entries(e, child, weight):
    prefetch(child, e)
    prefetch(weight, e)
    prefetch(weight, e + N_LANES)


@kernel
def count_buckets(feature, sizes, shift, n_buckets):
    """Features and entries before each bucket and after the last; sizes: entries of each feature."""
    bucket = np.zeros((n_buckets + 1, 2), np.uint32)
    for f in range(feature.shape[0]):
        bucket[(feature[f] >> shift) + 1, 0] += np.uint32(1)
        bucket[(feature[f] >> shift) + 1, 1] += np.uint32(sizes[f])
    for b in range(n_buckets):
        bucket[b + 1, 0] += bucket[b, 0]
        bucket[b + 1, 1] += bucket[b, 1]
    return bucket
