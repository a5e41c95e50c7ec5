"""The floors of the package: who may import whom, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xmc

TOP = Path(__file__).resolve().parent.parent
PACKAGES = {
    "xmc": TOP / "xmc",
    **{f"xmc.{file.parent.name}": file.parent for file in TOP.glob("xmc/*/__init__.py")},
    "xmc.datasets": TOP / "datasets",
    "xmc.cli": TOP / "cli",
}
# Folders are floors; files in xmc/ itself are named one by one.
FLOORS = [
    "xmc xmc.kernels xmc.kernels.*",
    "errors svg languages label_lists params patterns formats topk arrays mapped numbering "
    "scratch frames soundness inputs features propensity judged tally threshold scoring metrics "
    "xmc.io xmc.io.* checksums vocabulary parallel progress memory checkpoint unfinished spill "
    "xmc.executors xmc.executors.*",
    "label_tree layer member embedding xmc.ranking xmc.ranking.* xmc.training xmc.training.* "
    "xmc.evidence xmc.evidence.* warmup",
    "methods model model_files calibration identity encoders analyzers counting text stored_rows "
    "training_data base sparse_kind estimators low_rank low_rank_classifier stage "
    "reranked_classifier text_classifier loading presets labelled_rows settings xmc.explaining "
    "xmc.explaining.* xmc.updating xmc.updating.* xmc.tuning xmc.tuning.*",
    "xmc.reporting xmc.reporting.*",
    "xmc.datasets xmc.datasets.* xmc.serving xmc.serving.*",
    "xmc.cli xmc.cli.*",
]
SKLEARN = 3  # the floor that may import it
THREADS = {"joblib", "threading", "concurrent", "multiprocessing"}
KERNELS = {"numpy", "numba", "llvmlite"}


def sources():
    """Path of each module by its dotted name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.glob("*.py"):
            found[package if path.stem == "__init__" else f"{package}.{path.stem}"] = path
    return found


def imports(module, path, modules):
    """Dotted names of all that a module imports, inside functions too; `from a import b` is a.b if
    that is a module.
    """
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: 1 - node.level or None]) if node.level else ""
            name = ".".join(filter(None, (base, node.module)))
            found |= {
                f"{name}.{a.name}" if f"{name}.{a.name}" in modules else name for a in node.names
            }
    return found


MODULES = sources()
IMPORTS = {module: imports(module, path, MODULES) for module, path in MODULES.items()}
OURS = {
    module: {name for name in names if name in MODULES} - {module}
    for module, names in IMPORTS.items()
}
THEIRS = {
    module: {name.split(".")[0] for name in names if name not in MODULES}
    - sys.stdlib_module_names
    - {"xmc"}
    for module, names in IMPORTS.items()
}


def floor(module):
    """Number of the floor that names a module, None if none does."""
    names = {module, module.removeprefix("xmc."), module.rpartition(".")[0] + ".*"}
    return next((n for n, line in enumerate(FLOORS) if names & set(line.split())), None)


def circle(graph):
    """The modules on some circle of imports, none if there is none."""
    left = dict(graph)
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    return sorted(left)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_has_a_floor(module):
    assert floor(module) is not None, (
        f"{module}: a new file needs a floor; add it to FLOORS in {Path(__file__).name}"
    )


def test_every_named_module_exists():
    named = {
        f"xmc.{name}"
        for line in FLOORS
        for name in line.split()
        if "." not in name and name != "xmc"
    }
    assert not named - MODULES.keys(), "FLOORS names files that are gone"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module):
    up = {name for name in OURS[module] if (floor(name) or 0) > (floor(module) or 0)}
    assert not up, f"{module} imports from a higher floor: {', '.join(sorted(up))}"


def test_no_imports_go_in_circles():
    assert circle(OURS) == []


def test_only_models_and_text_import_sklearn():
    assert {
        module
        for module, names in THEIRS.items()
        if "sklearn" in names and floor(module) != SKLEARN
    } == set()


def test_only_parallel_starts_threads():
    users = {
        module
        for module, names in IMPORTS.items()
        if {name.split(".")[0] for name in names} & THREADS
    }
    # The second keeps arrays of each, the third starts processes.
    assert users == {"xmc.parallel", "xmc.scratch", "xmc.executors.processes"}


def test_only_the_service_speaks_http_and_is_asynchronous():
    users = {m for m, names in IMPORTS.items() if "asyncio" in names}
    users |= {m for m, names in THEIRS.items() if names & {"starlette", "uvicorn"}}
    assert users and {m for m in users if not m.startswith("xmc.serving.")} == {"xmc.cli.serve"}


def test_kernels_import_nothing_but_kernels_numpy_and_the_compiler():
    for module in MODULES:
        if module.startswith("xmc.kernels."):
            assert all(name.startswith("xmc.kernels") for name in OURS[module]), module
            assert THEIRS[module] <= KERNELS, module


def test_importing_xmc_is_light():
    heavy = ["numpy", "scipy", "sklearn", "numba", "joblib", "click", "rich"]
    code = f"import sys, xmc; print(set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_public_name_is_listed():
    assert set(xmc.__all__) <= set(dir(xmc))


def test_every_public_name_resolves():
    assert all(getattr(xmc, name) for name in xmc.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        xmc.nothing  # noqa: B018
