"""Copies of the package laid out as pip installs it, and processes of other users that run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy

TOP = Path(__file__).resolve().parent.parent
LIBRARIES = Path(numpy.__file__).parent.parent
STRANGER = 54321  # the id of a user and a group that no file knows
XMC = "from xmc.cli.main import main; main()"


def install(site: Path, *, compiled: bool) -> Path:
    """Copies the package below `site`; with what is compiled, if there is any, or without."""
    ignore = None if compiled else shutil.ignore_patterns("__pycache__")
    shutil.copytree(TOP / "xmc", site / "xmc", ignore=ignore)
    for part in ("cli", "datasets"):
        shutil.copytree(TOP / part, site / "xmc" / part, ignore=ignore)
    return site


def run(
    site: Path,
    code: str,
    *args: object,
    python: str = sys.executable,
    stranger: bool = False,
    **env,
) -> subprocess.CompletedProcess[str]:
    """Runs Python code on a copy, as oneself or as a user without home, name and rights."""
    someone = {"user": STRANGER, "group": STRANGER, "extra_groups": []} if stranger else {}
    kept = {name: os.environ[name] for name in ("PATH", "NUMBA_DISABLE_JIT") if name in os.environ}
    return subprocess.run(
        [python, "-c", code, *map(str, args)],
        cwd="/",
        env={**kept, "HOME": "/nonexistent", "PYTHONPATH": f"{site}:{LIBRARIES}", **env},
        capture_output=True,
        text=True,
        **someone,
    )


@cache
def common_python() -> str | None:
    """A Python of our version that any user may start, with our libraries; None if none is."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        code = f"import sys, numba; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
        try:
            if run(LIBRARIES, code, python=python, stranger=True).returncode == 0:
                return python
        except OSError:  # there is none, or it lies in a folder of its owner's
            continue
    return None
