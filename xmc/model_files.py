"""Model folders: model.json and one file of arrays.

How a field of a Model, or of its Predictor, is stored follows from the field's type: BY_TYPE is the
whole table. A new array is a new field, and nothing here changes.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from importlib.metadata import version
from types import UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np

from . import __version__
from .arrays import INT32_MAX, Lists, Rows, ascend, lists_fit, within
from .evidence.reranked import Base
from .features import Reading
from .io.folder import (
    PathName,
    as_model_error,
    pack_strings,
    plain,
    plain_values,
    read_folder,
    read_meta,
    unpack_strings,
    verify_folder,
    write_folder,
)
from .label_tree import LabelTree
from .layer import Layer
from .member import Member
from .methods import method_of
from .model import Model
from .params import RunParams, check, names
from .ranking.predictor import Predictor
from .ranking.search import search_of
from .text import pack as pack_vectorizer
from .text import unpack as unpack_vectorizer
from .vocabulary import Vocabulary

FILE = "model.json"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "numba")
STORED_AS = {"label_embeddings": "label_means"}  # folders of format 2 call it so
ROWS = ("indptr", "indices", "data")


# What arrays of a model hold, by the last part of their names; those of layers are in layer.py,
# those of vectorisers and vocabularies look after themselves.
DTYPES = {
    "<i8": "indptr key_indptr label_indptr name_indptr label_counts cover codes",
    "<i4": "labels ids indices buckets key_names name_labels name_terms frequent feature right "
    "kept_features kept_labels",
    "<f4": "data share idf text_idf norms step length threshold feature_factors label_factors",
    "<f8": "importance value score probability",
    "<u8": "hashes",
    "<u2": "row",
    "|u1": "n_keys",
    "|i1": "code dense",
    "|b1": "nan_left",
}
DTYPE_OF = {name: dtype for dtype, names in DTYPES.items() for name in names.split()}
OF_TWO_DIMENSIONS = (
    *("bucket", "norms", "dense", "neighbors.rows.indptr", "label_index.indptr"),
    *("feature_factors", "label_factors"),
)
ALONE = ("vectorizer.", "vocabulary.", "classes")


class Saved(NamedTuple):
    """A model with what its estimator needs to come back."""

    estimator: str  # the class, by which the registry finds it
    parameters: dict[str, Any]
    model: Model
    vectorizer: Any = None  # of a model of texts, else None
    text_parameters: dict[str, Any] | None = None
    vocabulary: Vocabulary | None = None  # of a model of texts


class Entries(NamedTuple):
    """What a folder holds: arrays by file name, and what stands in the JSON."""

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    def add_part(self, name: str, inner: Entries) -> None:
        """Hold the entries of a part under its name."""
        self.arrays.update({f"{name}.{key}": array for key, array in inner.arrays.items()})
        self.meta[name] = inner.meta

    def part(self, name: str) -> Entries:
        """The entries of a part. Raises KeyError if there is no such part."""
        start = f"{name}."
        own = {
            key.removeprefix(start): array
            for key, array in self.arrays.items()
            if key.startswith(start)
        }
        return Entries(own, {"n_features": self.meta.get("n_features")} | self.meta[name])


class Storage(NamedTuple):
    """How values of one type are stored under a name; `unpack` raises KeyError if it is missing."""

    pack: Callable[[Entries, str, Any], None]
    unpack: Callable[[Entries, str], Any]


def save(path: PathName, saved: Saved, overwrite: bool = False) -> None:
    """Write a model as a folder; nothing is left behind if that fails."""
    entries = Entries({}, {})
    for part in (saved.model, saved.model.predictor):
        _pack_fields(entries, part)
    settings = None
    if saved.vectorizer is not None:
        settings, own = pack_vectorizer(saved.vectorizer)
        entries.arrays.update({f"vectorizer.{name}": array for name, array in own.items()})
    if saved.vocabulary is not None:
        entries.add_part("vocabulary", Entries(saved.vocabulary.to_arrays(), {}))
    meta = {
        "class": saved.estimator,
        "parameters": saved.parameters,
        "vectorizer": settings,
        "text_parameters": saved.text_parameters and plain_values(saved.text_parameters),
        "versions": versions(),
    }
    write_folder(path, FILE, entries.meta | meta, entries.arrays, overwrite)


def read(path: PathName) -> Saved:
    """What a folder holds, its arrays memory-mapped.

    Raises ModelError if the folder is damaged or of a newer format.
    """
    meta, arrays = read_folder(path, FILE)
    with as_model_error(path, FILE):
        return _saved(Entries(arrays, meta))


def verify(path: PathName) -> None:
    """Raise ModelError unless a folder's content is what was written, by its checksums."""
    verify_folder(path, FILE)


