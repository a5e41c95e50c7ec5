"""The scorers of a level as they are stored and ranked with: a Layer, put together of pages."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .arrays import frozen, lists_fit, pointers
from .errors import ModelError
from .kernels.beam import order_by
from .kernels.bytes import N_BYTES
from .kernels.pages import PAGE, Page, count_buckets, unsound_page
from .spill import IN_MEMORY, Spill

IN_BUCKET = 8  # features that a bucket holds on average, if it can: it spans 256 at most
INT8_MOST, FLOAT16_MOST = 127, 65504
SMALL = 2.0**-10  # of a page whose largest weight is smaller, float16 would lose bits
PADDING = np.zeros(N_BYTES, np.uint8)  # kernels read so many at once
PADDED = "low", "more"
SCALARS = {"shift": np.uint8, "scale": np.float32}  # one per page


class Layer(NamedTuple):
    """The linear scorers of a level; all arrays are read-only.

    Chunk n holds the children of node n of the level above, in pages of 256. kernels/pages.py
    describes the arrays from bucket_ptr to weight, kernels/beam.py the others.
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


DTYPES = {
    **dict.fromkeys(("chunk_ptr", "page_ptr", "bucket_ptr", "feature_ptr", "entry_ptr"), "<i8"),
    **{"shift": "|u1", "scale": "<f4", "bucket": "<u4", "low": "|u1", "more": "|u1"},
    **{"child": "|u1", "bias_weight": "<f4"},
}
STORED_AS = {"float32": "<f4", "int8": "|i1", "float16": "<u2"}  # of float16, the bits

NO_BYTES = np.empty(0, np.uint8)
NO_PAGE = Page(
    shift=0,
    scale=1.0,
    bucket=np.empty((0, 2), np.uint32),
    low=NO_BYTES,
    more=NO_BYTES,
    child=NO_BYTES,
    weight=np.empty(0, np.float32),
)


