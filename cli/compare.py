"""`xmc compare`: two models or prediction files on the same rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from xmc.cli import options
from xmc.cli.data import (
    Source,
    TextEncoder,
    check_k,
    default_ks,
    features_for,
    load_model,
    matrix_model,
    model_labels,
    names_of_ids,
    pad_columns,
    read_labelled,
)
from xmc.cli.evaluate import propensity_flags
from xmc.cli.matching import (
    Inputs,
    LabelMatrix,
    add_ids,
    check_rows,
    ids_of_columns,
    match_labels,
    read_labels,
)
from xmc.cli.measuring import training_rows as rows_of_file
from xmc.cli.output import Notices, Output, print_table, say
from xmc.cli.predict import shorten
from xmc.formats import MATRIX_FORMATS

USUAL_K = 5


class Side(NamedTuple):
    """What one of the two predicts; if it is a model, what it calls its labels, how many training
    rows they have, and whether it was trained with an encoder.
    """

    pred: LabelMatrix
    names: list[str] | None = None
    trained: Any = None  # TrainingRows
    takes_encoder: bool = False


class Matched(NamedTuple):
    """Both predictions and the truth, every label in the same column of all."""

    true: LabelMatrix
    a: LabelMatrix
    b: LabelMatrix
    propensity: Any


@click.command("compare", short_help="Compare two models or prediction files on the same rows.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.argument("truth", nargs=-1, required=True, metavar="TRUTH | X.npz Y.npz")
@click.option(
    "-k",
    "ks",
    type=options.Ks(),
    multiple=True,
    help="How many of the best labels to look at, as 1,3,5; may be repeated.",
)
@propensity_flags
@options.label_names
@options.encoder
@options.source
@options.threads
@options.seed
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    a: str,
    b: str,
    truth: tuple[str, ...],
    ks: tuple[tuple[int, ...], ...],
    train_labels: str | None,
    propensity_a: float,
    propensity_b: float,
    label_names: str | None,
    source: Source,
    encoder: TextEncoder,
    threads: int | None,
    seed: int,
    output: Output,
) -> None:
    """Compare A with B, each a model's folder or a file of predictions, on the same rows.

    TRUTH holds rows with labels: XMC text, SVMlight or tsv; matrices are X.npz Y.npz, or Y.npz
    alone if A and B are both predictions. For each metric there are both figures, their difference,
    its 95% interval over 1,000 resamples of the rows, and the share of these in which A is ahead.
    Below are the labels that only one of the two finds. PSP and PSnDCG take the training rows of
    labels from --train-labels, or from a model. --encoder is given to models that were trained with
    one.

    \b
    xmc compare old new test.tsv
    xmc compare a.jsonl b.jsonl test.tsv --train-labels train.tsv
    """
    source.check_stdin(truth[0])
    output.check()
    output.notices.compiling()
    of_models = os.path.isdir(a) or os.path.isdir(b)
    dataset, true = read_truth(truth, source, of_models)
    asked = [k for some in ks for k in some]
    k = max(asked, default=USUAL_K)
    how = threads, source, encoder, output.notices
    sides = [read_side(path, dataset, true, k, *how) for path in (a, b)]
    if not any(side.takes_encoder for side in sides):
        options.refuse(ctx, ["encoder_name"], "goes with a model that was trained with one")
    if train_labels is None and all(side.trained is None for side in sides):
        options.refuse(ctx, ["propensity_a", "propensity_b"], "goes with --train-labels or a model")
    train = read_counts(train_labels, sides, source)
    matched = match(true, sides, train, label_names, (propensity_a, propensity_b))
    found = measured(matched, asked, seed, output.notices)
    labels = labels_of(matched.true, sides, label_names)
    if output.for_people:
        print_comparison(found, labels, (a, b), dataset.texts)
    if output.json_path is not None:
        from xmc.reporting.comparison import as_json

        output.write_json({"model_a": a, "model_b": b} | as_json(found, labels))


def read_truth(paths: Sequence[str], source: Source, of_models: bool) -> tuple[Any, LabelMatrix]:
    """Rows and labels; a label matrix may stand alone where no model asks for the rows."""
    from xmc.errors import DataError
    from xmc.io import Dataset

    path = paths[-1]
    if len(paths) == 1 and not of_models and source.format_of(path) in MATRIX_FORMATS:
        true = read_labels(path, source)
        dataset = Dataset(Y=true.M)
    else:
        dataset = read_labelled(paths, source)
        headerless = source.is_headerless(path)
        true = LabelMatrix(path, dataset.Y, dataset.label_ids, headerless)
    if not true.M.nnz:
        raise DataError(f"{path}: expected rows with labels, no row has one")
    return dataset, true


def read_side(
    path: str,
    dataset: Any,
    true: LabelMatrix,
    k: int,
    threads: int | None,
    source: Source,
    encoder: TextEncoder,
    notices: Notices,
) -> Side:
    """The predictions in a file, or those of the model in a folder."""
    from xmc.encoders import EncodedVectorizer
    from xmc.io import read_predictions
    from xmc.reporting.training_rows import training_rows

    if not os.path.isdir(path):
        side = Side(LabelMatrix(path, *read_predictions(path)))
        check_rows(Inputs(side.pred, true, None))
        return side
    model = load_model(path, threads, notices=notices)
    takes_encoder = isinstance(getattr(model, "vectorizer_", None), EncodedVectorizer)
    if takes_encoder:
        model.encoder, model.encoder_cache = encoder.imported(), encoder.cache
    X = features_for(model, dataset, source.is_headerless(true.path), notices)
    n_labels = model.n_labels_
    top = matrix_model(model).predict_topk(X, min(k, n_labels))
    ids, names = model_labels(model)
    # Where the truth has no ids, its columns are those of the model.
    pred = LabelMatrix(path, top.to_csr(n_labels), None if true.ids is None else ids)
    return Side(pred, names or ids, training_rows(model), takes_encoder)


def read_counts(
    path: str | None, sides: Sequence[Side], source: Source
) -> tuple[LabelMatrix, int] | None:
    """The training rows of each label, as a matrix of one row, and how many rows there are."""
    if path is not None:
        return rows_of_file(path, source)
    for side in sides:
        if side.trained is not None:
            labels, counts, n_rows = side.trained
            M = as_one_row(labels, counts, side.pred.n_labels)
            return side.pred._replace(M=M, headerless=True), n_rows
    return None


def as_one_row(labels: Any, counts: Any, n_labels: int) -> Any:
    """The counts of labels as a matrix, whose columns can be matched as those of others are."""
    import scipy.sparse as sp

    return sp.csr_matrix((counts, labels, [0, len(labels)]), shape=(1, n_labels))


def match(
    true: LabelMatrix,
    sides: Sequence[Side],
    train: tuple[LabelMatrix, int] | None,
    label_names: str | None,
    constants: tuple[float, float],
) -> Matched:
    """Everything in the same columns: first those of the truth, then the others."""
    counts = None if train is None else train[0]
    preds, ids = [], ids_of_columns(label_names)
    for side in sides:
        given = add_ids(Inputs(side.pred, true, counts), ids)
        pred, true, _ = match_labels(given._replace(train=None))
        counts = given.train
        preds.append(pred)
    a, b = (own._replace(M=pad_columns(own.M, true.n_labels), ids=true.ids) for own in preds)
    aligned = match_labels(Inputs(b, true, counts)).train
    if aligned is None or train is None:
        return Matched(true, a, b, None)
    return Matched(true, a, b, propensity_of(aligned, train[1], constants))


def propensity_of(counts: LabelMatrix, n_rows: int, constants: tuple[float, float]) -> Any:
    """The propensities of labels that have these training rows, out of n_rows."""
    from xmc.reporting.training_rows import TrainingRows

    counts.M.sort_indices()
    trained = TrainingRows(counts.M.indices, counts.M.data, n_rows)
    return trained.propensities(*constants, counts.n_labels)


def measured(matched: Matched, asked: Sequence[int], seed: int, notices: Notices) -> Any:
    """The Comparison, at the ks that were asked for or the usual ones."""
    from xmc.reporting.comparison import compare

    n_labels = matched.true.n_labels
    most = [int(own.M.getnnz(axis=1).max()) for own in (matched.a, matched.b)]
    ks = default_ks(asked, min(max(most), n_labels))
    check_k("compare", max(ks), n_labels)
    for own, n in zip((matched.a, matched.b), most, strict=True):
        if n < max(ks):
            notices.say(f"{own.path}: rows have at most {n:,} predictions; more count as misses")
    return compare(
        matched.true.M,
        matched.a.M,
        matched.b.M,
        ks=ks,
        propensity=matched.propensity,
        seed=seed,
    )


def labels_of(true: LabelMatrix, sides: Sequence[Side], label_names: str | None) -> Any:
    """What labels are called: by a file, else by the first model that has names."""
    from xmc.reporting.labels import Labels

    names = next((side.names for side in sides if side.names is not None), None)
    if true.ids is None:
        return Labels(None, names)
    if label_names is not None:
        return Labels(true.ids, names_of_ids(true.ids, label_names))
    known: dict[str, str] = {}
    for side in sides:
        if side.names is not None and side.pred.ids is not None:
            known |= dict(zip(side.pred.ids, side.names, strict=True)) | known
    return Labels(true.ids, [known.get(label, label) for label in true.ids])


def print_comparison(
    found: Any, labels: Any, paths: tuple[str, str], texts: list[str] | None
) -> None:
    """Print the figures, the labels that only one finds, and rows where they differ most."""
    for letter, path in zip("AB", paths, strict=True):
        say(f"{letter} is {path}")
    lines = [difference_row(found, difference) for difference in found.differences]
    print_table(["%", "A", "B", "A - B", "95% interval", "A ahead"], lines)
    both = f"{found.n_both:,} true labels are in the best {found.ks[-1]} of both"
    say(f"{both}, {found.n_only_a:,} in A's only, {found.n_only_b:,} in B's only")
    for letter, won in (("A", found.only_a), ("B", found.only_b)):
        if won:
            click.echo()
            rows = [[labels.name(own.label), f"{own.n_rows:,}"] for own in won]
            print_table([f"only {letter} finds", "rows"], rows)
    if found.examples:
        click.echo("\nrows where they differ most")
    for example in found.examples:
        print_example(example, labels, texts)


def difference_row(found: Any, difference: Any) -> list[str]:
    """A metric of both, and what is known of the difference."""
    name, value, low, high, ahead = difference
    digits = 3 if name.startswith("ECE") else 2
    figures = [f"{side[name]:.{digits}f}" for side in (found.a, found.b)]
    own = [name, *figures, f"{value:+.{digits}f}"]
    return [*own, "", ""] if low != low else [*own, f"{low:+.2f} to {high:+.2f}", f"{ahead:.1%}"]


def print_example(example: Any, labels: Any, texts: list[str] | None) -> None:
    """Print a row and the best labels of both, the true ones marked."""
    click.secho(f"row {example.row}" if texts is None else shorten(texts[example.row]), bold=True)
    for letter, best in (("A", example.a), ("B", example.b)):
        told = [f"{labels.name(n)}{' (true)' * (n in example.true)}" for n, _ in best]
        say(f"  {letter}: {', '.join(told)}")
    found = {label for label, _ in (*example.a, *example.b)}
    missed = [labels.name(label) for label in example.true if label not in found]
    if missed:
        say(f"  also true: {', '.join(missed)}")