def versions() -> dict[str, str]:
    """The versions on which a model's bytes depend."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {"xmc": __version__, "python": platform.python_version(), **libraries}


def describe(path: PathName) -> dict[str, Any]:
    """What model.json says."""
    return read_meta(path, FILE)


def settings(estimator: Any) -> dict[str, Any]:
    """The hyper-parameters of an estimator as JSON holds them; a user's tree is in the model."""
    plain = [f.name for f in fields(estimator) if not f.metadata.keys() & {"estimator", "matrix"}]
    saved = [name for name in plain if name not in names(RunParams)]
    values = {name: getattr(estimator, name) for name in saved}
    if hasattr(values.get("tree"), "chunks"):
        values["tree"] = "given"
    if not isinstance(values.get("random_state"), (int, np.integer)):
        values |= {"random_state": None} if "random_state" in values else {}
    return plain_values(values)


def _saved(entries: Entries) -> Saved:
    meta = entries.meta
    _check_arrays(entries.arrays)
    if meta.get("one_label_per_row") is False:  # format 2 then holds an empty array of classes
        entries.arrays.pop("classes", None)
    method = method_of(meta["class"])
    predictor = method.load().predictor_type(**_unpacked(entries, method.load().predictor_type))
    model = Model(predictor=predictor, **_unpacked(entries, Model))
    _check(model)
    parameters = _parameters(meta, predictor, model.kept_labels)
    vectorizer = None
    if meta["vectorizer"] is not None:
        own = {name.removeprefix("vectorizer."): a for name, a in entries.arrays.items()}
        vectorizer = unpack_vectorizer(meta["vectorizer"], own)
    vocabulary = None
    if "vocabulary" in meta:
        vocabulary = Vocabulary.from_arrays(entries.part("vocabulary").arrays)
    return Saved(
        meta["class"], parameters, model, vectorizer, meta.get("text_parameters"), vocabulary
    )


def _parameters(
    meta: dict[str, Any], predictor: Any, kept_labels: np.ndarray | None = None
) -> dict[str, Any]:
    """The hyper-parameters of the estimator that had learned what the predictor holds."""
    parameters = {
        name: tuple(value) if isinstance(value, list) else value  # JSON has no tuples
        for name, value in meta["parameters"].items()
    }
    if parameters.get("tree") == "given":
        parameters["tree"] = predictor.members_with(kept_labels)[0].tree
    check(method_of(meta["class"]).load()(**parameters))
    return parameters


def _stored_fields(kind: Any) -> dict[str, Any]:
    """The type of each stored field of a Model or Predictor, its None left aside."""
    hints = get_type_hints(kind)
    own = kind._fields if issubclass(kind, tuple) else [f.name for f in fields(kind)]
    return {name: _without_none(hints[name]) for name in own if hints[name] is not Predictor}


def _without_none(hint: Any) -> Any:
    if not isinstance(hint, UnionType):
        return hint
    (kind,) = set(get_args(hint)) - {type(None)}
    return kind


def _pack_fields(entries: Entries, value: Any) -> None:
    """Store each field that isn't None."""
    for name, kind in _stored_fields(type(value)).items():
        if getattr(value, name) is not None:
            _storage(kind).pack(entries, STORED_AS.get(name, name), getattr(value, name))


def _storage(kind: Any) -> Storage:
    """How values of a type are stored: one that is made of fields, field by field."""
    if kind in BY_TYPE:
        return BY_TYPE[kind]
    return Storage(_pack_parts, lambda entries, name: kind(**_unpacked(entries.part(name), kind)))


def _pack_parts(entries: Entries, name: str, value: Any) -> None:
    inner = Entries({}, {})
    _pack_fields(inner, value)
    entries.add_part(name, inner)


def _unpacked(entries: Entries, kind: type) -> dict[str, Any]:
    """The stored fields by name; one that may be None is None if it isn't there."""
    found = {}
    hints = get_type_hints(kind)
    for name, stored in _stored_fields(kind).items():
        optional = isinstance(hints[name], UnionType)
        try:
            found[name] = _storage(stored).unpack(entries, STORED_AS.get(name, name))
        except KeyError:
            if not optional:
                raise
            found[name] = None
        if found[name] is None and not optional:
            raise ValueError(f"{name}: expected {stored.__name__}, got None")
    return found


