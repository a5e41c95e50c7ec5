"""`xmc update`: let a model learn new rows and labels, or forget labels, without training again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    TextEncoder,
    check_concepts,
    features_for,
    load_model,
    matrix_model,
    pad_columns,
    read_vocabulary,
)
from xmc.cli.output import Notices, Output
from xmc.cli.train import read_training
from xmc.errors import ModelError

if TYPE_CHECKING:
    from xmc.labelled_rows import LabelledRows

FEEDBACK = ".jsonl"
LACKED = "labels that the model's vocabulary lacks"
RETRAIN = 0.2  # drift from which on a new training is due


@click.command("update", short_help="Teach a model new rows and labels.")
@click.argument("folder", metavar="DIR")
@click.argument("sources", nargs=-1, metavar="[X.npz Y.npz | FILE]")
@click.option(
    "--rows",
    "beside",
    multiple=True,
    metavar="FILE",
    help="The rows of the training, in the same form; twice for X.npz and Y.npz. Not needed if the "
    "model was trained with --keep-rows, or asks its neighbours.",
)
@click.option(
    "--remove", "gone", multiple=True, metavar="ID", help="Forget this label; may be repeated."
)
@click.option(
    "--model", "target", metavar="DIR", help="Save the result here instead of replacing the model."
)
@options.label_names
@options.vocabulary
@options.encoder
@options.source
@options.threads
@options.output
def command(
    folder: str,
    sources: tuple[str, ...],
    beside: tuple[str, ...],
    gone: tuple[str, ...],
    target: str | None,
    label_names: str | None,
    vocabulary: str | None,
    source: Source,
    encoder: TextEncoder,
    threads: int | None,
    output: Output,
) -> None:
    """Let the model in DIR learn labelled rows and new labels, without training it again.

    Rows come as for `xmc train`, or as the feedback that `xmc serve` keeps. Only the scorers of
    labels that gain rows are solved, all else keeps its bytes; a row that the model knows gains the
    labels. --vocabulary brings new names and concepts, which a last stage finds by their names at
    once. Whoever has DIR open goes on with the model as it was.

    \b
    xmc update model new.tsv
    xmc update model new.tsv --rows train.tsv
    xmc update model --vocabulary gnd.ttl --remove gnd:4014736-8
    """
    if not sources and not gone and vocabulary is None:
        raise click.UsageError("expected rows, --vocabulary or --remove")
    if beside and not sources:
        raise click.UsageError("--rows goes with new rows")
    if label_names and not sources:
        raise click.UsageError("--label-names goes with new rows")
    output.check(folder=target, marker="model.json")
    output.notices.compiling()
    started = time.monotonic()
    model = load_model(folder, threads, encoder, output.notices)
    before = count(model)
    forgotten = columns_of(model, gone)
    if sources or vocabulary is not None:
        learn(model, folder, sources, beside, label_names, vocabulary, source, output.notices)
    if gone:  # after what rows say of them
        model.remove(forgotten)
    model.save(target or folder, overwrite=target is None or output.overwrite)
    result = {"model": target or folder, **difference(before, count(model))}
    result |= {"n_removed": len(gone), "drift": round(model.drift_, 4)}
    result["seconds"] = round(time.monotonic() - started, 3)
    say(result, output.notices)
    output.write_json(result)


def columns_of(model: Any, labels: tuple[str, ...]) -> list[Any]:
    """These labels, once it is sure that the model knows them: by their ids, or their numbers."""
    from xmc.explaining.build import column_of

    ids = model.label_ids_ or range(model.n_labels_)
    who = type(model).__name__
    return [ids[column_of(label, ids, model.label_names_, who)] for label in labels]


def learn(
    model: Any,
    folder: str,
    sources: tuple[str, ...],
    beside: tuple[str, ...],
    label_names: str | None,
    vocabulary: str | None,
    source: Source,
    notices: Notices,
) -> None:
    """Let the model learn what the files hold."""
    concepts = None if vocabulary is None else read_vocabulary(vocabulary, notices)
    of_texts = hasattr(model, "vectorizer_")
    if vocabulary is not None and not of_texts:
        raise click.UsageError("--vocabulary goes with models of texts")
    if not sources:
        model.add([], [], vocabulary=concepts)
        return
    matrix_model(model).check_learns()
    if not beside and not matrix_model(model).has_rows_:
        raise ModelError(
            f"{folder}: expected a model that has rows to learn new ones beside: give those of the "
            "training with --rows, or train with --keep-rows"
        )
    new = read_new(sources, source, label_names, notices)
    rows = read_training(beside, source, label_names) if beside else None
    if new.label_ids:
        tell_lacking(model, new.label_ids, concepts, vocabulary, notices)
    new, rows = alike(model, new, rows)
    called: dict[str, Any] = {"label_ids": new.label_ids, "label_names": new.label_names}
    if of_texts:
        if new.texts is None:
            raise click.UsageError("expected texts, as the model was trained on texts")
        called["vocabulary"] = concepts
        called["rows"] = None if rows is None else (rows.texts, rows.Y)
        model.add(new.texts, new.Y, **called)
        return
    headerless = source.is_headerless(sources[-1])
    X = as_features(model, new, headerless, notices)
    if rows is not None:
        called["rows"] = as_features(model, rows, headerless, notices), rows.Y
    model.add(X, new.Y, **called)


def tell_lacking(
    model: Any, ids: list[str], concepts: Any, path: str | None, notices: Notices
) -> None:
    """Say how many labels the vocabulary lacks, a given one or that of the model."""
    if concepts is not None:
        check_concepts(ids, concepts, str(path), notices)
    elif (known := getattr(model, "vocabulary", None)) is not None:
        own = known.as_in(model.label_ids_)
        lacking = sum(label not in own for label in ids)
        notices.say_if_any(lacking, len(ids), LACKED, "they are called by their ids")


def read_new(
    sources: tuple[str, ...], source: Source, label_names: str | None, notices: Notices
) -> LabelledRows:
    """The new rows: labelled ones, or feedback on texts."""
    if len(sources) > 1 or not sources[0].endswith(FEEDBACK):
        return read_training(sources, source, label_names)
    from xmc.labelled_rows import LabelledRows
    from xmc.serving.feedback import accepted
    from xmc.text_classifier import as_labels

    texts, labels = accepted(sources[0])
    Y, ids = as_labels(labels, None, "update")
    return LabelledRows(None, Y, texts, ids, None)


def alike(
    model: Any, new: LabelledRows, rows: LabelledRows | None
) -> tuple[LabelledRows, LabelledRows | None]:
    """New and known rows with the same columns of labels: those of the model, and new ones."""
    known = model.label_ids_
    if new.label_ids is None or known is None:
        width = max(model.n_labels_, new.Y.shape[1])
        widened = new._replace(Y=pad_columns(new.Y, width))
        return widened, rows and rows._replace(Y=pad_columns(rows.Y, width)[:, :width])
    from xmc.io.label_ids import align_labels

    there = set(known)
    every = [*known, *(label for label in new.label_ids if label not in there)]
    names = dict(zip(new.label_ids, new.label_names or (), strict=False))
    own = [names.get(label, label) for label in every] if names else None

    def aligned(part: LabelledRows) -> LabelledRows:
        Y = align_labels(part.Y, part.label_ids or every, every)[0][:, : len(every)]
        return part._replace(Y=Y, label_ids=every, label_names=own)

    return aligned(new), rows and aligned(rows)


def as_features(model: Any, rows: LabelledRows, headerless: bool, notices: Notices) -> Any:
    """X as the model takes it."""
    from xmc.io import Dataset

    return features_for(model, Dataset(X=rows.X, texts=rows.texts), headerless, notices)


def count(model: Any) -> dict[str, int]:
    """What an update changes, as numbers."""
    learned = model.model_
    updates = learned.updates
    return {
        "n_rows": learned.n_rows,
        "n_labels": learned.n_labels,
        "n_labels_solved": updates.n_labels if updates else 0,
    }


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Sizes after an update, and what it has added."""
    more = {name: after[name] - before[name] for name in before}
    return {
        "n_rows": after["n_rows"],
        "n_labels": after["n_labels"],
        "n_rows_new": more["n_rows"],
        "n_labels_new": more["n_labels"],
        "n_labels_solved": more["n_labels_solved"],
    }


def say(result: dict[str, Any], notices: Notices) -> None:
    """Tell what was learned, and whether it is time to train again."""
    told = (
        (f"{result['n_labels_solved']:,} labels solved", result["n_labels_solved"]),
        (f"{result['n_labels_new']:,} labels new", result["n_labels_new"]),
        (f"{result['n_rows_new']:,} rows new", result["n_rows_new"]),
        (f"{result['n_removed']:,} labels removed", result["n_removed"]),
    )
    changes = ", ".join(text for text, n in told if n) or "nothing new"
    notices.say(f"{changes}; {result['seconds']:.1f} s, saved as {result['model']}")
    if result["drift"] >= RETRAIN:
        changed = f"{result['drift']:.0%} of the labels have changed since the training"
        notices.say(f"{changed}: it is time to train again")
