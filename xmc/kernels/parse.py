"""Rows of XMC and SVMlight text, from bytes to flat arrays.

`text` is uint8 and its last byte is a newline, so no scan needs to look for the end.
"""

import numpy as np

from . import kernel

FINE, BAD_LABEL, BAD_FEATURE, LABEL_RANGE, FEATURE_RANGE, BAD_VALUE = range(6)

TAB, NEWLINE, RETURN, SPACE, HASH, PLUS, COMMA, MINUS, POINT, ZERO, NINE, COLON = (
    9,
    10,
    13,
    32,
    35,
    43,
    44,
    45,
    46,
    48,
    57,
    58,
)
LETTER_E, SMALL_E = 69, 101

TOO_LARGE_ID = 2**31
MANY_DIGITS = 10**17
LEAST_POWER, LAST_POWER = -80, 40
POWERS = np.array([float(f"1e{e}") for e in range(LEAST_POWER, LAST_POWER + 1)])
MARGIN = 2.0**-49
EXACT_INTEGER = 2**53
BEYOND_FLOAT32 = 3.5e38


@kernel
def count_marks(text):
    """(newlines, colons, commas) of the text: bounds for the arrays that `parse_rows` fills."""
    newlines, colons, commas = 0, 0, 0
    for i in range(text.shape[0]):
        newlines += text[i] == NEWLINE
        colons += text[i] == COLON
        commas += text[i] == COMMA
    return newlines, colons, commas


@kernel
def is_digit(c):
    """Whether the byte is one of 0 to 9."""
    return c >= ZERO and c <= NINE


@kernel
def ends_token(c, comment):
    """Whether the byte can't be part of a token."""
    return c == SPACE or c == NEWLINE or c == TAB or c == RETURN or c == comment


@kernel
def skip_blanks(text, i):
    """The first place from i on that holds neither space, tab nor carriage return."""
    while text[i] == SPACE or text[i] == TAB or text[i] == RETURN:
        i += 1
    return i


@kernel
def read_id(text, i):
    """(id, end) of the digits from i on; id is -1 if there are none and at least 2**31 if it
    exceeds int32.
    """
    if not is_digit(text[i]):
        return np.int64(-1), i
    number = np.int64(0)
    while is_digit(text[i]):
        if number < TOO_LARGE_ID:
            number = number * 10 + (text[i] - ZERO)
        i += 1
    return number, i


@kernel
def read_exponent(text, i):
    """(exponent, end) of an `e-5` at i: (0, i) if there is none, end -1 if its digits are missing."""
    if text[i] != SMALL_E and text[i] != LETTER_E:
        return np.int64(0), i
    negative = text[i + 1] == MINUS
    i += 2 if negative or text[i + 1] == PLUS else 1
    if not is_digit(text[i]):
        return np.int64(0), -1
    exponent, end = read_id(text, i)
    return (-exponent if negative else exponent), end


@kernel
def nearest_float32(number, exponent):
    """(value, sure): number * 10**exponent as float32, for a number of at most 18 digits, perhaps
    cut off after them.

    The float64 product is off by less than 4 of its last places. Where float64s that near round to
    different float32s, the number is close to the middle between two of them; then `sure` is False.
    """
    if number == 0 or exponent < LEAST_POWER:
        return np.float32(0), True
    if exponent > LAST_POWER:
        return np.float32(np.inf), True
    product = np.float64(number) * POWERS[exponent - LEAST_POWER]
    if product > BEYOND_FLOAT32:
        return np.float32(np.inf), True
    value = np.float32(product - product * MARGIN)
    if value == np.float32(product + product * MARGIN):
        return value, True
    return np.float32(product), exponent == 0 and number <= EXACT_INTEGER


@kernel
def read_value(text, i):
    """(value, end, sure) of the decimal number from i on; end is -1 where none stands.

    Digits after the 18th are left out, which is less than float64's last place.
    """
    negative = text[i] == MINUS
    if negative or text[i] == PLUS:
        i += 1
    number, exponent = np.int64(0), np.int64(0)
    first, point = i, 0
    while is_digit(text[i]):
        if number < MANY_DIGITS:
            number = number * 10 + (text[i] - ZERO)
        else:
            exponent += 1
        i += 1
    if text[i] == POINT:
        i += 1
        point = 1
        while is_digit(text[i]):
            if number < MANY_DIGITS:
                number = number * 10 + (text[i] - ZERO)
                exponent -= 1
            i += 1
    if i - first == point:
        return np.float32(0), -1, True
    shift, end = read_exponent(text, i)
    value, sure = nearest_float32(number, exponent + shift)
    return (-value if negative else value), end, sure


@kernel
def parse_labels(text, i, base, n_labels, comment, labels, filled):
    """(fault, place, filled) after a first token `l1,l2`, which may be missing; `labels` is filled
    from `filled` on.
    """
    start = i
    if ends_token(text[i], comment):
        return FINE, i, filled
    while True:
        label, end = read_id(text, i)
        if text[end] == COLON and i == start and end > start:
            return FINE, start, filled
        if label < 0 or not (text[end] == COMMA or ends_token(text[end], comment)):
            return BAD_LABEL, start, filled
        if label < base or label - base >= n_labels:
            return LABEL_RANGE, i, filled
        labels[filled] = label - base
        filled += 1
        if text[end] != COMMA:
            return FINE, end, filled
        i = end + 1


@kernel
def parse_rows(
    text,
    start,
    base,
    n_labels,
    n_features,
    comment,
    labels,
    label_ptr,
    features,
    values,
    feature_ptr,
    doubts,
):
    """Fills CSR arrays from lines `l1,l2 f:v f:v`, from byte `start` on; ids count from `base`,
    order is kept.

    `comment` is the byte that hides the rest of its line, newline for none; a line that holds only
    a comment is no row.
    doubts: (m, 2), the entry and the place of every value that must be read exactly; if there are
    more than m, the others are only counted. Returns (fault, place, n_rows, n_doubts), place being
    where the faulty token begins.
    """
    label_ptr[0], feature_ptr[0] = 0, 0
    i, row, n_l, n_f, n_d = start, 0, 0, 0, 0
    while i < text.shape[0]:
        i = skip_blanks(text, i)
        skipped = text[i] == comment and comment != NEWLINE
        fault, i, n_l = parse_labels(text, i, base, n_labels, comment, labels, n_l)
        if fault != FINE:
            return fault, i, row, n_d
        while True:
            i = skip_blanks(text, i)
            if ends_token(text[i], comment):
                break
            feature, colon = read_id(text, i)
            if feature < 0 or text[colon] != COLON:
                return BAD_FEATURE, i, row, n_d
            if feature < base or feature - base >= n_features:
                return FEATURE_RANGE, i, row, n_d
            value, end, sure = read_value(text, colon + 1)
            if end < 0 or not ends_token(text[end], comment) or (sure and np.isinf(value)):
                return BAD_VALUE, i, row, n_d
            if not sure:
                if n_d < doubts.shape[0]:
                    doubts[n_d, 0], doubts[n_d, 1] = n_f, colon + 1
                n_d += 1
            features[n_f], values[n_f] = feature - base, value
            n_f += 1
            i = end
        while text[i] != NEWLINE:
            i += 1
        i += 1
        if not skipped:
            row += 1
            label_ptr[row], feature_ptr[row] = n_l, n_f
    return FINE, i, row, n_d
