"""`xmc convert`: turn data from one format into another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    TextEncoder,
    load_model,
    not_of_a_pair,
    pad_columns,
    read_blocks,
    read_labelled,
)
from xmc.cli.output import Output
from xmc.errors import DataError, ModelError, ParameterError
from xmc.formats import FORMATS, MATRIX_FORMATS, named_format, suffix_of

WITH_FEATURES = (*MATRIX_FORMATS, "xmc", "svmlight")
NEEDS_VECTORIZER = "texts become features with --fit-vectorizer DIR or --vectorizer DIR"
VECTORIZER_FILE, LABEL_FILE, MODEL_FILE = "vectorizer.json", "labels.txt", "model.json"


@click.command("convert", short_help="Turn data from one format into another.")
@click.argument("paths", nargs=-1, required=True, metavar="SRC... DST...")
@click.option(
    "--fit-vectorizer",
    metavar="DIR",
    help="Fit a vectoriser that turns texts into features; save it and the label ids in DIR.",
)
@click.option(
    "--vectorizer",
    metavar="DIR",
    help="Turn texts into features with the vectoriser in DIR, which may be a model, or a .rows.",
)
@options.encoder
@options.source
@click.option("--out-format", type=click.Choice(FORMATS), help="Format of the output.")
@click.option(
    "--out-one-based",
    is_flag=True,
    help="Count ids from 1 in the XMC text or SVMlight output.",
)
@options.text_parameters
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    fit_vectorizer: str | None,
    vectorizer: str | None,
    encoder: TextEncoder,
    source: Source,
    out_format: str | None,
    out_one_based: bool,
    output: Output,
    **text_flags: Any,
) -> None:
    """Turn data from one format into another.

    Formats are .npz, XMC .txt, SVMlight .svm, .tsv and plain .txt, also as .gz, .bz2, .xz or .zst.
    Features and labels as matrices are always two paths, each .npz or a .txt that begins with `rows
    columns`. To turn texts into features, use --fit-vectorizer on the training rows, then
    --vectorizer on the test rows.

    A .rows is a folder for rows that may be larger than memory: it is written a block at a time,
    and `xmc train` reads it in place.

    \b
    xmc convert X.npz Y.npz rows.txt.gz
    xmc convert trn_X_Xf.txt trn_X_Y.txt X.npz Y.npz
    xmc convert train.tsv X.trn.npz Y.trn.npz --fit-vectorizer tfidf
    xmc convert test.tsv X.tst.npz Y.tst.npz --vectorizer tfidf
    xmc convert train.tsv.gz train.rows --fit-vectorizer tfidf
    """
    if fit_vectorizer and vectorizer:
        raise click.UsageError("expected --fit-vectorizer or --vectorizer, got both")
    if not fit_vectorizer:
        options.refuse(ctx, options.TEXT_FLAGS, "goes with --fit-vectorizer")
    if not vectorizer:
        options.refuse(ctx, ("encoder_name",), "goes with --vectorizer")
    source.check_stdin(paths[0])
    sources, targets = split_paths(paths, source)
    check_pair(targets, out_format)
    if targets[0] == output.json_path == "-":
        raise click.UsageError("data and --json can't both go to stdout")
    in_folder = len(targets) == 1 and named_format(targets[0], out_format) == "rows"
    files, rows = ((), targets[0]) if in_folder else (targets, None)
    own: dict[str, Any] = {"marker": VECTORIZER_FILE, "within": (LABEL_FILE,)}
    output.check(*files, folder=fit_vectorizer, rows=rows, **own)
    if in_folder:
        how = text_flags, fit_vectorizer, vectorizer, encoder, output.overwrite
        return report(write_folder(sources, targets[0], source, *how), targets, output)
    data = read_sources(sources, source)
    with ExitStack() as stack:  # the vectoriser appears only if the data could be written, too
        if fit_vectorizer:
            data = fit(data, text_flags, stack, fit_vectorizer, output.overwrite)
        elif vectorizer:
            data = transform(data, vectorizer, encoder)
        write_targets(targets, data, out_format, not out_one_based, output.overwrite)
    in_rows = len(targets) == 1 and named_format(targets[0], out_format) != "tsv"
    if in_rows and data.Y is not None:  # only a matrix of its own holds weights, or ids of a .tsv
        weights = int((data.Y.data != 1).sum() - (data.Y.data == 0).sum())
        what = "weights of labels other than 1"
        output.notices.say_if_any(weights, data.Y.nnz, what, "they are left out; X Y holds them")
    report(count(data), targets, output)


def report(facts: dict[str, Any], targets: tuple[str, ...], output: Output) -> None:
    """Say what was written."""
    output.notices.say(f"{facts['n_rows']:,} rows, written to {' and '.join(targets)}")
    output.write_json(facts)


def write_folder(
    sources: tuple[str, ...],
    target: str,
    source: Source,
    text_flags: dict[str, Any],
    fit_vectorizer: str | None,
    folder: str | None,
    encoder: TextEncoder,
    overwrite: bool,
) -> dict[str, Any]:
    """Write the rows as a folder of rows, a block at a time, and the vectoriser that was fitted;
    returns sizes.
    """
    from xmc.params import TextParams
    from xmc.stored_rows import write_rows
    from xmc.text import make_vectorizer

    flag = "--fit-vectorizer" if fit_vectorizer else "--vectorizer" if folder else None
    vectorizer, known = (None, None) if folder is None else load_vectorizer(folder, encoder)
    with ExitStack() as stack:
        if fit_vectorizer:
            vectorizer = make_vectorizer(TextParams(**text_flags))
            fresh = stack.enter_context(replacing(fit_vectorizer, overwrite))
        blocks = with_features(read_blocks(sources, source), flag)
        how: dict[str, Any] = {"vectorizer": vectorizer, "known_ids": known or ()}
        stored = write_rows(target, blocks, overwrite=overwrite, **how)
        if fit_vectorizer:
            save_fitted(vectorizer, stored.label_ids, fresh)
    n_labels = None if stored.Y is None else stored.n_labels
    return {"n_rows": stored.n_rows, "n_features": stored.n_features, "n_labels": n_labels}


def with_features(blocks: Iterator[Any], flag: str | None) -> Iterator[Any]:
    """The blocks, each of which has texts if a flag makes features of them, and else features."""
    for data in blocks:
        if flag is not None:
            texts_of(data, flag)
        elif data.X is None and data.texts is not None:
            raise click.UsageError(NEEDS_VECTORIZER)
        yield data


def split_paths(paths: tuple[str, ...], source: Source) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split into sources and targets; of three paths, the first two are a pair if the first holds
    one matrix, as that alone can't become two.
    """
    n = len(paths)
    if n in (2, 4):
        return paths[: n // 2], paths[n // 2 :]
    if n != 3 or all(is_npz(path) for path in paths):
        raise click.UsageError(
            "expected SRC DST, where one side, or each, may be a pair X.npz Y.npz"
        )
    is_pair = os.path.exists(paths[1]) and source.format_of(paths[0]) in MATRIX_FORMATS
    n_sources = 2 if is_pair else 1
    return paths[:n_sources], paths[n_sources:]


def check_pair(targets: tuple[str, ...], format: str | None) -> None:
    """Raise DataError if there are two targets and one can't be that of a matrix."""
    from xmc.io.npz import check_plain

    for path in targets if len(targets) == 2 else ():
        form = named_format(path, format)
        if form not in (*MATRIX_FORMATS, "txt"):
            raise not_of_a_pair(path)
        if form == "npz":
            check_plain(path)


def is_npz(path: str) -> bool:
    """Whether the name says that the file is a matrix."""
    return suffix_of(path) == ".npz"


def read_sources(sources: tuple[str, ...], source: Source) -> Any:
    """Read the sources as a Dataset; rows of features without any label are an X alone."""
    if len(sources) == 2:
        return read_labelled(sources, source)
    data = source.read(sources[0])
    no_labels = data.X is not None and data.Y is not None and data.Y.shape[1] == 0
    return data._replace(Y=None) if no_labels else data


def fit(
    data: Any, text_flags: dict[str, Any], stack: ExitStack, folder: str, overwrite: bool
) -> Any:
    """The data with features from their texts.

    The folder of the vectoriser, with labels.txt in it, appears when the stack is closed.
    """
    from xmc.params import TextParams
    from xmc.text import fit_texts, make_vectorizer

    vectorizer = make_vectorizer(TextParams(**text_flags))
    X = fit_texts(vectorizer, texts_of(data, "--fit-vectorizer"))
    save_fitted(vectorizer, data.label_ids, stack.enter_context(replacing(folder, overwrite)))
    return data._replace(X=X)


def replacing(path: str, overwrite: bool) -> AbstractContextManager[Path]:
    """As xmc.io has it, which takes long to import."""
    from xmc.io import files

    return files.replacing(path, overwrite)


def save_fitted(vectorizer: Any, label_ids: list[str] | None, fresh: Path) -> None:
    """Write the folder of a vectoriser, and the ids of the labels beside it."""
    from xmc.text import save_vectorizer

    save_vectorizer(vectorizer, fresh)
    if label_ids is not None:
        lines = "".join(f"{label}\n" for label in label_ids)
        (fresh / LABEL_FILE).write_text(lines, encoding="utf-8")


def transform(data: Any, folder: str, encoder: TextEncoder) -> Any:
    """The data with features from their texts.

    Labels stand in the columns that they had when the vectoriser was fitted; new ones come last.
    """
    from xmc.io import align_labels

    vectorizer, known = load_vectorizer(folder, encoder)
    data = data._replace(X=vectorizer.transform(texts_of(data, "--vectorizer")))
    if data.label_ids is None or known is None:
        return data
    Y, ids = align_labels(data.Y, data.label_ids, known)
    return data._replace(Y=pad_columns(Y, len(ids)), label_ids=ids)


def load_vectorizer(folder: str, encoder: TextEncoder) -> tuple[Any, list[str] | None]:
    """The vectoriser, with its encoder, and the label ids in a folder of --fit-vectorizer, of a
    model or of rows.
    """
    from xmc.encoders import EncodedVectorizer

    vectorizer, label_ids = vectorizer_in(folder)
    if encoder.name is not None:
        if not isinstance(vectorizer, EncodedVectorizer):
            raise ParameterError(f"{folder}: its vectoriser was fitted without an encoder")
        vectorizer.use(encoder.imported(), encoder.cache)
    return vectorizer, label_ids


def vectorizer_in(folder: str) -> tuple[Any, list[str] | None]:
    """The vectoriser, without an encoder, and the label ids in such a folder."""
    from xmc import text
    from xmc.io import read_label_names
    from xmc.io.stored import is_stored, open_rows
    from xmc.stored_rows import vectorizer_of

    home = Path(folder)
    if (home / MODEL_FILE).is_file():
        model = load_model(folder, None)
        if not hasattr(model, "vectorizer_"):
            expected = "expected a model that was trained on texts"
            raise ModelError(f"{folder}: {expected}, it has no vectoriser")
        return model.vectorizer_, model.label_ids_
    if is_stored(folder):
        rows = open_rows(folder)
        vectorizer = vectorizer_of(rows)
        if vectorizer is None:
            raise DataError(
                f"{folder}: expected rows that were made of texts, it has no vectoriser"
            )
        return vectorizer, rows.label_ids
    vectorizer, labels = text.load_vectorizer(folder), home / LABEL_FILE
    return vectorizer, read_label_names(labels)[0] if labels.is_file() else None


def texts_of(data: Any, flag: str) -> list[str]:
    """The texts of the data. Raises DataError if it has none."""
    if data.texts is None:
        raise DataError(f"convert: expected texts for {flag}, the rows have features already")
    return data.texts


def write_targets(
    targets: tuple[str, ...], data: Any, format: str | None, zero_based: bool, overwrite: bool
) -> None:
    """Write the data to one path, or as two matrices to two paths."""
    from xmc.io import write

    if len(targets) == 2:
        return write_pair(*targets, data, format, zero_based, overwrite)
    if data.X is None and wants_features(targets[0], format):
        raise click.UsageError(NEEDS_VECTORIZER)
    write(targets[0], data, format=format, zero_based=zero_based, overwrite=overwrite)


def wants_features(path: str, format: str | None) -> bool:
    """Whether the output format holds features."""
    return format in WITH_FEATURES if format else suffix_of(path) in (".npz", ".svm")


def write_pair(
    x_path: str, y_path: str, data: Any, format: str | None, zero_based: bool, overwrite: bool
) -> None:
    """Write X and Y as matrices; if one fails, neither appears."""
    from xmc.io import write_matrix

    if data.X is None:
        raise click.UsageError(NEEDS_VECTORIZER)
    if data.Y is None:
        raise DataError(
            f"{y_path}: expected labels to write, the rows have none; X alone is one path"
        )
    with replacing(x_path, overwrite) as x_fresh, replacing(y_path, overwrite) as y_fresh:
        for fresh, M in ((x_fresh, data.X), (y_fresh, data.Y)):
            write_matrix(fresh, M, format=format, zero_based=zero_based)


def count(data: Any) -> dict[str, Any]:
    """The sizes of the data; None if it has no features or labels."""
    return {
        "n_rows": len(data.texts) if data.X is None else data.X.shape[0],
        "n_features": None if data.X is None else data.X.shape[1],
        "n_labels": None if data.Y is None else data.Y.shape[1],
    }
