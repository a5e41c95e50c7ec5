"""How the weights of a level lie in memory, and how a row's features are found there.

A page holds the weights of 256 siblings at most, small enough to stay in the cache. Its features
ascend and stand in buckets by number, its entries ascend by feature, then child. The pages of a
level lie end to end in these arrays:
    bucket_ptr    int64, (pages + 1,)       where each page's part of `bucket` starts; ascending
    feature_ptr   int64, (pages + 1,)       where its part of `low` and `more` starts; ascending
    entry_ptr     int64, (pages + 1,)       where its part of `child` and `weight` starts; ascending
    shift         uint8, (pages,)           a bucket spans 2**shift features, 256 at most
    scale         float32, (pages,)         what its stored weights are multiplied by
    bucket        uint32, (buckets, 2)      features and entries of the page before each bucket; one
                                            more bucket ends the page
    low           uint8, (features + 16,)   a feature's number without the bucket's; 16 are read at
                                            once, so 16 zeros end it
    more          uint8, (features + 16,)   number of its entries minus 1; 16 zeros end it
    child         uint8, (entries,)         a child's node minus the page's first node
    weight        float32, int8, or uint16 with the bits of a float16, (entries,)

Rows are CSR: indptr int64, indices int32, ascending in each row, data float32.

Of a model from a file, all of this was checked but `low`, `more`, `child` and `weight`, which would
mean to read the whole file. Whatever bytes stand there, kernels stay within a page: entries end
with the page's, and a page has room for the margins of 256 children.
"""

from typing import NamedTuple

import numpy as np

from . import inner, kernel
from .bytes import N_BYTES, as_float, count_bits, find_byte, sum_bytes
from .lanes import N_LANES, prefetch

PAGE = 256  # children
WORD = 32  # features that one word of a page's map stands for
MANY = 64  # from so many rows on, those with equal nodes are scored together


class Rows(NamedTuple):
    """Sparse rows."""

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray


class Pages(NamedTuple):
    """All pages of a level."""

    bucket_ptr: np.ndarray
    feature_ptr: np.ndarray
    entry_ptr: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    bucket: np.ndarray
    low: np.ndarray
    more: np.ndarray
    child: np.ndarray
    weight: np.ndarray


class Page(NamedTuple):
    """One page: its own parts of the arrays. What kernels read goes on for 16 more in `low` and
    `more`.
    """

    shift: int
    scale: float
    bucket: np.ndarray
    low: np.ndarray
    more: np.ndarray
    child: np.ndarray
    weight: np.ndarray


class PageMap(NamedTuple):
    """Where a page's features stand, found without comparing.

    features: uint32, (words, 2), for each 32 features, how many of smaller number the page has, and
        a bit for each that it has itself.
    before: uint32, entries of the page before each of its features, and after the last.
    """

    features: np.ndarray
    before: np.ndarray


class Room(NamedTuple):
    """The features that a row and a page share, one slot for each.

    start: int64, where the feature's entries start on the page.
    end: int64, where they end.
    value: float32, the row's value of the feature.
    """

    start: np.ndarray
    end: np.ndarray
    value: np.ndarray


@kernel(forceinline=True)
def page_of(pages, n):
    """Page n."""
    first, last = pages.feature_ptr[n], pages.feature_ptr[n + 1] + N_BYTES
    entries = slice(pages.entry_ptr[n], pages.entry_ptr[n + 1])
    return Page(
        np.int64(pages.shift[n]),
        pages.scale[n],
        pages.bucket[pages.bucket_ptr[n] : pages.bucket_ptr[n + 1]],
        pages.low[first:last],
        pages.more[first:last],
        pages.child[entries],
        pages.weight[entries],
    )


@kernel
def room_for(x_indptr):
    """Room for the features of the longest row."""
    longest = 0
    for i in range(x_indptr.shape[0] - 1):
        longest = max(longest, x_indptr[i + 1] - x_indptr[i])
    return Room(
        np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.float32)
    )


