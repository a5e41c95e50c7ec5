"""`xmc train`: learn from labelled rows and save the model in a folder."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import click

from xmc.cli import options
from xmc.cli.data import default_ks, is_headerless, name_columns, names_of_ids, read_labelled
from xmc.cli.output import Notices, Output, print_metrics
from xmc.presets import PRESETS

ONLY_BIAS = "only the bias learns from them"
ONLY_NEGATIVES = "they only serve as negatives"
NEVER_PREDICTED = "they are never predicted"


class LabelledRows(NamedTuple):
    """What a model is trained on: X, or texts that become X."""

    X: Any  # None if there are texts
    Y: Any
    texts: list[str] | None
    label_ids: list[str] | None
    label_names: list[str] | None

    def take(self, chosen: Any) -> LabelledRows:
        """Only the chosen rows."""
        X = None if self.X is None else self.X[chosen]
        texts = None if self.texts is None else [self.texts[row] for row in chosen]
        return self._replace(X=X, Y=self.Y[chosen], texts=texts)


@click.command("train", short_help="Train a model and save it.")
@click.argument("sources", nargs=-1, required=True, metavar="X.npz Y.npz | FILE")
@click.option(
    "--model", "target", required=True, metavar="DIR", help="Folder to save the model in."
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="Settings of a published method; other flags change them.",
)
@click.option(
    "--one-vs-all",
    is_flag=True,
    help="One scorer per label on all rows, no tree: most accurate, but slower.",
)
@click.option(
    "--valid",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Hold out this share of the rows, chosen by --seed, and measure the model on them.",
)
@click.option("--dry-run", is_flag=True, help="Print what training would take, but don't train.")
@options.label_names
@options.source
@options.model_parameters
@options.text_parameters
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[str, ...],
    target: str,
    preset: str | None,
    one_vs_all: bool,
    valid: float | None,
    dry_run: bool,
    label_names: str | None,
    format: str | None,
    zero_based: bool,
    output: Output,
    **flags: Any,
) -> None:
    """Train a model on labelled rows and save it in a folder.

    Rows come from two matrices, X.npz Y.npz, or from one file: .txt (XMC text), .svm (SVMlight) or
    .tsv (lines id,id<TAB>text). A file may be gzipped and end in .gz.

    \b
    xmc train train.tsv --model model
    xmc train X.npz Y.npz --model model --tree shallow --n-trees 3
    xmc train X.npz Y.npz --model model --preset parabel --n-trees 1
    """
    text_flags, model_flags = options.split_text_flags(flags)
    if preset is not None:
        one_vs_all = apply_preset(ctx, preset, model_flags)
    if one_vs_all:
        lacking = [
            name
            for name in model_flags
            if name not in (*options.ONE_VS_ALL_FLAGS, "threads", "seed")
        ]
        options.refuse(ctx, lacking, "doesn't go with --one-vs-all")
    output.check(folder=target, marker="model.json")
    model = new_model(one_vs_all, model_flags, output.quiet)
    output.notices.compiling()
    data = read_training(sources, format, zero_based, label_names)
    if data.texts is None:
        options.refuse(
            ctx, options.TEXT_FLAGS, "goes with texts only, the rows have features already"
        )
    kept, held = (data, None) if valid is None else hold_out(data, valid, model_flags["seed"])
    if dry_run:
        output.write_json(print_forecast(model, kept, text_flags, output))
        return
    result = {"model": target, **fit(model, kept, text_flags, output.notices)}
    model.save(target, overwrite=output.overwrite)
    sizes = f"{result['n_labels']:,} labels from {result['n_rows']:,} rows"
    output.notices.say(f"{sizes} in {result['seconds']:.1f} s, saved as {target}")
    if held is not None:
        result["valid"] = validate(model, kept, held)
        output.notices.say(f"measured on the {held.Y.shape[0]:,} rows that were held out")
        if output.for_people:
            print_metrics(result["valid"])
    output.write_json(result)


def apply_preset(ctx: click.Context, name: str, flags: dict[str, Any]) -> bool:
    """Fill in a preset's settings where no flag was typed; gives whether it is one-vs-all."""
    preset = PRESETS[name]
    if not preset.one_vs_all:
        options.refuse(ctx, ["one_vs_all"], f"doesn't go with --preset {name}, which is a tree")
    typed = options.typed_options(ctx)
    flags.update({name: value for name, value in preset.settings.items() if name not in typed})
    return preset.one_vs_all


def read_training(
    sources: tuple[str, ...], format: str | None, zero_based: bool, label_names: str | None
) -> LabelledRows:
    """Read the rows, and the ids and names of their labels."""
    dataset = read_labelled(sources, format, zero_based)
    Y, ids, names = dataset.Y, dataset.label_ids, None
    if label_names and ids is not None:
        names = names_of_ids(ids, label_names)
    elif label_names:
        Y, ids, names = name_columns(Y, label_names, is_headerless(sources[-1], format))
    return LabelledRows(dataset.X, Y, dataset.texts, ids, names)


