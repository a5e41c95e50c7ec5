"""Every declared parameter at its extremes: a model with right-looking answers, or our one line.

A parameter that is new is tried by itself, as its declaration says.
"""

from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from planted import N_LABELS, SMALL, X_TEST, X, Y

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    ParameterError,
    RerankedClassifier,
    TextClassifier,
    load,
)
from xmc.params import BOUNDS, PropensityParams, RunParams, check, names

FEW = slice(0, 60)
WORDS = np.array([f"word{i}" for i in range(X.shape[1])])
ANYTHING = [
    *(None, True, False, "x", "", b"x", (), [], (1, 2), {}, object(), 1j),
    *(-1, 0, 1, 2, 2**31, 2**63, 2**64, -(2**63), 10**400, Fraction(1, 2), 0.5),
    *(np.inf, -np.inf, np.nan, 1e308, -1e308, 1e-308, 1e39, 1e-39),
    *(kind(1) for kind in (np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64)),
    *(kind(1) for kind in (np.float16, np.float32, np.float64, np.longdouble, np.bool_)),
    *(np.uint8(255), np.int8(16), np.uint64(2**64 - 1), np.float16(6e4), np.str_("x")),
    *(np.array(1), np.array(1.0), np.array([1, 2]), np.array("x"), np.eye(20)),
]
SEEDED = {"random_state": 0}
MODELS = [
    LabelTreeClassifier(
        **SMALL, negatives="tfn+man", costs="propensity", optimize="psp", tail_share=0.5
    ),
    OneVsAllClassifier(**SEEDED),
    OneVsAllClassifier(**SEEDED, solver="liblinear", loss="hinge", score_transform="log_sigmoid"),
    RerankedClassifier(OneVsAllClassifier(**SEEDED), optimize="psp"),
    TextClassifier(OneVsAllClassifier(**SEEDED), rerank=False),
]


# A stage takes long to train; these parameters are tried with the other models.
SHARED = names(RunParams) + names(PropensityParams)


def texts(M):
    return [" ".join(WORDS[row.indices]) for row in M]


def bounds(rule):
    """The numbers that a declaration names, and the next ones beyond."""
    named = [rule[word] for word in BOUNDS if word in rule]
    step = 1 if rule["kind"] is int else 1e-9
    return [value for bound in named for value in (bound, bound - step, bound + step)]


def values(field):
    rule = field.metadata
    more = bounds(rule) if rule.get("kind") in (int, float) else list(rule.get("among", ()))
    return ANYTHING + more + [(v, v) for v in more if "levels" in rule]


def trained_and_asked(model, folder):
    """Scores of a model that is trained, saved, and read again."""
    is_text = isinstance(model, TextClassifier)
    rows, asked = (texts(X[FEW]), texts(X_TEST)) if is_text else (X[FEW], X_TEST)
    model.fit(rows, Y[FEW])
    found = model.predict_topk(asked, 5)
    model.save(folder, overwrite=True)
    again = load(folder).predict_topk(asked, 5)
    assert np.array_equal(found.labels, again.labels)
    assert np.array_equal(found.scores, again.scores)
    return found


CASES = [
    pytest.param(model, f, id=f"{n}-{type(model).__name__}-{f.name}")
    for n, model in enumerate(MODELS)
    for f in fields(model)
    if not (isinstance(model, RerankedClassifier) and f.name in SHARED)
]


@pytest.mark.usefixtures("few_trees")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("model", "field"), CASES)
def test_every_value_gives_a_model_or_one_line_that_names_the_parameter(model, field, tmp_path):
    settings, n_trained = model.get_params(deep=False), 0
    for value in values(field):
        changed = type(model)(**settings | {field.name: value})
        try:
            check(changed)
            found = trained_and_asked(changed, tmp_path / "model")
        except (ParameterError, DataError) as error:
            assert field.name in str(error), repr(value)
            assert "\n" not in str(error)
            continue
        except Exception as error:
            raise AssertionError(f"{field.name}={value!r}") from error
        n_trained += 1
        filled = found.labels >= 0
        assert filled[:, 0].all() and (found.labels < N_LABELS).all()
        assert ((found.scores[filled] >= 0) & (found.scores[filled] <= 1)).all(), repr(value)
    assert n_trained, "some value is legal"
