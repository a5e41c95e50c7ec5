"""`xmc train`: learn from labelled rows and save the model in a folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    TextEncoder,
    check_concepts,
    default_ks,
    name_columns,
    names_by_vocabulary,
    names_of_ids,
    read_labelled,
    read_vocabulary,
)
from xmc.cli.output import Notices, Output, print_metrics
from xmc.cli.schedulers import Scheduler, scheduler
from xmc.methods import Method, method_named
from xmc.params import names
from xmc.presets import PRESETS

if TYPE_CHECKING:
    from xmc.labelled_rows import LabelledRows

STAGE_FLAGS = ("neighbors",)
ONLY_BIAS = "only the bias learns from them"
ONLY_NEGATIVES = "they only serve as negatives"
WITHOUT_ROWS = "labels without a training row"
ONLY_NAMES = "only their names find them"
NEVER_PREDICTED = "they are never predicted"


@click.command("train", cls=options.HeadedCommand, short_help="Train a model and save it.")
@click.argument("sources", nargs=-1, required=True, metavar="X.npz Y.npz | FILE")
@click.option(
    "--model", "target", required=True, metavar="DIR", help="Folder to save the model in."
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="Settings of a published method; other flags change them.",
)
@options.method("tree")
@click.option(
    "--valid",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Hold out this share of the rows, chosen by --seed, and measure the model on them.",
)
@click.option(
    "--row-weights",
    metavar="FILE",
    help="A number per line for each row: what an error on it costs, times C. Rows held out by "
    "--valid count once each.",
)
@click.option(
    "--rerank/--no-rerank",
    default=None,
    help="With or without a last stage that weighs all evidence for a label.  [default: of texts, "
    "with it if held-out rows say that it helps]",
)
@click.option(
    "--checkpoint",
    metavar="DIR",
    help="Keep what is finished in this folder until the model is saved. Killed or interrupted, "
    "the same command goes on from there.",
)
@scheduler
@click.option("--dry-run", is_flag=True, help="Print what training would take, but don't train.")
@options.label_names
@options.vocabulary
@options.source
@options.model_parameters
@options.text_parameters
@options.encoder
@options.encoder_parameters
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[str, ...],
    target: str,
    preset: str | None,
    method: str | None,
    one_vs_all: bool,
    valid: float | None,
    row_weights: str | None,
    rerank: bool | None,
    checkpoint: str | None,
    scheduler: Scheduler,
    dry_run: bool,
    label_names: str | None,
    vocabulary: str | None,
    source: Source,
    encoder: TextEncoder,
    output: Output,
    **flags: Any,
) -> None:
    """Train a model on labelled rows and save it in a folder.

    Rows come from two matrices, each .npz or a .txt that begins with `rows columns`, or from one
    file: .txt (XMC text), .svm (SVMlight) or
    .tsv (lines id,id<TAB>text). A file may be compressed: .gz, .bz2, .xz or .zst. A .rows, which
    `xmc convert` writes, may be larger than memory.

    \b
    xmc train train.tsv --model model
    xmc train X.npz Y.npz --model model --tree shallow --n-trees 3
    xmc train X.npz Y.npz --model model --preset parabel --n-trees 1
    """
    from xmc.labelled_rows import hold_out, measure
    from xmc.memory import return_freed_arrays
    from xmc.settings import model_of

    kind = choose_method(ctx, method, one_vs_all, preset)
    settings = {} if preset is None else dict(PRESETS[preset].settings)
    settings |= options.typed_settings(ctx, flags)
    if method or one_vs_all or preset:
        settings["method"] = kind.name
    if rerank is not None:
        settings["rerank"] = rerank
    settings |= encoder_settings(ctx, encoder)
    refuse_lacking(ctx, kind, flags)
    output.check(folder=target, marker="model.json", beside=checkpoint)
    run = options.run_params(flags, output.quiet)
    model = model_of(settings, run)
    output.notices.compiling()
    return_freed_arrays()
    data = read_training(sources, source, label_names)
    if row_weights is not None:
        data = data._replace(row_weights=read_row_weights(row_weights, data.Y.shape[0]))
    concepts = None
    if vocabulary is not None:
        concepts = read_vocabulary(vocabulary, output.notices)
    refuse_for_rows(ctx, kind, data)
    if data.texts is None:
        if vocabulary is not None:
            data = named_by(data, concepts, vocabulary, output.notices)
    elif vocabulary is not None and data.label_ids is not None:
        check_concepts(data.label_ids, concepts, vocabulary, output.notices)
    if hasattr(data.texts, "packed_vectorizer"):
        why = "goes with `xmc convert --fit-vectorizer`, the texts have features already"
        options.refuse(ctx, (*options.TEXT_FLAGS, *options.ENCODER_FLAGS), why)
        settings |= settings_of_folder(data.texts)
    kept, held = (data, None) if valid is None else hold_out(data, valid, flags["seed"], "train")
    if data.texts is not None:
        model = model_of(settings, run, of_texts=True, vocabulary=concepts)
    if dry_run:
        output.write_json(print_forecast(model, kept, target, output))
        return
    with (
        resumable(checkpoint, output.notices),
        scheduler.executor(target, flags["threads"]) as executor,
    ):
        result = {"model": target, **fit(model, kept, output.notices, checkpoint, executor)}
        model.save(target, overwrite=output.overwrite)
    sizes = f"{result['n_labels']:,} labels from {result['n_rows']:,} rows"
    output.notices.say(f"{sizes} in {result['seconds']:.1f} s, saved as {target}")
    if held is not None:
        result["valid"] = measure(model, kept, held, default_ks((), model.n_labels_))
        output.notices.say(f"measured on the {held.Y.shape[0]:,} rows that were held out")
        if output.for_people:
            print_metrics(result["valid"])
    output.write_json(result)


def choose_method(
    ctx: click.Context, name: str | None, one_vs_all: bool, preset: str | None
) -> Method:
    """The method that the flags name; a preset has its own."""
    named = name or ("one-vs-all" if one_vs_all else None)
    if one_vs_all and named != "one-vs-all":
        raise click.UsageError(f"--one-vs-all doesn't go with --method {name}", ctx)
    own = None if preset is None else PRESETS[preset].method
    if named is not None and own is not None and named != own:
        flag = "--one-vs-all" if one_vs_all else f"--method {named}"
        raise click.UsageError(f"{flag} doesn't go with --preset {preset}, which is {own}", ctx)
    return method_named(named or own or "tree")


def encoder_settings(ctx: click.Context, encoder: TextEncoder) -> dict[str, Any]:
    """The encoder as parameters of a model of texts, none where there is none."""
    if encoder.name is None:
        options.refuse(ctx, ("encoder_weight",), "goes with --encoder")
        return {}
    return {"encoder": encoder.imported(), "encoder_cache": encoder.cache}


def refuse_lacking(ctx: click.Context, kind: Method, flags: dict[str, Any]) -> None:
    """Raise a usage error if a flag was typed that this kind of model lacks."""
    others = *options.TEXT_FLAGS, *options.ENCODER_FLAGS, *STAGE_FLAGS, "threads", "seed"
    lacking = flags.keys() - {*names(kind.params), *others}
    options.refuse(ctx, lacking, f"doesn't go with --method {kind.name}")


def refuse_for_rows(ctx: click.Context, kind: Method, data: LabelledRows) -> None:
    """Raise a usage error if a flag was typed that goes with rows of the other kind."""
    if data.texts is not None:
        why = "goes with matrices only, features of texts are TF-IDF weights already"
        options.refuse(ctx, options.FEATURE_FLAGS, why)
        return
    why = "goes with texts only, the rows have features already"
    options.refuse(ctx, (*options.TEXT_FLAGS, *options.ENCODER_FLAGS, "rerank"), why)
    if kind.name != "reranked":
        options.refuse(ctx, STAGE_FLAGS, "goes with texts or --method reranked")


def read_training(
    sources: tuple[str, ...], source: Source, label_names: str | None
) -> LabelledRows:
    """Read the rows, and the ids and names of their labels."""
    from xmc.labelled_rows import LabelledRows

    dataset = open_folder(sources, source) or read_labelled(sources, source)
    Y, ids, names = dataset.Y, dataset.label_ids, None
    if label_names and ids is not None:
        names = names_of_ids(ids, label_names)
    elif label_names:
        Y, ids, names = name_columns(Y, label_names, source.is_headerless(sources[-1]))
    return LabelledRows(dataset.X, Y, dataset.texts, ids, names)


def open_folder(sources: tuple[str, ...], source: Source) -> Any:
    """The rows of a folder as a Dataset whose X is the folder, or its texts are; None of files."""
    from xmc.errors import DataError
    from xmc.io import Dataset
    from xmc.io.stored import open_rows

    if len(sources) > 1 or sources[0] == "-" or source.format_of(sources[0]) != "rows":
        return None
    rows: Any = open_rows(sources[0])
    if rows.Y is None:
        raise DataError(f"{sources[0]}: expected rows with labels, these have none")
    X, texts = (rows, None) if rows.packed_vectorizer is None else (None, rows)
    return Dataset(X, rows.Y, texts, rows.label_ids)


def settings_of_folder(rows: Any) -> dict[str, Any]:
    """The parameters of texts with which a folder of rows was made."""
    from xmc.stored_rows import vectorizer_of
    from xmc.text_classifier import settings_of

    return settings_of(vectorizer_of(rows))


def read_row_weights(path: str, n_rows: int) -> Any:
    """The weights of the rows, float64, from a number per line."""
    import numpy as np

    from xmc.errors import DataError, quoted
    from xmc.io.files import numbered_lines, source_name
    from xmc.training_data import as_row_weights

    weights = []
    for number, line in numbered_lines(path):
        try:
            weights.append(float(line))
        except ValueError:
            got = f"expected a number, got {quoted(line)}"
            raise DataError(f"{source_name(path)}:{number}: {got}") from None
    as_row_weights(weights, n_rows, source_name(path))
    return np.array(weights)


def named_by(data: LabelledRows, vocabulary: Any, path: str, notices: Notices) -> LabelledRows:
    """The rows with the names that a vocabulary gives their labels."""
    if data.label_ids is None:
        raise click.UsageError("--vocabulary needs ids of a matrix's columns: --label-names FILE")
    names = names_by_vocabulary(data.label_ids, data.label_names, vocabulary, path, notices)
    return data._replace(label_names=names)


@contextmanager
def resumable(checkpoint: str | None, notices: Notices) -> Iterator[None]:
    """Say how an interrupted training goes on, and remove the checkpoint of a finished one."""
    from xmc.checkpoint import is_begun, remove

    if checkpoint is None:
        yield
        return
    if is_begun(checkpoint):
        notices.say(f"goes on with what {checkpoint} keeps")
    try:
        yield
    except KeyboardInterrupt as error:
        error.args = (f"interrupted; the same command goes on with what {checkpoint} keeps",)
        raise
    remove(checkpoint)


def fit(
    model: Any, data: LabelledRows, notices: Notices, checkpoint: str | None, executor: Any
) -> dict[str, Any]:
    """Fit the model; returns counts and seconds."""
    started = time.monotonic()
    facts: dict[str, Any] = count_rows(data.X, data.Y)
    report_counts(facts, notices)
    data.teach(model, checkpoint=checkpoint, executor=executor)
    if data.texts is not None:
        found = count_features(model.model_)
        report_counts(found | {"n_rows": facts["n_rows"]}, notices)
        facts |= found | {"held_out": getattr(model.classifier_, "held_out_", None)}
        for line in model.notices_:
            notices.say(line)
        if model.n_labels_ > facts["n_labels"]:  # a vocabulary has brought more
            without = int((model.label_counts_ == 0).sum())
            facts |= {"n_labels": model.n_labels_, "n_labels_without_rows": without}
            notices.say_if_any(without, model.n_labels_, WITHOUT_ROWS, found_by(model))
    return facts | {"seconds": round(time.monotonic() - started, 3)}


def found_by(model: Any) -> str:
    """What becomes of a vocabulary's labels without a training row."""
    return ONLY_NAMES if model.model_.predictor.reads_texts else NEVER_PREDICTED


