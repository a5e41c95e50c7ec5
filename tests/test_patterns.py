import pytest

from xmc.patterns import check_pattern

ORDINARY = (
    r"(?u)\b\w\w+\b",
    r"\S+",
    r"[^\W\d_]{2,}",
    r"[a-z]+(?:'s)?",
    r"\w+-\w+|\w+",
    r"(?i)\b[a-z]{3,20}\b",
    r"(\w+)(?=\s)",
)
EXPLODING = (r"(a+)+$", r"(a|a)*$", r"(?:\w*,)*x", r"((ab?)+c)*", r"(a{1,9}){2,}", r"(?>(a+)b)+")


@pytest.mark.parametrize("pattern", ORDINARY)
def test_ordinary_patterns_are_fine(pattern):
    check_pattern(pattern)


@pytest.mark.parametrize("pattern", EXPLODING)
def test_a_repeat_of_what_can_match_in_several_ways_is_refused(pattern):
    with pytest.raises(ValueError, match="without repeats inside repeats"):
        check_pattern(pattern)


def test_each_long_repeat_multiplies_the_time():
    check_pattern(r"\w*-\w*")
    with pytest.raises(ValueError, match="with 2 long repeats at most"):
        check_pattern(r"\w*\w*\w*x")


@pytest.mark.parametrize("pattern", ["(", "*", "[a", "(?P<n>a)(?P<n>b)", "(" * 400 + ")" * 399])
def test_what_is_no_expression_is_refused(pattern):
    with pytest.raises(ValueError, match="expected a regular expression as token_pattern"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", [None, 3, ["a"], "a" * 1001])
def test_what_is_no_text_or_too_long_is_refused(pattern):
    with pytest.raises(ValueError, match="of at most 1,000 characters"):
        check_pattern(pattern)


def test_references_to_groups_are_refused():
    with pytest.raises(
        ValueError, match="^expected a token_pattern that doesn't refer to its groups$"
    ):
        check_pattern(r"(a+)\1")


@pytest.mark.parametrize(
    "pattern", ["a" * 1000, "a{0,100}b{0,100}c{0,100}d{0,100}", r"\w*(?:a*|b*|c*)", r"(?:ab+)?c"]
)
def test_what_stays_at_the_bound_is_fine(pattern):
    check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["a{0,101}b{0,101}c{0,101}", r"\w*(?:a*|b*c*)", r"(a*)b*(c*)"])
def test_long_repeats_add_up_wherever_they_stand(pattern):
    with pytest.raises(ValueError, match="^expected a token_pattern with 2 long repeats at most$"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"(?:(a)?(?(1)b|c))*", r"(?:a|bc){2}", r"(?:x(?:a|bc)){2}"])
def test_a_choice_inside_a_repeat_is_refused(pattern):
    with pytest.raises(ValueError, match="^expected a token_pattern without repeats inside"):
        check_pattern(pattern)