def new_model(one_vs_all: bool, flags: dict[str, Any], quiet: bool) -> Any:
    """The estimator that the flags describe; its settings are checked, it is not fitted."""
    from xmc.estimators import LabelTreeClassifier, OneVsAllClassifier
    from xmc.params import check

    names = options.ONE_VS_ALL_FLAGS if one_vs_all else flags.keys() - {"threads", "seed"}
    settings = {name: value for name, value in flags.items() if name in names}
    settings |= {
        "n_jobs": flags["threads"] or -1,
        "random_state": flags["seed"],
        "verbose": int(not quiet),
    }
    model = (OneVsAllClassifier if one_vs_all else LabelTreeClassifier)(**settings)
    check(model)
    return model


def hold_out(data: LabelledRows, share: float, seed: int) -> tuple[LabelledRows, LabelledRows]:
    """Split into rows to train on and rows held out; both keep the order of the file."""
    import numpy as np

    from xmc.errors import DataError

    n_rows = data.Y.shape[0]
    n_held = max(1, round(share * n_rows))
    if n_held >= n_rows:
        held_out = f"--valid {share:g} holds {n_held:,} of {n_rows:,} out"
        raise DataError(f"train: expected rows left to train on, {held_out}")
    order = np.random.default_rng(seed).permutation(n_rows)
    return data.take(np.sort(order[n_held:])), data.take(np.sort(order[:n_held]))


def fit(
    model: Any, data: LabelledRows, text_flags: dict[str, Any], notices: Notices
) -> dict[str, Any]:
    """Fit the model and give it its vectoriser and labels; returns counts and seconds."""
    started = time.monotonic()
    X, vectorizer = data.X, None
    if data.texts is not None:
        X, vectorizer = vectorize(data.texts, text_flags)
    facts = count_rows(X, data.Y)
    report_counts(facts, notices)
    model.fit(X, data.Y)
    model.vectorizer_, model.label_ids_, model.label_names_ = (
        vectorizer,
        data.label_ids,
        data.label_names,
    )
    return facts | {"seconds": round(time.monotonic() - started, 3)}


def print_forecast(
    model: Any, data: LabelledRows, text_flags: dict[str, Any], output: Output
) -> dict[str, Any]:
    """Print what training would take, unless JSON goes to stdout; returns it, too."""
    from xmc.parallel import n_threads

    X = data.X if data.texts is None else vectorize(data.texts, text_flags)[0]
    report_counts(count_rows(X, data.Y), output.notices)
    needs = model.forecast(X, data.Y)
    result = needs._asdict() | {"memory_bytes": needs.memory(n_threads(model.n_jobs))}
    if output.for_people:
        levels = ", ".join(f"{nodes:,} in {chunks:,} chunks" for nodes, chunks in needs.levels)
        click.echo(f"rows          {needs.n_rows:,} with {needs.n_features:,} features")
        click.echo(f"labels        {needs.n_labels:,} with rows")
        click.echo(f"trees         {needs.n_trees}, nodes by level: {levels}")
        click.echo(f"time          about {needs.seconds:.0f} s")
        click.echo(f"memory        about {result['memory_bytes'] / 2**20:,.0f} MiB at the peak")
        click.echo(f"model         about {needs.model_bytes / 2**20:,.0f} MiB")
    return result


def vectorize(texts: list[str], flags: dict[str, Any]) -> tuple[Any, Any]:
    """TF-IDF rows of the texts, and the vectoriser that made them."""
    from xmc.params import TextParams
    from xmc.text import fit_texts, make_vectorizer

    vectorizer = make_vectorizer(TextParams(**flags))
    return fit_texts(vectorizer, texts), vectorizer


def count_rows(X: Any, Y: Any) -> dict[str, int]:
    """Sizes, and how many rows and labels are empty."""
    true = Y != 0
    return {
        "n_rows": X.shape[0],
        "n_features": X.shape[1],
        "n_labels": Y.shape[1],
        "n_rows_without_features": int((X.getnnz(axis=1) == 0).sum()),
        "n_rows_without_labels": int((true.getnnz(axis=1) == 0).sum()),
        "n_labels_without_rows": int((true.getnnz(axis=0) == 0).sum()),
    }


def report_counts(facts: dict[str, int], notices: Notices) -> None:
    """Print notices about empty rows and labels."""
    for key, total, what, consequence in (
        ("n_rows_without_features", "n_rows", "rows without features", ONLY_BIAS),
        ("n_rows_without_labels", "n_rows", "rows without labels", ONLY_NEGATIVES),
        ("n_labels_without_rows", "n_labels", "labels without a training row", NEVER_PREDICTED),
    ):
        notices.say_if_any(facts[key], facts[total], what, consequence)


def validate(model: Any, trained: LabelledRows, held: LabelledRows) -> dict[str, Any]:
    """Measure the model on the rows held out."""
    from xmc.metrics import propensities, report

    ks = default_ks((), model.n_labels_)
    X = held.X if held.texts is None else model.vectorizer_.transform(held.texts)
    return report(held.Y, model.predict_topk(X, max(ks)), ks, propensities(trained.Y))