def print_forecast(model: Any, data: LabelledRows, target: str, output: Output) -> dict[str, Any]:
    """Print what training would take, unless JSON goes to stdout; returns it, too. A disk without
    room for the model is told.
    """
    from xmc.parallel import n_threads

    report_counts(count_rows(data.X, data.Y), output.notices)
    if data.texts is None:
        needs = model.forecast(data.X, data.Y)
    else:
        called = {"label_ids": data.label_ids, "label_names": data.label_names}
        needs = model.forecast(data.texts, data.Y, **called)
    first = getattr(model, "classifier", model)
    threads = n_threads((first[0] if isinstance(first, tuple) else first).n_jobs)
    result = needs._asdict() | {
        "parts": [part._asdict() for part in needs.parts],
        "memory_bytes": needs.memory(threads),
        "least_memory_bytes": needs.memory(1, spilled=True),
        "free_bytes": shutil.disk_usage(Path(target).absolute().parent).free,
    }
    if output.for_people:
        levels = ", ".join(f"{nodes:,} in {chunks:,} chunks" for nodes, chunks in needs.levels)
        click.echo(f"rows          {needs.n_rows:,} with {needs.n_features:,} features")
        click.echo(f"labels        {needs.n_labels:,} with rows")
        click.echo(f"trees         {needs.n_trees}, nodes by level: {levels}")
        click.echo(f"time          about {needs.seconds:.0f} s")
        least = f"{result['least_memory_bytes'] / 2**20:,.0f} MiB with --memory, at least"
        click.echo(
            f"memory        about {result['memory_bytes'] / 2**20:,.0f} MiB at the peak; {least}"
        )
        click.echo(f"model         about {needs.model_bytes / 2**20:,.0f} MiB")
    if result["free_bytes"] < needs.model_bytes:
        free = f"{result['free_bytes'] / 2**20:,.0f} MiB are free"
        output.notices.say(f"the model finds no room: {free} where {target} goes")
    return result