def pack(
    feature: np.ndarray,
    child: np.ndarray,
    weight: np.ndarray,
    width: int,
    n_features: int,
    weights: str,
) -> list[Page]:
    """The pages of `width` siblings from their weights, which may come in any order.

    feature: of each weight.
    child: of each weight, counted from the first sibling.
    weights: how they are stored, "float32", "float16", or "int8", scaled by the largest of a page;
        float16 is scaled, too, where that one is beyond its range.
    """
    n_pages = -(-width // PAGE)
    order = order_by(feature, n_features, order_by(child, width, np.arange(len(child))))
    if n_pages > 1:
        order = order_by(child // PAGE, n_pages, order)
    feature, child, weight = feature[order], child[order], weight[order]
    ends = np.searchsorted(child // PAGE, np.arange(n_pages + 1))
    parts = (slice(a, b) for a, b in zip(ends, ends[1:], strict=False))
    own = (child % PAGE).astype(np.uint8)
    return [
        page_of_weights(feature[part], own[part], weight[part], n_features, weights)
        for part in parts
    ]


def page_of_weights(
    feature: np.ndarray, child: np.ndarray, weight: np.ndarray, n_features: int, weights: str
) -> Page:
    scale = _scale(float(np.abs(weight).max(initial=0)), weights)
    return laid_out(feature, child, as_stored(weight, scale, weights), scale, n_features)


def laid_out(
    feature: np.ndarray, child: np.ndarray, stored: np.ndarray, scale: float, n_features: int
) -> Page:
    """The page of weights as they are stored, by feature, then child."""
    if stored.dtype != np.float32:  # what becomes 0 is not stored
        feature, child, stored = feature[stored != 0], child[stored != 0], stored[stored != 0]
    starts = np.flatnonzero(np.diff(feature, prepend=-1))
    features, sizes = feature[starts], np.diff(starts, append=len(feature))
    span = IN_BUCKET * n_features / max(1, len(features))
    shift = min(8, math.ceil(math.log2(span)))
    return Page(
        shift,
        scale,
        count_buckets(features, sizes, shift, ((n_features - 1) >> shift) + 1),
        (features & ((1 << shift) - 1)).astype(np.uint8),
        (sizes - 1).astype(np.uint8),
        child,
        stored,
    )


def _scale(largest: float, weights: str) -> float:
    """What the stored weights of a page are multiplied by, from its largest weight."""
    if weights == "float32" or largest == 0:
        return 1.0
    if weights == "int8":
        return largest / INT8_MOST
    if SMALL <= largest <= FLOAT16_MOST:
        return 1.0
    return 2.0 ** max(-126, math.frexp(largest)[1] - 15)  # the largest is then 2**14 to 2**15


def as_stored(weight: np.ndarray, scale: float, weights: str) -> np.ndarray:
    if weights == "int8":
        return np.rint(weight / scale).astype(np.int8)
    if weights == "float16":
        return (weight / scale).astype(np.float16).view(np.uint16)
    return weight


def unpack(layer: Layer, page: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature, child and weight (float32) of each entry of a page, by feature, then child."""
    feature, child, stored = entries_of(layer, page, n_features)
    return feature, child.astype(np.int64), in_steps(stored) * layer.scale[page]


def weights_of(layer: Layer, node: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """The features, ascending, and the weights (float32) of a node's scorer; no bias."""
    parent = parent_of(layer, node)
    child = node - int(layer.chunk_ptr[parent])
    page = int(layer.page_ptr[parent]) + child // PAGE
    feature, own, weight = unpack(layer, page, n_features)
    mine = own == child % PAGE
    return feature[mine], weight[mine]


def parent_of(layer: Layer, node: int) -> int:
    """The node of the level above whose child this one is."""
    return int(np.searchsorted(layer.chunk_ptr, node, side="right")) - 1


def entries_of(
    layer: Layer, page: int, n_features: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature, child and stored weight of each entry of a page, by feature, then child.

    Raises ModelError unless they are of features that there are: who loads a model doesn't look.
    """
    bucket = layer.bucket[layer.bucket_ptr[page] : layer.bucket_ptr[page + 1], 0].astype(np.int64)
    features = slice(layer.feature_ptr[page], layer.feature_ptr[page + 1])
    entries = slice(layer.entry_ptr[page], layer.entry_ptr[page + 1])
    high = np.repeat(np.arange(len(bucket) - 1), np.diff(bucket)) << np.int64(layer.shift[page])
    own, low = high + layer.low[features], layer.low[features] >> layer.shift[page]
    if low.any() or (np.diff(own) <= 0).any() or (own >= n_features).any():
        raise ModelError(f"page {page}: expected features that ascend; the model is damaged")
    feature = np.repeat(own, layer.more[features].astype(np.int64) + 1)
    if len(feature) != len(layer.child[entries]):
        raise ModelError(f"page {page}: expected a feature for each weight; the model is damaged")
    return feature, layer.child[entries], layer.weight[entries]


def page_of(layer: Layer, n: int) -> Page:
    """A page of the layer as it is."""
    buckets = slice(layer.bucket_ptr[n], layer.bucket_ptr[n + 1])
    features = slice(layer.feature_ptr[n], layer.feature_ptr[n + 1])
    entries = slice(layer.entry_ptr[n], layer.entry_ptr[n + 1])
    return Page(
        int(layer.shift[n]),
        float(layer.scale[n]),
        layer.bucket[buckets],
        layer.low[features],
        layer.more[features],
        layer.child[entries],
        layer.weight[entries],
    )


def in_steps(stored: np.ndarray) -> np.ndarray:
    """Stored weights as float32, in steps of their page's scale."""
    return (stored.view(np.float16) if stored.dtype == np.uint16 else stored).astype(np.float32)


def repacked(layer: Layer, n_features: int, weights: str, threshold: float) -> Layer:
    """The layer with weights below `threshold` dropped and the others stored as `weights` says.

    Weights that are stored so already keep their bits: rounded again, they would move again.
    """
    as_before = STORED_AS[weights] == layer.weight.dtype.str
    if as_before and not threshold:
        return layer
    pages = []
    for n, scale in enumerate(layer.scale.tolist()):
        feature, child, stored = entries_of(layer, n, n_features)
        steps = in_steps(stored)
        kept = np.abs(steps) >= _least(threshold, scale, stored.dtype)
        if as_before:
            pages.append(laid_out(feature[kept], child[kept], stored[kept], scale, n_features))
            continue
        parts = feature[kept], child[kept].astype(np.int64), steps[kept] * layer.scale[n]
        pages.extend(pack(*parts, PAGE, n_features, weights))
    return assemble(layer.chunk_ptr, pages, layer.bias_weight)


def _least(threshold: float, scale: float, dtype: np.dtype) -> np.floating:
    """The threshold in steps, rounded as weights of the type are: or one that was rounded down
    would be dropped when the same threshold comes again.
    """
    with np.errstate(over="ignore"):
        if dtype == np.int8:
            return np.rint(np.float64(threshold) / scale)
        return np.float16(threshold / scale) if dtype == np.uint16 else np.float32(threshold)


def check_layer(layer: Layer, n_features: int, name: str) -> None:
    """Raise ValueError unless kernels that trust the layer's pointers stay within its arrays.

    Arrays with a byte or more per feature or weight are not read: kernels/pages.py says why.
    """
    wrong = [part for part, dtype in DTYPES.items() if getattr(layer, part).dtype.str != dtype]
    if wrong or layer.weight.dtype.str not in STORED_AS.values():
        part = [*wrong, "weight"][0]
        expected, got = DTYPES.get(part, (*STORED_AS.values(),)), getattr(layer, part).dtype
        raise ValueError(f"{name}.{part}: expected {expected}, got {got}")
    n_pages, n_features_held = len(layer.shift), len(layer.low) - N_BYTES
    pointed = (
        (layer.bucket_ptr, len(layer.bucket)),
        (layer.feature_ptr, n_features_held),
        (layer.entry_ptr, len(layer.child)),
    )
    fits = (
        all(getattr(layer, part).ndim == 1 for part in DTYPES.keys() - {"bucket"})
        and layer.bucket.shape[1:] == (2,)
        and _rise(layer.chunk_ptr, len(layer.chunk_ptr) - 1, len(layer.bias_weight))
        and np.array_equal(np.diff(layer.page_ptr), page_counts(layer.chunk_ptr))
        and _rise(layer.page_ptr, len(layer.chunk_ptr) - 1, n_pages)
        and n_pages == len(layer.scale)
        and all(_rise(ptr, n_pages, end) for ptr, end in pointed)
        and len(layer.more) == len(layer.low)
        and layer.weight.shape == layer.child.shape
    )
    if not fits:
        raise ValueError(f"{name}: expected arrays that fit each other, their lengths don't")
    n_buckets = ((n_features - 1) >> layer.shift.astype(np.int64)) + 2
    if (layer.shift > 8).any() or not np.array_equal(np.diff(layer.bucket_ptr), n_buckets):
        raise ValueError(f"{name}: expected buckets for {n_features:,} features")
    if not np.isfinite(layer.scale).all() or not np.isfinite(layer.bias_weight).all():
        raise ValueError(f"{name}: expected finite scales and bias weights")
    page = unsound_page(layer.bucket_ptr, layer.feature_ptr, layer.entry_ptr, layer.bucket)
    if page >= 0:
        raise ValueError(f"{name}: expected buckets that fit the features of page {page}")


def _rise(ptr: np.ndarray, n: int, end: int) -> bool:
    """Whether n + 1 pointers ascend from 0 to the end."""
    return len(ptr) == n + 1 > 0 and lists_fit(ptr, range(end))


def page_counts(chunk_ptr: np.ndarray) -> np.ndarray:
    """Pages of each chunk."""
    return -(-np.diff(chunk_ptr) // PAGE)


def assemble(
    chunk_ptr: np.ndarray,
    pages: list[Page],
    bias_weight: np.ndarray,
    spill: Spill = IN_MEMORY,
    n_jobs: int | None = 1,
) -> Layer:
    """One layer of all its pages. Consumes `pages` field by field: memory is not needed twice.

    n_jobs: threads that copy them.
    """
    parts = {name: [getattr(page, name) for page in pages] for name in Page._fields}
    pages.clear()
    bucket_ptr, feature_ptr, entry_ptr = (
        pointers([len(part) for part in parts[name]]) for name in ("bucket", "low", "child")
    )
    joined = {name: frozen(_joined(name, parts.pop(name), spill, n_jobs)) for name in Page._fields}
    return Layer(
        chunk_ptr=frozen(chunk_ptr),
        page_ptr=pointers(page_counts(chunk_ptr).tolist()),
        bucket_ptr=bucket_ptr,
        feature_ptr=feature_ptr,
        entry_ptr=entry_ptr,
        **joined,
        bias_weight=frozen(bias_weight),
    )


def _joined(name: str, parts: list, spill: Spill, n_jobs: int | None) -> np.ndarray:
    """One field of all pages, end to end. Consumes `parts`."""
    if name in SCALARS:
        return np.array(parts, SCALARS[name])
    like = parts[0] if parts else getattr(NO_PAGE, name)
    joined = spill.growing(like.dtype)
    parts.reverse()
    while parts:
        joined.append(parts.pop())
    if name in PADDED:
        joined.append(PADDING)
    return joined.whole(n_jobs).reshape(-1, *like.shape[1:])


def kept_pages(pages: list[Page], spill: Spill) -> list[Page]:
    """The pages, where large arrays lie."""
    return [
        page._replace(
            bucket=spill.kept(page.bucket),
            low=spill.kept(page.low),
            more=spill.kept(page.more),
            child=spill.kept(page.child),
            weight=spill.kept(page.weight),
        )
        for page in pages
    ]
