"""The hyper-parameters, declared once: estimators, flags, model.json and documentation read them.

A group holds what affects one thing; a model declares its parameters by inheriting groups.

Bounds keep arithmetic in float32 right. With a C below 1e-9, no number of rows moves a weight, and
from 1e9 on it can't be told from an infinite one. The solver steps by 1 / (1 + bias**2): beyond 100
it makes no headway. Propensities keep the power (b + 1)**a finite.

Nothing heavy is imported: `xmc --help` reads this module.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Mapping
from dataclasses import KW_ONLY, Field, dataclass, field, fields
from os import PathLike
from typing import Any, ClassVar

from .errors import ParameterError
from .languages import CODES

# What labels of many rows can be best for together.
TARGETS = "macro_f1", "macro_f1_named", "macro_recall", "coverage"
# The bounds of a number: what rules call them, and how error messages write them.
MOST, MOST_BYTES = 2**31 - 1, 2**60  # of ints without a bound of their own, and of sizes
BOUNDS = {"low": ">=", "above": ">", "high": "<=", "not_equal": "!="}


def param(default: Any, help: str, **rule: Any) -> Any:
    """A dataclass field that carries the rule which its values obey.

    among: the strings that it may be.
    kind: int, float or bool; `low`, `high`, `above` and `not_equal` bound a number.
    optional: None is allowed.
    metavar: what stands for the value in help, where the strings are too many.
    switch: True and False are allowed beside the strings. vocabulary: a Vocabulary or None.
    tree: a LabelTree is allowed. estimator: one of our matrix estimators or None; several: a tuple
        of them is allowed, too. matrix: what it must be is checked at the door.
    levels: a tuple is allowed, one value per level of a tree, see `at_level`.
    size: the number counts bytes. seed: the value seeds a random generator.
    encoder: a callable or None. folder: a path or None.
    own_flag: the command line has a flag of another name for it.
    """
    return field(default=default, metadata={"help": help, **rule})


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class TreeParams:
    """The shape of the label trees, and which rows train their nodes."""

    heading: ClassVar[str] = "Label tree"

    n_trees: int = param(
        1, "trees in the ensemble; their scores are averaged", kind=int, low=1, high=100
    )
    tree: Any = param(
        "auto",
        "shape of the label tree, auto is shallow for 1,000 to 100,000 labels, else balanced",
        among=("auto", "balanced", "shallow"),
        tree=True,
    )
    arity: int | None = param(
        None,
        "children of an inner node: 16 if balanced, 100 if shallow, more for over 15,000 labels",
        kind=int,
        low=2,
        optional=True,
    )
    max_leaf_size: int = param(100, "labels in a leaf of a balanced tree at most", kind=int, low=1)
    max_depth: int | None = param(
        None,
        "levels of scorers at most, the ranker's included: 3 if shallow",
        kind=int,
        low=1,
        optional=True,
    )
    negatives: Any = param(
        "tfn",
        "rows that train a node: of its parent (tfn), of the matcher's beam (man), or both",
        among=("tfn", "man", "tfn+man"),
        levels=True,
    )
    negative_folds: int = param(
        1,
        "parts of the rows; the beam of man comes from matchers that have not seen a row's part",
        kind=int,
        low=1,
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class SeedParams:
    """Where chance comes from."""

    heading: ClassVar[str] = "Solver"

    random_state: Any = param(
        None, "seed; the same seed gives the same model", seed=True, own_flag=True
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class SolverParams(SeedParams):
    """How the linear classifiers are trained and stored."""

    heading: ClassVar[str] = "Solver"

    loss: str = param(
        "squared_hinge",
        "loss of a row on the wrong side of its margin",
        among=("squared_hinge", "hinge"),
    )
    C: Any = param(
        1.0,
        "cost of a training error; larger fits the training rows closer",
        kind=float,
        low=1e-9,
        high=10**9,
        levels=True,
    )
    costs: str = param(
        "equal",
        "cost of missing a label, times C: Y's value or 1 / propensity, each summed up the tree",
        among=("equal", "relevance", "propensity"),
    )
    tol: float = param(
        0.1, "stop when the largest violation of optimality is below this", kind=float, above=0
    )
    max_iter: int = param(20, "passes over the rows at most", kind=int, low=1)
    solver: str = param(
        "block",
        "block: siblings solved side by side; liblinear: the reference, one at a time",
        among=("block", "liblinear"),
    )
    weight_threshold: float = param(
        0.1,
        "weights smaller than this, over the rows' median length if that is above 1, are dropped",
        kind=float,
        low=0,
    )
    weights: str = param(
        "float32",
        "how weights are stored; int8 is scaled per 256 siblings",
        among=("float32", "float16", "int8"),
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class OrderParams:
    """What labels are ranked by; can be set on a trained model."""

    heading: ClassVar[str] = "Ranking"

    optimize: str = param(
        "p",
        "rank by probability (p), or by probability over propensity (psp), for rare labels; or "
        "choose the k labels of each row that are best for all rows together by macro-F1 over all "
        "labels (macro_f1) or those true or named (macro_f1_named), macro-recall or coverage at k",
        among=("p", "psp", *TARGETS),
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class TogetherParams:
    """How labels are chosen for many rows together; can be set on a trained model."""

    heading: ClassVar[str] = "Ranking"

    macro_share: float = param(
        1.0,
        "share of what is best for all rows together in what is optimized; the rest is P@k",
        kind=float,
        low=0,
        high=1,
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class RankingParams(OrderParams):
    """How scores come about; can be set on a trained model."""

    heading: ClassVar[str] = "Ranking"

    score_transform: str = param(
        "l3_hinge",
        "how a margin becomes a log-probability",
        among=("l3_hinge", "l2_hinge", "log_sigmoid"),
    )
    tail_share: float = param(
        0.0,
        "share of tail classifiers in a label's log-score, 0 for none; PfastreXML's is 0.2",
        kind=float,
        low=0,
        high=1,
    )
    tail_gamma: float = param(
        30.0,
        "how fast the probability of a tail classifier falls with distance",
        kind=float,
        above=0,
        high=10**6,
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class BeamParams(RankingParams):
    """How a tree is searched; can be set on a trained model, too."""

    beam_size: int = param(10, "nodes kept per level while a row descends", kind=int, low=1)


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class PropensityParams:
    """How likely a label is to be missing where it belongs, by its training rows."""

    heading: ClassVar[str] = "Rows and labels"

    propensity_a: float = param(
        0.55,
        "A of the propensities; 0.6 for Amazon-670K and -3M, 0.5 for Wikipedia-500K and WikiLSHTC",
        kind=float,
        low=0,
        high=10,
    )
    propensity_b: float = param(
        1.5,
        "B of the propensities; 2.6 for Amazon-670K and -3M, 0.4 for Wikipedia-500K and WikiLSHTC",
        kind=float,
        low=0.001,
        high=1e6,
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class SetParams:
    """Which sets of labels held-out rows choose a threshold for."""

    heading: ClassVar[str] = "Probabilities and sets"

    threshold_for: str = param(
        "micro",
        "the F1 that sets are to be best by: of all labels together (micro), the mean over rows "
        "(samples) or over labels (macro)",
        among=("micro", "samples", "macro"),
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class CalibrationParams(SetParams):
    """Whether held-out rows make scores probabilities, and choose a threshold of sets."""

    heading: ClassVar[str] = "Probabilities and sets"

    calibration: str | None = param(
        None,
        "turn scores into probabilities, by a second training without a tenth of the rows: "
        "isotonic, which any shape fits, or platt, which few rows suffice for",
        among=("isotonic", "platt"),
        optional=True,
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class DataParams(PropensityParams):
    """How rows are read and what their labels are like: the same in training and ranking."""

    heading: ClassVar[str] = "Rows and labels"

    normalize: bool = param(True, "scale rows to unit length", kind=bool)
    bias: float = param(
        1.0,
        "value of one constant feature added to every row; 0 for none",
        kind=float,
        low=0,
        high=100,
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class FeatureParams:
    """What is made of the features of a matrix; those of texts are made by their vectoriser."""

    heading: ClassVar[str] = "Rows and labels"

    tfidf: bool = param(
        False, "weigh a matrix's values by how rare their feature is in training rows", kind=bool
    )
    pairs: float = param(
        0.0,
        "length of a row's products of every two of its features, over its own; 0 for none",
        kind=float,
        low=0,
        high=1000,
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class KeepParams:
    """What a model keeps beside what it has learned."""

    heading: ClassVar[str] = "Rows and labels"

    keep_rows: bool = param(
        False, "keep the training rows in the model, to learn new labels beside them", kind=bool
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class RunParams:
    """What a run may use and what it says: the model is the same, and none of this is saved."""

    heading: ClassVar[str] = "Run"

    n_jobs: int | None = param(
        None,
        "threads; -1 for one per processor",
        kind=int,
        high=1000,
        not_equal=0,
        optional=True,
        own_flag=True,
    )
    memory: int | None = param(
        None,
        "bytes that training may use; beyond, arrays go to files, then fewer threads or a refusal",
        kind=int,
        low=1,
        optional=True,
        size=True,
    )
    verbose: int = param(0, "1 reports progress on stderr", kind=int, low=0, own_flag=True)


@dataclass(repr=False, eq=False, kw_only=True)
class OneVsAllParams(
    RunParams,
    KeepParams,
    FeatureParams,
    DataParams,
    CalibrationParams,
    TogetherParams,
    RankingParams,
    SolverParams,
):
    """The settings of OneVsAllClassifier."""


@dataclass(repr=False, eq=False, kw_only=True)
class LabelTreeParams(
    RunParams,
    KeepParams,
    FeatureParams,
    DataParams,
    CalibrationParams,
    TogetherParams,
    BeamParams,
    SolverParams,
    TreeParams,
):
    """The settings of LabelTreeClassifier."""


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class FactorParams(SeedParams):
    """How many numbers stand for a row and for a label, and how they are found."""

    heading: ClassVar[str] = "Low rank"

    rank: int | None = param(
        None,
        "numbers that stand for a row and for a label: 100, or the rank of smaller data",
        kind=int,
        low=1,
        optional=True,
    )
    factorization: str = param(
        "closed",
        "closed: the ridge regression of that rank; als: alternating least squares, where labels "
        "that a row lacks weigh less",
        among=("closed", "als"),
    )
    components: int | None = param(
        None,
        "largest singular directions of the features that closed looks at: twice the rank, at "
        "least 500",
        kind=int,
        low=1,
        optional=True,
    )
    ridge: float = param(0.1, "what the squares of the weights cost", kind=float, low=0, high=10**9)
    implicit_weight: float = param(
        0.1,
        "als: weight of a label that a row lacks; one that it has weighs 1",
        kind=float,
        low=1e-9,
        high=1,
    )
    max_sweeps: int = param(10, "als: times that all factors are solved at most", kind=int, low=1)
    sweep_tol: float = param(
        1e-3, "als: stop when a sweep lowers the objective by a smaller share", kind=float, low=0
    )


@dataclass(repr=False, eq=False, kw_only=True)
class LowRankParams(
    RunParams,
    FeatureParams,
    DataParams,
    CalibrationParams,
    TogetherParams,
    OrderParams,
    FactorParams,
):
    """The settings of LowRankClassifier."""


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class StageParams:
    """What the last stage weighs beside the base models."""

    heading: ClassVar[str] = "Last stage"

    neighbors: bool = param(
        True, "ask the nearest training rows for their labels; the model keeps all rows", kind=bool
    )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class RerankParams(StageParams):
    """Whether a model of texts has a last stage, and what that weighs."""

    heading: ClassVar[str] = "Last stage"

    rerank: Any = param(
        "auto",
        "whether a last stage weighs all evidence; auto: if held-out rows say that it helps",
        among=("auto",),
        switch=True,
        own_flag=True,
    )


@dataclass(repr=False, eq=False)
class RerankedParams(
    RunParams, PropensityParams, SetParams, TogetherParams, OrderParams, StageParams, SeedParams
):
    """The settings of RerankedClassifier; its base models have their own."""

    classifier: Any = param(
        None,
        "base model that is trained, or a tuple of several",
        estimator=True,
        several=True,
        own_flag=True,
    )
    _: KW_ONLY
    choose: bool = param(
        False,
        "leave base models out that take too long or don't help on held-out rows",
        kind=bool,
        own_flag=True,
    )
    label_features: Any = param(
        None, "label names as rows of X's features", matrix=True, own_flag=True
    )


@dataclass(repr=False, eq=False, kw_only=True)
class TextParams:
    """How texts become TF-IDF rows: features, and settings of scikit-learn's TfidfVectorizer."""

    heading: ClassVar[str] = "Texts"

    analyzer: str = param(
        "words",
        "kinds of features: words, stems, n-grams of characters inside words, or two of these",
        among=("words", "stems", "chars", "words+chars", "stems+chars"),
    )
    language: str | None = param(
        None,
        "language of stems and of the names that are shown: a code such as en or de, or, of stems, "
        "auto to find each text's own",
        among=("auto", *CODES),
        optional=True,
        metavar="CODE",
    )
    opening: int = param(
        16,
        "first words of a text whose words, pairs of words and n-grams of characters count apart, "
        "as those of a title; 0 for none",
        kind=int,
        low=0,
    )
    max_ngram: int = param(
        1, "words or stems in the longest sequence that is a feature", kind=int, low=1
    )
    min_df: int = param(2, "rows that a feature must occur in at least", kind=int, low=1)
    max_features: int | None = param(
        None, "features of a kind kept at most, the most frequent", kind=int, low=1, optional=True
    )
    sublinear_tf: bool = param(True, "1 + log(count) instead of the count", kind=bool)
    lowercase: bool = param(True, "lower-case texts first", kind=bool)


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class EncoderParams:
    """The numbers that an encoder of the user's makes of texts, beside their TF-IDF features."""

    heading: ClassVar[str] = "Encoder"

    encoder: Any = param(
        None,
        "callable that makes an array of texts, a row of numbers for each",
        encoder=True,
        own_flag=True,
    )
    encoder_weight: float = param(
        0.5,
        "length of the encoder's numbers in a row, where the TF-IDF features have length 1",
        kind=float,
        low=1e-3,
        high=1000,
    )
    encoder_cache: Any = param(
        None, "folder that keeps the encoder's numbers of texts", folder=True, own_flag=True
    )


