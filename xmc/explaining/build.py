"""Explanations of what a trained model says of one row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, ParameterError, quoted
from ..evidence.names import COLUMNS as NAME_COLUMNS
from ..evidence.names import best_name, shares_of_name
from ..evidence.reranked import BASE_COLUMNS, Weighed
from ..evidence.sources import (
    FEATURE_COLUMNS,
    LABEL_COLUMNS,
    RELATED_COLUMNS,
    VOTE_COLUMNS,
    Question,
    Sources,
    nearest_rows,
)
from ..io.label_ids import closest
from ..model import Model
from ..numbering import new_numbers, old_numbers
from ..ranking import paths
from ..ranking.search import Search
from .explanation import Explanation
from .occurrences import Occurrence, words_in
from .why import (
    Column,
    Difference,
    Evidence,
    Feature,
    Member,
    ModelScore,
    NameFound,
    Neighbor,
    Node,
    RunnerUp,
    Word,
)

MOST_PLACES = 100  # among which a label's place is counted
MOST_EXAMPLES = 3  # labels that stand for a node
SOURCES = {
    "name": NAME_COLUMNS,
    "label features": FEATURE_COLUMNS,
    "neighbours": VOTE_COLUMNS,
    "related labels": RELATED_COLUMNS,
    "frequency": LABEL_COLUMNS[:1],
    "length of the row": LABEL_COLUMNS[1:],
}
SOURCE_OF = {column: source for source, columns in SOURCES.items() for column in columns}


class Named(NamedTuple):
    """What an explanation calls things.

    ids, names: of labels, by column; ids that are a range are only numbers.
    features: of a feature, by the number that it has to the user.
    names_of: all names of a label, in the order of the name index.
    """

    ids: Sequence[Any]
    names: Sequence[Any]
    features: Callable[[int], str]
    names_of: Callable[[int], list[str]]


class Row(NamedTuple):
    """A row that is asked about, as the model's predictor takes it, and its text if it has one."""

    asked: Any
    text: str | None
    occurrences: list[Occurrence]


def explain(
    model: Model,
    search: Search,
    kind: str,
    row: Row,
    labels: Sequence[int],
    named: Named,
) -> list[Explanation]:
    """Why the model gives these labels their scores; kind: the class that trained it.

    Raises ParameterError where such models can't tell.
    """
    bases = getattr(model.predictor, "bases", None)
    kinds = [kind] if bases is None else numbered([base.estimator for base in bases])
    return [explanation_of(model, search, kinds, row, label, named) for label in labels]


def numbered(kinds: Sequence[str]) -> list[str]:
    """The same, those that occur twice with a number."""
    several = {kind for kind in kinds if kinds.count(kind) > 1}
    seen: dict[str, int] = {}
    told = []
    for kind in kinds:
        seen[kind] = seen.get(kind, 0) + 1
        told.append(f"{kind} {seen[kind]}" if kind in several else kind)
    return told


def column_of(label: Any, ids: Sequence[Any], names: Sequence[str] | None, who: str) -> int:
    """The column of the label with this id or name. Raises DataError, with the closest one."""
    wanted = str(label)
    if isinstance(ids, range):
        if wanted.isdecimal() and len(wanted) < 11 and int(wanted) in ids:
            return int(wanted)
        raise DataError(f"{who}: expected a label from 0 to {len(ids) - 1:,}, got {quoted(wanted)}")
    for known in ([str(own) for own in ids], [*(names or ())]):
        if wanted in known:
            return known.index(wanted)
    near = closest(wanted, [*map(str, ids), *(names or ())])
    hint = f"; the closest is {quoted(near)}" if near else ""
    raise DataError(f"{who}: expected a label of the model, got {quoted(wanted)}{hint}")


