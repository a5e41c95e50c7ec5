"""`xmc train`: rows with labels in, a model folder out."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import click

from xmc.cli import options
from xmc.cli.data import default_ks, is_headerless, name_columns, names_of_ids, read_labelled
from xmc.cli.output import Voice, check_folder, check_outputs, print_metrics, write_json
from xmc.presets import PRESETS


class Training(NamedTuple):
    """What a model is trained on; `texts` if X is still to be made from them."""

    X: Any
    Y: Any
    texts: list[str] | None
    label_ids: list[str] | None
    label_names: list[str] | None

    def rows(self, chosen: Any) -> Training:
        """The chosen rows."""
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
    help="A published method's settings; flags go on top.",
)
@click.option(
    "--one-vs-all",
    is_flag=True,
    help="One scorer per label on all rows, no tree: most accurate, dearer.",
)
@click.option(
    "--valid",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Hold this share of the rows out of training, chosen by --seed, and report on them.",
)
@click.option("--dry-run", is_flag=True, help="Say what training would take, and train nothing.")
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
    json_path: str | None,
    overwrite: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train a model on labelled rows and save it in a folder.

    Rows come from two matrices, X.npz Y.npz, or from one file: .txt (XMC text), .svm (SVMlight) or
    .tsv (lines id,id<TAB>text), each also with .gz.

    \b
    xmc train train.tsv --model model
    xmc train X.npz Y.npz --model model --tree shallow --n-trees 3
    xmc train X.npz Y.npz --model model --preset parabel --n-trees 1
    """
    from xmc.memory import return_freed_arrays

    voice = Voice("train", quiet)
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
    check_folder(target, "model.json", overwrite)
    check_outputs(json_path, overwrite=overwrite)
    model = new_model(one_vs_all, model_flags, quiet)
    return_freed_arrays()
    voice.compiling()
    data = read_training(sources, format, zero_based, label_names)
    if data.texts is None:
        options.refuse(
            ctx, options.TEXT_FLAGS, "goes with texts only, the rows have features already"
        )
    kept, held = (data, None) if valid is None else hold_out(data, valid, model_flags["seed"])
    if dry_run:
        write_json(json_path, foresee(model, kept, text_flags, voice, json_path), overwrite)
        return
    result = {"model": target, **fit(model, kept, text_flags, voice)}
    model.save(target, overwrite=overwrite)
    voice.say(
        "{n_labels:,} labels from {n_rows:,} rows in {seconds:.1f} s, saved as {model}".format(
            **result
        )
    )
    if held is not None:
        result["valid"] = validate(model, kept, held)
        voice.say(f"measured on the {held.Y.shape[0]:,} rows that were held out")
        if json_path != "-":
            print_metrics(result["valid"])
    write_json(json_path, result, overwrite)


def apply_preset(ctx: click.Context, name: str, flags: dict[str, Any]) -> bool:
    """Put the settings of a preset where no flag was typed; gives whether it is one-vs-all."""
    preset = PRESETS[name]
    if not preset.one_vs_all:
        options.refuse(ctx, ["one_vs_all"], f"doesn't go with --preset {name}, which is a tree")
    flags.update(
        {key: value for key, value in preset.settings.items() if key not in options.given(ctx)}
    )
    return preset.one_vs_all


def read_training(
    sources: tuple[str, ...], format: str | None, zero_based: bool, label_names: str | None
) -> Training:
    """The rows that the command line names, with ids and names of their labels."""
    dataset = read_labelled(sources, format, zero_based)
    Y, ids, names = dataset.Y, dataset.label_ids, None
    if label_names and ids is not None:
        names = names_of_ids(ids, label_names)
    elif label_names:
        Y, ids, names = name_columns(Y, label_names, is_headerless(sources[-1], format))
    return Training(dataset.X, Y, dataset.texts, ids, names)


def new_model(one_vs_all: bool, flags: dict[str, Any], quiet: bool) -> Any:
    """The estimator that the flags describe, checked and not fitted."""
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