def _check_arrays(arrays: dict[str, np.ndarray]) -> None:
    """Raise ValueError unless each array has the type and the dimensions that it always has."""
    for name, array in arrays.items():
        if name.startswith(ALONE):
            continue
        n_dimensions = 2 if name.endswith(OF_TWO_DIMENSIONS) else 1
        dtype = DTYPE_OF.get(name.rpartition(".")[2], array.dtype.str)
        if (array.dtype.str, array.ndim) != (dtype, n_dimensions):
            got = f"{array.dtype} in {array.ndim} dimensions"
            expected = f"{np.dtype(dtype)} in {n_dimensions}"
            raise ValueError(f"{name}: expected {expected}, got {got}")


def _check(model: Model) -> None:
    """Raise ValueError unless the parts fit each other: kernels trust pointers and ids."""
    for name, least in (("n_rows", 1), ("n_features", 1), ("n_labels", 1), ("n_passes", 0)):
        if not least <= getattr(model, name) <= INT32_MAX:
            raise ValueError(f"{name}: expected {least} to {INT32_MAX}, got {getattr(model, name)}")
    _check_kept("kept_features", model.kept_features, model.n_features)
    _check_kept("kept_labels", model.kept_labels, model.n_labels)
    if model.label_counts.dtype != np.int64 or (model.label_counts < 0).any():
        raise ValueError("label_counts: expected int64, at least 0")
    for name in ("label_ids", "label_names", "feature_names_in"):
        n, texts = model.n_features if name[0] == "f" else model.n_labels, getattr(model, name)
        if texts is not None and len(texts) != n:
            raise ValueError(f"{name}: expected {n}, got {len(texts)}")
    if model.reading is not None:
        kept = model.kept_features
        model.reading.check(model.n_features if kept is None else len(kept))
    n_labels, n_features = model.n_kept_labels, model.n_kept_features
    if model.label_counts.shape != (n_labels,):
        shape = model.label_counts.shape
        raise ValueError(f"label_counts: expected {n_labels} numbers, got shape {shape}")
    t = model.threshold
    if t is not None and not (isinstance(t, (int, float)) and 0 <= t <= 1):
        raise ValueError(f"threshold: expected a number from 0 to 1, got {t!r}")
    if model.calibration is not None:
        model.calibration.check()
    if min(model.updates or [0]) < 0:
        raise ValueError(f"updates: expected numbers from 0 on, got {tuple(model.updates or ())}")
    if model.label_embeddings is not None:
        _check_rows("label_means", model.label_embeddings, n_labels, n_features)
    if model.rows is not None and model.row_labels is not None:
        _check_rows("rows", model.rows, model.n_rows, n_features)
        indptr, ids = model.row_labels
        fits = len(indptr) == model.n_rows + 1 and lists_fit(indptr, ids) and within(ids, n_labels)
        if not fits or not ascend(indptr, ids):
            raise ValueError("row_labels: expected labels of each row, they don't fit the rows")
    model.predictor.check(n_features, n_labels)


def _check_kept(name: str, kept: np.ndarray | None, width: int) -> None:
    """Raise ValueError unless numbers of columns ascend and are below the width."""
    if kept is None:
        return
    ascend = len(kept) > 0 and (kept[1:] > kept[:-1]).all()
    if not ascend or not within(kept, width):
        raise ValueError(f"{name}: expected ascending numbers below {width}")


def _check_rows(name: str, rows: Rows, n_rows: int, n_features: int) -> None:
    indptr, indices, data, _ = rows
    fits = len(indptr) == n_rows + 1 and indptr[0] == 0
    fits = fits and indptr[-1] == len(indices) == len(data) and (np.diff(indptr) >= 0).all()
    if not fits or (len(indices) and not 0 <= indices.min() <= indices.max() < n_features):
        raise ValueError(f"{name}: expected arrays that fit each other, they don't")


def _pack_plain(entries: Entries, name: str, value: Any) -> None:
    entries.meta[name] = plain(value)


def _unpack_plain(kinds: tuple[type, ...], entries: Entries, name: str) -> Any:
    """A number or a text of one of these types, and of no other, such as bool for int; or None."""
    value = entries.meta[name]
    if value is not None and (type(value) not in kinds or not _is_plain(value)):
        raise ValueError(f"{name}: expected {kinds[0].__name__}, got {value!r}")
    return value


def _is_plain(value: Any) -> bool:
    """Whether a value is a text, or a number that arrays can count to."""
    return isinstance(value, str) or -(2**63) <= value < 2**63


def _pack_array(entries: Entries, name: str, array: np.ndarray) -> None:
    """Numbers as they are, strings as UTF-8."""
    if array.dtype.kind in "OUS":
        entries.arrays[name], entries.arrays[f"{name}_offsets"] = pack_strings(
            [str(value) for value in array]
        )
    else:
        entries.arrays[name] = array


