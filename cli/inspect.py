"""`xmc inspect`: show what a model folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import load_model, matrix_model
from xmc.cli.output import Output, print_table, say
from xmc.errors import DataError, printable

DRAWINGS = (".svg", ".dot")
DRAWN = {"n_nodes": 150, "n_children": 5, "depth": 4}  # of all trees, of one node, levels


@click.command("inspect", short_help="Show what a model folder holds.")
@click.argument("folder", metavar="DIR")
@click.option(
    "--verify", is_flag=True, help="Read all of it, and compare the checksums of what was written."
)
@click.option(
    "--tree",
    metavar="PATH",
    help="File for a drawing of the trees, .svg or .dot: the nodes with most training rows.",
)
@options.output
def command(folder: str, verify: bool, tree: str | None, output: Output) -> None:
    """Show the parameters, sizes and trees of the model in DIR.

    \b
    xmc inspect model
    xmc inspect model --tree tree.svg
    """
    from xmc import model_files

    check_drawing(tree)
    output.check(tree)
    if verify:
        model_files.verify(folder)
    facts = describe(folder)
    if verify:
        output.notices.say(f"{folder}: all checksums are right")
    if tree is not None:
        draw_trees(folder, tree, output)
    if output.for_people:
        print_facts(facts)
    output.write_json(facts)


def check_drawing(path: str | None) -> None:
    """Raise DataError unless the path says how trees are drawn."""
    if path is not None and not path.endswith(DRAWINGS):
        raise DataError(f"{path}: expected a path that ends in {' or '.join(DRAWINGS)}")


def draw_trees(folder: str, path: str, output: Output) -> None:
    """Write an outline of the model's trees; what it leaves out is said."""
    from xmc.io.files import create_file
    from xmc.reporting.dot import dot
    from xmc.reporting.labels import labels_of
    from xmc.reporting.outline import Bounds, outlines
    from xmc.reporting.tree_figure import tree_figure

    model = load_model(folder, None)
    found = outlines(model, labels_of(model), Bounds(**DRAWN))
    if not found:
        kind = type(matrix_model(model)).__name__
        raise DataError(f"{folder}: expected a model with trees to draw, {kind} has none")
    content = dot(found) if path.endswith(".dot") else str(tree_figure(found))
    with create_file(path, output.overwrite) as file:
        file.write(content.encode())
    shown, there = (sum(getattr(own, n) for own in found) for n in ("n_shown", "n_nodes"))
    most = "; those with most training rows" if shown < there else ""
    output.notices.say(f"{path}: {shown:,} of {there:,} nodes are drawn{most}")


def describe(folder: str) -> dict[str, Any]:
    """Everything that users may want to know about a model, ready for JSON."""
    from xmc import model_files

    model = load_model(folder, None)
    meta = model_files.describe(folder)
    learned = model.model_
    trees = learned.predictor.levels()
    return {
        "format": meta["format"],
        "class": meta["class"],
        "parameters": meta["parameters"],
        "n_features": learned.n_features,
        "n_labels": model.n_labels_,
        "n_labels_trained": learned.predictor.n_labels_found(learned.label_counts),
        "n_labels_without_rows": learned.n_labels - int((learned.label_counts > 0).sum()),
        "n_weights": learned.predictor.n_weights,
        "n_bytes": sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file()),
        "label_ids": model.label_ids_ is not None,
        "label_names": model.label_names_ is not None,
        "vectorizer": meta["vectorizer"],
        "vocabulary": vocabulary_facts(getattr(model, "vocabulary", None)),
        "base_models": base_facts(learned.predictor),
        "evidence": evidence_facts(matrix_model(model)),
        "threshold": learned.threshold,
        "updates": None if learned.updates is None else learned.updates._asdict(),
        "drift": round(learned.drift, 4),
        "versions": meta["versions"],
        "trees": trees,
    }


def vocabulary_facts(vocabulary: Any) -> dict[str, Any] | None:
    """How much a vocabulary knows."""
    if vocabulary is None:
        return None
    return {
        "concepts": len(vocabulary),
        "names": len(vocabulary.names),
        "languages": list(vocabulary.languages),
        "broader_pairs": len(vocabulary.broader_pairs),
    }


def base_facts(predictor: Any) -> list[dict[str, Any]]:
    """The class and the parameters of each base model of a last stage."""
    bases = getattr(predictor, "bases", ())
    return [{"class": base.estimator, "parameters": base.parameters} for base in bases]


