"""Model folders: model.json and one .npy per array."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from . import __version__
from .arrays import Rows
from .estimators import LabelTreeClassifier, Model, OneVsAllClassifier
from .io.folder import (
    PathName,
    as_model_error,
    pack_strings,
    read_folder,
    read_meta,
    unpack_strings,
    write_folder,
)
from .kernels.bytes import N_BYTES
from .label_tree import LabelTree, check_tree
from .layer import Layer, page_counts
from .model import Member
from .params import RunParams, check, names
from .text import pack, unpack

FILE = "model.json"
CLASSES = {cls.__name__: cls for cls in (LabelTreeClassifier, OneVsAllClassifier)}
LIBRARIES = ("numpy", "scipy", "scikit-learn", "numba")
MEANS = ("indptr", "indices", "data")
STRINGS = ("label_ids_", "label_names_", "feature_names_in_")


def save(model: Model, path: PathName, overwrite: bool = False) -> None:
    """Write a fitted model as a folder; nothing is left behind if that fails."""
    arrays: dict[str, np.ndarray] = {"label_counts": model.label_counts_}
    if model.label_means_ is not None:
        arrays.update(
            {
                f"label_means.{name}": array
                for name, array in zip(MEANS, model.label_means_, strict=False)
            }
        )
    for n, member in enumerate(model.members_):
        arrays.update(_member_arrays(f"tree{n}", member))
    for name in STRINGS:
        if getattr(model, name, None) is not None:
            arrays[name], arrays[f"{name}offsets"] = pack_strings(
                [str(s) for s in getattr(model, name)]
            )
    settings = None
    if model.vectorizer_ is not None:
        settings, own = pack(model.vectorizer_)
        arrays.update({f"vectorizer.{name}": array for name, array in own.items()})
    classes = model.classes_ if model.one_label_per_row_ else np.empty(0, np.int32)
    if classes.dtype.kind in "OUS":
        arrays["classes"], arrays["classes_offsets"] = pack_strings([str(c) for c in classes])
    else:
        arrays["classes"] = classes
    meta = {
        "class": type(model).__name__,
        "parameters": _parameters(model),
        "n_features": model.n_features_in_,
        "n_labels": model.n_labels_,
        "n_rows": model.n_rows_,
        "n_passes": int(model.n_iter_),
        "one_label_per_row": model.one_label_per_row_,
        "depths": [member.tree.depth for member in model.members_],
        "vectorizer": settings,
        "versions": {
            "xmc": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }
    write_folder(path, FILE, meta, arrays, overwrite)


def load(path: PathName) -> Model:
    """The model in a folder, its arrays memory-mapped.

    Raises ModelError if the folder is damaged or of a newer format.
    """
    meta, arrays = read_folder(path, FILE)
    with as_model_error(path, FILE):
        return _model(meta, arrays)


def describe(path: PathName) -> dict[str, Any]:
    """What model.json says."""
    return read_meta(path, FILE)


def _model(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> Model:
    members = tuple(
        _member(arrays, n, depth, meta["n_labels"]) for n, depth in enumerate(meta["depths"])
    )
    parameters = dict(meta["parameters"])
    if parameters.get("tree") == "given":
        parameters["tree"] = members[0].tree
    model = CLASSES[meta["class"]](**parameters)
    check(model)
    model.members_ = members
    model.one_label_per_row_ = meta["one_label_per_row"]
    model.n_labels_, model.n_features_in_, model.n_iter_ = (
        meta["n_labels"],
        meta["n_features"],
        meta["n_passes"],
    )
    model.n_rows_, model.label_counts_ = meta["n_rows"], arrays["label_counts"]
    if model.label_counts_.shape != (model.n_labels_,):
        raise ValueError(
            f"label_counts: expected {model.n_labels_} numbers, got shape {model.label_counts_.shape}"
        )
    model.label_means_ = _means(arrays, model) if "label_means.indptr" in arrays else None
    model.label_ids_ = model.label_names_ = model.vectorizer_ = None
    for name in STRINGS:
        if name in arrays:
            setattr(model, name, unpack_strings(arrays[name], arrays[f"{name}offsets"]))
    if "feature_names_in_" in arrays:
        model.feature_names_in_ = np.array(
            model.feature_names_in_, object
        )  # as scikit-learn has it
    if meta["vectorizer"] is not None:
        own = {name.removeprefix("vectorizer."): array for name, array in arrays.items()}
        model.vectorizer_ = unpack(meta["vectorizer"], own)
    if "classes_offsets" in arrays:
        model.classes_ = np.array(unpack_strings(arrays["classes"], arrays["classes_offsets"]))
    else:
        model.classes_ = (
            np.asarray(arrays["classes"])
            if model.one_label_per_row_
            else np.arange(model.n_labels_)
        )
    return model


def _parameters(model: Model) -> dict[str, Any]:
    values = {name: getattr(model, name) for name in names(model) if name not in names(RunParams)}
    if isinstance(values.get("tree"), LabelTree):
        values["tree"] = "given"
    if not isinstance(values["random_state"], (int, np.integer)):
        values["random_state"] = None
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in values.items()
    }


def _member_arrays(prefix: str, member: Member) -> dict[str, np.ndarray]:
    arrays = {f"{prefix}.labels": member.tree.labels}
    for level, layer in enumerate(member.layers):
        arrays.update(
            {f"{prefix}.level{level}.{name}": array for name, array in layer._asdict().items()}
        )
    return arrays


def _member(arrays: dict[str, np.ndarray], n: int, depth: int, n_labels: int) -> Member:
    names = [f"tree{n}.level{level}" for level in range(depth)]
    layers = tuple(Layer(*(arrays[f"{name}.{field}"] for field in Layer._fields)) for name in names)
    tree = LabelTree(tuple(layer.chunk_ptr for layer in layers), arrays[f"tree{n}.labels"])
    check_tree(tree, n_labels, f"tree{n}")
    for layer, name in zip(layers, names, strict=True):
        _check_layer(layer, name)
    return Member(tree, layers)


def _means(arrays: dict[str, np.ndarray], model: Model) -> Rows:
    """The means of the tail classifiers; kernels trust pointers and ids, so these are looked at."""
    indptr, indices, data = (arrays[f"label_means.{name}"] for name in MEANS)
    fits = (
        len(indptr) == model.n_labels_ + 1
        and indptr[0] == 0
        and indptr[-1] == len(indices) == len(data)
    )
    if (
        not fits
        or (np.diff(indptr) < 0).any()
        or (len(indices) and not 0 <= indices.min() <= indices.max() < model.n_features_in_)
    ):
        raise ValueError("label_means: expected arrays that fit each other, they don't")
    return Rows(indptr, indices, data, model.n_features_in_)


def _check_layer(layer: Layer, name: str) -> None:
    """The kernels trust pointers: raise ValueError unless they end where their arrays do."""
    n_pages = len(layer.shift)
    low = layer.low[:-N_BYTES]
    pointed = (
        (layer.bucket_ptr, layer.bucket),
        (layer.feature_ptr, low),
        (layer.entry_ptr, layer.child),
    )
    fits = (
        layer.chunk_ptr[-1] == len(layer.bias_weight)
        and np.array_equal(np.diff(layer.page_ptr), page_counts(layer.chunk_ptr))
        and layer.page_ptr[-1] == n_pages == len(layer.scale)
        and all(
            len(pointers) == n_pages + 1 and pointers[-1] == len(array)
            for pointers, array in pointed
        )
        and layer.bucket.shape[1:] == (2,)
        and len(layer.more) == len(layer.low)
        and len(layer.weight) == len(layer.child)
    )
    if not fits:
        raise ValueError(f"{name}: expected arrays that fit each other, their lengths don't")
