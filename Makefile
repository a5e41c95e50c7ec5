# Everything a developer types. Each target installs what it needs, once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
KERNEL_TESTS = $(wildcard tests/test_kernels_*.py tests/test_parse.py tests/test_format.py tests/test_metrics.py)

.PHONY: help run test lint bounds oracles wheel clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

run: .venv/installed  ## train on the embedded sample, evaluate, show predictions
	@$(BIN)/python -m xmc.datasets.demo .run

test: .venv/test-installed  ## run the tests
	$(BIN)/pytest

lint: .venv/test-installed  ## check the style
	$(BIN)/ruff check

# Numba's disk cache ignores both flags below: checked kernels live in an empty cache of their own.
bounds: .venv/test-installed  ## run the kernel tests with bounds checks
	rm -rf .numba_cache_bounds
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=.numba_cache_bounds $(BIN)/pytest $(KERNEL_TESTS)

oracles: .venv/test-installed  ## run the kernel tests with kernels as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest $(KERNEL_TESTS)

# build/ goes first, or setuptools would pack what an earlier build left there.
wheel: .venv/installed  ## build the wheel, try it in an environment of its own
	rm -rf build dist
	$(BIN)/python -m pip wheel -qq --no-deps --wheel-dir dist .
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python -m pip install -qq --disable-pip-version-check dist/*.whl
	cd dist && venv/bin/xmc --version && venv/bin/python -m xmc.datasets.demo demo

clean:  ## remove caches, outputs and builds; .venv stays
	rm -rf .run build dist *.egg-info .pytest_cache .ruff_cache .numba_cache*
	find xmc cli datasets tests -name __pycache__ -prune -exec rm -rf {} +

# Editable: xmc.cli and xmc.datasets resolve to cli/ and datasets/, and kernels keep their compile cache.
.venv/installed: setup.cfg pyproject.toml
	@echo "Installing into .venv; the first time this takes a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) -e .
	@touch $@

.venv/test-installed: .venv/installed
	@$(PIP) -e '.[test]'
	@touch $@
