"""Licences of all that the package needs, and known vulnerabilities of all that is installed.

    python .ci/audit.py [ADVISORIES.zip]

A licence that isn't among ALLOWED fails, as does an unknown one. Advisories are read from a file,
OSV's export of those of Python packages: a zip of one JSON each. Without one they are left out.
"""

import json
import re
import sys
import zipfile
from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

PACKAGE = "xmc-trees"
ALLOWED = {
    *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause"),
    *("BSD-3-Clause", "CC0-1.0", "MIT", "PSF-2.0", "Zlib"),
}
# What classifiers of older packages say, as identifiers of SPDX; which BSD they don't say.
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
UNKNOWN = "unknown"


def needed(package):
    """Names of a package and of all that it needs, its extras left out."""
    found, left = set(), [package]
    while left:
        name = canonicalize_name(left.pop())
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return sorted(found)


def licence(metadata):
    """The licence of a package as SPDX writes it, by its expression, else what older fields say."""
    classifiers = metadata.get_all("Classifier") or []
    by_classifier = [CLASSIFIERS[one] for one in classifiers if one in CLASSIFIERS]
    text = (metadata["License"] or "").strip()
    return (
        metadata["License-Expression"]
        or " AND ".join(by_classifier)
        or (text if text in ALLOWED else UNKNOWN)
    )


def is_allowed(expression):
    """Whether each licence of an SPDX expression is allowed: of `A OR B`, too, so that nobody has
    to choose.
    """
    return set(re.split(r" (?:AND|OR) ", re.sub("[()]", "", expression))) <= ALLOWED


def is_hit(affected, version):
    """Whether a version is one that an advisory's entry names, or lies in one of its ranges."""
    if str(version) in affected.get("versions", []):
        return True
    ranges = [one for one in affected.get("ranges", []) if one["type"] == "ECOSYSTEM"]
    return any(_lies_in(one["events"], version) for one in ranges)


def _lies_in(events, version):
    """Whether the last event up to a version introduces the fault. They may be in any order."""
    state = False
    for kind, text in sorted(
        ((kind, text) for event in events for kind, text in event.items()),
        key=lambda event: _version(event[1]),
    ):
        if kind == "last_affected":
            state = state and version <= _version(text)
        elif _version(text) <= version:
            state = kind == "introduced"
    return state


def _version(text):
    try:
        return Version(text)
    except InvalidVersion:  # of old releases: no version of today's is lower
        return Version("0.dev0")


def hits(advisories, installed):
    """Name, version and advisory's id of each installed package that one speaks of."""
    with zipfile.ZipFile(advisories) as archive:
        for entry in sorted(archive.namelist()):
            advisory = json.loads(archive.read(entry))
            for affected in () if "withdrawn" in advisory else advisory.get("affected", ()):
                package = affected.get("package", {})
                name = canonicalize_name(package.get("name", ""))
                if package.get("ecosystem") == "PyPI" and name in installed:
                    if is_hit(affected, installed[name]):
                        yield name, installed[name], advisory["id"]


def main(advisories=None):
    """Print the table of licences and what is vulnerable; the exit code is 1 if something fails."""
    table = [(name, distribution(name)) for name in needed(PACKAGE)]
    for name, one in table:
        mark = "" if is_allowed(licence(one.metadata)) else "  <- not allowed"
        print(f"{name:16} {one.version:10} {licence(one.metadata)}{mark}")
    failed = not all(is_allowed(licence(one.metadata)) for _, one in table)
    if advisories is None:
        print("audit: no advisories looked at; give OSV's export: make audit ADVISORIES=all.zip")
        return int(failed)
    installed = {canonicalize_name(one.name): Version(one.version) for one in distributions()}
    found = sorted(set(hits(advisories, installed)))
    for name, version, advisory in found:
        print(f"{name} {version} is vulnerable: {advisory}")
    print(f"audit: {len(found)} known vulnerabilities in {len(installed)} packages")
    return int(failed or bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
