"""Which small changes of the code no test notices: a bounded run of mutmut.

    python tests/mutants.py [--seconds 600] [FILE ...]

mutmut changes a file in one place at a time, `<` to `<=`, 1 to 2, an argument to None, and runs its
tests. A change that they don't notice survives, and is printed as file:line, before -> after: there
a test is missing, or the code does nothing. Changes that nobody could notice stand in
data/mutants.txt with the reason, and are left out.

Only tests that run in this process notice: a command in one of its own has the unchanged code. And
only those are run that call the changed function themselves: what a fixture of a module does counts
for its first test. Kernels are changed as plain Python, in which all of them run then.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
WORK = TOP / ".run" / "mutants"
KNOWN = Path(__file__).parent / "data" / "mutants.txt"
# What a change would do to others: os.kill(pid, 1) ends whatever process a test names.
NEVER = (r"os\.kill",)
# What kernels fetch before they read it: only the time shows whether they do.
FETCHED = (r"fetch", r"\b(EARLIER|AHEAD|LINE)\b")
# The tests of each file, few and quick, as every change runs them. What finds most comes first.
TESTS = {
    "xmc/metrics.py": "metrics",
    "xmc/judged.py": "metrics tally threshold",
    "xmc/tally.py": "tally metrics",
    "xmc/topk.py": "topk",
    "xmc/propensity.py": "metrics",
    "xmc/threshold.py": "threshold",
    "xmc/io/tensors.py": "tensors",
    "xmc/io/folder.py": "folder tensors",
    "xmc/io/values.py": "values",
    "xmc/io/stored.py": "stored stored_rows",
    "xmc/io/rows_writer.py": "stored",
    "xmc/mapped.py": "mapped",
    "xmc/counting.py": "counting",
    "xmc/io/files.py": "files",
    "xmc/io/blocks.py": "io files",
    "xmc/checkpoint.py": "checkpoint",
    "xmc/patterns.py": "patterns",
    "xmc/layer.py": "layer updating compression spill",
    "xmc/features.py": "features",
    "xmc/model_files.py": "model_files",
    "xmc/ranking/search.py": "search trees calibration tail",
    "xmc/ranking/ensemble.py": "ensemble search",
    "xmc/ranking/trees.py": "trees search",
    "xmc/ranking/ranker.py": "ranker containers",
    "xmc/training/level.py": "level spill",
    "xmc/training/problem.py": "level member solver spill row_weights",
    "xmc/training/solver.py": "solver level liblinear row_weights",
    "xmc/evidence/names.py": "names",
    "xmc/evidence/sources.py": "sources",
    "xmc/evidence/nearest.py": "nearest",
    "xmc/evidence/reranked.py": "reranked",
    "xmc/stage.py": "stage",
    "xmc/reporting/ratios.py": "bootstrap groups",
    "xmc/reporting/bootstrap.py": "bootstrap comparison",
    "xmc/reporting/groups.py": "groups misses",
    "xmc/reporting/misses.py": "misses",
    "xmc/reporting/training_rows.py": "misses report",
    "xmc/reporting/outline.py": "outline",
    "xmc/reporting/words.py": "outline",
    "xmc/reporting/comparison.py": "comparison",
    "xmc/reporting/report.py": "report",
    "xmc/io/tables.py": "tables",
    "xmc/tuning/space.py": "tuning",
    "xmc/tuning/halving.py": "tuning",
    "xmc/tuning/trials.py": "tuning",
    "xmc/serving/batching.py": "serving_batching",
    "xmc/serving/feedback.py": "serving_feedback",
    "xmc/serving/fields.py": "serving_fields",
    "xmc/serving/metrics.py": "serving_metrics",
    "xmc/kernels/metrics.py": "metrics",
    "xmc/kernels/dcd.py": "kernels_dcd",
    "xmc/kernels/beam.py": "kernels_beam",
    "xmc/kernels/score.py": "kernels_score",
    "xmc/kernels/heap.py": "kernels_heap",
    "xmc/kernels/gather.py": "kernels_gather",
    "xmc/kernels/ensemble.py": "kernels_ensemble",
    "xmc/kernels/kmeans.py": "kernels_kmeans",
    "xmc/kernels/pages.py": "kernels_pages",
    "xmc/kernels/evidence.py": "kernels_evidence",
    "xmc/kernels/candidates.py": "kernels_candidates",
    "xmc/kernels/names.py": "kernels_names",
    "xmc/kernels/terms.py": "kernels_terms",
    "xmc/kernels/inverted.py": "kernels_inverted",
    "xmc/kernels/votes.py": "kernels_votes",
    "xmc/kernels/boosted.py": "kernels_boosted",
    "xmc/kernels/factors.py": "kernels_factors",
    "xmc/kernels/pairs.py": "kernels_pairs",
    "xmc/kernels/together.py": "kernels_together",
}
KERNELS = "xmc/kernels/"
COMPILED = re.compile(r"^@(?=(kernel|inner)\b)", re.MULTILINE)
# Plain Python holds any number in any array: what is lost with a type shows when it is compiled.
TYPE = re.compile(r"(?<=, )np\.(?:u?int\d+|float\d+|bool_)(?=\))")


class Mutant(NamedTuple):
    """A change that survived."""

    file: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before} -> {self.after}"

    def is_known(self) -> bool:
        """Whether nobody could notice it."""
        if self.file.startswith(KERNELS) and self.after in without_a_type(self.before):
            return True
        return (self.file, f"{self.before} -> {self.after}") in known()


def without_a_type(code: str) -> list[str]:
    """The code with the type of an array left out, or None in its place."""
    places = [found.span() for found in TYPE.finditer(code)]
    return [code[:start] + other + code[end:] for start, end in places for other in ("", "None")]


@cache
def known() -> set[tuple[str, str]]:
    """The file and the `before -> after` of each change that nobody could notice."""
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    pairs = (line.split(": ", 1) for line in lines if line and not line.startswith("#"))
    return {(file, change) for file, change in pairs}


def lay_out(file: str) -> None:
    """A folder for mutmut: links to the checkout, and a setup.cfg that names one file's tests; of a
    kernel a copy that isn't compiled.
    """
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in ("xmc", "cli", "datasets", "tests"):
        (WORK / name).symlink_to(TOP / name)
    if file.startswith(KERNELS):  # mutmut leaves functions with decorators alone
        (WORK / "xmc").unlink()
        shutil.copytree(TOP / "xmc", WORK / "xmc", ignore=shutil.ignore_patterns("__pycache__"))
        kernel = WORK / file
        kernel.write_text(COMPILED.sub("# @", kernel.read_text(encoding="utf-8")))
    tests = [f"tests/test_{name}.py" for name in TESTS[file].split()]
    lists = {
        "source_paths": ["xmc"],
        "also_copy": ["cli", "datasets"],
        "only_mutate": [file],
        "do_not_mutate_patterns": NEVER + (FETCHED if file.startswith(KERNELS) else ()),
        "pytest_add_cli_args_test_selection": tests,
    }
    settings = "\n[mutmut]\n"
    for name, values in lists.items():
        settings += f"{name} =\n" + "".join(f"    {value}\n" for value in values)
    (WORK / "setup.cfg").write_text((TOP / "setup.cfg").read_text(encoding="utf-8") + settings)


def mutmut(*arguments: str, seconds: float | None = None, plain: bool = False) -> str:
    """What mutmut prints; after so many seconds it is stopped with all that it started.

    plain: nothing is compiled.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=WORK,
        env=os.environ | ({"NUMBA_DISABLE_JIT": "1"} if plain else {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        pass
    finally:  # Ctrl-C ends here, too
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def functions(text: str) -> dict[str, tuple[int, list[str]]]:
    """Where each function begins and its lines, by the name that mutmut gives it."""
    lines, found = text.splitlines(), {}
    for node in ast.parse(text).body:
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                prefix = f"xǁ{node.name}ǁ" if one is not node else "x_"
                name = one.name if "__mutmut_" in one.name else prefix + one.name
                found[name] = one.lineno, lines[one.lineno - 1 : one.end_lineno]
    return found


def difference(before: list[str], after: list[str]) -> tuple[int, str, str]:
    """The number of the first line that differs, and what differs, without comments."""
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    differ = [code for code in codes if code[0] != "equal"]
    (_, start, _, other_start, _), (_, _, end, _, other_end) = differ[0], differ[-1]
    sides = before[start:end], after[other_start:other_end]
    one, other = (" ".join(map(without_comment, side)) for side in sides)
    return start, one, other


def without_comment(line: str) -> str:
    """A line of code as changes are compared by it."""
    return line.partition("  # ")[0].strip()


def results(file: str) -> Iterator[tuple[str, str]]:
    """Name of each mutant of a file, and what became of it."""
    for line in mutmut("results", "--all", "true").splitlines():
        name, colon, state = line.strip().partition(": ")
        if colon and "__mutmut_" in name:
            yield name, state


def survivors(file: str, names: list[str]) -> Iterator[Mutant]:
    """What each mutant of those names changes, and where."""
    ours = functions((TOP / file).read_text(encoding="utf-8"))
    theirs = functions((WORK / "mutants" / file).read_text(encoding="utf-8"))
    for name in names:
        mutant = name.rpartition(".")[2]
        function = mutant.partition("__mutmut_")[0]
        original = f"{function}__mutmut_orig"
        after = [line.replace(mutant, original) for line in theirs[mutant][1]]
        offset, one, other = difference(theirs[original][1], after)
        yield Mutant(file, ours[function][0] + offset, one, other)


def report(file: str, seconds: float) -> int:
    """Print what survives of a file's mutants; their number comes out."""
    lay_out(file)
    printed = mutmut("run", seconds=seconds, plain=file.startswith(KERNELS))
    states = dict(results(file))
    if {*states.values()} <= {"not checked"}:
        end = printed.strip()[-500:]
        sys.exit(
            f"{file}: no time, nothing to change, or its tests don't run by themselves:\n{end}"
        )
    left = [name for name, state in states.items() if state in ("survived", "no tests")]
    unchecked = sum(state == "not checked" for state in states.values())
    found = list(survivors(file, left))
    new = [one for one in found if not one.is_known()]
    for one in sorted(new):
        print(one, flush=True)
    print(
        f"{file}: {len(states)} changes, {len(new)} survive, {len(found) - len(new)} known to, "
        f"{unchecked} not tried",
        flush=True,
    )
    return len(new)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="of the whole run")
    parser.add_argument("files", nargs="*", metavar="FILE", help="; ".join(TESTS))
    arguments = parser.parse_args()
    end, total = time.monotonic() + arguments.seconds, 0
    for file in arguments.files or TESTS:
        if time.monotonic() > end:
            print(f"{file}: not tried, as the time is up")
            continue
        total += report(file, end - time.monotonic())
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
