"""Why a label has its score, in plain values that add up."""

from __future__ import annotations

from typing import Any, NamedTuple


class Word(NamedTuple):
    """A word of the text: where it begins and ends, and how far it pulled the label up or down."""

    word: str
    start: int
    end: int
    weight: float


class Feature(NamedTuple):
    """A feature of the row: share = value * weight."""

    feature: str
    value: float
    weight: float
    share: float


class Node(NamedTuple):
    """A node on the path to the label, which is itself the last one.

    margin: the sum of the features' shares, and bias.
    log_probability: given the node above, which follows from the margin.
    held: whether the search held the node, and of a label the one above.
    labels: some of the labels below the node, those with most training rows.
    n_labels: how many there are.
    """

    level: int
    node: int
    margin: float
    bias: float
    log_probability: float
    held: bool
    labels: list[str]
    n_labels: int
    features: list[Feature]


class Member(NamedTuple):
    """A tree of an ensemble: its probability is exp(the sum of its nodes' log-probabilities).

    reached: whether the search came to the label; if not, the tree counts as 0.
    """

    probability: float
    reached: bool
    nodes: list[Node]


class ModelScore(NamedTuple):
    """A model of linear scorers, how it comes to its score.

    probability: the mean of the members' that were reached.
    score: what it shows, the same unless there are tail classifiers, a calibration or a boost.
    members: trees that lack the label are None.
    """

    model: str
    probability: float
    score: float
    members: list[Member | None]


class Column(NamedTuple):
    """A number of the last stage's evidence, and what it adds to the log-odds; None if unknown."""

    name: str
    value: float | None
    share: float


class Evidence(NamedTuple):
    """What one source says of the label: the share of all its columns in the log-odds."""

    source: str
    share: float
    columns: list[Column]


class NameFound(NamedTuple):
    """The name of the label that fits the text best, and the words that have parts of it.

    Their weights are parts of the name: 1 is all of it.
    """

    name: str
    words: list[Word]


class Neighbor(NamedTuple):
    """A training row that is near, counted from 0, and whether it has the label."""

    row: int
    similarity: float
    has_label: bool


class Difference(NamedTuple):
    """By how much something adds more to the label than to its rival."""

    what: str
    difference: float


class RunnerUp(NamedTuple):
    """The best other label, and what it lacked.

    It is the second of the row if the explained label is the first, and otherwise the first, which
    has what the explained label lacks.

    evidence: differences of log-odds by source; they add up to the difference of both.
    words: differences of margins where the paths part, and below a last stage their mean over the
    base models.
    """

    label: Any
    name: str
    score: float
    evidence: list[Difference]
    words: list[Difference]


class Why(NamedTuple):
    """Why a label has its score.

    label: its id, its class, or its column.
    place: among the best labels of the row, from 1; None if it is not found.
    text: that was asked about; None of a row of features.
    words: how far each word pulled the label up or down: the features' shares in margins, summed
        over the path, averaged over members and models, each handed to the words where it stands.
    log_odds: of the last stage, start and the shares of the evidence; None without one.
    is_candidate: False if nothing suggests the label; evidence is what it would then be.
    """

    label: Any
    name: str
    score: float
    place: int | None
    text: str | None
    words: list[Word]
    log_odds: float | None
    start: float | None
    is_candidate: bool
    evidence: list[Evidence]
    name_found: NameFound | None
    neighbors: list[Neighbor]
    models: list[ModelScore]
    runner_up: RunnerUp | None