def explanation_of(
    model: Model, search: Search, bases: Sequence[str], row: Row, label: int, named: Named
) -> Explanation:
    """Why the model gives this label its score; bases: what its models are called."""
    predictor: Any = model.predictor
    top = predictor.rank(row.asked, search, min(MOST_PLACES, model.n_kept_labels))
    best = top.labels[0][top.labels[0] >= 0].tolist()
    own = int(new_numbers(np.array([label]), model.kept_labels)[0])
    rival = next((other for other in best if other != own), None)
    reasons = predictor.reasons(row.asked, search, own)
    if reasons is None:
        raise ParameterError(f"{bases[0]}: expected a method that can explain its scores")
    weighed = reasons if isinstance(reasons, Weighed) else None
    runner_up = None
    if rival is not None:
        score = float(top.scores[0, best.index(rival)])
        against = predictor.reasons(row.asked, search, rival)
        runner_up = _runner_up(model, reasons, against, rival, score, bases, row, named)
    return Explanation(
        label=named.ids[label],
        name=str(named.names[label]),
        score=reasons.score,
        place=best.index(own) + 1 if own in best else None,
        text=row.text,
        words=_words(row, dict(zip(*_feature_shares(model, reasons), strict=True))),
        log_odds=weighed and weighed.log_odds,
        start=weighed and weighed.start,
        is_candidate=weighed is None or weighed.is_candidate,
        evidence=_evidence(weighed, bases) if weighed else [],
        name_found=_name_found(predictor.sources, row, own, named) if weighed else None,
        neighbors=_neighbors(predictor.sources, row.asked, own) if weighed else [],
        models=_models(model, reasons, bases, named),
        runner_up=runner_up,
    )


def _models(model: Model, reasons: Any, kinds: Sequence[str], named: Named) -> list[ModelScore]:
    """What each model of linear scorers says; kinds: what they are called."""
    predictor: Any = model.predictor
    if not isinstance(reasons, Weighed):
        return [_model_score(model, kinds[0], predictor.members, reasons, named)]
    trees = (base.predictor.members for base in predictor.bases)
    each = zip(kinds, trees, reasons.bases, strict=True)
    return [_model_score(model, *own, named) for own in each]


def _model_score(
    model: Model, kind: str, trees: Any, reasons: paths.Paths, named: Named
) -> ModelScore:
    members = [
        None if path is None else _member(model, tree, path, named)
        for tree, path in zip(trees, reasons.paths, strict=True)
    ]
    return ModelScore(kind, reasons.probability, reasons.score, members)


def _member(model: Model, tree: Any, path: paths.Path, named: Named) -> Member:
    nodes = []
    for level, node in enumerate(path.nodes):
        below = paths.labels_below(tree, level, node.number)
        most = below[np.argsort(-model.label_counts[below], kind="stable")[:MOST_EXAMPLES]]
        labels = [
            str(named.names[label]) for label in old_numbers(most, model.kept_labels).tolist()
        ]
        nodes.append(
            Node(
                level,
                node.number,
                node.margin,
                node.bias,
                node.log_probability,
                node.held,
                labels,
                len(below),
                _features(model, node, named),
            )
        )
    return Member(float(np.exp(path.log_probability)), path.reached, nodes)


def _features(model: Model, node: paths.Node, named: Named) -> list[Feature]:
    """The features of a node, those of the largest share first; those of one name are one, whose
    value is their length.
    """
    numbers = model.feature_numbers(node.features)
    parts = zip(
        map(named.features, numbers),
        node.values.tolist(),
        node.weights.tolist(),
        node.shares.tolist(),
        strict=True,
    )
    by_name: dict[str, list[Feature]] = {}
    for own in map(Feature._make, parts):
        by_name.setdefault(own.feature, []).append(own)
    return sorted(map(_as_one, by_name.values()), key=lambda own: -abs(own.share))


def _as_one(features: Sequence[Feature]) -> Feature:
    """Features of the same name as one."""
    if len(features) == 1:
        return features[0]
    value = math.hypot(*(own.value for own in features))
    share = sum(own.share for own in features)
    return Feature(features[0].feature, value, share / value, share)


def _feature_shares(model: Model, reasons: Any) -> tuple[list[int], list[float]]:
    """Features and what each adds to the margins of a path, averaged over members and models."""
    if not isinstance(reasons, Weighed):
        features, shares = reasons.feature_shares()
    else:
        found = [base.feature_shares() for base in reasons.bases]
        features, place = np.unique(np.concatenate([own[0] for own in found]), return_inverse=True)
        shares = np.bincount(place, np.concatenate([own[1] for own in found]), len(features))
        shares = shares / len(found)
    return model.feature_numbers(features), shares.tolist()


def _words(row: Row, shares: dict[int, float]) -> list[Word]:
    """The words of the text that have a share: that of a feature goes in equal parts to where it
    stands, and there to the words by how much of it each has.
    """
    if row.text is None:
        return []
    places = words_in(row.text)
    weight, word_at = np.zeros(len(places) + 1), np.full(len(row.text) + 1, -1)
    for n, (start, end) in enumerate(places):
        word_at[start:end] = n
    counts: dict[int, int] = {}
    for own in row.occurrences:
        counts[own.feature] = counts.get(own.feature, 0) + 1
    for own in row.occurrences:
        share = shares.get(own.feature, 0.0) / counts[own.feature]
        at = word_at[own.start : own.end]
        at = at[at >= 0]
        if share and len(at):
            np.add.at(weight, at, share / len(at))
    return [
        Word(row.text[start:end], start, end, float(weight[n]))
        for n, (start, end) in enumerate(places)
        if weight[n]
    ]


