"""The scorers of a level as they are stored and ranked with: a Layer, put together of pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .kernels.beam import PAGE, count_buckets
from .kernels.bytes import N_BYTES
from .matrix import frozen

IN_BUCKET = 8  # features that a bucket holds on average, if it can: it spans 256 at most


class Layer(NamedTuple):
    """The linear scorers of a level. Chunk n holds the children of node n of the level above, 256 of them a page.

    chunk_ptr: int64, nodes of each chunk; page_ptr: int64, its pages.
    Of each page, bucket_ptr, feature_ptr, entry_ptr: int64, its parts of `bucket`, of `low` and `more`, and of `child`
        and `weight`; shift: uint8, a bucket spans 2**shift features; scale: float32, of its weights.
    bucket: (buckets, 2) uint32, features and entries of the page before each bucket; one more bucket ends the page.
    Of each feature, low: uint8, its number without the bucket's; more: uint8, its entries but one; and 16 zeros.
    Of each entry, child: uint8, node - the page's first node; weight: float32, int8, or uint16, the bits of a float16.
    bias_weight: float32, one per node.
    """

    chunk_ptr: np.ndarray
    page_ptr: np.ndarray
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
    bias_weight: np.ndarray


class Page(NamedTuple):
    """One page of a Layer, scale 1."""

    shift: int
    bucket: np.ndarray
    low: np.ndarray
    more: np.ndarray
    child: np.ndarray
    weight: np.ndarray


def pack(feature: np.ndarray, child: np.ndarray, weight: np.ndarray, width: int, n_features: int) -> list[Page]:
    """The pages of `width` siblings from their weights, in any order; child counts from the first sibling."""
    page = child // PAGE
    order = np.argsort((page.astype(np.int64) * n_features + feature) * PAGE + child % PAGE)
    feature, child, weight = feature[order], (child % PAGE)[order].astype(np.uint8), weight[order]
    ends = np.searchsorted(page[order], np.arange(-(-width // PAGE) + 1))
    return [_page(feature[a:b], child[a:b], weight[a:b], n_features) for a, b in zip(ends, ends[1:], strict=False)]


def _page(feature: np.ndarray, child: np.ndarray, weight: np.ndarray, n_features: int) -> Page:
    starts = np.flatnonzero(np.diff(feature, prepend=-1))
    features, sizes = feature[starts], np.diff(starts, append=len(feature))
    shift = min(8, max(0, math.ceil(math.log2(max(1, IN_BUCKET * n_features / max(1, len(features)))))))
    return Page(
        shift,
        count_buckets(features, sizes, shift, ((n_features - 1) >> shift) + 1),
        (features & ((1 << shift) - 1)).astype(np.uint8),
        (sizes - 1).astype(np.uint8),
        child,
        weight,
    )


def page_counts(chunk_ptr: np.ndarray) -> np.ndarray:
    """Pages of each chunk."""
    return -(-np.diff(chunk_ptr) // PAGE)


def assemble(chunk_ptr: np.ndarray, pages: list[Page], bias_weight: np.ndarray) -> Layer:
    """One layer of all its pages, which are used up: column by column, so that memory is not needed twice."""
    shift = np.array([page.shift for page in pages], np.uint8)
    pointers = [_pointers([len(page[column]) for page in pages]) for column in (1, 2, 4)]  # of bucket, low and child
    padding = [np.zeros(N_BYTES, np.uint8)]  # kernels read so many at once
    first = [np.empty((0, 2), np.uint32)], [], [], [np.empty(0, np.uint8)], [np.empty(0, np.float32)]
    columns = [[*start, *(page[n] for page in pages)] for n, start in enumerate(first, 1)]
    columns[1] += padding
    columns[2] += padding
    pages.clear()
    joined = []
    for column in columns:
        joined.append(np.concatenate(column))
        column.clear()
    rest = (_pointers(page_counts(chunk_ptr)), *pointers, shift, np.ones(len(shift), np.float32), *joined, bias_weight)
    return Layer(frozen(chunk_ptr), *map(frozen, rest))


def entries(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature, node and weight (float32) of every entry, in the order of the layer."""
    sizes = layer.more[:-N_BYTES].astype(np.int64) + 1
    buckets = np.diff(layer.bucket_ptr)
    numbers = np.arange(len(layer.bucket)) - np.repeat(layer.bucket_ptr[:-1], buckets)
    held = np.diff(layer.bucket[:, 0].astype(np.int64), append=0)
    held[layer.bucket_ptr[1:] - 1] = 0  # the one that ends a page
    shift = np.repeat(layer.shift.astype(np.int64), np.diff(layer.feature_ptr))
    feature = (np.repeat(numbers, held) << shift) + layer.low[:-N_BYTES]
    counts, n_pages = np.diff(layer.entry_ptr), np.diff(layer.page_ptr)
    number = np.arange(len(counts)) - np.repeat(layer.page_ptr[:-1], n_pages)
    first = np.repeat(layer.chunk_ptr[:-1], n_pages) + PAGE * number
    weight = layer.weight.view(np.float16) if layer.weight.dtype == np.uint16 else layer.weight
    return (
        np.repeat(feature, sizes),
        np.repeat(first, counts) + layer.child,
        weight.astype(np.float32) * np.repeat(layer.scale, counts),
    )


def _pointers(sizes: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
