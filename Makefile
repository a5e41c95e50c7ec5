# Everything a developer types. Each target installs what it needs, once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := -m pip install -qq --disable-pip-version-check
KERNEL_TESTS = $(wildcard tests/test_kernels_*.py tests/test_parse.py tests/test_format.py tests/test_metrics.py)

.PHONY: help run test lint types bounds oracles coverage oldest wheel clean figures peers bench-train bench-predict

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' Makefile

run: .venv/installed  ## train on the embedded sample, evaluate, show predictions
	@$(BIN)/python -m xmc.datasets.demo .run

test: .venv/test-installed  ## run the tests
	$(BIN)/pytest

lint: .venv/test-installed  ## check the style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# As installed, cli/ and datasets/ lie inside xmc/: links lay them so, and what is imported from there is checked, too.
types: .venv/test-installed  ## check the types
	rm -rf .run/types
	mkdir -p .run/types/xmc
	ln -s $(CURDIR)/xmc/* $(CURDIR)/cli $(CURDIR)/datasets .run/types/xmc
	cd .run/types && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/setup.cfg --package xmc
	$(BIN)/mypy xmc cli datasets

# In a cache of their own, so that checked kernels don't take the place of the others.
bounds: .venv/test-installed  ## run the kernel tests with bounds checks
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/.numba_cache_bounds $(BIN)/pytest $(KERNEL_TESTS)

oracles: .venv/test-installed  ## run the kernel tests with kernels as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest $(KERNEL_TESTS)

coverage: .venv/test-installed  ## run the tests, print which lines they miss and the share that they reach
	$(BIN)/coverage run --data-file=.run/coverage -m pytest -q
	$(BIN)/coverage report --data-file=.run/coverage

# Compiled by an older Numba, so the compile cache is apart, too.
oldest:  ## run the tests with the oldest versions that setup.cfg allows
	rm -rf .run/oldest
	$(PYTHON) -m venv .run/oldest
	sed -n 's/^    \([a-z.-]*\)>=/\1==/p' setup.cfg | .run/oldest/bin/python $(INSTALL) -r /dev/stdin
	.run/oldest/bin/python $(INSTALL) --no-deps -e .
	NUMBA_CACHE_DIR=$(CURDIR)/.run/oldest/numba .run/oldest/bin/pytest

# build/ goes first, or setuptools would pack what an earlier build left there.
wheel: .venv/installed  ## build the wheel, try it in an environment of its own
	rm -rf build dist
	$(BIN)/python -m pip wheel -qq --no-deps --wheel-dir dist .
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python $(INSTALL) dist/*.whl
	cd dist && venv/bin/xmc --version && venv/bin/python -m xmc.datasets.demo demo

figures: .venv/installed  ## draw the figures of the documents
	$(BIN)/python docs/figures.py

XMC_PEERS ?= .venv/peers
BENCH = $(if $(SETS),--sets $(SETS)) $(if $(ONLY),--only $(ONLY)) $(if $(REPEATS),--repeats $(REPEATS)) --peers $(XMC_PEERS)

# Where they are built, or looked for: XMC_PEERS=FOLDER.
peers:  ## an environment for each peer of the benchmarks, or for PEERS="pecos omikuji"
	$(PYTHON) benchmarks/install.py $(XMC_PEERS) $(PEERS)

bench-train: .venv/installed  ## compare training with the peers': DATA=folder [SETS="..."] [ONLY="..."] [REPEATS=3]
	$(BIN)/python benchmarks/bench_train.py $(DATA) $(BENCH)

bench-predict: .venv/installed  ## compare prediction with the peers': the same arguments
	$(BIN)/python benchmarks/bench_predict.py $(DATA) $(BENCH)

clean:  ## remove caches, outputs and builds; .venv stays
	rm -rf .run build dist *.egg-info .pytest_cache .ruff_cache .numba_cache*
	find xmc cli datasets tests docs examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Editable: the finder that setuptools installs leads xmc.cli to cli/ and xmc.datasets to datasets/, from any folder. A
# wheel must be tried outside the checkout, where Python finds the plain folder xmc/ first, which has neither.
.venv/installed: setup.cfg pyproject.toml
	@echo "Installing into .venv; the first time this takes a minute or two"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python $(INSTALL) -e .
	@touch $@

.venv/test-installed: .venv/installed
	@$(BIN)/python $(INSTALL) -e '.[test]'
	@touch $@