def hold_out(data: Training, share: float, seed: int) -> tuple[Training, Training]:
    """The rows to train on and the rows held out, both in their order."""
    import numpy as np

    from xmc.errors import DataError

    n_rows = data.Y.shape[0]
    n_held = max(1, round(share * n_rows))
    if n_held >= n_rows:
        raise DataError(
            f"train: expected rows left to train on, --valid {share:g} holds {n_held:,} of {n_rows:,} out"
        )
    order = np.random.default_rng(seed).permutation(n_rows)
    return data.rows(np.sort(order[n_held:])), data.rows(np.sort(order[:n_held]))


def fit(model: Any, data: Training, text_flags: dict[str, Any], voice: Voice) -> dict[str, Any]:
    """Fit the model, with its vectoriser and labels, and count what was found."""
    started = time.monotonic()
    X, vectorizer = data.X, None
    if data.texts is not None:
        X, vectorizer = vectorize(data.texts, text_flags)
    facts = count(X, data.Y)
    tell(facts, voice)
    model.fit(X, data.Y)
    model.vectorizer_, model.label_ids_, model.label_names_ = (
        vectorizer,
        data.label_ids,
        data.label_names,
    )
    return facts | {"seconds": round(time.monotonic() - started, 3)}


def foresee(
    model: Any, data: Training, text_flags: dict[str, Any], voice: Voice, json_path: str | None
) -> dict[str, Any]:
    """What training would take, printed unless the JSON goes to stdout."""
    from xmc.parallel import n_threads

    X = data.X if data.texts is None else vectorize(data.texts, text_flags)[0]
    tell(count(X, data.Y), voice)
    needs = model.forecast(X, data.Y)
    result = needs._asdict() | {"memory_bytes": needs.memory(n_threads(model.n_jobs))}
    if json_path != "-":
        levels = ", ".join(f"{nodes:,} in {chunks:,} chunks" for nodes, chunks in needs.levels)
        click.echo(f"rows          {needs.n_rows:,} with {needs.n_features:,} features")
        click.echo(f"labels        {needs.n_labels:,} with rows")
        click.echo(f"trees         {needs.n_trees}, nodes by level: {levels}")
        click.echo(f"time          about {needs.seconds:.0f} s")
        click.echo(f"memory        about {result['memory_bytes'] / 2**20:,.0f} MiB at the peak")
        click.echo(f"model         about {needs.model_bytes / 2**20:,.0f} MiB")
    return result


def vectorize(texts: list[str], flags: dict[str, Any]) -> tuple[Any, Any]:
    """TF-IDF rows of the texts, and the vectoriser fitted on them."""
    from xmc.params import TextParams
    from xmc.text import fit_texts, make_vectorizer

    vectorizer = make_vectorizer(TextParams(**flags))
    return fit_texts(vectorizer, texts), vectorizer


def count(X: Any, Y: Any) -> dict[str, int]:
    """Sizes, and the rows and labels that are legal but worth a word."""
    true = Y != 0
    return {
        "n_rows": X.shape[0],
        "n_features": X.shape[1],
        "n_labels": Y.shape[1],
        "n_rows_without_features": int((X.getnnz(axis=1) == 0).sum()),
        "n_rows_without_labels": int((true.getnnz(axis=1) == 0).sum()),
        "n_labels_without_rows": int((true.getnnz(axis=0) == 0).sum()),
    }


def tell(facts: dict[str, int], voice: Voice) -> None:
    """Notices about rows and labels."""
    n_rows, n_labels = facts["n_rows"], facts["n_labels"]
    voice.count(
        facts["n_rows_without_features"],
        n_rows,
        "rows without features",
        "only the bias learns from them",
    )
    voice.count(
        facts["n_rows_without_labels"],
        n_rows,
        "rows without labels",
        "they only serve as negatives",
    )
    voice.count(
        facts["n_labels_without_rows"],
        n_labels,
        "labels without a training row",
        "they are never predicted",
    )


def validate(model: Any, trained: Training, held: Training) -> dict[str, Any]:
    """The report on the rows held out."""
    from xmc.metrics import propensities, report

    ks = default_ks((), model.n_labels_)
    X = held.X if held.texts is None else model.vectorizer_.transform(held.texts)
    return report(held.Y, model.predict_topk(X, max(ks)), ks, propensities(trained.Y))
