from dataclasses import fields, make_dataclass
from pathlib import Path

import numpy as np
import pytest

from xmc import (
    LabelTree,
    LabelTreeClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
)
from xmc.errors import ParameterError
from xmc.params import (
    EncoderParams,
    LabelTreeParams,
    RerankedParams,
    RerankParams,
    StageParams,
    TextParams,
    check,
    param,
    rule_text,
)

ONE = OneVsAllClassifier()
ONE_LEAF = LabelTree((np.array([0, 1]),), np.array([0], np.int32))


def rules(declaration):
    return [
        pytest.param(declaration, f, id=f"{declaration.__name__}-{f.name}")
        for f in fields(declaration)
    ]


DECLARED = [
    *rules(LabelTreeParams),
    *rules(TextParams),
    *rules(RerankedParams),
    *rules(make_dataclass("TextStageParams", [], bases=(RerankParams,))),
    *rules(make_dataclass("TextEncoderParams", [], bases=(EncoderParams,))),
]


def illegal(rule):
    """Values that the rule forbids, by the declaration alone."""
    if "matrix" in rule:  # what it must be is checked where it is known what it must fit
        return []
    if "estimator" in rule:
        several = [(), (OneVsAllClassifier(), None)] if "several" in rule else [(ONE,)]
        return ["tree", 3, OneVsAllClassifier, *several]
    if "switch" in rule:
        return ["yes", 1, None, 0.5]
    if "encoder" in rule:
        return ["sentences:encode", 1, [len]]
    if "folder" in rule:
        return [1, True, ["cache"]]
    if "seed" in rule:
        return [-1, "0", 0.5, np.random.default_rng(0)]
    if "levels" in rule:
        alone = illegal({key: value for key, value in rule.items() if key != "levels"})
        return [value for value in alone if not isinstance(value, (list, tuple))] + [
            (),
            (alone[0],),
            ((1.0,),),
        ]
    if "among" in rule:
        return ["nothing", 1, ("tfn",)] + ([] if "optional" in rule else [None])
    if rule["kind"] is bool:
        return [1, "yes", None]
    values = ["1", [1], np.nan, np.inf] + ([1.5] if rule["kind"] is int else [])
    values += [rule["low"] - 1] if "low" in rule else []
    values += [rule["above"]] if "above" in rule else []
    values += [rule["high"] + 1] if "high" in rule else []
    values += [rule["not_equal"]] if "not_equal" in rule else []
    return values if "optional" in rule else [*values, None]


def legal(rule):
    if "matrix" in rule:
        return [None, np.eye(2)]
    if "estimator" in rule:
        return [None, ONE] + ([(ONE,), [ONE, LabelTreeClassifier()]] if "several" in rule else [])
    if "switch" in rule:
        return [*rule["among"], True, False, np.True_]
    if "encoder" in rule:
        return [None, len, OneVsAllClassifier]
    if "folder" in rule:
        return [None, "cache", Path("cache")]
    if "seed" in rule:
        return [None, 0, np.int64(7), 2**40, np.random.RandomState(0), np.random]
    if "levels" in rule:
        alone = legal({key: value for key, value in rule.items() if key != "levels"})
        return [*alone, tuple(alone), alone[:1]]
    if "among" in rule:
        return (
            [*rule["among"]]
            + ([ONE_LEAF] if "tree" in rule else [])
            + ([None] if "optional" in rule else [])
        )
    if rule["kind"] is bool:
        return [True, False, np.True_]
    lowest = rule.get("low", rule.get("above", 0) + 1)
    numpys = np.float64 if isinstance(lowest, float) else np.int64
    return [lowest, numpys(lowest), rule.get("high", lowest + 1)] + (
        [None] if "optional" in rule else []
    )


@pytest.mark.parametrize(("declaration", "field"), DECLARED)
def test_every_illegal_value_is_named_with_its_rule(declaration, field):
    for value in illegal(field.metadata):
        with pytest.raises(ParameterError) as error:
            check(declaration(**{field.name: value}))
        rule = rule_text(field)
        assert (
            str(error.value)
            == f"{declaration.__name__}: {field.name} must be {rule}, got {value!r}"
        )


@pytest.mark.parametrize(("declaration", "field"), DECLARED)
def test_every_legal_value_passes(declaration, field):
    for value in legal(field.metadata):
        check(declaration(**{field.name: value}))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loss", "one of 'squared_hinge', 'hinge'"),
        ("C", "a finite number >= 1e-09 and <= 1000000000, or a tuple of such, one per level"),
        ("costs", "one of 'equal', 'relevance', 'propensity'"),
        ("tol", "a finite number > 0"),
        ("max_iter", "an int >= 1"),
        ("solver", "one of 'block', 'liblinear'"),
        ("bias", "a finite number >= 0 and <= 100"),
        ("weight_threshold", "a finite number >= 0"),
        ("weights", "one of 'float32', 'float16', 'int8'"),
        ("score_transform", "one of 'l3_hinge', 'l2_hinge', 'log_sigmoid'"),
        ("optimize", "one of 'p', 'psp', 'macro_f1', 'macro_f1_named', 'macro_recall', 'coverage'"),
        ("macro_share", "a finite number >= 0 and <= 1"),
        ("calibration", "one of 'isotonic', 'platt' or None"),
        ("threshold_for", "one of 'micro', 'samples', 'macro'"),
        ("tail_share", "a finite number >= 0 and <= 1"),
        ("tail_gamma", "a finite number > 0 and <= 1000000"),
        ("propensity_a", "a finite number >= 0 and <= 10"),
        ("propensity_b", "a finite number >= 0.001 and <= 1000000.0"),
        ("normalize", "True or False"),
        ("n_jobs", "an int <= 1000 and != 0 or None"),
        ("memory", "an int >= 1 or None"),
        ("keep_rows", "True or False"),
        ("tfidf", "True or False"),
        ("pairs", "a finite number >= 0 and <= 1000"),
        ("random_state", "an int >= 0, a numpy RandomState or None"),
        ("verbose", "an int >= 0"),
        ("n_trees", "an int >= 1 and <= 100"),
        ("tree", "one of 'auto', 'balanced', 'shallow' or a LabelTree"),
        ("arity", "an int >= 2 or None"),
        ("max_leaf_size", "an int >= 1"),
        ("max_depth", "an int >= 1 or None"),
        ("negatives", "one of 'tfn', 'man', 'tfn+man', or a tuple of such, one per level"),
        ("negative_folds", "an int >= 1"),
        ("beam_size", "an int >= 1"),
    ],
)
def test_rules_read_as_words(name, words):
    assert rule_text({f.name: f for f in fields(LabelTreeParams)}[name]) == words


