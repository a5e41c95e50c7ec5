"""setup.cfg names packages and data files one by one; these tests notice what was forgotten."""

import configparser
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
FOLDERS = {
    f"xmc.{name}": f"xmc/{name}" for name in ("kernels", "io", "ranking", "training", "evidence")
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
    for package, folder in FOLDERS.items():
        packed = {path for glob in patterns.get(package, []) for path in (TOP / folder).glob(glob)}
        found = {
            path
            for path in (TOP / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        left_out = {path for path in found - packed if path.suffix != ".py"}
        assert not left_out, (
            f"setup.cfg: [options.package_data] leaves out {sorted(map(str, left_out))}"
        )


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
