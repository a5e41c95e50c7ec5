"""Rows of XMC and SVMlight text, from bytes to flat arrays.

    name         dtype    shape          what
    text         uint8    any            the last byte is a newline, so no scan looks for the end
    labels       int32    all labels     written: as they stand in the text, in any order
    weights      float32  all labels     written: their weights, 1 where none is
    label_ptr    int64    n_rows + 1     written: where each row's labels start
    features     int32    all features   written: as they stand in the text, in any order
    values       float32  all features   written: their values, zeros too
    feature_ptr  int64    n_rows + 1     written: where each row's features start
    doubts       int64    any x 2        written: the numbers that must be read again, exactly

The arrays that are written may be longer than needed; `count_marks` gives lengths that suffice.
Places are numbers of bytes.

A label may have a weight, `0:0.5,3:1 f:v`. Alone it looks like a feature, `0:0.5 f:v`, and without
labels a row begins with a feature. In a text where no label surely has a weight, as only a comma
tells, what begins a row is a feature. Otherwise it is a label with a weight, unless a blank stands
before it.
"""

import numpy as np

from . import inner, kernel

FINE, BAD_LABEL, BAD_FEATURE, LABEL_RANGE, FEATURE_RANGE, BAD_VALUE, BAD_WEIGHT, WEIGHTS = range(8)

TAB, NEWLINE, RETURN, SPACE, HASH, PLUS = 9, 10, 13, 32, 35, 43
COMMA, MINUS, POINT, ZERO, NINE, COLON = 44, 45, 46, 48, 57, 58
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
    """(newlines, colons, commas) of the text, how many of each.

    There are at most as many rows as newlines, features as colons, labels as rows and commas.
    """
    newlines, colons, commas = 0, 0, 0
    for i in range(text.shape[0]):
        newlines += text[i] == NEWLINE
        colons += text[i] == COLON
        commas += text[i] == COMMA
    return newlines, colons, commas


@inner
def is_digit(c):
    """Whether the byte is one of 0 to 9."""
    return c >= ZERO and c <= NINE


@inner
def ends_token(c, comment):
    """Whether the byte can't be part of a token."""
    return c == SPACE or c == NEWLINE or c == TAB or c == RETURN or c == comment


@inner
def skip_blanks(text, i):
    """The first place from i on that holds neither space, tab nor carriage return."""
    while text[i] == SPACE or text[i] == TAB or text[i] == RETURN:
        i += 1
    return i


@inner
def read_id(text, i):
    """(id, end) of the digits from i on.

    The id is -1 if there are none, and some number from 2**31 on if it exceeds int32.
    """
    if not is_digit(text[i]):
        return np.int64(-1), i
    number = np.int64(0)
    while is_digit(text[i]):
        if number < TOO_LARGE_ID:
            number = number * 10 + (text[i] - ZERO)
        i += 1
    return number, i


@inner
def read_exponent(text, i):
    """(exponent, end) of an `e-5` at i; (0, i) if none is there, (0, -1) if it has no digits."""
    if text[i] != SMALL_E and text[i] != LETTER_E:
        return np.int64(0), i
    negative = text[i + 1] == MINUS
    i += 2 if negative or text[i + 1] == PLUS else 1
    if not is_digit(text[i]):
        return np.int64(0), -1
    exponent, end = read_id(text, i)
    return (-exponent if negative else exponent), end


@inner
def nearest_float32(number, exponent):
    """(value, sure): number * 10**exponent as float32.

    The number has at most 18 digits; further ones may have been cut off. The float64 product is off
    by less than 4 units in the last place. If float64s that near round to different float32s, the
    number is close to the middle between two of them, and `sure` is False.
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


@inner
def read_value(text, i):
    """(value, end, sure) of the decimal number from i on; end is -1 if there is none.

    Digits after the 18th are left out: they count less than float64's last place.
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


@inner
def note_doubt(doubts, n_d, entry, place):
    """One more than n_d; the doubt is written if there is room for it."""
    if n_d < doubts.shape[0]:
        doubts[n_d, 0], doubts[n_d, 1] = entry, place
    return n_d + 1


@inner
def has_comma(text, i, comment):
    """Whether the token at i holds a comma."""
    while not ends_token(text[i], comment):
        if text[i] == COMMA:
            return True
        i += 1
    return False


@inner
def read_weight(text, i, comment):
    """(fault, weight, end, sure) of the weight of a label from i on."""
    weight, end, sure = read_value(text, i)
    if end < 0 or not (text[end] == COMMA or ends_token(text[end], comment)):
        return BAD_WEIGHT, weight, i, sure
    if sure and not (weight > 0 and weight < np.inf):
        return BAD_WEIGHT, weight, i, sure
    return FINE, weight, end, sure


@inner
def parse_labels(text, i, base, n_labels, comment, weighted, labels, weights, filled, doubts, n_d):
    """(fault, place, filled, n_doubts) after a first field `l1,l2` or `l1:w,l2:w`, which may be
    missing; a blank may follow a comma.

    Its labels are written from labels[filled] on, and counted in the `filled` that is returned.
    """
    start, indented = i, i > 0 and (text[i - 1] == SPACE or text[i - 1] == TAB)
    if ends_token(text[i], comment):
        return FINE, i, filled, n_d
    while True:
        label, end = read_id(text, i)
        weight, sure, place = np.float32(1), True, end + 1
        if text[end] == COLON and end > i:
            if not has_comma(text, i, comment):
                if i == start and (indented or not weighted):
                    return FINE, start, filled, n_d
                if not weighted and text[i - 1] != COMMA:
                    return BAD_LABEL, start, filled, n_d
            if not weighted:
                return WEIGHTS, i, filled, n_d
            fault, weight, end, sure = read_weight(text, place, comment)
            if fault != FINE:
                return fault, i, filled, n_d
        if label < 0 or not (text[end] == COMMA or ends_token(text[end], comment)):
            return BAD_LABEL, start, filled, n_d
        if label < base or label - base >= n_labels:
            return LABEL_RANGE, i, filled, n_d
        if not sure:
            n_d = note_doubt(doubts, n_d, -1 - filled, place)
        labels[filled], weights[filled] = label - base, weight
        filled += 1
        if text[end] != COMMA:
            return FINE, end, filled, n_d
        i = skip_blanks(text, end + 1)


@kernel
def parse_rows(
    text,
    start,
    base,
    n_labels,
    n_features,
    comment,
    weighted,
    labels,
    weights,
    label_ptr,
    features,
    values,
    feature_ptr,
    doubts,
):
    """Write the arrays from lines `l1,l2 f:v f:v`, from byte `start` on.

    Returns (fault, place, n_rows, n_doubts). If there is a fault, the faulty token begins at that
    place. Ids in the text count from `base`. `comment` is the byte that hides the rest of its line,
    a newline if nothing does; a line that holds only a comment is no row. If `weighted` is 0 and a
    label surely has a weight, that is the fault WEIGHTS. `doubts` gets the entry and the place of
    each doubtful value, -1 - entry if it is a weight; those that don't fit in are counted only.
    """
    label_ptr[0], feature_ptr[0] = 0, 0
    i, row, n_l, n_f, n_d = start, 0, 0, 0, 0
    while i < text.shape[0]:
        i = skip_blanks(text, i)
        skipped = text[i] == comment and comment != NEWLINE
        fault, i, n_l, n_d = parse_labels(
            text, i, base, n_labels, comment, weighted, labels, weights, n_l, doubts, n_d
        )
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
                n_d = note_doubt(doubts, n_d, n_f, colon + 1)
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
