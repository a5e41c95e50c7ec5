"""`xmc evaluate`: how good saved predictions are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import click

from xmc.cli import options
from xmc.cli.data import USUAL_KS, Source, check_k, default_ks
from xmc.cli.matching import ids_of_columns
from xmc.cli.measuring import Sums, side_by_side, training_rows
from xmc.cli.output import Notices, Output, print_metrics
from xmc.errors import DataError
from xmc.params import PropensityParams

PROPENSITY_HELP = {f.name: f.metadata["help"] for f in fields(PropensityParams)}

propensity_flags = options.combined(
    click.option(
        "--train-labels",
        metavar="FILE",
        help="Labels of the training rows, for the propensity-scored PSP and PSnDCG.",
    ),
    click.option(
        "--propensity-a",
        type=click.FloatRange(0),
        metavar="NUMBER",
        default=0.55,
        show_default=True,
        help=f"{PROPENSITY_HELP['propensity_a']}.",
    ),
    click.option(
        "--propensity-b",
        type=click.FloatRange(0, min_open=True),
        metavar="NUMBER",
        default=1.5,
        show_default=True,
        help=f"{PROPENSITY_HELP['propensity_b']}.",
    ),
)


@click.command("evaluate", short_help="Measure saved predictions against the truth.")
@click.argument("predictions", metavar="PRED")
@click.argument("truth", metavar="TRUTH")
@click.option(
    "-k",
    "ks",
    type=options.Ks(),
    multiple=True,
    help="How many of the best labels to look at, as 1,3,5; may be repeated.",
)
@click.option(
    "--curve",
    metavar="PATH",
    help="File for a drawing, .svg: how often the scores of the largest -k came true.",
)
@propensity_flags
@options.label_names
@options.source
@options.output
@click.pass_context
def command(
    ctx: click.Context,
    predictions: str,
    truth: str,
    ks: tuple[tuple[int, ...], ...],
    curve: str | None,
    train_labels: str | None,
    propensity_a: float,
    propensity_b: float,
    label_names: str | None,
    source: Source,
    output: Output,
) -> None:
    """Measure predictions (PRED) against the true labels (TRUTH) of the same rows.

    PRED is .npz, .tsv, .jsonl, or a .txt that begins with `rows labels`. TRUTH is Y.npz, such a
    .txt, or a file of rows with labels: XMC text, SVMlight or tsv. Labels are matched by id if both
    sides have ids, otherwise by column; --label-names gives ids to columns. A true label that was
    never predicted counts as a miss, also one that the model doesn't know. A label that the file of
    --train-labels lacks has 0 training rows there. Scores from 0 to 1 are taken for probabilities,
    and ECE is their calibration error. --format, --zero-based and --tsv-columns describe TRUTH and
    the file of --train-labels.

    \b
    xmc evaluate pred.npz Y.tst.npz --train-labels Y.trn.npz
    xmc evaluate pred.jsonl test.tsv --curve curve.svg
    """
    if train_labels is None:
        options.refuse(ctx, ["propensity_a", "propensity_b"], "goes with --train-labels")
    source.check_stdin(truth)
    if curve is not None and not curve.endswith(".svg"):
        raise DataError(f"{curve}: expected a file .svg for the curve")
    output.check(curve)
    output.notices.compiling()
    from xmc.propensity import check_constants

    check_constants(propensity_a, propensity_b)
    asked = tuple(k for some in ks for k in some)
    ids = ids_of_columns(label_names)
    training = None if train_labels is None else training_rows(train_labels, source)
    sums = Sums(asked or USUAL_KS, training, (propensity_a, propensity_b))
    for pred, true in side_by_side(predictions, truth, source):
        sums.add(pred, true, ids)
    n_labels = sums.n_labels(ids)
    chosen = choose_ks(asked, sums.most, n_labels, output.notices)
    metrics = sums.tally.figures(chosen, n_labels)
    if sums.are_unordered:
        alike = f"{predictions}: all scores are alike, so labels rank by their numbers"
        first = "are these true labels? Predictions come first, then the truth"
        output.notices.say(f"{alike}; {first}")
    if not sums.tally.probabilities:
        left_out = "ECE is left out" if curve is None else "ECE and the curve are left out"
        output.notices.say(f"scores are not all from 0 to 1; {left_out}")
    elif curve is not None:
        draw_curve(sums.tally.reliability(max(chosen)), curve, output.overwrite)
    if output.for_people:
        print_metrics(metrics)
    output.write_json(metrics)


def draw_curve(bins: Any, path: str, overwrite: bool) -> None:
    """Write a drawing of how often scores came true."""
    from xmc.io.files import create_file
    from xmc.reporting.figures import ALONE, calibration_figure

    drawn = calibration_figure(bins, ALONE)
    with create_file(path, overwrite) as file:
        file.write(str(drawn).encode())


def choose_ks(asked: Sequence[int], most: int, n_labels: int, notices: Notices) -> tuple[int, ...]:
    """The ks that were asked for, otherwise the usual ones that the predictions suffice for.

    most: the most predictions that a row has.
    """
    ks = default_ks(asked, min(most, n_labels))
    check_k("evaluate", max(ks), n_labels)
    if max(ks) > most:
        notices.say(f"rows have at most {most:,} predictions; the missing ones count as misses")
    return ks