def names(declaration: Any, *groups: type) -> list[str]:
    """The parameters of `declaration` that one of the groups declares; all without a group."""
    wanted = {f.name for group in groups for f in fields(group)}
    return [f.name for f in fields(declaration) if not groups or f.name in wanted]


def by_heading(declaration: type) -> dict[str, list[Field]]:
    """The parameters of `declaration` under the headings of their groups, in order."""
    found: dict[str, list[Field]] = {}
    declared = {f.name: f for f in fields(declaration)}
    group: Any
    for group in reversed(declaration.__mro__):
        own = [
            declared[name] for name in vars(group).get("__annotations__", {}) if name in declared
        ]
        if own:
            found.setdefault(group.heading, []).extend(own)
    return found


def tree_params(params: Any, **settings: Any) -> LabelTreeParams:
    """Everything that training reads: `params`, defaults where it lacks one, `settings` on top."""
    wanted = names(LabelTreeParams)
    own = {name: getattr(params, name) for name in names(params) if name in wanted}
    return LabelTreeParams(**{name: plain(value) for name, value in (own | settings).items()})


def plain(value: Any) -> Any:
    """A parameter without numpy's types: a number of 8 bits would overflow where it is used."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return tuple(map(plain, value))
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def at_level(value: Any, level: int) -> Any:
    """A parameter's value on a level of a tree, 0 at the top; a tuple's last holds below, too."""
    return value[min(level, len(value) - 1)] if isinstance(value, (tuple, list)) else value


def check(estimator: Any, who: str | None = None) -> None:
    """Hold every parameter of `estimator` against its declaration.

    Raises ParameterError with the first that breaks its rule; `who` set it, the estimator itself
    unless told.
    """
    for f in fields(estimator):
        value = getattr(estimator, f.name)
        if not _obeys(value, f):
            too_large = isinstance(value, numbers.Integral) and int(value) > MOST
            own_bound = f.metadata.keys() & {"size", "high"}
            most = f" and at most {MOST}" if too_large and not own_bound else ""
            got = " ".join(repr(value).split())  # of arrays, too, in one line
            raise ParameterError(
                f"{who or type(estimator).__name__}: {f.name} must be {rule_text(f)}{most}, "
                f"got {got}"
            )


def rule_text(f: Field) -> str:
    """The rule of a declared parameter in words."""
    rule = f.metadata
    if "seed" in rule:
        return "an int >= 0, a numpy RandomState or None"
    levels = ", or a tuple of such, one per level" if "levels" in rule else ""
    if "estimator" in rule:
        several = ", a tuple of such" if "several" in rule else ""
        return f"one of xmc's estimators of matrices{several} or None"
    if "vocabulary" in rule:
        return "a Vocabulary or None"
    if "encoder" in rule:
        return "a callable or None"
    if "folder" in rule:
        return "a path or None"
    if "among" in rule:
        words = ", ".join(map(repr, rule["among"] + (True, False) * ("switch" in rule)))
        return (
            f"one of {words}"
            + (" or a LabelTree" if "tree" in rule else "")
            + (" or None" if "optional" in rule else "")
            + levels
        )
    if rule["kind"] is bool:
        return "True or False"
    text = "an int" if rule["kind"] is int else "a finite number"
    bounds = [f"{sign} {rule[word]}" for word, sign in BOUNDS.items() if word in rule]
    text = " ".join([text, " and ".join(bounds)]).strip()
    return text + (" or None" if "optional" in rule else "") + levels


def _obeys(value: Any, f: Field) -> bool:
    rule = f.metadata
    if "levels" in rule and isinstance(value, (tuple, list)):
        return len(value) > 0 and all(
            not isinstance(v, (tuple, list)) and _obeys(v, f) for v in value
        )
    if "switch" in rule and type(value).__name__ in ("bool", "bool_"):
        return True
    if "vocabulary" in rule:
        return value is None or hasattr(value, "names_of")
    if "encoder" in rule:
        return value is None or callable(value)
    if "folder" in rule:
        return value is None or isinstance(value, (str, PathLike))
    if "matrix" in rule:  # the door looks at it, where it is known what it must fit
        return True
    if "several" in rule and isinstance(value, (tuple, list)):
        return len(value) > 0 and all(v is not None and _is_estimator(v) for v in value)
    if value is None and rule.keys() & {"optional", "seed", "estimator"}:
        return True
    if "estimator" in rule:
        return _is_estimator(value)
    if "seed" in rule:
        is_int = isinstance(value, numbers.Integral)
        return hasattr(value, "random_sample") or (is_int and value >= 0)
    if "among" in rule and isinstance(value, str):
        return value in rule["among"]
    if "among" in rule:
        return "tree" in rule and hasattr(value, "chunks")
    if rule["kind"] is bool:  # numpy's too, whose name depends on its version
        return type(value).__name__ in ("bool", "bool_")
    return _is_in_range(value, rule)


def _is_estimator(value: Any) -> bool:
    """Whether it is one of our estimators of matrices: all of them have a type of predictor."""
    return hasattr(value, "predictor_type") and not isinstance(value, type)


def _is_in_range(value: Any, rule: Mapping[str, Any]) -> bool:
    wanted = numbers.Integral if rule["kind"] is int else numbers.Real
    if isinstance(value, bool) and "own_flag" not in rule:  # verbose=True is what many write
        return False
    if not isinstance(value, wanted) or value == rule.get("not_equal"):
        return False
    if not isinstance(value, numbers.Integral) and not math.isfinite(value):
        return False
    most = MOST_BYTES if "size" in rule else MOST if rule["kind"] is int else sys.float_info.max
    low, high = rule.get("low", -math.inf), rule.get("high", most)
    return low <= value <= high and value > rule.get("above", -math.inf)