def _unpack_array(entries: Entries, name: str) -> np.ndarray:
    offsets = entries.arrays.get(f"{name}_offsets")
    if offsets is None:
        return entries.arrays[name]
    return np.array(unpack_strings(entries.arrays[name], offsets))


def _pack_texts(entries: Entries, name: str, texts: list[str]) -> None:
    entries.arrays[f"{name}_"], entries.arrays[f"{name}_offsets"] = pack_strings(texts)


def _unpack_texts(entries: Entries, name: str) -> list[str]:
    return unpack_strings(entries.arrays[f"{name}_"], entries.arrays[f"{name}_offsets"])


def _pack_rows(entries: Entries, name: str, rows: Rows) -> None:
    for part in ROWS:
        entries.arrays[f"{name}.{part}"] = getattr(rows, part)


def _unpack_rows(entries: Entries, name: str) -> Rows:
    indptr, indices, data = (entries.arrays[f"{name}.{part}"] for part in ROWS)
    kept = entries.arrays.get("kept_features")
    n_features = entries.meta["n_features"] if kept is None else len(kept)
    if "reading" in entries.meta:
        n_features = Reading(**_unpacked(entries.part("reading"), Reading)).n_columns
    return Rows(indptr, indices, data, n_features)


def _pack_members(entries: Entries, name: str, members: tuple[Member, ...]) -> None:
    entries.meta["depths"] = [member.tree.depth for member in members]
    for n, member in enumerate(members):
        entries.arrays[f"tree{n}.labels"] = member.tree.labels
        for level, layer in enumerate(member.layers):
            for part, array in layer._asdict().items():
                entries.arrays[f"tree{n}.level{level}.{part}"] = array


def _unpack_members(entries: Entries, name: str) -> tuple[Member, ...]:
    depths = entries.meta["depths"]
    known = [type(depth) is int and 0 < depth <= len(entries.arrays) for depth in depths]
    if not all(known) or not known:
        raise ValueError(f"depths: expected the levels of each tree, got {depths}")
    return tuple(_member(entries.arrays, n, depth) for n, depth in enumerate(depths))


def _member(arrays: dict[str, np.ndarray], n: int, depth: int) -> Member:
    levels = [f"tree{n}.level{level}" for level in range(depth)]
    layers = tuple(
        Layer(*(arrays[f"{level}.{part}"] for part in Layer._fields)) for level in levels
    )
    tree = LabelTree(tuple(layer.chunk_ptr for layer in layers), arrays[f"tree{n}.labels"])
    return Member(tree, layers)


def _pack_lists(entries: Entries, name: str, lists: Lists) -> None:
    entries.arrays[f"{name}.indptr"], entries.arrays[f"{name}.ids"] = lists


def _unpack_lists(entries: Entries, name: str) -> Lists:
    return Lists(entries.arrays[f"{name}.indptr"], entries.arrays[f"{name}.ids"])


def _pack_bases(entries: Entries, name: str, bases: tuple[Base, ...]) -> None:
    for n, base in enumerate(bases):
        inner = Entries({}, {"class": base.estimator, "parameters": base.parameters})
        _pack_fields(inner, base.predictor)
        entries.add_part(f"base{n}", inner)
    entries.meta[name] = len(bases)


def _unpack_bases(entries: Entries, name: str) -> tuple[Base, ...]:
    return tuple(_base(entries.part(f"base{n}")) for n in range(int(entries.meta[name])))


def _base(entries: Entries) -> Base:
    kind = method_of(entries.meta["class"]).load()
    predictor = kind.predictor_type(**_unpacked(entries, kind.predictor_type))
    parameters = _parameters(entries.meta, predictor)
    search = search_of(kind(**parameters)._params())
    return Base(entries.meta["class"], parameters, predictor, search)


BY_TYPE: dict[Any, Storage] = {
    int: Storage(_pack_plain, partial(_unpack_plain, (int,))),
    float: Storage(_pack_plain, partial(_unpack_plain, (float, int))),
    str: Storage(_pack_plain, partial(_unpack_plain, (str,))),
    np.ndarray: Storage(_pack_array, _unpack_array),
    list[str]: Storage(_pack_texts, _unpack_texts),
    Rows: Storage(_pack_rows, _unpack_rows),
    tuple[Member, ...]: Storage(_pack_members, _unpack_members),
    Lists: Storage(_pack_lists, _unpack_lists),
    tuple[Base, ...]: Storage(_pack_bases, _unpack_bases),
}
