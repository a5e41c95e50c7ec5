"""A layer some of whose columns come, go or are solved again; all others keep their bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..arrays import pointers
from ..errors import ModelError
from ..kernels.beam import order_by
from ..kernels.pages import PAGE, Page
from ..layer import (
    FLOAT16_MOST,
    INT8_MOST,
    STORED_AS,
    Layer,
    as_stored,
    assemble,
    entries_of,
    in_steps,
    laid_out,
    page_of,
    page_of_weights,
)
from ..training.problem import Weights

MOST_STEPS = {"float32": np.inf, "float16": FLOAT16_MOST, "int8": INT8_MOST}


class Change(NamedTuple):
    """What becomes of a chunk.

    place: int64, where each child stands from now on; -1 of those that go.
    width: how many children there are from now on.
    solved: the weights of those solved now, under their new places.
    """

    place: np.ndarray
    width: int
    solved: Weights


class Entries(NamedTuple):
    """Weights of a chunk's children: float32, with the page in whose steps they are stored."""

    feature: np.ndarray
    child: np.ndarray
    weight: np.ndarray
    page: np.ndarray


def changed_layer(layer: Layer, changes: Mapping[int, Change], n_features: int) -> Layer:
    """The layer with its changed chunks put together anew; changes: by the number of the chunk."""
    weights = next(name for name, dtype in STORED_AS.items() if dtype == layer.weight.dtype.str)
    pages: list[Page] = []
    bias, widths = [np.empty(0, np.float32)], np.diff(layer.chunk_ptr)
    for n, (first, last) in enumerate(zip(layer.chunk_ptr, layer.chunk_ptr[1:], strict=False)):
        own = range(layer.page_ptr[n], layer.page_ptr[n + 1])
        if n not in changes:
            pages += (page_of(layer, page) for page in own)
            bias.append(layer.bias_weight[first:last])
            continue
        change = changes[n]
        pages += _changed_pages(layer, own, change, n_features, weights)
        bias.append(_moved(layer.bias_weight[first:last], change, 0.0))
        bias[-1][change.solved.biased] = change.solved.bias
        widths[n] = change.width
    return assemble(pointers(widths), pages, np.concatenate(bias))


def _moved(values: np.ndarray, change: Change, empty: float) -> np.ndarray:
    """The value of each child under its new place; `empty` for new ones."""
    out = np.full(change.width, empty, values.dtype)
    stay = change.place >= 0
    out[change.place[stay]] = values[stay]
    return out


def _changed_pages(
    layer: Layer, own: range, change: Change, n_features: int, weights: str
) -> list[Page]:
    """The pages of a changed chunk; those whose children are all as before are copied."""
    source = _moved(np.arange(len(change.place)), change, -1)
    source[change.solved.biased] = -1
    kept, pages = _kept(layer, own, change, n_features), []
    for q in range(-(-change.width // PAGE)):
        children = np.arange(q * PAGE, min((q + 1) * PAGE, change.width))
        n_before = min(len(change.place) - q * PAGE, PAGE)
        if len(children) == n_before and np.array_equal(source[children], children):
            pages.append(page_of(layer, own[q]))
            continue
        scale = float(layer.scale[own[q]]) if q < len(own) and (kept.page == q).any() else None
        pages.append(_page_of_both(kept, change.solved, q, scale, n_features, weights))
    return pages


def _kept(layer: Layer, own: range, change: Change, n_features: int) -> Entries:
    """The weights of children that stay and aren't solved now, under their new places."""
    gone = np.append(np.zeros(change.width, bool), True)  # the last one for place -1
    gone[change.solved.biased] = True
    none = np.empty(0, np.int64)
    parts = [(none.astype(np.int32), none, np.empty(0, np.float32), none)]
    for q, page in enumerate(own):
        feature, child, stored = entries_of(layer, page, n_features)
        own_place = change.place[q * PAGE : (q + 1) * PAGE]
        if len(child) and int(child.max()) >= len(own_place):
            raise ModelError(f"page {page}: expected children that there are; the model is damaged")
        place = own_place[child]
        stay = ~gone[place]
        weight = in_steps(stored[stay]) * layer.scale[page]
        parts.append((feature[stay], place[stay], weight, np.full(stay.sum(), q)))
    return Entries(*map(np.concatenate, zip(*parts, strict=True)))


def _page_of_both(
    kept: Entries, solved: Weights, q: int, scale: float | None, n_features: int, weights: str
) -> Page:
    """Page q of weights that were there and of new ones.

    scale: of the page so far, which it keeps: weights that were there then keep their bits, and new
    ones that are larger than its largest step are cut to that. None if nothing is left of it.
    """
    old, new = kept.child // PAGE == q, solved.sibling // PAGE == q
    feature = np.concatenate([kept.feature[old], solved.feature[new]])
    child = np.concatenate([kept.child[old], solved.sibling[new]]) % PAGE
    weight = np.concatenate([kept.weight[old], solved.weight[new]])
    order = order_by(feature, n_features, order_by(child, PAGE, np.arange(len(child))))
    parts = feature[order], child[order].astype(np.uint8)
    if scale is None:
        return page_of_weights(*parts, weight[order], n_features, weights)
    most = np.float32(scale * MOST_STEPS[weights])
    stored = as_stored(np.clip(weight[order], -most, most), scale, weights)
    return laid_out(*parts, stored, scale, n_features)
