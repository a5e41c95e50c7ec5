"""setup.cfg names packages and data files one by one; these tests notice what was forgotten."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).resolve().parent.parent
FOLDERS = {
    f"xmc.{name}": f"xmc/{name}"
    for name in (
        *("kernels", "io", "ranking", "training", "executors", "evidence", "explaining"),
        *("reporting", "serving", "updating", "tuning"),
    )
}
FOLDERS = {"xmc": "xmc", **FOLDERS, "xmc.cli": "cli", "xmc.datasets": "datasets"}


@pytest.fixture(scope="module")
def setup_cfg():
    config = configparser.ConfigParser()
    config.read(TOP / "setup.cfg")
    return config


def test_every_folder_of_modules_is_a_package(setup_cfg):
    with_modules = {
        path.parent for name in ("xmc", "cli", "datasets") for path in (TOP / name).rglob("*.py")
    }
    assert with_modules == {TOP / folder for folder in FOLDERS.values()}
    assert setup_cfg["options"]["packages"].split() == list(FOLDERS)


def test_every_data_file_is_packed(setup_cfg):
    patterns = {name: globs.split() for name, globs in setup_cfg["options.package_data"].items()}
    packed = {
        path
        for package, folder in FOLDERS.items()
        for glob in patterns.get(package, [])
        for path in (TOP / folder).glob(glob)
    }
    found = {
        path
        for folder in FOLDERS.values()
        for path in (TOP / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py"
    }
    left_out = sorted(map(str, found - packed))
    assert not left_out, f"setup.cfg: [options.package_data] leaves out {left_out}"


def test_what_takes_a_compiler_is_an_extra_that_the_tests_install(setup_cfg):
    extras = setup_cfg["options.extras_require"]
    assert "liblinear" not in setup_cfg["options"]["install_requires"]
    assert extras["liblinear"].startswith("\nliblinear-official>=")
    assert "xmc-trees[liblinear]" in extras["test"].split()


def test_what_reads_skos_is_an_extra_that_the_tests_install(setup_cfg):
    extras = setup_cfg["options.extras_require"]
    assert "rdflib" not in setup_cfg["options"]["install_requires"]
    assert extras["skos"].startswith("\nrdflib>=")
    assert "xmc-trees[skos]" in extras["test"].split()


def test_what_answers_over_http_is_an_extra_that_the_tests_install(setup_cfg):
    extras = setup_cfg["options.extras_require"]
    assert not {"starlette", "uvicorn"} & set(setup_cfg["options"]["install_requires"].split())
    assert [line.partition(">=")[0] for line in extras["serve"].split()] == ["starlette", "uvicorn"]
    assert "xmc-trees[serve]" in extras["test"].split()


def test_the_lock_has_all_that_setup_cfg_names_in_versions_that_it_allows(setup_cfg):
    """`make lock` renews it."""
    text = (TOP / "requirements-dev.lock").read_text(encoding="utf-8")
    pinned = [Requirement(line.rstrip(" \\")) for line in re.findall(r"^\w.*", text, re.M)]
    extras = setup_cfg["options.extras_require"].values()
    lines = "\n".join([setup_cfg["options"]["install_requires"], *extras]).splitlines()
    for requirement in map(Requirement, filter(None, lines)):
        if requirement.name != "xmc-trees":
            name = canonicalize_name(requirement.name)
            versions = [str(one.specifier)[2:] for one in pinned if one.name == name]
            assert versions, f"requirements-dev.lock lacks {requirement.name}: make lock"
            assert all(map(requirement.specifier.contains, versions)), requirement


def test_each_file_in_the_lock_has_a_checksum_and_no_address():
    text = (TOP / "requirements-dev.lock").read_text(encoding="utf-8")
    packages = re.split(r"^(?=\w)", text, flags=re.M)[1:]
    assert packages and all("--hash=sha256:" in one for one in packages)
    assert "://" not in text and "--index" not in text and "--find-links" not in text
