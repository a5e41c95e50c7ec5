"""Licences and advisories: what .ci/audit.py lets through and what it doesn't."""

import json
import runpy
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.version import Version

AUDIT = runpy.run_path(str(Path(__file__).resolve().parent.parent / ".ci" / "audit.py"))


def metadata(**fields):
    """The metadata of a package as it is installed; `_` in names of fields is a hyphen."""
    found = Message()
    for name, value in fields.items():
        found[name.replace("_", "-")] = value
    return found


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"License_Expression": "MIT AND Zlib", "License": "GPL"}, "MIT AND Zlib"),
        ({"Classifier": "License :: OSI Approved :: MIT License", "License": "GPL"}, "MIT"),
        ({"License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License": "Copyright (c) somebody"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_licence_is_the_expression_or_what_older_fields_say(fields, expected):
    assert AUDIT["licence"](metadata(**fields)) == expected


@pytest.mark.parametrize(
    "expression, allowed",
    [
        ("MIT", True),
        ("(MIT OR Apache-2.0) AND Zlib", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT AND GPL-3.0-only", False),
        ("unknown", False),
    ],
)
def test_each_licence_of_an_expression_must_be_allowed(expression, allowed):
    assert AUDIT["is_allowed"](expression) == allowed


def test_what_the_package_needs_is_followed_and_extras_are_not():
    names = AUDIT["needed"]("xmc-trees")
    assert {"xmc-trees", "numba", "llvmlite"} <= set(names)
    assert not {"pytest", "rdflib", "liblinear-official"} & set(names)


RANGE = [{"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"}, {"last_affected": "2.1"}]


@pytest.mark.parametrize(
    "version, hit",
    [("1.0", True), ("1.2", False), ("1.10", False), ("2.0", True), ("2.1", True), ("2.2", False)],
)
@pytest.mark.parametrize("step", [1, -1])
def test_a_version_in_a_range_is_hit(version, hit, step):
    ranges = [{"type": "ECOSYSTEM", "events": RANGE[::step]}]
    assert AUDIT["is_hit"]({"ranges": ranges}, Version(version)) == hit


def test_a_version_that_is_named_is_hit():
    assert AUDIT["is_hit"]({"versions": ["1.0"]}, Version("1.0"))
    assert not AUDIT["is_hit"]({"versions": ["1.0"]}, Version("1.1"))


def advisories(path, **changes):
    """A file of one advisory of every version of numba."""
    package = {"ecosystem": "PyPI", "name": "Numba"} | changes.pop("package", {})
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
    one = {"id": "X-1", "affected": [{"package": package, "ranges": ranges}]} | changes
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X-1.json", json.dumps(one))
    return path


def test_a_vulnerable_package_fails_and_is_named(tmp_path, capsys):
    assert AUDIT["main"](advisories(tmp_path / "all.zip")) == 1
    assert " is vulnerable: X-1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes", [{"withdrawn": "2026"}, {"package": {"ecosystem": "npm"}}, {"package": {"name": ""}}]
)
def test_what_speaks_of_nothing_installed_is_no_hit(tmp_path, changes):
    assert AUDIT["main"](advisories(tmp_path / "all.zip", **changes)) == 0


def test_without_advisories_one_line_says_so(capsys):
    assert AUDIT["main"]() == 0
    assert "no advisories looked at" in capsys.readouterr().out.splitlines()[-1]
