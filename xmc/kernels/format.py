"""Rows of XMC and SVMlight text, from flat arrays to bytes.

    name         dtype  shape         what
    labels       int32  all labels    in the order in which they are written
    label_ptr    int64  n_rows + 1    where each row's labels start
    features     int32  all features  in the order in which they are written
    bits         int32  all features  the bits of the finite float32 values
    feature_ptr  int64  n_rows + 1    where each row's features start
    out          uint8  any           written

A kernel that writes takes the place `at` in `out` and returns the place after what it wrote. A
value is written as the shortest number that reads back to the same float32.

Schubfach (Giulietti, "The Schubfach way to render doubles", 2020). A float32 is c * 2**q. k is
chosen so that the numbers that round to it, scaled by 10**-k, span at least 1 and less than 10:
they hold an integer, and at most one multiple of ten, which is then the shorter one. 64 bits of
10**-k are enough to compare exactly, if the product with 4c keeps in its last bit whether anything
was cut off.
"""

import numpy as np

from . import inner, kernel

VALUE_BYTES = 17
LABEL_BYTES = 11
FEATURE_BYTES = 12 + VALUE_BYTES

NEWLINE, SPACE, COMMA, MINUS, POINT, ZERO, COLON, SMALL_E = 10, 32, 44, 45, 46, 48, 58, 101
LEAST_POWER, LAST_POWER = -31, 45
HIDDEN_BIT = 2**23
LOW_HALF = 2**32 - 1


def _leading_bits(power):
    """The first 64 bits of 10**power, rounded up, as an int."""
    top, bottom = 10 ** max(power, 0), 10 ** max(-power, 0)
    shift = 63 - (power * 1741647 >> 19)
    return -(-(top << max(shift, 0)) // (bottom << max(-shift, 0)))


POWERS_HIGH = np.array([_leading_bits(p) >> 32 for p in range(LEAST_POWER, LAST_POWER + 1)])
POWERS_LOW = np.array([_leading_bits(p) & LOW_HALF for p in range(LEAST_POWER, LAST_POWER + 1)])


@inner
def scale(power, number):
    """The bits from 2**64 on of 10**power * number, for a number below 2**30.

    The last of them is also set if any bit below it is.
    """
    high, low = POWERS_HIGH[power - LEAST_POWER], POWERS_LOW[power - LEAST_POWER]
    product = high * number + (low * number >> 32)
    return (product >> 32) | ((product & LOW_HALF) > 1)


@inner
def shortest(bits):
    """(digits, exponent): the shortest decimal that rounds to the positive float32 of these bits.

    Of equally short ones it is the nearest. The digits may end in zeros.
    """
    fraction, place = bits & (HIDDEN_BIT - 1), bits >> 23
    c, q = (HIDDEN_BIT | fraction, place - 150) if place else (fraction, np.int64(-149))
    if -24 < q <= 0 and c & ((1 << -q) - 1) == 0:
        return c >> -q, np.int64(0)
    # Below a power of 2, the next float32 is only half as far away.
    near = np.int64(fraction == 0 and place > 1)
    odd = c & 1
    k = (q * 1262611 - near * 524031) >> 22
    h = q + (-k * 1741647 >> 19) + 1
    low = scale(-k, (4 * c - 2 + near) << h) + odd
    middle = scale(-k, (4 * c) << h)
    high = scale(-k, (4 * c + 2) << h) - odd
    s = middle // 4
    if s >= 10:
        tens = s // 10
        below, above = low <= 40 * tens, 40 * tens + 40 <= high
        if below != above:
            return tens + above, k + 1
    below, above = low <= 4 * s, 4 * s + 4 <= high
    if below != above:
        return s + above, k
    up = middle > 4 * s + 2 or (middle == 4 * s + 2 and s & 1 == 1)
    return s + up, k


@inner
def write_integer(number, out, at):
    """Write a number >= 0."""
    end, rest = at + 1, number // 10
    while rest > 0:
        end += 1
        rest //= 10
    for i in range(end - 1, at - 1, -1):
        out[i] = ZERO + number % 10
        number //= 10
    return end


@inner
def write_zeros(count, out, at):
    """Write that many zeros; none if the count is negative."""
    for _ in range(count):
        out[at] = ZERO
        at += 1
    return at


@inner
def write_digits(digits, point, out, at):
    """Write digits >= 1, with a decimal point after the first `point` of them if any follow."""
    end = write_integer(digits, out, at)
    if end - at <= point:
        return end
    for i in range(end, at + point, -1):
        out[i] = out[i - 1]
    out[at + point] = POINT
    return end + 1


@inner
def write_value(bits, out, at):
    """Write the finite float32 of these bits, in at most VALUE_BYTES.

    Numbers from 0.0001 up to 1e16 are written without an exponent.
    """
    if bits < 0:
        out[at] = MINUS
        at += 1
    magnitude = bits & 0x7FFFFFFF
    if magnitude == 0:
        return write_zeros(1, out, at)
    digits, exponent = shortest(magnitude)
    while digits % 10 == 0:
        digits //= 10
        exponent += 1
    point, rest = exponent, digits
    while rest > 0:
        point += 1
        rest //= 10
    if 0 < point <= 16:
        return write_zeros(exponent, out, write_digits(digits, point, out, at))
    if -4 < point <= 0:
        out[at], out[at + 1] = ZERO, POINT
        return write_integer(digits, out, write_zeros(-point, out, at + 2))
    at = write_digits(digits, 1, out, at)
    out[at] = SMALL_E
    if point <= 0:
        out[at + 1] = MINUS
        return write_integer(1 - point, out, at + 2)
    return write_integer(point - 1, out, at + 1)


@kernel
def format_values(bits, out):
    """Write values, one per line, and return the number of bytes: at most VALUE_BYTES + 1 each."""
    at = 0
    for i in range(bits.shape[0]):
        at = write_value(np.int64(bits[i]), out, at)
        out[at] = NEWLINE
        at += 1
    return at


@kernel
def format_rows(first, last, base, labels, label_ptr, features, bits, feature_ptr, out):
    """Write rows first to last - 1 as lines `l1,l2 f:v f:v`, and return the number of bytes.

    Ids are counted from `base` in the text. One byte per row, LABEL_BYTES per label and
    FEATURE_BYTES per feature suffice.
    """
    at = 0
    for row in range(first, last):
        for j in range(label_ptr[row], label_ptr[row + 1]):
            if j > label_ptr[row]:
                out[at] = COMMA
                at += 1
            at = write_integer(np.int64(labels[j]) + base, out, at)
        for j in range(feature_ptr[row], feature_ptr[row + 1]):
            out[at] = SPACE
            at = write_integer(np.int64(features[j]) + base, out, at + 1)
            out[at] = COLON
            at = write_value(np.int64(bits[j]), out, at + 1)
        out[at] = NEWLINE
        at += 1
    return at