def test_every_parameter_has_its_words_tested():
    tested = {name for mark in test_rules_read_as_words.pytestmark for name, _ in mark.args[1]}
    assert tested == {f.name for f in fields(LabelTreeParams)}


@pytest.mark.parametrize(
    ("declaration", "name", "words"),
    [
        (RerankParams, "rerank", "one of 'auto', True, False"),
        (StageParams, "neighbors", "True or False"),
        (
            RerankedParams,
            "classifier",
            "one of xmc's estimators of matrices, a tuple of such or None",
        ),
        (RerankedParams, "choose", "True or False"),
        (TextClassifier, "vocabulary", "a Vocabulary or None"),
    ],
)
def test_rules_of_a_stage_read_as_words(declaration, name, words):
    assert rule_text({f.name: f for f in fields(declaration)}[name]) == words


def test_base_models_come_first_and_the_rest_by_name():
    model = RerankedClassifier((ONE, LabelTreeClassifier()), choose=True)
    assert len(model.classifier) == 2
    with pytest.raises(TypeError):
        RerankedClassifier((ONE,), True)


def test_defaults_of_a_stage_change_on_purpose_only():
    promised = {
        "classifier": None, "choose": False, "label_features": None, "neighbors": True,
        "optimize": "p", "propensity_a": 0.55, "propensity_b": 1.5, "n_jobs": None,
        "memory": None, "verbose": 0, "random_state": None, "threshold_for": "micro",
        "macro_share": 1.0,
    }  # fmt: skip
    assert RerankedClassifier().get_params() == promised
    texts = TextClassifier().get_params()
    stage = {name: texts[name] for name in ("classifier", "vocabulary", "rerank", "neighbors")}
    assert stage == {"classifier": None, "vocabulary": None, "rerank": "auto", "neighbors": True}


def test_a_rule_for_a_number_is_read_from_the_declaration():
    positive = make_dataclass(
        "Positive", [("x", float, param(1.0, "a number", kind=float, above=0))]
    )
    with pytest.raises(ParameterError, match=r"^Positive: x must be a finite number > 0, got 0$"):
        check(positive(x=0))


def test_the_first_broken_rule_is_reported():
    with pytest.raises(ParameterError, match="loss"):
        check(LabelTreeParams(beam_size=0, loss="l7"))


@pytest.mark.parametrize("model", [LabelTreeClassifier, OneVsAllClassifier])
def test_fit_holds_its_parameters_against_the_declaration(model):
    with pytest.raises(
        ParameterError, match=rf"^{model.__name__}: max_iter must be an int >= 1, got 0$"
    ):
        model(max_iter=0).fit(np.eye(2), [0, 1])


def test_the_constructor_stores_and_checks_nothing():
    assert LabelTreeClassifier(beam_size="x").beam_size == "x"


@pytest.mark.parametrize("model", [LabelTreeClassifier, OneVsAllClassifier])
def test_defaults_change_on_purpose_only(model):
    promised = {
        "n_trees": 1, "tree": "auto", "arity": None, "max_leaf_size": 100, "max_depth": None,
        "negatives": "tfn", "negative_folds": 1, "beam_size": 10, "loss": "squared_hinge",
        "C": 1.0, "costs": "equal", "solver": "block", "bias": 1.0, "weight_threshold": 0.1,
        "weights": "float32", "score_transform": "l3_hinge", "normalize": True, "n_jobs": None,
        "memory": None, "random_state": None, "verbose": 0, "optimize": "p", "propensity_a": 0.55,
        "propensity_b": 1.5, "tail_share": 0.0, "tail_gamma": 30.0, "calibration": None,
        "threshold_for": "micro", "keep_rows": False, "macro_share": 1.0,
        "tfidf": False, "pairs": 0.0,
    }  # fmt: skip
    given = model().get_params()
    assert {name: given[name] for name in given.keys() & promised} == {
        n: promised[n] for n in promised if n in given
    }
    assert given.keys() - promised == {"tol", "max_iter"}


@pytest.mark.parametrize("name", ["beam_size", "max_iter", "arity", "min_df"])
def test_a_number_that_no_array_can_hold_is_refused(name):
    kind = TextClassifier if name == "min_df" else LabelTreeClassifier
    check(kind(**{name: 2**31 - 1}))
    said = f"{name} must be an int >= [12].* and at most 2147483647"
    with pytest.raises(ParameterError, match=said):
        check(kind(**{name: 2**31}))
    check(LabelTreeClassifier(memory=2**40))


def test_true_is_no_number_but_of_what_is_told():
    check(LabelTreeClassifier(verbose=True))
    with pytest.raises(ParameterError, match="beam_size must be an int >= 1, got True$"):
        check(LabelTreeClassifier(beam_size=True))
