"""Fields of requests are declared once: what they let pass is what their schema says."""

import json

import pytest

from xmc.serving.fields import BODY, Field, ListOf, Record, Refused, Row, Text, Whole, shown
from xmc.serving.forms import EXPLAIN, FEEDBACK, PREDICT

FORM = Record(
    {
        "name": Field(Text(), "What it is called.", required=True),
        "size": Field(Whole(1, 3), "How large it is.", 2),
        "tags": Field(ListOf(Text(), 2), "What it is like."),
        "row": Field(Row(), "Numbers."),
    },
)


def refused(kind, value):
    with pytest.raises(Refused) as found:
        kind.check(value, BODY)
    return str(found.value)


def test_what_is_not_given_has_its_default():
    expected = {"name": "a", "size": 2, "tags": None, "row": None}
    assert FORM.check({"name": "a"}, BODY) == expected


def test_null_counts_as_not_given_only_where_there_is_no_default():
    assert FORM.check({"name": "a", "tags": None}, BODY)["tags"] is None
    assert (
        refused(FORM, {"name": "a", "size": None}) == "size: expected an int from 1 to 3, got null"
    )
    assert refused(FORM, {"name": None}) == "name: expected a text that isn't empty, got null"


def test_a_missing_field_is_named():
    assert refused(FORM, {}) == "body: expected a field name, it is missing"


def test_places_inside_are_named():
    inner = Record({"all": Field(ListOf(FORM, 3), "Several.")})
    line = refused(inner, {"all": [{"name": "a"}, {"name": "a", "tags": ["b", 7]}]})
    assert line == "all[1].tags[1]: expected a text that isn't empty, got 7"


def test_an_open_record_leaves_other_fields_alone():
    record = Record({"name": Field(Text(), "")}, open=True)
    assert record.check({"name": "a", "more": 1}, BODY) == {"name": "a"}


def test_defaults_are_not_shared_between_requests():
    first = FEEDBACK.check({"text": "a"}, BODY)
    first["accepted"].append("b")
    assert FEEDBACK.check({"text": "a"}, BODY)["accepted"] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (1.5, "1.5"),
        ("é", '"\\u00e9"'),
        ("a" * 41, "a text of 41 characters"),
        ({"a": 1}, "an object of 1"),
        ([1] * 2000, "a list of 2,000"),
        (10**60, "1" + "0" * 39 + "..."),
    ],
)
def test_a_wrong_value_is_shown_shortly(value, text):
    assert shown(value) == text


def test_numbers_that_float32_can_t_hold_are_none():
    for number in (1e39, -1e39, 10**400):
        assert "expected a finite number, got" in refused(Row(), {"0": number})


@pytest.mark.parametrize("form", [PREDICT, EXPLAIN, FEEDBACK])
def test_the_schema_says_what_is_checked(form):
    schema = json.loads(json.dumps(form.schema()))
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == list(form.fields)
    assert schema.get("required", []) == [n for n, f in form.fields.items() if f.required]
    assert schema.get("oneOf", []) == [{"required": [name]} for name in form.one_of]
    for name, field in form.fields.items():
        told = schema["properties"][name]
        assert told["description"] == field.help and told["type"]
        assert told.get("default") == field.default
    assert schema["properties"].get("k", {"maximum": 1000})["maximum"] == 1000


SCHEMAS = [
    (Whole(1, 3), {"type": "integer", "minimum": 1, "maximum": 3}),
    (Text(), {"type": "string", "minLength": 1}),
    (Text(9), {"type": "string", "minLength": 1, "maxLength": 9}),
    (Row(), {"type": "object", "additionalProperties": {"type": "number"}}),
    (
        ListOf(Whole(1, 3), 5, 2),
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 3},
            "minItems": 2,
            "maxItems": 5,
        },
    ),
    (
        Record({"size": Field(Whole(1, 3), "How large.", 2)}, open=True),
        {
            "type": "object",
            "properties": {
                "size": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 3,
                    "description": "How large.",
                    "default": 2,
                }
            },
            "additionalProperties": True,
        },
    ),
]


@pytest.mark.parametrize(("kind", "schema"), SCHEMAS)
def test_kinds_are_described_as_json_schema_has_it(kind, schema):
    assert kind.schema() == schema


LINES = [
    (Row(), [1], "body: expected an object of features and their values, got a list of 1"),
    (Row(), {"a": "b"}, 'body["a"]: expected a finite number, got "b"'),
    (Row(), {"a": True}, 'body["a"]: expected a finite number, got true'),
    (ListOf(Text(), 2), "ab", 'body: expected a list of 0 to 2, got "ab"'),
    (ListOf(Text(), 2, 1), [], "body: expected a list of 1 to 2, got []"),
    (ListOf(Text(), 2), ["a"] * 3, "body: expected a list of 0 to 2, got a list of 3"),
    (Text(2), "abc", 'body: expected 2 characters at most, got "abc"'),
    (Whole(1, 3), 4, "body: expected an int from 1 to 3, got 4"),
]


@pytest.mark.parametrize(("kind", "value", "line"), LINES)
def test_what_is_of_another_kind_is_told_in_a_line(kind, value, line):
    assert refused(kind, value) == line


def test_what_is_sound_comes_back():
    assert Row().check({"a": 1, "b": -0.5}, BODY) == {"a": 1, "b": -0.5}
    assert ListOf(Whole(1, 3), 2).check([1, 3], BODY) == [1, 3]
    assert Text(2).check("ab", BODY) == "ab"