def evidence_facts(estimator: Any) -> list[dict[str, Any]]:
    """What a last stage weighs, the heaviest first: the mean absolute share in the log-odds."""
    if not hasattr(estimator, "evidence_names_"):
        return []
    weights = estimator.evidence_weights_.tolist()
    found = zip(estimator.evidence_names_, weights, strict=True)
    return [
        {"name": name, "weight": weight}
        for name, weight in sorted(found, key=lambda pair: (-pair[1], pair[0]))
    ]


def update_lines(facts: dict[str, Any]) -> dict[str, str]:
    """What the model has learned since its training, if it has."""
    updates = facts["updates"]
    if updates is None:
        return {}
    learned = f"{updates['n_labels']:,} labels solved, {updates['n_rows']:,} rows new"
    removed = f", {updates['n_removed']:,} labels removed" if updates["n_removed"] else ""
    return {"updated": f"{learned}{removed}; {facts['drift']:.1%} of the labels have changed"}


def print_facts(facts: dict[str, Any]) -> None:
    """Print the facts, the evidence of a last stage, and a table per tree."""
    without = facts["n_labels_without_rows"]
    fewer = f", {without:,} of them without training rows" if without else ""
    of_texts = " below a TextClassifier" if facts["vectorizer"] else ""
    say(f"{facts['class']}{of_texts}, model format {facts['format']}")
    for name, value in {
        "features": f"{facts['n_features']:,}",
        "labels": f"{facts['n_labels']:,}{fewer}; {label_text(facts)}",
        "weights": f"{facts['n_weights']:,}",
        "size": size_text(facts["n_bytes"]),
        "parameters": setting_text(facts["parameters"]),
        "vectoriser": vectorizer_text(facts["vectorizer"]),
        "vocabulary": vocabulary_text(facts["vocabulary"]),
        **base_lines(facts["base_models"]),
        **update_lines(facts),
        "made with": setting_text(facts["versions"], " "),
    }.items():
        click.echo(click.wrap_text(printable(value), 100, f"{name:12}", " " * 12))
    if facts["evidence"]:
        click.echo("\nevidence, and by how much it moves log-odds on average")
        rows = [[piece["name"], f"{piece['weight']:.3f}"] for piece in facts["evidence"]]
        print_table(["evidence", "weight"], rows)
    for number, tree in enumerate(facts["trees"], 1):
        click.echo(f"\ntree {number} of {len(facts['trees'])}")
        print_table(
            ["level", "chunks", "nodes", "nodes per chunk", "weights", "weights per node"],
            [level_row(depth, level) for depth, level in enumerate(tree, 1)],
        )


def vectorizer_text(settings: dict[str, Any] | None) -> str:
    """The settings of a vectoriser; of one with parts those that all have, and what these are."""
    if not settings:
        return "none"
    if "parts" not in settings:
        return setting_text(settings)
    return f"{setting_text(settings['parameters'])}; parts {', '.join(settings['parts'])}"


def level_row(depth: int, level: dict[str, Any]) -> list[str]:
    """A level as a row of the table."""
    widths = f"{level['width_min']:,} to {level['width_max']:,}, median {level['width_median']:,g}"
    per_node = f"{level['n_weights'] / max(1, level['n_nodes']):,.1f}"
    return [
        str(depth),
        f"{level['n_chunks']:,}",
        f"{level['n_nodes']:,}",
        widths,
        f"{level['n_weights']:,}",
        per_node,
    ]


def vocabulary_text(facts: dict[str, Any] | None) -> str:
    """What a vocabulary knows, in a line."""
    if facts is None:
        return "none"
    languages = f" in {', '.join(facts['languages'])}" if facts["languages"] else ""
    broader = facts["broader_pairs"]
    relations = f", {broader:,} pairs of a concept and a broader one" if broader else ""
    return f"{facts['concepts']:,} concepts with {facts['names']:,} names{languages}{relations}"


def base_lines(bases: list[dict[str, Any]]) -> dict[str, str]:
    """A line for each base model, as evidence calls it."""
    return {
        f"base{n}": f"{base['class']}: {setting_text(base['parameters'])}"
        for n, base in enumerate(bases)
    }


def label_text(facts: dict[str, Any]) -> str:
    """Whether labels have ids and names."""
    if facts["label_names"]:
        return "with ids and names"
    return "with ids" if facts["label_ids"] else "known by number"


def setting_text(settings: dict[str, Any], between: str = "=") -> str:
    """`name=value, name=value`."""
    return ", ".join(f"{name}{between}{value}" for name, value in settings.items())


def size_text(n_bytes: int) -> str:
    """A size in the unit that suits it."""
    size, units = float(n_bytes), ["bytes", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:,.1f} {units[0]}" if units[0] != "bytes" else f"{n_bytes} bytes"