def count_rows(X: Any, Y: Any) -> dict[str, int]:
    """Sizes, and how many rows and labels are empty; X is None while there are only texts."""
    import numpy as np

    true = Y != 0
    facts = {"n_rows": Y.shape[0]}
    if X is not None:
        sizes = X.sizes if hasattr(X, "sizes") else X.getnnz(axis=1)
        empty = int((sizes == 0).sum())
        facts |= {"n_features": X.shape[1], "n_rows_without_features": empty}
    return facts | {
        "n_labels": Y.shape[1],
        "n_rows_without_labels": int((true.getnnz(axis=1) == 0).sum()),
        "n_labels_without_rows": Y.shape[1] - len(np.unique(true.indices)),
    }


def count_features(learned: Any) -> dict[str, int]:
    """Sizes of the X that a model of texts made of them."""
    return {
        "n_features": learned.n_features,
        "n_rows_without_features": learned.n_rows_without_features,
    }


def report_counts(facts: dict[str, int], notices: Notices) -> None:
    """Print notices about empty rows and labels."""
    for key, total, what, consequence in (
        ("n_rows_without_features", "n_rows", "rows without features", ONLY_BIAS),
        ("n_rows_without_labels", "n_rows", "rows without labels", ONLY_NEGATIVES),
        ("n_labels_without_rows", "n_labels", WITHOUT_ROWS, NEVER_PREDICTED),
    ):
        if key in facts:
            notices.say_if_any(facts[key], facts[total], what, consequence)
