"""Slow twins of the kernels that read and write numbers and rows, in exact arithmetic."""

import re
from fractions import Fraction

import numpy as np


def nearest_float32(token):
    """The float32 nearest to a decimal, the even one of two; infinity stands where 2**128 would."""
    exact = Fraction(token)
    largest = float(np.finfo(np.float32).max)
    guess = np.float32(min(max(float(exact), -largest), largest))
    with np.errstate(over="ignore"):
        candidates = [guess, *(np.nextafter(guess, np.float32(end)) for end in (-np.inf, np.inf))]
    value = min(candidates, key=lambda c: (abs(_fraction(c) - exact), int(c.view(np.int32)) & 1))
    return np.copysign(value, np.float32(-1)) if token.startswith("-") else value


def _fraction(value):
    return (
        Fraction(2**128) * (1 if value > 0 else -1) if np.isinf(value) else Fraction(float(value))
    )


def shortest(value):
    """The text of a float32 as numpy's Dragon4 has it."""
    size = abs(value)
    if size == 0 or (np.float32(0.0001) <= size < np.float32(1e16)):
        return np.format_float_positional(value, unique=True, trim="-")
    return np.format_float_scientific(value, unique=True, trim="-", exp_digits=1).replace("e+", "e")


def parse_rows(lines, base):
    """Rows `l1:w,l2 f:v f:v` as a list of (labels, weights, features, values)."""
    rows = [[token.split(",") for token in re.sub(r",\s+", ",", line).split()] for line in lines]
    weighted = any(len(token) > 1 and ":" in "".join(token) for row in rows for token in row[:1])
    return [
        _row(tokens, base, weighted and line[:1] not in " \t")
        for line, tokens in zip(lines, rows, strict=True)
    ]


def _row(tokens, base, weighted):
    first = tokens[0] if tokens else []
    labelled = len(first) > 1 or (first and (weighted or ":" not in first[0]))
    labels = [f"{label}:1".split(":")[:2] for label in (first if labelled else [])]
    pairs = [token[0].split(":") for token in tokens[bool(labelled) :]]
    return tuple(
        [read(pair[part]) for pair in part_pairs]
        for part_pairs in (labels, pairs)
        for part, read in enumerate((lambda number: int(number) - base, nearest_float32))
    )


def format_rows(rows, base):
    """The lines of rows (labels, features, values)."""
    lines = []
    for labels, features, values in rows:
        pairs = [f" {f + base}:{shortest(v)}" for f, v in zip(features, values, strict=True)]
        lines.append(",".join(str(label + base) for label in labels) + "".join(pairs) + "\n")
    return lines
