"""`xmc datasets`: the embedded sample, synthetic data, and public data that the user downloaded."""

from __future__ import annotations

import os
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import Source, read_labelled
from xmc.cli.output import Output, print_table
from xmc.datasets.registry import PUBLIC, SHAPES, SPLIT

EXPORTED = (*SPLIT, "train.tsv", "test.tsv", "labels.txt")


@click.group("datasets", short_help="List, export, generate and check data sets.")
@options.version
def command() -> None:
    """Data sets for trying and measuring models."""


@command.command("list", short_help="List the data sets.")
@options.output
def list_cards(output: Output) -> None:
    """List the data sets with their sizes and where they come from."""
    from xmc.datasets import cards

    output.check()
    found = [card._asdict() for card in cards()]
    if output.for_people:
        print_cards(found)
    output.write_json(found)


def print_cards(found: list[dict[str, Any]]) -> None:
    """Print a table of the data sets, and where the first two come from."""
    sizes = ("rows", "test_rows", "features", "labels")
    rows = [
        [card["name"], *(f"{card[s]:,}" for s in sizes), f"{card['labels_per_row']:.2f}"]
        for card in found
    ]
    print_table(["name", "rows", "test", "features", "labels", "per row"], rows)
    for card in found[:2]:
        click.echo(f"{card['name'].split()[0]}: {card['what']}; {card['source']}")


@command.command("export", short_help="Write the embedded sample to a folder.")
@click.argument("name", type=click.Choice(["debtags"]))
@click.argument("folder", metavar="DIR")
@options.output
def export(name: str, folder: str, output: Output) -> None:
    """Write the embedded sample to DIR.

    DIR gets the matrices, the texts (train.tsv and test.tsv), and the labels (labels.txt).
    """
    output.check(folder=folder)
    check_replaceable(folder)
    facts = {"folder": folder, "files": write_sample(folder, output.overwrite)}
    output.notices.say(f"{name} written to {folder}: {', '.join(facts['files'])}")
    output.write_json(facts)


@command.command(
    "add",
    short_help="Check files of a public data set and save them as matrices.",
    epilog=f"NAME is one of {', '.join(card.name for card in PUBLIC)}.",
)
@click.argument("name", type=click.Choice([card.name for card in PUBLIC]), metavar="NAME")
@click.argument("train", metavar="TRAIN")
@click.argument("test", metavar="TEST")
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    help="Folder for X.trn.npz, Y.trn.npz, X.tst.npz and Y.tst.npz.",
)
@options.source
@options.output
def add(
    name: str,
    train: str,
    test: str,
    out: str,
    source: Source,
    output: Output,
) -> None:
    """Check that TRAIN and TEST are the files of the data set NAME, and save them as matrices.

    Nothing is downloaded here; `xmc datasets list --json -` says where the files are.

    \b
    xmc datasets add wiki10-31k train.txt test.txt --out wiki10
    """
    output.check(folder=out)
    check_replaceable(out)
    parts = {path: read_labelled([path], source) for path in (train, test)}
    facts = identify(name, parts)
    write_parts(out, [M for part in parts.values() for M in (part.X, part.Y)], output.overwrite)
    output.notices.say(
        f"{name} as on its card, {facts['labels_per_row']:.2f} labels a row, written to {out}"
    )
    output.write_json({"name": name, "folder": out, **facts})


def identify(name: str, parts: dict[str, Any]) -> dict[str, Any]:
    """The sizes of the data set. Raises DataError if its card has others."""
    from xmc.datasets import differences
    from xmc.errors import DataError

    train, test = parts.values()
    for path, part in parts.items():
        if part.X is None:
            raise DataError(f"{path}: expected rows of features, as XMC text has them, got texts")
    sizes = {
        "rows": train.X.shape[0],
        "test_rows": test.X.shape[0],
        "features": max(train.X.shape[1], test.X.shape[1]),
        "labels": max(train.Y.shape[1], test.Y.shape[1]),
    }
    wrong = differences(next(card for card in PUBLIC if card.name == name), sizes)
    if wrong:
        other = next(
            (f"; this is {card.name}" for card in PUBLIC if not differences(card, sizes)), ""
        )
        raise DataError(f"{next(iter(parts))}: expected {name}, got {', '.join(wrong)}{other}")
    return sizes | {"labels_per_row": train.Y.nnz / train.Y.shape[0]}


def write_parts(folder: str, matrices: list[Any], overwrite: bool) -> None:
    """Write features and labels of training and test rows; SPLIT has the names of the files."""
    from xmc.io import write_matrix
    from xmc.io.files import replacing

    with replacing(folder, overwrite) as fresh:
        fresh.mkdir()
        for file, M in zip(SPLIT, matrices, strict=True):
            write_matrix(fresh / file, M)


@command.command("synth", short_help="Generate a synthetic data set.")
@click.option(
    "--like",
    type=click.Choice(list(SHAPES)),
    required=True,
    help="Public data set whose shape the synthetic one gets.",
)
@click.option("--out", metavar="DIR", required=True, help="Folder for the data set.")
@click.option(
    "--scale",
    type=float,
    metavar="NUMBER",
    default=1.0,
    show_default=True,
    help="Share of the rows and labels to generate, from 0.005 to 1.",
)
@options.seed
@options.output
def synth(
    like: str,
    out: str,
    scale: float,
    seed: int,
    output: Output,
) -> None:
    """Generate a synthetic data set in the shape of a public one.

    It has X and Y for training and test; their rows are about topics that a model can learn.
    """
    from xmc.datasets import synthesize
    from xmc.progress import Progress

    output.check(folder=out)
    with Progress(not output.quiet) as progress:
        shape = synthesize(like, out, scale, seed, overwrite=output.overwrite, progress=progress)
    output.notices.say(
        f"{shape.rows:,} rows and {shape.labels:,} labels like {like}, written to {out}"
    )
    chosen = {"folder": out, "like": like, "scale": scale, "seed": seed}
    output.write_json(chosen | shape._asdict())


def check_replaceable(folder: str) -> None:
    """Raise DataError if the folder holds anything but an earlier export."""
    from xmc.errors import DataError

    if not os.path.exists(folder):
        return
    foreign = sorted(set(os.listdir(folder)) - set(EXPORTED)) if os.path.isdir(folder) else [folder]
    if foreign:
        expected = "expected an earlier export to replace"
        raise DataError(f"{folder}: {expected}, got {foreign[0]!r}; choose a new folder")


def write_sample(folder: str, overwrite: bool) -> list[str]:
    """Write the files of the sample; returns their names."""
    from xmc.datasets import load_sample
    from xmc.io import write_matrix
    from xmc.io.files import replacing

    sample = load_sample()
    with replacing(folder, overwrite) as fresh:
        fresh.mkdir()
        for path, M in zip(SPLIT, sample[:4], strict=True):
            write_matrix(fresh / path, M)
        write_texts(fresh / "train.tsv", sample, sample.X, sample.Y)
        write_texts(fresh / "test.tsv", sample, sample.X_test, sample.Y_test)
        (fresh / "labels.txt").write_text(
            "".join(f"{name}\n" for name in sample.label_names), encoding="utf-8"
        )
    return list(EXPORTED)


def write_texts(path: Any, sample: Any, X: Any, Y: Any) -> None:
    """Write rows as labelled documents; the names of the labels serve as ids."""
    from xmc.datasets import sample_texts
    from xmc.io import Dataset, write

    write(path, Dataset(Y=Y, texts=sample_texts(X, sample.features), label_ids=sample.label_names))