@kernel
def room_for_map(n_rows, pages):
    """Room for the map of any page; nearly none for few rows, as `pays` asks for many."""
    bucket_ptr, feature_ptr, shift = pages.bucket_ptr, pages.feature_ptr, pages.shift
    n_words, n_features = 0, 0
    if n_rows >= MANY:
        for n in range(shift.shape[0]):
            n_buckets = bucket_ptr[n + 1] - bucket_ptr[n] - 1
            n_words = max(n_words, ((n_buckets << np.int64(shift[n])) + WORD - 1) // WORD)
            n_features = max(n_features, feature_ptr[n + 1] - feature_ptr[n])
    return PageMap(np.empty((n_words, 2), np.uint32), np.empty(n_features + 1, np.uint32))


@inner
def pays(n_rows, page, x_indptr):
    """Whether looking up so many rows on a page is sooner done if the page is mapped first."""
    n_all = x_indptr.shape[0] - 1
    n_features = page.low.shape[0] - N_BYTES
    return n_all >= MANY and n_rows * (x_indptr[n_all] // n_all) >= n_features


@inner
def map_page(page, page_map):
    """Write the map of a page."""
    features, before, bucket = page_map.features, page_map.before, page.bucket
    features[:] = 0
    f, n_entries, end = 0, 0, page.child.shape[0]
    mask = (np.int64(1) << page.shift) - 1
    for b in range(bucket.shape[0] - 1):
        last = np.int64(bucket[b + 1, 0])
        while f < last:
            j = (b << page.shift) + (np.int64(page.low[f]) & mask)
            features[j // WORD, 1] |= np.uint32(1 << j % WORD)
            before[f] = n_entries
            n_entries = min(end, n_entries + np.int64(page.more[f]) + 1)
            f += 1
    before[f] = n_entries
    n_features = 0
    for w in range(features.shape[0]):
        features[w, 0] = n_features
        n_features += count_bits(np.int64(features[w, 1]))


@inner(forceinline=True)
def add_margins(indices, values, page, page_map, mapped, room, margin):
    """Add the weights of one row's features on a page to the margins of the page's children.

    mapped: whether page_map is the map of this page. First all features are found and their entries
    prefetched, then they are added up: so that memory is waited for once.
    """
    if mapped:
        found = _find_on_map(indices, values, page, page_map, room)
    else:
        found = _find_in_buckets(indices, values, page, room)
    start, end, value, child, weight = room.start, room.end, room.value, page.child, page.weight
    for p in range(np.uint64(found)):
        own = value[p] * page.scale
        for e in range(np.uint64(start[p]), np.uint64(end[p])):
            margin[child[e]] += own * as_float(weight[e])


@inner
def _find_in_buckets(indices, values, page, room):
    """Write the features that a row and a page share; gives how many."""
    start, end, value = room.start, room.end, room.value
    low, more, bucket = page.low, page.more, page.bucket
    mask, n_entries = (np.int64(1) << page.shift) - 1, np.int64(page.child.shape[0])
    found = np.uint64(0)
    for p in range(np.uint64(indices.shape[0])):
        b = np.uint64(np.int64(indices[p]) >> page.shift)
        f, e = np.int64(bucket[b, 0]), np.int64(bucket[b, 1])
        last = np.int64(bucket[b + np.uint64(1), 0])
        wanted = np.uint8(np.int64(indices[p]) & mask)
        at = find_byte(low, f, wanted)
        while at == N_BYTES and f + N_BYTES < last:
            e += sum_bytes(more, f, np.int64(N_BYTES)) + N_BYTES
            f += N_BYTES
            at = find_byte(low, f, wanted)
        if f + at < last and at < N_BYTES:
            e = min(e + sum_bytes(more, f, at) + at, n_entries)
            start[found] = e
            end[found] = min(e + np.int64(more[np.uint64(f + at)]) + 1, n_entries)
            value[found] = values[p]
            _prefetch_entries(e, page.child, page.weight)
            found += np.uint64(1)
    return np.int64(found)


@inner
def _find_on_map(indices, values, page, page_map, room):
    """As `_find_in_buckets`, branch-free: misses are written and overwritten, as a mispredicted
    branch costs more.
    """
    start, end, value = room.start, room.end, room.value
    features, before = page_map.features, page_map.before
    found = 0
    for p in range(np.uint64(indices.shape[0])):
        w = np.uint64(indices[p]) // np.uint64(WORD)
        bit = np.int64(1) << np.int64(indices[p]) % WORD
        word = np.int64(features[w, 1])
        start[np.uint64(found)] = np.int64(features[w, 0]) + count_bits(word & (bit - 1))
        value[np.uint64(found)] = values[p]
        found += np.int64((word & bit) != 0)
    for p in range(np.uint64(found)):
        f = np.uint64(start[p])
        start[p] = np.int64(before[f])
        end[p] = np.int64(before[f + np.uint64(1)])
        _prefetch_entries(start[p], page.child, page.weight)
    return found


@inner
def _prefetch_entries(e, child, weight):
    prefetch(child, e)
    prefetch(weight, e)
    prefetch(weight, e + N_LANES)


@kernel
def unsound_page(bucket_ptr, feature_ptr, entry_ptr, bucket):
    """The first page whose buckets don't go from 0 to its features and entries; -1 if none.

    The pointers must be sound: ascending, and within their arrays.
    """
    for n in range(bucket_ptr.shape[0] - 1):
        own = bucket[bucket_ptr[n] : bucket_ptr[n + 1]]
        n_features = feature_ptr[n + 1] - feature_ptr[n]
        n_entries = entry_ptr[n + 1] - entry_ptr[n]
        last = own.shape[0] - 1
        sound = last >= 0 and own[0, 0] == 0 and own[0, 1] == 0
        sound = sound and own[last, 0] == n_features and own[last, 1] == n_entries
        for b in range(last):
            sound = sound and own[b, 0] <= own[b + 1, 0] and own[b, 1] <= own[b + 1, 1]
        if not sound:
            return n
    return np.int64(-1)


@kernel
def count_buckets(feature, sizes, shift, n_buckets):
    """The `bucket` array of one page, whose features ascend; sizes: number of entries of each."""
    bucket = np.zeros((n_buckets + 1, 2), np.uint32)
    for f in range(feature.shape[0]):
        bucket[(feature[f] >> shift) + 1, 0] += np.uint32(1)
        bucket[(feature[f] >> shift) + 1, 1] += np.uint32(sizes[f])
    for b in range(n_buckets):
        bucket[b + 1, 0] += bucket[b, 0]
        bucket[b + 1, 1] += bucket[b, 1]
    return bucket