def _evidence(weighed: Weighed, bases: Sequence[str]) -> list[Evidence]:
    """What each source says, in the order of the columns."""
    found: dict[str, list[Column]] = {}
    columns = zip(weighed.columns, weighed.values.tolist(), weighed.shares.tolist(), strict=True)
    for name, value, share in columns:
        known = None if value != value else value
        found.setdefault(_source(name, bases), []).append(Column(name, known, share))
    return [Evidence(source, sum(c.share for c in own), own) for source, own in found.items()]


def _source(column: str, bases: Sequence[str]) -> str:
    """The source that tells a column of the evidence."""
    for n, kind in enumerate(bases):
        if column.startswith(f"base{n}_") and column.removeprefix(f"base{n}_") in BASE_COLUMNS:
            return kind
    return SOURCE_OF[column.removesuffix("_less_best")]


def _name_found(sources: Sources, row: Row, label: int, named: Named) -> NameFound | None:
    """The label's name that fits the text best, None where it has none that does."""
    index, asked = sources.names, row.asked
    if index is None or row.text is None or asked.mentions is None or label < 0:
        return None
    best = best_name(index, asked.mentions, label)
    if best < 0:
        return None
    places = words_in(row.text)
    shares = shares_of_name(index, best, [row.text[start:end] for start, end in places])
    words = [
        Word(row.text[start:end], start, end, share)
        for (start, end), share in zip(places, shares.tolist(), strict=True)
        if share > 0
    ]
    names = named.names_of(label)
    place = best - int(index.label_indptr[label])
    return NameFound(names[place] if place < len(names) else str(named.names[label]), words)


def _neighbors(sources: Sources, asked: Question, label: int) -> list[Neighbor]:
    """The nearest training rows, nearest first."""
    if sources.neighbors is None:
        return []
    near, labels = nearest_rows(sources.neighbors, asked.rows), sources.neighbors.labels
    found = zip(near.rows[0].tolist(), near.similarity[0].tolist(), strict=True)
    return [
        Neighbor(n, value, label in labels.ids[labels.indptr[n] : labels.indptr[n + 1]])
        for n, value in found
        if n >= 0
    ]


def _runner_up(
    model: Model,
    own: Any,
    rival: Any,
    label: int,
    score: float,
    bases: Sequence[str],
    row: Row,
    named: Named,
) -> RunnerUp:
    """The rival, and the differences to it."""
    evidence = []
    pairs = [(own, rival)]
    if isinstance(own, Weighed):
        both = zip(_evidence(own, bases), _evidence(rival, bases), strict=True)
        evidence = [Difference(a.source, a.share - b.share) for a, b in both]
        pairs = list(zip(own.bases, rival.bases, strict=True))
    number = int(old_numbers(np.array([label]), model.kept_labels)[0])
    return RunnerUp(
        named.ids[number],
        str(named.names[number]),
        score,
        sorted(evidence, key=lambda one: -abs(one.difference)),
        _differences(model, pairs, row, named),
    )


def _differences(
    model: Model, pairs: list[tuple[Any, Any]], row: Row, named: Named
) -> list[Difference]:
    """By words, or by features where there is no text, the largest first."""
    nodes = [parted for a, b in pairs for parted in paths.parting(a, b)]
    features, ours = paths.summed([a for a, _ in nodes], max(1, len(nodes)))
    others, theirs = paths.summed([b for _, b in nodes], max(1, len(nodes)))
    shares = dict(zip(features.tolist(), ours.tolist(), strict=True))
    for feature, share in zip(others.tolist(), theirs.tolist(), strict=True):
        shares[feature] = shares.get(feature, 0.0) - share
    numbers = model.feature_numbers(np.array([*shares], np.int32))
    by_number = dict(zip(numbers, shares.values(), strict=True))
    if row.text is None:
        told = {named.features(number): share for number, share in by_number.items()}
    else:
        told = {}
        for word in _words(row, by_number):
            told[word.word] = told.get(word.word, 0.0) + word.weight
    found = [Difference(what, share) for what, share in told.items() if share]
    return sorted(found, key=lambda one: -abs(one.difference))
